"""Gates that learn, with a steepness and an excess of their own in each copy; and hard gates with a borrowed slope.

Both are deep gated networks whose feature network learns (:mod:`npflib.training.batched`), S at once.

**Soft.** G = (1 + ε) / (1 + exp(-β q)) with ∂G/∂q = β G (1 - G/(1+ε)); β and ε may differ from copy to copy.

**Straight through** (Bengio, Léonard & Courville 2013). Forward the hard gate (1 + ε)·1[q > 0], the limit of the soft
one as β → ∞, whose own derivative is zero almost everywhere; backward the soft gate's slope in its place. The network
is hard-gated at every step, and only the direction in which its gates move is borrowed.
"""

# As in ``stacked``: what a gated network has and another lacks is None there.
# mypy: disable-error-code="union-attr, operator, assignment"

from collections.abc import Sequence

import torch
from torch import Tensor

from npflib.gates import hard_gate
from npflib.networks import DeepGatedNetwork
from npflib.training.batched import EVALUATION_CHUNK, StackedLearner


class SoftSweepLearner(StackedLearner):
    """Trains S deep gated networks at once, each with its own β and ε.

    Args:
        networks: S networks with soft gates whose feature networks learn.
        train_images: [N, d_in]; train_labels: [N]; test_images: [M, d_in]; test_labels: [M].
        betas: steepness β > 0 of each copy, [S]; what the networks themselves say is not used.
        excesses: ε ≥ 0 of each copy, [S].
        straight_through: whether the gates are hard and only their slope is the soft gate's.

    Raises:
        ValueError: networks whose gates do not learn softly, or β and ε that are not one a network and in their range.

    Example:
        >>> import torch
        >>> from npflib.architectures import FullyConnected
        >>> from npflib import regimes
        >>> from npflib.training.soft_sweep import SoftSweepLearner
        >>> arch = FullyConnected(depth=3, width=4, in_features=2, out_features=2)
        >>> networks = [regimes.start("DLNPF", arch, seed=0) for _ in range(2)]
        >>> x, y = torch.eye(2), torch.tensor([0, 1])
        >>> learner = SoftSweepLearner(networks, x, y, x, y, betas=[1.0, 4.0], excesses=[0.1, 0.1])
        >>> learner.gradients(torch.tensor([[0, 1], [0, 1]]))  # one network, two steepnesses
        >>> torch.equal(learner.feature.weight_gradients[0][0], learner.feature.weight_gradients[0][1])
        False
    """

    def __init__(
        self,
        networks: Sequence[DeepGatedNetwork],
        train_images: Tensor,
        train_labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        *,
        betas: Sequence[float],
        excesses: Sequence[float],
        straight_through: bool = False,
    ):
        if len(betas) != len(networks) or len(excesses) != len(networks):
            raise ValueError(
                f"one β and one ε a network: got {len(betas)} and {len(excesses)} for {len(networks)} networks."
            )
        if not all(beta > 0 for beta in betas) or not all(eps >= 0 for eps in excesses):
            raise ValueError(f"β must be positive and ε at least 0; got β {list(betas)!r} and ε {list(excesses)!r}.")
        if not all(isinstance(n, DeepGatedNetwork) and n.gate == "soft" for n in networks) or not all(
            next(n.feature.parameters()).requires_grad for n in networks
        ):
            raise ValueError("networks with soft gates that learn are needed, as regimes.start('DLNPF', …) makes them.")
        super().__init__(networks, train_images, train_labels, test_images, test_labels, torch.device("cpu"))
        self.beta = torch.tensor(betas, dtype=torch.float32)[:, None, None]
        self.eps = torch.tensor(excesses, dtype=torch.float32)[:, None, None]
        self.straight_through = straight_through

    def _learning_gates(self, x: Tensor, y: Tensor) -> None:
        if not self.straight_through:
            super()._learning_gates(x, y)
            return
        feature_z, soft, gates, q, z = [x], [], [], [], [x]
        for index in range(self.hidden):
            feature_q = self.feature.pre_activation(index, feature_z[-1])
            soft.append(torch.sigmoid(feature_q * self.beta))
            gates.append((feature_q > 0).to(x.dtype).mul_(1 + self.eps))
            feature_z.append(self._activated(feature_q))
            q.append(self.value.pre_activation(index, z[-1]))
            z.append(q[-1] * gates[-1])
        delta = self._loss_gradient(self.value.pre_activation(self.hidden, z[-1]), y)
        self.value.set_gradient(self.hidden, delta, z[-1])
        feature_delta = None
        for index in reversed(range(self.hidden)):
            arriving = self.value.backward(index + 1, delta)
            slope = (1 - soft[index]).mul_(soft[index]).mul_(self.beta * (1 + self.eps))
            own = slope.mul_(q[index]).mul_(arriving)
            if feature_delta is not None:
                through = self.feature.backward(index + 1, feature_delta)
                own.add_(self._through(through, feature_z[index + 1]))
            feature_delta = own
            self.feature.set_gradient(index, feature_delta, feature_z[index])
            delta = arriving.mul_(gates[index])
            self.value.set_gradient(index, delta, z[index])

    def _feature_gates(self, x: Tensor) -> list[Tensor]:
        return self._hardened(x) if self.straight_through else super()._feature_gates(x)

    def _hardened(self, x: Tensor) -> list[Tensor]:
        """(1 + ε)·1[q > 0] of every hidden layer, [S, B, w]."""
        return [hard_gate(q) * (1 + self.eps) for q in self.pre_activations(x)]

    def pre_activations(self, x: Tensor) -> list[Tensor]:
        """q of the feature networks' hidden layers, [S, B, w], for x [S, B, d_in]."""
        found = []
        for index in range(self.hidden):
            q = self.feature.pre_activation(index, x)
            found.append(q)
            x = q if self.linear else q.relu()
        return found

    def test_hardened(self) -> list[float]:
        """Test accuracy of every copy with its gates made hard, (1 + ε)·1[q > 0], and nothing trained again."""
        kept, self.straight_through = self.straight_through, True
        try:
            return self.test()[1]
        finally:
            self.straight_through = kept

    def undecided(self) -> list[float]:
        """Share of the test set's gates between 0.1 (1 + ε) and 0.9 (1 + ε): those that still pass a gradient."""
        inside = torch.zeros(self.copies, dtype=torch.float64)
        for start in range(0, len(self.test_images), EVALUATION_CHUNK):
            x = self.test_images[start : start + EVALUATION_CHUNK].expand(self.copies, -1, -1)
            for q in self.pre_activations(x):
                share = torch.sigmoid(self.beta * q)
                inside += ((share > 0.1) & (share < 0.9)).sum((1, 2), dtype=torch.float64)
        return (inside / (len(self.test_images) * self.hidden * self.width)).tolist()

    def gate_tables(self, images: Tensor) -> Tensor:
        """The hard pattern 1[q > 0] that was learnt, uint8 [S, n, (d - 1) w]."""
        parts = []
        for start in range(0, len(images), EVALUATION_CHUNK):
            x = images[start : start + EVALUATION_CHUNK].expand(self.copies, -1, -1)
            parts.append(torch.cat([hard_gate(q).to(torch.uint8) for q in self.pre_activations(x)], 2))
        return torch.cat(parts, 1)
