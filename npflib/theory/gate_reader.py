"""Reading gates: what a kernel machine, and no network, can do with them.

By the fixed-gate theorem (Claim 4) a wide value network behind fixed gates does kernel regression with their neural
path kernel H = Σ ⊙ Λ. So ridge regression with H is a read-out of the gates that trains nothing: the same inputs, the
same labels, the same machine, and only the gates differ from one reading to the next. Λ = 1, all gates open, leaves
the linear kernel Σ: what the inputs say without any gates.

Hard gates only: then ⟨G_s, G_s'⟩ counts units, which float32 holds exactly up to 2²⁴; the counts are multiplied in
float64. The Gram matrices Σ are computed once and serve every reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.paths import check_examples
from npflib.theory.kernel_ridge import MEMORY, RIDGES, choose_ridge, fit, memory_needed

CHUNK = 1000


@dataclass(frozen=True)
class Reading:
    """What the machine made of one set of gates.

    Attributes:
        accuracy: share of the test examples whose class it predicts, fitted on all its training examples.
        ridge: the relative ridge, chosen on held-out training examples.
        held_out: accuracy on those, when fitted on the others with that ridge.
        at_edge: whether the ridge is the least or the greatest of those tried.

    Example:
        >>> from npflib.theory.gate_reader import Reading
        >>> Reading(accuracy=0.9, ridge=0.01, held_out=0.92, at_edge=False).ridge
        0.01
    """

    accuracy: float
    ridge: float
    held_out: float
    at_edge: bool


class GateReader:
    """Ridge regression on fixed training and test examples, with the path kernel of any gates.

    Args:
        x: training inputs [n, …], flattened.
        labels: their classes [n].
        new_x: test inputs [m, …].
        new_labels: their classes [m]; they are counted against the predictions and used for nothing else.
        ridges: relative ridges to choose from.
        seed: which training examples are held out for the choice.
        memory: bytes that may be taken.

    Raises:
        ValueError: inputs and labels that do not match, or more memory than allowed.

    Example:
        >>> import torch
        >>> from npflib.architectures import FullyConnected
        >>> from npflib.theory.gate_reader import GateReader
        >>> from npflib.networks import ReLUNetwork
        >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> labels = (x[:, 0] * x[:, 1] > 0).long()  # no linear machine finds it
        >>> reader = GateReader(x[:150], labels[:150], x[150:], labels[150:])
        >>> arch = FullyConnected(depth=3, width=50, in_features=2, out_features=2, bias=False)
        >>> network = ReLUNetwork(arch, torch.Generator().manual_seed(0))  # its gates are random
        >>> reader.read_linear().accuracy < reader.read_network(network).accuracy
        True
    """

    def __init__(
        self,
        x: Tensor,
        labels: Tensor,
        new_x: Tensor,
        new_labels: Tensor,
        *,
        ridges: Sequence[float] = RIDGES,
        seed: int = 0,
        memory: int = MEMORY,
    ):
        for what, inputs, given in (("training", x, labels), ("test", new_x, new_labels)):
            if inputs.ndim < 2 or given.shape != inputs.shape[:1]:
                raise ValueError(
                    f"the {what} inputs are [n, …] with a label each; got {tuple(inputs.shape)} and labels "
                    f"{tuple(given.shape)}."
                )
        if x.shape[1:] != new_x.shape[1:]:
            raise ValueError(f"inputs differ: {tuple(x.shape[1:])} to train on and {tuple(new_x.shape[1:])} to test.")
        n, m = len(x), len(new_x)
        needed = memory_needed(n) + 8 * n * (n + m)
        if needed > memory:
            raise ValueError(
                f"a reader of {n:,} training and {m:,} test examples needs {needed / 2**30:.3g} GiB; allowed are "
                f"{memory / 2**30:.3g}. Take fewer, or allow more by `memory`."
            )
        self.x, self.labels = x.flatten(1), labels
        self.new_x, self.new_labels = new_x.flatten(1), new_labels
        self.ridges, self.seed, self.memory = tuple(ridges), seed, memory
        self.classes = int(labels.max()) + 1
        self.gram = _gram(self.x.double(), self.x.double())
        self.new_gram = _gram(self.new_x.double(), self.x.double())

    def read_network(self, network: ReLUNetwork | DeepGatedNetwork) -> Reading:
        """The gates that a network gives the reader's examples.

        Example:
            >>> from npflib.theory.gate_reader import GateReader
            >>> GateReader.read_network.__annotations__["return"].__name__  # the class shows it at work
            'Reading'
        """
        return self.read(gates_of(network, self.x), gates_of(network, self.new_x))

    def read_linear(self) -> Reading:
        """The linear kernel Σ: all gates open.

        Example:
            >>> import torch
            >>> from npflib.theory.gate_reader import GateReader
            >>> x, labels = torch.tensor([[1.0], [-1.0]]).repeat(10, 1), torch.tensor([0, 1]).repeat(10)
            >>> GateReader(x, labels, x, labels).read_linear().accuracy
            1.0
        """
        return self._read(None, None)

    def read(self, gates: Sequence[Tensor], new_gates: Sequence[Tensor]) -> Reading:
        """Gates however they were found.

        Args:
            gates: of the training examples, d - 1 tensors [n, w_l] of zeros and ones.
            new_gates: of the test examples, d - 1 tensors [m, w_l].

        Raises:
            ValueError: gates that are not hard, or do not match the examples or each other.

        Example:
            >>> import torch
            >>> from npflib.theory.gate_reader import GateReader
            >>> x, labels = torch.ones(20, 1), torch.tensor([0, 1]).repeat(10)
            >>> gates = [torch.nn.functional.one_hot(labels).float()]  # the inputs say nothing, the gates everything
            >>> GateReader(x, labels, x, labels).read(gates, gates).accuracy
            1.0
        """
        for what, inputs, given in (("training", self.x, gates), ("test", self.new_x, new_gates)):
            check_examples(inputs, given)
            if not all(bool(((gate == 0) | (gate == 1)).all()) for gate in given):
                raise ValueError(f"gates of the {what} examples must be hard, 0 or 1: a reading counts open units.")
        if [gate.shape[1] for gate in gates] != [gate.shape[1] for gate in new_gates]:
            raise ValueError("gates of the training and the test examples must come from the same network.")
        return self._read([gate.float() for gate in gates], [gate.float() for gate in new_gates])

    def _read(self, gates: Sequence[Tensor] | None, new_gates: Sequence[Tensor] | None) -> Reading:
        kernel = self.gram if gates is None else self.gram.clone()
        if gates is not None:
            _times_overlap(kernel, gates, gates)
        choice = choose_ridge(
            kernel, self.labels, self.ridges, classes=self.classes, seed=self.seed, memory=self.memory
        )
        machine = fit(kernel, self.labels, choice.ridge, classes=self.classes, memory=self.memory)

        def rows(part: slice) -> Tensor:
            found = self.new_gram[part]
            if gates is not None and new_gates is not None:
                found = found.clone()
                _times_overlap(found, [gate[part] for gate in new_gates], gates)
            return found

        accuracy = machine.accuracy(rows, self.new_labels, CHUNK)
        return Reading(accuracy, choice.ridge, choice.accuracies[choice.ridge], choice.at_edge)


@torch.no_grad()
def gates_of(network: ReLUNetwork | DeepGatedNetwork, x: Tensor) -> list[Tensor]:
    """The gates of many examples, ``CHUNK`` at a time; d - 1 tensors [n, w_l].

    Example:
        >>> import torch
        >>> from npflib.architectures import FullyConnected
        >>> from npflib.theory.gate_reader import gates_of
        >>> from npflib.networks import ReLUNetwork
        >>> network = ReLUNetwork(FullyConnected(depth=3, width=4, in_features=2))
        >>> [tuple(gate.shape) for gate in gates_of(network, torch.ones(7, 2))]
        [(7, 4), (7, 4)]
    """
    parts = [network.gates(x[start : start + CHUNK]) for start in range(0, max(len(x), 1), CHUNK)]
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def _gram(x: Tensor, x2: Tensor) -> Tensor:
    """x @ x2ᵀ, by numpy where it can: its product took a third of torch's time (float64, AMD EPYC, one thread)."""
    return torch.from_numpy(x.numpy() @ x2.numpy().T)


def _times_overlap(kernel: Tensor, gates: Sequence[Tensor], gates2: Sequence[Tensor]) -> None:
    """Multiplies Λ [n, m] into ``kernel``, in blocks of rows that bound what is held beside it."""
    for start in range(0, len(kernel), CHUNK):
        part = slice(start, start + CHUNK)
        for one, other in zip(gates, gates2, strict=True):
            kernel[part].mul_(_gram(one[part], other))
