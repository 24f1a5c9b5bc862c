"""Gates by layer: what a value network makes of gates that come from different sources.

Networks learn: FC on MNIST here, a quarter of GCONV on CIFAR-10 in its published runs of full budget. Then value
networks are trained from a fresh start behind gates put together layer by layer. A *pattern* names the source of each
hidden layer's gates, input side first: ``L``, learnt, those of a ReLU network trained on the same data; ``R``, random,
those of an untrained ReLU network of independent weights; ``O``, open, all 1, so that the layer is linear. So ``LLLLL``
is FLNPF, ``RRRRR`` FRNPF (II) and ``OOOOO`` a deep linear network. All layers learnt, but changed, are the controls of
the fully connected network:

* ``permuted-within``, ``permuted-across``: training images exchange their gates with others of their class, with any;
* ``permuted-within-both``: the test images theirs within their classes too;
* ``same-start``: the value network starts where the network that gave the gates started;
* ``other-networks``: each layer's gates from another trained network than those of the layer below it;
* ``swapped``: FLNPF's trained value network, tested behind the gates of another trained network;
* ``other-data``, ``shuffled-labels``: gates of networks trained on another data set, or on permuted labels.

A row has the test ``accuracy`` after an ``epoch`` behind some ``gates``; those of ``donor-…`` are of the networks that
give gates, each on its own task. Nothing is selected on the test set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from companion.studies import common
from companion.studies.study import Row, Study
from npflib.answers import accuracy
from npflib.architectures import FullyConnected, GConv, VConv
from npflib.data import Dataset
from npflib.networks import ReLUNetwork
from npflib.randomness import generator
from npflib.training.autograd import AutogradLearner
from npflib.training.batched import BatchedLearner
from npflib.training.gate_sources import MixedGates, OpenGates, layer_tables

ARCH = FullyConnected(depth=6, width=128)
LETTERS = {"L": "learnt", "R": "random", "O": "open"}
CONTROLS = ("permuted-within", "permuted-across", "same-start", "other-networks", "other-data", "shuffled-labels")
SOURCES = {"L": "donor-true", "R": "random", "O": "open"}
DONORS = {"other-data": "donor-other", "shuffled-labels": "donor-shuffled"}  # of all other controls: donor-true


def pattern(where: str, k: int, rest: str, layers: int = 5) -> str:
    """Learnt gates in the "first" or "last" k hidden layers, layer k "only", or all but k ("but"), as letters."""
    places = range(1, layers + 1)
    learnt = {"first": places[:k], "last": places[layers - k :], "only": [k], "but": {*places} - {k}}[where]
    return "".join("L" if place in learnt else rest for place in places)


@dataclass(frozen=True)
class LayerConfig:
    """What is asked for."""

    examples: int | None  # training examples of the value networks; None is all
    epochs: int  # of every network, those that give gates and those behind them
    seeds: tuple[int, ...]
    patterns: tuple[str, ...]
    controls: tuple[str, ...] = ()  # a fully connected network's alone
    # The experiment whose published ReLU networks give learnt gates; "": networks trained as the value networks are.
    donors: str = ""  # with so little a convolutional network's gates say nothing
    arch: FullyConnected | GConv | VConv = ARCH
    learning_rate: float = common.LEARNING_RATE
    part: tuple[int, int] | None = None  # training and test examples of each data set that count at all

    @property
    def datasets(self) -> tuple[str, ...]:
        """MNIST with CIFAR-10 beside it for the one control that needs it, or CIFAR-10 for itself."""
        own = "mnist" if isinstance(self.arch, FullyConnected) else "cifar10"
        return (own, "cifar10") if "other-data" in self.controls else (own,)


Layers = list[Any]  # a layer's gates in all networks: uint8 [S, n, w], or one table a network
Learnt = tuple[list[ReLUNetwork], list[float]]  # networks and their test accuracies


class _Sources:
    """What fully connected networks of all seeds are trained on at once, and gates of every source, when asked for."""

    def __init__(self, config: LayerConfig, dataset: Dataset, other: Dataset | None = None):
        self.other = None if other is None else _as_digits(other)
        layers, flat = len(config.arch.layers()) - 1, isinstance(config.arch, FullyConnected)
        for given in config.patterns:
            if len(given) != layers or not set(given) <= set(LETTERS):
                letters = ", ".join(f"{letter} ({name})" for letter, name in LETTERS.items())
                wanted = f"a pattern has one letter for each of the {layers} hidden layers, of {letters}"
                raise ValueError(f"{wanted}; got {given!r}.")
        if config.controls and not flat:
            raise ValueError(f"there are no controls for convolutional networks; got {config.controls!r}: take ().")
        if unknown := sorted(set(config.controls) - set(CONTROLS)):
            raise ValueError(f"unknown control {unknown[0]!r}; allowed: {', '.join(CONTROLS)}.")
        if flat and len(config.seeds) < 2:  # gates of one are tried in another
            raise ValueError(f"two or more different seeds are needed; got {list(config.seeds)!r}.")
        common.check_examples(config.examples, len(dataset.train_labels))
        if "other-data" in config.controls:
            size = dataset.train_images[0].numel()
            found = None if self.other is None else self.other.train_images[0].numel()
            if found != size:
                needs = f"the control 'other-data' needs another data set with {size} numbers an image"
                raise ValueError(f"{needs}, cut to a digit's size; got {found}. Or leave the control out.")
        self.config, self.seeds, self.arch = config, config.seeds, cast(Any, config.arch)
        start, rows = 1 if flat else -1, torch.arange(len(dataset.train_labels))
        if config.examples is not None:
            rows = torch.randperm(len(rows), generator=generator(0, "examples", 12))[: config.examples]
        self.x, self.y = dataset.train_images[rows].flatten(start), dataset.train_labels[rows]
        self.test = dataset.test_images.flatten(start), dataset.test_labels
        self.learnt, self.gates = cache(self._learnt), cache(self._gates)  # by source

    def trained(self, x: Tensor, y: Tensor, test: tuple[Tensor, Tensor]) -> Learnt:
        """Trained networks and their test accuracies; y [n], or [S, n] where each seed has its own."""
        copies, n, epochs = len(self.seeds), len(x), self.config.epochs
        rows = torch.arange(n).expand(copies, -1)
        if y.ndim == 2:  # side by side
            x, y, rows = x.repeat(copies, 1), y.flatten(), torch.arange(copies * n).view(copies, n)
        starts = [common.relu(self.arch, seed) for seed in self.seeds]
        networks = [found[epochs] for found in common.kept(starts, x, y, rows, (epochs,), self.config)]
        return networks, [accuracy(network, *test) for network in networks]

    def tables(self, networks: Sequence[ReLUNetwork], x: Tensor) -> Layers:
        return list(common.tables(networks, x).split(self.arch.width, 2))

    def open(self, x: Tensor) -> Layers:
        return [torch.ones(len(self.seeds), len(x), self.arch.width, dtype=torch.uint8)] * (self.arch.depth - 1)

    def learner(self, sets: common.Sets, gates: Layers, test_gates: Layers, start: bool) -> Any:
        behind = [(common.relu if start else common.value)(self.arch, seed) for seed in self.seeds]
        return BatchedLearner(behind, *sets, gates=(torch.cat(gates, 2), torch.cat(test_gates, 2)))

    def _learnt(self, source: str) -> Learnt:
        """The networks that give gates, and how much they get right, each on its own task."""
        x, y, test, n = self.x, self.y, self.test, len(self.y)
        if source == "donor-other" and self.other is not None:
            x, y = self.other.train_images.flatten(1)[:n], self.other.train_labels[:n]
            test = self.other.test_images.flatten(1), self.other.test_labels
        elif source == "donor-shuffled":
            y = torch.stack([y[common.label_order(seed, n)] for seed in self.seeds])
        elif self.config.donors:
            networks = common.learnt(self.config)
            return networks, [accuracy(network, *test) for network in networks]
        return self.trained(x, y, test)

    def _gates(self, source: str) -> tuple[Layers, Layers]:
        """The gates of the training and the test examples, a list of layers each."""
        if source == "open":
            return self.open(self.x), self.open(self.test[0])
        if source == "random":
            networks = [common.gated(self.arch, seed).feature for seed in self.seeds]
        else:
            networks, _ = self.learnt(source)
        return self.tables(networks, self.x), self.tables(networks, self.test[0])

    def mixed(self, unit: str) -> tuple[Layers, Layers]:
        """The gates of a pattern or of a control."""
        if unit not in CONTROLS:
            sources = {letter: self.gates(SOURCES[letter]) for letter in sorted(set(unit))}
            gates, test = ([sources[letter][part][at] for at, letter in enumerate(unit)] for part in (0, 1))
            return gates, test
        gates, test = self.gates(DONORS.get(unit, "donor-true"))
        seeds, n = self.seeds, len(self.y)
        if unit == "permuted-within":
            gates = _exchanged(gates, [_within(self.y, seed) for seed in seeds])
        if unit == "permuted-across":
            gates = _exchanged(gates, [common.label_order(seed, n) for seed in seeds])
        if unit == "other-networks":  # layer l of copy s from copy s + l
            gates, test = ([layer.roll(-at, 0) for at, layer in enumerate(layers)] for layers in (gates, test))
        return gates, test


class _Convolutional(_Sources):
    """Networks are trained one seed after the other; they have no controls, and are tested at the end alone."""

    def trained(self, x: Tensor, y: Tensor, test: tuple[Tensor, Tensor]) -> Learnt:
        networks = [common.relu(self.arch, seed) for seed in self.seeds]
        return networks, common.trained(AutogradLearner(networks, x, y, *test, common.CPU), self.config)

    def tables(self, networks: Sequence[ReLUNetwork], x: Tensor) -> Layers:
        return list(zip(*(layer_tables(network, x) for network in networks), strict=True))

    def open(self, x: Tensor) -> Layers:
        gates = common.relu(self.arch, 0).gates(torch.zeros(1, *x.shape[1:]))
        return [[OpenGates(gate.shape[1:])] * len(self.seeds) for gate in gates]

    def learner(self, sets: common.Sets, gates: Layers, test_gates: Layers, start: bool) -> Any:
        behind = [common.gated(self.arch, seed) for seed in self.seeds]
        mixed = [[MixedGates(of_one) for of_one in zip(*layers, strict=True)] for layers in (gates, test_gates)]
        return AutogradLearner(behind, *sets, gates=(mixed[0], mixed[1]))


def _evaluate(given: _Sources, unit: str) -> list[Row]:
    config, (test_x, test_y) = given.config, given.test
    if unit.startswith("donor-"):
        _, right = given.learnt(unit)
        epochs = max((run.epochs for run in common.published(config)), default=0)
        return _rows(config, {unit: [[accuracy] for accuracy in right]}, epochs)
    gates, test_gates = given.mixed(unit)
    learner = given.learner((given.x, given.y, test_x, test_y), gates, test_gates, unit == "same-start")
    every = isinstance(config.arch, FullyConnected)
    found = {unit: common.by_epoch(learner, config, every=every)}
    if unit == "permuted-within":  # the test images exchange theirs too, by their labels
        changed = _exchanged(test_gates, [_within(test_y, seed) for seed in config.seeds])
        found["permuted-within-both"] = [[one] for one in learner.test(torch.cat(changed, 2))[1]]
    if every and set(unit) == {"L"}:  # behind the gates of another seed's network
        found["swapped"] = [[one] for one in learner.test(torch.cat(test_gates, 2).roll(1, 0))[1]]
    return _rows(config, found)


def _rows(config: LayerConfig, found: Mapping[str, list[list[float]]], epochs: int = 0) -> list[Row]:
    """A row for each epoch that was tested; the last was."""
    return [
        {"seed": seed, "gates": gates, "epoch": epoch, "accuracy": accuracy}
        for gates, values in found.items()
        for seed, tested in zip(config.seeds, values, strict=True)
        for epoch, accuracy in enumerate(tested, (epochs or config.epochs) - len(tested) + 1)
    ]


def _as_digits(images: Dataset, size: int = 28) -> Dataset:
    """Colour images made grey (their channels' mean) and cut to their middle: the size of MNIST's digits."""
    shape = tuple(images.train_images.shape)
    if len(shape) != 4 or min(shape[2:]) < size:
        raise ValueError(f"images must be [n, channels, {size} or more, {size} or more]; got {shape}.")
    rows, columns = (slice((side - size) // 2, (side + size) // 2) for side in shape[2:])
    grey = [part[:, :, rows, columns].mean(1, keepdim=True) for part in (images.train_images, images.test_images)]
    return replace(images, train_images=grey[0], test_images=grey[1])


def _exchanged(layers: Layers, orders: Sequence[Tensor]) -> Layers:
    return [torch.stack([rows[order] for rows, order in zip(layer, orders, strict=True)]) for layer in layers]


def _within(labels: Tensor, seed: int) -> Tensor:
    """A permutation that leaves every example in its class."""
    order, source = torch.arange(len(labels)), generator(seed, "labels", 12)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        order[members] = members[torch.randperm(len(members), generator=source)]
    return order


def _units(config: LayerConfig) -> list[str]:
    """The networks that give gates, then what stands behind them."""
    learnt = any("L" in pattern for pattern in config.patterns) or not set(config.controls) <= set(DONORS)
    donors = ["donor-true"] * learnt + [DONORS[control] for control in config.controls if control in DONORS]
    return [*donors, *config.patterns, *config.controls]


def _patterns(claimed: Sequence[str], rests: str, layers: int, places: Sequence[str]) -> tuple[str, ...]:
    """Those that the claims need first, and every pattern with learnt gates in some ``places``, each once."""
    numbers = {place: range(place in ("only", "but"), layers + 1) for place in places}
    found = [pattern(place, k, rest, layers) for rest in rests for place in places for k in numbers[place]]
    return tuple(dict.fromkeys((*claimed, *found)))


_claimed = ("LLLLLL", "RRRRRR", "OOOOOO", "RRRLLL", "LLLRRR", "OOOLLL", "OOOOOL")
SIX = _patterns(_claimed, "R", 6, ("only",))
FIVE = _patterns(("LLLLL", "RRRRR"), "RO", 5, ("first", "last", "only", "but"))
SMOKE = (*(pattern("first", k, "R") for k in range(6)), "RRRLL", "OOOOO", "OOOLL")
QUICK = ("LLLLL", "RRRRR", *(pattern(where, k, "R") for where in ("first", "last") for k in (1, 2)))
MNIST = Study(
    name="mnist-layer-gates",
    title="Which layers' gates matter, and whose",
    datasets=("mnist", "cifar10"),
    configs={
        "smoke": LayerConfig(500, 1, (0, 1), SMOKE, CONTROLS, part=(1_000, 500)),
        "quick": LayerConfig(6_000, 2, (0, 1, 2), QUICK, ("permuted-within",)),
        "paper": LayerConfig(None, 5, (0, 1, 2), FIVE, CONTROLS),
    },
    units=_units,
    prepare=_Sources,
    evaluate=_evaluate,
    conditions=("gates", "epoch"),
    listed=("patterns", "controls"),
    fit=common.fitted,
    given=lambda config: [run.weights for run in common.published(config)],
)
CIFAR10 = replace(
    MNIST,
    name="cifar10-layer-gates",
    title="Which layers' gates matter in a convolutional network",
    datasets=("cifar10",),
    prepare=_Convolutional,
    configs={
        "smoke": LayerConfig(64, 1, (0, 1), ("LLLLLL", "RRRRRR", "OOOLLL"), (), *common.QUARTER, part=(64, 50)),
        "quick": LayerConfig(1_000, 1, (0, 1), ("LLLLLL", "RRRRRR"), (), *common.QUARTER, part=(1_000, 500)),
        "paper": LayerConfig(10_000, 5, (0, 1, 2), SIX, (), *common.QUARTER),
    },
)
