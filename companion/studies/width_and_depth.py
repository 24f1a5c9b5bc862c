"""Width and depth: how far learnt gates are ahead of random ones, FLNPF − FRNPF (II).

For each architecture ReLU networks are trained; value networks from a fresh start are trained behind their last gates
(FLNPF) and behind those of untrained networks (FRNPF (II)), all alike. A row has the last epoch's test accuracies of
one ``depth`` and ``width``: width is swept at the depth of the paper's MNIST network, depth at its width.
"""

from dataclasses import dataclass

from companion.studies import common
from companion.studies.study import Row, Study
from npflib.architectures import FullyConnected

DEPTH, WIDTH = 6, 128


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

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(depth, width) of every network, each once."""
        return list(dict.fromkeys([*((DEPTH, width) for width in self.widths), *((d, WIDTH) for d in self.depths)]))


def _evaluate(given: tuple[ShapeConfig, common.Sets], unit: str) -> list[Row]:
    (config, sets), (depth, width) = given, (int(number) for number in unit.split("x"))
    found = common.references(FullyConnected(depth, width, sets[0].shape[1]), sets, config)
    return common.rows_of(config.seeds, found, depth=depth, width=width)


MNIST = Study(
    name="mnist-width-and-depth",
    title="How far learnt gates are ahead of random ones, by width and by depth",
    datasets=("mnist",),
    configs={
        "smoke": ShapeConfig(500, 1, (0, 1), (8, 16), (2, 3), part=(1_000, 500)),
        "quick": ShapeConfig(3_000, 2, (0, 1, 2), (16, 128), (2, 6)),
        "paper": ShapeConfig(20_000, 4, (0, 1, 2), (16, 32, 64, 128, 256), (2, 3, 4, 6, 8, 12)),
    },
    units=lambda config: [f"{depth}x{width}" for depth, width in config.shapes],
    prepare=common.drawn,
    evaluate=_evaluate,
    conditions=("depth", "width"),
    shares=common.REFERENCES,
    listed=("widths", "depths"),
    fit=common.fitted,
)
