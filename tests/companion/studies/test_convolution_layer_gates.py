"""Gates by layer in a convolutional network: small networks on corners of stand-in images."""

from dataclasses import replace

import pytest
import torch
from companion.studies.convolution_layer_gates import (
    ARCH,
    BUDGETS,
    LAYERS,
    LEARNING_RATE,
    ConvolutionBudget,
    measure,
    path_of,
    published,
)
from companion.studies.plain_records import write

from companion.studies import convolution_layer_gates
from companion.studies.layer_gates import first, last, only
from npflib import regimes
from npflib.data import datasets as data
from npflib.networks import GConv, VConv
from npflib.training.autograd import ModuleLearner
from npflib.training.given_gates import train

SMALL = GConv(image_size=6, channels=(3, 4), dense=(5,))
TINY = ConvolutionBudget(None, 3, (0, 4), ("LLL", "RRR", "OOO", "OLR"), ())


@pytest.fixture(scope="module")
def corners():
    few = data.subset(data.load("cifar10", offline=True), train_examples=120, test_examples=80)
    return replace(few, train_images=few.train_images[:, :, :6, :6], test_images=few.test_images[:, :, :6, :6])


@pytest.fixture(scope="module")
def found(corners):
    return measure(corners, TINY, arch=SMALL, profile="smoke", progress=False)


def trained(learner, seed):
    return train(learner, TINY.epochs, seeds=[seed], learning_rate=LEARNING_RATE)[0][-1]


def test_all_learnt_is_flnpf_and_all_random_frnpf(found, corners):
    """Through frozen feature networks and the training engine's own tables, one network at a time."""
    rows = torch.arange(120)[torch.randperm(120, generator=convolution_layer_gates.generator(0, "examples", 12))]
    sets = (corners.train_images[rows], corners.train_labels[rows], corners.test_images, corners.test_labels)
    for readings in found:
        network = regimes.start("ReLU", SMALL, readings.seed)
        accuracy = trained(ModuleLearner([network], *sets, torch.device("cpu")), readings.seed)
        assert readings.givers["true"] == pytest.approx(accuracy, abs=1.5 / 80)
        for regime, pattern in (("FLNPF", "LLL"), ("FRNPF-II", "RRR")):
            behind = regimes.start(regime, SMALL, readings.seed, network if regime == "FLNPF" else None)
            accuracy = trained(ModuleLearner([behind], *sets, torch.device("cpu")), readings.seed)
            assert readings.final(pattern) == pytest.approx(accuracy, abs=1.5 / 80)


def test_open_gates_are_a_linear_network(found, corners):
    rows = torch.randperm(120, generator=convolution_layer_gates.generator(0, "examples", 12))
    sets = (corners.train_images[rows], corners.train_labels[rows], corners.test_images, corners.test_labels)

    class Linear(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value, self.arch = value, value.arch

        def forward(self, x):
            for layer in range(len(self.value.layers)):
                x = self.value.pre_activation(layer, x)
            return x

    for readings in found:
        network = Linear(regimes.start("FRNPF-II", SMALL, readings.seed).value)
        accuracy = trained(ModuleLearner([network], *sets, torch.device("cpu")), readings.seed)
        assert readings.final("OOO") == pytest.approx(accuracy, abs=1.5 / 80)


def test_an_interrupted_measurement_goes_on_and_ends_alike(found, corners, tmp_path, monkeypatch):
    calls = []
    real = convolution_layer_gates._trained

    def failing(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(convolution_layer_gates, "_trained", failing)
    with pytest.raises(KeyboardInterrupt):
        measure(corners, TINY, arch=SMALL, partial=tmp_path, progress=False)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["LLL", "RRR"]
    again = measure(corners, TINY, arch=SMALL, partial=tmp_path, backwards=True, progress=False, profile="smoke")
    for one, other in zip(found, again, strict=True):
        assert one.accuracies == other.accuracies
        assert one.givers == other.givers
    assert len(calls) == 4 + 1 + 2  # the networks again, for the learnt gates of OLR, and two entries


def test_the_full_budget_has_what_the_claims_need():
    patterns = BUDGETS["paper"].patterns
    assert len(patterns) == len(set(patterns))
    wanted = {maker(k, "R", LAYERS) for maker in (first, last) for k in range(LAYERS + 1)}
    wanted |= {only(k, "R", LAYERS) for k in range(1, LAYERS + 1)}
    assert wanted | {"OOOOOO", "OOOLLL", "OOOOOL"} == set(patterns)
    assert len(ARCH.layers()) - 1 == LAYERS
    assert len(BUDGETS["paper"].seeds) >= 3


def test_gates_may_be_learnt_from_all_images(corners):
    (found,) = measure(corners, ConvolutionBudget(40, 1, (3,), ("LLL",), (), 2), arch=SMALL, progress=False)
    network = regimes.start("ReLU", SMALL, 3)
    sets = (corners.train_images, corners.train_labels, corners.test_images, corners.test_labels)
    learner = ModuleLearner([network], *sets, torch.device("cpu"))
    accuracy = train(learner, 2, seeds=[3], learning_rate=LEARNING_RATE)[0][-1]
    assert found.givers["true"] == pytest.approx(accuracy, abs=1.5 / 80)


def test_flattened_networks_too(corners):
    arch = VConv(image_size=6, channels=(3,), dense=(4,))
    (found,) = measure(corners, ConvolutionBudget(50, 1, (2,), ("LO",), ()), arch=arch, progress=False)
    assert 0 <= found.final("LO") <= 1
    assert found.budget["train_examples"] == 50


def test_published_are_read_as_they_were_written(found, tmp_path):
    assert published(tmp_path) == []
    for readings in found:
        write(readings, path_of(readings.seed, tmp_path))
    assert published(tmp_path) == found


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"patterns": ("LL",)}, "one letter for each of the 3 hidden layers"),
        ({"patterns": ("LLX",)}, "got 'LLX'"),
        ({"controls": ("same-start",)}, "no controls"),
        ({"giver_epochs": -1}, "0 or more; got -1"),
        ({"seeds": ()}, "one or more different"),
        ({"seeds": (1, 1)}, "one or more different"),
        ({"examples": 121}, "there are 120"),
        ({"examples": 0}, "there are 120"),
    ],
)
def test_refusals_come_before_any_training(corners, changed, says, monkeypatch):
    monkeypatch.setattr(convolution_layer_gates, "_trained", None)
    with pytest.raises(ValueError, match=says):
        measure(corners, replace(TINY, **changed), arch=SMALL, progress=False)
