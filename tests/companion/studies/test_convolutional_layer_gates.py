"""Gates by layer in a convolutional network: small networks on corners of stand-in images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from companion.studies import common
from companion.studies.layer_gates import CIFAR10, LayerConfig, pattern
from npflib import data, regimes, training
from npflib.networks import GConv, VConv
from npflib.randomness import generator
from npflib.records import locations, run_records
from npflib.training.autograd import AutogradLearner
from npflib.training.loop import train

SMALL = GConv(image_size=6, channels=(3, 4), dense=(5,))
TINY = LayerConfig(120, 3, (0, 4), ("LLL", "RRR", "OOO", "OLR"), arch=SMALL)


@pytest.fixture(scope="module")
def corners():
    few = data.subset(data.load("cifar10", offline=True), train_examples=120, test_examples=80)
    return replace(few, train_images=few.train_images[:, :, :6, :6], test_images=few.test_images[:, :, :6, :6])


@pytest.fixture(scope="module")
def found(corners):
    return CIFAR10.measure(TINY, corners, progress=False)


def trained(learner, seed):
    return train(learner, TINY.epochs, seeds=[seed], learning_rate=TINY.learning_rate)[0][-1]


def test_all_learnt_is_flnpf_and_all_random_frnpf(found, corners):
    """Through frozen feature networks and the training engine's own tables, one network at a time."""
    rows = torch.randperm(120, generator=generator(0, "examples", 12))
    sets = (corners.train_images[rows], corners.train_labels[rows], corners.test_images, corners.test_labels)
    for copy, seed in enumerate(TINY.seeds):
        network = regimes.start("ReLU", SMALL, seed)
        accuracy = trained(AutogradLearner([network], *sets, torch.device("cpu")), seed)
        assert found.values("accuracy", gates="donor-true")[copy] == pytest.approx(accuracy, abs=1.5 / 80)
        for regime, name in (("FLNPF", "LLL"), ("FRNPF-II", "RRR")):
            behind = regimes.start(regime, SMALL, seed, network if regime == "FLNPF" else None)
            accuracy = trained(AutogradLearner([behind], *sets, torch.device("cpu")), seed)
            assert found.values("accuracy", gates=name)[copy] == pytest.approx(accuracy, abs=1.5 / 80)


def test_open_gates_are_a_linear_network(found, corners):
    rows = torch.randperm(120, generator=generator(0, "examples", 12))
    sets = (corners.train_images[rows], corners.train_labels[rows], corners.test_images, corners.test_labels)

    class Linear(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value, self.arch = value, value.arch

        def forward(self, x):
            for layer in range(len(self.value.layers)):
                x = self.value.pre_activation(layer, x)
            return x

    for copy, seed in enumerate(TINY.seeds):
        network = Linear(regimes.start("FRNPF-II", SMALL, seed).value)
        accuracy = trained(AutogradLearner([network], *sets, torch.device("cpu")), seed)
        assert found.values("accuracy", gates="OOO")[copy] == pytest.approx(accuracy, abs=1.5 / 80)


def test_an_interrupted_measurement_goes_on_and_ends_alike(found, corners, tmp_path, monkeypatch):
    calls = []
    real = common.train

    def failing(*arguments, **more):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments, **more)

    monkeypatch.setattr(common, "train", failing)
    with pytest.raises(KeyboardInterrupt):
        CIFAR10.measure(TINY, corners, build=tmp_path, progress=False)
    kept = CIFAR10.kept_in(tmp_path, TINY, corners)
    assert sorted(path.stem for path in kept.glob("*.json")) == ["LLL", "RRR", "donor-true"]
    again = CIFAR10.measure(TINY, corners, build=tmp_path, progress=False)
    assert again.rows == found.rows
    assert len(calls) == 4 + 3  # the two that were not there, and the networks again, for the learnt gates of OLR


def test_the_full_configuration_has_what_the_claims_need():
    full = CIFAR10.configs["paper"]
    assert len(full.patterns) == len(set(full.patterns))
    wanted = {pattern(where, k, "R", 6) for where in ("first", "last") for k in (0, 1, 3, 6)}
    wanted |= {pattern("only", k, "R", 6) for k in range(1, 7)}
    assert wanted | {"OOOOOO", "OOOLLL", "OOOOOL"} == set(full.patterns)
    assert len(full.arch.layers()) == 7
    assert len(full.seeds) >= 3
    assert full.datasets == ("cifar10",)


def test_the_earlier_runs_are_published_beside_it():
    """Their networks that give gates had learnt too little."""
    epochs = {name: CIFAR10.published(name).config["donor_epochs"] for name in ("first", "eighth")}
    assert epochs == {"first": 0, "eighth": 4}


def test_published_networks_give_each_seed_its_gates(monkeypatch):
    """Seed s has those of run s, in turn: FLNPF behind the same gates, and their digests are in the resume key."""
    full = CIFAR10.configs["paper"]
    config = replace(full, examples=64, epochs=1, seeds=(1,), patterns=("LLLLLL",))
    few = data.subset(data.load("cifar10", offline=True), train_examples=64, test_examples=50)
    found = CIFAR10.measure(config, few, progress=False)
    learnt = training.trained_network(full.donors, "ReLU", 1, "paper", build=locations.published())
    right = (learnt(few.test_images).argmax(1) == few.test_labels).double().mean()
    assert found.values("accuracy", gates="donor-true")[0] == pytest.approx(float(right))
    rows = torch.randperm(64, generator=generator(0, "examples", 12))
    sets = (few.train_images[rows], few.train_labels[rows], few.test_images, few.test_labels)
    behind = regimes.start("FLNPF", full.arch, 1, learnt)
    [[accuracy]] = train(AutogradLearner([behind], *sets, torch.device("cpu")), 1, seeds=[1], learning_rate=1e-3)
    assert found.values("accuracy", gates="LLLLLL")[0] == pytest.approx(accuracy, abs=1.5 / 50)
    kept = CIFAR10.kept_in(Path("build"), config, few)
    record = run_records.read_all(locations.published(), full.donors, "ReLU")[1]
    monkeypatch.setattr(run_records, "read_all", lambda *_: [replace(record, weights="0" * 64)])
    assert CIFAR10.kept_in(Path("build"), config, few) != kept


def test_without_published_networks_nothing_is_measured(corners, monkeypatch):
    monkeypatch.setattr(run_records, "read_all", lambda *_: [])
    with pytest.raises(
        ValueError, match=r"no published ReLU networks of cifar10-quarter-gconv-adam .* restore results/"
    ):
        CIFAR10.measure(CIFAR10.configs["smoke"], corners, progress=False)


def test_flattened_networks_too(corners):
    arch = VConv(image_size=6, channels=(3,), dense=(4,))
    found = CIFAR10.measure(LayerConfig(50, 1, (2,), ("LO",), arch=arch), corners, progress=False)
    assert 0 <= found.values("accuracy", gates="LO")[0] <= 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"patterns": ("LL",)}, "one letter for each of the 3 hidden layers"),
        ({"patterns": ("LLX",)}, "got 'LLX'"),
        ({"controls": ("same-start",)}, "no controls"),
        ({"donors": "cifar10-quarter-gconv-adam"}, "cifar10-quarter-gconv-adam gives gates of GConv"),
        ({"examples": 121}, "there are 120"),
        ({"examples": 0}, "there are 120"),
    ],
)
def test_refusals_come_before_any_training(corners, changed, says, monkeypatch):
    monkeypatch.setattr(common, "train", None)
    with pytest.raises(ValueError, match=says):
        CIFAR10.measure(replace(TINY, **changed), corners, progress=False)
