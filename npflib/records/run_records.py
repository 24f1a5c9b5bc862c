"""Run records: one JSON file a run, written whole or not at all, and read back with every fault named.

Records of a build lie in ``<build>/runs``; published full-budget records in ``results/``, which no build writes.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npflib.records.atomic import write_text

if TYPE_CHECKING:
    import pandas

SCHEMA = 1


class RecordError(ValueError):
    """A run record that cannot be read; the message names the file, the fault and the mend."""


@dataclass(frozen=True)
class Record:
    """One training run.

    Attributes:
        experiment: name of the experiment.
        regime: name of the regime.
        seed: the run's seed.
        profile: "smoke", "quick" or "paper": the scale of its budget.
        configuration: everything that determines the result, budget included.
        history: per epoch: "train_loss", "train_accuracy" (running means while the epoch's steps were taken),
            "test_loss", "test_accuracy". Accuracies are fractions.
        peak: largest test accuracy over the epochs: the paper's figure, selected on the test set.
        peak_epoch: the first epoch (from 1) that reached it.
        final: test accuracy after the last epoch: selected on nothing.
        seconds: wall-clock seconds of the run's share (the batch of seeds' time divided by its seeds).
        data: where the data came from, checksums included.
        environment: Python, torch, device, threads.
        library: version and source hash of npflib.
        schema: version of this format.
        series: what was measured along the run beside loss and accuracy: "epoch" (0 is the start) and, for each of
            those epochs, one number a name; empty where nothing was.
        weights: SHA-256 of the file of its networks' weights (``records.weights``); empty where none was kept.
        gates: the same of the ReLU run whose gates it copied; empty for a regime that copies none.

    Example:
        >>> from npflib.records.run_records import Record
        >>> run = Record(
        ...     experiment="mnist-fc-adam", regime="ReLU", seed=0, profile="smoke", configuration={"epochs": 2},
        ...     history={"test_accuracy": [0.5, 0.75]}, peak=0.75, peak_epoch=2, final=0.75, seconds=1.0,
        ...     data={"stand_in": False}, environment={}, library={},
        ... )
        >>> run.epochs, run.is_full  # a smoke run is nobody's full budget
        (2, False)
    """

    experiment: str
    regime: str
    seed: int
    profile: str
    configuration: dict[str, Any]
    history: dict[str, list[float]]
    peak: float
    peak_epoch: int
    final: float
    seconds: float
    data: dict[str, Any]
    environment: dict[str, Any]
    library: dict[str, str]
    schema: int = field(default=SCHEMA)
    series: dict[str, list[float]] = field(default_factory=dict)
    weights: str = ""
    gates: str = ""

    @property
    def epochs(self) -> int:
        """Epochs that were run."""
        return len(self.history["test_accuracy"])

    @property
    def is_full(self) -> bool:
        """Whether the run had its experiment's whole budget on the real data."""
        epochs, whole = (self.configuration.get(name) for name in ("epochs", "full_epochs"))
        return self.profile == "paper" and epochs is not None and epochs == whole and not self.data["stand_in"]


def path_of(folder: Path, experiment: str, regime: str, seed: int) -> Path:
    """Where the record of a run lies below a folder of records.

    Example:
        >>> from pathlib import Path
        >>> from npflib.records.run_records import path_of
        >>> path_of(Path("results"), "mnist-fc-adam", "FLNPF", seed=2).as_posix()
        'results/mnist-fc-adam/FLNPF/seed-2.json'
    """
    return Path(folder) / experiment / regime / f"seed-{seed}.json"


def write(record: Record, folder: Path) -> Path:
    """Writes a record below ``folder``, atomically, and returns its path.

    Raises:
        RecordError: the record contradicts itself, or holds numbers that are not finite; nothing is written.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from npflib.records.run_records import Record, read, write
        >>> run = Record("one", "ReLU", 0, "smoke", {}, {"test_accuracy": [0.5]}, 0.5, 1, 0.5, 1.0, {}, {}, {})
        >>> with TemporaryDirectory() as folder:
        ...     read(write(run, Path(folder))) == run
        True
    """
    path = path_of(folder, record.experiment, record.regime, record.seed)
    if fault := _fault(record):
        raise RecordError(f"the run record for {path} is not written: {fault}.")
    write_text(path, json.dumps(asdict(record), indent=1, allow_nan=False) + "\n")
    return path


def read(path: Path) -> Record:
    """Reads a record.

    Raises:
        RecordError: the file is missing, not JSON, of another schema, lacks a field, contradicts itself, or lies
            where another run's record belongs; the message names it and the mend.

    Example:
        >>> from pathlib import Path
        >>> from npflib.records.run_records import read
        >>> read(Path("no-records/seed-0.json"))
        Traceback (most recent call last):
            ...
        npflib.records.run_records.RecordError: there is no run record no-records/seed-0.json.
    """
    path = Path(path)
    mend = "Delete it and run the experiment again, or restore it from version control."
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"there is no run record {path}.") from None
    except (OSError, ValueError) as error:  # what is not UTF-8 and what is not JSON are both ValueErrors
        raise RecordError(f"{path} is not a readable run record ({error}). {mend}") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        given = found.get("schema") if isinstance(found, dict) else type(found).__name__
        raise RecordError(f"{path} has schema {given!r}; this library reads schema {SCHEMA}. {mend}")
    # Records published before there were series and digests lack them.
    found = {"series": {}, "weights": "", "gates": "", **found}
    names = {f.name for f in fields(Record)}
    if set(found) != names:
        missing, extra = sorted(names - set(found)), sorted(set(found) - names)
        raise RecordError(f"{path} lacks fields {missing} and has unknown fields {extra}. {mend}")
    record = Record(**found)
    if fault := _fault(record):
        raise RecordError(f"{path} contradicts itself: {fault}. {mend}")
    own = path_of(Path(), record.experiment, record.regime, record.seed)
    if path.parts[-3:] != own.parts:
        raise RecordError(f"{path} holds the record that belongs at {own}: it would count twice. {mend}")
    return record


def _fault(record: Record) -> str:
    """What a record says that cannot be; "" if nothing."""
    history = record.history
    if not isinstance(history, dict) or "test_accuracy" not in history:
        return "its history holds no test_accuracy"
    if any(not isinstance(series, list) or not series for series in history.values()):
        return "each series of its history must be a list of one number or more"
    if len({len(series) for series in history.values()}) != 1:
        return "the series of its history have different lengths"
    series = record.series
    if not isinstance(series, dict) or any(not isinstance(values, list) for values in series.values()):
        return "its series are not lists by name"
    if series and ("epoch" not in series or len({len(values) for values in series.values()}) != 1):
        return "its series lack their epochs or have different lengths"
    numbers = [*chain.from_iterable((*history.values(), *series.values())), record.peak, record.final, record.seconds]
    if not all(isinstance(number, int | float) and isfinite(number) for number in numbers):
        return "it holds numbers that are not finite, as after a run that diverged"
    accuracies = history["test_accuracy"]
    if record.peak != max(accuracies) or record.final != accuracies[-1]:
        return "peak and final are not those of its history"
    if record.peak_epoch != accuracies.index(record.peak) + 1:
        return "peak_epoch is not the first epoch that reached the peak"
    return ""


def read_all(folder: Path, experiment: str | None = None, regime: str | None = None) -> list[Record]:
    """All records below a folder, sorted by experiment, regime and seed; an absent folder holds none.

    Args:
        folder: ``<build>/runs`` or ``results``.
        experiment: only this experiment's.
        regime: only this regime's.

    Example:
        >>> from pathlib import Path
        >>> from npflib.records.run_records import read_all
        >>> read_all(Path("no-records"))
        []
    """
    paths = Path(folder).glob(f"{experiment or '*'}/{regime or '*'}/seed-*.json")
    return sorted((read(p) for p in paths), key=lambda r: (r.experiment, r.regime, r.seed))


def tabulate(records: Iterable[Record]) -> "pandas.DataFrame":
    """Records as a pandas table: one row a run, accuracies in per cent.

    Example:
        >>> from npflib.records.run_records import Record, tabulate
        >>> given, data = {"train_examples": 10}, {"title": "MNIST", "stand_in": False}
        >>> run = Record("one", "ReLU", 0, "smoke", given, {"test_accuracy": [0.5]}, 0.5, 1, 0.5, 1.0, data, {}, {})
        >>> tabulate([run])[["regime", "seed", "peak"]].to_dict("records")
        [{'regime': 'ReLU', 'seed': 0, 'peak': 50.0}]
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "experiment": r.experiment,
                "regime": r.regime,
                "seed": r.seed,
                "profile": r.profile,
                "epochs": r.epochs,
                "train examples": r.configuration["train_examples"],
                "peak": 100 * r.peak,
                "final": 100 * r.final,
                "peak epoch": r.peak_epoch,
                "seconds": r.seconds,
                "data": r.data["title"],
                "stand-in": r.data["stand_in"],
            }
            for r in records
        ]
    )
