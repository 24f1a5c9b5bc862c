"""Replays: a published run's first epochs, trained anew, agree; whatever is changed in what is published is named."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import matplotlib as mpl
import pytest
import torch
from safetensors.torch import load_file, save_file

from companion import replays
from companion.chapter import Chapter
from npflib import data, experiments, profiles
from npflib.architectures import FullyConnected
from npflib.experiments import Experiment, Probe
from npflib.records import locations, run_records
from npflib.training import ensure

TINY = (
    Experiment("mnist-fc-adam", "tiny", "mnist", FullyConnected(4, 8, 16, 4), "adam", 1e-2, 5, batch=8),
    Experiment(
        "mnist-alignment", "tiny", "mnist", FullyConnected(3, 64, 16, 1, bias=False), "rmsprop", 1e-2, 5, batch=5,
        regimes=("ReLU",), classes=(1, 3), loss="squared", initialisation="signed", probe=Probe("alignment", 2, 3),
    ),
)  # fmt: skip
RUNS = [("mnist-fc-adam", regime) for regime in ("ReLU", "DLNPF", "FLNPF", "FRNPF-DI")] + [("mnist-alignment", "ReLU")]
LIMIT = 0.01
SERIES = ("nu", "nu_trained", "nu_chance", "condition", "trace")


@pytest.fixture(scope="module")
def digits():
    """A few noisy images of four classes."""
    like, g = data.load("mnist"), torch.Generator().manual_seed(3)
    prototypes, found = torch.rand(4, 1, 4, 4, generator=g), {}
    for part, n in {"train": 40, "test": 24}.items():
        labels = torch.randint(4, (n,), generator=g)
        found[f"{part}_labels"] = labels
        found[f"{part}_images"] = prototypes[labels] + 0.3 * torch.rand(n, 1, 4, 4, generator=g)
    return replace(like, **found, source=replace(like.source, stand_in=False))


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """Five runs of five epochs, published with their weights, and what was measured of rounding."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        tiny(patch, digits, folder / "none")
        for run in RUNS:
            ensure(*run, "paper", seeds=(0,), build=folder, progress=False, device="cpu")
    names = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", *SERIES)
    largest = dict.fromkeys(names, LIMIT / replays.FACTOR)
    rows = [
        {"experiment": e, "regime": r, "way": "as here", "largest": largest} for e, r in RUNS if r != "FRNPF-DI"
    ]  # FLNPF stands for it
    (folder / "runs" / "replays.json").write_text(json.dumps({"rows": rows}))
    return folder / "runs"


def tiny(patch, digits, results):
    """Tiny experiments and data in the places of the real ones."""
    patch.setattr(data, "load", lambda name, **_: digits)
    patch.setattr(experiments, "PAPER", {experiment.name: experiment for experiment in TINY})
    patch.setattr(experiments, "COMPANION", {})
    quick = replace(profiles.PROFILES["quick"], epochs={"mnist": 3}, limits={})
    patch.setattr(profiles, "PROFILES", dict(profiles.PROFILES) | {"quick": quick})
    patch.setattr(locations, "published", lambda: results)


@pytest.fixture
def book(monkeypatch, tmp_path, digits, trained):
    """A copy of what is published, and a chapter of a quick build that trains the first three epochs."""
    tiny(monkeypatch, digits, tmp_path / "results")
    shutil.copytree(trained, tmp_path / "results")
    with mpl.rc_context():
        chapter = Chapter("example", {"profile": "quick", "build": str(tmp_path / "build")})
        yield SimpleNamespace(results=tmp_path / "results", chapter=chapter)


def edit(book, regime, change):
    """Changes a published record as it lies in its file."""
    path = run_records.path_of(book.results, "mnist-fc-adam", regime, 0)
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def scale(series, index, factor):
    series[index] *= factor


@pytest.mark.parametrize(("experiment", "regime"), RUNS)
def test_the_first_epochs_of_a_run_are_those_of_a_longer_one(book, experiment, regime):
    claim = book.chapter.replay(experiment, regime)
    assert (claim.id, claim.verdict, claim.measured) == (f"replay-{experiment}-{regime}", "holds", 0)
    # Three epochs of four numbers; of ν's five series those at the start and after two epochs.
    points = 12 + (2 * 5 if experiment == "mnist-alignment" else 0)
    assert f"of {points} points" in claim.quantity


def test_learnt_gates_are_those_of_the_whole_run_though_the_build_has_a_shorter_one(book):
    for regime in ("ReLU", "FLNPF"):
        assert book.chapter.replay("mnist-fc-adam", regime).verdict == "holds"
    whole, short = (
        run_records.read(run_records.path_of(folder, "mnist-fc-adam", "ReLU", 0))
        for folder in (book.results, book.chapter.folder / "runs")
    )
    (ours,) = ensure("mnist-fc-adam", "FLNPF", "quick", seeds=(0,), build=book.chapter.folder, progress=False)
    assert ours.gates == whole.weights != short.weights


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: scale(r["history"]["train_loss"], 1, 1.02), "train loss of epoch 2"),
        (lambda r: r["history"]["train_accuracy"].__setitem__(2, 0.0), "train accuracy of epoch 3: .*, published 0"),
        (lambda r: r["configuration"].update(learning_rate=0.02), "learning_rate: 0.01, published 0.02"),
        (lambda r: r["configuration"]["regime"].update(feature="other"), "regime: another definition"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("regime", ["ReLU", "DLNPF", "FRNPF-DI"])
def test_a_changed_history_or_setting_is_named(book, regime, change, named):
    edit(book, regime, change)
    claim = book.chapter.replay("mnist-fc-adam", regime)
    assert claim.verdict == "refuted"
    assert claim.measured == 1
    assert re.search(named, claim.quantity)


def test_what_lies_within_the_tolerance_or_after_the_replay_is_not_held_against_a_run(book):
    edit(book, "DLNPF", lambda r: scale(r["history"]["train_loss"], 1, 1.005))
    edit(book, "DLNPF", lambda r: r["history"]["train_loss"].__setitem__(4, 7.0))
    assert book.chapter.replay("mnist-fc-adam", "DLNPF").verdict == "holds"


def test_changed_weights_are_named_in_the_claims_of_both_runs_that_they_belong_to(book):
    path = run_records.path_of(book.results, "mnist-fc-adam", "ReLU", 0).with_suffix(".safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for regime in ("ReLU", "FLNPF"):
        claim = book.chapter.replay("mnist-fc-adam", regime)
        assert claim.verdict == "refuted"
        assert "results/mnist-fc-adam/ReLU/seed-0.safetensors holds other weights than its run's" in claim.quantity
        assert str(book.results.parent) not in claim.quantity, "a claim names no folder of this machine"


def test_weights_and_digest_changed_together_are_found_by_what_the_network_does(book):
    path = run_records.path_of(book.results, "mnist-fc-adam", "ReLU", 0).with_suffix(".safetensors")
    save_file({name: -tensor for name, tensor in load_file(path).items()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(book, "ReLU", lambda r: r.update(weights=digest))
    claim = book.chapter.replay("mnist-fc-adam", "ReLU")
    assert claim.verdict == "refuted"
    assert "weights, best: right on" in claim.quantity
    claim = book.chapter.replay("mnist-fc-adam", "FLNPF")
    assert claim.verdict == "refuted"
    assert f"gates of the ReLU weights {digest[:8]}…, published" in claim.quantity


def test_gates_that_are_not_published_leave_it_undecided(book):
    edit(book, "FLNPF", lambda r: r.update(gates=""))
    claim = book.chapter.replay("mnist-fc-adam", "FLNPF")
    assert (claim.verdict, claim.reason) == (
        "undecided", "the weights whose gates the published run copied are not published",
    )  # fmt: skip


def test_a_smoke_build_compares_nothing(book, tmp_path):
    chapter = Chapter("example", {"profile": "smoke", "build": str(tmp_path / "smoke")})
    claim = chapter.replay("mnist-fc-adam", "ReLU")
    assert (claim.verdict, claim.reason) == ("undecided", "the smoke profile cuts the data")


def test_a_run_that_is_not_published_is_named(book):
    with pytest.raises(run_records.RecordError, match=r"there is no run record .*FRNPF-II"):
        book.chapter.replay("mnist-fc-adam", "FRNPF-II")


def test_the_published_network_is_the_same_in_every_profile(book, tmp_path):
    book.chapter.replay("mnist-fc-adam", "ReLU")  # this build's own, of fewer epochs, beside it
    found = [book.chapter, Chapter("example", {"profile": "smoke", "build": str(tmp_path / "smoke")})]
    kept = load_file(run_records.path_of(book.results, "mnist-fc-adam", "ReLU", 0).with_suffix(".safetensors"))
    for chapter in found:
        record, networks = chapter.published("mnist-fc-adam")
        assert record.epochs == 5
        for name, tensor in networks["after"].state_dict().items():
            assert torch.equal(tensor, kept[f"last/{name}"])
        assert not torch.equal(networks["before"].weights[0], networks["after"].weights[0])


def test_the_tolerance_is_of_the_same_kind_of_gates_and_never_less_than_two_images(book):
    path = book.results / "replays.json"
    rows = [
        {
            "experiment": "mnist-fc-adam",
            "regime": regime,
            "way": "as here",
            "largest": {"test_loss": loss, "test_accuracy": 0.0},
        }
        for regime, loss in (("ReLU", 0.5), ("DLNPF", 0.25), ("FLNPF", 1e-3), ("FRNPF-II", 2e-3))
    ]
    path.write_text(json.dumps({"rows": rows}))
    found = {regime: replays.tolerances("mnist-fc-adam", regime) for regime in ("ReLU", "DLNPF", "FRNPF-DI")}
    assert [of["test_loss"] / replays.FACTOR for of in found.values()] == pytest.approx([0.5, 0.25, 2e-3])
    assert all(of["test_accuracy"] == pytest.approx(2.5e-4) for of in found.values())
    with pytest.raises(
        ValueError, match=r"nothing was measured of mnist-alignment, ReLU: python benchmarks/replays\.py"
    ):
        replays.tolerances("mnist-alignment", "ReLU")


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"rows": 1}', '{"rows": [1]}', '{"rows": [{}]}', '{"rows": [{"largest": 1}]}']
)
def test_a_damaged_measurement_is_named_with_its_mend(tmp_path, monkeypatch, text):
    monkeypatch.setattr(locations, "published", lambda: tmp_path)
    if text is not None:
        (tmp_path / "replays.json").write_text(text)
    with pytest.raises(ValueError, match=r"measurement of replays.*|python benchmarks/replays\.py") as caught:
        replays.tolerances("mnist-fc-adam", "ReLU")
    assert "replays.json" in str(caught.value)


def test_distances_are_differences_of_accuracies_and_relative_otherwise(book):
    path = run_records.path_of(book.results, "mnist-fc-adam", "ReLU", 0)
    record = run_records.read(path)
    other = replace(record, history=record.history | {"test_loss": [2 * of for of in record.history["test_loss"]]})
    other.history["train_accuracy"] = [of - 0.25 for of in record.history["train_accuracy"]]
    found = replays.distances(record, other)
    assert [found["test_loss", k] for k in (1, 2, 3)] == pytest.approx([0.5] * 3)
    assert [found["train_accuracy", k] for k in (1, 2, 3)] == pytest.approx([0.25] * 3)
    assert {distance for (name, _), distance in found.items() if name not in ("test_loss", "train_accuracy")} == {0.0}
    assert max(epoch for _, epoch in found) == 3
