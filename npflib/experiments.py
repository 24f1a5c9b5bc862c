"""The paper's experiments as data: settings, budgets and published numbers; and the profiles that scale the budgets.

This file does not import torch: the workflow reads it to plan. Sources: Lakshminarayanan & Singh (2020), section 5 and
the authors' released notebooks. Accuracies are in per cent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from npflib.architectures import FullyConnected, GConv, VConv
from npflib.regimes import REGIMES

OPTIMISERS = ("sgd", "adam", "rmsprop")


@dataclass(frozen=True)
class Published:
    """A number of the paper: mean ± std over runs; ``std`` is None where the paper gives none."""

    mean: float
    std: float | None = None
    runs: int = 5


@dataclass(frozen=True)
class Experiment:
    """One network trained on one data set with one optimiser: a row of the paper's table, or one of our own.

    Attributes:
        name: identifier, as in records and on the command line.
        title: what a reader sees.
        dataset: "mnist" or "cifar10".
        arch: the architecture.
        optimiser: "sgd", "adam" or "rmsprop", with Keras' defaults for all but the learning rate.
        learning_rate: constant through training.
        epochs: the full budget.
        batch: examples to a step, reshuffled each epoch; a last smaller batch is used too.
        published: regime name → published test accuracy; empty for an experiment of our own.
    """

    name: str
    title: str
    dataset: str
    arch: FullyConnected | VConv | GConv
    optimiser: str
    learning_rate: float
    epochs: int
    batch: int = 32
    published: Mapping[str, Published] = field(default_factory=dict)

    def __post_init__(self):
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"unknown optimiser {self.optimiser!r}; allowed: {', '.join(OPTIMISERS)}.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive; got {self.learning_rate!r}.")
        for name in ("epochs", "batch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive whole number; got {value!r}.")
        unknown = set(self.published) - set(REGIMES)
        if unknown:
            raise ValueError(f"published numbers for unknown regimes {sorted(unknown)}; allowed: {', '.join(REGIMES)}.")
        object.__setattr__(self, "published", MappingProxyType(dict(self.published)))


@dataclass(frozen=True)
class ContinuousLearning:
    """FLNPF behind the gates of a ReLU network at successive stages of its own training."""

    name: str
    title: str
    base: str
    stages: int
    epochs_a_stage: int
    epochs_value: int
    published: Mapping[int, Published]
    lines: Mapping[str, float]


@dataclass(frozen=True)
class LabelAlignment:
    """ν_t of the neural path kernel along training, for two classes of MNIST."""

    name: str
    title: str
    dataset: str
    negative: int
    positive: int
    arch: FullyConnected
    optimiser: str
    learning_rate: float
    batch: int
    epochs: int
    every: int
    examples_a_class: int
    runs: int
    published: Mapping[str, str]


@dataclass(frozen=True)
class KernelTraces:
    """Trace and Frobenius norm of K_value and K_gate along the training of a DGN with soft gates."""

    name: str
    title: str
    dataset: str
    arch: FullyConnected
    optimiser: str
    learning_rate: float
    batch: int
    epochs: int
    every: int
    examples_a_class: int
    runs: int
    published: Mapping[str, str]


def _cells(*cells: tuple[float, float]) -> dict[str, Published]:
    """A row of the table in the paper's column order."""
    columns = ("FRNPF-II", "FRNPF-DI", "DLNPF", "FLNPF", "ReLU")
    return {name: Published(mean, std) for name, (mean, std) in zip(columns, cells, strict=True)}


_MNIST_FC = FullyConnected(depth=6, width=128)

TABLE = (
    Experiment(
        "mnist-fc-sgd", "MNIST, FC, SGD", "mnist", _MNIST_FC, "sgd", 1e-2, 300,
        published=_cells((95.85, 0.10), (95.85, 0.17), (97.86, 0.11), (97.10, 0.09), (97.85, 0.09)),
    ),
    Experiment(
        "mnist-fc-adam", "MNIST, FC, Adam", "mnist", _MNIST_FC, "adam", 1e-4, 100,
        published=_cells((96.02, 0.13), (96.09, 0.12), (98.22, 0.05), (97.82, 0.02), (98.14, 0.07)),
    ),
    Experiment(
        "cifar10-vconv-sgd", "CIFAR-10, VCONV, SGD", "cifar10", VConv(), "sgd", 1e-2, 80,
        published=_cells((58.92, 0.62), (58.83, 0.27), (63.21, 0.07), (63.06, 0.73), (67.02, 0.43)),
    ),
    Experiment(
        "cifar10-vconv-adam", "CIFAR-10, VCONV, Adam", "cifar10", VConv(), "adam", 3e-4, 80,
        published=_cells((64.86, 1.18), (64.68, 0.84), (69.45, 0.76), (71.40, 0.47), (72.43, 0.54)),
    ),
    Experiment(
        "cifar10-gconv-sgd", "CIFAR-10, GCONV, SGD", "cifar10", GConv(), "sgd", 1e-1, 100,
        published=_cells((67.36, 0.56), (66.86, 0.44), (74.57, 0.43), (78.52, 0.39), (78.90, 0.37)),
    ),
    Experiment(
        "cifar10-gconv-adam", "CIFAR-10, GCONV, Adam", "cifar10", GConv(), "adam", 3e-4, 200,
        published=_cells((67.09, 0.58), (67.08, 0.27), (77.12, 0.19), (79.68, 0.32), (80.32, 0.35)),
    ),
)  # fmt: skip

_OTHERS = (
    ContinuousLearning(
        "cifar10-continuous",
        "Gates are learnt continuously",
        base="cifar10-gconv-adam",
        stages=6,
        epochs_a_stage=10,
        epochs_value=80,
        published={stage: Published(mean) for stage, mean in enumerate((67.09, 72.29, 74.42, 77.0, 78.5, 78.7, 79.43))},
        lines={"ReLU": 80.32, "CNTK": 77.43},
    ),
    LabelAlignment(
        "mnist-alignment",
        "The kernel aligns with the labels",
        dataset="mnist",
        negative=4,
        positive=7,
        arch=FullyConnected(depth=6, width=100, out_features=1, bias=False),
        optimiser="rmsprop",
        learning_rate=1e-4,
        batch=64,
        epochs=50,
        every=2,
        examples_a_class=100,
        runs=5,
        published={"finding": "ν_t falls during training"},
    ),
    KernelTraces(
        "mnist-kernel-traces",
        "Value and gate kernels along training",
        dataset="mnist",
        arch=_MNIST_FC,
        optimiser="sgd",
        learning_rate=1e-2,
        batch=32,
        epochs=60,
        every=5,
        examples_a_class=20,
        runs=5,
        published={"erratum": "the released code differentiates the summed softmax, whose gradient is zero"},
    ),
)

PAPER: Mapping[str, Experiment | ContinuousLearning | LabelAlignment | KernelTraces] = MappingProxyType(
    {experiment.name: experiment for experiment in (*TABLE, *_OTHERS)}
)

COMPANION: Mapping[str, Experiment] = MappingProxyType(
    {
        "mnist-fc-adam-nobias": Experiment(
            "mnist-fc-adam-nobias",
            "MNIST, FC without biases, Adam",
            "mnist",
            FullyConnected(depth=6, width=128, bias=False),
            "adam",
            1e-4,
            100,
        ),
    }
)


@dataclass(frozen=True)
class Budget:
    """What one run may spend. ``train_examples`` and ``test_examples`` None mean all there are."""

    train_examples: int | None
    test_examples: int | None
    epochs: int


@dataclass(frozen=True)
class Profile:
    """A scale of all budgets.

    Attributes:
        name: "smoke", "quick" or "paper".
        meaning: what may be concluded from it.
        seeds: the runs of a training experiment.
        train_examples: cap on training examples; None is all.
        test_examples: cap on test examples; None is all.
        epochs: data set → cap on epochs; a data set without entry has none.
        widths: grid for chapters that vary the width.
        draws: Monte-Carlo draws for chapters that average over weights.
    """

    name: str
    meaning: str
    seeds: tuple[int, ...]
    train_examples: int | None
    test_examples: int | None
    epochs: Mapping[str, int]
    widths: tuple[int, ...]
    draws: int

    @property
    def is_full(self) -> bool:
        """Whether runs of this profile spend the paper's whole budget."""
        return self.train_examples is None and self.test_examples is None and not self.epochs


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "smoke": Profile(
            "smoke",
            "everything runs; nothing is concluded about training",
            seeds=(0, 1),
            train_examples=2_000,
            test_examples=1_000,
            epochs=MappingProxyType({"mnist": 2, "cifar10": 1}),
            widths=(8, 16, 32),
            draws=200,
        ),
        "quick": Profile(
            "quick",
            "all of MNIST for a few epochs: the mechanism, not the paper's numbers",
            seeds=(0, 1, 2),
            train_examples=None,
            test_examples=None,
            epochs=MappingProxyType({"mnist": 5, "cifar10": 1}),
            widths=(8, 16, 32, 64, 128, 256),
            draws=2_000,
        ),
        "paper": Profile(
            "paper",
            "the paper's full budget",
            seeds=(0, 1, 2, 3, 4),
            train_examples=None,
            test_examples=None,
            epochs=MappingProxyType({}),
            widths=(8, 16, 32, 64, 128, 256, 512, 1024),
            draws=10_000,
        ),
    }
)


def find(name: str) -> Experiment:
    """The training experiment of that name, the paper's or the companion's.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    known = {e.name: e for e in TABLE} | dict(COMPANION)
    if name not in known:
        raise ValueError(f"unknown experiment {name!r}; allowed: {', '.join(known)}.")
    return known[name]


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; allowed: {', '.join(PROFILES)}.")
    return PROFILES[name]


def budget(experiment: str, profile_name: str) -> Budget:
    """What one run of an experiment may spend in a profile."""
    scale, chosen = profile(profile_name), find(experiment)
    cap = scale.epochs.get(chosen.dataset, chosen.epochs)
    return Budget(scale.train_examples, scale.test_examples, min(cap, chosen.epochs))


def runs_of(profile_name: str) -> list[tuple[str, str]]:
    """(experiment, regime) pairs that the book of a profile trains, an FLNPF always after its ReLU."""
    profile(profile_name)
    order = ("ReLU", "DLNPF", "FLNPF", "FRNPF-DI", "FRNPF-II")
    rows = [e.name for e in TABLE if e.dataset == "mnist"]
    return [(name, "ReLU") for name in COMPANION] + [(row, regime) for row in rows for regime in order]
