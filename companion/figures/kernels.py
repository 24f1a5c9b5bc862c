"""Figures of the two chapters on tangent kernels: the two gradients, and fixed gates."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, ScalarFormatter, StrMethodFormatter
from numpy.typing import ArrayLike

from companion.figures.style import GATE, INACTIVE, NORMAL, PAPER, SMALL, VALUE, WIDTH, shades

LAWS = {"signed": ("signed ±σ", VALUE, "o"), "gaussian": ("Gaussian", GATE, "s")}


def heat_maps(
    panels: Mapping[str, ArrayLike], counts: Sequence[int], *, diverging: Sequence[str] = (), top: float | None = None
) -> Figure:
    """Kernels on digits sorted by class, side by side.

    Args:
        panels: title → kernel [n, n].
        counts: examples of each class, in the order of the rows.
        diverging: titles of panels whose colours are symmetric about 0.
        top: where the other panels' colours end; None means the 99th percentile of each.
    """
    columns = len(panels) if len(panels) < 4 else 2
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 0.6 + rows * (0.55 + WIDTH / columns)), squeeze=False)
    for spare in axes.flat[len(panels) :]:
        spare.remove()
    edges = np.cumsum(counts)
    centres = edges - np.asarray(counts) / 2 - 0.5
    for ax, (title, matrix) in zip(axes.flat, panels.items(), strict=False):
        matrix = np.asarray(matrix, dtype=float)
        if title in diverging:
            high, low, colours = np.abs(matrix).max(), -np.abs(matrix).max(), "RdBu_r"
        else:
            high, low, colours = np.percentile(matrix, 99) if top is None else top, 0.0, "viridis"
        image = ax.imshow(matrix, vmin=low, vmax=high, cmap=colours)
        figure.colorbar(image, ax=ax, orientation="horizontal", fraction=0.05, pad=0.03).ax.tick_params(labelsize=SMALL)
        ax.set_title(title, fontsize=NORMAL)
        ax.set_xticks(centres, range(len(counts)), fontsize=SMALL)
        ax.set_yticks(centres, range(len(counts)), fontsize=SMALL)
        ax.tick_params(length=0)
        if max(counts) > 1:
            for edge in edges[:-1]:
                ax.axhline(edge - 0.5, color="white", linewidth=0.4)
                ax.axvline(edge - 0.5, color="white", linewidth=0.4)
    return figure


def parts_by_steepness(betas: ArrayLike, value: ArrayLike, gate: ArrayLike, chosen: float) -> Figure:
    """Trace of both parts of the tangent kernel, and the gate part's share, against the gate's steepness β.

    Args:
        betas: [points].
        value: tr K_value / n, [seeds, points].
        gate: tr K_gate / n, [seeds, points].
        chosen: the β to mark.
    """
    betas, value, gate = (np.asarray(a, dtype=float) for a in (betas, value, gate))
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.5))
    for runs, colour, label in ((value, VALUE, "value part"), (gate, GATE, "gate part")):
        _curve(left, betas, runs, colour, label)
    small, large = slice(0, 3), slice(-3, None)
    for part, power in ((small, 2), (large, 1)):
        line = gate.mean(0)[part][0] * (betas[part] / betas[part][0]) ** power
        shift = 0.45 if power == 2 else 2.5
        left.plot(betas[part], line * shift, color=PAPER, linestyle=":", linewidth=1.2)
        label, side = (r" $\propto\beta^2$", "top") if power == 2 else (r"$\propto\beta$ ", "bottom")
        align = "left" if power == 2 else "right"
        left.annotate(label, (betas[part][1], line[1] * shift), color=PAPER, fontsize=SMALL, va=side, ha=align)
    left.set(xscale="log", yscale="log", xlabel="steepness β of the soft gate", ylabel="trace / n")
    left.legend(loc="upper left", fontsize=SMALL)
    _curve(right, betas, 100 * gate / (value + gate), GATE, "gate part")
    right.set(xscale="log", xlabel="steepness β of the soft gate", ylabel="share of the trace, %", ylim=(0, 100))
    for ax in (left, right):
        ax.axvline(chosen, color=PAPER, linewidth=0.9, linestyle="--")
    right.annotate(f" β = {chosen:g}", (chosen, 92), color=PAPER, fontsize=SMALL)
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
    for row, (size, switched) in enumerate(zip(sizes, switches, strict=True)):
        ax.plot(steps, size, color=VALUE, linewidth=0.7, alpha=0.5)
        still = switched == 0
        ax.scatter(
            steps[still], size[still], s=22, color=VALUE, zorder=3, label="no unit switches" if row == 0 else None
        )
        ax.scatter(
            steps[~still], size[~still], s=22, facecolor="white", edgecolor=GATE, zorder=3,
            label="units of the feature network switch" if row == 0 else None,
        )  # fmt: skip
    line = np.median(sizes[:, 0]) * (steps / steps[0]) ** 2
    ax.plot(steps, line * 30, color=PAPER, linestyle=":", linewidth=1.4, label=r"$\propto\alpha^2$")
    ax.set(xscale="log", yscale="log", xlabel=r"step size $\alpha\,\lambda_{\max}(K)$")
    ax.set_ylabel(r"$\|e_{t+1}-(I-\alpha K_t)\,e_t\|\;/\;\|e_t\|$")
    ax.legend()
    return figure


def descent(runs: Sequence[Mapping[str, ArrayLike]], frozen: Mapping[str, ArrayLike]) -> Figure:
    """Full-batch gradient descent followed by its kernel: the loss, the one-step error and the kernel's growth.

    Args:
        runs: one a step size, largest first: "label", "time" (α λ_max(K_0) t), "loss", "chained" (the loss when every
            step is replaced by I - αK_t), "error" (relative one-step error), "value" and "gate" (traces over the
            first trace of the whole kernel).
        frozen: "time" and "loss" of the prediction from K_0 alone.
    """
    figure, axes = plt.subplots(3, 1, figsize=(WIDTH, 7.6), sharex=True)
    loss, error, growth = axes
    loss.plot(
        frozen["time"], frozen["loss"], color=GATE, linestyle="--", label=r"$(I-\alpha K_0)^t e_0$: kernel frozen"
    )
    for run, colour in zip(runs, shades(len(runs)), strict=True):
        loss.plot(run["time"], run["loss"], color=colour, label=f"gradient descent, {run['label']!s}")
        error.plot(run["time"], run["error"], color=colour, label=run["label"])
    last = runs[-1]
    shown = slice(None, None, max(1, np.size(last["time"]) // 16))
    loss.plot(
        np.asarray(last["time"])[shown], np.asarray(last["chained"])[shown], linestyle="none", marker="o",
        markersize=5, markerfacecolor="none", color=PAPER, label=r"$\prod_t (I-\alpha K_t)\, e_0$",
    )  # fmt: skip
    loss.set(yscale="log", ylabel="mean squared residual")
    loss.legend()
    error.set(yscale="log", ylabel="one-step error,\nrelative to the step")
    error.legend(ncols=3)
    growth.plot(last["time"], last["value"], color=VALUE, label=r"tr $K_{\rm value}$")
    growth.plot(last["time"], last["gate"], color=GATE, label=r"tr $K_{\rm gate}$")
    growth.set(yscale="log", ylabel=r"trace / tr $K_0$", xlabel=r"time $t\,\alpha\,\lambda_{\max}(K_0)$")
    growth.legend()
    for ax in axes:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
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
        bias, half = np.asarray(bias), 1.96 * np.asarray(error)
        ax.fill_between(grid, 100 * (bias - half), 100 * (bias + half), color=colour, alpha=0.15, linewidth=0)
        ax.errorbar(
            grid * shift,
            100 * bias,
            100 * half,
            color=colour,
            marker=marker,
            linestyle="none",
            capsize=2.5,
            label=label,
        )
    ax.plot(grid, 100 / grid, color=PAPER, linestyle=":", label="for scale: ±1/w")
    ax.plot(grid, -100 / grid, color=PAPER, linestyle=":")
    _widths(ax, widths)
    ax.set_ylabel(r"bias $\langle \bar K - E, E\rangle/\|E\|^2$, %")
    ax.legend()
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
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.7), sharey=True)
    grid = np.asarray(widths, dtype=float)
    for law, found in results.items():
        label, colour, marker = LAWS[law]
        for ax, key in zip(axes, ("spread", "diagonal"), strict=True):
            low, high = ("low", "high") if key == "spread" else ("diagonal low", "diagonal high")
            ax.fill_between(grid, found[low], found[high], color=colour, alpha=0.2, linewidth=0)
            ax.plot(grid, found[key], color=colour, marker=marker, linestyle="none", markersize=5, label=label)
        axes[1].plot(grid, exact[law], color=colour, linewidth=1.2, label=f"{label}, exact")
    first = np.asarray(results["signed"]["spread"])[-1]
    axes[0].plot(grid, first * np.sqrt(grid[-1] / grid), color=PAPER, linestyle=":", label=r"$\propto w^{-1/2}$")
    axes[0].axvspan(min(fitted) / 1.15, max(fitted) * 1.15, color=INACTIVE, alpha=0.25, linewidth=0, label="fitted")
    axes[0].set(title="the whole kernel", ylabel="relative standard deviation")
    axes[1].set(title="its diagonal")
    for ax in axes:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2, 5]))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(ScalarFormatter())
        _widths(ax, widths)
        ax.legend()
    return figure


def bound_by_depth(
    depths: Sequence[int],
    measured: Mapping[int, ArrayLike],
    low: Mapping[int, ArrayLike],
    high: Mapping[int, ArrayLike],
    curves: Mapping[int, tuple[ArrayLike, ArrayLike]],
    limit: tuple[ArrayLike, ArrayLike],
) -> Figure:
    """Measured variance over the stated bound, against the depth, for several widths.

    Args:
        depths: [points].
        measured, low, high: width → ratio [points] and its 95 % interval.
        curves: width → (depths, exact ratio).
        limit: (depths, the ratio's limit for wide networks).
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.9))
    ax.plot(*limit, color=PAPER, linestyle="--", linewidth=1.2, label="exact, w → ∞")
    for colour, width in zip(shades(len(measured)), measured, strict=True):
        value = np.asarray(measured[width])
        ax.errorbar(
            depths, value, [value - low[width], high[width] - value], color=colour, marker="o", linestyle="none",
            capsize=2.5, label=f"w = {width}",
        )  # fmt: skip
        ax.plot(*curves[width], color=colour, linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="depth d (weight layers)")
    ax.set_ylabel("variance / stated bound\n(a bound would stay level)")
    ax.xaxis.set_major_locator(FixedLocator(list(depths)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.legend()
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
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), sharey=True)
    titles = {"trace": "on the diagonal", "off": "off the diagonal"}
    names = {
        "independent": ("independent gates (II)", VALUE, "o", 0.97),
        "shared": ("shared start (DI)", GATE, "s", 1.03),
    }
    for ax, (key, title) in zip(axes, titles.items(), strict=True):
        ax.axhline(1, color=PAPER, linewidth=0.9)
        for kind, (label, colour, marker, shift) in names.items():
            ratio, error = ratios[kind][key]
            ax.errorbar(
                np.asarray(widths) * shift, ratio, 1.96 * np.asarray(error), color=colour, marker=marker,
                linestyle="none", capsize=2.5, label=label,
            )  # fmt: skip
        _widths(ax, widths)
        ax.set_title(title)
    axes[1].axhline(limit, color=GATE, linestyle="--", linewidth=1.2, label="shared, infinitely wide")
    axes[0].set_ylabel(r"mean $K_{\rm value}$ / $d\,\sigma^{2(d-1)}$ mean $H$")
    axes[1].legend()
    return figure


def _curve(ax: Axes, x: np.ndarray, runs: np.ndarray, colour: str, label: str) -> None:
    """Mean over runs with the range from least to greatest."""
    ax.plot(x, runs.mean(0), color=colour, marker="o", markersize=4, linewidth=1.5, label=label)
    ax.fill_between(x, runs.min(0), runs.max(0), color=colour, alpha=0.25, linewidth=0)


def _widths(ax: Axes, widths: Sequence[int]) -> None:
    ax.set(xscale="log", xlabel="width w")
    ax.xaxis.set_major_locator(FixedLocator(list(widths)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.tick_params(axis="x", labelsize=SMALL)
