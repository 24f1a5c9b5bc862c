"""One training loop for all regimes: several seeds at once, resumable, and bit for bit repeatable.

A run is determined by its configuration, seed, data, the library's code and the machine's arithmetic (device, thread
count). Example order and initial weights depend on the seed alone, so a seed may be trained in any company.
"""

import hashlib
import logging
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor
from tqdm import tqdm

from npflib import data, experiments, profiles, regimes
from npflib.architectures import FullyConnected
from npflib.experiments import Experiment, Probe
from npflib.gates import BETA, EPS
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.randomness import generator
from npflib.records import locations, run_records, weights
from npflib.records.atomic import write_with
from npflib.records.fingerprint import training_source_hash
from npflib.records.run_records import Record
from npflib.training.autograd import PRECISIONS, AutogradLearner
from npflib.training.batched import BatchedLearner
from npflib.training.cuda_graphs import accelerated
from npflib.training.loop import each_epoch
from npflib.training.monitors import MEASURES, Batch
from npflib.training.optimisers import keras_optimiser

log = logging.getLogger("npflib")


class MissingGatesError(ValueError):
    """FLNPF was asked for before the ReLU networks whose gates it copies were trained."""


class DivergenceError(ValueError):
    """Training led to numbers that are not finite; the message names the seeds, the epochs and the mend."""


def ensure(
    experiment: str,
    regime: str,
    profile: str = "quick",
    *,
    seeds: Sequence[int] | None = None,
    epochs: int | None = None,
    build: str | os.PathLike = "",
    device: str | None = None,
    precision: str = "float32",
    progress: bool = True,
) -> list[Record]:
    """Records of an experiment's regime, one a seed: read where they are valid, trained where they are not.

    A record is valid when its configuration, its data and the fingerprint of the training code are today's. FLNPF
    copies the ReLU networks of the same seeds: the build's valid ones, else published ones of the same configuration
    and data, else they are trained first. Training writes a checkpoint after every epoch; an interrupted
    call, repeated, goes on from there and ends with the same bits.

    Args:
        experiment: a name that ``experiments.find`` knows.
        regime: one of the experiment's regimes.
        profile: "smoke", "quick" or "paper".
        seeds: whole numbers ≥ 0; None means the profile's own.
        epochs: a cap on the profile's epochs, for a run that shall cost less and whose record says so; None is none.
        build: the build folder; "" is the profile's own.
        device: "cpu", "cuda", …; None takes CUDA where there is one.
        precision: "float32", or "bfloat16" for the products of convolutional networks (``autograd``).
        progress: whether to show a progress bar.

    Returns:
        The records, in the order of the seeds.

    Raises:
        ValueError: an unknown name, a regime or a precision that the experiment does not have, seeds that are repeated
            or not whole numbers ≥ 0, a device that is not there, a build folder that cannot be written, a cap on
            epochs where there are stages, or a longer run of the same settings that would be replaced.
        DivergenceError: a seed's loss was not finite after an epoch. The other seeds' records are written first.

    Example:
        >>> from npflib.training import ensure
        >>> ensure("mnist-fc-adam", "FLNPF-stage-1", "smoke")  # refused before anything is read or trained
        Traceback (most recent call last):
            ...
        ValueError: mnist-fc-adam has no regime 'FLNPF-stage-1'; it has: ReLU, DLNPF, FLNPF, FRNPF-DI, FRNPF-II.

        Training itself, some seconds in the smoke profile:

        .. code-block:: python

            records = ensure("mnist-fc-adam", "FLNPF", "smoke")  # ReLU of the same seeds first
            [record.peak for record in records]                  # again: read, not trained
    """
    chosen = experiments.find(experiment)
    source = regimes.find(regime)
    if regime not in chosen.regimes:
        raise ValueError(f"{experiment} has no regime {regime!r}; it has: {', '.join(chosen.regimes)}.")
    if epochs is not None and chosen.stages:
        raise ValueError(f"{experiment} has stages, whose epochs a cap would change: leave out `epochs`.")
    wanted = _checked_seeds(profiles.find(profile).seeds if seeds is None else seeds)
    where = _checked_device(device)
    _check_precision(precision, chosen)
    folder = locations.build(profile, build)
    truth = _dataset(chosen, profile)
    dataset = shuffled(truth) if chosen.shuffled else truth
    configuration = configuration_of(chosen, regime, profile, dataset, precision, epochs)
    found: dict[int, Record] = {}

    def read() -> list[int]:
        """Reads the records that are valid; the seeds of the others, rising."""
        for seed in wanted:
            record = _valid_record(folder / "runs", chosen, regime, seed, configuration, dataset)
            if record is not None:
                found[seed] = record
        return sorted(set(wanted) - set(found))

    if not read():
        return [found[seed] for seed in wanted]
    place = _checkpoints(folder, chosen, regime)
    with _sole_use(place):  # another process may have trained some of them meanwhile
        missing = read()
        if epochs is not None:
            _spare_longer_runs(folder, chosen, regime, missing, configuration)
        learnt: dict[int, tuple[str, ReLUNetwork | DeepGatedNetwork | None]] = dict.fromkeys(wanted, ("", None))
        if source.feature == "learnt":
            relu = configuration_of(chosen, "ReLU", profile, dataset, precision, epochs)
            places = {seed: _learnt(folder, chosen, seed, relu, dataset) for seed in wanted}
            if lacking := [seed for seed in missing if places[seed] is None]:
                ensure(
                    experiment, "ReLU", profile, seeds=lacking, epochs=epochs, build=folder, device=device,
                    precision=precision, progress=progress,
                )  # fmt: skip
            which = "best" if source.stage is None else f"stage-{source.stage}"
            for seed in wanted:
                if places[seed] or seed in missing:
                    record, network = _network(places[seed] or folder / "runs", chosen, "ReLU", seed, which)
                    learnt[seed] = record.weights, network
        diverged: dict[int, int] = {}
        for group in _groups(place, missing, wanted):
            networks = [
                # What was learnt is a ReLU network.
                regimes.start(regime, chosen.arch, seed, learnt[seed][1], chosen.initialisation)  # type: ignore[arg-type]
                for seed in group
            ]
            gates = [learnt[seed][0] for seed in group]
            run = _Run(chosen, regime, profile, group, dataset, truth, configuration, folder, where, networks, gates)
            found |= run.finish(progress)
            diverged |= run.diverged
    if diverged:
        raise DivergenceError(
            f"{experiment} {regime} diverged: its loss was not finite after "
            + ", ".join(f"epoch {epoch} of seed {seed}" for seed, epoch in diverged.items())
            + f". It is trained by {chosen.optimiser} at the rate {chosen.learning_rate:g}: take a smaller one. The "
            "other seeds' records are kept."
        )
    return [found[seed] for seed in wanted]


def trained_network(
    experiment: str,
    regime: str,
    seed: int,
    profile: str = "quick",
    *,
    build: str | os.PathLike = "",
    which: str = "best",
) -> ReLUNetwork | DeepGatedNetwork:
    """The network of a finished run, on the CPU: of the build, or a published one of the same profile.

    Args:
        experiment: name of the experiment.
        regime: name of the regime.
        seed: the run's seed.
        profile: the run's profile.
        build: the build folder; "" is the profile's own.
        which: "best", the epoch of highest test accuracy (the paper's choice); "last"; or "stage-k", the best up to the
            k-th stage of an experiment that has stages.

    Raises:
        ValueError: unknown name or ``which``, or weights that are not those of the record beside them.
        MissingGatesError: that run has not been trained in this build, and its weights are not published.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from npflib.training import MissingGatesError, trained_network
        >>> with TemporaryDirectory() as build:
        ...     try:
        ...         network = trained_network("mnist-fc-adam", "ReLU", seed=0, profile="smoke", build=build)
        ...     except MissingGatesError:
        ...         print("train it first, by ensure")
        train it first, by ensure
    """
    found = experiments.find(experiment)
    kept = ("best", "last", *(f"stage-{k}" for k in range(1, len(found.stages) + 1) if regime == "ReLU"))
    if which not in kept:
        raise ValueError(f"which must be one of {', '.join(map(repr, kept))}; got {which!r}.")
    regimes.find(regime)
    folder = locations.build(profile, build) / "runs"
    published = locations.published()
    if not _whole(folder, experiment, regime, seed) and _whole(published, experiment, regime, seed):
        record = run_records.read(run_records.path_of(published, experiment, regime, seed))
        folder = published if record.profile == profile else folder
    return _network(folder, found, regime, seed, which, profile)[1]


def configuration_of(
    experiment: Experiment,
    regime: str,
    profile: str,
    dataset: data.Dataset,
    precision: str = "float32",
    epochs: int | None = None,
) -> dict[str, Any]:
    """Everything but the seed and the code that determines a run's result.

    Example:
        >>> from npflib import data, experiments
        >>> from npflib.training import configuration_of
        >>> few = data.subset(data.load("mnist", offline=True), train_examples=100, test_examples=20)
        >>> found = configuration_of(experiments.find("mnist-fc-adam"), "DLNPF", "smoke", few)
        >>> found["epochs"], found["full_epochs"], found["soft_gate"]
        (2, 100, {'beta': 4.0, 'eps': 0.1})
    """
    budget = experiments.budget(experiment.name, profile, regime, epochs)
    stage = regimes.find(regime).stage
    gates_from = "the ReLU run's best epoch on the test set"
    if stage is not None:
        gates_from += f" up to epoch {experiments.budget(experiment.name, profile, epochs=epochs).stages[stage - 1]}"
    weights = {"glorot_uniform": "glorot_uniform, zero biases", "signed": "±√(2/w), each with probability ½"}
    return {
        "architecture": type(experiment.arch).__name__,
        **_plain(asdict(experiment.arch)),
        "initialisation": weights[experiment.initialisation],
        "loss": experiment.loss,
        "regime": regimes.definition(regime),
        "optimiser": experiment.optimiser,
        "learning_rate": experiment.learning_rate,
        "batch": experiment.batch,
        "epochs": budget.epochs,
        "full_epochs": experiment.full_epochs(regime),
        "train_examples": len(dataset.train_labels),
        "test_examples": len(dataset.test_labels),
        "examples": _digest(dataset),
        "soft_gate": {"beta": BETA, "eps": EPS} if regimes.find(regime).gate == "soft" else None,
        "gates_from": gates_from if regimes.find(regime).feature == "learnt" else None,
        "stages": list(budget.stages),
        "classes": None if experiment.classes is None else list(experiment.classes),
        "labels": "permuted once" if experiment.shuffled else "true",
        "probe": None if experiment.probe is None else {**asdict(experiment.probe), "every": budget.every},
        "precision": precision,
    }


class _Run:
    """The seeds of one regime that are trained together, from start or checkpoint to records."""

    def __init__(
        self,
        experiment: Experiment,
        regime: str,
        profile: str,
        seeds: Sequence[int],
        dataset: data.Dataset,
        truth: data.Dataset,
        configuration: dict[str, Any],
        folder: Path,
        device: torch.device,
        networks: Sequence[ReLUNetwork | DeepGatedNetwork],
        gates: Sequence[str],
    ):
        self.experiment, self.regime, self.profile, self.seeds = experiment, regime, profile, list(seeds)
        self.gates = list(gates)
        self.dataset, self.configuration, self.folder, self.device = dataset, configuration, folder, device
        self.network = None if experiment.probe is None else deepcopy(networks[0])
        self.learner = _learner(networks, dataset, device, experiment, configuration["precision"])
        self.parameters = self.learner.parameters()
        self.optimiser = keras_optimiser(experiment.optimiser, self.parameters, experiment.learning_rate)
        self.epochs = configuration["epochs"]
        self.history: list[dict[str, list[float]]] = [
            {"train_loss": [], "train_accuracy": [], "test_loss": [], "test_accuracy": []} for _ in self.seeds
        ]
        self.best: list[dict[str, Tensor]] = [{} for _ in self.seeds]
        self.kept: list[dict[str, dict[str, Tensor]]] = [{} for _ in self.seeds]
        self.series: list[dict[str, list[float]]] = [{} for _ in self.seeds]
        self.batch = None if experiment.probe is None else _probe_batch(experiment.probe, truth, dataset)
        self.seconds = 0.0
        self.diverged: dict[int, int] = {}  # seed → the first epoch after which its loss was not finite
        self.checkpoint = _checkpoints(folder, experiment, regime) / _name_of(seeds)

    @property
    def done(self) -> int:
        return len(self.history[0]["test_accuracy"])

    def finish(self, progress: bool) -> dict[int, Record]:
        """The records by seed, of those that did not diverge."""
        self._resume()
        steps = -(-len(self.dataset.train_labels) // self.experiment.batch)
        label = f"{self.experiment.name} {self.regime} ({len(self.seeds)} seeds, {self.epochs} epochs)"
        with tqdm(
            desc=label, total=self.epochs * steps, initial=self.done * steps, unit="step", disable=not progress,
            mininterval=1.0,
        ) as bar:  # fmt: skip
            if self.done == 0:
                self._measure()
            loop = each_epoch(self.learner, self.optimiser, self.seeds, self.experiment.batch, done=self.done, bar=bar)
            while self.done < self.epochs and len(self.diverged) < len(self.seeds):
                self._epoch(loop)
                self._save()
                bar.set_postfix(test=" ".join(f"{100 * h['test_accuracy'][-1]:.2f}" for h in self.history))
        loop.close()  # which holds the learner too
        records = self._write()
        self.checkpoint.unlink(missing_ok=True)
        return records

    @torch.no_grad()
    def _epoch(self, loop: Iterator[int]) -> None:
        started = time.perf_counter()
        next(loop)
        train_loss, train_accuracy = self.learner.take_running(len(self.dataset.train_labels))
        test_loss, test_accuracy = self.learner.test()
        for copy, (seed, history) in enumerate(zip(self.seeds, self.history, strict=True)):
            if test_accuracy[copy] > max(history["test_accuracy"], default=-1.0):
                self.best[copy] = self.learner.state_dict(copy)
            history["train_loss"].append(train_loss[copy])
            history["train_accuracy"].append(train_accuracy[copy])
            history["test_loss"].append(test_loss[copy])
            history["test_accuracy"].append(test_accuracy[copy])
            if self.done in self.configuration["stages"]:
                stage = self.configuration["stages"].index(self.done) + 1
                self.kept[copy][f"stage-{stage}"] = self.best[copy]
            if not isfinite(train_loss[copy] + test_loss[copy]):
                self.diverged.setdefault(seed, self.done)
        if not self.diverged:
            self._measure()
        self.seconds += time.perf_counter() - started

    def _measure(self) -> None:
        """Lets the probe look at every copy, where one is due after ``done`` epochs."""
        if self.batch is None or self.done % self.configuration["probe"]["every"]:
            return
        for copy, series in enumerate(self.series):
            # There is a network to look at wherever there is a batch to look with.
            self.network.load_state_dict(self.learner.state_dict(copy))  # type: ignore[union-attr]
            found = MEASURES[self.experiment.probe.name].measure(self.network, self.batch)  # type: ignore[union-attr, arg-type]
            for name, number in {"epoch": self.done, **found}.items():
                series.setdefault(name, []).append(number)

    def _identity(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment.name,
            "regime": self.regime,
            "seeds": self.seeds,
            "configuration": self.configuration,
            "source": training_source_hash(),
            "gates": self.gates,
        }

    def _save(self) -> None:
        state = {
            "identity": self._identity(),
            "parameters": [p.detach().cpu() for p in self.parameters],
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "best": self.best,
            "kept": self.kept,
            "series": self.series,
            "seconds": self.seconds,
            "diverged": self.diverged,
        }
        write_with(self.checkpoint, lambda file: torch.save(state, file))

    def _resume(self) -> None:
        state = _read_checkpoint(self.checkpoint)
        if state is None:
            return
        if state["identity"] != self._identity():
            log.warning(
                "the checkpoint of %s %s was made by other code, data or settings: starting afresh",
                self.experiment.name,
                self.regime,
            )
            return
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        self.history, self.best, self.seconds = state["history"], state["best"], state["seconds"]
        self.kept, self.series, self.diverged = state["kept"], state["series"], state["diverged"]
        log.info("%s %s goes on after epoch %d", self.experiment.name, self.regime, self.done)

    def _write(self) -> dict[int, Record]:
        records = {}
        last = [self.learner.state_dict(copy) for copy in range(len(self.seeds))]
        del self.learner  # its tables of gates may take gigabytes
        for copy, (seed, history) in enumerate(zip(self.seeds, self.history, strict=True)):
            if seed in self.diverged:
                continue
            accuracies = history["test_accuracy"]
            kept = {"best": self.best[copy], "last": last[copy], **self.kept[copy]}
            folder = self.folder / "runs"
            digest = weights.write(kept, weights.path_of(folder, self.experiment.name, self.regime, seed))
            record = Record(
                experiment=self.experiment.name,
                regime=self.regime,
                seed=seed,
                profile=self.profile,
                configuration=self.configuration,
                history=history,
                peak=max(accuracies),
                peak_epoch=accuracies.index(max(accuracies)) + 1,
                final=accuracies[-1],
                seconds=self.seconds / len(self.seeds),
                data=self.dataset.source.as_dict(),
                environment=environment_of(self.device),
                library={"version": _version(), "source": training_source_hash()},
                series=self.series[copy],
                weights=digest,
                gates=self.gates[copy],
            )
            # The record comes last: where it stands, its weights stand too.
            run_records.write(record, folder)
            records[seed] = record
        return records


def environment_of(device: torch.device) -> dict[str, Any]:
    """Python, torch, device and threads: what else a run's bits depend on.

    Example:
        >>> import torch
        >>> from npflib.training import environment_of
        >>> sorted(environment_of(torch.device("cpu")))
        ['device', 'python', 'threads', 'torch']
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": name,
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version() -> str:
    from importlib.metadata import version

    return version("npflib")


def shuffled(dataset: data.Dataset) -> data.Dataset:
    """The data set with its training labels permuted among its training examples, always in the same way.

    Example:
        >>> import torch
        >>> from npflib.data import load, subset
        >>> from npflib.training import shuffled
        >>> few = subset(load("mnist", offline=True), train_examples=100)
        >>> torch.equal(shuffled(few).train_labels.sort().values, few.train_labels.sort().values)
        True
    """
    order = torch.randperm(len(dataset.train_labels), generator=generator(0, "labels"))
    return replace(dataset, train_labels=dataset.train_labels[order])


def _learner(
    networks: Sequence[ReLUNetwork | DeepGatedNetwork],
    dataset: data.Dataset,
    device: torch.device,
    experiment: Experiment,
    precision: str,
) -> BatchedLearner | AutogradLearner:
    parts = (networks, dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels, device)
    first = networks[0]
    learns = isinstance(first, DeepGatedNetwork) and any(p.requires_grad for p in first.feature.parameters())
    written_out = not learns or first.gate == "soft"
    if isinstance(first.arch, FullyConnected) and written_out:
        return BatchedLearner(*parts, loss=experiment.loss)
    if experiment.loss != "cross_entropy":
        raise ValueError(f"{experiment.name}: gates {first.gate!r} that learn are trained with cross_entropy only.")
    return accelerated(AutogradLearner(*parts, precision=precision))


def _dataset(experiment: Experiment, profile: str) -> data.Dataset:
    budget = experiments.budget(experiment.name, profile)
    # CIFAR-10 stays in bytes, a quarter of the memory; batches become pixels / 255 as they are taken.
    dtype = torch.float32 if isinstance(experiment.arch, FullyConnected) else torch.uint8
    dataset = data.subset(data.load(experiment.dataset, dtype=dtype), budget.train_examples, budget.test_examples)
    return dataset if experiment.classes is None else data.binary(dataset, *experiment.classes)


def _probe_batch(probe: Probe, truth: data.Dataset, dataset: data.Dataset) -> Batch:
    chosen = MEASURES[probe.name].choose(truth.train_labels, probe.examples_a_class)
    return Batch(truth.train_images[chosen], truth.train_labels[chosen], dataset.train_labels[chosen])


def _digest(dataset: data.Dataset) -> str:
    """Sixteen hexadecimal digits over every pixel and label: the data that were used, however they were loaded."""
    digest = hashlib.blake2b(digest_size=8)
    for tensor in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        digest.update(tensor.contiguous().numpy())  # type: ignore[arg-type]  # an array is a buffer
    return digest.hexdigest()


def _whole(folder: Path, experiment: str, regime: str, seed: int) -> bool:
    """Whether a folder of records holds a run and its weights."""
    where = (folder, experiment, regime, seed)
    return run_records.path_of(*where).exists() and weights.path_of(*where).exists()


def _valid_record(
    folder: Path,
    experiment: Experiment,
    regime: str,
    seed: int,
    configuration: dict[str, Any],
    dataset: data.Dataset,
    any_code: bool = False,
) -> Record | None:
    if not _whole(folder, experiment.name, regime, seed):
        return None
    path = run_records.path_of(folder, experiment.name, regime, seed)
    record = run_records.read(path)
    plain = _without_code if any_code else dict
    valid = (
        plain(record.configuration) == plain(configuration)  # which holds a digest of the examples
        and record.data["stand_in"] == dataset.source.stand_in
        and (any_code or record.library["source"] == training_source_hash())
    )
    if not valid:
        log.info("%s was made by other code, data or settings: it is not used", path)
    return record if valid else None


def _without_code(configuration: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the digest of its gate's code."""
    return configuration | {"regime": {k: v for k, v in configuration["regime"].items() if k != "gate_code"}}


def _learnt(
    folder: Path, experiment: Experiment, seed: int, configuration: dict[str, Any], dataset: data.Dataset
) -> Path | None:
    """The folder of records with the ReLU network to copy: the build's, or what was published, by whichever code."""
    sought = (experiment, "ReLU", seed, configuration, dataset)
    if _valid_record(folder / "runs", *sought):
        return folder / "runs"
    if _valid_record(locations.published(), *sought, any_code=True):
        log.info("%s seed %d: gates of the published ReLU network", experiment.name, seed)
        return locations.published()
    return None


def _network(
    folder: Path, experiment: Experiment, regime: str, seed: int, which: str, profile: str = ""
) -> tuple[Record, ReLUNetwork | DeepGatedNetwork]:
    """A run's record and one of its networks, from a folder of records."""
    path = weights.path_of(folder, experiment.name, regime, seed)
    if not _whole(folder, experiment.name, regime, seed):
        raise MissingGatesError(
            f"there are no weights of {experiment.name}, {regime}, seed {seed} at {path}. Train them first: "
            f"npf train --experiment {experiment.name} --regime {regime} --profile {profile} --seeds {seed}"
        )
    record = run_records.read(run_records.path_of(folder, experiment.name, regime, seed))
    kind = regimes.find(regime)
    arch = experiment.arch
    network = ReLUNetwork(arch) if kind.gate == "own" else DeepGatedNetwork(arch, kind.gate, linear=kind.linear)
    network.load_state_dict(weights.read(path, record.weights)[which])
    return record, network


def _spare_longer_runs(
    folder: Path, experiment: Experiment, regime: str, seeds: Sequence[int], configuration: dict[str, Any]
) -> None:
    """A capped run must not take the place of a longer one that differs in its length alone."""
    for seed in seeds:
        path = run_records.path_of(folder / "runs", experiment.name, regime, seed)
        longer = run_records.read(path).configuration if path.exists() else {}
        same = all(longer.get(key) == configuration[key] for key in ("examples", "learning_rate", "labels"))
        if same and longer["epochs"] > configuration["epochs"]:
            raise ValueError(
                f"{path} is a longer run than {configuration['epochs']} epochs and would be lost: give another build "
                "folder, or delete it first."
            )


def _checkpoints(folder: Path, experiment: Experiment, regime: str) -> Path:
    return Path(folder) / "checkpoints" / experiment.name / regime


def _name_of(seeds: Sequence[int]) -> str:
    """A file for any number of seeds."""
    return hashlib.blake2b(repr(sorted(seeds)).encode(), digest_size=8).hexdigest() + ".pt"


@contextmanager
def _sole_use(place: Path) -> Iterator[None]:
    """One process at a time trains a regime of an experiment in a build folder; the next waits for it."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place.with_name(f"{place.name}.lock"))
        lock.acquire(blocking=False)
    except Timeout:
        log.info("another process trains in %s: waiting for it", place)
        lock.acquire()
    except OSError as error:
        raise ValueError(f"the build folder cannot be written ({error}): give another one.") from error
    try:
        yield
    finally:
        lock.release()


def _read_checkpoint(path: Path) -> dict[str, Any] | None:
    """What a checkpoint holds; None where there is none, or a damaged one, which is set aside."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        if not {"identity", "parameters", "optimiser", "history", "best", "kept", "series", "seconds"} <= set(state):
            raise ValueError("it is not a checkpoint of this library")
        return {"diverged": {}} | state
    except Exception as error:  # whatever torch and its unpickler make of a damaged file
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        log.warning("the checkpoint %s is damaged (%s): set aside, training begins anew", aside, error)
        return None


def _groups(place: Path, missing: list[int], wanted: Sequence[int]) -> list[list[int]]:
    """The missing seeds as they are trained together: those of an interrupted run as there, the rest apart."""
    groups: list[list[int]] = []
    for path in sorted(place.glob("*.pt")):
        state = _read_checkpoint(path)
        seeds = [] if state is None else state["identity"]["seeds"]
        if set(seeds) <= set(wanted) - set(missing):
            path.unlink(missing_ok=True)  # all its records were written
        elif set(seeds) <= set(wanted) and not any(set(seeds) & set(group) for group in groups):
            groups.append(seeds)
    rest = [seed for seed in missing if not any(seed in group for group in groups)]
    return [*groups, rest] if rest else groups


def _checked_seeds(seeds: Sequence[int]) -> list[int]:
    seeds = list(seeds)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be one or more different whole numbers; got {seeds!r}.")
    for seed in seeds:
        generator(seed, "order")
    return seeds


def _checked_device(device: str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} is not there; use 'cpu', or leave it out. ({error})") from error
    return torch.device(device)


def _check_precision(precision: str, experiment: Experiment) -> None:
    allowed = PRECISIONS[:1] if isinstance(experiment.arch, FullyConnected) else PRECISIONS
    if precision not in allowed:
        raise ValueError(f"precision must be one of {', '.join(allowed)} for {experiment.name}; got {precision!r}.")


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON would give them back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
