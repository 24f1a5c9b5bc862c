"""Training the largest network on all of CIFAR-10 fits in 6 GiB of memory on the processor.

VCONV's dense layer has 33 million weights, its gates take 49,216 bytes an image. A process of its own trains it
through the usual path, ``training.ensure``, on as many images as CIFAR-10 has, and reports the most memory that it
ever held. So that it takes seconds and not hours, three things are cut short, none of which changes what is held:
one step an epoch is taken, one chunk of images is tested on, and only the first two chunks of the table of gates
are computed, the second of them when all of the table has been written to.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 6 * 2**30

RUN = """
import json, os, resource, sys
from dataclasses import replace
import torch
torch.set_num_threads(1)
from npflib import data
from npflib import experiments
from npflib.training import runs as training
from npflib.training import autograd
from npflib.training.gate_sources import CHUNK, GateTable
from npflib.training.autograd import AutogradLearner

regime, build, chunk = sys.argv[1], sys.argv[2], CHUNK
generator = torch.Generator().manual_seed(0)
draw = lambda n: torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
source = data.Source("cifar10", "noise", False, "", {}, 50_000, 10_000)

def load(name, dtype):
    assert dtype is torch.uint8
    return data.Dataset(name, draw(50_000), torch.arange(50_000) % 10, draw(10_000), torch.arange(10_000) % 10, source)

data.load = load

table, test, permutation, fsync = autograd.layer_tables, AutogradLearner.test, torch.randperm, os.fsync
touched = []

def part_of_the_table(network, images, *options, together):
    (first,) = table(network, images[:chunk], *options, together=together)
    whole = GateTable(first.shapes, len(images), *options)
    whole.rows.fill_(1)
    whole.rows[:chunk] = first.rows
    whole.rows[chunk : 2 * chunk] = table(network, images[chunk : 2 * chunk], *options, together=together)[0].rows
    touched.append(whole.rows.nbytes)
    return [whole]

def part_of_the_test(self):
    labels, self.test_labels = self.test_labels, self.test_labels[:chunk]
    try:
        return test(self)
    finally:
        self.test_labels = labels

autograd.layer_tables, AutogradLearner.test = part_of_the_table, part_of_the_test
torch.randperm = lambda n, generator=None: permutation(n, generator=generator)[:32]  # one step
os.fsync = lambda descriptor: None
# Two epochs, so that a best network of an earlier epoch is there when a later one is better.
name = "cifar10-vconv-adam"
experiments.PAPER = {name: replace(experiments.PAPER[name], epochs=2, reported={})}
(record,) = training.ensure(name, regime, "paper", seeds=[0], build=build, device="cpu", progress=False)
assert record.configuration["train_examples"] == 50_000
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"peak": peak, "table": sum(touched), "accuracies": record.history["test_accuracy"]}))
"""


def available() -> int:
    """Bytes of memory that a process may still have, where the system says so."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 2**62


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("regime", ["FRNPF-II", "DLNPF"])
def test_vconv_with_adam_on_all_of_cifar10_fits_in_6_gib(tmp_path, regime):
    """FRNPF has the table of gates, DLNPF the most parameters, gradients and moments: two networks' of each."""
    pytest.importorskip("resource", reason="this system does not tell the peak of a process's memory")
    if available() < LIMIT:
        pytest.skip(f"less than 6 GiB of memory is free: {available() / 2**30:.1f} GiB")
    ended = subprocess.run(
        [sys.executable, "-c", RUN, regime, str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    print(f"{regime}: {found['peak'] / 2**20:.0f} MiB, of which the gates {found['table'] / 2**20:.0f} MiB")
    assert found["table"] == (60_000 * 49_216 if regime == "FRNPF-II" else 0)
    assert len(found["accuracies"]) == 2
    assert found["peak"] < LIMIT
    # The measurement saw what it should: the table, or two networks with gradients and both of Adam's moments.
    assert found["peak"] > (found["table"] or 8 * 33_800_000 * 4)
