"""The experiment of infinite width: how much of a wide ReLU network's accuracy its random gates already give.

Kernel ridge regression (:mod:`npflib.theory.kernel_ridge`) on n training examples of a data set and all its test
examples, the ridge chosen on a fifth of the n, with

* ``linear``: the inputs' Gram matrix Σ, no gates at all;
* ``gates``, ``relu``, ``output``, ``overlap``: the limits of ``theory.infinite_width``, ``overlap`` being the gates
  without the inputs;
* ``finite``: the neural path kernel of the gates of one random network of finite width.

A seed is a draw of the examples, of the fifth, and of the finite networks: a seed's readings belong together in pairs.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from npflib import data, kernels
from npflib.architectures import FullyConnected
from npflib.data import Dataset
from npflib.randomness import generator
from npflib.records import locations
from npflib.records.atomic import write_text
from npflib.theory import fixed_gates, infinite_width, kernel_ridge

SCHEMA = 1
KINDS = ("linear", *infinite_width.KINDS, "finite")
DEPTH = 6  # of the paper's MNIST network
WIDTH = 128
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class Budget:
    """What the experiment may spend.

    Attributes:
        examples: numbers of training examples, at depth 6; the finite network has width 128.
        swept: training examples of the two sweeps below.
        depths: depths of the infinitely wide networks.
        widths: widths of the finite ones, at depth 6.
        seeds: independent repetitions.

    Example:
        >>> from companion.studies.wide_readings import BUDGETS
        >>> BUDGETS["paper"].examples[-1], len(BUDGETS["paper"].seeds)
        (5000, 3)
    """

    examples: tuple[int, ...]
    swept: int
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    seeds: tuple[int, ...]


BUDGETS = {
    "smoke": Budget((50, 200), 100, (2, 6), (8, 32), (0, 1)),
    "quick": Budget((250, 500), 250, (2, 6, 24), (16, 64, 256), (0, 1, 2)),
    "paper": Budget(
        (250, 500, 1_000, 2_000, 5_000), 2_000, (2, 3, 4, 6, 8, 12, 24, 48), (16, 32, 64, 128, 256, 512, 1_024),
        (0, 1, 2),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """One kernel, read.

    Attributes:
        kind: a name in ``KINDS``.
        examples: n.
        depth: weight layers; 1 for ``linear``, which has no gates.
        width: of ``finite``, else 0.
        accuracy: on the test set.
        held_out: accuracy on the training examples that were held out to choose the ridge.
        ridge: the one chosen, relative to the mean diagonal entry.

    Example:
        >>> from companion.studies.wide_readings import Reading
        >>> Reading("relu", 5000, 6, 0, accuracy=0.96, held_out=0.95, ridge=0.01).width
        0
    """

    kind: str
    examples: int
    depth: int
    width: int
    accuracy: float
    held_out: float
    ridge: float


@dataclass(frozen=True)
class Readings:
    """Everything that one seed measured.

    Attributes:
        profile: name of the budget.
        seed: the seed.
        readings: the readings.
        ridges: the relative ridges to choose from.
        data: the source of the data, as ``Source.as_dict()`` gives it.
        seconds: how long it took.
        environment: versions, threads and device.

    Example:
        >>> from companion.studies.wide_readings import Reading, Readings
        >>> one = Reading("linear", 100, 1, 0, accuracy=0.7, held_out=0.7, ridge=0.1)
        >>> Readings("smoke", 0, (one,), (0.1,), {}, 1.0, {}).accuracy("linear", 100)
        0.7
    """

    profile: str
    seed: int
    readings: tuple[Reading, ...]
    ridges: tuple[float, ...]
    data: dict[str, Any]
    seconds: float
    environment: dict[str, Any]

    def accuracy(self, kind: str, examples: int, depth: int = DEPTH, width: int = WIDTH) -> float:
        """Test accuracy of one reading.

        Raises:
            KeyError: it was not measured.

        Example:
            >>> from companion.studies.wide_readings import Reading, Readings
            >>> one = Reading("gates", 100, 3, 0, accuracy=0.8, held_out=0.7, ridge=0.1)
            >>> Readings("smoke", 0, (one,), (0.1,), {}, 1.0, {}).accuracy("gates", 100, depth=3)
            0.8
        """
        wanted = (kind, examples, 1 if kind == "linear" else depth, width if kind == "finite" else 0)
        for reading in self.readings:
            if (reading.kind, reading.examples, reading.depth, reading.width) == wanted:
                return reading.accuracy
        raise KeyError(f"kind, examples, depth, width = {wanted} was not measured by seed {self.seed}.")


def finite_kernel(x: Tensor, x2: Tensor | None, depth: int, width: int, seed: int) -> Tensor:
    """(2/w)^{d-1} H(x, x2) of the gates of one random ReLU network with Gaussian weights: d times it tends to "gates".

    Args:
        x: inputs [n, d_in].
        x2: other inputs [m, d_in]; None means x itself.
        depth: d ≥ 2.
        width: w.
        seed: of the network.

    Returns:
        [n, m], of x's type.

    Example:
        >>> import torch
        >>> from companion.studies.wide_readings import finite_kernel
        >>> x = torch.eye(2, dtype=torch.float64)
        >>> (finite_kernel(x, None, depth=2, width=100_000, seed=0) - x).abs() < 0.02  # Σ (1 - ϑ/π)
        tensor([[True, True],
                [True, True]])
    """
    arch = FullyConnected(depth, width, x.shape[1], 1, bias=False)
    source = generator(seed, "feature", depth, width)
    weights = fixed_gates.draw_weights(arch, 1, sqrt(2 / width), "gaussian", source, torch.float32)

    def gates(inputs: Tensor) -> list[Tensor]:
        # Through float32 always, so that training and test examples meet the same network; then one scale a layer.
        return [gate[0] * sqrt(2 / width) for gate in fixed_gates.relu_gates(inputs.float(), weights)]

    return kernels.neural_path_kernel(x, gates(x), x2, None if x2 is None else gates(x2))


def measure(
    dataset: Dataset, budget: Budget, profile: str, seeds: Sequence[int] | None = None, ridges: Sequence[float] = RIDGES
) -> list[Readings]:
    """Measures what a budget asks for.

    Args:
        dataset: flat or not; its test set is used whole.
        budget: what to measure.
        profile: the budget's name, for the record.
        seeds: some of the seeds; None means the budget's own.
        ridges: relative ridges to choose from.

    Returns:
        One a seed.

    Raises:
        ValueError: the data have fewer training examples than asked for.

    Example:
        >>> from npflib import data
        >>> from companion.studies.wide_readings import Budget, measure
        >>> digits = data.subset(data.load("mnist", offline=True), 200, 100)
        >>> (found,) = measure(digits, Budget((50,), 50, (2,), (8,), (0,)), "smoke")
        >>> [reading.kind for reading in found.readings][:3]
        ['linear', 'overlap', 'gates']
    """
    most = max(*budget.examples, budget.swept)
    if most > len(dataset.train_labels):
        raise ValueError(f"{most:,} training examples are asked for; {dataset.name} has {len(dataset.train_labels):,}.")
    seeds = budget.seeds if seeds is None else tuple(seeds)
    sizes = sorted({*budget.examples, budget.swept})
    found = []
    with tqdm(total=len(seeds) * len(sizes), desc="kernel regressions") as bar:
        for seed in seeds:
            started, readings = perf_counter(), []
            for n in sizes:
                depths = {DEPTH} if n in budget.examples else set()
                widths = {WIDTH} if n in budget.examples else set()
                if n == budget.swept:
                    depths |= set(budget.depths)
                    widths |= set(budget.widths)
                part = data.subset(dataset, n, None, seed=seed)
                readings += _read(part, sorted(depths), sorted(widths), seed, tuple(ridges))
                bar.update()
            environment = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": "cpu"}
            seconds = round(perf_counter() - started, 1)
            source = dataset.source.as_dict()
            found.append(Readings(profile, seed, tuple(readings), tuple(ridges), source, seconds, environment))
    return found


def _read(part: Dataset, depths: list[int], widths: list[int], seed: int, ridges: tuple[float, ...]) -> list[Reading]:
    x, test = part.train_images.flatten(1).double(), part.test_images.flatten(1).float()
    single = x.float()

    def one(kind: str, depth: int, width: int, kernel: Tensor, rows: Tensor) -> Reading:
        # Chosen on training examples alone; the test set is met once, by the machine that is kept.
        choice = kernel_ridge.choose_ridge(kernel, part.train_labels, ridges, seed=seed)
        machine = kernel_ridge.fit(kernel, part.train_labels, choice.ridge)
        accuracy = machine.accuracy(rows, part.test_labels)
        return Reading(kind, len(x), depth, width, accuracy, choice.accuracies[choice.ridge], choice.ridge)

    found = [one("linear", 1, 0, x @ x.T, test @ single.T)]
    for depth in depths:
        # What is solved is in float64; what is only multiplied, ten times as large, in float32.
        limits = infinite_width.kernels(x, depth=depth)
        rows = infinite_width.kernels(test, single, depth=depth)
        found += [one(kind, depth, 0, limits[kind], rows[kind]) for kind in infinite_width.KINDS]
    for width in widths:
        kernel, between = finite_kernel(x, None, DEPTH, width, seed), finite_kernel(test, single, DEPTH, width, seed)
        found.append(one("finite", DEPTH, width, kernel, between))
    return found


def path_of(seed: int, folder: Path | None = None) -> Path:
    """Where a seed's readings lie: in a build folder, or (None) among the published ones.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies.wide_readings import path_of
        >>> path_of(3, Path("build")).as_posix()
        'build/mnist-infinite-width/readings/seed-3.json'
    """
    return (
        (locations.published() if folder is None else folder)
        / "mnist-infinite-width"
        / "readings"
        / f"seed-{seed}.json"
    )


def write(readings: Readings, path: Path) -> None:
    """Writes a seed's readings as JSON, whole or not at all.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from companion.studies.wide_readings import Readings, path_of, read, write
        >>> nothing = Readings("smoke", 0, (), (0.1,), {}, 1.0, {})
        >>> with TemporaryDirectory() as folder:
        ...     write(nothing, path_of(0, Path(folder)))
        ...     read(path_of(0, Path(folder))) == nothing
        True
    """
    text = json.dumps({"schema": SCHEMA} | asdict(readings), indent=1, ensure_ascii=False)
    write_text(path, text + "\n")


def read(path: Path) -> Readings:
    """Reads what ``write`` wrote.

    Raises:
        ValueError: the file is missing or is no such record; the message names it and the mend.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies.wide_readings import read
        >>> read(Path("nothing.json"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: nothing.json is not readable (...). Make it again: python scripts/read_wide_kernels.py --seed K.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if found.pop("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        found["readings"] = tuple(Reading(**reading) for reading in found["readings"])
        found["ridges"] = tuple(found["ridges"])
        return Readings(**found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not readable ({error!r}). Make it again: python scripts/read_wide_kernels.py --seed K."
        ) from error


def published() -> list[Readings]:
    """The published readings, by seed; an empty list where there are none.

    Example:
        >>> from companion.studies.wide_readings import published
        >>> all(found.profile == "paper" for found in published())
        True
    """
    return [read(path) for path in sorted(path_of(0).parent.glob("seed-*.json"))]
