"""Makes the published readings of wide networks' kernels, results/mnist-infinite-width/: some minutes of a core a seed.

    python scripts/read_wide_kernels.py            every seed of the full budget that is not there yet
    python scripts/read_wide_kernels.py --seed 2   that seed, whether it is there or not

They are measured on the real MNIST and refused on anything else.
"""

import argparse
import sys

from companion.studies import wide_readings
from npflib import data


def main() -> int:
    """Measures and writes; 1 where the data are a stand-in."""
    budget = wide_readings.BUDGETS["paper"]
    parser = argparse.ArgumentParser(description="Makes the published readings of wide networks' kernels.")
    parser.add_argument("--seed", type=int, choices=budget.seeds, help="only this one, again if it is there")
    chosen = parser.parse_args().seed
    seeds = [s for s in budget.seeds if not wide_readings.path_of(s).exists()] if chosen is None else [chosen]
    dataset = data.load("mnist")
    if dataset.source.stand_in:
        print(f"{dataset.source.banner()} Set NPF_DATA to a folder with MNIST/raw.", file=sys.stderr)
        return 1
    for seed in seeds:
        (found,) = wide_readings.measure(dataset, budget, profile="paper", seeds=[seed])
        wide_readings.write(found, wide_readings.path_of(seed))
        print(f"seed {seed}: {found.seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
