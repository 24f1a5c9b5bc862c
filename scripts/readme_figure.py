"""Draw the README's figure from the published records: how much of the accuracy is in the gates.

usage: readme_figure.py [OUTPUT.svg]      without an output: docs/gates.svg
"""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from companion import figures, statistics
from companion.figures import curves
from npflib.records import locations

ROW = "mnist-fc-adam"
PLACE = locations.project() / "docs" / "gates.svg"


def main(output: str = "") -> None:
    """Write the figure, the same bytes from the same records."""
    figures.use_style()
    found = statistics.evidence(ROW, curves.ORDER, Path("no build"))
    figure, ax = plt.subplots(figsize=(figures.WIDTH, 2.9))
    curves.gate_gap(ax, found)
    records = found["ReLU"]
    source = f"Published records: {statistics.budget_text(records)}, {len(records)} seeds, {records[0].data['title']}."
    figure.supxlabel(source, x=0.01, ha="left", fontsize=figures.style.TINY, color=figures.style.MUTED)
    target = Path(output) if output else PLACE
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
