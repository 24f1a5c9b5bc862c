"""Figures of accuracy: what is drawn is what the records say, with any of them missing."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from test_statistics import make_record, quick

from companion import statistics
from companion.figures import curves, diagrams
from companion.figures.style import COLOURS
from npflib import experiments

ROWS = ("mnist-fc-sgd", "mnist-fc-adam")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def runs(regimes=curves.ORDER, rows=ROWS, seeds=3, **changes):
    peak = dict(zip(curves.ORDER, (0.96, 0.961, 0.983, 0.978, 0.981), strict=True))
    return {
        name: {
            regime: [make_record(k, peak[regime] + 1e-4 * k, regime, name, **changes) for k in range(seeds)]
            for regime in regimes
        }
        for name in rows
    }


def draw(figure):
    """Warnings of the layout are errors; drawing raises them."""
    figure.canvas.draw()
    return figure


def lines_of(ax, regime):
    return [line for line in ax.lines if line.get_color() == COLOURS[regime]]


def test_learning_curves_are_the_means_over_seeds():
    given = runs()
    given["mnist-fc-sgd"]["ReLU"][0].history["test_accuracy"][3] = 0.6
    figure = draw(curves.learning_curves(given))
    for ax, name in zip(figure.axes, ROWS, strict=True):
        assert ax.get_title() == experiments.find(name).title
        for regime in curves.ORDER:
            [line] = lines_of(ax, regime)
            history = [record.history["test_accuracy"] for record in given[name][regime]]
            assert np.allclose(line.get_ydata(), 100 * np.mean(history, axis=0))
            assert line.get_xdata()[0] == 1


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_experiment_has_its_panel_two_a_row(count):
    rows = ("cifar10-vconv-sgd", "cifar10-vconv-adam", "cifar10-gconv-sgd", "cifar10-gconv-adam")[:count]
    figure = draw(curves.learning_curves(runs(rows=rows), mark_paper=True))
    assert [ax.get_title() for ax in figure.axes] == [experiments.find(name).title for name in rows]
    assert max(ax.get_subplotspec().colspan.stop for ax in figure.axes) == min(2, count)


def test_papers_peaks_are_marked_only_on_request():
    without, marked = (curves.learning_curves(runs(), mark_paper=mark) for mark in (False, True))
    shown = {float(line.get_ydata()[0]) for line in marked.axes[1].lines if len(line.get_ydata()) == 1}
    assert {paper.mean for paper in experiments.find("mnist-fc-adam").reported.values()} <= shown
    assert all(len(line.get_ydata()) > 1 for line in without.axes[1].lines)
    draw(marked)


@pytest.mark.parametrize("regimes", [("ReLU",), ("ReLU", "FLNPF"), curves.ORDER])
@pytest.mark.parametrize("rows", [ROWS[:1], ROWS])
def test_any_part_of_the_table_can_be_drawn(regimes, rows):
    draw(curves.learning_curves(runs(regimes, rows), mark_paper=True))
    draw(curves.peak_and_final(runs(regimes, rows), mark_paper=True))


def test_single_seeds_and_short_runs_can_be_drawn():
    draw(curves.learning_curves(runs(seeds=1, epochs=2)))
    draw(curves.peak_and_final(runs(seeds=1, epochs=2)))


def test_a_run_that_stopped_early_shortens_its_curve():
    given = {"mnist-fc-adam": {"ReLU": [make_record(0, ran=40), make_record(1)]}}
    [line] = lines_of(curves.learning_curves(given).axes[0], "ReLU")
    assert len(line.get_xdata()) == 40


def test_forest_shows_every_difference_and_its_interval():
    cells = [
        statistics.table_cell("mnist-fc-adam", "ReLU", runs()["mnist-fc-adam"]["ReLU"]),
        statistics.table_cell(
            "mnist-fc-adam", "FLNPF", [quick(k, peak=0.9 + 0.01 * k, regime="FLNPF") for k in range(2)]
        ),
        statistics.table_cell("mnist-fc-adam", "DLNPF", []),
    ]
    figure = draw(curves.forest(cells))
    [ax] = figure.axes
    drawn = [line.get_xdata() for line in ax.lines]
    for cell in cells[:2]:
        assert any(np.array_equal(x, cell.difference.interval) for x in drawn)
        assert any(np.array_equal(np.atleast_1d(x), [cell.difference.value]) for x in drawn)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ReLU", "FLNPF"]


def test_forest_without_any_run_says_so():
    cells = [statistics.table_cell("cifar10-vconv-sgd", regime, []) for regime in curves.ORDER]
    [ax] = draw(curves.forest(cells)).axes
    assert "no cell has two runs yet" in [text.get_text() for text in ax.texts]


def test_the_gap_between_random_and_learnt_gates_is_stated():
    given = runs()["mnist-fc-adam"]
    figure, ax = plt.subplots()
    curves.gate_gap(ax, given)
    texts = [text.get_text() for text in draw(figure).axes[0].texts]
    means = {r: statistics.summarise(statistics.accuracies(records)).mean for r, records in given.items()}
    assert f"learnt gates: {means['FLNPF'] - means['FRNPF-II']:+.2f} points" in texts
    assert f"{means['ReLU'] - means['FLNPF']:+.2f}" in texts
    assert f"{means['ReLU']:.2f}" in texts


def test_the_drawing_of_the_regimes_names_them_all():
    texts = " ".join(text.get_text() for text in draw(diagrams.five_regimes()).axes[0].texts)
    for name in ("FRNPF (II)", "FRNPF (DI)", "DLNPF", "FLNPF", "ReLU"):
        assert name in texts
    assert texts.count("frozen") == 3
