"""Run the workflow for one profile, say where the book is and how long it took.

Adds two things to the Snakefile: a lock that dies with its holder (Snakemake's own outlives a killed run), and a
clock. Everything after `--` goes to Snakemake as it is.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]


@contextlib.contextmanager
def sole_use(build: Path) -> Iterator[None]:
    """Hold the build folder for this process; a second build of the same folder stops with a message."""
    build.mkdir(parents=True, exist_ok=True)
    with (build / ".lock").open("w") as handle:
        try:
            import fcntl
        except ImportError:  # not on this system; Snakemake's incomplete-file marks remain
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another build is at work in {build}; wait for it, or stop it first") from None
        yield


def failures(executed: Path) -> Iterator[tuple[Path, str]]:
    """The notebooks that failed, and with what."""
    for path in sorted(executed.glob("*.failed.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    yield path, f"{output['ename']}: {output['evalue']}"


def main() -> int:
    """Command line; returns Snakemake's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="quick", help="smoke, quick (the default) or paper")
    parser.add_argument("--build", default="", help="the build folder; the profile's own by default")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="how many jobs side by side")
    parser.add_argument("snakemake", nargs="*", help="further arguments for Snakemake, after --")
    options = parser.parse_args()
    start = time.monotonic()
    build = options.build or ("build" if options.profile == "quick" else f"build/{options.profile}")
    command = [sys.executable, "-m", "snakemake", "--cores", str(max(1, options.cores or 1))]
    command += ["--config", f"profile={options.profile}", f"build={build}"]
    # The greedy scheduler needs no solver; what an interrupted run left half made is made again.
    command += ["--scheduler", "greedy", "--nolock", "--rerun-incomplete", "--keep-going"]
    command += ["--quiet", "host", "reason", "progress", *options.snakemake]
    with sole_use(ROOT / build):
        status = subprocess.run(command, cwd=ROOT).returncode
    seconds = time.monotonic() - start
    if status:
        print(f"\nThe book of profile {options.profile} was not finished ({seconds:.0f} s).", file=sys.stderr)
        for failed, error in failures(ROOT / build / "notebooks"):
            print(f"  {error}\n    in {failed}", file=sys.stderr)
        print(f"Each step's log is under {build}/logs/. What is done is kept.", file=sys.stderr)
        return status
    print(f"{ROOT / build / 'html' / 'index.html'}")
    print(f"built in {seconds // 60:.0f} min {seconds % 60:.0f} s (profile {options.profile})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
