"""Infinitely wide networks before training: angles, path overlap, and the kernels behind random gates and of ReLU.

Fully connected, no biases, one output, d weight layers of which **every** weight is independent, Gaussian, with mean 0
and variance σ² = 2/w; the first layer too, whatever d_in, and the output layer. Then everything depends on two inputs
through their norms and their angle ϑ_0 alone. With ϑ_l the angle of their hidden outputs z(l), as w → ∞ (in probability
and in the mean)::

    ‖z(l)‖ → ‖x‖,   cos ϑ_l = (sin ϑ_{l-1} + (π - ϑ_{l-1}) cos ϑ_{l-1}) / π,                                    (angles)
    share of the units of hidden layer l that are on for both inputs → (π - ϑ_{l-1}) / (2π).                     (gates)

The gates of layer l depend on the angle *below* it. With Π the product over the hidden layers::

    "overlap"  (2/w)^{d-1} Λ(x, x')             →  Π_{l=1}^{d-1} (1 - ϑ_{l-1}/π)
    "gates"    d σ^{2(d-1)} H(x, x')            →  ‖x‖ ‖x'‖ · d · cos ϑ_0 · Π_{l=1}^{d-1} (1 - ϑ_{l-1}/π)
    "output"   ⟨z_x(d-1), z_x'(d-1)⟩            →  ‖x‖ ‖x'‖ · cos ϑ_{d-1}
    "relu"     K(x, x') of the ReLU network     →  ‖x‖ ‖x'‖ · Σ_{l=1}^{d} cos ϑ_{l-1} Π_{k=l}^{d-1} (1 - ϑ_{k-1}/π)

"gates" is the tangent kernel of a value network behind the gates of an independent random ReLU network: its mean over
the value weights at every width (Claim 4), and its limit. The gates themselves do not see the scale of the weights that
make them. "output" is the last layer's part of "relu" and, times 2/w, the covariance of the untrained network's outputs
(its Gaussian process). On the diagonal "gates" and "relu" are both d ‖x‖². With C outputs the tangent kernels'
traces are C times these. Each is a positive semidefinite function of the inputs.

Gaussian weights matter in the first layer: with signs ±σ and few inputs ⟨θ, x⟩ is not Gaussian, and the share differs.

Sources: Cho & Saul (2009), arc-cosine kernels; Jacot et al. (2018) and Arora et al. (2019), tangent kernel of ReLU;
Lakshminarayanan & Singh (2020), Claim 4. "gates" is then one line: insert (gates) in Λ = Π_l ⟨G(l), G'(l)⟩.
"""

from collections.abc import Callable, Collection, Sequence
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from npflib import checks
from npflib.architectures import MAX_DEPTH
from npflib.kernels import CHUNK, blockwise

KINDS = ("overlap", "gates", "output", "relu")
# Above it, the cosine alone no longer tells the angle: its rounding, u, becomes u / sin ϑ. There the difference of
# the two inputs is formed, SLICE pairs at a time so that memory stays small.
NEARLY_PARALLEL = 0.999
SLICE = 4096
SMALL = 0.03  # angles below it go by a series


def angles(theta: Tensor, depth: int) -> list[Tensor]:
    """ϑ_0, …, ϑ_{d-1}: the angle of two inputs, then that of their hidden outputs in each of the d - 1 hidden layers.

    cos ϑ_l = (sin ϑ_{l-1} + (π - ϑ_{l-1}) cos ϑ_{l-1}) / π, without cancellation at either end: near 0 the next angle
    is ϑ (1 - ϑ/(3π) + O(ϑ²)) to full relative precision, where the arc cosine of the formula as it stands would be 0
    below about 1e-8; at π it is π/2. d ≥ 1 tensors of theta's shape, theta floating, in [0, π].

    Example:
        >>> import torch
        >>> from npflib.theory.infinite_width import angles
        >>> angles(torch.tensor([0.0, 1e-12, torch.pi / 2], dtype=torch.float64), depth=2)[1]  # arccos(1/π) at the end
        tensor([0.0000e+00, 1.0000e-12, 1.2469e+00], dtype=torch.float64)
        >>> torch.stack(angles(torch.tensor(torch.pi), depth=4)).rad2deg()  # opposite inputs, then ever more alike
        tensor([180.0000,  90.0000,  71.4393,  60.4139])
    """
    _check_angles(theta)
    _check(depth)
    found = [theta]
    for _ in range(depth - 1):
        theta, _, versine, sine = _pairs(found[-1])
        found.append(_angle_of(_next_versine(theta, versine, sine)))
    return found


def of_angle(theta: Tensor, depth: int, kinds: Sequence[str] = KINDS) -> dict[str, Tensor]:
    """The limits of inputs of norm 1 at angle ϑ_0 in [0, π]: kind → tensor of theta's shape.

    Example:
        >>> import torch
        >>> from npflib.theory.infinite_width import of_angle
        >>> of_angle(torch.tensor([0.0, torch.pi / 3]), depth=3, kinds=["gates", "relu"])
        {'gates': tensor([3.0000, 0.7084]), 'relu': tensor([3.0000, 1.3515])}
    """
    _check_angles(theta)
    _check(depth, kinds)
    return _of_angle(_pairs(theta), depth, kinds)


@torch.no_grad()
def input_angles(
    x: Tensor, x2: Tensor | None = None, *, dtype: torch.dtype | None = None, chunk: int = CHUNK
) -> Tensor:
    """ϑ_0 [n, m] of all pairs of inputs, precise for nearly parallel and nearly opposite ones too.

    2 atan2(‖u - v‖, ‖u + v‖) of the unit vectors u, v where they are nearly parallel, arccos ⟨u, v⟩ elsewhere; x = 0,
    without a direction, counts as orthogonal to every input, itself included. Arguments as for :func:`kernels`.

    Example:
        >>> import torch
        >>> from npflib.theory.infinite_width import input_angles
        >>> input_angles(torch.tensor([[1.0, 0.0], [1.0, 1e-6], [-2.0, 0.0]]))
        tensor([[0.0000e+00, 1.0000e-06, 3.1416e+00],
                [1.0000e-06, 0.0000e+00, 3.1416e+00],
                [3.1416e+00, 3.1416e+00, 0.0000e+00]])
    """
    return _blocks(x, x2, dtype, chunk, lambda pairs, scale: [pairs.theta], 1)[0]


@torch.no_grad()
def kernels(
    x: Tensor,
    x2: Tensor | None = None,
    *,
    depth: int,
    kinds: Sequence[str] = KINDS,
    dtype: torch.dtype | None = None,
    chunk: int = CHUNK,
) -> dict[str, Tensor]:
    """The limits of all pairs of inputs, kind → kernel [n, m], several kinds for one recursion over the angles.

    Arguments and errors are those of :mod:`npflib.kernels`; depth d ≥ 1 counts weight layers, and kinds are at the top
    of this page. In float32 the error is about 1e-6 relative to the diagonal: enough to multiply with (the kernel
    between test and training examples); what is inverted belongs in float64. The row of an input x = 0 is 0.

    Example:
        >>> import torch
        >>> from npflib.theory.infinite_width import kernels
        >>> found = kernels(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), depth=2, kinds=["gates", "relu"])
        >>> found["gates"][0], found["relu"][0]  # 2 Σ (1 - ϑ/π) with ϑ = π/4, and sin ϑ / π · ‖x‖ ‖x'‖ more
        (tensor([2.0000, 1.5000]), tensor([2.0000, 1.8183]))
    """
    _check(depth, kinds)

    def block(pairs: _Pairs, scale: Tensor) -> list[Tensor]:
        found = _of_angle(pairs, depth, kinds)
        # The path overlap has no norms; but without a direction there is no path.
        return [value.mul_(scale.sign() if kind == "overlap" else scale) for kind, value in found.items()]

    return dict(zip(kinds, _blocks(x, x2, dtype, chunk, block, len(kinds)), strict=True))


class _Pairs(NamedTuple):
    """What the recursion needs of the angles ϑ_0, each [n, m]."""

    theta: Tensor
    cosine: Tensor
    versine: Tensor  # 1 - cos ϑ: all that is left of a small angle in it
    sine: Tensor


def _pairs(theta: Tensor) -> _Pairs:
    return _Pairs(theta, theta.cos(), (theta / 2).sin().square().mul(2), theta.sin())


def _next_versine(theta: Tensor, versine: Tensor, sine: Tensor) -> Tensor:
    """1 - cos ϑ_l = 1 - cos ϑ + (ϑ cos ϑ - sin ϑ) / π of ϑ = ϑ_{l-1}: no difference of nearly equal numbers."""
    turned = (1 - versine).mul_(theta).sub_(sine)
    small = theta < SMALL
    if small.any():
        # Here ϑ cos ϑ - sin ϑ is one: its series, whose first term left out is below rounding, beside 1 - cos ϑ.
        angle = theta[small]
        square = angle * angle
        series = 1 - square / 28 * (1 - square / 54)
        turned[small] = -angle * square / 3 * (1 - square / 10 * series)
    return turned.div_(pi).add_(versine)


def _angle_of(versine: Tensor) -> Tensor:
    """The angle, at most π/2, whose 1 - cos is given, without cancellation at 0."""
    return (versine / 2).clamp_(min=0).sqrt_().asin_().mul_(2)


def _of_angle(pairs: _Pairs, depth: int, kinds: Sequence[str]) -> dict[str, Tensor]:
    """``of_angle`` of pairs; every returned tensor is a fresh one."""
    theta, cosine, versine, sine = pairs
    overlap, relu = torch.ones_like(theta), cosine.clone()
    for layer in range(1, depth):
        both = 1 - theta / pi
        overlap *= both
        versine = _next_versine(theta, versine, sine)
        relu.mul_(both).add_(1 - versine)  # T_{l+1} = T_l (1 - ϑ_{l-1}/π) + cos ϑ_l, from T_1 = cos ϑ_0
        if layer < depth - 1:
            theta = _angle_of(versine)
            sine = (2 - versine).mul_(versine).clamp_(min=0).sqrt_()  # √(1 - cos² ϑ), ϑ at most π/2
    made = {"overlap": lambda: overlap.clone(), "gates": lambda: overlap * cosine * depth, "relu": lambda: relu}
    made["output"] = lambda: 1 - versine if depth > 1 else cosine.clone()
    return {kind: made[kind]() for kind in kinds}


def _blocks(
    x: Tensor,
    x2: Tensor | None,
    dtype: torch.dtype | None,
    chunk: int,
    numbers: Callable[[_Pairs, Tensor], list[Tensor]],
    kinds: int,
) -> Tensor:
    """Matrices [kinds, n, m], filled block by block from pairs and ‖x‖ ‖x'‖."""
    x = _checked(x, "x", checks.floating(dtype, checks.tensor(x, "x", "[n, d_in]")))
    other = x if x2 is None else _checked(x2, "x2", x.dtype).to(x.device)
    if x.shape[1] != other.shape[1]:
        raise ValueError(f"x and x2 must have inputs of one size; got {x.shape[1]} and {other.shape[1]} numbers each.")
    rows_of, columns_of = _directions(x), _directions(other)

    def block(rows: slice, columns: slice) -> Tensor:
        scale = torch.outer(rows_of[0][rows], columns_of[0][columns])
        return torch.stack(numbers(_pairs_of_directions(rows_of[1][rows], columns_of[1][columns]), scale))

    return blockwise(x.new_empty(kinds, len(x), len(other)), chunk, x2 is None, block)


def _directions(x: Tensor) -> tuple[Tensor, Tensor]:
    """Norms [n] and unit vectors [n, d_in]; that of x = 0 is 0."""
    # Scaled by the largest entry first, so that squares neither overflow nor vanish.
    largest = x.abs().amax(1, keepdim=True)
    scaled = x / torch.where(largest > 0, largest, 1)
    norms = scaled.norm(dim=1, keepdim=True)
    return (norms * largest)[:, 0], scaled / torch.where(norms > 0, norms, 1)


def _pairs_of_directions(u: Tensor, v: Tensor) -> _Pairs:
    """All pairs of unit vectors (or zeros) u [n, d_in], v [m, d_in]."""
    cosine = torch.mm(u, v.T).clamp_(-1, 1)
    versine = 1 - cosine
    pairs = _Pairs(cosine.acos(), cosine, versine, (1 + cosine).mul_(versine).sqrt_())
    near = torch.nonzero(cosine.abs() > NEARLY_PARALLEL)
    for some in near.split(SLICE):
        i, j = some.T
        difference, total = (u[i] - v[j]).norm(dim=1), (u[i] + v[j]).norm(dim=1)
        for whole, part in zip(pairs, _pairs(2 * torch.atan2(difference, total)), strict=True):
            whole[i, j] = part
    return pairs


def _checked(inputs: Tensor, name: str, dtype: torch.dtype) -> Tensor:
    if checks.tensor(inputs, name, "[n, d_in]").ndim != 2 or not inputs.numel():
        mend = f"{name}.flatten(1) of images, {name}[None] of a single example"
        raise ValueError(f"{name} must be [n, d_in], n ≥ 1; got {tuple(inputs.shape)}. Take {mend}.")
    return checks.finite(inputs.detach(), name).to(dtype)


def _check_angles(theta: Tensor) -> None:
    checks.tensor(theta, "angles", kind="floating", hint=" Take torch.float64, for example.")
    # π is rounded up in float32, and what comes out of atan2 may be that number.
    outside = ~((theta >= 0) & (theta <= theta.new_tensor(pi)))
    if outside.any():
        wrong = theta[outside].flatten()[:3].tolist()
        raise ValueError(f"angles must lie in [0, π]; got {wrong} among them. In degrees? Use torch.deg2rad.")


def _check(depth: int, kinds: Sequence[str] = KINDS) -> None:
    if checks.whole(depth, "depth, the number of weight layers,") > MAX_DEPTH:
        raise ValueError(f"depth must be at most {MAX_DEPTH:,}; got {depth}.")
    several = isinstance(kinds, Collection) and not isinstance(kinds, str) and bool(kinds)
    if not several or any(kind not in KINDS for kind in kinds):
        raise ValueError(f"kinds must be a list of one or more of {', '.join(KINDS)}; got {kinds!r}.")
