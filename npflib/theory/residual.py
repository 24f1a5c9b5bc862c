"""Residual networks behind fixed gates: sub-networks, and a path kernel that is their sum.

A gated residual network of width w has a stem, B blocks of m layers each, and a read-out:

    z_0 = G_0 ∘ Θ_0 x,    z_b = z_{b-1} + G_{b,m} ∘ Θ_{b,m} ( ⋯ G_{b,1} ∘ Θ_{b,1} z_{b-1} ),    ŷ = Θ_out z_B.

A path either passes a block, through one unit in each of its layers, or skips it and stays at its unit. A set J of
blocks, #J in number, is a *sub-network*: fully connected, of 2 + m·#J weight layers, with the gates of the stem and of
the blocks in J. The output is the sum of the outputs of all 2^B sub-networks. Paths of different sub-networks never
have the same weights, so behind fixed gates and with weights as in the fixed-gate theorem no two of them correlate:

    E[K_value] = Σ_J d_J σ^{2(d_J - 1)} H_J,    d_J = 2 + m·#J,    H_J = Σ ∘ Λ_0 ∘ Π_{b∈J} Λ_b,

Λ_0 and Λ_b the overlaps of the stem's and of block b's gates. The sum over the sub-networks with #J = j is an
elementary symmetric polynomial of the Λ_b, found in B² steps: no sub-network is ever listed.

Below, x is [n, d_in], ``stem`` its gates [n, w], and ``blocks`` holds for each of B blocks the gates [n, w] of its m
layers, m the same for all; ``weights`` are those of the stem [w, d_in], for each block m matrices [w, w], and of the
read-out [C, w]. Gates and weights that make no residual network are a ValueError.

Source: Lakshminarayanan & Singh (2021, arXiv 2110.03403) for the sum; Veit et al. (2016) for the ensemble of paths.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor

from npflib import checks
from npflib.gates import hard_gate
from npflib.kernels import neural_path_kernel, path_overlap
from npflib.theory.fixed_gates import scaled

Blocks = Sequence[Sequence[Tensor]]
Weights = tuple[Tensor, Blocks, Tensor]


def residual_output(x: Tensor, stem: Tensor, blocks: Blocks, weights: Weights) -> Tensor:
    """ŷ [n, C] of a residual network behind fixed gates.

    Example:
        >>> import torch
        >>> from npflib.theory.residual import residual_output
        >>> one = torch.ones(1, 1)
        >>> residual_output(one, one, [[one]], (2 * one, [[3 * one]], 5 * one))  # (2 + 3·2) · 5
        tensor([[40.]])
    """
    _check(x, stem, blocks)
    first, middle, last = _checked_weights(x, weights)
    if (found := [len(block) for block in middle]) != (needed := [len(block) for block in blocks]):
        raise ValueError(f"blocks of {needed} layers need a weight matrix for each layer of each block; got {found}.")
    z = x @ first.T * stem.to(x.dtype)
    for gates, matrices in zip(blocks, middle, strict=True):
        branch = z
        for gate, matrix in zip(gates, matrices, strict=True):
            branch = branch @ matrix.T * gate.to(x.dtype)
        z = z + branch
    return z @ last.T


def residual_gates(x: Tensor, weights: Weights) -> tuple[Tensor, list[list[Tensor]]]:
    """Hard gates of the residual ReLU network with these weights: the stem's, and those of every layer of every block.

    Example:
        >>> import torch
        >>> from npflib.theory.residual import residual_gates
        >>> one = torch.ones(1, 1)
        >>> residual_gates(one, (2 * one, [[-3 * one]], 5 * one))  # the block's pre-activation is -6
        (tensor([[1.]]), [[tensor([[0.]])]])
    """
    first, middle, _ = _checked_weights(x, weights)
    q = x @ first.T
    stem, z, blocks = hard_gate(q), q.relu(), []
    for matrices in middle:
        branch, gates = z, []
        for matrix in matrices:
            q = branch @ matrix.T
            gates.append(hard_gate(q))
            branch = q.relu()
        blocks.append(gates)
        z = z + branch
    return stem, blocks


def subnetworks(stem: Tensor, blocks: Blocks) -> Iterator[tuple[tuple[int, ...], list[Tensor]]]:
    """All 2^B sub-networks, fewest blocks first: the blocks in J, and the gates of that fully connected network.

    Example:
        >>> import torch
        >>> from npflib.theory.residual import subnetworks
        >>> gate = torch.ones(3, 2)
        >>> [(chosen, len(gates)) for chosen, gates in subnetworks(gate, [[gate], [gate]])]
        [((), 1), ((0,), 2), ((1,), 2), ((0, 1), 3)]
    """
    _check(None, stem, blocks)
    for count in range(len(blocks) + 1):
        for chosen in combinations(range(len(blocks)), count):
            yield chosen, [stem, *(gate for block in chosen for gate in blocks[block])]


def residual_path_kernel(
    x: Tensor, stem: Tensor, blocks: Blocks, x2: Tensor | None = None, stem2: Tensor | None = None,
    blocks2: Blocks | None = None, *, dtype: torch.dtype | None = None,
) -> Tensor:  # fmt: skip
    """H by the number j of blocks that are passed, [B + 1, n, m]: Σ_{#J=j} H_J, the sum over C(B, j) sub-networks.

    With e_j(0) = [j = 0] and e_j(b) = e_j(b-1) + Λ_b ∘ e_{j-1}(b-1), it is Σ ∘ Λ_0 ∘ e_j(B). Gates may be hard or soft;
    x2, stem2 and blocks2 are of m other inputs, None the first ones; ``dtype`` None keeps x's own type.

    Example:
        >>> import torch
        >>> from npflib.theory.residual import residual_path_kernel
        >>> x, two = torch.ones(1, 1), torch.ones(1, 2)  # two units, all open
        >>> residual_path_kernel(x, two, [[two], [two]]).flatten()  # 2 paths skip both, 2·4 pass one, 8 pass both
        tensor([2., 8., 8.])
    """
    _check(x, stem, blocks)
    given = [part is not None for part in (x2, stem2, blocks2)]
    if any(given) != all(given):
        raise ValueError("x2, stem2 and blocks2 belong together: give all three, or none.")
    if x2 is not None and stem2 is not None and blocks2 is not None:
        _check(x2, stem2, blocks2)
        if [len(block) for block in blocks] != [len(block) for block in blocks2]:
            raise ValueError(f"both sides must have the same blocks; got {len(blocks)} and {len(blocks2)}.")
    base = neural_path_kernel(x, [stem], x2, None if stem2 is None else [stem2], dtype=dtype)
    terms = [base, *(torch.zeros_like(base) for _ in blocks)]
    for number, block in enumerate(blocks):
        overlap = path_overlap(block, None if blocks2 is None else blocks2[number], dtype=base.dtype)
        for j in range(number + 1, 0, -1):
            terms[j] += overlap * terms[j - 1]
    return checks.finite(torch.stack(terms), "kernel", " Counts of paths are beyond the type's range: take float64.")


def expected_value_kernel(x: Tensor, stem: Tensor, blocks: Blocks, sigma: float) -> Tensor:
    """E[K_value] = Σ_j d_j σ^{2(d_j - 1)} Σ_{#J=j} H_J with d_j = 2 + mj, by number of blocks, float64 [B + 1, n, n].

    The gates are independent of the weights, which have standard deviation σ.

    Example:
        >>> import torch
        >>> from npflib.theory.residual import expected_value_kernel
        >>> one = torch.ones(1, 1)
        >>> expected_value_kernel(one, one, [[one]], sigma=2.0).flatten()  # 2·2² by the skip, 3·2⁴ by the block
        tensor([ 8., 48.], dtype=torch.float64)
    """
    terms = residual_path_kernel(x, stem, blocks, dtype=torch.float64)
    return torch.stack([scaled(term, 2 + len(blocks[0]) * j, sigma) for j, term in enumerate(terms)])


def _checked_weights(x: Tensor, weights: Weights) -> Weights:
    if not isinstance(weights, Sequence) or len(weights) != 3 or not _in_lists(weights[1]):
        raise ValueError("weights are three: of the stem, of the blocks (a list of lists), and of the read-out.")
    first, middle, last = weights
    every = checks.tensors([first, *(each for block in middle for each in block), last], "weight {}", "[out, in]", 2)
    w, given = len(first), [checks.tensor(x, "inputs", "[n, d_in]", 2, kind="floating"), *every]
    shapes = [tuple(each.shape) for each in given]
    good = [(len(x), first.shape[1]), (w, first.shape[1]), *[(w, w)] * (len(every) - 2), (len(last), w)]
    if shapes != good or len({each.dtype for each in given}) > 1:
        got = f"{shapes} of {', '.join(sorted({str(each.dtype) for each in given}))}"
        raise ValueError(f"inputs [n, d_in], weights [w, d_in], [w, w], …, [C, w] must chain, in one type; got {got}.")
    return weights


def _in_lists(blocks: Blocks) -> bool:
    return isinstance(blocks, Sequence) and all(isinstance(block, Sequence) for block in blocks)


def _check(x: Tensor | None, stem: Tensor, blocks: Blocks) -> None:
    if not _in_lists(blocks):
        raise ValueError("blocks are given in a list, one list of gates for each block.")
    layers = {len(block) for block in blocks}
    if not blocks or len(layers) != 1 or 0 in layers:
        found = [len(block) for block in blocks]
        raise ValueError(f"one block or more must have the same number of layers, at least one; got blocks of {found}.")
    every = [stem, *(gate for block in blocks for gate in block)]
    checks.examples(x, every)
    if len({gate.shape for gate in every}) != 1:
        shapes = [tuple(gate.shape) for gate in every]
        raise ValueError(f"stem and blocks must have one width, so that they can be added; got {shapes}.")
