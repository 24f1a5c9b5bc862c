"""Figures of trained accuracy: learning curves, peak and final accuracy by regime, and ours against the paper's.

Every function takes run records and reads all it draws from them. Accuracies are in per cent, differences in points.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from companion import statistics
from companion.figures.style import (
    COLOURS,
    GRID,
    INACTIVE,
    INK,
    LABELS,
    MARKERS,
    MUTED,
    NORMAL,
    PAPER,
    SMALL,
    WIDTH,
    band,
    key,
)
from companion.statistics import Cell
from npflib import experiments
from npflib.records.run_records import Record

# Top to bottom as the paper argues: random gates, then learnt ones.
ORDER = ("FRNPF-II", "FRNPF-DI", "DLNPF", "FLNPF", "ReLU")
VERDICT_COLOURS = {"equivalent": "#0a6b3d", "different": "#a3261b", "undecided": MUTED}
VERDICT_MARKERS = {"equivalent": "o", "different": "X", "undecided": "s"}
_TICKS = (10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 93, 95, 96, 97, 98, 98.5, 99, 99.5)

Runs = Mapping[str, Mapping[str, Sequence[Record]]]  # experiment → regime → records


def in_order(names: Iterable[str]) -> list[str]:
    """Regimes as they are drawn: the paper's five first, others after them in the order given."""
    given = list(dict.fromkeys(names))
    return [*(name for name in ORDER if name in given), *(name for name in given if name not in ORDER)]


def learning_curves(runs: Runs, mark_paper: bool = False) -> Figure:
    """Test accuracy by epoch: mean over seeds as a line, least to greatest as a band; one panel an experiment, two
    panels a row.

    The axis is logarithmic in the error, 100 % - accuracy, so that curves near the top stay apart.

    Args:
        runs: experiment → regime → records of one budget.
        mark_paper: whether to mark the published peaks at the right; only meaningful at the full budget.
    """
    columns = min(2, len(runs))
    rows = -(-len(runs) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(WIDTH, 1.0 + 3.0 * rows), squeeze=False, sharey=True)
    panels = grid.flat[: len(runs)]
    for spare in grid.flat[len(runs) :]:
        spare.remove()
    for ax, (name, regimes) in zip(panels, runs.items(), strict=True):
        last = 1
        for regime in in_order(r for r in regimes if regimes[r]):
            history = test_curves(regimes[regime])
            last = max(last, history.shape[1])
            # The two FRNPF lie on one another: dashes let both be seen.
            dashes = {"linestyle": (0, (4, 2.5))} if regime == "FRNPF-DI" else {}
            band(ax, np.arange(1, history.shape[1] + 1), history, regime, **dashes)
        if mark_paper:
            for place, (regime, paper) in enumerate(experiments.find(name).published.items()):
                ax.errorbar(
                    last * (1.04 + 0.03 * place), paper.mean, yerr=paper.std, fmt=MARKERS[regime], markersize=5,
                    color=COLOURS[regime], markeredgecolor=PAPER, capsize=2, clip_on=False,
                )  # fmt: skip
        ax.set_title(experiments.find(name).title)
        ax.set_xlabel("epoch")
        ticks = MaxNLocator(6, integer=True).tick_values(0, last)
        ax.set_xticks([tick for tick in ticks if 0 <= tick <= last])
    shown = [regime for regimes in runs.values() for regime in regimes]
    _log_error_axis(panels)
    for ax in grid[:, 0]:
        ax.set_ylabel("test accuracy (%), log of the error")
    handles = [Line2D([], [], color=COLOURS[r], linewidth=2.2, label=LABELS[r]) for r in in_order([*ORDER, *shown])]
    if mark_paper:
        handles.append(
            Line2D([], [], linestyle="", marker="o", color="white", markeredgecolor=PAPER, label="paper's peak")
        )
    key(figure, handles)
    return figure


def peak_and_final(runs: Runs, mark_paper: bool = False) -> Figure:
    """Above, peak and final accuracy by regime; below, their difference with a 95 % interval. A dot is one seed.

    Args:
        runs: experiment → regime → records of one budget.
        mark_paper: whether to draw the published mean ± std; only meaningful at the full budget.
    """
    figure, panels = plt.subplots(
        2, len(runs), figsize=(WIDTH, 5.2), squeeze=False, sharey=True, sharex="row", height_ratios=(3, 2.4)
    )
    drawn = in_order([*ORDER, *(regime for regimes in runs.values() for regime in regimes)])
    for (above, below), (name, regimes) in zip(panels.T, runs.items(), strict=True):
        for row, regime in enumerate(drawn):
            records = regimes.get(regime)
            if not records:
                continue
            peaks, finals = (np.array(statistics.accuracies(records, m)) for m in statistics.MEASURES)
            colour = COLOURS[regime]
            above.plot(peaks, np.full(len(peaks), row - 0.14), "o", color=colour, markersize=5, alpha=0.75)
            above.plot(
                finals, np.full(len(finals), row + 0.14), "o", markerfacecolor="white", color=colour, markersize=5
            )
            if mark_paper and (paper := experiments.find(name).published.get(regime)):
                above.errorbar(paper.mean, row - 0.36, xerr=paper.std, fmt="D", color=PAPER, markersize=4, capsize=2.5)
            below.plot(peaks - finals, np.full(len(peaks), row + 0.18), "o", color=colour, markersize=3.5, alpha=0.6)
            if len(records) > 1:
                _interval(below, statistics.optimism(records), row - 0.1, colour, MARKERS[regime])
        above.set_title(experiments.find(name).title)
        above.set_xlabel("test accuracy (%)")
        below.set_xlabel("peak − final (points)")
        below.axvline(0, color=INACTIVE, linewidth=0.8)
        for ax in (above, below):
            ax.grid(axis="x", color=GRID)
            ax.set_axisbelow(True)
    for ax in panels[:, 0]:
        ax.set_yticks(range(len(drawn)), [LABELS[r] for r in drawn])
        ax.set_ylim(len(drawn) - 0.5, -0.7)
    handles = [
        Line2D([], [], linestyle="", marker="o", color=MUTED, label="peak"),
        Line2D([], [], linestyle="", marker="o", color=MUTED, markerfacecolor="white", label="final"),
    ]
    if mark_paper:
        handles.append(Line2D([], [], marker="D", markersize=4, color=PAPER, label="paper's peak, mean ± std"))
    key(figure, handles)
    return figure


def gate_gap(ax: Axes, regimes: Mapping[str, Sequence[Record]], measure: str = "peak") -> None:
    """Accuracy by regime from random gates to a network's own, with the step from random to learnt gates marked.

    Args:
        ax: where to draw.
        regimes: regime → records of one experiment and one budget; FRNPF-II, FLNPF and ReLU must be there.
        measure: "peak" or "final".
    """
    means = {}
    for row, regime in enumerate(r for r in ORDER if regimes.get(r)):
        values = np.array(statistics.accuracies(regimes[regime], measure))
        means[regime] = (row, values.mean())
        ax.plot(values, np.full(len(values), row), MARKERS[regime], color=COLOURS[regime], markersize=5, alpha=0.45)
        ax.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color=COLOURS[regime], linewidth=2.4)
        ax.annotate(
            f"{values.mean():.2f}", (values.max(), row), (9, 0), textcoords="offset points", va="center",
            fontsize=SMALL, color=INK,
        )  # fmt: skip
    (top, random), (row, learnt), (bottom, own) = (means[r] for r in ("FRNPF-II", "FLNPF", "ReLU"))
    for value in (random, learnt, own):
        ax.plot([value, value], [top, bottom + 0.75], color=INACTIVE, linewidth=0.9, linestyle=":", zorder=0)
    arrow = {"arrowstyle": "<|-|>", "color": PAPER, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.1}
    ax.annotate("", (random, bottom + 0.75), (learnt, bottom + 0.75), arrowprops=arrow)
    ax.annotate(
        f"learnt gates: {learnt - random:+.2f} points", ((random + learnt) / 2, bottom + 0.75), (0, -5),
        textcoords="offset points", ha="center", va="top", fontsize=SMALL,
    )  # fmt: skip
    if own > learnt:  # at tiny budgets it need not be
        ax.annotate("", (learnt, bottom + 0.75), (own, bottom + 0.75), arrowprops=arrow | {"mutation_scale": 6})
        ax.annotate(
            f"{own - learnt:+.2f}", ((learnt + own) / 2, bottom + 0.75), (0, -5), textcoords="offset points",
            ha="center", va="top", fontsize=SMALL,
        )  # fmt: skip
    ax.set_yticks([place for place, _ in means.values()], [LABELS[regime] for regime in means])
    ax.set_ylim(bottom + 1.45, -0.85)
    ax.margins(x=0.1)
    ax.set_xlim(right=ax.get_xlim()[1] + 0.06 * np.diff(ax.get_xlim())[0])  # room for the last label
    ax.set_xlabel(f"test accuracy (%), {measure} of each run; bar: mean")


def forest(cells: Sequence[Cell]) -> Figure:
    """Ours minus the paper's for every cell with two runs or more, with 95 % intervals and the margin shaded."""
    shown = [cell for cell in cells if cell.difference is not None]
    figure, panels, rows = _panel_a_row(shown)
    if not rows:
        return figure
    for ax, name in zip(panels, rows, strict=True):
        experiment = experiments.find(name)
        margin = statistics.MARGINS[experiment.dataset]
        ax.axvspan(-margin, margin, facecolor="#e9eef3", edgecolor="#7f92a6", linewidth=0.8)
        ax.axvline(0, color=INACTIVE, linewidth=0.9)
        own = [cell for cell in shown if cell.experiment == name]
        for place, cell in enumerate(own):
            assert cell.difference is not None  # two records or more have one
            _interval(ax, cell.difference, place, VERDICT_COLOURS[cell.verdict], VERDICT_MARKERS[cell.verdict])
        ax.set_yticks(range(len(own)), [LABELS[cell.regime] for cell in own])
        ax.set_ylim(len(own) - 0.4, -0.6)
        ax.set_title(f"{experiment.title}: {statistics.budget_text(own[0].records)}", loc="left", fontsize=NORMAL)
    panels[-1].set_xlabel("ours − paper (points of test accuracy)")
    handles = [
        Line2D([], [], linestyle="", marker=VERDICT_MARKERS[word], color=VERDICT_COLOURS[word], label=word)
        for word in VERDICT_COLOURS
    ]
    key(figure, handles)
    return figure


def selection(cells: Sequence[Cell]) -> Figure:
    """Peak minus final accuracy of every cell with two runs or more: what choosing the epoch on the test set adds.

    One panel a row of the table, a dot a seed and a bar for their mean; the quantity cannot be negative.
    """
    shown = [cell for cell in cells if len(cell.records) > 1]
    figure, panels, rows = _panel_a_row(shown)
    if not rows:
        return figure
    for ax, name in zip(panels, rows, strict=True):
        own = [cell for cell in shown if cell.experiment == name]
        ax.axvline(0, color=INACTIVE, linewidth=0.9)
        for place, cell in enumerate(own):
            peaks, finals = (np.array(statistics.accuracies(cell.records, measure)) for measure in ("peak", "final"))
            gaps = peaks - finals
            colour = COLOURS[cell.regime]
            ax.plot(gaps, np.full(len(gaps), place), MARKERS[cell.regime], color=colour, markersize=5, alpha=0.55)
            ax.plot([gaps.mean()] * 2, [place - 0.32, place + 0.32], color=colour, linewidth=2.4)
        ax.set_yticks(range(len(own)), [LABELS[cell.regime] for cell in own])
        ax.set_ylim(len(own) - 0.4, -0.6)
        title = f"{experiments.find(name).title}: {statistics.budget_text(own[0].records)}"
        ax.set_title(title, loc="left", fontsize=NORMAL)
    panels[-1].set_xlabel("peak − final (points of test accuracy)")
    return figure


def test_curves(records: Sequence[Record]) -> np.ndarray:
    """Test accuracy in per cent, [runs, epochs], as far as every run went."""
    shortest = min(record.epochs for record in records)
    return 100 * np.array([record.history["test_accuracy"][:shortest] for record in records])


def _panel_a_row(cells: Sequence[Cell]) -> tuple[Figure, np.ndarray, list[str]]:
    """A figure with a panel for each experiment of the cells, and their names; one that says so if there are none."""
    rows = list(dict.fromkeys(cell.experiment for cell in cells))
    count = max(1, len(rows))
    figure, panels = plt.subplots(count, 1, figsize=(WIDTH, 0.9 + 1.5 * count), squeeze=False, sharex=True)
    if not rows:
        panels[0, 0].set_axis_off()
        panels[0, 0].text(0.5, 0.5, "no cell has two runs yet", ha="center", va="center", color=MUTED)
    return figure, panels[:, 0], rows


def _log_error_axis(panels: Sequence[Axes] | np.ndarray) -> None:
    least, most = min(ax.dataLim.y0 for ax in panels), max(ax.dataLim.y1 for ax in panels)
    if not np.isfinite([least, most]).all():
        return
    for ax in panels:
        ax.set_yscale("function", functions=(lambda a: -np.log10(np.maximum(100 - a, 1e-3)), lambda t: 100 - 10**-t))
        error = np.array([100 - least, max(100 - most, 1e-2)])
        ax.set_ylim(*(100 - error * [1.1, 0.88]))
        inside = [tick for tick in _TICKS if 100 - 1.1 * error[0] <= tick <= 100 - 0.88 * error[1]]
        ax.yaxis.set_major_locator(FixedLocator(inside))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.grid(axis="y", color=GRID)
        ax.set_axisbelow(True)


def _interval(ax: Axes, estimate: statistics.Estimate, place: float, colour: str, marker: str) -> None:
    ax.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=1.6)
    ax.plot(estimate.value, place, marker, color=colour, markersize=6)
