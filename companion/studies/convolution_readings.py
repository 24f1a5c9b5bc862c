"""Reading a convolutional network's gates with a kernel machine: ``gate_readings`` for GCONV on CIFAR-10.

A seed draws n training and m test images. A GCONV network (an eighth of the paper's, no biases) learns from the n
images (``own``), and one of the same start from a larger pool that contains them, in more steps (``all``). The
gates of both, and those of their common start (``start``: random gates), make neural path kernels; ridge regression
with each is fitted on the n images and tested on the m.

The kernel is the flattened form (``convolution.flattened_path_kernel``): that of a network without
pooling. The pooled form costs s² = 1,024 times as much and is out of reach at such n. Behind the same gates therefore
stand *two* value networks, trained on the n images from a fresh start: a VCONV, whose hidden maps are flattened, as the
kernel supposes, and a GCONV, which pools.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from companion.studies import plain_records
from companion.studies.kept_entries import KeptEntries
from npflib import regimes
from npflib.architectures import GConv, VConv
from npflib.data import Dataset
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.randomness import generator
from npflib.records import locations
from npflib.records.fingerprint import training_source_hash
from npflib.theory.convolution import flattened_path_kernel
from npflib.theory.kernel_ridge import choose_ridge, fit
from npflib.training.autograd import ModuleLearner
from npflib.training.given_gates import train
from npflib.training.mixed_gates import MixedGates, MixedGatesLearner, layer_tables

SCHEMA = 1
ARCH = GConv(channels=(8, 8, 16, 16), dense=(32, 32), bias=False)
CLASSES = 10
LEARNING_RATE = 1e-3
PUBLISHED = "cifar10-gate-readings"
SOURCES = ("start", "own", "all")


@dataclass(frozen=True)
class Budget:
    """What the experiment may spend.

    Attributes:
        examples: n, of the regression, of ``own`` and of the value networks.
        test_examples: m.
        epochs: of ``own`` and of the value networks.
        pool: images that ``all`` learns from, the n among them.
        all_epochs: its epochs over them.
        seeds: independent repetitions: draws of images, starts, orders.
        valued: sources of the gates behind which value networks are trained.
        ridges: relative ridges to choose from.

    Example:
        >>> from companion.studies.convolution_readings import BUDGETS
        >>> full = BUDGETS["paper"]
        >>> full.pool * full.all_epochs / (full.examples * full.epochs)  # times as many steps for ``all``
        4.0
    """

    examples: int
    test_examples: int
    epochs: int
    pool: int
    all_epochs: int
    seeds: tuple[int, ...]
    valued: tuple[str, ...]
    ridges: tuple[float, ...]


BUDGETS = {
    "smoke": Budget(40, 30, 1, 80, 1, (0, 1), ("own",), (1e-1, 1.0)),
    "quick": Budget(200, 200, 4, 800, 1, (0, 1), ("own",), (1e-2, 1e-1, 1.0)),
    "paper": Budget(2_000, 1_000, 20, 40_000, 4, (0, 1, 2), SOURCES, (1e-3, 1e-2, 1e-1, 1.0, 10.0)),
}


@dataclass(frozen=True)
class Readings:
    """All readings of one seed; accuracies are shares of the test images.

    Attributes:
        seed: of the draws, the start and the orders.
        profile: scale of the budget.
        budget: ``Budget`` as plain values, without its seeds.
        accuracies: source of the gates → who reads them → accuracy. Sources are "linear" (all gates open) and those in
            ``SOURCES``; readers "kernel" (the machine), "network" (the one that the gates came from), "flattened" and
            "pooled" (value networks).
        ridges: source → the machine's relative ridge.
        data: where the data came from.
        source: fingerprint of the training code.
        seconds: wall-clock time of the seed.
        schema: version of this format.

    Example:
        >>> from companion.studies.convolution_readings import Readings
        >>> Readings(0, "smoke", {}, {"own": {"kernel": 0.3}}, {"own": 0.1}, {}, "", 1.0).accuracies["own"]["kernel"]
        0.3
    """

    seed: int
    profile: str
    budget: dict[str, Any]
    accuracies: dict[str, dict[str, float]]
    ridges: dict[str, float]
    data: dict[str, Any]
    source: str
    seconds: float
    schema: int = SCHEMA


def measure(
    dataset: Dataset,
    budget: Budget,
    *,
    profile: str = "quick",
    arch: GConv = ARCH,
    partial: Path | None = None,
    progress: bool = True,
) -> list[Readings]:
    """Trains the networks, reads their gates, and trains value networks behind them.

    Args:
        dataset: images [N, c, h, w] of the network's size, of ten classes.
        budget: what to spend.
        profile: its name, for the record.
        arch: the network; without biases the theory is exact.
        partial: a folder where each seed is kept as soon as it is there. An interrupted call, repeated, goes on from
            there, and other processes may measure other seeds at the same time.
        progress: whether to show a progress bar.

    Returns:
        One ``Readings`` a seed.

    Raises:
        ValueError: no seeds or repeated ones, unknown sources, or more images than there are.

    Example:
        >>> from npflib import data
        >>> from companion.studies.convolution_readings import Budget, measure
        >>> from npflib.networks import GConv
        >>> few = data.subset(data.load("cifar10", offline=True), train_examples=80, test_examples=20)
        >>> tiny = Budget(20, 10, 1, 40, 1, seeds=(0,), valued=("own",), ridges=(0.1, 1.0))
        >>> (found,) = measure(few, tiny, arch=GConv(channels=(4,), dense=(4,), bias=False), progress=False)
        >>> {source: sorted(readers) for source, readers in found.accuracies.items()}["own"]
        ['flattened', 'kernel', 'network', 'pooled']
    """
    _check(dataset, budget)
    plain = {key: value for key, value in asdict(budget).items() if key != "seeds"} | {"learning_rate": LEARNING_RATE}
    title = dataset.source.as_dict()["title"]
    kept = KeptEntries(
        partial, {"budget": plain, "arch": repr(arch), "source": training_source_hash(), "data": title}
    )  # fmt: skip
    found: dict[int, dict[str, Any]] = {}
    for seed in tqdm(budget.seeds, desc="reading gates", disable=not progress):
        entry = kept.get(f"seed-{seed}")
        if entry is None:
            started = perf_counter()
            accuracies, ridges = _read_seed(dataset, budget, arch, seed)
            entry = {"accuracies": accuracies, "ridges": ridges, "seconds": perf_counter() - started}
            kept.put(f"seed-{seed}", entry)
        found[seed] = entry
    return [
        Readings(
            seed, profile, json.loads(json.dumps(plain)), data=dataset.source.as_dict(), source=training_source_hash(),
            **found[seed],
        )
        for seed in budget.seeds
    ]  # fmt: skip


def path_of(seed: int, folder: Path | None = None) -> Path:
    """Where a seed's readings are published; ``folder`` takes the place of ``results/``.

    Example:
        >>> from companion.studies.convolution_readings import path_of
        >>> path_of(0).parts[-3:]
        ('cifar10-gate-readings', 'n-2000', 'seed-0.json')
    """
    examples = BUDGETS["paper"].examples
    return Path(folder or locations.published()) / PUBLISHED / f"n-{examples}" / f"seed-{seed}.json"


def published(folder: Path | None = None) -> list[Readings]:
    """The published readings, by seed; none is an empty list.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies.convolution_readings import published
        >>> published(Path("no-results"))
        []
    """
    script = "scripts/read_convolution_gates.py"
    return plain_records.read_all(Readings, path_of(0, folder).parent, "readings of gates", script)


def _read_seed(
    dataset: Dataset, budget: Budget, arch: GConv, seed: int
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Accuracies by source and reader, and ridges by source."""
    n, draw = budget.examples, generator(seed, "examples", 10)
    pool = torch.randperm(len(dataset.train_labels), generator=draw)[: budget.pool]
    tested = torch.randperm(len(dataset.test_labels), generator=draw)[: budget.test_examples]
    images, labels = _floats(dataset.train_images[pool]), dataset.train_labels[pool]
    x, y = images[:n], labels[:n]
    test_x, test_y = _floats(dataset.test_images[tested]), dataset.test_labels[tested]

    def learnt(some: Tensor, theirs: Tensor, epochs: int) -> tuple[ReLUNetwork, float]:
        network = _relu(arch, seed)
        learner = ModuleLearner([network], some, theirs, test_x, test_y, torch.device("cpu"))
        return network, _trained(learner, epochs, seed)

    start = _relu(arch, seed)
    networks = {
        "start": (start, ModuleLearner([start], x, y, test_x, test_y, torch.device("cpu")).test()[1][0]),
        "own": learnt(x, y, budget.epochs),
        "all": learnt(images, labels, budget.all_epochs),
    }
    accuracies: dict[str, dict[str, float]] = {}
    ridges: dict[str, float] = {}

    def machine(source: str, kernel: Tensor, rows: Tensor) -> float:
        choice = choose_ridge(kernel, y, budget.ridges, classes=CLASSES, seed=seed)
        ridges[source] = choice.ridge
        return fit(kernel, y, choice.ridge, classes=CLASSES).accuracy(rows, test_y)

    flat, test_flat = x.flatten(1).double(), test_x.flatten(1).double()
    accuracies["linear"] = {"kernel": machine("linear", flat @ flat.T, test_flat @ flat.T)}
    flattened = VConv(arch.in_channels, arch.image_size, arch.out_features, arch.bias, arch.channels, arch.dense)
    for source, (network, accuracy) in networks.items():
        gates, test_gates = MixedGates(layer_tables(network, x)), MixedGates(layer_tables(network, test_x))
        here, there = gates.lookup(torch.arange(len(x))), test_gates.lookup(torch.arange(len(test_x)))
        kernel = flattened_path_kernel(x, here).double()
        rows = flattened_path_kernel(test_x, there, x, here).double()
        accuracies[source] = {"kernel": machine(source, kernel, rows), "network": accuracy}
        del here, there, kernel, rows
        if source in budget.valued:
            read_outs: dict[str, GConv | VConv] = {"flattened": flattened, "pooled": arch}
            for name, read_out in read_outs.items():
                behind = [_gated(read_out, seed)]
                learner = MixedGatesLearner(behind, x, y, test_x, test_y, [gates], [test_gates])
                accuracies[source][name] = _trained(learner, budget.epochs, seed)
    return accuracies, ridges


def _check(dataset: Dataset, budget: Budget) -> None:
    if not budget.seeds or len(set(budget.seeds)) != len(budget.seeds):
        raise ValueError(f"seeds must be one or more different whole numbers; got {list(budget.seeds)!r}.")
    unknown = sorted(set(budget.valued) - set(SOURCES))
    if unknown:
        raise ValueError(f"unknown source of gates {unknown[0]!r}; allowed: {', '.join(SOURCES)}.")
    total, tested = len(dataset.train_labels), len(dataset.test_labels)
    if not 0 < budget.examples <= budget.pool <= total:
        raise ValueError(
            f"{budget.examples:,} examples come from a pool of {budget.pool:,}, out of {total:,} in all: take fewer "
            f"examples, or a pool of {budget.examples:,} to {total:,}."
        )
    if not 0 < budget.test_examples <= tested:
        raise ValueError(f"{budget.test_examples:,} test examples are asked for; there are {tested:,}: take fewer.")


def _floats(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.float().div_(255)


def _trained(learner: ModuleLearner, epochs: int, seed: int) -> float:
    """The accuracy of the learner's one network after the last epoch."""
    return train(learner, epochs, seeds=[seed], learning_rate=LEARNING_RATE, test_every_epoch=False)[0][0]


def _relu(arch: GConv, seed: int) -> ReLUNetwork:
    network = regimes.start("ReLU", arch, seed)
    assert isinstance(network, ReLUNetwork)
    return network


def _gated(arch: GConv | VConv, seed: int) -> DeepGatedNetwork:
    network = regimes.start("FRNPF-II", arch, seed)
    assert isinstance(network, DeepGatedNetwork)
    return network
