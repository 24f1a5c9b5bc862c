"""One training loop for all regimes: several seeds at once, resumable, and bit for bit repeatable.

A run is determined by its configuration, seed, data, the library's code and the machine's arithmetic (device, thread
count). Example order and initial weights depend on the seed alone, so a seed may be trained in any company.
"""

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor
from tqdm import tqdm

from npflib import checks, data, experiments, profiles, regimes
from npflib.architectures import FullyConnected
from npflib.experiments import Experiment
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

Network = ReLUNetwork | DeepGatedNetwork

HISTORY = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
# What a run has come to after an epoch, beside parameters and optimiser: attributes of it, and entries of a checkpoint.
PROGRESS = ("history", "best", "kept", "series", "seconds", "diverged")


class MissingGatesError(ValueError):
    """FLNPF was asked for before the ReLU networks whose gates it copies were trained."""


class DivergenceError(ValueError):
    """Training led to numbers that are not finite; the message names the seeds, the epochs and the mend."""


def ensure(
    experiment: str, regime: str, profile: str = "quick", *, seeds: Sequence[int] | None = None,
    epochs: int | None = None, build: str | os.PathLike = "", device: str | None = None, precision: str = "float32",
    progress: bool = True,
) -> list[Record]:  # fmt: skip
    """Records of an experiment's regime, one a seed: read where they are valid, trained where they are not.

    A record is valid when its configuration, its data and the fingerprint of the training code are today's. FLNPF
    copies the ReLU networks of the same seeds: the build's valid ones or published ones of the same settings and data,
    whichever was trained for longer; where there are none, they are trained first. Training writes a checkpoint after
    every epoch; an interrupted call, repeated, goes on from there and ends with the same bits.

    Args:
        experiment, regime: names that ``experiments.find`` knows, and a regime that the experiment has.
        profile: "smoke", "quick" or "paper"; its own are the ``build`` folder "" and the ``seeds`` None.
        seeds: whole numbers ≥ 0, in whose order the records come.
        epochs: a cap on the profile's epochs, for a run that shall cost less and whose record says so; None is none.
        device: "cpu", "cuda", …; None takes CUDA where there is one.
        precision: "float32", or "bfloat16" for the products of convolutional networks.

    A ValueError refuses what is unknown, repeated, not there or not to be written, a cap where there are stages, and to
    replace a longer run of the same settings; a DivergenceError names the seeds whose loss was not finite after an
    epoch, once the other seeds' records are written.

    Example:
        >>> from npflib.training import ensure
        >>> ensure("mnist-fc-adam", "FLNPF-stage-1", "smoke")  # without the stage: some seconds, and the ReLU first
        Traceback (most recent call last):
            ...
        ValueError: mnist-fc-adam has no regime 'FLNPF-stage-1'; it has: ReLU, DLNPF, FLNPF, FRNPF-DI, FRNPF-II.
    """
    wanted = _checked_seeds(profiles.find(profile).seeds if seeds is None else seeds)
    return ordered(experiment, regime, profile, build, device, precision, epochs).ensured(wanted, progress)


def trained_network(
    experiment: str,
    regime: str,
    seed: int,
    profile: str = "quick",
    *,
    build: str | os.PathLike = "",
    which: str = "best",
) -> Network:
    """The network of a finished run, on the CPU: of the build, or a published one of the same profile.

    ``which`` is "best", the epoch of highest test accuracy (the paper's choice), "last", or "stage-k", the best up to
    the k-th stage of an experiment that has stages; the build folder "" is the profile's own. A ValueError refuses an
    unknown name, and weights that are not those of the record beside them; a MissingGatesError says that the run has
    not been trained in this build, and that its weights are not published.

    Example:
        >>> from npflib.training import trained_network
        >>> trained_network("mnist-fc-adam", "ReLU", seed=0, which="stage-1")
        Traceback (most recent call last):
            ...
        ValueError: which must be one of 'best', 'last'; got 'stage-1'.
    """
    stages = experiments.find(experiment).stages if regime == "ReLU" else ()
    allowed = ("best", "last", *(f"stage-{k}" for k, _ in enumerate(stages, start=1)))
    if which not in allowed:
        raise ValueError(f"which must be one of {', '.join(map(repr, allowed))}; got {which!r}.")
    regimes.find(regime)
    run = (experiment, regime, seed)
    own, published = locations.build(profile, build) / "runs", locations.published()
    if _whole(own, *run):
        return _network(own, *run, which)[1]
    if _whole(published, *run) and run_records.read(run_records.path_of(published, *run)).profile == profile:
        return _network(published, *run, which)[1]
    missing = f"there are no weights of {experiment}, {regime}, seed {seed} at {weights.path_of(own, *run)}"
    mend = f"npf train --experiment {experiment} --regime {regime} --profile {profile} --seeds {seed}"
    raise MissingGatesError(f"{missing}. Train them first: {mend}")


def ordered(
    experiment: str,
    regime: str,
    profile: str,
    build: str | os.PathLike = "",
    device: str | None = None,
    precision: str = "float32",
    epochs: int | None = None,
) -> "Order":
    """What ``ensure`` was asked for, checked, with its data."""
    chosen = experiments.find(experiment)
    regimes.find(regime)
    if regime not in chosen.regimes:
        raise ValueError(f"{experiment} has no regime {regime!r}; it has: {', '.join(chosen.regimes)}.")
    if epochs is not None and chosen.stages:
        raise ValueError(f"{experiment} has stages, whose epochs a cap would change: leave out `epochs`.")
    where, dense = _checked_device(device), isinstance(chosen.arch, FullyConnected)
    checks.one_of(precision, "precision", PRECISIONS[:1] if dense else PRECISIONS, experiment)
    folder, budget = locations.build(profile, build), experiments.budget(experiment, profile)
    # CIFAR-10 stays in bytes, a quarter of the memory; batches become pixels / 255 as they are taken.
    whole = data.load(chosen.dataset, dtype=torch.float32 if dense else torch.uint8)
    truth = data.subset(whole, budget.train_examples, budget.test_examples)
    truth = truth if chosen.classes is None else data.binary(truth, *chosen.classes)
    return Order(chosen, regime, profile, truth, folder, where, precision, epochs)


@dataclass
class Order:
    """A regime of an experiment that is to be had, whatever the seeds; ``truth`` has the labels as they are."""

    experiment: Experiment
    regime: str
    profile: str
    truth: data.Dataset
    folder: Path
    device: torch.device
    precision: str
    epochs: int | None

    def __post_init__(self) -> None:
        self.name = f"{self.experiment.name} {self.regime}"
        self.dataset = shuffled(self.truth) if self.experiment.shuffled else self.truth
        self.configuration = self._configuration()
        self.runs = self.folder / "runs"
        self.checkpoints = self.folder / "checkpoints" / self.experiment.name / self.regime

    def _configuration(self) -> dict[str, Any]:
        """Everything but the seed and the code that determines a run's result."""
        experiment, kind = self.experiment, regimes.find(self.regime)
        budget = experiments.budget(experiment.name, self.profile, self.regime, self.epochs)
        gates_from = "the ReLU run's best epoch on the test set"
        if kind.stage is not None:
            stages = experiments.budget(experiment.name, self.profile, epochs=self.epochs).stages
            gates_from += f" up to epoch {stages[kind.stage - 1]}"
        starts = {"glorot_uniform": "glorot_uniform, zero biases", "signed": "±√(2/w), each with probability ½"}
        return {
            "architecture": type(experiment.arch).__name__,
            **json.loads(json.dumps(asdict(experiment.arch))),  # tuples become lists, as in the record
            "initialisation": starts[experiment.initialisation],
            "loss": experiment.loss,
            "regime": regimes.definition(self.regime),
            "optimiser": experiment.optimiser,
            "learning_rate": experiment.learning_rate,
            "batch": experiment.batch,
            "epochs": budget.epochs,
            "full_epochs": experiment.full_epochs(self.regime),
            "train_examples": len(self.dataset.train_labels),
            "test_examples": len(self.dataset.test_labels),
            "examples": _digest(self.dataset),
            "soft_gate": {"beta": BETA, "eps": EPS} if kind.gate == "soft" else None,
            "gates_from": gates_from if kind.feature == "learnt" else None,
            "stages": list(budget.stages),
            "classes": None if experiment.classes is None else list(experiment.classes),
            "labels": "permuted once" if experiment.shuffled else "true",
            "probe": None if experiment.probe is None else {**asdict(experiment.probe), "every": budget.every},
            "precision": self.precision,
        }

    def record(self, folder: Path, seed: int, any_code: bool = False) -> Record | None:
        """The record of a seed in a folder of records, where there is a valid one; of any code, it may be longer."""
        run = (self.experiment.name, self.regime, seed)
        if not _whole(folder, *run):
            return None
        path = run_records.path_of(folder, *run)
        record = run_records.read(path)
        asked = [record.configuration, self.configuration]  # which hold a digest of the examples
        long_enough = record.epochs >= self.configuration["epochs"]
        if any_code:
            asked = [each | {"epochs": 0, "regime": each["regime"] | {"gate_code": ""}} for each in asked]
        valid = (
            asked[0] == asked[1]
            and long_enough
            and record.data["stand_in"] == self.dataset.source.stand_in
            and (any_code or record.library["source"] == training_source_hash())
        )
        if not valid:
            log.info("%s was made by other code, data or settings: it is not used", path)
        return record if valid else None

    def ensured(self, seeds: Sequence[int], progress: bool) -> list[Record]:
        """The records of the seeds, in their order: read, or trained; a DivergenceError once all others are written."""
        found = self._valid(seeds)
        if set(found) == set(seeds):
            return [found[seed] for seed in seeds]
        diverged: dict[int, str] = {}
        with _sole_use(self.checkpoints):
            found = self._valid(seeds)  # another process may have trained some of them meanwhile
            missing = sorted(set(seeds) - set(found))
            if self.epochs is not None:
                self._spare_longer_runs(missing)
            groups = _groups(self.checkpoints, missing, seeds)
            learnt = self._learnt([seed for group in groups for seed in group], progress)
            for group in groups:
                run = _Run(self, group, learnt)
                found |= run.finish(progress)
                diverged |= run.diverged
        if diverged:
            raise DivergenceError(
                f"{self.name} diverged: its loss was not finite after {', '.join(diverged.values())}. It is trained by "
                f"{self.experiment.optimiser} at the rate {self.experiment.learning_rate:g}: take a smaller one. The "
                "other seeds' records are kept."
            )
        return [found[seed] for seed in seeds]

    def _valid(self, seeds: Sequence[int]) -> dict[int, Record]:
        """The valid records of the build."""
        return {seed: record for seed in seeds if (record := self.record(self.runs, seed))}

    def _learnt(self, seeds: Sequence[int], progress: bool) -> Mapping[int, tuple[str, Network | None]]:
        """Seed → its ReLU network whose gates are copied, if any, and the weights' digest; trained where it lacks."""
        regime = regimes.find(self.regime)
        if regime.feature != "learnt":
            return dict.fromkeys(seeds, ("", None))
        relu, published = replace(self, regime="ReLU"), locations.published()
        folders = dict.fromkeys(seeds, relu.runs)
        for seed in seeds:  # whichever was trained for longer: the first epochs of FLNPF need the whole ReLU run
            own, shown = relu.record(relu.runs, seed), relu.record(published, seed, any_code=True)
            if shown and not (own and own.epochs >= shown.epochs):
                log.info("%s seed %d: gates of the published ReLU network", self.experiment.name, seed)
                folders[seed] = published
        relu.ensured([seed for seed in seeds if folders[seed] == relu.runs], progress)
        which = "best" if regime.stage is None else f"stage-{regime.stage}"
        return {seed: _network(folder, self.experiment.name, "ReLU", seed, which) for seed, folder in folders.items()}

    def _spare_longer_runs(self, seeds: Sequence[int]) -> None:
        """A capped run must not take the place of a longer one that differs in its length alone."""
        for seed in seeds:
            path = run_records.path_of(self.runs, self.experiment.name, self.regime, seed)
            longer = run_records.read(path).configuration if path.exists() else {}
            same = all(longer.get(key) == self.configuration[key] for key in ("examples", "learning_rate", "labels"))
            if same and longer["epochs"] > self.configuration["epochs"]:
                mend = "give another build folder, or delete it first"
                raise ValueError(f"{path} is a longer run than {self.configuration['epochs']} epochs: {mend}.")


class _Run:
    """The seeds of an order that are trained together, from start or checkpoint to records."""

    def __init__(self, order: Order, seeds: Sequence[int], learnt: Mapping[int, tuple[str, Network | None]]):
        chosen, probe = order.experiment, order.experiment.probe
        self.order, self.seeds = order, list(seeds)
        self.gates = [learnt[seed][0] for seed in seeds]
        networks = [
            regimes.start(order.regime, chosen.arch, seed, learnt[seed][1], chosen.initialisation)  # type: ignore[arg-type]
            for seed in seeds
        ]
        self.network: Network | None = None
        if probe is not None:
            self.network, self.probe = deepcopy(networks[0]), MEASURES[probe.name]
            few = self.probe.choose(order.truth.train_labels, probe.examples_a_class)
            labels = order.truth.train_labels[few], order.dataset.train_labels[few]
            self.batch = Batch(order.truth.train_images[few], *labels)
        self.learner = _learner(order, networks)
        self.parameters = self.learner.parameters()
        self.optimiser = keras_optimiser(chosen.optimiser, self.parameters, chosen.learning_rate)
        self.epochs = order.configuration["epochs"]
        self.history: list[dict[str, list[float]]] = [{name: [] for name in HISTORY} for _ in seeds]
        self.best: list[dict[str, Tensor]] = [{} for _ in seeds]
        self.kept: list[dict[str, dict[str, Tensor]]] = [{} for _ in seeds]
        self.series: list[dict[str, list[float]]] = [{} for _ in seeds]
        self.seconds = 0.0
        self.diverged: dict[int, str] = {}  # seed → the first epoch after which its loss was not finite
        # A file name for any number of seeds.
        digest = hashlib.blake2b(repr(sorted(seeds)).encode(), digest_size=8).hexdigest()
        self.checkpoint = order.checkpoints / f"{digest}.pt"
        source: dict[str, Any] = {"configuration": order.configuration, "source": training_source_hash()}
        which = {"experiment": chosen.name, "regime": order.regime, "seeds": self.seeds, "gates": self.gates}
        self.identity = source | which

    @property
    def done(self) -> int:
        return len(self.history[0]["test_accuracy"])

    def finish(self, progress: bool) -> dict[int, Record]:
        """The records by seed, of those that did not diverge."""
        self._resume()
        batch = self.order.experiment.batch
        steps = -(-len(self.order.dataset.train_labels) // batch)
        label = f"{self.order.name} ({len(self.seeds)} seeds, {self.epochs} epochs)"
        with tqdm(
            desc=label, total=self.epochs * steps, initial=self.done * steps, unit="step", disable=not progress,
            mininterval=1.0,
        ) as bar:  # fmt: skip
            if self.done == 0:
                self._measure()
            loop = each_epoch(self.learner, self.optimiser, self.seeds, batch, done=self.done, bar=bar)
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
        scores = [*self.learner.take_running(len(self.order.dataset.train_labels)), *self.learner.test()]
        stages = self.order.configuration["stages"]
        for copy, history in enumerate(self.history):
            found = {name: score[copy] for name, score in zip(HISTORY, scores, strict=True)}
            if found["test_accuracy"] > max(history["test_accuracy"], default=-1.0):
                self.best[copy] = self.learner.state_dict(copy)
            for name, number in found.items():
                history[name].append(number)
            if self.done in stages:
                self.kept[copy][f"stage-{stages.index(self.done) + 1}"] = self.best[copy]
            if not isfinite(found["train_loss"] + found["test_loss"]):
                best = f"(at best {100 * max(history['test_accuracy']):.2f} % until then)"
                self.diverged.setdefault(self.seeds[copy], f"epoch {self.done} of seed {self.seeds[copy]} {best}")
        if not self.diverged:
            self._measure()
        self.seconds += time.perf_counter() - started

    def _measure(self) -> None:
        """Lets the probe look at every copy, where one is due after ``done`` epochs."""
        if self.network is None or self.done % self.order.configuration["probe"]["every"]:
            return
        for copy, series in enumerate(self.series):
            self.network.load_state_dict(self.learner.state_dict(copy))
            for name, number in {"epoch": self.done, **self.probe.measure(self.network, self.batch)}.items():
                series.setdefault(name, []).append(number)

    def _save(self) -> None:
        state = {"identity": self.identity, "parameters": [p.detach().cpu() for p in self.parameters]}
        state |= {"optimiser": self.optimiser.state_dict(), **{name: getattr(self, name) for name in PROGRESS}}
        write_with(self.checkpoint, lambda file: torch.save(state, file))

    def _resume(self) -> None:
        state = _read_checkpoint(self.checkpoint)
        if state is None:
            return
        if state["identity"] != self.identity:
            log.warning("the checkpoint of %s is of other code, data or settings: starting afresh", self.order.name)
            return
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        for attribute in PROGRESS:
            setattr(self, attribute, state[attribute])
        log.info("%s goes on after epoch %d", self.order.name, self.done)

    def _write(self) -> dict[int, Record]:
        order, records = self.order, {}
        last = [self.learner.state_dict(copy) for copy in range(len(self.seeds))]
        del self.learner  # its tables of gates may take gigabytes
        for copy, (seed, history) in enumerate(zip(self.seeds, self.history, strict=True)):
            if seed in self.diverged:
                continue
            accuracies, run = history["test_accuracy"], (order.experiment.name, order.regime, seed)
            kept = {"best": self.best[copy], "last": last[copy], **self.kept[copy]}
            records[seed] = Record(
                *run,
                profile=order.profile,
                configuration=order.configuration,
                history=history,
                peak=max(accuracies),
                peak_epoch=accuracies.index(max(accuracies)) + 1,
                final=accuracies[-1],
                seconds=self.seconds / len(self.seeds),
                data=order.dataset.source.as_dict(),
                environment=environment_of(order.device),
                library={"version": version("npflib"), "source": training_source_hash()},
                series=self.series[copy],
                weights=weights.write(kept, weights.path_of(order.runs, *run)),
                gates=self.gates[copy],
            )
            # The record comes last: where it stands, its weights stand too.
            run_records.write(records[seed], order.runs)
        return records


def environment_of(device: torch.device) -> dict[str, Any]:
    """Python, torch, device and threads: what else a run's bits depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def shuffled(dataset: data.Dataset) -> data.Dataset:
    """The data set with its training labels permuted among its training examples, always in the same way."""
    order = torch.randperm(len(dataset.train_labels), generator=generator(0, "labels"))
    return replace(dataset, train_labels=dataset.train_labels[order])


def _learner(order: Order, networks: Sequence[Network]) -> BatchedLearner | AutogradLearner:
    chosen, given = order.experiment, order.dataset
    parts = (networks, given.train_images, given.train_labels, given.test_images, given.test_labels, order.device)
    first = networks[0]
    learns = isinstance(first, DeepGatedNetwork) and any(p.requires_grad for p in first.feature.parameters())
    if isinstance(first.arch, FullyConnected) and (not learns or first.gate == "soft"):
        return BatchedLearner(*parts, loss=chosen.loss)
    if chosen.loss != "cross_entropy":
        raise ValueError(f"{chosen.name}: gates {first.gate!r} that learn are trained with cross_entropy only.")
    return accelerated(AutogradLearner(*parts, precision=order.precision))


def _digest(dataset: data.Dataset) -> str:
    """Sixteen hexadecimal digits over every pixel and label: the data that were used, however they were loaded."""
    digest = hashlib.blake2b(digest_size=8)
    for tensor in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        digest.update(tensor.contiguous().numpy())  # type: ignore[arg-type]  # an array is a buffer
    return digest.hexdigest()


def _whole(folder: Path, *run: Any) -> bool:
    """Whether a folder of records holds a run (experiment, regime, seed) and its weights."""
    return run_records.path_of(folder, *run).exists() and weights.path_of(folder, *run).exists()


def _network(folder: Path, experiment: str, regime: str, seed: int, which: str) -> tuple[str, Network]:
    """One of a run's networks, from a folder of records, and the digest of the file that holds it."""
    record = run_records.read(run_records.path_of(folder, experiment, regime, seed))
    arch, kind = experiments.find(experiment).arch, regimes.find(regime)
    network = ReLUNetwork(arch) if kind.gate == "own" else DeepGatedNetwork(arch, kind.gate, linear=kind.linear)
    path = weights.path_of(folder, experiment, regime, seed)
    try:
        network.load_state_dict(weights.read(path, record.weights)[which])
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{path} holds no network {which!r} of {arch}: {error}. {weights.MEND}") from None
    return record.weights, network


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
        state = {"diverged": {}} | torch.load(path, weights_only=True, map_location="cpu")
        if not {"identity", "parameters", "optimiser", *PROGRESS} <= set(state):
            raise ValueError("it is not a checkpoint of this library")
        return state
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
        torch.empty(0, device=device).tolist()  # "meta" is known to torch, but nothing is there
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} is not there; use 'cpu', or leave it out. ({error})") from error
    return torch.device(device)
