"""What every chapter does: parameters, cost, evidence, figures, claims with their verdicts, and predictions."""

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from IPython import get_ipython
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from companion import figures, ledger, replays, statistics
from companion.figures import style, tables
from companion.ledger import Claim
from companion.studies.study import Study, Table
from npflib import experiments, profiles, regimes, training
from npflib.records import locations, run_records
from npflib.records.run_records import Record

TABLE = "Lakshminarayanan & Singh (2020), Table 2; claim 6"
Found = dict[str, list[Record]]  # regime → records
_PLAIN = (str, int, float, bool, list, tuple, dict, type(None))


class ParameterError(ValueError):
    """A notebook parameter that is not allowed; the message says what was given and what is."""


def number(name: str, value: Any, least: float, most: float, kind: type = int, more: str = "") -> None:
    """Raises, ending in ``more``, unless ``value`` is an int, or with kind=float a number, in the range."""
    kinds, what = ((int,), "a whole number") if kind is int else ((int, float), "a finite number")
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        allowed = f"{what} at least {least:,} and at most {most:,}{more}"
        raise ParameterError(f"{name} = {value!r} is not allowed; it must be {allowed}.")


def only(namespace: Mapping[str, Any], *names: str) -> None:
    """Raises if a notebook was given a parameter that it does not have: papermill itself lets a misspelt name pass.

    In a kernel the parameters are what the last run of the cell of parameters assigns, and what papermill's cell after
    it does: so a notebook can be run twice in one kernel, and what its later cells left behind is no parameter.
    Without such a cell every plain value in the namespace is one.
    """
    history = namespace.get("In")
    cells = [_assigned(source) for source in history] if isinstance(history, list) else []
    starts = [index for index, found in enumerate(cells) if "profile" in found]
    given = {name for name, value in namespace.items() if isinstance(value, _PLAIN) and not name.startswith("_")}
    if starts:
        ends = [index for index in range(starts[-1], len(cells)) if not cells[index]]
        given &= set().union(*cells[starts[-1] : ends[0] if ends else len(cells)])
    for name in namespace:
        if name in given and name not in (*names, "In", "Out"):
            raise ParameterError(f"unknown parameter {name!r}; this notebook has: {', '.join(names)}.")


def _assigned(source: str) -> set[str]:
    """The names that a cell assigns, if it is nothing but assignments to names of plain values."""
    with suppress(SyntaxError, ValueError, AttributeError):
        body: list[Any] = ast.parse(source).body
        for statement in body:
            ast.literal_eval(statement.value)
        return {target.id for statement in body for target in statement.targets}
    return set()


class Chapter:
    """A notebook's parameters, checked, and what it shows and records.

    Its ``scale`` is the profile itself, its ``folder`` the build folder; ``claims`` holds what it has recorded, by id.
    It is given the notebook's name without ending, its ``globals()``, which hold ``profile``, ``build`` and the
    parameters, and the parameters' ``names``; a wrong one, or no project to read from, is a ParameterError.
    """

    def __init__(self, name: str, namespace: Mapping[str, Any], *names: str):
        only(namespace, "profile", "build", *names)
        self._given = {key: namespace[key] for key in ("profile", "build", *names)}
        self.name, self.profile, build = name, self._given["profile"], self._given["build"]
        self.choice("profile", *profiles.PROFILES)
        if not isinstance(build, str):
            raise ParameterError(
                f"build = {build!r} is not allowed; it must be a folder's name, or '' for the default."
            )
        # The generators take less than 2^32, and chapters count on from the seed.
        number("seed", self._given.get("seed", 0), 0, 4_000_000_000)
        self.scale = profiles.find(self.profile)
        if not (locations.project() / "notebooks").is_dir():
            where = f"there is no project in {Path.cwd()} or above it, nor where the library lies"
            mend = "papermill --cwd FOLDER, or `cd FOLDER` before jupyter is started"
            raise ParameterError(f"{where}; run the notebook in the project's folder: {mend}.")
        self.folder = locations.build(self.profile, build)
        self.claims: dict[str, Claim] = {}
        self._predictions: dict[str, tuple[str, str, str]] = {}
        self._listed: set[str] = set()  # the claims that ``outcomes`` has shown
        if kernel := getattr(get_ipython(), "kernel", None):
            kernel.shell.enable_matplotlib("inline")  # whatever MPLBACKEND says
        figures.use_style()

    # Parameters

    def own(self, smoke: Any, quick: Any, paper: Any) -> Any:
        """The one of three that belongs to the profile."""
        return {"smoke": smoke, "quick": quick, "paper": paper}[self.profile]

    def choice(self, name: str, *allowed: Any) -> None:
        """Checks a parameter that must be one of those allowed."""
        if (value := self._given[name]) not in allowed:
            raise ParameterError(f"{name} = {value!r} is not allowed; choose one of: {', '.join(map(repr, allowed))}.")

    def number(self, name: str, least: float, most: float, kind: type = int, own: tuple | None = None) -> Any:
        """A parameter checked by ``number``; with ``own``, None or 0 stands for the profile's own number."""
        value = self._given[name]
        if own and (value is None or (type(value) is int and value == 0)):
            return self.own(*own)
        number(name, value, least, most, kind, "; 0 takes the profile's own number" if own else "")
        return value

    def numbers(self, name: str, least: float, most: float, pair: bool = False) -> None:
        """Checks a parameter that is a list of one or more whole numbers; a pair must be two different ones."""
        values = self._given[name]
        if not isinstance(values, list | tuple) or not values:
            raise ParameterError(f"{name} = {values!r} is not allowed; it must be a list of one or more numbers.")
        for index, value in enumerate(values):
            number(f"{name}[{index}]", value, least, most)
        if pair and (len(values) != 2 or values[0] == values[1]):
            raise ParameterError(f"{name} = {values!r} is not allowed; it must be two different numbers.")

    def cost(self, what: str, seconds: float, besides: str = "") -> Markdown:
        """What the chapter will do, and for how long."""
        return Markdown(f"*Expected cost:* {what}: about {seconds:.0f} s on one core{besides}.")

    # Evidence: what this build trained, and what was published

    def ensure(self, experiment: str, regime: str) -> list[Record]:
        """This build's own records, read where they are valid and trained where not."""
        return training.ensure(experiment, regime, self.profile, build=self.folder)

    def published(self, experiment: str) -> tuple[Record, dict[str, Any]]:
        """The published ReLU run of seed 0, in every profile, and its network "before" and "after" training."""
        folder, chosen = locations.published(), experiments.find(experiment)
        record = run_records.read(run_records.path_of(folder, experiment, "ReLU", 0))
        before = regimes.start("ReLU", chosen.arch, record.seed, initialisation=chosen.initialisation)
        # There are no runs of a build in that folder, so that the published one is read.
        after = training.trained_network(experiment, "ReLU", 0, record.profile, build=folder, which="last")
        return record, {"before": before, "after": after}

    def replay(self, experiment: str, regime: str) -> Claim | None:
        """Records the claim that a published run's first epochs, trained anew by this build, are as published."""
        published = run_records.read(run_records.path_of(locations.published(), experiment, regime, 0))
        try:
            ours = training.ensure(experiment, regime, self.profile, seeds=(0,), build=self.folder, progress=False)[0]
            reason, points = replays.undecidable(ours, published), replays.distances(ours, published)
            differ = [] if reason else replays.differences(ours, published)
        except ValueError as error:  # gates that are not the published ones, or a run that diverges
            differ, reason, points = [replays.fault(error)], "", {}
        which = "; ".join(differ) or "none"
        return self.claim(
            f"replay-{experiment}-{regime}",
            f"{experiments.find(experiment).title}, {regime}: the first epochs of the published run of seed 0, trained "
            "anew, are as published.", "results/, the published record", "what differs beyond the tolerance, of "
            f"{len(points)} points of history and series, settings, gates and weights: {which}",
            len(differ), 0.0, f"none but each point's own, {replays.told(experiment, regime)}", data=published.data,
            kind="identity", seeds=1, undecidable=reason,
        )  # fmt: skip

    def best(self, experiment: str, regime: str) -> list[Record]:
        """The best records of two seeds or more, published or this build's."""
        found = statistics.best_records(experiment, regime, self.folder)
        return found if len(found) > 1 else self.ensure(experiment, regime)

    def evidence(self, experiment: str, regimes: Sequence[str], least: int = 1, full: bool = False) -> Found:
        """The best records to compare regimes by (``statistics.evidence``); if ``full``, at the full budget or none."""
        found = statistics.evidence(experiment, regimes, self.folder, least=least)
        return {} if full and not all(records[0].is_full for records in found.values()) else found

    def full(self, experiment: str, regimes: Iterable[str]) -> Found:
        """Regime → full-budget records, of those regimes that have any."""
        found = {regime: statistics.best_records(experiment, regime, self.folder) for regime in regimes}
        return {regime: records for regime, records in found.items() if records and records[0].is_full}

    def config(self, study: Study) -> Any:
        """A study's configuration for this profile, its seeds counted from this chapter's."""
        config = study.configs[self.profile]
        return replace(config, seeds=tuple(self._given["seed"] + k for k in range(len(config.seeds))))

    def measure(self, study: Study, config: Any, *data: Any) -> tuple[Table, Table]:
        """A study's table to show, which is published or this build's own, and the latter."""
        config, *data = (config, *data) if data else study.load(config)  # type: ignore[assignment]
        own = study.measure(config, *data, name=self.profile, build=self.folder, progress=False)
        return study.shown(own), own

    def which(self, records: Sequence[Record]) -> str:
        """Records in words: whose they are, their budget, how many, on which data."""
        whose = "full-budget records" if records[0].is_full else f"this build (profile `{records[0].profile}`)"
        return f"{whose}: {statistics.budget_text(records)}, n = {len(records)}, {records[0].data['title']}"

    def told(self, table: Table, own: Table) -> str:
        """What of a study is shown, and what of it this build repeats."""
        text = f"{'this build' if table is own else 'published'}, {budget_of(table)}, {table.data[0]['title']}. "
        repeated = f"This build repeats it smaller: {budget_of(own)}."
        return text + ("**Too small to decide the claims below.**" if table is own else repeated)

    # What the page shows

    def say(self, *paragraphs: str) -> Markdown:
        """Computed paragraphs; an empty one is left out."""
        return Markdown(tables.harmless("\n\n".join(filter(None, paragraphs))))

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "", data: Any = None) -> HTML:
        """A table; ``data`` may be a data set, its source, or what a record says of it."""
        return HTML(tables.table(header, rows, caption=caption, data=source_of(data)))

    def code(self, function: Any) -> Markdown:
        """A function's own code."""
        return Markdown(f"```python\n{inspect.getsource(function)}```")

    def show(self, text: str) -> HTML:
        """HTML, as ``figures.tables`` makes it."""
        return HTML(text)

    def finish(
        self, figure: Figure, *, runs: style.Runs = (), table: Table | None = None, note: str = "", **provenance: Any
    ) -> None:
        """Ends a figure by ``figures.finish``; profile, n and data are those of the runs or the study shown."""
        records, shown = list(style._records(runs)), dict[str, Any]()
        if records:
            counts = sorted(set(Counter((record.experiment, record.regime) for record in records).values()))
            profile = " and ".join(sorted({record.profile for record in records}))
            shown = {"profile": profile, "data": max((r.data for r in records), key=lambda data: data["stand_in"])}
            shown["counts"] = f"n = {counts[0]} to {counts[-1]}, see the table" if len(counts) > 1 else ""
            shown["seeds"] = counts[0] if len(counts) == 1 else None
        if table:
            shown = {"profile": table.name, "seeds": table.seeds, "data": table, "counts": _spent(table)}
        said = {"profile": self.profile} | shown | provenance
        said |= {"data": source_of(said.get("data")), "note": "; ".join(filter(None, (said.pop("counts", ""), note)))}
        figures.finish(figure, **said, runs=runs, code=self.name)

    def claim(
        self, id: str, sentence: str, source: str, quantity: str, measured: Any, expected: float, reason: str, *,
        kind: str = "", predicted: str = "", unit: str = "", data: Any = None, records: Sequence[Record] = (),
        table: Table | None = None, seeds: int | Sized | None = None, **judged: Any,
    ) -> Claim | None:  # fmt: skip
        """Records a claim by ``ledger.record`` for this chapter, profile and build; it knows what else is ``judged``.

        Its ``kind`` must be said unless it is ``predicted``, "number: prediction" in a few words, which ``outcomes``
        lists with its ``unit``. ``measured`` is a number, an estimate, or (number, [low, high]) and then ``level``;
        None where this build has not measured it. ``reason`` says why that tolerance. Profile, data and seeds are those
        of the records or of the study's table that are judged, unless given; an estimate knows its runs.
        """
        if predicted:
            self._predictions[id] = (*predicted.split(": ", 1), unit)  # type: ignore[assignment]
        if measured is None:
            return None
        if isinstance(measured, statistics.Estimate):
            seeds = measured.runs or None if seeds is None else seeds
            judged["level"], measured = measured.level, (measured.value, measured.interval)
        value, interval = measured if isinstance(measured, tuple) else (measured, None)
        if table is not None:
            small = "" if table.name == "full" else "the budget of this build is too small"
            judged = {"profile": table.name, "needs_budget": True, "undecidable": small} | judged
            data, seeds = data or table, table.seeds if seeds is None else seeds
        if records:
            judged = {"profile": records[0].profile, "trained": True} | judged
            data, seeds = data or records[0].data, len(records) if seeds is None else seeds
        judged = {"profile": self.profile, "kind": kind or ("predicted" if predicted else "")} | judged
        if seeds is None:
            raise ValueError(f"claim {id}: say on how many independent repetitions it rests, by seeds=….")
        self.claims[id] = ledger.record(
            id, sentence, source, quantity=quantity, measured=value, interval=interval,
            expected=expected, tolerance_reason=reason, chapter=self.name, build=self.folder,
            seeds=int(len(seeds) if isinstance(seeds, Sized) else seeds), data=source_of(data), **judged,
        )  # fmt: skip
        return self.claims[id]

    def predicted(
        self, folder: str, no: int, id: str, quantity: str, measured: Any, title: str = "", **judged: Any
    ) -> Claim | None:
        """Records the claim of prediction ``no`` in ``results/<folder>/predictions.md``, committed before its runs.

        ``measured`` may be seed → value. Of one seed there is no interval: within 1 point of its bound it is undecided.
        """
        text = (locations.published() / folder / "predictions.md").read_text(encoding="utf-8")
        said = dict(re.findall(r"^\| (\d+) \| (.+?) \|", text, re.MULTILINE))[str(no)]
        judged = {"expected": 0.0} | judged
        if isinstance(measured, Mapping):
            judged["seeds"] = values = list(measured.values())
            off = abs(abs(sum(values) - judged["expected"]) - judged.get("tolerance", 0.0))
            judged["undecidable"] = "one seed, within 1 point of the bound" if len(values) == 1 and off < 1 else ""
            measured = statistics.mean(values) if len(values) > 1 else next(iter(values), None)
        return self.claim(
            id, title + said, f"this companion; results/{folder}/predictions.md",
            f"{quantity}, 90 % interval over seeds", measured, reason="the bound was fixed before the run",
            predicted=f"{no}: {said}", **judged,
        )  # fmt: skip

    def contrast(
        self, contrast: statistics.Contrast, experiment: str, found: Mapping[str, Sequence[Record]], id: str, *,
        measure: str = "peak", kind: str = "seen after", source: str = TABLE, figure: str = "",
    ) -> Claim | None:  # fmt: skip
        """Records a statement on two regimes, judged on regime → records by ``statistics.by_records``.

        On a network of the paper's the paper reports it; on another it is of the ``kind`` given. A reduced budget
        leaves it undecided: after a few epochs regimes differ in how fast they learn.
        """
        judged = statistics.by_records(contrast, found, measure)
        records = [record for regime in contrast.regimes for record in found[regime]]
        full = all(record.is_full for record in records)
        return self.claim(
            id, f"{experiments.find(experiment).title}: {contrast.sentence}", source,
            f"{contrast.first} − {judged.against}, {measure} test accuracy in points, 90 % interval by seed pairs",
            judged.estimate, 0.0, contrast.tolerance_reason, tolerance=contrast.tolerance, relation=contrast.relation,
            kind="reported" if experiment in experiments.PAPER else kind, records=records, needs_budget=True,
            undecidable="" if full else f"reduced budget: {statistics.budget_text(records)}", figure=figure,
        )  # fmt: skip

    def verdicts(self, caption: str) -> HTML:
        """The recorded claims that ``outcomes`` has not shown, with what was measured and what is accepted."""
        return HTML(tables.verdicts([claim for id, claim in self.claims.items() if id not in self._listed], caption))

    def outcomes(self, caption: str = "Predictions and outcomes.", data: Any = None) -> HTML:
        """Every prediction beside what came of it."""
        rows, self._listed = [], set(self._predictions)
        for id, (place, text, unit) in self._predictions.items():
            found = ["not in this build", "–"]
            if claim := self.claims.get(id):
                found = [tables.Html(f"{tables.measured(claim)} {unit}".strip()), tables.verdict(claim.verdict)]
            rows.append([place, tables.entry(tables.mathematics(text), least=11), *found])
        return self.table(("no.", "predicted", "measured [interval]", "outcome"), rows, caption, data)


def source_of(data: Any) -> dict[str, Any] | None:
    """What is said of data: of a data set, of its source, of a study's table, or already said; None of none."""
    found = data.data[0] if hasattr(data, "config") else getattr(data, "source", data)
    return found.as_dict() if hasattr(found, "as_dict") else found


def grid(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown, which may hold formulas: the first column to the left, numbers to the right."""
    body = [f"| {' | '.join(map(str, row))} |" for row in (header, *rows)]
    return "\n".join([body[0], "|:--|" + "--:|" * (len(header) - 1), *body[1:]])


def commands(runs: Iterable[tuple[str, str]]) -> str:
    """The command that makes what these runs' experiments lack of the paper's budget, as a block of Markdown."""
    rows = ",".join(dict.fromkeys(experiment for experiment, _ in runs))
    return f"```bash\nsnakemake --cores 2 --config profile=paper \\\n  only={rows} -- runs\n```"


def budget_of(table: Table) -> str:
    """The budget of a study's table in words, e.g. "1,000 training images, 2 epochs, Adam 0.001, …, 2 seeds"."""
    asked, data = table.config, table.data[0]
    tested = asked.get("test_examples") or data["test_examples"]
    return f"{_spent(table)}, Adam {asked['learning_rate']:g}, {tested:,} test images, {len(table.seeds)} seeds"


def _spent(table: Table) -> str:
    """Training images and epochs, where a study trains for epochs and on one number of images."""
    asked = table.config
    epochs, images = asked.get("epochs") or (asked.get("kept") or [0])[-1], asked.get("examples")
    counted = bool(epochs) and isinstance(images, int | None)
    spent = f"{epochs} epoch{'s' * (epochs != 1)}"
    return f"{images or table.data[0]['train_examples']:,} training images, {spent}" if counted else ""
