"""Two things that are varied around the table's network: how soft gates are, and how wide and deep networks.

**Soft gates:** how steep, how large, and whether hard gates can learn with a surrogate gradient. Deep gated networks
whose gates learn (DLNPF) with each steepness β and overshoot ε ("soft"), and with hard gates straight through
("through", ``training.batched``), all from the same starts on the same examples. A row has

* ``accuracy``: of the trained network as it is;
* ``hardened``: with its gates binarised and nothing trained again;
* ``fresh``: of a fresh value network behind the hard pattern 1[q > 0] that it has learnt (as FLNPF does with ReLU's);
* ``undecided``: the share of its gates between a tenth and nine tenths of 1 + ε;

or, of ReLU, FLNPF and FRNPF (II) at the same budget, ``accuracy`` alone. Everything is the last epoch's.

**Width and depth:** how far learnt gates are ahead of random ones, FLNPF − FRNPF (II). For each architecture ReLU
networks are trained; value networks from a fresh start are trained behind their last gates (FLNPF) and behind those of
untrained networks (FRNPF (II)), all alike. A row has the last epoch's test accuracies of one ``depth`` and ``width``:
width is swept at the depth of the paper's MNIST network, depth at its width.
"""

from dataclasses import dataclass
from typing import Any

from companion.studies import common
from companion.studies.study import Row, Study
from npflib import regimes
from npflib.architectures import FullyConnected
from npflib.training.batched import BatchedLearner

DEPTH, WIDTH = 6, 128
ARCH = FullyConnected(DEPTH, WIDTH)


@dataclass(frozen=True)
class SoftConfig:
    """What is asked for: every network's training ``examples`` and ``epochs``, and which gates."""

    examples: int
    epochs: int
    seeds: tuple[int, ...]
    soft: tuple[tuple[float, float], ...]  # (β, ε)
    through: tuple[float, ...]  # β of the surrogate gradient, at ε = 0.1
    arch: FullyConnected = ARCH
    learning_rate: float = common.LEARNING_RATE
    part: tuple[int, int] | None = None  # of the data counts; None is all


def _evaluate_gates(given: tuple[SoftConfig, common.Sets], unit: str) -> list[Row]:
    (config, sets), seeds = given, given[0].seeds
    if unit == "references":
        found = common.references(config.arch, sets, config)
        return [row for name in found for row in common.rows_of(seeds, {"accuracy": found[name]}, gates=name)]
    kind, beta, eps = unit.split("_")
    gate: Row = {"gates": kind, "beta": float(beta), "eps": float(eps)}
    networks: Any = [regimes.start("DLNPF", config.arch, seed) for seed in seeds]
    slopes, excesses = [gate["beta"]] * len(seeds), [gate["eps"]] * len(seeds)
    learner = BatchedLearner(networks, *sets, betas=slopes, excesses=excesses, straight_through=kind == "through")
    metrics = {"accuracy": common.trained(learner, config), "hardened": learner.test_binarised()}
    patterns = learner.gate_tables(sets[0]), learner.gate_tables(sets[2])
    metrics |= {"fresh": common.behind(*patterns, config.arch, sets, config), "undecided": learner.undecided()}
    return common.rows_of(seeds, metrics, **gate)


FEW = ((0.25, 0.1), (4.0, 0.1), (64.0, 0.1), (4.0, 0.0), (4.0, 1.0))
STEEP = (0.25, 1.0, 4.0, 16.0, 64.0, 256.0)
MNIST = Study(
    name="mnist-soft-gates",
    title="How soft a gate may be, and whether hard gates learn with a surrogate gradient",
    configs={
        "smoke": SoftConfig(500, 1, (0, 1), FEW, (4.0,), part=(1_000, 500)),
        "quick": SoftConfig(3_000, 2, (0, 1, 2), FEW, (4.0,)),
        "paper": SoftConfig(
            20_000, 4, (0, 1, 2, 3, 4), (*((beta, 0.1) for beta in STEEP), (4.0, 0.0), (4.0, 0.5), (4.0, 1.0)),
            (1.0, 4.0, 16.0),
        ),
    },
    units=lambda config: [
        *(f"soft_{beta}_{eps}" for beta, eps in config.soft), *(f"through_{beta}_0.1" for beta in config.through),
        "references",
    ],
    prepare=common.drawn,
    evaluate=_evaluate_gates,
    conditions=("gates", "beta", "eps"),
    shares=("accuracy", "hardened", "fresh", "undecided"),
    listed=("soft", "through"),
    fit=common.fitted,
)  # fmt: skip


@dataclass(frozen=True)
class ShapeConfig:
    """What is asked for: every network's training ``examples`` and ``epochs``, and which networks."""

    examples: int
    epochs: int
    seeds: tuple[int, ...]
    widths: tuple[int, ...]  # at depth 6
    depths: tuple[int, ...]  # in weight layers, at width 128
    learning_rate: float = common.LEARNING_RATE
    part: tuple[int, int] | None = None  # of the data counts; None is all


def _evaluate(given: tuple[ShapeConfig, common.Sets], unit: str) -> list[Row]:
    (config, sets), (depth, width) = given, (int(number) for number in unit.split("x"))
    found = common.references(FullyConnected(depth, width, sets[0].shape[1]), sets, config)
    return common.rows_of(config.seeds, found, depth=depth, width=width)


SHAPES = Study(
    name="mnist-width-and-depth",
    title="How far learnt gates are ahead of random ones, by width and by depth",
    configs={
        "smoke": ShapeConfig(500, 1, (0, 1), (8, 16), (2, 3), part=(1_000, 500)),
        "quick": ShapeConfig(3_000, 2, (0, 1, 2), (16, 128), (2, 6)),
        "paper": ShapeConfig(20_000, 4, (0, 1, 2), (16, 32, 64, 128, 256), (2, 3, 4, 6, 8, 12)),
    },
    units=lambda config: list(
        dict.fromkeys([*(f"{DEPTH}x{w}" for w in config.widths), *(f"{d}x{WIDTH}" for d in config.depths)])
    ),
    prepare=common.drawn,
    evaluate=_evaluate,
    conditions=("depth", "width"),
    shares=common.REFERENCES,
    listed=("widths", "depths"),
    fit=common.fitted,
)
