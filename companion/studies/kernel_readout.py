"""The kernel read-out of gates: whose gates, learnt from what, say how much to kernel ridge regression.

Ridge regression with the neural path kernel of a network's gates trains no weight behind them. A seed draws n examples
for it. Networks of one common start learn from ``own``, the regression's own n examples (at epoch 0 their gates are
random); ``other``, n others, as much to learn from and nothing to leak; ``all``, all training examples or a pool of
them, in as many steps or more; ``shuffled``, the regression's own images with their labels permuted.

A row has ``kernel``, the read-out's test accuracy with these gates (with ``linear``, none), and its relative ``ridge``;
``network``, that of the network that the gates came from; and that of value networks trained from a fresh start behind
them on the n examples (FLNPF; behind random gates FRNPF). A seed's rows belong together in pairs.

**FC on MNIST** (no biases, ``theory.kernel_ridge``) has a value network, ``value``; ``held_out``, the accuracy by which
its ridge was chosen, and whether that is ``at_edge`` of those tried; ``network_fit``, the network's accuracy on what it
was trained on (for ``all``, at the regression's examples).

**GCONV on CIFAR-10**, a quarter of the paper's, knows ``own`` and ``all``, the published ReLU network of full budget.
Its kernel is that of a network without pooling (``convolution.flattened_path_kernel``): the pooled form costs s² =
1,024 times as much. So *two* value networks, without biases, stand behind the same gates: ``flattened``, a VCONV, as
the kernel supposes, and ``pooled``, a GCONV.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from companion.studies import common
from companion.studies.study import Row, Study
from npflib.answers import accuracy
from npflib.architectures import FullyConnected, GConv, VConv
from npflib.data import Dataset
from npflib.networks import ReLUNetwork
from npflib.randomness import generator
from npflib.theory.convolution import flattened_path_kernel
from npflib.theory.kernel_ridge import KernelReadOut, ReadOut, choose_ridge, fit
from npflib.training.autograd import AutogradLearner
from npflib.training.gate_sources import MixedGates, layer_tables, pixels

SOURCES = ("own", "other", "all", "shuffled")
ARCH = FullyConnected(depth=6, width=128, bias=False)


@dataclass(frozen=True)
class ReadoutConfig:
    """What is asked for."""

    examples: int  # n, of the regression and of every network but that of ``all``
    kept: tuple[int, ...]  # epochs at which gates of ``own`` are read; 0 is before training, the last where it ends
    pool: int | None  # training examples that ``all`` learns from; None is all there are
    all_epochs: int  # its epochs over them; published networks are those of their best epoch
    seeds: tuple[int, ...]  # independent draws of examples, starts, orders
    valued: tuple[str, ...]  # the gates behind which value networks are trained: "start" and sources
    ridges: tuple[float, ...]  # relative, to choose from
    donors: str = ""  # the experiment whose published ReLU networks are a convolutional study's ``all``
    arch: FullyConnected | GConv | VConv = ARCH
    test_examples: int | None = None  # drawn by each seed; None is all there are
    learning_rate: float = common.LEARNING_RATE
    part: tuple[int, int] | None = None  # training and test examples of the data that count; None is all

    @property
    def disjoint(self) -> int:
        """How many times n examples the pool holds at least: fully connected networks have ``other``."""
        return 2 if isinstance(self.arch, FullyConnected) else 1


class _Examples:
    """The seeds' draws, what each source is taught, and the read-out's examples."""

    def __init__(self, config: ReadoutConfig, dataset: Dataset):
        total, n, seeds = len(dataset.train_labels), config.examples, config.seeds
        pool, least = total if config.pool is None else config.pool, config.disjoint * config.examples
        if not 0 < least <= pool <= total:
            asked = f"{n:,} examples{' and as many others' * (config.disjoint - 1)} come from a pool of {pool:,}"
            mend = f"take fewer examples, or a pool of {least:,} to {total:,}"
            raise ValueError(f"{asked}, out of {total:,} in all: {mend}.")
        if unknown := sorted(set(config.valued) - {"start", *SOURCES}):
            raise ValueError(f"unknown source of gates {unknown[0]!r}; allowed: start, {', '.join(SOURCES)}.")
        common.check_examples(config.test_examples, len(dataset.test_labels), "test")
        self.config, self.dataset, self.pool = config, dataset, pool
        if isinstance(config.arch, FullyConnected):
            self.images, self.labels = dataset.train_images.flatten(1), dataset.train_labels
            self.test = dataset.test_images.flatten(1), dataset.test_labels
            self.rows = torch.stack([torch.randperm(total, generator=generator(seed, "examples", 1)) for seed in seeds])
            self.own = self.rows[:, :n]
            self.start = [common.relu(config.arch, seed) for seed in seeds]

    def lesson(self, source: str) -> tuple[Tensor, Tensor, Tensor, Sequence[int]]:
        """Images, labels, each network's rows of them, and the epochs after which it is read."""
        n, last = self.config.examples, self.config.kept[-1]
        if source == "shuffled":
            images, labels, rows = self.regression()
            orders = [common.label_order(seed, n) for seed in self.config.seeds]
            shuffled = torch.cat([labels[own[order]] for own, order in zip(rows, orders, strict=True)])
            return images, shuffled, rows, (last,)
        if source == "all":
            return self.images, self.labels, self.rows[:, : self.pool], (self.config.all_epochs,)
        rows, epochs = (self.own, self.config.kept) if source == "own" else (self.rows[:, n : 2 * n], (last,))
        return self.images, self.labels, rows, epochs

    def regression(self) -> tuple[Tensor, Tensor, Tensor]:
        """The regressions' examples side by side: seeds may share images, and shuffled labels differ by seed."""
        own = self.own.flatten()
        return self.images[own], self.labels[own], torch.arange(len(own)).view(self.own.shape)

    def valued(self, networks: Sequence[ReLUNetwork]) -> list[float]:
        """Test accuracies of value networks trained behind the gates of some networks, one a seed."""
        config, last = self.config, self.config.kept[-1]
        pairs = zip(config.seeds, networks, strict=True)
        behind = [common.gated(config.arch, seed, network) for seed, network in pairs]
        return [accuracy(one[last], *self.test) for one in common.kept(behind, *self.regression(), (last,), config)]

    def readers(self) -> Iterator[tuple[int, KernelReadOut]]:
        """Each seed's read-out; one at a time is in memory."""
        for seed, own in zip(self.config.seeds, self.own, strict=True):
            given = self.images[own], self.labels[own], *self.test
            yield seed, KernelReadOut(*given, ridges=self.config.ridges, seed=seed)

    def drawn(self, seed: int) -> common.Sets:
        """The regression's images and labels, and the test images and labels."""
        source, whole, config = generator(seed, "examples", 10), self.dataset, self.config
        rows = torch.randperm(len(whole.train_labels), generator=source)[: config.examples]
        test = torch.randperm(len(whole.test_labels), generator=source)[: config.test_examples]
        images, test_images = pixels(whole.train_images[rows]), pixels(whole.test_images[test])
        return images, whole.train_labels[rows], test_images, whole.test_labels[test]


def _evaluate(given: _Examples, source: str) -> list[Row]:
    if source == "linear":  # all gates open
        return [{"seed": s, "gates": source, "epoch": 0} | _read(r.read_linear()) for s, r in given.readers()]
    images, labels, rows, epochs = given.lesson(source)
    learnt = common.kept(given.start, images, labels, rows, epochs, given.config)
    ends = {0: "start", epochs[-1]: source}  # "own" is read from the start on
    valued = [epoch for epoch in epochs if ends.get(epoch) in given.config.valued]
    values = {epoch: given.valued([networks[epoch] for networks in learnt]) for epoch in valued}
    fitted = given.own if source == "all" else rows
    found = []
    for copy, (seed, reader) in enumerate(given.readers()):
        for epoch, network in sorted(learnt[copy].items()):
            row = {"seed": seed, "gates": source, "epoch": epoch} | _read(reader.read_network(network))
            row["network"] = accuracy(network, *given.test)
            row["network_fit"] = accuracy(network, images[fitted[copy]], labels[fitted[copy]])
            found.append(row | ({"value": values[epoch][copy]} if epoch in values else {}))
    return found


def _read(reading: ReadOut) -> Row:
    found = asdict(reading)
    return {"kernel": found.pop("accuracy"), **found}


def _evaluate_convolutional(given: _Examples, unit: str) -> list[Row]:
    config, seed = given.config, int(unit.removeprefix("seed-"))
    x, y, test, test_labels = sets = given.drawn(seed)
    arch = replace(config.arch, bias=False)  # the kernel is that of paths from the inputs alone
    archs, last = {"flattened": VConv(**asdict(arch)), "pooled": arch}, config.kept[-1]
    kernels = (flat := x.flatten(1).double()) @ flat.T, test.flatten(1).double() @ flat.T
    found = [{"seed": seed, "gates": "linear", "epoch": 0} | _regression(config, seed, *kernels, y, test_labels)]
    own, [full] = common.relu(config.arch, seed), common.learnt(replace(config, seeds=(seed,)))
    for name, network, epoch in (("start", own, 0), ("own", own, last), ("all", full, config.all_epochs)):
        learner = AutogradLearner([network], *sets, common.CPU)
        [right] = common.trained(learner, config, epochs=last, seeds=[seed]) if name == "own" else learner.test()[1]
        tables = [MixedGates(layer_tables(network, some)) for some in (x, test)]
        gates, others = (table.lookup(torch.arange(len(some))) for table, some in zip(tables, (x, test), strict=True))
        kernels = flattened_path_kernel(x, gates).double(), flattened_path_kernel(test, others, x, gates).double()
        row: Row = {"seed": seed, "gates": name if epoch else "own", "epoch": epoch, "network": right}
        row |= _regression(config, seed, *kernels, y, test_labels)
        for read_out, behind in archs.items() if name in config.valued else ():
            learner = AutogradLearner([common.gated(behind, seed)], *sets, gates=([tables[0]], [tables[1]]))
            [row[read_out]] = common.trained(learner, config, epochs=last, seeds=[seed])
        found.append(row)
    return found


def _regression(config: ReadoutConfig, seed: int, kernel: Tensor, rows: Tensor, y: Tensor, test_y: Tensor) -> Row:
    """The test accuracy and the ridge of a regression with a kernel [n, n] and its rows of test examples [m, n]."""
    ridge = choose_ridge(kernel, y, config.ridges, classes=10, seed=seed).ridge
    return {"kernel": fit(kernel, y, ridge, classes=10).accuracy(rows, test_y), "ridge": ridge}


def _fit(config: ReadoutConfig, dataset: Dataset) -> ReadoutConfig:
    total, pool, test = len(dataset.train_labels), config.pool, config.test_examples
    pool = pool and min(pool, total)
    examples = min(config.examples, (pool or total) // config.disjoint)
    return replace(config, examples=examples, pool=pool, test_examples=test and min(test, len(dataset.test_labels)))


RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
MNIST = Study(
    name="mnist-kernel-readout",
    title="Whose gates, learnt from what, say how much to kernel ridge regression",
    # As many steps for ``all`` as for ``own``, at ``quick`` and ``paper``.
    configs={
        "smoke": ReadoutConfig(200, (0, 1, 2), 1_000, 1, (0, 1), ("start", "own"), RIDGES[1:4], part=(1_000, 500)),
        "quick": ReadoutConfig(1_000, (0, 2, 15), 15_000, 1, (0, 1, 2), ("start", "own"), RIDGES[1:]),
        "paper": ReadoutConfig(5_000, (0, 1, 2, 5, 10, 20, 48), None, 4, (0, 1, 2, 3, 4), ("start", *SOURCES), RIDGES),
    },
    units=lambda config: ["linear", *SOURCES],
    prepare=_Examples,
    evaluate=_evaluate,
    conditions=("gates", "epoch"),
    shares=("kernel", "held_out", "network", "network_fit", "value"),
    fit=_fit,
)  # fmt: skip
CIFAR10 = replace(
    MNIST,
    name="cifar10-kernel-readout",
    title="What a convolutional network's gates say to kernel ridge regression",
    datasets=("cifar10",),
    configs={
        "smoke": ReadoutConfig(40, (0, 1), None, 42, (0, 1), ("own",), RIDGES[2:4], *common.QUARTER, 30),
        "quick": ReadoutConfig(200, (0, 4), None, 42, (0, 1), ("own",), RIDGES[1:4], *common.QUARTER, 200),
        "paper": ReadoutConfig(
            2_000, (0, 20), None, 42, (0, 1, 2), ("start", "own", "all"), RIDGES, *common.QUARTER, 1_000
        ),
    },
    units=lambda config: [f"seed-{seed}" for seed in config.seeds],
    evaluate=_evaluate_convolutional,
    shares=("kernel", "network", "flattened", "pooled"),
    listed=("seeds",),
    given=lambda config: [run.weights for run in common.published(config)],
)
