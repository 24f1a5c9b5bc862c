"""What the paper says of its regimes, as contrasts between two of them, judged on its own table and on our records.

A contrast compares the accuracy of one regime with the best of one or more others, in points. It holds, or is
refuted, by the rule of ``ledger`` on a 90 % interval of the difference, so that each end is a one-sided test at 5 %:

* on the paper's table by Welch's interval, from mean ± std of 5 runs a cell, taken as independent between cells;
* on records by the paired t interval over the seeds that the regimes share.

Being above several regimes is being above the best of them, so the smallest lead is the one judged. The best is taken
by the means of the same runs, which makes the lead on average a little too small, never too large.

Source: Lakshminarayanan & Singh (2020), experiments and the results table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from companion import ledger, statistics
from companion.statistics import Estimate
from npflib import experiments
from npflib.records.run_records import Record

LEVEL = 0.90
RANDOM = ("FRNPF-DI", "FRNPF-II")


@dataclass(frozen=True)
class Contrast:
    """One statement of the paper: the accuracy of the regime ``first`` compared with that of one or more others."""

    label: str  # part of a claim's id
    sentence: str  # to follow the experiment's title
    first: str
    others: tuple[str, ...]  # the best of them counts
    relation: str  # "at least", "at most" or "equal", of first - others to 0 points
    tolerance: float  # how far from 0 still counts
    tolerance_reason: str

    @property
    def regimes(self) -> tuple[str, ...]:
        """All regimes that it speaks of."""
        return self.first, *self.others


@dataclass(frozen=True)
class Difference:
    """A contrast's difference as found: against which regime, the estimate in points, and the verdict on it."""

    against: str
    estimate: Estimate
    verdict: str


def stated(margin: float, near: float | None = None, near_reason: str = "") -> tuple[Contrast, ...]:
    """The paper's four statements, as contrasts; accuracies within ``margin`` points count as the same.

    FLNPF "nearly recovers" ReLU within ``near`` points for ``near_reason``, or the same margin if None. Neither may be
    zero or negative (ValueError).
    """
    same = "the margin of equivalence of this data set"
    near, near_reason = (margin, same) if near is None else (near, near_reason)
    for given in (margin, near):
        if not given > 0:
            raise ValueError(f"the margin must be a positive number of points; got {given!r}.")
    lead = "a lead is a lead: the whole interval must lie above 0"
    close = f"values behind learnt frozen gates (FLNPF) come within {near:g} point{'' if near == 1 else 's'} of ReLU."
    return (
        Contrast("flnpf-near-relu", close, "ReLU", ("FLNPF",), "at most", near, near_reason),
        Contrast(
            "flnpf-above-frnpf", "learnt frozen gates (FLNPF) beat random frozen gates (both FRNPF).",
            "FLNPF", RANDOM, "at least", 0.0, lead,
        ),
        Contrast(
            "dlnpf-above-frnpf", "gates learnt beside the values (DLNPF) beat random frozen gates (both FRNPF).",
            "DLNPF", RANDOM, "at least", 0.0, lead,
        ),
        Contrast(
            "di-equals-ii", "FRNPF is the same whether values start from the gates' weights (DI) or not (II).",
            "FRNPF-DI", ("FRNPF-II",), "equal", margin, same,
        ),
    )  # fmt: skip


def rises(experiment: str) -> Contrast:
    """Gates are learnt continuously: those of the last stage beat the random ones of stage 0."""
    row = experiments.find(experiment)
    if not (last := len(row.stages)):
        raise ValueError(f"{experiment} has no stages.")
    named = f"FLNPF-stage-{last}"
    first = named if named in row.regimes else "FLNPF"
    sentence = f"values behind the gates of stage {last} beat values behind random gates (stage 0)."
    reason = "a rise is a rise: the whole interval must lie above 0"
    return Contrast("rises", sentence, first, ("FRNPF-II",), "at least", 0.0, reason)


def by_paper(contrast: Contrast, experiment: str) -> Difference:
    """The contrast on the reported means and standard deviations of one row of the table; ValueError without these."""
    reported = experiments.find(experiment).reported
    lacking = [r for r in contrast.regimes if r not in reported or reported[r].std is None]
    if lacking:
        raise ValueError(f"{experiment} has no reported mean ± std for {', '.join(lacking)}.")
    ours = statistics.sample(reported[contrast.first])
    against = max(contrast.others, key=lambda regime: reported[regime].mean)
    return _judged(contrast, against, statistics.welch(ours, reported[against], LEVEL))


def by_records(contrast: Contrast, found: Mapping[str, Sequence[Record]], measure: str = "peak") -> Difference:
    """The contrast on records of one experiment and one budget, by the seeds, two or more, that its regimes share."""
    lacking = [regime for regime in contrast.regimes if not found.get(regime)]
    if lacking:
        raise ValueError(f"there are no records of {', '.join(lacking)}.")
    ours = found[contrast.first]
    leads = {regime: statistics.between(ours, found[regime], LEVEL, measure) for regime in contrast.others}
    against = min(leads, key=lambda regime: leads[regime].value)
    return _judged(contrast, against, leads[against])


def recovered_by_paper(experiment: str) -> Estimate:
    """The recovered fraction (``statistics.recovered``) by a row of the paper's table, over the better FRNPF."""
    cells = {regime: statistics.sample(cell) for regime, cell in experiments.find(experiment).reported.items()}
    random = max((cells[regime] for regime in RANDOM), key=lambda cell: cell.mean)
    return statistics.recovered(cells["FLNPF"], random, cells["ReLU"], LEVEL)


def recovered_by_records(found: Mapping[str, Sequence[Record]], measure: str = "peak") -> Estimate | float:
    """The same by records of the same seeds; of one seed, the fraction alone."""
    values = {regime: statistics.accuracies(found[regime], measure) for regime in ("FLNPF", *RANDOM, "ReLU")}
    random = max((values[regime] for regime in RANDOM), key=sum)
    if len(random) == 1:
        return (values["FLNPF"][0] - random[0]) / (values["ReLU"][0] - random[0])
    return statistics.recovered(values["FLNPF"], random, values["ReLU"], LEVEL)


def _judged(contrast: Contrast, against: str, estimate: Estimate) -> Difference:
    return Difference(against, estimate, ledger.judge(estimate.interval, 0.0, contrast.relation, contrast.tolerance))
