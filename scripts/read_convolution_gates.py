"""Makes the published readings of a convolutional network's gates, results/cifar10-gate-readings/.

    python scripts/read_convolution_gates.py            all seeds; interrupted, it goes on where it was
    python scripts/read_convolution_gates.py --seed 1   one seed, kept until the call above collects all: for several
                                                        processes side by side

It takes half an hour of one core. They are measured on the real CIFAR-10 and refused on anything else.
"""

import argparse
import sys
from dataclasses import replace

from companion.studies import convolution_readings, plain_records
from npflib import data
from npflib.records import locations


def main() -> int:
    """Measures, and writes all seeds once everything is there."""
    parser = argparse.ArgumentParser(description="Makes the published readings of a GCONV network's gates.")
    budget = convolution_readings.BUDGETS["paper"]
    parser.add_argument("--seed", type=int, choices=budget.seeds, help="measure and keep this seed alone")
    chosen = parser.parse_args().seed
    photographs = data.load("cifar10")
    if photographs.source.stand_in:
        print(f"{photographs.source.banner()} Set NPF_DATA to a folder with the real files.", file=sys.stderr)
        return 1
    found = convolution_readings.measure(
        photographs, budget if chosen is None else replace(budget, seeds=(chosen,)), profile="paper",
        partial=locations.project() / "build" / "convolution-readings",
    )  # fmt: skip
    for readings in found if chosen is None else []:
        plain_records.write(readings, convolution_readings.path_of(readings.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
