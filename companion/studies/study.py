"""One study: declared once; measured, kept, resumed, published and read by one machinery.

A study asks something of networks trained in memory, seed by seed. It is measured in *units* (a pattern of gates, a
seed), each kept in a file as soon as it is there; what comes out is a ``Table``: rows with their own seed, and a header
that says from what. ``npf study`` runs, resumes and publishes those in ``STUDIES``.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from tqdm import tqdm

from npflib import checks
from npflib.records import locations
from npflib.records.atomic import read_json, unfit, write_text
from npflib.records.fingerprint import fingerprint

SCHEMA = 2
STUDIES: Mapping[str, str] = {  # name → where it is declared; a root of its fingerprint too
    "mnist-kernel-readout": "companion.studies.kernel_readout:MNIST",
    "cifar10-kernel-readout": "companion.studies.kernel_readout:CIFAR10",
    "mnist-infinite-width": "companion.studies.wide_kernels:MNIST",
    "mnist-kernel-flow": "companion.studies.kernel_flow:MNIST",
    "mnist-layer-gates": "companion.studies.layer_gates:MNIST",
    "cifar10-layer-gates": "companion.studies.layer_gates:CIFAR10",
    "mnist-soft-gates": "companion.studies.soft_gates:MNIST",
    "mnist-width-and-depth": "companion.studies.soft_gates:SHAPES",
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """What a study measured."""

    study: str
    name: str  # of the configuration: "smoke", "quick", "full" (all that the study asks for) or "own"
    config: dict[str, Any]  # plain values, without the seeds
    data: list[dict[str, Any]]  # a ``Source.as_dict()`` for each data set
    calls: list[dict[str, Any]]  # what measured it: "seeds", "code" (a fingerprint), "environment", "seconds"
    rows: list[Row]  # one measurement each: its "seed", its conditions, its metrics; by seed
    schema: int = SCHEMA

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return sorted({row["seed"] for row in self.rows})

    @property
    def seconds(self) -> float:
        """What it took in all."""
        return sum(call["seconds"] for call in self.calls)

    def values(self, metric: str, **conditions: Any) -> np.ndarray:
        """A metric under some conditions, by seed, the last epoch's; nan where a row lacks it."""
        if not any(metric in row for row in self.rows):
            there = ", ".join(dict.fromkeys(name for row in self.rows for name in row)) or "no rows"
            raise ValueError(f"{self.study} has no {metric!r}; there are: {there}.")
        return np.array([self._row(seed, conditions).get(metric, np.nan) for seed in self.seeds], dtype=float)

    def options(self, condition: str, **conditions: Any) -> list[Any]:
        """The values that a condition takes where the others are as given, in the order of the rows."""
        fitting = [row for row in self.rows if condition in row and conditions.items() <= row.items()]
        return list(dict.fromkeys(row[condition] for row in fitting))

    def frame(self) -> pd.DataFrame:
        """The rows as a pandas table."""
        return pd.DataFrame(self.rows)

    def _row(self, seed: int, conditions: Mapping[str, Any]) -> Row:
        found = [row for row in self.rows if row["seed"] == seed and conditions.items() <= row.items()]
        epochs = [row.get("epoch", 0) for row in found]
        if found and len(set(epochs)) == len(epochs):
            return found[epochs.index(max(epochs))]
        asked = ", ".join(f"{name} = {value!r}" for name, value in conditions.items()) or "any conditions"
        there = [f"{name} {', '.join(map(str, self.options(name))) or 'none'}" for name in conditions]
        what = f"seed {seed} of {self.study} has {len(found) or 'no'} rows with {asked}"
        raise ValueError(f"{what}; one is needed. There are: {'; '.join(there) or 'others'}.")


FIELDS = {field.name: field.type for field in fields(Table)} | {"rows": list[dict[str, str | bool | int | float]]}


@dataclass(frozen=True)
class Study:
    """What a study is."""

    name: str  # of its folder in ``results/``, and on the command line
    title: str  # what it asks, in a line
    # Profile → a frozen dataclass with ``seeds`` and everything that decides a number, the architecture too. That of
    # "paper" is the study's full one; its name in a table is "full".
    configs: Mapping[str, Any]
    units: Callable[[Any], list[str]]  # configuration → the names of what is measured and kept at once
    # Configuration and data sets → what all units share; refuses at once what cannot be measured, and leaves to the
    # units what takes long.
    prepare: Callable[..., Any]
    evaluate: Callable[[Any, str], list[Row]]  # that and a unit → rows
    conditions: tuple[str, ...]  # what tells a seed's rows apart
    shares: tuple[str, ...] = ("accuracy",)  # metrics between 0 and 1
    datasets: tuple[str, ...] = ("mnist",)  # what it is measured on; stand-ins of these are not published
    listed: tuple[str, ...] = ()  # fields of the configuration that only list units: with more, what is kept counts on
    # Configuration → digests of what else decides a number: published weights.
    given: Callable[[Any], list[str]] = lambda config: []
    # Configuration and data sets → the configuration that they allow; a stand-in is small.
    fit: Callable[..., Any] = lambda config, *_: config

    def load(self, config: Any) -> tuple[Any, ...]:
        """The configuration, fitted to the data sets that there are, and these."""
        from npflib import data

        names = getattr(config, "datasets", self.datasets)
        part = getattr(config, "part", None)
        found = [data.load(name) if part is None else data.subset(data.load(name), *part) for name in names]
        return self.fit(config, *found), *found

    def measure(
        self, config: Any, *data: Any, name: str = "own", build: Path | None = None, progress: bool = True
    ) -> Table:
        """Measures what a configuration asks for on the data sets that ``load`` gives; ``name`` is the header's.

        Each unit is kept in the ``build`` folder, if there is one: a call that is interrupted and repeated goes on from
        there, and several processes share the units among them.
        """
        import torch

        from npflib.training.runs import environment_of

        seeds = list(config.seeds)
        if not seeds or len(set(seeds)) != len(seeds):
            raise ValueError(f"seeds must be one or more different whole numbers; got {seeds!r}.")
        begun, made_by = perf_counter(), {"code": self.code(), "environment": environment_of(torch.device("cpu"))}
        found, names = dict[str, Any](), list(dict.fromkeys(self.units(config)))
        bar = tqdm(total=len(names), desc=self.name, disable=not progress)
        with TemporaryDirectory() as nowhere, torch.no_grad(), bar:
            folder = self.kept_in(build or Path(nowhere), config, *data)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ValueError(f"the build folder cannot be written ({error}): give another one.") from error
            context = self.prepare(config, *data)
            shared = perf_counter() - begun  # counted once
            # What another process is at is left to it, and waited for at the end.
            for waits, unit in product((False, True), names):
                if unit in found:
                    continue
                path, kept = folder / f"{unit}.json", {"call": dict, "rows": list[dict]}
                with suppress(Timeout), FileLock(folder / f".{unit}.lock", timeout=-1 if waits else 0):
                    with suppress(ValueError):  # a damaged file counts for nothing
                        found[unit] = read_json(path, "unit", "It is made again.", fields=kept)
                    if unit not in found:
                        begun = perf_counter()
                        rows = self.evaluate(context, unit)
                        call = {"seconds": shared + perf_counter() - begun} | made_by
                        found[unit], shared = json.loads(json.dumps({"call": call, "rows": rows}, allow_nan=False)), 0.0
                        write_text(path, json.dumps(found[unit]))
                    bar.update()
        rows = sorted((row for unit in names for row in found[unit]["rows"]), key=lambda row: row["seed"])
        name, sources = "full" if name == "paper" else name, [one.source.as_dict() for one in data]
        return Table(self.name, name, plain(config), sources, _calls(found[unit] for unit in names), rows)

    def code(self) -> str:
        """The fingerprint of what decides a number: ``prepare``, ``evaluate`` and all that they reach."""
        return fingerprint(*(f"{part.__module__}:{part.__qualname__}" for part in (self.prepare, self.evaluate)))

    def kept_in(self, build: Path, config: Any, *data: Any) -> Path:
        """The folder of a build for the units of one configuration, on these very data, by this code."""
        from npflib.data import digests

        parts = [(one.train_images, one.train_labels, one.test_images, one.test_labels) for one in data]
        asked = plain(config, without=("seeds", *self.listed))
        seeds = [] if "seeds" in self.listed else list(config.seeds)
        key = json.dumps([asked, seeds, [digests(part) for part in parts], self.code(), self.given(config)])
        return Path(build) / "studies" / self.name / hashlib.sha256(key.encode()).hexdigest()[:16]

    def path_of(self, name: str = "full", folder: Path | None = None) -> Path:
        """Where a table is published; ``folder`` takes the place of ``results/``."""
        return Path(folder or locations.published()) / self.name / f"{name}.json"

    def published(self, name: str = "full", folder: Path | None = None) -> Table | None:
        """The published table; None without one."""
        path = self.path_of(name, folder)
        return self.read(path) if path.exists() else None

    def shown(self, ours: Table) -> Table:
        """What a chapter shows: the published table if it has three seeds or more, else this build's own."""
        full = self.published()
        return full if full is not None and len(full.seeds) >= 3 else ours

    def publish(self, table: Table, folder: Path | None = None) -> Path:
        """Publishes the full table, measured on real data; seeds that are there already are replaced."""
        path = self.path_of(folder=folder)
        for one in table.data:
            if one["stand_in"]:
                why = f"the data are {one['title']}, because {one['reason']}"
                raise ValueError(f"a stand-in is not published: {why}. Set NPF_DATA to a folder with the real files.")
        if table.name != "full" or table.config != plain(self.configs["paper"]):
            raise ValueError(f"only the full configuration is published at {path}; this is {table.name!r}.")
        before = self.published(folder=folder)
        if before is not None:
            if (before.config, before.data) != (table.config, table.data):
                raise ValueError(f"{path} has another configuration or other data; move it away first.")
            others = [{**c, "seeds": [s for s in c["seeds"] if s not in table.seeds]} for c in before.calls]
            rows = [row for row in before.rows if row["seed"] not in table.seeds] + table.rows
            calls = [call for call in others if call["seeds"]] + table.calls
            table = replace(table, rows=sorted(rows, key=lambda row: row["seed"]), calls=calls)
        self.write(table, path)
        return path

    def write(self, table: Table, path: Path) -> None:
        """Writes a table as JSON, whole or not at all, one row a line; ValueError where it contradicts itself."""
        found = asdict(table)
        if fault := self._fault(found):
            raise ValueError(f"the table for {path} is not written: {fault}.")
        rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in found.pop("rows"))
        head = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False).removesuffix("\n}")
        write_text(Path(path), f'{head},\n "rows": [\n  {rows}\n ]\n}}\n')

    def read(self, path: Path) -> Table:
        """Reads what ``write`` wrote; a ValueError names a file that is no such table, and the mend."""
        path, what, again = Path(path), f"table of the study {self.name}", f"npf study {self.name} --profile paper"
        mend = f"Restore it from version control, or delete it and measure it again: {again} --publish."
        found = read_json(path, what, mend, schema=SCHEMA, fields=FIELDS)
        other = f"it holds the table {found.get('name')!r}, which belongs into a file of that name"
        if fault := self._fault(found) or (found["name"] != path.stem and other):
            raise ValueError(f"{path} is not a readable {what} ({fault}). {mend}")
        return Table(**found)

    def _fault(self, found: dict[str, Any]) -> str:
        """What a table says that cannot be; "" if nothing."""
        parts = {"data": {"title": str, "stand_in": bool}, "calls": {"seeds": list[int], "seconds": float}}
        for part, one in ((name, one) for name in parts for one in found[name]):
            if not parts[part].keys() <= one.keys() or unfit(one, parts[part]):
                return f"of its {part} one is {one!r:.80}, without a good {' or '.join(parts[part])}"
        if found["study"] != self.name:
            return f"it is one of {found['study']!r}"
        told = defaultdict[Any, list[tuple]](list)
        for row in found["rows"]:
            if not {"seed", self.conditions[0]} <= set(row):
                return f"each row needs a seed and {self.conditions[0]!r}; one is {row!r}"
            if not all(not isinstance(row.get(name), str) and 0 <= row.get(name, 0) <= 1 for name in self.shares):
                return f"a share is not between 0 and 1: {row!r}"
            told[row["seed"]].append(tuple(row.get(name) for name in self.conditions))
        if not told or any(len(set(some)) != len(some) for some in told.values()):
            return "there are no rows, or one is there twice"
        if len({frozenset(some) for some in told.values()}) != 1:
            return "its seeds have different rows"
        called = sorted(seed for call in found["calls"] for seed in call["seeds"])
        if set(called) != set(told) or not found["data"]:
            return f"its rows have the seeds {sorted(told)}, its calls {called}, or it says nothing of the data"
        return ""


def find(name: str) -> Study:
    """The study of that name; a ValueError lists those there are."""
    checks.one_of(name, "study", STUDIES)
    module, _, variable = STUDIES[name].partition(":")
    return getattr(import_module(module), variable)


def plain(config: Any, without: Sequence[str] = ("seeds",)) -> dict[str, Any]:
    """A configuration as JSON has it, an architecture as its constructor; the seeds stand in the rows."""
    kept = {f.name: getattr(config, f.name) for f in fields(config) if f.name not in without}
    return json.loads(json.dumps(kept, default=repr))


def _calls(entries: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls behind some units: one for each environment and each set of seeds."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        call, seeds = entry["call"], sorted({row["seed"] for row in entry["rows"]})
        key = json.dumps([seeds, call["code"], call["environment"]])
        one = found.setdefault(key, {"seeds": seeds, **call, "seconds": 0.0})
        one["seconds"] = round(one["seconds"] + call["seconds"], 3)
    return list(found.values())
