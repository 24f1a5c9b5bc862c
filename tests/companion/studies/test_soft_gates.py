"""The experiments of soft gates and of width and depth: what they train, pair, keep and refuse."""

import json
from dataclasses import replace

import pytest
import torch

from companion.studies import gate_gap, plain_records, soft_gates
from npflib import data, regimes
from npflib.networks import FullyConnected
from npflib.randomness import generator
from npflib.records.fingerprint import training_source_hash
from npflib.training.autograd import AutogradLearner

ARCH = FullyConnected(depth=3, width=16)
SOFT = soft_gates.Budget(150, 2, (0, 3), ((0.25, 0.1), (4.0, 0.1)), (4.0,))
GAP = gate_gap.Budget(100, 4, (0, 3), (8,), (2,))


@pytest.fixture(scope="module")
def digits():
    return data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=100)


@pytest.fixture(scope="module")
def soft(digits):
    return soft_gates.measure(digits, SOFT, arch=ARCH, profile="smoke", progress=False)


@pytest.fixture(scope="module")
def gap(digits):
    return gate_gap.measure(digits, GAP, profile="smoke", progress=False)


def test_every_seed_has_every_gate(soft):
    assert [readings.seed for readings in soft] == [0, 3]
    for readings in soft:
        gates = [(row["kind"], row["beta"], row["eps"]) for row in readings.rows]
        assert gates == [("soft", 0.25, 0.1), ("soft", 4.0, 0.1), ("through", 4.0, 0.1)]
        assert set(readings.references) == set(soft_gates.REFERENCES)
        for row in readings.rows:
            assert all(0 <= row[name] <= 1 for name in ("accuracy", "hardened", "fresh", "undecided"))
        assert readings.row(0.25)["undecided"] > readings.row(4.0)["undecided"]
        through = readings.row(4.0, kind="through")
        assert through["accuracy"] == through["hardened"]  # it is hard already
    assert soft[0].rows != soft[1].rows


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
        assert soft[1].references[regime] == pytest.approx(learner.test()[1][0], abs=0.025)


def test_the_gap_has_every_shape(gap):
    for readings in gap:
        assert [(row["depth"], row["width"]) for row in readings.rows] == [(6, 8), (2, 128)]
        assert readings.row(2, 128)["ReLU"] > 0.2  # chance is a tenth
    assert replace(GAP, widths=(8, 128), depths=(6, 2)).shapes == [(6, 8), (6, 128), (2, 128)]


@pytest.mark.parametrize("module", [soft_gates, gate_gap])
def test_written_and_read_again(module, soft, gap, tmp_path):
    for readings in soft if module is soft_gates else gap:
        plain_records.write(readings, module.path_of(readings.seed, tmp_path))
        assert readings.source == training_source_hash()
    again = module.published(tmp_path)
    assert again == (soft if module is soft_gates else gap)
    path = module.path_of(0, tmp_path)
    for text in ("{", "[]", json.dumps({"schema": 99}), json.dumps({"schema": 1, "seed": 0})):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"seed-0\.json holds no .* Make it by scripts/sweep_gates\.py"):
            module.published(tmp_path)


@pytest.mark.parametrize("changes", [{"examples": 201}, {"examples": 0}, {"seeds": ()}, {"seeds": (1, 1)}])
def test_bad_budgets_are_refused_before_anything_is_trained(digits, changes):
    with pytest.raises(ValueError, match=r"take fewer|different whole numbers"):
        soft_gates.measure(digits, replace(SOFT, **changes), progress=False)
    with pytest.raises(ValueError, match=r"take fewer|different whole numbers"):
        gate_gap.measure(digits, replace(GAP, **changes), progress=False)


def test_rows_that_are_not_there_are_named(soft, gap):
    with pytest.raises(ValueError, match="no soft gate with β = 3"):
        soft[0].row(3.0)
    with pytest.raises(ValueError, match="no network of depth 7 and width 8"):
        gap[0].row(7, 8)


@pytest.mark.parametrize("module", [soft_gates, gate_gap])
def test_published_readings_are_whole_and_of_the_real_data(module):
    found = module.published()
    assert [readings.seed for readings in found] == list(module.BUDGETS["paper"].seeds)
    for readings in found:
        assert readings.profile == "paper"
        assert not readings.data["stand_in"]
        assert readings.budget["examples"] == module.BUDGETS["paper"].examples
    if module is soft_gates:
        assert [(row["beta"], row["eps"]) for row in found[0].rows][: len(module.BUDGETS["paper"].soft)] == list(
            module.BUDGETS["paper"].soft
        )
    else:
        assert [(row["depth"], row["width"]) for row in found[0].rows] == module.BUDGETS["paper"].shapes
