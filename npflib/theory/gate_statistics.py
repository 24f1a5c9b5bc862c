"""How the gates of a network change: what flips between two networks, and what inputs share within and across classes.

Hard gates G_s(l) ∈ {0, 1}^{m_l} of n inputs s in the hidden layers l = 1..d-1, one tensor [n, …] of zeros and ones a
layer (others are a ValueError). A layer's m_l gates are its units; in a convolutional layer a unit is a channel at a
position. Results are float64 [d - 1], counted in whole numbers and divided once, in time and memory O(n Σ m_l).

**Flips.** Between gates G and G' of the same n inputs the share that flips is

    F_l = 1/(n m_l) Σ_s Σ_i 1[G_s(l)_i ≠ G'_s(l)_i].

Two patterns that have nothing to do with each other, with shares p and p' on, differ in p(1-p') + p'(1-p) of their
places on average: that is what F_l is to be compared with, not 1.

**Agreement.** Let D_l(s, s') be the share of the m_l gates in which two inputs differ, and p_l the share that is on
over all n inputs and all units. Gates that were independent coins with that share would differ in 2 p_l (1-p_l) of
the places on average, so

    κ_l(s, s') = 1 - D_l(s, s') / (2 p_l (1-p_l))

is 1 for equal patterns, 0 on average for such coins, and negative where inputs differ more than that. (Its mean over
all pairs is Fleiss' kappa of n inputs that rate every unit as on or off.) The mean over the pairs of different inputs
of one class is the agreement within classes, over the pairs of different classes the agreement across them. Inputs of
different classes agree beyond chance in units that are on, or off, for nearly everything; within minus across is what
the gates know of the classes.

Both means need only counts: where k of n_c inputs of class c have unit i on, k (n_c - k) of their pairs differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from npflib import checks

__all__ = ["agreement", "flipped", "flipped_by_chance", "on_share"]


@dataclass(frozen=True)
class Agreement:
    """Mean κ_l of all pairs of different inputs of one class (``within``), and of different classes (``across``)."""

    within: Tensor
    across: Tensor

    @property
    def contrast(self) -> Tensor:
        """within - across: 0 for gates that know nothing of the classes."""
        return self.within - self.across


def on_share(gates: Sequence[Tensor]) -> Tensor:
    """p_l, the share of gates that are on.

    Example:
        >>> import torch
        >>> from npflib.theory.gate_statistics import on_share
        >>> on_share([torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0]])])
        tensor([0.5000], dtype=torch.float64)
    """
    return torch.stack([layer.double().mean() for layer in _checked(gates)])


def flipped(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """F_l, the share of gates that flip between two networks, whose gates of the same inputs are of the same shapes.

    Example:
        >>> import torch
        >>> from npflib.theory.gate_statistics import flipped
        >>> flipped([torch.tensor([[1, 1, 0, 0]])], [torch.tensor([[1, 0, 0, 0]])])
        tensor([0.2500], dtype=torch.float64)
    """
    left, right = _checked_pair(before, after)
    return torch.stack([(a != b).double().mean() for a, b in zip(left, right, strict=True)])


def flipped_by_chance(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """p_l (1-p'_l) + p'_l (1-p_l), what F_l would be on average for patterns with these shares that are unrelated.

    Example:
        >>> import torch
        >>> from npflib.theory.gate_statistics import flipped_by_chance
        >>> flipped_by_chance([torch.tensor([[1, 1, 0, 0]])], [torch.tensor([[1, 0, 0, 0]])])  # ½·¾ + ¼·½
        tensor([0.5000], dtype=torch.float64)
    """
    p, q = (on_share(gates) for gates in _checked_pair(before, after))
    return p * (1 - q) + q * (1 - p)


def agreement(gates: Sequence[Tensor], labels: Tensor) -> Agreement:
    """Mean κ_l of pairs of inputs, within classes and across them; labels [n] are whole numbers.

    A layer whose gates are all on, or all off, leaves nothing to correct by: its entries are NaN. Fewer than two
    classes, or none with two inputs, are a ValueError.

    Example:
        >>> import torch
        >>> from npflib.theory.gate_statistics import agreement
        >>> gates = [torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]])]
        >>> found = agreement(gates, labels=torch.tensor([4, 4, 7, 7]))
        >>> found.within, found.across  # alike within a class, opposite across
        (tensor([1.], dtype=torch.float64), tensor([-1.], dtype=torch.float64))
    """
    layers = _checked(gates)
    checks.labelled(layers[0], labels)
    classes, counts = labels.unique(return_counts=True)
    n = len(labels)
    pairs = int((counts * (counts - 1) // 2).sum())
    others = n * (n - 1) // 2 - pairs
    if not pairs or not others:
        raise ValueError(f"two classes are needed, and one with two inputs; got classes of {counts.tolist()} inputs.")
    rows = []
    for flat in (layer.flatten(1) for layer in layers):
        same = sum(_differing(flat[labels == c]) for c in classes)
        on = int(flat.sum()) / flat.numel()
        chance = 2 * on * (1 - on)
        counted = ((same, pairs * flat.shape[1]), (_differing(flat) - same, others * flat.shape[1]))
        rows.append([1 - differing / places / chance if chance else float("nan") for differing, places in counted])
    return Agreement(*torch.tensor(rows, dtype=torch.float64).T)


def _differing(flat: Tensor) -> int:
    """How often two different rows of [n, m] zeros and ones differ in a column, over all pairs and columns."""
    on = flat.sum(0, dtype=torch.int64)
    return int((on * (len(flat) - on)).sum())


def _checked(gates: Sequence[Tensor]) -> list[Tensor]:
    layers = checks.tensors(gates, "gates of hidden layer {}", "[n, …]")
    if not layers:
        raise ValueError("gates of one or more hidden layers are needed; got none.")
    if any(layer.ndim < 2 or not layer.numel() or len(layer) != len(layers[0]) for layer in layers):
        shapes = [tuple(layer.shape) for layer in layers]
        raise ValueError(f"gates must be [n, …] for the same n ≥ 1 inputs in every layer; got {shapes}.")
    checks.hard(layers, "zeros and ones are counted")
    return [layer.bool() for layer in layers]


def _checked_pair(before: Sequence[Tensor], after: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    left, right = _checked(before), _checked(after)
    shapes = [[tuple(layer.shape) for layer in gates] for gates in (left, right)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"both networks' gates must have the same shapes; got {shapes[0]} and {shapes[1]}.")
    return left, right
