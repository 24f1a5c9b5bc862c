"""Replays: the first epochs of a published run, trained anew and held point by point against its record.

A run has no schedule, and its order of examples depends on seed and epoch alone, so its first epochs are a short run's.
What may differ is rounding: another processor, number of threads, or company of seeds adds the same numbers in another
order. Behind frozen gates that stays rounding, and behind soft ones nearly so; where gates jump, a pre-activation
beside 0 may fall on its other side, and from there on histories part. All was measured (``benchmarks/replays.py`` →
``results/replays.json``): the tolerance is ``FACTOR`` times the largest difference found.
"""

from collections import defaultdict
from typing import Any

import torch

from npflib import data, experiments, regimes, training
from npflib.records import locations, weights
from npflib.records.atomic import read_json, unfit
from npflib.records.run_records import Record

FACTOR = 5
ROW: dict[str, Any] = {"experiment": str, "regime": str, "way": str, "largest": dict[str, float]}
IMAGES = 2.5e-4  # of accuracy at the least: rounding may turn two test images of 10,000


def distances(ours: Record, published: Record) -> dict[tuple[str, int], float]:
    """(name, epoch) → how far apart two records are: accuracies by difference, all else relative to the larger.

    Of the epochs of both, those of a replay: what profile ``quick`` trains. Left out is what the released code measures
    (``_summed``): rounding itself.
    """
    first, second = _points(ours), _points(published)
    last = experiments.budget(published.experiment, "quick", published.regime).epochs
    found = {}
    for name, epoch in sorted(first.keys() & second.keys(), key=lambda point: point[::-1]):
        if epoch <= last and not name.endswith("_summed"):
            one, two = first[name, epoch], second[name, epoch]
            size = 1.0 if name.endswith("_accuracy") else max(abs(one), abs(two)) or 1.0
            found[name, epoch] = abs(one - two) / size
    return found


def group(experiment: str, regime: str) -> tuple[str, ...]:
    """The runs whose rounding is of one size: all behind frozen or soft gates; those that jump by experiment's kind."""
    chosen, row = regimes.find(regime), experiments.find(experiment)
    if chosen.gate == "own":
        return "jumping", row.optimiser, *(["shuffled"] if row.shuffled else [])
    return ("soft",) if chosen.trains_feature else ("frozen",)


def _measured(experiment: str, regime: str) -> list[dict]:
    """What was measured of runs of one group."""
    path, mend = locations.published() / "replays.json", "Measure again: python benchmarks/replays.py."
    rows = read_json(path, "measurement of replays", mend, fields={"rows": list[dict]})["rows"]
    if wrong := [row for row in rows if not ROW.keys() <= row.keys() or unfit(row, ROW)]:
        raise ValueError(f"{path} is not a readable measurement of replays: {wrong[0]!r:.80} is no row. {mend}")
    found = [row for row in rows if group(row["experiment"], row["regime"]) == group(experiment, regime)]
    if not found:
        raise ValueError(f"nothing was measured of {experiment}, {regime}: python benchmarks/replays.py")
    return found


def tolerances(experiment: str, regime: str) -> dict[str, float]:
    """Name of a series → the tolerance of a run of that regime, from what was measured."""
    found = defaultdict[str, float](float)
    for row in _measured(experiment, regime):
        for name, largest in row["largest"].items():
            found[name] = max(found[name], FACTOR * largest, IMAGES if name.endswith("_accuracy") else 0.0)
    return dict(found)


def told(experiment: str, regime: str) -> str:
    """The tolerance in words."""
    allowed, ways = tolerances(experiment, regime), dict.fromkeys(row["way"] for row in _measured(experiment, regime))
    series = [100 * of for name, of in allowed.items() if not name.endswith(("_loss", "_accuracy"))]
    return (
        f"{100 * allowed['test_loss']:.2g} % of the test loss and {100 * allowed['test_accuracy']:.2g} points of test "
        "accuracy" + (f", {min(series):.2g} to {max(series):.2g} % of a series" if series else "") + ": "
        f"{FACTOR} times the largest difference from a published record that was measured ({', '.join(ways)})"
    )


def differences(ours: Record, published: Record) -> list[str]:
    """In words, what of a run trained anew is not the published run's first epochs; nothing if it is a replay."""
    asked, said = ours.configuration, published.configuration
    # Of the regime, the digest of the gate's code may be another: what the code does, the histories say.
    mine, theirs = (dict(of.get("regime") or {}) | {"gate_code": ""} for of in (asked, said))
    other = [key for key, value in said.items() if key not in ("epochs", "regime") and asked.get(key) != value]
    found = [f"{key}: {asked.get(key)!r}, published {said[key]!r}" for key in other]
    found += ["regime: another definition"] if "regime" in said and mine != theirs else []
    if published.gates and ours.gates != published.gates:
        found.append(f"gates of the ReLU weights {ours.gates[:8]}…, published {published.gates[:8]}…")
    run = published.experiment, published.regime
    if weights.path_of(locations.published(), *run, published.seed).exists():
        try:
            found += _other_weights(published)
        except ValueError as error:  # not the bytes whose digest the record holds
            found.append(fault(error))
    allowed, points = tolerances(*run), [_points(record) for record in (ours, published)]
    for (name, epoch), distance in distances(ours, published).items():
        if distance > allowed[name]:
            one, two = (of[name, epoch] for of in points)
            found.append(f"{name.replace('_', ' ')} of epoch {epoch}: {one:.6g}, published {two:.6g}")
    return found


def fault(error: ValueError) -> str:
    """What an error says, with files named as in the project and not as on this machine."""
    return str(error).replace(f"{locations.published().parent}/", "")


def undecidable(ours: Record, published: Record) -> str:
    """Why a build's run says nothing about the published one; "" if it does."""
    if ours.data["stand_in"]:
        return "stand-in data"
    if ours.profile == "smoke":
        return "the smoke profile cuts the data"
    if regimes.find(published.regime).feature == "learnt" and not published.gates:
        return "the weights whose gates the published run copied are not published"
    return ""


def _other_weights(published: Record) -> list[str]:
    """In words, which of a run's published networks is not right on as many test images as its record says."""
    chosen, test = experiments.find(published.experiment), data.load(experiments.find(published.experiment).dataset)
    test = test if chosen.classes is None else data.binary(test, *chosen.classes)
    run, found = (published.experiment, published.regime, published.seed, published.profile), []
    for which, said in (("best", published.peak), ("last", published.final)):
        with torch.no_grad():
            network = training.trained_network(*run, build=locations.published(), which=which)
            output = network(test.test_images)
        answer = output.argmax(1) if output.shape[1] > 1 else output[:, 0].sign()
        right = float((answer == test.test_labels).double().mean())
        if abs(right - said) > IMAGES:
            shares = f"{100 * right:.2f} % of the test images, published {100 * said:.2f} %"
            found.append(f"weights, {which}: right on {shares}")
    return found


def _points(record: Record) -> dict[tuple[str, int], float]:
    """(name, epoch) → number, of history and series."""
    found = {(name, k): value for name, of in record.history.items() for k, value in enumerate(of, start=1)}
    for name, of in record.series.items():
        found |= {(name, int(k)): value for k, value in zip(record.series["epoch"], of, strict=True) if name != "epoch"}
    return found
