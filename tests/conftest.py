"""What all tests share: real data where there are any, repeatable randomness, and one smoke build of the book.

The tests may run in several processes (``pytest -n 2``). The smoke build runs beside the unit tests from the moment
the tests are collected, once for all processes; the tests that need it, and those that need a browser, come last. Both
kinds are marked, ``book`` and ``browser``, by the fixtures that they ask for.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Before torch is first imported: one thread makes results repeatable and leaves a core to the smoke build.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("NPF_OFFLINE", "1")  # no test downloads; NPF_OFFLINE=0 allows it

import hypothesis_profiles  # noqa: F401  (loaded by being imported)
import pytest
from filelock import FileLock
from make_pdf import ARGUMENTS, BROWSERS, find_browser

PROJECT = Path(__file__).resolve().parents[1]
SMOKE_BUILD = PROJECT / "build" / "smoke"
SMOKE_SECONDS = 1500  # it shares the cores with the tests themselves


def find_real_data() -> Path | None:
    """The folder of the real data sets: NPF_DATA, else shared/data beside the checkout; None without either."""
    candidates = [os.environ["NPF_DATA"]] if os.environ.get("NPF_DATA") else []
    candidates.append(PROJECT.parent / "shared" / "data")
    for folder in map(Path, candidates):
        if (folder / "MNIST" / "raw").is_dir():
            return folder
    return None


@pytest.fixture(scope="session")
def real_data() -> Path | None:
    """The folder of the real data sets, or None: a test that needs them then skips and says so."""
    return find_real_data()


@pytest.fixture
def float64():
    """Floating-point numbers are float64 unless said otherwise, for one test."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium with an empty profile; skipped, or with NPF_REQUIRE_BROWSER=1 failed, without one."""
    program = find_browser()
    if program is None:
        absent = "no Chromium on the PATH (" + ", ".join(BROWSERS) + ")"
        if os.environ.get("NPF_REQUIRE_BROWSER") == "1":
            pytest.fail(absent, pytrace=False)
        pytest.skip(absent)
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=program, headless=True, args=ARGUMENTS, viewport={"width": 1280, "height": 900}
        )
        yield context
        context.close()


class SmokeBuild:
    """The workflow of profile smoke: whichever process comes first starts it, in the background, and all wait for it.

    The processes meet in ``folder``: the log there can be created once, and the build's exit status ends up beside it.
    """

    def __init__(self) -> None:
        # Workers of pytest-xdist inherit the variable from the process that starts them.
        self.owner = "NPF_TEST_RUN" not in os.environ
        if self.owner:
            os.environ["NPF_TEST_RUN"] = tempfile.mkdtemp(prefix="npf-tests-")
        folder = Path(os.environ["NPF_TEST_RUN"])
        self.log, self.status, self.group = folder / "log", folder / "status", folder / "group"
        self.started = time.monotonic()

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in ("NPF_BUILD", "MPLBACKEND")}
        if (data := find_real_data()) is not None:
            environment["NPF_DATA"] = str(data)
        keep_status = '"$@"; echo $? > "$0.part"; mv "$0.part" "$0"'
        build = [sys.executable, "scripts/make_book.py", "--profile", "smoke"]
        try:
            with self.log.open("x") as log:
                process = subprocess.Popen(
                    ["sh", "-c", keep_status, str(self.status), *build],
                    cwd=PROJECT, env=environment, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            self.group.write_text(str(process.pid))
            process.returncode = 0  # nobody reaps it: it may outlive the process that started it
        except FileExistsError:
            pass  # another process was first

    def wait(self) -> Path:
        self.start()
        while not self.status.exists():
            if time.monotonic() - self.started > SMOKE_SECONDS:
                self.stop()
                self.status.write_text(f"none within {SMOKE_SECONDS} s")
            time.sleep(0.2)
        if (status := self.status.read_text().strip()) != "0":
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-60:])
            pytest.fail(f"the smoke build of the book failed (status {status}):\n{tail}", pytrace=False)
        return SMOKE_BUILD / "html"

    def stop(self) -> None:
        if self.group.exists() and not self.status.exists():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(self.group.read_text()), signal.SIGTERM)

    def finish(self) -> None:
        """Where the tests began, after the last of them."""
        if self.owner:
            self.stop()
            shutil.rmtree(self.log.parent, ignore_errors=True)


_smoke = SmokeBuild()


@pytest.fixture(scope="session")
def smoke_book() -> Path:
    """The folder of the book's pages, built in profile smoke; executed notebooks and ledger lie beside it."""
    return _smoke.wait()


@pytest.fixture
def alone():
    """One test at a time, of all processes, for tests that take gigabytes."""
    with FileLock(Path(os.environ["NPF_TEST_RUN"]) / "alone.lock"):
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also the tests that take many minutes (marked slow)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    import torch

    left_out = {"slow": not config.getoption("slow"), "card": not torch.cuda.is_available()}
    items[:] = [item for item in items if not any(left_out[m] and item.get_closest_marker(m) for m in left_out)]
    for item in items:
        needs = getattr(item, "fixturenames", ())
        for fixture, mark in (("smoke_book", "book"), ("browser", "browser")):
            if fixture in needs:
                item.add_marker(mark)
    items.sort(key=lambda item: [item.get_closest_marker(mark) is not None for mark in ("book", "browser")])


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(item.get_closest_marker("book") for item in session.items)
    if wanted and not session.config.option.collectonly:
        _smoke.start()


def pytest_sessionfinish() -> None:
    _smoke.finish()
