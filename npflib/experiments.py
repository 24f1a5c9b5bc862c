"""The paper's experiments as data: settings, budgets and reported numbers.

This file does not import torch: the workflow reads it to plan. Sources: Lakshminarayanan & Singh (2020) and
the authors' released notebooks. Accuracies are in per cent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from npflib import checks, profiles
from npflib.architectures import FullyConnected, GConv, VConv
from npflib.regimes import find as find_regime

__all__ = ["COMPANION", "PAPER", "Experiment", "budget", "find", "register", "runs_of"]

OPTIMISERS = ("sgd", "adam", "rmsprop")
LOSSES = ("cross_entropy", "squared")
INITIALISATIONS = ("glorot_uniform", "signed")
FIVE = ("ReLU", "DLNPF", "FLNPF", "FRNPF-DI", "FRNPF-II")


@dataclass(frozen=True)
class Reported:
    """A number of the paper: mean ± std over runs; ``std`` is None where the paper gives none."""

    mean: float
    std: float | None = None
    runs: int = 5


@dataclass(frozen=True)
class Probe:
    """Something measured along a run: a name in ``monitors.MEASURES``, every how many epochs, on how many examples."""

    name: str
    every: int
    examples_a_class: int

    def __post_init__(self) -> None:
        checks.whole(self.every, "every, the epochs from one measurement to the next,")
        checks.whole(self.examples_a_class, "examples_a_class")


@dataclass(frozen=True)
class Experiment:
    """One network trained on one data set with one optimiser: a row of the paper's table, or another experiment.

    Attributes:
        name: identifier, as in records and on the command line; it begins with ``dataset``, which ``data.load`` knows.
        optimiser: "sgd", "adam" or "rmsprop", with Keras' defaults but for the learning rate, which is constant.
        epochs: the full budget; ``value_epochs`` that of the regimes other than ReLU, where it is another.
        batch: examples to a step, reshuffled each epoch; a last smaller batch is used too.
        reported: regime name → reported test accuracy; ``lines``: name → that of others' methods to compare with.
        regimes: the regimes that it has, each after those whose networks it needs.
        classes: None for all classes; else the two that become the labels -1 and +1.
        loss: "cross_entropy", or "squared" for (ŷ - y)² on one linear output.
        initialisation: "glorot_uniform", or "signed": every weight ±√(2/w), with probability ½ each.
        shuffled: whether the training labels are permuted once, the same for every seed: a control.
        stages: epochs of the ReLU run after which its best network so far is kept, the k-th for FLNPF-stage-k.
        probe: what is measured along training, beside loss and accuracy.

    Example:
        >>> from npflib.experiments import find
        >>> row = find("mnist-fc-sgd")
        >>> row.arch.depth, row.arch.width, row.learning_rate, row.epochs
        (6, 128, 0.01, 300)
    """

    name: str
    title: str
    dataset: str
    arch: FullyConnected | VConv | GConv
    optimiser: str
    learning_rate: float
    epochs: int
    batch: int = 32
    reported: Mapping[str, Reported] = field(default_factory=dict)
    regimes: tuple[str, ...] = FIVE
    classes: tuple[int, int] | None = None
    loss: str = "cross_entropy"
    initialisation: str = "glorot_uniform"
    shuffled: bool = False
    stages: tuple[int, ...] = ()
    value_epochs: int | None = None
    probe: Probe | None = None
    lines: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.one_of(self.optimiser, "optimiser", OPTIMISERS)
        checks.one_of(self.loss, "loss", LOSSES)
        checks.one_of(self.initialisation, "initialisation", INITIALISATIONS)
        checks.instance(self.arch, "arch", FullyConnected, VConv, GConv)
        checks.number(self.learning_rate, "learning_rate")
        for name in ("epochs", "batch", *(() if self.value_epochs is None else ("value_epochs",))):
            checks.whole(getattr(self, name), name)
        rising = [0, *(checks.whole(stage, "a stage", least=0) for stage in self.stages)]
        if sorted(set(rising)) != rising or rising[-1] > self.epochs:
            raise ValueError(f"stages must be rising epochs from 1 to {self.epochs}; got {self.stages!r}.")
        if self.classes is not None and (not isinstance(self.classes, tuple) or len(set(self.classes)) != 2):
            raise ValueError(f"classes must be two different ones, or None for all; got {self.classes!r}.")
        if (self.loss == "squared") != (self.classes is not None) or (self.classes and self.arch.out_features != 1):
            raise ValueError("two classes with labels ±1 go with the squared loss and a network of one output.")
        checks.instance(self.probe, "probe", Probe, type(None))
        if not self.regimes:
            raise ValueError("regimes must name one or more regimes; got none.")
        for regime in self.regimes:
            stage = find_regime(regime).stage or 0
            if stage > len(self.stages):
                raise ValueError(f"regime {regime!r} needs {stage} stages; the experiment has {len(self.stages)}.")
        if unknown := sorted(set(self.reported) - set(self.regimes)):
            raise ValueError(f"reported numbers for unknown regimes {unknown}; allowed: {', '.join(self.regimes)}.")
        for name in ("reported", "lines"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def full_epochs(self, regime: str) -> int:
        """The full budget of a regime."""
        return self.epochs if regime == "ReLU" or self.value_epochs is None else self.value_epochs


_MNIST_FC = FullyConnected(depth=6, width=128)
_NETWORKS: Mapping[str, FullyConnected | VConv | GConv] = {"fc": _MNIST_FC, "vconv": VConv(), "gconv": GConv()}


def _row(title: str, learning_rate: float, epochs: int, *cells: tuple[float, float]) -> Experiment:
    """A row of the table, its cells (mean, std) in the paper's order of columns; its title says the rest."""
    name = title.lower().replace("-", "").replace(", ", "-")
    dataset, network, optimiser = name.split("-")
    columns = zip(("FRNPF-II", "FRNPF-DI", "DLNPF", "FLNPF", "ReLU"), cells, strict=True)
    reported = {regime: Reported(*cell) for regime, cell in columns}
    return Experiment(name, title, dataset, _NETWORKS[network], optimiser, learning_rate, epochs, reported=reported)


TABLE = (
    _row("MNIST, FC, SGD", 1e-2, 300, (95.85, 0.10), (95.85, 0.17), (97.86, 0.11), (97.10, 0.09), (97.85, 0.09)),
    _row("MNIST, FC, Adam", 1e-4, 100, (96.02, 0.13), (96.09, 0.12), (98.22, 0.05), (97.82, 0.02), (98.14, 0.07)),
    _row("CIFAR-10, VCONV, SGD", 1e-2, 80, (58.92, 0.62), (58.83, 0.27), (63.21, 0.07), (63.06, 0.73), (67.02, 0.43)),
    _row("CIFAR-10, VCONV, Adam", 3e-4, 80, (64.86, 1.18), (64.68, 0.84), (69.45, 0.76), (71.40, 0.47), (72.43, 0.54)),
    _row("CIFAR-10, GCONV, SGD", 1e-1, 100, (67.36, 0.56), (66.86, 0.44), (74.57, 0.43), (78.52, 0.39), (78.90, 0.37)),
    _row("CIFAR-10, GCONV, Adam", 3e-4, 200, (67.09, 0.58), (67.08, 0.27), (77.12, 0.19), (79.68, 0.32), (80.32, 0.35)),
)

STAGES = 6


def _aligned(name: str, title: str, shuffled: bool) -> Experiment:
    """ν_t on two classes of MNIST, with the paper's settings."""
    return Experiment(
        name, title, "mnist", FullyConnected(depth=6, width=100, out_features=1, bias=False), "rmsprop", 1e-4,
        epochs=50, batch=64, regimes=("ReLU",), classes=(4, 7), loss="squared", initialisation="signed",
        shuffled=shuffled, probe=Probe("alignment", every=2, examples_a_class=100),
    )  # fmt: skip


_CONTINUOUS = ("FRNPF-II", *(f"FLNPF-stage-{k}" for k in range(1, STAGES + 1)))  # stage 0 is random

_OTHERS = (
    Experiment(
        "cifar10-continuous", "CIFAR-10, GCONV, Adam: gates by stage", "cifar10", GConv(), "adam", 3e-4, epochs=60,
        value_epochs=80, stages=tuple(range(10, 61, 10)), regimes=("ReLU", *_CONTINUOUS),
        reported=dict(zip(_CONTINUOUS, map(Reported, (67.09, 72.29, 74.42, 77.0, 78.5, 78.7, 79.43)), strict=True)),
        lines={"ReLU": 80.32, "CNTK": 77.43},
    ),
    _aligned("mnist-alignment", "MNIST, 4 against 7: the kernel and the labels", shuffled=False),
    Experiment(
        "mnist-kernel-traces", "MNIST, DGN with soft gates, SGD: value and gate kernels", "mnist", _MNIST_FC,
        "sgd", 1e-2, epochs=60, regimes=("DLNPF",), probe=Probe("traces", every=5, examples_a_class=20),
    ),
)  # fmt: skip

PAPER: Mapping[str, Experiment] = MappingProxyType({row.name: row for row in (*TABLE, *_OTHERS)})


def _quarter(title: str, arch: type[GConv] | type[VConv], optimiser: str, rate: float, staged: bool) -> Experiment:
    """A row of the table with a quarter of the channels and units: GCONV's step takes some 50 ms of one thread.

    Where it is staged, the last stage's gates are FLNPF's own: one ReLU run serves the five regimes and the stages.
    The rate is chosen on ReLU alone by ``scripts/choose_rate.py``: results/<name>/rates.json.
    """
    stages = range(1, STAGES + 1) if staged else ()
    return Experiment(
        f"cifar10-quarter-{arch.__name__.lower()}-{optimiser}", title, "cifar10",
        arch(channels=(16, 16, 32, 32), dense=(64, 64)), optimiser, rate, epochs=7 * STAGES,
        stages=tuple(7 * k for k in stages), regimes=(*FIVE, *(f"FLNPF-stage-{k}" for k in stages[:-1])),
    )  # fmt: skip


_OURS = (
    Experiment(
        "mnist-fc-adam-nobias", "MNIST, FC without biases, Adam", "mnist", replace(_MNIST_FC, bias=False),
        "adam", 1e-4, 100, regimes=("ReLU",),
    ),
    Experiment(
        "mnist-fc-adam-linear-gates", "MNIST, FC, Adam: gates from a linear network", "mnist", _MNIST_FC,
        "adam", 1e-4, 100, regimes=("DLGN",),
    ),
    _aligned("mnist-alignment-shuffled", "MNIST, 4 against 7, labels shuffled: a control", shuffled=True),
    _quarter("CIFAR-10, GCONV/4, Adam", GConv, "adam", 2e-3, staged=True),
    _quarter("CIFAR-10, GCONV/4, SGD", GConv, "sgd", 2e-1, staged=False),
    _quarter("CIFAR-10, VCONV/4, Adam", VConv, "adam", 1e-3, staged=False),
    _quarter("CIFAR-10, VCONV/4, SGD", VConv, "sgd", 3e-2, staged=False),
)  # fmt: skip

COMPANION: Mapping[str, Experiment] = MappingProxyType({row.name: row for row in _OURS})

_REGISTERED: dict[str, Experiment] = {}  # made known at run time; the workflow and the command line do not see them


def register(experiment: Experiment) -> Experiment:
    """Makes an experiment known for as long as the process lasts, and gives it back; in ``COMPANION`` it is for ever.

    The same again changes nothing. A ValueError refuses a name that is taken by another experiment or does not begin
    with its data set's, and a data set that is not known.

    Example:
        >>> from npflib.experiments import find, register
        >>> register(find("mnist-fc-adam")).title  # known already: nothing changes
        'MNIST, FC, Adam'
    """
    from npflib import data  # here, since planning does without torch

    checks.instance(experiment, "an experiment", Experiment)
    name = experiment.name
    if not re.fullmatch(rf"{re.escape(experiment.dataset)}(-[a-z0-9]+)+", name):
        like = f"'{experiment.dataset}-fc-mine', in lower-case letters, digits and hyphens"
        raise ValueError(f"an experiment's name begins with its data set's and a hyphen, like {like}; got {name!r}.")
    checks.one_of(experiment.dataset, "data set", data.names(), f"experiment {name} (new ones: data.register)")
    known = _known()
    if known.get(name, experiment) != experiment:
        raise ValueError(f"the name {name!r} is taken by another experiment; taken are: {', '.join(known)}.")
    if name not in known:
        _REGISTERED[name] = experiment
    return experiment


def _known() -> dict[str, Experiment]:
    return dict(PAPER) | dict(COMPANION) | _REGISTERED


@dataclass(frozen=True)
class Budget:
    """What one run may spend, None being all; stages scale with the epochs, ``every`` where examples are cut."""

    train_examples: int | None
    test_examples: int | None
    epochs: int
    stages: tuple[int, ...] = ()
    every: int | None = None


def find(name: str) -> Experiment:
    """The experiment of that name, the paper's, the companion's or a registered one; a ValueError lists all.

    Example:
        >>> from npflib.experiments import find
        >>> find("cifar10-continuous").stages
        (10, 20, 30, 40, 50, 60)
    """
    known = _known()
    checks.one_of(name, "experiment", known)
    return known[name]


def budget(experiment: str, profile_name: str, regime: str = "ReLU", epochs: int | None = None) -> Budget:
    """What one run of an experiment's regime may spend in a profile, or less where ``epochs`` is a smaller cap.

    A ValueError refuses what is unknown, or a cap that is not a positive whole number.

    Example:
        >>> from npflib.experiments import budget
        >>> budget("mnist-fc-sgd", "paper", epochs=5)  # None: all there are
        Budget(train_examples=None, test_examples=None, epochs=5, stages=(), every=None)
    """
    if epochs is not None:
        checks.whole(epochs, "epochs")
    find_regime(regime)
    scale, chosen = profiles.find(profile_name), find(experiment)
    caps = ("train_examples", "test_examples", "epochs")
    train_examples, test_examples, most = (scale.limit(experiment, chosen.dataset, cap) for cap in caps)
    full = chosen.full_epochs(regime)
    epochs = min(epochs or full, most or full, full)
    stages = chosen.stages if regime == "ReLU" else ()
    if stages and epochs < full:
        # The stages scale together, each of one epoch at least: the run is as long as they are.
        step = max(1, epochs // len(stages))
        stages = tuple(step * k for k in range(1, len(stages) + 1))
    if stages:
        epochs = stages[-1]
    every = None if chosen.probe is None else chosen.probe.every
    if every and train_examples:  # with all examples a run's first epochs are the full run's, measurements included
        every = max(1, round(every * epochs / full))
    return Budget(train_examples, test_examples, epochs, stages, every)


def runs_of(profile_name: str) -> list[tuple[str, str]]:
    """(experiment, regime) pairs that the book of a profile trains, an FLNPF always after its ReLU.

    Every profile trains all experiments on MNIST, ``quick`` the first epochs of their first seed, to compare with the
    published runs; networks on CIFAR-10, hours of a processor or of an accelerator, belong to ``paper`` alone.

    Example:
        >>> from npflib.experiments import runs_of
        >>> pairs = runs_of("smoke")
        >>> pairs.index(("mnist-fc-adam", "ReLU")) < pairs.index(("mnist-fc-adam", "FLNPF"))
        True
    """
    full = profiles.find(profile_name).is_full
    chosen = [*COMPANION.values(), *PAPER.values()]
    return [(e.name, r) for e in chosen if full or e.dataset == "mnist" for r in e.regimes]
