"""Figures of who is ahead when: accuracy by epoch of every regime, and its lead over one of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from companion.figures.learning import in_order, test_curves
from companion.figures.style import GRID, LABELS, PAPER, WIDTH, band, key
from npflib.records.run_records import Record


def curves_and_leads(regimes: Mapping[str, Sequence[Record]], reference: str = "FLNPF") -> Figure:
    """Left, test accuracy by epoch; right, each regime's minus the reference's, by seed. Mean, and range over seeds.

    Args:
        regimes: regime → records of one experiment and one budget, the same seeds for all.
        reference: the regime that the others are compared with.

    Raises:
        ValueError: no records of the reference, or other seeds than its.
    """
    if not regimes.get(reference):
        raise ValueError(f"there are no records of {reference} to compare with.")
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    for regime in in_order(r for r in regimes if regimes[r]):
        dashes = {"linestyle": (0, (4, 2.5))} if regime == "FRNPF-DI" else {}
        curves = test_curves(regimes[regime])
        band(left, np.arange(1, curves.shape[1] + 1), curves, regime, marker="o", markersize=3, **dashes)
        if regime != reference:
            lead = leads(regimes[regime], regimes[reference])
            band(right, np.arange(1, lead.shape[1] + 1), lead, regime, marker="o", markersize=3, **dashes)
    right.axhline(0, color=PAPER, linewidth=1.0)
    left.set(xlabel="epoch", ylabel="test accuracy (%)")
    right.set(xlabel="epoch", ylabel=f"accuracy − {LABELS[reference]}'s (points)")
    for ax in (left, right):
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.grid(axis="y", color=GRID)
        ax.set_axisbelow(True)
    handles, labels = left.get_legend_handles_labels()
    key(figure, handles, labels)
    return figure


def leads(first: Sequence[Record], second: Sequence[Record]) -> np.ndarray:
    """Test accuracy of the first minus the second's by seed and epoch, in points: [seeds, epochs].

    Raises:
        ValueError: records of different seeds.
    """
    seeds = [[record.seed for record in records] for records in (first, second)]
    if seeds[0] != seeds[1]:
        raise ValueError(f"records must be of the same seeds in the same order; got {seeds[0]} and {seeds[1]}.")
    ours, theirs = test_curves(first), test_curves(second)
    shortest = min(ours.shape[1], theirs.shape[1])
    return ours[:, :shortest] - theirs[:, :shortest]


def ahead(lead: np.ndarray) -> tuple[int | None, int | None]:
    """The first epoch (from 1) with a positive mean lead, and the first from which it stays positive to the end.

    Args:
        lead: [seeds, epochs], as ``leads`` gives it.

    Returns:
        Two epochs; None where there is none.
    """
    positive = np.atleast_2d(lead).mean(0) > 0
    if not positive.any():
        return None, None
    behind = np.flatnonzero(~positive)
    stays = int(behind[-1]) + 2 if behind.size else 1
    return int(positive.argmax()) + 1, stays if stays <= positive.size else None
