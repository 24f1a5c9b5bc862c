"""Frozen gates looked up in a table, against gates computed anew in every step (FRNPF, five seeds, FC 128×6)."""

from collections.abc import Iterator

from mnist_training import stacked
from timing import side_by_side

from npflib import data


def measure(steps: int, rounds: int) -> Iterator[dict]:
    """One comparison."""
    dataset = data.load("mnist")
    rivals = {
        "computed": stacked("FRNPF-II", dataset, steps, reuse_gates=False),
        "looked up": stacked("FRNPF-II", dataset, steps, reuse_gates=True),
    }
    yield from side_by_side("frozen gates, milliseconds a step", rivals, "looked up", rounds, calls=steps)
