"""Figures of trained runs: curves along training and who is ahead when, what was measured on the way, gates by stage;
and by rows, one a regime, a contrast or a change: accuracies, where a dot is a run, and their differences.

A line is the mean over runs and a band the range from the least to the greatest: the spread is always drawn. Solid is
the run in question, dashed a control of it. Nothing is smoothed. Accuracies are in per cent, differences in points;
whatever is drawn of trained runs is read from their records.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from companion import statistics
from companion.figures import band, entry, errors, key, panel_grid, ticks
from companion.figures.style import ACTIVE, COLOURS, INACTIVE, INK, LABELS, MARKERS, MUTED, PAPER, SMALL, WIDTH, shades
from companion.statistics import Cell, Contrast, Difference, Estimate
from npflib import experiments
from npflib.experiments import Experiment
from npflib.records.run_records import Record

# Top to bottom as the paper argues: random gates, then learnt ones.
ORDER = ("FRNPF-II", "FRNPF-DI", "DLNPF", "FLNPF", "ReLU")
CONTROL = (0, (3, 1.5))
_DASHES = {"FRNPF-DI": (0, (4, 2.5))}  # the two FRNPF lie on one another: dashes let both be seen
_TICKS = (10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 93, 95, 96, 97, 98, 98.5, 99, 99.5)
_LINES = {"ReLU": (COLOURS["ReLU"], (0, (5, 2))), "CNTK": ("#7B4EA3", (0, (1, 1.5)))}

Lines = Mapping[str, Mapping[str, float]]
Found = Mapping[str, Sequence[Record]]  # regime → records
ByRegime = Mapping[str, Found]  # experiment → regime → records
Change = tuple[str, Sequence[float], Estimate, str]  # label, one change a run, their mean with its interval, colour
_VERDICTS = {"equivalent": ("#0a6b3d", "o"), "different": ("#a3261b", "X"), "undecided": (MUTED, "s")}
_ACCEPTED = {"facecolor": "#dcefe6", "edgecolor": "#5f8b78", "linewidth": 0.8}


def in_order(names: Iterable[str]) -> list[str]:
    """Regimes as they are drawn: the paper's five first, others after them in the order given."""
    return sorted(dict.fromkeys(names), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def learning_curves(runs: ByRegime, mark_paper: bool = False) -> Figure:
    """Test accuracy by epoch, a panel an experiment; logarithmic in the error, so that good curves stay apart."""
    label = "test accuracy (%), log of the error"
    figure, panels = panel_grid(len(runs), height=3.0, extra=1.0, ylabel=label, sharey=True)
    for ax, (name, regimes) in zip(panels, runs.items(), strict=True):
        for regime in in_order(r for r in regimes if regimes[r]):
            _by_epoch(ax, test_curves(regimes[regime]), regime)
        last = max(1, round(ax.dataLim.x1)) if ax.lines else 1
        if mark_paper:
            for place, (regime, paper) in enumerate(experiments.find(name).reported.items()):
                look = {"fmt": MARKERS[regime], "color": COLOURS[regime], "markeredgecolor": PAPER, "markersize": 5}
                ax.errorbar(last * (1.04 + 0.03 * place), paper.mean, paper.std, capsize=2, clip_on=False, **look)
        ax.set(title=experiments.find(name).title, xlabel="epoch")
        ax.set_xticks([tick for tick in MaxNLocator(6, integer=True).tick_values(0, last) if 0 <= tick <= last])
    least, most = min(ax.dataLim.y0 for ax in panels), max(ax.dataLim.y1 for ax in panels)
    if np.isfinite([least, most]).all():
        low, high = 100 - 1.1 * (100 - least), 100 - 0.88 * max(100 - most, 1e-2)
        logarithm = (lambda a: -np.log10(np.maximum(100 - a, 1e-3)), lambda t: 100 - 10**-t)
        for ax in panels:
            ax.set_yscale("function", functions=logarithm)
            ax.set_ylim(low, high)
            ticks(ax.yaxis, [tick for tick in _TICKS if low <= tick <= high])
            ax.grid(axis="y")
    shown = [regime for regimes in runs.values() for regime in regimes]
    looks = {r: {"color": COLOURS[r], "linewidth": 2.2, "linestyle": _DASHES.get(r, "-")} for r in [*ORDER, *shown]}
    handles = [entry(LABELS[r], **looks[r]) for r in in_order(looks)]
    if mark_paper:
        handles.append(entry("paper's peak", linestyle="", marker="o", color="white", markeredgecolor=PAPER))
    return key(figure, handles)


def curves_and_leads(regimes: Found, reference: str = "FLNPF") -> Figure:
    """Left, test accuracy by epoch of one experiment; right, each regime's minus the reference's, by seed."""
    if not regimes.get(reference):
        raise ValueError(f"there are no records of {reference} to compare with.")
    figure, (left, right) = panel_grid(2, height=3.9)
    for regime in in_order(r for r in regimes if regimes[r]):
        _by_epoch(left, test_curves(regimes[regime]), regime, marker="o", markersize=3)
        if regime != reference:
            _by_epoch(right, leads(regimes[regime], regimes[reference]), regime, marker="o", markersize=3)
    right.axhline(0, color=PAPER, linewidth=1.0)
    for ax, label in ((left, "test accuracy (%)"), (right, f"accuracy − {LABELS[reference]}'s (points)")):
        ax.set(xlabel="epoch", ylabel=label)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.grid(axis="y")
    return key(figure)


def test_curves(records: Sequence[Record]) -> np.ndarray:
    """Test accuracy in per cent, [runs, epochs], as far as every run went."""
    return 100 * history(records, "test_accuracy")[1]


def leads(first: Sequence[Record], second: Sequence[Record]) -> np.ndarray:
    """Test accuracy of the first minus the second's by seed and epoch, in points: [seeds, epochs]."""
    seeds = [[record.seed for record in records] for records in (first, second)]
    if seeds[0] != seeds[1]:
        raise ValueError(f"records must be of the same seeds in the same order; got {seeds[0]} and {seeds[1]}.")
    both = test_curves([*first, *second])
    return both[: len(first)] - both[len(first) :]


def ahead(lead: np.ndarray) -> tuple[int | None, int | None]:
    """The first epoch (from 1) with a positive mean of ``leads``, and the first from which it stays so, or None."""
    positive = np.atleast_2d(lead).mean(0) > 0
    stays = int(np.flatnonzero([True, *~positive])[-1]) + 1
    return int(positive.argmax()) + 1 if positive.any() else None, stays if stays <= positive.size else None


class Runs(NamedTuple):
    """One quantity along several runs, as it is drawn."""

    label: str  # in the legend
    colour: str
    epochs: np.ndarray  # [points]
    values: np.ndarray  # [runs, points]
    control: bool = False  # drawn dashed


def series(records: Sequence[Record], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [points] and values [runs, points] of a series of records, as far as every run went."""
    for record in records:
        if name not in record.series:
            run, known = f"{record.experiment}, {record.regime}, seed {record.seed}", ", ".join(record.series) or "none"
            raise ValueError(f"{run} has no series {name!r}; it has: {known}.")
    epochs, values = (_as_far([record.series[what] for record in records], name) for what in ("epoch", name))
    if (epochs != epochs[0]).any():
        raise ValueError(f"{name!r} was measured at different epochs in different runs; draw them apart.")
    return epochs[0], values


def history(records: Sequence[Record], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [points] from 1 and values [runs, points] of a record's history, as far as every run went."""
    values = _as_far([record.history[name] for record in records], name)
    return np.arange(1.0, values.shape[1] + 1), values


def _as_far(runs: Sequence[Sequence[float]], name: str) -> np.ndarray:
    if not runs:
        raise ValueError(f"there are no records to read {name!r} from.")
    points = min(map(len, runs))
    return np.array([run[:points] for run in runs], dtype=float)


def draw(ax: Axes, runs: Runs) -> None:
    """One quantity: its runs as thin lines, their mean as a thick one, and their range."""
    ax.plot(runs.epochs, runs.values.T, color=runs.colour, linewidth=0.6, alpha=0.7)
    look: dict[str, Any] = {"color": runs.colour, "label": runs.label, "linestyle": CONTROL if runs.control else "-"}
    band(ax, runs.epochs, runs.values, shade=0.16, linewidth=2.2, zorder=3, **look)


def panels(
    quantities: Mapping[str, Sequence[Runs]], *, logarithmic: Collection[str] = (), lines: Lines = MappingProxyType({}),
    height: float = 3.0, xlabel: str = "epochs of training",
) -> Figure:  # fmt: skip
    """One panel a quantity, by epochs; ``lines``: panel → text → height of a horizontal line to compare with."""
    if not quantities:
        raise ValueError("there is nothing to draw: quantities is empty.")
    if unknown := (set(logarithmic) | set(lines)) - set(quantities):
        raise ValueError(f"no panel is called {sorted(unknown)}; there are: {', '.join(quantities)}.")
    figure, axes = panel_grid(len(quantities), height=height, extra=0.5, xlabel=xlabel, sharex=True)
    for ax, (title, drawn) in zip(axes, quantities.items(), strict=True):
        if title in logarithmic:
            ax.set_yscale("log")
        for runs in drawn:
            draw(ax, runs)
        for text, level in lines.get(title, {}).items():
            ax.axhline(level, color=PAPER, linewidth=1.0, linestyle=":", zorder=0)
            places = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
            ax.annotate(text, (1, level), (-2, 2), va="bottom", fontsize=SMALL, color=PAPER, **places)
        low, high = ax.get_ylim()
        if title in logarithmic and high < 300 * low:  # too few powers of ten to read a value from
            ticks(ax.yaxis, form="{x:,g}" if low < 1 else "{x:,.0f}")
        ax.set_ylabel(title)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return key(figure)


def regimes_of(experiment: Experiment) -> list[str]:
    """The regimes of stage 0 (random gates), 1, 2, …; the last stage's is FLNPF where it has no name of its own."""
    staged = [regime for regime in experiment.regimes if regime.startswith("FLNPF-stage-")]
    return ["FRNPF-II", *staged, *(["FLNPF"] if len(staged) < len(experiment.stages) else [])]


def accuracy_by_stage(panels: Sequence[tuple[Experiment, Found]], measure: str = "peak") -> Figure:
    """Accuracy behind the gates of each stage, the paper's means, others' methods, and the ReLU run's own so far."""
    figure, axes = panel_grid(len(panels), len(panels), height=4.1, ylabel=f"test accuracy (%), {measure}")
    learnt, random = COLOURS["FLNPF"], COLOURS["FRNPF-II"]
    for ax, (experiment, found) in zip(axes, panels, strict=True):
        names, levels = regimes_of(experiment), list[tuple[str, float, str, Any]]()
        for name, value in experiment.lines.items():
            levels.append((f"{name}, reported ({value:.2f})", value, *_LINES.get(name, (PAPER, (0, (3, 2))))))
        if places := [k for k, name in enumerate(names) if name in experiment.reported]:
            means = [experiment.reported[names[k]].mean for k in places]
            ax.plot(places, means, "D-", color=PAPER, markersize=5, linewidth=1.2, label="FLNPF, reported means")
            levels.append((f"FRNPF (II), reported ({means[0]:.2f})", means[0], random, (0, (4, 2))))
        # Stages without records are left out, and stages may have different numbers of seeds.
        values = {k: statistics.accuracies(found[name], measure) for k, name in enumerate(names) if found.get(name)}
        stages = [k for k, some in values.items() for _ in some]
        ours = [value for some in values.values() for value in some]
        if ours:
            look = {"color": learnt, "marker": MARKERS["FLNPF"], "markeredgecolor": learnt, "label": "FLNPF, ours"}
            sns.lineplot(x=stages, y=ours, errorbar=("pi", 100), legend=False, ax=ax, **look)
            ax.scatter(stages, ours, s=16, c=[learnt if k else random for k in stages], alpha=0.7, zorder=2.5)
        if 0 in values:
            levels.append(("FRNPF (II), ours", float(np.mean(values[0])), random, "-."))
        if found.get("ReLU"):
            so_far = best_so_far(found["ReLU"], found["ReLU"][0].configuration["stages"])
            look = {"color": COLOURS["ReLU"], "marker": "o", "markersize": 3.5, "label": "ReLU so far, ours"}
            band(ax, np.arange(1, so_far.shape[1] + 1), so_far, **look)
        for label, value, colour, dashes in levels:
            ax.axhline(value, color=colour, linestyle=dashes, linewidth=1.3, label=label)
        ax.set(title=experiment.title.split(", ", 1)[1].split(":")[0], xticks=range(len(names)))
        ax.set_xlabel("stage of the copied gates\n(0: random)")
        ax.grid(axis="y")
    return key(figure) if any(ax.get_legend_handles_labels()[0] for ax in axes) else figure


def best_so_far(records: Sequence[Record], stages: Sequence[int]) -> np.ndarray:
    """Best test accuracy in per cent up to each stage's epoch: [seeds, stages]."""
    return 100 * np.array([[max(r.history["test_accuracy"][:epoch]) for epoch in stages] for r in records])


def flips(between: np.ndarray, start: np.ndarray, chance: np.ndarray, layers: Sequence[str]) -> Figure:
    """Share of gates that flip [seeds, stages, layers], since the stage before or the start; chance [seeds, layers]."""
    _, stages, count = between.shape
    figure, (left, right) = panel_grid(2, height=4.1, sharey=True)
    steps = np.arange(1, stages + 1)
    for ax, values in ((left, between), (right, start)):
        for layer, colour in enumerate(shades(count)):
            runs, place = 100 * values[:, :, layer], steps + 0.07 * (layer - (count - 1) / 2)
            look = {"color": colour, "marker": "os^DvX"[layer % 6], "markersize": 4.5, "label": layers[layer]}
            errors(ax, place, runs.mean(0), runs.min(0), runs.max(0), linestyle="-", capsize=0, **look)
        ax.set(xlabel="stage", xticks=steps)
        ax.grid(axis="y")
    look = {"facecolor": "#dddddd", "edgecolor": INACTIVE, "linewidth": 0.8, "zorder": 0}
    right.axhspan(100 * chance.min(), 100 * chance.max(), label="unrelated patterns", **look)
    left.set(ylabel="share of gates flipped (%)", title="since the stage before", ylim=(0, None))
    right.set(title="since the untrained network")
    return key(figure)


def agreement(within: np.ndarray, across: np.ndarray, layers: Sequence[str]) -> Figure:
    """Chance-corrected agreement of gates of two inputs of one class and of two, [seeds, 1 + stages, layers] each."""
    given: dict[str, Any] = {"xlabel": "stage", "ylabel": "agreement $κ$", "sharex": True, "sharey": True}
    figure, axes = panel_grid(len(layers), 3, height=2.1, extra=0.7, **given)
    steps = np.arange(within.shape[1])
    for layer, (ax, name) in enumerate(zip(axes, layers, strict=True)):
        look: dict[str, Any] = {"markersize": 3.5}
        band(ax, steps, within[:, :, layer], color=ACTIVE, marker="o", label="two images of one class", **look)
        band(ax, steps, across[:, :, layer], color=INACTIVE, marker="s", label="of different classes", **look)
        ax.grid(axis="y")
        ax.set(title=name, xticks=steps)
    return key(figure)


def _by_epoch(ax: Axes, curves: np.ndarray, regime: str, **line: Any) -> None:
    """Draws a regime's curves [runs, epochs] from epoch 1 on."""
    dashes = _DASHES.get(regime, "-")
    band(ax, np.arange(1, curves.shape[1] + 1), curves, regime, linewidth=1.8, linestyle=dashes, **line)


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
            _dots(above, peaks, row - 0.14, colour, markersize=5, alpha=0.75)
            _dots(above, finals, row + 0.14, colour, markersize=5, alpha=1, markerfacecolor="white")
            if mark_paper and (paper := experiments.find(name).reported.get(regime)):
                above.errorbar(paper.mean, row - 0.36, xerr=paper.std, fmt="D", color=PAPER, markersize=4, capsize=2.5)
            _dots(below, peaks - finals, row + 0.18, colour)
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
            _dots(ax, values, place + 0.17, colour, markersize=4)
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


def _dots(ax: Axes, values: Sequence[float] | np.ndarray, place: float, colour: str, **look: float | str) -> None:
    """A dot a run."""
    ax.plot(values, np.full(len(values), place), "o", color=colour, **{"markersize": 3.5, "alpha": 0.6} | look)


def _interval(ax: Axes, estimate: Estimate, place: float, colour: str, marker: str) -> None:
    ax.plot(estimate.interval, [place, place], color=colour, linewidth=1.8)
    ax.plot(estimate.value, place, marker, color=colour, markersize=5.5)
