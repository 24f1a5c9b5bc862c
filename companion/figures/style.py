"""What all figures share: size, type, one colour a regime, bands for spread, provenance and the stand-in banner.

**Size.** A figure is ``WIDTH`` inches wide and is shown as wide as its column, on a phone ``PHONE`` px. Normal type is
then 9.8 px tall or more and no text less than ``LEAST`` px: ``finish`` refuses a figure that breaks the rule.

**Colour.** What carries meaning stands out from the white ground by 3 : 1 or more, coloured text by 4.5 : 1, in dark
mode too, where the page dims the whole figure. The regimes' colours differ in lightness as well, so that colour-blind
readers tell them apart (``test_style.py`` measures it); markers and dashes are the second cue.
"""

import re
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from npflib import regimes
from npflib.records.run_records import Record

Runs = Record | Iterable["Runs"] | Mapping[str, "Runs"]


class _Labels(dict):
    """What each regime is called in figures: what its definition says."""

    def __missing__(self, regime: str) -> str:
        return regimes.find(regime).label


# Of each regime; one without an entry gets the next spare look, and keeps it.
COLOURS: dict[str, Any] = defaultdict(
    cycle(("#4d4d4d", "#0b7285", "#7a3ff2")).__next__,
    {"ReLU": "#0a45a8", "FLNPF": "#1a9c82", "DLNPF": "#cf34d0", "FRNPF-DI": "#6b1500", "FRNPF-II": "#9a6000"}
    | {"DLGN": "#180060"},
)
MARKERS: dict[str, Any] = defaultdict(
    cycle("PX*").__next__, {"ReLU": "o", "FLNPF": "s", "DLNPF": "^", "FRNPF-DI": "D", "FRNPF-II": "v", "DLGN": "p"}
)
LABELS = _Labels()

# Colours with a meaning of their own, not of a regime. All but INACTIVE may colour text.
INK = "#222222"
PAPER = "#444444"
MUTED = "#666666"
ACTIVE = "#0072B2"
INACTIVE = "#8c8c8c"
VALUE = "#0072B2"
GATE = "#b84a00"

WIDTH = 5.6  # inches
NORMAL, SMALL, TINY = 10.5, 9.0, 8.25  # points: labels and titles; ticks, keys and notes; banners
PHONE = 380  # px: what is left of a phone's width for a figure
LEAST = 7.6  # px: the smallest text there
_TICKS = {"labelsize": SMALL, "major.size": 4, "major.width": 0.9}
_clock = time.perf_counter()


def use_style() -> None:
    """Sets the book's look for every later figure, SVG in a notebook, and starts the clock that ``finish`` reads."""
    global _clock
    _clock = time.perf_counter()
    rc = {
        "figure.figsize": (WIDTH, 3.4), "figure.constrained_layout.use": True, "axes.spines.top": False,
        "axes.spines.right": False, "axes.linewidth": 0.9, "axes.titlesize": NORMAL, "axes.labelsize": NORMAL,
        "font.size": NORMAL, "grid.color": "#eeeeee", "legend.fontsize": SMALL, "legend.title_fontsize": SMALL,
        "legend.frameon": False, "legend.handlelength": 1.8, "legend.columnspacing": 1.2, "svg.hashsalt": "npflib",
        "image.cmap": "viridis", "image.interpolation": "nearest",
    }  # fmt: skip
    rc |= {f"{axis}.{name}": size for axis in ("xtick", "ytick") for name, size in _TICKS.items()}
    sns.set_theme(context="notebook", style="ticks", rc=rc)
    _titled()


def _titled(**title: str) -> None:
    """In a notebook the next figures are SVG, of this title."""
    if mpl.get_backend().lower().endswith("inline"):
        from matplotlib_inline.backend_inline import set_matplotlib_formats  # such a backend is this package's

        # The whole figure and no more: cut to its contents, each figure would be shown at another scale.
        set_matplotlib_formats("svg", metadata={"Date": None} | title, bbox_inches=None)


def shades(count: int) -> list[tuple[float, ...]]:
    """Colours of an ordered quantity (layers, widths, step sizes), from dark to light; none is a regime's."""
    return [mpl.colormaps["plasma"](place) for place in np.linspace(0.0, 0.6, count)]


def finish(
    figure: Figure, *, profile: str = "", seeds: int | Sequence[int] | None = None,
    data: Mapping[str, Any] | None = None, code: str = "", note: str = "", runs: Runs = (),
) -> Figure:  # fmt: skip
    """Labels a figure with its provenance, its SVG's title; stand-in data are said in the figure, by a red banner.

    Without a ``profile`` it is a drawing, which shows nothing computed; ``data`` is a ``Source.as_dict()``; ``code`` is
    the notebook. The label ends with where and how long it took: the trained ``runs`` shown, else since ``use_style``.
    """
    parts = [f"profile: {profile}" if profile else "a drawing"]
    if seeds is not None:
        parts.append(f"n = {seeds if isinstance(seeds, int) else len(seeds):,}")
    if data or profile:
        parts.append(f"data: {data['title']}" if data else "no data set")
    parts += filter(None, (note, code, profile and _effort(list(_records(runs)))))
    figure.set_label(" · ".join(parts))
    _titled(Title=figure.get_label())
    if data and data["stand_in"]:  # below: above it would meet the figures' own titles and legends
        look = {"color": "white", "backgroundcolor": "#B00020", "fontweight": "bold"}
        figure.supxlabel("STAND-IN DATA. Not a test of the paper.", x=0.01, ha="left", fontsize=TINY, **look)
    if figure.get_figwidth() > WIDTH + 1e-9:
        wide = f"the figure is {figure.get_figwidth():g} inches wide; allowed is figures.style.WIDTH, {WIDTH:g}"
        mend = "Stack its panels, or give them less width"
        raise ValueError(f"{wide}, so that all figures are shown at one scale. {mend}.")
    figure.draw_without_rendering()
    for text in figure.findobj(Text):
        points, size = text.get_fontsize(), pixels_on_a_phone(figure, text.get_fontsize())
        if text.get_visible() and text.get_text().strip() and size < LEAST:
            small = f"the text {text.get_text()!r} has {points:g} points, which is {size:.1f} px on a phone"
            raise ValueError(f"{small}; allowed are {LEAST:g} px or more: use figures.style.SMALL or NORMAL.")
    frame, inked = figure.bbox, figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    beyond = max(frame.x0 - inked.x0, frame.y0 - inked.y0, inked.x1 - frame.x1, inked.y1 - frame.y1)
    if beyond > 3:
        warnings.warn(f"something in the figure is drawn {beyond:.0f} px beyond its frame and is cut off", stacklevel=2)
    return figure


def pixels_on_a_phone(figure: Figure, points: float) -> float:
    """How tall type of so many points is when the figure is as wide as a phone's screen allows, in CSS pixels."""
    return float(points * PHONE / (72 * figure.get_figwidth()))


def _records(runs: Runs) -> Iterator[Record]:
    """The records in nested lists and mappings."""
    if isinstance(runs, Record):
        yield runs
    else:
        for part in runs.values() if isinstance(runs, Mapping) else runs:
            yield from _records(part)


def _effort(runs: Sequence[Record]) -> str:
    """Machine, its kind and time, of the runs or else of the notebook so far: "trained on AMD EPYC (CPU) in 3.5 h"."""
    if runs:
        named = {str(run.environment.get("device", "")) for run in runs}
        kinds = {name: "GPU" if re.search("NVIDIA|Tesla|GeForce", name) else "CPU" for name in named}
        devices = sorted(f"{name} ({kinds[name]})" if name else "an unnamed device" for name in named)
        return f"trained on {' and '.join(devices)} in {_duration(sum(run.seconds for run in runs))}"
    threads = torch.get_num_threads()
    cpu = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    where = f"{torch.cuda.get_device_name()} (GPU)" if torch.cuda.is_available() else cpu
    return f"{where}, {_duration(time.perf_counter() - _clock)} into the notebook"


def _duration(seconds: float) -> str:
    """Two or three digits with the unit that suits, e.g. "41 s", "12 min", "3.5 h"."""
    if seconds < 99.5:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
