"""The experiment of reading gates: whose gates, learnt from what, say how much to a kernel machine.

A seed draws n examples of MNIST for the regression. Networks of one common start (FC, no biases) learn

* ``own``: from the regression's own n examples;
* ``other``: from n others that the regression does not have: as much to learn from, nothing to leak;
* ``all``: from all training examples (or a pool of them), own and other, in as many steps;
* ``shuffled``: from the regression's own images with their labels permuted.

Their gates are read (``theory.gate_reader``) from the regression's n examples and their true labels, and tested on
the test set. Beside a reading stand the accuracy of the network that the gates came from and that of a value network
trained from a fresh start behind the same gates on the same n examples (FLNPF; behind the gates of the common start,
epoch 0, FRNPF). A seed's readings belong together in pairs.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from npflib import regimes
from npflib.answers import accuracy
from npflib.architectures import FullyConnected
from npflib.data import Dataset
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.randomness import generator
from npflib.records import locations
from npflib.records.atomic import write_text
from npflib.records.fingerprint import training_source_hash
from npflib.theory.gate_reader import GateReader
from npflib.training.snapshots import train_and_keep

SCHEMA = 1
ARCH = FullyConnected(depth=6, width=128, bias=False)
SOURCES = ("own", "other", "all", "shuffled")
PUBLISHED = "mnist-gate-readings"
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Budget:
    """What the experiment may spend.

    Attributes:
        examples: n, of the regression and of every network but that of ``all``.
        kept: epochs at which gates of ``own`` are read; 0 is before training, the last is where it ends.
        pool: training examples that ``all`` learns from; None is all there are.
        all_epochs: its epochs over them.
        seeds: independent repetitions: draws of examples, starts, orders.
        valued: the gates behind which a value network is trained: "start" and sources.
        ridges: relative ridges to choose from.

    Example:
        >>> from companion.studies.gate_readings import BUDGETS
        >>> full = BUDGETS["paper"]
        >>> full.examples, full.kept[-1] * full.examples == full.all_epochs * 60_000  # as many steps
        (5000, True)
    """

    examples: int
    kept: tuple[int, ...]
    pool: int | None
    all_epochs: int
    seeds: tuple[int, ...]
    valued: tuple[str, ...]
    ridges: tuple[float, ...]


# As many steps for ``all`` as for ``own``, at ``quick`` and ``paper``.
BUDGETS = {
    "smoke": Budget(200, (0, 1, 2), 1_000, 1, (0, 1), ("start", "own"), (1e-2, 1e-1, 1.0)),
    "quick": Budget(1_000, (0, 2, 15), 15_000, 1, (0, 1, 2), ("start", "own"), (1e-2, 1e-1, 1.0, 10.0)),
    "paper": Budget(
        5_000, (0, 1, 2, 5, 10, 20, 48), None, 4, (0, 1, 2, 3, 4), ("start", *SOURCES), (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    ),
}


@dataclass(frozen=True)
class Row:
    """One reading and what stands beside it; accuracies are shares of the test examples unless said otherwise.

    Attributes:
        gates: "linear" (all open), or the source of the gates.
        epoch: epochs that their network had learnt; 0 for the linear kernel.
        kernel: accuracy of the kernel machine.
        ridge: its relative ridge.
        held_out: its accuracy on the training examples held out for the choice of the ridge.
        at_edge: whether the ridge is the least or greatest tried.
        network: accuracy of the network that the gates came from; None for the linear kernel.
        network_fit: that network's accuracy on the labels that it was trained on: for ``all`` at the regression's
            examples; None for the linear kernel.
        value: accuracy of the value network trained behind the gates; None where none was.

    Example:
        >>> from companion.studies.gate_readings import Row
        >>> Row("linear", 0, 0.85, 0.1, 0.85, False).network is None
        True
    """

    gates: str
    epoch: int
    kernel: float
    ridge: float
    held_out: float
    at_edge: bool
    network: float | None = None
    network_fit: float | None = None
    value: float | None = None


@dataclass(frozen=True)
class Readings:
    """All readings of one seed.

    Attributes:
        seed: of the draw of examples, the start and the orders.
        profile: scale of the budget.
        budget: ``Budget`` as plain values, without its seeds.
        rows: the readings.
        data: where the data came from.
        source: fingerprint of the training code.
        seconds: the seed's share of the wall-clock time.
        schema: version of this format.

    Example:
        >>> from companion.studies.gate_readings import Readings, Row
        >>> found = Readings(0, "smoke", {}, (Row("own", 0, 0.5, 0.1, 0.5, False),), {}, "", 1.0)
        >>> found.row("own", 0).kernel
        0.5
    """

    seed: int
    profile: str
    budget: dict[str, Any]
    rows: tuple[Row, ...]
    data: dict[str, Any]
    source: str
    seconds: float
    schema: int = SCHEMA

    def row(self, gates: str, epoch: int | None = None) -> Row:
        """The reading of a source at an epoch; None is its last.

        Raises:
            ValueError: there is none.

        Example:
            >>> from companion.studies.gate_readings import Readings
            >>> Readings(0, "smoke", {}, (), {}, "", 1.0).row("own")
            Traceback (most recent call last):
            ...
            ValueError: seed 0 has no reading of 'own' at epoch None; it has: none.
        """
        found = [row for row in self.rows if row.gates == gates and epoch in (None, row.epoch)]
        if not found:
            there = ", ".join(f"{row.gates} at {row.epoch}" for row in self.rows) or "none"
            raise ValueError(f"seed {self.seed} has no reading of {gates!r} at epoch {epoch}; it has: {there}.")
        return max(found, key=lambda row: row.epoch)


@torch.no_grad()
def measure(
    dataset: Dataset,
    budget: Budget,
    *,
    profile: str = "quick",
    seeds: Sequence[int] | None = None,
    arch: FullyConnected = ARCH,
    progress: bool = True,
) -> list[Readings]:
    """Trains the networks, reads their gates, and trains value networks behind them.

    Args:
        dataset: with at least 2n training examples, and as many as the pool.
        budget: what to spend.
        profile: its name, for the record.
        seeds: None means the budget's own.
        arch: the network; without biases the theory is exact.
        progress: whether to show a progress bar.

    Returns:
        One ``Readings`` a seed.

    Raises:
        ValueError: too few training examples, no seeds, or seeds that are repeated.

    Example:
        >>> import torch
        >>> from npflib import data
        >>> from companion.studies.gate_readings import Budget, measure
        >>> from npflib.networks import FullyConnected
        >>> digits = data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=100)
        >>> tiny = Budget(50, (0, 1), None, 1, seeds=(0,), valued=("own",), ridges=(0.01, 0.1))
        >>> (found,) = measure(digits, tiny, arch=FullyConnected(depth=3, width=16, bias=False), progress=False)
        >>> [(row.gates, row.epoch) for row in found.rows]
        [('linear', 0), ('own', 0), ('own', 1), ('other', 1), ('all', 1), ('shuffled', 1)]
    """
    seeds = list(budget.seeds if seeds is None else seeds)
    n, total = budget.examples, len(dataset.train_labels)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be one or more different whole numbers; got {seeds!r}.")
    pool = total if budget.pool is None else budget.pool
    if not 2 * n <= pool <= total:
        raise ValueError(
            f"{n:,} examples and as many others come from a pool of {pool:,}, out of {total:,} in all: take fewer "
            f"examples, or a pool of {2 * n:,} to {total:,}."
        )
    started = perf_counter()
    images, labels = dataset.train_images.flatten(1), dataset.train_labels
    test_images, test_labels = dataset.test_images.flatten(1), dataset.test_labels
    drawn = torch.stack([torch.randperm(total, generator=generator(seed, "examples", 1)) for seed in seeds])
    own, other, everything = drawn[:, :n], drawn[:, n : 2 * n], drawn[:, :pool]
    # The regressions' examples side by side: seeds may share images, and shuffled labels differ from seed to seed.
    mine, mine_labels = images[own.flatten()], labels[own.flatten()]
    places = torch.arange(len(seeds) * n).view(len(seeds), n)
    permuted = torch.cat([own_labels[_order(seed, n)] for seed, own_labels in zip(seeds, labels[own], strict=True)])
    last = budget.kept[-1]
    starts = [_relu(arch, seed) for seed in seeds]

    with tqdm(total=4 + len(budget.valued) + len(seeds), desc="reading gates", disable=not progress) as bar:

        def learnt(
            x: Tensor, y: Tensor, rows: Tensor, keep: Sequence[int]
        ) -> tuple[list[dict[int, ReLUNetwork]], Tensor, Tensor, Tensor]:
            kept = train_and_keep(starts, x, y, rows, keep, seeds=seeds, learning_rate=LEARNING_RATE)
            bar.update()
            return kept, x, y, rows

        found = {
            "own": learnt(images, labels, own, budget.kept),
            "other": learnt(images, labels, other, (last,)),
            "all": learnt(images, labels, everything, (budget.all_epochs,)),
            "shuffled": learnt(mine, permuted, places, (last,)),
        }
        values: dict[str, list[dict[int, DeepGatedNetwork]]] = {}
        for name in budget.valued:
            kept = [sorted(networks.items()) for networks in found["own" if name == "start" else name][0]]
            gating = [networks[0 if name == "start" else -1][1] for networks in kept]
            behind = [_gated(arch, seed, network) for seed, network in zip(seeds, gating, strict=True)]
            values[name] = train_and_keep(
                behind, mine, mine_labels, places, (last,), seeds=seeds, learning_rate=LEARNING_RATE
            )
            bar.update()

        tables = []
        for copy, seed in enumerate(seeds):
            reader = GateReader(
                images[own[copy]], labels[own[copy]], test_images, test_labels, ridges=budget.ridges, seed=seed
            )
            rows = [Row("linear", 0, **_plain(reader.read_linear()))]
            for source, (networks, x, y, trained_on) in found.items():
                where = own[copy] if source == "all" else trained_on[copy]
                for epoch, network in sorted(networks[copy].items()):
                    name = "start" if epoch == 0 else source
                    at_end = epoch in (0, max(networks[copy]))
                    value = values[name][copy][last] if at_end and name in values else None
                    rows.append(
                        Row(
                            source, epoch, **_plain(reader.read_network(network)),
                            network=accuracy(network, test_images, test_labels),
                            network_fit=accuracy(network, x[where], y[where]),
                            value=None if value is None else accuracy(value, test_images, test_labels),
                        )
                    )  # fmt: skip
            tables.append(tuple(rows))
            bar.update()
    spent = (perf_counter() - started) / len(seeds)
    plain = {key: value for key, value in asdict(budget).items() if key != "seeds"}
    plain |= {"test_examples": len(test_labels), "train_examples": total, "learning_rate": LEARNING_RATE}
    plain = json.loads(json.dumps(plain))
    return [
        Readings(seed, profile, plain, rows, dataset.source.as_dict(), training_source_hash(), spent)
        for seed, rows in zip(seeds, tables, strict=True)
    ]


def path_of(seed: int, folder: Path | None = None) -> Path:
    """Where a seed's readings are published; ``folder`` takes the place of ``results/``.

    Example:
        >>> from companion.studies.gate_readings import path_of
        >>> path_of(0).parts[-3:]
        ('mnist-gate-readings', 'n-5000', 'seed-0.json')
    """
    examples = BUDGETS["paper"].examples
    return Path(folder or locations.published()) / PUBLISHED / f"n-{examples}" / f"seed-{seed}.json"


def write(readings: Readings, path: Path) -> None:
    """Writes a seed's readings as JSON, whole or not at all.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from companion.studies.gate_readings import Readings, read, write
        >>> with TemporaryDirectory() as folder:
        ...     write(Readings(3, "smoke", {}, (), {}, "", 1.0), Path(folder) / "seed-3.json")
        ...     read(Path(folder) / "seed-3.json").seed
        3
    """
    write_text(Path(path), json.dumps(asdict(readings), indent=1, allow_nan=False) + "\n")


def read(path: Path) -> Readings:
    """Reads what ``write`` wrote.

    Raises:
        ValueError: the file is missing, not JSON, of another schema or lacks a field; the message names it.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies.gate_readings import read
        >>> read(Path("no-readings/seed-0.json"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: no-readings/seed-0.json holds no readings of gates (...). Make it by scripts/read_gates.py.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise ValueError(f"schema {found['schema']!r}; this library reads {SCHEMA}")
        return Readings(**{**found, "rows": tuple(Row(**row) for row in found["rows"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no readings of gates ({error!r}). Make it by scripts/read_gates.py.") from error


def published(folder: Path | None = None) -> list[Readings]:
    """The published readings, by seed; none is an empty list.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies.gate_readings import published
        >>> published(Path("no-results"))
        []
    """
    return sorted((read(path) for path in path_of(0, folder).parent.glob("seed-*.json")), key=lambda found: found.seed)


def _relu(arch: FullyConnected, seed: int) -> ReLUNetwork:
    network = regimes.start("ReLU", arch, seed)
    assert isinstance(network, ReLUNetwork)
    return network


def _gated(arch: FullyConnected, seed: int, learnt: ReLUNetwork) -> DeepGatedNetwork:
    network = regimes.start("FLNPF", arch, seed, learnt)
    assert isinstance(network, DeepGatedNetwork)
    return network


def _order(seed: int, n: int) -> Tensor:
    return torch.randperm(n, generator=generator(seed, "labels", 2))


def _plain(reading: Any) -> dict[str, Any]:
    found = asdict(reading)
    return {"kernel": found.pop("accuracy"), **found}
