"""Networks kept along a short training run, on any rows of a data set, several seeds at once.

The runs of the paper's experiments live in ``training.runs``, with records and checkpoints. A control often needs
less: the same engine for seconds, on examples of its own choice, and the networks as they were after certain epochs.
Everything stays in memory.
"""

from collections.abc import Collection, Sequence
from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor

from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.randomness import generator
from npflib.training.batched import StackedLearner
from npflib.training.optimisers import keras_optimiser

Network = TypeVar("Network", ReLUNetwork, DeepGatedNetwork)


@torch.no_grad()
def train_and_keep(
    networks: Sequence[Network],
    images: Tensor,
    labels: Tensor,
    rows: Tensor,
    keep: Collection[int],
    *,
    seeds: Sequence[int],
    optimiser: str = "adam",
    learning_rate: float = 1e-3,
    batch: int = 32,
) -> list[dict[int, Network]]:
    """Trains S networks side by side and keeps a copy of each after the epochs in ``keep``; 0 is the start.

    Cross-entropy; the order of examples is a seed's own, as in ``training.runs``. The given networks are left as
    they are.

    Args:
        networks: S networks of one architecture and one regime.
        images: [N, …]; labels: [N] whole numbers.
        rows: [S, n]: the examples that each network is trained on.
        keep: epochs ≥ 0; the largest is where training ends.
        seeds: one a network.
        optimiser: "adam", "sgd" or "rmsprop", with Keras' defaults.
        learning_rate: constant.
        batch: examples to a step; a last smaller batch is used too.

    Returns:
        One dictionary a network: epoch → network.

    Raises:
        ValueError: numbers of networks, seeds and rows that differ, rows that are not examples, or epochs to keep that
            are not whole numbers ≥ 0.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> from npflib.training.snapshots import train_and_keep
        >>> network = ReLUNetwork(FullyConnected(depth=2, width=8, in_features=2, out_features=2))
        >>> x, y, rows = torch.eye(2), torch.tensor([0, 1]), torch.tensor([[0, 1]])
        >>> (kept,) = train_and_keep([network], x, y, rows, keep=(0, 200), seeds=[0], learning_rate=0.01)
        >>> torch.equal(kept[0].weights[0], network.weights[0]), kept[200](x).argmax(1).tolist()
        (True, [0, 1])
    """
    if not networks or len(networks) != len(seeds) or rows.ndim != 2 or len(rows) != len(networks):
        raise ValueError(
            f"one seed and one row of examples a network: got {len(networks)} networks, {len(seeds)} seeds and rows "
            f"{tuple(rows.shape)}; rows must be [S, n]."
        )
    if not rows.numel() or rows.dtype.is_floating_point or int(rows.min()) < 0 or int(rows.max()) >= len(images):
        raise ValueError(f"rows must be one or more whole numbers from 0 to {len(images) - 1}, the examples there are.")
    if len(labels) != len(images):
        raise ValueError(f"images and labels must be as many; got {len(images)} and {len(labels)}.")
    if not keep or not all(isinstance(e, int) and not isinstance(e, bool) and e >= 0 for e in keep):
        raise ValueError(f"keep must hold one or more epochs, whole numbers ≥ 0; got {sorted(keep)!r}.")
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be a positive whole number; got {batch!r}.")
    learner = StackedLearner(networks, images, labels, images[:1], labels[:1], torch.device("cpu"))
    updates = keras_optimiser(optimiser, learner.parameters(), learning_rate)
    kept: list[dict[int, Network]] = [{} for _ in networks]
    last = max(keep)
    for epoch in range(last + 1):
        if epoch in keep:
            for copy, network in enumerate(networks):
                kept[copy][epoch] = deepcopy(network)
                kept[copy][epoch].load_state_dict(learner.state_dict(copy))
        if epoch == last:
            break
        orders = [torch.randperm(rows.shape[1], generator=generator(seed, "order", epoch)) for seed in seeds]
        chosen = torch.stack([row[order] for row, order in zip(rows, orders, strict=True)])
        for step in chosen.split(batch, dim=1):
            learner.gradients(step)
            updates.step()
    return kept
