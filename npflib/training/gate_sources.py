"""Where the gates of a value network come from, when they are written down: hard gates of many examples, looked up.

Frozen gates are computed once and looked up ever after, one bit a gate: a GCONV network has 393,728 gates an example
(0.05 MB as bits), 2.5 GB for the 50,000 training images of CIFAR-10. Each layer's gates may come from where one likes.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from npflib import checks
from npflib.networks import DeepGatedNetwork, ReLUNetwork, hard_gates

BITS = 8
# VCONV's signals and gates of one image take some 4 MB beside the table: 125 images keep training below 6 GiB.
CHUNK = 125


class LayerGates(Protocol):
    """The gates of hidden layers for many examples: a ``GateTable``, ``OpenGates``, or one's own."""

    def lookup(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """One tensor [n, …] a layer: the gates of the examples ``indices`` [n]."""


class GateTable:
    """Gates of N examples in rows of packed bits; ``shapes`` are those of each hidden layer's gates for one example."""

    def __init__(
        self,
        shapes: Sequence[tuple[int, ...]],
        examples: int,
        device: torch.device | None = None,
        channels_last: bool = False,
    ):
        self.shapes = [tuple(shape) for shape in shapes]
        # Gates of images come back in the images' layout: a product of two layouts takes ten times as long.
        self.channels_last = channels_last
        self.sizes = [prod(shape) for shape in self.shapes]
        bytes_a_row = -(-sum(self.sizes) // BITS)
        self.rows = torch.empty(examples, bytes_a_row, dtype=torch.uint8, device=device)
        self.shifts = torch.arange(BITS, dtype=torch.uint8, device=device)
        # The eight gates of every possible byte, as one word each: a copy in place of eight shifts.
        every = torch.arange(2**BITS, dtype=torch.uint8, device=device)[:, None] >> self.shifts
        self.words = every.bitwise_and_(1).view(torch.int64).flatten()

    def store(self, where: slice, gates: Sequence[Tensor]) -> None:
        """Keeps the gates of consecutive examples: one tensor a hidden layer, [n, …], zeros and ones."""
        if self.channels_last:
            gates = [gate.movedim(1, -1) for gate in gates]
        flat = torch.cat([gate.flatten(1).to(torch.uint8) for gate in gates], 1)
        spare = -flat.shape[1] % BITS
        bits = torch.nn.functional.pad(flat, (0, spare)).unflatten(1, (-1, BITS))
        self.rows[where] = (bits << self.shifts).sum(2, dtype=torch.uint8)

    def lookup(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """The gates of the examples ``indices`` [n], as they were stored, in ``dtype``."""
        rows = self.rows.index_select(0, indices)
        bits = self.words.index_select(0, rows.flatten().int()).view(torch.uint8).view(len(rows), rows.shape[1] * BITS)
        flat = bits[:, : sum(self.sizes)].to(dtype)
        parts = zip(flat.split(self.sizes, 1), self.shapes, strict=True)
        if self.channels_last:
            return [part.unflatten(1, (*shape[1:], shape[0])).movedim(-1, 1) for part, shape in parts]
        return [part.unflatten(1, shape) for part, shape in parts]


class OpenGates(NamedTuple):
    """A layer whose gates are all 1, of this shape for one example: it is linear."""

    shape: Sequence[int]

    def lookup(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Ones, [n, …] for n indices."""
        return [torch.ones(len(indices), *self.shape, dtype=dtype, device=indices.device)]


class MixedGates(NamedTuple):
    """The gates of all hidden layers, input side first, each layer's from where one likes."""

    layers: Sequence[LayerGates]

    def lookup(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """One tensor a hidden layer, as value networks take them."""
        return [layer.lookup(indices, dtype)[0] for layer in self.layers]


def pixels(images: Tensor) -> Tensor:
    """Bytes as pixels / 255 in float32; what is floating, as it is."""
    return images if images.is_floating_point() else images.to(torch.float32).div_(255)


@torch.no_grad()
def layer_tables(
    network: ReLUNetwork | DeepGatedNetwork,
    images: Tensor,
    device: torch.device | None = None,
    channels_last: bool = False,
    together: bool = False,
) -> list[GateTable]:
    """The hard gates of a network on images [N, …]: a table a hidden layer, to be mixed; or one table of all layers."""
    if not len(images):
        raise ValueError("gates of no images: images must be [N, …] with N ≥ 1.")
    tables: list[GateTable] = []
    for start in range(0, len(images), CHUNK):  # chunks that do not depend on the order of training
        where = slice(start, start + CHUNK)
        gates = network.gates(pixels(images[where]))
        checks.hard(gates, "a table holds hard gates, and this network's are soft")
        groups = [gates] if together else [[gate] for gate in gates]
        if not tables:
            tables = [GateTable([gate.shape[1:] for gate in g], len(images), device, channels_last) for g in groups]
        for table, group in zip(tables, groups, strict=True):
            table.store(where, group)
    return tables


def gate_table(network: ReLUNetwork | DeepGatedNetwork, x: Tensor) -> Tensor:
    """The hard gates of a fully connected network side by side, one byte a gate, uint8 [n, (d - 1) w]."""
    return torch.cat(hard_gates(network, x, chunk=1000), 1).to(torch.uint8)
