"""Timing side by side: the rivals take turns, so that what else the machine does falls on all of them alike."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from statistics import median

import torch

from npflib.training.runs import environment_of


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


def side_by_side(
    what: str,
    rivals: Mapping[str, Callable[[], object]],
    fast: str,
    rounds: int,
    *,
    target: float | None = None,
    calls: int = 1,
    work: Mapping[str, float] | None = None,
    rates: str = "",
) -> Iterator[dict]:
    """Compares the rival ``fast`` with the fastest of the others, for one thread and for all cores.

    Args:
        what: what is compared.
        rivals: name → call.
        fast: the rival whose lead is measured.
        rounds: timed rounds.
        target: the ratio aimed at, judged where each side has its best number of threads.
        calls: repetitions within one call, for the milliseconds shown.
        work: work of one call of each rival, where they differ; the ratio is then one of work a second.
        rates: unit of the work a second, if it is to be shown.

    Yields:
        A result for each number of threads, then the one with each side at its best.
    """
    work = work or dict.fromkeys(rivals, 1.0)
    best: dict[str, tuple[list[float], int]] = {}
    for threads in thread_counts():
        torch.set_num_threads(threads)
        seconds = interleaved(rivals, rounds)
        speed = {name: work[name] / median(taken) for name, taken in seconds.items()}
        for name, taken in seconds.items():
            if name not in best or median(taken) < median(best[name][0]):
                best[name] = taken, threads
        figures = {"milliseconds": {name: 1e3 * median(taken) / calls for name, taken in seconds.items()}}
        if rates:
            figures = {rates: {name: value / 1e9 for name, value in speed.items()}}
        slow = max((name for name in rivals if name != fast), key=speed.get)
        ratio = compared(seconds[slow], seconds[fast], work[fast] / work[slow])
        label = f"{threads} thread{'s' * (threads > 1)}"
        yield {"what": f"{what}, {label}", "threads": threads, **figures, "against": slow, **ratio, "target": None}
    slow = max((name for name in rivals if name != fast), key=lambda name: work[name] / median(best[name][0]))
    yield {
        "what": f"{what}, each at its best",
        "threads": {name: best[name][1] for name in (slow, fast)},
        "against": slow,
        **compared(best[slow][0], best[fast][0], work[fast] / work[slow]),
        "target": target,
    }


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
