"""Makes the published readings of soft gates and of width and depth: some 20 minutes of one core in all.

    python scripts/sweep_gates.py soft    results/mnist-soft-gates/, the seeds that are not there yet
    python scripts/sweep_gates.py gap     results/mnist-gate-gap/, likewise

They are measured on the real MNIST and refused on anything else.
"""

import argparse
import sys
from dataclasses import replace

from companion.studies import gate_gap, plain_records, soft_gates
from npflib import data

EXPERIMENTS = {"soft": soft_gates, "gap": gate_gap}


def main() -> int:
    """Measures and writes the missing seeds of an experiment."""
    parser = argparse.ArgumentParser(description="Makes the published readings of soft gates, and of width and depth.")
    parser.add_argument("experiment", choices=EXPERIMENTS)
    chosen = EXPERIMENTS[parser.parse_args().experiment]
    dataset = data.load("mnist")
    if dataset.source.stand_in:
        print(f"{dataset.source.banner()} Set NPF_DATA to a folder with MNIST/raw.", file=sys.stderr)
        return 1
    budget = chosen.BUDGETS["paper"]  # type: ignore[attr-defined]
    missing = tuple(seed for seed in budget.seeds if not chosen.path_of(seed).exists())  # type: ignore[attr-defined]
    if not missing:
        print("every seed is there; remove a file to measure its seed again")
        return 0
    for readings in chosen.measure(dataset, replace(budget, seeds=missing), profile="paper"):  # type: ignore[attr-defined]
        plain_records.write(readings, chosen.path_of(readings.seed))  # type: ignore[attr-defined]
        print(f"seed {readings.seed}: {readings.seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
