"""The kernel read-out of a convolutional network's gates: against all paths, and against the training engine."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from companion.studies import common
from companion.studies.kernel_readout import CIFAR10, ReadoutConfig
from npflib import data, experiments, regimes
from npflib.answers import accuracy
from npflib.networks import GConv, VConv
from npflib.randomness import generator
from npflib.records import locations, run_records
from npflib.theory.convolution import enumerate_paths, neural_path_feature
from npflib.theory.kernel_ridge import class_targets
from npflib.training.autograd import AutogradLearner
from npflib.training.loop import train

SMALL = GConv(in_channels=1, image_size=4, channels=(2, 2), dense=(3,), bias=False)
TINY = ReadoutConfig(60, (0, 3), None, 2, (0, 3), ("start", "own"), (0.1, 1.0), arch=SMALL, test_examples=50)


def published(seed):
    """What stands for a seed's published network."""
    return regimes.start("ReLU", SMALL, 7 + seed)


@pytest.fixture(scope="module", autouse=True)
def _donors():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "learnt", lambda config: [published(seed) for seed in config.seeds])
        yield


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
    return CIFAR10.measure(TINY, corners, progress=False)


def row(found, seed, gates, epoch):
    (one,) = [r for r in found.rows if (r["seed"], r["gates"], r["epoch"]) == (seed, gates, epoch)]
    return one


def drawn(corners, seed):
    """The images of a seed: the regression's, and test."""
    draw = generator(seed, "examples", 10)
    own = torch.randperm(140, generator=draw)[: TINY.examples]
    tested = torch.randperm(60, generator=draw)[: TINY.test_examples]
    sets = corners.train_images[own], corners.train_labels[own], corners.test_images[tested]
    x, y, test_x = sets
    return x.float() / 255, y, test_x.float() / 255, corners.test_labels[tested]


def test_the_machine_is_ridge_regression_on_all_listed_paths(found, corners):
    """Its kernel is that of the flattened network's path features, scores solved in the primal, in float64."""
    flattened = VConv(1, 4, SMALL.out_features, False, SMALL.channels, SMALL.dense)
    paths = enumerate_paths(flattened)
    for seed, (gates, epoch) in product(found.seeds, (("own", 0), ("all", 2))):
        x, y, test_x, test_y = drawn(corners, seed)
        network = published(seed) if epoch else regimes.start("ReLU", SMALL, seed)
        both = torch.cat([x, test_x])
        phi = neural_path_feature(both.double(), [gate.double() for gate in network.gates(both)], paths).detach()
        old, new = phi[: len(x)], phi[len(x) :]
        added = row(found, seed, gates, epoch)["ridge"] * old.square().sum() / len(x)
        # (ΦᵀΦ + λ)⁻¹ ΦᵀY by singular values: there are many more paths than examples.
        left, size, right = torch.linalg.svd(old, full_matrices=False)
        v = right.T @ ((size / (size.square() + added))[:, None] * (left.T @ class_targets(y, 10)))
        correct = float(((new @ v).argmax(1) == test_y).double().mean())
        assert row(found, seed, gates, epoch)["kernel"] == pytest.approx(correct, abs=1.5 / len(test_y))


def test_networks_and_value_networks_are_those_of_the_training_engine(found, corners):
    """FLNPF and FRNPF through frozen feature networks, with maps flattened and pooled."""
    flattened = VConv(1, 4, SMALL.out_features, False, SMALL.channels, SMALL.dense)
    for seed in found.seeds:
        x, y, test_x, test_y = drawn(corners, seed)

        def trained(network, seed=seed, sets=(x, y, test_x, test_y)):
            learner = AutogradLearner([network], *sets, torch.device("cpu"))
            return pytest.approx(train(learner, 3, seeds=[seed], learning_rate=1e-3)[0][-1], abs=1.5 / 50)

        own = regimes.start("ReLU", SMALL, seed)
        start = regimes.start("ReLU", SMALL, seed)
        assert row(found, seed, "own", 3)["network"] == trained(own)
        assert row(found, seed, "all", 2)["network"] == pytest.approx(accuracy(published(seed), test_x, test_y))
        for epoch, network in ((3, own), (0, start)):
            pooled = regimes.start("FLNPF", SMALL, seed, network)
            assert row(found, seed, "own", epoch)["pooled"] == trained(pooled)
            # Another read-out behind the same gates: hidden layers have the same shapes.
            behind = regimes.start("FRNPF-II", flattened, seed)
            behind.feature = pooled.feature
            assert row(found, seed, "own", epoch)["flattened"] == trained(behind)
        assert not {"flattened", "pooled"} & set(row(found, seed, "all", 2))  # nothing was to be trained behind them


def test_test_labels_choose_nothing(found, corners):
    wrong = replace(corners, test_labels=(corners.test_labels + 1) % 10)
    again = CIFAR10.measure(TINY, wrong, progress=False)
    assert [one["ridge"] for one in again.rows] == [one["ridge"] for one in found.rows]
    assert [one["kernel"] for one in again.rows] != [one["kernel"] for one in found.rows]


def test_every_seed_is_a_unit_of_its_own(found, corners, tmp_path):
    """Interrupted or alone, it ends alike."""
    alone = CIFAR10.measure(replace(TINY, seeds=(3,)), corners, build=tmp_path, progress=False)
    assert alone.rows == [one for one in found.rows if one["seed"] == 3]
    kept = CIFAR10.kept_in(tmp_path, TINY, corners)
    assert [path.stem for path in kept.glob("*.json")] == ["seed-3"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"valued": ("theirs",)}, "unknown source of gates 'theirs'; allowed: start, own, other, all"),
        ({"examples": 141}, "141 examples come from a pool of 140"),
        ({"donors": "cifar10-quarter-gconv-adam"}, "cifar10-quarter-gconv-adam gives gates of GConv"),
        ({"test_examples": 61}, "there are 60"),
    ],
)
def test_refusals_come_before_any_training(corners, changed, says, monkeypatch):
    monkeypatch.setattr(common, "train", None)
    with pytest.raises(ValueError, match=says):
        CIFAR10.measure(replace(TINY, **changed), corners, progress=False)
    if changed.keys() & {"examples", "test_examples"}:
        CIFAR10.prepare(CIFAR10.fit(replace(TINY, **changed), corners), corners)  # a stand-in is small


def test_published_networks_are_given_whole():
    """The full study's, and the digests of their weights are in the resume key."""
    full = CIFAR10.configs["paper"]
    experiment = experiments.find(full.donors)
    assert (full.arch, full.all_epochs, full.pool) == (experiment.arch, experiment.epochs, None)
    assert len(CIFAR10.given(full)) == len(run_records.read_all(locations.published(), full.donors, "ReLU"))
