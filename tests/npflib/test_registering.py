"""A regime, an experiment and a data set of one's own: registered, trained, and never confused with another's runs."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from npflib import experiments, gates, regimes
from npflib.architectures import FullyConnected
from npflib.data import datasets as data
from npflib.experiments import Experiment
from npflib.records import run_records
from npflib.regimes import Regime
from npflib.training import runs as training
from npflib.training.autograd import AutogradLearner
from npflib.training.batched import BatchedLearner

ARCH = FullyConnected(3, 8, 16, 4)
OPEN = Regime("Ajar", "Ajar: every gate open", gate="ajar", feature="random", trains_feature=False)


@pytest.fixture(autouse=True)
def _as_before():
    tables = (gates._GATES, regimes._REGIMES, experiments._REGISTERED, data._KINDS)
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


def open_gate(q):
    return torch.ones_like(q)


def slope_gate(q):
    return 0.5 + 0.1 * q


def parts(shift=0):
    """24 and 12 images of 4×4 pixels in four classes that differ in brightness."""
    g = torch.Generator().manual_seed(5)
    labels = torch.arange(36) % 4
    images = (40 * labels[:, None, None, None] + torch.randint(0, 60, (36, 1, 4, 4), generator=g) + shift).byte()
    return images[:24], labels[:24], images[24:], labels[24:]


def read(_root):
    return parts(), ("a", "b", "c", "d")


def register_squares(**changes):
    settings = {"title": "Squares", "read": read, "parts": data.digests(parts())} | changes
    data.register("squares", **settings)


def register_all(regime=OPEN, gate=open_gate, optimiser="adam"):
    """The five regimes and one more, on data of our own."""
    register_squares()
    gates.register("ajar", gate)
    regimes.register(regime)
    names = ("ReLU", "DLNPF", "FLNPF", "FRNPF-DI", "FRNPF-II", regime.name)
    return experiments.register(
        Experiment("squares-fc", "Squares, FC", "squares", ARCH, optimiser, 1e-2, 4, batch=8, regimes=names)
    )


def ensure(regime, build, **more):
    return training.ensure("squares-fc", regime, "smoke", build=build, device="cpu", progress=False, **more)


# --- a regime --------------------------------------------------------------------------------------------------------


def test_a_registered_regime_trains_beside_the_five_and_starts_where_they_do(tmp_path):
    experiment = register_all()
    for regime in experiment.regimes:
        found = ensure(regime, tmp_path)
        assert [record.seed for record in found] == [0, 1]
        assert found[0].data["title"] == "Squares"
    trained = training.trained_network("squares-fc", "Ajar", 0, "smoke", build=tmp_path, which="last")
    x = torch.rand(5, 16)
    assert all(bool((gate == 1).all()) for gate in trained.gates(x))
    starts = [regimes.start(name, ARCH, 0) for name in ("Ajar", "FRNPF-II")]
    for own, other in zip(starts[0].value.parameters(), starts[1].value.parameters(), strict=True):
        assert torch.equal(own, other)


def test_what_is_trained_behind_open_gates_is_a_linear_network(tmp_path):
    """Against torch's own linear layers, in the same order of examples."""
    register_all(optimiser="sgd")
    [record] = ensure("Ajar", tmp_path, seeds=[0])
    trained = training.trained_network("squares-fc", "Ajar", 0, "smoke", build=tmp_path, which="last")
    network = regimes.start("Ajar", ARCH, 0).value
    plain = torch.nn.Sequential(*network.layers)
    rule = torch.optim.SGD(plain.parameters(), lr=1e-2)
    x, y, *_ = parts()
    x = x.flatten(1) / 255
    for epoch in range(record.epochs):
        order = torch.randperm(24, generator=training.generator(0, "order", epoch))
        for chosen in order.split(8):
            rule.zero_grad()
            torch.nn.functional.cross_entropy(plain(x[chosen]), y[chosen]).backward()
            rule.step()
    for own, other in zip(trained.value.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6)


def test_a_changed_gate_or_regime_reuses_no_record(tmp_path):
    register_all()
    first = ensure("Ajar", tmp_path, seeds=[0])
    path = run_records.path_of(tmp_path / "runs", "squares-fc", "Ajar", 0)
    written = path.stat().st_mtime_ns
    assert ensure("Ajar", tmp_path, seeds=[0]) == first
    assert path.stat().st_mtime_ns == written, "read, not trained"

    def half_gate(q):
        return torch.full_like(q, 0.5)

    gates._GATES["ajar"] = half_gate
    [second] = ensure("Ajar", tmp_path, seeds=[0])
    assert second.configuration["regime"]["gate_code"] != first[0].configuration["regime"]["gate_code"]
    assert second.history != first[0].history
    regimes._REGIMES["Ajar"] = replace(OPEN, gate="hard", feature="value")
    [third] = ensure("Ajar", tmp_path, seeds=[0])
    assert third.configuration["regime"]["feature"] == "value"
    assert third.history != second.history
    random = ensure("FRNPF-DI", tmp_path, seeds=[0])
    assert third.history == random[0].history, "by another name the same"


def test_the_definition_stands_in_every_configuration_as_plain_values():
    assert regimes.definition("FLNPF-stage-2") == regimes.definition("FLNPF")
    for name, regime in regimes.REGIMES.items():
        found = regimes.definition(name)
        assert (found["gate"], found["feature"], found["trains_feature"]) == (
            regime.gate, regime.feature, regime.trains_feature,
        )  # fmt: skip
        assert len(found["gate_code"]) == 16
    codes = {name: regimes.definition(name)["gate_code"] for name in regimes.REGIMES}
    assert codes["ReLU"] == codes["FLNPF"] != codes["DLNPF"]


def test_a_gate_that_learns_is_trained_by_automatic_differentiation(tmp_path):
    """Frozen gates of any kind go through the stacked learner, which equals autograd; learning ones do not."""
    gates.register("slope", slope_gate)
    learning = regimes.register(Regime("Slope", "Slope: gates learnt", "slope", "random", True))
    frozen = regimes.register(Regime("Slope-frozen", "Slope, frozen: not learnt", "slope", "random", False))
    register_squares()
    images, labels, test_images, test_labels = parts()
    for regime, kind in ((learning, AutogradLearner), (frozen, BatchedLearner)):
        networks = [regimes.start(regime.name, ARCH, seed) for seed in (0, 1)]
        arrays = (images.flatten(1) / 255, labels, test_images.flatten(1) / 255, test_labels, torch.device("cpu"))
        truth = AutogradLearner([regimes.start(regime.name, ARCH, seed) for seed in (0, 1)], *arrays)
        experiment = Experiment("squares-fc", "Squares", "squares", ARCH, "sgd", 1e-2, 2, regimes=(regime.name,))
        dataset = replace(data.load("squares"), train_images=arrays[0], test_images=arrays[2])
        order = SimpleNamespace(experiment=experiment, dataset=dataset, device=arrays[-1], precision="float32")
        learner = training._learner(order, networks)
        assert type(learner) is kind
        chosen = torch.arange(8).expand(2, -1)
        for each in (learner, truth):
            each.gradients(chosen)
        torch.testing.assert_close(learner.take_running(8), truth.take_running(8))
        torch.testing.assert_close(learner.test(), truth.test())
    with pytest.raises(ValueError, match=r"BatchedLearner trains soft gates only; got 'slope'"):
        BatchedLearner([regimes.start("Slope", ARCH, 0)], *arrays)
    order.experiment = replace(experiment, arch=replace(ARCH, out_features=1), loss="squared", classes=(0, 1))
    with pytest.raises(ValueError, match=r"gates 'slope' that learn are trained with cross_entropy only"):
        training._learner(order, [regimes.start("Slope", order.experiment.arch, 0)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("A b", "A: b", "hard", "random", False), "letters, digits and hyphens; got 'A b'"),
        (("Mine", ": no label", "hard", "random", False), "needs a title"),
        (("Mine", None, "hard", "random", False), "needs a title"),
        (("Mine", "Mine", "hard", "random", None), "regime Mine: trains_feature must be True or False; got None"),
        (("Mine", "Mine", "hard", "random", False, None, "x"), "regime Mine: linear must be True or False; got 'x'"),
        (("Mine", "Mine", "hard", "learnt", False, "x"), "stage must be a positive whole number of training, or None"),
        (
            ("Mine", "Mine", "hard", "learned", False),
            "unknown feature 'learned' of regime Mine; allowed: own, random, value, learnt",
        ),
        (("Mine", "Mine", "own", "random", True), "go together"),
        (("Mine", "Mine", "hard", "own", False), "go together"),
        (("Mine", "Mine", "own", "own", False), "go together"),
        (
            ("Mine", "Mine", "shut", "random", False),
            r"unknown gate 'shut' of regime Mine \(new ones: gates.register\); allowed: own, hard, soft",
        ),
        (("Mine", "Mine", "hard", "random", True), "no gradient passes through the gate 'hard'"),
        (("Mine", "Mine", "hard", "learnt", False, 2), "stages are made from the name"),
        (("Mine-stage-2", "Mine", "hard", "learnt", False), "stages are made from the name"),
        (("ReLU", "ReLU: another", "own", "own", True), "'ReLU' is taken by another regime; taken are: FRNPF-II"),
    ],
)
def test_a_regime_that_cannot_be_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        regimes.register(Regime(*given))
    assert "Mine" not in regimes.REGIMES


def test_what_is_registered_is_a_regime_or_an_experiment():
    with pytest.raises(ValueError, match=r"a regime must be Regime; got str"):
        regimes.register("Ajar")
    with pytest.raises(ValueError, match=r"an experiment must be Experiment; got str"):
        experiments.register("squares-fc")


def test_registering_twice_is_registering_once():
    for _ in range(2):
        register_all()
    assert list(regimes.REGIMES)[:5] == ["FRNPF-II", "FRNPF-DI", "DLNPF", "FLNPF", "ReLU"]
    assert regimes.find("Ajar").label == "Ajar"
    assert [regime.label for regime in regimes.REGIMES.values()][:2] == ["FRNPF (II)", "FRNPF (DI)"]


# --- an experiment ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "fc-squares"}, r"begins with its data set's.*'squares-fc-mine'.*got 'fc-squares'"),
        ({"name": "squares"}, r"got 'squares'"),
        ({"name": "squares-Fc"}, r"got 'squares-Fc'"),
        (
            {"name": "round-fc", "dataset": "round"},
            r"unknown data set 'round' of experiment round-fc .*data.register.*allowed: mnist, cifar10.*squares",
        ),
        ({"name": "mnist-fc-sgd", "dataset": "mnist"}, r"'mnist-fc-sgd' is taken by another experiment; taken are"),
        ({"epochs": 5}, r"'squares-fc' is taken by another experiment"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused(changes, message):
    experiment = register_all()
    with pytest.raises(ValueError, match=message):
        experiments.register(replace(experiment, **changes))
    assert experiments.find("squares-fc") == experiment


def test_the_workflow_plans_no_registered_experiment():
    before = experiments.runs_of("quick")
    register_all()
    assert experiments.runs_of("quick") == before


# --- a data set ------------------------------------------------------------------------------------------------------


def test_a_registered_data_set_is_loaded_and_says_what_it_is():
    register_squares()
    found = data.load("squares", flatten=True)
    torch.testing.assert_close(found.train_images, parts()[0].flatten(1) / 255)
    assert (found.train_labels.dtype, found.classes) == (torch.int64, ("a", "b", "c", "d"))
    source = found.source
    assert (source.title, source.stand_in, source.train_examples, source.test_examples) == ("Squares", False, 24, 12)
    assert dict(source.checksums) == data.digests(parts())
    assert data.names()[-1] == "squares"
    assert len(data.subset(found, 8).train_labels) == 8


def test_data_that_changed_are_refused():
    register_squares(read=lambda root: (parts(shift=1), ()))
    with pytest.raises(
        data.CorruptDataError, match=r"(?s)Squares is not what its checksums say.*train_images\n.*found"
    ):
        data.load("squares")


def test_data_of_other_shapes_are_refused():
    x, y, u, v = parts()
    for wrong in (
        (x / 255, y, u, v),
        (x[:, 0], y, u, v),
        (x, y[:-1], u, v),
        (x, y, u[..., 1:], v),
        (x, y, u[:0], v[:0]),
    ):
        data._KINDS.pop("squares", None)
        register_squares(read=lambda root, wrong=wrong: (wrong, ()))
        with pytest.raises(data.CorruptDataError, match=r"Squares: images must be uint8 \[N, C, H, W\] with a label"):
            data.load("squares")


def test_data_with_files_are_read_where_they_lie_and_missed_where_they_do_not(tmp_path):
    torch.save(parts(), tmp_path / "squares.pt")
    checksum = data.downloads.checksum(tmp_path / "squares.pt")
    data.register(
        "squares", "Squares", lambda root: (torch.load(root / "squares.pt"), ()), files={"squares.pt": checksum}
    )
    found = data.load("squares", tmp_path)
    assert torch.equal(found.train_labels, parts()[1])
    assert dict(found.source.checksums) == {"squares.pt": checksum}
    with pytest.raises(
        FileNotFoundError, match=r"there are no Squares files and this library cannot fetch them.*Looked"
    ):
        data.load("squares", tmp_path / "elsewhere")
    (tmp_path / "squares.pt").write_bytes(b"other")
    with pytest.raises(data.CorruptDataError, match="expected MD5"):
        data.load("squares", tmp_path)


FILE = {"a.bin": "0" * 32}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("Squares", {}, "lower-case letters and digits; got 'Squares'"),
        ("my-squares", {}, "lower-case letters and digits; got 'my-squares'"),
        ("squares", {"parts": None}, "the checksums of its files or of its parts, one of the two"),
        ("squares", {"files": FILE}, "one of the two"),
        ("squares", {"parts": {"images": "0" * 32}}, "parts must be train_images, train_labels.*; got images"),
        ("squares", {"parts": None, "files": {"a.bin": "xyz"}}, "the checksum of a.bin must be an MD5.*; got 'xyz'"),
        ("squares", {"fetch": print}, "fetch and stand_in are for data with files"),
        ("mnist", {}, "the name 'mnist' is taken by other data; taken are: mnist, cifar10"),
    ],
)
def test_data_that_cannot_be_registered(name, changes, message):
    settings = {"title": "Squares", "read": read, "parts": dict.fromkeys(data.PARTS, "0" * 32)} | changes
    with pytest.raises(ValueError, match=message):
        data.register(name, **settings)
    assert "squares" not in data.names()
