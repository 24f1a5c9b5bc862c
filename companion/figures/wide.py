"""Figures of the chapter on infinite width: convergence, kernels by angle, accuracy of kernel regression."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import ArrayLike

from companion.figures.drawing import band, entry, errors, key, logarithmic, panel_grid, ticks
from companion.figures.style import COLOURS, GATE, INACTIVE, INK, MUTED, PAPER, SMALL, WIDTH, shades
from companion.studies.study import Table
from companion.studies.wide_kernels import WIDTH as FINITE
from companion.studies.wide_kernels import accuracies

# kind → what it is called, colour, marker, dashes
LOOKS = {
    "output": ("ReLU's NNGP kernel", "#7a3ff2", "P", (0, (1, 1))),
    "relu": ("ReLU's tangent kernel", COLOURS["ReLU"], "o", "-"),
    "gates": ("random gates", COLOURS["FRNPF-II"], "v", "-"),
    "overlap": ("random gates, no inputs", GATE, "X", (0, (4, 2))),
    "finite": (f"random gates, width {FINITE}", "#0b7285", "s", (0, (4, 1, 1, 1))),
    "linear": ("linear: no gates", MUTED, "D", (0, (1, 2))),
}


def convergence(
    widths: Sequence[int],
    spreads: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]],  # root mean square deviation, its 95 % interval
    biases: Mapping[str, tuple[ArrayLike, ArrayLike]],  # relative bias of the mean, standard error
    lines: Mapping[str, tuple[float, float]],  # (a, b) of the fitted bias a + b / w
    exact: ArrayLike,  # deviation of the gates' diagonal
) -> Figure:
    """How far finite networks are from the limit, against the width: of one network, and of the mean of several."""
    figure, (left, right) = panel_grid(2, height=3.8)
    grid = np.asarray(widths, dtype=float)
    looks = {name: LOOKS[name][:3] for name in ("gates", "relu")}
    looks["diagonal"] = ("random gates, diagonal", INK, "d")
    for name, (middle, low, high) in spreads.items():
        errors(left, grid, middle, low, high, color=looks[name][1], marker=looks[name][2])
    left.plot(grid, exact, color=INK, linewidth=1)
    start = np.asarray(spreads["relu"][0])[-1]
    left.plot(grid, start * np.sqrt(grid[-1] / grid), color=PAPER, linestyle=":", linewidth=1.2)
    left.set(yscale="log", ylabel="one network: relative deviation")
    ticks(left.yaxis, [0.02, 0.05, 0.1, 0.2, 0.5, 1])
    right.axhline(0, color=PAPER, linewidth=0.9)
    fine = np.geomspace(grid[0] / 1.1, grid[-1] * 1.1, 100)
    for shift, (name, (bias, error)) in zip((0.96, 1.04), biases.items(), strict=True):
        _, colour, marker = looks[name]
        errors(right, grid * shift, 100 * np.asarray(bias), 196 * np.asarray(error), color=colour, marker=marker)
        right.plot(fine, 100 * (lines[name][0] + lines[name][1] / fine), color=colour, linewidth=1)
    right.set_ylabel("mean of networks: bias, %")
    for ax in (left, right):
        logarithmic(ax, _some(widths))
    handles = [entry(t, color=c, marker=m, markersize=5, linestyle="none") for t, c, m in looks.values()]
    handles.append(entry("diagonal, exact", color=INK, linewidth=1))
    handles.append(entry(r"$\propto w^{-1/2}$", color=PAPER, linestyle=":"))
    return key(figure, handles)


def by_angle(theta: ArrayLike, curves: Mapping[str, Mapping[int, ArrayLike]], pairs: Mapping[str, ArrayLike]) -> Figure:
    """Kernels over their diagonals, title → depth → values, by angle; below, the angles of ``pairs`` of images."""
    shared: dict[str, Any] = {"sharex": True, "sharey": "row", "height_ratios": [3.2, 1], "squeeze": False}
    figure, grid = plt.subplots(2, len(curves), figsize=(WIDTH, 4.6), **shared)
    colours, degrees = shades(len(next(iter(curves.values())))), np.rad2deg(np.asarray(theta))
    looks = {"same class": COLOURS["ReLU"], "different classes": INACTIVE}
    for (title, by_depth), ax, below in zip(curves.items(), *grid, strict=True):
        ax.axhline(0, color=PAPER, linewidth=0.8)
        for colour, (depth, values) in zip(colours, by_depth.items(), strict=True):
            ax.plot(degrees, values, color=colour, label=f"d = {depth}")
        ax.set_title(title)
        for name, colour in looks.items():
            angles, bins = np.rad2deg(np.asarray(pairs[name])), np.arange(0, 181, 3)
            below.hist(angles, bins=bins, density=True, histtype="step", color=colour, linewidth=1.4)
        below.set(xlabel="angle of two inputs, °", xlim=(0, 180), yticks=[])
        below.xaxis.set_major_locator(MultipleLocator(45))
        below.spines["left"].set_visible(False)
    grid[0, 0].set_ylabel("kernel / its diagonal")
    grid[1, 0].set_ylabel("image pairs", fontsize=SMALL)
    handles, _ = grid[0, 0].get_legend_handles_labels()
    return key(figure, [*handles, *(entry(name, color=colour) for name, colour in looks.items())])


def accuracy_by_examples(found: Table, examples: Sequence[int]) -> Figure:
    """Test accuracy by number of training examples; and the difference from ReLU's tangent kernel, by seed."""
    figure, (left, right) = panel_grid(2, height=4.2)
    for kind in LOOKS:
        values = np.array([accuracies(found, kind, n) for n in examples]).T
        _runs(left, examples, 100 - values, kind)
        if kind in ("output", "gates", "overlap"):
            relu = np.array([accuracies(found, "relu", n) for n in examples]).T
            _runs(right, examples, values - relu, kind)
    left.set_yscale("log")
    left.invert_yaxis()
    ticks(left.yaxis, [100 - place for place in (60, 70, 80, 85, 90, 93, 95, 96, 97, 98)])
    left.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 - error:g}"))
    left.set_ylabel("test accuracy, %")
    right.axhline(0, color=COLOURS["ReLU"], linewidth=1.4)
    right.set_ylabel("minus ReLU's tangent kernel, points")
    for ax in (left, right):
        logarithmic(ax, _some(examples), "training examples n")
    return key(figure, _handles(LOOKS))


def accuracy_by_size(found: Table, examples: int, depths: Sequence[int], widths: Sequence[int], depth: int) -> Figure:
    """Test accuracy by the depth of infinitely wide networks, and by the width of finite ones of one ``depth``."""
    figure, (left, right) = panel_grid(2, height=4.0, sharey=True)
    for kind in ("output", "relu", "gates", "overlap"):
        values = np.array([accuracies(found, kind, examples, depth=d) for d in depths]).T
        _runs(left, depths, values, kind)
    finite = np.array([accuracies(found, "finite", examples, depth, w) for w in widths]).T
    _runs(right, widths, finite, "finite")
    for kind, ax in (("linear", left), ("linear", right), ("gates", right), ("relu", right)):
        level = accuracies(found, kind, examples, depth).mean()
        ax.axhline(level, color=LOOKS[kind][1], linestyle=LOOKS[kind][3], linewidth=1.4)
    left.set_ylabel(f"test accuracy, %; n = {examples:,}")
    logarithmic(left, _some(depths), "depth d, infinitely wide")
    logarithmic(right, _some(widths), f"width w of finite gates, d = {depth}")
    return key(figure, _handles(LOOKS | {"finite": ("random gates, width w", *LOOKS["finite"][1:])}))


def _runs(ax: Axes, x: Sequence[int], values: np.ndarray, kind: str) -> None:
    label, colour, marker, dashes = LOOKS[kind]
    band(ax, x, values, color=colour, marker=marker, markersize=4.5, linestyle=dashes, label=label)


def _handles(looks: Mapping[str, Sequence]) -> list[Artist]:
    return [entry(text, color=c, marker=m, markersize=4.5, linestyle=dashes) for text, c, m, dashes in looks.values()]


def _some(places: Sequence[int]) -> Sequence[int]:
    """Every other place for a number at an axis, if there are many."""
    return places if len(places) < 6 else places[::-1][::2]
