"""Run the workflow for one profile, say where the book is and how long it took.

    python scripts/make_book.py --profile smoke              the whole book
    python scripts/make_book.py --profile smoke -- runs      a part of it: what follows -- goes to Snakemake

Adds to the Snakefile a look at the sources before any work, a lock that lasts as long as anything that works under it,
an end to everything when it is told to end, and a clock.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import launch_buttons
import yaml

ROOT = Path(__file__).absolute().parents[1]
ROOT_PAGE = "00_overview"  # the book's first page, which the contents do not list
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PATIENCE = 20  # seconds that jobs may take to end once they are told to


def faults(root: Path) -> list[str]:
    """What would stop the book at its very end, a sentence each: pages and contents that disagree, a wrong address."""
    contents = yaml.safe_load((root / "book" / "_toc.yml").read_text(encoding="utf-8"))
    listed = {chapter["file"] for part in contents["parts"] for chapter in part["chapters"]}
    pages = {path.stem: path for path in (*root.glob("book/*.md"), *root.glob("notebooks/*.ipynb"))}
    found = [
        f"{path.relative_to(root)} is not in the contents: list it in book/_toc.yml, or move it elsewhere."
        for name, path in sorted(pages.items())
        if name not in listed | {ROOT_PAGE}
    ]
    found += [
        f"book/_toc.yml lists {name}, and there is neither notebooks/{name}.ipynb nor book/{name}.md: restore "
        "the page, or take it from the list."
        for name in sorted((listed | {ROOT_PAGE}) - set(pages))
    ]
    try:
        launch_buttons.checked(os.environ.get(launch_buttons.VARIABLE, ""))
    except ValueError as error:
        found.append(str(error))
    return found


def folder_of(given: str, profile: str) -> str:
    """The build folder as the Snakefile takes it; any text is a name, but for what paths and Snakemake cannot hold."""
    build = os.path.expanduser(given or os.environ.get("NPF_BUILD", ""))  # noqa: PTH111  # "~nobody" stays as it is
    build = build or ("build" if profile == "quick" else f"build/{profile}")
    if build.startswith("~") or any(sign in build for sign in "{}\0\n\"'"):
        raise SystemExit(
            f"{build!r} cannot be a build folder: give a name without braces, quotes and an unknown ~user."
        )
    if (ROOT / build).resolve() in (ROOT.resolve(), *ROOT.resolve().parents):
        raise SystemExit(f"{build!r} holds the project, whose notebooks a build would write over: name another folder.")
    return build.rstrip("/") or "/"


@contextlib.contextmanager
def sole_use(build: Path) -> Iterator[tuple[int, ...]]:
    """Hold the build folder; a second build of the same folder stops with a message.

    The lock belongs to the open file that is handed on to the workflow: it lasts until both have ended, even where
    this process is killed and leaves the workflow behind.
    """
    try:
        build.mkdir(parents=True, exist_ok=True)
        handle = (build / ".lock").open("w")
    except OSError as error:
        raise SystemExit(f"the build folder {build} cannot be written ({error}): name another one.") from None
    with handle:
        try:
            import fcntl
        except ImportError:  # not on this system; Snakemake's incomplete-file marks remain
            yield ()
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another build is at work in {build}; wait for it, or stop it first") from None
        yield (handle.fileno(),)


def run(command: list[str], environment: dict[str, str], held: tuple[int, ...]) -> int:
    """The workflow's exit status. Told to end, this process ends the workflow and its jobs first."""
    child = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=held, start_new_session=True)

    def end(number: int, _frame: object) -> None:
        for known in ENDS:
            signal.signal(known, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in ENDS:
        signal.signal(number, end)
    try:
        return child.wait()
    except SystemExit:
        # Snakemake goes on to the end of what runs when it is terminated; its jobs are therefore told as well.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
        print("\nStopped. The same command goes on from what is done.", file=sys.stderr)
        raise


def failures(executed: Path) -> Iterator[tuple[Path, str]]:
    """The notebooks that failed, and with what."""
    for path in sorted(executed.glob("*.failed.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    yield path, f"{output['ename']}: {output['evalue']}"


def main() -> int:
    """Command line; returns Snakemake's exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--profile", default="quick", help="smoke, quick (the default) or paper")
    parser.add_argument("--build", default="", help="the build folder; the profile's own by default")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="how many jobs side by side")
    parser.add_argument("snakemake", nargs="*", help="further arguments for Snakemake, after --")
    options = parser.parse_args()
    start = time.monotonic()
    if found := faults(ROOT):
        raise SystemExit("\n".join(found))
    build = folder_of(options.build, options.profile)
    command = [sys.executable, "-m", "snakemake", "--cores", str(max(1, options.cores or 1))]
    command += ["--config", f"profile={options.profile}", "--quiet", "host", "reason", "progress"]
    # The greedy scheduler needs no solver; what an interrupted run left half made is made again.
    command += ["--scheduler", "greedy", "--nolock", "--rerun-incomplete", "--keep-going", *options.snakemake]
    # As a variable, since Snakemake's --config makes a number of 2024 and of 2026_11.
    environment = os.environ | {"NPF_BUILD": build}
    with sole_use(ROOT / build) as held:
        status = run(command, environment, held)
    seconds = time.monotonic() - start
    if status:
        print(f"\nThe book of profile {options.profile} was not finished ({seconds:.0f} s).", file=sys.stderr)
        for failed, error in failures(ROOT / build / "notebooks"):
            print(f"  {error}\n    in {failed}", file=sys.stderr)
        print(f"Each step's log is under {build}/logs/. What is done is kept.", file=sys.stderr)
        return status
    if not options.snakemake:
        print(f"{ROOT / build / 'html' / 'index.html'}")
    print(f"built in {seconds // 60:.0f} min {seconds % 60:.0f} s (profile {options.profile})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
