"""Networks of any architecture trained by automatic differentiation: the plain way, one copy after the other.

It is what convolutional networks train with, and the independent truth against which ``stacked`` is tested.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from npflib.networks import DeepGatedNetwork, ReLUNetwork

EVALUATION_CHUNK = 500


class ModuleLearner:
    """Trains S networks of one regime by autograd; the same interface as ``stacked.StackedLearner``.

    Args:
        networks: the starting networks, one a seed; parameters that do not require gradients stay frozen.
        train_images: [N, …]; train_labels: [N]; test_images: [M, …]; test_labels: [M].
    """

    def __init__(
        self,
        networks: Sequence[ReLUNetwork | DeepGatedNetwork],
        train_images: Tensor,
        train_labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        device: torch.device,
    ):
        self.networks = [network.to(device) for network in networks]
        self.copies = len(networks)
        self.images, self.labels = train_images.to(device), train_labels.to(device)
        self.test_images, self.test_labels = test_images.to(device), test_labels.to(device)
        self.loss = torch.zeros(self.copies, dtype=torch.float64, device=device)
        self.correct = torch.zeros(self.copies, dtype=torch.int64, device=device)

    def parameters(self) -> list[Tensor]:
        """What the optimiser updates; frozen parameters are not among them."""
        return [p for network in self.networks for p in network.parameters() if p.requires_grad]

    def state_dict(self, copy: int) -> dict[str, Tensor]:
        """One copy's parameters."""
        return {name: t.detach().cpu().clone() for name, t in self.networks[copy].state_dict().items()}

    @torch.enable_grad()
    def gradients(self, chosen: Tensor) -> None:
        """Puts the gradient of each copy's mean cross-entropy over its examples ``chosen`` [S, B] into place."""
        for copy, network in enumerate(self.networks):
            network.zero_grad()
            x, y = self.images[chosen[copy]], self.labels[chosen[copy]]
            logits = network(x)
            loss = functional.cross_entropy(logits, y)
            loss.backward()
            self.loss[copy] += loss.detach() * len(y)
            self.correct[copy] += (logits.argmax(1) == y).sum()

    @torch.no_grad()
    def test(self) -> tuple[list[float], list[float]]:
        """Mean cross-entropy and accuracy of every copy on the test set."""
        losses, accuracies = [], []
        for network in self.networks:
            loss = correct = 0.0
            chunks = zip(
                self.test_images.split(EVALUATION_CHUNK), self.test_labels.split(EVALUATION_CHUNK), strict=True
            )
            for x, y in chunks:
                logits = network(x)
                loss += functional.cross_entropy(logits, y, reduction="sum").item()
                correct += (logits.argmax(1) == y).sum().item()
            losses.append(loss / len(self.test_labels))
            accuracies.append(correct / len(self.test_labels))
        return losses, accuracies

    def take_running(self, examples: int) -> tuple[list[float], list[float]]:
        """Mean loss and accuracy over the examples seen since the last call, and starts anew."""
        found = (self.loss / examples).tolist(), (self.correct.double() / examples).tolist()
        self.loss.zero_()
        self.correct.zero_()
        return found
