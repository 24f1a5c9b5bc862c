"""Value networks behind gates that are given as a table, whatever they come from.

A frozen feature network is one way to have fixed gates; the fixed-gate theorem (Claim 4) takes any. Here each example
has its gates written down, so that they may come from different networks in different layers, from another example, or
from no network at all. The value network is trained as behind a frozen feature network, by the same engine.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.randomness import generator
from npflib.training.autograd import ModuleLearner
from npflib.training.batched import EVALUATION_CHUNK, StackedLearner
from npflib.training.optimisers import keras_optimiser

CHUNK = 1000


class GivenGatesLearner(StackedLearner):
    """Trains S value networks at once, each behind its own table of hard gates.

    Args:
        networks: S networks whose weights and biases are the starts of the value networks; their own gates are not
            used.
        train_images: [N, d_in]; train_labels: [N]; test_images: [M, d_in]; test_labels: [M].
        gates: zeros and ones of the training examples, uint8 [S, N, (d - 1) w], the layers side by side.
        test_gates: of the test examples, uint8 [S, M, (d - 1) w].

    Raises:
        ValueError: gates of another shape or type, or with other entries than 0 and 1.

    Example:
        >>> import torch
        >>> from npflib.training.given_gates import GivenGatesLearner
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> network = ReLUNetwork(FullyConnected(depth=2, width=3, in_features=2, out_features=2))
        >>> x, y, gates = torch.eye(2), torch.tensor([0, 1]), torch.tensor([[[1, 0, 1], [0, 1, 1]]], dtype=torch.uint8)
        >>> learner = GivenGatesLearner([network], x, y, x, y, gates, gates)
        >>> learner.gradients(torch.tensor([[1, 0]]))
        >>> learner.test()[1][0] in (0.0, 0.5, 1.0)
        True
    """

    def __init__(
        self,
        networks: Sequence[ReLUNetwork],
        train_images: Tensor,
        train_labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        gates: Tensor,
        test_gates: Tensor,
    ):
        super().__init__(networks, train_images, train_labels, test_images, test_labels, torch.device("cpu"))
        for what, given, examples in (("training", gates, self.images), ("test", test_gates, self.test_images)):
            wanted = (self.copies, len(examples), self.hidden * self.width)
            if tuple(given.shape) != wanted or given.dtype != torch.uint8:
                raise ValueError(
                    f"gates of the {what} examples must be uint8 of shape {wanted}: networks, examples, hidden units "
                    f"of all layers; got {given.dtype} {tuple(given.shape)}."
                )
            if len(given) and int(given.max()) > 1:
                raise ValueError(f"gates of the {what} examples must be 0 or 1; the greatest is {int(given.max())}.")
        self.given, self.test_given = gates.flatten(0, 1), test_gates

    def gradients(self, chosen: Tensor) -> None:
        """As in ``StackedLearner``, behind the gates of the examples ``chosen`` [S, B]."""
        x = self.images.index_select(0, chosen.flatten()).view(*chosen.shape, -1)
        y = self.labels[chosen.flatten()].view(*chosen.shape, 1)
        rows = self.given.index_select(0, (chosen + self.offsets).flatten())
        self._frozen_gates(x, y, rows.to(x.dtype).view(*chosen.shape, -1).split(self.width, 2))

    def test(self) -> tuple[list[float], list[float]]:
        """Mean loss and accuracy of every copy on the test set, behind the test examples' given gates."""
        return self.test_behind(self.test_given)

    def test_behind(self, gates: Tensor) -> tuple[list[float], list[float]]:
        """The same behind other gates of the test examples, uint8 [S, M, (d - 1) w]."""
        loss = torch.zeros(self.copies, dtype=torch.float64)
        correct = torch.zeros(self.copies, dtype=torch.int64)
        for start in range(0, len(self.test_images), EVALUATION_CHUNK):
            part = slice(start, start + EVALUATION_CHUNK)
            z = self.test_images[part].expand(self.copies, -1, -1)
            y = self.test_labels[part].expand(self.copies, -1)[..., None]
            for index, gate in enumerate(gates[:, part].to(z.dtype).split(self.width, 2)):
                z = self.value.pre_activation(index, z) * gate
            summed, right, _ = self.loss_of(self.value.pre_activation(self.hidden, z), y)
            loss += summed
            correct += right
        count = len(self.test_images)
        return (loss / count).tolist(), (correct.double() / count).tolist()


@torch.no_grad()
def train(
    learner: StackedLearner | ModuleLearner,
    epochs: int,
    *,
    seeds: Sequence[int],
    optimiser: str = "adam",
    learning_rate: float = 1e-4,
    batch: int = 32,
    test_every_epoch: bool = True,
) -> list[list[float]]:
    """Trains a learner's networks, each in its seed's own order, as :mod:`npflib.training` does.

    Args:
        learner: of any kind that the library has; it is changed.
        epochs: a positive whole number.
        seeds: one a network.
        optimiser: "adam", "sgd" or "rmsprop", with Keras' defaults.
        learning_rate: constant.
        batch: examples to a step; a last smaller batch is used too.
        test_every_epoch: whether to test after each epoch, or after the last alone.

    Returns:
        Test accuracy after each epoch, [epochs] for each network; or one number for each.

    Raises:
        ValueError: a number of epochs that is not positive, or of seeds that is not that of the networks.

    Example:
        >>> import torch
        >>> from npflib.training.given_gates import GivenGatesLearner, train
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> network = ReLUNetwork(FullyConnected(depth=2, width=8, in_features=2, out_features=2))
        >>> x, y, open_gates = torch.eye(2), torch.tensor([0, 1]), torch.ones(1, 2, 8, dtype=torch.uint8)
        >>> learner = GivenGatesLearner([network], x, y, x, y, open_gates, open_gates)
        >>> train(learner, 300, seeds=[0], learning_rate=0.01)[0][-1]
        1.0
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs must be a positive whole number; got {epochs!r}.")
    if len(seeds) != learner.copies:
        raise ValueError(f"one seed a network: got {len(seeds)} seeds for {learner.copies} networks.")
    updates = keras_optimiser(optimiser, learner.parameters(), learning_rate)
    found: list[list[float]] = [[] for _ in seeds]
    for epoch in range(epochs):
        orders = [torch.randperm(len(learner.labels), generator=generator(seed, "order", epoch)) for seed in seeds]
        for chosen in torch.stack(orders).split(batch, dim=1):
            learner.gradients(chosen)
            updates.step()
        if test_every_epoch or epoch == epochs - 1:
            for accuracies, accuracy in zip(found, learner.test()[1], strict=True):
                accuracies.append(accuracy)
    return found


@torch.no_grad()
def gate_table(network: ReLUNetwork | DeepGatedNetwork, x: Tensor) -> Tensor:
    """The hard gates of a network's hidden layers side by side, uint8 [n, (d - 1) w].

    Raises:
        ValueError: gates that are not zeros and ones.

    Example:
        >>> import torch
        >>> from npflib.training.given_gates import gate_table
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> gate_table(ReLUNetwork(FullyConnected(depth=3, width=4, in_features=2)), torch.ones(5, 2)).shape
        torch.Size([5, 8])
    """
    parts = []
    for start in range(0, max(len(x), 1), CHUNK):
        gates = torch.cat(network.gates(x[start : start + CHUNK]), 1)
        if not bool(((gates == 0) | (gates == 1)).all()):
            raise ValueError("a table holds hard gates, 0 or 1; this network's are soft.")
        parts.append(gates.to(torch.uint8))
    return torch.cat(parts)
