"""Kernels of wide networks: how much of a wide ReLU network's accuracy its random gates already give.

Kernel ridge regression (:mod:`npflib.theory.kernel_ridge`) on n training examples of a data set and all its test
examples, the ridge chosen on a fifth of the n, with the kernels

* ``linear``: the inputs' Gram matrix Σ, no gates at all (depth 1);
* ``gates``, ``relu``, ``output``, ``overlap``: the limits of ``theory.infinite_width``, ``overlap`` being the gates
  without the inputs (width 0);
* ``finite``: the neural path kernel of the gates of one random network of finite width.

A seed is a draw of the examples, of the fifth, and of the finite networks: a seed's rows belong together in pairs.
"""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from companion.studies import common
from companion.studies.study import Row, Study, Table
from npflib import data, kernels
from npflib.architectures import FullyConnected
from npflib.data import Dataset
from npflib.randomness import generator
from npflib.theory import fixed_gates, infinite_width, kernel_ridge

KINDS = ("linear", *infinite_width.KINDS, "finite")
DEPTH = 6  # of the paper's MNIST network
WIDTH = 128


@dataclass(frozen=True)
class WideConfig:
    """What is asked for."""

    examples: tuple[int, ...]  # numbers of training examples, at depth 6; the finite network has width 128
    swept: int  # training examples of the two sweeps below
    depths: tuple[int, ...]  # of the infinitely wide networks
    widths: tuple[int, ...]  # of the finite ones, at depth 6
    seeds: tuple[int, ...]
    ridges: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def accuracies(found: Table, kernel: str, examples: int, depth: int = DEPTH, width: int = WIDTH) -> np.ndarray:
    """Test accuracies in per cent with a kernel, by seed; "linear" has no depth, and only "finite" a width."""
    depth, width = 1 if kernel == "linear" else depth, width if kernel == "finite" else 0
    return 100 * found.values("accuracy", kernel=kernel, examples=examples, depth=depth, width=width)


def finite_kernel(x: Tensor, x2: Tensor | None, depth: int, width: int, seed: int) -> Tensor:
    """(2/w)^{d-1} H(x, x2) [n, m] of the gates of one random Gaussian ReLU network: d times it tends to "gates"."""
    arch = FullyConnected(depth, width, x.shape[1], 1, bias=False)
    source = generator(seed, "feature", depth, width)
    weights = fixed_gates.draw_weights(arch, 1, sqrt(2 / width), "gaussian", source, torch.float32)

    def gates(inputs: Tensor) -> list[Tensor]:
        # Through float32 always, so that training and test examples meet the same network; then one scale a layer.
        return [gate[0] * sqrt(2 / width) for gate in fixed_gates.relu_gates(inputs.float(), weights)]

    return kernels.neural_path_kernel(x, gates(x), x2, None if x2 is None else gates(x2))


def _prepare(config: WideConfig, dataset: Dataset) -> tuple[WideConfig, Dataset]:
    common.check_examples(max(*config.examples, config.swept), len(dataset.train_labels))
    flat = {f"{name}_images": getattr(dataset, f"{name}_images").flatten(1) for name in ("train", "test")}
    return config, replace(dataset, **flat)


def _evaluate(given: tuple[WideConfig, Dataset], unit: str) -> list[Row]:
    (config, dataset), (seed, n) = given, (int(number) for number in unit.split("x"))
    part = data.subset(dataset, n, None, seed=seed)
    x, single, test = part.train_images.double(), part.train_images.double().float(), part.test_images.float()
    at_depth, swept = n in config.examples, n == config.swept

    def row(kernel: str, depth: int, width: int, matrix: Tensor, rows: Tensor) -> Row:
        # Chosen on training examples alone; the test set is met once, by the machine that is kept.
        choice = kernel_ridge.choose_ridge(matrix, part.train_labels, config.ridges, seed=seed)
        machine = kernel_ridge.fit(matrix, part.train_labels, choice.ridge)
        accuracy, held_out = machine.accuracy(rows, part.test_labels), choice.accuracies[choice.ridge]
        found = {"seed": seed, "kernel": kernel, "examples": n, "depth": depth, "width": width}
        return found | {"accuracy": accuracy, "held_out": held_out, "ridge": choice.ridge}

    found = [row("linear", 1, 0, x @ x.T, test @ single.T)]
    for depth in sorted({*(config.depths if swept else ()), *([DEPTH] if at_depth else [])}):
        # What is solved is in float64; what is only multiplied, ten times as large, in float32.
        limits, rows = infinite_width.kernels(x, depth=depth), infinite_width.kernels(test, single, depth=depth)
        found += [row(kind, depth, 0, limits[kind], rows[kind]) for kind in infinite_width.KINDS]
    for width in sorted({*(config.widths if swept else ()), *([WIDTH] if at_depth else [])}):
        kernel, between = finite_kernel(x, None, DEPTH, width, seed), finite_kernel(test, single, DEPTH, width, seed)
        found.append(row("finite", DEPTH, width, kernel, between))
    return found


MNIST = Study(
    name="mnist-infinite-width",
    title="How much of a wide ReLU network's accuracy its random gates already give",
    configs={
        "smoke": WideConfig((50, 200), 100, (2, 6), (8, 32), (0, 1)),
        "quick": WideConfig((250, 500), 250, (2, 6, 24), (16, 64, 256), (0, 1, 2)),
        "paper": WideConfig(
            (250, 500, 1_000, 2_000, 5_000), 2_000, (2, 3, 4, 6, 8, 12, 24, 48), (16, 32, 64, 128, 256, 512, 1_024),
            (0, 1, 2),
        ),
    },
    units=lambda config: [f"{seed}x{n}" for seed in config.seeds for n in sorted({*config.examples, config.swept})],
    prepare=_prepare,
    evaluate=_evaluate,
    conditions=("kernel", "examples", "depth", "width"),
    shares=("accuracy", "held_out"),
    listed=("seeds",),
)  # fmt: skip
