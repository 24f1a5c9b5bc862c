"""The paper's numbers, typed a second time from the paper, and the budgets of the profiles."""

import subprocess
import sys

import pytest

from npflib import experiments
from npflib.architectures import FullyConnected, GConv, VConv
from npflib.experiments import COMPANION, PAPER, PROFILES, TABLE, Experiment, Published, budget, runs_of

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
    assert list(experiment.published) == list(COLUMNS)
    for regime, cell in zip(COLUMNS, cells, strict=True):
        mean, std = map(float, cell.split("±"))
        assert experiment.published[regime] == Published(mean, std, runs=5)
    assert isinstance(experiment.arch, {"fc": FullyConnected, "vconv": VConv, "gconv": GConv}[network])
    layers = experiment.arch.layers()
    assert [sizes(layer) for layer in layers] == LAYERS[network]
    assert all(layer.bias for layer in layers)
    assert [layer.before for layer in layers if layer.before] == [
        {"fc": "flatten", "vconv": "flatten", "gconv": "pool"}[network]
    ]


def test_continuous_learning_is_the_papers():
    found = PAPER["cifar10-continuous"]
    assert (found.stages, found.epochs_a_stage, found.epochs_value) == (6, 10, 80)
    base = PAPER[found.base]
    assert isinstance(base.arch, GConv)
    assert (base.optimiser, base.learning_rate, base.batch) == ("adam", 3e-4, 32)
    published = {0: 67.09, 1: 72.29, 2: 74.42, 3: 77.0, 4: 78.5, 5: 78.7, 6: 79.43}
    assert {stage: cell.mean for stage, cell in found.published.items()} == published
    assert dict(found.lines) == {"ReLU": 80.32, "CNTK": 77.43}
    assert found.published[3].mean < found.lines["CNTK"] < found.published[4].mean


def test_label_alignment_is_the_papers():
    found = PAPER["mnist-alignment"]
    assert (found.dataset, found.negative, found.positive) == ("mnist", 4, 7)
    assert found.arch == FullyConnected(depth=6, width=100, in_features=784, out_features=1, bias=False)
    assert (found.optimiser, found.learning_rate, found.batch) == ("rmsprop", 1e-4, 64)
    assert (found.epochs, found.every, found.examples_a_class, found.runs) == (50, 2, 100, 5)


def test_kernel_traces_are_the_papers():
    found = PAPER["mnist-kernel-traces"]
    assert found.arch == FullyConnected(depth=6, width=128, in_features=784, out_features=10, bias=True)
    assert (found.dataset, found.optimiser, found.learning_rate, found.batch) == ("mnist", "sgd", 1e-2, 32)
    assert (found.epochs, found.every, found.examples_a_class, found.runs) == (60, 5, 20, 5)


def test_the_companions_network_is_the_adam_row_without_biases():
    (own,) = COMPANION.values()
    row = PAPER["mnist-fc-adam"]
    assert own.name == "mnist-fc-adam-nobias"
    assert own.arch == FullyConnected(depth=6, width=128, bias=False)
    assert (own.optimiser, own.learning_rate, own.epochs, own.batch) == (
        row.optimiser, row.learning_rate, row.epochs, row.batch,
    )  # fmt: skip
    assert not own.published, "it is no row of the paper"


@pytest.mark.parametrize("name", [*(row[0] for row in ROWS), *COMPANION])
def test_the_paper_profile_spends_the_papers_budget_and_the_others_no_more(name):
    full = experiments.find(name).epochs
    paper = budget(name, "paper")
    assert (paper.train_examples, paper.test_examples, paper.epochs) == (None, None, full)
    assert 1 <= budget(name, "smoke").epochs <= budget(name, "quick").epochs < full
    assert budget(name, "smoke").train_examples is not None


def test_profiles_grow():
    smoke, quick, paper = (PROFILES[name] for name in ("smoke", "quick", "paper"))
    assert paper.seeds == (0, 1, 2, 3, 4)
    assert [p.is_full for p in (smoke, quick, paper)] == [False, False, True]
    assert len(smoke.seeds) <= len(quick.seeds) <= len(paper.seeds)
    assert set(smoke.widths) <= set(quick.widths) <= set(paper.widths)
    assert smoke.draws <= quick.draws <= paper.draws
    assert all(name == profile.name for name, profile in PROFILES.items())


@pytest.mark.parametrize("profile", list(PROFILES))
def test_the_book_trains_every_mnist_cell_and_the_relu_before_its_gates_are_copied(profile):
    runs = runs_of(profile)
    expected = {("mnist-fc-adam-nobias", "ReLU")}
    expected |= {(name, regime) for name in ("mnist-fc-sgd", "mnist-fc-adam") for regime in COLUMNS}
    assert set(runs) == expected
    assert len(runs) == len(expected)
    for experiment, regime in runs:
        if regime == "FLNPF":
            assert runs.index((experiment, "ReLU")) < runs.index((experiment, "FLNPF"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: experiments.find("mnist"), r"'mnist'.*mnist-fc-sgd.*mnist-fc-adam-nobias"),
        (lambda: experiments.find("mnist-alignment"), r"'mnist-alignment'; allowed"),
        (lambda: experiments.profile("full"), r"'full'.*smoke, quick, paper"),
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
        ({"epochs": 0}, r"epochs.*positive whole number.*0"),
        ({"epochs": 1.5}, r"epochs.*1\.5"),
        ({"batch": True}, r"batch.*True"),
        ({"published": {"RELU": Published(1.0)}}, r"RELU.*allowed.*ReLU"),
    ],
)
def test_an_experiment_of_ones_own_is_checked(changes, message):
    settings = {
        "name": "mine", "title": "Mine", "dataset": "mnist", "arch": FullyConnected(2, 3), "optimiser": "sgd",
        "learning_rate": 0.1, "epochs": 1,
    }  # fmt: skip
    Experiment(**settings)
    with pytest.raises(ValueError, match=message):
        Experiment(**settings | changes)


def test_what_is_published_cannot_be_changed():
    with pytest.raises(TypeError):
        PAPER["mnist-fc-sgd"].published["ReLU"] = Published(99.0)
    with pytest.raises(TypeError):
        PAPER["new"] = PAPER["mnist-fc-sgd"]


def test_planning_does_not_import_torch():
    code = "import sys; from npflib import experiments, folders, source_hash, claims; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
