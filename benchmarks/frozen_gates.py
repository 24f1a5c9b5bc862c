"""Frozen gates looked up in a table, against gates computed anew in every step (FRNPF, five seeds, FC 128×6)."""

from collections.abc import Iterator
from statistics import median

import torch
from mnist_training import stacked
from timing import compared, interleaved, thread_counts

from npflib import data


def measure(steps: int, rounds: int) -> Iterator[dict]:
    """One result for every number of threads."""
    dataset = data.load("mnist")
    for threads in thread_counts():
        torch.set_num_threads(threads)
        rivals = {
            "computed": stacked("FRNPF-II", dataset, steps, reuse_gates=False),
            "looked up": stacked("FRNPF-II", dataset, steps, reuse_gates=True),
        }
        seconds = interleaved(rivals, rounds)
        yield {
            "what": f"frozen gates looked up, not computed, {threads} thread{'s' * (threads > 1)}",
            "threads": threads,
            "milliseconds a step": {name: 1e3 * median(s) / steps for name, s in seconds.items()},
            **compared(seconds["computed"], seconds["looked up"]),
            "target": None,
        }
