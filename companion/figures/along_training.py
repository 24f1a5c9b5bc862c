"""Figures of what was measured along training: one rule for every line.

A run is a thin line, the mean over runs a thick one, and the range from the least run to the greatest a band: the
spread is always drawn. Solid is the run in question, dashed a control of it. Nothing is smoothed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from companion.figures.style import GRID, INACTIVE, NORMAL, PAPER, SMALL, WIDTH, key
from companion.statistics import Estimate
from npflib.records.run_records import Record

CONTROL = (0, (5, 2))


@dataclass(frozen=True)
class Runs:
    """One quantity along several runs.

    Attributes:
        label: what it is, in the legend.
        colour: of its lines and band.
        epochs: [points].
        values: [runs, points].
        control: whether it is drawn dashed.
    """

    label: str
    colour: str
    epochs: np.ndarray
    values: np.ndarray
    control: bool = False

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.epochs) or not self.values.size:
            raise ValueError(
                f"{self.label}: values must be [runs, {len(self.epochs)}] to match the epochs; got {self.values.shape}."
            )


def series(records: Sequence[Record], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [points] and values [runs, points] of a series of records, as far as every run went.

    Raises:
        ValueError: no records, one without that series, or records measured at different epochs.
    """
    if not records:
        raise ValueError(f"there are no records to read {name!r} from.")
    for record in records:
        if name not in record.series:
            known = ", ".join(record.series) or "none"
            raise ValueError(
                f"{record.experiment}, {record.regime}, seed {record.seed} has no series {name!r}; it has: {known}."
            )
    points = min(len(record.series["epoch"]) for record in records)
    epochs = np.array([record.series["epoch"][:points] for record in records], dtype=float)
    if (epochs != epochs[0]).any():
        raise ValueError(f"{name!r} was measured at different epochs in different runs; draw them apart.")
    return epochs[0], np.array([record.series[name][:points] for record in records], dtype=float)


def history(records: Sequence[Record], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [points] from 1 and values [runs, points] of a record's history, as far as every run went."""
    if not records:
        raise ValueError(f"there are no records to read {name!r} from.")
    points = min(record.epochs for record in records)
    return np.arange(1.0, points + 1), np.array([record.history[name][:points] for record in records], dtype=float)


def draw(ax: Axes, runs: Runs) -> None:
    """One quantity by the rule: thin runs, thick mean, band from least to greatest."""
    dashes = CONTROL if runs.control else "-"
    ax.fill_between(
        runs.epochs, runs.values.min(0), runs.values.max(0), color=runs.colour, alpha=0.16, linewidth=0, zorder=1
    )
    for values in runs.values:
        ax.plot(runs.epochs, values, color=runs.colour, linewidth=0.6, alpha=0.7, zorder=2)
    ax.plot(
        runs.epochs, runs.values.mean(0), color=runs.colour, linewidth=2.2, linestyle=dashes, label=runs.label, zorder=3
    )


def panels(
    quantities: Mapping[str, Sequence[Runs]],
    *,
    logarithmic: Collection[str] = (),
    lines: Mapping[str, Mapping[str, float]] | None = None,
    columns: int = 2,
    height: float = 3.0,
    xlabel: str = "epochs of training",
) -> Figure:
    """One panel a quantity, by epochs of training (or what ``xlabel`` says), under one legend.

    Args:
        quantities: what the vertical axis says → what is drawn on it.
        logarithmic: which of them have a logarithmic axis.
        lines: which of them → text → height of a horizontal line to compare with.
        columns: panels side by side.
        height: inches a row of panels.
        xlabel: what the horizontal axis, which the panels share, says.

    Raises:
        ValueError: nothing to draw, or a name among ``logarithmic`` or ``lines`` that is not a panel's.
    """
    lines = lines or {}
    if not quantities:
        raise ValueError("there is nothing to draw: quantities is empty.")
    if unknown := (set(logarithmic) | set(lines)) - set(quantities):
        raise ValueError(f"no panel is called {sorted(unknown)}; there are: {', '.join(quantities)}.")
    columns = min(columns, len(quantities))
    rows = -(-len(quantities) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 0.5 + height * rows), squeeze=False, sharex=True)
    handles: dict[str, Line2D] = {}
    for ax, (title, drawn) in zip(axes.flat, quantities.items(), strict=False):
        if title in logarithmic:
            ax.set_yscale("log")
        for runs in drawn:
            draw(ax, runs)
            handles.setdefault(runs.label, _handle(runs))
        for text, level in lines.get(title, {}).items():
            ax.axhline(level, color=PAPER, linewidth=1.0, linestyle=":", zorder=0)
            ax.annotate(
                text, (1, level), (-2, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="right", va="bottom", fontsize=SMALL, color=PAPER,
            )  # fmt: skip
        low, high = ax.get_ylim()
        if title in logarithmic and high < 300 * low:  # too few powers of ten to read a value from
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}" if low < 1 else "{x:,.0f}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_ylabel(title)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for ax in list(axes.flat)[len(quantities) :]:
        ax.set_axis_off()
    for ax in axes[-1]:
        ax.set_xlabel(xlabel)
    key(figure, list(handles.values()))
    return figure


def changes(rows: Mapping[str, Sequence[tuple[str, Sequence[float], Estimate, str]]], xlabel: str) -> Figure:
    """Changes over training: a dot a run, a square and a bar for their mean and its interval; zero is no change.

    Args:
        rows: heading of a panel → its rows: (label, one number a run, their mean with its interval, colour).
        xlabel: what the horizontal axis, which the panels share, says.
    """
    counts = [len(found) for found in rows.values()]
    figure, axes = plt.subplots(
        len(rows), 1, figsize=(WIDTH, 1.0 + 0.42 * sum(counts) + 0.35 * len(rows)), squeeze=False, sharex=True,
        height_ratios=counts,
    )  # fmt: skip
    for ax, (title, found) in zip(axes[:, 0], rows.items(), strict=True):
        ax.axvline(0, color=INACTIVE, linewidth=0.9)
        for place, (_, values, estimate, colour) in enumerate(found):
            ax.plot(values, np.full(len(values), place + 0.17), "o", color=colour, markersize=4, alpha=0.6)
            ax.plot([estimate.low, estimate.high], [place - 0.12] * 2, color=colour, linewidth=2)
            ax.plot(estimate.value, place - 0.12, "s", color=colour, markersize=5.5)
        ax.set_yticks(range(len(found)), [row[0] for row in found])
        ax.set_ylim(len(found) - 0.5, -0.55)
        ax.set_title(title, loc="left", fontsize=NORMAL)
        ax.grid(axis="x", color=GRID)
        ax.set_axisbelow(True)
    axes[-1, 0].set_xlabel(xlabel)
    return figure


def _handle(runs: Runs) -> Line2D:
    return Line2D(
        [], [], color=runs.colour, linewidth=2.2, linestyle=CONTROL if runs.control else "-", label=runs.label
    )
