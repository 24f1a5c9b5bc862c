"""Figures of kernels: as matrices, by class and by cost, their two parts, gradient descent by them, and fixed gates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from companion.figures.drawing import band, errors, key, panel_grid, ticks
from companion.figures.gate_activity import AFTER, BEFORE
from companion.figures.style import GATE, INACTIVE, PAPER, SMALL, VALUE, WIDTH, shades

LAWS = {"signed": ("Rademacher ±σ", VALUE, "o"), "gaussian": ("Gaussian", GATE, "s")}


def heat_map_grid(
    rows: Mapping[str, Mapping[str, np.ndarray]], labels: Sequence[int], *, power: float = 0.5, quantity: str = "cosine"
) -> Figure:
    """Kernels on examples sorted by label, in rows and columns that all share one colour scale from 0 to 1.

    Args:
        rows: row title → (panel title → matrix [n, n] with entries from 0 to 1).
        labels: [n], sorted.
        power: the colour follows (entry)^power; below 1 it spreads the small entries.
        quantity: what the entries are, written at the colour bar.

    Raises:
        ValueError: an entry outside [0, 1] by more than rounding, a matrix that is not [n, n], or labels not sorted.
    """
    if (np.diff(labels) < 0).any():
        raise ValueError("examples must be sorted by label: sort with labels.argsort(stable=True) first.")
    names, counts = (found.tolist() for found in np.unique(labels, return_counts=True))
    for title, panels in rows.items():
        for name, matrix in panels.items():
            low, high = float(np.min(matrix)), float(np.max(matrix))
            if low < -1e-9 or high > 1 + 1e-6:
                raise ValueError(f"{title}, {name}: entries must lie in [0, 1]; they go from {low:g} to {high:g}.")
    columns = max(len(panels) for panels in rows.values())
    fig, axes = plt.subplots(len(rows), columns, figsize=(WIDTH, 0.9 + 1.75 * len(rows)), squeeze=False)
    for line, (title, panels) in zip(axes, rows.items(), strict=True):
        for ax, (name, matrix) in zip(line, panels.items(), strict=True):
            image = _matrix(ax, matrix, counts, names, norm=PowerNorm(power, vmin=0, vmax=1), cmap="magma")
            ax.set_title(name)
        line[0].set_ylabel(f"{title}\ndigit")
    for ax in axes[-1]:
        ax.set_xlabel("digit")
    bar = fig.colorbar(image, ax=axes, shrink=0.8, aspect=32, label=quantity)
    ticks(bar.ax.yaxis, [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1])
    bar.outline.set_visible(False)
    return fig


def heat_maps(
    panels: Mapping[str, ArrayLike], counts: Sequence[int], *, diverging: Sequence[str] = (), top: float | None = None
) -> Figure:
    """Kernels on digits sorted by class, side by side, each with its own colours.

    Args:
        panels: title → kernel [n, n].
        counts: examples of each class, in the order of the rows.
        diverging: titles of panels whose colours are symmetric about 0.
        top: where the other panels' colours end; None means the 99th percentile of each.
    """
    columns = len(panels) if len(panels) < 4 else 2
    figure, axes, _ = panel_grid(len(panels), columns, height=0.55 + WIDTH / columns, extra=0.6)
    for ax, (title, matrix) in zip(axes, panels.items(), strict=True):
        matrix = np.asarray(matrix, dtype=float)
        high = np.abs(matrix).max() if title in diverging else np.percentile(matrix, 99) if top is None else top
        look = {"vmin": -high, "cmap": "RdBu_r"} if title in diverging else {"vmin": 0.0, "cmap": "viridis"}
        image = _matrix(ax, matrix, counts, range(len(counts)), vmax=high, **look)
        figure.colorbar(image, ax=ax, orientation="horizontal", fraction=0.05, pad=0.03)
        ax.set_title(title)
    return figure


def contrasts(
    by_layer: Mapping[str, np.ndarray], by_class: Mapping[str, np.ndarray], inputs: np.ndarray, classes: Sequence[int]
) -> Figure:
    """Contrast of the path overlap (mean within classes over mean between them), before and after training.

    Args:
        by_layer: "before", "after" → [seeds, layers]: contrast of the overlap in the first l hidden layers.
        by_class: the same → [seeds, classes]: contrast of all hidden layers together, one class against the others.
        inputs: [seeds]: contrast of the inputs' own Gram matrix, for comparison.
        classes: names of the classes.
    """
    fig, (left, right), _ = panel_grid(2, height=3.7, sharey=True)
    for name, colour, shift in (("before", BEFORE, -0.12), ("after", AFTER, 0.12)):
        values = by_layer[name]
        layers = 1 + np.arange(values.shape[1])
        look: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 4}
        band(left, layers, values, shade=0.25, label=f"$\\hat\\Lambda$ {name} training", **look)
        values, place = by_class[name], np.arange(len(classes)) + shift
        right.vlines(place, values.min(0), values.max(0), color=colour, linewidth=2.2, alpha=0.6)
        right.plot(place, values.mean(0), linestyle="", **look)
    left.axhspan(inputs.min(), inputs.max(), color=GATE, alpha=0.25, linewidth=0)
    left.axhline(inputs.mean(), color=GATE, linewidth=1.2, linestyle="--", label=r"$\hat\Sigma$, the inputs")
    for ax in (left, right):
        ax.axhline(1, color=PAPER, linewidth=0.8, linestyle=":")
    left.set(xlabel="hidden layers counted", ylabel="within ÷ between classes", xticks=layers)
    right.set(xlabel="digit", xticks=range(len(classes)), xticklabels=classes)
    left.set_title("all classes together")
    right.set_title("each class, all layers")
    key(fig)
    return fig


def costs(
    paths: Sequence[float],
    enumerated: Sequence[np.ndarray],
    product: Sequence[np.ndarray],
    large: tuple[float, np.ndarray],
    examples: int,
) -> Figure:
    """Seconds for one kernel matrix by enumeration and by the product form, against the number of paths.

    Args:
        paths: [networks] P, rising.
        enumerated: [networks] seconds of the repetitions of the enumeration.
        product: [networks] seconds of the repetitions of the product form.
        large: P and seconds of the product form of a network far too large to enumerate.
        examples: examples in the kernel matrix.
    """
    fig, ax = plt.subplots(figsize=(WIDTH, 3.4))
    for times, colour, marker, label in (
        (enumerated, GATE, "s", "paths enumerated"),
        ([*product, large[1]], AFTER, "o", "product form"),
    ):
        low, middle, high = np.transpose([np.percentile(t, (0, 50, 100)) for t in times])
        look = {"color": colour, "marker": marker, "label": label, "linestyle": "-", "capsize": 0}
        errors(ax, [*paths, large[0]][: len(times)], middle, low, high, **look)
    ax.set(xscale="log", yscale="log", xlabel="paths $P$ of the network")
    ax.set_ylabel(f"seconds for $H$ of {examples:,} examples")
    look = {"textcoords": "offset points", "ha": "right", "fontsize": SMALL, "color": PAPER}
    ax.annotate("the MNIST network", (large[0], np.median(large[1])), (-8, 8), **look)
    key(fig)
    return fig


def parts_by_steepness(betas: ArrayLike, value: ArrayLike, gate: ArrayLike, chosen: float) -> Figure:
    """Trace of both parts of the tangent kernel, and the gate part's share, against the gate's steepness β.

    Args:
        betas: [points].
        value: tr K_value / n, [seeds, points].
        gate: tr K_gate / n, [seeds, points].
        chosen: the β to mark.
    """
    betas, value, gate = (np.asarray(a, dtype=float) for a in (betas, value, gate))
    figure, (left, right), _ = panel_grid(2, height=3.7)
    look: dict[str, Any] = {"marker": "o", "markersize": 4, "shade": 0.25}
    band(left, betas, value, color=VALUE, label="value part", **look)
    band(left, betas, gate, color=GATE, label="gate part", **look)
    for part, power, shift, label, side, align in (
        (slice(0, 3), 2, 0.45, r" $\propto\beta^2$", "top", "left"),
        (slice(-3, None), 1, 2.5, r"$\propto\beta$ ", "bottom", "right"),
    ):
        line = shift * gate.mean(0)[part][0] * (betas[part] / betas[part][0]) ** power
        left.plot(betas[part], line, color=PAPER, linestyle=":", linewidth=1.2)
        left.annotate(label, (betas[part][1], line[1]), color=PAPER, fontsize=SMALL, va=side, ha=align)
    left.set(yscale="log", ylabel="trace / n")
    band(right, betas, 100 * gate / (value + gate), color=GATE, **look)
    right.set(ylabel="share of the trace, %", ylim=(0, 100))
    for ax in (left, right):
        ax.set(xscale="log", xlabel="steepness β of the soft gate")
        ax.axvline(chosen, color=PAPER, linewidth=0.9, linestyle="--")
    right.annotate(f" β = {chosen:g}", (chosen, 92), color=PAPER, fontsize=SMALL)
    key(figure)
    return figure


def remainders(steps: ArrayLike, sizes: ArrayLike, switches: ArrayLike) -> Figure:
    """What one step of gradient descent leaves unexplained, against the step size.

    Args:
        steps: α · λ_max, [points].
        sizes: ‖e' - (I - αK) e‖ / ‖e‖, [networks, points].
        switches: how many (unit, example) pairs of the feature network changed sign in that step, same shape.
    """
    steps, sizes, switches = (np.asarray(a, dtype=float) for a in (steps, sizes, switches))
    figure, ax = plt.subplots(figsize=(WIDTH, 3.9))
    ax.plot(steps, sizes.T, color=VALUE, linewidth=0.7, alpha=0.5)
    x, still = np.broadcast_to(steps, sizes.shape), switches == 0
    ax.scatter(x[still], sizes[still], s=22, color=VALUE, zorder=3, label="no unit switches")
    ax.scatter(
        x[~still], sizes[~still], s=22, facecolor="white", edgecolor=GATE, zorder=3,
        label="units of the feature network switch",
    )  # fmt: skip
    line = 30 * np.median(sizes[:, 0]) * (steps / steps[0]) ** 2
    ax.plot(steps, line, color=PAPER, linestyle=":", linewidth=1.4, label=r"$\propto\alpha^2$")
    ax.set(xscale="log", yscale="log", xlabel=r"step size $\alpha\,\lambda_{\max}(K)$")
    ax.set_ylabel(r"$\|e_{t+1}-(I-\alpha K_t)\,e_t\|\;/\;\|e_t\|$")
    key(figure)
    return figure


def descent(runs: Sequence[Mapping[str, ArrayLike]], frozen: Mapping[str, ArrayLike]) -> Figure:
    """Full-batch gradient descent followed by its kernel: the loss, the one-step error and the kernel's growth.

    Args:
        runs: one a step size, largest first: "label", "time" (α λ_max(K_0) t), "loss", "chained" (the loss when every
            step is replaced by I - αK_t), "error" (relative one-step error), "value" and "gate" (traces over the
            first trace of the whole kernel).
        frozen: "time" and "loss" of the prediction from K_0 alone.
    """
    figure, (loss, error, growth), _ = panel_grid(3, 1, height=2.7, sharex=True)
    loss.plot(
        frozen["time"], frozen["loss"], color=GATE, linestyle="--", label=r"$(I-\alpha K_0)^t e_0$: kernel frozen"
    )
    for run, colour in zip(runs, shades(len(runs)), strict=True):
        loss.plot(run["time"], run["loss"], color=colour, label=f"gradient descent, {run['label']!s}")
        error.plot(run["time"], run["error"], color=colour)
    last = runs[-1]
    shown = slice(None, None, max(1, np.size(last["time"]) // 16))
    loss.plot(
        np.asarray(last["time"])[shown], np.asarray(last["chained"])[shown], linestyle="none", marker="o",
        markersize=5, markerfacecolor="none", color=PAPER, label=r"$\prod_t (I-\alpha K_t)\, e_0$",
    )  # fmt: skip
    loss.set_ylabel("mean squared residual")
    error.set_ylabel("one-step error,\nrelative to the step")
    growth.plot(last["time"], last["value"], color=VALUE, label=r"tr $K_{\rm value}$")
    growth.plot(last["time"], last["gate"], color=GATE, label=r"tr $K_{\rm gate}$")
    growth.set(ylabel=r"trace / tr $K_0$", xlabel=r"time $t\,\alpha\,\lambda_{\max}(K_0)$")
    growth.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)  # above its panel: the curves fill it
    for ax in (loss, error, growth):
        ax.set_yscale("log")
        ticks(ax.yaxis)
    key(figure, *loss.get_legend_handles_labels())
    return figure


def bias_by_width(widths: Sequence[int], results: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Relative bias of the mean value kernel with 95 % bands, against the width.

    Args:
        widths: [points].
        results: law → (bias [points], standard error [points]).
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.5))
    grid = np.asarray(widths, dtype=float)
    ax.axhline(0, color=PAPER, linewidth=0.9)
    for shift, (law, (bias, error)) in zip((0.97, 1.03), results.items(), strict=False):
        label, colour, marker = LAWS[law]
        middle, half = 100 * np.asarray(bias), 196 * np.asarray(error)
        ax.fill_between(grid, middle - half, middle + half, color=colour, alpha=0.15, linewidth=0)
        errors(ax, grid * shift, middle, middle - half, middle + half, color=colour, marker=marker, label=label)
    ax.plot(grid, np.transpose([100 / grid, -100 / grid]), ":", color=PAPER, label=("for scale: ±1/w", "_"))
    _logarithmic(ax, widths)
    ax.set_ylabel(r"bias $\langle \bar K - E, E\rangle/\|E\|^2$, %")
    key(figure)
    return figure


def spread_by_width(
    widths: Sequence[int],
    results: Mapping[str, Mapping[str, ArrayLike]],
    fitted: Sequence[int],
    exact: Mapping[str, ArrayLike],
) -> Figure:
    """Relative spread of the value kernel against the width, on logarithmic axes.

    Args:
        widths: [points].
        results: law → {"spread", "low", "high"}: relative standard deviation of the whole kernel with its 95 %
            interval; {"diagonal", "diagonal low", "diagonal high"}: of its diagonal.
        fitted: the widths that enter the fit of the slope.
        exact: law → exact relative standard deviation of the diagonal, [points].
    """
    figure, (whole, diagonal), _ = panel_grid(2, height=3.9, sharey=True)
    grid = np.asarray(widths, dtype=float)
    for law, found in results.items():
        label, colour, marker = LAWS[law]
        for ax, name, prefix in ((whole, "spread", ""), (diagonal, "diagonal", "diagonal ")):
            low, high = found[f"{prefix}low"], found[f"{prefix}high"]
            ax.fill_between(grid, low, high, color=colour, alpha=0.2, linewidth=0)
            ax.plot(grid, found[name], color=colour, marker=marker, linestyle="none", markersize=5, label=label)
        diagonal.plot(grid, exact[law], color=colour, linewidth=1.2, label=f"{label}, exact")
    last = np.asarray(results["signed"]["spread"])[-1]
    whole.plot(grid, last * np.sqrt(grid[-1] / grid), color=PAPER, linestyle=":", label=r"$\propto w^{-1/2}$")
    whole.axvspan(min(fitted) / 1.15, max(fitted) * 1.15, color=INACTIVE, alpha=0.25, linewidth=0, label="fitted")
    whole.set(title="the whole kernel", ylabel="relative standard deviation")
    diagonal.set(title="its diagonal")
    for ax in (whole, diagonal):
        ax.set_yscale("log")
        ticks(ax.yaxis, [0.1, 0.2, 0.5, 1, 2, 5])
        _logarithmic(ax, widths)
    key(figure)
    return figure


def variance_by_depth(
    depths: Sequence[int],
    measured: Mapping[int, ArrayLike],
    low: Mapping[int, ArrayLike],
    high: Mapping[int, ArrayLike],
    curves: Mapping[int, tuple[ArrayLike, ArrayLike]],
    limit: tuple[ArrayLike, ArrayLike],
) -> Figure:
    """Relative variance of K(s, s) times the width, against the depth, for several widths.

    Args:
        depths: [points].
        measured, low, high: width → that product [points] and its 95 % interval.
        curves: width → (depths, exact product).
        limit: (depths, the product's limit for wide networks).
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.9))
    ax.plot(*limit, color=PAPER, linestyle="--", linewidth=1.2, label="exact, w → ∞")
    for colour, width in zip(shades(len(measured)), measured, strict=True):
        errors(ax, depths, measured[width], low[width], high[width], color=colour, label=f"w = {width}")
        ax.plot(*curves[width], color=colour, linewidth=1)
    ax.set(yscale="log", ylabel="relative variance × width")
    ticks(ax.yaxis)
    _logarithmic(ax, depths, "depth d (weight layers)")
    key(figure)
    return figure


def dependence_by_width(
    widths: Sequence[int], ratios: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]], limit: float
) -> Figure:
    """Mean value kernel over the theorem's, on the diagonal and off it, for shared and for independent gates.

    Args:
        widths: [points].
        ratios: "shared" or "independent" → "trace" or "off" → (ratio [points], standard error [points]).
        limit: the ratio off the diagonal of infinitely wide networks with shared gates.
    """
    figure, axes, _ = panel_grid(2, height=3.6, sharey=True)
    looks = {
        "independent": ("independent gates (II)", VALUE, "o", 0.97),
        "shared": ("shared start (DI)", GATE, "s", 1.03),
    }
    for ax, part, title in zip(axes, ("trace", "off"), ("on the diagonal", "off the diagonal"), strict=True):
        ax.axhline(1, color=PAPER, linewidth=0.9)
        for kind, (label, colour, marker, shift) in looks.items():
            ratio, half = np.asarray(ratios[kind][part][0]), 1.96 * np.asarray(ratios[kind][part][1])
            place = np.asarray(widths) * shift
            errors(ax, place, ratio, ratio - half, ratio + half, color=colour, marker=marker, label=label)
        _logarithmic(ax, widths)
        ax.set_title(title)
    axes[1].axhline(limit, color=GATE, linestyle="--", linewidth=1.2, label="shared, infinitely wide")
    axes[0].set_ylabel(r"mean $K_{\rm value}$ / $d\,\sigma^{2(d-1)}$ mean $H$")
    key(figure)
    return figure


def _matrix(ax: Axes, matrix: ArrayLike, counts: Sequence[int], names: Sequence, **colours: Any) -> AxesImage:
    """Draws a kernel [n, n] of examples sorted by class, with the classes marked."""
    matrix, count = np.asarray(matrix, dtype=float), sum(counts)
    if matrix.shape != (count, count):
        raise ValueError(f"a matrix [{count}, {count}] fits {count} labels; got {matrix.shape}.")
    image = ax.imshow(matrix, **colours)
    edges = np.cumsum(counts)
    for edge in edges[:-1] if max(counts) > 1 else ():
        ax.axhline(edge - 0.5, color="white", linewidth=0.4, alpha=0.8)
        ax.axvline(edge - 0.5, color="white", linewidth=0.4, alpha=0.8)
    centres = edges - np.asarray(counts) / 2 - 0.5
    ax.set_xticks(centres, names)
    ax.set_yticks(centres, names)
    ax.tick_params(length=0, pad=2)
    ax.spines[:].set_visible(False)
    return image


def _logarithmic(ax: Axes, places: Sequence[int], label: str = "width w") -> None:
    """A logarithmic x axis with its numbers where the points are."""
    ax.set(xscale="log", xlabel=label)
    ticks(ax.xaxis, places)
