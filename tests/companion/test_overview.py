"""The first page's sentences say what the numbers given to them say."""

from dataclasses import replace

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from test_statistics import make_record, quick

from companion import overview, statistics
from companion.ledger import Claim
from npflib import experiments


def make_claim(id: str, verdict: str, standing: str = "holds", kind: str = "identity") -> Claim:
    return Claim(
        id=id, sentence="A sentence.", source="section 2", kind=kind, quantity="error", measured=0.0,
        interval=[0.0, 0.0], expected=0.0, tolerance=1.0, tolerance_reason="rounding", verdict=verdict, reason="",
        standing=standing, profile="quick", seeds=3, data="MNIST", stand_in=False, chapter="01_gates_and_paths",
    )  # fmt: skip


def test_the_theory_is_the_identities():
    ledger = [
        make_claim("claim-1-identity", verdict="holds"),
        make_claim("claim-4-mean", verdict="undecided"),
        make_claim("claim-6-mnist", verdict="refuted", kind="reported"),  # an experiment's, not the theory's
    ]
    text = overview.theory(ledger)
    assert text.startswith("**The algebra is right.** Of 2 identities")
    assert text.endswith(": 1 hold, 1 undecided.")
    broken = [replace(claim, verdict="refuted") for claim in ledger[:2]]
    assert "not all right" in overview.theory(broken)
    assert overview.theory(broken).endswith(": 2 refuted.")
    assert overview.theory(ledger[2:]) == ""


def test_the_share_that_learnt_gates_bring_back():
    """(97.5 - 96) / (98 - 96) = 75 %, and the paper's own (97.82 - 96.09) / (98.14 - 96.09) = 84 %."""
    peaks = {"FRNPF-DI": 0.95, "FRNPF-II": 0.96, "FLNPF": 0.975, "ReLU": 0.98}
    runs = {name: [make_record(seed, peak, name) for seed in range(3)] for name, peak in peaks.items()}
    text = overview.gates({"mnist-fc-adam": runs})
    assert "MNIST, FC, Adam: 75 % [75, 75] (100 of 100 epochs, 60,000 images, n = 3), by the paper's table 84 %" in text
    alone = text.split("By that table (its Table 2) alone: ")[1]
    others = [row.title for row in experiments.TABLE if row.name != "mnist-fc-adam"]
    assert [part.split(" % [")[0].rsplit(" ", 1)[0] for part in alone.split("; ")] == others


def test_the_finding_is_the_range_of_the_shares():
    def row(learnt, seeds=3):
        peaks = {"FRNPF-DI": 0.95, "FRNPF-II": 0.96, "FLNPF": learnt, "ReLU": 0.98}
        return {name: [make_record(seed, peak, name) for seed in range(seeds)] for name, peak in peaks.items()}

    text = overview.finding({"mnist-fc-sgd": row(0.97), "mnist-fc-adam": row(0.976)})
    assert "that random gates cost, 50 to 80 % comes back on MNIST." in text
    assert "50 to 80 %" in overview.finding({"mnist-fc-sgd": row(0.97, 1), "mnist-fc-adam": row(0.976, 1)})


def test_the_explorers_picture_is_a_link_to_it(tmp_path):
    assert overview.explorer(tmp_path) == ""
    (tmp_path / "notebooks").mkdir()
    picture = '<img alt="three planes" src="data:image/svg+xml;base64,AAAA">'
    cell = new_code_cell("", outputs=[new_output("display_data", {"text/html": f"<noscript>{picture}</noscript>"})])
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "notebooks" / "gate_explorer.ipynb")
    assert overview.explorer(tmp_path).startswith(f'<a class="npf-picture" href="gate_explorer.html">{picture}<span>')


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
    assert "Of 3 cells, beside the paper's numbers: 1 equivalent, 1 undecided, 1 not run." in text


def test_the_ledger_says_how_many_contradict():
    good = make_claim("claim-1-a", verdict="holds", standing="holds")
    bad = make_claim("claim-1-b", verdict="refuted", standing="holds")
    unknown = make_claim("companion-x", verdict="refuted", standing="open", kind="seen after")
    assert "Of 1 claims none contradicts what" in overview.claims([good])
    assert "1 contradicts what" in overview.claims([good, bad])
    assert "2 contradict what" in overview.claims([bad, replace(bad, id="claim-1-c")])
    assert "none contradicts what published evidence supports; 1 is open" in overview.claims([good, unknown])


def test_the_findings_beyond_the_paper_are_the_ledgers_numbers():
    ledger = [
        replace(make_claim("companion-wide-share", "holds"), measured=0.9842, interval=[0.976, 0.993]),
        replace(
            make_claim("companion-layers-last-layer", "holds", kind="seen after"), measured=-0.16, interval=[-0.3, 0.02]
        ),
    ]
    text = overview.beyond(ledger)
    assert "random gates give 98.4 [97.6, 99.3] % of the gain" in text
    assert "last hidden layer](12_which_gates_matter.ipynb) differs by −0.16 [−0.30, +0.02] points from" in text
    assert text.endswith(" That was seen after the run.")
    assert text.count("seen after") == 1
    assert "kernel ridge regression" not in text
    assert overview.beyond([make_claim("claim-1-identity", "holds")]) == ""
    every = overview.beyond([make_claim(id, "holds") for id, _, _ in overview.BEYOND])
    assert all(f"]({chapter}_" in every for chapter in ("10", "11", "12"))
