"""The first page's sentences say what the numbers given to them say."""

from dataclasses import replace

import numpy as np
import pytest
from test_statistics import make_record, quick

from companion import overview, statistics
from companion.ledger import Claim
from npflib import experiments


def make_claim(id: str, verdict: str, standing: str = "holds", origin: str = "paper") -> Claim:
    return Claim(
        id, "A sentence.", "section 2", origin, "error", 0.0, [0.0, 0.0], 0.0, "equal", 1.0, "rounding", verdict, "",
        standing, "quick", 3, "MNIST", False, "01_gates_and_paths", "",
    )  # fmt: skip


def test_the_theory_counts_the_papers_claims_and_ours_apart():
    ledger = [
        make_claim("claim-1-identity", verdict="holds", origin="paper"),
        make_claim("claim-4-mean", verdict="holds", origin="paper"),
        make_claim("claim-4-added", verdict="refuted", origin="companion"),
        make_claim("claim-6-mnist", verdict="refuted", origin="paper"),  # an experiment's, not the theory's
    ]
    text = overview.theory(ledger)
    assert text.startswith("**The algebra is right.** Of the paper's identities and its theorem 2 of 2 checks hold;")
    assert text.endswith("of our own additions 0 of 1 checks hold, 1 is refuted.")
    broken = [replace(claim, verdict="refuted") for claim in ledger[:2]]
    assert "not all right" in overview.theory(broken)
    assert "0 of 2 checks hold, 2 are refuted." in overview.theory(broken)
    assert overview.theory([]) == ""


def regimes_at(random: float, learnt: float, own: float) -> dict:
    peaks = {"FRNPF-II": random, "FLNPF": learnt, "ReLU": own}
    return {name: [make_record(seed, peak, name) for seed in range(3)] for name, peak in peaks.items()}


def test_the_share_that_learnt_gates_bring_back():
    """(97.5 - 96) / (98 - 96) = 75 %."""
    text = overview.gates("mnist-fc-adam", regimes_at(0.96, 0.975, 0.98))
    assert "gates reach 97.50 %, behind random gates 96.00 %, the network itself 98.00 %" in text
    assert "learnt gates recover 75 % of the gap" in text
    assert "(100 of 100 epochs, 60,000 images, n = 3)" in text


@pytest.mark.parametrize("peaks", [(0.96, 0.95, 0.98), (0.98, 0.985, 0.97)])
def test_no_share_where_nothing_was_lost_or_nothing_came_back(peaks):
    assert "recover" not in overview.gates("mnist-fc-adam", regimes_at(*peaks))


def test_a_missing_regime_is_named():
    found = regimes_at(0.96, 0.975, 0.98) | {"FLNPF": []}
    with pytest.raises(ValueError, match="there are none of FLNPF"):
        overview.gates("mnist-fc-adam", found)


@pytest.mark.parametrize(("factors", "verb"), [((0.25, 1.0), "turns towards"), ((4.0, 2.0), "does not turn towards")])
def test_alignment_is_the_geometric_mean_of_the_runs_factors(factors, verb):
    records = [
        replace(make_record(seed), series={"nu": [100.0, 7.0, 100 * factor]}) for seed, factor in enumerate(factors)
    ]
    text = overview.alignment(records)
    assert f"**The kernel {verb} the labels.**" in text
    assert f"to {np.sqrt(np.prod(factors)):.2f}× its initial value" in text


def test_the_table_counts_every_cell_once():
    paper = experiments.find("mnist-fc-adam").reported
    agreeing = [make_record(seed, paper["ReLU"].mean / 100 + 1e-5 * seed) for seed in range(5)]
    cells = [
        statistics.table_cell("mnist-fc-adam", "ReLU", agreeing),
        statistics.table_cell("mnist-fc-adam", "FLNPF", [quick(seed, regime="FLNPF") for seed in range(3)]),
        statistics.table_cell("cifar10-gconv-adam", "ReLU", []),
    ]
    assert [cell.verdict for cell in cells] == ["equivalent", "undecided", "not run"]
    text = overview.table(cells)
    assert "Of 3 cells 1 is equivalent to the paper's number, 1 undecided" in text
    assert "1, all of CIFAR-10, not run" in text


def test_the_ledger_says_how_many_contradict():
    good = make_claim("claim-1-a", verdict="holds", standing="holds")
    bad = make_claim("claim-1-b", verdict="refuted", standing="holds")
    assert "none contradicts what" in overview.claims([good], "quick")
    assert "1 contradicts what" in overview.claims([good, bad], "quick")
    assert "2 contradict what" in overview.claims([bad, replace(bad, id="claim-1-c")], "quick")
    assert "make book" in overview.claims([], "quick")


def test_the_findings_beyond_the_paper_are_the_ledgers_numbers():
    ledger = [
        replace(make_claim("companion-wide-share", "holds"), measured=0.9842, interval=[0.976, 0.993]),
        replace(make_claim("companion-layers-last-layer", "holds"), measured=-0.16, interval=[-0.3, 0.02]),
    ]
    text = overview.beyond(ledger)
    assert "random gates give 98.4 [97.6, 99.3] % of the gain" in text
    assert "last hidden layer](12_which_gates_matter.ipynb) differs by −0.16 [−0.30, +0.02] points from" in text
    assert "kernel ridge regression" not in text
    assert overview.beyond([make_claim("claim-1-identity", "holds")]) == ""
    every = overview.beyond([make_claim(id, "holds") for id, _, _ in overview.BEYOND])
    assert all(f"]({chapter}_" in every for chapter in ("10", "11", "12"))
