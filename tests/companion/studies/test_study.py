"""What every study has in common: measuring by units, resuming, sharing the work, publishing, reading."""

import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

from companion import cli
from companion.studies import study as module
from companion.studies.study import STUDIES, Study, Table, find
from npflib import data
from npflib.records import locations
from npflib.records.fingerprint import fingerprint


@dataclass(frozen=True)
class Toy:
    seeds: tuple[int, ...]
    units: tuple[str, ...]
    scale: float = 1.0
    arch: str = "small"


def study(evaluate=None, **changes):
    """A study that counts: a row a seed and unit."""

    def count(context, unit):
        config, _ = context
        return [{"seed": s, "gates": unit, "accuracy": config.scale * (s + len(unit)) / 100} for s in config.seeds]

    toy = Study(
        name="mnist-toy", title="It counts", configs={"paper": Toy((0, 1, 2), ("a", "bb", "ccc"))},
        units=lambda config: list(config.units), prepare=lambda config, dataset: (config, dataset),
        evaluate=evaluate or count, conditions=("gates",), shares=("accuracy",), listed=("units",),
    )  # fmt: skip
    return replace(toy, **changes)


@pytest.fixture(autouse=True)
def _code(monkeypatch):
    real = Study.code
    monkeypatch.setattr(Study, "code", lambda self: "code" if self.name == "mnist-toy" else real(self))


@pytest.fixture(scope="module")
def digits():
    """A few, as if they were a stand-in."""
    few = data.subset(data.load("mnist", offline=True), train_examples=20, test_examples=10)
    return replace(few, source=replace(few.source, title="stand-in: few", stand_in=True, reason="there is no network"))


@pytest.fixture(scope="module")
def genuine(digits):
    """The same, as if they were none."""
    return replace(digits, source=replace(digits.source, title="MNIST", stand_in=False, reason=""))


TINY = Toy((0, 1), ("a", "bb"))
MANY = Toy((0, 1), tuple("a" * n for n in range(1, 13)))


def test_a_table_says_what_it_was_measured_from(digits):
    found = study().measure(TINY, digits, name="smoke", progress=False)
    assert found.config == {"units": ["a", "bb"], "scale": 1.0, "arch": "small"}
    assert found.data == [digits.source.as_dict()]
    [call] = found.calls
    assert (call["seeds"], call["code"]) == ([0, 1], "code")
    assert set(call["environment"]) == {"device", "python", "threads", "torch"}
    assert 0 <= found.seconds == call["seconds"] < 60
    assert (found.study, found.name, found.seeds) == ("mnist-toy", "smoke", [0, 1])
    assert [(row["seed"], row["gates"]) for row in found.rows] == [(0, "a"), (0, "bb"), (1, "a"), (1, "bb")]
    assert study().measure(TINY, digits, name="paper", progress=False).name == "full"


def test_values_are_paired_by_seed():
    rows = [
        {"seed": seed, "gates": gates, "epoch": epoch, "accuracy": seed + epoch / 10}
        for seed in (3, 0) for gates in "LR" for epoch in (1, 2)
    ]  # fmt: skip
    rows[0]["fit"] = 0.5
    found = Table("mnist-toy", "own", {}, [], [], rows)
    assert found.values("accuracy", gates="L").tolist() == [0.2, 3.2]  # by seed, at the last epoch
    assert found.values("accuracy", gates="L", epoch=1).tolist() == [0.1, 3.1]
    assert np.isnan(found.values("fit", gates="L", epoch=1)).tolist() == [True, False]
    assert found.options("epoch", gates="R") == [1, 2]
    assert found.frame().shape == (8, 5)
    with pytest.raises(ValueError, match=r"seed 0 of mnist-toy has no rows with gates = 'O'.*gates L, R"):
        found.values("accuracy", gates="O")
    with pytest.raises(ValueError, match="seed 0 of mnist-toy has 4 rows with any conditions; one is needed"):
        found.values("accuracy")
    with pytest.raises(ValueError, match="no 'acuracy'; there are: seed, gates, epoch, accuracy, fit"):
        found.values("acuracy", gates="L")


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_are_different(digits, seeds):
    with pytest.raises(ValueError, match="one or more different whole numbers"):
        study().measure(replace(TINY, seeds=seeds), digits, progress=False)


def test_an_interrupted_call_goes_on_and_all_seconds_count(digits, tmp_path):
    whole, calls = study().measure(TINY, digits, progress=False), []

    def evaluate(context, unit):
        calls.append(unit)
        if calls == ["a", "bb"]:
            raise KeyboardInterrupt
        time.sleep(0.2)
        return study().evaluate(context, unit)

    with pytest.raises(KeyboardInterrupt):
        study(evaluate).measure(TINY, digits, build=tmp_path, progress=False)
    again = study(evaluate).measure(TINY, digits, build=tmp_path, progress=False)
    assert calls == ["a", "bb", "bb"]
    assert again.rows == whole.rows
    assert again.seconds >= 0.4  # that of the call which was interrupted too
    longer = replace(TINY, units=("a", "bb", "ccc"))  # the units alone are more
    study(evaluate).measure(longer, digits, build=tmp_path, progress=False)
    assert calls[3:] == ["ccc"]


def test_what_is_kept_counts_for_the_same_configuration_data_and_code_alone(digits, tmp_path, monkeypatch):
    calls = []

    def evaluate(context, unit):
        calls.append(unit)
        return study().evaluate(context, unit)

    def measured(config, dataset):
        calls.clear()
        study(evaluate).measure(config, dataset, build=tmp_path, progress=False)
        return len(calls)

    assert measured(TINY, digits) == 2
    assert measured(TINY, digits) == 0
    for changed in (replace(TINY, arch="large"), replace(TINY, scale=0.5), replace(TINY, seeds=(0, 2))):
        assert measured(changed, digits) == 2
    other = digits.train_labels.clone()
    other[0] = (other[0] + 1) % 10
    assert measured(TINY, replace(digits, train_labels=other)) == 2  # of the same source
    assert measured(TINY, digits) == 0  # nothing of the others took its place
    monkeypatch.setattr(Study, "code", lambda _: "changed")
    assert measured(TINY, digits) == 2


def test_a_damaged_unit_is_measured_again(digits, tmp_path):
    whole = study().measure(TINY, digits, build=tmp_path, progress=False)
    for text in (b"", b'{"rows": [', b"[]", b"\xff", b"null"):
        study().kept_in(tmp_path, TINY, digits).joinpath("bb.json").write_bytes(text)
        assert study().measure(TINY, digits, build=tmp_path, progress=False).rows == whole.rows


def test_what_another_process_is_at_is_left_to_it_and_waited_for(digits, tmp_path):
    calls, found = [], []

    def evaluate(context, unit):
        calls.append(unit)
        return study().evaluate(context, unit)

    longer = replace(TINY, units=("a", "bb", "ccc"))
    folder = study().kept_in(tmp_path, longer, digits)
    folder.mkdir(parents=True)
    measure = threading.Thread(
        target=lambda: found.append(study(evaluate).measure(longer, digits, build=tmp_path, progress=False))
    )
    with FileLock(folder / ".bb.lock"):
        measure.start()
        while not (folder / "ccc.json").exists():
            time.sleep(0.01)
        theirs = [{"seed": s, "gates": "bb", "accuracy": 0.75} for s in (0, 1)]
        call = {"seconds": 100.0, "code": "code", "environment": {"device": "another"}}
        (folder / "bb.json").write_text(json.dumps({"call": call, "rows": theirs}))
    measure.join(60)
    assert calls == ["a", "ccc"]
    assert found[0].values("accuracy", gates="bb").tolist() == [0.75, 0.75]
    assert len(found[0].calls) == 2
    assert found[0].seconds >= 100, "theirs counts, and ours however short it was"


def logged(path):
    """An evaluation that takes a while and leaves a line."""

    def evaluate(context, unit):
        with path.open("a") as log:
            log.write(unit + "\n")
        time.sleep(0.2)
        return study().evaluate(context, unit)

    return evaluate


def test_two_processes_measure_each_unit_once(tmp_path):
    script = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(locations.project())!r}, {str(Path(__file__).parent)!r}]
from test_study import MANY, Study, data, logged, study
Study.code = lambda self: "code"
digits = data.subset(data.load("mnist", offline=True), 20, 10)
folder = Path({str(tmp_path)!r})
print(study(logged(folder / "log")).measure(MANY, digits, build=folder, progress=False).rows)
"""
    digits = data.subset(data.load("mnist", offline=True), 20, 10)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "log").exists() and process.poll() is None:
            time.sleep(0.01)
        mine = study(logged(tmp_path / "log")).measure(MANY, digits, build=tmp_path, progress=False)
        assert process.communicate()[0] == f"{mine.rows}\n"
    assert sorted((tmp_path / "log").read_text().split()) == list(MANY.units)


def test_published_tables_come_back_as_they_were_and_grow_by_seeds(genuine, tmp_path):
    toy, config = study(), study().configs["paper"]
    assert toy.published(folder=tmp_path) is None
    first = toy.measure(replace(config, seeds=(0, 1)), genuine, name="paper", progress=False)
    path = toy.publish(first, tmp_path)
    assert path == tmp_path / "mnist-toy" / "full.json"
    assert toy.published(folder=tmp_path) == first
    more = toy.measure(replace(config, seeds=(2, 1)), genuine, name="paper", progress=False)
    toy.publish(more, tmp_path)
    found = toy.published(folder=tmp_path)
    assert found.seeds == [0, 1, 2]
    assert found.rows == toy.measure(config, genuine, name="paper", progress=False).rows
    assert [call["seeds"] for call in found.calls] == [[0], [1, 2]]
    assert len(path.read_text().splitlines()) > len(found.rows)  # a row a line


def test_what_may_not_be_published_is_refused(digits, genuine, tmp_path):
    toy, config = study(), study().configs["paper"]
    for table, message in (
        (toy.measure(config, digits, name="paper", progress=False), "a stand-in is not published.*NPF_DATA"),
        (toy.measure(TINY, genuine, name="smoke", progress=False), "only the full configuration.*'smoke'"),
        (toy.measure(replace(config, scale=0.5), genuine, name="paper", progress=False), "only the full configuration"),
    ):
        with pytest.raises(ValueError, match=message):
            toy.publish(table, tmp_path)
    assert not list(tmp_path.iterdir())
    toy.publish(toy.measure(config, genuine, name="paper", progress=False), tmp_path)
    other = study(configs={"paper": replace(config, scale=0.5)})
    with pytest.raises(ValueError, match=r"full\.json has another configuration or other data; move it away"):
        other.publish(other.measure(other.configs["paper"], genuine, name="paper", progress=False), tmp_path)


def test_a_chapter_shows_the_published_table_if_it_has_three_seeds(genuine, tmp_path, monkeypatch):
    monkeypatch.setattr(module.locations, "published", lambda: tmp_path)
    toy, config = study(), study().configs["paper"]
    ours = toy.measure(TINY, genuine, progress=False)
    assert toy.shown(ours) is ours
    toy.publish(toy.measure(replace(config, seeds=(0, 1)), genuine, name="paper", progress=False))
    assert toy.shown(ours) is ours
    toy.publish(toy.measure(replace(config, seeds=(2,)), genuine, name="paper", progress=False))
    assert toy.shown(ours).seeds == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: "", "Expecting value"),
        (lambda t: t[: len(t) // 2], "Expecting|Unterminated"),
        (lambda t: "[]", "schema 'list'"),
        (lambda t: t.replace('"schema": 2', '"schema": 1'), "schema 1; this library reads schema 2"),
        (lambda t: t.replace('"calls"', '"called"'), "it lacks fields .'calls'. and has unknown fields .'called'."),
        (lambda t: t.replace('"study": "mnist-toy"', '"study": "mnist-joy"'), "one of 'mnist-joy'"),
        (lambda t: t.replace('"name": "full"', '"name": "smoke"', 1), "it holds the table 'smoke'"),
        (lambda t: t.replace('"accuracy": 0.01', '"accuracy": NaN'), "NaN, a number that is not finite"),
        (lambda t: t.replace('"accuracy": 0.01', '"accuracy": null'), "its rows must be list"),
        (lambda t: t.replace('"accuracy": 0.01', '"accuracy": 1.5'), "not between 0 and 1"),
        (lambda t: t.replace('"gates": "a"', '"gates": "bb"', 1), "there twice"),
        (lambda t: t.replace('"gates": "a"', '"gates": "d"', 1), "different rows"),
        (lambda t: t.replace('"gates": "a", ', "", 1), "needs a seed and 'gates'"),
        (lambda t: t.replace('{"seed": 0', '{"seed": 9'), "its rows have the seeds"),
        (lambda t: t.replace('"accuracy": 0.01', '"accuracy": "x"'), "not between 0 and 1"),
        (lambda t: t.replace('"accuracy": 0.01', f'"accuracy": 1{"0" * 400}'), "a number that is not finite"),
        (lambda t: re.sub(r'"seconds": [0-9.e-]+', '"seconds": "3"', t), "of its calls one is .*seeds or seconds"),
        (lambda t: re.sub(r'"stand_in": \w+', '"stand_in": "no"', t), "of its data one is .*title or stand_in"),
        (lambda t: re.sub(r'(?s)"data": .*?\n \]', '"data": []', t), "it says nothing of the data"),
        (lambda t: re.sub(r'(?s)"calls": .*?\n \]', '"calls": [3]', t), "its calls must be list"),
        (lambda t: '"' + t, "Extra data|Expecting|Invalid"),
    ],
)  # fmt: skip
def test_a_damaged_table_is_named_with_its_mend(genuine, tmp_path, change, says):
    toy = study()
    path = toy.publish(toy.measure(toy.configs["paper"], genuine, name="paper", progress=False), tmp_path)
    text = path.read_text()
    path.write_text(change(text))
    assert path.read_text() != text
    message = rf"(?s)full\.json is not a readable table of the study mnist-toy.*({says})"
    with pytest.raises(ValueError, match=message) as caught:
        toy.published(folder=tmp_path)
    assert "npf study mnist-toy --profile paper --publish" in str(caught.value)


def test_a_folder_that_cannot_be_written_is_told_before_any_work(digits, tmp_path):
    (tmp_path / "file").write_text("in the way")
    toy = study(lambda context, unit: pytest.fail("nothing is measured"))
    with pytest.raises(ValueError, match=r"the build folder cannot be written \(.*\): give another one"):
        toy.measure(TINY, digits, build=tmp_path / "file", progress=False)


def test_a_table_that_contradicts_itself_is_not_written(digits, tmp_path):
    found = study().measure(TINY, digits, progress=False)
    found.rows[0]["accuracy"] = 2.0
    with pytest.raises(ValueError, match="not written: a share is not between 0 and 1"):
        study().write(found, tmp_path / "own.json")
    with pytest.raises(ValueError, match="Out of range float"):
        study(lambda context, unit: [{"seed": 0, "gates": "a", "accuracy": float("nan")}]).measure(
            TINY, digits, progress=False
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", STUDIES)
def test_the_studies_are_declared_alike(name):
    found = find(name)
    assert found.name == name
    assert set(found.configs) == {"smoke", "quick", "paper"}
    assert set(found.listed) <= set(found.configs["paper"].__dataclass_fields__)
    for config in found.configs.values():
        units = found.units(config)
        assert len(units) == len(set(units)) > 0
    # The code that measures is among what the whole declaration reaches: the build's rule sees every change.
    assert len(found.code()) == len(fingerprint(STUDIES[name])) == 16


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_published_is_the_full_configuration_on_real_data(name):
    found = find(name)
    table = found.published()
    config = found.configs["paper"]
    assert table.name == "full"
    assert table.config == module.plain(config)
    assert table.seeds == list(config.seeds)
    assert [one["name"] for one in table.data] == list(found.datasets)
    assert not any(one["stand_in"] for one in table.data)


def test_the_code_is_that_of_prepare_and_evaluate():
    codes = {name: find(name).code() for name in STUDIES}
    assert len(set(codes.values())) == len(STUDIES)


class TestCommand:
    """`npf study`, without installing it."""

    @pytest.fixture
    def run(self, tmp_path, monkeypatch, digits):
        toy = study(configs={profile: Toy((0, 1), ("a", "bb")) for profile in ("smoke", "paper")})
        monkeypatch.setattr(module, "STUDIES", {"mnist-toy": "nowhere"})
        monkeypatch.setattr(module, "find", lambda name: toy if name == "mnist-toy" else find(name))
        monkeypatch.setattr(module.locations, "published", lambda: tmp_path / "results")
        monkeypatch.setattr(Study, "load", lambda self, config: (config, self.dataset))
        monkeypatch.setattr(Study, "dataset", digits, raising=False)

        def run(*arguments):
            return CliRunner().invoke(cli.study, [*arguments, "--build", str(tmp_path / "build")])

        return run

    def test_it_lists_the_studies(self, run):
        assert run().output.split() == ["mnist-toy", "It", "counts"]

    def test_it_measures_and_keeps(self, run, tmp_path):
        found = run("mnist-toy", "--profile", "smoke", "--quiet")
        assert found.exit_code == 0, found.output
        assert "seeds [0, 1]" in found.output
        table = study().read(tmp_path / "build" / "studies" / "mnist-toy" / "smoke.json")
        assert f"{100 * table.values('accuracy', gates='bb').mean():.1f}" in found.output
        alone = run("mnist-toy", "--profile", "smoke", "--quiet", "--seeds", "3")
        assert "seeds [3]" in alone.output
        assert study().read(tmp_path / "build" / "studies" / "mnist-toy" / "smoke.json") == table

    def test_it_publishes_no_stand_in(self, run, tmp_path):
        found = run("mnist-toy", "--profile", "paper", "--quiet", "--publish")
        assert found.exit_code == 1
        assert "a stand-in is not published" in found.output
        assert not (tmp_path / "results").exists()

    def test_it_publishes_what_is_real(self, run, tmp_path, genuine, monkeypatch):
        monkeypatch.setattr(Study, "dataset", genuine, raising=False)
        found = run("mnist-toy", "--profile", "paper", "--quiet", "--publish")
        assert found.exit_code == 0, found.output
        assert (tmp_path / "results" / "mnist-toy" / "full.json").exists()

    def test_what_is_wrong_is_said(self, run):
        assert "unknown study 'nothing'; allowed: mnist-toy" in run("nothing").output
        assert "not a list of whole numbers" in run("mnist-toy", "--seeds", "x").output
