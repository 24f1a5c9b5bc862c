"""The experiment of reading gates: what it draws, pairs, keeps and refuses."""

import json
from dataclasses import replace

import pytest
import torch
from companion.studies.gate_readings import BUDGETS, SOURCES, Budget, Readings, measure, path_of, published, read, write

from companion.studies import gate_readings
from npflib.data import datasets as data
from npflib.networks import FullyConnected

ARCH = FullyConnected(depth=3, width=24, bias=False)
TINY = Budget(60, (0, 1, 4), 150, 2, seeds=(0, 3), valued=("start", "own", "shuffled"), ridges=(0.01, 0.1, 1.0))


@pytest.fixture(scope="module")
def digits():
    return data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=150)


@pytest.fixture(scope="module")
def found(digits):
    return measure(digits, TINY, arch=ARCH, profile="smoke", progress=False)


def test_every_seed_has_every_reading(found):
    assert [readings.seed for readings in found] == [0, 3]
    expected = [("linear", 0), ("own", 0), ("own", 1), ("own", 4), ("other", 4), ("all", 2), ("shuffled", 4)]
    for readings in found:
        assert [(row.gates, row.epoch) for row in readings.rows] == expected
        valued = {(row.gates, row.epoch) for row in readings.rows if row.value is not None}
        assert valued == {("own", 0), ("own", 4), ("shuffled", 4)}
        for row in readings.rows:
            assert 0 <= row.kernel <= 1
            assert row.ridge in TINY.ridges
            assert (row.network is None) == (row.gates == "linear")
    assert found[0].rows != found[1].rows


def test_a_seed_alone_is_the_seed_in_company(digits, found):
    (alone,) = measure(digits, TINY, arch=ARCH, profile="smoke", seeds=[3], progress=False)
    for one, other in zip(alone.rows, found[1].rows, strict=True):
        # Trained in company a network differs by float32's rounding at most: an example or two may change sides.
        assert one.kernel == pytest.approx(other.kernel, abs=2.5 / 150)


def test_the_sources_learn_what_they_are_said_to_learn(digits, monkeypatch):
    """Which examples and labels each network is trained on, as the trainer sees them."""
    seen = []
    real = gate_readings.train_and_keep

    def spy(networks, images, labels, rows, keep, **more):
        seen.append((networks, images, labels, rows, max(keep)))
        return real(networks, images, labels, rows, keep, **more)

    monkeypatch.setattr(gate_readings, "train_and_keep", spy)
    measure(digits, TINY, arch=ARCH, profile="smoke", progress=False)
    own, other, everything, shuffled, *values = seen
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
    longer = replace(TINY, kept=(0, 150), all_epochs=60, valued=())
    for readings in measure(digits, longer, arch=ARCH, progress=False):
        assert readings.row("own", 0).network_fit < 0.5
        for gates in ("own", "other", "all", "shuffled"):
            assert readings.row(gates).network_fit > 0.6
        assert readings.row("own").network > 0.4 > readings.row("shuffled").network
        assert readings.row("own").epoch == 150


def test_the_budgets_take_as_many_steps_of_either_kind():
    for name in ("quick", "paper"):
        budget = BUDGETS[name]
        assert budget.kept[-1] * budget.examples == budget.all_epochs * (budget.pool or 60_000)
    for budget in BUDGETS.values():
        assert budget.kept[0] == 0
        assert set(budget.valued) <= {"start", *SOURCES}
    assert BUDGETS["paper"].examples >= 5_000


def test_readings_come_back_as_they_were(found, tmp_path):
    for readings in found:
        path = path_of(readings.seed, tmp_path)
        write(readings, path)
        assert read(path) == readings
    assert published(tmp_path) == list(found)
    assert published(tmp_path / "none") == []


def test_a_file_that_holds_no_readings_is_named(found, tmp_path):
    path = tmp_path / "seed-0.json"
    for text in ("", "[]", "{}", json.dumps({"schema": 99}), json.dumps({"schema": 1, "seed": 0})):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"seed-0\.json holds no readings .* scripts/read_gates\.py"):
            read(path)


def test_what_is_published_is_the_full_budget_on_real_data():
    full = BUDGETS["paper"]
    for readings in published():
        assert readings.profile == "paper"
        assert not readings.data["stand_in"]
        assert readings.budget["examples"] == full.examples
        assert readings.budget["test_examples"] == 10_000
        assert tuple(readings.budget["kept"]) == full.kept
        assert readings.seed in full.seeds


def test_what_cannot_be_measured_is_refused(digits):
    with pytest.raises(ValueError, match="pool of 150"):
        measure(digits, replace(TINY, examples=80), arch=ARCH)
    with pytest.raises(ValueError, match="200 in all"):
        measure(digits, replace(TINY, pool=201), arch=ARCH)
    for seeds in ([], [1, 1]):
        with pytest.raises(ValueError, match="seeds"):
            measure(digits, TINY, seeds=seeds, arch=ARCH)
    with pytest.raises(ValueError, match="no reading of 'other' at epoch 7"):
        Readings(0, "smoke", {}, (), {}, "", 0.0).row("other", 7)
