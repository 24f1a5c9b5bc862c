"""Our accuracies against the paper's, and regime against regime: differences, intervals and verdicts.

All accuracies are test accuracies in per cent, so every difference is in points. The paper gives mean ± std of 5 runs
and no run of its own, so ours is compared by Welch's interval, which needs no more and assumes no equal variances:

    (ȳ - m) ± t_{(1+level)/2, f} · s,   s² = s_y²/n_y + s_m²/n_m,   f = s⁴ / (s_y⁴/(n_y²(n_y-1)) + s_m⁴/(n_m²(n_m-1))).

The verdict on a cell of the table is an equivalence test, two one-sided tests at 5 %, with a margin δ:

* ``equivalent``: the 90 % interval lies inside [-δ, δ];
* ``different``: the 90 % interval lies outside it, so the difference exceeds the margin, not merely zero;
* ``undecided``: it contains an end, or the records cannot decide (stand-in data, reduced budget, one seed).

A difference that is statistically clear and yet within the margin is ``equivalent``: the 95 % interval printed beside
the verdict shows it. The paper prints numpy's standard deviation of its runs, which divides by n; intervals take the
sample's, √(n/(n - 1)) times as large.

Regimes of one seed share their value network's start and their order of examples, so two regimes' runs are compared
by seed: the t interval of the mean of the paired differences, which holds whatever the correlation of a pair.

What the paper says of its regimes are *contrasts*: the accuracy of one minus the best of one or more others, in points,
judged by the rule of ``ledger`` on a 90 % interval, so that each end is a one-sided test at 5 %: on the paper's table
Welch's, cells taken as independent; on records the paired one. Being above several regimes is being above the best of
them, so the smallest lead is the one judged. The best is taken by the means of the same runs, which makes the lead on
average a little too small, never too large.

Source: Lakshminarayanan & Singh (2020), experiments and Table 2. Needs scipy (the ``book`` extra).
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from math import exp, inf, sqrt
from pathlib import Path

import numpy as np
from scipy import optimize, stats

from companion import ledger
from npflib import checks, experiments
from npflib.experiments import Reported
from npflib.records import locations, run_records
from npflib.records.run_records import Record
from npflib.regimes import find as find_regime

MARGINS = {"mnist": 0.5, "cifar10": 1.0}  # points within which a cell counts as the paper's
MEASURES = ("peak", "final")
VERDICTS = ("equivalent", "different", "undecided", "not run")
LEVEL = 0.90  # of a contrast's interval
RANDOM = ("FRNPF-DI", "FRNPF-II")


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (None for a single run) of ``runs`` accuracies, in per cent."""

    mean: float
    std: float | None
    runs: int

    def __format__(self, form: str = "") -> str:
        parts = (self.mean,) if self.std is None else (self.mean, self.std)
        return " ± ".join(format(part, form or ".2f") for part in parts).replace("-", "−")

    __str__ = __format__


@dataclass(frozen=True)
class Estimate:
    """A difference in points with its confidence interval [low, high] at ``level``, from ``runs`` runs of ours."""

    value: float
    low: float
    high: float
    level: float
    runs: int

    @property
    def interval(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high

    def exp(self) -> "Estimate":
        """Of a difference of logarithms: the same as a factor."""
        return replace(self, value=exp(self.value), low=exp(self.low), high=exp(self.high))

    def __format__(self, form: str = "") -> str:
        value, low, high = (format(v, form or "+.2f").replace("-", "−") for v in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"

    __str__ = __format__


@dataclass(frozen=True)
class Cell:
    """One cell of the paper's table beside ours; where its verdict is "undecided", the reason says why."""

    experiment: str  # the row
    regime: str  # the column
    paper: Reported
    records: tuple[Record, ...]  # our runs, all of one budget
    ours: Summary | None  # of their peaks, the paper's figure; None without records
    difference: Estimate | None  # ours - paper's, 95 %; None with fewer than two runs
    verdict: str  # one of VERDICTS
    reason: str


def accuracies(records: Iterable[Record], measure: str = "peak") -> list[float]:
    """Test accuracies in per cent: the best epoch's ("peak") or the last's ("final"); a ValueError for another."""
    checks.one_of(measure, "measure", MEASURES)
    return [100 * getattr(record, measure) for record in records]


def weighed(known: Mapping[Hashable, Mapping[int, float]], weights: Mapping[Hashable, float]) -> dict[int, float]:
    """Seed → the weighted sum of the numbers known of it, for the seeds that all its terms share."""
    shared = set.intersection(*(set(known.get(term, ())) for term in weights))
    return {seed: sum(weight * known[term][seed] for term, weight in weights.items()) for seed in sorted(shared)}


def summarise(values: Sequence[float] | np.ndarray) -> Summary:
    """Mean and sample standard deviation (divisor n - 1); ValueError without numbers or where one is not finite."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"one or more finite numbers are needed; got {values!r}.")
    return Summary(float(array.mean()), float(array.std(ddof=1)) if array.size > 1 else None, array.size)


def sample(reported: Reported) -> Summary:
    """A reported mean with the sample's standard deviation: that printed divides by n (the released code's np.std)."""
    n, std = reported.runs, reported.std
    return Summary(reported.mean, std if std is None or n < 2 else std * sqrt(n / (n - 1)), n)


def _interval(value: float, error: float, freedom: float, level: float, runs: int) -> Estimate:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, e.g. 0.95; got {level!r}.")
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    return Estimate(value, value - half, value + half, level, runs)


def _combined(weights: Sequence[float], parts: Sequence[Summary], level: float) -> Estimate:
    """Welch's interval for Σ w_i m_i of independent samples: the module's formula, each s_i times its weight."""
    variances = list[float]()
    for weight, one in zip(weights, parts, strict=True):
        if one.runs < 2 or one.std is None or not one.std >= 0:
            raise ValueError(f"Welch's interval needs two or more runs and their std, at least 0; got {one!r}.")
        variances.append((weight * one.std) ** 2 / one.runs)
    # Shares of the variance, so that tiny variances do not underflow when squared.
    shares = [variance / (sum(variances) or 1.0) for variance in variances]
    inverse = sum(share**2 / (one.runs - 1) for share, one in zip(shares, parts, strict=True))
    value = sum(weight * one.mean for weight, one in zip(weights, parts, strict=True))
    return _interval(value, sqrt(sum(variances)), 1 / inverse if inverse else 1.0, level, parts[0].runs)


def welch(ours: Summary, theirs: Summary | Reported, level: float = 0.95) -> Estimate:
    """Welch's interval (see the module's formula) for ours - theirs, from means, standard deviations and runs; a
    ValueError where either has fewer than two runs or no std, or the level is not between 0 and 1."""
    return _combined((1, -1), (ours, sample(theirs) if isinstance(theirs, Reported) else theirs), level)


def paired(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray, level: float = 0.95) -> Estimate:
    """The t interval for the mean of first - second, numbers in pairs: d̄ ± t_{(1+level)/2, n-1} · s_d / √n; a
    ValueError for fewer than two pairs, unequal numbers, or a level not between 0 and 1."""
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"two or more pairs are needed; got {len(first)} and {len(second)} numbers.")
    found = summarise(np.subtract(first, second))
    assert found.std is not None  # of two numbers or more
    return _interval(found.mean, found.std / sqrt(found.runs), found.runs - 1, level, found.runs)


def mean(values: Sequence[float] | np.ndarray, level: float = 0.90) -> Estimate:
    """The t interval for the mean of two or more numbers, one a run."""
    return paired(values, np.zeros(len(values)), level)


def minus(found: Mapping[str, np.ndarray], pair: str, level: float = 0.90) -> Estimate | None:
    """The ``mean`` of "one − other", numbers found under these names run by run; None where one is missing."""
    one, other = pair.split(" − ")
    return mean(found[one] - found[other], level) if {one, other} <= found.keys() else None


def normal(centre: float, error: float, runs: int = 0, level: float = 0.90) -> Estimate:
    """A value with its normal interval, from its standard error."""
    return _interval(float(centre), float(error), inf, level, runs)


def sampling(accuracy: float, images: int) -> float:
    """By how many points another test set would move an accuracy in per cent: half the binomial's normal interval."""
    return normal(0.0, sqrt(accuracy * (100 - accuracy) / images), level=0.95).high


def in_words(values: Sequence[float] | np.ndarray, form: str = ".2f") -> str:
    """A mean and, in brackets, the range from least to greatest where there is one, e.g. "2.00 (1.00 to 3.00)"."""
    found = np.asarray(values, dtype=float)
    centre, low, high = (format(value, form) for value in (found.mean(), found.min(), found.max()))
    return f"{centre} ({low} to {high})" if low != high else centre


def between(first: Sequence[Record], second: Sequence[Record], level: float = 0.95, measure: str = "peak") -> Estimate:
    """Accuracy of one regime minus another's, by the seeds that both have; a ValueError for fewer than two seeds in
    common, a seed twice, or records of several experiments."""
    both = [dict(zip((r.seed for r in of), accuracies(of, measure), strict=True)) for of in (first, second)]
    if [len(of) for of in both] != [len(first), len(second)]:
        raise ValueError("a seed occurs twice among the records of one regime; keep one record a seed.")
    if len({record.experiment for record in (*first, *second)}) > 1:
        raise ValueError("the records belong to different experiments and cannot be paired by seed.")
    leads = weighed(dict(enumerate(both)), {0: 1, 1: -1})
    if len(leads) < 2:
        raise ValueError(f"two or more seeds in common are needed; there are {[*leads]}. Train the same seeds of both.")
    return mean([*leads.values()], level)


Sample = Summary | Sequence[float] | np.ndarray  # one regime's accuracies: summarised, or run by run


def recovered(learnt: Sample, random: Sample, relu: Sample, level: float = 0.90) -> Estimate:
    """The recovered fraction ρ = (learnt - random) / (relu - random) of the gap between random gates and ReLU.

    Its interval holds every ρ at which a t test does not refuse learnt - (1 - ρ) random - ρ relu = 0 (Fieller's
    interval): of numbers run by run, the paired test by seed; of summaries, taken as independent, Welch's. It has an
    end on either side only where the interval of the gap itself leaves out 0; else that end is infinite.

    Raises ValueError where the three are not of one kind or length, have fewer than two runs, or leave no gap.
    """
    given = learnt, random, relu
    summaries = [one for one in given if isinstance(one, Summary)]
    pairs = np.array([np.asarray(one, dtype=float) for one in given if not isinstance(one, Summary)])
    if len(summaries) not in (0, 3) or pairs.ndim != (1 if summaries else 2):
        raise ValueError("the three must be summaries, or numbers run by run of the same seeds.")

    def combined(*weights: float) -> Estimate:
        return _combined(weights, summaries, level) if summaries else mean(weights @ pairs, level)

    if not (gap := combined(0, -1, 1)).value:
        raise ValueError("random gates and ReLU are equally accurate: there is no gap to recover.")
    value = combined(1, -1, 0).value / gap.value

    def kept(rho: float) -> float:
        """Below zero where the test does not refuse ρ: where the interval of the combination holds 0."""
        found = combined(1, rho - 1, -rho)
        return found.low * found.high

    def end(sign: int) -> float:
        if kept(value) >= 0:  # runs without any spread
            return value
        step = 1e-3
        while kept(value + sign * step) <= 0:
            step *= 2
            if step > 1e6:
                return sign * inf
        return float(optimize.brentq(kept, value, value + sign * step, xtol=1e-9))

    return Estimate(value, end(-1), end(1), level, gap.runs)


def per_cent(found: Estimate) -> str:
    """A fraction in per cent, with its interval where there is one, e.g. "89 % [83, 95]"."""
    interval = f"[{100 * found.low:.0f}, {100 * found.high:.0f}]" if found.runs > 1 else "(one seed)"
    return f"{100 * found.value:.0f} % {interval}".replace("-", "−")


def optimism(records: Sequence[Record]) -> Estimate:
    """Peak minus final accuracy: what choosing the epoch on the test set adds, in points.

    It is never negative, and neither is the interval: the part of the t interval below 0 is left out, which no true
    value lies in, so that the level stays.
    """
    found = paired(accuracies(records, "peak"), accuracies(records, "final"))
    return replace(found, low=max(0.0, found.low))


def equivalence(ours: Summary, paper: Summary | Reported, margin: float) -> str:
    """Two one-sided tests at 5 %: "equivalent", "different" or "undecided" (see the module's rule); a ValueError for
    fewer than two runs on either side, or a margin that is not positive."""
    verdict = ledger.judge(
        welch(ours, paper, 0.90).interval, 0.0, "equal", checks.number(margin, "the margin in points")
    )
    return {"holds": "equivalent", "refuted": "different", "undecided": "undecided"}[verdict]


def table_cell(experiment: str, regime: str, records: Sequence[Record]) -> Cell:
    """One cell of the paper's table: ours (the peak) against the reported number; ValueError where they do not fit."""
    row = experiments.find(experiment)
    if regime not in row.reported:
        known = ", ".join(row.reported) or "none"
        raise ValueError(f"{experiment} has no reported number for {regime!r}; regimes with one: {known}.")
    paper, records = row.reported[regime], tuple(records)
    if {(r.experiment, r.regime) for r in records} - {(experiment, regime)}:
        raise ValueError(f"the records are not all of {experiment}, {regime}.")
    if len({_budget(r) for r in records}) > 1:
        raise ValueError(f"the records of {experiment}, {regime} have different budgets; use `best_records`.")
    if not records:
        return Cell(experiment, regime, paper, (), None, None, "not run", "")
    ours, reason = summarise(accuracies(records)), undecidable(records)
    difference = welch(ours, paper) if ours.runs > 1 and paper.std is not None else None
    verdict = "undecided" if reason else equivalence(ours, paper, MARGINS[row.dataset])
    if verdict == "undecided" and not reason:
        reason = "the interval contains an end of the margin: more seeds are needed"
    return Cell(experiment, regime, paper, records, ours, difference, verdict, reason)


def undecidable(records: Sequence[Record]) -> str:
    """Why records cannot be a test of the paper's number; "" if they can."""
    if any(record.data["stand_in"] for record in records):
        return "stand-in data"
    if not all(record.is_full for record in records):
        return "reduced budget"
    return "" if len(records) > 1 else "one seed has no spread"


def budget_text(records: Sequence[Record]) -> str:
    """The budget of records in words, e.g. "8 of 100 epochs, 60,000 images"."""
    spent, asked = sorted({record.epochs for record in records}), records[0].configuration
    epochs = f"{spent[0]}" if len(spent) == 1 else f"{spent[0]}–{spent[-1]}"
    return f"{epochs} of {asked['full_epochs']} epochs, {asked['train_examples']:,} images"


def evidence(experiment: str, regimes: Sequence[str], build: Path, least: int = 1) -> dict[str, list[Record]]:
    """The best records to compare some regimes by, regime → records by seed: one budget, and the same seeds for all.

    Candidates are the published records (``results/``) and the build's own, each split by budget, with ``least`` seeds
    or more in common. Preferred are, in this order: real data; the larger budget (images × epochs); more seeds; the
    build's own. So published full-budget records stand in until the reader's own are as complete. Empty if no candidate
    has every regime; ValueError for an unknown name, RecordError for a record that cannot be read or was not made with
    the experiment's settings of today.
    """
    experiments.find(experiment)
    if not regimes or isinstance(regimes, str):
        raise ValueError(f"regimes must be a sequence of one or more names; got {regimes!r}.")
    for regime in regimes:
        find_regime(regime)
    candidates = []
    folders = {True: Path(build) / "runs", False: locations.published()}
    for own, folder in folders.items():
        found = {regime: run_records.read_all(folder, experiment, regime) for regime in regimes}
        for record in chain.from_iterable(found.values()):
            _check_agreement(record, folder)
        for budget in set.intersection(*({_budget(r) for r in records} for records in found.values())):
            rows = {name: {r.seed: r for r in records if _budget(r) == budget} for name, records in found.items()}
            seeds = sorted(set.intersection(*map(set, rows.values())))
            if len(seeds) >= least:
                chosen = {name: [row[seed] for seed in seeds] for name, row in rows.items()}
                candidates.append(((budget, len(seeds), own), chosen))
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else {}


def best_records(experiment: str, regime: str, build: Path) -> list[Record]:
    """The best records of one cell (see ``evidence``); empty if it was not run."""
    return evidence(experiment, (regime,), build).get(regime, [])


def table(build: Path) -> list[Cell]:
    """Every cell of the paper's table, row by row in the table's order, from the best records there are."""
    cells = ((row.name, regime) for row in experiments.TABLE for regime in row.reported)
    return [table_cell(*cell, best_records(*cell, build)) for cell in cells]


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
        checks.number(given, "the margin in points")
    close = f"values behind learnt frozen gates (FLNPF) come within {near:g} point{'' if near == 1 else 's'} of ReLU."
    beside = "gates learnt beside the values (DLNPF) beat random frozen gates (both FRNPF)."
    return (
        Contrast("flnpf-near-relu", close, "ReLU", ("FLNPF",), "at most", near, near_reason),
        _above("flnpf-above-frnpf", "learnt frozen gates (FLNPF) beat random frozen gates (both FRNPF).", "FLNPF"),
        _above("dlnpf-above-frnpf", beside, "DLNPF"),
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
    return _above("rises", sentence, first, ("FRNPF-II",))


def _above(label: str, sentence: str, first: str, others: tuple[str, ...] = RANDOM) -> Contrast:
    return Contrast(label, sentence, first, others, "at least", 0.0, "none: the whole interval must lie above 0")


def by_paper(contrast: Contrast, experiment: str) -> Difference:
    """The contrast on the reported means and standard deviations of one row of the table; ValueError without these."""
    reported = experiments.find(experiment).reported
    lacking = [r for r in contrast.regimes if r not in reported or reported[r].std is None]
    if lacking:
        raise ValueError(f"{experiment} has no reported mean ± std for {', '.join(lacking)}.")
    ours = sample(reported[contrast.first])
    against = max(contrast.others, key=lambda regime: reported[regime].mean)
    return _judged(contrast, against, welch(ours, reported[against], LEVEL))


def by_records(contrast: Contrast, found: Mapping[str, Sequence[Record]], measure: str = "peak") -> Difference:
    """The contrast on records of one experiment and one budget, by the seeds, two or more, that its regimes share."""
    lacking = [regime for regime in contrast.regimes if not found.get(regime)]
    if lacking:
        raise ValueError(f"there are no records of {', '.join(lacking)}.")
    ours = found[contrast.first]
    leads = {regime: between(ours, found[regime], LEVEL, measure) for regime in contrast.others}
    against = min(leads, key=lambda regime: leads[regime].value)
    return _judged(contrast, against, leads[against])


def recovered_by_paper(experiment: str) -> Estimate:
    """The recovered fraction (``recovered``) by a row of the paper's table, over the better FRNPF."""
    cells = {regime: sample(cell) for regime, cell in experiments.find(experiment).reported.items()}
    random = max((cells[regime] for regime in RANDOM), key=lambda cell: cell.mean)
    return recovered(cells["FLNPF"], random, cells["ReLU"], LEVEL)


def recovered_by_records(found: Mapping[str, Sequence[Record]], measure: str = "peak") -> Estimate:
    """The same by records of the same seeds; of one seed, a point."""
    values = {regime: accuracies(found[regime], measure) for regime in ("FLNPF", *RANDOM, "ReLU")}
    random = max((values[regime] for regime in RANDOM), key=sum)
    if len(random) == 1:
        value = (values["FLNPF"][0] - random[0]) / (values["ReLU"][0] - random[0])
        return Estimate(value, value, value, LEVEL, 1)
    return recovered(values["FLNPF"], random, values["ReLU"], LEVEL)


def _judged(contrast: Contrast, against: str, estimate: Estimate) -> Difference:
    return Difference(against, estimate, ledger.judge(estimate.interval, 0.0, contrast.relation, contrast.tolerance))


def _check_agreement(record: Record, folder: Path) -> None:
    """A record decides about the experiment as it is defined today, or about nothing."""
    row = experiments.find(record.experiment)
    today = {"architecture": type(row.arch).__name__, **asdict(row.arch), "full_epochs": row.full_epochs(record.regime)}
    today |= {name: getattr(row, name) for name in ("optimiser", "learning_rate", "batch", "loss")}
    for name, value in today.items():
        value = list(value) if isinstance(value, tuple) else value
        told = record.configuration.get(name, value)  # records published before there was another loss lack it
        if told != value:
            path = run_records.path_of(folder, record.experiment, record.regime, record.seed)
            what = f"{path} was made with {name} {told!r}; {record.experiment} has {value!r}"
            raise run_records.RecordError(f"{what}. Remove it, and run it again.")


def _budget(record: Record) -> tuple[bool, bool, int, int]:
    """What makes records comparable with one another; a larger one is better evidence."""
    given = record.configuration
    work = given["epochs"] * given["train_examples"]
    return not record.data["stand_in"], record.is_full, work, given["test_examples"]
