"""Figures of gates by stage of training: accuracy behind them, what flips between stages, what inputs share."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion import statistics
from companion.figures.style import COLOURS, GRID, INACTIVE, INK, MARKERS, NORMAL, PAPER, WIDTH, key, shades
from npflib.experiments import Experiment
from npflib.records.run_records import Record

_LINES = {"ReLU": (COLOURS["ReLU"], (0, (5, 2))), "CNTK": ("#7B4EA3", (0, (1, 1.5)))}
_LAYER_MARKERS = "os^DvX"


def regimes_of(experiment: Experiment) -> list[str]:
    """The regimes of stage 0 (random gates), 1, 2, …"""
    return [regime for regime in experiment.regimes if regime != "ReLU"]


def accuracy_by_stage(
    panels: Sequence[tuple[Experiment, Mapping[str, Sequence[Record]]]], measure: str = "peak"
) -> Figure:
    """Accuracy behind the gates of each stage, beside the published means and others' methods as lines.

    A dot is one seed, the line their mean, the band their range. Where there are records of the ReLU run, its own best
    test accuracy so far is drawn by stage: that of the very network whose gates are copied.

    Args:
        panels: experiments with stages, each with regime → records (empty where it was not run).
        measure: "peak" or "final" accuracy of the value networks.

    Raises:
        ValueError: no panels, or an experiment without stages.
    """
    if not panels or not all(experiment.stages for experiment, _ in panels):
        raise ValueError("one experiment or more is needed, each with stages.")
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 4.1), squeeze=False)
    for ax, (experiment, found) in zip(axes[0], panels, strict=True):
        names = regimes_of(experiment)
        for name, value in experiment.lines.items():
            colour, dashes = _LINES.get(name, (PAPER, (0, (3, 2))))
            ax.axhline(value, color=colour, linestyle=dashes, linewidth=1.3, label=f"{name}, published ({value:.2f})")
        places = [k for k, name in enumerate(names) if name in experiment.published]
        if places:
            means = [experiment.published[names[k]].mean for k in places]
            ax.plot(places, means, "D-", color=PAPER, markersize=5, linewidth=1.2, label="FLNPF, published means")
            start = means[0]
            ax.axhline(
                start, color=COLOURS["FRNPF-II"], linestyle=(0, (4, 2)), linewidth=1.3,
                label=f"FRNPF (II), published ({start:.2f})",
            )  # fmt: skip
        _ours(ax, names, found, measure)
        if found.get("ReLU"):
            stages = found["ReLU"][0].configuration["stages"]
            so_far = best_so_far(found["ReLU"], stages)
            steps = np.arange(1, len(stages) + 1)
            ax.plot(
                steps,
                so_far.mean(0),
                "o-",
                color=COLOURS["ReLU"],
                markersize=3.5,
                linewidth=1.4,
                label="ReLU so far, ours",
            )
            ax.fill_between(steps, so_far.min(0), so_far.max(0), color=COLOURS["ReLU"], alpha=0.18, linewidth=0)
        ax.set_title(experiment.title.split(", ", 1)[1].split(":")[0], fontsize=NORMAL)
        ax.set_xticks(range(len(names)))
        ax.set_xlabel("stage of the copied gates\n(0: random)")
        ax.grid(axis="y", color=GRID)
        ax.set_axisbelow(True)
    shown = {name: handle for ax in axes[0] for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    if shown:
        key(figure, list(shown.values()), list(shown))
    axes[0, 0].set_ylabel(f"test accuracy (%), {measure}")
    return figure


def flips(between: np.ndarray, start: np.ndarray, chance: np.ndarray, layers: Sequence[str]) -> Figure:
    """Share of gates that flip, by layer: left from stage to stage, right from the start. Mean, and range over seeds.

    Args:
        between: [seeds, stages, layers]: between stage k-1 and stage k, k = 1, ….
        start: [seeds, stages, layers]: between stage 0, the network before training, and stage k.
        chance: [seeds, layers]: between the last stage and a pattern unrelated to it with stage 0's share on.
        layers: what to call the layers.

    Raises:
        ValueError: shapes that do not match.
    """
    between, start, chance = (np.asarray(a, dtype=float) for a in (between, start, chance))
    seeds, stages, count = between.shape if between.ndim == 3 else (0, 0, 0)
    if not between.size or start.shape != between.shape or chance.shape != (seeds, count) or len(layers) != count:
        raise ValueError(
            f"between and start must be [seeds, stages, {len(layers)}], chance [seeds, {len(layers)}]; got "
            f"{between.shape}, {start.shape} and {chance.shape}."
        )
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.1), sharey=True)
    steps = np.arange(1, stages + 1)
    for layer, colour in enumerate(layer_colours(count)):
        for ax, values in ((left, between), (right, start)):
            runs = 100 * values[:, :, layer]
            marker = _LAYER_MARKERS[layer % len(_LAYER_MARKERS)]
            ax.plot(steps, runs.mean(0), marker + "-", color=colour, markersize=4.5, linewidth=1.6, label=layers[layer])
            ax.fill_between(steps, runs.min(0), runs.max(0), color=colour, alpha=0.1, linewidth=0)
    unrelated = 100 * chance
    right.axhspan(
        unrelated.min(),
        unrelated.max(),
        facecolor="#dddddd",
        edgecolor=INACTIVE,
        linewidth=0.8,
        zorder=0,
        label="unrelated patterns",
    )
    left.set(xlabel="stage", ylabel="share of gates flipped (%)", title="since the stage before")
    right.set(xlabel="stage", title="since the untrained network")
    for ax in (left, right):
        ax.set_xticks(steps)
        ax.set_ylim(bottom=0)
        ax.grid(axis="y", color=GRID)
        ax.set_axisbelow(True)
    handles, names = right.get_legend_handles_labels()
    key(figure, handles, names)
    return figure


def agreement(within: np.ndarray, across: np.ndarray, layers: Sequence[str]) -> Figure:
    """Chance-corrected agreement of gates of two inputs by stage, one panel a layer. Mean, and range over seeds.

    Args:
        within: [seeds, 1 + stages, layers]: pairs of one class; stage 0 is the untrained network.
        across: the same for pairs of different classes.
        layers: what to call the layers.

    Raises:
        ValueError: shapes that do not match.
    """
    within, across = (np.asarray(a, dtype=float) for a in (within, across))
    if within.ndim != 3 or within.shape != across.shape or within.shape[2] != len(layers) or not within.size:
        raise ValueError(
            f"within and across must be [seeds, 1 + stages, {len(layers)}]; got {within.shape} and {across.shape}."
        )
    columns = min(3, len(layers))
    rows = -(-len(layers) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(WIDTH, 0.7 + 2.1 * rows), squeeze=False, sharex=True, sharey=True
    )
    for spare in grid.flat[len(layers) :]:
        spare.remove()
    steps = np.arange(within.shape[1])
    for layer, (ax, name) in enumerate(zip(grid.flat, layers, strict=False)):
        for values, colour, marker, label in (
            (within, INK, "o", "two images of one class"),
            (across, INACTIVE, "s", "of different classes"),
        ):
            runs = values[:, :, layer]
            ax.plot(steps, runs.mean(0), marker + "-", color=colour, markersize=3.5, linewidth=1.6, label=label)
            ax.fill_between(steps, runs.min(0), runs.max(0), color=colour, alpha=0.25, linewidth=0)
        ax.grid(axis="y", color=GRID)
        ax.set_title(name, fontsize=NORMAL)
        ax.set_xticks(steps)
    for ax in grid[:, 0]:
        ax.set_ylabel("agreement $κ$")
    for ax in grid[-1]:
        ax.set_xlabel("stage")
    handles, names = grid[0, 0].get_legend_handles_labels()
    key(figure, handles, names)
    return figure


def best_so_far(records: Sequence[Record], stages: Sequence[int]) -> np.ndarray:
    """Best test accuracy in per cent up to each stage's epoch: [seeds, stages]."""
    return 100 * np.array([[max(r.history["test_accuracy"][:epoch]) for epoch in stages] for r in records])


def layer_colours(count: int) -> list[tuple[float, ...]]:
    """One colour a layer, dark at the input side; none is a regime's."""
    return shades(count)


def _ours(ax: Axes, names: Sequence[str], found: Mapping[str, Sequence[Record]], measure: str) -> None:
    """FLNPF by stage, and the random gates at stage 0, from records; stages without records are left out."""
    values = {k: statistics.accuracies(found[name], measure) for k, name in enumerate(names) if found.get(name)}
    if not values:
        return
    places = sorted(values)
    colour = COLOURS["FLNPF"]
    ax.plot(
        places, [np.mean(values[k]) for k in places], MARKERS["FLNPF"] + "-", color=colour, markersize=5,
        label="FLNPF, ours",
    )  # fmt: skip
    low, high = ([f(values[k]) for k in places] for f in (min, max))
    ax.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
    for k in places:
        own = COLOURS["FRNPF-II"] if k == 0 else colour
        ax.plot([k] * len(values[k]), values[k], "o", color=own, markersize=4, alpha=0.7)
    if 0 in values:
        ax.axhline(
            float(np.mean(values[0])),
            color=COLOURS["FRNPF-II"],
            linewidth=1.3,
            linestyle="-.",
            label="FRNPF (II), ours",
        )
