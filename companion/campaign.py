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
from contextlib import closing, suppress
from dataclasses import replace
from math import inf
from multiprocessing.connection import wait
from pathlib import Path
from timeit import Timer
from typing import Any
from zipfile import ZipFile, ZipInfo

import torch

from npflib import checks, data, experiments, profiles, regimes
from npflib.records import run_records, weights
from npflib.records.atomic import read_json, replacing, write_text, write_with
from npflib.records.fingerprint import training_source_hash
from npflib.training import ensure, loop, optimisers, runs

# The paper's table on CIFAR-10 and its stages, worth most first.
ORDER = ("cifar10-gconv-adam", "cifar10-continuous", "cifar10-gconv-sgd", "cifar10-vconv-adam", "cifar10-vconv-sgd")
PART = 16 * 2**20  # bytes of what is brought back in one file
PUBLISHED = 10**6  # bytes: weights of ReLU runs below are published (CONTRIBUTING.md)
STEPS = 4  # to an epoch that is timed
Run = tuple[str, str, int]  # experiment, regime, seed
NAME = "{} {} seed {}".format
Times = Mapping[Run, float]
Spans = dict[Run, tuple[float, float]]


def needed(run: Run) -> Run | None:
    """The run whose gates it copies; None for most."""
    return (run[0], "ReLU", run[2]) if regimes.find(run[1]).feature == "learnt" else None


def next_run(waiting: Times, running: Times, done: Collection[Run], now: float, end: float) -> Run | None:
    """The first of the waiting runs (run → its seconds; running: run → when it is whole) that may begin now."""

    def soonest_end(run: Run) -> float:
        first = needed(run)
        free = max([now, *(at for other, at in running.items() if other[:2] == run[:2])])
        if first and first not in done:
            free = max(free, running[first] if first in running else now + waiting.get(first, inf))
        return free + waiting[run]

    # A second seed waits until all that is possible of the first has begun, and two seeds of one regime never run
    # together: ``ensure`` would let one wait for the other.
    possible = [run for run in waiting if soonest_end(run) <= end]
    ready = [run for run in possible if needed(run) in {None, *done} and run[2] == possible[0][2]]
    return next((run for run in ready if all(other[:2] != run[:2] for other in running)), None)


def plan(waiting: Times, side_by_side: int, end: float, done: Collection[Run] = (), now: float = 0.0) -> Spans:
    """When each run begins and when it is whole; those that would not be whole before the end are left out."""
    waiting, running, whole, found = dict(waiting), dict[Run, float](), set(done), {}
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
    """Packs whole runs' records, and the weights that are published, as below ``results/``, into zip files."""
    parts, room = list[list[Path]](), 0
    for run in sorted(done):
        tensors = weights.path_of(folder, *run)
        published = run[1] == "ReLU" and tensors.stat().st_size < PUBLISHED
        for path in [run_records.path_of(folder, *run), tensors][: 1 + published]:
            size = path.stat().st_size
            takes = size + 2 * len(path.relative_to(folder).as_posix()) + 128  # two headers, its share of the end
            if takes > limit:
                raise ValueError(f"{path}, {size} bytes, fits into no file of {limit}: bring it back by itself.")
            if takes > room:
                parts, room = [*parts, []], limit
            parts[-1].append(path)
            room -= takes
    made = {into / f"part-{number:02}.zip": part for number, part in enumerate(parts, 1)}
    for target, part in made.items():
        with replacing(target) as file, ZipFile(file, "w") as archive:
            for path in part:  # a ZipInfo bears no time: the same files, the same bytes
                archive.writestr(ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes())
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
        scale, where = profiles.find(profile), runs._checked_device(device)
        self.seeds = runs._checked_seeds(scale.seeds if seeds is None else seeds)
        self.device, self.precision = str(where), precision or ("bfloat16" if where.type == "cuda" else "float32")
        self.orders = dict[tuple[str, str], runs.Order]()
        for one in map(experiments.find, dict.fromkeys(names)):
            order = runs.ordered(one.name, one.regimes[0], profile, build, self.device, self.precision)
            if order.truth.source.stand_in and scale.is_full:
                raise ValueError(f"{order.truth.source.banner()} Set NPF_DATA to a folder with the real files.")
            self.orders |= {(one.name, regime): replace(order, regime=regime) for regime in one.regimes}
        self.folder = order.folder
        asked = {"precision": self.precision, "side_by_side": side_by_side, "code": training_source_hash()}
        self.machine, self.failed = runs.environment_of(where) | asked, list[Run]()

    def lines(self, dry_run: bool = False) -> Iterator[str]:
        """Measures, plans and, but for a dry run, trains; says so line by line."""
        missing = {path: cell for cell in self.orders for path, found in [self._kept(*cell)] if found is None}
        given = {"machine": self.machine}
        tasks = ((cell, _measure, given | {"path": path, "asked": time.time()}) for path, cell in missing.items())
        with closing(self._together(lambda: next(tasks, None))) as ended:
            for cell, well in ended:
                if not well:
                    raise ValueError(f"the steps of {' '.join(cell)} could not be measured, as said above.")
        costs = self._seconds()
        done = {run for run in costs if not costs[run]}
        todo = {run: seconds for run, seconds in costs.items() if seconds}
        found = plan(todo, self.side_by_side, self.end, done, self._now())
        yield f"{len(done)} runs are whole, {len(todo)} are not. {self.side_by_side} side by side, {self.precision}, on"
        yield f"{self.machine['device']}. Hours, minutes and seconds since the command was given:"
        yield from (f"{_clock(begins)} to {_clock(ends)}  {NAME(*run)}" for run, (begins, ends) in found.items())
        for seed in self.seeds:
            left = [run for run in todo if run[2] == seed]
            ends = [found[run][1] for run in left if run in found]
            by = f" will be whole by {_clock(max(ends)).strip()}" if ends else " will be whole in time"
            yield f"seed {seed}: {len(ends)} of the {len(left)} that are left{by}"
        for run in (run for run in todo if run not in found):
            yield f"not whole within {self.end / 3600:g} h: {NAME(*run)}, which takes {_clock(todo[run]).strip()}"
        if not dry_run:
            yield from self._train_all(todo, done)

    def _now(self) -> float:
        return time.monotonic() - self.began

    def _kept(self, experiment: str, regime: str) -> tuple[Path, dict[str, float] | None]:
        """Where the costs of a regime are kept, stages of FLNPF alike; and what is kept there of this machine."""
        path = self.folder / "campaign" / f"{experiment}-{regime.partition('-stage-')[0]}.json"
        with suppress(ValueError):
            found = read_json(path, "measurement", "Delete it.")
            return path, found["seconds"] if found.get("machine") == self.machine else None
        return path, None

    def _seconds(self) -> dict[Run, float]:
        """What is left of each run, seed by seed and worth most first; 0 where it is whole."""
        found: dict[Run, float] = {}
        for cell, order in self.orders.items():
            cost = self._kept(*cell)[1]
            if cost is None:
                raise ValueError("time was up before every step was measured: give more hours.")
            asked = {"configuration": order.configuration, "source": self.machine["code"]}
            behind = {
                state["identity"]["seeds"][0]: len(state["history"][0]["test_accuracy"])
                for state in map(runs._read_checkpoint, order.checkpoints.glob("*.pt"))
                if state and asked.items() <= state["identity"].items() and len(state["history"]) == 1
            }  # from a checkpoint of several seeds together no run of a campaign goes on
            steps = -(-len(order.dataset.train_labels) // order.experiment.batch)
            epoch = steps * cost["step"] + len(order.dataset.test_labels) * cost["test"] + cost["checkpoint"]
            for seed in self.seeds:
                left = order.configuration["epochs"] - behind.get(seed, 0)
                found[*cell, seed] = 0 if order.record(order.runs, seed) else cost["start"] + left * epoch
        return {run: found[run] for run in sorted(found, key=lambda run: self.seeds.index(run[2]))}

    def _train_all(self, waiting: dict[Run, float], done: set[Run]) -> Iterator[str]:
        running, into = dict[Run, float](), self.folder / "campaign"

        def choose() -> tuple | None:
            if run := next_run(waiting, running, done, self._now(), self.end):
                running[run] = self._now() + waiting.pop(run)
                return run, ensure, {"build": self.folder, "progress": False, "seeds": run[2:]}
            return None

        parts = pack(self.folder / "runs", done, into)
        with closing(self._together(choose)) as ended:
            for run, well in ended:
                del running[run]
                (done.add if well else self.failed.append)(run)
                parts = pack(self.folder / "runs", done, into)
                yield f"{_clock(self._now())}  {NAME(*run)} {'is whole' if well else 'FAILED, as said above'}"
        if left := len(waiting) + len(running) + len(self.failed):
            yield f"{left} runs are not whole. The same command goes on from their last finished epochs."
        yield f"Bring back: {' '.join(map(str, parts)) or 'nothing yet'}"

    def _together(self, choose: Callable[[], tuple | None]) -> Generator[tuple[Any, bool]]:
        """Does what is chosen, each in a process of its own; yields what ended and whether well. None outlives this."""
        context, running = multiprocessing.get_context("spawn"), dict[Any, Any]()
        try:
            while self._now() < self.end:
                while len(running) < self.side_by_side and (chosen := choose()):
                    task, work, options = chosen
                    options |= {"device": self.device, "precision": self.precision}
                    given = (self.side_by_side, work, (*task[:2], self.profile), options)
                    process = context.Process(target=_child, args=given, daemon=True)
                    process.start()
                    running[process] = task
                if not running:
                    return
                wait([process.sentinel for process in running], timeout=max(0.0, self.end - self._now()))
                for process in [process for process in running if not process.is_alive()]:
                    yield running.pop(process), process.exitcode == 0
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.join()


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600:3}:{whole // 60 % 60:02}:{whole % 60:02}"


def _child(share: int, work: Callable, names: tuple[str, ...], options: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends its children
    above = multiprocessing.parent_process().sentinel  # type: ignore[union-attr]  # a child has a parent
    threading.Thread(target=lambda: (wait([above]), os._exit(1)), daemon=True).start()  # also one that was killed
    torch.set_num_threads(max(1, torch.get_num_threads() // share))
    try:
        work(*names, **options)
    except (ValueError, OSError) as error:
        sys.exit(f"{' '.join(names)}: {error}")


def _measure(experiment: str, regime: str, profile: str, path: Path, machine: dict, asked: float, **on: Any) -> None:
    """Times a start, a step, a test example and a checkpoint beside the neighbours that a run will have."""
    order = runs.ordered(experiment, regime, profile, path.parents[1], **on)
    one = order.experiment
    few = data.subset(order.truth, STEPS * one.batch, 4 * one.batch)
    learnt = regimes.start("ReLU", one.arch, 0) if needed((one.name, regime, 0)) else None
    network = regimes.start(regime, one.arch, 0, learnt, one.initialisation)  # type: ignore[arg-type]
    learner = runs._learner(replace(order, truth=few), [network])
    updates = optimisers.keras_optimiser(one.optimiser, learner.parameters(), one.learning_rate)
    epochs = loop.each_epoch(learner, updates, [0], one.batch)
    kept = path.with_suffix(".pt")

    def checkpoint() -> None:
        state = [[p.cpu() for p in learner.parameters()], updates.state_dict(), learner.state_dict(0)]
        write_with(kept, lambda file: torch.save(state, file))

    seconds = {"start": time.time() - asked}
    seconds["step"] = _timed(lambda: (next(epochs), learner.take_running(1))) / STEPS  # the latter waits for the device
    seconds["test"] = _timed(learner.test) / len(few.test_labels)
    seconds["checkpoint"] = _timed(checkpoint)
    kept.unlink()
    write_text(path, json.dumps({"machine": machine, "seconds": seconds}, indent=1) + "\n")


def _timed(work: Callable[[], object]) -> float:
    """Seconds of a call; the first, in which things are made, does not count."""
    work()
    calls, seconds = Timer(work).autorange()
    return seconds / calls
