"""The experiment of gates by layer: what a value network makes of gates that come from different sources.

Networks (FC, with biases) learn MNIST, by true labels and by permuted ones, and another data set. Then value networks
are trained from a fresh start behind gates put together layer by layer (``training.given_gates``). A *pattern* names
the source of each hidden layer's gates, input side first:

* ``L``: learnt, those of a ReLU network trained on the same data;
* ``R``: random, those of an untrained ReLU network of independent weights;
* ``O``: open, all 1, so that the layer is linear.

So ``LLLLL`` is FLNPF, ``RRRRR`` FRNPF (II) and ``OOOOO`` a deep linear network. All layers learnt, but changed, are the
controls:

* ``permuted-within``: training images exchange their gates with others of their class; tested behind the test images'
  own gates, and (``permuted-within-both``) behind gates exchanged within the classes of the test set;
* ``permuted-across``: training images exchange their gates with any others;
* ``same-start``: the value network starts where the network that gave the gates started;
* ``other-networks``: each layer's gates from another trained network than those of the layer below it;
* ``swapped``: FLNPF's trained value network, tested behind the gates of another trained network;
* ``other-data``: gates of networks trained on another data set;
* ``shuffled-labels``: gates of networks trained on permuted labels.

Everything is the last epoch's; nothing is selected on the test set.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from companion.studies import plain_records
from companion.studies.kept_entries import KeptEntries
from npflib import regimes
from npflib.answers import accuracy
from npflib.architectures import FullyConnected
from npflib.data import Dataset
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.randomness import generator
from npflib.records import locations
from npflib.records.fingerprint import training_source_hash
from npflib.training.given_gates import GivenGatesLearner, gate_table, train
from npflib.training.snapshots import train_and_keep

SCHEMA = 1
ARCH = FullyConnected(depth=6, width=128)
LEARNING_RATE = 1e-3
PUBLISHED = "mnist-layer-gates"
LETTERS = {"L": "learnt", "R": "random", "O": "open"}
CONTROLS = ("permuted-within", "permuted-across", "same-start", "other-networks", "other-data", "shuffled-labels")
DERIVED = ("permuted-within-both", "swapped")  # tests of networks that another entry trains


def first(k: int, rest: str, layers: int = 5) -> str:
    """Learnt gates in the first k hidden layers.

    Example:
        >>> from companion.studies.layer_gates import first
        >>> first(2, "R")
        'LLRRR'
    """
    return "L" * k + rest * (layers - k)


def last(k: int, rest: str, layers: int = 5) -> str:
    """Learnt gates in the last k hidden layers.

    Example:
        >>> from companion.studies.layer_gates import last
        >>> last(2, "O")
        'OOOLL'
    """
    return rest * (layers - k) + "L" * k


def only(layer: int, rest: str, layers: int = 5) -> str:
    """Learnt gates in one hidden layer, counted from 1.

    Example:
        >>> from companion.studies.layer_gates import only
        >>> only(3, "R")
        'RRLRR'
    """
    return rest * (layer - 1) + "L" + rest * (layers - layer)


def all_but(layer: int, rest: str, layers: int = 5) -> str:
    """Learnt gates in all hidden layers but one, counted from 1.

    Example:
        >>> from companion.studies.layer_gates import all_but
        >>> all_but(3, "O")
        'LLOLL'
    """
    return "L" * (layer - 1) + rest + "L" * (layers - layer)


def check_pattern(pattern: str, layers: int) -> None:
    """Whether a pattern names a source for each hidden layer.

    Raises:
        ValueError: another number of letters, or one that is not in ``LETTERS``.

    Example:
        >>> from companion.studies.layer_gates import check_pattern
        >>> check_pattern("LX", layers=2)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: a pattern has one letter for each of the 2 hidden layers, of L (learnt), ...; got 'LX'.
    """
    if len(pattern) != layers or not set(pattern) <= set(LETTERS):
        raise ValueError(
            f"a pattern has one letter for each of the {layers} hidden layers, of "
            f"{', '.join(f'{letter} ({name})' for letter, name in LETTERS.items())}; got {pattern!r}."
        )


def _patterns(rests: str, layers: int = 5) -> tuple[str, ...]:
    """FLNPF, FRNPF, and every pattern above, each once."""
    found = [first(layers, "R", layers), first(0, "R", layers)]
    for rest in rests:
        found += [maker(k, rest, layers) for maker in (first, last) for k in range(layers + 1)]
        found += [maker(layer, rest, layers) for maker in (only, all_but) for layer in range(1, layers + 1)]
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Budget:
    """What the experiment may spend.

    Attributes:
        examples: training examples; None is all.
        epochs: of every network, those that give gates and those behind them.
        seeds: independent repetitions, two or more: gates of one are tried in another.
        patterns: sources of the gates, a letter a layer.
        controls: names in ``CONTROLS``.

    Example:
        >>> from companion.studies.layer_gates import BUDGETS
        >>> BUDGETS["paper"].epochs, len(BUDGETS["paper"].patterns)
        (5, 31)
    """

    examples: int | None
    epochs: int
    seeds: tuple[int, ...]
    patterns: tuple[str, ...]
    controls: tuple[str, ...]


BUDGETS = {
    "smoke": Budget(500, 1, (0, 1), (*(first(k, "R") for k in range(6)), "RRRLL", "OOOOO", "OOOLL"), CONTROLS),
    "quick": Budget(
        6_000, 2, (0, 1, 2), ("LLLLL", "RRRRR", *(maker(k, "R") for maker in (first, last) for k in (1, 2))),
        ("permuted-within",),
    ),
    "paper": Budget(None, 5, (0, 1, 2), _patterns("RO"), CONTROLS),
}  # fmt: skip


@dataclass(frozen=True)
class Readings:
    """Test accuracies of one seed.

    Attributes:
        seed: of starts, orders and permutations.
        profile: scale of the budget.
        budget: ``Budget`` as plain values, without its seeds.
        accuracies: pattern or control → test accuracy after each epoch; for ``DERIVED`` the last one alone.
        givers: "true", "shuffled", "other": last test accuracy of the networks that give gates, each on its own task.
        data: where the data came from.
        other_data: where the other data set came from; None without that control.
        source: fingerprint of the training code.
        seconds: the seed's share of the wall-clock time.
        schema: version of this format.

    Example:
        >>> from companion.studies.layer_gates import Readings
        >>> Readings(0, "smoke", {}, {"LLLLL": [0.5, 0.75]}, {}, {}, None, "", 1.0).final("LLLLL")
        0.75
    """

    seed: int
    profile: str
    budget: dict[str, Any]
    accuracies: dict[str, list[float]]
    givers: dict[str, float]
    data: dict[str, Any]
    other_data: dict[str, Any] | None
    source: str
    seconds: float
    schema: int = SCHEMA

    def final(self, name: str) -> float:
        """Test accuracy after the last epoch.

        Raises:
            ValueError: there is none of that name.

        Example:
            >>> from companion.studies.layer_gates import Readings
            >>> Readings(0, "smoke", {}, {}, {}, {}, None, "", 1.0).final("LLLLL")
            Traceback (most recent call last):
            ...
            ValueError: seed 0 has no 'LLLLL'; it has: none.
        """
        if name not in self.accuracies:
            raise ValueError(f"seed {self.seed} has no {name!r}; it has: {', '.join(self.accuracies) or 'none'}.")
        return self.accuracies[name][-1]


@torch.no_grad()
def measure(
    dataset: Dataset,
    other: Dataset | None,
    budget: Budget,
    *,
    profile: str = "quick",
    arch: FullyConnected = ARCH,
    partial: Path | None = None,
    backwards: bool = False,
    progress: bool = True,
) -> list[Readings]:
    """Trains the networks that give gates, then value networks behind every pattern and control.

    Args:
        dataset: what is learnt.
        other: another data set with inputs of the same size (see ``as_digits``); None without that control.
        budget: what to spend.
        profile: its name, for the record.
        arch: the network.
        partial: a folder where each entry is kept as soon as it is there. An interrupted call, repeated, goes on from
            there, and a second process may work at the same time.
        backwards: whether to begin with the last entry: so two processes meet in the middle.
        progress: whether to show a progress bar.

    Returns:
        One ``Readings`` a seed.

    Raises:
        ValueError: a pattern that does not fit the network, an unknown control, seeds that are repeated or fewer than
            two, more examples than there are, or no other data where that control is asked for.

    Example:
        >>> from npflib import data
        >>> from companion.studies.layer_gates import Budget, measure
        >>> from npflib.networks import FullyConnected
        >>> digits = data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=100)
        >>> tiny = Budget(None, 1, (0, 1), ("LL", "LR", "OO"), ("same-start",))
        >>> found = measure(digits, None, tiny, arch=FullyConnected(depth=3, width=16), progress=False)
        >>> sorted(found[0].accuracies)
        ['LL', 'LR', 'OO', 'same-start', 'swapped']
    """
    _check(dataset, other, budget, arch)
    started = perf_counter()
    seeds, total = list(budget.seeds), len(dataset.train_labels)
    count = budget.examples or total
    rows = (
        torch.randperm(total, generator=generator(0, "examples", 12))[:count] if count < total else torch.arange(total)
    )
    x, y = dataset.train_images.flatten(1)[rows], dataset.train_labels[rows]
    test_x, test_y = dataset.test_images.flatten(1), dataset.test_labels
    starts = [_relu_start(arch, seed) for seed in seeds]
    permuted = torch.stack([_order(seed, len(y)) for seed in seeds])
    plain = {key: value for key, value in asdict(budget).items() if key != "seeds"}
    plain |= {"train_examples": count, "test_examples": len(test_y), "learning_rate": LEARNING_RATE}
    key = {"budget": {k: v for k, v in plain.items() if k not in ("patterns", "controls")}, "seeds": seeds}
    kept = KeptEntries(partial, key | {"source": training_source_hash(), "data": dataset.source.as_dict()["title"]})
    givers: dict[str, list[float]] = {}

    def learnt(what: str, images: Tensor, labels: Tensor, rows: Tensor) -> list[ReLUNetwork]:
        kept = train_and_keep(starts, images, labels, rows, (budget.epochs,), seeds=seeds, learning_rate=LEARNING_RATE)
        return [networks[budget.epochs] for networks in kept]

    @cache
    def tables(source: str) -> tuple[Tensor, Tensor]:
        """Gates of the training and the test examples, [S, n, units] each."""
        everything = torch.arange(len(y)).expand(len(seeds), -1)
        if source == "random":
            networks = [_random(arch, seed) for seed in seeds]
        elif source == "true":
            networks = learnt(source, x, y, everything)
            givers[source] = [accuracy(network, test_x, test_y) for network in networks]
        elif source == "shuffled":
            # Side by side, since each seed has its own permutation of the labels.
            labels = torch.cat([y[order] for order in permuted])
            networks = learnt(source, x.repeat(len(seeds), 1), labels, torch.arange(len(labels)).view(len(seeds), -1))
            givers[source] = [accuracy(network, test_x, test_y) for network in networks]
        else:
            assert other is not None
            images, labels = other.train_images.flatten(1), other.train_labels
            some = torch.arange(min(count, len(labels))).expand(len(seeds), -1)
            networks = learnt(source, images, labels, some)
            givers[source] = [
                accuracy(network, other.test_images.flatten(1), other.test_labels) for network in networks
            ]
        return torch.stack([gate_table(n, x) for n in networks]), torch.stack([gate_table(n, test_x) for n in networks])

    def gates_of(name: str) -> tuple[Tensor, Tensor]:
        if name not in CONTROLS:
            return _mixed(name, tables, arch)
        true = tables("true")
        if name == "permuted-within":
            return _rows(true[0], [_within(y, seed) for seed in seeds]), true[1]
        if name == "permuted-across":
            return _rows(true[0], list(permuted)), true[1]
        if name == "other-networks":
            return _shifted(true[0], arch.width), _shifted(true[1], arch.width)
        return tables({"other-data": "other", "shuffled-labels": "shuffled"}.get(name, "true"))

    names = list(dict.fromkeys((*budget.patterns, *budget.controls)))
    found: dict[str, list[list[float]]] = {}
    for name in tqdm(names[::-1] if backwards else names, desc="gates by layer", disable=not progress):
        entry = kept.get(name)
        if entry is not None:
            found |= entry["accuracies"]
            givers |= entry["givers"]
            continue
        gates, test_gates = gates_of(name)
        behind = starts if name == "same-start" else [_value_start(arch, seed) for seed in seeds]
        learner = GivenGatesLearner(behind, x, y, test_x, test_y, gates, test_gates)
        mine = {name: train(learner, budget.epochs, seeds=seeds, learning_rate=LEARNING_RATE)}
        if name == "permuted-within":
            changed = _rows(test_gates, [_within(test_y, seed) for seed in seeds])
            mine["permuted-within-both"] = [[one] for one in learner.test_behind(changed)[1]]
        if set(name) == {"L"}:
            mine["swapped"] = [[one] for one in learner.test_behind(test_gates.roll(1, 0))[1]]
        kept.put(name, {"accuracies": mine, "givers": givers})
        found |= mine
    spent = (perf_counter() - started) / len(seeds)
    return [
        Readings(
            seed, profile, json.loads(json.dumps(plain)), {name: values[copy] for name, values in found.items()},
            {name: values[copy] for name, values in givers.items()}, dataset.source.as_dict(),
            other.source.as_dict() if other is not None and "other-data" in budget.controls else None,
            training_source_hash(), spent,
        )
        for copy, seed in enumerate(seeds)
    ]  # fmt: skip


def as_digits(images: Dataset, size: int = 28) -> Dataset:
    """Colour images made grey (their channels' mean) and cut to their middle: the size of MNIST's digits.

    Raises:
        ValueError: images that are not [n, channels, height, width] or smaller than ``size``.

    Example:
        >>> from npflib import data
        >>> from companion.studies.layer_gates import as_digits
        >>> few = data.subset(data.load("cifar10", offline=True), train_examples=10, test_examples=10)
        >>> tuple(as_digits(few).train_images.shape)
        (10, 1, 28, 28)
    """
    from dataclasses import replace

    shape = tuple(images.train_images.shape)
    if len(shape) != 4 or min(shape[2:]) < size:
        raise ValueError(f"images must be [n, channels, {size} or more, {size} or more]; got {shape}.")
    top, left = (shape[2] - size) // 2, (shape[3] - size) // 2

    def grey(given: Tensor) -> Tensor:
        return given[:, :, top : top + size, left : left + size].mean(1, keepdim=True)

    return replace(images, train_images=grey(images.train_images), test_images=grey(images.test_images))


def path_of(seed: int, folder: Path | None = None) -> Path:
    """Where a seed's accuracies are published; ``folder`` takes the place of ``results/``.

    Example:
        >>> from companion.studies.layer_gates import path_of
        >>> path_of(0).parts[-3:]
        ('mnist-layer-gates', 'fc', 'seed-0.json')
    """
    return Path(folder or locations.published()) / PUBLISHED / "fc" / f"seed-{seed}.json"


def published(folder: Path | None = None) -> list[Readings]:
    """The published accuracies, by seed; none is an empty list.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies.layer_gates import published
        >>> published(Path("no-results"))
        []
    """
    return plain_records.read_all(Readings, path_of(0, folder).parent, "gates by layer", "scripts/mix_gates.py")


def _check(dataset: Dataset, other: Dataset | None, budget: Budget, arch: FullyConnected) -> None:
    layers = arch.depth - 1
    for pattern in budget.patterns:
        check_pattern(pattern, layers)
    unknown = sorted(set(budget.controls) - set(CONTROLS))
    if unknown:
        raise ValueError(f"unknown control {unknown[0]!r}; allowed: {', '.join(CONTROLS)}.")
    if len(budget.seeds) < 2 or len(set(budget.seeds)) != len(budget.seeds):
        raise ValueError(f"two or more different seeds are needed; got {list(budget.seeds)!r}.")
    if budget.examples is not None and not 0 < budget.examples <= len(dataset.train_labels):
        raise ValueError(
            f"{budget.examples:,} training examples are asked for; there are {len(dataset.train_labels):,}: take fewer."
        )
    if "other-data" in budget.controls:
        size = dataset.train_images[0].numel()
        given = None if other is None else other.train_images[0].numel()
        if given != size:
            raise ValueError(
                f"the control 'other-data' needs another data set with {size} numbers an image; got {given}. "
                "`as_digits` makes one of colour images; or leave the control out."
            )


def _relu_start(arch: FullyConnected, seed: int) -> ReLUNetwork:
    network = regimes.start("ReLU", arch, seed)
    assert isinstance(network, ReLUNetwork)
    return network


def _random(arch: FullyConnected, seed: int) -> ReLUNetwork:
    """The network whose gates FRNPF (II) has."""
    gated = regimes.start("FRNPF-II", arch, seed)
    assert isinstance(gated, DeepGatedNetwork)
    assert isinstance(gated.feature, ReLUNetwork)
    return gated.feature


def _value_start(arch: FullyConnected, seed: int) -> ReLUNetwork:
    """The value network's start that all regimes share, as a network."""
    gated = regimes.start("FRNPF-II", arch, seed)
    assert isinstance(gated, DeepGatedNetwork)
    network = ReLUNetwork(arch)
    network.load_state_dict(gated.value.state_dict())
    return network


def _mixed(pattern: str, tables: Any, arch: FullyConnected) -> tuple[Tensor, Tensor]:
    """The gates of a pattern, of the training and the test examples."""
    sources = {letter: tables({"L": "true", "R": "random"}[letter]) for letter in sorted(set(pattern) & {"L", "R"})}
    shapes = [table.shape for table in (next(iter(sources.values())) if sources else tables("random"))]
    parts = []
    for which, shape in enumerate(shapes):
        layers = [
            torch.ones(*shape[:2], arch.width, dtype=torch.uint8)
            if letter == "O"
            else sources[letter][which][:, :, index * arch.width : (index + 1) * arch.width]
            for index, letter in enumerate(pattern)
        ]
        parts.append(torch.cat(layers, 2))
    return parts[0], parts[1]


def _shifted(table: Tensor, width: int) -> Tensor:
    """Layer l of copy s from copy s + l, so that neighbouring layers come from different networks."""
    layers = table.split(width, 2)
    return torch.cat([layer.roll(-index, 0) for index, layer in enumerate(layers)], 2)


def _rows(table: Tensor, orders: Sequence[Tensor]) -> Tensor:
    return torch.stack([rows[order] for rows, order in zip(table, orders, strict=True)])


def _within(labels: Tensor, seed: int) -> Tensor:
    """A permutation that leaves every example in its class."""
    order = torch.arange(len(labels))
    source = generator(seed, "labels", 12)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        order[members] = members[torch.randperm(len(members), generator=source)]
    return order


def _order(seed: int, n: int) -> Tensor:
    return torch.randperm(n, generator=generator(seed, "labels", 2))
