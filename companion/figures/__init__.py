"""What figures are drawn with: panels, bands, bars, numbers at axes, keys. ``style`` holds what all share."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter
from numpy.typing import ArrayLike

from companion.figures.style import COLOURS, LABELS, WIDTH, finish, use_style

__all__ = ["band", "entry", "errors", "finish", "key", "logarithmic", "panel_grid", "ticks", "use_style"]


def panel_grid(
    count: int, columns: int = 2, *, height: float, extra: float = 0, xlabel: str = "", ylabel: str = "", **shared: Any
) -> tuple[Figure, list[Axes]]:
    """So many panels in rows of ``height`` inches, and ``extra`` for the key; labels stand below and left of them."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(WIDTH, extra + height * rows), squeeze=False, **shared)
    for spare in grid.flat[count:]:
        spare.remove()
    used = list(grid.flat[:count])
    for ax in used[-columns:]:  # no panel stands below these
        ax.tick_params(axis="x", labelbottom=True)
        ax.set_xlabel(xlabel)
    for ax in used[::columns]:
        ax.set_ylabel(ylabel)
    return figure, used


def band(ax: Axes, x: ArrayLike, runs: ArrayLike, regime: str = "", shade: float = 0.2, **line: Any) -> None:
    """The mean over runs [runs, points] as a line, their range as a band; the regime or ``line`` says how they look."""
    runs = np.atleast_2d(np.asarray(runs, dtype=float))
    if runs.shape[1] != np.size(x) or not runs.size:
        raise ValueError(f"runs must be [runs, {np.size(x)}] to match x; got {runs.shape}.")
    look = {"color": COLOURS[regime], "label": LABELS[regime]} if regime else {}
    [mean] = ax.plot(x, runs.mean(0), **{"linewidth": 1.6} | look | line)
    ax.fill_between(x, runs.min(0), runs.max(0), color=mean.get_color(), alpha=shade, linewidth=0)


def errors(ax: Axes, x: ArrayLike, middle: ArrayLike, *ends: ArrayLike, **look: Any) -> None:
    """Values [points] as markers with bars, from ``ends[0]`` to ``ends[1]``, or of one half width."""
    middle, first, last = (np.asarray(values, dtype=float) for values in (middle, ends[0], ends[-1]))
    reach = first if len(ends) == 1 else [middle - first, last - middle]
    ax.errorbar(x, middle, reach, **{"linestyle": "none", "marker": "o", "markersize": 5, "capsize": 2} | look)


def ticks(axis: Axis, places: Iterable[float] | None = None, form: str = "{x:g}") -> None:
    """Plain numbers at these places, or at 1, 2 and 5 times each power of ten, and nothing between."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if places is None else FixedLocator(list(places)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter(form))


def logarithmic(ax: Axes, places: Sequence[int], label: str = "width w") -> None:
    """A logarithmic x axis with its numbers where the points are."""
    ax.set(xscale="log", xlabel=label)
    ticks(ax.xaxis, places)


def entry(label: str, **look: Any) -> Line2D:
    """An entry of a key: a line, or with linestyle="" a marker."""
    return Line2D([], [], label=label, **look)


def key(figure: Figure, handles: Sequence[Artist] | None = None, labels: Sequence[str] | None = None) -> Figure:
    """The figure with a legend above its panels; without handles, of what they have labelled, each label once."""
    if handles is None:
        every = [pair for ax in figure.axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
        shown = {name: handle for handle, name in reversed(every)}  # the first of each label
        labels = list(dict.fromkeys(name for _, name in every))
        handles = [shown[name] for name in labels]
    names = list(labels) if labels is not None else [handle.get_label() for handle in handles]
    renderer = figure.canvas.get_renderer()
    for columns in range(len(names), 0, -1):
        # As many columns as fit, but no fewer rows than those columns fill: five in rows of three, not of four.
        rows = -(-len(names) // columns)
        legend = figure.legend(handles, names, loc="outside upper center", ncols=-(-len(names) // rows))
        if columns == 1 or legend.get_window_extent(renderer).width <= 0.97 * figure.bbox.width:
            break
        legend.remove()
    return figure
