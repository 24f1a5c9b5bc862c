"""Drawings of networks: gates times weights, the regimes, one input's sub-network, the gate explorer standing still."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from numpy.typing import ArrayLike

from companion.figures import entry, key
from companion.figures.style import ACTIVE, COLOURS, GATE, INACTIVE, INK, LABELS, MARKERS, MUTED, PAPER, SMALL, WIDTH

# Which units of the drawn network are on: three hidden layers of five, after an input of three.
_GATES = ((1, 0, 1, 1, 0), (0, 1, 1, 0, 1), (1, 1, 0, 0, 1))

_BOX = 1.98  # inches wide
_DASHES = (0, (3, 1.5))  # of a negative weight
_WRITTEN: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL}


def gates_times_weights(axes: tuple[Axes, Axes]) -> None:
    """Draws one input's values and gates with the paths that they open, and beside them the weights of all paths."""
    left, right = axes
    sizes = (3, *map(len, _GATES), 1)
    weights = [0.05 + abs(np.sin(np.arange(1, out * into + 1))).reshape(out, into) for into, out in pairwise(sizes)]
    subnetwork(right, weights, [np.ones(size) for size in sizes[1:-1]], title="weights: their worth")
    columns = [("0.8", "0.3", "0.5"), *_GATES, ("  ",)]
    places = [(np.arange(n)[::-1] - (n - 1) / 2) * (1.35 if n == 3 else 1) for n in sizes]
    for layer, column in enumerate(columns):
        for place, one in zip(places[layer], column, strict=True):
            face, edge, ink = (GATE, GATE, "white") if one == 1 else ("white", INACTIVE, MUTED if one == 0 else INK)
            shape = {"boxstyle": "round,pad=0.15" if layer == 0 else "circle,pad=0.28", "fc": face, "ec": edge}
            left.text(layer, place, str(one), color=ink, fontweight="bold", bbox=shape, **_WRITTEN)
            for end, other in zip(places[layer + 1], columns[layer + 1], strict=True) if one and layer < 4 else ():
                left.plot([layer, layer + 1], [place, end], color=GATE, linewidth=0.9 * bool(other), alpha=0.6)
    left.set_title("gates: open paths")
    for ax, text, colour in ((left, r"path features $\phi_x$", GATE), (right, r"path values $v$", ACTIVE)):
        ax.set(xlim=(-0.5, 4.5), ylim=(-3.3, 2.5))
        ax.text(2, -3.15, text, ha="center", color=colour)
        ax.axis("off")


def five_regimes() -> Figure:
    """The regimes as rows: at the left the network that gives the gates, at the right the network of values."""
    rows = (
        ("FRNPF-II", "random", "frozen", "hard", "independent start"),
        ("FRNPF-DI", "random", "frozen", "hard", "from the gates' weights"),
        ("DLNPF", "random start", "trained", "soft", "independent start"),
        ("FLNPF", "copy of a trained ReLU", "frozen", "hard", "fresh start"),
        ("ReLU", "", "trained", "own", "one network, its own gates"),
    )
    figure, ax = plt.subplots(figsize=(WIDTH, 4.4))
    ax.set(xlim=(-0.02, 5.6), ylim=(len(rows) - 0.55, -0.75))
    ax.axis("off")
    for left, text in ((1.08, "gates' network"), (3.5, "value network")):
        ax.text(left + _BOX / 2, -0.55, text, color=PAPER, **_WRITTEN)
    for place, (regime, source, state, gate, start) in enumerate(rows):
        ax.plot(0.06, place, MARKERS[regime], color=COLOURS[regime], markersize=6, clip_on=False)
        ax.text(0.17, place, LABELS[regime], va="center", weight="bold", color=INK, fontsize=SMALL)
        if source:
            _box(ax, 1.08, place, source, state)
            ends = (3.08, place + 0.12), (3.5, place + 0.12)
            look = {"mutation_scale": 13, "color": GATE, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
            ax.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", **look))
            ax.text(3.27, place - 0.14, gate, color=GATE, **_WRITTEN)
        _box(ax, 3.5, place, start, "trained")
    return figure


def _box(ax: Axes, left: float, middle: float, text: str, state: str) -> None:
    """A box that says whether its network is frozen or trained."""
    colour = "#dfe3e8" if state == "frozen" else "#fdf1d6"
    shape = "round,pad=0.0,rounding_size=0.06"
    ax.add_patch(FancyBboxPatch((left, middle - 0.36), _BOX, 0.72, boxstyle=shape, fc=colour, ec=INACTIVE))
    ax.text(left + _BOX / 2, middle - 0.14, text, color=INK, **_WRITTEN)
    ax.text(left + _BOX / 2, middle + 0.17, state, color=PAPER, weight="bold", **_WRITTEN)


def subnetwork(
    ax: Axes, weights: Sequence[np.ndarray], gates: Sequence[ArrayLike], *,
    inside: Sequence[Sequence[str]] | None = None, show_weights: bool = False, title: str = "",
) -> Axes:  # fmt: skip
    """Draws a small network with one input's active sub-network in colour; lines are as wide as weights are large."""
    weights = [np.asarray(weight, dtype=float) for weight in weights]
    on = [np.ones(weights[0].shape[1]), *(np.asarray(g, dtype=float) for g in gates), np.ones(len(weights[-1]))]
    sizes = [len(layer) for layer in on]
    if sizes != [weights[0].shape[1], *map(len, weights)]:
        raise ValueError(f"gates for layers of {sizes[1:-1]} units do not fit weights {[w.shape for w in weights]}.")
    # Layers are centred; small ones are drawn out, but to no more than the height of the largest.
    stretched = [min(1.35, (max(sizes) - 1) / max(n - 1, 1)) if n < max(sizes) else 1.0 for n in sizes]
    heights = [(np.arange(n)[::-1] - (n - 1) / 2) * by for n, by in zip(sizes, stretched, strict=True)]
    largest = max(float(np.abs(weight).max()) for weight in weights)
    gap, written = 1.9 if show_weights else 1.0, []  # type: ignore[var-annotated]  # of texts
    for layer, weight in enumerate(weights):
        for (i, j), theta in np.ndenumerate(weight):
            active = on[layer][j] > 0 and on[layer + 1][i] > 0
            colour = (GATE if theta < 0 else ACTIVE) if active else INACTIVE
            ends = [layer * gap, (layer + 1) * gap], [heights[layer][j], heights[layer + 1][i]]
            look = {"color": colour, "linestyle": _DASHES if theta < 0 else "-", "solid_capstyle": "round"}
            width, alpha, order = (3.0, 0.9, 2) if active else (1.2, 0.6, 1)
            ax.plot(*ends, linewidth=0.4 + width * abs(theta) / largest, alpha=alpha, zorder=order, **look)
            if show_weights:
                place, text = _free_place(layer, gap, j, i, heights, written), f"{theta:g}".replace("-", "−")
                ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
                ax.text(*place, text, color=colour if active else MUTED, bbox=ground, zorder=3, **_WRITTEN)
    radius = 620 if inside else 110
    for layer, (height, state) in enumerate(zip(heights, on, strict=True)):
        hidden = 0 < layer < len(weights)
        face = [("#D6E8F5" if inside else ACTIVE) if s > 0 and hidden else "white" for s in state]
        edge = [(ACTIVE if hidden else PAPER) if s > 0 else INACTIVE for s in state]
        ax.scatter([layer * gap] * len(height), height, s=radius, c=face, edgecolors=edge, linewidths=1.6, zorder=4)
        for y, text, s in zip(height, inside[layer] if inside else [], state, strict=False):
            ax.text(layer * gap, y, text, color=INK if s > 0 else MUTED, zorder=5, **_WRITTEN)
    low, high = min(map(min, heights)), max(map(max, heights))
    margin, aside = (0.4, 0.3 * gap) if inside else (0.3, 0.35)  # room for the whole of each node
    ax.set(xlim=(-aside, len(weights) * gap + aside), ylim=(low - margin, high + margin), title=title)
    ax.axis("off")
    return ax


def _free_place(
    layer: int, gap: float, j: int, i: int, heights: Sequence[np.ndarray], written: list[np.ndarray]
) -> np.ndarray:
    """Where on the line from unit j to unit i its weight is farthest from other lines and weights; notes it down."""
    below, above = heights[layer], heights[layer + 1]
    start, end = np.array([layer * gap, below[j]]), np.array([(layer + 1) * gap, above[i]])

    def room(along: float) -> float:
        place = start + along * (end - start)
        lines = abs(below[:, None] + along * (above - below[:, None]) - place[1])
        others = np.delete(lines, j * len(above) + i)
        return min([*others, *(float(np.hypot(*(place - other))) for other in written)], default=1.0)

    written.append(start + max(np.linspace(0.32, 0.68, 12), key=room) * (end - start))
    return written[-1]


def subnetwork_key(figure: Figure) -> None:
    """Adds the key to ``subnetwork``'s lines above the panels of a figure."""
    on, off = ("active, weight > 0", ACTIVE, "-"), ("switched off", INACTIVE, "-")
    looks = (on, ("active, weight < 0", GATE, _DASHES), off)
    key(figure, [entry(label, color=colour, linewidth=2, linestyle=dashes) for label, colour, dashes in looks])


def explorer(data: Mapping[str, Any], panels: Mapping[str, Mapping[str, Any]]) -> Figure:
    """The explorer's experiment standing still: each regime's plane after training, and its loss and accuracy.

    A panel, by its regime's name, has the network's "output" on a grid [k, k] over the square, the "edges" of its gates
    (layer, ends), and "curves": step, loss and share of test points on the right side, [3, k].
    """
    figure = plt.figure(figsize=(WIDTH, 4.7))
    top, foot = figure.subfigures(2, 1, height_ratios=(1.35, 1))
    planes, (loss, right) = top.subplots(1, len(panels)), foot.subplots(1, 2)
    titles = {"ReLU": "ReLU\n", "FLNPF": "learnt gates,\nnew weights", "FRNPF-II": "random gates,\nnew weights"}
    half, tint = data["half"], LinearSegmentedColormap.from_list("output", ["#f0a878", "white", "#7fb9dc"])
    gap, arm = [np.nan, np.nan], 0.03 * half  # strokes with gaps: one path in place of hundreds
    marks = [(x, y, d, e) for x, y, label in data["examples"] for d, e in [(arm, 0), (0, arm)][: 1 + (label > 0)]]
    crosses = [end for x, y, d, e in marks for end in ([x - d, y - e], [x + d, y + e], gap)]
    for ax, (regime, panel) in zip(planes, panels.items(), strict=True):
        output, square = panel["output"], (-half, half, -half, half)
        ax.imshow(output, tint, vmin=-4, vmax=4, extent=square, origin="lower", interpolation="none")
        for deep in (False, True):
            strokes = [point for layer, ends in panel["edges"] if (layer > 0) == deep for point in (*ends, gap)]
            ax.plot(*np.reshape(strokes, (-1, 2)).T, color=PAPER, linewidth=0.6, linestyle="--" if deep else "-")
        axis = np.linspace(-half, half, len(output))
        if output.min() < 0 < output.max():
            ax.contour(axis, axis, output, [0.0], colors=INK, linewidths=1.6)
        ax.plot(*np.transpose(crosses), color=INK, linewidth=0.6, alpha=0.7)
        ax.set(xlim=(-half, half), ylim=(-half, half), xticks=(), yticks=())
        steps, losses, rights = panel["curves"]
        ax.set_title(titles.get(regime, LABELS[regime]), color=COLOURS[regime], fontsize=SMALL)
        ax.set_xlabel(f"{100 * rights[-1]:.1f} % right", fontsize=SMALL)
        look = {"color": COLOURS[regime], "marker": MARKERS[regime], "markevery": len(steps) // 5, "markersize": 4}
        loss.plot(steps, losses, label=LABELS[regime], **look)
        right.plot(steps, 100 * rights, **look)
    loss.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    right.set(xlabel="step", ylabel="right [%]", ylim=(None, 101))
    foot.legend(*loss.get_legend_handles_labels(), loc="outside upper center", ncols=len(panels))
    return figure
