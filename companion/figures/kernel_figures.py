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

from companion.figures.drawing import band, entry, errors, key, logarithmic, panel_grid, ticks
from companion.figures.gate_activity import AFTER, BEFORE
from companion.figures.style import GATE, INACTIVE, INK, PAPER, SMALL, VALUE, WIDTH, shades

Times = Sequence[np.ndarray]  # of each network: seconds of the repetitions
Curve = tuple[ArrayLike, ArrayLike]
ByWidth = Mapping[int, ArrayLike]
LAWS = {"signed": ("Rademacher ±σ", VALUE, "o"), "gaussian": ("Gaussian", GATE, "s")}


def heat_map_grid(rows: Mapping[str, Mapping[str, np.ndarray]], labels: Sequence[int]) -> Figure:
    """Normalised kernels of examples sorted by label, row → panel → matrix [n, n], on one scale of colours, √entry."""
    if (np.diff(labels) < 0).any():
        raise ValueError("examples must be sorted by label: sort with labels.argsort(stable=True) first.")
    names, counts = (found.tolist() for found in np.unique(labels, return_counts=True))
    columns = max(len(panels) for panels in rows.values())
    fig, axes = plt.subplots(len(rows), columns, figsize=(WIDTH, 0.9 + 1.75 * len(rows)), squeeze=False)
    for line, (title, panels) in zip(axes, rows.items(), strict=True):
        for ax, (name, matrix) in zip(line, panels.items(), strict=True):
            low, high = float(np.min(matrix)), float(np.max(matrix))
            if low < -1e-9 or high > 1 + 1e-6:
                raise ValueError(f"{title}, {name}: entries must lie in [0, 1]; they go from {low:g} to {high:g}.")
            image = _matrix(ax, matrix, counts, names, norm=PowerNorm(0.5, vmin=0, vmax=1), cmap="magma")
            ax.set_title(name)
        line[0].set_ylabel(f"{title}\ndigit")
    for ax in axes[-1]:
        ax.set_xlabel("digit")
    bar = fig.colorbar(image, ax=axes, shrink=0.8, aspect=32, label="cosine")
    ticks(bar.ax.yaxis, [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1])
    bar.outline.set_visible(False)
    return fig


def heat_maps(
    panels: Mapping[str, ArrayLike], counts: Sequence[int], *, diverging: Sequence[str] = (), top: float | None = None
) -> Figure:
    """Kernels [n, n] of digits sorted by class, side by side, each with its own colours, up to ``top`` or to 99 %."""
    columns = len(panels) if len(panels) < 4 else 2
    figure, axes = panel_grid(len(panels), columns, height=0.55 + WIDTH / columns, extra=0.6)
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
    """Contrast of the path overlap, within over between classes, by layer [seeds, layers] and class; and of inputs."""
    fig, (left, right) = panel_grid(2, height=3.7, sharey=True)
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
    return key(fig)


def costs(
    paths: Sequence[float], enumerated: Times, product: Times, large: tuple[float, np.ndarray], examples: int
) -> Figure:
    """Seconds [networks, repetitions] of a kernel matrix, enumerated or as a product; ``large``: (paths, seconds)."""
    fig, ax = plt.subplots(figsize=(WIDTH, 3.4))
    listed, formed = (GATE, "s", "paths enumerated"), (AFTER, "o", "product form")
    for times, (colour, marker, label) in ((enumerated, listed), ([*product, large[1]], formed)):
        low, middle, high = np.transpose([np.percentile(t, (0, 50, 100)) for t in times])
        look = {"color": colour, "marker": marker, "label": label, "linestyle": "-", "capsize": 0}
        errors(ax, [*paths, large[0]][: len(times)], middle, low, high, **look)
    ax.set(xscale="log", yscale="log", xlabel="paths $P$ of the network")
    ax.set_ylabel(f"seconds for $H$ of {examples:,} examples")
    look = {"textcoords": "offset points", "ha": "right", "fontsize": SMALL, "color": PAPER}
    ax.annotate("the MNIST network", (large[0], np.median(large[1])), (-8, 8), **look)
    return key(fig)


def parts_by_steepness(betas: ArrayLike, value: ArrayLike, gate: ArrayLike, chosen: float) -> Figure:
    """Traces of both parts of the tangent kernel, [seeds, points], and the gate part's share, by steepness β."""
    betas, value, gate = (np.asarray(a, dtype=float) for a in (betas, value, gate))
    figure, (left, right) = panel_grid(2, height=3.7)
    look: dict[str, Any] = {"marker": "o", "markersize": 4, "shade": 0.25}
    band(left, betas, value, color=VALUE, label="value part", **look)
    band(left, betas, gate, color=GATE, label="gate part", **look)
    small = slice(0, 3), 2, 0.45, r" $\propto\beta^2$", "top", "left"
    large = slice(-3, None), 1, 2.5, r"$\propto\beta$ ", "bottom", "right"
    for part, power, shift, label, side, align in (small, large):
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
    return key(figure)


def remainders(steps: ArrayLike, sizes: ArrayLike, switches: ArrayLike) -> Figure:
    """‖e' - (I - αK) e‖ / ‖e‖ of one step, [networks, points], by step size, and how many signs switched in it."""
    steps, sizes, switches = (np.asarray(a, dtype=float) for a in (steps, sizes, switches))
    figure, ax = plt.subplots(figsize=(WIDTH, 3.9))
    ax.plot(steps, sizes.T, color=VALUE, linewidth=0.7, alpha=0.5)
    x, still = np.broadcast_to(steps, sizes.shape), switches == 0
    ax.scatter(x[still], sizes[still], s=22, color=VALUE, zorder=3, label="no unit switches")
    look = {"facecolor": "white", "edgecolor": GATE, "label": "units of the feature network switch"}
    ax.scatter(x[~still], sizes[~still], s=22, zorder=3, **look)
    line = 30 * np.median(sizes[:, 0]) * (steps / steps[0]) ** 2
    ax.plot(steps, line, color=PAPER, linestyle=":", linewidth=1.4, label=r"$\propto\alpha^2$")
    ax.set(xscale="log", yscale="log", xlabel=r"step size $\alpha\,\lambda_{\max}(K)$")
    ax.set_ylabel(r"$\|e_{t+1}-(I-\alpha K_t)\,e_t\|\;/\;\|e_t\|$")
    return key(figure)


def descent(runs: Sequence[Mapping[str, ArrayLike]], frozen: Mapping[str, ArrayLike]) -> Figure:
    """Gradient descent by its kernel: loss, one-step error and traces of each run; ``frozen`` is predicted from K_0."""
    figure, (loss, error, growth) = panel_grid(3, 1, height=2.7, sharex=True)
    label = r"$(I-\alpha K_0)^t e_0$: kernel frozen"
    loss.plot(frozen["time"], frozen["loss"], color=GATE, linestyle="--", label=label)
    for run, colour in zip(runs, shades(len(runs)), strict=True):
        loss.plot(run["time"], run["loss"], color=colour, label=f"gradient descent, {run['label']!s}")
        error.plot(run["time"], run["error"], color=colour)
    last, look = runs[-1], {"markersize": 5, "markerfacecolor": "none", "label": r"$\prod_t (I-\alpha K_t)\, e_0$"}
    time, chained = (np.asarray(last[name])[:: max(1, np.size(last["time"]) // 16)] for name in ("time", "chained"))
    loss.plot(time, chained, "o", color=PAPER, **look)
    loss.set_ylabel("mean squared residual")
    error.set_ylabel("one-step error,\nrelative to the step")
    growth.plot(last["time"], last["value"], color=VALUE, label=r"tr $K_{\rm value}$")
    growth.plot(last["time"], last["gate"], color=GATE, label=r"tr $K_{\rm gate}$")
    growth.set(ylabel=r"trace / tr $K_0$", xlabel=r"time $t\,\alpha\,\lambda_{\max}(K_0)$")
    growth.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)  # above its panel: the curves fill it
    for ax in (loss, error, growth):
        ax.set_yscale("log")
        ticks(ax.yaxis)
    return key(figure, *loss.get_legend_handles_labels())


def bias_by_width(widths: Sequence[int], results: Mapping[str, Curve]) -> Figure:
    """Relative bias of the mean value kernel: law → (bias, standard error), [points], with 95 % bands by width."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.5))
    grid = np.asarray(widths, dtype=float)
    ax.axhline(0, color=PAPER, linewidth=0.9)
    for shift, (law, (bias, error)) in zip((0.97, 1.03), results.items(), strict=False):
        label, colour, marker = LAWS[law]
        middle, half = 100 * np.asarray(bias), 196 * np.asarray(error)
        ax.fill_between(grid, middle - half, middle + half, color=colour, alpha=0.15, linewidth=0)
        errors(ax, grid * shift, middle, half, color=colour, marker=marker, label=label)
    ax.plot(grid, np.transpose([100 / grid, -100 / grid]), ":", color=PAPER, label=("for scale: ±1/w", "_"))
    logarithmic(ax, widths)
    ax.set_ylabel(r"bias $\langle \bar K - E, E\rangle/\|E\|^2$, %")
    return key(figure)


def spread_by_width(widths: Sequence[int], results: Mapping[str, Any], fitted: Sequence[int], exact: Any) -> Figure:
    """Relative deviation of the value kernel by width with 95 % intervals, and of its diagonal beside the exact one."""
    figure, (whole, diagonal) = panel_grid(2, height=3.9, sharey=True)
    grid = np.asarray(widths, dtype=float)
    for law, found in results.items():
        label, colour, marker = LAWS[law]
        for ax, name, prefix in ((whole, "spread", ""), (diagonal, "diagonal", "diagonal ")):
            ends = found[f"{prefix}low"], found[f"{prefix}high"]
            ax.fill_between(grid, *ends, color=colour, alpha=0.2, linewidth=0)
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
        logarithmic(ax, widths)
    return key(figure)


def variance_by_depth(
    depths: Sequence[int], measured: ByWidth, low: ByWidth, high: ByWidth, curves: Mapping[int, Curve], limit: Curve
) -> Figure:
    """Relative variance of K(s, s) times the width by depth: width → it and its 95 % interval; exact curves, limit."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.9))
    ax.plot(*limit, color=PAPER, linestyle="--", linewidth=1.2, label="exact, w → ∞")
    for colour, width in zip(shades(len(measured)), measured, strict=True):
        errors(ax, depths, measured[width], low[width], high[width], color=colour, label=f"w = {width}")
        ax.plot(*curves[width], color=colour, linewidth=1)
    ax.set(yscale="log", ylabel="relative variance × width")
    ticks(ax.yaxis)
    logarithmic(ax, depths, "depth d (weight layers)")
    return key(figure)


def dependence_by_width(widths: Sequence[int], ratios: Mapping[str, Mapping[str, Curve]], limit: float) -> Figure:
    """Mean value kernel over the theorem's, on and off the diagonal; ``limit`` is that of infinitely wide networks."""
    figure, axes = panel_grid(2, height=3.6, sharey=True)
    independent, shared = ("independent gates (II)", VALUE, "o", 0.97), ("shared start (DI)", GATE, "s", 1.03)
    for ax, part, title in zip(axes, ("trace", "off"), ("on the diagonal", "off the diagonal"), strict=True):
        ax.axhline(1, color=PAPER, linewidth=0.9)
        for kind, (label, colour, marker, shift) in (("independent", independent), ("shared", shared)):
            ratio, error = map(np.asarray, ratios[kind][part])
            errors(ax, np.asarray(widths) * shift, ratio, 1.96 * error, color=colour, marker=marker, label=label)
        logarithmic(ax, widths)
        ax.set_title(title)
    axes[1].axhline(limit, color=GATE, linestyle="--", linewidth=1.2, label="shared, infinitely wide")
    axes[0].set_ylabel(r"mean $K_{\rm value}$ / $d\,\sigma^{2(d-1)}$ mean $H$")
    return key(figure)


def flow_distances(panels: Mapping[str, Mapping[str, Sequence[Any]]]) -> Figure:
    """Title → name → (steps, distances [seeds, steps]), or (widths, distances, the slope of the power law drawn)."""
    looks = {"drift": (VALUE, "o"), "spread": (GATE, "s"), "total": (INK, "d")}
    figure, axes = panel_grid(len(panels), height=2.7, extra=0.5, sharey=True)
    for ax, (title, found) in zip(axes, panels.items(), strict=True):
        for line, (name, (places, runs, *fits)) in enumerate(found.items()):
            colour, marker = looks[name]
            look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4.5}
            band(ax, places, runs, shade=0.15, linestyle="none" if fits else "-", **look)
            for fit in fits:
                x, y = np.log(places), np.log(runs).mean(0)
                ax.plot(places, np.exp(y.mean() + fit.value * (x - x.mean())), color=colour, linewidth=1.2)
                ax.text(0.03, 0.04 + 0.1 * line, f"{name} {fit}", transform=ax.transAxes, fontsize=SMALL, color=colour)
        shown = sorted({int(place) for drawn, *_ in found.values() for place in drawn})
        some = shown[::-1][::2] if len(shown) > 5 else shown
        logarithmic(ax, some, "width w, slopes [90 %]" if fits else "steps")
        ax.set(yscale="log", title=title)
    for ax in axes[::2]:
        ax.set_ylabel("distance / way of the flow")
    ticks(axes[0].yaxis)
    handles = [entry(name, color=colour, marker=marker) for name, (colour, marker) in looks.items()]
    return key(figure, handles)


def _matrix(ax: Axes, matrix: ArrayLike, counts: Sequence[int], names: Sequence, **colours: Any) -> AxesImage:
    """Draws a kernel [n, n] of examples sorted by class, with the classes marked."""
    matrix, count = np.asarray(matrix, dtype=float), sum(counts)
    if matrix.shape != (count, count):
        raise ValueError(f"a matrix [{count}, {count}] fits {count} labels; got {matrix.shape}.")
    image = ax.imshow(matrix, **colours)
    edges = np.cumsum(counts)
    for edge in edges[:-1] if max(counts) > 1 else ():
        for line in (ax.axhline, ax.axvline):
            line(edge - 0.5, color="white", linewidth=0.4, alpha=0.8)
    centres = edges - np.asarray(counts) / 2 - 0.5
    ax.set_xticks(centres, names)
    ax.set_yticks(centres, names)
    ax.tick_params(length=0, pad=2)
    ax.spines[:].set_visible(False)
    return image
