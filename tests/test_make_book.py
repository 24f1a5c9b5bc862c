"""The build as a program: it looks before it works, takes any name, holds its folder, and ends when it is told to."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import make_book  # a script, not installed
import pytest

PROJECT = Path(__file__).resolve().parents[1]

CODE = f"import sys; sys.path.insert(0, {str(PROJECT / 'scripts')!r}); import make_book\n"


@pytest.fixture
def sources(tmp_path) -> Path:
    """The book's pages and notebooks, by name."""
    for folder in ("book", "notebooks"):
        (tmp_path / folder).mkdir()
        for path in (PROJECT / folder).iterdir():
            if path.is_file():
                shutil.copy(path, tmp_path / folder)
    return tmp_path


def test_the_sources_of_this_project_have_no_fault(sources):
    assert make_book.faults(sources) == make_book.faults(PROJECT) == []


@pytest.mark.parametrize("name", ["notebooks/Untitled.ipynb", "book/my_notes.md", "notebooks/with a space.ipynb"])
def test_a_stray_page_is_told_before_any_work(sources, name):
    (sources / name).write_text("{}")
    (fault,) = make_book.faults(sources)
    assert fault == f"{name} is not in the contents: list it in book/_toc.yml, or move it elsewhere."


def test_a_missing_page_and_a_wrong_repository_are_told_before_any_work(sources, monkeypatch):
    (sources / "notebooks" / "06_cifar10.ipynb").unlink()
    monkeypatch.setenv("NPF_REPOSITORY", "someone/companion")
    first, second = make_book.faults(sources)
    assert "book/_toc.yml lists 06_cifar10, and there is neither notebooks/06_cifar10.ipynb" in first
    assert "NPF_REPOSITORY=someone/companion is not allowed" in second


@pytest.mark.parametrize("name", ["2024", "2026_11", "0", "False", "1e3", "a b", "-x", "null", "build/é"])
def test_any_text_is_the_name_of_a_build_folder(name, monkeypatch):
    monkeypatch.delenv("NPF_BUILD", raising=False)
    assert make_book.folder_of(name, "quick") == name
    monkeypatch.setenv("NPF_BUILD", name)
    assert make_book.folder_of("", "smoke") == name


def test_each_profile_has_its_folder_and_home_is_known(monkeypatch):
    monkeypatch.delenv("NPF_BUILD", raising=False)
    monkeypatch.setenv("HOME", "/somewhere")
    assert make_book.folder_of("", "quick") == "build"
    assert make_book.folder_of("", "smoke") == "build/smoke"
    assert make_book.folder_of("~/zz/", "smoke") == "/somewhere/zz"


@pytest.mark.parametrize("name", ["a{b}", "~nobody-of-that-name/x", 'a"b', "a\nb"])
def test_what_cannot_be_a_folder_is_refused(name):
    with pytest.raises(SystemExit, match="cannot be a build folder: give a name without braces"):
        make_book.folder_of(name, "quick")


@pytest.mark.parametrize("name", [".", "..", "/", "build/..", str(PROJECT), str(PROJECT.parent)])
def test_the_project_itself_is_no_build_folder(name):
    """Its notebooks would be written over by executed ones."""
    with pytest.raises(SystemExit, match="holds the project, whose notebooks a build would write over"):
        make_book.folder_of(name, "quick")


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "build").write_text("")
    refusal = pytest.raises(SystemExit, match=r"build folder .* cannot be written .*: name another one")
    with refusal, make_book.sole_use(tmp_path / "build"):
        pass


def book(tmp_path: Path, *arguments: str, build: str = "2026_11", **variables: str) -> subprocess.CompletedProcess:
    """make_book.py on a folder below ``tmp_path``, with data from ``tmp_path/data`` alone."""
    environment = os.environ | {"NPF_DATA": str(tmp_path / "data"), "NPF_OFFLINE": "1"} | variables
    command = [sys.executable, "scripts/make_book.py", "--profile", "smoke", "--build", str(tmp_path / build)]
    return subprocess.run([*command, "--", *arguments], cwd=PROJECT, env=environment, capture_output=True, text=True)


def test_real_data_that_arrive_replace_the_stand_in_and_a_dry_run_changes_nothing(tmp_path):
    """B1: the note of a stand-in book is made anew once files are there; looking alone makes nothing."""
    (tmp_path / "data").mkdir()
    note = tmp_path / "2026_11" / "data" / "mnist.json"
    made = book(tmp_path, str(note))
    assert made.returncode == 0, made.stderr
    assert json.loads(note.read_text())["stand_in"], "a folder whose name looks like a number is a folder"
    before = note.stat().st_mtime_ns, note.read_text()
    again = book(tmp_path, "-n", str(note))
    assert "data: mnist" not in again.stdout + again.stderr
    (tmp_path / "data" / "MNIST" / "raw").mkdir(parents=True)
    plan = book(tmp_path, "-n", "runs")
    assert plan.returncode == 0, plan.stderr
    assert "data: mnist" in plan.stdout + plan.stderr
    assert "train: mnist-alignment, ReLU" in plan.stdout + plan.stderr
    assert (note.stat().st_mtime_ns, note.read_text()) == before
    # A note that was cut short stops no later build.
    note.write_text("")
    assert book(tmp_path, "-n", "runs").returncode == 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").is_dir() else True


def wait_for(what, seconds: float = 300) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not what():
        time.sleep(0.05)
    return what()


def started(code: str, tmp_path: Path) -> tuple[subprocess.Popen, int]:
    """A process that runs ``code``, which writes the number of a child into ``child``; both."""
    process = subprocess.Popen([sys.executable, "-c", CODE + code], cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().endswith("\n"))
    return process, int((tmp_path / "child").read_text())


SLEEPER = "import os, time; print(os.getpid(), file=open('child', 'w'), flush=True); time.sleep(3000)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_end_it_ends_its_children_too(tmp_path, number):
    job = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPER!r}])"
    code = f"make_book.ROOT = '.'; make_book.run([sys.executable, '-c', {job!r}], {{}}, ())"
    process, child = started(f"make_book.PATIENCE = 1000; {code}", tmp_path)
    process.send_signal(number)
    assert process.wait(200) == 128 + number, "it sees that they have ended"
    assert wait_for(lambda: not alive(child))


def test_a_workflow_left_behind_keeps_the_folder(tmp_path):
    """After kill -9 of the build its workflow goes on, and a second build refuses until that has ended."""
    code = "from pathlib import Path; make_book.ROOT = '.'\nwith make_book.sole_use(Path('build')) as held:\n"
    code += f"    make_book.run([sys.executable, '-c', {SLEEPER!r}], {{}}, held)"
    process, child = started(code, tmp_path)
    process.kill()
    process.wait()
    try:
        with pytest.raises(SystemExit, match="another build is at work"), make_book.sole_use(tmp_path / "build"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
    assert wait_for(lambda: not alive(child))
    with make_book.sole_use(tmp_path / "build"):
        pass
