"""A chapter: its parameters (what is allowed passes, all else stops and says what is), claims and predictions."""

import math
import re
from dataclasses import dataclass, replace
from types import SimpleNamespace

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from companion import ledger
from companion.chapter import Chapter, ParameterError, only, source_of
from companion.statistics import Estimate
from companion.studies.study import Table
from npflib.records import locations

INFINITE = [math.inf, -math.inf, math.nan]


def checked(what, value, *allowed, **more):
    """A chapter's check of its parameter n."""
    chapter = object.__new__(Chapter)
    chapter._given = {"n": value}
    return getattr(chapter, what)("n", *allowed, **more)


@given(st.integers(), st.integers(-5, 5), st.integers(-5, 5))
def test_whole_numbers_pass_exactly_within_their_bounds(value, least, most):
    if least <= value <= most:
        assert checked("number", value, least, most) == value
    else:
        with pytest.raises(ParameterError, match=f"n = {value} is not allowed; it must be a whole number at least"):
            checked("number", value, least, most)


@given(st.floats() | st.integers())
def test_any_finite_number_in_the_range_passes_as_a_float(value):
    if not -1e300 <= value <= 1e300:
        with pytest.raises(ParameterError, match="it must be a finite number"):
            checked("number", value, -1e300, 1e300, float)
    else:
        checked("number", value, -1e300, 1e300, float)


def test_whole_numbers_too_large_for_a_float_are_still_numbers():
    checked("number", 10**400, 0, 10**401, float)
    checked("number", 10**400, 0, 10**401)
    with pytest.raises(ParameterError, match="at most 7"):
        checked("number", 10**400, 0, 7)


@pytest.mark.parametrize("value", ["3", None, [3], True, False, 3j, *INFINITE, 3.0])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ParameterError, match=r"n = .* is not allowed; it must be a whole number"):
        checked("number", value, 0, 9)


@pytest.mark.parametrize("value", ["3", None, [3], True, 3j, *INFINITE])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ParameterError, match=r"n = .* is not allowed; it must be a finite number"):
        checked("number", value, 0, 9, float)


def test_message_states_the_bounds():
    with pytest.raises(ParameterError, match=r"^n = 9999 .* a whole number at least 1 and at most 1,000\.$"):
        checked("number", 9999, 1, 1000)


@given(st.lists(st.integers(0, 9), min_size=1))
def test_lists_pass_number_by_number(values):
    checked("numbers", values, 0, 9)
    checked("numbers", tuple(values), 0, 9)
    with pytest.raises(ParameterError, match=rf"n\[{len(values)}\] = 10 is not allowed"):
        checked("numbers", [*values, 10], 0, 9)


@pytest.mark.parametrize("values", [[], (), 3, "12", None, {1: 2}])
def test_what_is_no_list_of_numbers_is_refused(values):
    with pytest.raises(ParameterError, match="must be a list of one or more numbers"):
        checked("numbers", values, 0, 9)


def test_choice_lists_what_is_allowed():
    checked("choice", "ReLU", "ReLU", "DLNPF")
    with pytest.raises(ParameterError, match=r"n = 'relu' is not allowed; choose one of: 'ReLU', 'DLNPF'\."):
        checked("choice", "relu", "ReLU", "DLNPF")
    with pytest.raises(ParameterError, match="choose one of"):
        checked("choice", ["ReLU"], "ReLU", "DLNPF")


def test_only_known_parameters_pass():
    notebook = {"profile": "quick", "seed": 0, "_i1": "code", "__name__": "x", "In": [""], "Out": {}, "math": math}
    only(notebook, "profile", "seed")
    only({}, "profile")


@pytest.mark.parametrize("value", ["a", 1, 1.0, True, [1], (1,), {}, None])
def test_a_misspelt_parameter_is_refused_whatever_its_value(value):
    with pytest.raises(ParameterError, match=r"unknown parameter 'sed'; this notebook has: profile, seed\."):
        only({"profile": "quick", "seed": 0, "sed": value}, "profile", "seed")


@pytest.mark.parametrize("profile", ["smoke", "quick", "paper"])
def test_common_parameters_pass(profile, tmp_path):
    with mpl.rc_context():
        for seed in (0, 3):
            Chapter("example", {"profile": profile, "build": str(tmp_path), "seed": seed}, "seed")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": "fast"}, "profile = 'fast' is not allowed; choose one of: 'smoke', 'quick', 'paper'"),
        ({"profile": None}, "profile = None is not allowed"),
        ({"profile": ["quick"]}, r"profile = \['quick'\] is not allowed"),
        ({"build": None}, "build = None is not allowed"),
        ({"build": 3}, "build = 3 is not allowed"),
        ({"seed": -1}, "seed = -1 is not allowed; it must be a whole number at least 0"),
        ({"seed": 1.5}, "seed = 1.5 is not allowed"),
        ({"seed": True}, "seed = True is not allowed"),
        ({"sed": 1}, "unknown parameter 'sed'"),
    ],
)
def test_common_parameters_that_are_not_allowed(change, message):
    with pytest.raises(ParameterError, match=message):
        Chapter("example", {"profile": "quick", "build": "", "seed": 0} | change, "seed")


def test_the_error_is_a_value_error():
    assert issubclass(ParameterError, ValueError)


# The namespace of a kernel: what it ran stands in `In`.

PARAMETERS = 'profile = "quick"  # str: the profile\nbuild = ""  # str: the folder\nseed = 0  # int: the seed\n'
INJECTED = '# Parameters\nprofile = "smoke"\nseed = 1\n'
VALIDATION, REST = "from companion.chapter import only\nonly(globals())", "from math import pi\nrows = [1, 2]\n%time pi"


def in_a_kernel(*cells, **leftover):
    return {"In": ["", *cells], "Out": {}, "profile": "quick", "build": "", "seed": 0, **leftover}


@pytest.mark.parametrize("injected", [(), (INJECTED,)])
def test_a_notebook_runs_twice_in_one_kernel(injected):
    once = (PARAMETERS, *injected, VALIDATION, REST)
    only(in_a_kernel(*once, PARAMETERS, *injected, VALIDATION, pi=3.14, rows=[1, 2]), "profile", "build", "seed")
    only(in_a_kernel(*once, VALIDATION, pi=3.14, rows=[1, 2]), "profile", "build", "seed")  # this cell alone, again


@pytest.mark.parametrize("injected", [INJECTED + "sed = 2\n", "# Parameters\nsed = 2\n"])
def test_a_misspelt_injected_parameter_is_refused_in_every_run(injected):
    once = (PARAMETERS, injected, VALIDATION)
    for cells in (once, (PARAMETERS, VALIDATION, REST, *once)):
        with pytest.raises(ParameterError, match="unknown parameter 'sed'"):
            only(in_a_kernel(*cells, sed=2, pi=3.14), "profile", "build", "seed")


def test_a_misspelt_parameter_in_the_cell_itself_is_refused():
    with pytest.raises(ParameterError, match="unknown parameter 'sed'"):
        only(in_a_kernel(PARAMETERS + "sed = 2\n", VALIDATION, sed=2), "profile", "build", "seed")


# The chapter.


@pytest.fixture
def chapter(tmp_path):
    with mpl.rc_context():
        yield Chapter(
            "example", {"profile": "smoke", "build": str(tmp_path), "draws": 0, "pair": [4, 7]}, "draws", "pair"
        )


def test_none_and_0_stand_for_the_profiles_own_number(chapter):
    assert chapter.own(1, 2, 3) == 1
    assert chapter.number("draws", 20, 1_000, own=(60, 400, 4_000)) == 60
    for wrong in (19, 1_001, 0.0, False, "60"):
        chapter._given["draws"] = wrong
        with pytest.raises(ParameterError, match=r"draws = .* and at most 1,000; 0 takes the profile's own number\.$"):
            chapter.number("draws", 20, 1_000, own=(60, 400, 4_000))
    chapter._given["draws"] = 20
    assert chapter.number("draws", 20, 1_000, own=(60, 400, 4_000)) == 20


@pytest.mark.parametrize("pair", [[4], [4, 4], [4, 7, 1]])
def test_a_pair_is_two_different_numbers(chapter, pair):
    chapter.numbers("pair", 0, 9, pair=True)
    chapter._given["pair"] = pair
    with pytest.raises(ParameterError, match="two different numbers"):
        chapter.numbers("pair", 0, 9, pair=True)


def test_a_chapter_outside_a_project_stops(tmp_path, monkeypatch):
    monkeypatch.setattr("companion.chapter.locations.project", lambda: tmp_path)
    with pytest.raises(ParameterError, match=r"there is no project in .*papermill --cwd FOLDER"):
        Chapter("example", {"profile": "smoke", "build": str(tmp_path)})


@dataclass(frozen=True)
class Config:
    seeds: tuple[int, ...]


CLAIM = ("a sentence", "a source", "a quantity")
DATA = {"title": "made up", "stand_in": False}


def test_a_claim_carries_its_chapter_profile_and_build(chapter, tmp_path):
    found = chapter.claim("one", *CLAIM, 2.0, 2.0, "exact", kind="identity", seeds=range(3), data=DATA)
    assert ledger.collect(tmp_path) == [found] == list(chapter.claims.values())
    assert (found.chapter, found.profile, found.seeds, found.data) == ("example", "smoke", 3, "made up")
    assert found.verdict == "holds"


def test_an_estimate_brings_its_interval_and_its_runs(chapter):
    seen = {"kind": "seen after", "relation": "at least"}
    found = chapter.claim("one", *CLAIM, Estimate(1.0, 0.5, 2.0, 0.9, 7), 0.0, "none", **seen)
    assert (found.measured, found.interval, found.level, found.seeds) == (1.0, [0.5, 2.0], 0.9, 7)
    found = chapter.claim("one", *CLAIM, (1.0, [0.0, 3.0]), 0.0, "none", level=0.95, seeds=2, **seen)
    assert (found.interval, found.level) == ([0.0, 3.0], 0.95)
    with pytest.raises(ValueError, match="claim one: an interval and its level belong together"):
        chapter.claim("one", *CLAIM, (1.0, [0.0, 3.0]), 0.0, "none", seeds=2, **seen)
    assert len(chapter.claims) == 1  # measured again, not twice


def test_records_bring_profile_data_and_seeds(chapter):
    records = [SimpleNamespace(profile="paper", data=DATA)] * 2
    found = chapter.claim("one", *CLAIM, 1.0, 1.0, "none", kind="reported", records=records)
    assert (found.profile, found.seeds, found.data, found.trained) == ("paper", 2, "made up", True)


def test_a_claim_says_on_how_much_it_rests(chapter):
    with pytest.raises(ValueError, match="claim one: say on how many independent repetitions it rests"):
        chapter.claim("one", *CLAIM, 1.0, 1.0, "none", kind="identity")
    assert not chapter.claims


def test_a_claim_says_its_kind_unless_it_is_a_prediction(chapter):
    assert chapter.claim("one", *CLAIM, 1.0, 1.0, "none", seeds=1, predicted="1: one").kind == "predicted"
    with pytest.raises(ValueError, match="claim two: unknown kind ''; allowed: identity, reported, predicted, seen"):
        chapter.claim("two", *CLAIM, 1.0, 1.0, "none", seeds=1)
    assert list(chapter.claims) == ["one"]


@pytest.mark.parametrize(("name", "reason"), [("full", ""), ("quick", "the budget of this build is too small")])
def test_a_studys_table_brings_profile_data_seeds_and_what_it_can_decide(chapter, name, reason):
    config = {"examples": 100, "epochs": 2, "learning_rate": 1e-3, "test_examples": 50}
    table = Table("a study", name, config, [DATA], [], [{"seed": 3}, {"seed": 4}])
    seen = {"kind": "seen after", "relation": "at least", "table": table}
    found = chapter.claim("one", *CLAIM, 1.0, 0.0, "none", **seen)
    assert (found.profile, found.seeds, found.data, found.reason) == (name, 2, "made up", reason)
    estimate = Estimate(1.0, 0.5, 2.0, 0.9, 7)  # of seven differences within the table
    assert chapter.claim("one", *CLAIM, estimate, 0.0, "none", **seen).seeds == 7
    figure = Figure(figsize=(5, 3))
    chapter.finish(figure, table=table)
    said = f"profile: {name} · n = 2 · data: made up · 100 training images, 2 epochs · example"
    assert figure.get_label().startswith(said)
    assert "Too small to decide" in chapter.told(table, table)
    assert "This build repeats it smaller: 100 training images" in chapter.told(replace(table, name="full"), table)


def test_a_studys_configuration_counts_its_seeds_from_the_chapters(tmp_path):
    study = SimpleNamespace(configs={"smoke": Config(seeds=(0, 1, 2))})
    with mpl.rc_context():
        chapter = Chapter("example", {"profile": "smoke", "build": str(tmp_path), "seed": 7}, "seed")
    assert chapter.config(study).seeds == (7, 8, 9)


def test_predictions_stand_beside_their_outcomes(chapter):
    chapter.claim("one", *CLAIM, 1.0, 2.0, "none", seeds=1, predicted="3: more <is> less", unit="points")
    chapter.claim("two", *CLAIM, None, 2.0, "none", predicted="4: nothing is measured")
    assert "a sentence" in chapter.verdicts("all").data
    shown = chapter.outcomes().data
    assert ">more &lt;is&gt; less</div></td><td>1 points</td>" in shown
    assert "refuted" in shown
    assert ">nothing is measured</div></td><td>not in this build</td><td>–</td>" in shown
    assert "a sentence" not in chapter.verdicts("what outcomes have not shown").data
    chapter.claim("three", *CLAIM, 1.0, 2.0, "none", seeds=1, kind="seen after")
    assert "a sentence" in chapter.verdicts("what outcomes have not shown").data
    assert list(chapter.claims) == ["one", "three"]


@pytest.mark.parametrize(
    "file", sorted(locations.published().glob("*/predictions.md")), ids=lambda file: file.parent.name
)
def test_committed_predictions_are_read_by_their_number(chapter, file):
    told = re.findall(r"^\| (\d+) \| (.+?) \|", file.read_text(), re.MULTILINE)
    assert sorted(int(no) for no, _ in told) == list(range(1, len(told) + 1))
    for no, text in told:
        claim = chapter.predicted(file.parent.name, int(no), f"no-{no}", "a lead", 3.0, "A row: ", seeds=2)
        assert (claim.sentence, claim.kind, claim.expected) == (f"A row: {text}", "predicted", 0.0)
        assert file.parent.name in claim.source
    assert chapter.outcomes().data.count("<tr>") == 1 + len(told)


@pytest.mark.parametrize(
    ("by_seed", "judged", "verdict"),
    [
        ({0: 3.5}, {"expected": 2.0, "relation": "at least"}, "holds"),
        ({0: 2.5}, {"expected": 2.0, "relation": "at least"}, "undecided"),
        ({0: 1.5}, {"expected": 2.0, "relation": "at least"}, "undecided"),
        ({0: 0.5}, {"expected": 2.0, "relation": "at least"}, "refuted"),
        ({0: -0.5}, {"tolerance": 3.0}, "holds"),
        ({0: -2.5}, {"tolerance": 3.0}, "undecided"),
        ({0: -4.5}, {"tolerance": 3.0}, "refuted"),
        ({0: 2.1, 1: 2.2, 4: 2.15}, {"expected": 2.0, "relation": "at least"}, "holds"),
        ({0: 1.1, 1: 2.2, 4: 3.15}, {"expected": 2.0, "relation": "at least"}, "undecided"),
    ],
)
def test_of_one_seed_a_prediction_is_undecided_within_a_point_of_its_bound(chapter, by_seed, judged, verdict):
    claim = chapter.predicted("cifar10-quarter-gconv-adam", 1, "one", "a lead", by_seed, **judged)
    assert (claim.verdict, claim.seeds) == (verdict, len(by_seed))
    assert claim.level == (None if len(by_seed) == 1 else 0.90)


def test_what_no_seed_has_measured_is_no_claim_and_is_listed(chapter):
    assert chapter.predicted("cifar10-quarter-gconv-adam", 2, "two", "a lead", {}) is None
    assert "not in this build" in chapter.outcomes().data


def test_a_figure_says_chapter_and_profile_or_what_its_runs_say(chapter):
    figure = Figure(figsize=(5, 3))
    assert chapter.finish(figure, seeds=4, data=SimpleNamespace(source=SimpleNamespace(as_dict=lambda: DATA))) is None
    assert figure.get_label().startswith("profile: smoke · n = 4 · data: made up · example")


def test_data_are_known_by_what_is_said_of_them():
    assert source_of(None) is None
    assert source_of(DATA) is DATA


def test_paragraphs_without_words_are_left_out(chapter):
    assert chapter.say("one", "", "two").data == "one\n\ntwo"
