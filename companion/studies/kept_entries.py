"""Entries of a long measurement, each kept in a file as soon as it is there, so that an interrupted call goes on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npflib.records.atomic import write_text


class KeptEntries:
    """A folder of entries that belong to one measurement.

    Two processes may fill it at the same time: each entry is written whole or not at all, and the later of two equal
    ones takes the place of the earlier.

    Args:
        folder: where they are kept; None keeps nothing.
        key: plain values that tell this measurement from others (its budget, its data, its code); entries kept under
            another key are left alone and not used.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from companion.studies.kept_entries import KeptEntries
        >>> with TemporaryDirectory() as folder:
        ...     KeptEntries(Path(folder), {"epochs": 5}).put("LLLLL", {"accuracy": 0.9})
        ...     same, other = (KeptEntries(Path(folder), {"epochs": n}).get("LLLLL") for n in (5, 6))
        >>> same, other
        ({'accuracy': 0.9}, None)
    """

    def __init__(self, folder: Path | None, key: Mapping[str, Any]):
        self.folder = None if folder is None else Path(folder)
        self.key = json.loads(json.dumps(key))

    def get(self, name: str) -> dict[str, Any] | None:
        """An entry that an earlier call of the same kind has kept; None without one."""
        path = self._path(name)
        if path is None or not path.exists():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        return {k: v for k, v in found.items() if k != "key"} if found["key"] == self.key else None

    def put(self, name: str, entry: Mapping[str, Any]) -> None:
        """Keeps an entry of plain values."""
        path = self._path(name)
        if path is not None:
            write_text(path, json.dumps({"key": self.key, **entry}))

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.json"
