"""Networks of any architecture trained by automatic differentiation, one copy after the other.

It is what convolutional networks train with, and an independent truth against which ``batched`` is tested. Images stay
in memory as they were given, bytes or floats; bytes become pixels / 255 as each batch is taken. Behind frozen hard
gates the feature network is evaluated once an example, without a graph, and its gates are looked up from then on
(``gate_sources``): they are computed in float32 whatever the precision of training.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from npflib.answers import answers
from npflib.architectures import FullyConnected
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.training.gate_sources import CHUNK, LayerGates, network_table, pixels

PRECISIONS = ("float32", "bfloat16")


class AutogradLearner:
    """Trains S networks of one regime by autograd; the same interface as ``batched.BatchedLearner``.

    Args:
        networks: the starting networks, one a seed; parameters that do not require gradients stay frozen.
        train_images: [N, …], floating or uint8; train_labels: [N]; test_images: [M, …]; test_labels: [M].
        device: where to train.
        precision: "float32", or "bfloat16": products in bfloat16 by torch's autocast, with parameters, their
            gradients and the optimiser in float32. It pays where the processor multiplies bfloat16 in hardware.
        reuse_gates: whether frozen hard gates are looked up (S · (N + M) · gates / 8 bytes) instead of being computed
            in every step.
        gates: written down instead (``gate_sources``), of the training and of the test examples, one source a network:
            the networks are deep gated ones, whose feature networks are then not used.

    Raises:
        ValueError: an unknown precision, or gates for another number of networks or of other shapes than theirs.

    Example:
        >>> import torch
        >>> from npflib.training.autograd import AutogradLearner
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> networks = [ReLUNetwork(FullyConnected(depth=2, width=3, in_features=2, out_features=2)) for _ in range(2)]
        >>> x, y = torch.eye(2), torch.tensor([0, 1])
        >>> learner = AutogradLearner(networks, x, y, x, y, torch.device("cpu"))
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
        device: torch.device | None = None,
        precision: str = "float32",
        reuse_gates: bool = True,
        *,
        gates: tuple[Sequence[LayerGates], Sequence[LayerGates]] | None = None,
    ):
        if precision not in PRECISIONS:
            raise ValueError(f"unknown precision {precision!r}; allowed: {', '.join(PRECISIONS)}.")
        device = device or torch.device("cpu")
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
        self.tables: Sequence[Sequence[LayerGates]] | None = None
        if gates is not None:
            self.tables = [self._given(part) for part in gates]
        elif frozen and reuse_gates:
            # Only deep gated networks have frozen gates.
            self.tables = [
                [network_table(network, images, device, self._channels_last) for network in self.networks]
                for images in (self.images, self.test_images)
            ]

    def _given(self, gates: Sequence[LayerGates]) -> Sequence[LayerGates]:
        one = torch.zeros(1, dtype=torch.int64, device=self.device)
        for network, source in zip(self.networks, gates, strict=True):
            wanted = [tuple(gate.shape[1:]) for gate in network.gates(self._pixels(self.images[:1]))]
            found = [tuple(gate.shape[1:]) for gate in source.lookup(one)]
            if found != wanted:
                raise ValueError(f"gates of one example must have the shapes {wanted}; got {found}.")
        return gates

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
            logits = self._logits(copy, x, indices, 0)
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
            for indices in everything.split(CHUNK):
                x, y = self._pixels(self.test_images[indices]), self.test_labels[indices]
                logits = self._logits(copy, x, indices, 1)
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
        x = pixels(images)
        return x.contiguous(memory_format=torch.channels_last) if self._channels_last and x.ndim == 4 else x

    def _logits(self, copy: int, x: Tensor, indices: Tensor, part: int) -> Tensor:
        """Logits in the pixels' own type; gates of training (0) or test (1) examples are looked up where they can."""
        network, low = self.networks[copy], self.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            if self.tables is None:
                return network(x).to(x.dtype)
            gates = self.tables[part][copy].lookup(indices, torch.bfloat16 if low else x.dtype)
            return network.value(x, gates).to(x.dtype)  # type: ignore[operator]  # they are deep gated networks
