"""Figures about gates and paths: active sub-networks, how many paths are active, and what training does to activity."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from companion.figures.style import ACTIVE, GATE, INACTIVE, INK, MUTED, PAPER, SMALL, WIDTH, key, shades

BEFORE, AFTER = INACTIVE, ACTIVE
NEGATIVE = GATE


def subnetwork(
    ax: Axes,
    weights: Sequence[np.ndarray],
    gates: Sequence[np.ndarray],
    *,
    inside: Sequence[Sequence[str]] | None = None,
    show_weights: bool = False,
    title: str = "",
) -> Axes:
    """Draws a small network with one input's active sub-network in colour, and all that its gates switch off in grey.

    A connection belongs to the sub-network when the units at both its ends are on; input and output nodes always are.
    Its line is as wide as its weight is large; a negative one is dashed.

    Args:
        ax: where to draw.
        weights: d matrices [out, in], input side first.
        gates: d - 1 vectors [w_l] of hard gates.
        inside: text for every node, layer by layer, input and output layer included; None writes nothing.
        show_weights: whether to write each weight on its line; readable up to some twenty connections.
        title: the panel's title.

    Raises:
        ValueError: weights and gates that do not belong together.
    """
    weights = [np.asarray(weight, dtype=float) for weight in weights]
    on = [np.ones(weights[0].shape[1]), *(np.asarray(g, dtype=float) for g in gates), np.ones(len(weights[-1]))]
    sizes = [len(layer) for layer in on]
    if sizes != [weights[0].shape[1], *map(len, weights)]:
        raise ValueError(f"gates for layers of {sizes[1:-1]} units do not fit weights {[w.shape for w in weights]}.")
    tallest = max(sizes)
    heights = [(np.arange(n)[::-1] - (n - 1) / 2) * (tallest - 1) / max(tallest - 1, n - 1, 1) for n in sizes]
    heights = [h * (1.0 if len(h) == tallest else min(1.35, (tallest - 1) / max(len(h) - 1, 1))) for h in heights]
    largest = max(float(np.abs(weight).max()) for weight in weights)
    gap, written = 1.9 if show_weights else 1.0, []  # type: ignore[var-annotated]  # of texts
    for layer, weight in enumerate(weights):
        for (i, j), theta in np.ndenumerate(weight):
            active = on[layer][j] > 0 and on[layer + 1][i] > 0
            colour = (NEGATIVE if theta < 0 else ACTIVE) if active else INACTIVE
            ends = np.array([[layer * gap, heights[layer][j]], [(layer + 1) * gap, heights[layer + 1][i]]])
            ax.plot(
                *ends.T,
                color=colour,
                linewidth=0.4 + 3.0 * abs(theta) / largest if active else 0.4 + 1.2 * abs(theta) / largest,
                linestyle=(0, (3, 1.5)) if theta < 0 else "-",
                alpha=0.9 if active else 0.6,
                zorder=2 if active else 1,
                solid_capstyle="round",
            )
            if show_weights:
                ax.text(
                    *_free_place(layer, gap, j, i, heights, written),
                    f"{theta:g}".replace("-", "−"),
                    fontsize=SMALL,
                    ha="center",
                    va="center",
                    color=colour if active else MUTED,
                    zorder=3,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
                )
    radius = 620 if inside else 110
    for layer, (height, state) in enumerate(zip(heights, on, strict=True)):
        hidden = 0 < layer < len(weights)
        face = [("#D6E8F5" if inside else ACTIVE) if s > 0 and hidden else "white" for s in state]
        edge = [(ACTIVE if hidden else PAPER) if s > 0 else INACTIVE for s in state]
        ax.scatter([layer * gap] * len(height), height, s=radius, c=face, edgecolors=edge, linewidths=1.6, zorder=4)
        for y, text, s in zip(height, inside[layer] if inside else [], state, strict=False):
            colour = INK if s > 0 else MUTED
            ax.text(layer * gap, y, text, ha="center", va="center", fontsize=SMALL, color=colour, zorder=5)
    low, high = min(map(min, heights)), max(map(max, heights))
    margin = 0.4 if inside else 0.3
    ax.set(xlim=(-0.35, len(weights) * gap + 0.35), ylim=(low - margin, high + margin), title=title)
    ax.axis("off")
    return ax


def _free_place(
    layer: int, gap: float, j: int, i: int, heights: Sequence[np.ndarray], written: list[np.ndarray]
) -> np.ndarray:
    """Where on the line from unit j to unit i its weight is farthest from other lines and weights; notes it down."""
    start, end = np.array([layer * gap, heights[layer][j]]), np.array([(layer + 1) * gap, heights[layer + 1][i]])
    best, room = start, -1.0
    for along in np.linspace(0.24, 0.68, 12):
        place = start + along * (end - start)
        to_lines = [
            abs(a + along * (b - a) - place[1])
            for m, a in enumerate(heights[layer])
            for k, b in enumerate(heights[layer + 1])
            if (m, k) != (j, i)
        ]
        distance = min([*to_lines, *(float(np.hypot(*(place - other))) for other in written)], default=1.0)
        if distance > room:
            best, room = place, distance
    written.append(best)
    return best


def subnetwork_key(figure: Figure) -> None:
    """Adds the key to ``subnetwork``'s lines above the panels of a figure."""
    lines = [
        Line2D([], [], color=ACTIVE, linewidth=2, label="active, weight > 0"),
        Line2D([], [], color=NEGATIVE, linewidth=2, linestyle=(0, (3, 1.5)), label="active, weight < 0"),
        Line2D([], [], color=INACTIVE, linewidth=2, label="switched off"),
    ]
    key(figure, lines)


def rounding_errors(paths: ArrayLike, errors: ArrayLike, bounds: ArrayLike, controls: ArrayLike) -> Figure:
    """The identity ⟨φ, v⟩ = ŷ on random networks: each one's largest error, against its number of paths.

    Args:
        paths: [networks] P.
        errors: [networks] largest absolute ⟨φ, v⟩ - ŷ over the sum of absolute φ(p) v(p); a zero is drawn at the foot
            of the axis.
        bounds: [networks] the most that rounding can make of it.
        controls: [networks] the same error after one gate was flipped on purpose; 0 where no output changed.
    """
    paths, errors, bounds, controls = (np.asarray(a, dtype=float) for a in (paths, errors, bounds, controls))
    foot = 1e-18
    fig, ax = plt.subplots(figsize=(WIDTH, 3.9))
    moved = controls > 0
    ax.scatter(paths[moved], controls[moved], s=12, marker="x", linewidths=0.8, color=NEGATIVE)
    ax.scatter(paths, bounds, s=5, marker="_", color=PAPER)
    zero = errors == 0
    ax.scatter(paths[~zero], errors[~zero], s=10, color=ACTIVE, alpha=0.7, linewidths=0)
    ax.scatter(paths[zero], np.full(zero.sum(), foot), s=12, facecolors="none", edgecolors=ACTIVE, linewidths=0.8)
    ax.axhline(2.0**-53, color=ACTIVE, linewidth=0.8, linestyle=":")
    ax.set(xscale="log", yscale="log", ylim=(foot / 2, 8))
    ax.set(xlabel="paths $P$ of the network", ylabel=r"error / $\sum_p|\phi(p)\,v(p)|$")
    handles = [
        Line2D([], [], linestyle="", marker="x", color=NEGATIVE, label="control: one gate flipped"),
        Line2D([], [], linestyle="", marker="_", color=PAPER, label="worst case of rounding"),
        Line2D([], [], linestyle="", marker="o", color=ACTIVE, markersize=4, label="measured"),
        Line2D([], [], linestyle="", marker="o", markerfacecolor="none", color=ACTIVE, markersize=4, label="exactly 0"),
        Line2D([], [], linestyle=":", color=ACTIVE, label="half a unit in the last place"),
    ]
    key(fig, handles)
    return fig


def active_shares(shares: Mapping[int, np.ndarray]) -> Figure:
    """Share of active paths in random networks: its mean by depth, and its spread by width, with what theory predicts.

    For one input and symmetric random weights the share is a product of d - 1 independent Binomial(w, 1/2) / w, so its
    mean is 2^-(d-1) at every width and its relative standard deviation sqrt((1 + 1/w)^(d-1) - 1).

    Args:
        shares: width → [networks, depths], depth d = 2, 3, …: the share Λ(x, x) / w^(d-1) of one input in each network.
    """
    depths = 2 + np.arange(next(iter(shares.values())).shape[1])
    widths = np.array(sorted(shares))
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.7))
    left.plot(depths, 2.0 ** -(depths - 1), color=PAPER, linewidth=1, label=r"$2^{-(d-1)}$", zorder=3)
    for k, (width, colour) in enumerate(zip(widths, shades(len(widths)), strict=True)):
        share, shift = shares[width], (k - (len(widths) - 1) / 2) * 0.5 / len(widths)
        low, high = np.percentile(share, [10, 90], axis=0)
        floor = 2.0 ** -(depths[-1] + 4)
        left.vlines(depths + shift, np.maximum(low, floor), high, color=colour, linewidth=1.6, alpha=0.75)
        left.plot(depths + shift, share.mean(0), "o", color=colour, markersize=3.6, label=f"$w={width}$")
    left.set(yscale="log", ylim=(2.0 ** -(depths[-1] + 2), 1.2), xticks=depths)
    left.yaxis.set_major_locator(plt.matplotlib.ticker.LogLocator(base=2, numticks=8))
    left.yaxis.set_major_formatter(plt.FuncFormatter(lambda v, _: f"$2^{{{round(np.log2(v))}}}$"))
    left.yaxis.set_minor_locator(plt.NullLocator())
    left.set(xlabel="depth $d$ (weight layers)", ylabel="share of paths that are active")
    left.set_title("mean and 10–90 % range")
    key(fig, *left.get_legend_handles_labels())
    fine = np.geomspace(widths[0], widths[-1], 50)
    chosen = sorted({0, len(depths) // 2, len(depths) - 1})
    for k, (index, marker) in enumerate(zip(chosen, "os^", strict=False)):
        hidden = depths[index] - 1
        colour = shades(3)[k]
        right.plot(fine, np.sqrt((1 + 1 / fine) ** hidden - 1), color=colour, linewidth=1)
        spread, noise = zip(*(_relative_deviation(shares[width][:, index]) for width in widths), strict=True)
        right.errorbar(widths, spread, noise, fmt=marker, color=colour, markersize=4.5, label=f"$d={depths[index]}$")
    right.set(xscale="log", yscale="log", xlabel="width $w$")
    right.set(ylabel="relative standard deviation")
    right.set_xticks(widths, [str(w) for w in widths], minor=False)
    right.xaxis.set_minor_locator(plt.NullLocator())
    right.yaxis.set_major_locator(plt.matplotlib.ticker.LogLocator(base=10, subs=(1, 2, 5)))
    right.yaxis.set_major_formatter(plt.FuncFormatter(lambda v, _: f"{v:g}"))
    right.yaxis.set_minor_formatter(plt.NullFormatter())
    right.set_title("measured, and exact")
    right.legend()
    return fig


def _relative_deviation(sample: np.ndarray) -> tuple[float, float]:
    """Standard deviation over mean, and its standard error by the jackknife over twenty groups."""

    def ratio(values: np.ndarray) -> float:
        return float(values.std(ddof=1) / values.mean())

    groups = min(20, len(sample) // 2)
    parts = np.array_split(np.arange(len(sample)), groups)
    left_out = np.array([ratio(np.delete(sample, part)) for part in parts])
    return ratio(sample), float(np.sqrt((groups - 1) * left_out.var()))


def gate_strips(
    pictures: Sequence[np.ndarray], titles: Sequence[str], gates: Mapping[str, Sequence[Sequence[np.ndarray]]]
) -> Figure:
    """Two inputs and their gates: a strip a hidden layer, a bar a unit, and which units they share.

    Args:
        pictures: two images [H, W].
        titles: their two titles.
        gates: row title → (gates of the first, gates of the second), each d - 1 vectors [w_l].
    """
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
            for side in ax.spines.values():
                side.set(visible=True, color=INACTIVE)
            if column == 0:
                ax.set_ylabel(f"{name}\nhidden layer", fontsize=SMALL)
            else:
                ax.set_yticklabels([])
    return fig


def activity(
    units: Mapping[str, np.ndarray], paths: Mapping[str, np.ndarray], differ: Mapping[str, np.ndarray]
) -> Figure:
    """Activity of a network before and after training, layer by layer and for whole paths.

    Args:
        units: "before", "after" → [seeds, layers], share of units that are on.
        paths: the same → [seeds, examples], share of paths that are active; examples without any are left out.
        differ: the same → [seeds, layers], share of units whose gates differ between two examples, over all pairs.
    """
    fig = plt.figure(figsize=(WIDTH, 5.0))
    grid = fig.add_gridspec(2, 2)
    left, middle, right = (fig.add_subplot(place) for place in (grid[0, 0], grid[1, :], grid[0, 1]))
    colours = {"before": BEFORE, "after": AFTER}
    for name, colour in colours.items():
        layers = 1 + np.arange(units[name].shape[1])
        for ax, values in ((left, 100 * units[name]), (right, 100 * differ[name])):
            ax.plot(layers, values.mean(0), "o-", color=colour, markersize=4, label=f"{name} training")
            ax.fill_between(layers, values.min(0), values.max(0), color=colour, alpha=0.25, linewidth=0)
    for ax, label in ((left, "units that are on [%]"), (right, "units that differ [%]")):
        ax.axhline(50, color=PAPER, linewidth=0.8, linestyle=":")
        ax.set(xlabel="hidden layer", ylabel=label, xticks=layers, ylim=(0, None))
    logs = {name: [np.log2(run[run > 0]) for run in runs] for name, runs in paths.items()}
    everything = np.concatenate([run for runs in logs.values() for run in runs])
    edges = np.linspace(everything.min(), everything.max(), 36)
    centres = (edges[:-1] + edges[1:]) / 2
    for name, colour in colours.items():
        density = np.stack([np.histogram(run, edges)[0] / len(run) for run in logs[name]]) * 100
        middle.plot(centres, density.mean(0), color=colour)
        middle.fill_between(centres, density.min(0), density.max(0), color=colour, alpha=0.25, linewidth=0)
    hidden = units["before"].shape[1]
    middle.axvline(-hidden, color=PAPER, linewidth=0.8, linestyle=":")
    middle.xaxis.set_major_locator(plt.MultipleLocator(1 if np.ptp(everything) < 5 else 2))
    middle.xaxis.set_major_formatter(plt.FuncFormatter(lambda v, _: f"$2^{{{int(v)}}}$"))
    middle.set(xlabel="share of active paths", ylabel="digits [% a bin]", ylim=(0, None))
    left.legend(loc="lower center", fontsize=SMALL)
    return fig
