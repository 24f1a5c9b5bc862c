"""Measurements of one seed as a small JSON file: a dataclass of plain values, written whole, read with its schema."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from npflib.records.atomic import write_text

Found = TypeVar("Found")


def write(found: Any, path: Path) -> None:
    """Writes a dataclass of plain values as JSON, whole or not at all.

    Example:
        >>> from dataclasses import dataclass
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from companion.studies import plain_records
        >>> @dataclass
        ... class Measured:
        ...     seed: int
        ...     schema: int = 1
        >>> with TemporaryDirectory() as folder:
        ...     plain_records.write(Measured(3), Path(folder) / "seed-3.json")
        ...     plain_records.read(Measured, Path(folder) / "seed-3.json", "a measurement", "its script").seed
        3
    """
    write_text(Path(path), json.dumps(asdict(found), indent=1, allow_nan=False) + "\n")


def read(kind: type[Found], path: Path, what: str, script: str) -> Found:
    """Reads what ``write`` wrote.

    Args:
        kind: the dataclass; its field ``schema`` has the version that is read as default.
        path: the file.
        what: what it should hold, for the message.
        script: what makes it, for the message.

    Raises:
        ValueError: the file is missing, not JSON, of another schema or lacks a field; the message names it.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies import plain_records
        >>> from companion.studies.layer_gates import Readings
        >>> plain_records.read(Readings, Path("none.json"), "gates by layer", "a script")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: none.json holds no gates by layer (...). Make it by a script.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        known = kind.__dataclass_fields__["schema"].default  # type: ignore[attr-defined]  # kinds are dataclasses
        if found["schema"] != known:
            raise ValueError(f"schema {found['schema']!r}; this library reads {known}")
        return kind(**found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no {what} ({error!r}). Make it by {script}.") from error


def read_all(kind: type[Found], folder: Path, what: str, script: str) -> list[Found]:
    """All that a folder holds, one file a seed, by seed; none is an empty list. Arguments and errors as in ``read``.

    Example:
        >>> from pathlib import Path
        >>> from companion.studies import plain_records
        >>> from companion.studies.layer_gates import Readings
        >>> plain_records.read_all(Readings, Path("no-results"), "gates by layer", "a script")
        []
    """
    found = [read(kind, path, what, script) for path in Path(folder).glob("seed-*.json")]
    return sorted(found, key=lambda one: one.seed)  # type: ignore[attr-defined]  # what is kept a seed has one
