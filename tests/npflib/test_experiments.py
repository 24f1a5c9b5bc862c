"""The paper's numbers, typed a second time from the paper, and the budgets of the profiles."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from npflib import experiments, profiles
from npflib.architectures import FullyConnected, GConv, VConv
from npflib.experiments import COMPANION, PAPER, TABLE, Budget, Experiment, Probe, Reported, budget, runs_of
from npflib.profiles import PROFILES, Limit

# experiment | learning rate | epochs | FRNPF (II) | FRNPF (DI) | DLNPF | FLNPF | ReLU
PUBLISHED_TABLE = """
mnist-fc-sgd       | 1e-2 | 300 | 95.85±0.10 | 95.85±0.17 | 97.86±0.11 | 97.10±0.09 | 97.85±0.09
mnist-fc-adam      | 1e-4 | 100 | 96.02±0.13 | 96.09±0.12 | 98.22±0.05 | 97.82±0.02 | 98.14±0.07
cifar10-vconv-sgd  | 1e-2 | 80  | 58.92±0.62 | 58.83±0.27 | 63.21±0.07 | 63.06±0.73 | 67.02±0.43
cifar10-vconv-adam | 3e-4 | 80  | 64.86±1.18 | 64.68±0.84 | 69.45±0.76 | 71.40±0.47 | 72.43±0.54
cifar10-gconv-sgd  | 1e-1 | 100 | 67.36±0.56 | 66.86±0.44 | 74.57±0.43 | 78.52±0.39 | 78.90±0.37
cifar10-gconv-adam | 3e-4 | 200 | 67.09±0.58 | 67.08±0.27 | 77.12±0.19 | 79.68±0.32 | 80.32±0.35
"""
COLUMNS = ("FRNPF-II", "FRNPF-DI", "DLNPF", "FLNPF", "ReLU")
PROJECT = Path(__file__).resolve().parents[2]
QUARTER = [name for name in COMPANION if name.startswith("cifar10-quarter-")]
ROWS = [[cell.strip() for cell in line.split("|")] for line in PUBLISHED_TABLE.strip().splitlines()]
LAYERS = {
    "fc": ["784>128", "128>128", "128>128", "128>128", "128>128", "128>10"],
    "vconv": ["3>64", "64>64", "64>128", "128>128", "131072>256", "256>256", "256>10"],
    "gconv": ["3>64", "64>64", "64>128", "128>128", "128>256", "256>256", "256>10"],
}


def sizes(layer) -> str:
    dense = hasattr(layer, "in_features")
    return f"{layer.in_features}>{layer.out_features}" if dense else f"{layer.in_channels}>{layer.out_channels}"


def test_the_table_has_the_papers_rows_in_its_order():
    assert [e.name for e in TABLE] == [row[0] for row in ROWS]
    assert list(PAPER)[:6] == [row[0] for row in ROWS]
    assert list(PAPER)[6:] == ["cifar10-continuous", "mnist-alignment", "mnist-kernel-traces"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_cell_of_the_table_is_the_papers(row):
    name, rate, epochs, *cells = row
    dataset, network, optimiser = name.split("-")
    experiment = PAPER[name]
    assert (experiment.dataset, experiment.optimiser) == (dataset, optimiser)
    assert (experiment.learning_rate, experiment.epochs, experiment.batch) == (float(rate), int(epochs), 32)
    assert list(experiment.reported) == list(COLUMNS)
    for regime, cell in zip(COLUMNS, cells, strict=True):
        mean, std = map(float, cell.split("±"))
        assert experiment.reported[regime] == Reported(mean, std, runs=5)
    assert isinstance(experiment.arch, {"fc": FullyConnected, "vconv": VConv, "gconv": GConv}[network])
    layers = experiment.arch.layers()
    assert [sizes(layer) for layer in layers] == LAYERS[network]
    assert all(layer.bias for layer in layers)
    assert [layer.before for layer in layers if layer.before] == [
        {"fc": "flatten", "vconv": "flatten", "gconv": "pool"}[network]
    ]


def test_continuous_learning_is_the_papers():
    found = PAPER["cifar10-continuous"]
    assert found.arch == GConv()
    assert (found.dataset, found.optimiser, found.learning_rate, found.batch) == ("cifar10", "adam", 3e-4, 32)
    assert found.stages == (10, 20, 30, 40, 50, 60)
    assert (found.epochs, found.value_epochs) == (60, 80)
    stages = [f"FLNPF-stage-{k}" for k in range(1, 7)]
    assert found.regimes == ("ReLU", "FRNPF-II", *stages)
    assert [found.full_epochs(regime) for regime in found.regimes] == [60] + 7 * [80]
    published = {0: 67.09, 1: 72.29, 2: 74.42, 3: 77.0, 4: 78.5, 5: 78.7, 6: 79.43}
    assert {name: cell.mean for name, cell in found.reported.items()} == {
        "FRNPF-II" if stage == 0 else f"FLNPF-stage-{stage}": mean for stage, mean in published.items()
    }
    assert all(cell.std is None for cell in found.reported.values()), "read off a curve"
    assert dict(found.lines) == {"ReLU": 80.32, "CNTK": 77.43}
    assert found.reported["FLNPF-stage-3"].mean < found.lines["CNTK"] < found.reported["FLNPF-stage-4"].mean


def test_label_alignment_is_the_papers():
    found = PAPER["mnist-alignment"]
    assert (found.dataset, found.classes, found.loss) == ("mnist", (4, 7), "squared")
    assert found.arch == FullyConnected(depth=6, width=100, in_features=784, out_features=1, bias=False)
    assert found.initialisation == "signed"
    assert (found.optimiser, found.learning_rate, found.batch, found.epochs) == ("rmsprop", 1e-4, 64, 50)
    assert found.probe == Probe("alignment", every=2, examples_a_class=100)
    assert found.regimes == ("ReLU",)
    assert not found.shuffled
    assert len(PROFILES["paper"].seeds) == 5


def test_kernel_traces_are_the_papers():
    found = PAPER["mnist-kernel-traces"]
    assert found.arch == FullyConnected(depth=6, width=128, in_features=784, out_features=10, bias=True)
    assert (found.dataset, found.optimiser, found.learning_rate, found.batch) == ("mnist", "sgd", 1e-2, 32)
    assert (found.epochs, found.loss, found.initialisation) == (60, "cross_entropy", "glorot_uniform")
    assert found.probe == Probe("traces", every=5, examples_a_class=20)
    assert found.regimes == ("DLNPF",), "a DGN with soft gates"


def test_every_probe_is_one_that_can_be_measured():
    from npflib.training.monitors import MEASURES

    probes = {e.probe.name for e in (*PAPER.values(), *COMPANION.values()) if e.probe}
    assert probes == set(MEASURES)


def test_the_companions_network_is_the_adam_row_without_biases():
    own, row = COMPANION["mnist-fc-adam-nobias"], PAPER["mnist-fc-adam"]
    expected = {"arch": replace(row.arch, bias=False), "reported": {}, "regimes": ("ReLU",)}
    assert own == replace(row, name=own.name, title=own.title, **expected)
    assert own.arch == FullyConnected(depth=6, width=128, bias=False)


def test_linear_gates_are_trained_as_the_adam_row_is():
    own, row = COMPANION["mnist-fc-adam-linear-gates"], PAPER["mnist-fc-adam"]
    assert own == replace(row, name=own.name, title=own.title, reported={}, regimes=("DLGN",))


def test_the_control_of_the_alignment_differs_in_its_labels_alone():
    own, row = COMPANION["mnist-alignment-shuffled"], PAPER["mnist-alignment"]
    assert own == replace(row, name=own.name, title=own.title, shuffled=True)


def test_the_companions_quarter_networks_are_a_quarter_of_the_papers_and_stages_share_their_relu():
    for name in QUARTER:
        own, row = COMPANION[name], PAPER[name.replace("quarter-", "")]
        arch = replace(row.arch, channels=tuple(c // 4 for c in row.arch.channels), dense=(64, 64))
        assert row.arch.dense == (256, 256)
        assert (own.arch, own.optimiser, own.batch, own.loss) == (arch, row.optimiser, 32, "cross_entropy")
        assert set(row.regimes) <= set(own.regimes)
        assert {own.full_epochs(regime) for regime in own.regimes} == {42}, "the same for every regime of a row"
    staged = COMPANION["cifar10-quarter-gconv-adam"]
    assert staged.stages == (7, 14, 21, 28, 35, 42)
    assert staged.regimes[5:] == tuple(f"FLNPF-stage-{k}" for k in range(1, 6)), "the sixth is FLNPF itself"


@pytest.mark.parametrize("name", QUARTER)
def test_a_quarter_rows_rate_is_the_best_of_its_table_on_held_out_training_images(name):
    path = PROJECT / "results" / name / "rates.json"
    if not path.exists():  # the paper's, until its own is chosen
        assert COMPANION[name].learning_rate == PAPER[name.replace("-quarter", "")].learning_rate
        assert not path.parent.exists(), "nothing is published before the rate is chosen"
        return
    table = json.loads(path.read_text())
    last = {float(rate): accuracies[-1] for rate, accuracies in table["accuracies"].items()}
    left_out = {float(rate) for rate, why in table.get("left_out", {}).items() if why}
    assert COMPANION[name].learning_rate == max(set(last) - left_out, key=last.get)
    assert left_out <= set(last), "only a rate that was measured can be left out"
    assert all(len(accuracies) == table["epochs"] for accuracies in table["accuracies"].values())
    assert len(last) >= 3


def test_only_the_paper_publishes_and_every_experiments_name_begins_with_its_data():
    assert not any(own.reported or own.lines for own in COMPANION.values()), "these are no rows of the paper"
    for name, experiment in (dict(PAPER) | dict(COMPANION)).items():
        assert name == experiment.name
        assert name.startswith(experiment.dataset + "-")
    assert not set(PAPER) & set(COMPANION)


EVERY = [(name, regime) for name, e in (dict(PAPER) | dict(COMPANION)).items() for regime in e.regimes]


@pytest.mark.parametrize(("name", "regime"), EVERY)
def test_the_paper_profile_spends_the_whole_budget_and_the_others_no_more(name, regime):
    found = experiments.find(name)
    full = found.full_epochs(regime)
    smoke, quick, paper = (budget(name, profile, regime) for profile in PROFILES)
    every = found.probe.every if found.probe else None
    assert paper == Budget(None, None, full, found.stages if regime == "ReLU" else (), every)
    assert 1 <= smoke.epochs <= quick.epochs <= full
    assert smoke.epochs < full
    assert quick.epochs < full
    limit = {"mnist": (2_000, 1_000), "cifar10": (512, 256)}[found.dataset]
    assert (smoke.train_examples, smoke.test_examples) == limit
    assert (quick.train_examples, quick.test_examples) == ((None, None) if found.dataset == "mnist" else (1_000, 500))


@pytest.mark.parametrize("profile", list(PROFILES))
@pytest.mark.parametrize("name", ["cifar10-continuous", "cifar10-quarter-gconv-adam"])
def test_stages_scale_together_and_the_relu_run_ends_with_the_last(name, profile):
    found = experiments.find(name)
    relu = budget(name, profile)
    assert len(relu.stages) == 6
    assert relu.epochs == relu.stages[-1]
    step = relu.stages[0]
    assert relu.stages == tuple(step * k for k in range(1, 7)), "stages of equal length, as in the paper"
    assert step >= 1
    for regime in found.regimes[1:]:
        assert budget(name, profile, regime).stages == (), "only the ReLU run keeps networks"


@pytest.mark.parametrize(("epochs", "step"), [(1, 1), (6, 1), (11, 1), (12, 2), (35, 5), (59, 9), (60, 10), (500, 10)])
def test_a_cap_on_epochs_scales_the_stages(epochs, step):
    found = budget("cifar10-continuous", "paper", epochs=epochs)
    assert found.stages == tuple(step * k for k in range(1, 7))
    assert found.epochs == 6 * step
    assert budget("cifar10-continuous", "paper", "FLNPF-stage-2", epochs).epochs == min(epochs, 80)


@pytest.mark.parametrize("epochs", [1, 12, 50, 99])
def test_a_shorter_run_on_all_examples_is_probed_when_the_whole_run_is(epochs):
    found = budget("mnist-alignment", "paper", epochs=epochs)
    assert (found.epochs, found.every) == (min(epochs, 50), 2)


@pytest.mark.parametrize(("epochs", "every"), [(1, 1), (12, 1), (25, 1), (26, 1), (38, 2), (50, 2)])
def test_where_examples_are_cut_the_probes_interval_is_scaled(epochs, every, monkeypatch):
    cut = replace(PROFILES["smoke"], epochs={"mnist": epochs})
    monkeypatch.setattr(profiles, "PROFILES", {"smoke": cut})
    assert budget("mnist-alignment", "smoke").every == every


@pytest.mark.parametrize(("profile", "every"), [("smoke", 1), ("quick", 5), ("paper", 5)])
def test_a_replay_takes_the_traces_when_the_published_run_did(profile, every):
    assert budget("mnist-kernel-traces", profile, "DLNPF").every == every


def test_a_replay_goes_to_the_first_measurement_after_the_start():
    for name, regime in runs_of("quick"):
        replay = budget(name, "quick", regime)
        assert replay.every is None or replay.every <= replay.epochs < budget(name, "paper", regime).epochs


def test_an_experiment_without_probe_or_stages_has_neither():
    found = budget("mnist-fc-adam", "quick")
    assert (found.stages, found.every) == ((), None)


@pytest.mark.parametrize("epochs", [0, -1, 1.0, True, "3"])
def test_a_cap_that_is_no_number_of_epochs_is_refused(epochs):
    with pytest.raises(ValueError, match=r"epochs must be a positive whole number; got"):
        budget("mnist-fc-adam", "quick", epochs=epochs)


def test_a_limit_of_the_experiments_own_goes_before_its_data_sets_and_that_before_the_profiles():
    limits = {"cifar10": Limit(20, 10, epochs=6), "cifar10-gconv-sgd": Limit(train_examples=7)}
    profile = replace(PROFILES["quick"], train_examples=100, test_examples=50, epochs={"mnist": 5}, limits=limits)

    def found(name):
        return tuple(
            profile.limit(name, experiments.find(name).dataset, what)
            for what in ("train_examples", "test_examples", "epochs")
        )

    assert found("mnist-fc-sgd") == (100, 50, 5)
    assert found("cifar10-vconv-sgd") == (20, 10, 6)
    assert found("cifar10-gconv-sgd") == (7, 10, 6), "what its own leaves open is the data set's"
    assert not profile.is_full
    whole = replace(profile, train_examples=None, test_examples=None, epochs={})
    assert not whole.is_full, "a limit on one data set is enough"
    assert replace(whole, limits={}).is_full


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 0, -1, 2.0, True, "3"])
def test_a_limit_is_a_positive_whole_number(wrong):
    for name in ("train_examples", "test_examples", "epochs"):
        with pytest.raises(ValueError, match=f"a limit's {name} must be a positive whole number; got"):
            Limit(**{name: wrong})
    for changes in ({"train_examples": wrong}, {"test_examples": wrong}, {"epochs": {"mnist": wrong}}):
        with pytest.raises(ValueError, match="must be a positive whole number; got"):
            replace(PROFILES["quick"], **changes)


def test_a_limit_never_lengthens_a_run(monkeypatch):
    generous = replace(PROFILES["quick"], epochs={"mnist": 1000})
    monkeypatch.setattr(profiles, "PROFILES", {"quick": generous})
    assert budget("mnist-fc-adam", "quick").epochs == 100
    assert budget("mnist-fc-adam", "quick", epochs=7).epochs == 7


def test_profiles_grow():
    smoke, quick, paper = (PROFILES[name] for name in ("smoke", "quick", "paper"))
    assert paper.seeds == (0, 1, 2, 3, 4)
    assert [p.is_full for p in (smoke, quick, paper)] == [False, False, True]
    assert quick.seeds == (0,), "a replay is of the first seed"
    assert set(quick.seeds) < set(smoke.seeds) < set(paper.seeds)
    assert set(smoke.widths) <= set(quick.widths) <= set(paper.widths)
    assert smoke.draws <= quick.draws <= paper.draws
    assert all(name == profile.name for name, profile in PROFILES.items())


@pytest.mark.parametrize("profile", list(PROFILES))
def test_the_book_trains_what_it_can_and_the_relu_before_its_gates_are_copied(profile):
    runs = runs_of(profile)
    staged = ("ReLU", "FRNPF-II", *(f"FLNPF-stage-{k}" for k in range(1, 7)))
    expected = {(name, "ReLU") for name in ("mnist-fc-adam-nobias", "mnist-alignment", "mnist-alignment-shuffled")}
    expected |= {("mnist-kernel-traces", "DLNPF"), ("mnist-fc-adam-linear-gates", "DLGN")}
    columns = ["mnist-fc-sgd", "mnist-fc-adam"]
    if profile == "paper":
        columns += [f"cifar10-{network}-{rule}" for network in ("vconv", "gconv") for rule in ("sgd", "adam")]
        expected |= {("cifar10-continuous", regime) for regime in staged}
        expected |= {(name, regime) for name in QUARTER for regime in COMPANION[name].regimes}
    expected |= {(name, regime) for name in columns for regime in COLUMNS}
    assert set(runs) == expected
    assert len(runs) == len(expected)
    for experiment, regime in runs:
        if regime.startswith("FLNPF"):
            assert runs.index((experiment, "ReLU")) < runs.index((experiment, regime))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: experiments.find("mnist"), r"'mnist'.*mnist-fc-sgd.*mnist-fc-adam-nobias"),
        (lambda: experiments.find("mnist-fc-rmsprop"), r"'mnist-fc-rmsprop'; allowed: .*mnist-alignment-shuffled"),
        (lambda: profiles.find("full"), r"'full'.*smoke, quick, paper"),
        (lambda: budget("mnist-fc-adam", "full"), r"'full'"),
        (lambda: budget("mnist-fc", "quick"), r"'mnist-fc'"),
        (lambda: runs_of("full"), r"'full'"),
    ],
)
def test_unknown_names_are_refused_with_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": "lion"}, r"'lion'.*sgd, adam, rmsprop"),
        ({"learning_rate": 0.0}, r"learning_rate.*positive.*0\.0"),
        ({"learning_rate": float("nan")}, r"learning_rate.*positive.*nan"),
        ({"learning_rate": float("inf")}, r"learning_rate.*finite and positive; got inf"),
        ({"learning_rate": -0.1}, r"learning_rate.*finite and positive; got -0\.1"),
        ({"arch": None}, r"arch must be FullyConnected or VConv or GConv; got None"),
        ({"arch": "GConv"}, r"arch must be FullyConnected or VConv or GConv; got str"),
        ({"epochs": 0}, r"epochs.*positive whole number.*0"),
        ({"epochs": -3}, r"epochs.*positive whole number; got -3"),
        ({"epochs": float("nan")}, r"epochs.*positive whole number; got nan"),
        ({"batch": 0}, r"batch.*positive whole number; got 0"),
        ({"batch": 32.0}, r"batch.*positive whole number; got 32\.0"),
        ({"epochs": 1.5}, r"epochs.*1\.5"),
        ({"batch": True}, r"batch.*True"),
        ({"reported": {"RELU": Reported(1.0)}}, r"RELU.*allowed.*ReLU"),
        ({"reported": {"FLNPF": Reported(1.0)}, "regimes": ("ReLU",)}, r"FLNPF.*allowed: ReLU"),
        ({"loss": "hinge"}, r"unknown loss 'hinge'; allowed: cross_entropy, squared"),
        ({"loss": "squared"}, r"two classes with labels ±1 go with the squared loss"),
        ({"classes": (4, 7)}, r"two classes with labels ±1 go with the squared loss"),
        ({"loss": "squared", "classes": (4, 7)}, r"a network of one output"),
        ({"classes": (4, 7), "arch": FullyConnected(2, 3, out_features=1)}, r"go with the squared loss"),
        ({"initialisation": "zeros"}, r"unknown initialisation 'zeros'; allowed: glorot_uniform, signed"),
        ({"value_epochs": 0}, r"value_epochs.*positive whole number.*0"),
        ({"value_epochs": True}, r"value_epochs.*True"),
        ({"epochs": None}, r"epochs must be a positive whole number; got None"),
        ({"stages": (0, 2)}, r"rising epochs from 1 to 4.*\(0, 2\)"),
        ({"stages": (2, 2)}, r"rising epochs from 1 to 4.*\(2, 2\)"),
        ({"stages": (3, 2)}, r"rising epochs from 1 to 4.*\(3, 2\)"),
        ({"stages": (2, 5)}, r"rising epochs from 1 to 4.*\(2, 5\)"),
        ({"stages": (1.5,)}, r"a stage must be a whole number of at least 0; got 1\.5"),
        ({"stages": ("1",)}, r"a stage must be a whole number"),
        ({"probe": "alignment"}, r"probe must be Probe or NoneType; got str"),
        ({"classes": (4, 4)}, r"classes must be two different ones"),
        ({"classes": 4}, r"classes must be two different ones"),
        ({"regimes": ()}, r"regimes must name one or more"),
        ({"regimes": ("ReLU", "relu")}, r"unknown regime 'relu'"),
        ({"regimes": ("ReLU", "FLNPF-stage-1")}, r"'FLNPF-stage-1' needs 1 stages; the experiment has 0"),
        ({"regimes": ("ReLU", "FLNPF-stage-3"), "stages": (1, 2)}, r"'FLNPF-stage-3' needs 3 stages.*has 2"),
    ],
)
def test_an_experiment_of_ones_own_is_checked(changes, message):
    settings = {
        "name": "mine", "title": "Mine", "dataset": "mnist", "arch": FullyConnected(2, 3), "optimiser": "sgd",
        "learning_rate": 0.1, "epochs": 4,
    }  # fmt: skip
    Experiment(**settings)
    with pytest.raises(ValueError, match=message):
        Experiment(**settings | changes)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, float("nan"), "2", None, True])
def test_what_a_probe_and_a_profile_count_are_whole_numbers(wrong):
    for call in (
        lambda: Probe("alignment", wrong, 2),
        lambda: Probe("alignment", 2, wrong),
        lambda: replace(profiles.find("smoke"), draws=wrong),
        lambda: replace(profiles.find("smoke"), widths=(8, wrong)),
        lambda: replace(profiles.find("smoke"), seeds=(0, wrong if wrong else -1)),
    ):
        with pytest.raises(ValueError, match=r"whole number.*; got"):
            call()


def test_a_budget_is_of_a_regime_that_there_is():
    with pytest.raises(ValueError, match="unknown regime 'relu'; allowed: "):
        budget("mnist-fc-sgd", "smoke", "relu")


def test_what_an_experiment_may_be():
    common = ("mnist", FullyConnected(2, 3, out_features=1), "sgd", 0.1, 4)
    Experiment("mine", "Mine", *common, loss="squared", classes=(0, 1), initialisation="signed")
    staged = Experiment("mine", "Mine", *common, stages=(1, 4), regimes=("ReLU", "FLNPF-stage-2"), value_epochs=9)
    assert [staged.full_epochs(regime) for regime in staged.regimes] == [4, 9]
    assert Experiment("mine", "Mine", *common).full_epochs("FLNPF") == 4


def test_what_is_published_cannot_be_changed():
    with pytest.raises(TypeError):
        PAPER["mnist-fc-sgd"].reported["ReLU"] = Reported(99.0)
    with pytest.raises(TypeError):
        PAPER["cifar10-continuous"].lines["CNTK"] = 99.0
    with pytest.raises(TypeError):
        PAPER["new"] = PAPER["mnist-fc-sgd"]


def test_planning_does_not_import_torch():
    code = "import sys; from npflib import experiments, profiles; from companion import ledger; "
    code += "from npflib.records import fingerprint, locations, run_records; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
