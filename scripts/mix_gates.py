"""Makes the published accuracies behind gates by layer, results/mnist-layer-gates/: some 25 minutes of one core.

    python scripts/mix_gates.py               all seeds of the full budget; interrupted, it goes on where it was
    python scripts/mix_gates.py --backwards   a second process beside the first: they meet in the middle

They are measured on the real MNIST and CIFAR-10 and refused on anything else.
"""

import argparse
import sys

from companion.studies import layer_gates, plain_records
from npflib import data
from npflib.records import locations


def main() -> int:
    """Measures, and writes all seeds once everything is there."""
    parser = argparse.ArgumentParser(description="Makes the published accuracies behind gates by layer.")
    parser.add_argument("--backwards", action="store_true", help="begin with the last entry")
    backwards = parser.parse_args().backwards
    digits, photographs = data.load("mnist"), data.load("cifar10")
    for dataset in (digits, photographs):
        if dataset.source.stand_in:
            print(f"{dataset.source.banner()} Set NPF_DATA to a folder with the real files.", file=sys.stderr)
            return 1
    found = layer_gates.measure(
        digits, layer_gates.as_digits(photographs), layer_gates.BUDGETS["paper"], profile="paper",
        partial=locations.project() / "build" / "layer-gates", backwards=backwards,
    )  # fmt: skip
    for readings in found:
        plain_records.write(readings, layer_gates.path_of(readings.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
