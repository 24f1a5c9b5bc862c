"""Figures of kernels as matrices: heat maps of examples against examples, sorted by class."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from companion.figures.style import SMALL, WIDTH


def heat_map(ax: Axes, matrix: np.ndarray, labels: ArrayLike, norm: PowerNorm, title: str = "") -> AxesImage:
    """Draws a kernel matrix [n, n] of examples that come sorted by label, with the classes marked.

    Raises:
        ValueError: the matrix is not [n, n] for n labels, or labels are not sorted.
    """
    matrix, labels = np.asarray(matrix, dtype=float), np.asarray(labels)
    if matrix.shape != (len(labels), len(labels)):
        raise ValueError(f"a matrix [{len(labels)}, {len(labels)}] fits {len(labels)} labels; got {matrix.shape}.")
    if (np.diff(labels) < 0).any():
        raise ValueError("examples must be sorted by label: sort with labels.argsort(stable=True) first.")
    image = ax.imshow(matrix, norm=norm, cmap="magma", interpolation="nearest")
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    ends = np.append(starts[1:], len(labels))
    for edge in starts[1:]:
        ax.axhline(edge - 0.5, color="white", linewidth=0.3, alpha=0.6)
        ax.axvline(edge - 0.5, color="white", linewidth=0.3, alpha=0.6)
    centres = (starts + ends - 1) / 2
    names = [str(label) for label in labels[starts]]
    ax.set_xticks(centres, names, fontsize=SMALL)
    ax.set_yticks(centres, names, fontsize=SMALL)
    ax.tick_params(length=0, pad=2)
    ax.set_title(title)
    for side in ax.spines.values():
        side.set_visible(False)
    return image


def heat_map_grid(
    rows: Mapping[str, Mapping[str, np.ndarray]], labels: Sequence[int], *, power: float = 0.5, quantity: str = "cosine"
) -> Figure:
    """Heat maps in rows and columns that all share one colour scale from 0 to 1.

    Args:
        rows: row title → (panel title → matrix [n, n] with entries from 0 to 1).
        labels: [n], sorted.
        power: the colour follows (entry)^power; below 1 it spreads the small entries.
        quantity: what the entries are, written at the colour bar.

    Raises:
        ValueError: an entry outside [0, 1] by more than rounding.
    """
    for title, panels in rows.items():
        for name, matrix in panels.items():
            low, high = float(np.min(matrix)), float(np.max(matrix))
            if low < -1e-9 or high > 1 + 1e-6:
                raise ValueError(f"{title}, {name}: entries must lie in [0, 1]; they go from {low:g} to {high:g}.")
    columns = max(len(panels) for panels in rows.values())
    fig, axes = plt.subplots(len(rows), columns, figsize=(WIDTH, 0.9 + 1.75 * len(rows)), squeeze=False)
    norm = PowerNorm(power, vmin=0, vmax=1)
    for line, (title, panels) in zip(axes, rows.items(), strict=True):
        for ax, (name, matrix) in zip(line, panels.items(), strict=True):
            image = heat_map(ax, matrix, labels, norm, name)
        line[0].set_ylabel(f"{title}\ndigit")
    for ax in axes[-1]:
        ax.set_xlabel("digit")
    bar = fig.colorbar(image, ax=axes, shrink=0.8, aspect=32, ticks=[0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1])
    bar.ax.set_yticklabels(["0", "0.01", "0.05", "0.1", "0.2", "0.4", "0.6", "0.8", "1"], fontsize=SMALL)
    bar.set_label(quantity)
    bar.outline.set_visible(False)
    return fig
