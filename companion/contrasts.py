"""What the paper says of its regimes, as differences between two of them, judged on its own table and on our records.

A statement compares the accuracy of one regime with the best of one or more others, in points. It holds, or is
refuted, by the rule of ``claims`` on a 90 % interval of the difference, so that each end is a one-sided test at 5 %:

* on the paper's table by Welch's interval, from mean ± std of 5 runs a cell, taken as independent between cells;
* on records by the paired t interval over the seeds that the regimes share.

Being above several regimes is being above the best of them, so the smallest lead is the one judged. The best is taken
by the means of the same runs, which makes the lead on average a little too small, never too large.

Source: Lakshminarayanan & Singh (2020), experiments and the results table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from companion import ledger, statistics
from companion.ledger import Claim
from companion.statistics import Estimate, Summary
from npflib import experiments
from npflib.records.run_records import Record

LEVEL = 0.90
RANDOM = ("FRNPF-DI", "FRNPF-II")


@dataclass(frozen=True)
class Statement:
    """One statement on two regimes or more.

    Attributes:
        label: short name, part of a claim's id.
        sentence: the statement in words, to follow the experiment's title.
        first: the regime whose accuracy is compared.
        others: the regimes that it is compared with; the best of them counts.
        relation: "at least", "at most" or "equal", of first - other to 0 points.
        tolerance: how far from 0 still counts, in points.
        tolerance_reason: why that far.

    Example:
        >>> from companion.contrasts import statements
        >>> statements(margin=0.5)[1].regimes
        ('FLNPF', 'FRNPF-DI', 'FRNPF-II')
    """

    label: str
    sentence: str
    first: str
    others: tuple[str, ...]
    relation: str
    tolerance: float
    tolerance_reason: str

    @property
    def regimes(self) -> tuple[str, ...]:
        """All regimes that it speaks of."""
        return self.first, *self.others


@dataclass(frozen=True)
class Lead:
    """A statement's difference as found: against which regime, the estimate in points, and the verdict on it.

    Example:
        >>> from companion.contrasts import by_paper, statements
        >>> lead = by_paper(statements(margin=0.5)[1], "cifar10-gconv-adam")
        >>> lead.against, lead.verdict
        ('FRNPF-II', 'holds')
    """

    against: str
    estimate: Estimate
    verdict: str


def statements(margin: float, near: float | None = None, near_reason: str = "") -> tuple[Statement, ...]:
    """The paper's four statements.

    Args:
        margin: points within which two accuracies count as the same.
        near: points within which FLNPF "nearly recovers" ReLU; None is the same margin.
        near_reason: why that many, where ``near`` is given.

    Raises:
        ValueError: a margin that is not positive.

    Example:
        >>> from companion.contrasts import statements
        >>> [statement.label for statement in statements(margin=0.5)]
        ['flnpf-near-relu', 'flnpf-above-frnpf', 'dlnpf-above-frnpf', 'di-equals-ii']
    """
    same = "the margin of equivalence of this data set"
    near, near_reason = (margin, same) if near is None else (near, near_reason)
    for given in (margin, near):
        if not given > 0:
            raise ValueError(f"the margin must be a positive number of points; got {given!r}.")
    lead = "a lead is a lead: the whole interval must lie above 0"
    close = f"values behind learnt frozen gates (FLNPF) come within {near:g} point{'' if near == 1 else 's'} of ReLU."
    return (
        Statement("flnpf-near-relu", close, "ReLU", ("FLNPF",), "at most", near, near_reason),
        Statement(
            "flnpf-above-frnpf", "learnt frozen gates (FLNPF) beat random frozen gates (both FRNPF).",
            "FLNPF", RANDOM, "at least", 0.0, lead,
        ),
        Statement(
            "dlnpf-above-frnpf", "gates learnt beside the values (DLNPF) beat random frozen gates (both FRNPF).",
            "DLNPF", RANDOM, "at least", 0.0, lead,
        ),
        Statement(
            "di-equals-ii", "FRNPF is the same whether values start from the gates' weights (DI) or not (II).",
            "FRNPF-DI", ("FRNPF-II",), "equal", margin, same,
        ),
    )  # fmt: skip


def rises(experiment: str) -> Statement:
    """Gates are learnt continuously: those of the last stage beat the random ones of stage 0.

    Raises:
        ValueError: an experiment without stages.

    Example:
        >>> from companion.contrasts import rises
        >>> rises("cifar10-continuous").regimes
        ('FLNPF-stage-6', 'FRNPF-II')
    """
    last = len(experiments.find(experiment).stages)
    if not last:
        raise ValueError(f"{experiment} has no stages.")
    sentence = f"values behind the gates of stage {last} beat values behind random gates (stage 0)."
    reason = "a rise is a rise: the whole interval must lie above 0"
    return Statement("rises", sentence, f"FLNPF-stage-{last}", ("FRNPF-II",), "at least", 0.0, reason)


def by_paper(statement: Statement, experiment: str) -> Lead:
    """The statement on the published means and standard deviations of one row of the table.

    Raises:
        ValueError: an experiment without published mean ± std for all the statement's regimes.

    Example:
        >>> from companion.contrasts import by_paper, statements
        >>> near_relu = statements(margin=1.0)[0]
        >>> by_paper(near_relu, "cifar10-vconv-sgd").verdict  # 67.02 against 63.06
        'refuted'
    """
    published = experiments.find(experiment).published
    lacking = [r for r in statement.regimes if r not in published or published[r].std is None]
    if lacking:
        raise ValueError(f"{experiment} has no published mean ± std for {', '.join(lacking)}.")
    first = published[statement.first]
    ours = Summary(first.mean, first.std, first.runs)
    against = max(statement.others, key=lambda regime: published[regime].mean)
    return _judged(statement, against, statistics.welch(ours, published[against], LEVEL))


def by_records(statement: Statement, found: Mapping[str, Sequence[Record]], measure: str = "peak") -> Lead:
    """The statement on records of one experiment and one budget, by the seeds that its regimes share.

    Raises:
        ValueError: a regime without records, or fewer than two seeds in common.

    Example:
        >>> from types import SimpleNamespace as Run
        >>> from companion.contrasts import by_records, statements
        >>> runs = [Run(experiment="one", seed=seed, peak=0.98) for seed in (0, 1)]
        >>> by_records(statements(margin=0.5)[0], {"ReLU": runs, "FLNPF": runs}).verdict  # no difference at all
        'holds'
    """
    lacking = [regime for regime in statement.regimes if not found.get(regime)]
    if lacking:
        raise ValueError(f"there are no records of {', '.join(lacking)}.")
    leads = {
        regime: statistics.between(found[statement.first], found[regime], LEVEL, measure) for regime in statement.others
    }
    against = min(leads, key=lambda regime: leads[regime].value)
    return _judged(statement, against, leads[against])


def evidence(statement: Statement, experiment: str, build: Path, published: Path | None = None) -> dict:
    """The best records of two seeds or more for the statement's regimes; empty where there are none.

    Example:
        >>> from pathlib import Path
        >>> from companion.contrasts import evidence, statements
        >>> evidence(statements(margin=0.5)[0], "mnist-fc-adam", build=Path("no-build"), published=Path("no-records"))
        {}
    """
    return statistics.evidence(experiment, statement.regimes, build, published, least=2)


def record(
    statement: Statement,
    experiment: str,
    found: Mapping[str, Sequence[Record]],
    build: Path,
    *,
    id: str,
    chapter: str,
    measure: str = "peak",
    source: str = "Lakshminarayanan & Singh (2020), results table; claim 6",
    figure: str = "",
    standing: str | None = None,
) -> tuple[Claim, Lead]:
    """Judges a statement on records and writes it into the ledger.

    On a network of the paper's it is the paper's claim. It is then recorded from full-budget records alone, since
    nothing less tests the paper; and it stands at the verdict that the paper's own table supports, or at "holds", as
    the paper says, where the table leaves it undecided. On a network of the companion's it is a finding of ours, left
    undecided where the budget is reduced: after a few epochs regimes differ in how fast they learn.

    Args:
        statement, experiment: what is judged, and on which network.
        found: regime → records, of one budget.
        build, id, chapter, source, figure: see ``ledger.record``.
        measure: "peak" or "final".
        standing: the verdict that our best evidence supports, where it is not the one above.

    Raises:
        ValueError: records that lack a regime, or reduced ones for a network of the paper's.

    Example:
        >>> from pathlib import Path
        >>> from companion.contrasts import record, statements
        >>> record(statements(margin=0.5)[0], "mnist-fc-adam", {}, Path("no-build"), id="one", chapter="example.ipynb")
        Traceback (most recent call last):
            ...
        ValueError: there are no records of ReLU, FLNPF.
    """
    lead = by_records(statement, found, measure)
    _check_budget(experiment, [record for regime in statement.regimes for record in found[regime]])
    published = experiments.find(experiment).published
    in_table = all(regime in published and published[regime].std is not None for regime in statement.regimes)
    own = by_paper(statement, experiment).verdict if in_table else "undecided"
    claim = _record(
        id, experiment, statement.sentence, source, found[statement.first], lead.estimate, build, chapter, figure,
        quantity=f"{statement.first} − {lead.against}, {measure} test accuracy in points, 90 % interval by seed pairs",
        expected=0.0, relation=statement.relation, tolerance=statement.tolerance,
        tolerance_reason=statement.tolerance_reason,
        standing=standing or ("holds" if own == "undecided" else own),
    )  # fmt: skip
    return claim, lead


def record_above_line(
    experiment: str,
    regime: str,
    line: str,
    records: Sequence[Record],
    build: Path,
    *,
    id: str,
    chapter: str,
    measure: str = "peak",
    source: str = "Lakshminarayanan & Singh (2020), figure on continuous learning; claim 6",
    figure: str = "",
) -> tuple[Claim, Lead]:
    """Judges whether a regime's mean accuracy lies above another method's published one, and writes it down.

    The interval is the 90 % t interval of the mean over seeds; the other method's number counts as exact.

    Raises:
        ValueError: an experiment without that line, fewer than two records, or reduced ones of a network of the
            paper's.

    Example:
        >>> from pathlib import Path
        >>> from companion.contrasts import record_above_line
        >>> record_above_line("mnist-fc-adam", "ReLU", "CNTK", [], Path("no-build"), id="one", chapter="example.ipynb")
        Traceback (most recent call last):
            ...
        ValueError: mnist-fc-adam has no line 'CNTK'; it has: none.
    """
    lines = experiments.find(experiment).lines
    if line not in lines:
        raise ValueError(f"{experiment} has no line {line!r}; it has: {', '.join(lines) or 'none'}.")
    _check_budget(experiment, records)
    values = statistics.accuracies(records, measure)
    estimate = statistics.paired(values, [lines[line]] * len(values), LEVEL)
    claim = _record(
        id, experiment, f"{regime} passes the {line}'s {lines[line]:g} %.", source, records, estimate, build, chapter,
        figure, quantity=f"{regime} − {line}, {measure} test accuracy in points, 90 % interval over seeds",
        expected=0.0, relation="at least", tolerance=0.0, tolerance_reason="the whole interval must lie above the line",
        standing="holds",
    )  # fmt: skip
    return claim, Lead(line, estimate, ledger.judge(estimate.interval, 0.0, "at least"))


def _record(
    id: str,
    experiment: str,
    sentence: str,
    source: str,
    records: Sequence[Record],
    estimate: Estimate,
    build: Path,
    chapter: str,
    figure: str,
    **judged: Any,
) -> Claim:
    full = all(record.is_full for record in records)
    return ledger.record(
        id,
        f"{experiments.find(experiment).title}: {sentence}",
        source,
        measured=estimate.value,
        interval=estimate.interval,
        chapter=chapter,
        profile=records[0].profile,
        seeds=estimate.runs,
        data=records[0].data,
        build=build,
        origin="paper" if experiment in experiments.PAPER else "companion",
        needs_budget=True,
        undecidable="" if full else f"reduced budget: {statistics.budget_text(records)}",
        figure=figure,
        **judged,
    )


def _check_budget(experiment: str, records: Sequence[Record]) -> None:
    if experiment in experiments.PAPER and not all(record.is_full for record in records):
        raise ValueError(
            f"{experiments.find(experiment).title}: a claim of the paper needs full-budget records on the real data; "
            f"these are {statistics.budget_text(records)}, {records[0].data['title']}."
        )


def _judged(statement: Statement, against: str, estimate: Estimate) -> Lead:
    return Lead(against, estimate, ledger.judge(estimate.interval, 0.0, statement.relation, statement.tolerance))
