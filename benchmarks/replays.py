"""How far the first epochs of published runs, trained anew, are from their records: results/replays.json.

    python benchmarks/replays.py FOLDER    the runs go there; some minutes a way of computing

Each run of seed 0 is trained anew as a build does it, on one thread, on two, together with another seed, and with
float64 in the place of float32. Many of the records were trained several seeds at a time themselves, another day.
Behind learnt gates training rounds as behind any others that are frozen, and only these are measured.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from companion import replays
from npflib import experiments, regimes
from npflib.records import locations, run_records
from npflib.records.atomic import write_text
from npflib.records.run_records import Record
from npflib.training import ensure, runs

WAYS = {  # threads, numbers, and the seeds that are trained together
    "one thread": (1, torch.float32, (0,)),
    "two threads": (2, torch.float32, (0,)),
    "in another seed's company": (1, torch.float32, (0, 1)),
    "float64": (1, torch.float64, (0,)),
}


def rows(folder: Path) -> Iterator[dict]:
    """For each way and published run the largest distances by kind."""
    start, dataset, learner = regimes.start, runs._dataset, runs._learner
    for way, (threads, dtype, seeds) in WAYS.items():

        def loaded(*asked, dtype=dtype):
            found = dataset(*asked)
            return replace(found, train_images=found.train_images.to(dtype), test_images=found.test_images.to(dtype))

        def learning(*asked, dtype=dtype):
            torch.set_default_dtype(dtype)
            try:
                return learner(*asked)
            finally:
                torch.set_default_dtype(torch.float32)

        torch.set_num_threads(threads)
        runs._dataset, runs._learner = loaded, learning
        regimes.start = lambda *asked, dtype=dtype, **more: start(*asked, **more).to(dtype)
        for experiment, regime in experiments.runs_of("quick"):
            if regimes.find(regime).feature != "learnt":
                published = run_records.read(run_records.path_of(locations.published(), experiment, regime, 0))
                build = folder / way.replace(" ", "-")
                ours = ensure(experiment, regime, "quick", seeds=seeds, build=build, progress=False)[0]
                yield row(ours, published) | {"way": way}


def row(ours: Record, published: Record) -> dict:
    """The largest distances of two records by name."""
    largest: dict[str, float] = {}
    for (name, _), distance in replays.distances(ours, published).items():
        largest[name] = max(largest.get(name, 0.0), distance)
    return {"experiment": ours.experiment, "regime": ours.regime, "epochs": ours.epochs, "largest": largest}


if __name__ == "__main__":
    write_text(
        locations.published() / "replays.json", json.dumps({"rows": list(rows(Path(sys.argv[1])))}, indent=1) + "\n"
    )
