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
    """One line of the ledger.

    Attributes:
        id: short name, e.g. "claim-1-identity".
        sentence: the claim in words.
        source: where in the paper, or which reference.
        origin: "paper" or "companion" (a finding of our own).
        quantity: what was measured, in words, with its unit.
        measured: the measured value.
        interval: [low, high]: its confidence interval, or the value twice where the measurement has no spread.
        expected: the expected value or bound.
        relation: "equal", "at most" or "at least".
        tolerance: how far from ``expected`` still counts.
        tolerance_reason: why that far.
        verdict: "holds", "refuted" or "undecided".
        reason: why a verdict is undecided; "" otherwise.
        standing: the verdict that our best evidence supports.
        profile: scale of the evidence.
        seeds: independent repetitions behind the interval (seeds, draws, networks).
        data: title of the data used.
        stand_in: whether the data are a stand-in for the paper's.
        chapter: name of the notebook that measured it.
        figure: label or caption of the figure that shows it; "" if none.

    Example:
        >>> from companion.ledger import Claim
        >>> list(Claim.__dataclass_fields__)[:5]
        ['id', 'sentence', 'source', 'origin', 'quantity']
    """

    id: str
    sentence: str
    source: str
    origin: str
    quantity: str
    measured: float
    interval: list[float]
    expected: float
    relation: str
    tolerance: float
    tolerance_reason: str
    verdict: str
    reason: str
    standing: str
    profile: str
    seeds: int
    data: str
    stand_in: bool
    chapter: str
    figure: str


def judge(interval: Sequence[float], expected: float, relation: str = "equal", tolerance: float = 0.0) -> str:
    """The verdict on an interval [low, high] (see the module's rule).

    Raises:
        ValueError: unknown relation, or an interval that is not two numbers low ≤ high.

    Example:
        >>> from companion.ledger import judge
        >>> [judge(interval, expected=1.0, tolerance=0.5) for interval in ([0.9, 1.2], [1.2, 1.7], [1.6, 1.7])]
        ['holds', 'undecided', 'refuted']
    """
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

    Args:
        id: letters, digits and hyphens; unique in the book.
        sentence, source, quantity, chapter, figure, origin: see ``Claim``.
        measured: the measured value; expected, relation, tolerance, tolerance_reason: what it is judged by.
        interval: confidence interval of the measurement; None where it has no spread.
        profile: scale of the evidence (of the records judged, which may be published full-budget ones); "full" is all
            that a study of the companion asks for, which may be less than the paper's budget.
        seeds: independent repetitions behind the interval.
        data: ``Source.as_dict()`` of the data used, or None where no data set enters.
        build: the build folder.
        standing: the verdict that our best evidence supports: "holds" or "refuted"; "undecided" where it is open.
        needs_budget: whether the claim is about trained accuracy, so that stand-in data or the smoke profile cannot
            decide it: its verdict is then "undecided", with the reason.
        undecidable: any other reason why this evidence cannot decide the claim, e.g. a reduced budget; "" if it can.

    Returns:
        The claim.

    Raises:
        ValueError: a word that is not allowed, numbers that are not finite, or an interval without the value.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from companion.ledger import record
        >>> with TemporaryDirectory() as build:
        ...     claim = record(
        ...         "companion-mean", "The mean of 1 and 3 is 2.", "arithmetic", origin="companion", quantity="mean",
        ...         measured=2.0, expected=2.0, tolerance=0.0, tolerance_reason="exact", chapter="example.ipynb",
        ...         profile="smoke", seeds=1, data=None, build=Path(build),
        ...     )
        >>> claim.verdict
        'holds'
    """
    if not re.fullmatch(r"[A-Za-z0-9-]+", id):
        raise ValueError(f"a claim's id is made of letters, digits and hyphens; got {id!r}.")
    for name, value, allowed in (
        ("relation", relation, RELATIONS),
        ("standing", standing, VERDICTS),
        ("origin", origin, ORIGINS),
        ("profile", profile, (*profiles.PROFILES, "full")),
    ):
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
    """Reads one claim, as ``record`` wrote it.

    Raises:
        ValueError: the file is not a claim; the message names it and the mend.

    Example:
        >>> from pathlib import Path
        >>> from companion.ledger import read
        >>> read(Path("no-build/claims/none.json"))
        Traceback (most recent call last):
            ...
        ValueError: there is no claim no-build/claims/none.json.
    """
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
    """Collects the claims of a build into ``<build>/claims.json`` (a list of objects) and returns them by id.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from companion.ledger import collect
        >>> with TemporaryDirectory() as build:
        ...     collect(Path(build))  # no chapter has run in this build
        []
    """
    found = sorted((read(p) for p in (Path(build) / "claims").glob("*.json")), key=lambda claim: claim.id)
    text = json.dumps([asdict(claim) for claim in found], indent=1, ensure_ascii=False)
    write_text(Path(build) / "claims.json", text + "\n")
    return found


def collected(build: Path) -> list[Claim]:
    """The claims that ``collect`` put into a build's ledger; none if it has not been called.

    Example:
        >>> from pathlib import Path
        >>> from companion.ledger import collected
        >>> collected(Path("no-build"))
        []
    """
    path, names = Path(build) / "claims.json", [f.name for f in fields(Claim)]
    if not path.exists():
        return []
    entries = read_json(path, "ledger", "Make it again: npf ledger.", kind=list, fields=names)
    return [Claim(**entry) for entry in entries]


def contradictions(claims: Iterable[Claim]) -> list[Claim]:
    """The claims whose verdict is decided, and not the one they stand at.

    Example:
        >>> from types import SimpleNamespace as Judged
        >>> from companion.ledger import contradictions
        >>> ledger = [Judged(verdict=verdict, standing="holds") for verdict in ("holds", "undecided", "refuted")]
        >>> [claim.verdict for claim in contradictions(ledger)]
        ['refuted']
    """
    return [c for c in claims if c.verdict != "undecided" and c.verdict != c.standing]
