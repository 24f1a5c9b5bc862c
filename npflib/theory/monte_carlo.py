"""Monte Carlo of the fixed-gate theorem: the value kernel of many weight draws at once, behind gates that do not move.

Source: Lakshminarayanan & Singh (2020), Claim 4: with gates fixed and independent of the value network's
weights, and those independent of each other with mean 0 and variance σ², E[K_value] = d σ^{2(d-1)} H at every width.
Scalar output, no biases. Shapes: R draws, n inputs, d weight layers, w units in each hidden layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor
from torch.nn.functional import embedding

from npflib import kernels
from npflib.architectures import FullyConnected
from npflib.gates import hard_gate
from npflib.initialisation import gaussian_

LAWS = ("signed", "gaussian")
MAX_NUMBERS = 4_000_000  # weights held at once: small enough to stay near the processor, large enough to batch


def draw_weights(
    arch: FullyConnected,
    draws: int,
    sigma: float,
    law: str = "signed",
    generator: Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> list[Tensor]:
    """Independent draws of all weights of a scalar network.

    Args:
        arch: a fully connected architecture with one output and no biases.
        draws: R ≥ 1.
        sigma: standard deviation σ > 0 of every weight, in every layer.
        law: "signed" (-σ or +σ with probability ½ each: the theorem's assumption) or "gaussian".
        generator: source of randomness; None is torch's global one.
        dtype: floating type of the weights.

    Returns:
        d tensors [R, out, in], input side first.

    Raises:
        ValueError: an architecture with biases or several outputs, an unknown law, R < 1, or σ not positive.

    Example:
        >>> from npflib.theory.monte_carlo import FullyConnected, draw_weights
        >>> arch = FullyConnected(depth=2, width=3, in_features=2, out_features=1, bias=False)
        >>> first, last = draw_weights(arch, draws=100, sigma=0.5)
        >>> first.shape, last.shape, first.abs().unique()
        (torch.Size([100, 3, 2]), torch.Size([100, 1, 3]), tensor([0.5000]))
    """
    if not isinstance(arch, FullyConnected) or arch.bias or arch.out_features != 1:
        raise ValueError(
            f"the theorem is about fully connected networks with bias=False and out_features=1; got {arch}."
        )
    if law not in LAWS:
        raise ValueError(f"unknown law {law!r} of the weights; allowed: {', '.join(LAWS)}.")
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise ValueError(f"draws must be a positive whole number; got {draws!r}.")
    if not sigma > 0:
        raise ValueError(f"sigma is the scale of the weights and must be positive; got {sigma!r}.")
    shapes = [(draws, *shape) for shape in _shapes(arch)]
    if law == "signed":
        return [_signs(shape, generator, dtype).mul_(sigma) for shape in shapes]
    return [gaussian_(torch.empty(shape, dtype=dtype), sigma, generator) for shape in shapes]


def every_sign_pattern(arch: FullyConnected, sigma: float, limit: int = 16) -> list[Tensor]:
    """All 2^N ways of giving the N weights of a tiny network the values ±σ: the signed law itself, not a sample.

    Args:
        arch: a fully connected architecture with one output and no biases.
        sigma: size of the weights.
        limit: the largest N to list.

    Returns:
        d tensors [2^N, out, in], float64, input side first.

    Raises:
        ValueError: more weights than the limit.

    Example:
        >>> from npflib.theory.monte_carlo import FullyConnected, every_sign_pattern
        >>> arch = FullyConnected(depth=1, width=1, in_features=2, out_features=1, bias=False)
        >>> every_sign_pattern(arch, sigma=1.0)[0].flatten(1)
        tensor([[-1., -1.],
                [ 1., -1.],
                [-1.,  1.],
                [ 1.,  1.]], dtype=torch.float64)
    """
    shapes = _shapes(arch)
    sizes = [rows * columns for rows, columns in shapes]
    if sum(sizes) > limit:
        raise ValueError(f"{sum(sizes)} weights have 2^{sum(sizes)} sign patterns; at most {limit} weights are listed.")
    patterns = torch.arange(2 ** sum(sizes))[:, None].bitwise_right_shift(torch.arange(sum(sizes))) & 1
    signs = (2 * patterns.double() - 1) * sigma
    return [part.reshape(-1, *shape) for part, shape in zip(signs.split(sizes, dim=1), shapes, strict=True)]


def relu_gates(x: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Gates that ReLU networks with these weights have themselves: the gates of dependent initialisation (DI).

    Args:
        x: inputs [n, d_in].
        weights: d tensors [R, out, in], input side first.

    Returns:
        d - 1 tensors [R, n, w]: each draw has gates of its own.

    Example:
        >>> import torch
        >>> from npflib.theory.monte_carlo import relu_gates
        >>> weights = [torch.tensor([[[1.0], [-1.0]]]), torch.ones(1, 1, 2)]  # one draw
        >>> relu_gates(torch.tensor([[2.0], [-3.0]]), weights)[0]  # each of two inputs opens one of two units
        tensor([[[1., 0.],
                 [0., 1.]]])
    """
    _check(x, None, weights)
    z, gates = x, []
    for weight in weights[:-1]:
        q = torch.matmul(z, weight.mT)
        gates.append(hard_gate(q))
        z = q.relu()
    return gates


def value_kernels(x: Tensor, gates: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """K_value of every draw: Σ_l ⟨z_s(l-1), z_s'(l-1)⟩ · ⟨δ_s(l), δ_s'(l)⟩ with the gates as given.

    z(0) = x, z(l) = G(l) ∘ Θ(l) z(l-1) come up; δ(d) = 1, δ(l) = G(l) ∘ Θ(l+1)ᵀ δ(l+1) go down. It equals
    ``kernels.neural_tangent_kernel(…, part="value")`` draw by draw, all draws in one batched product a layer.

    Args:
        x: inputs [n, d_in].
        gates: d - 1 tensors, [n, w] if the draws share them (the theorem) or [R, n, w] if each has its own (DI).
        weights: d tensors [R, out, in], input side first; the last is [R, 1, w].

    Returns:
        [R, n, n].

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> import torch
        >>> from npflib.theory.monte_carlo import value_kernels
        >>> weights = [torch.tensor([[[2.0]]]), torch.tensor([[[3.0]]])]  # one path: ŷ = 3 · G · 2 · x
        >>> value_kernels(torch.tensor([[1.0]]), [torch.ones(1, 1)], weights)  # 2² + 3²
        tensor([[[13.]]])
    """
    _check(x, gates, weights)
    forwards = [x]
    for gate, weight in zip(gates, weights, strict=False):
        forwards.append(torch.matmul(forwards[-1], weight.mT) * gate)
    z = forwards[-1]
    kernel = z @ z.mT  # the last layer: δ(d) = 1
    delta = weights[-1]  # [R, 1, w]: what arrives at every input's last hidden outputs
    for layer in reversed(range(len(gates))):
        delta = delta * gates[layer]
        z = forwards[layer]
        kernel = kernel + (z @ z.mT) * (delta @ delta.mT)
        if layer:
            delta = delta @ weights[layer]
    return kernel.expand(len(weights[0]), -1, -1)


def expected_value_kernel(x: Tensor, gates: Sequence[Tensor], sigma: float) -> Tensor:
    """The theorem's E[K_value] = d σ^{2(d-1)} H, float64 [n, n].

    Args:
        x: inputs [n, d_in].
        gates: d - 1 tensors [n, w], hard or soft, independent of the weights.
        sigma: standard deviation of every weight.

    Example:
        >>> import torch
        >>> from npflib.theory.monte_carlo import expected_value_kernel
        >>> x, gates = torch.tensor([[1.0, 2.0]]), [torch.tensor([[1.0, 1.0, 0.0]])]
        >>> expected_value_kernel(x, gates, sigma=3.0)  # d = 2, σ² = 9, H = 5 · 2
        tensor([[180.]], dtype=torch.float64)
    """
    depth = len(gates) + 1
    path_kernel = kernels.neural_path_kernel(x, gates, dtype=torch.float64)
    return depth * sigma ** (2 * (depth - 1)) * path_kernel


@dataclass(frozen=True)
class Deviations:
    """How far the value kernels of R draws lie from the expected one E; all relative, so free of units.

    Draws come in B groups of equal size. A group has one set of gates, so one E; ‖·‖ is the Frobenius norm.

    Attributes:
        bias: [R], ⟨K - E, E⟩ / ‖E‖²: its mean is 0 if the theorem's mean is right.
        spread: [R], ‖K - E‖² / ‖E‖²: the square of the relative spread.
        means: [B, n, n], the mean of n (K - E) / ‖E‖ over a group: one number an entry of the kernel.
        diagonal: [B, n], the mean of (K(s,s) / E(s,s) - 1)² over a group; not a number where E(s,s) = 0.
        predicted: [B, n], what ``diagonal`` should be, if the sampler was given a prediction; else empty.

    Example:
        >>> import torch
        >>> from npflib.theory.monte_carlo import FullyConnected, sample
        >>> arch = FullyConnected(depth=2, width=3, in_features=2, out_features=1, bias=False)
        >>> found = sample(arch, torch.ones(4, 2), lambda group: [torch.ones(4, 3)], groups=5, draws=10, sigma=1.0)
        >>> found.bias.shape, found.means.shape
        (torch.Size([50]), torch.Size([5, 4, 4]))
    """

    bias: Tensor
    spread: Tensor
    means: Tensor
    diagonal: Tensor
    predicted: Tensor


def sample(
    arch: FullyConnected,
    x: Tensor,
    gates_of: Callable[[int], Sequence[Tensor]],
    groups: int,
    draws: int,
    sigma: float,
    law: str = "signed",
    generator: Generator | None = None,
    predict: Callable[[Sequence[Tensor]], Tensor] | None = None,
) -> Deviations:
    """Draws value kernels behind fixed gates and compares them with the theorem's mean.

    Args:
        arch: a fully connected architecture with one output and no biases.
        x: inputs [n, d_in].
        gates_of: group 0 ≤ b < B → the gates of that group, d - 1 tensors [n, w]; they may be the same for all.
        groups: B ≥ 1.
        draws: draws in a group, so R = B · draws.
        sigma: standard deviation of every weight.
        law: see ``draw_weights``.
        generator: source of the weights; the gates must come from another.
        predict: gates → the predicted relative variance of K(s, s), [n]; None if there is none.

    Raises:
        ValueError: see ``draw_weights``; or gates that let no path through.

    Example:
        >>> import torch
        >>> from npflib.theory.monte_carlo import FullyConnected, sample
        >>> arch = FullyConnected(depth=2, width=2, in_features=1, out_features=1, bias=False)
        >>> found = sample(arch, torch.ones(1, 1), lambda group: [torch.ones(1, 2)], groups=2, draws=5, sigma=1.0)
        >>> found.spread.max().item()  # weights ±1 on one input node: K = 2 + 2 whatever the signs
        0.0
    """
    found: dict[str, list[Tensor]] = {"bias": [], "spread": [], "means": [], "diagonal": [], "predicted": []}
    numbers = sum(rows * columns for rows, columns in _shapes(arch))
    at_once = max(1, MAX_NUMBERS // numbers)
    for group in range(groups):
        gates = gates_of(group)
        expected = expected_value_kernel(x, gates, sigma)
        norm = torch.linalg.matrix_norm(expected)
        if norm == 0:
            raise ValueError(f"the gates of group {group} let no path through for any input, so H = 0: widen the net.")
        parts = [
            value_kernels(x, gates, draw_weights(arch, min(at_once, draws - done), sigma, law, generator, x.dtype))
            for done in range(0, draws, at_once)
        ]
        relative = (torch.cat(parts).double() - expected) / norm
        found["bias"].append((relative * (expected / norm)).sum((1, 2)))
        found["spread"].append(relative.square().sum((1, 2)))
        found["means"].append(len(x) * relative.mean(0)[None])
        scale = expected.diagonal() / norm
        found["diagonal"].append((relative.diagonal(dim1=1, dim2=2) / scale).square().mean(0)[None])
        found["predicted"].append(torch.empty(1, 0) if predict is None else predict(gates)[None])
    return Deviations(**{name: torch.cat(values) for name, values in found.items()})


def sample_with_random_gates(
    arch: FullyConnected,
    x: Tensor,
    draws: int,
    sigma: float,
    law: str = "signed",
    generator: Generator | None = None,
    *,
    shared: bool,
) -> tuple[Tensor, Tensor]:
    """Value kernels with new gates in every draw, from the same weights or from others, and what the theorem says.

    Args:
        arch: a fully connected architecture with one output and no biases.
        x: inputs [n, d_in].
        draws: R ≥ 1.
        sigma: standard deviation of every weight, in both networks.
        law: see ``draw_weights``.
        generator: source of randomness.
        shared: whether the gates are those of a ReLU network with the *same* weights (dependent initialisation), or
            with another draw of the same law (independent initialisation, to which the theorem applies).

    Returns:
        K_value and d σ^{2(d-1)} H of each draw, both float64 [R, n, n]. Independent gates give both the same mean.

    Example:
        >>> import torch
        >>> from npflib.theory.monte_carlo import FullyConnected, sample_with_random_gates
        >>> arch = FullyConnected(depth=2, width=4, in_features=2, out_features=1, bias=False)
        >>> kernels, theorem = sample_with_random_gates(arch, torch.eye(2), draws=100, sigma=0.5, shared=False)
        >>> kernels.shape, theorem.shape
        (torch.Size([100, 2, 2]), torch.Size([100, 2, 2]))
    """
    numbers = sum(rows * columns for rows, columns in _shapes(arch))
    at_once = max(1, MAX_NUMBERS // numbers)
    found, expected = [], []
    for done in range(0, draws, at_once):
        weights = draw_weights(arch, min(at_once, draws - done), sigma, law, generator, x.dtype)
        others = weights if shared else draw_weights(arch, len(weights[0]), sigma, law, generator, x.dtype)
        gates = relu_gates(x, others)
        found.append(value_kernels(x, gates, weights).double())
        path_kernel = (x @ x.T).double()
        for gate in gates:
            path_kernel = path_kernel * (gate @ gate.mT).double()
        expected.append((arch.depth * sigma ** (2 * (arch.depth - 1)) * path_kernel).expand_as(found[-1]))
    return torch.cat(found), torch.cat(expected)


def largest_z(means: Tensor, generator: Generator | None = None, repeats: int = 2_000) -> tuple[float, float]:
    """One test of all entries' means at once: the largest absolute z and how often chance alone gives a larger one.

    z = mean / standard error over the B groups, entry by entry. Entries are strongly correlated, so the law of the
    largest is simulated: groups are re-weighted by independent random signs, under which groups symmetric about
    0 keep their law whatever their correlation.

    Args:
        means: [B, …], one row a group; rows are independent.
        generator: source of the signs; None is torch's global one.
        repeats: simulated sets of signs.

    Returns:
        The largest absolute z and its p-value, of which the smallest possible is 1 / (repeats + 1).

    Raises:
        ValueError: fewer than two groups.

    Example:
        >>> import torch
        >>> from npflib.theory.monte_carlo import largest_z
        >>> z, p = largest_z(torch.tensor([[1.0], [3.0]]))  # mean 2, standard error 1
        >>> z
        2.0
    """
    if len(means) < 2:
        raise ValueError(f"a standard error needs at least two groups; got {len(means)}.")
    rows = means.flatten(1)
    rows = rows[:, (rows != 0).any(0)]
    signs = _signs((repeats, len(rows)), generator, rows.dtype)
    signs = torch.cat([torch.ones_like(signs[:1]), signs])
    centre = signs @ rows / len(rows)
    # Signs leave squares alone, so the variance about the re-weighted mean needs no second pass.
    variance = (rows.square().mean(0) - centre.square()) / (len(rows) - 1)
    largest = (centre.abs() / variance.sqrt()).amax(1)
    return float(largest[0]), float((largest >= largest[0]).double().mean())


def _shapes(arch: FullyConnected) -> list[tuple[int, int]]:
    """[out, in] of every weight matrix, input side first."""
    sizes = (*arch.widths, arch.out_features)
    return [(rows, columns) for columns, rows in pairwise(sizes)]


def _signs(shape: tuple[int, ...], generator: Generator | None, dtype: torch.dtype) -> Tensor:
    """Independent signs ±1. Each random byte picks eight at once: twenty times as fast as ``Tensor.bernoulli_``."""
    count = torch.Size(shape).numel()
    bits = torch.arange(256)[:, None].bitwise_right_shift(torch.arange(8)) & 1
    table = 2 * bits.to(dtype) - 1
    chosen = torch.empty(-(-count // 8), dtype=torch.uint8).random_(generator=generator)
    return embedding(chosen.int(), table).flatten()[:count].view(shape)


def _check(x: Tensor, gates: Sequence[Tensor] | None, weights: Sequence[Tensor]) -> None:
    shapes = [tuple(weight.shape) for weight in weights]
    chained = all(
        weight.ndim == 3 and weight.shape[0] == weights[0].shape[0] and weight.shape[2] == below
        for weight, below in zip(weights, [x.shape[-1], *(w.shape[-2] for w in weights)], strict=False)
    )
    if x.ndim != 2 or not weights or not chained or weights[-1].shape[1] != 1:
        raise ValueError(
            "inputs [n, d_in] and weights [R, w_1, d_in], [R, w_2, w_1], …, [R, 1, w_(d-1)] must chain; got "
            f"inputs {tuple(x.shape)} and weights {shapes}."
        )
    if gates is None:
        return
    given = [tuple(gate.shape) for gate in gates]
    allowed = [((len(x), w), (r, len(x), w)) for r, w, _ in shapes[:-1]]
    if len(gates) != len(allowed) or any(g not in a for g, a in zip(given, allowed, strict=True)):
        raise ValueError(
            f"{len(weights)} weight layers need {len(allowed)} gate tensors [n, w] or [R, n, w], that is one of "
            f"{allowed}; got {given}."
        )
