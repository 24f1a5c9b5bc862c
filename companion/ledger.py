"""The claims ledger: each claim measured, judged by one rule, and held against what our best evidence supports.

A claim compares a measured quantity, with its interval, to an expected value or bound:

* relation "equal": the accepted region is [expected - tolerance, expected + tolerance];
* relation "at most": (-∞, expected + tolerance];
* relation "at least": [expected - tolerance, ∞).

The verdict is ``holds`` if the whole interval lies in the region, ``refuted`` if none of it does, and ``undecided``
otherwise. For "equal" with a 90 % interval the rule is the equivalence test of two one-sided tests at 5 %.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from npflib import profiles
from npflib.records.atomic import read_json, write_text

RELATIONS = ("equal", "at most", "at least")
VERDICTS = ("holds", "refuted", "undecided")
ORIGINS = ("paper", "companion")


@dataclass(frozen=True)
class Claim:
    """One line of the ledger."""

    id: str  # letters, digits and hyphens; unique in the book
    sentence: str
    source: str  # where in the paper, or which reference
    origin: str  # "paper" or "companion" (a finding of our own)
    quantity: str  # what was measured, in words, with its unit
    measured: float
    interval: list[float]  # its confidence interval; the value twice where the measurement has no spread
    expected: float  # value or bound
    relation: str
    tolerance: float
    tolerance_reason: str
    verdict: str
    reason: str  # why it is undecided
    standing: str  # the verdict that our best evidence supports; "undecided" where it is open
    profile: str  # of the evidence; "full" is all that a study of ours asks for, which may be less than the paper's
    seeds: int  # independent repetitions behind the interval: seeds, draws, networks
    data: str  # title
    stand_in: bool
    chapter: str  # the notebook that measured it
    figure: str  # label or caption of the figure that shows it


def judge(interval: Sequence[float], expected: float, relation: str = "equal", tolerance: float = 0.0) -> str:
    """The verdict on an interval [low, high], by the module's rule."""
    if relation not in RELATIONS:
        raise ValueError(f"unknown relation {relation!r}; allowed: {', '.join(RELATIONS)}.")
    if len(interval) != 2 or not interval[0] <= interval[1]:
        raise ValueError(f"an interval is two numbers [low, high], low first; got {list(interval)}.")
    low, high = interval
    bottom = -math.inf if relation == "at most" else expected - tolerance
    top = math.inf if relation == "at least" else expected + tolerance
    if bottom <= low and high <= top:
        return "holds"
    return "refuted" if high < bottom or low > top else "undecided"


def record(
    id: str,
    sentence: str,
    source: str,
    *,
    quantity: str,
    measured: float,
    expected: float,
    tolerance: float,
    tolerance_reason: str,
    chapter: str,
    profile: str,
    seeds: int,
    data: dict[str, Any] | None,
    build: Path,
    interval: Sequence[float] | None = None,
    relation: str = "equal",
    standing: str = "holds",
    origin: str = "paper",
    needs_budget: bool = False,
    undecidable: str = "",
    figure: str = "",
) -> Claim:
    """Judges one claim and writes it to ``<build>/claims/<id>.json``, atomically.

    A claim that ``needs_budget`` is about trained accuracy: stand-in data or the smoke profile leave it undecided, as
    does any other reason why it is ``undecidable``, e.g. a reduced budget. ``data`` is a ``Source.as_dict()`` or None.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]+", id):
        raise ValueError(f"a claim's id is made of letters, digits and hyphens; got {id!r}.")
    known = {"relation": RELATIONS, "standing": VERDICTS, "origin": ORIGINS, "profile": (*profiles.PROFILES, "full")}
    for (name, allowed), value in zip(known.items(), (relation, standing, origin, profile), strict=True):
        if value not in allowed:
            raise ValueError(f"claim {id}: unknown {name} {value!r}; allowed: {', '.join(allowed)}.")
    if interval is not None and len(interval) != 2:
        raise ValueError(f"claim {id}: an interval is two numbers [low, high]; got {list(interval)}.")
    low, high = (float(bound) for bound in ((measured, measured) if interval is None else interval))
    if not all(map(math.isfinite, (measured, low, high, expected, tolerance))) or tolerance < 0:
        raise ValueError(
            f"claim {id}: numbers must be finite and the tolerance at least 0; got measured {measured}, interval "
            f"[{low}, {high}], expected {expected}, tolerance {tolerance}."
        )
    if not low <= measured <= high:
        raise ValueError(f"claim {id}: the interval [{low}, {high}] does not hold the measured value {measured}.")
    stand_in = bool(data and data["stand_in"])
    verdict = judge((low, high), expected, relation, tolerance)
    reason = "the interval straddles the bound: more repetitions are needed" if verdict == "undecided" else ""
    if needs_budget and (stand_in or profile == "smoke"):
        undecidable = "stand-in data" if stand_in else "the smoke profile trains too little"
    if undecidable:
        verdict, reason = "undecided", undecidable
    claim = Claim(
        id, sentence, source, origin, quantity, float(measured), [low, high], float(expected), relation,
        float(tolerance), tolerance_reason, verdict, reason, standing, profile, int(seeds),
        data["title"] if data else "none: random networks and inputs", stand_in, chapter, figure,
    )  # fmt: skip
    write_text(Path(build) / "claims" / f"{id}.json", json.dumps(asdict(claim), indent=1, ensure_ascii=False) + "\n")
    return claim


def read(path: Path) -> Claim:
    """Reads one claim, as ``record`` wrote it."""
    mend = "Delete it and run its chapter again."
    found = read_json(path, "claim", mend, fields=[f.name for f in fields(Claim)])
    claim = Claim(**found)
    if claim.verdict not in VERDICTS or claim.standing not in VERDICTS:
        raise ValueError(
            f"{path} is not a readable claim: its verdict {claim.verdict!r} and standing {claim.standing!r} must be "
            f"among {', '.join(VERDICTS)}. {mend}"
        )
    return claim


def collect(build: Path) -> list[Claim]:
    """Collects the claims of a build into ``<build>/claims.json`` (a list of objects) and returns them by id."""
    found = sorted((read(p) for p in (Path(build) / "claims").glob("*.json")), key=lambda claim: claim.id)
    text = json.dumps([asdict(claim) for claim in found], indent=1, ensure_ascii=False)
    write_text(Path(build) / "claims.json", text + "\n")
    return found


def collected(build: Path) -> list[Claim]:
    """The claims that ``collect`` put into a build's ledger; none if it has not been called."""
    path, names = Path(build) / "claims.json", [f.name for f in fields(Claim)]
    if not path.exists():
        return []
    entries = read_json(path, "ledger", "Make it again: npf ledger.", kind=list, fields=names)
    return [Claim(**entry) for entry in entries]


def contradictions(claims: Iterable[Claim]) -> list[Claim]:
    """The claims whose verdict is decided, and not the one they stand at."""
    return [c for c in claims if c.verdict != "undecided" and c.verdict != c.standing]
