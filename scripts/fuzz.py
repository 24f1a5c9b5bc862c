"""Run the property tests on new examples, round after round, until the time is up.

Every round has a seed of its own and another order of the tests. A test that fails is not run again; at the end stands
the line that reproduces each failure. What was found is kept as an explicit `@example` of its test.
"""

import argparse
import os
import random
import shlex
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).absolute().parents[1]


class Round:
    """A plug-in of pytest: new order, without what has failed already, and an end when the time is up."""

    def __init__(self, seed: int, until: float, found: dict[str, int]) -> None:
        self.seed, self.until, self.found, self.ran = seed, until, found, 0
        self.stopped = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leaves out what has failed, and shuffles the rest."""
        items[:] = [item for item in items if item.nodeid not in self.found]
        random.Random(self.seed).shuffle(items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes a failure."""
        self.ran += report.when == "call"
        if report.failed:
            self.found[report.nodeid] = self.seed

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Stops after this test when the time is up."""
        if time.monotonic() > self.until:
            self.stopped = True
            item.session.shouldstop = "the time is up"


def main() -> int:
    """0 if nothing was found, 1 if something was, pytest's own status where the tests do not run at all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float, help="how long")
    parser.add_argument("arguments", nargs="*", help="for pytest: the tests to try; all by default")
    given = parser.parse_args()
    os.chdir(ROOT)
    until, status = time.monotonic() + given.seconds, pytest.ExitCode.OK
    found: dict[str, int] = {}
    rounds = ran = 0
    while time.monotonic() < until:
        seed = random.SystemRandom().randrange(2**32)
        print(f"round {rounds + 1}, seed {seed}", flush=True)
        one = Round(seed, until, found)
        options = ["-q", "--no-header", "--tb=short", "-rN", "-m", "hypothesis", "--hypothesis-profile=fuzz"]
        status = pytest.main([*options, f"--hypothesis-seed={seed}", *given.arguments], [one])
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not one.stopped:
            break
        rounds, ran, status = rounds + 1, ran + one.ran, pytest.ExitCode.OK
    print(f"{ran} tests run in {rounds} rounds; {len(found)} failed.")
    for test, seed in found.items():
        line = ["-m", "pytest", test, "--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}"]
        print(f"  .venv/bin/python {shlex.join(line)}")
    if found:
        print("Mend each, and keep what was found as an @example of its test.")
    return 1 if found else int(status)


if __name__ == "__main__":
    sys.exit(main())
