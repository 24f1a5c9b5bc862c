"""What several studies start from, draw, train and count, a line each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from companion.studies.study import Row
from npflib import experiments, regimes, training
from npflib.architectures import FullyConnected, GConv, VConv
from npflib.data import Dataset
from npflib.networks import ReLUNetwork
from npflib.randomness import generator
from npflib.records import locations, run_records
from npflib.records.run_records import Record
from npflib.training.autograd import AutogradLearner
from npflib.training.batched import BatchedLearner
from npflib.training.gate_sources import gate_table
from npflib.training.loop import train, train_and_keep

Arch = FullyConnected | GConv | VConv
Sets = tuple[Tensor, Tensor, Tensor, Tensor]  # training images and labels, test images and labels
CPU = torch.device("cpu")
LEARNING_RATE = 1e-3
QUARTER = "cifar10-quarter-gconv-adam", experiments.find("cifar10-quarter-gconv-adam").arch  # ``donors`` and ``arch``
REFERENCES = ("ReLU", "FLNPF", "FRNPF-II")
_start: Any = regimes.start  # its network's class follows from the regime


def relu(arch: Arch, seed: int) -> ReLUNetwork:
    """A ReLU network before training."""
    return _start("ReLU", arch, seed)


def gated(arch: Arch, seed: int, learnt: ReLUNetwork | None = None) -> Any:
    """A fresh value network behind a learnt network's gates (FLNPF), or its ``feature``'s random ones (FRNPF II)."""
    return _start("FRNPF-II" if learnt is None else "FLNPF", arch, seed, learnt)


def value(arch: Arch, seed: int) -> ReLUNetwork:
    """The value network's start that all regimes share, as a network of its own."""
    return _with(ReLUNetwork(arch), gated(arch, seed).value.state_dict())


def _with(network: ReLUNetwork, weights: Mapping[str, Tensor]) -> ReLUNetwork:
    network.load_state_dict(weights)
    return network


def published(config: Any) -> list[Record]:
    """The ReLU runs of the experiment ``config.donors``, whose networks are ``config.arch``; "" has none."""
    found = run_records.read_all(locations.published(), config.donors, "ReLU") if config.donors else []
    if config.donors and (arch := experiments.find(config.donors).arch) != config.arch:
        raise ValueError(f"{config.donors} gives gates of {arch}; asked for are those of {config.arch}.")
    if config.donors and not found:
        raise ValueError(f"there are no published ReLU networks of {config.donors} to give gates: restore results/.")
    return found


def learnt(config: Any) -> list[ReLUNetwork]:
    """The published networks at their best epochs, in turn, so that any seed has one."""
    runs, folder = published(config), locations.published()
    asked = [(run.experiment, run.regime, run.seed, run.profile) for run in runs]
    given = [training.trained_network(*asked[seed % len(asked)], build=folder) for seed in config.seeds]
    return [cast(ReLUNetwork, network).requires_grad_(False) for network in given]


def label_order(seed: int, n: int) -> Tensor:
    """A permutation of n labels."""
    return torch.randperm(n, generator=generator(seed, "labels", 2))


def check_examples(asked: int | None, total: int, what: str = "training") -> None:
    """Raises where more examples are asked for than there are; None asks for all."""
    if asked is not None and not 0 < asked <= total:
        raise ValueError(f"{asked:,} {what} examples are asked for; there are {total:,}: take fewer.")


def fitted(config: Any, dataset: Dataset, *_: Dataset) -> Any:
    """The configuration with no more examples than there are; None asks for all."""
    return replace(config, examples=config.examples and min(config.examples, len(dataset.train_labels)))


def drawn(config: Any, dataset: Dataset) -> tuple[Any, Sets]:
    """The configuration, some training examples, the same for every seed, and all test examples; images flattened."""
    total = len(dataset.train_labels)
    check_examples(config.examples, total)
    chosen = torch.randperm(total, generator=generator(0, "examples", 14))[: config.examples]
    x, y = dataset.train_images.flatten(1), dataset.train_labels
    return config, (x[chosen], y[chosen], dataset.test_images.flatten(1), dataset.test_labels)


def by_epoch(learner: Any, config: Any, epochs: int = 0, seeds: Sequence[int] = (), every: bool = True) -> list[list]:
    """Each network's test accuracies by epoch, or the last; epochs and seeds are the configuration's unless given."""
    given = {"seeds": seeds or config.seeds, "learning_rate": config.learning_rate, "test_every_epoch": every}
    return train(learner, epochs or config.epochs, **given)


def trained(learner: BatchedLearner | AutogradLearner, config: Any, **given: Any) -> list[float]:
    """Each network's test accuracy after the last epoch."""
    return [one[-1] for one in by_epoch(learner, config, every=False, **given)]


def kept(networks: Sequence, x: Tensor, y: Tensor, rows: Tensor, epochs: Sequence[int], config: Any) -> list[dict]:
    """The networks after some epochs, each trained on its rows of the examples."""
    return train_and_keep(networks, x, y, rows, epochs, seeds=config.seeds, learning_rate=config.learning_rate)


def behind(gates: Tensor, test_gates: Tensor, arch: FullyConnected, sets: Sets, config: Any) -> list[float]:
    """Fresh value networks trained behind tables of gates."""
    starts = [value(arch, seed) for seed in config.seeds]
    return trained(BatchedLearner(starts, *sets, gates=(gates, test_gates)), config)


def tables(networks: Sequence[ReLUNetwork], x: Tensor) -> Tensor:
    """The gates of some networks, uint8 [S, n, hidden units]."""
    return torch.stack([gate_table(network, x) for network in networks])


def references(arch: FullyConnected, sets: Sets, config: Any) -> dict[str, list[float]]:
    """ReLU, FLNPF behind its last gates, and FRNPF (II), trained alike; test accuracies by seed."""
    learner = BatchedLearner([relu(arch, seed) for seed in config.seeds], *sets, CPU)
    found = {"ReLU": trained(learner, config)}
    learnt = [_with(ReLUNetwork(arch), learner.state_dict(copy)) for copy in range(len(config.seeds))]
    for regime, giving in (("FLNPF", learnt), ("FRNPF-II", [gated(arch, seed).feature for seed in config.seeds])):
        found[regime] = behind(tables(giving, sets[0]), tables(giving, sets[2]), arch, sets, config)
    return found


def rows_of(seeds: Sequence[int], metrics: Mapping[str, Sequence[float]], **conditions: Any) -> list[Row]:
    """A row a seed under these conditions, of metrics measured seed by seed."""
    return [
        {"seed": seed, **conditions} | {name: values[copy] for name, values in metrics.items()}
        for copy, seed in enumerate(seeds)
    ]
