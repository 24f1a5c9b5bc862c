"""Makes the published readings of a convolutional network's gates, results/cifar10-gate-readings/.

    python scripts/read_convolution_gates.py               all seeds; interrupted, it goes on where it was
    python scripts/read_convolution_gates.py --backwards   a second process beside the first: they meet in the middle

They are measured on the real CIFAR-10 and refused on anything else.
"""

import argparse
import sys

from npflib import convolution_readings, data, folders, plain_records


def main() -> int:
    """Measures, and writes all seeds once everything is there."""
    parser = argparse.ArgumentParser(description="Makes the published readings of a GCONV network's gates.")
    parser.add_argument("--backwards", action="store_true", help="begin with the last seed")
    backwards = parser.parse_args().backwards
    photographs = data.load("cifar10")
    if photographs.source.stand_in:
        print(f"{photographs.source.banner()} Set NPF_DATA to a folder with the real files.", file=sys.stderr)
        return 1
    found = convolution_readings.measure(
        photographs, convolution_readings.BUDGETS["paper"], profile="paper",
        partial=folders.project() / "build" / "convolution-readings", backwards=backwards,
    )  # fmt: skip
    for readings in found:
        plain_records.write(readings, convolution_readings.path_of(readings.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
