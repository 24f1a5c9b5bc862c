"""Networks of any architecture trained by automatic differentiation, one copy after the other.

It is what convolutional networks train with, and an independent truth against which ``stacked`` is tested. Images stay
in memory as they were given, bytes or floats; bytes become pixels / 255 as each batch is taken. Behind frozen hard
gates the feature network is evaluated once an example, without a graph, and its gates are looked up from then on
(``gate_table``): they are computed in float32 whatever the precision of training.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from npflib.answers import answers
from npflib.architectures import FullyConnected
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.training.gate_table import GateTable

# VCONV's signals and gates of one image take some 4 MB beside the table: 125 images keep training below 6 GiB.
EVALUATION_CHUNK = 125
PRECISIONS = ("float32", "bfloat16")


class ModuleLearner:
    """Trains S networks of one regime by autograd; the same interface as ``stacked.StackedLearner``.

    Args:
        networks: the starting networks, one a seed; parameters that do not require gradients stay frozen.
        train_images: [N, …], floating or uint8; train_labels: [N]; test_images: [M, …]; test_labels: [M].
        device: where to train.
        precision: "float32", or "bfloat16": products in bfloat16 by torch's autocast, with parameters, their
            gradients and the optimiser in float32. It pays where the processor multiplies bfloat16 in hardware.
        reuse_gates: whether frozen hard gates are looked up (S · (N + M) · gates / 8 bytes) instead of being computed
            in every step.

    Example:
        >>> import torch
        >>> from npflib.training.autograd import ModuleLearner
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> networks = [ReLUNetwork(FullyConnected(depth=2, width=3, in_features=2, out_features=2)) for _ in range(2)]
        >>> x, y = torch.eye(2), torch.tensor([0, 1])
        >>> learner = ModuleLearner(networks, x, y, x, y, torch.device("cpu"))
        >>> learner.gradients(torch.tensor([[0, 1], [1, 0]]))  # each network its own order of examples
        >>> losses, accuracies = learner.take_running(examples=2)
        >>> len(losses), len(learner.parameters())  # two weight matrices and two bias vectors a network
        (2, 8)
    """

    def __init__(
        self,
        networks: Sequence[ReLUNetwork | DeepGatedNetwork],
        train_images: Tensor,
        train_labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        device: torch.device,
        precision: str = "float32",
        reuse_gates: bool = True,
    ):
        if precision not in PRECISIONS:
            raise ValueError(f"unknown precision {precision!r}; allowed: {', '.join(PRECISIONS)}.")
        self.device, self.precision = device, precision
        self.networks = [network.to(device) for network in networks]
        if self._channels_last:
            self.networks = [network.to(memory_format=torch.channels_last) for network in self.networks]
        self.copies = len(networks)
        self.images, self.labels = train_images.to(device), train_labels.to(device)
        self.test_images, self.test_labels = test_images.to(device), test_labels.to(device)
        self.loss = torch.zeros(self.copies, dtype=torch.float64, device=device)
        self.correct = torch.zeros(self.copies, dtype=torch.int64, device=device)
        first = self.networks[0]
        frozen = isinstance(first, DeepGatedNetwork) and first.gate == "hard"
        frozen = frozen and not any(p.requires_grad for p in first.feature.parameters())  # type: ignore[union-attr]
        self.tables = self.test_tables = None
        if frozen and reuse_gates:
            # Only deep gated networks have frozen gates.
            self.tables = [self._table(network, self.images) for network in self.networks]  # type: ignore[arg-type]
            self.test_tables = [self._table(network, self.test_images) for network in self.networks]  # type: ignore[arg-type]

    @property
    def _channels_last(self) -> bool:
        return self.precision == "bfloat16" and not isinstance(self.networks[0].arch, FullyConnected)

    def parameters(self) -> list[Tensor]:
        """What the optimiser updates; frozen parameters are not among them."""
        return [p for network in self.networks for p in network.parameters() if p.requires_grad]

    def state_dict(self, copy: int) -> dict[str, Tensor]:
        """One copy's parameters."""
        return {
            name: t.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, t in self.networks[copy].state_dict().items()
        }

    @torch.enable_grad()
    def gradients(self, chosen: Tensor) -> None:
        """Puts the gradient of each copy's mean cross-entropy over its examples ``chosen`` [S, B] into place."""
        for copy, network in enumerate(self.networks):
            network.zero_grad()
            indices = chosen[copy]
            x, y = self._pixels(self.images[indices]), self.labels[indices]
            logits = self._logits(copy, x, None if self.tables is None else (self.tables, indices))
            loss = functional.cross_entropy(logits, y)
            loss.backward()
            self.loss[copy] += loss.detach() * len(y)
            self.correct[copy] += (answers(logits) == y).sum()

    @torch.no_grad()
    def test(self) -> tuple[list[float], list[float]]:
        """Mean cross-entropy and accuracy of every copy on the test set."""
        losses, accuracies = [], []
        everything = torch.arange(len(self.test_labels), device=self.device)
        for copy in range(self.copies):
            loss = correct = 0.0
            for indices in everything.split(EVALUATION_CHUNK):
                x, y = self._pixels(self.test_images[indices]), self.test_labels[indices]
                logits = self._logits(copy, x, None if self.test_tables is None else (self.test_tables, indices))
                loss += functional.cross_entropy(logits, y, reduction="sum").item()
                correct += (answers(logits) == y).sum().item()
            losses.append(loss / len(self.test_labels))
            accuracies.append(correct / len(self.test_labels))
        return losses, accuracies

    def take_running(self, examples: int) -> tuple[list[float], list[float]]:
        """Mean loss and accuracy over the examples seen since the last call, and starts anew."""
        found = (self.loss / examples).tolist(), (self.correct.double() / examples).tolist()
        self.loss.zero_()
        self.correct.zero_()
        return found

    def _pixels(self, images: Tensor) -> Tensor:
        x = images if images.is_floating_point() else images.to(torch.float32).div_(255)
        return x.contiguous(memory_format=torch.channels_last) if self._channels_last and x.ndim == 4 else x

    def _logits(self, copy: int, x: Tensor, table: tuple[list[GateTable], Tensor] | None) -> Tensor:
        """Logits in the pixels' own type, from gates looked up where there is a table of them."""
        network, low = self.networks[copy], self.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            if table is None:
                return network(x).to(x.dtype)
            tables, indices = table
            gates = tables[copy].lookup(indices, torch.bfloat16 if low else x.dtype)
            return network.value(x, gates).to(x.dtype)  # type: ignore[operator]  # tables are of deep gated networks

    @torch.no_grad()
    def _table(self, network: DeepGatedNetwork, images: Tensor) -> GateTable:
        """Gates of all images, computed in chunks that do not depend on the order of training."""
        table = None
        for start in range(0, len(images), EVALUATION_CHUNK):
            where = slice(start, start + EVALUATION_CHUNK)
            gates = network.gates(self._pixels(images[where]))
            if table is None:
                table = GateTable([gate.shape[1:] for gate in gates], len(images), self.device)
            table.store(where, gates)
        return table  # type: ignore[return-value]  # there is one image or more
