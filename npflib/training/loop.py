"""The one loop over epochs, and what runs on it without records: training, and networks kept along the way.

A run of the paper's experiments (``training.runs``) is this loop with checkpoints; a control often needs less.
"""

from collections.abc import Collection, Generator, Sequence
from copy import deepcopy
from itertools import chain, count, islice
from typing import TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from npflib import checks
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.randomness import generator
from npflib.training.autograd import AutogradLearner
from npflib.training.batched import BatchedLearner
from npflib.training.optimisers import keras_optimiser

__all__ = ["train", "train_and_keep"]

Learner = BatchedLearner | AutogradLearner
Network = TypeVar("Network", ReLUNetwork, DeepGatedNetwork)


def each_epoch(
    learner: Learner, updates: torch.optim.Optimizer, seeds: Sequence[int], batch: int, *, done: int = 0,
    rows: Tensor | None = None, bar: tqdm | None = None,
) -> Generator[int, None, None]:  # fmt: skip
    """Trains without end after ``done`` epochs, on all examples or ``rows`` [S, n]; says how many epochs there were."""
    for epoch in count(done):  # whose order depends on a copy's seed and the epoch alone: a run may stop and go on
        length = len(learner.labels) if rows is None else rows.shape[1]
        orders = torch.stack([torch.randperm(length, generator=generator(seed, "order", epoch)) for seed in seeds])
        chosen = orders if rows is None else rows.gather(1, orders)
        with torch.no_grad():
            for step in chosen.to(learner.device).split(batch, dim=1):
                learner.gradients(step)
                updates.step()
                if bar is not None:
                    bar.update()
        yield epoch + 1


@torch.no_grad()
def train(
    learner: Learner,
    epochs: int,
    *,
    seeds: Sequence[int],
    optimiser: str = "adam",
    learning_rate: float = 1e-4,
    batch: int = 32,
    test_every_epoch: bool = True,
) -> list[list[float]]:
    """Trains a learner's networks, each in its seed's own order, and tests them after each epoch, or the last alone.

    ``optimiser`` is "adam", "sgd" or "rmsprop", with Keras' defaults; a last smaller batch is used too. Returns for
    each network its test accuracies. One seed a network, and one epoch or more, else a ValueError.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> from npflib.training.batched import BatchedLearner
        >>> from npflib.training.loop import train
        >>> network = ReLUNetwork(FullyConnected(depth=2, width=8, in_features=2, out_features=2))
        >>> x, y, open_gates = torch.eye(2), torch.tensor([0, 1]), torch.ones(1, 2, 8, dtype=torch.uint8)
        >>> learner = BatchedLearner([network], x, y, x, y, gates=(open_gates, open_gates))
        >>> train(learner, 300, seeds=[0], learning_rate=0.01)[0][-1]
        1.0
    """
    checks.instance(learner, "learner", BatchedLearner, AutogradLearner)
    checks.flag(test_every_epoch, "test_every_epoch")
    last = checks.whole(epochs, "epochs")
    checks.whole(batch, "batch")
    checks.number(learning_rate, "learning_rate")
    if len(seeds) != learner.copies:
        raise ValueError(f"one seed a network: got {len(seeds)} seeds for {learner.copies} networks.")
    updates = keras_optimiser(optimiser, learner.parameters(), learning_rate)
    loop = islice(each_epoch(learner, updates, seeds, batch), last)
    tested = [learner.test()[1] for epoch in loop if test_every_epoch or epoch == last]
    return [list(accuracies) for accuracies in zip(*tested, strict=True)]


@torch.no_grad()
def train_and_keep(
    networks: Sequence[Network], images: Tensor, labels: Tensor, rows: Tensor, keep: Collection[int], *,
    seeds: Sequence[int], optimiser: str = "adam", learning_rate: float = 1e-3, batch: int = 32,
) -> list[dict[int, Network]]:  # fmt: skip
    """Trains S fully connected networks of one regime side by side and keeps a copy of each after some epochs.

    ``rows`` [S, n] are the examples, among ``images`` [N, …] and ``labels`` [N], that each learns from by
    cross-entropy. ``keep`` holds the epochs: 0 is the start, and the largest is where training ends. The given networks
    are left as they are. Returns for each a dictionary epoch → network; what does not fit together is a ValueError.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> from npflib.training.loop import train_and_keep
        >>> network = ReLUNetwork(FullyConnected(depth=2, width=8, in_features=2, out_features=2))
        >>> x, y, rows = torch.eye(2), torch.tensor([0, 1]), torch.tensor([[0, 1]])
        >>> (kept,) = train_and_keep([network], x, y, rows, keep=(0, 200), seeds=[0], learning_rate=0.01)
        >>> torch.equal(kept[0].weights[0], network.weights[0]), kept[200](x).argmax(1).tolist()
        (True, [0, 1])
    """
    checks.labelled(images, labels)
    checks.tensor(rows, "rows", "[S, n]", 2)
    if not networks or len(networks) != len(seeds) or len(rows) != len(networks):
        given = f"{len(networks)} networks, {len(seeds)} seeds and rows {tuple(rows.shape)}"
        raise ValueError(f"one seed and one row of examples a network, rows [S, n]: got {given}.")
    if not rows.numel() or rows.dtype != torch.int64 or int(rows.min()) < 0 or int(rows.max()) >= len(images):
        raise ValueError(f"rows must be one or more whole numbers from 0 to {len(images) - 1}, the examples there are.")
    for epoch in keep or (None,):
        checks.whole(epoch, "keep holds one or more epochs, of which each", least=0)
    checks.whole(batch, "batch")
    checks.number(learning_rate, "learning_rate")
    learner = BatchedLearner(networks, images, labels, images[:1], labels[:1])
    updates = keras_optimiser(optimiser, learner.parameters(), learning_rate)
    kept: list[dict[int, Network]] = [{} for _ in networks]
    for done in chain([0], islice(each_epoch(learner, updates, seeds, batch, rows=rows), max(keep))):
        if done in keep:
            for copy, network in enumerate(networks):
                kept[copy][done] = deepcopy(network)
                kept[copy][done].load_state_dict(learner.state_dict(copy))
    return kept
