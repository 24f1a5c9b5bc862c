"""Check that notebooks carry no outputs, no execution counts and no traces of a run. Lists what it finds.

usage: check_notebooks.py NOTEBOOK…
"""

import sys
from pathlib import Path

import nbformat

RUN_METADATA = ("execution", "papermill", "collapsed", "scrolled")


def faults(path: Path) -> list[str]:
    """What a committed notebook must not hold; empty for a clean one."""
    found = []
    try:
        page = nbformat.read(path, as_version=4)
        nbformat.validate(page)
    except Exception as error:  # whatever nbformat makes of an empty file, of a merge's marks, of another format
        return [f"{path}: is not a notebook ({type(error).__name__}: {str(error).splitlines()[0][:80]})"]
    if "papermill" in page.metadata or "widgets" in page.metadata:
        found.append(f"{path}: metadata of a run (papermill, widgets)")
    for number, cell in enumerate(page.cells):
        if cell.get("outputs"):
            found.append(f"{path}, cell {number}: has outputs")
        if cell.get("execution_count") is not None:
            found.append(f"{path}, cell {number}: has an execution count")
        if present := sorted(set(RUN_METADATA) & set(cell.metadata)):
            found.append(f"{path}, cell {number}: metadata of a run ({', '.join(present)})")
        if "injected-parameters" in cell.metadata.get("tags", []):
            found.append(f"{path}, cell {number}: parameters injected by papermill")
    return found


def main(names: list[str]) -> int:
    """Print the faults of all notebooks and how to mend them; 1 if there are any."""
    found = [fault for name in names if Path(name).is_file() for fault in faults(Path(name))]
    for fault in found:
        print(fault, file=sys.stderr)
    if found:
        print("Mend: make format (nbstripout), then look at the difference.", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
