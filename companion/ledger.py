"""The claims ledger: each claim measured, judged by one rule, and held against what published evidence supports.

A claim compares a measured quantity, with its interval, to an expected value or bound:

* relation "equal": the acceptance region is [expected - tolerance, expected + tolerance];
* relation "at most": (-∞, expected + tolerance];
* relation "at least": [expected - tolerance, ∞).

The verdict is ``holds`` if the whole interval lies in the region, ``refuted`` if none of it does, and ``undecided``
otherwise. For "equal" with a 90 % interval the rule is the equivalence test of two one-sided tests at 5 %.

A claim's kind says what a verdict is worth, and kinds are never counted together:

* ``identity``: exact, and judged to rounding, without an interval; or exact in expectation, as a Monte Carlo check of a
  theorem, and judged by a test at its interval's level (or at a level that its tolerance's reason states);
* ``reported``: by the paper, and measured again;
* ``predicted``: written down before the run, where the chapter or ``results/`` lists it;
* ``seen after``: found in a run's numbers, or otherwise not written down before; its verdict confirms nothing.

A claim stands at its verdict on published evidence (``publish``), and is open where there is none.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from npflib import checks, profiles
from npflib.records import locations
from npflib.records.atomic import read_json, write_text

RELATIONS = ("equal", "at most", "at least")
VERDICTS = ("holds", "refuted", "undecided")
STANDINGS = (*VERDICTS, "open")
KINDS = {
    "identity": "identities, exact or exact in expectation",
    "reported": "reported by the paper",
    "predicted": "predicted before the run",
    "seen after": "seen after the run, which confirm nothing",
}
PUBLISHED = ("paper", "full")  # profiles of published records and tables


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One line of the ledger."""

    id: str  # letters, digits and hyphens; unique in the book
    sentence: str
    source: str  # where in the paper, or which reference
    kind: str  # one of KINDS
    quantity: str  # what was measured, in words, with its unit
    measured: float
    interval: list[float]  # its confidence interval; the value twice where the measurement has no spread
    level: float | None = None  # of the interval; None where there is none
    expected: float  # value or bound
    relation: str = "equal"
    tolerance: float = 0.0
    tolerance_reason: str
    verdict: str
    reason: str  # why it is undecided
    standing: str  # the verdict that published evidence supports; "open" where there is none
    profile: str  # of the evidence; "full" is all that a study of ours asks for, which may be less than the paper's
    trained: bool = False  # whether it rests on trained networks
    seeds: int  # independent repetitions behind the interval: seeds, draws, networks
    data: str  # title
    stand_in: bool
    chapter: str  # the notebook that measured it
    figure: str = ""  # label or caption of the figure that shows it


FIELDS = {field.name: field.type for field in fields(Claim)}
KNOWN: dict[str, Collection] = {"relation": RELATIONS, "kind": KINDS, "level": (0.90, 0.95, None), "verdict": VERDICTS}
KNOWN |= {"standing": STANDINGS, "profile": (*profiles.PROFILES, "full")}


def judge(interval: Sequence[float], expected: float, relation: str = "equal", tolerance: float = 0.0) -> str:
    """The verdict on an interval [low, high], by the module's rule."""
    checks.one_of(relation, "relation", RELATIONS)
    if len(interval) != 2 or not interval[0] <= interval[1]:
        raise ValueError(f"an interval is two numbers [low, high], low first; got {list(interval)}.")
    low, high = interval
    bottom = -math.inf if relation == "at most" else expected - tolerance
    top = math.inf if relation == "at least" else expected + tolerance
    if bottom <= low and high <= top:
        return "holds"
    return "refuted" if high < bottom or low > top else "undecided"


def record(
    id: str, sentence: str, source: str, *, measured: float, expected: float, profile: str,
    data: dict[str, Any] | None, build: Path, interval: Sequence[float] | None = None, level: float | None = None,
    relation: str = "equal", tolerance: float = 0.0, trained: bool = False, needs_budget: bool = False,
    undecidable: str = "", **said: Any,
) -> Claim:  # fmt: skip
    """Judges one claim and writes it to ``<build>/claims/<id>.json``, atomically; what else is ``said`` are its fields.

    A claim that ``needs_budget`` is about trained accuracy: stand-in data or the smoke profile leave it undecided, as
    does any other reason why it is ``undecidable``, e.g. a reduced budget. ``data`` is a ``Source.as_dict()`` or None.
    It stands where ``standings`` puts it; nothing else can say where it stands.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]+", id):
        raise ValueError(f"a claim's id is made of letters, digits and hyphens; got {id!r}.")
    if fault := _unknown({"relation": relation, "level": level, "profile": profile} | said):
        raise ValueError(f"claim {id}: {fault}.")
    ends = [float(end) for end in ((measured, measured) if interval is None else interval)]
    if not all(map(math.isfinite, (measured, *ends, expected, tolerance))) or tolerance < 0:
        got = f"measured {measured}, interval {ends}, expected {expected}, tolerance {tolerance}"
        raise ValueError(f"claim {id}: numbers must be finite and the tolerance at least 0; got {got}.")
    verdict = judge(ends, expected, relation, tolerance)
    if not ends[0] <= measured <= ends[1]:
        raise ValueError(f"claim {id}: the interval {ends} does not hold the measured value {measured}.")
    if (level is None) != (interval is None):
        raise ValueError(f"claim {id}: an interval and its level belong together; got {interval}, level {level}.")
    checks.whole(said.get("seeds"), f"claim {id}: seeds")
    stand_in = bool(data and data["stand_in"])
    reason = "the interval contains the bound: more repetitions are needed" if verdict == "undecided" else ""
    if needs_budget and (stand_in or profile == "smoke"):
        undecidable = "stand-in data" if stand_in else "the smoke profile trains too little"
    if undecidable:
        verdict, reason = "undecided", undecidable
    claim = Claim(
        id=id, sentence=sentence, source=source, measured=float(measured), interval=ends, level=level,
        expected=float(expected), relation=relation, tolerance=float(tolerance), verdict=verdict, reason=reason,
        standing=standings().get(id, "open"), profile=profile, trained=trained or needs_budget,
        data=data["title"] if data else "no data set: random networks and inputs", stand_in=stand_in, **said,
    )  # fmt: skip
    write_text(Path(build) / "claims" / f"{id}.json", json.dumps(asdict(claim), indent=1, ensure_ascii=False) + "\n")
    return claim


def read(path: Path) -> Claim:
    """Reads one claim, as ``record`` wrote it."""
    mend = "Delete it and run its chapter again."
    claim = _checked(read_json(path, "claim", mend, fields=FIELDS), path, mend)
    if claim.id != path.stem:
        raise ValueError(f"{path} holds the claim {claim.id!r}, which would count twice. {mend}")
    return claim


def _checked(found: dict[str, Any], path: Path, mend: str) -> Claim:
    """A claim of known words; a ValueError names the file, the fault and the mend."""
    if fault := _unknown(found) or ("its interval is not two numbers" if len(found["interval"]) != 2 else ""):
        raise ValueError(f"{path} is not a readable claim: {fault}. {mend}")
    return Claim(**found)


def _unknown(said: dict[str, Any]) -> str:
    """The first word of a claim that is none of those known, and which are; "" if there is none."""
    wrong = [name for name in said if name in KNOWN and said[name] not in KNOWN[name]][:1]
    return "".join(f"unknown {name} {said[name]!r}; allowed: {', '.join(map(str, KNOWN[name]))}" for name in wrong)


def standings() -> dict[str, str]:
    """Where claims stand by published evidence, id → verdict: ``results/standings.json``; none without the file."""
    path = locations.published() / "standings.json"
    mend = "Make it again: npf ledger --publish."
    found = read_json(path, "list of standings", mend) if path.exists() else {}
    if wrong := [id for id, verdict in found.items() if verdict not in VERDICTS]:
        raise ValueError(f"{path}: the standing of {wrong[0]} must be one of {', '.join(VERDICTS)}. {mend}")
    return found


def publish(found: Iterable[Claim]) -> Path:
    """Writes into ``standings`` what the claims of a smoke or quick build support, and returns the file.

    A claim on published records or a published table stands at its verdict. One that rests on a build's own training
    is open. Of those that need none the decided stand at their verdict; the others, e.g. for too few draws or on
    stand-ins, and whatever is not in the build, stay as they were.
    """
    known = standings()
    for claim in found:
        if claim.trained and claim.profile not in PUBLISHED:
            known.pop(claim.id, None)
        elif not claim.stand_in and (claim.profile in PUBLISHED or claim.verdict != "undecided"):
            known[claim.id] = claim.verdict
    path = locations.published() / "standings.json"
    write_text(path, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return path


def collect(build: Path) -> list[Claim]:
    """Collects the claims of a build, as they stand now, by id into ``<build>/claims.json``, a list of objects."""
    stand, paths = standings(), sorted((Path(build) / "claims").glob("*.json"))
    found = [replace(claim, standing=stand.get(claim.id, "open")) for claim in map(read, paths)]
    text = json.dumps([asdict(claim) for claim in found], indent=1, ensure_ascii=False)
    write_text(Path(build) / "claims.json", text + "\n")
    return found


def collected(build: Path) -> list[Claim]:
    """The claims that ``collect`` put into a build's ledger; none if it has not been called."""
    path, mend = Path(build) / "claims.json", "Make it again: npf ledger."
    found = read_json(path, "ledger", mend, kind=list, fields=FIELDS) if path.exists() else []
    return [_checked(entry, path, mend) for entry in found]


def contradictions(claims: Iterable[Claim]) -> list[Claim]:
    """The claims that are decided and stand at the other decided verdict."""
    return [c for c in claims if {c.verdict, c.standing} == {"holds", "refuted"}]


def counted(found: Sequence[Claim]) -> list[str]:
    """Each kind's verdicts in words, e.g. "12 predicted before the run: 9 hold, 1 refuted, 2 undecided"."""
    lines = []
    for kind, meaning in KINDS.items():
        count = Counter(claim.verdict for claim in found if claim.kind == kind)
        hold = "as it was seen" if kind == "seen after" else "hold"
        words = {"holds": hold, "refuted": "refuted", "undecided": "undecided"}
        said = ", ".join(f"{count[verdict]} {word}" for verdict, word in words.items() if count[verdict])
        lines += [f"{count.total()} {meaning}: {said}"] if said else []
    return lines


def chance(found: Sequence[Claim]) -> str:
    """What share of the predictions held, and how many intervals of theirs miss by chance; "" without predictions."""
    predicted = [claim for claim in found if claim.kind == "predicted"]
    if not predicted:
        return ""
    held, decided = (sum(c.verdict in words for c in predicted) for words in (("holds",), ("holds", "refuted")))
    levels = [claim.level for claim in predicted if claim.level is not None]
    miss = sum(1 - level for level in levels)
    return (
        f"Predictions: {held} of {len(predicted)} held ({100 * held / len(predicted):.0f} %), {decided - held} "
        f"refuted, {len(predicted) - decided} undecided; at their level, {miss:.1f} of their {len(levels)} intervals "
        f"miss the true value by chance on average, {miss / 2:.1f} on the side that can refute a true prediction."
    )
