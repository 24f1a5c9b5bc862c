"""Drawings without data: a network as gates times weights, and the five regimes as pairs of networks."""

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from companion.figures.style import (
    ACTIVE,
    COLOURS,
    GATE,
    INACTIVE,
    INK,
    LABELS,
    MARKERS,
    MUTED,
    NORMAL,
    PAPER,
    SMALL,
    WIDTH,
)

# Which units of the drawn network are on: three hidden layers of five, after an input of three.
_GATES = ((1, 0, 1, 1, 0), (0, 1, 1, 0, 1), (1, 1, 0, 0, 1))

_FROZEN = "#dfe3e8"
_TRAINED = "#fdf1d6"
_BOX = 1.98  # inches wide


def gates_times_weights(axes: tuple[Axes, Axes]) -> None:
    """Draws one input's gates beside the weights that they leave in use.

    Args:
        axes: where to draw the gates, and the value network behind them.
    """
    left, right = axes
    layers = [[0.5 * (5 - n) + i for i in range(n)] for n in (3, 5, 5, 5, 1)]
    on = [(1, 1, 1), *_GATES, (1,)]
    for ax in axes:
        ax.set_axis_off()
        ax.set_xlim(-0.5, 4.5)
        ax.set_ylim(-1.3, 5.3)
    for x in range(4):
        for i, y in enumerate(layers[x]):
            for j, z in enumerate(layers[x + 1]):
                open_ = on[x][i] and on[x + 1][j]
                right.plot(
                    [x, x + 1], [y, z], color=ACTIVE if open_ else INACTIVE, linewidth=1.2 if open_ else 0.35,
                    alpha=0.8 if open_ else 0.7, zorder=2 if open_ else 1,
                )  # fmt: skip
    for x, nodes in enumerate(layers):
        for i, y in enumerate(nodes):
            colour = ACTIVE if on[x][i] else INACTIVE
            right.plot(x, y, "o", color=colour if on[x][i] else "white", markeredgecolor=colour, markersize=7, zorder=3)
            if 0 < x < 4:
                left.text(
                    x, y, str(on[x][i]), ha="center", va="center", fontsize=NORMAL, zorder=3,
                    color="white" if on[x][i] else MUTED, fontweight="bold",
                    bbox={
                        "boxstyle": "circle,pad=0.28",
                        "fc": GATE if on[x][i] else "white",
                        "ec": GATE if on[x][i] else INACTIVE,
                    },
                )  # fmt: skip
    left.text(0.0, 2.5, "input\n$x$", ha="center", va="center", fontsize=NORMAL)
    left.add_patch(FancyArrowPatch((0.3, 2.5), (0.68, 2.5), arrowstyle="-|>", mutation_scale=11, color=PAPER))
    left.set_title("gates: open paths", fontsize=NORMAL)
    right.set_title("weights: their worth", fontsize=NORMAL)
    left.text(2, -1.15, r"path features $\phi_x$", ha="center", fontsize=NORMAL, color=GATE)
    right.text(2, -1.15, r"path values $v$", ha="center", fontsize=NORMAL, color=ACTIVE)


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
    ax.set_axis_off()
    ax.set_xlim(-0.02, 5.6)
    ax.set_ylim(len(rows) - 0.55, -0.75)
    for left, text in ((1.08, "gates' network"), (3.5, "value network")):
        ax.text(left + _BOX / 2, -0.55, text, ha="center", va="center", fontsize=SMALL, color=PAPER)
    for place, (regime, source, state, gate, start) in enumerate(rows):
        ax.plot(0.06, place, MARKERS[regime], color=COLOURS[regime], markersize=6, clip_on=False)
        ax.text(0.17, place, LABELS[regime], va="center", weight="bold", color=INK, fontsize=SMALL)
        if source:
            _box(ax, 1.08, place, source, state)
            ax.add_patch(
                FancyArrowPatch(
                    (3.08, place + 0.12),
                    (3.5, place + 0.12),
                    arrowstyle="-|>",
                    mutation_scale=13,
                    color=GATE,
                    linewidth=1.6,
                    shrinkA=0,
                    shrinkB=0,
                )
            )
            ax.text(3.27, place - 0.14, gate, ha="center", va="center", fontsize=SMALL, color=GATE)
        _box(ax, 3.5, place, start, "trained")
    return figure


def _box(ax: Axes, left: float, middle: float, text: str, state: str) -> None:
    """A box that says whether its network is frozen or trained."""
    colour = _FROZEN if state == "frozen" else _TRAINED
    ax.add_patch(
        FancyBboxPatch(
            (left, middle - 0.36), _BOX, 0.72, boxstyle="round,pad=0.0,rounding_size=0.06", fc=colour, ec=INACTIVE
        )
    )
    ax.text(left + _BOX / 2, middle - 0.14, text, ha="center", va="center", fontsize=SMALL, color=INK)
    ax.text(left + _BOX / 2, middle + 0.17, state, ha="center", va="center", fontsize=SMALL, weight="bold", color=PAPER)
