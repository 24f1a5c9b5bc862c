"""Many runs on one device before time is up: measured, planned, side by side, resumed, packed (``npf campaign``).

A run is one regime of one experiment with one seed, trained by ``training.ensure`` in a process of its own. What it
takes is measured where it will be trained, with as many neighbours; the plan follows from that alone.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from math import inf
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

from npflib import checks, experiments, profiles, regimes
from npflib.records import run_records, weights
from npflib.records.atomic import read_json, replacing, write_text, write_with

# The paper's table on CIFAR-10 and its stages, worth most first.
ORDER = ("cifar10-gconv-adam", "cifar10-continuous", "cifar10-gconv-sgd", "cifar10-vconv-adam", "cifar10-vconv-sgd")
PART = 16 * 2**20  # bytes of what is brought back in one file
PUBLISHED = 10**6  # bytes: weights of ReLU runs below are published (CONTRIBUTING.md)
STEPS, SECONDS = 4, 0.5  # to an epoch that is timed, and for how long it is repeated
Run = tuple[str, str, int]  # experiment, regime, seed


def needed(run: Run) -> Run | None:
    """The run whose gates it copies; None for most."""
    return (run[0], "ReLU", run[2]) if regimes.find(run[1]).feature == "learnt" else None


def next_run(
    waiting: Mapping[Run, float], running: Mapping[Run, float], done: Collection[Run], now: float, end: float
) -> Run | None:
    """The first of the waiting runs that may begin now: what it needs is there, and it will be whole before the end.

    A second seed waits until every run of the first that can be whole in time has begun, and two seeds of one regime
    never run together: ``ensure`` would let one wait for the other.

    Args:
        waiting: run → its seconds; seed by seed, worth most first.
        running: run → when it should be whole.
        done: runs that are whole.
        now: the time in seconds.
        end: when time is up.
    """

    def earliest(run: Run) -> float:
        free, first = max([now, *(at for other, at in running.items() if other[:2] == run[:2])]), needed(run)
        if first is None or first in done:
            return free
        return max(free, running[first] if first in running else now + waiting.get(first, inf))

    possible = [run for run, seconds in waiting.items() if earliest(run) + seconds <= end]
    for run in possible:
        ready = needed(run) is None or needed(run) in done
        if ready and run[2] == possible[0][2] and all(other[:2] != run[:2] for other in running):
            return run
    return None


def plan(
    runs: Mapping[Run, float], side_by_side: int, end: float, done: Collection[Run] = (), now: float = 0.0
) -> dict[Run, tuple[float, float]]:
    """When each run begins and when it is whole; those that would not be whole before the end are left out."""
    waiting, running, whole, found = dict(runs), dict[Run, float](), set(done), {}
    while True:
        while len(running) < side_by_side and (run := next_run(waiting, running, whole, now, end)):
            running[run] = now + waiting.pop(run)
            found[run] = (now, running[run])
        if not running:
            return found
        now = min(running.values())
        whole |= {run for run, at in running.items() if at <= now}
        running = {run: at for run, at in running.items() if at > now}


def pack(folder: Path, done: Iterable[Run], into: Path, limit: int = PART) -> list[Path]:
    """Packs whole runs' records, and the weights that are published, into zip files of at most ``limit`` bytes.

    Each is a whole archive of whole files, as they lie below ``results/``; a ValueError names one too large for it.
    """
    files: list[Path] = []
    for run in sorted(done):
        tensors = weights.path_of(folder, *run)
        published = run[1] == "ReLU" and tensors.stat().st_size < PUBLISHED
        files += [run_records.path_of(folder, *run), tensors][: 1 + published]
    parts, room = list[dict[str, bytes]](), 0
    for path in files:
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        takes = len(content) + 2 * len(name) + 128  # with its two headers and its share of the archive's end
        if takes > limit:
            raise ValueError(f"{path}, {len(content)} bytes, fits into no file of {limit}: bring it back by itself.")
        if takes > room:
            parts, room = [*parts, {}], limit
        parts[-1][name] = content
        room -= takes
    made = {into / f"part-{number:02}.zip": part for number, part in enumerate(parts, 1)}
    for path, part in made.items():
        with replacing(path) as file, ZipFile(file, "w") as archive:
            for name, content in part.items():
                archive.writestr(ZipInfo(name), content)  # which bears no time: the same files, the same bytes
    for path in set(into.glob("part-*.zip")) - set(made):
        path.unlink()
    return list(made)


class Campaign:
    """Experiments, worth most first, within some hours; a ValueError says at once what cannot be done."""

    def __init__(
        self, hours: float, profile: str = "paper", *, names: Sequence[str] = ORDER, seeds: Sequence[int] | None = None,
        side_by_side: int = 2, device: str | None = None, precision: str = "", build: str | os.PathLike = "",
    ):  # fmt: skip
        self.began, self.end = time.monotonic(), 3600 * checks.number(hours, "hours")
        self.side_by_side, self.profile = checks.whole(side_by_side, "side_by_side"), profile
        scale = profiles.find(profile)
        from npflib.records.fingerprint import training_source_hash
        from npflib.training import runs

        where = runs._checked_device(device)
        self.seeds = runs._checked_seeds(scale.seeds if seeds is None else seeds)
        self.device, self.precision = str(where), precision or ("bfloat16" if where.type == "cuda" else "float32")
        self.orders = dict[tuple[str, str], runs.Order]()
        for one in map(experiments.find, dict.fromkeys(names)):
            order = runs.ordered(one.name, one.regimes[0], profile, build, self.device, self.precision)
            if order.truth.source.stand_in and scale.is_full:
                raise ValueError(f"{order.truth.source.banner()} Set NPF_DATA to a folder with the real files.")
            self.orders |= {(one.name, regime): replace(order, regime=regime) for regime in one.regimes}
        self.folder = order.folder
        self.code = training_source_hash()
        asked = {"precision": self.precision, "side_by_side": side_by_side, "code": self.code}
        self.machine, self.failed = runs.environment_of(where) | asked, list[Run]()

    def lines(self, dry_run: bool = False) -> Iterator[str]:
        """Measures, plans and, but for a dry run, trains; says so line by line."""
        self._measure_all()
        seconds = self._seconds()
        runs, done = {run: cost for run, cost in seconds.items() if cost}, {run for run in seconds if not seconds[run]}
        found = plan(runs, self.side_by_side, self.end, done, self._now())
        yield f"{len(done)} runs are whole, {len(runs)} are not. {self.side_by_side} side by side, {self.precision}, on"
        yield f"{self.machine['device']}. Hours, minutes and seconds since the command was given:"
        yield from (f"{_clock(begins)} to {_clock(ends)}  {_name(run)}" for run, (begins, ends) in found.items())
        for seed in self.seeds:
            left = [run for run in runs if run[2] == seed]
            ends = [found[run][1] for run in left if run in found]
            by = f" will be whole by {_clock(max(ends)).strip()}" if ends else " will be whole in time"
            yield f"seed {seed}: {len(ends)} of the {len(left)} that are left{by}"
        for run in (run for run in runs if run not in found):
            yield f"not whole within {self.end / 3600:g} h: {_name(run)}, which takes {_clock(runs[run]).strip()}"
        if not dry_run:
            yield from self._train_all(runs, done)

    def _now(self) -> float:
        return time.monotonic() - self.began

    def _kept(self, experiment: str, regime: str) -> tuple[Path, dict[str, float] | None]:
        """Where the costs of a regime are kept, stages of FLNPF alike; and what is kept there of this machine."""
        path = self.folder / "campaign" / f"{experiment}-{regime.partition('-stage-')[0]}.json"
        try:
            found = read_json(path, "measurement", "Delete it.")
        except ValueError:
            found = {}
        return path, found["seconds"] if found.get("machine") == self.machine else None

    def _measure_all(self) -> None:
        missing = {path: cell for cell in self.orders for path, found in [self._kept(*cell)] if found is None}

        def choose(running: int) -> tuple | None:
            if running == self.side_by_side or not missing:
                return None
            path = next(iter(missing))
            cell = missing.pop(path)
            options = {"device": self.device, "precision": self.precision, "machine": self.machine, "path": path}
            return cell, _measure, (*cell, self.profile), options | {"asked": time.time()}

        with closing(_together(choose, self.side_by_side, self.began + self.end)) as ended:
            for cell, well in ended:
                if not well:
                    raise ValueError(f"the steps of {' '.join(cell)} could not be measured, as said above.")

    def _seconds(self) -> dict[Run, float]:
        """What is left of each run, seed by seed and worth most first; 0 where it is whole."""
        from npflib.training import runs

        found: dict[Run, float] = {}
        for cell, order in self.orders.items():
            cost = self._kept(*cell)[1]
            if cost is None:
                raise ValueError("time was up before every step was measured: give more hours.")
            behind = {}
            for path in order.checkpoints.glob("*.pt"):
                state = runs._read_checkpoint(path)
                if state is None or len(state["history"]) > 1:
                    continue  # of several seeds together, which no run of a campaign goes on from
                if (
                    state["identity"]["configuration"] == order.configuration
                    and state["identity"]["source"] == self.code
                ):
                    behind[state["identity"]["seeds"][0]] = len(state["history"][0]["test_accuracy"])
            steps = -(-len(order.dataset.train_labels) // order.experiment.batch)
            epoch = steps * cost["step"] + len(order.dataset.test_labels) * cost["test"] + cost["checkpoint"]
            for seed in self.seeds:
                left = order.configuration["epochs"] - behind.get(seed, 0)
                found[*cell, seed] = 0 if order.record(order.runs, seed) else cost["start"] + left * epoch
        return {run: found[run] for run in sorted(found, key=lambda run: self.seeds.index(run[2]))}

    def _train_all(self, waiting: dict[Run, float], done: set[Run]) -> Iterator[str]:
        from npflib.training import ensure

        waiting, running, into = dict(waiting), dict[Run, float](), self.folder / "campaign"
        options = {"build": self.folder, "device": self.device, "precision": self.precision, "progress": False}

        def choose(busy: int) -> tuple | None:
            if busy == self.side_by_side or not (run := next_run(waiting, running, done, self._now(), self.end)):
                return None
            running[run] = self._now() + waiting.pop(run)
            return run, ensure, (*run[:2], self.profile), options | {"seeds": run[2:]}

        parts = pack(self.folder / "runs", done, into)
        with closing(_together(choose, self.side_by_side, self.began + self.end)) as ended:
            for run, well in ended:
                del running[run]
                (done.add if well else self.failed.append)(run)
                parts = pack(self.folder / "runs", done, into)
                yield f"{_clock(self._now())}  {_name(run)} {'is whole' if well else 'FAILED, as said above'}"
        if left := len(waiting) + len(running) + len(self.failed):
            yield f"{left} runs are not whole. The same command goes on from their last finished epochs."
        yield f"Bring back: {' '.join(map(str, parts)) or 'nothing yet'}"


def _name(run: Run) -> str:
    return f"{run[0]} {run[1]} seed {run[2]}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600:3}:{whole // 60 % 60:02}:{whole % 60:02}"


def _together(choose: Callable[[int], tuple | None], share: int, until: float) -> Generator[tuple[Any, bool]]:
    """Does what is chosen, each in a process of its own; yields what ended and whether well. None outlives this."""
    context, running = multiprocessing.get_context("spawn"), dict[Any, Any]()
    try:
        while time.monotonic() < until:
            while chosen := choose(len(running)):
                task, *work = chosen
                process = context.Process(target=_child, args=(share, *work), daemon=True)
                process.start()
                running[process] = task
            if not running:
                return
            wait([process.sentinel for process in running], timeout=max(0.0, until - time.monotonic()))
            for process in [process for process in running if not process.is_alive()]:
                yield running.pop(process), process.exitcode == 0
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.join()


def _child(share: int, work: Callable, names: tuple[str, ...], options: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends its children
    above = multiprocessing.parent_process().sentinel  # type: ignore[union-attr]  # a child has a parent
    threading.Thread(target=lambda: (wait([above]), os._exit(1)), daemon=True).start()  # also one that was killed
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // share))
    try:
        work(*names, **options)
    except (ValueError, OSError) as error:
        sys.exit(f"{' '.join(names)}: {error}")


def _measure(
    experiment: str, regime: str, profile: str, device: str, precision: str, machine: dict, path: Path, asked: float
) -> None:
    """Times a start, a step, a test example and a checkpoint beside the neighbours that a run will have."""
    import torch

    from npflib import data
    from npflib.training import loop, optimisers, runs

    one = experiments.find(experiment)
    order = runs.ordered(experiment, regime, profile, path.parents[1], device, precision)
    few = data.subset(order.truth, STEPS * one.batch, 4 * one.batch)
    learnt = regimes.start("ReLU", one.arch, 0) if needed((experiment, regime, 0)) else None
    network = regimes.start(regime, one.arch, 0, learnt, one.initialisation)  # type: ignore[arg-type]
    learner = runs._learner(replace(order, truth=few), [network])
    updates = optimisers.keras_optimiser(one.optimiser, learner.parameters(), one.learning_rate)
    epochs = loop.each_epoch(learner, updates, [0], one.batch)

    def checkpoint() -> None:
        state = [[p.cpu() for p in learner.parameters()], updates.state_dict(), learner.state_dict(0)]
        write_with(path.with_suffix(".pt"), lambda file: torch.save(state, file))

    seconds = {"start": time.time() - asked}
    seconds["step"] = _timed(lambda: (next(epochs), learner.take_running(1))) / STEPS  # the latter waits for the device
    seconds["test"] = _timed(learner.test) / len(few.test_labels)
    seconds["checkpoint"] = _timed(checkpoint)
    path.with_suffix(".pt").unlink()
    write_text(path, json.dumps({"machine": machine, "seconds": seconds}, indent=1) + "\n")


def _timed(work: Callable[[], object]) -> float:
    """Seconds of a call; the first, in which things are made, does not count."""
    work()
    began, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - began < SECONDS:
        work()
        calls += 1
    return (time.perf_counter() - began) / calls
