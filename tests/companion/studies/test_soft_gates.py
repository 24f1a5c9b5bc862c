"""Soft gates, and width and depth: what they train, pair and refuse."""

from dataclasses import replace

import pytest
import torch

from companion.studies import common, soft_gates
from npflib import data, regimes
from npflib.networks import FullyConnected
from npflib.randomness import generator
from npflib.training.autograd import AutogradLearner

ARCH = FullyConnected(depth=3, width=16)
SOFT = soft_gates.SoftConfig(150, 2, (0, 3), ((0.25, 0.1), (4.0, 0.1)), (4.0,), ARCH)
SHAPES = soft_gates.ShapeConfig(100, 4, (0, 3), (8,), (2,))


@pytest.fixture(scope="module")
def digits():
    return data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=100)


@pytest.fixture(scope="module")
def soft(digits):
    return soft_gates.MNIST.measure(SOFT, digits, progress=False)


@pytest.fixture(scope="module")
def shapes(digits):
    return soft_gates.SHAPES.measure(SHAPES, digits, progress=False)


def test_every_seed_has_every_gate(soft):
    assert soft.seeds == [0, 3]
    for seed in soft.seeds:
        rows = [row for row in soft.rows if row["seed"] == seed]
        gates = [(row["gates"], row.get("beta"), row.get("eps")) for row in rows]
        assert gates[:3] == [("soft", 0.25, 0.1), ("soft", 4.0, 0.1), ("through", 4.0, 0.1)]
        assert gates[3:] == [(regime, None, None) for regime in common.REFERENCES]
        for row in rows:
            names = ("accuracy", "hardened", "fresh", "undecided") if "beta" in row else ("accuracy",)
            assert all(0 <= row[name] <= 1 for name in names)
    assert (soft.values("undecided", beta=0.25) > soft.values("undecided", gates="soft", beta=4.0)).all()
    through = {name: soft.values(name, gates="through").tolist() for name in ("accuracy", "hardened")}
    assert through["accuracy"] == through["hardened"]  # it is hard already
    one, other = ([row | {"seed": 0} for row in soft.rows if row["seed"] == seed] for seed in soft.seeds)
    assert one != other


def test_references_are_the_regimes(digits, soft):
    """ReLU and FRNPF (II) again by automatic differentiation, on the same examples in the same order."""
    chosen = torch.randperm(200, generator=generator(0, "examples", 14))[:150]
    x, y = digits.train_images.flatten(1)[chosen], digits.train_labels[chosen]
    for regime in ("ReLU", "FRNPF-II"):
        network = regimes.start(regime, ARCH, 3)
        learner = AutogradLearner(
            [network], x, y, digits.test_images.flatten(1), digits.test_labels, torch.device("cpu")
        )
        updates = torch.optim.Adam(learner.parameters(), lr=1e-3, eps=1e-7)
        for epoch in range(2):
            for step in torch.randperm(150, generator=generator(3, "order", epoch)).split(32):
                learner.gradients(step[None])
                updates.step()
        # Another order of summation: an example at a border may change sides.
        assert soft.values("accuracy", gates=regime)[1] == pytest.approx(learner.test()[1][0], abs=0.025)


def test_every_shape_is_trained(shapes):
    for seed in shapes.seeds:
        assert [(r["depth"], r["width"]) for r in shapes.rows if r["seed"] == seed] == [(6, 8), (2, 128)]
    assert (shapes.values("ReLU", depth=2, width=128) > 0.2).all()  # chance is a tenth
    units = soft_gates.SHAPES.units(replace(SHAPES, widths=(8, 128), depths=(6, 2)))
    assert list(dict.fromkeys(units)) == ["6x8", "6x128", "2x128"]


@pytest.mark.parametrize("examples", [201, 0])
def test_bad_configurations_are_refused_before_anything_is_trained(digits, examples):
    for study, config in ((soft_gates.MNIST, SOFT), (soft_gates.SHAPES, SHAPES)):
        with pytest.raises(ValueError, match="there are 200: take fewer"):
            study.measure(replace(config, examples=examples), digits, progress=False)
        assert study.fit(replace(config, examples=201), digits).examples == 200


def test_published_tables_have_every_gate_and_shape():
    full, found = soft_gates.MNIST.configs["paper"], soft_gates.MNIST.published()
    gates = [(r["beta"], r["eps"]) for r in found.rows if r["seed"] == 0 and r["gates"] == "soft"]
    assert gates == list(full.soft)
    assert found.options("beta", gates="through") == list(full.through)
    full, found = soft_gates.SHAPES.configs["paper"], soft_gates.SHAPES.published()
    shapes = [f"{row['depth']}x{row['width']}" for row in found.rows if row["seed"] == 0]
    assert shapes == list(dict.fromkeys(soft_gates.SHAPES.units(full)))
