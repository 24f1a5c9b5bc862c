"""The training loop against a plain one, and when it trains, reads, resumes or refuses.

Most tests train a tiny network on tiny images under the name of a real experiment; some train the real ones on a few
digits.
"""

import hashlib
import json
import shutil
import threading
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save
from torch import nn
from torch.nn import functional

from npflib import data, experiments, profiles, regimes
from npflib.architectures import FullyConnected, GConv, VConv
from npflib.experiments import Experiment, Probe
from npflib.networks import DeepGatedNetwork
from npflib.paths import neural_path_feature
from npflib.randomness import generator
from npflib.records import locations, run_records
from npflib.records import weights as stored
from npflib.training import runs as training
from npflib.training.autograd import AutogradLearner
from npflib.training.batched import BatchedLearner
from npflib.training.monitors import MEASURES, Batch
from npflib.training.runs import MissingGatesError, ensure, trained_network

TINY = (
    Experiment("mnist-fc-sgd", "tiny", "mnist", FullyConnected(3, 8, 16, 4), "sgd", 0.1, 300, batch=8),
    Experiment("mnist-fc-adam", "tiny", "mnist", FullyConnected(4, 8, 16, 4), "adam", 1e-2, 100, batch=8),
    Experiment("cifar10-vconv-adam", "tiny", "cifar10", VConv(3, 4, 4, True, (2, 3), (5,)), "adam", 1e-2, 2, batch=8),
    Experiment("cifar10-gconv-sgd", "tiny", "cifar10", GConv(3, 4, 4, True, (2, 3), (5,)), "sgd", 1e-1, 2, batch=8),
)
# Wide enough for a path kernel of six examples that can be inverted.
TINY_FC, TINY_CONV = FullyConnected(3, 64, 16, 1, bias=False), GConv(3, 4, 4, True, (2, 3), (5,))
OTHERS = (
    Experiment(
        "cifar10-continuous", "tiny", "cifar10", TINY_CONV, "adam", 1e-2, 6, batch=8, stages=(2, 4, 6), value_epochs=3,
        regimes=("ReLU", "FRNPF-II", "FLNPF-stage-1", "FLNPF-stage-2", "FLNPF-stage-3"),
    ),
    *(
        Experiment(
            name, "tiny", "mnist", TINY_FC, "rmsprop", 1e-2, 3, batch=5, regimes=("ReLU",), classes=(1, 3),
            loss="squared", initialisation="signed", shuffled=shuffled, probe=Probe("alignment", 2, 3),
        )
        for name, shuffled in (("mnist-alignment", False), ("mnist-alignment-shuffled", True))
    ),
    Experiment(
        "mnist-kernel-traces", "tiny", "mnist", FullyConnected(3, 8, 16, 4), "sgd", 0.1, 3, batch=8,
        regimes=("DLNPF",), probe=Probe("traces", 2, 2),
    ),
)  # fmt: skip
EVERY = [(e.name, regime) for e in (*TINY, *OTHERS) for regime in e.regimes]
TRAIN, TEST = 27, 20  # batches of 8, 8, 8 and 3
STEPS = 4


@pytest.fixture(scope="module")
def real_or_stand_in():
    return data.load("mnist")


def tiny_dataset(like: data.Dataset, name: str) -> data.Dataset:
    """Bytes: four classes of noisy prototypes, so that something can be learnt and the test accuracy moves."""
    shape = (1, 4, 4) if name == "mnist" else (3, 4, 4)
    g = torch.Generator().manual_seed(11)
    prototypes = torch.rand(4, *shape, generator=g)

    def draw(count):
        labels = torch.arange(count) % 4
        pixels = (prototypes[labels] + 0.4 * torch.rand(count, *shape, generator=g)) / 1.4
        return pixels.mul(255).to(torch.uint8), labels

    (x, y), (u, v) = draw(TRAIN), draw(TEST)
    return replace(
        like,
        name=name,
        train_images=x,
        train_labels=y,
        test_images=u,
        test_labels=v,
        source=replace(like.source, name=name, train_examples=TRAIN, test_examples=TEST),
    )


def in_dtype(dataset: data.Dataset, dtype: torch.dtype) -> data.Dataset:
    """As ``data.load`` gives it: bytes, or pixels / 255."""
    if dtype is torch.uint8:
        return dataset
    pixels = (images.to(dtype).div(255) for images in (dataset.train_images, dataset.test_images))
    return replace(dataset, **dict(zip(("train_images", "test_images"), pixels, strict=True)))


@pytest.fixture
def tiny(monkeypatch, tmp_path, real_or_stand_in):
    """Tiny experiments, and tiny data that a test may exchange."""
    setup = SimpleNamespace(
        build=tmp_path / "build",
        datasets={name: tiny_dataset(real_or_stand_in, name) for name in ("mnist", "cifar10")},
    )
    monkeypatch.setattr(data, "load", lambda name, dtype=torch.float32: in_dtype(setup.datasets[name], dtype))
    monkeypatch.setattr(experiments, "PAPER", {experiment.name: experiment for experiment in (*TINY, *OTHERS)})
    monkeypatch.setattr(experiments, "COMPANION", {})
    smoke = replace(profiles.PROFILES["smoke"], epochs={"mnist": 3, "cifar10": 2})
    monkeypatch.setattr(profiles, "PROFILES", dict(profiles.PROFILES) | {"smoke": smoke})
    return setup


def run(setup, regime="ReLU", experiment="mnist-fc-adam", seeds=(0, 1), build=None, **more):
    where = {"build": build or setup.build, "device": "cpu", "progress": False}
    return ensure(experiment, regime, "smoke", seeds=seeds, **where, **more)


def weights(setup, regime="ReLU", experiment="mnist-fc-adam", seeds=(0, 1), build=None):
    """Read without the library: what stands before the slash of a tensor's name says which network it is of."""
    found = {}
    for seed in seeds:
        found[seed] = networks = {}
        path = (build or setup.build) / "runs" / experiment / regime / f"seed-{seed}.safetensors"
        for name, tensor in load_file(path).items():
            networks.setdefault(name.split("/")[0], {})[name.split("/")[1]] = tensor
    return found


def replace_weights(folder, experiment, seed, networks):
    """Puts other weights in the place of a ReLU run's, and their digest into its record."""
    path = folder / experiment / "ReLU" / f"seed-{seed}.json"
    content = save({f"{which}/{name}": t.clone() for which, state in networks.items() for name, t in state.items()})
    path.with_suffix(".safetensors").write_bytes(content)
    record = json.loads(path.read_text()) | {"weights": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(record))


def same(one, two) -> bool:
    """Whether nested dictionaries of tensors agree to the bit."""
    if torch.is_tensor(one):
        return torch.equal(one, two)
    return set(one) == set(two) and all(same(one[key], two[key]) for key in one)


def outcome(records):
    """What of a record must be the same again: all but the clock."""
    return [
        (r.regime, r.seed, r.configuration, r.history, r.peak, r.peak_epoch, r.final, r.data, r.series) for r in records
    ]


# --- the loop --------------------------------------------------------------------------------------------------------


def judged(experiment, outputs, labels):
    """Each example's loss, and which answers are right."""
    if experiment.loss == "squared":
        return (outputs[:, 0] - labels) ** 2, outputs[:, 0].sign() == labels
    return functional.cross_entropy(outputs, labels, reduction="none"), outputs.argmax(1) == labels


def plain_loop(experiment, regime, seed, dataset, epochs):
    """The protocol in a few lines of textbook PyTorch: autograd, one example order an epoch, the last batch smaller."""
    network = regimes.start(regime, experiment.arch, seed, initialisation=experiment.initialisation)
    trained = [p for p in network.parameters() if p.requires_grad]
    if experiment.optimiser == "sgd":
        rule = torch.optim.SGD(trained, lr=experiment.learning_rate)
    elif experiment.optimiser == "rmsprop":
        rule = torch.optim.RMSprop(trained, lr=experiment.learning_rate, alpha=0.9, eps=1e-7)
    else:
        rule = torch.optim.Adam(trained, lr=experiment.learning_rate)
    history = {"train_loss": [], "train_accuracy": [], "test_loss": [], "test_accuracy": []}
    count, step = len(dataset.train_labels), 0
    for epoch in range(epochs):
        order, losses, correct = torch.randperm(count, generator=generator(seed, "order", epoch)), [], 0
        for start in range(0, count, experiment.batch):
            chosen = order[start : start + experiment.batch]
            loss, right = judged(experiment, network(dataset.train_images[chosen]), dataset.train_labels[chosen])
            losses += loss.tolist()
            correct += right.sum().item()
            rule.zero_grad()
            loss.mean().backward()
            step += 1
            if experiment.optimiser == "adam":
                rule.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**step) ** 0.5
            rule.step()
        with torch.no_grad():
            loss, right = judged(experiment, network(dataset.test_images), dataset.test_labels)
        history["train_loss"].append(sum(losses) / count)
        history["train_accuracy"].append(correct / count)
        history["test_loss"].append(loss.mean().item())
        history["test_accuracy"].append(right.float().mean().item())
    return network, history


def given_to(setup, experiment) -> data.Dataset:
    """What a run of an experiment trains on, made by hand: pixels / 255, two classes as -1 and +1 where it has two."""
    found = in_dtype(setup.datasets[experiment.dataset], torch.float32)
    if experiment.classes is None:
        return found
    parts = {}
    for part in ("train", "test"):
        images, labels = getattr(found, f"{part}_images"), getattr(found, f"{part}_labels")
        kept = [i for i, label in enumerate(labels.tolist()) if label in experiment.classes]
        signs = [1.0 if labels[i] == experiment.classes[1] else -1.0 for i in kept]
        parts |= {f"{part}_images": images[kept], f"{part}_labels": torch.tensor(signs)}
    return replace(found, **parts)


PLAIN = [pair for pair in EVERY if not pair[1].startswith("FLNPF") and "shuffled" not in pair[0]]


@pytest.mark.parametrize(("experiment", "regime"), PLAIN)
def test_a_run_is_the_plain_loop(tiny, regime, experiment):
    chosen = experiments.find(experiment)
    records = run(tiny, regime, experiment, seeds=(0, 3))
    for record in records:
        network, history = plain_loop(chosen, regime, record.seed, given_to(tiny, chosen), record.epochs)
        # Stages are of one epoch at least, so the ReLU run of three stages has three.
        assert record.epochs == (3 if chosen.dataset == "mnist" or (chosen.stages and regime == "ReLU") else 2)
        for name, expected in history.items():
            # A dozen steps in float32; an accuracy would have to change by one example in 20, that is, not at all.
            assert record.history[name] == pytest.approx(expected, rel=1e-4, abs=1e-6), name
        last = weights(tiny, regime, experiment, (record.seed,))[record.seed]["last"]
        for name, expected in network.state_dict().items():
            torch.testing.assert_close(last[name], expected, rtol=0, atol=1e-4 * expected.abs().max().item() + 1e-6)


@pytest.mark.parametrize(("experiment", "regime"), EVERY)
def test_the_same_seeds_give_the_same_bits_and_other_seeds_others(tiny, tmp_path, regime, experiment):
    first = run(tiny, regime, experiment)
    second = run(tiny, regime, experiment, build=tmp_path / "again")
    assert outcome(first) == outcome(second)
    one, two = weights(tiny, regime, experiment), weights(tiny, regime, experiment, build=tmp_path / "again")
    assert same(one, two)
    assert not same(one[0]["last"], one[1]["last"])
    assert first[0].history["train_loss"] != first[1].history["train_loss"]


def test_each_kind_of_network_has_its_learner(tiny, monkeypatch):
    used = []
    for kind in (BatchedLearner, AutogradLearner):
        start = kind.__init__
        monkeypatch.setattr(
            kind,
            "__init__",
            lambda self, *a, _start=start, _kind=kind, **o: (used.append(_kind), _start(self, *a, **o))[1],
        )
    run(tiny, experiment="mnist-fc-sgd")
    run(tiny, experiment="cifar10-gconv-sgd")
    assert used == [BatchedLearner, AutogradLearner]


@pytest.mark.parametrize("experiment", ["mnist-fc-adam", "cifar10-vconv-adam"])
@pytest.mark.parametrize("regime", ["FLNPF", "FRNPF-DI", "FRNPF-II"])
def test_frozen_features_end_as_they_began(tiny, regime, experiment):
    run(tiny, regime, experiment)
    arch = experiments.find(experiment).arch
    for seed, found in weights(tiny, regime, experiment).items():
        learnt = weights(tiny, "ReLU", experiment)[seed]["best"] if regime == "FLNPF" else None
        if learnt is None:
            purpose = "value" if regime == "FRNPF-DI" else "feature"
            learnt = training.ReLUNetwork(arch, generator(seed, purpose)).state_dict()
        for which in ("best", "last"):
            state = found[which]
            assert same({k.removeprefix("feature."): v for k, v in state.items() if "feature" in k}, dict(learnt))
        moved = [k for k, v in found["last"].items() if "value" in k and not torch.equal(v, learnt[k[6:]])]
        assert moved


@pytest.mark.parametrize("experiment", ["mnist-fc-sgd", "mnist-fc-adam"])
@pytest.mark.parametrize("regime", experiments.find("mnist-fc-adam").regimes)
def test_an_epoch_of_every_mnist_cell_on_a_few_digits(monkeypatch, tmp_path, real_or_stand_in, regime, experiment):
    small = replace(profiles.PROFILES["smoke"], seeds=(0, 1), train_examples=100, test_examples=50, epochs={"mnist": 1})
    monkeypatch.setattr(profiles, "PROFILES", {"smoke": small})
    monkeypatch.setattr(data, "load", lambda _name, dtype: real_or_stand_in)
    records = ensure(experiment, regime, "smoke", build=tmp_path, device="cpu", progress=False)
    assert [record.seed for record in records] == [0, 1]
    for record in records:
        assert record.configuration["width"] == 128
        assert record.configuration["train_examples"] == 100
        # 100 digits make three steps of 32 and one of 4.
        assert 0.5 < record.history["train_loss"][0] < 4
        network = trained_network(experiment, regime, record.seed, "smoke", build=tmp_path, which="last")
        subset = data.subset(real_or_stand_in, 100, 50)
        with torch.no_grad():
            accuracy = (network(subset.test_images).argmax(1) == subset.test_labels).double().mean().item()
        assert accuracy == pytest.approx(record.final, abs=1e-12)


# --- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", experiments.find("mnist-fc-adam").regimes)
def test_records_are_complete_and_consistent_and_lie_on_the_disk(tiny, regime):
    for record in run(tiny, regime):
        path = tiny.build / "runs" / "mnist-fc-adam" / regime / f"seed-{record.seed}.json"
        assert run_records.read(path) == record
        found = json.loads(path.read_text())
        assert found["schema"] == run_records.SCHEMA
        accuracy = record.history["test_accuracy"]
        assert (record.peak, record.final) == (max(accuracy), accuracy[-1])
        assert accuracy[record.peak_epoch - 1] == record.peak
        assert all(value < record.peak for value in accuracy[: record.peak_epoch - 1])
        assert {len(series) for series in record.history.values()} == {3}
        assert record.profile == "smoke"
        assert record.seconds > 0
        wanted = {
            "architecture": "FullyConnected", "depth": 4, "width": 8, "in_features": 16, "out_features": 4,
            "bias": True, "initialisation": "glorot_uniform, zero biases", "loss": "cross_entropy", "stages": [],
            "classes": None, "labels": "true", "probe": None, "precision": "float32", "optimiser": "adam",
            "learning_rate": 1e-2, "batch": 8, "epochs": 3, "full_epochs": 100, "train_examples": TRAIN,
            "test_examples": TEST,
        }  # fmt: skip
        assert {key: record.configuration[key] for key in wanted} == wanted
        assert (record.configuration["soft_gate"] == {"beta": 4.0, "eps": 0.1}) == (regime == "DLNPF")
        assert bool(record.configuration["gates_from"]) == (regime == "FLNPF")
        assert record.series == {}
        assert record.data == tiny.datasets["mnist"].source.as_dict()
        assert record.data["checksums"]
        assert record.environment["torch"] == torch.__version__
        assert record.environment["threads"] == torch.get_num_threads()
        assert record.environment["device"]
        assert record.library == {"version": version("npflib"), "source": training.training_source_hash()}


def test_best_weights_are_the_first_peaks_and_last_weights_the_last_epochs(tiny, monkeypatch):
    """The test accuracies are dictated, so that the peak is in the middle and is reached twice."""
    given = iter([[0.25, 0.5], [0.75, 0.5], [0.75, 0.25]])
    states = []

    def dictated(self):
        states.append([self.state_dict(copy) for copy in range(self.copies)])
        return [1.0, 1.0], next(given)

    monkeypatch.setattr(BatchedLearner, "test", dictated)
    records = run(tiny)
    assert [(r.peak, r.peak_epoch, r.final) for r in records] == [(0.75, 2, 0.75), (0.5, 1, 0.25)]
    for copy, best in enumerate((1, 0)):
        found = weights(tiny)[copy]
        assert same(found["best"], states[best][copy])
        assert same(found["last"], states[2][copy])
        for which in ("best", "last"):
            network = trained_network("mnist-fc-adam", "ReLU", copy, "smoke", build=tiny.build, which=which)
            assert same(dict(network.state_dict()), found[which])


def test_learnt_gates_are_the_best_epochs(tiny):
    """The file of the ReLU network is given a best epoch unlike its last: the gates must be that one's."""
    run(tiny, "ReLU")
    state = weights(tiny)[1]
    state["best"] = {name: -2 * value for name, value in state["last"].items()}
    replace_weights(tiny.build / "runs", "mnist-fc-adam", 1, state)
    run(tiny, "FLNPF")
    network = trained_network("mnist-fc-adam", "FLNPF", 1, "smoke", build=tiny.build, which="last")
    assert isinstance(network, DeepGatedNetwork)
    assert network.gate == "hard"
    assert same(dict(network.feature.state_dict()), state["best"])


def test_learnt_gates_train_their_relu_networks_of_the_same_seeds_first(tiny):
    run(tiny, "FLNPF", seeds=(4, 2))
    runs = tiny.build / "runs" / "mnist-fc-adam"
    assert sorted(path.name for path in (runs / "ReLU").glob("*.json")) == ["seed-2.json", "seed-4.json"]
    assert sorted(path.name for path in (runs / "FLNPF").glob("*.json")) == ["seed-2.json", "seed-4.json"]
    learnt, found = weights(tiny, "ReLU", seeds=(2, 4)), weights(tiny, "FLNPF", seeds=(2, 4))
    for seed in (2, 4):
        gates = {name.removeprefix("feature."): v for name, v in found[seed]["last"].items() if "feature" in name}
        assert same(gates, learnt[seed]["best"]), "each seed copies its own"


def dictate(monkeypatch, accuracies):
    """Lets the test accuracies of successive epochs be these, one list an epoch; returns the weights of each epoch."""
    given, states = iter(accuracies), []

    def dictated(self):
        states.append([self.state_dict(copy) for copy in range(self.copies)])
        return [1.0] * self.copies, next(given)

    for kind in (BatchedLearner, AutogradLearner):
        monkeypatch.setattr(kind, "test", dictated)
    return states


def test_a_stage_keeps_the_best_network_up_to_its_end(tiny, monkeypatch):
    """Stages of one epoch. Copy 0 is best in epoch 1, copy 1 gets better each time."""
    with monkeypatch.context() as patch:
        states = dictate(patch, [[0.5, 0.25], [0.25, 0.5], [0.5, 0.75]])
        records = run(tiny, "ReLU", "cifar10-continuous")
    assert [record.configuration["stages"] for record in records] == [[1, 2, 3]] * 2
    found = weights(tiny, "ReLU", "cifar10-continuous")
    for copy, best in enumerate(((0, 0, 0), (0, 1, 2))):
        assert set(found[copy]) == {"best", "last", "stage-1", "stage-2", "stage-3"}
        for stage, epoch in enumerate(best, 1):
            assert same(found[copy][f"stage-{stage}"], states[epoch][copy]), (copy, stage)
            network = trained_network(
                "cifar10-continuous", "ReLU", copy, "smoke", build=tiny.build, which=f"stage-{stage}"
            )
            assert same(dict(network.state_dict()), found[copy][f"stage-{stage}"])
        assert same(found[copy]["best"], found[copy]["stage-3"])
        assert same(found[copy]["last"], states[2][copy])
    for stage in (1, 2, 3):
        (record, _) = run(tiny, f"FLNPF-stage-{stage}", "cifar10-continuous")
        assert record.configuration["gates_from"].endswith(f"best epoch on the test set up to epoch {stage}")
        assert (record.configuration["stages"], record.epochs) == ([], 2)
        gates = weights(tiny, f"FLNPF-stage-{stage}", "cifar10-continuous")
        for seed in (0, 1):
            for which in ("best", "last"):
                frozen = {k.removeprefix("feature."): v for k, v in gates[seed][which].items() if "feature" in k}
                assert same(frozen, found[seed][f"stage-{stage}"])


def test_gates_of_a_stage_train_their_relu_networks_first(tiny):
    run(tiny, "FLNPF-stage-2", "cifar10-continuous", seeds=(4, 2))
    for regime in ("ReLU", "FLNPF-stage-2"):
        found = run_records.read_all(tiny.build / "runs", "cifar10-continuous", regime)
        assert [record.seed for record in found] == [2, 4]


def test_a_finished_run_has_no_stage_before_its_time(tiny, monkeypatch):
    """A ReLU run without stages keeps none, whatever its name."""
    run(tiny, "ReLU", "cifar10-gconv-sgd")
    assert set(weights(tiny, "ReLU", "cifar10-gconv-sgd")[0]) == {"best", "last"}


# --- what is measured along a run ------------------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", ["mnist-alignment", "mnist-alignment-shuffled"])
def test_the_alignment_is_measured_before_and_along_training_on_the_first_of_each_class(tiny, experiment):
    chosen = experiments.find(experiment)
    mine = given_to(tiny, chosen)
    labels = mine.train_labels.tolist()
    batch = [i for sign in (-1.0, 1.0) for i in [i for i, label in enumerate(labels) if label == sign][:3]]
    order = torch.randperm(len(mine.train_labels), generator=generator(0, "labels"))
    trained_on = mine.train_labels[order] if chosen.shuffled else mine.train_labels
    # With a cap of two epochs of three, the interval of two shrinks to one.
    for record in run(tiny, "ReLU", experiment, epochs=2):
        assert record.configuration["probe"] == {"name": "alignment", "every": 1, "examples_a_class": 3}
        assert record.series["epoch"] == [0, 1, 2]
        ends = {
            0: regimes.start("ReLU", chosen.arch, record.seed, None, "signed"),
            2: trained_network(experiment, "ReLU", record.seed, "smoke", build=tiny.build, which="last"),
        }
        for position, network in ends.items():
            x = mine.train_images[batch].flatten(1).double()
            path_features = neural_path_feature(x, [g.double() for g in network.gates(x.float())])
            kernel = path_features @ path_features.T
            inverse = torch.linalg.inv(kernel)
            for name, labels in (("nu", mine.train_labels), ("nu_trained", trained_on)):
                y = labels[batch].double()
                expected = (kernel.trace() * (y @ inverse @ y)).item()
                assert record.series[name][position] == pytest.approx(expected, rel=1e-6), (name, position)
            assert record.series["trace"][position] == pytest.approx(kernel.trace().item(), rel=1e-12)
    assert {r.configuration["labels"] for r in run(tiny, "ReLU", experiment, epochs=2)} == {
        "permuted once" if chosen.shuffled else "true"
    }


def test_a_probe_looks_at_its_interval_only_and_at_the_start(tiny):
    for record in (*run(tiny, "ReLU", "mnist-alignment"), *run(tiny, "DLNPF", "mnist-kernel-traces")):
        assert record.epochs == 3
        assert record.series["epoch"] == [0, 2]
        assert {len(values) for values in record.series.values()} == {2}


def test_the_traces_of_the_first_epoch_are_the_starting_networks(tiny):
    chosen = experiments.find("mnist-kernel-traces")
    mine = given_to(tiny, chosen)
    examples = MEASURES["traces"].choose(mine.train_labels, 2)
    assert sorted(mine.train_labels[examples].tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    for record in run(tiny, "DLNPF", "mnist-kernel-traces"):
        network = regimes.start("DLNPF", chosen.arch, record.seed)
        found = MEASURES["traces"].measure(network, Batch(mine.train_images[examples], examples, examples))
        assert set(record.series) == {"epoch", *found}
        for name, number in found.items():
            assert record.series[name][0] == number, name


def test_measuring_changes_nothing(tiny, monkeypatch, tmp_path):
    with_probe = run(tiny, "DLNPF", "mnist-kernel-traces")
    blind = tuple(replace(e, probe=None) for e in OTHERS)
    monkeypatch.setattr(experiments, "PAPER", {e.name: e for e in blind})
    without = run(tiny, "DLNPF", "mnist-kernel-traces", build=tmp_path / "blind")
    assert [r.history for r in with_probe] == [r.history for r in without]
    assert all(record.series == {} for record in without)


def test_shuffled_labels_are_a_permutation_the_same_for_every_seed_and_the_test_labels_stay(tiny, monkeypatch):
    seen = []
    start = BatchedLearner.__init__
    monkeypatch.setattr(
        BatchedLearner, "__init__", lambda self, *a, **o: (seen.append(a[1:5]), start(self, *a, **o))[1]
    )
    for seeds in ((0,), (1, 2)):
        run(tiny, "ReLU", "mnist-alignment-shuffled", seeds=seeds)
    run(tiny, "ReLU", "mnist-alignment", seeds=(0,))
    (x, y, u, v), (x2, y2, *_), (plain_x, plain_y, plain_u, plain_v) = seen
    assert torch.equal(y, y2)
    assert torch.equal(x, x2)
    assert all(torch.equal(a, b) for a, b in ((x, plain_x), (u, plain_u), (v, plain_v)))
    assert not torch.equal(y, plain_y)
    assert torch.equal(y.sort().values, plain_y.sort().values)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_shuffling_permutes_labels_and_nothing_else(labels):
    images = torch.arange(len(labels))[:, None]
    before = data.Dataset("mnist", images, torch.tensor(labels), images, torch.tensor(labels), None)
    after = training.shuffled(before)
    assert sorted(after.train_labels.tolist()) == sorted(labels)
    assert torch.equal(before.train_labels, torch.tensor(labels)), "what was given is left alone"
    assert torch.equal(after.train_labels, training.shuffled(before).train_labels)
    assert after.train_images is images
    assert after.test_labels is before.test_labels


# --- fewer epochs, fewer bits ----------------------------------------------------------------------------------------


def test_a_cap_shortens_a_run_and_the_record_says_so(tiny, monkeypatch):
    paper = replace(profiles.PROFILES["smoke"], train_examples=None, test_examples=None, epochs={}, limits={})
    monkeypatch.setattr(profiles, "PROFILES", {"paper": replace(paper, name="paper")})
    real = replace(tiny.datasets["cifar10"].source, stand_in=False)
    tiny.datasets["cifar10"] = replace(tiny.datasets["cifar10"], source=real)
    options = {"seeds": (0,), "build": tiny.build, "device": "cpu", "progress": False}
    for epochs, expected in ((1, 1), (None, 2), (7, 2)):
        (record,) = ensure("cifar10-gconv-sgd", "FRNPF-II", "paper", epochs=epochs, **options)
        assert (record.epochs, record.configuration["epochs"], record.configuration["full_epochs"]) == (
            expected, expected, 2,
        )  # fmt: skip
        assert record.is_full == (expected == 2)
    ensure("cifar10-gconv-sgd", "FLNPF", "paper", epochs=1, **options)
    (learnt,) = run_records.read_all(tiny.build / "runs", "cifar10-gconv-sgd", "ReLU")
    assert learnt.epochs == 1, "the gates' network is capped alike"


def test_a_capped_run_takes_no_longer_runs_place(tiny):
    (whole,) = run(tiny, "ReLU", seeds=(0,))
    for regime in ("ReLU", "FLNPF"):
        with pytest.raises(ValueError, match=r"seed-0\.json is a longer run than 1 epochs: give another build folder"):
            run(tiny, regime, seeds=(0,), epochs=1)
    assert run(tiny, "ReLU", seeds=(0,)) == [whole], "it is still there and valid"
    run(tiny, "FRNPF-II", seeds=(0,), epochs=1)
    assert run(tiny, "FRNPF-II", seeds=(0,))[0].epochs == whole.epochs, "a longer run may replace a capped one"


def test_an_experiment_with_stages_cannot_be_capped(tiny):
    with pytest.raises(ValueError, match=r"cifar10-continuous has stages.*leave out `epochs`"):
        run(tiny, "ReLU", "cifar10-continuous", epochs=2)


def test_a_capped_run_is_the_beginning_of_the_whole(tiny, tmp_path):
    whole = run(tiny, "DLNPF")
    for record, short in zip(whole, run(tiny, "DLNPF", build=tmp_path / "short", epochs=2), strict=True):
        assert {name: values[:2] for name, values in record.history.items()} == short.history


@pytest.mark.parametrize("regime", ["ReLU", "DLNPF", "FLNPF", "FRNPF-II"])
def test_bfloat16_is_recorded_and_leaves_weights_in_float32(tiny, tmp_path, regime):
    full = run(tiny, regime, "cifar10-vconv-adam")
    low = run(tiny, regime, "cifar10-vconv-adam", precision="bfloat16", build=tmp_path / "low")
    assert [r.configuration["precision"] for r in (*full, *low)] == ["float32"] * 2 + ["bfloat16"] * 2
    assert [r.history for r in full] != [r.history for r in low]
    found = weights(tiny, regime, "cifar10-vconv-adam", build=tmp_path / "low")
    for state in found.values():
        assert {t.dtype for part in state.values() for t in part.values()} == {torch.float32}
    assert same(found, weights(tiny, regime, "cifar10-vconv-adam", build=tmp_path / "low"))


def test_nothing_but_products_is_left(tiny):
    run(tiny, "FLNPF")
    left = sorted(str(path.relative_to(tiny.build)) for path in tiny.build.rglob("*") if path.is_file())
    left = [path for path in left if not path.endswith(".lock")]  # what a second process waits at
    assert left == sorted(
        f"runs/mnist-fc-adam/{regime}/seed-{seed}.{end}"
        for end in ("json", "safetensors")
        for regime in ("ReLU", "FLNPF")
        for seed in (0, 1)
    )


# --- reading instead of training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", ["ReLU", "FLNPF"])
def test_valid_records_are_read(tiny, regime, monkeypatch):
    before = run(tiny, regime)
    monkeypatch.setattr(training, "_Run", lambda *_arguments: pytest.fail("something was trained"))
    assert run(tiny, regime) == before
    assert [record.seed for record in run(tiny, regime, seeds=(1, 0))] == [1, 0]


RUN = training._Run


def trained_seeds(monkeypatch):
    """Notes which seeds are trained."""
    noted = []

    def note(order, seeds, *rest):
        noted.append((order.regime, list(seeds)))
        return RUN(order, seeds, *rest)

    monkeypatch.setattr(training, "_Run", note)
    return noted


def test_only_what_is_missing_is_trained(tiny, monkeypatch):
    noted = trained_seeds(monkeypatch)
    before = run(tiny, seeds=(0, 1))
    after = run(tiny, seeds=(2, 1, 0, 5))
    assert noted == [("ReLU", [0, 1]), ("ReLU", [2, 5])]
    assert [record.seed for record in after] == [2, 1, 0, 5]
    assert after[2:0:-1] == before


def change_settings(tiny, monkeypatch):
    changed = tuple(replace(e, learning_rate=e.learning_rate / 2) for e in TINY)
    monkeypatch.setattr(experiments, "PAPER", {e.name: e for e in changed})


def change_budget(tiny, monkeypatch):
    smoke = replace(profiles.PROFILES["smoke"], epochs={"mnist": 2})
    monkeypatch.setattr(profiles, "PROFILES", dict(profiles.PROFILES) | {"smoke": smoke})


def change_one_pixel(tiny, _monkeypatch):
    before = tiny.datasets["mnist"]
    images = before.train_images.clone()
    images[3, 0, 1, 1] ^= 1
    tiny.datasets["mnist"] = replace(before, train_images=images)


def change_one_test_label(tiny, _monkeypatch):
    before = tiny.datasets["mnist"]
    labels = before.test_labels.clone()
    labels[0] = (labels[0] + 1) % 4
    tiny.datasets["mnist"] = replace(before, test_labels=labels)


def change_source_of_data(tiny, _monkeypatch):
    before = tiny.datasets["mnist"]
    tiny.datasets["mnist"] = replace(before, source=replace(before.source, stand_in=not before.source.stand_in))


def change_code(_tiny, monkeypatch):
    monkeypatch.setattr(training, "training_source_hash", lambda: "0" * 16)


def lose_weights(tiny, _monkeypatch):
    for path in (tiny.build / "runs").rglob("*.safetensors"):
        path.unlink()


@pytest.mark.parametrize(
    "change",
    [
        change_settings,
        change_budget,
        change_one_pixel,
        change_one_test_label,
        change_source_of_data,
        change_code,
        lose_weights,
    ],
)
def test_records_of_other_settings_data_or_code_are_replaced(tiny, monkeypatch, change):
    before = run(tiny)
    noted = trained_seeds(monkeypatch)
    change(tiny, monkeypatch)
    after = run(tiny)
    assert noted == [("ReLU", [0, 1])]
    if change is lose_weights:
        assert outcome(after) == outcome(before)
    else:
        assert (after[0].configuration, after[0].data, after[0].library) != (
            before[0].configuration, before[0].data, before[0].library,
        )  # fmt: skip
    assert run_records.read_all(tiny.build / "runs", "mnist-fc-adam", "ReLU") == after
    run(tiny)
    assert len(noted) == 1, "and then they are valid"


# --- weights that are published --------------------------------------------------------------------------------------


@pytest.fixture
def publish(tiny, tmp_path, monkeypatch):
    """Trains ReLU runs elsewhere and publishes them with weights that no training here would give."""
    monkeypatch.setattr(locations, "published", lambda: tmp_path / "results")

    def published(experiment="mnist-fc-adam", seeds=(0,)):
        run(tiny, experiment=experiment, seeds=seeds, build=tmp_path / "elsewhere")
        shutil.copytree(tmp_path / "elsewhere" / "runs", tmp_path / "results")
        for seed, networks in weights(tiny, experiment=experiment, seeds=seeds, build=tmp_path / "elsewhere").items():
            scaled = {which: {name: -2 * t for name, t in state.items()} for which, state in networks.items()}
            replace_weights(tmp_path / "results", experiment, seed, scaled)
        return tmp_path / "results"

    return published


def test_records_hold_the_digest_of_their_weights_and_of_those_whose_gates_they_copied(tiny):
    for regime in ("ReLU", "FRNPF-II", "FLNPF"):
        for record in run(tiny, regime):
            folder = tiny.build / "runs" / "mnist-fc-adam"
            files = {name: folder / name / f"seed-{record.seed}.safetensors" for name in (regime, "ReLU")}
            digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
            assert record.weights == digests[regime]
            assert record.gates == (digests["ReLU"] if regime == "FLNPF" else "")


@pytest.mark.parametrize(
    ("experiment", "regime"), [("mnist-fc-adam", "FLNPF"), ("cifar10-continuous", "FLNPF-stage-2")]
)
def test_gates_are_copied_from_a_published_network_where_the_build_has_none(
    tiny, publish, monkeypatch, experiment, regime
):
    """Of seed 0 the network is published, by other code; seed 1's is trained."""
    folder = publish(experiment)
    there = run_records.read(run_records.path_of(folder, experiment, "ReLU", 0))
    noted = trained_seeds(monkeypatch)
    monkeypatch.setattr(training, "training_source_hash", lambda: "0" * 16)
    records = run(tiny, regime, experiment)
    assert noted == [("ReLU", [1]), (regime, [0, 1])]
    assert not (tiny.build / "runs" / experiment / "ReLU" / "seed-0.json").exists()
    assert records[0].gates == there.weights
    assert records[1].gates == run_records.read(run_records.path_of(tiny.build / "runs", experiment, "ReLU", 1)).weights
    kept = load_file(folder / experiment / "ReLU" / "seed-0.safetensors")
    which = "best" if regime == "FLNPF" else "stage-2"
    feature = trained_network(experiment, regime, 0, "smoke", build=tiny.build).feature
    assert same({f"{which}/{name}": t for name, t in feature.state_dict().items()}, {
        key: t for key, t in kept.items() if key.startswith(f"{which}/")
    })  # fmt: skip


def test_the_builds_own_network_goes_before_the_published_one(tiny, publish):
    publish()
    (own,) = run(tiny, "ReLU", seeds=[0])
    assert run(tiny, "FLNPF", seeds=[0])[0].gates == own.weights


def ask_for_more_epochs(_tiny, monkeypatch):
    longer = replace(profiles.PROFILES["smoke"], epochs={"mnist": 4})
    monkeypatch.setattr(profiles, "PROFILES", dict(profiles.PROFILES) | {"smoke": longer})


def test_a_longer_published_network_goes_before_the_builds_own(tiny, publish, monkeypatch):
    """A replay of FLNPF has the gates of the whole ReLU run, and not of that one's replay."""
    folder = publish()
    change_budget(tiny, monkeypatch)
    (own,) = run(tiny, "ReLU", seeds=[0])
    (copied,) = run(tiny, "FLNPF", seeds=[0])
    whole = run_records.read(run_records.path_of(folder, "mnist-fc-adam", "ReLU", 0))
    assert (own.epochs, copied.epochs, whole.epochs) == (2, 2, 3)
    assert copied.gates == whole.weights != own.weights


@pytest.mark.parametrize("change", [change_settings, ask_for_more_epochs, change_one_pixel, change_source_of_data])
def test_a_published_network_of_other_settings_or_data_is_not_used(tiny, publish, monkeypatch, change):
    publish()
    change(tiny, monkeypatch)
    noted = trained_seeds(monkeypatch)
    run(tiny, "FLNPF", seeds=[0])
    assert noted == [("ReLU", [0]), ("FLNPF", [0])]


def test_a_published_network_can_be_had_in_its_own_profile(tiny, publish):
    folder = publish()
    network = trained_network("mnist-fc-adam", "ReLU", 0, "smoke", build=tiny.build, which="last")
    kept = load_file(folder / "mnist-fc-adam" / "ReLU" / "seed-0.safetensors")
    assert all(torch.equal(t, kept[f"last/{name}"]) for name, t in network.state_dict().items())
    with pytest.raises(MissingGatesError, match=r"npf train .*--profile quick --seeds 0"):
        trained_network("mnist-fc-adam", "ReLU", 0, "quick", build=tiny.build)


def test_weights_that_are_not_the_records_are_refused_and_named(tiny, publish):
    path = publish() / "mnist-fc-adam" / "ReLU" / "seed-0.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    tampered = r"ReLU.seed-0\.safetensors holds other weights than its run's: its SHA-256 is [0-9a-f]{64}.*Restore"
    with pytest.raises(ValueError, match=tampered):
        run(tiny, "FLNPF", seeds=[0])
    with pytest.raises(ValueError, match=tampered):
        trained_network("mnist-fc-adam", "ReLU", 0, "smoke", build=tiny.build)
    assert not (tiny.build / "runs" / "mnist-fc-adam" / "FLNPF").exists()


def test_a_file_of_weights_that_holds_none_is_named_with_the_mend(tmp_path):
    path = tmp_path / "seed-0.safetensors"
    for content in (b"", b"x" * 100, (10**15).to_bytes(8, "little") + b"{}"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"seed-0\.safetensors holds no tensors .*Restore both"):
            stored.read(path, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("change", ["name", "shape"])
def test_weights_that_lack_a_network_are_named_with_the_mend(tiny, publish, change):
    folder = publish()
    kept = weights(tiny, seeds=(0,), build=folder.parent / "elsewhere")[0]
    other = {"best": kept["best"], "first": kept["last"]} if change == "name" else {"last": {"a": torch.ones(2)}}
    replace_weights(folder, "mnist-fc-adam", 0, other)
    with pytest.raises(
        ValueError, match=r"(?s)seed-0\.safetensors holds no network 'last' of FullyConnected.*Restore both"
    ):
        trained_network("mnist-fc-adam", "ReLU", 0, "smoke", build=tiny.build, which="last")


def test_a_checkpoint_behind_other_gates_is_not_gone_on_with(tiny, publish, monkeypatch, caplog):
    folder = publish()
    record = run_records.read(run_records.path_of(folder, "mnist-fc-adam", "ReLU", 0))

    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "_write", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tiny, "FLNPF", seeds=[0])
    shutil.rmtree(folder)
    (again,) = run(tiny, "FLNPF", seeds=[0])
    assert "starting afresh" in caplog.text
    assert again.gates not in ("", record.weights)


def test_a_broken_record_is_named_and_not_overwritten(tiny):
    run(tiny)
    path = tiny.build / "runs" / "mnist-fc-adam" / "ReLU" / "seed-1.json"
    path.write_text("{")
    with pytest.raises(run_records.RecordError, match=r"seed-1\.json.*Delete it"):
        run(tiny)
    assert path.read_text() == "{"


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": "mnist-fc"}, r"unknown experiment 'mnist-fc'; allowed: .*mnist-fc-adam-nobias"),
        ({"experiment": "mnist-fc-rmsprop"}, r"unknown experiment"),
        ({"regime": "relu"}, r"unknown regime 'relu'; allowed: .*ReLU"),
        ({"regime": "FLNPF-stage-0"}, r"unknown regime 'FLNPF-stage-0'"),
        ({"regime": "FLNPF-stage-1"}, r"mnist-fc-adam has no regime 'FLNPF-stage-1'; it has: ReLU, DLNPF, FLNPF,"),
        ({"experiment": "cifar10-continuous", "regime": "FLNPF"}, r"has no regime 'FLNPF'; it has: .*FLNPF-stage-6"),
        ({"experiment": "cifar10-continuous", "regime": "FLNPF-stage-7"}, r"has no regime 'FLNPF-stage-7'"),
        ({"experiment": "mnist-alignment", "regime": "DLNPF"}, r"mnist-alignment has no regime 'DLNPF'; .*: ReLU\."),
        ({"precision": "bfloat16"}, r"unknown precision 'bfloat16' of mnist-fc-adam; allowed: float32"),
        (
            {"experiment": "cifar10-gconv-sgd", "precision": "half"},
            r"unknown precision 'half' of cifar10-gconv-sgd; allowed: float32, bfloat16",
        ),
        ({"profile": "full"}, r"unknown profile 'full'; allowed: smoke, quick, paper"),
        ({"seeds": []}, r"seeds must be one or more"),
        ({"seeds": [0, 1, 0]}, r"different whole numbers; got \[0, 1, 0\]"),
        ({"seeds": [-1]}, r"at least 0 and below 2\^32; got -1"),
        ({"seeds": [0.5]}, r"whole number.*0\.5"),
        ({"seeds": [True]}, r"whole number.*True"),
        ({"seeds": "01"}, r"whole number.*'0'"),
        ({"device": "abacus"}, r"device 'abacus' is not there; use 'cpu'"),
        ({"device": "cuda:99"}, r"device 'cuda:99' is not there; use 'cpu'"),
        ({"device": "meta"}, r"device 'meta' is not there; use 'cpu'"),  # which torch knows, without memory
    ],
)
def test_bad_requests_are_refused_before_any_data_are_loaded(monkeypatch, tmp_path, changes, message):
    monkeypatch.setattr(data, "load", lambda *_a, **_o: pytest.fail("data were loaded"))
    request = {"experiment": "mnist-fc-adam", "regime": "ReLU", "profile": "smoke"} | changes
    with pytest.raises(ValueError, match=message):
        ensure(**request, build=tmp_path / "build", progress=False)
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("mnist", "ReLU", 0), {}, r"unknown experiment 'mnist'"),
        (("mnist-fc-adam", "relu", 0), {}, r"unknown regime 'relu'"),
        (("mnist-fc-adam", "ReLU", 0, "full"), {}, r"unknown profile 'full'"),
        (("mnist-fc-adam", "ReLU", 0), {"which": "peak"}, r"which must be one of 'best', 'last'; got 'peak'"),
        (("mnist-fc-adam", "ReLU", 0), {"which": "stage-1"}, r"one of 'best', 'last'; got 'stage-1'"),
        (
            ("cifar10-continuous", "ReLU", 0),
            {"which": "stage-7"},
            r"'best', 'last', 'stage-1', .*'stage-6'; got 'stage-7'",
        ),
        (("cifar10-continuous", "ReLU", 0), {"which": "stage-0"}, r"got 'stage-0'"),
        (("cifar10-continuous", "FLNPF-stage-1", 0), {"which": "stage-1"}, r"'best', 'last'; got 'stage-1'"),
        (
            ("mnist-fc-adam", "ReLU", 7, "smoke"),
            {},
            r"no weights of mnist-fc-adam, ReLU, seed 7.*npf train .*--seeds 7",
        ),
    ],
)
def test_a_network_that_cannot_be_had_is_refused_with_the_mend(tmp_path, arguments, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        trained_network(*arguments, build=tmp_path, **options)
    assert isinstance(caught.value, MissingGatesError) == ("npf train" in message)


def test_gates_and_value_network_start_from_different_weights(tiny):
    """FLNPF's value network is a fresh start, not the start its gates were learnt from."""
    arch = TINY[1].arch
    relu = regimes.start("ReLU", arch, 0)
    value = regimes.start("FLNPF", arch, 0, relu).value
    assert isinstance(relu, nn.Module)
    assert not any(torch.equal(a, b) for a, b in zip(relu.weights, value.weights, strict=True))


# --- what goes wrong, and several at once ----------------------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch):
    """One entry a step that is taken, whichever learner takes it."""
    taken = []
    for kind in (BatchedLearner, AutogradLearner):
        go = kind.gradients
        monkeypatch.setattr(
            kind, "gradients", lambda self, chosen, go=go: (taken.append(len(chosen)), go(self, chosen))
        )
    return taken


def exploding(monkeypatch, *wrong: int) -> None:
    """Networks of these seeds start with weights whose products no number can hold."""
    start = regimes.start

    def started(regime, arch, seed, *more):
        network = start(regime, arch, seed, *more)
        if seed in wrong:
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.mul_(1e30)
        return network

    monkeypatch.setattr(regimes, "start", started)


@pytest.mark.parametrize(
    ("experiment", "regime"), [("mnist-fc-sgd", "ReLU"), ("mnist-fc-adam", "DLNPF"), ("cifar10-gconv-sgd", "ReLU")]
)
def test_a_seed_that_diverges_is_named_and_the_others_are_kept(tiny, monkeypatch, experiment, regime):
    told = r"not finite after epoch 1 of seed 1 \(at best \d+\.\d\d % until then\)\. .* smaller one"
    with monkeypatch.context() as patch:
        exploding(patch, 1)
        with pytest.raises(training.DivergenceError, match=told):
            run(tiny, regime, experiment, seeds=(0, 1, 2))
    folder = tiny.build / "runs" / experiment / regime
    assert sorted(path.stem for path in folder.glob("*.json")) == ["seed-0", "seed-2"]
    alone = run(tiny, regime, experiment, seeds=(0, 2), build=tiny.build.with_name("alone"))
    for record, other in zip(run(tiny, regime, experiment, seeds=(0, 2)), alone, strict=True):
        assert record.history["test_accuracy"] == other.history["test_accuracy"]
    assert not list((tiny.build / "checkpoints").rglob("*.pt"))


def test_training_ends_at_the_first_epoch_after_which_no_seed_is_finite(tiny, monkeypatch, steps):
    exploding(monkeypatch, 0, 1)
    with pytest.raises(training.DivergenceError, match=r"epoch 1 of seed 0 .*, epoch 1 of seed 1 "):
        run(tiny)
    assert len(steps) == STEPS, "one epoch of three"
    assert not (tiny.build / "runs").exists()


def stop_at_record(monkeypatch, number: int) -> None:
    """Training ends by force when its record of that number is to be written."""
    calls, write = [], run_records.write

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return write(*arguments)

    monkeypatch.setattr(run_records, "write", stopped)


def test_stopped_between_records_beside_a_finished_seed_nothing_is_trained_again(tiny, monkeypatch, steps):
    run(tiny, seeds=(0,))
    with monkeypatch.context() as patch:
        stop_at_record(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            run(tiny, seeds=(1, 2))
    taken = len(steps)
    found = run(tiny, seeds=(2, 0, 1))
    assert [record.seed for record in found] == [2, 0, 1], "in the order that was asked for"
    assert len(steps) == taken
    assert not list((tiny.build / "checkpoints").rglob("*.pt")), "no checkpoint is left behind"


@pytest.mark.parametrize("again", [(1, 0), (0, 1, 2), (2, 1, 0)])
def test_an_interrupted_run_goes_on_in_any_order_and_company(tiny, monkeypatch, steps, again):
    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "_write", lambda _run: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tiny, seeds=(0, 1))
    del steps[:]
    found = {record.seed: record for record in run(tiny, seeds=again)}
    others = set(again) - {0, 1}
    assert sum(steps) == 3 * STEPS * len(others), "only what the interrupted run did not have"
    expected = run(tiny, seeds=(0, 1), build=tiny.build.with_name("whole"))
    assert [found[record.seed].history for record in expected] == [record.history for record in expected]


def test_a_hundred_seeds_have_a_file_name(tiny):
    assert len(run(tiny, experiment="mnist-fc-sgd", seeds=range(100))) == 100


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x80\x02cos\nsystem\nq\x00X\x04\x00\x00\x00true\x85R."])
def test_a_damaged_checkpoint_is_set_aside_and_training_begins_anew(tiny, monkeypatch, steps, caplog, content):
    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "_write", lambda _run: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tiny)
    (path,) = (tiny.build / "checkpoints").rglob("*.pt")
    path.write_bytes(content)
    del steps[:]
    run(tiny)
    assert len(steps) == 3 * STEPS
    assert "is damaged" in caplog.text
    assert path.with_suffix(".damaged").read_bytes() == content


def test_a_second_process_waits_and_then_reads(tiny, steps):
    """The lock stands for another process that trains the same regime."""
    place = tiny.build / "checkpoints" / "mnist-fc-adam" / "ReLU.lock"
    place.parent.mkdir(parents=True)
    run(tiny, build=tiny.build.with_name("theirs"))
    taken, found = len(steps), []
    with FileLock(place):
        thread = threading.Thread(target=lambda: found.extend(run(tiny)))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it waits"
        assert len(steps) == taken
        shutil.copytree(tiny.build.with_name("theirs") / "runs", tiny.build / "runs")
    thread.join(60)
    assert [record.seed for record in found] == [0, 1]
    assert len(steps) == taken, "what the other has trained is read"


def test_a_build_folder_that_cannot_be_written_is_told_before_any_training(tiny, steps):
    tiny.build.write_text("a file in the way")
    with pytest.raises(ValueError, match=r"the build folder cannot be written .* give another one"):
        run(tiny)
    assert not steps
