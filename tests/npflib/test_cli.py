"""The command line: what it prints, how it fails, and that it fails before any work."""

import json
from dataclasses import asdict, replace

import pytest
from click.testing import CliRunner

from companion import ledger
from npflib import data, experiments, profiles, training
from npflib.cli import main
from npflib.records.run_records import Record


@pytest.fixture
def npf(tmp_path, monkeypatch):
    monkeypatch.delenv("NPF_BUILD", raising=False)
    monkeypatch.setattr(data, "load", lambda *_a, **_o: pytest.fail("data were loaded"))

    def run(*arguments):
        return CliRunner().invoke(main, [str(a) for a in arguments])

    return run


def request(build, **changes):
    options = {"experiment": "mnist-fc-adam", "regime": "ReLU", "profile": "smoke", "build": build} | changes
    return ["train", "--quiet", *(part for name, value in options.items() for part in (f"--{name}", value))]


def record(seed):
    return Record(
        experiment="mnist-fc-adam", regime="ReLU", seed=seed, profile="smoke", configuration={},
        history={"test_accuracy": [0.5, 0.875, 0.75]}, peak=0.875, peak_epoch=2, final=0.75, seconds=3.2,
        data={"title": "MNIST", "stand_in": False}, environment={}, library={},
    )  # fmt: skip


def test_help_names_both_commands(npf):
    for flag in ("-h", "--help"):
        found = npf(flag)
        assert found.exit_code == 0
        assert "train" in found.output
        assert "ledger" in found.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": "mnist-fc"}, "'mnist-fc' is not one of"),
        ({"experiment": "mnist-fc-rmsprop"}, "'mnist-fc-rmsprop' is not one of"),
        ({"profile": "full"}, "'full' is not one of 'smoke', 'quick', 'paper'"),
        ({"seeds": "0,x"}, "'0,x' is not a list of whole numbers like 0,1,2"),
        ({"seeds": "0;1"}, "not a list of whole numbers"),
        ({"seeds": ""}, "not a list of whole numbers"),
        ({"seeds": "1.5"}, "not a list of whole numbers"),
        ({"seeds": "1_0"}, "not a list of whole numbers"),
        ({"seeds": "４"}, "not a list of whole numbers"),
        ({"seeds": "9" * 5000}, "not a list of whole numbers"),  # of more digits than Python reads
        ({"epochs": 0}, "0 is not in the range x>=1"),
        ({"epochs": -1}, "-1 is not in the range x>=1"),
        ({"epochs": "all"}, "'all' is not a valid integer"),
        ({"epochs": "1_0"}, "'1_0' is not a valid integer, in digits alone"),
        ({"epochs": "４"}, "'４' is not a valid integer, in digits alone"),
    ],
)
def test_bad_options_are_usage_errors_with_what_is_allowed(npf, tmp_path, changes, message):
    found = npf(*request(tmp_path / "build", **changes))
    assert found.exit_code == 2
    assert message in found.output
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": "0,0"}, "seeds must be one or more different whole numbers"),
        ({"seeds": "-1"}, "at least 0 and below 2^32; got -1"),
        ({"device": "abacus"}, "device 'abacus' is not there; use 'cpu'"),
        ({"regime": "relu"}, "unknown regime 'relu'; allowed: FRNPF-II, FRNPF-DI, DLNPF, FLNPF, ReLU"),
        ({"regime": "FLNPF-stage-0"}, "unknown regime 'FLNPF-stage-0'"),
        ({"regime": "FLNPF-stage-1"}, "mnist-fc-adam has no regime 'FLNPF-stage-1'; it has: ReLU, DLNPF, FLNPF,"),
        ({"experiment": "mnist-alignment", "regime": "DLNPF"}, "mnist-alignment has no regime 'DLNPF'; it has: ReLU"),
        ({"precision": "float16"}, "unknown precision 'float16' of mnist-fc-adam; allowed: float32"),
        ({"precision": "bfloat16"}, "unknown precision 'bfloat16' of mnist-fc-adam; allowed: float32"),
    ],
)
def test_requests_that_cannot_be_met_fail_without_a_traceback(npf, tmp_path, changes, message):
    found = npf(*request(tmp_path / "build", **changes))
    assert found.exit_code == 1
    assert message in found.output
    assert isinstance(found.exception, SystemExit)
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("missing", ["experiment", "regime"])
def test_what_must_be_said_is_asked_for(npf, missing):
    options = {"experiment": "mnist-fc-adam", "regime": "ReLU"}
    del options[missing]
    found = npf("train", *(part for name, value in options.items() for part in (f"--{name}", value)))
    assert found.exit_code == 2
    assert f"--{missing}" in found.output


def test_training_is_asked_for_as_the_options_say_and_reported(npf, tmp_path, monkeypatch):
    asked = []

    def ensure(*arguments, **options):
        asked.append((arguments, options))
        return [record(3), record(1)]

    monkeypatch.setattr(training, "ensure", ensure)
    found = npf(*request(tmp_path, seeds="3,1", device="cpu"))
    assert found.exit_code == 0
    assert asked == [
        (
            ("mnist-fc-adam", "ReLU", "smoke"),
            {
                "seeds": [3, 1], "epochs": None, "build": str(tmp_path), "device": "cpu", "precision": "float32",
                "progress": False,
            },
        )
    ]  # fmt: skip
    lines = found.output.splitlines()
    assert lines[0] == (
        "mnist-fc-adam ReLU seed 3: peak 87.50 % (epoch 2), final 75.00 %, 3 epochs, 3 s, MNIST"
    )  # fmt: skip
    assert "seed 1" in lines[1]


def test_a_cap_a_precision_and_a_stage_are_passed_on(npf, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(training, "ensure", lambda *a, **o: asked.append((a, o)) or [])
    changes = {"experiment": "cifar10-continuous", "regime": "FLNPF-stage-3", "epochs": 8, "precision": "bfloat16"}
    found = npf(*request(tmp_path, **changes))
    assert found.exit_code == 0, found.output
    ((arguments, options),) = asked
    assert arguments == ("cifar10-continuous", "FLNPF-stage-3", "smoke")
    assert (options["epochs"], options["precision"], options["seeds"]) == (8, "bfloat16", None)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt, 130, "goes on from the last finished epoch"),
        (training.MissingGatesError("train the gates first"), 1, "train the gates first"),
        (data.CorruptDataError("t10k-labels is truncated"), 1, "t10k-labels is truncated"),
        (PermissionError(13, "Permission denied", "/build/runs"), 1, "Permission denied"),
    ],
)
def test_what_stops_a_training_has_its_status_and_message(npf, tmp_path, monkeypatch, error, status, message):
    def ensure(*_arguments, **_options):
        raise error

    monkeypatch.setattr(training, "ensure", ensure)
    found = npf(*request(tmp_path))
    assert found.exit_code == status
    assert message in found.output
    assert isinstance(found.exception, SystemExit)


# --- the ledger ------------------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of published results, empty at first."""
    monkeypatch.setattr("companion.ledger.locations.published", lambda: tmp_path / "results")
    return tmp_path / "results"


def claim(build, id="claim-1", measured=0.5):
    return ledger.record(
        id, "A sentence.", "section 3", kind="identity", quantity="a number", measured=measured, expected=0.0,
        tolerance=1.0, tolerance_reason="one", chapter="01_gates_and_paths", profile="smoke", seeds=1, data=None,
        build=build,
    )  # fmt: skip


def test_the_ledger_is_collected_listed_and_counted(npf, tmp_path, results):
    written = [claim(tmp_path, "a-1"), claim(tmp_path, "b-2", measured=3.0)]
    found = npf("ledger", "--build", tmp_path, "--check")
    assert found.exit_code == 0, found.output
    assert found.output.splitlines() == [
        "holds      a-1: A sentence.",
        "refuted    b-2: A sentence.",
        "2 identities, exact or exact in expectation: 1 hold, 1 refuted",
    ]
    assert json.loads((tmp_path / "claims.json").read_text()) == [asdict(c) for c in written]
    assert not results.exists()


def test_a_ledger_is_published_as_standings_but_not_a_paper_builds(npf, tmp_path, results):
    claim(tmp_path, "a-1"), claim(tmp_path, "b-2", measured=3.0)
    found = npf("ledger", "--build", tmp_path, "--profile", "paper", "--publish")
    assert found.exit_code == 1
    assert "a paper build may rest on records of its own" in found.output
    assert not results.exists()
    found = npf("ledger", "--build", tmp_path, "--profile", "quick", "--publish")
    assert found.exit_code == 0, found.output
    assert json.loads((results / "standings.json").read_text()) == {"a-1": "holds", "b-2": "refuted"}
    assert [c["standing"] for c in json.loads((tmp_path / "claims.json").read_text())] == ["holds", "refuted"]


@pytest.mark.parametrize(("measured", "standing", "verdict"), [(3.0, "holds", "refuted"), (0.5, "refuted", "holds")])
def test_a_contradiction_is_named_and_with_check_it_fails(npf, tmp_path, results, measured, standing, verdict):
    results.mkdir()
    (results / "standings.json").write_text(json.dumps({"b-2": standing}))
    claim(tmp_path, "a-1")
    claim(tmp_path, "b-2", measured)
    found = npf("ledger", "--build", tmp_path)
    assert found.exit_code == 0
    assert f"CONTRADICTS ITS STANDING ({standing}): b-2 is {verdict}" in found.output
    assert "a-1 is" not in found.output
    assert npf("ledger", "--build", tmp_path, "--check").exit_code == 1


def test_an_undecided_claim_passes_the_check(npf, tmp_path):
    build = tmp_path
    undecided = replace(claim(build), verdict="undecided", reason="too few")
    (build / "claims" / "claim-1.json").write_text(json.dumps(asdict(undecided)))
    assert npf("ledger", "--build", build, "--check").exit_code == 0


def test_a_check_of_nothing_fails(npf, tmp_path):
    found = npf("ledger", "--build", tmp_path, "--check")
    assert found.exit_code == 1
    assert "holds no claim, so nothing was checked" in found.output


def test_a_build_folder_that_is_not_there_is_named_and_not_made(npf, tmp_path):
    found = npf("ledger", "--build", tmp_path / "typo")
    assert found.exit_code == 1
    assert str(tmp_path / "typo") in found.output
    assert not (tmp_path / "typo").exists()


def test_a_build_folder_that_has_no_name_is_refused_without_a_traceback(npf):
    found = npf("ledger", "--build", "~nobody-here/x")
    assert found.exit_code == 1
    assert "Error: the build folder '~nobody-here/x' begins with the home folder of a user" in found.output


def test_a_broken_claim_is_named_with_the_mend(npf, tmp_path):
    claim(tmp_path)
    (tmp_path / "claims" / "broken.json").write_text("{")
    found = npf("ledger", "--build", tmp_path)
    assert found.exit_code == 1
    assert "broken.json is not a readable claim" in found.output
    assert isinstance(found.exception, SystemExit)


def test_every_experiment_and_profile_can_be_asked_for(npf):
    text = npf("train", "--help").output
    for name in (*experiments.PAPER, *experiments.COMPANION, *profiles.PROFILES):
        assert name in text
