"""The experiment of gates by layer: whose gates stand where, what the controls change, what is kept and refused."""

import json
from dataclasses import replace
from itertools import pairwise, product

import pytest
import torch

from companion.studies import layer_gates, plain_records
from companion.studies.layer_gates import (  # fmt: skip
    BUDGETS,
    CONTROLS,
    DERIVED,
    Budget,
    all_but,
    as_digits,
    first,
    last,
    measure,
    only,
    path_of,
    published,
)
from npflib import data, regimes
from npflib.networks import FullyConnected
from npflib.training.gate_sources import gate_table
from npflib.training.loop import train_and_keep

ARCH = FullyConnected(depth=4, width=16)
PATTERNS = ("LLL", "RRR", "OOO", "LRO")
TINY = Budget(150, 3, (0, 4, 5), PATTERNS, CONTROLS)


@pytest.fixture(scope="module")
def digits():
    return data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=150)


@pytest.fixture(scope="module")
def photographs():
    return as_digits(data.subset(data.load("cifar10", offline=True), train_examples=120, test_examples=100))


@pytest.fixture(scope="module")
def seen(digits, photographs):
    """The readings, and what each learner was given: (networks, images, labels, gates, test gates) by name."""
    learners = []
    real = layer_gates.GivenGatesLearner

    class Spy(real):
        def __init__(self, networks, x, y, test_x, test_y, gates, test_gates):
            learners.append((networks, x, y, test_y, gates, test_gates))
            super().__init__(networks, x, y, test_x, test_y, gates, test_gates)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_gates, "GivenGatesLearner", Spy)
        found = measure(digits, photographs, TINY, arch=ARCH, profile="smoke", progress=False)
    return found, dict(zip((*PATTERNS, *CONTROLS), learners, strict=True))


def gates_of(networks, x):
    return torch.stack([gate_table(network, x) for network in networks])


def learnt(x, y):
    """The networks that give learnt gates, trained anew."""
    starts = [regimes.start("ReLU", ARCH, seed) for seed in TINY.seeds]
    rows = torch.arange(len(y)).expand(len(starts), -1)
    kept = train_and_keep(starts, x, y, rows, (TINY.epochs,), seeds=TINY.seeds, learning_rate=layer_gates.LEARNING_RATE)
    return [networks[TINY.epochs] for networks in kept]


def test_patterns_say_what_their_names_say():
    for k, rest in product(range(6), "RO"):
        assert first(k, rest) == "".join("L" if layer < k else rest for layer in range(5))
        assert last(k, rest) == "".join("L" if layer >= 5 - k else rest for layer in range(5))
    for layer, rest in product(range(1, 6), "RO"):
        assert only(layer, rest) == "".join("L" if place == layer else rest for place in range(1, 6))
        assert all_but(layer, rest) == "".join(rest if place == layer else "L" for place in range(1, 6))


def test_the_full_budget_has_every_pattern_once():
    patterns = BUDGETS["paper"].patterns
    assert len(patterns) == len(set(patterns))
    for rest in "RO":
        wanted = {maker(k, rest) for maker in (first, last) for k in range(6)}
        wanted |= {maker(layer, rest) for maker in (only, all_but) for layer in range(1, 6)}
        assert wanted <= set(patterns)
    assert len(BUDGETS["paper"].seeds) >= 3
    assert BUDGETS["paper"].examples is None
    assert set(BUDGETS["paper"].controls) == set(CONTROLS)


def test_each_layer_s_gates_come_from_the_source_that_its_letter_names(seen):
    _, learners = seen
    _, x, y, *_ = learners["LLL"]
    sources = {
        "L": gates_of(learnt(x, y), x),
        "R": gates_of([regimes.start("FRNPF-II", ARCH, seed).feature for seed in TINY.seeds], x),
    }
    sources["O"] = torch.ones_like(sources["L"])
    assert not torch.equal(sources["L"], sources["R"])
    for pattern in PATTERNS:
        given = learners[pattern][4].split(ARCH.width, 2)
        for index, letter in enumerate(pattern):
            assert torch.equal(given[index], sources[letter].split(ARCH.width, 2)[index])
    for pattern, seed_at in product(PATTERNS, enumerate(TINY.seeds)):
        copy, seed = seed_at
        start = regimes.start("FRNPF-II", ARCH, seed).value
        assert torch.equal(learners[pattern][0][copy].weights[0], start.weights[0])


def test_all_learnt_is_flnpf_and_all_random_frnpf(seen, digits):
    """Trained through frozen feature networks, not tables: right on the same test images, to an example that rounds."""
    found, learners = seen
    _, x, y, *_ = learners["LLL"]
    test_x, test_y = digits.test_images.flatten(1), digits.test_labels
    networks = learnt(x, y)
    for regime, pattern in (("FLNPF", "LLL"), ("FRNPF-II", "RRR")):
        behind = [
            regimes.start(regime, ARCH, seed, network if regime == "FLNPF" else None)
            for seed, network in zip(TINY.seeds, networks, strict=True)
        ]
        rows = torch.arange(len(y)).expand(len(behind), -1)
        kept = train_and_keep(
            behind, x, y, rows, (TINY.epochs,), seeds=TINY.seeds, learning_rate=layer_gates.LEARNING_RATE
        )
        for readings, network in zip(found, kept, strict=True):
            with torch.no_grad():
                right = float((network[TINY.epochs](test_x).argmax(1) == test_y).double().mean())
            assert readings.final(pattern) == pytest.approx(right, abs=1.5 / len(test_y))


def test_the_controls_change_what_they_are_said_to_change(seen):
    found, learners = seen
    _, _, y, _, true, test_true = learners["LLL"]
    for copy in range(len(TINY.seeds)):
        whole = [sorted(map(bytes, table[copy].numpy())) for table in (true, learners["permuted-across"][4])]
        assert whole[0] == whole[1]
        assert not torch.equal(true[copy], learners["permuted-across"][4][copy])
        for label in y.unique():
            mine = [
                sorted(map(bytes, table[copy][y == label].numpy())) for table in (true, learners["permuted-within"][4])
            ]
            assert mine[0] == mine[1]  # the same gates in each class …
        assert not torch.equal(true[copy], learners["permuted-within"][4][copy])  # … at other images
    for name in ("permuted-within", "permuted-across", "same-start"):
        assert torch.equal(learners[name][5], test_true)  # the test images keep their own
    assert torch.equal(learners["same-start"][4], true)
    for copy, seed in enumerate(TINY.seeds):
        start = regimes.start("ReLU", ARCH, seed)
        assert torch.equal(learners["same-start"][0][copy].weights[0], start.weights[0])
        assert not torch.equal(learners["LLL"][0][copy].weights[0], start.weights[0])
        for which, source in ((4, true), (5, test_true)):
            layers = learners["other-networks"][which][copy].split(ARCH.width, 1)
            givers = [
                [c for c in range(3) if torch.equal(layers[index], source[c].split(ARCH.width, 1)[index])]
                for index in range(3)
            ]
            assert all(len(one) == 1 for one in givers)
            assert all(below != above for below, above in pairwise(givers))
    for name in ("other-data", "shuffled-labels"):
        assert not torch.equal(learners[name][4], true)
    assert len(found[0].givers) == 3


def test_within_the_classes_and_nowhere_else():
    labels = torch.tensor([3, 1, 1, 0, 3, 3, 0, 1] * 20)
    order = layer_gates._within(labels, 0)
    assert torch.equal(order.sort().values, torch.arange(len(labels)))
    assert torch.equal(labels[order], labels)
    assert not torch.equal(order, layer_gates._within(labels, 1))


def test_every_seed_has_every_accuracy(seen):
    found, _ = seen
    assert [readings.seed for readings in found] == list(TINY.seeds)
    for readings in found:
        assert set(readings.accuracies) == {*PATTERNS, *CONTROLS, *DERIVED}
        for name, values in readings.accuracies.items():
            assert len(values) == (1 if name in DERIVED else TINY.epochs)
            assert all(0 <= value <= 1 for value in values)
        assert set(readings.givers) == {"true", "shuffled", "other"}
        assert readings.budget["train_examples"] == 150
        assert readings.other_data is not None
    with pytest.raises(ValueError, match="seed 0 has no 'RLR'"):
        found[0].final("RLR")


def test_an_interrupted_call_goes_on_and_two_meet_in_the_middle(digits, tmp_path, monkeypatch):
    tiny = Budget(100, 1, (0, 1), ("LLL", "RRR", "LRO", "OOO"), ("same-start",))
    whole = measure(digits, None, tiny, arch=ARCH, progress=False)
    real, calls = layer_gates.train, []

    def breaks(*given, **more):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given, **more)

    monkeypatch.setattr(layer_gates, "train", breaks)
    with pytest.raises(KeyboardInterrupt):
        measure(digits, None, tiny, arch=ARCH, partial=tmp_path, progress=False)
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == ["LLL", "RRR"]
    again = measure(digits, None, tiny, arch=ARCH, partial=tmp_path, backwards=True, progress=False)
    assert len(calls) == 6  # three before, and the three that were not there
    for one, other in zip(whole, again, strict=True):
        assert one.accuracies == other.accuracies
        assert one.givers == other.givers
    longer = replace(tiny, epochs=2, patterns=("LLL",), controls=())
    (fresh, _) = measure(digits, None, longer, arch=ARCH, partial=tmp_path, progress=False)
    assert len(fresh.accuracies["LLL"]) == 2  # what another budget has kept is not taken


def test_readings_come_back_as_they_were(seen, tmp_path):
    found, _ = seen
    for readings in found:
        plain_records.write(readings, path_of(readings.seed, tmp_path))
    assert published(tmp_path) == list(found)
    path = path_of(0, tmp_path)
    for text in ("", "[]", "{}", json.dumps({"schema": 99}), json.dumps({"schema": 1, "seed": 0})):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"seed-0\.json holds no gates by layer .* scripts/mix_gates\.py"):
            published(tmp_path)


def test_what_is_published_is_the_full_budget_on_real_data():
    full = BUDGETS["paper"]
    for readings in published():
        assert readings.profile == "paper"
        assert not readings.data["stand_in"]
        assert readings.budget["train_examples"] == 60_000
        assert readings.budget["epochs"] == full.epochs
        assert {*full.patterns, *CONTROLS, *DERIVED} == set(readings.accuracies)
        assert readings.seed in full.seeds


def test_photographs_become_the_size_of_digits():
    pictures = data.subset(data.load("cifar10", offline=True), train_examples=12, test_examples=10)
    grey = as_digits(pictures)
    assert tuple(grey.train_images.shape) == (12, 1, 28, 28)
    by_hand = pictures.train_images[5, :, 2, 29].sum() / 3
    assert float(grey.train_images[5, 0, 0, 27]) == pytest.approx(float(by_hand), abs=1e-6)  # float32
    assert torch.equal(grey.train_labels, pictures.train_labels)
    with pytest.raises(ValueError, match="29 or more"):
        as_digits(grey, size=29)


def test_what_cannot_be_measured_is_refused(digits, photographs):
    none = replace(TINY, controls=())
    for wrong, message in (
        (replace(none, patterns=("LLLLL",)), "each of the 3 hidden layers"),
        (replace(none, patterns=("LXR",)), "got 'LXR'"),
        (replace(none, controls=("permuted",)), "unknown control 'permuted'"),
        (replace(none, seeds=(1,)), "two or more different seeds"),
        (replace(none, seeds=(1, 1)), "two or more different seeds"),
        (replace(none, examples=201), "there are 200"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(digits, None, wrong, arch=ARCH)
    for other in (None, data.subset(data.load("cifar10", offline=True), train_examples=10, test_examples=10)):
        with pytest.raises(ValueError, match="784 numbers an image"):
            measure(digits, other, TINY, arch=ARCH)
