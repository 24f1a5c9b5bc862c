"""The kernel read-out of gates: what it draws, pairs and refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from companion.studies import common
from companion.studies.kernel_readout import CIFAR10, MNIST, SOURCES, ReadoutConfig
from npflib import data
from npflib.networks import FullyConnected, ReLUNetwork

ARCH = FullyConnected(depth=3, width=24, bias=False)
TINY = ReadoutConfig(60, (0, 1, 4), 150, 2, (0, 3), ("start", "own", "shuffled"), (0.01, 0.1, 1.0), arch=ARCH)


@pytest.fixture(scope="module")
def digits():
    return data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=150)


@pytest.fixture(scope="module")
def found(digits):
    return MNIST.measure(TINY, digits, progress=False)


def test_every_seed_has_every_row(found):
    assert found.seeds == [0, 3]
    expected = [("linear", 0), ("own", 0), ("own", 1), ("own", 4), ("other", 4), ("all", 2), ("shuffled", 4)]
    for seed in found.seeds:
        rows = [row for row in found.rows if row["seed"] == seed]
        assert [(row["gates"], row["epoch"]) for row in rows] == expected
        assert {(r["gates"], r["epoch"]) for r in rows if "value" in r} == {("own", 0), ("own", 4), ("shuffled", 4)}
        for row in rows:
            assert 0 <= row["kernel"] <= 1
            assert row["ridge"] in TINY.ridges
            assert ("network" in row) == (row["gates"] != "linear")
    first, second = ([row | {"seed": 0} for row in found.rows if row["seed"] == seed] for seed in found.seeds)
    assert first != second


def test_a_seed_alone_is_the_seed_in_company(digits, found):
    alone = MNIST.measure(replace(TINY, seeds=(3,)), digits, progress=False)
    for one, other in zip(alone.rows, (row for row in found.rows if row["seed"] == 3), strict=True):
        # Trained in company a network differs by float32's rounding at most: an example or two may change sides.
        assert one["kernel"] == pytest.approx(other["kernel"], abs=2.5 / 150)


def test_the_sources_learn_what_they_are_said_to_learn(digits, monkeypatch):
    """Which examples and labels each network is trained on, as the trainer sees them."""
    seen = []
    real = common.train_and_keep

    def spy(networks, images, labels, rows, keep, **more):
        seen.append((networks, images, labels, rows, max(keep)))
        return real(networks, images, labels, rows, keep, **more)

    monkeypatch.setattr(common, "train_and_keep", spy)
    MNIST.measure(TINY, digits, progress=False)
    networks = [run for run in seen if isinstance(run[0][0], ReLUNetwork)]
    values = [run for run in seen if not isinstance(run[0][0], ReLUNetwork)]
    own, other, everything, shuffled = networks
    for copy in range(2):
        mine, theirs, pool = (set(run[3][copy].tolist()) for run in (own, other, everything))
        assert (len(mine), len(theirs), len(pool)) == (60, 60, 150)
        assert not mine & theirs
        assert mine | theirs <= pool
        of_mine, of_shuffled = (run[1][run[3][copy]] for run in (own, shuffled))
        assert torch.equal(of_mine, of_shuffled)
        true, false = (run[2][run[3][copy]] for run in (own, shuffled))
        assert torch.equal(true.sort().values, false.sort().values)
        assert not torch.equal(true, false)
        for run in values:  # value networks learn the true labels of the regression's own examples
            assert torch.equal(run[1][run[3][copy]], of_mine)
            assert torch.equal(run[2][run[3][copy]], true)
    assert [run[4] for run in (own, other, everything, shuffled)] == [4, 4, 2, 4]
    # One start for all of a seed's networks, and the gates of that start behind the first value network.
    starts = own[0]
    assert all(run[0] is starts for run in (other, everything, shuffled))
    for network, gated in zip(starts, values[0][0], strict=True):
        assert torch.equal(network.weights[0], gated.feature.weights[0])
        assert not torch.equal(network.weights[0], gated.value.weights[0])


def test_learning_shows(digits):
    """After enough training the networks know the labels that they were given, true or permuted; before, none."""
    found = MNIST.measure(replace(TINY, kept=(0, 150), all_epochs=60, valued=()), digits, progress=False)
    assert (found.values("network_fit", gates="own", epoch=0) < 0.5).all()
    for gates in SOURCES:
        assert (found.values("network_fit", gates=gates) > 0.6).all()
    assert (found.values("network", gates="own") > 0.4).all()
    assert (found.values("network", gates="shuffled") < 0.4).all()
    assert found.options("epoch", gates="own") == [0, 150]


def test_the_configurations_take_as_many_steps_of_either_kind():
    for name in ("quick", "paper"):
        config = MNIST.configs[name]
        assert config.kept[-1] * config.examples == config.all_epochs * (config.pool or 60_000)
    for study in (MNIST, CIFAR10):
        for config in study.configs.values():
            assert config.kept[0] == 0
            assert set(config.valued) <= {"start", *SOURCES}
            assert config.disjoint * config.examples <= (config.pool or 60_000)
    assert MNIST.configs["paper"].examples >= 5_000


def test_the_published_tables_are_whole():
    found, full = MNIST.published(), MNIST.configs["paper"]
    assert found.options("epoch", gates="own") == list(full.kept)
    assert not np.isnan([found.values("value", gates=gates) for gates in SOURCES]).any()
    for found in (CIFAR10.published(), CIFAR10.published("eighth")):  # what is judged, and what stands beside it
        networks = ("flattened", "pooled")
        assert not np.isnan([found.values(name, gates=g) for name in networks for g in ("own", "all")]).any()


def test_what_cannot_be_measured_is_refused(digits):
    for changes, says in (({"examples": 80}, "pool of 150"), ({"pool": 201}, "200 in all"), ({"examples": 0}, "pool")):
        with pytest.raises(ValueError, match=says):
            MNIST.measure(replace(TINY, **changes), digits, progress=False)
    with pytest.raises(ValueError, match="no rows with gates = 'other', epoch = 7"):
        MNIST.published().values("kernel", gates="other", epoch=7)


def test_a_stand_in_is_small(digits):
    assert MNIST.fit(replace(TINY, examples=300, pool=1_000), digits) == replace(TINY, examples=100, pool=200)
    assert MNIST.fit(replace(TINY, examples=300, pool=None), digits) == replace(TINY, examples=100, pool=None)
