"""Figures of accuracies and of their differences with intervals: one row a regime, a contrast or a change.

A dot is a run. Accuracies are in per cent, differences in points.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from companion import statistics
from companion.figures.curves import ORDER, ByRegime, in_order
from companion.figures.drawing import entry, key, panel_grid
from companion.figures.style import COLOURS, INACTIVE, INK, LABELS, MARKERS, MUTED, PAPER, SMALL, WIDTH
from companion.statistics import Cell, Contrast, Difference, Estimate
from npflib import experiments
from npflib.records.run_records import Record

Change = tuple[str, Sequence[float], Estimate, str]  # label, one change a run, their mean with its interval, colour
_VERDICTS = {"equivalent": ("#0a6b3d", "o"), "different": ("#a3261b", "X"), "undecided": (MUTED, "s")}
_ACCEPTED = {"facecolor": "#dcefe6", "edgecolor": "#5f8b78", "linewidth": 0.8}


def gate_gap(ax: Axes, regimes: Mapping[str, Sequence[Record]]) -> None:
    """Accuracy by regime from random gates to a network's own, with the step from random to learnt gates marked."""
    values = {r: np.array(statistics.accuracies(regimes[r])) for r in ORDER if regimes.get(r)}
    names = [regime for regime, some in values.items() for _ in some]
    look = {"x": np.concatenate(list(values.values())), "y": names, "hue": names, "legend": False, "ax": ax}
    look["palette"] = {regime: COLOURS[regime] for regime in values}
    sns.stripplot(**look, jitter=False, alpha=0.55)
    sns.pointplot(**look, errorbar=None, linestyle="none", marker="|", markersize=18, markeredgewidth=2.4)
    ax.set_yticks(range(len(values)), [LABELS[regime] for regime in values])
    beside: dict[str, Any] = {"textcoords": "offset points", "fontsize": SMALL}
    for row, some in enumerate(values.values()):
        ax.annotate(f"{some.mean():.2f}", (some.max(), row), (9, 0), va="center", color=INK, **beside)
    random, learnt, own = (values[regime].mean() for regime in ("FRNPF-II", "FLNPF", "ReLU"))
    top, foot = list(values).index("FRNPF-II"), len(values) - 0.25
    ax.vlines((random, learnt, own), top, foot, linestyle=":", color=INACTIVE, linewidth=0.9, zorder=0)
    steps = [(random, learnt, "learnt gates: {:+.2f} points", 11)]
    if own > learnt:  # at tiny budgets it need not be
        steps.append((learnt, own, "{:+.2f}", 6))
    for start, end, text, size in steps:
        arrow = {"arrowstyle": "<|-|>", "color": PAPER, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.1}
        ax.annotate("", (start, foot), (end, foot), arrowprops=arrow | {"mutation_scale": size})
        ax.annotate(text.format(end - start), ((start + end) / 2, foot), (0, -5), ha="center", va="top", **beside)
    ax.set_ylim(foot + 0.7, -0.85)
    ax.margins(x=0.1)
    ax.set_xlim(right=ax.get_xlim()[1] + 0.06 * np.diff(ax.get_xlim())[0])  # room for the last label
    ax.set_xlabel("test accuracy (%), peak of each run; bar: mean")


def peak_and_final(runs: ByRegime, mark_paper: bool = False) -> Figure:
    """Above, peak and final accuracy by regime, the paper's too if asked; below, their difference with its interval."""
    shared: dict[str, Any] = {"squeeze": False, "sharey": True, "sharex": "row", "height_ratios": (3, 2.4)}
    figure, panels = plt.subplots(2, len(runs), figsize=(WIDTH, 5.2), **shared)
    drawn = in_order([*ORDER, *(regime for regimes in runs.values() for regime in regimes)])
    for (above, below), (name, regimes) in zip(panels.T, runs.items(), strict=True):
        for row, regime in enumerate(drawn):
            if not (records := regimes.get(regime)):
                continue
            peaks, finals = (np.array(statistics.accuracies(records, m)) for m in statistics.MEASURES)
            colour = COLOURS[regime]
            _runs(above, peaks, row - 0.14, colour, markersize=5, alpha=0.75)
            _runs(above, finals, row + 0.14, colour, markersize=5, alpha=1, markerfacecolor="white")
            if mark_paper and (paper := experiments.find(name).reported.get(regime)):
                above.errorbar(paper.mean, row - 0.36, xerr=paper.std, fmt="D", color=PAPER, markersize=4, capsize=2.5)
            _runs(below, peaks - finals, row + 0.18, colour)
            if len(records) > 1:
                _interval(below, statistics.optimism(records), row - 0.1, colour, MARKERS[regime])
        above.set(title=experiments.find(name).title, xlabel="test accuracy (%)")
        above.grid(axis="x")
        _rows(below, [LABELS[r] for r in drawn])
        below.set_xlabel("peak − final (points)")
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "color": MUTED}
    handles = [entry("peak", **dot), entry("final", markerfacecolor="white", **dot)]
    if mark_paper:
        handles.append(entry("paper's peak, mean ± std", marker="D", markersize=4, color=PAPER))
    return key(figure, handles)


def forest(cells: Sequence[Cell]) -> Figure:
    """Ours minus the paper's for every cell with two runs or more, with 95 % intervals and the margin shaded."""
    judged = [cell for cell in cells if cell.difference is not None]
    rows = [list(own) for _, own in groupby(judged, key=lambda cell: cell.experiment)]
    given: dict[str, Any] = {"xlabel": "ours − paper (points of test accuracy)", "sharex": True}
    figure, axes = panel_grid(max(1, len(rows)), 1, height=1.5, extra=0.9, **given)
    if not rows:
        axes[0].set_axis_off()
        axes[0].text(0.5, 0.5, "no cell has two runs yet", ha="center", va="center", color=MUTED)
    for ax, own in zip(axes, rows, strict=False):
        title = f"{experiments.find(own[0].experiment).title}: {statistics.budget_text(own[0].records)}"
        ax.set_title(title, loc="left")
        margin = statistics.MARGINS[experiments.find(own[0].experiment).dataset]
        ax.axvspan(-margin, margin, facecolor="#e9eef3", edgecolor="#7f92a6", linewidth=0.8)
        for place, cell in enumerate(own):
            assert cell.difference is not None  # two records or more have one
            _interval(ax, cell.difference, place, *_VERDICTS[cell.verdict])
        _rows(ax, [LABELS[cell.regime] for cell in own])
    if rows:
        looks = _VERDICTS.items()
        key(figure, [entry(word, linestyle="", marker=marker, color=colour) for word, (colour, marker) in looks])
    return figure


def gaps(rows: Mapping[str, Mapping[Contrast, tuple[Difference | None, Difference | None]]]) -> Figure:
    """Differences between regimes with 90 % intervals, the paper's and ours; shaded is where they must lie wholly."""
    if not rows or not all(rows.values()):
        raise ValueError("one experiment or more is needed, each with one contrast or more.")
    given: dict[str, Any] = {"xlabel": "difference (points)", "sharex": True, "sharey": True}
    figure, panels = panel_grid(len(rows), height=0.7 + 0.42 * max(map(len, rows.values())), extra=0.9, **given)
    found = [one for row in rows.values() for pair in row.values() for one in pair if one]
    ends = [0.0, *(end for one in found for end in one.estimate.interval)]
    pad = 0.06 * (max(ends) - min(ends)) + 0.5
    low, high = min(ends) - pad, max(ends) + pad
    for ax, (title, row) in zip(panels, rows.items(), strict=True):
        for place, (contrast, (papers, ours)) in enumerate(row.items()):
            start = low if contrast.relation == "at most" else -contrast.tolerance
            stop = high if contrast.relation == "at least" else contrast.tolerance
            ax.barh(place, stop - start, left=start, height=0.8, zorder=0, **_ACCEPTED)
            shift, look = 0.16 if papers and ours else 0.0, (COLOURS[contrast.first], MARKERS[contrast.first])
            if papers:
                _interval(ax, papers.estimate, place - shift, PAPER, "D")
            if ours:
                _interval(ax, ours.estimate, place + shift, *look)
        _rows(ax, [""] * len(row), title)
        ax.set_xlim(low, high)
        ax.tick_params(axis="y", length=0)
    first = next(iter(rows.values()))
    panels[0].set_yticks(range(len(first)), map(name_of, first))
    handles = [entry("the paper's table", color=PAPER, marker="D", markersize=5)]
    if any(ours for row in rows.values() for _, ours in row.values()):
        handles.append(entry("our records", color=INK, marker="o", markersize=5))
    return key(figure, [*handles, Patch(**_ACCEPTED, label="acceptance region")])


def name_of(contrast: Contrast) -> str:
    """The difference in symbols, e.g. "ReLU − FLNPF"; several others are those of one family."""
    others = LABELS[contrast.others[0]] if len(contrast.others) == 1 else "better FRNPF"
    return f"{LABELS[contrast.first]} − {others}"


def changes(rows: Mapping[str, Sequence[Change]], xlabel: str, sharex: bool = True) -> Figure:
    """Panels of rows, each by its title; zero is no change."""
    counts = [len(found) for found in rows.values()]
    size = WIDTH, 1.0 + 0.42 * sum(counts) + 0.35 * len(rows)
    figure, axes = plt.subplots(len(rows), 1, figsize=size, squeeze=False, sharex=sharex, height_ratios=counts)
    for ax, (title, found) in zip(axes[:, 0], rows.items(), strict=True):
        for place, (_, values, estimate, colour) in enumerate(found):
            _runs(ax, values, place + 0.17, colour, markersize=4)
            _interval(ax, estimate, place - 0.12, colour, "s")
        _rows(ax, [row[0] for row in found], title)
    axes[-1, 0].set_xlabel(xlabel)
    return figure


def _rows(ax: Axes, labels: Sequence[str], title: str = "") -> None:
    """Rows from the top, with these labels, and a line at zero."""
    if title:
        ax.set_title(title, loc="left")
    ax.axvline(0, color=INACTIVE, linewidth=0.9, zorder=0.5)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.45, -0.65)
    ax.grid(axis="x")


def _runs(ax: Axes, values: Sequence[float] | np.ndarray, place: float, colour: str, **look: float | str) -> None:
    """A dot a run."""
    ax.plot(values, np.full(len(values), place), "o", color=colour, **{"markersize": 3.5, "alpha": 0.6} | look)


def _interval(ax: Axes, estimate: Estimate, place: float, colour: str, marker: str) -> None:
    ax.plot(estimate.interval, [place, place], color=colour, linewidth=1.8)
    ax.plot(estimate.value, place, marker, color=colour, markersize=5.5)
