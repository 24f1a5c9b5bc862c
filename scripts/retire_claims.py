"""Remove the claims of a build that the last execution of their chapter did not record.

A claim that was renamed, or whose notebook is gone, would otherwise stay in the ledger for ever. A claim is stale
when its file is older than the moment at which its chapter's execution began (papermill writes it down).

usage: retire_claims.py BUILD
"""

import sys
from datetime import datetime
from pathlib import Path

import nbformat

from npflib.records.atomic import read_json


def starts(executed: Path) -> dict[str, float]:
    """When the execution of each notebook in the folder began, in seconds since the epoch."""
    found = {}
    for path in executed.glob("*.ipynb"):
        if not path.stem.endswith((".part", ".failed")):
            began = nbformat.read(path, as_version=4).metadata.papermill.start_time
            found[path.stem] = datetime.fromisoformat(began).timestamp()
    return found


def main(build: str) -> None:
    """Delete the stale claims and name them."""
    began = starts(Path(build) / "notebooks")
    for path in sorted(Path(build).glob("claims/*.json")):
        chapter = read_json(path, "claim", "Delete it and run its chapter again.").get("chapter", "")
        if path.stat().st_mtime < began.get(Path(chapter).stem, min(began.values(), default=0.0)):
            print(f"retired: {path.stem}, not recorded by {chapter} any more")
            path.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
