"""Figures about gates and paths: the sum over paths, how many are active, what training does, what two inputs share."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from companion.figures.drawing import band, entry, errors, key, panel_grid, ticks
from companion.figures.style import ACTIVE, GATE, INACTIVE, INK, PAPER, SMALL, WIDTH, shades

BEFORE, AFTER = INACTIVE, ACTIVE


def rounding_errors(paths: ArrayLike, errors: ArrayLike, bounds: ArrayLike, controls: ArrayLike) -> Figure:
    """⟨φ, v⟩ - ŷ of random networks over Σ |φ(p) v(p)|, its bound, and controls, of which one gate was flipped."""
    paths, errors, bounds, controls = (np.asarray(a, dtype=float) for a in (paths, errors, bounds, controls))
    foot = 1e-18
    fig, ax = plt.subplots(figsize=(WIDTH, 3.9))
    moved = controls > 0
    ax.scatter(paths[moved], controls[moved], s=12, marker="x", linewidths=0.8, color=GATE)
    ax.scatter(paths, bounds, s=5, marker="_", color=PAPER)
    zero = errors == 0
    ax.scatter(paths[~zero], errors[~zero], s=10, color=ACTIVE, alpha=0.7, linewidths=0)
    ax.scatter(paths[zero], np.full(zero.sum(), foot), s=12, facecolors="none", edgecolors=ACTIVE, linewidths=0.8)
    ax.axhline(2.0**-53, color=ACTIVE, linewidth=0.8, linestyle=":")
    ax.set(xscale="log", yscale="log", ylim=(foot / 2, 8))
    ax.set(xlabel="paths $P$ of the network", ylabel=r"error / $\sum_p|\phi(p)\,v(p)|$")
    dot = {"linestyle": "", "marker": "o", "color": ACTIVE, "markersize": 4}
    handles = [
        entry("control: one gate flipped", linestyle="", marker="x", color=GATE),
        entry("worst case of rounding", linestyle="", marker="_", color=PAPER),
        entry("measured", **dot),
        entry("exactly 0", markerfacecolor="none", **dot),
        entry("half a unit in the last place", linestyle=":", color=ACTIVE),
    ]
    return key(fig, handles)


def active_shares(shares: Mapping[int, np.ndarray]) -> Figure:
    """Share of active paths in random networks: its mean by depth, and its spread by width, with what theory predicts.

    The share Λ(x, x) / w^(d-1), ``shares``: width → [networks, depths 2, 3, …], is a product of d - 1 independent
    Binomial(w, 1/2) / w: its mean is 2^-(d-1), its relative standard deviation sqrt((1 + 1/w)^(d-1) - 1).
    """
    depths = 2 + np.arange(next(iter(shares.values())).shape[1])
    widths = np.array(sorted(shares))
    fig, (left, right) = panel_grid(2, height=3.7)
    left.plot(depths, 2.0 ** -(depths - 1), color=PAPER, linewidth=1, label=r"$2^{-(d-1)}$", zorder=3)
    for k, (width, colour) in enumerate(zip(widths, shades(len(widths)), strict=True)):
        share, shift = shares[width], (k - (len(widths) - 1) / 2) * 0.5 / len(widths)
        low, high = np.percentile(share, [10, 90], axis=0)
        floor = 2.0 ** -(depths[-1] + 4)
        left.vlines(depths + shift, np.maximum(low, floor), high, color=colour, linewidth=1.6, alpha=0.75)
        left.plot(depths + shift, share.mean(0), "o", color=colour, markersize=3.6, label=f"$w={width}$")
    left.set(yscale="log", ylim=(2.0 ** -(depths[-1] + 2), 1.2), xticks=depths)
    powers = range(0, -depths[-1] - 2, -max(1, depths[-1] // 6))
    left.set_yticks([2.0**power for power in powers], [f"$2^{{{power}}}$" for power in powers])
    left.yaxis.set_minor_locator(plt.NullLocator())
    left.set(xlabel="depth $d$ (weight layers)", ylabel="share of paths that are active")
    left.set_title("mean and 10–90 % range")
    fine = np.geomspace(widths[0], widths[-1], 50)
    chosen = sorted({0, len(depths) // 2, len(depths) - 1})
    for index, marker, colour in zip(chosen, "os^", shades(3), strict=False):
        right.plot(fine, np.sqrt((1 + 1 / fine) ** (depths[index] - 1) - 1), color=colour, linewidth=1)
        spread, noise = np.transpose([_relative_deviation(shares[width][:, index]) for width in widths])
        errors(right, widths, spread, noise, color=colour, marker=marker, label=f"$d={depths[index]}$")
    right.set(xscale="log", yscale="log", xlabel="width $w$", ylabel="relative standard deviation")
    ticks(right.xaxis, widths)
    ticks(right.yaxis)
    right.set_title("measured, and exact")
    right.legend()
    return key(fig, *left.get_legend_handles_labels())


def _relative_deviation(sample: np.ndarray) -> tuple[float, float]:
    """Standard deviation over mean, and its standard error by the jackknife over twenty groups."""

    groups = min(20, len(sample) // 2)
    parts = np.array_split(np.arange(len(sample)), groups)
    every = [sample, *(np.delete(sample, part) for part in parts)]
    whole, *left_out = (values.std(ddof=1) / values.mean() for values in every)
    return float(whole), float(np.sqrt((groups - 1) * np.var(left_out)))


def gate_strips(
    pictures: Sequence[np.ndarray], titles: Sequence[str], gates: Mapping[str, Sequence[Sequence[np.ndarray]]]
) -> Figure:
    """Two inputs and their gates, row → d - 1 vectors each: a strip a layer, a bar a unit, and the units they share."""
    rows = len(gates)
    fig = plt.figure(figsize=(WIDTH, 1.3 + 1.8 * rows))
    grid = fig.add_gridspec(rows + 1, 3, height_ratios=[0.62, *[1] * rows])
    for column, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        ax = fig.add_subplot(grid[0, 2 * column])
        ax.imshow(picture, cmap="gray_r", vmin=0)
        ax.set_title(title)
        ax.axis("off")
    middle = fig.add_subplot(grid[0, 1])
    middle.text(0.5, 0.35, "on for both", ha="center", va="center", transform=middle.transAxes)
    middle.axis("off")
    for row, (name, (first, second)) in enumerate(gates.items(), start=1):
        left, right = (np.stack([np.asarray(layer) for layer in side]) for side in (first, second))
        for column, (pattern, colour) in enumerate(((left, ACTIVE), (left * right, INK), (right, ACTIVE))):
            ax = fig.add_subplot(grid[row, column])
            layers = len(pattern)
            for layer, state in enumerate(pattern):
                ax.vlines(np.flatnonzero(state > 0), layer + 0.59, layer + 1.41, color=colour, linewidth=0.75)
            ax.set(xlim=(-1, pattern.shape[1]), ylim=(layers + 0.5, 0.5), yticks=range(1, layers + 1))
            ax.tick_params(labelsize=SMALL, length=2)
            share = np.prod(pattern.mean(1))
            ax.set_xlabel(f"{100 * pattern.mean():.0f} % of units\n{100 * share:.2g} % of paths", fontsize=SMALL)
            ax.set_xticks([])
            ax.spines[:].set(visible=True, color=INACTIVE)
            if column == 0:
                ax.set_ylabel(f"{name}\nhidden layer", fontsize=SMALL)
            else:
                ax.set_yticklabels([])
    return fig


def activity(
    units: Mapping[str, np.ndarray], paths: Mapping[str, np.ndarray], differ: Mapping[str, np.ndarray]
) -> Figure:
    """Shares of units [seeds, layers] and paths [seeds, examples] on, and of units that differ, before and after."""
    fig = plt.figure(figsize=(WIDTH, 5.0))
    grid = fig.add_gridspec(2, 2)
    left, middle, right = (fig.add_subplot(place) for place in (grid[0, 0], grid[1, :], grid[0, 1]))
    colours = {"before": BEFORE, "after": AFTER}
    for name, colour in colours.items():
        layers = 1 + np.arange(units[name].shape[1])
        for ax, values in ((left, 100 * units[name]), (right, 100 * differ[name])):
            label = f"{name} training"
            band(ax, layers, values, shade=0.25, color=colour, marker="o", markersize=4, label=label)
    for ax, label in ((left, "units that are on [%]"), (right, "units that differ [%]")):
        ax.axhline(50, color=PAPER, linewidth=0.8, linestyle=":")
        ax.set(xlabel="hidden layer", ylabel=label, xticks=layers, ylim=(0, None))
    logs = {name: [np.log2(run[run > 0]) for run in runs] for name, runs in paths.items()}
    everything = np.concatenate([run for runs in logs.values() for run in runs])
    edges = np.linspace(everything.min(), everything.max(), 36)
    centres = (edges[:-1] + edges[1:]) / 2
    for name, colour in colours.items():
        density = np.stack([np.histogram(run, edges)[0] / len(run) for run in logs[name]]) * 100
        band(middle, centres, density, shade=0.25, color=colour)
    hidden = units["before"].shape[1]
    middle.axvline(-hidden, color=PAPER, linewidth=0.8, linestyle=":")
    middle.xaxis.set_major_locator(plt.MultipleLocator(1 if np.ptp(everything) < 5 else 2))
    middle.xaxis.set_major_formatter(plt.FuncFormatter(lambda v, _: f"$2^{{{int(v)}}}$"))
    middle.set(xlabel="share of active paths", ylabel="digits [% a bin]", ylim=(0, None))
    return key(fig)
