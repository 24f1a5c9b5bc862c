"""Reading a convolutional network's gates: against all paths listed, and against the training engine."""

from dataclasses import replace

import pytest
import torch
from companion.studies.convolution_readings import BUDGETS, SOURCES, Budget, measure, path_of, published
from companion.studies.plain_records import write

from companion.studies import convolution_readings
from npflib import regimes
from npflib.data import datasets as data
from npflib.networks import GConv, VConv
from npflib.randomness import generator
from npflib.theory.convolution_paths import enumerate_paths, neural_path_feature
from npflib.theory.kernel_ridge import class_targets
from npflib.training.autograd import ModuleLearner
from npflib.training.given_gates import train

SMALL = GConv(in_channels=1, image_size=4, channels=(2, 2), dense=(3,), bias=False)
TINY = Budget(60, 50, 3, 100, 2, (0, 3), ("start", "own"), (0.1, 1.0))


@pytest.fixture(scope="module")
def corners():
    """Stand-in labels, and images of noise on a brightness that depends on them.

    Patches of real images may be black or flat; gates of such a patch are pre-activations of zero, up to rounding, and
    would differ from one way of computing them to the next.
    """
    few = data.subset(data.load("cifar10", offline=True), train_examples=140, test_examples=60)
    source = torch.Generator().manual_seed(0)
    images = {
        f"{name}_images": torch.randint(1, 150, (len(labels), 1, 4, 4), generator=source)
        + 10 * labels[:, None, None, None]
        for name, labels in (("train", few.train_labels), ("test", few.test_labels))
    }
    return replace(few, **{name: values.to(torch.uint8) for name, values in images.items()})


@pytest.fixture(scope="module")
def found(corners):
    return measure(corners, TINY, arch=SMALL, profile="smoke", progress=False)


def drawn(corners, seed):
    """The images of a seed: training pool, and test."""
    draw = generator(seed, "examples", 10)
    pool = torch.randperm(140, generator=draw)[: TINY.pool]
    tested = torch.randperm(60, generator=draw)[: TINY.test_examples]
    sets = corners.train_images[pool], corners.train_labels[pool], corners.test_images[tested]
    x, y, test_x = sets
    return x.float() / 255, y, test_x.float() / 255, corners.test_labels[tested]


def test_the_machine_is_ridge_regression_on_all_listed_paths(found, corners):
    """Its kernel is that of the flattened network's path features, scores solved in the primal, in float64."""
    flattened = VConv(1, 4, SMALL.out_features, False, SMALL.channels, SMALL.dense)
    paths = enumerate_paths(flattened)
    for readings in found:
        x, y, test_x, test_y = drawn(corners, readings.seed)
        x, y = x[: TINY.examples], y[: TINY.examples]
        network = regimes.start("ReLU", SMALL, readings.seed)
        both = torch.cat([x, test_x])
        phi = neural_path_feature(both.double(), [gate.double() for gate in network.gates(both)], paths).detach()
        old, new = phi[: len(x)], phi[len(x) :]
        added = readings.ridges["start"] * old.square().sum() / len(x)
        v = torch.linalg.solve(old.T @ old + added * torch.eye(phi.shape[1]).double(), old.T @ class_targets(y, 10))
        accuracy = float(((new @ v).argmax(1) == test_y).double().mean())
        assert readings.accuracies["start"]["kernel"] == pytest.approx(accuracy, abs=1.5 / len(test_y))


def test_networks_and_value_networks_are_those_of_the_training_engine(found, corners):
    """FLNPF and FRNPF through frozen feature networks, with maps flattened and pooled."""
    flattened = VConv(1, 4, SMALL.out_features, False, SMALL.channels, SMALL.dense)
    for readings in found:
        seed = readings.seed
        x, y, test_x, test_y = drawn(corners, seed)

        def trained(network, n, epochs, seed=seed, x=x, y=y, test=(test_x, test_y)):
            learner = ModuleLearner([network], x[:n], y[:n], *test, torch.device("cpu"))
            return pytest.approx(train(learner, epochs, seeds=[seed], learning_rate=1e-3)[0][-1], abs=1.5 / 50)

        own = regimes.start("ReLU", SMALL, seed)
        start = regimes.start("ReLU", SMALL, seed)
        assert readings.accuracies["own"]["network"] == trained(own, 60, 3)
        assert readings.accuracies["all"]["network"] == trained(regimes.start("ReLU", SMALL, seed), 100, 2)
        for source, network in (("own", own), ("start", start)):
            pooled = regimes.start("FLNPF", SMALL, seed, network)
            assert readings.accuracies[source]["pooled"] == trained(pooled, 60, 3)
            # Another read-out behind the same gates: hidden layers have the same shapes.
            behind = regimes.start("FRNPF-II", flattened, seed)
            behind.feature = pooled.feature
            assert readings.accuracies[source]["flattened"] == trained(behind, 60, 3)
        assert set(readings.accuracies["all"]) == {"kernel", "network"}  # nothing was to be trained behind them


def test_test_labels_choose_nothing(found, corners):
    wrong = replace(corners, test_labels=(corners.test_labels + 1) % 10)
    again = measure(wrong, TINY, arch=SMALL, progress=False)
    assert [readings.ridges for readings in again] == [readings.ridges for readings in found]


def test_an_interrupted_measurement_goes_on_and_ends_alike(found, corners, tmp_path, monkeypatch):
    real = convolution_readings._read_seed

    def failing(dataset, budget, arch, seed):
        if seed == 3:
            raise KeyboardInterrupt
        return real(dataset, budget, arch, seed)

    monkeypatch.setattr(convolution_readings, "_read_seed", failing)
    with pytest.raises(KeyboardInterrupt):
        measure(corners, TINY, arch=SMALL, partial=tmp_path, progress=False)
    assert [path.stem for path in tmp_path.iterdir()] == ["seed-0"]
    monkeypatch.setattr(convolution_readings, "_read_seed", lambda *given: real(*given) if given[3] == 3 else None)
    again = measure(corners, TINY, arch=SMALL, partial=tmp_path, progress=False)
    for one, other in zip(found, again, strict=True):
        assert (one.accuracies, one.ridges) == (other.accuracies, other.ridges)


def test_published_are_read_as_they_were_written(found, tmp_path):
    assert published(tmp_path) == []
    for readings in found:
        write(readings, path_of(readings.seed, tmp_path))
    assert published(tmp_path) == found


def test_budgets():
    for budget in BUDGETS.values():
        assert set(budget.valued) <= set(SOURCES)
        assert budget.examples <= budget.pool
    assert len(BUDGETS["paper"].seeds) >= 3


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"seeds": ()}, "one or more different"),
        ({"seeds": (1, 1)}, "one or more different"),
        ({"valued": ("theirs",)}, "unknown source of gates 'theirs'; allowed: start, own, all"),
        ({"examples": 101}, "a pool of 100"),
        ({"pool": 141}, "out of 140"),
        ({"test_examples": 61}, "there are 60"),
    ],
)
def test_refusals_come_before_any_training(corners, changed, says, monkeypatch):
    monkeypatch.setattr(convolution_readings, "_read_seed", None)
    with pytest.raises(ValueError, match=says):
        measure(corners, replace(TINY, **changed), arch=SMALL, progress=False)
