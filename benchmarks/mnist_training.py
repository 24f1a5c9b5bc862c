"""Training on MNIST: five seeds stacked, against a textbook PyTorch loop that trains one.

FC 128×6, batch 32, Adam. The textbook loop is a DataLoader over torchvision's data set with ToTensor, an
``nn.Sequential`` and torch's Adam, with 0 or 2 loading processes, whichever is faster. Throughput counts examples a
second and seed: the stacked learner takes S seeds through a step where the loop takes one.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from timing import side_by_side
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from npflib import data, regimes
from npflib.networks import FullyConnected
from npflib.randomness import generator
from npflib.training.batched import BatchedLearner
from npflib.training.optimisers import keras_optimiser

BATCH, SEEDS, TARGET = 32, 5, 5.0
REGIMES = ("ReLU", "FRNPF-II")
WORKERS = (0, 2)


def measure(steps: int, rounds: int) -> Iterator[dict]:
    """Results for both regimes."""
    pictures, floats = torchvision_mnist(data.load("mnist", dtype=torch.uint8)), data.load("mnist")
    for regime in REGIMES:
        rivals = {f"textbook, {workers} workers": textbook(regime, pictures, workers, steps) for workers in WORKERS}
        rivals["stacked"] = stacked(regime, floats, steps)
        work = dict.fromkeys(rivals, 1.0) | {"stacked": float(SEEDS)}
        yield from side_by_side(
            f"training, {regime}, {SEEDS} seeds, throughput a seed, milliseconds a step", rivals, "stacked", rounds,
            target=TARGET, calls=steps, work=work,
        )  # fmt: skip


def torchvision_mnist(dataset: data.Dataset) -> MNIST:
    """torchvision's data set over the training images at hand, so that a stand-in is read in the same way."""
    found = MNIST.__new__(MNIST)
    found.data, found.targets = dataset.train_images[:, 0], dataset.train_labels
    found.transform, found.target_transform = ToTensor(), None
    return found


class Gated(nn.Module):
    """A textbook deep gated network with frozen gates: the feature network runs without gradients, the value
    network's layers are multiplied by its gates.
    """

    def __init__(self):
        super().__init__()
        sizes = [784, 128, 128, 128, 128, 128, 10]
        pairs = list(pairwise(sizes))
        self.feature = nn.ModuleList(nn.Linear(*pair) for pair in pairs[:-1])
        self.value = nn.ModuleList(nn.Linear(*pair) for pair in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        x = x.flatten(1)
        gates = []
        with torch.no_grad():
            z = x
            for layer in self.feature:
                q = layer(z)
                gates.append((q > 0).float())
                z = torch.relu(q)
        z = x
        for layer, gate in zip(self.value[:-1], gates, strict=True):
            z = layer(z) * gate
        return self.value[-1](z)


def textbook(regime: str, pictures: MNIST, workers: int, steps: int) -> Callable[[], None]:
    """A call trains one network for some steps, as a tutorial would."""
    torch.manual_seed(0)
    if regime == "ReLU":
        hidden = [module for _ in range(4) for module in (nn.Linear(128, 128), nn.ReLU())]
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), *hidden, nn.Linear(128, 10))
        trained = model.parameters()
    else:
        model = Gated()
        trained = model.value.parameters()
    optimiser = torch.optim.Adam(trained, lr=1e-4)
    criterion = nn.CrossEntropyLoss()
    batches = endless(DataLoader(pictures, batch_size=BATCH, shuffle=True, num_workers=workers))

    def work() -> None:
        for _ in range(steps):
            images, labels = next(batches)
            optimiser.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimiser.step()

    return work


def endless(loader: DataLoader) -> Iterator:
    """Epoch after epoch."""
    while True:
        yield from loader


def stacked(regime: str, dataset: data.Dataset, steps: int, reuse_gates: bool = True) -> Callable[[], None]:
    """A call trains the seeds for some steps, as ``npflib.training.runs`` does."""
    networks = [regimes.start(regime, FullyConnected(6, 128), seed) for seed in range(SEEDS)]
    tensors = (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    learner = BatchedLearner(networks, *tensors, torch.device("cpu"), reuse_gates=reuse_gates)
    optimiser = keras_optimiser("adam", learner.parameters(), 1e-4)
    count = len(dataset.train_labels)

    def batches() -> Iterator[Tensor]:
        epoch = 0
        while True:
            orders = [torch.randperm(count, generator=generator(seed, "order", epoch)) for seed in range(SEEDS)]
            yield from torch.stack(orders).split(BATCH, dim=1)
            epoch += 1

    chosen = batches()

    @torch.no_grad()
    def work() -> None:
        for _ in range(steps):
            learner.gradients(next(chosen))
            optimiser.step()

    return work
