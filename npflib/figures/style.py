"""What all figures share: fonts, one colour a regime, bands for spread, provenance and the stand-in banner.

Colours are Okabe and Ito's, which stay apart for colour-blind readers and on white as on dark grey paper.
"""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "ReLU": "#0072B2",
    "FLNPF": "#009E73",
    "DLNPF": "#CC79A7",
    "FRNPF-DI": "#D55E00",
    "FRNPF-II": "#E69F00",
}
MARKERS = {"ReLU": "o", "FLNPF": "s", "DLNPF": "^", "FRNPF-DI": "D", "FRNPF-II": "v"}
LABELS = {"FRNPF-DI": "FRNPF (DI)", "FRNPF-II": "FRNPF (II)", "ReLU": "ReLU", "DLNPF": "DLNPF", "FLNPF": "FLNPF"}

# Colours with a meaning of their own, not of a regime.
PAPER = "#444444"
ACTIVE = "#0072B2"
INACTIVE = "#C8C8C8"
VALUE = "#0072B2"
GATE = "#D55E00"

WIDTH = 7.2  # inches: the text's width in the book
_BANNER = "#B00020"


def use_style() -> None:
    """Sets the book's look for every later figure; in a notebook figures become SVG."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        rc={
            "figure.figsize": (WIDTH, 3.6),
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "axes.labelsize": "medium",
            "font.size": 10.5,
            "legend.frameon": False,
            "svg.fonttype": "path",
            "svg.hashsalt": "npflib",
            "image.cmap": "viridis",
            "image.interpolation": "nearest",
        },
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if mpl.get_backend().lower().endswith("inline"):
        set_matplotlib_formats("svg", metadata={"Date": None})


def band(ax: Axes, x: Sequence[float], runs: np.ndarray, regime: str, **line: Any) -> None:
    """Draws the mean over runs as a line, and the range from least to greatest as a band.

    Args:
        ax: where to draw.
        x: [points].
        runs: [runs, points]: one row a seed.
        regime: which regime's colour, marker and label to use.
        line: further properties of the line.
    """
    runs = np.atleast_2d(np.asarray(runs, dtype=float))
    if runs.shape[1] != len(x):
        raise ValueError(f"runs must be [runs, {len(x)}] to match x; got {runs.shape}.")
    properties = {"color": COLOURS[regime], "label": LABELS[regime], "linewidth": 1.8} | line
    ax.plot(x, runs.mean(0), **properties)
    ax.fill_between(x, runs.min(0), runs.max(0), color=COLOURS[regime], alpha=0.2, linewidth=0)


def finish(
    figure: Figure,
    *,
    profile: str,
    seeds: int | Sequence[int] | None = None,
    data: Mapping[str, Any] | None = None,
    code: str = "",
    note: str = "",
) -> Figure:
    """Writes the provenance line under a figure; if its data are a stand-in, as a red banner that says so.

    Args:
        figure: the figure, otherwise complete.
        profile: scale of what is shown, e.g. "quick".
        seeds: the seeds, or how many independent repetitions; None where nothing is random.
        data: ``Source.as_dict()`` of the data shown; None where no data set enters.
        code: name of the notebook that made it.
        note: anything else the reader must know, e.g. the budget.

    Returns:
        The same figure.
    """
    parts = [f"profile: {profile}"]
    if seeds is not None:
        count = seeds if isinstance(seeds, int) else len(seeds)
        parts.append(f"n = {count:,}")
    parts.append(f"data: {data['title']}" if data else "no data set")
    parts += [part for part in (note, code) if part]
    columns = max(40, int(figure.get_figwidth() * 15))
    line = fill(" · ".join(parts), columns)
    if data and data["stand_in"]:
        # Below, with the provenance: above it would meet the figures' own titles and legends.
        line = f"STAND-IN DATA. Not a test of the paper.\n{line}"
        look = {"color": "white", "backgroundcolor": _BANNER, "fontweight": "bold"}
    else:
        look = {"color": "#555555"}
    figure.supxlabel(line, x=0.01, ha="left", fontsize=7.5, **look)
    return figure
