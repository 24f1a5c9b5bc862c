"""What several chapters check in the same way: identities on small random networks, and how exact float64 can be."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod, sqrt
from statistics import median

import torch
from torch import Generator, Tensor


def gamma(k: int) -> float:
    """The most that k roundings of float64 can do, relative to the sum of absolute values: ku / (1 - ku), u = 2^-53."""
    return k * 2.0**-53 / (1 - k * 2.0**-53)


def some_widths(rng: Generator, least: int = 1, most: int = 20_000) -> tuple[int, ...]:
    """Inputs and hidden widths of a random network: ``least`` to 6 weight layers of 1 to 8 units, ``most`` paths."""
    widths = (most, 2)
    while prod(widths) > most:
        depth = int(torch.randint(least, 7, (), generator=rng))
        widths = tuple(torch.randint(1, 9, (depth,), generator=rng).tolist())
    return widths


def some_weights(sizes: Sequence[int], rng: Generator, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Gaussian weight matrices [out, in] of variance 2 / in, input side first."""
    return [torch.randn(o, i, dtype=dtype, generator=rng) * sqrt(2 / i) for i, o in pairwise(sizes)]


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference over the largest expected value."""
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


def cosine(kernel: Tensor) -> Tensor:
    """The kernel of normalised features, K(s, s') / √(K(s, s) K(s', s')): [n, n]."""
    size = kernel.diagonal().sqrt()
    return kernel / size[:, None] / size


def of_each_class(labels: Tensor, count: int, rng: Generator) -> Tensor:
    """Places of ``count`` random examples of each of ten classes, sorted by class."""
    order = torch.randperm(len(labels), generator=rng)
    return torch.cat([order[labels[order] == label][:count] for label in range(10)])


def plain(value: float | Tensor, form: str = "g") -> str:
    """A number with a minus sign at which no line is broken; zero, of either sign, is 0."""
    return format(float(value), form).replace("-", "−") if value else "0"


def tried(trials: Sequence[Mapping[str, float]]) -> list[str]:
    """A column on trials of an identity: how many, most paths P, largest error, the same over its bound, control."""
    error, used = max(one["error"] for one in trials), max(one["error"] / one["bound"] for one in trials)
    control = median(one["control"] for one in trials if one["control"] > 0)
    counts = [f"{len(trials):,}", f"{max(one['P'] for one in trials):,}"]
    return [*counts, plain(error, ".1e"), f"{used:.2f}", f"{control:.2f}"]
