"""Intervals against scipy's own and by simulation; verdicts by their definition; which records are chosen."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import seeds

from companion import statistics
from companion.statistics import Summary, summarise
from npflib import experiments
from npflib.experiments import Reported
from npflib.records import run_records
from npflib.records.run_records import Record

numbers = st.lists(st.floats(0, 100), min_size=2, max_size=12)
levels = st.floats(0.5, 0.999)


def make_record(
    seed=0,
    peak=0.98,
    regime="ReLU",
    experiment="mnist-fc-adam",
    profile="paper",
    epochs=100,
    full_epochs=100,
    ran=None,
    images=60_000,
    stand_in=False,
    drop=0.001,
) -> Record:
    ran = epochs if ran is None else ran
    history = [0.9] * (ran - 2) + [peak, peak - drop]
    return Record(
        experiment=experiment,
        regime=regime,
        seed=seed,
        profile=profile,
        configuration={
            "epochs": epochs,
            "full_epochs": full_epochs,
            "train_examples": images,
            "test_examples": 10_000,
        },
        history={"test_accuracy": history},
        peak=max(history),
        peak_epoch=history.index(max(history)) + 1,
        final=history[-1],
        seconds=1.0,
        data={"stand_in": stand_in, "title": "stand-in" if stand_in else "MNIST"},
        environment={},
        library={},
    )


def quick(seed=0, **changes) -> Record:
    return make_record(seed, **({"profile": "quick", "epochs": 8} | changes))


# --- intervals -------------------------------------------------------------------------------------------------------


@given(numbers)
def test_summary_is_numpys(values):
    found = statistics.summarise(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.std == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    assert found.runs == len(values)


def test_a_single_run_has_no_spread():
    assert statistics.summarise([97.5]) == Summary(97.5, None, 1)
    assert str(Summary(97.5, None, 1)) == "97.50"
    assert str(Summary(97.5, 0.123, 3)) == "97.50 ± 0.12"


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0, 2.0]], [float("inf")]])
def test_summary_refuses_what_is_no_list_of_numbers(values):
    with pytest.raises(ValueError, match="finite numbers"):
        statistics.summarise(values)


spread = st.floats(1e-3, 10)


@given(st.floats(0, 100), spread, st.integers(2, 9), st.floats(0, 100), spread, st.integers(2, 9), levels)
def test_welch_is_scipys(mean, std, runs, other, other_std, other_runs, level):
    """scipy computes Welch's interval from samples only: take samples with exactly these summaries."""

    def sample(mean, std, runs, ddof=1):
        values = np.arange(runs, dtype=float)
        return mean + std * (values - values.mean()) / values.std(ddof=ddof)

    found = statistics.welch(Summary(mean, std, runs), Reported(other, other_std, other_runs), level)
    theirs = sample(other, other_std, other_runs, ddof=0)  # a reported std divides by n
    test = stats.ttest_ind(sample(mean, std, runs), theirs, equal_var=False)
    expected = test.confidence_interval(level)
    scale = 1e-7 * (1 + abs(expected.high - expected.low))
    assert found.value == pytest.approx(mean - other)
    assert found.low == pytest.approx(expected.low, abs=scale)
    assert found.high == pytest.approx(expected.high, abs=scale)
    assert (found.level, found.runs) == (level, runs)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=9), levels)
def test_paired_is_scipys(pairs, level):
    first, second = map(list, zip(*pairs, strict=True))
    found = statistics.paired(first, second, level)
    differences = np.subtract(first, second)
    error = np.std(differences, ddof=1) / np.sqrt(len(pairs))
    low, high = differences.mean(), differences.mean()
    if error > 1e-12:
        low, high = stats.t.interval(level, len(pairs) - 1, loc=differences.mean(), scale=error)
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)


def test_no_spread_at_all_gives_a_point():
    assert statistics.welch(Summary(98.0, 0.0, 3), Summary(97.0, 0.0, 3)).interval == (1.0, 1.0)
    assert statistics.paired([2.0, 3.0], [1.0, 2.0]).interval == (1.0, 1.0)


def test_a_difference_is_found_by_the_names_of_its_ends():
    found = {"learnt": np.array([97.0, 98.0, 98.5]), "same-start": np.array([96.0, 96.5, 96.0])}
    expected = stats.ttest_rel(found["learnt"], found["same-start"]).confidence_interval(0.90)
    estimate = statistics.minus(found, "learnt − same-start")
    assert estimate.interval == pytest.approx(tuple(expected))
    assert statistics.minus(found, "learnt − random") is None


@pytest.mark.parametrize("tiny", [1e-170, 1e-300])
def test_tiny_spreads_do_not_break_the_degrees_of_freedom(tiny):
    found = statistics.welch(Summary(98.0, tiny, 5), Summary(98.0, tiny, 5))
    assert found.low <= 0 <= found.high
    assert np.isfinite([found.low, found.high]).all()


def test_welch_covers_as_often_as_it_says():
    """Unequal variances, 5 runs against 3: coverage of the 95 % interval over 4,000 simulated comparisons."""
    draw, trials = np.random.default_rng(0), 4_000
    ours, theirs = draw.normal(98, 0.1, (trials, 5)), draw.normal(97, 0.3, (trials, 3))
    intervals = [
        statistics.welch(statistics.summarise(a), statistics.summarise(b)) for a, b in zip(ours, theirs, strict=True)
    ]
    covered = sum(found.low <= 1.0 <= found.high for found in intervals)
    # Welch's interval is approximate: simulation and theory allow 92 % to 97.5 %; a normal quantile would give 84 %.
    assert 0.92 < covered / trials < 0.975


@pytest.mark.parametrize("level", [0, 1, -0.5, 95])
def test_levels_out_of_range_are_refused(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.welch(Summary(1.0, 0.1, 5), Summary(1.0, 0.1, 5), level)
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.paired([1.0, 2.0], [1.0, 2.0], level)


def test_intervals_refuse_too_few_runs():
    with pytest.raises(ValueError, match="two or more runs"):
        statistics.welch(Summary(98.0, None, 1), Reported(98.0, 0.1))
    with pytest.raises(ValueError, match="two or more runs"):
        statistics.welch(Summary(98.0, 0.1, 5), Reported(77.0, None))
    with pytest.raises(ValueError, match="two or more pairs"):
        statistics.paired([1.0], [1.0])
    with pytest.raises(ValueError, match="two or more pairs"):
        statistics.paired([1.0, 2.0], [1.0])


# --- verdicts --------------------------------------------------------------------------------------------------------


@given(st.floats(-3, 3), spread, st.integers(2, 9), spread, st.floats(0.05, 2))
def test_verdict_is_two_one_sided_tests(shift, std, runs, paper_std, margin):
    """Against the p values of the one-sided Welch tests at both ends of the margin."""
    ours, paper = Summary(90 + shift, std, runs), Reported(90.0, paper_std)
    found = statistics.equivalence(ours, paper, margin)

    def p_value(end, alternative):
        """Test of "the difference is `end`" against its being less or greater."""
        return stats.ttest_ind_from_stats(
            90 + shift - end, std, runs, 90.0, paper_std * 1.25**0.5, 5, equal_var=False, alternative=alternative
        ).pvalue  # a reported std divides by n

    inside = max(p_value(margin, "less"), p_value(-margin, "greater"))
    outside = min(p_value(margin, "greater"), p_value(-margin, "less"))
    if min(abs(inside - 0.05), abs(outside - 0.05)) > 1e-6:
        expected = "equivalent" if inside < 0.05 else "different" if outside < 0.05 else "undecided"
        assert found == expected


@pytest.mark.parametrize(
    ("true_difference", "wrong"), [(0.5, "equivalent"), (0.5, "different"), (-0.5, "different"), (-0.5, "equivalent")]
)
def test_at_the_margin_either_verdict_is_wrong_in_five_per_cent(true_difference, wrong):
    draw, trials = np.random.default_rng(1), 4_000
    ours = draw.normal(98 + true_difference, 0.1, (trials, 5))
    paper = draw.normal(98, 0.1, (trials, 5))
    found = [
        statistics.equivalence(statistics.summarise(a), statistics.summarise(b), 0.5)
        for a, b in zip(ours, paper, strict=True)
    ]
    # 5 % with a standard error of 0.34 points over 4,000 trials
    assert abs(found.count(wrong) / trials - 0.05) < 0.012


@pytest.mark.parametrize("margin", [0, -0.5])
def test_a_margin_must_be_positive(margin):
    with pytest.raises(ValueError, match="positive"):
        statistics.equivalence(Summary(98.0, 0.1, 5), Reported(98.0, 0.1), margin)


@pytest.mark.parametrize(
    ("peaks", "verdict"),
    [
        ([0.9814, 0.9820, 0.9808, 0.9811, 0.9817], "equivalent"),  # the paper's ReLU: 98.14 ± 0.07
        ([0.9600, 0.9610, 0.9605, 0.9600, 0.9603], "different"),
        ([0.9700, 0.9990, 0.9800, 0.9850, 0.9760], "undecided"),
    ],
)
def test_a_cell_of_full_records_is_judged(peaks, verdict):
    cell = statistics.table_cell("mnist-fc-adam", "ReLU", [make_record(k, peak) for k, peak in enumerate(peaks)])
    assert cell.verdict == verdict
    assert bool(cell.reason) == (verdict == "undecided")
    assert cell.ours.mean == pytest.approx(100 * np.mean(peaks))
    assert cell.difference.value == pytest.approx(100 * np.mean(peaks) - 98.14)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([make_record(0)], "one seed"),
        ([quick(0), quick(1)], "reduced budget"),
        ([quick(0, profile="smoke", epochs=2, images=2000)], "reduced budget"),
        ([make_record(k, stand_in=True) for k in range(5)], "stand-in data"),
    ],
)
def test_records_that_cannot_decide_say_why(records, reason):
    cell = statistics.table_cell("mnist-fc-adam", "ReLU", records)
    assert cell.verdict == "undecided"
    assert reason in cell.reason


def test_budgets_in_words():
    assert statistics.budget_text([quick(0), quick(1)]) == "8 of 100 epochs, 60,000 images"
    assert statistics.budget_text([quick(0, epochs=2, images=2000)]) == "2 of 100 epochs, 2,000 images"


def test_a_cell_without_records_was_not_run():
    cell = statistics.table_cell("cifar10-gconv-sgd", "FLNPF", [])
    assert (cell.verdict, cell.ours, cell.difference, cell.paper.mean) == ("not run", None, None, 78.52)


def test_cells_refuse_what_does_not_belong():
    with pytest.raises(ValueError, match="unknown experiment 'mnist'"):
        statistics.table_cell("mnist", "ReLU", [])
    with pytest.raises(ValueError, match="no reported number"):
        statistics.table_cell("mnist-fc-adam-nobias", "ReLU", [])
    with pytest.raises(ValueError, match="not all of"):
        statistics.table_cell("mnist-fc-adam", "ReLU", [make_record(regime="FLNPF")])
    with pytest.raises(ValueError, match="different budgets"):
        statistics.table_cell("mnist-fc-adam", "ReLU", [make_record(0), quick(1)])
    with pytest.raises(ValueError, match="peak, final"):
        statistics.accuracies([make_record()], "best")


# --- regime against regime -------------------------------------------------------------------------------------------


def test_regimes_are_paired_by_seed_not_by_position():
    first = [make_record(seed, 0.98 + 0.001 * seed) for seed in (2, 0, 1)]
    second = [make_record(seed, 0.97 + 0.001 * seed, regime="FLNPF") for seed in (0, 1, 2, 7)]
    found = statistics.between(first, second)
    assert found.value == pytest.approx(1.0)
    assert found.low == pytest.approx(1.0)
    assert found.runs == 3


def test_optimism_is_peak_minus_final():
    found = statistics.optimism([make_record(seed, drop=0.001 * (1 + seed)) for seed in range(3)])
    assert found.value == pytest.approx(0.2)
    assert found.low < 0.2 < found.high


def test_pairing_refuses_doubtful_records():
    with pytest.raises(ValueError, match="seeds in common"):
        statistics.between([make_record(0), make_record(1)], [make_record(1), make_record(2)])
    with pytest.raises(ValueError, match="twice"):
        statistics.between([make_record(0), make_record(0)], [make_record(0), make_record(1)])
    with pytest.raises(ValueError, match="different experiments"):
        statistics.between([make_record(0)], [make_record(0, experiment="mnist-fc-sgd")])


# --- which records are the best evidence -----------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics.locations, "published", lambda: tmp_path / "results")
    return tmp_path / "build", tmp_path / "results"


def put(folder, *records):
    for record in records:
        run_records.write(record, folder)


def test_published_full_budget_records_come_before_a_reduced_build(folders):
    build, published = folders
    put(build / "runs", *(quick(seed) for seed in range(3)))
    assert [r.profile for r in statistics.best_records("mnist-fc-adam", "ReLU", build)] == ["quick"] * 3
    put(published, *(make_record(seed) for seed in range(2)))
    assert [r.profile for r in statistics.best_records("mnist-fc-adam", "ReLU", build)] == ["paper"] * 2


def test_the_readers_own_full_records_replace_published_ones_when_as_many(folders):
    build, published = folders
    put(published, *(make_record(seed, peak=0.97) for seed in range(2)))
    put(build / "runs", make_record(0, peak=0.99))
    assert [r.peak for r in statistics.best_records("mnist-fc-adam", "ReLU", build)] == [0.97, 0.97]
    put(build / "runs", make_record(1, peak=0.99))
    assert [r.peak for r in statistics.best_records("mnist-fc-adam", "ReLU", build)] == [0.99, 0.99]


def test_real_data_come_before_stand_ins(folders):
    build, published = folders
    put(build / "runs", *(make_record(seed, stand_in=True) for seed in range(5)))
    put(published, quick(0))
    assert [r.data["stand_in"] for r in statistics.best_records("mnist-fc-adam", "ReLU", build)] == [False]


def test_budgets_are_never_mixed(folders):
    build, published = folders
    put(published, make_record(0), quick(1), quick(2))
    assert [r.seed for r in statistics.best_records("mnist-fc-adam", "ReLU", build)] == [0]


def test_regimes_are_compared_at_one_budget_and_on_common_seeds(folders):
    """Published ReLU alone must not be set against the build's short FLNPF."""
    build, published = folders
    put(build / "runs", *(quick(seed, regime=r) for seed in range(3) for r in ("ReLU", "FLNPF")))
    put(published, *(make_record(seed) for seed in range(5)))
    pair = ("ReLU", "FLNPF")
    found = statistics.evidence("mnist-fc-adam", pair, build)
    assert {r.profile for records in found.values() for r in records} == {"quick"}
    put(published, *(make_record(seed, regime="FLNPF") for seed in (3, 1)))
    found = statistics.evidence("mnist-fc-adam", pair, build)
    assert {name: [r.seed for r in records] for name, records in found.items()} == {"ReLU": [1, 3], "FLNPF": [1, 3]}
    assert {r.profile for records in found.values() for r in records} == {"paper"}
    found = statistics.evidence("mnist-fc-adam", pair, build, least=3)
    assert {r.profile for records in found.values() for r in records} == {"quick"}


def test_no_records_no_evidence(folders):
    build, published = folders
    assert statistics.best_records("mnist-fc-sgd", "ReLU", build) == []
    put(published, make_record(0))
    assert statistics.evidence("mnist-fc-adam", ("ReLU", "FLNPF"), build) == {}


def test_evidence_refuses_unknown_names(folders):
    build, _ = folders
    with pytest.raises(ValueError, match="unknown experiment"):
        statistics.best_records("mnist", "ReLU", build)
    with pytest.raises(ValueError, match="unknown regime"):
        statistics.best_records("mnist-fc-adam", "FRNPF", build)
    for wrong in ((), "ReLU"):
        with pytest.raises(ValueError, match="sequence"):
            statistics.evidence("mnist-fc-adam", wrong, build)


def test_a_record_that_cannot_be_read_is_named(folders):
    build, published = folders
    put(published, make_record(0))
    run_records.path_of(published, "mnist-fc-adam", "ReLU", 0).write_text("{")
    with pytest.raises(run_records.RecordError, match=r"seed-0\.json"):
        statistics.best_records("mnist-fc-adam", "ReLU", build)


def test_the_table_has_all_thirty_cells_in_the_papers_order(folders):
    build, published = folders
    put(published, *(make_record(seed) for seed in range(5)))
    cells = statistics.table(build)
    assert [(cell.experiment, cell.regime) for cell in cells] == [
        (row.name, regime) for row in experiments.TABLE for regime in row.reported
    ]
    assert len(cells) == 30
    assert [cell.regime for cell in cells if cell.records] == ["ReLU"]
    assert sum(cell.verdict == "not run" for cell in cells) == 29


# --- the recovered fraction ------------------------------------------------------------------------------------------


def fieller(learnt, random, relu, level):
    """The closed form for pairs: the roots of (a - ρ b)² = t² (v_aa - 2ρ v_ab + ρ² v_bb)."""
    a, b = np.subtract(learnt, random), np.subtract(relu, random)
    n = len(a)
    square = stats.t.ppf((1 + level) / 2, n - 1) ** 2
    (aa, ab), (_, bb) = np.cov(a, b) / n
    polynomial = [b.mean() ** 2 - square * bb, -2 * (a.mean() * b.mean() - square * ab), a.mean() ** 2 - square * aa]
    return a.mean() / b.mean(), polynomial


@given(st.integers(2, 8), seeds, st.floats(0.02, 2.0), st.sampled_from([0.8, 0.9, 0.95]))
def test_the_recovered_fraction_by_seed_has_fiellers_interval(runs, seed, spread, level):
    draw = np.random.default_rng(seed)
    learnt, random, relu = (mean + draw.normal(0, spread, runs) for mean in (97.5, 96.0, 98.0))
    value, polynomial = fieller(learnt, random, relu, level)
    found = statistics.recovered(learnt, random, relu, level)
    assert found.value == pytest.approx(value)
    assert found.low <= found.value <= found.high
    roots = np.sort(np.roots(polynomial))
    if polynomial[0] > 1e-9:  # the gap is surely not zero: both ends are there
        assert [found.low, found.high] == pytest.approx([*roots.real], rel=1e-5, abs=1e-6)
    elif polynomial[0] < -1e-9:
        assert math.inf in (-found.low, found.high)


def test_the_interval_of_the_recovered_fraction_covers_the_truth_as_often_as_it_says():
    """By seed, with what the regimes of a seed share, and by summaries of independent runs: 90 % of 2,000."""
    draw, paired, apart = np.random.default_rng(0), 0, 0
    for _ in range(2_000):
        means, shared = np.array([[97.5], [96.0], [98.0]]), draw.normal(0, 0.2, 5)
        runs = means + draw.normal(0, 0.1, (3, 5))
        inside = [
            found.low <= 0.75 <= found.high
            for found in (statistics.recovered(*(runs + shared)), statistics.recovered(*map(summarise, runs)))
        ]
        paired, apart = paired + inside[0], apart + inside[1]
    for hits in (paired, apart):
        assert 0.88 < hits / 2_000 < 0.93  # three standard errors are 2 points; Welch's is on the safe side


def test_runs_without_spread_leave_a_point():
    for learnt, random_, relu in (([3.0] * 3, [1.0] * 3, [4.0] * 3), ([0.1 + 0.2] * 2, [0.1] * 2, [0.7] * 2)):
        found = statistics.recovered(learnt, random_, relu)
        assert found.interval == (found.value, found.value)
        assert found.value == pytest.approx((learnt[0] - random_[0]) / (relu[0] - random_[0]))
        summaries = [Summary(one[0], 0.0, len(one)) for one in (learnt, random_, relu)]
        assert statistics.recovered(*summaries).interval == pytest.approx(found.interval)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([97.0], [96.0], [98.0]), "two or more pairs"),
        (([97.0, 97.0], [96.0, 96.0], [96.0, 96.0]), "no gap"),
        ((Summary(97.0, None, 5), Summary(96.0, 0.1, 5), Summary(98.0, 0.1, 5)), "their std"),
        ((Summary(97.0, 0.1, 5), [96.0, 96.1], Summary(98.0, 0.1, 5)), "must be summaries, or numbers run by run"),
    ],
)
def test_what_has_no_recovered_fraction_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        statistics.recovered(*given)


def test_the_papers_std_divides_by_n_and_the_samples_is_taken():
    runs = [97.7, 97.8, 97.9, 98.0, 97.85]
    printed = Reported(float(np.mean(runs)), float(np.std(runs)), 5)  # as the released code prints it
    assert statistics.sample(printed).std == pytest.approx(np.std(runs, ddof=1))
    ours = Summary(97.0, 0.1, 5)
    assert statistics.welch(ours, printed) == statistics.welch(ours, statistics.sample(printed))
    assert statistics.sample(Reported(72.29)).std is None


@pytest.mark.parametrize(
    ("name", "told"), [("learning_rate", 3e-4), ("optimiser", "sgd"), ("width", 64), ("batch", 64), ("full_epochs", 90)]
)
def test_a_record_made_with_other_settings_than_todays_decides_nothing(tmp_path, name, told, monkeypatch):
    monkeypatch.setattr(statistics.locations, "published", lambda: tmp_path / "results")
    record = make_record()
    record.configuration[name] = told
    path = run_records.write(record, tmp_path / "results")
    with pytest.raises(run_records.RecordError, match=rf"{path.name} was made with {name} {told!r}; mnist-fc-adam has"):
        statistics.evidence("mnist-fc-adam", ("ReLU",), tmp_path)
    record.configuration.pop(name)
    run_records.write(record if name != "full_epochs" else make_record(), tmp_path / "results")
    assert statistics.evidence("mnist-fc-adam", ("ReLU",), tmp_path)


def test_every_published_record_was_made_with_todays_settings():
    for name, row in (dict(experiments.PAPER) | dict(experiments.COMPANION)).items():
        for regime in row.regimes:
            statistics.best_records(name, regime, Path("no-build"))


PAIRED = [SimpleNamespace(experiment="one", seed=seed, peak=0.75, final=0.5) for seed in (0, 1)]
LESS = [SimpleNamespace(experiment="one", seed=seed, peak=0.5, final=0.25) for seed in (0, 1)]
GCONV = experiments.find("cifar10-gconv-adam").reported


@pytest.mark.parametrize(
    ("found", "printed"),
    [
        (lambda: Summary(mean=97.854, std=0.093, runs=5), "97.85 ± 0.09"),
        (lambda: statistics.Estimate(value=0.5, low=-0.25, high=1.25, level=0.95, runs=5), "+0.50 [−0.25, +1.25]"),
        (lambda: summarise([97.0, 98.0, 99.0]), "98.00 ± 1.00"),
        # ± 2.306 · 0.1 · √(2/5), 8 degrees of freedom
        (lambda: statistics.welch(Summary(98.0, 0.1, 5), Summary(97.5, 0.1, 5)), "+0.50 [+0.35, +0.65]"),
        # differences 1 and 2: 1.5 ± 12.706 · ½, one degree of freedom
        (lambda: statistics.paired([98.0, 99.0], [97.0, 97.0]), "+1.50 [−4.85, +7.85]"),
        (lambda: statistics.mean([1.0, 2.0], 0.95), "+1.50 [−4.85, +7.85]"),
        (lambda: statistics.normal(1.0, 0.5), "+1.00 [+0.18, +1.82]"),  # 1 ± 1.645 / 2
        (lambda: f"{statistics.sampling(98.0, 10_000):.2f}", "0.27"),  # 1.96 · √(98 · 2 / 10,000)
        (lambda: statistics.between(PAIRED, LESS), "+25.00 [+25.00, +25.00]"),
        (lambda: statistics.optimism(PAIRED), "+25.00 [+25.00, +25.00]"),
        (
            lambda: statistics.recovered(*(statistics.sample(GCONV[r]) for r in ("FLNPF", "FRNPF-II", "ReLU"))),
            "+0.95 [+0.92, +0.98]",
        ),
    ],
)
def test_worked_examples(found, printed):
    assert str(found()) == printed


def test_worked_verdicts():
    paper = Summary(97.5, 0.1, 5)
    verdicts = [statistics.equivalence(Summary(mean, 0.1, 5), paper, margin=0.5) for mean in (97.6, 98.0, 98.5)]
    assert verdicts == ["equivalent", "undecided", "different"]


@pytest.mark.parametrize("std", [-1.0, float("nan"), None])
def test_welch_needs_a_spread_that_can_be(std):
    good = Summary(1.0, 1.0, 3)
    for pair in ((Summary(1.0, std, 3), good), (good, Summary(1.0, std, 3))):
        with pytest.raises(ValueError, match="two or more runs and their std, at least 0"):
            statistics.welch(*pair)
