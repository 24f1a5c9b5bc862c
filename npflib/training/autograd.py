"""Networks of any architecture trained by automatic differentiation, one copy after the other.

It is what convolutional networks train with, and an independent truth against which ``batched`` is tested. Images stay
in memory as they were given; bytes become pixels / 255 as each batch is taken. Frozen hard gates are computed once, in
float32 whatever the precision of training, and looked up from then on (``gate_sources``).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from npflib import checks
from npflib.answers import answers
from npflib.architectures import GConv, VConv
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.training.gate_sources import CHUNK, LayerGates, layer_tables, pixels
from npflib.training.losses import Scores, check_learner

PRECISIONS = ("float32", "bfloat16")


class AutogradLearner(Scores):
    """Trains S networks of one regime by autograd; takes and has what ``batched.BatchedLearner`` takes and has.

    Images are [N, …] and [M, …], floating or uint8. The loss is cross-entropy. ``gates`` are sources of written ones
    (``gate_sources``), one a network, of the training and of the test examples. With ``precision`` "bfloat16" torch's
    autocast computes products, and parameters, their gradients and the optimiser stay in float32: it pays where the
    processor multiplies bfloat16 in hardware. Tables of frozen hard gates take S · (N + M) · gates / 8 bytes.
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
        checks.one_of(precision, "precision", PRECISIONS)
        check_learner(networks, "cross_entropy", train_images, train_labels, test_images, test_labels)
        super().__init__(len(networks), device)
        self.low = precision == "bfloat16"
        self.networks = [network.to(self.device) for network in networks]
        first = self.networks[0]
        self.channels_last = isinstance(first.arch, (GConv, VConv) if self.low else GConv)  # float32: pays if pooled
        if self.channels_last:
            self.networks = [network.to(memory_format=torch.channels_last) for network in self.networks]
        self.images, self.labels = train_images.to(self.device), train_labels.to(self.device)
        self.test_images, self.test_labels = test_images.to(self.device), test_labels.to(self.device)
        frozen = isinstance(first, DeepGatedNetwork) and first.gate == "hard"
        frozen = frozen and not any(p.requires_grad for p in first.feature.parameters())  # type: ignore[union-attr]
        self.tables: Sequence[Sequence[LayerGates]] | None = None
        if gates is not None:
            self.tables = [self._given(part) for part in gates]
        elif frozen and reuse_gates:
            options = self.device, self.channels_last
            self.tables = [
                [layer_tables(network, images, *options, together=True)[0] for network in self.networks]
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
        for copy, (network, indices) in enumerate(zip(self.networks, chosen, strict=True)):
            network.zero_grad()
            x, y = self._pixels(self.images[indices]), self.labels[indices]
            logits = self._logits(copy, x, indices, 0)
            loss = functional.cross_entropy(logits, y)
            loss.backward()
            self.loss[copy] += loss.detach() * len(y)
            self.correct[copy] += (answers(logits) == y).sum()

    @torch.no_grad()
    def test(self) -> tuple[list[float], list[float]]:
        """Mean cross-entropy and accuracy of every copy on the test set."""
        scores = Scores(self.copies, self.device)
        for indices in torch.arange(len(self.test_labels), device=self.device).split(CHUNK):
            x, y = self._pixels(self.test_images[indices]), self.test_labels[indices]
            for copy in range(self.copies):
                logits = self._logits(copy, x, indices, 1)
                scores.loss[copy] += functional.cross_entropy(logits, y, reduction="sum")
                scores.correct[copy] += (answers(logits) == y).sum()
        return scores.take_running(len(self.test_labels))

    def _pixels(self, images: Tensor) -> Tensor:
        x = pixels(images)
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last and x.ndim == 4 else x

    def _logits(self, copy: int, x: Tensor, indices: Tensor, part: int) -> Tensor:
        """Logits in the pixels' own type; gates of training (0) or test (1) examples are looked up where they can."""
        network = self.networks[copy]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low):
            if self.tables is None:
                return network(x).to(x.dtype)
            gates = self.tables[part][copy].lookup(indices, torch.bfloat16 if self.low else x.dtype)
            return network.value(x, gates).to(x.dtype)  # type: ignore[operator]  # they are deep gated networks
