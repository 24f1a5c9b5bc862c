"""The paper's statements on synthetic records and on its own table, against scipy and plain arithmetic."""

import json
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from scipy import stats
from test_statistics import make_record as any_record

from companion import contrasts, ledger, statistics
from npflib import experiments
from npflib.records import run_records

ROW = "cifar10-gconv-adam"
BY_LABEL = {statement.label: statement for statement in contrasts.stated(1.0)}
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
    found = contrasts.by_paper(statement, experiment)
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
    lead = contrasts.by_records(BY_LABEL["flnpf-above-frnpf"], found)
    assert lead.against == "FRNPF-DI"
    assert lead.verdict == "holds"
    differences = [100 * (a.peak - b.peak) for a, b in zip(found["FLNPF"], found["FRNPF-DI"], strict=True)]
    assert lead.estimate.value == pytest.approx(np.mean(differences)) == pytest.approx(12.6)
    final = contrasts.by_records(BY_LABEL["flnpf-above-frnpf"], found, "final")
    assert final.estimate.value == pytest.approx(0.9 * 12.6)
    near = contrasts.by_records(BY_LABEL["flnpf-near-relu"], found)
    differences = [100 * (a.peak - b.peak) for a, b in zip(found["ReLU"], found["FLNPF"], strict=True)]
    half = stats.t.ppf(0.95, 2) * np.std(differences, ddof=1) / sqrt(3)
    assert near.estimate.interval == pytest.approx((np.mean(differences) - half, np.mean(differences) + half))
    assert near.verdict == "holds"


@pytest.mark.parametrize("label", BY_LABEL)
def test_full_budget_records_of_the_papers_network_become_its_claim(label, tmp_path):
    published, build, statement = tmp_path / "results", tmp_path / "build", BY_LABEL[label]
    assert statistics.evidence(ROW, statement.regimes, build, published, least=2) == {}
    save(row_of(), published)
    found = statistics.evidence(ROW, statement.regimes, build, published, least=2)
    assert set(found) == set(statement.regimes)
    claim, lead = contrasts.record(statement, ROW, found, build, id=f"claim-6-x-{label}", chapter="06_cifar10")
    assert claim.verdict == lead.verdict == "holds"
    assert (claim.kind, claim.level, claim.standing) == ("reported", 0.9, "open")
    assert claim.seeds == 3
    assert claim.profile == "paper"
    assert json.loads((build / "claims" / f"claim-6-x-{label}.json").read_text())["measured"] == lead.estimate.value


def test_one_seed_is_no_evidence(tmp_path):
    save(row_of(seeds=1), tmp_path / "results")
    assert statistics.evidence(ROW, BY_LABEL["flnpf-near-relu"].regimes, tmp_path, tmp_path / "results", least=2) == {}


@pytest.mark.parametrize("changes", [{"profile": "quick"}, {"full_epochs": 900}, {"stand_in": True}])
def test_reduced_records_never_become_the_papers_claim(changes, tmp_path):
    with pytest.raises(ValueError, match="needs full-budget records"):
        contrasts.record(
            BY_LABEL["flnpf-near-relu"], ROW, row_of(**changes), tmp_path, id="claim-6-x", chapter="06_cifar10"
        )
    assert not (tmp_path / "claims").exists()


def test_a_claim_stands_where_published_evidence_puts_it_and_nowhere_else(tmp_path, monkeypatch):
    """VCONV with SGD: the paper's FLNPF is four points below ReLU, which is no evidence about records of ours."""
    name, statement, folder = "cifar10-vconv-sgd", BY_LABEL["flnpf-near-relu"], tmp_path / "results"
    monkeypatch.setattr("companion.ledger.locations.published", lambda: folder)
    assert contrasts.by_paper(statement, name).verdict == "refuted"
    given = (statement, name, row_of(name), tmp_path)
    claim, _ = contrasts.record(*given, id="claim-6-y", chapter="06_cifar10")
    assert (claim.verdict, claim.standing, ledger.contradictions([claim])) == ("holds", "open", [])
    ledger.publish([replace(claim, verdict="refuted")])
    claim, _ = contrasts.record(*given, id="claim-6-y", chapter="06_cifar10")
    assert (claim.verdict, claim.standing, ledger.contradictions([claim])) == ("holds", "refuted", [claim])


@pytest.mark.parametrize(
    "changes", [{"profile": "quick"}, {"profile": "smoke"}, {"full_epochs": 900}, {"stand_in": True}]
)
def test_a_quarter_of_a_network_is_a_finding_of_ours_that_a_reduced_budget_leaves_open(changes, tmp_path):
    name, statement = "cifar10-quarter-gconv-adam", BY_LABEL["flnpf-above-frnpf"]
    claim, lead = contrasts.record(statement, name, row_of(name), tmp_path, id="companion-x", chapter="06_cifar10")
    assert (claim.kind, claim.standing, claim.verdict) == ("seen after", "open", "holds")
    claim, again = contrasts.record(
        statement, name, row_of(name, **changes), tmp_path, id="companion-x", chapter="06_cifar10"
    )
    assert again == lead
    assert claim.verdict == "undecided"
    assert claim.reason
    assert ledger.read(tmp_path / "claims" / "companion-x.json") == claim


def test_what_the_paper_reports_of_its_network_may_be_predicted_of_another(tmp_path):
    given = {"build": tmp_path, "chapter": "06_cifar10", "kind": "predicted"}
    for name, kind in (("cifar10-quarter-gconv-adam", "predicted"), (ROW, "reported")):
        claim, _ = contrasts.record(BY_LABEL["di-equals-ii"], name, row_of(name), id="companion-x", **given)
        assert claim.kind == kind


def staged(experiment, peak, regime, seeds=3, **changes):
    given = {"epochs": 80, "full_epochs": 80, "images": 50_000} | changes
    return [make_record(k, peak + 0.001 * k, regime, experiment, **given) for k in range(seeds)]


def test_gates_that_are_learnt_in_stages_become_claims(tmp_path):
    name, statement = "cifar10-continuous", contrasts.rises("cifar10-continuous")
    assert statement.regimes == ("FLNPF-stage-6", "FRNPF-II")
    found = {"FLNPF-stage-6": staged(name, 0.794, "FLNPF-stage-6"), "FRNPF-II": staged(name, 0.67, "FRNPF-II")}
    save(found, tmp_path / "results")
    found = statistics.evidence(name, statement.regimes, tmp_path, tmp_path / "results", least=2)
    claim, _ = contrasts.record(statement, name, found, tmp_path, id="claim-6-rises", chapter="07")
    assert (claim.kind, claim.verdict) == ("reported", "holds")
    assert claim.measured == pytest.approx(12.4)
    last = found["FLNPF-stage-6"]
    claim, lead = contrasts.record_above_line(
        name, "FLNPF-stage-6", "CNTK", last, tmp_path, id="claim-6-cntk", chapter="07"
    )
    values = [100 * record.peak for record in last]
    assert claim.measured == pytest.approx(np.mean(values) - 77.43)
    assert claim.interval == pytest.approx(
        np.array(stats.t.interval(0.9, 2, np.mean(values), stats.sem(values))) - 77.43
    )
    assert claim.verdict == lead.verdict == "holds"
    below = staged(name, 0.70, "FLNPF-stage-1")
    claim, _ = contrasts.record_above_line(name, "FLNPF-stage-1", "CNTK", below, tmp_path, id="x", chapter="07")
    assert claim.verdict == "refuted"


def test_lines_refuse_what_is_no_test_of_them(tmp_path):
    name, regime = "cifar10-continuous", "FLNPF-stage-6"
    given = {"build": tmp_path, "id": "x", "chapter": "07"}
    with pytest.raises(ValueError, match="no line 'GP'; it has: ReLU, CNTK"):
        contrasts.record_above_line(name, regime, "GP", staged(name, 0.7, regime), **given)
    with pytest.raises(ValueError, match="needs full-budget records"):
        contrasts.record_above_line(name, regime, "CNTK", staged(name, 0.7, regime, epochs=3), **given)
    with pytest.raises(ValueError, match="two or more pairs"):
        contrasts.record_above_line(name, regime, "CNTK", staged(name, 0.7, regime, seeds=1), **given)
    with pytest.raises(ValueError, match="no stages"):
        contrasts.rises("cifar10-gconv-adam")


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="margin"):
        contrasts.stated(0.0)
    with pytest.raises(ValueError, match="no reported mean ± std for ReLU, FLNPF"):
        contrasts.by_paper(BY_LABEL["flnpf-near-relu"], "cifar10-continuous")
    with pytest.raises(ValueError, match="no records of FLNPF"):
        contrasts.by_records(BY_LABEL["flnpf-near-relu"], {"ReLU": row_of()["ReLU"]})
    with pytest.raises(ValueError, match="two or more seeds"):
        contrasts.by_records(BY_LABEL["flnpf-near-relu"], row_of(seeds=1))


def test_near_may_be_another_margin_with_its_own_reason():
    for same, own in zip(contrasts.stated(0.5), contrasts.stated(0.5, near=1.0, near_reason="half"), strict=True):
        if own.label == "flnpf-near-relu":
            assert (own.tolerance, own.tolerance_reason) == (1.0, "half")
            assert "within 1 point of ReLU" in own.sentence
        else:
            assert own == same
    with pytest.raises(ValueError, match=r"positive number of points; got -1"):
        contrasts.stated(0.5, near=-1.0, near_reason="half")
