"""The gate explorer standing still: the plane with its linear regions, and the network at two points."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from companion.figures.paths import subnetwork
from companion.figures.style import ACTIVE, GATE, INK, MUTED, NORMAL, WIDTH, key


def plane(ax: Axes, data: Mapping[str, Any], shown: Mapping[str, Any]) -> Axes:
    """Draws the linear regions, darker with more open paths, the edges, the zero level, and the points x and x'.

    Args:
        ax: where to draw.
        data: from ``companion.explorer.export``; the points are those of its ``start``.
        shown: from ``companion.explorer.at`` for those points.
    """
    most = max(1, *(region["open"] for region in data["regions"]))
    for region in data["regions"]:
        ax.fill(*np.transpose(region["corners"]), color=ACTIVE, alpha=0.04 + 0.4 * region["open"] / most, linewidth=0)
    for edge in data["edges"]:
        ax.plot(*np.transpose(edge["ends"]), color=MUTED, linewidth=0.8, linestyle="--" if edge["layer"] else "-")
    for ends in data["level"]:
        ax.plot(*np.transpose(ends), color=INK, linewidth=2.2, solid_capstyle="round")
    for sign, marker in ((1, "+"), (-1, "_")):
        chosen = np.array([example[:2] for example in data["examples"] if example[2] == sign]).reshape(-1, 2)
        ax.scatter(*chosen.T, marker=marker, s=18, linewidths=0.8, color=INK, alpha=0.5)
    looks = (("$x$", "o", ACTIVE, "gates", "-"), ("$x'$", "D", GATE, "gates2", "--"))
    for (name, marker, colour, gates, line), point in zip(looks, data["start"], strict=True):
        for region in data["regions"]:
            if [list(layer) for layer in region["gates"]] == shown[gates]:
                closed = [*region["corners"], region["corners"][0]]
                ax.plot(*np.transpose(closed), color=colour, linewidth=2, linestyle=line)
        ax.plot(*point, marker, color=colour, markersize=8, markeredgecolor="white", zorder=4)
        ax.annotate(name, point, (6, 5), textcoords="offset points", color=colour, fontsize=NORMAL, weight="bold")
    half = data["half"]
    ax.set(xlim=(-half, half), ylim=(-half, half), xticks=(-half, 0, half), yticks=(-half, 0, half), aspect="equal")
    ax.set(xlabel="first input", ylabel="second input")
    return ax


def explorer(data: Mapping[str, Any], shown: Mapping[str, Any]) -> Figure:
    """The plane above, and below it the network with the active sub-network of x and that of x'.

    Args:
        data: from ``companion.explorer.export``.
        shown: from ``companion.explorer.at`` for the points of its ``start``.
    """
    figure = plt.figure(figsize=(WIDTH, 6.6))
    grid = figure.add_gridspec(2, 2, height_ratios=(1.45, 1))
    plane(figure.add_subplot(grid[0, :]), data, shown)
    for column, (name, suffix) in enumerate((("x", ""), ("x'", "2"))):
        title = f"${name}$: {shown['open' + suffix]} of {len(shown['values'])} paths open"
        subnetwork(figure.add_subplot(grid[1, column]), data["weights"], shown["gates" + suffix], title=title)
    handles = [
        Line2D([], [], color=INK, linewidth=2.2, label=r"$\hat{y} = 0$"),
        Line2D([], [], color=MUTED, linewidth=0.8, label="edge, layer 1"),
        Line2D([], [], color=MUTED, linewidth=0.8, linestyle="--", label="edge, layer 2 and up"),
    ]
    key(figure, handles)
    return figure
