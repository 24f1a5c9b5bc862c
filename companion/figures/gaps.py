"""Figure of the gaps between regimes by which the paper argues: on its own table, and on our records."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from companion.contrasts import Lead, Statement
from companion.figures.style import COLOURS, INACTIVE, INK, LABELS, MARKERS, NORMAL, PAPER, WIDTH, key

_ACCEPTED = {"facecolor": "#dcefe6", "edgecolor": "#5f8b78", "linewidth": 0.8}


def gaps(rows: Mapping[str, Mapping[Statement, tuple[Lead | None, Lead | None]]]) -> Figure:
    """Differences between regimes with 90 % intervals; shaded is where the whole interval must lie.

    Args:
        rows: title of an experiment → statement → its difference on the paper's table and on our records; None where
            there is none.

    Raises:
        ValueError: no rows, or rows without statements.
    """
    if not rows or not all(rows.values()):
        raise ValueError("one experiment or more is needed, each with one statement or more.")
    columns = min(2, len(rows))
    lines = -(-len(rows) // columns)
    most = max(map(len, rows.values()))
    figure, grid = plt.subplots(
        lines, columns, figsize=(WIDTH, 0.9 + (0.7 + 0.42 * most) * lines), squeeze=False, sharex=True, sharey=True
    )
    panels = grid.flat[: len(rows)]
    for spare in grid.flat[len(rows) :]:
        spare.remove()
    found = [lead.estimate for row in rows.values() for pair in row.values() for lead in pair if lead]
    ends = [0.0, *(e.low for e in found), *(e.high for e in found)]
    pad = 0.06 * (max(ends) - min(ends)) + 0.5
    low, high = min(ends) - pad, max(ends) + pad
    for ax, (title, row) in zip(panels, rows.items(), strict=True):
        for place, (statement, leads) in enumerate(row.items()):
            start = low if statement.relation == "at most" else -statement.tolerance
            stop = high if statement.relation == "at least" else statement.tolerance
            ax.barh(place, stop - start, left=start, height=0.8, zorder=0, **_ACCEPTED)
            for shift, lead, colour, marker in (
                (-0.16, leads[0], PAPER, "D"),
                (0.16, leads[1], COLOURS[statement.first], MARKERS[statement.first]),
            ):
                if lead is not None:
                    shift = shift if all(leads) else 0.0
                    ax.plot([lead.estimate.low, lead.estimate.high], [place + shift] * 2, color=colour, linewidth=1.6)
                    ax.plot(lead.estimate.value, place + shift, marker, color=colour, markersize=5)
        ax.axvline(0, color=INACTIVE, linewidth=0.9)
        ax.set_title(title, loc="left", fontsize=NORMAL)
        ax.set_xlim(low, high)
        ax.set_ylim(len(row) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
    first = next(iter(rows.values()))
    grid[0, 0].set_yticks(range(len(first)), [name_of(statement) for statement in first])
    for ax in panels[-columns:]:
        ax.set_xlabel("difference (points)")
    handles = [Line2D([], [], color=PAPER, marker="D", markersize=5, label="the paper's table")]
    if any(ours for row in rows.values() for _, ours in row.values()):
        handles.append(Line2D([], [], color=INK, marker="o", markersize=5, label="our records"))
    handles.append(Patch(**_ACCEPTED, label="accepted"))
    key(figure, handles)
    return figure


def name_of(statement: Statement) -> str:
    """The difference in symbols, e.g. "ReLU − FLNPF"; several others are those of one family."""
    others = LABELS[statement.others[0]] if len(statement.others) == 1 else "better FRNPF"
    return f"{LABELS[statement.first]} − {others}"
