"""Paths, neural path features and neural path values: the definitions themselves, for small networks.

A path p picks one node in every layer: an input node I_0(p), hidden nodes I_1(p), …, I_{d-1}(p), and the output.
There are P = d_in · w_1 ⋯ w_{d-1} of them, so all that lists paths refuses more than a ``limit``; what a network of the
paper's size needs is computed layer by layer (``path_sum`` here, and ``npflib.kernels``).
Source: Lakshminarayanan & Singh (2020), Claim 1.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from math import prod
from numbers import Integral

import torch
from torch import Tensor

from npflib import checks

__all__ = ["active_paths", "enumerate_paths", "neural_path_feature", "neural_path_value", "path_sum"]

MAX_PATHS = 2_000_000
EXAMPLES = 100  # features of so many examples, of as many paths as may be listed, are still made: 200 million numbers


def enumerate_paths(widths: Sequence[int], limit: int = MAX_PATHS) -> Tensor:
    """All paths of a fully connected network of widths (d_in, w_1, …, w_{d-1}), in lexicographic order.

    int64 [P, d]; entry [p, l] is the node I_l(p) that path p picks in layer l, layer 0 being the input. A ValueError
    refuses widths that are not positive whole numbers, and P above the limit.

    Example:
        >>> from npflib.paths import enumerate_paths
        >>> enumerate_paths((2, 2))  # two input nodes, one hidden layer of two units
        tensor([[0, 0],
                [0, 1],
                [1, 0],
                [1, 1]])
    """
    widths = tuple(widths)
    if not widths or any(isinstance(w, bool) or not isinstance(w, Integral) or w < 1 for w in widths):
        raise ValueError(f"widths must be positive whole numbers (d_in, w_1, …, w_{{d-1}}); got {widths!r}.")
    checks.number(limit, "limit")
    count = prod(int(w) for w in widths)
    if count > limit:
        mend = "Use a smaller network, or paths.path_sum and kernels.neural_path_kernel, which list no path"
        raise ValueError(f"widths {widths} make {count:,} paths, more than the {limit:,} that are listed. {mend}.")
    return torch.cartesian_prod(*(torch.arange(int(w)) for w in widths)).reshape(count, len(widths))


def neural_path_feature(x: Tensor, gates: Sequence[Tensor], limit: int = MAX_PATHS) -> Tensor:
    """Neural path feature φ_x(p) = x[I_0(p)] · A(x, p), with path activity A(x, p) = Π_l G_x(l)[I_l(p)].

    For inputs x [n, d_in] and their gates, d - 1 tensors [n, w_l], hard or soft: [n, P], paths in the order of
    ``enumerate_paths``. A ValueError refuses shapes that do not match, and more numbers than memory has room for.

    Example:
        >>> import torch
        >>> from npflib.paths import neural_path_feature
        >>> x, gates = torch.tensor([[3.0, 5.0]]), [torch.tensor([[1.0, 0.0]])]
        >>> neural_path_feature(x, gates)  # paths through the second unit are closed
        tensor([[3., 0., 5., 0.]])
    """
    _, gates = checks.examples(checks.tensor(x, "inputs"), gates)
    paths = enumerate_paths((x.shape[1], *(g.shape[1] for g in gates)), limit)
    check_size(len(x), len(paths), limit)
    feature = x.to(checks.floating(None, x))[:, paths[:, 0]]  # a product of whole numbers may leave their type's range
    for layer, gate in enumerate(gates, start=1):
        feature = feature * gate[:, paths[:, layer]]
    return feature


def neural_path_value(weights: Sequence[Tensor], limit: int = MAX_PATHS) -> Tensor:
    """Neural path value v(p) = Π_{l=1}^{d} Θ(l)[I_l(p), I_{l-1}(p)], one column for each of C outputs.

    For d weight matrices [out, in], input side first, the last [C, w_{d-1}]: [P, C], paths in the order of
    ``enumerate_paths``. Matrices that do not chain are a ValueError.

    Example:
        >>> import torch
        >>> from npflib.paths import neural_path_value
        >>> weights = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 10.0]])]
        >>> neural_path_value(weights).T  # 1·1, 3·10, 2·1, 4·10
        tensor([[ 1., 30.,  2., 40.]])
    """
    weights = _checked_weights(weights)
    paths = enumerate_paths([weight.shape[1] for weight in weights], limit)
    value = weights[-1][:, paths[:, -1]].T
    for layer, weight in enumerate(weights[:-1]):
        value = value * weight[paths[:, layer + 1], paths[:, layer], None]
    return value


def path_sum(x: Tensor, gates: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """⟨φ_x, v⟩ summed layer by layer, without listing a path.

    The sum over all paths factorises: summing over I_0 first, then I_1, …, it is
    Θ(d) D(d-1) Θ(d-1) ⋯ D(1) Θ(1) x with D(l) = diag G_x(l), at the cost of one forward pass: [n, C] of x [n, d_in],
    gates [n, w_l] and weights [out, in]. Shapes that do not match are a ValueError.

    Example:
        >>> import torch
        >>> from npflib.paths import path_sum
        >>> x, gates = torch.tensor([[3.0, 5.0]]), [torch.tensor([[1.0, 0.0]])]
        >>> weights = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 10.0]])]
        >>> path_sum(x, gates, weights)  # 3·1 + 5·2, by the examples of φ and v
        tensor([[13.]])
    """
    _, gates = checks.examples(checks.tensor(x, "inputs"), gates)
    weights = _checked_weights(weights)
    widths = [weight.shape[1] for weight in weights]
    if widths != [x.shape[1], *(gate.shape[1] for gate in gates)]:
        given = f"inputs {tuple(x.shape)} and gates {[tuple(gate.shape) for gate in gates]}"
        raise ValueError(f"inputs and gates must have the weights' widths {widths}, from d_in to w_(d-1); got {given}.")
    dtype = reduce(torch.promote_types, (some.dtype for some in (*gates, *weights)), checks.floating(None, x))
    total = x.to(dtype)
    for weight, gate in zip(weights, gates, strict=False):
        total = total @ weight.to(dtype).T * gate
    return total @ weights[-1].to(dtype).T


def active_paths(gates: Sequence[Tensor]) -> Tensor:
    """Number of paths from any one input node that are active, Π_l Σ_i G_x(l)[i], for hard gates [n, w_l].

    float64 [n]. It is Λ(x, x), the diagonal of ``kernels.path_overlap``.

    Example:
        >>> import torch
        >>> from npflib.paths import active_paths
        >>> active_paths([torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[1.0, 1.0, 1.0]])])  # 2 · 3
        tensor([6.], dtype=torch.float64)
    """
    _, gates = checks.examples(None, gates)
    count = torch.stack([gate.sum(1, dtype=torch.float64) for gate in gates]).prod(0)
    return checks.finite(count, "numbers of active paths", " Beyond 10^308 no type holds them: take fewer layers.")


def check_size(examples: int, paths: int, limit: int) -> None:
    """Refuses features of more examples than the memory has room for."""
    if examples * paths > EXAMPLES * limit:
        numbers = f"{examples * paths:,} numbers, more than the {EXAMPLES * limit:,} that may be made"
        mend = "Take fewer examples at a time, or kernels.neural_path_kernel"
        raise ValueError(f"features of {examples:,} examples on {paths:,} paths are {numbers}. {mend}.")


def _checked_weights(weights: Sequence[Tensor]) -> list[Tensor]:
    given = checks.tensors(weights, "weights of layer {}", "[out, in]")
    found = [weight.to(checks.floating(None, weight)) for weight in given]
    if not found:
        raise ValueError("weights must hold at least one matrix [out, in]; got none.")
    shapes = [tuple(weight.shape) for weight in found]
    if any(weight.ndim != 2 for weight in found) or any(b[1] != a[0] for a, b in pairwise(shapes)):
        raise ValueError(f"weights must chain as [w_1, d_in], [w_2, w_1], …, [C, w_(d-1)]; got {shapes}.")
    return found
