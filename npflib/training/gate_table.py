"""Hard gates of many examples in memory, one bit a gate: frozen gates are computed once and looked up ever after.

A GCONV network has 393,728 gates an example (0.05 MB as bits): 2.5 GB for the 50,000 training images of CIFAR-10.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

BITS = 8


class GateTable:
    """Gates of N examples in rows of packed bits.

    Args:
        shapes: the shape of each hidden layer's gates for one example, e.g. (128,) or (64, 32, 32).
        examples: N.
        device: where the rows are kept.

    Example:
        >>> import torch
        >>> from npflib.training.gate_table import GateTable
        >>> table = GateTable(shapes=[(3,)], examples=2)
        >>> table.store(slice(0, 2), [torch.tensor([[1, 0, 1], [0, 1, 1]])])
        >>> table.lookup(torch.tensor([1]))
        [tensor([[0., 1., 1.]])]
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], examples: int, device: torch.device | None = None):
        self.shapes = [tuple(shape) for shape in shapes]
        self.sizes = [prod(shape) for shape in self.shapes]
        bytes_a_row = -(-sum(self.sizes) // BITS)
        self.rows = torch.empty(examples, bytes_a_row, dtype=torch.uint8, device=device)
        self.shifts = torch.arange(BITS, dtype=torch.uint8, device=device)
        # The eight gates of every possible byte, as one word each: a copy in place of eight shifts.
        every = torch.arange(2**BITS, dtype=torch.uint8, device=device)[:, None] >> self.shifts
        self.words = every.bitwise_and_(1).view(torch.int64).flatten()

    def store(self, where: slice, gates: Sequence[Tensor]) -> None:
        """Keeps the gates of consecutive examples: one tensor a hidden layer, [n, …], zeros and ones."""
        flat = torch.cat([gate.flatten(1).to(torch.uint8) for gate in gates], 1)
        spare = -flat.shape[1] % BITS
        bits = torch.nn.functional.pad(flat, (0, spare)).unflatten(1, (-1, BITS))
        self.rows[where] = (bits << self.shifts).sum(2, dtype=torch.uint8)

    def lookup(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """The gates of the examples ``indices`` [n], as they were stored, in ``dtype``."""
        rows = self.rows.index_select(0, indices)
        bits = self.words.index_select(0, rows.flatten().int()).view(torch.uint8).view(len(rows), rows.shape[1] * BITS)
        flat = bits[:, : sum(self.sizes)].to(dtype)
        parts = flat.split(self.sizes, 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]
