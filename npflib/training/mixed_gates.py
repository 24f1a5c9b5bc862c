"""Gates of a network's layers from different sources, for value networks of any architecture.

``given_gates`` does the same for fully connected networks, whose gates are few. A convolutional network has a
gate for each channel and position, so each layer's gates are kept as bits (``GateTable``), and a
mixture of sources names tables instead of copying them.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.training.autograd import EVALUATION_CHUNK, ModuleLearner
from npflib.training.gate_table import GateTable


class LayerGates(Protocol):
    """The gates of one hidden layer for many examples: a ``GateTable`` of one shape, ``OpenGates``, or one's own.

    Example:
        >>> import torch
        >>> from npflib.training.mixed_gates import MixedGates
        >>> class Alternating:
        ...     def lookup(self, indices, dtype=torch.float32):
        ...         return [(indices % 2).to(dtype)[:, None]]
        >>> MixedGates([Alternating()]).lookup(torch.tensor([3, 4]))
        [tensor([[1.],
                [0.]])]
    """

    def lookup(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """One tensor [n, …]: the gates of the examples ``indices`` [n]."""


class OpenGates:
    """A layer whose gates are all 1: it is linear.

    Args:
        shape: of the layer's gates for one example.

    Example:
        >>> import torch
        >>> from npflib.training.mixed_gates import OpenGates
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
        >>> from npflib.training.mixed_gates import MixedGates, OpenGates, layer_tables
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


class MixedGatesLearner(ModuleLearner):
    """Trains S value networks, each behind its own mixture of gates; otherwise as ``ModuleLearner``.

    Args:
        networks: deep gated networks with frozen feature networks, which are not used: the gates are given.
        train_images: [N, …]; train_labels: [N]; test_images: [M, …]; test_labels: [M].
        gates: of the training examples, one ``MixedGates`` a network.
        test_gates: of the test examples.

    Raises:
        ValueError: gates for another number of networks, or of other shapes than the network's.

    Example:
        >>> import torch
        >>> from npflib import regimes
        >>> from npflib.training.mixed_gates import MixedGates, MixedGatesLearner, OpenGates
        >>> from npflib.networks import FullyConnected
        >>> network = regimes.start("FRNPF-II", FullyConnected(depth=3, width=4, in_features=2, out_features=2), seed=0)
        >>> linear = [MixedGates([OpenGates((4,)), OpenGates((4,))])]
        >>> x, y = torch.eye(2), torch.tensor([0, 1])
        >>> learner = MixedGatesLearner([network], x, y, x, y, linear, linear)
        >>> learner.gradients(torch.tensor([[1, 0]]))
        >>> learner.test()[1][0] in (0.0, 0.5, 1.0)
        True
    """

    def __init__(
        self,
        networks: Sequence[DeepGatedNetwork],
        train_images: Tensor,
        train_labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        gates: Sequence[MixedGates],
        test_gates: Sequence[MixedGates],
    ):
        device = torch.device("cpu")
        super().__init__(networks, train_images, train_labels, test_images, test_labels, device, reuse_gates=False)
        for network, *mixtures in zip(networks, gates, test_gates, strict=True):
            wanted = [tuple(gate.shape[1:]) for gate in network.gates(self._pixels(train_images[:1]))]
            for mixture in mixtures:
                found = [tuple(gate.shape[1:]) for gate in mixture.lookup(torch.zeros(1, dtype=torch.int64))]
                if found != wanted:
                    raise ValueError(f"gates of one example must have the shapes {wanted}; got {found}.")
        # A mixture is looked up like the table that stands here otherwise.
        self.tables = list(gates)  # type: ignore[arg-type]
        self.test_tables = list(test_gates)  # type: ignore[arg-type]


@torch.no_grad()
def layer_tables(network: ReLUNetwork | DeepGatedNetwork, images: Tensor) -> list[GateTable]:
    """The hard gates of a network on many images, a table for each hidden layer.

    Args:
        network: whose gates are zeros and ones.
        images: [N, …], floating, or bytes that stand for pixels / 255.

    Raises:
        ValueError: no images, or gates that are not zeros and ones.

    Example:
        >>> import torch
        >>> from npflib.training.mixed_gates import layer_tables
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> tables = layer_tables(ReLUNetwork(FullyConnected(depth=3, width=4, in_features=2)), torch.ones(6, 2))
        >>> len(tables), tables[0].lookup(torch.tensor([0, 5]))[0].shape
        (2, torch.Size([2, 4]))
    """
    if not len(images):
        raise ValueError("gates of no images: images must be [N, …] with N ≥ 1.")
    tables: list[GateTable] = []
    for start in range(0, len(images), EVALUATION_CHUNK):
        where = slice(start, start + EVALUATION_CHUNK)
        some = images[where]
        gates = network.gates(some if some.is_floating_point() else some.float().div_(255))
        for layer, gate in enumerate(gates):
            if not bool(((gate == 0) | (gate == 1)).all()):
                raise ValueError("a table holds hard gates, 0 or 1; this network's are soft.")
            if layer == len(tables):
                tables.append(GateTable([gate.shape[1:]], len(images)))
            tables[layer].store(where, [gate])
    return tables
