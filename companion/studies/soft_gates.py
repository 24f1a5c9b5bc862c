"""The experiment of soft gates: how steep, how large, and whether hard gates can learn with a borrowed slope.

Deep gated networks whose gates learn (DLNPF) with each steepness β and excess ε, and with hard gates straight through
(:mod:`npflib.training.soft_sweep`), all from the same starts on the same examples. Of each trained network:

* ``accuracy``: as it is;
* ``hardened``: with its gates made hard and nothing trained again;
* ``fresh``: of a fresh value network behind the hard pattern 1[q > 0] that it has learnt (as FLNPF does with ReLU's);
* ``undecided``: the share of its gates between a tenth and nine tenths of 1 + ε.

At the same budget the paper's other regimes: ReLU, FLNPF, FRNPF (II). Everything is the last epoch's.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from companion.studies import plain_records
from npflib import regimes
from npflib.architectures import FullyConnected
from npflib.data import Dataset
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.randomness import generator
from npflib.records import locations
from npflib.records.fingerprint import training_source_hash
from npflib.training.batched import StackedLearner
from npflib.training.given_gates import GivenGatesLearner, gate_table, train
from npflib.training.soft_sweep import SoftSweepLearner

SCHEMA = 1
ARCH = FullyConnected(depth=6, width=128)
LEARNING_RATE = 1e-3
Sets = tuple[Tensor, Tensor, Tensor, Tensor]  # training images and labels, test images and labels
REFERENCES = ("ReLU", "FLNPF", "FRNPF-II")


@dataclass(frozen=True)
class Budget:
    """What the experiment may spend.

    Attributes:
        examples: training examples.
        epochs: of every network.
        seeds: independent repetitions.
        soft: (β, ε) of the soft gates.
        through: β of the borrowed slope, at ε = 0.1.

    Example:
        >>> from companion.studies.soft_gates import BUDGETS
        >>> (4.0, 0.1) in BUDGETS["paper"].soft  # the paper's own gate
        True
    """

    examples: int
    epochs: int
    seeds: tuple[int, ...]
    soft: tuple[tuple[float, float], ...]
    through: tuple[float, ...]


BUDGETS = {
    "smoke": Budget(500, 1, (0, 1), ((0.25, 0.1), (4.0, 0.1), (64.0, 0.1), (4.0, 0.0), (4.0, 1.0)), (4.0,)),
    "quick": Budget(
        3_000, 2, (0, 1, 2), ((0.25, 0.1), (4.0, 0.1), (64.0, 0.1), (4.0, 0.0), (4.0, 1.0)), (4.0,)
    ),
    "paper": Budget(
        20_000, 4, (0, 1, 2, 3, 4),
        (*((beta, 0.1) for beta in (0.25, 1.0, 4.0, 16.0, 64.0, 256.0)), (4.0, 0.0), (4.0, 0.5), (4.0, 1.0)),
        (1.0, 4.0, 16.0),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Readings:
    """What was measured with one seed. A row has the keys ``kind`` ("soft" or "through"), ``beta``, ``eps``,
    ``accuracy``, ``hardened``, ``fresh`` and ``undecided``, shares of one.

    Attributes:
        seed: of starts and orders.
        profile: scale of the budget.
        budget: ``Budget`` as plain values, without its seeds.
        rows: a row for each kind of gate.
        references: regime → test accuracy at the same budget.
        data: where the data came from.
        source: fingerprint of the training code.
        seconds: the seed's share of the wall-clock time.
        schema: version of this format.

    Example:
        >>> from companion.studies.soft_gates import Readings
        >>> Readings(0, "smoke", {}, [{"kind": "soft", "beta": 4.0, "eps": 0.1, "fresh": 0.5}], {}, {}, "", 1.0).row(4)
        {'kind': 'soft', 'beta': 4.0, 'eps': 0.1, 'fresh': 0.5}
    """

    seed: int
    profile: str
    budget: dict[str, Any]
    rows: list[dict[str, Any]]
    references: dict[str, float]
    data: dict[str, Any]
    source: str
    seconds: float
    schema: int = SCHEMA

    def row(self, beta: float, eps: float = 0.1, kind: str = "soft") -> dict[str, Any]:
        """The row of a gate.

        Raises:
            ValueError: there is none.

        Example:
            >>> from companion.studies.soft_gates import Readings
            >>> Readings(0, "smoke", {}, [], {}, {}, "", 1.0).row(4.0)
            Traceback (most recent call last):
            ...
            ValueError: seed 0 has no soft gate with β = 4 and ε = 0.1.
        """
        for found in self.rows:
            if (found["kind"], found["beta"], found["eps"]) == (kind, beta, eps):
                return found
        raise ValueError(f"seed {self.seed} has no {kind} gate with β = {beta:g} and ε = {eps:g}.")


@torch.no_grad()
def measure(
    dataset: Dataset, budget: Budget, *, profile: str = "quick", arch: FullyConnected = ARCH, progress: bool = True
) -> list[Readings]:
    """Trains every kind of gate, reads it, and trains the references.

    Args:
        dataset: with at least the budget's training examples.
        budget: what to spend.
        profile: its name, for the record.
        arch: the network.
        progress: whether to show a progress bar.

    Returns:
        One ``Readings`` a seed.

    Raises:
        ValueError: too few training examples, or seeds that are repeated.

    Example:
        >>> from npflib import data
        >>> from npflib.networks import FullyConnected
        >>> from companion.studies.soft_gates import Budget, measure
        >>> digits = data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=100)
        >>> tiny = Budget(100, 1, (0,), ((4.0, 0.1),), (4.0,))
        >>> (found,) = measure(digits, tiny, arch=FullyConnected(depth=3, width=16), progress=False)
        >>> [row["kind"] for row in found.rows], sorted(found.references)
        (['soft', 'through'], ['FLNPF', 'FRNPF-II', 'ReLU'])
    """
    started = perf_counter()
    seeds, sets = list(budget.seeds), drawn(dataset, budget.examples, budget.seeds)
    with tqdm(total=2 * (len(budget.soft) + len(budget.through)) + 3, desc="soft gates", disable=not progress) as bar:
        rows: list[dict[str, Any]] = [
            {"kind": kind, "beta": beta, "eps": eps}
            for kind, gates in (("soft", budget.soft), ("through", tuple((beta, 0.1) for beta in budget.through)))
            for beta, eps in gates
        ]
        measured: list[list[dict[str, Any]]] = [[] for _ in seeds]
        for row in rows:
            learner = SoftSweepLearner(
                [_started("DLNPF", arch, seed) for seed in seeds], *sets, betas=[row["beta"]] * len(seeds),
                excesses=[row["eps"]] * len(seeds), straight_through=row["kind"] == "through",
            )  # fmt: skip
            accuracy = _trained(learner, budget.epochs, seeds)
            bar.update()
            tables = (learner.gate_tables(sets[0]), learner.gate_tables(sets[2]))
            fresh = _behind(*tables, arch, sets, budget.epochs, seeds)
            bar.update()
            read = zip(accuracy, learner.test_hardened(), fresh, learner.undecided(), strict=True)
            for mine, (as_it_is, hardened, behind, undecided) in zip(measured, read, strict=True):
                mine.append(
                    {**row, "accuracy": as_it_is, "hardened": hardened, "fresh": behind, "undecided": undecided}
                )
        references = reference_accuracies(arch, sets, budget.epochs, seeds, bar)
    spent = (perf_counter() - started) / len(seeds)
    plain = {key: value for key, value in asdict(budget).items() if key != "seeds"}
    plain |= {"test_examples": len(sets[3]), "learning_rate": LEARNING_RATE}
    return [
        Readings(
            seed, profile, json.loads(json.dumps(plain)), measured[copy],
            {name: values[copy] for name, values in references.items()}, dataset.source.as_dict(),
            training_source_hash(), spent,
        )
        for copy, seed in enumerate(seeds)
    ]  # fmt: skip


def drawn(dataset: Dataset, examples: int, seeds: Sequence[int]) -> Sets:
    """Some training examples, the same for every seed, and all test examples; images flattened.

    Raises:
        ValueError: more examples than there are, or seeds that are repeated or none.

    Example:
        >>> from npflib import data
        >>> from companion.studies.soft_gates import drawn
        >>> digits = data.subset(data.load("mnist", offline=True), train_examples=100, test_examples=50)
        >>> [tuple(part.shape) for part in drawn(digits, 60, seeds=(0,))]
        [(60, 784), (60,), (50, 784), (50,)]
    """
    total = len(dataset.train_labels)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be one or more different whole numbers; got {list(seeds)!r}.")
    if not 0 < examples <= total:
        raise ValueError(f"{examples:,} training examples are asked for; there are {total:,}: take fewer.")
    chosen = torch.randperm(total, generator=generator(0, "examples", 14))[:examples]
    x, y = dataset.train_images.flatten(1), dataset.train_labels
    return x[chosen], y[chosen], dataset.test_images.flatten(1), dataset.test_labels


@torch.no_grad()
def reference_accuracies(
    arch: FullyConnected, sets: Sets, epochs: int, seeds: Sequence[int], bar: tqdm | None = None
) -> dict[str, list[float]]:
    """ReLU, FLNPF behind its last gates, and FRNPF (II), trained alike; the last epoch's test accuracies.

    Args:
        arch: the network.
        sets: training images [N, d_in] and labels, test images and labels.
        epochs: of each.
        seeds: one a network.
        bar: a progress bar to move on by one for each regime.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected
        >>> from companion.studies.soft_gates import reference_accuracies
        >>> x, y = torch.eye(4), torch.tensor([0, 1, 0, 1])
        >>> found = reference_accuracies(FullyConnected(3, 16, 4, 2), (x, y, x, y), 1, seeds=[0, 1])
        >>> list(found), len(found["FLNPF"])
        (['ReLU', 'FLNPF', 'FRNPF-II'], 2)
    """
    starts = [_started("ReLU", arch, seed) for seed in seeds]
    learner = StackedLearner(starts, *sets, torch.device("cpu"))
    found = {"ReLU": _trained(learner, epochs, seeds)}
    learnt = []
    for copy in range(len(seeds)):
        network = ReLUNetwork(arch)
        network.load_state_dict(learner.state_dict(copy))
        learnt.append(network)
    if bar is not None:
        bar.update()
    for regime in ("FLNPF", "FRNPF-II"):
        giving = learnt if regime == "FLNPF" else [_started(regime, arch, seed).feature for seed in seeds]
        gates, test_gates = (torch.stack([gate_table(network, x) for network in giving]) for x in (sets[0], sets[2]))
        found[regime] = _behind(gates, test_gates, arch, sets, epochs, seeds)
        if bar is not None:
            bar.update()
    return found


def path_of(seed: int, folder: Path | None = None) -> Path:
    """Where a seed's readings are published; ``folder`` takes the place of ``results/``.

    Example:
        >>> from companion.studies.soft_gates import path_of
        >>> path_of(0).parts[-3:]
        ('mnist-soft-gates', 'fc', 'seed-0.json')
    """
    return Path(folder or locations.published()) / "mnist-soft-gates" / "fc" / f"seed-{seed}.json"


def published(folder: Path | None = None) -> list[Readings]:
    """The published readings, by seed; none is an empty list.

    Raises:
        ValueError: a file that holds none.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies.soft_gates import published
        >>> published(Path("no-results"))
        []
    """
    return plain_records.read_all(
        Readings, path_of(0, folder).parent, "readings of soft gates", "scripts/sweep_gates.py"
    )


def _started(regime: str, arch: FullyConnected, seed: int) -> Any:
    return regimes.start(regime, arch, seed)


def _value_start(arch: FullyConnected, seed: int) -> ReLUNetwork:
    """The value network's start that all regimes share, as a network."""
    gated = _started("FRNPF-II", arch, seed)
    assert isinstance(gated, DeepGatedNetwork)
    network = ReLUNetwork(arch)
    network.load_state_dict(gated.value.state_dict())
    return network


def _trained(learner: StackedLearner, epochs: int, seeds: Sequence[int]) -> list[float]:
    return [one[-1] for one in train(learner, epochs, seeds=seeds, learning_rate=LEARNING_RATE)]


def _behind(
    gates: Tensor, test_gates: Tensor, arch: FullyConnected, sets: Sets, epochs: int, seeds: Sequence[int]
) -> list[float]:
    """Fresh value networks behind given gates."""
    starts = [_value_start(arch, seed) for seed in seeds]
    return _trained(GivenGatesLearner(starts, *sets, gates, test_gates), epochs, seeds)
