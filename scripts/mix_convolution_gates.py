"""Makes the published accuracies behind gates by layer of a convolutional network, results/cifar10-layer-gates/.

    python scripts/mix_convolution_gates.py               all seeds; interrupted, it goes on where it was
    python scripts/mix_convolution_gates.py --backwards   a second process beside the first: they meet in the middle

It takes about an hour of one core. They are measured on the real CIFAR-10 and refused on anything else.
"""

import argparse
import sys

from companion.studies import convolution_layer_gates, plain_records
from npflib import data
from npflib.records import locations


def main() -> int:
    """Measures, and writes all seeds once everything is there."""
    parser = argparse.ArgumentParser(description="Makes the published accuracies behind a GCONV network's gates.")
    parser.add_argument("--backwards", action="store_true", help="begin with the last entry")
    backwards = parser.parse_args().backwards
    photographs = data.load("cifar10")
    if photographs.source.stand_in:
        print(f"{photographs.source.banner()} Set NPF_DATA to a folder with the real files.", file=sys.stderr)
        return 1
    found = convolution_layer_gates.measure(
        photographs, convolution_layer_gates.BUDGETS["paper"], profile="paper",
        partial=locations.project() / "build" / "convolution-layer-gates", backwards=backwards,
    )  # fmt: skip
    for readings in found:
        plain_records.write(readings, convolution_layer_gates.path_of(readings.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
