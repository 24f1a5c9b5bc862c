"""The experiment of width and depth: how far learnt gates are ahead of random ones, FLNPF − FRNPF (II).

For each architecture ReLU networks are trained; value networks from a fresh start are trained behind their last gates
(FLNPF) and behind those of untrained networks (FRNPF (II)), all alike (``soft_gates.reference_accuracies``).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from tqdm import tqdm

from companion.studies import plain_records
from companion.studies.soft_gates import LEARNING_RATE, drawn, reference_accuracies
from npflib.architectures import FullyConnected
from npflib.data import Dataset
from npflib.records import locations
from npflib.records.fingerprint import training_source_hash

SCHEMA = 1
DEPTH, WIDTH = 6, 128  # the paper's MNIST network: width is swept at this depth, depth at this width


@dataclass(frozen=True)
class Budget:
    """What the experiment may spend.

    Attributes:
        examples: training examples.
        epochs: of every network.
        seeds: independent repetitions.
        widths: at depth 6.
        depths: weight layers, at width 128.

    Example:
        >>> from companion.studies.gate_gap import BUDGETS
        >>> BUDGETS["paper"].shapes[0]
        (6, 16)
    """

    examples: int
    epochs: int
    seeds: tuple[int, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(depth, width) of every network, each once.

        Example:
            >>> from companion.studies.gate_gap import Budget
            >>> Budget(10, 1, (0,), (16, 128), (2, 6)).shapes
            [(6, 16), (6, 128), (2, 128)]
        """
        return list(dict.fromkeys([*((DEPTH, width) for width in self.widths), *((d, WIDTH) for d in self.depths)]))


BUDGETS = {
    "smoke": Budget(500, 1, (0, 1), (8, 16), (2, 3)),
    "quick": Budget(3_000, 2, (0, 1, 2), (16, 128), (2, 6)),
    "paper": Budget(20_000, 4, (0, 1, 2), (16, 32, 64, 128, 256), (2, 3, 4, 6, 8, 12)),
}


@dataclass(frozen=True)
class Readings:
    """What was measured with one seed. A row has the keys ``depth``, ``width``, ``ReLU``, ``FLNPF``, ``FRNPF-II``.

    Attributes:
        seed: of starts and orders.
        profile: scale of the budget.
        budget: ``Budget`` as plain values, without its seeds.
        rows: one a shape.
        data: where the data came from.
        source: fingerprint of the training code.
        seconds: the seed's share of the wall-clock time.
        schema: version of this format.

    Example:
        >>> from companion.studies.gate_gap import Readings
        >>> Readings(0, "smoke", {}, [{"depth": 6, "width": 8, "ReLU": 0.5}], {}, "", 1.0).row(6, 8)["ReLU"]
        0.5
    """

    seed: int
    profile: str
    budget: dict[str, Any]
    rows: list[dict[str, Any]]
    data: dict[str, Any]
    source: str
    seconds: float
    schema: int = SCHEMA

    def row(self, depth: int, width: int) -> dict[str, Any]:
        """The row of a network.

        Raises:
            ValueError: there is none.

        Example:
            >>> from companion.studies.gate_gap import Readings
            >>> Readings(0, "smoke", {}, [], {}, "", 1.0).row(6, 8)
            Traceback (most recent call last):
            ...
            ValueError: seed 0 has no network of depth 6 and width 8.
        """
        for found in self.rows:
            if (found["depth"], found["width"]) == (depth, width):
                return found
        raise ValueError(f"seed {self.seed} has no network of depth {depth} and width {width}.")


@torch.no_grad()
def measure(dataset: Dataset, budget: Budget, *, profile: str = "quick", progress: bool = True) -> list[Readings]:
    """Trains the three regimes at every width and depth.

    Args:
        dataset: with at least the budget's training examples.
        budget: what to spend.
        profile: its name, for the record.
        progress: whether to show a progress bar.

    Returns:
        One ``Readings`` a seed.

    Raises:
        ValueError: too few training examples, or seeds that are repeated.

    Example:
        >>> from npflib import data
        >>> from companion.studies.gate_gap import Budget, measure
        >>> digits = data.subset(data.load("mnist", offline=True), train_examples=100, test_examples=50)
        >>> (found,) = measure(digits, Budget(50, 1, (0,), (8,), ()), progress=False)
        >>> sorted(found.row(6, 8))
        ['FLNPF', 'FRNPF-II', 'ReLU', 'depth', 'width']
    """
    started = perf_counter()
    seeds, sets = list(budget.seeds), drawn(dataset, budget.examples, budget.seeds)
    rows: list[list[dict[str, Any]]] = [[] for _ in seeds]
    for depth, width in tqdm(budget.shapes, desc="width and depth", disable=not progress):
        found = reference_accuracies(FullyConnected(depth, width, sets[0].shape[1]), sets, budget.epochs, seeds)
        for copy, mine in enumerate(rows):
            mine.append({"depth": depth, "width": width, **{name: values[copy] for name, values in found.items()}})
    spent = (perf_counter() - started) / len(seeds)
    plain = {key: value for key, value in asdict(budget).items() if key != "seeds"}
    plain = json.loads(json.dumps(plain | {"test_examples": len(sets[3]), "learning_rate": LEARNING_RATE}))
    source, code = dataset.source.as_dict(), training_source_hash()
    return [Readings(seed, profile, plain, mine, source, code, spent) for seed, mine in zip(seeds, rows, strict=True)]


def path_of(seed: int, folder: Path | None = None) -> Path:
    """Where a seed's readings are published; ``folder`` takes the place of ``results/``.

    Example:
        >>> from companion.studies.gate_gap import path_of
        >>> path_of(0).parts[-3:]
        ('mnist-gate-gap', 'fc', 'seed-0.json')
    """
    return Path(folder or locations.published()) / "mnist-gate-gap" / "fc" / f"seed-{seed}.json"


def published(folder: Path | None = None) -> list[Readings]:
    """The published readings, by seed; none is an empty list.

    Raises:
        ValueError: a file that holds none.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies.gate_gap import published
        >>> published(Path("no-results"))
        []
    """
    return plain_records.read_all(Readings, path_of(0, folder).parent, "widths and depths", "scripts/sweep_gates.py")
