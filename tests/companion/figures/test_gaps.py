"""Gaps and crossings: the figures show the numbers, and the epochs of a crossing are those of a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from test_learning import draw, lines_of, runs
from test_statistics import make_record

from companion import statistics
from companion.figures import curves
from npflib import experiments

CIFAR10 = [row for row in experiments.TABLE if row.dataset == "cifar10"]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def of_paper(row):
    return {s: (statistics.by_paper(s, row.name), None) for s in statistics.stated(1.0)}


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_gaps_are_the_papers_with_their_intervals(count):
    given = {row.title: of_paper(row) for row in CIFAR10[:count]}
    figure = draw(curves.gaps(given))
    assert [ax.get_title(loc="left") for ax in figure.axes] == list(given)
    for ax, row in zip(figure.axes, given.values(), strict=True):
        drawn = [np.atleast_1d(line.get_xdata()) for line in ax.lines]
        for lead, _ in row.values():
            assert any(np.array_equal(x, lead.estimate.interval) for x in drawn)
            assert any(np.array_equal(x, [lead.estimate.value]) for x in drawn)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["ReLU − FLNPF", "FLNPF − better FRNPF", "DLNPF − better FRNPF", "FRNPF (DI) − FRNPF (II)"]


def test_our_gaps_stand_beside_the_papers():
    row = CIFAR10[3]
    found = runs(rows=(row.name,), epochs=row.epochs)[row.name]
    given = {s: (statistics.by_paper(s, row.name), statistics.by_records(s, found)) for s in statistics.stated(1.0)}
    [ax] = draw(curves.gaps({row.title: given})).axes
    drawn = [np.atleast_1d(line.get_xdata()) for line in ax.lines]
    assert all(any(np.array_equal(x, ours.estimate.interval) for x in drawn) for _, ours in given.values())
    draw(curves.gaps({row.title: {s: (None, ours) for s, (_, ours) in given.items()}}))


def curve(seed, accuracies, regime):
    record = make_record(seed, 0.5, regime, epochs=len(accuracies))
    record.history["test_accuracy"][:] = accuracies
    return record


leads = st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=1, max_size=3)


@given(leads)
def test_the_epochs_of_a_crossing_are_those_of_a_loop(lead):
    means = [sum(row[epoch] for row in lead) for epoch in range(4)]
    first = stays = None
    for epoch, mean in enumerate(means, start=1):
        if mean > 0:
            first = first or epoch
            stays = stays or epoch
        else:
            stays = None
    assert curves.ahead(np.array(lead)) == (first, stays)


def test_leads_are_differences_by_seed():
    ours = [curve(0, [0.1, 0.5, 0.7], "ReLU"), curve(1, [0.2, 0.5, 0.6], "ReLU")]
    theirs = [curve(0, [0.3, 0.5], "FLNPF"), curve(1, [0.3, 0.4], "FLNPF")]
    assert curves.leads(ours, theirs) == pytest.approx(np.array([[-20, 0], [-10, 10]]))
    assert curves.ahead(curves.leads(ours, theirs)) == (2, 2)
    with pytest.raises(ValueError, match="same seeds"):
        curves.leads(ours, theirs[::-1])


def test_curves_and_leads_are_drawn():
    found = runs(rows=("mnist-fc-adam",))["mnist-fc-adam"]
    left, right = draw(curves.curves_and_leads(found)).axes
    for regime in curves.ORDER:
        [line] = lines_of(left, regime)
        assert np.allclose(line.get_ydata(), curves.test_curves(found[regime]).mean(0))
        if regime != "FLNPF":
            [line] = lines_of(right, regime)
            assert np.allclose(line.get_ydata(), curves.leads(found[regime], found["FLNPF"]).mean(0))
    draw(curves.curves_and_leads({"FLNPF": found["FLNPF"]}))
    with pytest.raises(ValueError, match="no records of FLNPF"):
        curves.curves_and_leads({"ReLU": found["ReLU"]})
