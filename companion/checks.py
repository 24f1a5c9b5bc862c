"""What several chapters check in the same way: identities on small random networks, and how exact float64 can be."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod, sqrt
from statistics import median

import torch
from torch import Generator, Tensor


def gamma(k: int) -> float:
    """The most that k roundings of float64 can do, relative to the sum of absolute values: ku / (1 - ku), u = 2^-53.

    Example:
        >>> from companion.checks import gamma
        >>> gamma(2) == 2 * 2.0**-53 / (1 - 2 * 2.0**-53)
        True
    """
    return k * 2.0**-53 / (1 - k * 2.0**-53)


def some_widths(rng: Generator, least: int = 1, most: int = 20_000) -> tuple[int, ...]:
    """Inputs and hidden widths of a random network: ``least`` to 6 weight layers of 1 to 8 units, ``most`` paths.

    Example:
        >>> import torch
        >>> from companion.checks import some_widths
        >>> all(1 <= width <= 8 for width in some_widths(torch.Generator().manual_seed(0)))
        True
    """
    widths = (most, 2)
    while prod(widths) > most:
        depth = int(torch.randint(least, 7, (), generator=rng))
        widths = tuple(torch.randint(1, 9, (depth,), generator=rng).tolist())
    return widths


def some_weights(sizes: Sequence[int], rng: Generator, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Gaussian weight matrices [out, in] of variance 2 / in, input side first.

    Example:
        >>> import torch
        >>> from companion.checks import some_weights
        >>> [tuple(weight.shape) for weight in some_weights((2, 3, 1), torch.Generator().manual_seed(0))]
        [(3, 2), (1, 3)]
    """
    return [torch.randn(o, i, dtype=dtype, generator=rng) * sqrt(2 / i) for i, o in pairwise(sizes)]


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference over the largest expected value.

    Example:
        >>> import torch
        >>> from companion.checks import relative
        >>> relative(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 4.0]))
        0.25
    """
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


def cosine(kernel: Tensor) -> Tensor:
    """The kernel of normalised features, K(s, s') / √(K(s, s) K(s', s')): [n, n].

    Example:
        >>> import torch
        >>> from companion.checks import cosine
        >>> cosine(torch.tensor([[4.0, 2.0], [2.0, 4.0]])).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    size = kernel.diagonal().sqrt()
    return kernel / size[:, None] / size


def of_each_class(labels: Tensor, count: int, rng: Generator) -> Tensor:
    """Places of ``count`` random examples of each of ten classes, sorted by class.

    Example:
        >>> import torch
        >>> from companion.checks import of_each_class
        >>> labels = torch.arange(20) % 10
        >>> labels[of_each_class(labels, 1, torch.Generator().manual_seed(0))].tolist()
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    order = torch.randperm(len(labels), generator=rng)
    return torch.cat([order[labels[order] == label][:count] for label in range(10)])


def plain(value: float | Tensor, form: str = "g") -> str:
    """A number with a minus sign at which no line is broken; zero, of either sign, is 0.

    Example:
        >>> from companion.checks import plain
        >>> plain(-2.0), plain(-0.0), plain(1.2e-16, ".1e")
        ('−2', '0', '1.2e−16')
    """
    return format(float(value), form).replace("-", "−") if value else "0"


def tried(trials: Sequence[Mapping[str, float]]) -> list[str]:
    """A column on trials of an identity: how many, most paths P, largest error, the same over its bound, control.

    Example:
        >>> from companion.checks import tried
        >>> tried([{"P": 12, "error": 1e-16, "bound": 4e-16, "control": 0.5}])
        ['1', '12', '1.0e−16', '0.25', '0.50']
    """
    error, used = max(one["error"] for one in trials), max(one["error"] / one["bound"] for one in trials)
    control = median(one["control"] for one in trials if one["control"] > 0)
    return [
        f"{len(trials):,}",
        f"{max(one['P'] for one in trials):,}",
        plain(error, ".1e"),
        f"{used:.2f}",
        f"{control:.2f}",
    ]
