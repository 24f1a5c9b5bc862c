"""What all tests share: real data where there are any, repeatable randomness, and one smoke build of the book.

The smoke build runs beside the unit tests from the moment the tests are collected, so that on two cores it costs
little time of its own; the tests that need it come last.
"""

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

import pytest
from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).resolve().parents[1]
SMOKE_BUILD = PROJECT / "build" / "smoke"
SMOKE_SECONDS = 1500  # it shares the cores with the tests themselves
# How every browser test starts Chromium: quiet, and asking nothing of the network on its own.
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

settings.register_profile("default-npf", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci-npf", settings.get_profile("default-npf"), derandomize=True, print_blob=True)
settings.load_profile("ci-npf" if os.environ.get("CI") else "default-npf")


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
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        absent = "no Chromium on the PATH (" + ", ".join(CHROMIUM) + ")"
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
    """The workflow of profile smoke, started in the background once and waited for once."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None
        self.log = SMOKE_BUILD / "workflow.log"

    def start(self) -> None:
        SMOKE_BUILD.mkdir(parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if k not in ("NPF_BUILD", "MPLBACKEND")}
        if (data := find_real_data()) is not None:
            environment["NPF_DATA"] = str(data)
        command = [sys.executable, "scripts/make_book.py", "--profile", "smoke"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.started = time.monotonic()

    def wait(self) -> Path:
        if self.process is None:
            self.start()
        left = SMOKE_SECONDS - (time.monotonic() - self.started)
        try:
            status = self.process.wait(timeout=max(left, 1))
        except subprocess.TimeoutExpired:
            self.stop()
            status = f"none within {SMOKE_SECONDS} s"
        if status != 0:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-60:])
            pytest.fail(f"the smoke build of the book failed (status {status}):\n{tail}", pytrace=False)
        return SMOKE_BUILD / "html"

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()


_smoke = SmokeBuild()


@pytest.fixture(scope="session")
def smoke_book() -> Path:
    """The folder of the book's pages, built in profile smoke; executed notebooks and ledger lie beside it."""
    return _smoke.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "smoke_book" in getattr(item, "fixturenames", ()))


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any("smoke_book" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        _smoke.start()


def pytest_sessionfinish() -> None:
    _smoke.stop()
