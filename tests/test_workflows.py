"""The workflows of the repository's host: what starts them, what they may do, and that what they run exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from companion import ledger
from npflib import experiments

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / ".github"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((FOLDER / "workflows").glob("*.yml"))}

every_workflow = pytest.mark.parametrize("name", list(WORKFLOWS))


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def triggers(workflow: dict) -> dict:
    return workflow[True]  # YAML 1.1 reads the key `on` as true


def test_there_are_four():
    assert set(WORKFLOWS) == {"checks", "links", "pages", "reproduce"}


def test_what_starts_them():
    assert set(triggers(WORKFLOWS["checks"])) == {"push", "pull_request"}
    assert triggers(WORKFLOWS["pages"])["push"] == {"branches": ["main"]}
    [schedule] = triggers(WORKFLOWS["reproduce"])["schedule"]
    assert re.fullmatch(r"\d+ \d+ \d+ \* \*", schedule["cron"]), "once a month"
    [weekly] = triggers(WORKFLOWS["links"])["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", weekly["cron"]), "once a week"
    assert all("workflow_dispatch" in triggers(WORKFLOWS[name]) for name in ("reproduce", "links"))


@every_workflow
def test_they_may_do_no_more_than_they_need(name):
    workflow = WORKFLOWS[name]
    allowed = {"contents": "read"} | ({"issues": "write"} if name == "reproduce" else {})
    assert workflow["permissions"] == allowed
    for label, job in workflow["jobs"].items():
        more = {"pages": "write", "id-token": "write"} if label == "publish" else None
        assert job.get("permissions") == more
        assert job.get("timeout-minutes", 0) or label == "publish", "a run that hangs must end"


@every_workflow
def test_actions_are_the_hosts_own_pinned_by_major_version(name):
    used = [step["uses"] for step in steps(WORKFLOWS[name]) if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", action)] == []


@every_workflow
def test_every_command_exists(name):
    makefile = (PROJECT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    commands = [step["run"] for step in steps(WORKFLOWS[name]) if "run" in step]
    for command in commands:
        first = command.split()[0]
        if first == "make":
            assert set(re.findall(r"\bmake ([a-z-]+)", command)) <= targets
        else:
            assert os.access(PROJECT / first, os.X_OK), f"{first} is not a program of this repository"
    assert commands or name != "checks"


@every_workflow
def test_a_command_whose_output_is_kept_still_fails(name):
    for step in steps(WORKFLOWS[name]):
        if "|" in step.get("run", "").replace("||", ""):
            assert step["shell"] == "bash", "the default shell has no pipefail"


@every_workflow
def test_nothing_from_outside_is_pasted_into_a_shell(name):
    assert [step["run"] for step in steps(WORKFLOWS[name]) if "${{" in step.get("run", "")] == []


def test_the_rows_of_the_schedule_are_rows():
    default = re.search(r"'schedule' && '([\w-]+)'", WORKFLOWS["reproduce"]["jobs"]["reproduce"]["env"]["ROWS"]).group(
        1
    )
    assert default in experiments.PAPER


def tools(folder: Path, **programs: str) -> dict[str, str]:
    """An environment in which these programs come first; each notes how it was called."""
    for program, body in programs.items():
        path = folder / program
        path.write_text(f'#!/usr/bin/env bash\necho "{program} $*" >> "{folder}/calls"\n{body}\n')
        path.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


STANDS = next((id for id, verdict in ledger.standings().items() if verdict == "holds"), "")


def contradicted_ledger(folder: Path) -> str:
    """What the ledger says of a build in which one claim contradicts its standing."""
    common = {
        "kind": "identity", "source": "s", "quantity": "q", "expected": 0.0, "tolerance": 0.1, "tolerance_reason": "r",
        "chapter": "c", "profile": "quick", "seeds": 1, "data": None, "build": folder / "build",
    }  # fmt: skip
    ledger.record("claim-a", "Zero is zero.", measured=0.0, **common)
    ledger.record(STANDS, "One is zero.", measured=1.0, **common)
    code = "from npflib.cli import main; main()"
    arguments = ["ledger", "--profile", "quick", "--build", str(folder / "build"), "--check"]
    found = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=PROJECT)
    assert found.returncode == 1
    return found.stdout + found.stderr


@pytest.mark.parametrize(("number", "verb"), [("", "create"), ("7", "comment 7")])
def test_a_contradiction_becomes_an_issue_or_a_comment_on_the_open_one(tmp_path, number, verb):
    (tmp_path / "ledger.txt").write_text(contradicted_ledger(tmp_path))
    body = f"""[ "$2" = list ] && echo "{number}"
while [ $# -gt 0 ]; do [ "$1" = --body-file ] && cat "$2" >> "{tmp_path}/body"; shift; done; true"""
    environment = tools(tmp_path, gh=body)
    command = [FOLDER / "report_contradictions", tmp_path / "ledger.txt", "https://example.org/run/1"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[1:2] for call in calls] == [["issue"], ["issue"]]
    assert calls[1].startswith(f"gh issue {verb} ")
    text = (tmp_path / "body").read_text()
    assert f"CONTRADICTS ITS STANDING (holds): {STANDS} is refuted" in text
    assert "claim-a" not in text
    assert "https://example.org/run/1" in text


def test_a_ledger_that_failed_otherwise_opens_no_issue(tmp_path):
    (tmp_path / "ledger.txt").write_text("Error: there is no build folder\n")
    environment = tools(tmp_path, gh="true")
    run = subprocess.run(
        [FOLDER / "report_contradictions", tmp_path / "ledger.txt", "x"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "names no contradiction" in run.stderr
    assert not (tmp_path / "calls").exists()


def test_rows_are_trained_in_full_and_replace_the_published_records(tmp_path):
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "train_rows").write_text((FOLDER / "train_rows").read_text())
    (tmp_path / ".github" / "train_rows").chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    tools(tmp_path / ".venv" / "bin", npf=f'mkdir -p "{tmp_path}/build/paper/runs/$3/$5"')
    (tmp_path / "results" / "row-one" / "old").mkdir(parents=True)
    assert subprocess.run([tmp_path / ".github" / "train_rows", "row-one,row-two", "0,1"]).returncode == 0
    calls = (tmp_path / ".venv" / "bin" / "calls").read_text().splitlines()
    regimes = experiments.PAPER["mnist-fc-adam"].regimes
    assert calls == [
        f"npf train --experiment {row} --regime {regime} --profile paper --seeds 0,1 --quiet"
        for row in ("row-one", "row-two")
        for regime in regimes
    ]
    assert {path.name for path in (tmp_path / "results" / "row-one").iterdir()} == set(regimes)
    assert subprocess.run([tmp_path / ".github" / "train_rows", "", ""]).returncode == 0
    assert len((tmp_path / ".venv" / "bin" / "calls").read_text().splitlines()) == len(calls)
