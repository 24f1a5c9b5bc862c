"""Compares learning rates for an experiment on ReLU alone, results/<experiment>/rates.json: minutes a rate.

    python scripts/choose_rate.py cifar10-quarter-gconv-adam 3e-4 1e-3 3e-3

Seed 0 is trained on all training images but the last 5,000, and judged by its accuracy on those after the last epoch:
no test image is looked at.
"""

import argparse
import json
import sys

import torch

from npflib import data, experiments, regimes
from npflib.records import locations
from npflib.records.atomic import write_text
from npflib.training.autograd import AutogradLearner
from npflib.training.loop import train

EPOCHS, HELD_OUT = 3, 5_000


def main() -> int:
    """Trains one network a rate and writes the accuracies after every epoch, in per cent."""
    parser = argparse.ArgumentParser(description="Compares learning rates on held-out training images.")
    parser.add_argument("experiment", choices=[e.name for e in experiments.COMPANION.values()])
    parser.add_argument("rates", type=float, nargs="+")
    given = parser.parse_args()
    chosen = experiments.find(given.experiment)
    whole = data.load(chosen.dataset, dtype=torch.uint8)
    if whole.source.stand_in:
        print(f"{whole.source.banner()} Set NPF_DATA to a folder with the real files.", file=sys.stderr)
        return 1
    x, y = whole.train_images, whole.train_labels
    parts = (x[:-HELD_OUT], y[:-HELD_OUT], x[-HELD_OUT:], y[-HELD_OUT:], torch.device("cpu"))
    found = {}
    for rate in given.rates:
        learner = AutogradLearner([regimes.start("ReLU", chosen.arch, 0)], *parts)
        [accuracies] = train(
            learner, EPOCHS, seeds=[0], optimiser=chosen.optimiser, learning_rate=rate, batch=chosen.batch
        )
        found[f"{rate:g}"] = [round(100 * accuracy, 2) for accuracy in accuracies]
        print(rate, *found[f"{rate:g}"], flush=True)
    path = locations.published() / chosen.name / "rates.json"
    table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"accuracies": {}}
    accuracies = table["accuracies"] | found  # beside those of other rates, and what is said of them
    table |= {"seed": 0, "epochs": EPOCHS, "held_out": HELD_OUT, "accuracies": accuracies}
    write_text(path, json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
