"""Timing side by side: the rivals take turns, so that what else the machine does falls on all of them alike."""

import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from statistics import median

import torch

from npflib.training import environment_of


def interleaved(rivals: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every round of every rival, A B A B …; one untimed round comes first."""
    seconds = {name: [] for name in rivals}
    for number in range(rounds + 1):
        for name, work in rivals.items():
            started = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def compared(slow: list[float], fast: list[float], scale: float = 1.0) -> dict[str, float]:
    """How many times ``fast`` is faster: of the medians, and the smallest and largest of the single rounds.

    ``scale`` is the work of one call of ``fast`` in units of one call of ``slow``.
    """
    rounds = [scale * a / b for a, b in zip(slow, fast, strict=True)]
    return {"ratio": scale * median(slow) / median(fast), "lowest": min(rounds), "highest": max(rounds)}


def machine() -> dict[str, object]:
    """What the figures depend on besides the code."""
    return {
        **environment_of(torch.device("cpu")),
        "cores": all_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "torchvision": version("torchvision"),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


CORES = torch.get_num_threads()


def all_cores() -> int:
    """The threads that torch chose when it was started: the cores it may use."""
    return CORES


def thread_counts() -> list[int]:
    """One thread, and as many as there are cores."""
    return sorted({1, all_cores()})
