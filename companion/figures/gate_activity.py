"""Figures about gates and paths: the sum over paths, how many are active, what training does, what two inputs share."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from companion.figures.drawing import band, errors, key, logarithmic, panel_grid, ticks
from companion.figures.style import ACTIVE, GATE, INACTIVE, INK, PAPER, SMALL, WIDTH, shades

BEFORE, AFTER = INACTIVE, ACTIVE


def rounding_errors(paths: ArrayLike, errors: ArrayLike, bounds: ArrayLike, controls: ArrayLike) -> Figure:
    """⟨φ, v⟩ - ŷ of random networks over Σ |φ(p) v(p)|, its bound, and controls, of which one gate was flipped."""
    paths, errors, bounds, controls = (np.asarray(a, dtype=float) for a in (paths, errors, bounds, controls))
    foot, moved, zero = 1e-18, controls > 0, errors == 0
    flipped, measured = {"linewidths": 0.8, "label": "control: one gate flipped"}, {"alpha": 0.7, "label": "measured"}
    exact = {"facecolors": "none", "edgecolors": ACTIVE, "linewidths": 0.8, "label": "exactly 0"}
    fig, ax = plt.subplots(figsize=(WIDTH, 3.9))
    ax.scatter(paths[moved], controls[moved], s=12, marker="x", color=GATE, **flipped)
    ax.scatter(paths, bounds, s=5, marker="_", color=PAPER, label="worst case of rounding")
    ax.scatter(paths[~zero], errors[~zero], s=10, color=ACTIVE, linewidths=0, **measured)
    ax.scatter(paths[zero], np.full(zero.sum(), foot), s=12, **exact)
    ax.axhline(2.0**-53, color=ACTIVE, linewidth=0.8, linestyle=":", label="half a unit in the last place")
    ax.set(xscale="log", yscale="log", ylim=(foot / 2, 8), xlabel="paths $P$ of the network")
    ax.set_ylabel(r"error / $\sum_p|\phi(p)\,v(p)|$")
    return key(fig)


def active_shares(shares: Mapping[int, np.ndarray]) -> Figure:
    """Share of active paths in random networks: its mean by depth, and its spread by width, with what theory predicts.

    The share Λ(x, x) / w^(d-1), ``shares``: width → [networks, depths 2, 3, …], is a product of d - 1 independent
    Binomial(w, 1/2) / w: its mean is 2^-(d-1), its relative standard deviation sqrt((1 + 1/w)^(d-1) - 1).
    """
    widths = sorted(shares)
    depths = 2 + np.arange(shares[widths[0]].shape[1])
    fig, (left, right) = panel_grid(2, height=3.7)
    left.plot(depths, 2.0 ** -(depths - 1), color=PAPER, linewidth=1, label=r"$2^{-(d-1)}$", zorder=3)
    for k, (width, colour) in enumerate(zip(widths, shades(len(widths)), strict=True)):
        share, place = shares[width], depths + (k - (len(widths) - 1) / 2) * 0.5 / len(widths)
        low, high = np.percentile(share, [10, 90], axis=0)
        low = np.maximum(low, 2.0 ** -(depths[-1] + 4))
        left.vlines(place, low, high, color=colour, linewidth=1.6, alpha=0.75)
        left.plot(place, share.mean(0), "o", color=colour, markersize=3.6, label=f"$w={width}$")
    left.set(yscale="log", ylim=(2.0 ** -(depths[-1] + 2), 1.2), xticks=depths, title="mean and 10–90 % range")
    powers = range(0, -depths[-1] - 2, -max(1, depths[-1] // 6))
    left.set_yticks([2.0**power for power in powers], [f"$2^{{{power}}}$" for power in powers])
    left.yaxis.set_minor_locator(plt.NullLocator())
    left.set(xlabel="depth $d$ (weight layers)", ylabel="share of paths that are active")
    fine = np.geomspace(widths[0], widths[-1], 50)
    for index, marker, colour in zip(sorted({0, len(depths) // 2, len(depths) - 1}), "os^", shades(3), strict=False):
        right.plot(fine, np.sqrt((1 + 1 / fine) ** (depths[index] - 1) - 1), color=colour, linewidth=1)
        spread, noise = np.transpose([_relative_deviation(shares[width][:, index]) for width in widths])
        errors(right, widths, spread, noise, color=colour, marker=marker, label=f"$d={depths[index]}$")
    right.set(yscale="log", ylabel="relative standard deviation", title="measured, and exact")
    logarithmic(right, widths, "width $w$")
    ticks(right.yaxis)
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
    heights = [0.62, *[1] * len(gates)]
    fig, grid = plt.subplots(len(heights), 3, figsize=(WIDTH, 1.3 + 1.8 * len(gates)), height_ratios=heights)
    for ax in grid[0]:
        ax.axis("off")
    for ax, picture, title in zip(grid[0, ::2], pictures, titles, strict=True):
        ax.imshow(picture, cmap="gray_r", vmin=0)
        ax.set_title(title)
    grid[0, 1].text(0.5, 0.35, "on for both", ha="center", va="center", transform=grid[0, 1].transAxes)
    for row, (name, (first, second)) in zip(grid[1:], gates.items(), strict=True):
        left, right = (np.stack([np.asarray(layer) for layer in side]) for side in (first, second))
        both = (left, ACTIVE), (left * right, INK), (right, ACTIVE)
        for ax, (pattern, colour) in zip(row, both, strict=True):
            layers = range(1, len(pattern) + 1)
            for layer, state in zip(layers, pattern, strict=True):
                ax.vlines(np.flatnonzero(state > 0), layer - 0.41, layer + 0.41, color=colour, linewidth=0.75)
            ax.set(xlim=(-1, pattern.shape[1]), ylim=(len(layers) + 0.5, 0.5), yticks=layers, yticklabels=[], xticks=[])
            ax.tick_params(labelsize=SMALL, length=2)
            share = np.prod(pattern.mean(1))
            ax.set_xlabel(f"{100 * pattern.mean():.0f} % of units\n{100 * share:.2g} % of paths", fontsize=SMALL)
            ax.spines[:].set(visible=True, color=INACTIVE)
        row[0].set_yticklabels(layers)
        row[0].set_ylabel(f"{name}\nhidden layer", fontsize=SMALL)
    return fig


def activity(
    units: Mapping[str, np.ndarray], paths: Mapping[str, np.ndarray], differ: Mapping[str, np.ndarray]
) -> Figure:
    """Shares of units [seeds, layers] and paths [seeds, examples] on, and of units that differ, before and after."""
    fig, axes = plt.subplot_mosaic([["on", "differ"], ["paths", "paths"]], figsize=(WIDTH, 5.0))
    hidden, below = units["before"].shape[1], axes["paths"]
    logs = {name: [np.log2(run[run > 0]) for run in runs] for name, runs in paths.items()}
    everything = np.concatenate([run for runs in logs.values() for run in runs])
    edges = np.linspace(everything.min(), everything.max(), 36)
    for name, colour in (("before", BEFORE), ("after", AFTER)):
        for part, values in (("on", units), ("differ", differ)):
            look: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 4, "label": f"{name} training"}
            band(axes[part], 1 + np.arange(hidden), 100 * values[name], shade=0.25, **look)
        density = np.stack([np.histogram(run, edges)[0] / len(run) for run in logs[name]]) * 100
        band(below, (edges[:-1] + edges[1:]) / 2, density, shade=0.25, color=colour)
    for part, label in (("on", "units that are on [%]"), ("differ", "units that differ [%]")):
        axes[part].axhline(50, color=PAPER, linewidth=0.8, linestyle=":")
        axes[part].set(xlabel="hidden layer", ylabel=label, xticks=range(1, hidden + 1), ylim=(0, None))
    below.axvline(-hidden, color=PAPER, linewidth=0.8, linestyle=":")
    below.xaxis.set_major_locator(plt.MultipleLocator(1 if np.ptp(everything) < 5 else 2))
    below.xaxis.set_major_formatter(plt.FuncFormatter(lambda v, _: f"$2^{{{int(v)}}}$"))
    below.set(xlabel="share of active paths", ylabel="digits [% a bin]", ylim=(0, None))
    return key(fig)
