"""A campaign: its plan against enumeration, its costs against arithmetic, stopping and going on, and its archives."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import accumulate, pairwise
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from click.testing import CliRunner
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from companion import campaign as module
from companion.campaign import ORDER, Campaign, needed, pack, plan
from companion.cli import campaign
from npflib import data, experiments
from npflib.records import run_records
from npflib.records.run_records import Record
from npflib.training import ensure
from npflib.training.batched import BatchedLearner

PROJECT = Path(__file__).resolve().parents[2]
STAGES = "cifar10-quarter-gconv-adam"
TWO = ("mnist-fc-sgd", "mnist-fc-adam-nobias")


@pytest.fixture(autouse=True, scope="module")
def stand_in_data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NPF_DATA", str(tmp_path_factory.mktemp("no-data")))
        patch.setenv("NPF_OFFLINE", "1")
        patch.delenv("NPF_BUILD", raising=False)
        yield


# --- the plan -------------------------------------------------------------------------------------------------------


def in_order(seeds, *names):
    return [(name, regime, seed) for seed in seeds for name in names for regime in experiments.find(name).regimes]


@st.composite
def asked(draw):
    """Whole seconds, so that every instant can be looked at."""
    order = in_order(range(draw(st.integers(1, 3))), "mnist-fc-sgd", STAGES)
    order = draw(
        st.lists(st.sampled_from(order), max_size=14, unique=True).map(lambda some: sorted(some, key=order.index))
    )
    done = {run for run in order if draw(st.integers(0, 5)) == 0}
    runs = {run: draw(st.integers(1, 12)) for run in order if run not in done}
    return runs, draw(st.integers(1, 4)), draw(st.integers(0, 70)), done


@given(asked())
def test_at_every_instant_the_plan_runs_what_may_run_and_nothing_else(case):
    runs, side_by_side, end, done = case
    found = plan(runs, side_by_side, end, done)
    assert all(until == begins + runs[run] <= end for run, (begins, until) in found.items())
    order = list(runs)

    def whole_at(run, now):
        return run is None or run in done or (run in found and found[run][1] <= now)

    def soonest(run, now):
        """The soonest end that anybody could promise at that instant."""
        first, twins = needed(run), [r for r, (at, until) in found.items() if r[:2] == run[:2] and at <= now < until]
        begins = max([now, *(found[twin][1] for twin in twins)])
        if not whole_at(first, now):
            begun = first in found and found[first][0] <= now
            begins = max(begins, found[first][1] if begun else now + runs.get(first, end + 1))
        return begins + runs[run]

    instants = {0, *(until for _, until in found.values())}  # when something is decided
    for now in range(end + 1):
        busy = [run for run, (begins, until) in found.items() if begins <= now < until]
        assert len(busy) <= side_by_side
        assert len({run[:2] for run in busy}) == len(busy), "two seeds of one regime would wait for each other"
        for run in order:
            begins = found[run][0] if run in found else end + 1
            if begins == now:
                assert whole_at(needed(run), now)
                earlier = [r for r in order[: order.index(run)] if r not in found or found[r][0] > now]
                for other in earlier:
                    held_up = any(r[:2] == other[:2] for r in busy)
                    late = soonest(other, now) > end
                    assert late or (other[2] == run[2] and (held_up or not whole_at(needed(other), now)))
            elif begins > now and len(busy) < side_by_side and now in instants:  # it waits, and there is room
                twin = any(r[:2] == run[:2] for r in busy)
                others = [r for r in order if r[2] < run[2] and (r not in found or found[r][0] > now)]
                seed_before = any(soonest(r, now) <= end for r in others)
                assert twin or seed_before or not whole_at(needed(run), now) or now + runs[run] > end


@given(asked())
def test_one_seed_of_everything_begins_before_a_second_of_anything(case):
    runs, side_by_side, end, done = case
    begins = {}
    for run, (at, _) in plan(runs, side_by_side, end, done).items():
        begins.setdefault(run[2], []).append(at)
    seeds = sorted(begins)
    assert all(max(begins[a]) <= min(begins[b]) for a, b in pairwise(seeds))


@given(st.lists(st.floats(0.01, 1e6), min_size=10, max_size=10))
def test_one_after_the_other_and_without_an_end_times_add_up(seconds):
    runs = dict(zip(in_order((0, 1), "mnist-fc-sgd"), seconds, strict=True))
    found = plan(runs, 1, float("inf"))
    assert list(found) == list(runs)
    assert [until for _, until in found.values()] == list(accumulate(seconds))
    assert [begins for begins, _ in found.values()] == [0, *list(accumulate(seconds))[:-1]]


def test_what_needs_a_run_that_is_nowhere_is_not_planned():
    runs = {run: 1.0 for run in in_order((0,), "mnist-fc-sgd") if run[1] != "ReLU"}
    assert {run[1] for run in runs} - {run[1] for run in plan(runs, 2, 100)} == {"FLNPF"}


def test_by_default_it_is_the_papers_table_on_cifar10_and_the_stages():
    assert set(ORDER) == {name for name in experiments.PAPER if name.startswith("cifar10")}
    assert len([run for run in in_order((0,), *ORDER) if "continuous" not in run[0]]) == 20


# --- costs ----------------------------------------------------------------------------------------------------------

COSTS = {"start": 10**6, "step": 1.0, "test": 1.0, "checkpoint": 10_000.0}
EPOCH = {  # steps of 32 images, test images
    STAGES: 512 // 32 + 256 + 10_000,
    TWO[0]: 63 + 1_000 + 10_000,  # of 2,000 images
}


def keep(asked, costs):
    """Puts down costs as if they had been measured on this machine."""
    for cell in asked.orders:
        path = asked._kept(*cell)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"machine": asked.machine, "seconds": costs}))


def test_what_a_run_takes_is_its_start_and_its_epochs(tmp_path):
    asked = Campaign(1, "smoke", names=(STAGES, TWO[0]), seeds=(1, 0), device="cpu", build=tmp_path)
    keep(asked, COSTS)
    seconds = asked._seconds()
    assert list(seconds) == in_order((1, 0), STAGES, TWO[0])
    for (name, regime, _), found in seconds.items():
        epochs = 6 if (name, regime) == (STAGES, "ReLU") else 2  # one a stage
        assert found == 10**6 + epochs * EPOCH[name]


def test_what_lies_behind_is_not_planned_again(tmp_path, monkeypatch):
    steps, gradients = [], BatchedLearner.gradients

    def stopping(learner, chosen):
        steps.append(1)
        if len(steps) == 63 + 3:  # in the second of two epochs
            raise KeyboardInterrupt
        gradients(learner, chosen)

    few = {"build": tmp_path, "device": "cpu", "progress": False}
    ensure(TWO[0], "FRNPF-II", "smoke", seeds=[0], **few)
    monkeypatch.setattr(BatchedLearner, "gradients", stopping)
    with pytest.raises(KeyboardInterrupt):
        ensure(TWO[0], "DLNPF", "smoke", seeds=[1], **few)
    asked = Campaign(1, "smoke", names=TWO[:1], seeds=(0, 1), device="cpu", build=tmp_path)
    keep(asked, COSTS)
    seconds = asked._seconds()
    assert seconds.pop((TWO[0], "FRNPF-II", 0)) == 0
    assert seconds.pop((TWO[0], "DLNPF", 1)) == 10**6 + EPOCH[TWO[0]]
    assert set(seconds.values()) == {10**6 + 2 * EPOCH[TWO[0]]}
    monkeypatch.setattr(module, "training_source_hash", lambda: "0" * 16)
    other = Campaign(1, "smoke", names=TWO[:1], seeds=(0, 1), device="cpu", build=tmp_path)
    assert other._kept(TWO[0], "ReLU")[1] is None, "measured with other code"


# --- the command ----------------------------------------------------------------------------------------------------


def options(build, *more, hours=1, names=TWO):
    named = ["--profile", "smoke", "--device", "cpu", "--seeds", "0", "--build", str(build)]
    return ["--hours", str(hours), "--experiments", ",".join(names), *named, *more]


BAD = {
    "no time": (["--hours", "0"], "hours must be finite and positive; got 0.0."),
    "nan": (["--hours", "nan"], "hours must be finite and positive; got nan."),
    "for ever": (["--hours", "inf"], "hours must be finite and positive; got inf."),
    "backwards": (["--hours", "-1"], "hours must be finite and positive; got -1.0."),
    "no number": (["--hours", "all"], "'all' is not a valid float"),
    "device": (["--device", "abacus"], "device 'abacus' is not there; use 'cpu'"),
    "experiment": (["--experiments", "cifar10"], "unknown experiment 'cifar10'; allowed: mnist-fc-sgd"),
    "seeds": (["--seeds", "0,0"], "seeds must be one or more different whole numbers"),
    "side by side": (["--side-by-side", "0"], "side_by_side must be a positive whole number; got 0."),
    "precision": (
        ["--experiments", STAGES, "--precision", "float8"],
        "unknown precision 'float8' of cifar10",
    ),
    "profile": (["--profile", "quick"], "'quick' is not one of 'smoke', 'paper'"),
    "home": (["--build", "~nobody-here/x"], "begins with the home folder of a user that there is not"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_done_is_refused_before_any_work(tmp_path, monkeypatch, case):
    monkeypatch.setattr(data, "load", lambda *_a, **_o: pytest.fail("data were loaded"))
    more, message = BAD[case]
    found = CliRunner().invoke(campaign, options(tmp_path / "build", *more))
    assert found.exit_code in (1, 2)
    assert message in found.output
    assert isinstance(found.exception, SystemExit)
    assert not (tmp_path / "build").exists()


def test_the_papers_budget_is_not_spent_on_stand_in_data(tmp_path, monkeypatch):
    monkeypatch.setattr(Campaign, "_together", lambda *_a: pytest.fail("something was begun"))
    found = CliRunner().invoke(campaign, options(tmp_path / "build", "--profile", "paper"))
    assert found.exit_code == 1
    assert "STAND-IN DATA" in found.output
    assert "Set NPF_DATA to a folder with the real files." in found.output
    assert not (tmp_path / "build").exists()


def test_a_dry_run_measures_once_and_trains_nothing(tmp_path, monkeypatch):
    small = options(tmp_path, "--dry-run", names=["mnist-alignment"])
    first = CliRunner().invoke(campaign, small)
    assert first.exit_code == 0, first.output
    kept = json.loads((tmp_path / "campaign" / "mnist-alignment-ReLU.json").read_text())
    assert set(kept["seconds"]) == {"start", "step", "test", "checkpoint"}
    assert all(seconds > 0 for seconds in kept["seconds"].values())
    assert kept["machine"]["side_by_side"] == 2
    assert not (tmp_path / "runs").exists()
    assert [path.name for path in (tmp_path / "campaign").iterdir()] == ["mnist-alignment-ReLU.json"]
    monkeypatch.setattr(module, "_measure", None)  # which no process could be given
    again = CliRunner().invoke(campaign, small)
    assert again.exit_code == 0, again.output
    assert "0 runs are whole, 1 are not" in again.output
    assert "seed 0: 1 of the 1 that are left will be whole by" in again.output
    none = CliRunner().invoke(campaign, [*small, "--hours", "1e-9"])
    assert "seed 0: 0 of the 1 that are left will be whole in time" in none.output
    assert "not whole within 1e-09 h: mnist-alignment ReLU seed 0, which takes" in none.output


def train_in_process(build, *regimes):
    for name, regime in [(TWO[0], regime) for regime in regimes]:
        ensure(name, regime, "smoke", seeds=[0], build=build, device="cpu", progress=False)


@pytest.fixture(scope="module")
def begun(stand_in_data, tmp_path_factory):
    """A build in which two networks and FLNPF are left to train, and what they take is put down."""
    build = tmp_path_factory.mktemp("begun")
    train_in_process(build, "DLNPF", "FRNPF-DI", "FRNPF-II")
    keep(Campaign(1, "smoke", names=TWO, seeds=(0,), device="cpu", build=build), dict.fromkeys(COSTS, 1e-3))
    return build


@pytest.fixture
def prepared(begun, tmp_path):
    """That build, for one test."""
    return shutil.copytree(begun, tmp_path / "build")


def started(build):
    code = "from companion.cli import campaign; campaign()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *options(build)], cwd=PROJECT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )  # fmt: skip


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def held(build, regime):
    """Whoever would train that regime waits, for as long as the lock is held."""
    place = build / "checkpoints" / TWO[0] / f"{regime}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(place)


def contents(build):
    records = [run_records.read(path) for path in sorted((build / "runs").rglob("*.json"))]
    facts = [(r.experiment, r.regime, r.history, r.configuration, r.library, r.data, bool(r.gates)) for r in records]
    return facts, {path.relative_to(build): load_file(path) for path in sorted(build.rglob("*.safetensors"))}


def test_killed_stopped_and_given_again_it_ends_with_the_same_bits(tmp_path, prepared):
    """Killed while ReLU waits for a lock, then asked to stop while FLNPF does: it is never done before."""
    with held(prepared, "ReLU"):
        process = started(prepared)
        wait_for(prepared / "runs" / TWO[1] / "ReLU" / "seed-0.json", process)
        process.kill()
        process.communicate()  # comes back when nobody holds the pipe: no child outlives it
    with held(prepared, "FLNPF"):
        process = started(prepared)
        wait_for(prepared / "runs" / TWO[0] / "ReLU" / "seed-0.json", process)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    assert process.returncode == 130
    assert "Interrupted. The same command goes on from the last finished epochs." in output
    assert "Traceback" not in output
    found = CliRunner().invoke(campaign, options(prepared))
    assert found.exit_code == 0, found.output
    assert "5 runs are whole, 1 are not" in found.output
    assert f"{TWO[0]} FLNPF seed 0 is whole" in found.output

    train_in_process(tmp_path / "other", *experiments.find(TWO[0]).regimes)
    ensure(TWO[1], "ReLU", "smoke", seeds=[0], build=tmp_path / "other", device="cpu", progress=False)
    (facts, states), (other_facts, other_states) = contents(prepared), contents(tmp_path / "other")
    assert facts == other_facts
    assert states.keys() == other_states.keys()
    for path, state in states.items():
        assert all(torch.equal(tensor, other_states[path][name]) for name, tensor in state.items()), path
    assert not list((prepared / "checkpoints").rglob("*.pt"))
    with ZipFile(prepared / "campaign" / "part-01.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
    assert len(names) == 6


def test_when_time_is_up_what_runs_is_stopped(prepared):
    with held(prepared, "ReLU"):
        found = CliRunner().invoke(campaign, options(prepared, hours=20 / 3600, names=TWO[:1]))
    assert found.exit_code == 0, found.output
    assert "2 runs are not whole. The same command goes on from their last finished epochs." in found.output
    assert "Bring back:" in found.output
    with held(prepared, "ReLU").acquire(timeout=10):  # nobody waits for it any more, or holds it
        assert not (prepared / "runs" / TWO[0] / "ReLU").exists()


def test_one_that_fails_takes_down_what_needs_it_alone(prepared):
    (prepared / "checkpoints" / TWO[0] / "ReLU.lock").unlink(missing_ok=True)
    (prepared / "checkpoints" / TWO[0] / "ReLU").write_text("no folder")
    found = CliRunner().invoke(campaign, options(prepared))
    assert found.exit_code == 1
    assert f"{TWO[0]} ReLU seed 0 FAILED, as said above" in found.output
    assert f"{TWO[1]} ReLU seed 0 is whole" in found.output
    assert "2 runs are not whole" in found.output
    assert not (prepared / "runs" / TWO[0] / "FLNPF").exists()


# --- the archives ---------------------------------------------------------------------------------------------------


def whole_runs(folder, sizes):
    """Runs of ReLU and another regime, whose weights have the given numbers of bytes."""
    keys = []
    for seed, size in enumerate(sizes):
        for regime in ("ReLU", "DLNPF"):
            record = Record(
                "cifar10-gconv-adam", regime, seed, "paper", {}, {"test_accuracy": [0.5]}, 0.5, 1, 0.5, 1.0,
                {"title": "CIFAR-10", "stand_in": False}, {}, {},
            )  # fmt: skip
            path = run_records.path_of(folder, record.experiment, regime, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(asdict(record)))  # not by `write`, which waits for the disk
            path.with_suffix(".safetensors").write_bytes(os.urandom(size))
            keys.append((record.experiment, regime, seed))
    return keys


@given(st.lists(st.integers(0, 6_000), max_size=6), st.integers(7_000, 20_000))
def test_archives_hold_every_file_and_none_is_too_large(tmp_path_factory, sizes, limit):
    folder = tmp_path_factory.mktemp("packed")
    runs, into, back = folder / "runs", folder / "campaign", folder / "results"
    keys = whole_runs(runs, sizes)
    parts = pack(runs, keys, into, limit)
    assert sorted(into.glob("*")) == parts
    assert all(part.stat().st_size <= limit for part in parts)
    for part in parts:
        with ZipFile(part) as archive:
            assert archive.testzip() is None
            assert not [name for name in archive.namelist() if (back / name).exists()], "no file is in two archives"
            archive.extractall(back)
    wanted = [path for path in runs.rglob("seed-*") if path.suffix == ".json" or "ReLU" in path.parts]
    assert sorted(p.relative_to(back) for p in back.rglob("seed-*")) == sorted(p.relative_to(runs) for p in wanted)
    assert all((back / path.relative_to(runs)).read_bytes() == path.read_bytes() for path in wanted)
    before = [part.read_bytes() for part in parts]
    assert [part.read_bytes() for part in pack(runs, reversed(keys), into, limit)] == before
    assert pack(runs, [], into, limit) == [] == list(into.glob("*"))
    shutil.rmtree(folder)


def test_weights_of_a_megabyte_stay_and_a_file_too_large_is_said(tmp_path):
    keys = whole_runs(tmp_path / "runs", [999_999, 1_000_000])
    (part,) = pack(tmp_path / "runs", keys, tmp_path / "into")
    with ZipFile(part) as archive:
        tensors = [name for name in archive.namelist() if name.endswith(".safetensors")]
    assert tensors == ["cifar10-gconv-adam/ReLU/seed-0.safetensors"]
    with pytest.raises(ValueError, match=r"seed-0\.safetensors, 999999 bytes, fits into no file of 999999"):
        pack(tmp_path / "runs", keys, tmp_path / "into", limit=999_999)
    assert part.exists(), "what was packed before stays"


def test_the_books_line_unpacks_into_the_results(tmp_path):
    keys = whole_runs(tmp_path / "build" / "paper" / "runs", [100])
    pack(tmp_path / "build" / "paper" / "runs", keys, tmp_path / "build" / "paper" / "campaign")
    page = (PROJECT / "book" / "running.md").read_text(encoding="utf-8")
    line = re.search(r"^for part in .*?done$", page, re.MULTILINE | re.DOTALL)[0]
    subprocess.run(["sh", "-c", line.replace(".venv/bin/python", sys.executable)], cwd=tmp_path, check=True)
    assert [record.regime for record in run_records.read_all(tmp_path / "results")] == ["DLNPF", "ReLU"]
    assert (tmp_path / "results" / "cifar10-gconv-adam" / "ReLU" / "seed-0.safetensors").stat().st_size == 100
