"""Kernel flow: whether training behind fixed gates is kernel regression, and what each step away from that costs.

Value networks start from ±σ weights, σ = √(2/w), behind hard gates that do not move, and learn by full-batch gradient
descent on the squared loss (1/n) Σ ‖f(x) - y‖². With ρ = 2η/n, a model whose kernel stays as it is does :func:`flow`.

**Along training** (labels ±1 by parity, one output as in the theorem). Three functions of the test images: f the
network's, f_K that of its own first kernel, f_E that of the mean kernel d σ^{2(d-1)} H. A row has ``drift`` ‖f - f_K‖,
``spread`` ‖f_K - f_E‖ and ``total`` ‖f - f_E‖, over ‖f_E - f_0‖; ``kernel``, the first kernel's relative distance from
the mean, and ``moved``, that of the network's kernel from its first. Pixels are multiplied by α: behind fixed gates
this multiplies outputs, the scale that decides between lazy and rich training (Chizat, Oyallon & Bach 2019). The start
is the network's ``own``, or ``zero``: f_0 is subtracted throughout.

**The ladder** (ten outputs, targets one-hot less 1/10; the mean kernel is the same for each) goes from kernel ridge
regression, and the mean kernel's flow from 0, to the paper's own experiment behind the same random gates, one change a
rung; a second one starts from zero. A row has the test ``accuracy``, and the relative ``distance`` from f_E of the same
start: of scores centred over classes, at the scale that is nearest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from math import ceil, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from companion.studies import common
from companion.studies.study import Row, Study
from npflib import kernels, regimes
from npflib.answers import answers
from npflib.architectures import FullyConnected
from npflib.theory import fixed_gates, kernel_ridge
from npflib.training.batched import BatchedLearner
from npflib.training.loop import each_epoch
from npflib.training.losses import Loss
from npflib.training.optimisers import keras_optimiser

TABLE = FullyConnected(depth=6, width=128, bias=False)
CLASSES = TABLE.out_features
# What each rung changes, for good. Networks that go only a hundredth of the way stay at their first kernel.
RUNGS: dict[str, dict[str, Any]] = {
    "first kernel": {"reach": 0.01}, "network": {"reach": 1.0}, "larger steps": {"share": 1.0},
    "batches of 32": {"batch": 32}, "Adam": {"optimiser": "adam"}, "cross-entropy": {"loss": "cross_entropy"},
    "Glorot start": {"start": "glorot_uniform"}, "biases": {"bias": True}, "100 epochs": {"epochs": 100},
}  # fmt: skip
FROM_ZERO: dict[str, dict[str, Any]] = {  # the last is "Glorot start" above, but for the loss
    "first kernel, from zero": {"reach": 0.01}, "network, from zero": {"reach": 1.0},
    "larger steps, from zero": {"share": 1.0}, "batches of 32, from zero": {"batch": 32},
    "Adam, from zero": {"optimiser": "adam"}, "Glorot start, from zero": {"start": "glorot_uniform"},
    "Glorot's own start": {"own": True},
}  # fmt: skip


@dataclass(frozen=True)
class FlowConfig:
    """What is asked for."""

    examples: int  # the first ``swept`` and ``ladder`` of them are trained on; the others teach learnt gates
    swept: int
    ladder: int
    seeds: tuple[int, ...]
    shapes: tuple[tuple[int, int], ...]  # depth and width, of the distances along training
    kept: tuple[int, ...]  # the steps at which they are taken
    wide: tuple[int, ...]  # widths at which no network is trained
    epochs: int  # of small batches on the ladder; full batches take as many steps, or smaller ones for as long
    share: float = 0.5  # the size of a small step: ρ times the greatest eigenvalue of the mean kernel
    taught: int = 2  # epochs of the networks whose gates are learnt
    tested: int = 500  # test images along training; the ladder has all
    learning_rate: float = common.LEARNING_RATE
    part: tuple[int, int] | None = None  # of the data counts; None is all


class _Gates:
    """Gates that S networks give training and test images; the mean kernels [S, n, n] behind them, rows [S, m, n]."""

    def __init__(self, networks: Sequence, x: Tensor, new: Tensor):
        width, found = networks[0].arch.width, []
        self.tables = common.tables(networks, x), common.tables(networks, new)
        self.old, self.new = (list(table.float().split(width, 2)) for table in self.tables)
        for inputs, gates in ((x, self.old), (new, self.new)):
            pairs = zip(zip(*gates, strict=True), zip(*self.old, strict=True), strict=True)
            paths = [kernels.neural_path_kernel(inputs, g, x, own, dtype=torch.float64) for g, own in pairs]
            found.append(fixed_gates.scaled(torch.stack(paths), len(gates) + 1, sqrt(2 / width)))
        self.mean, self.rows = found
        self.longest = 1 / float(torch.linalg.eigvalsh(self.mean).max())  # ρ of a step of share 1


def flow(kernel: Tensor, rows: Tensor, start: Tensor, new_start: Tensor, y: Tensor, rho: float, steps: int) -> Tensor:
    """f_t(x) = f_0(x) + K(x, X) K⁻¹ (1 - (1 - ρK)^t) (y - f_0(X)) of m new examples, [S, m, C].

    Gradient descent with kernels K [S, n, n] that stay, exactly; ``rows`` are K(x, X) [S, m, n]. With K = U Λ Uᵀ each
    eigenvector has the factor (1 - (1 - ρλ)^t) / λ, which is ρ t at λ = 0.
    """
    values, vectors = torch.linalg.eigh(kernel)
    values = values.clamp_min(1e-12 * float(values.max()))[..., None]
    return new_start + rows @ (vectors @ ((1 - (1 - rho * values) ** steps) / values * (vectors.mT @ (y - start))))


def outputs(learner: BatchedLearner, x: Tensor, gates: Sequence[Tensor]) -> Tensor:
    """Of a learner's networks, [S, n, C], float64."""
    z = x.expand(learner.copies, -1, -1)
    for layer, gate in enumerate(gates):
        z = learner.value.pre_activation(layer, z) * gate
    return learner.value.pre_activation(len(gates), z).double()


def towards(goal: Tensor) -> Loss:
    """The squared loss to goals [S, n, C] of n examples, whose labels are their positions; see ``losses.squared``."""

    def loss(given: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        residual = given - goal[torch.arange(len(goal))[:, None], labels[..., 0]]
        return residual.square().sum((1, 2)), labels.new_zeros(len(goal)), residual.mul_(2 / labels.shape[1])

    return loss


def relative(one: Tensor, other: Tensor, size: Tensor) -> list[float]:
    """‖one - other‖ / ‖size‖ of each network."""
    return ((one - other).norm(dim=(1, 2)) / size.norm(dim=(1, 2))).tolist()


def _state(learner: BatchedLearner, x: Tensor, gates: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    weights = [weight.double() for weight in learner.value.weights]
    return outputs(learner, x, gates), fixed_gates.value_kernels(x.double(), [gate.double() for gate in gates], weights)


def _along(given: tuple[FlowConfig, common.Sets], kind: str, depth: int, width: int) -> list[Row]:
    (config, (images, labels, new, new_labels)), seeds, n = given, given[0].seeds, given[0].swept
    x, new, y, found = images[:n], new[: config.tested], 2.0 * (labels[:n, None] % 2) - 1, []
    arch, last = FullyConnected(depth, width, x.shape[1], 1, bias=False), config.taught
    giving = [common.gated(arch, seed).feature for seed in seeds]
    if kind == "learnt":  # from other digits, all ten classes
        teachers = [common.relu(replace(arch, out_features=CLASSES), seed) for seed in seeds]
        others = torch.arange(config.ladder, len(images)).expand(len(seeds), -1)
        giving = [kept[last] for kept in common.kept(teachers, images, labels, others, (last,), config)]
    gates, start = _Gates(giving, x, new), [regimes.start("FRNPF-II", arch, s, None, "signed") for s in seeds]
    both, trained = [torch.cat(pair, 1) for pair in zip(gates.old, gates.new, strict=True)], width not in config.wide
    alphas = sorted({1.0, sqrt(width / TABLE.width)}) if kind == "random" and trained else [1.0]
    for alpha, own in product(alphas, (True, False) if kind == "random" and trained else (True,)):
        inputs, rho = alpha * torch.cat([x, new]), config.share * gates.longest / alpha**2
        sets = inputs[:n], y[:, 0], inputs[n:], new_labels[: config.tested].float()
        learner = BatchedLearner(start, *sets, common.CPU, "squared", gates=gates.tables)
        f0, first = _state(learner, inputs, both)
        f0, taken = (f0, 0 * f0) if own else (0 * f0, f0)  # what is taken from the outputs
        learner.loss_of, learner.labels = towards((y + taken[:, :n]).float()), torch.arange(n)
        steps = each_epoch(learner, keras_optimiser("sgd", learner.parameters(), rho * n / 2), seeds, n)
        for step in islice(steps, max(config.kept)) if trained else config.kept:
            if step not in config.kept:
                continue
            at = f0[:, :n], f0[:, n:], y.double(), rho, step
            f_own = flow(first[:, :n, :n], first[:, n:, :n], *at)
            f_mean = flow(alpha**2 * gates.mean, alpha**2 * gates.rows, *at)
            metrics = {"spread": relative(f_own, f_mean, f_mean - f0[:, n:])}
            metrics["kernel"] = relative(first[:, :n, :n], alpha**2 * gates.mean, alpha**2 * gates.mean)
            if trained:
                f, now = _state(learner, inputs, both)
                for name, other in {"drift": f_own, "total": f_mean}.items():
                    metrics[name] = relative((f - taken)[:, n:], other, f_mean - f0[:, n:])
                metrics["moved"] = relative(now, first, first)
            where = {"gates": kind, "depth": depth, "width": width, "alpha": alpha, "start": "own" if own else "zero"}
            found += common.rows_of(seeds, metrics, **where, epoch=step)  # full batches: an epoch is a step
    return found


def _ladder(given: tuple[FlowConfig, common.Sets], own: bool) -> list[Row]:
    (config, (images, labels, new, new_labels)), seeds, n = given, given[0].seeds, given[0].ladder
    x, y, found = images[:n], labels[:n], []
    gates = _Gates([common.gated(TABLE, seed).feature for seed in seeds], x, new)
    aim, time = (one_hot(y, CLASSES) - 1 / CLASSES).double(), config.epochs * ceil(n / 32)  # in steps of share 1
    asked: dict[str, Any] = {"start": "signed", "bias": False, "loss": "squared", "optimiser": "sgd", "batch": n}
    asked |= {"share": config.share, "epochs": config.epochs, "own": own}
    scores = {"kernel ridge": torch.stack([_ridge(*one, y) for one in zip(gates.mean, gates.rows, seeds, strict=True)])}
    for rung, change in (RUNGS if own else FROM_ZERO).items():
        asked |= change
        rho, full = asked["share"] * gates.longest, round(time / asked["share"])
        arch = replace(TABLE, bias=asked["bias"])
        start = [regimes.start("FRNPF-II", arch, seed, None, asked["start"]) for seed in seeds]
        learner = BatchedLearner(start, x, y, new, new_labels, common.CPU, gates=gates.tables)
        f0, new_f0 = outputs(learner, x, gates.old), outputs(learner, new, gates.new)
        if asked["reach"] < 1:
            for name, scale in {"from zero": 0, "mean kernel": 1}.items():
                scores[name] = flow(gates.mean, gates.rows, scale * f0, scale * new_f0, aim, rho, full)
        begun, new_begun = (f0, new_f0) if asked["own"] else (0 * f0, 0 * new_f0)
        if asked["loss"] == "squared":
            learner.loss_of, learner.labels = towards((f0 + asked["reach"] * (aim - begun)).float()), torch.arange(n)
        rate = config.learning_rate if asked["optimiser"] == "adam" else rho * n / 2
        updates = keras_optimiser(asked["optimiser"], learner.parameters(), rate)
        epochs = full if asked["batch"] == n else asked["epochs"]
        next(islice(each_epoch(learner, updates, seeds, asked["batch"]), epochs - 1, None))
        scores[rung] = new_begun + (outputs(learner, new, gates.new) - new_f0) / asked["reach"]
    centred = {rung: f - f.mean(2, keepdim=True) for rung, f in scores.items()}
    for rung in centred if own else FROM_ZERO:
        f, goal = centred[rung], centred["mean kernel" if own else "from zero"]
        right = (answers(f) == new_labels).double().mean(1)
        nearest = (f * goal).sum((1, 2), True) / f.square().sum((1, 2), True) * f
        metrics = {"accuracy": right.tolist(), "distance": relative(nearest, goal, goal)}
        found += common.rows_of(seeds, metrics, gates="random", rung=rung)
    return found


def _ridge(kernel: Tensor, rows: Tensor, seed: int, y: Tensor) -> Tensor:
    return kernel_ridge.fit(kernel, y, kernel_ridge.choose_ridge(kernel, y, seed=seed).ridge).scores(rows)


def _evaluate(given: tuple[FlowConfig, common.Sets], unit: str) -> list[Row]:
    kind, _, shape = unit.partition("-")
    return _along(given, kind, *map(int, shape.split("x"))) if shape else _ladder(given, kind == "ladder")


MNIST = Study(
    name="mnist-kernel-flow",
    title="Whether training behind fixed gates is kernel regression, and what each step away from it costs",
    configs={
        "smoke": FlowConfig(300, 40, 100, (0, 1), ((4, 16), (4, 24), (4, 32), (6, 128)), (4, 20), (32,), 2,
                            part=(1_000, 200)),
        "quick": FlowConfig(2_000, 100, 300, (0, 1, 2), ((4, 32), (4, 64), (4, 128), (6, 128)), (2, 10, 50), (), 4,
                            part=(10_000, 1_000)),
        "paper": FlowConfig(6_000, 200, 1_000, (0, 1, 2, 3, 4),
                            (*((4, width) for width in (32, 64, 128, 256, 512, 1_024, 2_048)), (6, 128)),
                            (2, 5, 12, 30, 75, 200, 400), (1_024, 2_048), 24),
    },
    units=lambda config: [
        *(f"random-{depth}x{width}" for depth, width in config.shapes),
        *(f"learnt-{d}x{w}" for d, w in config.shapes if w not in config.wide), "ladder", "zero",
    ],
    prepare=common.drawn,
    evaluate=_evaluate,
    conditions=("gates", "depth", "width", "alpha", "start", "epoch", "rung"),
    listed=("shapes",),
    fit=common.fitted,
)  # fmt: skip
