"""The neural path kernel of convolutional networks, without listing a path.

Write ⟨a, b⟩ for inner products over channels and S_0(u, u') = ⟨x[:, u], x'[:, u']⟩. Offsets δ run over the entries of
the kernel, the same for both inputs, because two paths that share a weight share its offset.

Flattened outputs. A path is known by its weights and its output position (``convolution.enumerate_paths``), so both
inputs must use the *same* positions, u = u':

    S_l(u) = ⟨G_l(u), G'_l(u)⟩ · Σ_δ S_{l-1}(u + δ),        H = Λ_dense · Σ_u S_L(u).

Global average pooling over s² positions. Paths that share all weights are summed before they are multiplied, so the
two inputs may use different positions:

    S_l(u, u') = ⟨G_l(u), G'_l(u')⟩ · Σ_δ S_{l-1}(u + δ, u' + δ),        H = Λ_dense · s⁻⁴ Σ_{u,u'} S_L(u, u').

Λ_dense is the path overlap of the hidden dense layers. Outside the image S is 0 with zero padding; with circular
padding positions wrap around. In both cases E[K_value] = d σ^{2(d-1)} H over weights as in the fixed-gate theorem,
with weight sharing in the convolutions; without sharing the first form is the kernel whatever the read-out.

Source: Lakshminarayanan & Singh (2020) for fully connected networks, (2021, arXiv 2110.03403) with pooling; Arora et
al. (2019) for the same pair of recursions of the infinitely wide tangent kernel.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from npflib import checks
from npflib.kernels import blockwise, path_overlap
from npflib.theory.convolution.paths import PADDINGS

CHUNK = 50
POOLED_NUMBERS = 1_000_000  # pairs of positions held at once, unless ``chunk`` says otherwise


def flattened_path_kernel(
    x: Tensor, gates: Sequence[Tensor], x2: Tensor | None = None, gates2: Sequence[Tensor] | None = None, *,
    kernel_size: int = 3, padding: str = "zeros", dtype: torch.dtype | None = None, chunk: int = CHUNK,
) -> Tensor:  # fmt: skip
    """H of a convolutional network whose last feature maps are flattened (VConv), or whose weights are not shared.

    For images x [n, c, h, w] and gates, hard or soft, [n, c_l, h, w] of each convolution, then [n, w_l] of any number
    of hidden dense layers; ``x2`` and ``gates2`` are m others. ``kernel_size`` is the odd side of every convolution's
    kernel, with stride 1 and 'same' padding: "zeros" or "circular". Types, symmetry, errors: :mod:`npflib.kernels`.

    H [n, m] takes n·m·s²·Σ_l c_l multiplications and additions for s² positions and c_l channels, half of it for one
    set. Memory beside H and a copy of the gates: 4 · s² · chunk² numbers, for blocks of chunk by 2 · chunk examples.

    Example:
        >>> import torch
        >>> from npflib.theory.convolution import flattened_path_kernel
        >>> x, gate = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
        >>> flattened_path_kernel(x, [gate])  # 4 output positions see 4 input positions each: 16 paths, all of value 1
        tensor([[16.]])
    """
    left, right, dense = _checked(x, gates, x2, gates2, kernel_size, padding, dtype)
    checks.whole(chunk, "chunk", "examples")
    one = [_by_position(factor) for factor in left]
    other = one if x2 is None else [_by_position(factor) for factor in right]
    n, m = one[0].shape[2], other[0].shape[2]
    # One allocation for all blocks: fresh memory costs more time than what is computed in it.
    space = one[0].new_empty(2, prod(x.shape[2:]) * min(chunk, n) * min(2 * chunk, m))

    def block(rows: slice, columns: slice) -> Tensor:
        pairs = [(a[:, :, rows], b[:, :, columns]) for a, b in zip(one, other, strict=True)]
        # In two steps: the rounding of a sum in float32 grows with its number of terms.
        return _last_layer(pairs, kernel_size // 2, padding, space).sum(1).sum(0)

    return blockwise(one[0].new_empty(n, m), chunk, x2 is None, block, 2 * chunk).mul_(dense)


def pooled_path_kernel(
    x: Tensor, gates: Sequence[Tensor], x2: Tensor | None = None, gates2: Sequence[Tensor] | None = None, *,
    kernel_size: int = 3, padding: str = "zeros", dtype: torch.dtype | None = None, chunk: int | None = None,
) -> Tensor:  # fmt: skip
    """H of a convolutional network with shared weights and a global average pool (GConv).

    It takes n·m·s⁴·Σ_l c_l multiplications and additions for s² positions: s² times as many as the flattened form.
    If the gates move with the image (circular padding, gates of a circular convolutional network), H does not change
    when either input is shifted by itself; with zero padding, as long as nothing reaches the border.

    Arguments and result as for ``flattened_path_kernel``, but ``chunk`` is the number of examples of the second set at
    a time, each of which takes about 3·s⁴ numbers; None means a million pairs of positions, of one example at least.

    Example:
        >>> import torch
        >>> from npflib.theory.convolution import pooled_path_kernel
        >>> x, gate = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
        >>> pooled_path_kernel(x, [gate])  # bundles of 1, 2 and 4 paths: (4·1² + 4·2² + 4²) / 16
        tensor([[2.2500]])
    """
    left, right, dense = _checked(x, gates, x2, gates2, kernel_size, padding, dtype)
    height, width = x.shape[2:]
    count = height * width
    chunk = max(1, POOLED_NUMBERS // count**2) if chunk is None else checks.whole(chunk, "chunk", "examples")
    n, m = len(left[0]), len(right[0])
    # Second set: channels first, so that one product makes all pairs of positions of one image with a chunk of others.
    other = [factor.flatten(2).transpose(0, 1).contiguous() for factor in right]  # [c, m, positions]
    # One allocation for all, as above: the products, and two sums over offsets.
    space = left[0].new_empty(3, count**2 * min(chunk, m))

    def block(rows: slice, columns: slice) -> Tensor:
        shape = (height, width, columns.stop - columns.start, height, width)
        gram, *sums = (part[: prod(shape)].view(shape) for part in space)
        for layer, (a, b) in enumerate(zip(left, other, strict=True)):
            if layer:
                _diagonal_sum(gram, kernel_size // 2, padding, sums)
            # One image: [positions, c] by [c, examples · positions].
            torch.mm(a[rows.start].flatten(1).T, b[:, columns].flatten(1), out=gram.view(count, -1))
            if layer:
                gram.mul_(sums[1])
        # In two steps: the rounding of a sum in float32 grows with its number of terms, here s⁴.
        return gram.sum((3, 4)).sum((0, 1))[None] / count**2

    return blockwise(left[0].new_empty(n, m), 1, x2 is None, block, chunk).mul_(dense)


def _last_layer(pairs: Sequence[tuple[Tensor, Tensor]], radius: int, padding: str, space: Tensor) -> Tensor:
    """S of the last layer [h, w, n, m], of factors [h, w, n, c] and [h, w, m, c]; it is made in the first ``space``."""
    height, width = pairs[0][0].shape[:2]
    shape = (height, width, pairs[0][0].shape[2], pairs[0][1].shape[2])
    here, below = (part[: prod(shape)].view(shape) for part in space)
    for layer, (a, b) in enumerate(pairs):
        if layer:
            _sum_over_offsets(here.flatten(2), radius, padding, below.flatten(2))
        for left, right, row, summed in zip(a, b.mT, here, below, strict=True):
            torch.bmm(left, right, out=row)
            if layer:
                row.mul_(summed)  # while the row is in the processor's cache
    return here


def _sum_over_offsets(sums: Tensor, radius: int, padding: str, out: Tensor) -> None:
    """out[u] = Σ_δ sums[u + δ] over positions u, for [h, w, pairs]: an average pool without its division.

    To the pool, positions are pixels and pairs of examples channels, which come last: one pass through memory.
    """
    if padding == "circular":
        rows, columns = (torch.arange(-radius, size + radius) % size for size in sums.shape[:2])
        sums = sums[rows][:, columns]
    border = 0 if padding == "circular" else radius
    as_image, out_image = (part.view(1, *part.shape).permute(0, 3, 1, 2) for part in (sums, out))
    size = [2 * radius + 1] * 2
    # The public function has no `out`, and fresh memory would cost more than the sum.
    torch.ops.aten.avg_pool2d.out(as_image, size, [1, 1], [border] * 2, False, True, 1, out=out_image)


def _diagonal_sum(pairs: Tensor, radius: int, padding: str, out: Sequence[Tensor]) -> None:
    """out[1](u, u') = Σ_δ S(u + δ, u' + δ) for S [h, w, m, h, w], first along the rows, then across them."""
    for total, (first, second) in zip(out, ((1, 4), (0, 3)), strict=True):
        size = pairs.shape[first]
        total.copy_(pairs)
        for d in [d for d in range(-radius, radius + 1) if d]:
            for start, source, length in _overlaps(size, d, padding):
                ahead = pairs.narrow(first, source, length)
                here = total.narrow(first, start, length)
                for start2, source2, length2 in _overlaps(size, d, padding):
                    here.narrow(second, start2, length2).add_(ahead.narrow(second, source2, length2))
        pairs = total


def _overlaps(size: int, d: int, padding: str) -> list[tuple[int, int, int]]:
    """Where u + d lies for u = 0, …, size - 1: (first u, its u + d, how many), wrapped around or left out."""
    if padding == "circular":
        wrapped = d % size
        parts = [(0, wrapped, size - wrapped), (size - wrapped, 0, wrapped)]
    else:
        parts = [(max(0, -d), max(0, d), size - abs(d))]
    return [part for part in parts if part[2] > 0]


def _by_position(factor: Tensor) -> Tensor:
    """[n, c, h, w] → [h, w, n, c] whose last dimension is contiguous: a view of what is channels-last already."""
    n, c, height, width = factor.shape
    last = factor.permute(0, 2, 3, 1)
    if not last.is_contiguous():
        # Image by image: one transposition of the whole tensor strides through memory and takes three times as long.
        last = factor.new_empty(n, height, width, c)
        for image, out in zip(factor, last, strict=True):
            out.view(-1, c).copy_(image.reshape(c, -1).T)
    return last.permute(1, 2, 0, 3)


def _checked(
    x: Tensor,
    gates: Sequence[Tensor],
    x2: Tensor | None,
    gates2: Sequence[Tensor] | None,
    kernel_size: int,
    padding: str,
    dtype: torch.dtype | None,
) -> tuple[list[Tensor], list[Tensor], Tensor | int]:
    """Factors of the convolutional part for both sides, and Λ of the dense part, if there is one."""
    both = checks.together(x2, gates2)
    if isinstance(kernel_size, bool) or not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be an odd positive whole number, such as 3; got {kernel_size!r}.")
    checks.one_of(padding, "padding", PADDINGS)
    sides = [_split(x, gates)]
    if both:
        sides.append(_split(x2, gates2))
    dtype = checks.floating(dtype, x)
    shapes = [[tuple(factor.shape[1:]) for part in side for factor in part] for side in sides]
    if shapes[0] != shapes[-1]:
        raise ValueError(f"both sides must come from the same network; their shapes are {shapes[0]} and {shapes[1]}.")
    maps, dense = ([[factor.detach().to(x.device, dtype) for factor in side[k]] for side in sides] for k in (0, 1))
    return maps[0], maps[-1], path_overlap(*dense) if dense[0] else 1


def _split(x: Tensor | None, gates: Sequence[Tensor] | None) -> tuple[list[Tensor], list[Tensor]]:
    """Images and gates of the convolutions, and gates of the dense layers."""
    x, gates = checks.tensor(x, "images"), checks.tensors(gates, "gates of hidden layer {}")
    count = sum(gate.ndim == 4 for gate in gates)
    maps, dense = [x, *gates[:count]], gates[count:]
    square = tuple(x.shape[2:])
    good = x.ndim == 4 and prod(square) > 0
    good = good and all(g.ndim == 4 and len(g) == len(x) and tuple(g.shape[2:]) == square for g in maps)
    if not good or any(g.ndim != 2 or len(g) != len(x) for g in dense):
        needed = "images must be [n, c, h, w], gates [n, c_l, h, w] of every convolution, then [n, w_l] of dense layers"
        raise ValueError(f"{needed}; got images {tuple(x.shape)} and gates {[tuple(g.shape) for g in gates]}.")
    return maps, dense
