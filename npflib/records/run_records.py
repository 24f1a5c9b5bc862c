"""Run records: one JSON file a run, written whole or not at all, and read back with every fault named.

Records of a build lie in ``<build>/runs``; published full-budget records in ``results/``, which no build writes.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

from npflib.records.atomic import read_json, unfit, write_text

SCHEMA = 1


class RecordError(ValueError):
    """A run record that cannot be read; the message names the file, the fault and the mend."""


@dataclass(frozen=True)
class Record:
    """One training run.

    Attributes:
        configuration: everything that determines the result, budget included; ``profile`` is the budget's scale.
        history: per epoch: "train_loss", "train_accuracy" (running means while the epoch's steps were taken),
            "test_loss", "test_accuracy". Accuracies are fractions.
        peak: largest test accuracy over the epochs: the paper's figure, selected on the test set; ``peak_epoch`` is the
            first epoch (from 1) that reached it. ``final``, that after the last epoch, is selected on nothing.
        seconds: wall-clock seconds of the run's share (the batch of seeds' time divided by its seeds).
        data: where the data came from, with checksums; ``environment``: Python, torch, device, threads; ``library``:
            version and source hash of npflib.
        series: what else was measured along the run: "epoch" (0 is the start) and, for each of those, a number a name.
        weights: SHA-256 of the file of its networks' weights (``records.weights``), if one was kept; ``gates``: the
            same of the ReLU run whose gates it copied, if it copied any.

    Example:
        >>> from npflib.records import Record
        >>> run = Record(
        ...     "mnist-fc-adam", "ReLU", 0, "smoke", {"epochs": 2}, {"test_accuracy": [0.5, 0.75]}, peak=0.75,
        ...     peak_epoch=2, final=0.75, seconds=1.0, data={"stand_in": False}, environment={}, library={},
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


KINDS = {field.name: field.type for field in fields(Record)}


def path_of(folder: Path, experiment: str, regime: str, seed: int) -> Path:
    """Where the record of a run lies below a folder of records."""
    return Path(folder) / experiment / regime / f"seed-{seed}.json"


def write(record: Record, folder: Path) -> Path:
    """Writes a record below ``folder``, atomically, and returns its path; one that contradicts itself is refused."""
    path = path_of(folder, record.experiment, record.regime, record.seed)
    if fault := _fault(record):
        raise RecordError(f"the run record for {path} is not written: {fault}.")
    write_text(path, json.dumps(asdict(record), indent=1, allow_nan=False) + "\n")
    return path


def read(path: Path) -> Record:
    """The record in a file, checked.

    A RecordError, which names the file and the mend, refuses one that is missing, not JSON, of another schema, lacks a
    field, contradicts itself, or lies where another run's record belongs.

    Example:
        >>> from pathlib import Path
        >>> from npflib.records import read
        >>> read(Path("no-records/seed-0.json"))
        Traceback (most recent call last):
            ...
        npflib.records.run_records.RecordError: there is no run record no-records/seed-0.json.
    """
    path = Path(path)
    mend = "Delete it and run the experiment again, or restore it from version control."
    older = ("series", "weights", "gates")  # records published before there were such lack them
    found = read_json(path, "run record", mend, schema=SCHEMA, fields=KINDS, older=older, error=RecordError)
    record = Record(**found)
    if fault := _fault(record):
        raise RecordError(f"{path} contradicts itself: {fault}. {mend}")
    own = path_of(Path(), record.experiment, record.regime, record.seed)
    if path.parts[-3:] != own.parts:
        raise RecordError(f"{path} holds the record that belongs at {own}: it would count twice. {mend}")
    return record


def _fault(record: Record) -> str:
    """What a record says that cannot be; "" if nothing."""
    history, series, data = record.history, record.series, record.data
    if wrong := unfit(vars(record), KINDS):
        return wrong
    if not isinstance(data.get("title"), str) or not isinstance(data.get("stand_in"), bool):
        return "of its data it must say the title, and whether they are a stand-in"
    if "test_accuracy" not in history:
        return "its history holds no test_accuracy"
    if not all(history.values()):
        return "each series of its history must be a list of one number or more"
    if len(set(map(len, history.values()))) != 1:
        return "the series of its history have different lengths"
    if series and ("epoch" not in series or len(set(map(len, series.values()))) != 1):
        return "its series lack their epochs or have different lengths"
    numbers = [*chain.from_iterable((*history.values(), *series.values())), record.peak, record.final, record.seconds]
    if not all(map(isfinite, numbers)):
        return "it holds numbers that are not finite, as after a run that diverged"
    for name, values in history.items():
        if min(values) < 0 or (name.endswith("accuracy") and max(values) > 1):
            return f"its {name} is not within its range"
    accuracies, told = history["test_accuracy"], record.configuration.get("epochs")
    if told is not None and len(accuracies) != told:
        return f"its history has {len(accuracies)} epochs, its configuration {told}"
    if record.peak != max(accuracies) or record.final != accuracies[-1]:
        return "peak and final are not those of its history"
    if record.peak_epoch != accuracies.index(record.peak) + 1:
        return "peak_epoch is not the first epoch that reached the peak"
    return ""


def read_all(folder: Path, experiment: str | None = None, regime: str | None = None) -> list[Record]:
    """All records below a folder, or one experiment's or regime's, sorted by these and seed; an absent one holds none.

    Example:
        >>> from pathlib import Path
        >>> from npflib.records import read_all
        >>> read_all(Path("no-records"), experiment="mnist-fc-adam")
        []
    """
    paths = Path(folder).glob(f"{experiment or '*'}/{regime or '*'}/seed-*.json")
    return sorted((read(p) for p in paths), key=lambda r: (r.experiment, r.regime, r.seed))
