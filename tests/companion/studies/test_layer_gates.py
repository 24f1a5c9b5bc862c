"""Gates by layer: whose gates stand where, what the controls change, what is kept and refused."""

from dataclasses import replace
from itertools import pairwise, product

import pytest
import torch

from companion.studies import common, layer_gates
from companion.studies.layer_gates import CONTROLS, LETTERS, MNIST, LayerConfig, pattern
from npflib import data, regimes
from npflib.networks import FullyConnected
from npflib.training.gate_sources import gate_table
from npflib.training.loop import train_and_keep

ARCH = FullyConnected(depth=4, width=16)
PATTERNS = ("LLL", "RRR", "OOO", "LRO")
TINY = LayerConfig(150, 3, (0, 4, 5), PATTERNS, CONTROLS, arch=ARCH)
DERIVED = ("permuted-within-both", "swapped")  # tests of networks that another unit trains


@pytest.fixture(scope="module")
def digits():
    return data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=150)


@pytest.fixture(scope="module")
def photographs():
    return data.subset(data.load("cifar10", offline=True), train_examples=120, test_examples=100)


@pytest.fixture(scope="module")
def seen(digits, photographs):
    """The table, and what each learner was given: (networks, images, labels, gates, test gates) by name."""
    learners = []
    real = layer_gates.BatchedLearner

    class Spy(real):
        def __init__(self, networks, x, y, test_x, test_y, *, gates):
            learners.append((networks, x, y, test_y, *gates))
            super().__init__(networks, x, y, test_x, test_y, gates=gates)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_gates, "BatchedLearner", Spy)
        found = MNIST.measure(TINY, digits, photographs, progress=False)
    return found, dict(zip((*PATTERNS, *CONTROLS), learners, strict=True))


def gates_of(networks, x):
    return torch.stack([gate_table(network, x) for network in networks])


def learnt(x, y):
    """The networks that give learnt gates, trained anew."""
    starts = [regimes.start("ReLU", ARCH, seed) for seed in TINY.seeds]
    rows = torch.arange(len(y)).expand(len(starts), -1)
    kept = train_and_keep(starts, x, y, rows, (TINY.epochs,), seeds=TINY.seeds, learning_rate=TINY.learning_rate)
    return [networks[TINY.epochs] for networks in kept]


def test_patterns_say_what_their_names_say():
    for k, rest in product(range(6), "RO"):
        assert pattern("first", k, rest) == "".join("L" if layer < k else rest for layer in range(5))
        assert pattern("last", k, rest) == "".join("L" if layer >= 5 - k else rest for layer in range(5))
    for layer, rest in product(range(1, 6), "RO"):
        assert pattern("only", layer, rest) == "".join("L" if place == layer else rest for place in range(1, 6))
        assert pattern("but", layer, rest) == "".join(rest if place == layer else "L" for place in range(1, 6))


def test_the_full_configuration_has_every_pattern_once():
    full = MNIST.configs["paper"]
    assert len(full.patterns) == len(set(full.patterns))
    for rest in "RO":
        wanted = {pattern(where, k, rest) for where in ("first", "last") for k in range(6)}
        wanted |= {pattern(where, layer, rest) for where in ("only", "but") for layer in range(1, 6)}
        assert wanted <= set(full.patterns)
    assert len(full.seeds) >= 3
    assert full.examples is None
    assert set(full.controls) == set(CONTROLS)
    assert set(MNIST.published().options("gates")) == {*MNIST.units(full), *DERIVED}


def test_each_layer_s_gates_come_from_the_source_that_its_letter_names(seen):
    _, learners = seen
    _, x, y, *_ = learners["LLL"]
    sources = {
        "L": gates_of(learnt(x, y), x),
        "R": gates_of([regimes.start("FRNPF-II", ARCH, seed).feature for seed in TINY.seeds], x),
    }
    sources["O"] = torch.ones_like(sources["L"])
    assert not torch.equal(sources["L"], sources["R"])
    for name in PATTERNS:
        given = learners[name][4].split(ARCH.width, 2)
        for index, letter in enumerate(name):
            assert torch.equal(given[index], sources[letter].split(ARCH.width, 2)[index])
    for name, (copy, seed) in product(PATTERNS, enumerate(TINY.seeds)):
        start = regimes.start("FRNPF-II", ARCH, seed).value
        assert torch.equal(learners[name][0][copy].weights[0], start.weights[0])


def test_all_learnt_is_flnpf_and_all_random_frnpf(seen, digits):
    """Trained through frozen feature networks, not tables: right on the same test images, to an example that rounds."""
    found, learners = seen
    _, x, y, *_ = learners["LLL"]
    test_x, test_y = digits.test_images.flatten(1), digits.test_labels
    networks = learnt(x, y)
    for regime, name in (("FLNPF", "LLL"), ("FRNPF-II", "RRR")):
        behind = [
            regimes.start(regime, ARCH, seed, network if regime == "FLNPF" else None)
            for seed, network in zip(TINY.seeds, networks, strict=True)
        ]
        rows = torch.arange(len(y)).expand(len(behind), -1)
        kept = train_and_keep(behind, x, y, rows, (TINY.epochs,), seeds=TINY.seeds, learning_rate=TINY.learning_rate)
        for accuracy, network in zip(found.values("accuracy", gates=name), kept, strict=True):
            with torch.no_grad():
                right = float((network[TINY.epochs](test_x).argmax(1) == test_y).double().mean())
            assert accuracy == pytest.approx(right, abs=1.5 / len(test_y))


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
    assert {name for name in found.options("gates") if name.startswith("donor")} == {
        "donor-true",
        "donor-other",
        "donor-shuffled",
    }


def test_within_the_classes_and_nowhere_else():
    labels = torch.tensor([3, 1, 1, 0, 3, 3, 0, 1] * 20)
    order = layer_gates._within(labels, 0)
    assert torch.equal(order.sort().values, torch.arange(len(labels)))
    assert torch.equal(labels[order], labels)
    assert not torch.equal(order, layer_gates._within(labels, 1))


def test_every_seed_has_every_accuracy(seen):
    found, _ = seen
    assert found.seeds == list(TINY.seeds)
    donors = ("donor-true", "donor-other", "donor-shuffled")
    assert set(found.options("gates")) == {*PATTERNS, *CONTROLS, *DERIVED, *donors}
    for name in found.options("gates"):
        epochs = found.options("epoch", gates=name)
        assert epochs == ([TINY.epochs] if name in (*DERIVED, *donors) else [1, 2, 3])
    assert all(0 <= row["accuracy"] <= 1 for row in found.rows)
    assert [one["name"] for one in found.data] == ["mnist", "cifar10"]
    with pytest.raises(ValueError, match="seed 0 of mnist-layer-gates has no rows with gates = 'RLR'"):
        found.values("accuracy", gates="RLR")


def test_an_interrupted_call_goes_on_and_ends_alike(digits, tmp_path, monkeypatch):
    tiny = LayerConfig(100, 1, (0, 1), ("LLL", "RRR", "LRO", "OOO"), ("same-start",), arch=ARCH)
    whole = MNIST.measure(tiny, digits, progress=False)
    real, calls = common.train, []

    def breaks(*given, **more):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given, **more)

    monkeypatch.setattr(common, "train", breaks)
    with pytest.raises(KeyboardInterrupt):
        MNIST.measure(tiny, digits, build=tmp_path, progress=False)
    kept = MNIST.kept_in(tmp_path, tiny, digits)
    assert sorted(path.stem for path in kept.glob("*.json")) == ["LLL", "RRR", "donor-true"]
    again = MNIST.measure(tiny, digits, build=tmp_path, progress=False)
    assert len(calls) == 6  # three before, and the three that were not there
    assert again.rows == whole.rows
    other = replace(tiny, arch=FullyConnected(depth=4, width=8), patterns=("LLL",), controls=())
    assert MNIST.measure(other, digits, build=tmp_path, progress=False).rows != [
        row for row in whole.rows if row["gates"] in ("donor-true", "LLL", "swapped")
    ]
    assert len(calls) == 7  # what another architecture has kept is not taken


def test_other_data_are_asked_for_only_where_they_are_needed():
    for config in MNIST.configs.values():
        assert config.datasets == (("mnist", "cifar10") if "other-data" in config.controls else ("mnist",))
        assert all(letter in LETTERS for given in config.patterns for letter in given)


def test_photographs_become_the_size_of_digits():
    pictures = data.subset(data.load("cifar10", offline=True), train_examples=12, test_examples=10)
    grey = layer_gates._as_digits(pictures)
    assert tuple(grey.train_images.shape) == (12, 1, 28, 28)
    by_hand = pictures.train_images[5, :, 2, 29].sum() / 3
    assert float(grey.train_images[5, 0, 0, 27]) == pytest.approx(float(by_hand), abs=1e-6)  # float32
    assert torch.equal(grey.train_labels, pictures.train_labels)
    with pytest.raises(ValueError, match="29 or more"):
        layer_gates._as_digits(grey, size=29)


def test_what_cannot_be_measured_is_refused(digits):
    none = replace(TINY, controls=())
    for wrong, message in (
        (replace(none, patterns=("LLLLL",)), "each of the 3 hidden layers"),
        (replace(none, patterns=("LXR",)), "got 'LXR'"),
        (replace(none, controls=("permuted",)), "unknown control 'permuted'"),
        (replace(none, seeds=(1,)), "two or more different seeds"),
        (replace(none, examples=201), "there are 200"),
        (TINY, "784 numbers an image.*got None"),
    ):
        with pytest.raises(ValueError, match=message):
            MNIST.measure(wrong, digits, progress=False)
    small = replace(digits, train_images=digits.train_images[:, :, :20], test_images=digits.test_images[:, :, :20])
    with pytest.raises(ValueError, match="28 or more"):
        MNIST.measure(TINY, digits, small, progress=False)
    assert MNIST.fit(replace(TINY, examples=201), digits).examples == 200  # a stand-in is small
