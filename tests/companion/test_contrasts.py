"""The paper's statements on synthetic records and on its own table, against scipy and plain arithmetic."""

import json
from dataclasses import replace
from math import sqrt

import matplotlib as mpl
import numpy as np
import pytest
from scipy import stats
from test_statistics import make_record as any_record

from companion import ledger, statistics
from companion.chapter import Chapter
from npflib import experiments
from npflib.records import run_records

ROW = "cifar10-gconv-adam"
BY_LABEL = {statement.label: statement for statement in statistics.stated(1.0)}
PEAKS = {"ReLU": 0.803, "FLNPF": 0.797, "DLNPF": 0.771, "FRNPF-DI": 0.671, "FRNPF-II": 0.669}


def make_record(seed, peak, *names, **changes):
    """A record whose peak is the one given, however low."""
    record = any_record(seed, peak, *names, **changes)
    history = [0.5 * peak] * (record.epochs - 2) + [peak, 0.9 * peak]
    return replace(
        record, history={"test_accuracy": history}, peak=peak, peak_epoch=record.epochs - 1, final=0.9 * peak
    )


def row_of(experiment=ROW, seeds=3, spread=0.001, **changes):
    """Records of all five regimes; every seed's accuracies shift together."""
    full = experiments.find(experiment).epochs
    given = {"experiment": experiment, "epochs": full, "full_epochs": full, "images": 50_000} | changes
    return {
        regime: [
            make_record(k, peak + spread * k + 1e-4 * (k % 2) * (regime == "ReLU"), regime, **given)
            for k in range(seeds)
        ]
        for regime, peak in PEAKS.items()
    }


def save(found, folder):
    for records in found.values():
        for record in records:
            run_records.write(record, folder)


@pytest.mark.parametrize("experiment", [row.name for row in experiments.TABLE])
@pytest.mark.parametrize("label", BY_LABEL)
def test_the_papers_own_interval_is_welchs(experiment, label):
    statement = BY_LABEL[label]
    reported = experiments.find(experiment).reported
    found = statistics.by_paper(statement, experiment)
    first, second = reported[statement.first], reported[found.against]
    assert second.mean == max(reported[regime].mean for regime in statement.others)
    # scipy's own interval from the same summary numbers
    sides = {}
    for side in (-1, 1):
        value = found.estimate.high if side > 0 else found.estimate.low
        # the printed standard deviations divide by n
        a, b = (first.mean - value, first.std * 1.25**0.5), (second.mean, second.std * 1.25**0.5)
        test = stats.ttest_ind_from_stats(*a, 5, *b, 5, equal_var=False)
        sides[side] = test.pvalue
    assert sides[-1] == pytest.approx(0.10, abs=1e-9)
    assert sides[1] == pytest.approx(0.10, abs=1e-9)
    assert found.verdict == ledger.judge(found.estimate.interval, 0.0, statement.relation, statement.tolerance)


def test_records_are_compared_by_seed_with_the_better_of_the_random_gates():
    found = row_of()
    lead = statistics.by_records(BY_LABEL["flnpf-above-frnpf"], found)
    assert lead.against == "FRNPF-DI"
    assert lead.verdict == "holds"
    differences = [100 * (a.peak - b.peak) for a, b in zip(found["FLNPF"], found["FRNPF-DI"], strict=True)]
    assert lead.estimate.value == pytest.approx(np.mean(differences)) == pytest.approx(12.6)
    final = statistics.by_records(BY_LABEL["flnpf-above-frnpf"], found, "final")
    assert final.estimate.value == pytest.approx(0.9 * 12.6)
    near = statistics.by_records(BY_LABEL["flnpf-near-relu"], found)
    differences = [100 * (a.peak - b.peak) for a, b in zip(found["ReLU"], found["FLNPF"], strict=True)]
    half = stats.t.ppf(0.95, 2) * np.std(differences, ddof=1) / sqrt(3)
    assert near.estimate.interval == pytest.approx((np.mean(differences) - half, np.mean(differences) + half))
    assert near.verdict == "holds"


@pytest.fixture
def chapter(tmp_path):
    with mpl.rc_context():
        yield Chapter("06_cifar10", {"profile": "quick", "build": str(tmp_path / "build")})


@pytest.mark.parametrize("label", BY_LABEL)
def test_full_budget_records_of_the_papers_network_become_its_claim(label, tmp_path, chapter, monkeypatch):
    published, build, statement = tmp_path / "results", tmp_path / "build", BY_LABEL[label]
    monkeypatch.setattr("companion.statistics.locations.published", lambda: published)
    assert statistics.evidence(ROW, statement.regimes, build, least=2) == {}
    save(row_of(), published)
    found = statistics.evidence(ROW, statement.regimes, build, least=2)
    assert set(found) == set(statement.regimes)
    claim, lead = chapter.contrast(statement, ROW, found, f"claim-6-x-{label}"), statistics.by_records(statement, found)
    assert claim.verdict == lead.verdict == "holds"
    assert (claim.kind, claim.level, claim.standing) == ("reported", 0.9, "open")
    assert claim.seeds == 3
    assert claim.profile == "paper"
    assert json.loads((build / "claims" / f"claim-6-x-{label}.json").read_text())["measured"] == lead.estimate.value


def test_one_seed_is_no_evidence(tmp_path, monkeypatch):
    monkeypatch.setattr("companion.statistics.locations.published", lambda: tmp_path / "results")
    save(row_of(seeds=1), tmp_path / "results")
    assert statistics.evidence(ROW, BY_LABEL["flnpf-near-relu"].regimes, tmp_path, least=2) == {}


@pytest.mark.parametrize("name", [ROW, "cifar10-quarter-gconv-adam"])
@pytest.mark.parametrize(
    "changes", [{"profile": "quick"}, {"profile": "smoke"}, {"full_epochs": 900}, {"stand_in": True}]
)
def test_reduced_records_decide_nothing_of_any_network(name, changes, chapter):
    claim = chapter.contrast(BY_LABEL["flnpf-above-frnpf"], name, row_of(name), "claim-6-x")
    assert (claim.verdict, claim.standing) == ("holds", "open")
    reduced = chapter.contrast(BY_LABEL["flnpf-above-frnpf"], name, row_of(name, **changes), "claim-6-x")
    assert (reduced.verdict, reduced.interval) == ("undecided", claim.interval)
    assert reduced.reason
    assert ledger.read(chapter.folder / "claims" / "claim-6-x.json") == reduced


def test_a_claim_stands_where_published_evidence_puts_it_and_nowhere_else(tmp_path, monkeypatch, chapter):
    """VCONV with SGD: the paper's FLNPF is four points below ReLU, which is no evidence about records of ours."""
    name, statement, folder = "cifar10-vconv-sgd", BY_LABEL["flnpf-near-relu"], tmp_path / "results"
    monkeypatch.setattr("companion.ledger.locations.published", lambda: folder)
    assert statistics.by_paper(statement, name).verdict == "refuted"
    claim = chapter.contrast(statement, name, row_of(name), "claim-6-y")
    assert (claim.verdict, claim.standing, ledger.contradictions([claim])) == ("holds", "open", [])
    ledger.publish([replace(claim, verdict="refuted")])
    claim = chapter.contrast(statement, name, row_of(name), "claim-6-y")
    assert (claim.verdict, claim.standing, ledger.contradictions([claim])) == ("holds", "refuted", [claim])


def test_what_the_paper_reports_of_its_network_may_be_predicted_of_another(chapter):
    for name, kind in (("cifar10-quarter-gconv-adam", "predicted"), (ROW, "reported")):
        claim = chapter.contrast(BY_LABEL["di-equals-ii"], name, row_of(name), "companion-x", kind="predicted")
        assert claim.kind == kind
    assert chapter.contrast(BY_LABEL["di-equals-ii"], "cifar10-quarter-gconv-adam", row_of(), "x").kind == "seen after"


def staged(experiment, peak, regime, seeds=3, **changes):
    given = {"epochs": 80, "full_epochs": 80, "images": 50_000} | changes
    return [make_record(k, peak + 0.001 * k, regime, experiment, **given) for k in range(seeds)]


def test_gates_that_are_learnt_in_stages_become_claims(tmp_path, chapter, monkeypatch):
    monkeypatch.setattr("companion.statistics.locations.published", lambda: tmp_path / "results")
    name, statement = "cifar10-continuous", statistics.rises("cifar10-continuous")
    assert statement.regimes == ("FLNPF-stage-6", "FRNPF-II")
    found = {"FLNPF-stage-6": staged(name, 0.794, "FLNPF-stage-6"), "FRNPF-II": staged(name, 0.67, "FRNPF-II")}
    save(found, tmp_path / "results")
    found = statistics.evidence(name, statement.regimes, tmp_path, least=2)
    claim = chapter.contrast(statement, name, found, "claim-6-rises")
    assert (claim.kind, claim.verdict) == ("reported", "holds")
    assert claim.measured == pytest.approx(12.4)
    with pytest.raises(ValueError, match="no stages"):
        statistics.rises("cifar10-gconv-adam")


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="margin"):
        statistics.stated(0.0)
    with pytest.raises(ValueError, match="no reported mean ± std for ReLU, FLNPF"):
        statistics.by_paper(BY_LABEL["flnpf-near-relu"], "cifar10-continuous")
    with pytest.raises(ValueError, match="no records of FLNPF"):
        statistics.by_records(BY_LABEL["flnpf-near-relu"], {"ReLU": row_of()["ReLU"]})
    with pytest.raises(ValueError, match="two or more seeds"):
        statistics.by_records(BY_LABEL["flnpf-near-relu"], row_of(seeds=1))


def test_near_may_be_another_margin_with_its_own_reason():
    for same, own in zip(statistics.stated(0.5), statistics.stated(0.5, near=1.0, near_reason="half"), strict=True):
        if own.label == "flnpf-near-relu":
            assert (own.tolerance, own.tolerance_reason) == (1.0, "half")
            assert "within 1 point of ReLU" in own.sentence
        else:
            assert own == same
    with pytest.raises(ValueError, match=r"in points must be finite and positive; got -1"):
        statistics.stated(0.5, near=-1.0, near_reason="half")
