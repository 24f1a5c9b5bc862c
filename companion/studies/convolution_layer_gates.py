"""Gates by layer in a convolutional network: :mod:`companion.studies.layer_gates` for GCONV on CIFAR-10.

The network is an eighth of the paper's GCONV: four convolutions of 8, 8, 16, 16 channels, a global average pool and two
dense layers of 32, hence six hidden layers. A pattern such as ``OOOOLL`` names the source of each one's gates, input
side first: learnt, random or open.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter

import torch
from tqdm import tqdm

from companion.studies import plain_records
from companion.studies.kept_entries import KeptEntries
from companion.studies.layer_gates import Budget, Readings, check_pattern, first, last, only
from npflib import regimes
from npflib.architectures import GConv, VConv
from npflib.data import Dataset
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.randomness import generator
from npflib.records import locations
from npflib.records.fingerprint import training_source_hash
from npflib.training.autograd import ModuleLearner
from npflib.training.given_gates import train
from npflib.training.mixed_gates import LayerGates, MixedGates, MixedGatesLearner, OpenGates, layer_tables

ARCH = GConv(channels=(8, 8, 16, 16), dense=(32, 32))
LAYERS = 6
LEARNING_RATE = 1e-3
PUBLISHED = "cifar10-layer-gates"


@dataclass(frozen=True)
class ConvolutionBudget(Budget):
    """What the experiment may spend; see :class:`companion.studies.layer_gates.Budget`.

    Attributes:
        giver_epochs: epochs over *all* training images for the networks that give learnt gates; 0 lets them learn from
            what the value networks learn from, for as long. A small convolutional network learns slower than value
            networks behind its gates: with too little its gates say no more than random ones.

    Example:
        >>> from companion.studies.convolution_layer_gates import BUDGETS
        >>> BUDGETS["paper"].giver_epochs
        4
    """

    giver_epochs: int = 0


def _patterns() -> tuple[str, ...]:
    """Every pattern once, those that the claims need first."""
    claimed = ["LLLLLL", "RRRRRR", "OOOOOO", "RRRLLL", "LLLRRR", "OOOLLL", "OOOOOL"]
    alone = [only(layer, "R", LAYERS) for layer in range(1, LAYERS + 1)]
    grown = [maker(k, "R", LAYERS) for maker in (first, last) for k in range(LAYERS + 1)]
    return tuple(dict.fromkeys((*claimed, *alone, *grown)))


BUDGETS = {
    "smoke": ConvolutionBudget(64, 1, (0, 1), ("LLLLLL", "RRRRRR", "OOOLLL"), (), 1),
    "quick": ConvolutionBudget(1_000, 1, (0, 1), ("LLLLLL", "RRRRRR"), (), 2),
    "paper": ConvolutionBudget(10_000, 5, (0, 1, 2), _patterns(), (), 4),
}


def measure(
    dataset: Dataset,
    budget: ConvolutionBudget,
    *,
    profile: str = "quick",
    arch: GConv | VConv = ARCH,
    partial: Path | None = None,
    backwards: bool = False,
    progress: bool = True,
) -> list[Readings]:
    """Trains the networks that give gates, then value networks behind every pattern.

    Args:
        dataset: images [N, c, h, w] of the network's size.
        budget: what to spend; there are no controls here.
        profile: its name, for the record.
        arch: the network.
        partial: a folder where each entry is kept as soon as it is there. An interrupted call, repeated, goes on from
            there, and a second process may work at the same time.
        backwards: whether to begin with the last pattern: so two processes meet in the middle.
        progress: whether to show a progress bar.

    Returns:
        One ``Readings`` a seed.

    Raises:
        ValueError: a pattern that does not fit the network, controls, no seeds or repeated ones, more examples than
            there are, or epochs that are negative.

    Example:
        >>> from npflib import data
        >>> from companion.studies.convolution_layer_gates import ConvolutionBudget, measure
        >>> from npflib.networks import GConv
        >>> few = data.subset(data.load("cifar10", offline=True), train_examples=40, test_examples=20)
        >>> tiny = ConvolutionBudget(None, 1, (0,), ("LL", "RO"), ())
        >>> (found,) = measure(few, tiny, arch=GConv(channels=(4,), dense=(4,)), progress=False)
        >>> sorted(found.accuracies)
        ['LL', 'RO']
    """
    layers = len(arch.layers()) - 1
    _check(dataset, budget, layers)
    started = perf_counter()
    seeds, total = list(budget.seeds), len(dataset.train_labels)
    count = budget.examples or total
    rows = torch.randperm(total, generator=generator(0, "examples", 12))[:count]
    x, y = dataset.train_images[rows], dataset.train_labels[rows]
    test_x, test_y = dataset.test_images, dataset.test_labels
    plain = {key: value for key, value in asdict(budget).items() if key != "seeds"}
    plain |= {"train_examples": count, "test_examples": len(test_y), "learning_rate": LEARNING_RATE}
    kept = KeptEntries(
        partial,
        {"budget": {k: v for k, v in plain.items() if k != "patterns"}, "seeds": seeds, "arch": repr(arch)}
        | {"source": training_source_hash(), "data": dataset.source.as_dict()["title"]},
    )
    givers: dict[str, list[float]] = {}

    @cache
    def tables(source: str) -> list[tuple[Sequence[LayerGates], Sequence[LayerGates]]]:
        """A seed's gates of the training and of the test images, layer by layer."""
        networks = [_relu(arch, seed) if source == "L" else _random(arch, seed) for seed in seeds]
        if source == "L":
            taught = (dataset.train_images, dataset.train_labels) if budget.giver_epochs else (x, y)
            learner = ModuleLearner(networks, *taught, test_x, test_y, torch.device("cpu"))
            found = _trained(learner, budget.giver_epochs or budget.epochs, seeds)
            givers["true"] = [accuracies[-1] for accuracies in found]
        return [(layer_tables(network, x), layer_tables(network, test_x)) for network in networks]

    shapes = [tuple(gate.shape[1:]) for gate in _relu(arch, 0).gates(torch.zeros(1, *x.shape[1:]))]

    def mixed(pattern: str, copy: int, which: int) -> MixedGates:
        return MixedGates(
            [
                OpenGates(shapes[layer]) if letter == "O" else tables(letter)[copy][which][layer]
                for layer, letter in enumerate(pattern)
            ]
        )

    found: dict[str, list[list[float]]] = {}
    names = list(dict.fromkeys(budget.patterns))
    for name in tqdm(names[::-1] if backwards else names, desc="gates by layer", disable=not progress):
        entry = kept.get(name)
        if entry is None:
            copies = range(len(seeds))
            gates, test_gates = ([mixed(name, copy, which) for copy in copies] for which in (0, 1))
            behind = [_gated(arch, seed) for seed in seeds]
            learner = MixedGatesLearner(behind, x, y, test_x, test_y, gates, test_gates)
            entry = {"accuracies": {name: _trained(learner, budget.epochs, seeds)}, "givers": givers}
            kept.put(name, entry)
        found |= entry["accuracies"]
        givers |= entry["givers"]
    spent = (perf_counter() - started) / len(seeds)
    return [
        Readings(
            seed, profile, json.loads(json.dumps(plain)), {name: values[copy] for name, values in found.items()},
            {name: values[copy] for name, values in givers.items()}, dataset.source.as_dict(), None,
            training_source_hash(), spent,
        )
        for copy, seed in enumerate(seeds)
    ]  # fmt: skip


def path_of(seed: int, folder: Path | None = None, name: str = "narrow-gconv") -> Path:
    """Where a seed's accuracies are published; ``folder`` takes the place of ``results/``.

    ``name`` is "narrow-gconv", or "narrow-gconv-first" for a first run, whose networks had learnt too little.

    Example:
        >>> from companion.studies.convolution_layer_gates import path_of
        >>> path_of(0).parts[-3:]
        ('cifar10-layer-gates', 'narrow-gconv', 'seed-0.json')
    """
    return Path(folder or locations.published()) / PUBLISHED / name / f"seed-{seed}.json"


def published(folder: Path | None = None, name: str = "narrow-gconv") -> list[Readings]:
    """The published accuracies, by seed; none is an empty list.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies.convolution_layer_gates import published
        >>> published(Path("no-results"))
        []
    """
    script = "scripts/mix_convolution_gates.py"
    return plain_records.read_all(Readings, path_of(0, folder, name).parent, "gates by layer", script)


def _check(dataset: Dataset, budget: ConvolutionBudget, layers: int) -> None:
    for pattern in budget.patterns:
        check_pattern(pattern, layers)
    if budget.giver_epochs < 0:
        raise ValueError(f"giver_epochs must be 0 or more; got {budget.giver_epochs!r}.")
    if budget.controls:
        raise ValueError(f"there are no controls for convolutional networks; got {budget.controls!r}: take ().")
    if not budget.seeds or len(set(budget.seeds)) != len(budget.seeds):
        raise ValueError(f"seeds must be one or more different whole numbers; got {list(budget.seeds)!r}.")
    if budget.examples is not None and not 0 < budget.examples <= len(dataset.train_labels):
        raise ValueError(
            f"{budget.examples:,} training examples are asked for; there are {len(dataset.train_labels):,}: take fewer."
        )


def _trained(learner: ModuleLearner, epochs: int, seeds: Sequence[int]) -> list[list[float]]:
    """Each network's accuracy after the last epoch, the only one that is tested."""
    return train(learner, epochs, seeds=seeds, learning_rate=LEARNING_RATE, test_every_epoch=False)


def _relu(arch: GConv | VConv, seed: int) -> ReLUNetwork:
    network = regimes.start("ReLU", arch, seed)
    assert isinstance(network, ReLUNetwork)
    return network


def _random(arch: GConv | VConv, seed: int) -> ReLUNetwork:
    """The network whose gates FRNPF (II) has."""
    network = _gated(arch, seed).feature
    assert isinstance(network, ReLUNetwork)
    return network


def _gated(arch: GConv | VConv, seed: int) -> DeepGatedNetwork:
    """The value network's start that all regimes share, behind the random gates of FRNPF (II)."""
    network = regimes.start("FRNPF-II", arch, seed)
    assert isinstance(network, DeepGatedNetwork)
    return network
