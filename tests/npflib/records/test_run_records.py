"""Run records come back as they were written, and every fault names its file, itself and the mend."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npflib.records import run_records
from npflib.records.run_records import Record, RecordError

fractions = st.floats(0, 1)
numbers = st.floats(-1e6, 1e6)
losses = st.floats(0, 1e6)
words = st.text(max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def records(draw):
    epochs = draw(st.integers(1, 6))
    series = lambda values: draw(st.lists(values, min_size=epochs, max_size=epochs))  # noqa: E731
    accuracy = series(fractions)
    probed = draw(st.integers(0, 3))
    names = draw(st.sets(words.filter(lambda word: word != "epoch"), max_size=2)) if probed else set()
    measured = {name: draw(st.lists(numbers, min_size=probed, max_size=probed)) for name in names}
    return Record(
        experiment=draw(st.sampled_from(["mnist-fc-sgd", "cifar10-gconv-adam"])),
        regime=draw(st.sampled_from(["ReLU", "FRNPF-DI"])),
        seed=draw(st.integers(0, 2**40)),
        profile=draw(st.sampled_from(["smoke", "quick", "paper"])),
        configuration={"train_examples": draw(st.integers(1, 60_000)), "more": draw(plain)},
        history={
            "train_loss": series(losses),
            "train_accuracy": series(fractions),
            "test_loss": series(losses),
            "test_accuracy": accuracy,
        },
        peak=max(accuracy),
        peak_epoch=accuracy.index(max(accuracy)) + 1,
        final=accuracy[-1],
        seconds=draw(st.floats(0, 1e6)),
        data={"title": draw(words), "stand_in": draw(st.booleans())},
        environment={"device": draw(words)},
        library={"version": "1", "source": "0123"},
        series={"epoch": list(range(probed)), **measured} if probed else {},
    )


def example(**changes) -> Record:
    base = Record(
        experiment="mnist-fc-adam",
        regime="ReLU",
        seed=1,
        profile="quick",
        configuration={"train_examples": 5, "epochs": 2, "full_epochs": 2},
        history={"train_loss": [2.0, 1.0], "train_accuracy": [0.2, 0.4], "test_loss": [2.0, 1.5],
                 "test_accuracy": [0.5, 0.25]},
        peak=0.5,
        peak_epoch=1,
        final=0.25,
        seconds=3.0,
        data={"title": "MNIST", "stand_in": False},
        environment={},
        library={"version": "1", "source": "0123"},
    )  # fmt: skip
    return replace(base, **changes)


@given(records())
def test_a_record_comes_back_as_it_was_written(tmp_path_factory, record):
    folder = tmp_path_factory.getbasetemp() / "roundtrip"
    path = run_records.write(record, folder)
    assert path == folder / record.experiment / record.regime / f"seed-{record.seed}.json"
    assert run_records.read(path) == record
    assert record.epochs == len(record.history["test_accuracy"])


def test_a_record_is_full_only_with_the_papers_budget_on_real_data():
    assert example(profile="paper").is_full
    assert not example().is_full
    assert not example(profile="paper", data={"title": "stand-in", "stand_in": True}).is_full


@pytest.mark.parametrize(("epochs", "full"), [(2, 300), (8, 300), (299, 300)])
def test_a_record_of_fewer_epochs_than_the_whole_is_not_full(epochs, full):
    capped = {"train_examples": 5, "epochs": epochs, "full_epochs": full}
    assert not example(profile="paper", configuration=capped).is_full
    assert example(profile="paper", configuration=capped | {"epochs": full}).is_full


def test_a_record_that_does_not_say_its_budget_is_not_full():
    assert not example(profile="paper", configuration={"train_examples": 5}).is_full


def test_a_record_from_before_there_were_series_is_read(tmp_path):
    path = run_records.write(example(), tmp_path)
    found = json.loads(path.read_text())
    del found["series"]
    path.write_text(json.dumps(found))
    assert run_records.read(path) == example()
    assert run_records.read(path).series == {}


def fails(path, *words):
    with pytest.raises(RecordError) as caught:
        run_records.read(path)
    assert str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_missing_record_is_named(tmp_path):
    fails(tmp_path / "seed-0.json", "there is no run record")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"schema": 1',
        b"\xff\xfe\x00",
        b'{"schema": 1, "peak": 0.5}x',
        b'{"schema": 1, "peak": NaN}',
        b'{"schema": 1, "peak": -Infinity}',
        b'{"schema": 1, "peak": 1e999}',
        b"[" * 100_000,
    ],
    ids=["empty", "brace", "cut", "not UTF-8", "more after the end", "NaN", "infinite", "overflow", "deep"],
)
def test_what_is_not_json_is_named_with_the_mend(tmp_path, content):
    path = tmp_path / "seed-0.json"
    path.write_bytes(content)
    fails(path, "not a readable run record", "Delete it and run the experiment again")


def test_a_record_cut_off_anywhere_is_never_read(tmp_path):
    path = run_records.write(example(), tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:length])
        fails(path)


def test_a_folder_in_a_records_place_is_named(tmp_path):
    (tmp_path / "seed-0.json").mkdir()
    fails(tmp_path / "seed-0.json", "not a readable run record")


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_another_schema_is_named_with_the_one_that_is_read(tmp_path, schema):
    path = run_records.write(example(), tmp_path)
    path.write_text(json.dumps(asdict(example()) | {"schema": schema}))
    fails(path, f"schema {schema!r}", "reads schema 1")


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"'])
def test_json_that_is_no_object_is_named(tmp_path, content):
    path = tmp_path / "seed-0.json"
    path.write_text(content)
    fails(path, "has schema")


def test_missing_and_unknown_fields_are_named(tmp_path):
    path = run_records.write(example(), tmp_path)
    found = asdict(example())
    del found["peak"]
    path.write_text(json.dumps(found | {"summit": 1}))
    fails(path, "lacks fields ['peak']", "unknown fields ['summit']")


CONTRADICTIONS = [
    ({"peak": 0.6}, "peak and final"),
    ({"final": 0.5}, "peak and final"),
    ({"peak_epoch": 2}, "peak_epoch"),
    ({"history": {"train_loss": [1.0]}}, "no test_accuracy"),
    ({"history": []}, r"its history must be dict\[str, list\[float\]\]; it is \[\]"),
    ({"history": {"test_accuracy": []}}, "one number or more"),
    ({"history": {"test_accuracy": 0.25}}, "its history must be dict"),
    ({"history": {"test_accuracy": [0.5, 0.25], "train_loss": [1.0]}}, "different lengths"),
    ({"history": {"test_accuracy": [0.5, 0.25], "train_loss": [1.0, float("nan")]}}, "not finite"),
    ({"history": {"test_accuracy": [0.5, 0.25], "train_loss": [1.0, None]}}, "its history must be dict"),
    ({"history": {"test_accuracy": [0.5, -0.25]}}, "test_accuracy is not within its range"),
    ({"history": {"test_accuracy": [0.5, 0.25], "train_accuracy": [0.5, 1.5]}}, "train_accuracy is not within"),
    ({"history": {"test_accuracy": [0.5, 0.25], "test_loss": [0.5, -1.0]}}, "test_loss is not within"),
    ({"history": {"test_accuracy": [0.25, 0.5, 0.25]}, "peak_epoch": 2}, "3 epochs, its configuration 2"),
    ({"seconds": float("inf")}, "not finite"),
    ({"series": []}, "its series must be dict"),
    ({"series": {"epoch": 0}}, "its series must be dict"),
    ({"series": {"nu": [1.0]}}, "lack their epochs"),
    ({"series": {"epoch": [0, 1], "nu": [1.0]}}, "different lengths"),
    ({"series": {"epoch": [0], "nu": [float("nan")]}}, "not finite"),
    ({"series": {"epoch": [0], "nu": [None]}}, "its series must be dict"),
    ({"seconds": "3"}, "its seconds must be float; it is '3'"),
    ({"peak_epoch": True}, "its peak_epoch must be int; it is True"),
    ({"configuration": []}, "its configuration must be dict"),
    ({"library": {"version": None}}, "its library must be dict"),
    ({"weights": 3}, "its weights must be str"),
    ({"profile": None}, "its profile must be str"),
    ({"data": None}, "its data must be dict"),
    ({"data": {"title": "MNIST"}}, "of its data it must say the title, and whether they are a stand-in"),
    ({"data": {"title": 3, "stand_in": False}}, "of its data it must say the title"),
]


@pytest.mark.parametrize(("changes", "fault"), CONTRADICTIONS)
def test_a_record_that_contradicts_itself_is_neither_written_nor_read(tmp_path, changes, fault):
    with pytest.raises(RecordError, match=rf"not written: .*{fault}"):
        run_records.write(example(**changes), tmp_path)
    assert not list(tmp_path.rglob("*.json"))
    path = run_records.write(example(), tmp_path)
    path.write_text(json.dumps(asdict(example(**changes))))
    fault = fault.replace("\\", "")
    # NaN and infinity are refused in every kind of file, before what this kind says is looked at.
    fails(path, fault, "Delete it")


def test_a_record_in_another_runs_place_would_count_twice_and_is_refused(tmp_path):
    path = run_records.write(example(), tmp_path)
    copy = path.with_name("seed-2.json")
    copy.write_bytes(path.read_bytes())
    fails(copy, "count twice", "seed-1.json")
    with pytest.raises(RecordError, match=r"seed-2\.json"):
        run_records.read_all(tmp_path)


def test_all_records_come_sorted_by_number_and_filtered(tmp_path):
    kept = [example(seed=seed) for seed in (0, 2, 10)] + [example(regime="DLNPF")]
    for record in [*kept, example(experiment="mnist-fc-sgd")]:
        run_records.write(record, tmp_path)
    (tmp_path / "mnist-fc-adam" / "ReLU" / ".seed-3.json.x.part").write_text("{")  # what a killed writer leaves
    found = run_records.read_all(tmp_path, "mnist-fc-adam")
    assert [(r.regime, r.seed) for r in found] == [("DLNPF", 1), ("ReLU", 0), ("ReLU", 2), ("ReLU", 10)]
    assert [r.seed for r in run_records.read_all(tmp_path, "mnist-fc-adam", "ReLU")] == [0, 2, 10]
    assert len(run_records.read_all(tmp_path)) == 5
    assert run_records.read_all(tmp_path / "absent") == []


def test_one_broken_record_stops_the_reading_of_all(tmp_path):
    run_records.write(example(), tmp_path)
    run_records.write(example(seed=2), tmp_path).write_text("{")
    with pytest.raises(RecordError, match=r"seed-2\.json"):
        run_records.read_all(tmp_path)
