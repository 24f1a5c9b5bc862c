"""Figures of what two inputs share: path overlap within and between classes, and what it costs to compute."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from companion.figures.paths import AFTER, BEFORE
from companion.figures.style import GATE, PAPER, SMALL, WIDTH


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
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.5), sharey=True)
    for name, colour in (("before", BEFORE), ("after", AFTER)):
        values = by_layer[name]
        layers = 1 + np.arange(values.shape[1])
        left.plot(layers, values.mean(0), "o-", color=colour, markersize=4, label=f"$\\hat\\Lambda$ {name} training")
        left.fill_between(layers, values.min(0), values.max(0), color=colour, alpha=0.25, linewidth=0)
        values, shift = by_class[name], 0.12 if name == "after" else -0.12
        place = np.arange(len(classes)) + shift
        right.vlines(place, values.min(0), values.max(0), color=colour, linewidth=2.2, alpha=0.6)
        right.plot(place, values.mean(0), "o", color=colour, markersize=4.5)
    left.axhspan(inputs.min(), inputs.max(), color=GATE, alpha=0.25, linewidth=0)
    left.axhline(inputs.mean(), color=GATE, linewidth=1.2, linestyle="--", label=r"$\hat\Sigma$, the inputs")
    for ax in (left, right):
        ax.axhline(1, color=PAPER, linewidth=0.8, linestyle=":")
    left.set(xlabel="hidden layers counted, input side first", ylabel="within ÷ between classes", xticks=layers)
    right.set(xlabel="digit", xticks=range(len(classes)), xticklabels=classes)
    left.set_title("all classes together")
    right.set_title("each class, all hidden layers")
    left.legend(loc="best", fontsize=SMALL)
    left.margins(y=0.12)
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
    everything = [*paths, large[0]]
    for times, colour, marker, label in (
        (enumerated, GATE, "s", "paths enumerated"),
        ([*product, large[1]], AFTER, "o", "product form"),
    ):
        where = everything[: len(times)]
        middle = np.array([np.median(t) for t in times])
        ends = np.array([[np.min(t), np.max(t)] for t in times]).T
        spread = [middle - ends[0], ends[1] - middle]
        ax.errorbar(where, middle, spread, fmt=marker + "-", color=colour, markersize=4.5, label=label)
    ax.set(xscale="log", yscale="log", xlabel="paths $P$ of the network")
    ax.set_ylabel(f"seconds for $H$ of {examples:,} examples")
    ax.annotate(
        "the MNIST network",
        (large[0], np.median(large[1])),
        xytext=(-8, 8),
        textcoords="offset points",
        ha="right",
        fontsize=SMALL,
        color=PAPER,
    )
    ax.legend()
    return fig
