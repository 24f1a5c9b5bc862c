"""Figures along training: what is drawn is what the records say, and the spread with it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from test_statistics import make_record

from companion import statistics
from companion.figures import curves as along
from companion.figures.curves import CONTROL, Runs


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def measured(seed=0, epochs=(0, 2, 4), **series):
    return replace(make_record(seed), series={"epoch": list(epochs), **series})


def three():
    return [measured(k, nu=[9.0 + k, 4.0 - k, 1.0 + 2 * k]) for k in range(3)]


def test_series_are_the_records():
    epochs, values = along.series(three(), "nu")
    assert epochs.tolist() == [0, 2, 4]
    assert values.tolist() == [[9, 4, 1], [10, 3, 3], [11, 2, 5]]


def test_series_end_where_the_shortest_run_ended():
    records = [*three(), measured(3, (0, 2), nu=[5.0, 6.0])]
    epochs, values = along.series(records, "nu")
    assert epochs.tolist() == [0, 2]
    assert values[:, 1].tolist() == [4, 3, 2, 6]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no records to read 'nu'"),
        ([measured(4, trace=[1.0, 1.0, 1.0])], "seed 4 has no series 'nu'; it has: epoch, trace"),
        ([make_record(1)], "no series 'nu'; it has: none"),
        ([*three(), measured(3, (0, 3, 4), nu=[1.0, 1.0, 1.0])], "measured at different epochs"),
    ],
)
def test_series_refuse_what_cannot_be_drawn_together(records, message):
    with pytest.raises(ValueError, match=message):
        along.series(records, "nu")


def test_history_begins_after_the_first_epoch_and_ends_with_the_shortest_run():
    records = [make_record(0), make_record(1, ran=40)]
    epochs, values = along.history(records, "test_accuracy")
    assert epochs.tolist() == list(range(1, 41))
    assert values.tolist() == [r.history["test_accuracy"][:40] for r in records]
    with pytest.raises(ValueError, match="no records"):
        along.history([], "test_accuracy")


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1), st.booleans())
def test_every_run_the_mean_and_the_range_are_drawn(runs, points, seed, control):
    values = np.random.default_rng(seed).normal(size=(runs, points))
    figure, ax = plt.subplots()
    along.draw(ax, Runs("ν", "#0072B2", np.arange(points), values, control))
    *thin, mean = ax.lines
    assert [line.get_ydata().tolist() for line in thin] == values.tolist()
    assert np.allclose(mean.get_ydata(), values.mean(0))
    assert mean.get_linewidth() > max(line.get_linewidth() for line in thin)
    assert mean.is_dashed() == control
    [band] = ax.collections
    corners = band.get_paths()[0].vertices
    for point in range(points):
        heights = corners[corners[:, 0] == point, 1]
        assert np.isclose(heights.min(), values[:, point].min())
        assert np.isclose(heights.max(), values[:, point].max())
    plt.close(figure)


def test_panels_have_their_axes_lines_and_one_legend():
    first = Runs("own labels", "#0072B2", *along.series(three(), "nu"))
    second = Runs("shuffled", "#D55E00", *along.series(three(), "nu"), control=True)
    figure = along.panels(
        {"ν": [first, second], "ratio": [first], "condition": [second]},
        logarithmic=("ν",),
        lines={"ratio": {"chance": 1.5}},
    )
    figure.canvas.draw()  # warnings of the layout are errors
    shown = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_ylabel() for ax in shown] == ["ν", "ratio", "condition"]
    assert [ax.get_yscale() for ax in shown] == ["log", "linear", "linear"]
    assert "chance" in [text.get_text() for text in shown[1].texts]
    assert any(list(line.get_ydata()) == [1.5, 1.5] for line in shown[1].lines)
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["own labels", "shuffled"]
    assert [line.get_linestyle() for line in legend.get_lines()] == ["-", "--"]
    assert CONTROL != "-"


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"quantities": {}}, "nothing to draw"),
        ({"quantities": {"ν": []}, "logarithmic": ("nu",)}, r"no panel is called \['nu'\]; there are: ν"),
        ({"quantities": {"ν": []}, "lines": {"nu": {}}}, r"no panel is called \['nu'\]"),
    ],
)
def test_panels_refuse_what_is_not_there(given_, message):
    with pytest.raises(ValueError, match=message):
        along.panels(**given_)


@pytest.mark.parametrize("shape", [(2, 4), (0, 3)])
def test_values_that_do_not_match_the_epochs_are_refused(shape):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=r"same first dimension|runs must be \[runs, 3\] to match x; got"):
        along.draw(ax, Runs("ν", "k", np.arange(3), np.zeros(shape)))


def test_changes_show_every_run_and_the_interval():
    values = [-1.0, -2.0, -1.5]
    estimate = statistics.paired(values, [0.0] * 3, 0.90)
    figure = along.changes({"a": [("all", values, estimate, "#0072B2")], "b": [("part", values, estimate, "k")]}, "Δ")
    figure.canvas.draw()
    for ax, label in zip(figure.axes, ("all", "part"), strict=True):
        drawn = [np.atleast_1d(line.get_xdata()).tolist() for line in ax.lines]
        assert values in drawn
        assert list(estimate.interval) in drawn
        assert [estimate.value] in drawn
        assert [text.get_text() for text in ax.get_yticklabels()] == [label]
    assert figure.axes[-1].get_xlabel() == "Δ"


@pytest.mark.parametrize("shared", [True, False])
def test_changes_of_different_sizes_may_have_scales_of_their_own(shared):
    rows = {
        title: [(title, values, statistics.paired(values, [0.0] * 3, 0.90), "k")]
        for title, values in {"small": [-0.1, 0.1, 0.2], "large": [-20.0, -10.0, -15.0]}.items()
    }
    small, large = (ax.get_xlim() for ax in along.changes(rows, "Δ", sharex=shared).axes)
    assert (small == large) == shared
