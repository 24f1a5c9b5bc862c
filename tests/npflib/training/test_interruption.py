"""Interrupted training goes on, and ends with the bits of a run that was never interrupted.

Processes are killed at an exact step rather than after some seconds, so the tests do not depend on the machine's
speed: a wrapper around ``npf train`` sends its own process the signal.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from npflib import experiments, profiles
from npflib.architectures import FullyConnected, GConv, VConv
from npflib.experiments import Probe
from npflib.records import run_records
from npflib.training import runs as training
from npflib.training.autograd import AutogradLearner
from npflib.training.batched import BatchedLearner
from npflib.training.runs import ensure

PROFILE = "smoke"
STEPS = 63  # 2,000 digits in batches of 32; two epochs
SEEDS = (0, 1)

INTERRUPTED = """
import os, signal, sys
from npflib.training import runs as training
from npflib.cli import main
from npflib.training.autograd import AutogradLearner
from npflib.training.batched import BatchedLearner

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
kind, regime, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
counted = 0

def count_down():
    global counted
    counted += 1
    if counted == number:
        os.kill(os.getpid(), getattr(signal, kind))

run, fsync = training._Run.finish, os.fsync
taking = {kind: kind.gradients for kind in (BatchedLearner, AutogradLearner)}
if sys.argv[4] == "step":  # in the given step of the given regime (an FLNPF trains its ReLU before)
    def finish(self, progress):
        def counting(learner, chosen):
            if self.order.regime == regime:
                count_down()
            taking[type(learner)](learner, chosen)
        BatchedLearner.gradients = AutogradLearner.gradients = counting
        return run(self, progress)
    training._Run.finish = finish
else:  # when the given file is written, but does not have its name yet
    os.fsync = lambda descriptor: (count_down(), fsync(descriptor))
sys.argv[1:] = sys.argv[5:]
main()
"""


@pytest.fixture(autouse=True)
def stand_in_data(monkeypatch, tmp_path):
    (tmp_path / "no-data").mkdir()
    monkeypatch.setenv("NPF_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("NPF_OFFLINE", "1")


def train(experiment, regime, build, **more):
    return ensure(experiment, regime, PROFILE, seeds=SEEDS, build=build, device="cpu", progress=False, **more)


def interrupted(kind, at, build, experiment, regime, where="step"):
    """Runs ``npf train`` in a process of its own that sends itself a signal; returns the ended process."""
    arguments = ["train", "--experiment", experiment, "--regime", regime, "--profile", PROFILE, "--build", str(build)]
    arguments += ["--seeds", ",".join(map(str, SEEDS)), "--device", "cpu", "--quiet"]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED, kind, regime, str(at), where, *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def products(build, experiment, regime):
    """Histories, series and weights of a finished run: what must agree to the bit."""
    records = run_records.read_all(Path(build) / "runs", experiment, regime)
    assert [record.seed for record in records] == list(SEEDS)
    histories = [
        (r.history, r.series, r.peak, r.peak_epoch, r.final, r.configuration, r.data, r.library) for r in records
    ]
    folder = Path(build) / "runs" / experiment / regime
    states = [load_file(folder / f"seed-{seed}.safetensors") for seed in SEEDS]
    return histories, [(*key.split("/"), t) for state in states for key, t in state.items()]


def assert_same_bits(build, other, experiment, regime):
    (found, weights), (expected, expected_weights) = (products(b, experiment, regime) for b in (build, other))
    assert found == expected
    assert [key[:2] for key in weights] == [key[:2] for key in expected_weights]
    assert all(torch.equal(one[2], two[2]) for one, two in zip(weights, expected_weights, strict=True))


def count_steps(monkeypatch):
    """Notes every step that is taken: how much was really trained."""
    counted = []
    for kind in (BatchedLearner, AutogradLearner):
        monkeypatch.setattr(
            kind, "gradients", lambda self, chosen, _go=kind.gradients: (counted.append(1), _go(self, chosen))
        )
    return counted


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A build that was never interrupted, trained as far as a test asks."""
    build = tmp_path_factory.mktemp("uninterrupted")

    def ask(experiment, regime):
        train(experiment, regime, build)
        return build

    return ask


@pytest.mark.parametrize(("experiment", "regime"), [("mnist-fc-adam", "DLNPF"), ("mnist-fc-sgd", "FLNPF")])
def test_killed_in_mid_epoch_it_goes_on_to_the_same_bits(tmp_path, monkeypatch, uninterrupted, experiment, regime):
    ended = interrupted("SIGKILL", STEPS + 20, tmp_path, experiment, regime)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (tmp_path / "runs" / experiment / regime).exists()
    assert list((tmp_path / "checkpoints" / experiment / regime).iterdir())
    steps = count_steps(monkeypatch)
    train(experiment, regime, tmp_path)
    assert len(steps) == STEPS, "the second epoch only"
    assert_same_bits(tmp_path, uninterrupted(experiment, regime), experiment, regime)
    assert not list((tmp_path / "checkpoints").rglob("*.pt"))


def test_killed_with_a_probe_and_the_squared_loss_it_goes_on_to_the_same_bits(tmp_path, monkeypatch, uninterrupted):
    """Digits 4 and 7 of 2,000: 400 in batches of 64, and ν before the first epoch and after each of two."""
    name, steps = "mnist-alignment", 7
    ended = interrupted("SIGKILL", steps + 3, tmp_path, name, "ReLU")
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (checkpoint,) = (tmp_path / "checkpoints" / name / "ReLU").iterdir()
    series = torch.load(checkpoint, weights_only=True)["series"]
    assert [found["epoch"] for found in series] == [[0, 1], [0, 1]]
    counted = count_steps(monkeypatch)
    train(name, "ReLU", tmp_path)
    assert len(counted) == steps, "the second epoch only"
    assert_same_bits(tmp_path, uninterrupted(name, "ReLU"), name, "ReLU")
    for record in run_records.read_all(tmp_path / "runs", name, "ReLU"):
        assert record.series["epoch"] == [0, 1, 2]


def test_killed_between_stages_it_goes_on_to_the_same_bits(tmp_path, monkeypatch, uninterrupted):
    """A convolutional network of six stages of one epoch, 512 images in batches of 32, killed in the fourth."""
    name, steps = "cifar10-quarter-gconv-adam", 16
    ended = interrupted("SIGKILL", 3 * steps + 5, tmp_path, name, "ReLU")
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (checkpoint,) = (tmp_path / "checkpoints" / name / "ReLU").iterdir()
    kept = torch.load(checkpoint, weights_only=True)["kept"]
    assert [set(found) for found in kept] == [{"stage-1", "stage-2", "stage-3"}] * 2
    counted = count_steps(monkeypatch)
    train(name, "ReLU", tmp_path)
    assert len(counted) == 3 * steps
    assert_same_bits(tmp_path, uninterrupted(name, "ReLU"), name, "ReLU")
    assert {key for key, *_ in products(tmp_path, name, "ReLU")[1]} == {
        "best", "last", *(f"stage-{k}" for k in range(1, 7)),
    }  # fmt: skip


def test_killed_while_writing_a_checkpoint_the_one_before_serves(tmp_path, monkeypatch, uninterrupted):
    ended = interrupted("SIGKILL", 2, tmp_path, "mnist-fc-adam", "ReLU", where="write")
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    folder = tmp_path / "checkpoints" / "mnist-fc-adam" / "ReLU"
    assert len(list(folder.glob("*.pt"))) == 1
    assert len(list(folder.iterdir())) == 2, "the half-written one has another name"
    steps = count_steps(monkeypatch)
    train("mnist-fc-adam", "ReLU", tmp_path)
    assert len(steps) == STEPS
    assert_same_bits(tmp_path, uninterrupted("mnist-fc-adam", "ReLU"), "mnist-fc-adam", "ReLU")


def test_ctrl_c_says_how_to_go_on_and_exits_130(tmp_path, monkeypatch, uninterrupted):
    ended = interrupted("SIGINT", STEPS + 20, tmp_path, "mnist-fc-adam", "ReLU")
    assert ended.returncode == 130
    assert "Interrupted. The same command goes on from the last finished epoch." in ended.stderr
    assert "Traceback" not in ended.stderr
    steps = count_steps(monkeypatch)
    train("mnist-fc-adam", "ReLU", tmp_path)
    assert len(steps) == STEPS
    assert_same_bits(tmp_path, uninterrupted("mnist-fc-adam", "ReLU"), "mnist-fc-adam", "ReLU")


# --- in one process, so that every place can be tried ----------------------------------------------------------------


class StopHereError(BaseException):
    """Stands for the end of the process: nothing in the library may catch it."""


def stop_at(monkeypatch, owner, name, number):
    """Ends training at the given call of a function, before it does anything."""
    original, calls = getattr(owner, name), []

    def counting(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            raise StopHereError
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, counting)


PLACES = {
    "first step": (BatchedLearner, "gradients", 1),
    "second epoch's test": (BatchedLearner, "test", 2),
    "naming the second checkpoint": (Path, "replace", 2),
    "first weights": (Path, "replace", 3),
    "first record": (Path, "replace", 4),
    "second weights": (Path, "replace", 5),
    "second record": (Path, "replace", 6),
    "removal of the checkpoint": (Path, "unlink", 1),
}


@pytest.mark.parametrize("place", PLACES)
def test_wherever_it_stops_it_ends_with_the_same_bits(tmp_path, monkeypatch, uninterrupted, place):
    expected = uninterrupted("mnist-fc-adam", "FRNPF-DI")
    with monkeypatch.context() as patch:
        stop_at(patch, *PLACES[place])
        with pytest.raises(StopHereError):
            train("mnist-fc-adam", "FRNPF-DI", tmp_path)
    for path in tmp_path.rglob("*.json"):
        run_records.read(path)
    train("mnist-fc-adam", "FRNPF-DI", tmp_path)
    assert_same_bits(tmp_path, expected, "mnist-fc-adam", "FRNPF-DI")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("regime", ["ReLU", "FLNPF", "DLNPF"])
@pytest.mark.parametrize("name", ["cifar10-vconv-adam", "cifar10-gconv-sgd"])
def test_convolutional_runs_go_on_too(tmp_path, monkeypatch, regime, name, precision):
    full = experiments.find(name)
    arch = (VConv if "vconv" in name else GConv)(3, 32, 10, True, (2, 2), (4,))
    tiny = experiments.Experiment(name, "tiny", "cifar10", arch, full.optimiser, 1e-2, 2)
    monkeypatch.setattr(experiments, "PAPER", {name: tiny})
    small = profiles.Profile("smoke", "", SEEDS, 100, 50, {}, (8,), 1)
    monkeypatch.setattr(profiles, "PROFILES", {"smoke": small})
    train(name, regime, tmp_path / "whole", precision=precision)
    if regime == "FLNPF":
        train(name, "ReLU", tmp_path / "cut", precision=precision)
    with monkeypatch.context() as patch:
        stop_at(patch, AutogradLearner, "gradients", 6)  # four steps an epoch
        with pytest.raises(StopHereError):
            train(name, regime, tmp_path / "cut", precision=precision)
    train(name, regime, tmp_path / "cut", precision=precision)
    assert_same_bits(tmp_path / "cut", tmp_path / "whole", name, regime)


def test_another_seeds_run_leaves_a_checkpoint_where_it_is(tmp_path, monkeypatch):
    def alone(seed):
        return ensure("mnist-fc-sgd", "ReLU", PROFILE, seeds=[seed], build=tmp_path, device="cpu", progress=False)

    with monkeypatch.context() as patch:
        stop_at(patch, BatchedLearner, "gradients", STEPS + 5)
        with pytest.raises(StopHereError):
            alone(1)
    alone(0)
    steps = count_steps(monkeypatch)
    alone(1)
    assert len(steps) == STEPS, "the second epoch only"
    assert not list((tmp_path / "checkpoints").rglob("*.pt"))


PROBED = {
    "before the first measure": (training._Run, "_measure", 1),
    "at the second measure": (training._Run, "_measure", 3),
    "in the fourth epoch": (BatchedLearner, "gradients", 3 * 7 + 1),
    "naming the third checkpoint": (Path, "replace", 3),
    "first record": (Path, "replace", 6),
}


@pytest.mark.parametrize("place", PROBED)
@pytest.mark.parametrize("kind", ["alignment", "traces"])
def test_a_run_with_a_probe_goes_on_wherever_it_stops(tmp_path, monkeypatch, kind, place):
    """Four epochs, measured before the first and after the second and the fourth; shuffled labels, squared loss."""
    common = {"epochs": 4, "batch": 16, "probe": Probe(kind, 2, 5)}
    if kind == "alignment":
        name, regime = "mnist-alignment-shuffled", "ReLU"
        own = {"classes": (4, 7), "loss": "squared", "initialisation": "signed", "shuffled": True}
        arch, rule = FullyConnected(3, 64, out_features=1, bias=False), "rmsprop"
        examples = 5 * 7 * 16  # of all ten classes: seven batches of the two
    else:
        name, regime, own, arch, rule, examples = (
            "mnist-kernel-traces",
            "DLNPF",
            {},
            FullyConnected(3, 8),
            "sgd",
            7 * 16,
        )
    tiny = experiments.Experiment(name, "tiny", "mnist", arch, rule, 1e-3, regimes=(regime,), **common, **own)
    monkeypatch.setattr(experiments, "PAPER", {name: tiny})
    monkeypatch.setattr(experiments, "COMPANION", {})
    small = profiles.Profile("smoke", "", SEEDS, examples, 100, {}, (8,), 1)
    monkeypatch.setattr(profiles, "PROFILES", {"smoke": small})
    train(name, regime, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, *PROBED[place])
        with pytest.raises(StopHereError):
            train(name, regime, tmp_path / "cut")
    train(name, regime, tmp_path / "cut")
    assert_same_bits(tmp_path / "cut", tmp_path / "whole", name, regime)
    for record in run_records.read_all(tmp_path / "cut" / "runs", name, regime):
        assert record.series["epoch"] == [0, 2, 4]


@pytest.mark.parametrize("failure", ["full disk", "failing rename"])
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch, failure):
    def fails(*_arguments):
        raise OSError("no space left on device")

    calls = []
    owner, name = (os, "fsync") if failure == "full disk" else (Path, "replace")
    original = getattr(owner, name)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, lambda *a: original(*a) if calls.append(1) or len(calls) < 2 else fails())
        with pytest.raises(OSError, match="no space"):
            train("mnist-fc-sgd", "ReLU", tmp_path)
    (left,) = (tmp_path / "checkpoints" / "mnist-fc-sgd" / "ReLU").iterdir()
    state = torch.load(left, weights_only=True)
    assert [len(history["test_accuracy"]) for history in state["history"]] == [1, 1]


def test_a_checkpoint_of_other_code_is_not_gone_on_from(tmp_path, monkeypatch, caplog, uninterrupted):
    expected = uninterrupted("mnist-fc-sgd", "ReLU")
    with monkeypatch.context() as patch:
        patch.setattr(training, "training_source_hash", lambda: "0" * 16)
        stop_at(patch, BatchedLearner, "gradients", STEPS + 1)
        with pytest.raises(StopHereError):
            train("mnist-fc-sgd", "ReLU", tmp_path)
    steps = count_steps(monkeypatch)
    train("mnist-fc-sgd", "ReLU", tmp_path)
    assert len(steps) == 2 * STEPS
    assert "starting afresh" in caplog.text
    assert_same_bits(tmp_path, expected, "mnist-fc-sgd", "ReLU")


# --- at random moments (slow: `pytest --slow -m slow`) ----------------------------------------------------------------

KILLS = 10
ANY_MOMENT = """
import sys
from npflib.training import ensure
print("ready", flush=True)
ensure(sys.argv[1], sys.argv[2], "smoke", seeds=(0, 1), build=sys.argv[3], device="cpu", precision=sys.argv[4],
       progress=False)
"""
EVERY_LEARNER = [
    ("mnist-fc-adam", "ReLU", "float32"),
    ("mnist-fc-sgd", "DLNPF", "float32"),
    ("mnist-fc-adam", "FLNPF", "float32"),
    ("mnist-fc-sgd", "FRNPF-DI", "float32"),
    ("mnist-fc-adam-linear-gates", "DLGN", "float32"),
    ("mnist-alignment", "ReLU", "float32"),
    ("mnist-kernel-traces", "DLNPF", "float32"),
    ("cifar10-quarter-gconv-sgd", "DLNPF", "float32"),
    ("cifar10-quarter-vconv-adam", "FRNPF-II", "bfloat16"),
    ("cifar10-quarter-gconv-adam", "ReLU", "bfloat16"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "regime", "precision"), EVERY_LEARNER)
def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path, experiment, regime, precision):
    """Ten kills a case, a hundred in all; a run that ends before its kill is compared, and another begun."""
    whole, cut, draw = tmp_path / "whole", tmp_path / "cut", random.Random(f"{experiment} {regime} {precision}")

    def started(build):
        process = subprocess.Popen(
            [sys.executable, "-c", ANY_MOMENT, experiment, regime, str(build), precision],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        )  # fmt: skip
        with process.stdout:
            assert process.stdout.readline() == "ready\n"
        return process, time.monotonic()

    process, began = started(whole)
    assert process.wait() == 0
    seconds, kills = time.monotonic() - began, 0
    while kills < KILLS:
        process, _ = started(cut)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0, seconds))
        process.kill()
        if process.wait() == -signal.SIGKILL:
            kills += 1
        else:  # it came to its end first, perhaps while it was about to be killed
            assert process.returncode == 0
            assert_same_bits(cut, whole, experiment, regime)
            shutil.rmtree(cut)
    assert started(cut)[0].wait() == 0
    assert_same_bits(cut, whole, experiment, regime)
    assert not list(cut.rglob("*.part")), "what killed processes left half written is gone"
