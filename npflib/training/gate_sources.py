"""Where the gates of a value network come from, when they are written down: hard gates of many examples, looked up.

Frozen gates are computed once and looked up ever after, one bit a gate: a GCONV network has 393,728 gates an example
(0.05 MB as bits), 2.5 GB for the 50,000 training images of CIFAR-10. Each layer's gates may come from where one likes.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from npflib import checks
from npflib.networks import DeepGatedNetwork, ReLUNetwork, hard_gates

BITS = 8
# VCONV's signals and gates of one image take some 4 MB beside the table: 125 images keep training below 6 GiB.
CHUNK = 125


class LayerGates(Protocol):
    """The gates of hidden layers for many examples: a ``GateTable``, ``OpenGates``, or one's own.

    Example:
        >>> import torch
        >>> from npflib.training.gate_sources import MixedGates
        >>> class Alternating:
        ...     def lookup(self, indices, dtype=torch.float32):
        ...         return [(indices % 2).to(dtype)[:, None]]
        >>> MixedGates([Alternating()]).lookup(torch.tensor([3, 4]))
        [tensor([[1.],
                [0.]])]
    """

    def lookup(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """One tensor [n, …] a layer: the gates of the examples ``indices`` [n]."""


class GateTable:
    """Gates of N examples in rows of packed bits.

    Args:
        shapes: the shape of each hidden layer's gates for one example, e.g. (128,) or (64, 32, 32).
        examples: N.
        device: where the rows are kept.
        channels_last: whether gates of images come back in that layout: a product of two layouts takes ten times as
            long as one of the same.

    Example:
        >>> import torch
        >>> from npflib.training.gate_sources import GateTable
        >>> table = GateTable(shapes=[(3,)], examples=2)
        >>> table.store(slice(0, 2), [torch.tensor([[1, 0, 1], [0, 1, 1]])])
        >>> table.lookup(torch.tensor([1]))
        [tensor([[0., 1., 1.]])]
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, ...]],
        examples: int,
        device: torch.device | None = None,
        channels_last: bool = False,
    ):
        self.shapes = [tuple(shape) for shape in shapes]
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


class OpenGates:
    """A layer whose gates are all 1: it is linear.

    Args:
        shape: of the layer's gates for one example.

    Example:
        >>> import torch
        >>> from npflib.training.gate_sources import OpenGates
        >>> OpenGates((2,)).lookup(torch.tensor([5, 7]))
        [tensor([[1., 1.],
                [1., 1.]])]
    """

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(shape)

    def lookup(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Ones, [n, …] for n indices."""
        return [torch.ones(len(indices), *self.shape, dtype=dtype, device=indices.device)]


class MixedGates:
    """The gates of all hidden layers, each layer's from where one likes.

    Args:
        layers: one for each hidden layer, input side first.

    Example:
        >>> import torch
        >>> from npflib.training.gate_sources import MixedGates, OpenGates, layer_tables
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> network = ReLUNetwork(FullyConnected(depth=3, width=4, in_features=2))
        >>> x = torch.randn(5, 2)
        >>> learnt = layer_tables(network, x)
        >>> gates = MixedGates([OpenGates((4,)), learnt[1]]).lookup(torch.tensor([3]))  # open, then the network's own
        >>> bool(gates[0].all()), torch.equal(gates[1], network.gates(x[3:4])[1])
        (True, True)
    """

    def __init__(self, layers: Sequence[LayerGates]):
        self.layers = list(layers)

    def lookup(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """One tensor a hidden layer, as value networks take them."""
        return [layer.lookup(indices, dtype)[0] for layer in self.layers]


def pixels(images: Tensor) -> Tensor:
    """Bytes as pixels / 255 in float32; what is floating, as it is.

    Example:
        >>> import torch
        >>> from npflib.training.gate_sources import pixels
        >>> pixels(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    return images if images.is_floating_point() else images.to(torch.float32).div_(255)


def _in_chunks(network: ReLUNetwork | DeepGatedNetwork, images: Tensor) -> Iterator[tuple[slice, list[Tensor]]]:
    """Hard gates of some images at a time, in chunks that do not depend on the order of training."""
    for start in range(0, len(images), CHUNK):
        where = slice(start, start + CHUNK)
        gates = network.gates(pixels(images[where]))
        checks.hard(gates, "a table holds hard gates, and this network's are soft")
        yield where, gates


@torch.no_grad()
def network_table(
    network: ReLUNetwork | DeepGatedNetwork,
    images: Tensor,
    device: torch.device | None = None,
    channels_last: bool = False,
) -> GateTable:
    """The hard gates of a network on many images, all hidden layers in one table.

    Args:
        network: whose gates are zeros and ones.
        images: [N, …], floating, or bytes that stand for pixels / 255.
        device: where the table is kept.
        channels_last: in which layout gates come back, as in :class:`GateTable`.

    Raises:
        ValueError: no images, or gates that are not zeros and ones.

    Example:
        >>> import torch
        >>> from npflib.training.gate_sources import network_table
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> table = network_table(ReLUNetwork(FullyConnected(depth=3, width=4, in_features=2)), torch.ones(6, 2))
        >>> [tuple(gate.shape) for gate in table.lookup(torch.tensor([0, 5]))]
        [(2, 4), (2, 4)]
    """
    return _tables(network, images, device, channels_last, together=True)[0]


@torch.no_grad()
def layer_tables(network: ReLUNetwork | DeepGatedNetwork, images: Tensor) -> list[GateTable]:
    """The same with a table for each hidden layer, so that layers of several networks can be mixed.

    Example:
        >>> import torch
        >>> from npflib.training.gate_sources import layer_tables
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> tables = layer_tables(ReLUNetwork(FullyConnected(depth=3, width=4, in_features=2)), torch.ones(6, 2))
        >>> len(tables), tables[0].lookup(torch.tensor([0, 5]))[0].shape
        (2, torch.Size([2, 4]))
    """
    return _tables(network, images, None, channels_last=False, together=False)


def _tables(
    network: ReLUNetwork | DeepGatedNetwork,
    images: Tensor,
    device: torch.device | None,
    channels_last: bool,
    together: bool,
) -> list[GateTable]:
    if not len(images):
        raise ValueError("gates of no images: images must be [N, …] with N ≥ 1.")
    tables: list[GateTable] = []
    for where, gates in _in_chunks(network, images):
        groups = [gates] if together else [[gate] for gate in gates]
        if not tables:
            tables = [GateTable([gate.shape[1:] for gate in g], len(images), device, channels_last) for g in groups]
        for table, group in zip(tables, groups, strict=True):
            table.store(where, group)
    return tables


def gate_table(network: ReLUNetwork | DeepGatedNetwork, x: Tensor) -> Tensor:
    """The hard gates of a fully connected network side by side, one byte a gate, uint8 [n, (d - 1) w].

    Raises:
        ValueError: no inputs, or gates that are not zeros and ones.

    Example:
        >>> import torch
        >>> from npflib.training.gate_sources import gate_table
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> gate_table(ReLUNetwork(FullyConnected(depth=3, width=4, in_features=2)), torch.ones(5, 2)).shape
        torch.Size([5, 8])
    """
    return torch.cat(hard_gates(network, x, chunk=1000), 1).to(torch.uint8)
