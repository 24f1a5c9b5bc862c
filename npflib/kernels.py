"""The neural path kernel, the neural tangent kernel and its two parts, and a kernel's alignment with labels.

Everything here is for fully connected networks, lists no path and builds no Jacobian. Kernels [n, m] are between inputs
x [n, d_in] and x2 [m, d_in], with their gates, hard or soft, one tensor [n, w_l] or [m, w_l] for each of d - 1 hidden
layers; without a second set they are between the first and itself, and symmetric to the bit. ``dtype`` is the type to
compute in: None keeps the given one (float64 for whole numbers); what is to be inverted belongs in float64. Blocks of
at most ``chunk`` by ``chunk`` examples make memory O(n·m + chunk·width); they are independent, so chunked and unchunked
results differ by no more than the rounding of one matrix product (about 1e-6 relative in float32, 1e-15 in float64). A
ValueError refuses shapes that do not match, a ``dtype`` that is not floating, a ``chunk`` that is no positive whole
number, and numbers that are not finite or beyond the type's range.

Source: Lakshminarayanan & Singh (2020), Claims 2, 3 and 5; Jacot et al. (2018) for the tangent kernel.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import lru_cache

import torch
from torch import Tensor

from npflib import checks
from npflib.architectures import FullyConnected
from npflib.networks import DeepGatedNetwork, ReLUNetwork, checked_input
from npflib.signals import PARTS, LayerSignals, tangent_signals

__all__ = ["alignment", "neural_path_kernel", "neural_tangent_kernel", "path_overlap", "well_above_rounding"]

CHUNK = 512


def path_overlap(
    gates: Sequence[Tensor],
    gates2: Sequence[Tensor] | None = None,
    *,
    dtype: torch.dtype | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """Λ(s, s') = Π_{l=1}^{d-1} ⟨G_s(l), G_s'(l)⟩: with hard gates, the number of paths, from any one input node, that
    are active for both s and s'. A count above 2^24 is rounded in float32, above 2^53 in float64.

    Example:
        >>> import torch
        >>> from npflib.kernels import path_overlap
        >>> path_overlap([torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])])  # one unit is on for both
        tensor([[2., 1.],
                [1., 2.]])
    """
    return _product_of_grams(None, gates, None, gates2, dtype, chunk)


def neural_path_kernel(
    x: Tensor,
    gates: Sequence[Tensor],
    x2: Tensor | None = None,
    gates2: Sequence[Tensor] | None = None,
    *,
    dtype: torch.dtype | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """Neural path kernel H(s, s') = ⟨φ_s, φ_s'⟩ = Σ(s, s') · Λ(s, s'), with Σ the Gram matrix of the inputs (Claim 2).

    ``gates2`` are given exactly when ``x2`` is.

    Example:
        >>> import torch
        >>> from npflib.kernels import neural_path_kernel
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 0.0]])  # Σ is 5, 3, 3, 9
        >>> neural_path_kernel(x, [torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])])  # and Λ is 2, 1, 1, 2
        tensor([[10.,  3.],
                [ 3., 18.]])
    """
    checks.together(x2, gates2)
    return _product_of_grams(checks.tensor(x, "inputs"), gates, x2, gates2, dtype, chunk)


@torch.no_grad()
def neural_tangent_kernel(
    network: ReLUNetwork | DeepGatedNetwork,
    x: Tensor,
    x2: Tensor | None = None,
    part: str = "all",
    *,
    dtype: torch.dtype | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """Empirical neural tangent kernel K(x, x') = Σ_c ⟨∂ŷ_c(x)/∂θ, ∂ŷ_c(x')/∂θ⟩, summed over the C outputs.

    The gradient with respect to a weight matrix is an outer product of the signal that enters the layer, z(l-1), and
    the gradient backpropagated to it, δ_c(l) = ∂ŷ_c/∂q(l). Inner products of outer ones are products of inner ones:

        K(x, x') = Σ_l (⟨z_x(l-1), z_x'(l-1)⟩ + b_l) · Σ_c ⟨δ_{x,c}(l), δ_{x',c}(l)⟩,

    with b_l = 1 where layer l has biases and 0 elsewhere: two Gram matrices a layer, and never a Jacobian.

    In a deep gated network the parameters of the value and the feature network are disjoint, so K = K_value + K_gate
    exactly (Claim 3). K_gate takes the gate's own derivative, by automatic differentiation, whatever gate it is. Hard
    gates have derivative 0 almost everywhere: then K_gate = 0 and K = K_value; the same holds for a ReLU network.

    The network is a fully connected ``ReLUNetwork`` or ``DeepGatedNetwork``, whose own type ``dtype`` None keeps, and
    ``part`` is "all", "value" (parameters of the value network) or "gate" (parameters behind the gates).

    Example:
        >>> import torch
        >>> from npflib.kernels import neural_tangent_kernel
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> line = ReLUNetwork(FullyConnected(depth=1, width=1, in_features=2, out_features=1, bias=False))
        >>> neural_tangent_kernel(line, torch.tensor([[1.0, 2.0], [3.0, 0.0]]))  # ŷ = Θ x: the kernel is Σ
        tensor([[5., 3.],
                [3., 9.]])
    """
    checks.one_of(part, "part", PARTS, "the tangent kernel")
    checks.instance(network, "network", ReLUNetwork, DeepGatedNetwork)
    checks.instance(network.arch, "the network's architecture", FullyConnected)
    checks.floating(dtype, network.weights[0])
    for inputs in (x,) if x2 is None else (x, x2):
        checked_input(network, inputs)
    if dtype is not None:
        network = deepcopy(network).to(dtype)
    parameter = network.weights[0]
    x = x.to(parameter)
    x2 = None if x2 is None else x2.to(parameter)

    # A row of blocks shares its left signals; the right ones are made anew for every block: two passes through the
    # network for each example, small beside the block's Gram matrices. Nothing of size n · width is ever held.
    @lru_cache(maxsize=1)
    def left_signals(start: int, stop: int) -> list[LayerSignals]:
        return tangent_signals(network, x[start:stop], part)

    def block(rows: slice, columns: slice) -> Tensor:
        left = left_signals(rows.start, rows.stop)
        same = x2 is None and rows == columns
        right = left if same else tangent_signals(network, (x if x2 is None else x2)[columns], part)
        out = x.new_zeros(rows.stop - rows.start, columns.stop - columns.start)
        for a, b in zip(left, right, strict=True):
            forward = torch.mm(a.forward, b.forward.T).add_(a.bias)
            out.addcmul_(forward, torch.mm(a.backward, b.backward.T))
        return out

    return blockwise(x.new_empty(len(x), len(x if x2 is None else x2)), chunk, x2 is None, block)


def alignment(kernel: Tensor, y: Tensor) -> float:
    """Alignment of a kernel with labels, ν = yᵀ (K / tr K)⁻¹ y; small is aligned (Claim 5).

    Solved in float64 by Cholesky factorisation; no inverse is formed. The scale of K drops out. For n labels ν ≥ n
    whatever the kernel: yᵀK⁻¹y ≥ n²/(yᵀKy) (Cauchy-Schwarz) and yᵀKy ≤ n·λ_max ≤ n·tr K. ν approaches n when y is an
    eigenvector that carries nearly the whole trace; a multiple of the identity, which knows no labels, has ν = n².

    K [n, n], n ≥ 1, is symmetric and positive definite, the n labels y are -1 or +1; else, and where K is singular to
    the precision of the type in which it is given (:func:`well_above_rounding`), a ValueError.

    Example:
        >>> import torch
        >>> from npflib.kernels import alignment
        >>> y = torch.tensor([1.0, -1.0, 1.0, -1.0])
        >>> alignment(torch.eye(4), y)  # knows no labels: n²
        16.0
        >>> round(alignment(torch.eye(4) + torch.outer(y, y), y), 6)  # trace 8, y an eigenvector of value 5: 8 · 4/5
        6.4
    """
    k = checked_kernel(kernel)
    labels = checks.tensor(torch.tensor(y) if isinstance(y, list | tuple | int) else y, "labels y").detach().to(k)
    if labels.shape != (len(k),):
        raise ValueError(f"y must hold one label for each of the kernel's {len(k)} rows; got {tuple(labels.shape)}.")
    if not torch.all(labels.abs() == 1):
        wrong = labels[labels.abs() != 1][:5].tolist()
        raise ValueError(f"labels must be -1 or +1; got {wrong} among them. Map two classes to -1 and +1 first.")
    mend = "Leave out examples that occur twice, or whose path features are linearly dependent"
    solution = torch.cholesky_solve(labels[:, None], cholesky(k, kernel.dtype, mend))[:, 0]
    return float(k.trace() * (labels @ solution))


def square(kernel: Tensor) -> Tensor:
    """The kernel, if it is a square matrix."""
    if checks.tensor(kernel, "kernel", "[n, n]").ndim != 2 or kernel.shape[0] != kernel.shape[1] or not len(kernel):
        raise ValueError(f"kernel must be a square matrix [n, n] of n ≥ 1 examples; got {tuple(kernel.shape)}.")
    return kernel


def checked_kernel(kernel: Tensor) -> Tensor:
    """K in float64, if it is a square symmetric matrix of finite numbers."""
    k = checks.finite(square(kernel).detach().double(), "kernel")
    # A kernel summed in float32 is symmetric only up to that type's rounding.
    tolerance = (1e-10 if kernel.dtype == torch.float64 else 1e-4) * float(k.abs().max())
    for start in range(0, len(k), CHUNK):
        part = slice(start, start + CHUNK)
        if (k[part] - k[:, part].T).abs().max() > tolerance:
            raise ValueError("kernel must be symmetric: it is not, beyond rounding. Was it computed between two sets?")
    return k


def cholesky(k: Tensor, dtype: torch.dtype, mend: str) -> Tensor:
    """The factor of K [n, n], float64, computed in ``dtype``, if it is well above that type's rounding."""
    factor, info = torch.linalg.cholesky_ex(k)
    if info.item() or not well_above_rounding(factor.diagonal().square(), dtype):
        what = f"kernel of {len(k)} examples is singular to working precision (or not positive semidefinite)"
        raise ValueError(f"{what}. {mend}, or compute the kernel in float64.")
    return factor


def well_above_rounding(pivots: Tensor, dtype: torch.dtype) -> bool:
    """Whether a kernel's least pivot (or eigenvalue) stands out of the rounding of the type it was computed in.

    Rounding changes each entry by about ε times the largest, ε that type's, and so an eigenvalue of a matrix of n by n
    by some √n ε; what is divided by a pivot p is off by the share √n ε / p. From 8 √n ε on it is let through, with one
    digit or more. Pivots [n] are the squared diagonal of the Cholesky factor; whole numbers count as float64.

    Example:
        >>> import torch
        >>> from npflib.kernels import well_above_rounding
        >>> pivots = torch.tensor([1.0, 1e-9], dtype=torch.float64)
        >>> well_above_rounding(pivots, torch.float64), well_above_rounding(pivots, torch.float32)
        (True, False)
    """
    checks.instance(dtype, "dtype", torch.dtype)
    if not len(checks.tensor(pivots, "pivots", "[n]", 1)):
        raise ValueError("one or more pivots are needed; got none.")
    epsilon = torch.finfo(dtype if dtype.is_floating_point else torch.float64).eps
    return bool(pivots.min() > 8 * len(pivots) ** 0.5 * epsilon * pivots.max())


def _product_of_grams(
    x: Tensor | None,
    gates: Sequence[Tensor],
    x2: Tensor | None,
    gates2: Sequence[Tensor] | None,
    dtype: torch.dtype | None,
    chunk: int,
) -> Tensor:
    """The elementwise product of the Gram matrices of the inputs, where given, and of each layer's gates."""

    def factors(x: Tensor | None, gates: Sequence[Tensor]) -> list[Tensor]:
        _, layers = checks.examples(x, gates)
        return layers if x is None else [x, *layers]

    sides = [factors(x, gates)]
    like, dtype = sides[0][0], checks.floating(dtype, sides[0][0])
    if gates2 is not None:
        sides.append(factors(x2, gates2))
        widths, widths2 = ([factor.shape[1] for factor in side] for side in sides)
        if widths != widths2:
            raise ValueError(f"both sides must come from the same network; their widths are {widths} and {widths2}.")
    sides = [[factor.detach().to(like.device, dtype) for factor in side] for side in sides]
    left, right = sides[0], sides[-1]

    def block(rows: slice, columns: slice) -> Tensor:
        out = torch.mm(left[0][rows], right[0][columns].T)
        gram = torch.empty_like(out)
        for a, b in zip(left[1:], right[1:], strict=True):
            out.mul_(torch.mm(a[rows], b[columns].T, out=gram))
        return out

    return blockwise(left[0].new_empty(len(left[0]), len(right[0])), chunk, gates2 is None, block)


def blockwise(
    result: Tensor, chunk: int, symmetric: bool, block: Callable[[slice, slice], Tensor], columns_at_once: int = 0
) -> Tensor:
    """Fills one or several matrices [..., n, m] block by block; of symmetric ones, only the upper blocks are computed.

    ``block`` gives fresh numbers [..., rows, columns]; it takes ``chunk`` columns at a time unless told otherwise.
    """
    checks.whole(chunk, "chunk", "examples")
    n, m = result.shape[-2:]
    wide = columns_at_once or chunk
    for i in range(0, n, chunk):
        rows = slice(i, min(i + chunk, n))
        for j in range(i if symmetric else 0, m, wide):
            columns = slice(j, min(j + wide, m))
            part = checks.finite(
                block(rows, columns),
                "kernel",
                f" They are beyond the range of {result.dtype}, or inputs, gates or weights are not finite: compute in "
                "float64 (dtype=torch.float64), or scale the inputs.",
            )
            if symmetric and i == j:
                # The product of a matrix with its own transpose is symmetric only up to rounding; make it exact.
                own, part = part.split([rows.stop - i, columns.stop - rows.stop], -1)
                result[..., rows, rows] = torch.triu(own) + torch.triu(own, 1).mT
                columns = slice(rows.stop, columns.stop)
                if not part.numel():
                    continue
            if symmetric:
                result[..., columns, rows] = part.mT
            result[..., rows, columns] = part
    return result
