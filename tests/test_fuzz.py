"""`make fuzz` finds what can fail, prints a line that brings it back, and draws other examples than `make test`."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

PROJECT = Path(__file__).resolve().parents[1]
FAULTY = """
from hypothesis import given, settings
from hypothesis import strategies as st

@settings(max_examples=20)
@given(st.integers(0, 2**64), st.sampled_from("ab"))
def test_faulty(number, letter):
    assert number % 3
"""
SOUND = """
from hypothesis import given, settings
from hypothesis import strategies as st

@settings(max_examples=20)
@given(st.integers(0, 2**64))
def test_sound(number):
    with open({drawn!r}, "a") as drawn:
        drawn.write(f"{{number}}\\n")

def test_no_property():
    raise AssertionError("only property tests are tried")
"""


@pytest.fixture
def folder():
    """Inside the project, where pytest can name tests by their path."""
    (PROJECT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PROJECT / "build", prefix="fuzz-") as made:
        yield Path(made)


def run(*command: str) -> subprocess.CompletedProcess:
    """With the profiles of this suite, for tests that lie elsewhere."""
    environment = os.environ | {
        "PYTHONPATH": f"{Path(__file__).parent}:{PROJECT}",
        "PYTEST_ADDOPTS": "-p hypothesis_profiles",
    }
    return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)


def test_a_find_comes_with_the_line_that_reproduces_it(folder):
    (folder / "test_made.py").write_text(FAULTY)
    found = run(sys.executable, "scripts/fuzz.py", "1", str(folder / "test_made.py"))
    assert found.returncode == 1, found.stdout + found.stderr
    assert "1 tests run in 1 rounds; 1 failed." in found.stdout
    [line] = re.findall(r"^  \.venv/bin/python (-m pytest .*test_faulty.*)$", found.stdout, re.MULTILINE)
    again = run(sys.executable, *shlex.split(line))
    assert again.returncode == 1, again.stdout
    example = re.compile(r"reproduce_failure\(.*?\)")
    assert set(example.findall(found.stdout)) == set(example.findall(again.stdout)) != set()


def test_it_ends_when_the_time_is_up_and_draws_new_examples_each_time(folder):
    (folder / "test_made.py").write_text(SOUND.format(drawn=str(folder / "drawn")))
    rounds = 0  # as many as the machine does in a second, one at least
    for _ in range(2):
        ended = run(sys.executable, "scripts/fuzz.py", "1", str(folder / "test_made.py"))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        [(ran, of)] = re.findall(r"(\d+) tests run in (\d+) rounds; 0 failed\.", ended.stdout)
        assert ran == of, "what is no property test is left out"
        rounds += int(of)
    drawn = (folder / "drawn").read_text().split()
    assert len(drawn) == 20 * rounds
    assert len(set(drawn)) > 20


def test_a_file_that_does_not_load_is_no_success(folder):
    (folder / "test_made.py").write_text("import nothing_of_this_name\n")
    ended = run(sys.executable, "scripts/fuzz.py", "1", str(folder / "test_made.py"))
    assert ended.returncode not in (0, 1), ended.stdout


def test_rounds_follow_each_other_with_seeds_of_their_own(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("fuzz", PROJECT / "scripts" / "fuzz.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    clock, asked = [100.0], []

    def round_of_three_seconds(arguments, plugins):
        asked.append(next(argument for argument in arguments if argument.startswith("--hypothesis-seed=")))
        clock[0] += 3
        return pytest.ExitCode.OK

    monkeypatch.setattr(script, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(script.pytest, "main", round_of_three_seconds)
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "10"])
    assert script.main() == 0
    assert len(set(asked)) == 4
    assert [f"--hypothesis-seed={seed}" for seed in re.findall(r"seed (\d+)", capsys.readouterr().out)] == asked


def test_the_suite_itself_draws_the_same_examples_each_time():
    runs: list[list[int]] = [[], []]
    for drawn in runs:

        @settings(settings.get_profile("npf"), max_examples=20)
        @given(number=st.integers(0, 2**64))
        def record(into, number):
            into.append(number)

        record(drawn)
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 10
    fuzzed = settings.get_profile("fuzz")
    assert (fuzzed.derandomize, fuzzed.database) == (False, None)


def test_the_monthly_workflow_draws_new_examples():
    jobs = yaml.safe_load((PROJECT / ".github" / "workflows" / "reproduce.yml").read_text())["jobs"]
    assert re.fullmatch(r"make fuzz SECONDS=\d{3,}", jobs["fuzz"]["steps"][-1]["run"])


@pytest.mark.parametrize("seconds", ["soon", ""])
def test_a_time_that_is_none_is_refused(seconds):
    assert run(sys.executable, "scripts/fuzz.py", seconds).returncode == 2
