"""Figures of paths and kernels: active paths, matrices, contrast, cost, two parts, descent, fixed gates, wide limit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import ArrayLike

from companion.figures import band, entry, errors, key, logarithmic, panel_grid, ticks
from companion.figures.style import ACTIVE, COLOURS, GATE, INACTIVE, INK, MUTED, PAPER, SMALL, VALUE, WIDTH, shades
from companion.studies import wide_kernels
from companion.studies.study import Table

BEFORE, AFTER = INACTIVE, ACTIVE
_MARKED: dict[str, Any] = {"marker": "o", "markersize": 4, "shade": 0.25}  # of a band whose points are few
Times = Sequence[np.ndarray]  # of each network: seconds of the repetitions
Arrays = Mapping[str, np.ndarray]  # by name, often "before" and "after"
Curve = tuple[ArrayLike, ArrayLike]
ByWidth = Mapping[int, ArrayLike]
LAWS = {"signed": ("Rademacher ±σ", VALUE, "o"), "gaussian": ("Gaussian", GATE, "s")}
# kind → what it is called, colour, marker, dashes
LOOKS = {
    "output": ("ReLU's NNGP kernel", "#7a3ff2", "P", (0, (1, 1))),
    "relu": ("ReLU's tangent kernel", COLOURS["ReLU"], "o", "-"),
    "gates": ("random gates", COLOURS["FRNPF-II"], "v", "-"),
    "overlap": ("random gates, no inputs", GATE, "X", (0, (4, 2))),
    "finite": (f"random gates, width {wide_kernels.WIDTH}", "#0b7285", "s", (0, (4, 1, 1, 1))),
    "linear": ("linear: no gates", MUTED, "D", (0, (1, 2))),
}


def rounding_errors(paths: ArrayLike, errors: ArrayLike, bounds: ArrayLike, controls: ArrayLike) -> Figure:
    """⟨φ, v⟩ - ŷ of random networks over Σ |φ(p) v(p)|, its bound, and controls, of which one gate was flipped."""
    paths, errors, bounds, controls = (np.asarray(a, dtype=float) for a in (paths, errors, bounds, controls))
    foot, moved, zero = 1e-18, controls > 0, errors == 0
    flipped, measured = {"linewidths": 0.8, "label": "control: one gate flipped"}, {"alpha": 0.7, "label": "measured"}
    exact = {"facecolors": "none", "edgecolors": ACTIVE, "linewidths": 0.8, "label": "exactly 0"}
    fig, ax = plt.subplots(figsize=(WIDTH, 3.9), dpi=144)  # thousands of dots are one picture, of a third of the weight
    ax.scatter(paths[moved], controls[moved], s=12, marker="x", color=GATE, **flipped)
    ax.scatter(paths, bounds, s=5, marker="_", color=PAPER, label="worst case of rounding")
    ax.scatter(paths[~zero], errors[~zero], s=10, color=ACTIVE, linewidths=0, **measured)
    ax.scatter(paths[zero], np.full(zero.sum(), foot), s=12, **exact)
    ax.axhline(2.0**-53, color=ACTIVE, linewidth=0.8, linestyle=":", label="half a unit in the last place")
    ax.set(xscale="log", yscale="log", ylim=(foot / 2, 8), xlabel="paths $P$ of the network", rasterization_zorder=1.5)
    ax.set_ylabel(r"error / $\sum_p|\phi(p)\,v(p)|$")
    return key(fig)


def active_shares(shares: Mapping[int, np.ndarray]) -> Figure:
    """Share of active paths in random networks: its mean by depth, and its spread by width, with what theory predicts.

    The share Λ(x, x) / w^(d-1), ``shares``: width → [networks, depths 2, 3, …], is a product of d - 1 independent
    Binomial(w, 1/2) / w: its mean is 2^-(d-1), its relative standard deviation sqrt((1 + 1/w)^(d-1) - 1).
    """
    widths = sorted(shares)
    depths = 2 + np.arange(shares[widths[0]].shape[1])
    fig, (left, right) = panel_grid(2, height=3.7)
    left.plot(depths, 2.0 ** -(depths - 1), color=PAPER, linewidth=1, label=r"$2^{-(d-1)}$", zorder=3)
    for k, (width, colour) in enumerate(zip(widths, shades(len(widths)), strict=True)):
        share, place = shares[width], depths + (k - (len(widths) - 1) / 2) * 0.5 / len(widths)
        low, high = np.percentile(share, [10, 90], axis=0)
        low = np.maximum(low, 2.0 ** -(depths[-1] + 4))
        left.vlines(place, low, high, color=colour, linewidth=1.6, alpha=0.75)
        left.plot(place, share.mean(0), "o", color=colour, markersize=3.6, label=f"$w={width}$")
    left.set(yscale="log", ylim=(2.0 ** -(depths[-1] + 2), 1.2), xticks=depths, title="mean and 10–90 % range")
    powers = range(0, -depths[-1] - 2, -max(1, depths[-1] // 6))
    left.set_yticks([2.0**power for power in powers], [f"$2^{{{power}}}$" for power in powers])
    left.yaxis.set_minor_locator(plt.NullLocator())
    left.set(xlabel="depth $d$ (weight layers)", ylabel="share of paths that are active")
    fine = np.geomspace(widths[0], widths[-1], 50)
    for index, marker, colour in zip(sorted({0, len(depths) // 2, len(depths) - 1}), "os^", shades(3), strict=False):
        right.plot(fine, np.sqrt((1 + 1 / fine) ** (depths[index] - 1) - 1), color=colour, linewidth=1)
        spread, noise = np.transpose([_relative_deviation(shares[width][:, index]) for width in widths])
        errors(right, widths, spread, noise, color=colour, marker=marker, label=f"$d={depths[index]}$")
    right.set(yscale="log", ylabel="relative standard deviation", title="measured, and exact")
    logarithmic(right, widths, "width $w$")
    ticks(right.yaxis)
    right.legend()
    return key(fig, *left.get_legend_handles_labels())


def _relative_deviation(sample: np.ndarray) -> tuple[float, float]:
    """Standard deviation over mean, and its standard error by the jackknife over twenty groups."""
    parts = np.array_split(np.arange(len(sample)), min(20, len(sample) // 2))
    every = [sample, *(np.delete(sample, part) for part in parts)]
    whole, *left_out = (values.std(ddof=1) / values.mean() for values in every)
    return float(whole), float(np.sqrt((len(parts) - 1) * np.var(left_out)))


def gate_strips(
    pictures: Sequence[np.ndarray], titles: Sequence[str], gates: Mapping[str, Sequence[Sequence[np.ndarray]]]
) -> Figure:
    """Two inputs and their gates, row → d - 1 vectors each: a strip a layer, a bar a unit, and the units they share."""
    heights = [0.62, *[1] * len(gates)]
    fig, grid = plt.subplots(len(heights), 3, figsize=(WIDTH, 1.3 + 1.8 * len(gates)), height_ratios=heights)
    for ax in grid[0]:
        ax.axis("off")
    for ax, picture, title in zip(grid[0, ::2], pictures, titles, strict=True):
        ax.imshow(picture, cmap="gray_r", vmin=0)
        ax.set_title(title)
    grid[0, 1].text(0.5, 0.35, "on for both", ha="center", va="center", transform=grid[0, 1].transAxes)
    for row, (name, (first, second)) in zip(grid[1:], gates.items(), strict=True):
        left, right = (np.stack([np.asarray(layer) for layer in side]) for side in (first, second))
        both = (left, ACTIVE), (left * right, INK), (right, ACTIVE)
        for ax, (pattern, colour) in zip(row, both, strict=True):
            layers = range(1, len(pattern) + 1)
            for layer, state in zip(layers, pattern, strict=True):
                # Bars in one stroke: a stroke a bar makes a file five times as large.
                places = np.flatnonzero(state > 0)
                ends = np.tile([layer - 0.41, layer + 0.41, np.nan], len(places))
                ax.plot(np.repeat(places, 3), ends, color=colour, linewidth=0.75, solid_capstyle="butt")
            ax.set(xlim=(-1, pattern.shape[1]), ylim=(len(layers) + 0.5, 0.5), yticks=layers, yticklabels=[], xticks=[])
            ax.tick_params(labelsize=SMALL, length=2)
            share = np.prod(pattern.mean(1))
            ax.set_xlabel(f"{100 * pattern.mean():.0f} % of units\n{100 * share:.2g} % of paths", fontsize=SMALL)
            ax.spines[:].set(visible=True, color=INACTIVE)
        row[0].set_yticklabels(layers)
        row[0].set_ylabel(f"{name}\nhidden layer", fontsize=SMALL)
    return fig


def activity(units: Arrays, paths: Arrays, differ: Arrays) -> Figure:
    """Shares of units [seeds, layers] and paths [seeds, examples] on, and of units that differ, before and after."""
    fig, axes = plt.subplot_mosaic([["on", "differ"], ["paths", "paths"]], figsize=(WIDTH, 5.0))
    hidden, below = units["before"].shape[1], axes["paths"]
    logs = {name: [np.log2(run[run > 0]) for run in runs] for name, runs in paths.items()}
    everything = np.concatenate([run for runs in logs.values() for run in runs])
    edges = np.linspace(everything.min(), everything.max(), 36)
    for name, colour in (("before", BEFORE), ("after", AFTER)):
        for part, values in (("on", units), ("differ", differ)):
            layers, label = 1 + np.arange(hidden), f"{name} training"
            band(axes[part], layers, 100 * values[name], color=colour, label=label, **_MARKED)
        density = np.stack([np.histogram(run, edges)[0] / len(run) for run in logs[name]]) * 100
        band(below, (edges[:-1] + edges[1:]) / 2, density, shade=0.25, color=colour)
    for part, label in (("on", "units that are on [%]"), ("differ", "units that differ [%]")):
        axes[part].axhline(50, color=PAPER, linewidth=0.8, linestyle=":")
        axes[part].set(xlabel="hidden layer", ylabel=label, xticks=range(1, hidden + 1), ylim=(0, None))
    below.axvline(-hidden, color=PAPER, linewidth=0.8, linestyle=":")
    below.xaxis.set_major_locator(plt.MultipleLocator(1 if np.ptp(everything) < 5 else 2))
    below.xaxis.set_major_formatter(plt.FuncFormatter(lambda v, _: f"$2^{{{int(v)}}}$"))
    below.set(xlabel="share of active paths", ylabel="digits [% a bin]", ylim=(0, None))
    return key(fig)


def heat_map_grid(rows: Mapping[str, Arrays], labels: Sequence[int]) -> Figure:
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
            image = _matrix(ax, name, matrix, counts, names, norm=PowerNorm(0.5, vmin=0, vmax=1), cmap="magma")
        line[0].set_ylabel(f"{title}\ndigit")
    plt.setp(axes[-1], xlabel="digit")
    bar = fig.colorbar(image, ax=axes, shrink=0.8, aspect=32, label="cosine")
    ticks(bar.ax.yaxis, [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1])
    bar.outline.set_visible(False)
    return fig


def heat_maps(
    panels: Mapping[str, ArrayLike], counts: Sequence[int], *, diverging: Sequence[str] = (), top: float | None = None
) -> Figure:
    """Kernels [n, n] of digits sorted by class, side by side, each with its own colours, up to ``top`` or to 99 %."""
    columns = len(panels) if len(panels) < 4 else 2
    figure, axes = panel_grid(len(panels), columns, height=0.7 + WIDTH / columns, xlabel="digit", ylabel="digit")
    for ax, (title, matrix) in zip(axes, panels.items(), strict=True):
        matrix = np.asarray(matrix, dtype=float)
        high = np.abs(matrix).max() if title in diverging else np.percentile(matrix, 99) if top is None else top
        look = {"vmin": -high, "cmap": "RdBu_r"} if title in diverging else {"vmin": 0.0, "cmap": "viridis"}
        image = _matrix(ax, title, matrix, counts, range(len(counts)), vmax=high, **look)
        figure.colorbar(image, ax=ax, orientation="horizontal", fraction=0.05, pad=0.03)
    return figure


def contrasts(by_layer: Arrays, by_class: Arrays, inputs: np.ndarray, classes: Sequence[int]) -> Figure:
    """Contrast of the path overlap, within over between classes, by layer [seeds, layers] and class; and of inputs."""
    fig, (left, right) = panel_grid(2, height=3.7, sharey=True)
    for name, colour, shift in (("before", BEFORE, -0.12), ("after", AFTER, 0.12)):
        layers, place = 1 + np.arange(by_layer[name].shape[1]), np.arange(len(classes)) + shift
        band(left, layers, by_layer[name], color=colour, label=f"$\\hat\\Lambda$ {name} training", **_MARKED)
        values = by_class[name]
        right.vlines(place, values.min(0), values.max(0), color=colour, linewidth=2.2, alpha=0.6)
        right.plot(place, values.mean(0), "o", color=colour, markersize=4)
    left.axhspan(inputs.min(), inputs.max(), color=GATE, alpha=0.25, linewidth=0)
    left.axhline(inputs.mean(), color=GATE, linewidth=1.2, linestyle="--", label=r"$\hat\Sigma$, the inputs")
    for ax in (left, right):
        ax.axhline(1, color=PAPER, linewidth=0.8, linestyle=":")
    look = {"ylabel": "within ÷ between classes", "title": "all classes together"}
    left.set(xlabel="hidden layers counted", xticks=layers, **look)
    right.set(xlabel="digit", xticks=range(len(classes)), xticklabels=classes, title="each class, all layers")
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


def parts_by_steepness(betas: np.ndarray, value: np.ndarray, gate: np.ndarray, chosen: float) -> Figure:
    """Traces of both parts of the tangent kernel, [seeds, points], and the gate part's share, by steepness β."""
    figure, (left, right) = panel_grid(2, height=3.7)
    band(left, betas, value, color=VALUE, label="value part", **_MARKED)
    band(left, betas, gate, color=GATE, label="gate part", **_MARKED)
    small = slice(0, 3), 2, 0.45, r" $\propto\beta^2$", "top", "left"
    large = slice(-3, None), 1, 2.5, r"$\propto\beta$ ", "bottom", "right"
    for part, power, shift, label, side, align in (small, large):
        line = shift * gate.mean(0)[part][0] * (betas[part] / betas[part][0]) ** power
        left.plot(betas[part], line, color=PAPER, linestyle=":", linewidth=1.2)
        left.annotate(label, (betas[part][1], line[1]), color=PAPER, fontsize=SMALL, va=side, ha=align)
    left.set(yscale="log", ylabel="trace / n")
    band(right, betas, 100 * gate / (value + gate), color=GATE, **_MARKED)
    right.set(ylabel="share of the trace, %", ylim=(0, 100))
    for ax in (left, right):
        ax.set(xscale="log", xlabel="steepness β of the soft gate")
        ax.axvline(chosen, color=PAPER, linewidth=0.9, linestyle="--")
    right.annotate(f" β = {chosen:g}", (chosen, 92), color=PAPER, fontsize=SMALL)
    return key(figure)


def remainders(steps: np.ndarray, sizes: np.ndarray, switches: np.ndarray) -> Figure:
    """‖e' - (I - αK) e‖ / ‖e‖ of one step, [networks, points], by step size, and how many signs switched in it."""
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
    last, look = runs[-1], {"markersize": 5, "markerfacecolor": "none", "label": r"$\prod\,(I-\alpha K_t)\,e_0$"}
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
    for law, (bias, error) in results.items():
        middle, half = 100 * np.asarray(bias), 196 * np.asarray(error)
        ax.fill_between(grid, middle - half, middle + half, color=LAWS[law][1], alpha=0.15, linewidth=0)
    _side_by_side(ax, widths, LAWS, results, 100)
    ax.plot(grid, np.transpose([100 / grid, -100 / grid]), ":", color=PAPER, label=("for scale: ±1/w", "_"))
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
    for place, (colour, width) in enumerate(zip(shades(len(measured)), measured, strict=True)):
        beside = np.asarray(depths) * 1.02 ** (place - (len(measured) - 1) / 2)
        errors(ax, beside, measured[width], low[width], high[width], color=colour, label=f"w = {width}")
        ax.plot(*curves[width], color=colour, linewidth=1)
    ax.set(yscale="log", ylabel="relative variance × width")
    ticks(ax.yaxis)
    logarithmic(ax, depths, "depth d (weight layers)")
    return key(figure)


def dependence_by_width(widths: Sequence[int], ratios: Mapping[str, Mapping[str, Curve]], limit: float) -> Figure:
    """Mean value kernel over the theorem's, on and off the diagonal; ``limit`` is that of infinitely wide networks."""
    figure, axes = panel_grid(2, height=3.6, sharey=True)
    looks = {"independent": ("independent gates (II)", VALUE, "o"), "shared": ("shared start (DI)", GATE, "s")}
    for ax, part, title in zip(axes, ("trace", "off"), ("on the diagonal", "off the diagonal"), strict=True):
        _side_by_side(ax, widths, looks, {kind: ratios[kind][part] for kind in looks}, line=1)
        ax.set_title(title)
    axes[1].axhline(limit, color=GATE, linestyle="--", linewidth=1.2, label="shared, infinitely wide")
    axes[0].set_ylabel(r"mean $K_{\rm value}$ / $d\,\sigma^{2(d-1)}$ mean $H$")
    return key(figure)


def convergence(
    widths: Sequence[int], spreads: Mapping[str, Sequence[ArrayLike]], biases: Mapping[str, Curve],
    lines: Mapping[str, tuple[float, float]], exact: ArrayLike,
) -> Figure:  # fmt: skip
    """How far finite networks are from the limit, by width: of one network, and of the mean of several.

    ``spreads``: root mean square deviation and its 95 % interval, beside the ``exact`` one of the gates' diagonal;
    ``biases``: relative bias of the mean and its standard error; ``lines``: (a, b) of the fitted bias a + b / w.
    """
    figure, (left, right) = panel_grid(2, height=3.8)
    grid = np.asarray(widths, dtype=float)
    looks = {name: LOOKS[name][:3] for name in biases} | {"diagonal": ("random gates, diagonal", INK, "d")}
    for name, spread in spreads.items():
        errors(left, grid, *spread, color=looks[name][1], marker=looks[name][2])
    left.plot(grid, exact, color=INK, linewidth=1)
    start = np.asarray(spreads["relu"][0])[-1]
    left.plot(grid, start * np.sqrt(grid[-1] / grid), color=PAPER, linestyle=":", linewidth=1.2)
    left.set(yscale="log", ylabel="one network: relative deviation")
    ticks(left.yaxis, [0.02, 0.05, 0.1, 0.2, 0.5, 1])
    logarithmic(left, _some(widths))
    _side_by_side(right, widths, looks, biases, 100)
    fine = np.geomspace(grid[0] / 1.1, grid[-1] * 1.1, 100)
    for name, (a, b) in lines.items():
        right.plot(fine, 100 * (a + b / fine), color=looks[name][1], linewidth=1)
    right.set_ylabel("mean of networks: bias, %")
    handles = [entry(t, color=c, marker=m, markersize=5, linestyle="none") for t, c, m in looks.values()]
    handles.append(entry("diagonal, exact", color=INK, linewidth=1))
    handles.append(entry(r"$\propto w^{-1/2}$", color=PAPER, linestyle=":"))
    return key(figure, handles)


def by_angle(theta: ArrayLike, curves: Mapping[str, Mapping[int, ArrayLike]], pairs: Mapping[str, ArrayLike]) -> Figure:
    """Kernels over their diagonals, title → depth → values, by angle; below, the angles of ``pairs`` of images."""
    shared: dict[str, Any] = {"sharex": True, "sharey": "row", "height_ratios": [3.2, 1], "squeeze": False}
    figure, grid = plt.subplots(2, len(curves), figsize=(WIDTH, 4.6), **shared)
    looks: dict[str, Any] = {"same class": ACTIVE, "different classes": INACTIVE}
    for (title, by_depth), ax, below in zip(curves.items(), *grid, strict=True):
        ax.axhline(0, color=PAPER, linewidth=0.8)
        for colour, (depth, values) in zip(shades(len(by_depth)), by_depth.items(), strict=True):
            ax.plot(np.rad2deg(np.asarray(theta)), values, color=colour, label=f"d = {depth}")
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
    by_kind = {kind: np.array([wide_kernels.accuracies(found, kind, n) for n in examples]).T for kind in LOOKS}
    for kind, values in by_kind.items():
        _runs(left, examples, 100 - values, kind)
        if kind in ("output", "gates", "overlap"):
            _runs(right, examples, values - by_kind["relu"], kind)
    left.set_yscale("log")
    left.invert_yaxis()
    ticks(left.yaxis, [100 - place for place in (60, 70, 80, 85, 90, 93, 95, 96, 97, 98)])
    left.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 - error:g}"))
    left.set_ylabel("test accuracy, %")
    right.axhline(0, color=COLOURS["ReLU"], linewidth=1.4)
    right.set_ylabel("minus ReLU's tangent kernel, points")
    for ax in (left, right):
        logarithmic(ax, _some(examples), "training examples n")
    return key(figure)


def accuracy_by_size(found: Table, examples: int, depths: Sequence[int], widths: Sequence[int], depth: int) -> Figure:
    """Test accuracy by the depth of infinitely wide networks, and by the width of finite ones of one ``depth``."""
    figure, (left, right) = panel_grid(2, height=4.0, sharey=True)
    for kind in ("output", "relu", "gates", "overlap"):
        _runs(left, depths, np.array([wide_kernels.accuracies(found, kind, examples, depth=d) for d in depths]).T, kind)
    finite = np.array([wide_kernels.accuracies(found, "finite", examples, depth, w) for w in widths]).T
    _runs(right, widths, finite, "finite", label="random gates, width w")
    for kind, ax in (("linear", left), ("linear", right), ("gates", right), ("relu", right)):
        label, colour, _, dashes = LOOKS[kind]
        level = wide_kernels.accuracies(found, kind, examples, depth).mean()
        ax.axhline(level, color=colour, linestyle=dashes, linewidth=1.4, label=label)
    left.set_ylabel(f"test accuracy, %; n = {examples:,}")
    logarithmic(left, _some(depths), "depth d, infinitely wide")
    logarithmic(right, _some(widths), f"width w of finite gates, d = {depth}")
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
        logarithmic(ax, _some(shown), "width w, slopes [90 %]" if fits else "steps")
        ax.set(yscale="log", title=title)
    for ax in axes[::2]:
        ax.set_ylabel("distance / way of the flow")
    ticks(axes[0].yaxis)
    handles = [entry(name, color=colour, marker=marker) for name, (colour, marker) in looks.items()]
    return key(figure, handles)


def _runs(ax: Axes, x: Sequence[int], values: np.ndarray, kind: str, label: str = "") -> None:
    name, colour, marker, dashes = LOOKS[kind]
    band(ax, x, values, color=colour, marker=marker, markersize=4.5, linestyle=dashes, label=label or name)


def _side_by_side(ax: Axes, widths: Sequence[int], looks: Any, found: Any, scale: int = 1, line: int = 0) -> None:
    """Two kinds of value by width with 95 % intervals, name → (values, standard errors), and a line beside them."""
    ax.axhline(line, color=PAPER, linewidth=0.9)
    for shift, (name, (values, error)) in zip((0.97, 1.03), found.items(), strict=False):
        label, colour, marker = looks[name]
        middle, half = scale * np.asarray(values), 1.96 * scale * np.asarray(error)
        errors(ax, np.asarray(widths) * shift, middle, half, color=colour, marker=marker, label=label)
    logarithmic(ax, _some(widths))


def _some(places: Sequence[int]) -> Sequence[int]:
    """Every other place for a number at an axis, if there are many."""
    return places if len(places) < 6 else places[::-1][::2]


def _matrix(ax: Axes, title: str, matrix: ArrayLike, counts: Sequence[int], names: Sequence, **look: Any) -> AxesImage:
    """Draws a kernel [n, n] of examples sorted by class, with the classes marked."""
    matrix, count = np.asarray(matrix, dtype=float), sum(counts)
    if matrix.shape != (count, count):
        raise ValueError(f"a matrix [{count}, {count}] fits {count} labels; got {matrix.shape}.")
    image = ax.imshow(matrix, **look)
    edges = np.cumsum(counts)
    for edge in edges[:-1] if max(counts) > 1 else ():
        for draw in (ax.axhline, ax.axvline):
            draw(edge - 0.5, color="white", linewidth=0.4, alpha=0.8)
    centres = edges - np.asarray(counts) / 2 - 0.5
    ax.set(title=title, xticks=centres, xticklabels=names, yticks=centres, yticklabels=names)
    ax.tick_params(length=0, pad=2)
    ax.spines[:].set_visible(False)
    return image
