"""Figures of gates by stage: what is drawn is what was given, with any of it missing."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from test_contrasts import make_record

from companion.figures import curves as stages
from companion.figures.style import COLOURS, PAPER, shades
from npflib import experiments

PAPERS, QUARTER = (experiments.find(name) for name in ("cifar10-continuous", "cifar10-quarter-gconv-adam"))
LAYERS = ("conv 1", "conv 2", "dense 1", "dense 2")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def draw(figure):
    """Warnings of the layout are errors; drawing raises them."""
    figure.canvas.draw()
    return figure


def runs(experiment, seeds=3, regimes=None):
    found = {}
    for k, regime in enumerate(stages.regimes_of(experiment)):
        found[regime] = [make_record(s, 0.5 + 0.01 * k + 0.001 * s, regime, experiment.name) for s in range(seeds)]
    found["ReLU"] = [make_record(s, 0.6, "ReLU", experiment.name, epochs=12) for s in range(seeds)]
    for record in found["ReLU"]:
        record.history["test_accuracy"][:] = list(np.linspace(0.3, 0.6, 12) + 0.01 * record.seed)
        record.configuration["stages"] = [2, 4, 6, 8, 10, 12]
    return found if regimes is None else {regime: found[regime] for regime in regimes}


def lines_of(ax, colour):
    return [line for line in ax.lines if line.get_color() == colour and len(line.get_xdata()) > 2]


def test_the_stages_begin_with_random_gates():
    assert stages.regimes_of(QUARTER) == ["FRNPF-II", *(f"FLNPF-stage-{k}" for k in range(1, 6)), "FLNPF"]
    assert stages.regimes_of(PAPERS) == ["FRNPF-II", *(f"FLNPF-stage-{k}" for k in range(1, 7))]


def test_published_means_and_ours_are_drawn_by_stage():
    found = runs(QUARTER)
    left, right = draw(stages.accuracy_by_stage([(PAPERS, {}), (QUARTER, found)])).axes
    [published] = lines_of(left, PAPER)
    assert published.get_xdata().tolist() == list(range(7))
    assert published.get_ydata().tolist() == [PAPERS.reported[name].mean for name in stages.regimes_of(PAPERS)]
    assert not lines_of(left, COLOURS["FLNPF"])
    across = {line.get_ydata()[0] for line in left.lines if len(set(line.get_ydata())) == 1}
    assert {*PAPERS.lines.values(), PAPERS.reported["FRNPF-II"].mean} <= across
    assert not lines_of(right, PAPER)
    means = [100 * np.mean([r.peak for r in found[name]]) for name in stages.regimes_of(QUARTER)]
    assert any(np.allclose(line.get_ydata(), means) for line in lines_of(right, COLOURS["FLNPF"]))
    [own] = lines_of(right, COLOURS["ReLU"])
    assert np.allclose(own.get_ydata(), stages.best_so_far(found["ReLU"], [2, 4, 6, 8, 10, 12]).mean(0))


def test_the_networks_accuracy_so_far_never_falls():
    found = runs(QUARTER)["ReLU"]
    found[0].history["test_accuracy"][6:] = [0.1] * 6
    so_far = stages.best_so_far(found, [2, 4, 6, 8, 10, 12])
    assert so_far.shape == (3, 6)
    assert (np.diff(so_far) >= 0).all()
    assert so_far[0, 2:] == pytest.approx(100 * found[0].history["test_accuracy"][5])


@pytest.mark.parametrize("regimes", [(), ("ReLU",), ("FRNPF-II",), ("FLNPF-stage-2", "FLNPF-stage-5"), None])
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("measure", ["peak", "final"])
def test_any_part_of_the_runs_can_be_drawn(regimes, seeds, measure):
    given = runs(PAPERS, seeds, regimes)
    draw(stages.accuracy_by_stage([(PAPERS, given), (QUARTER, runs(QUARTER, seeds, regimes))], measure))
    draw(stages.accuracy_by_stage([(QUARTER, runs(QUARTER, seeds, regimes))], measure))


def test_flips_are_drawn_in_per_cent_by_layer():
    between, start = np.random.default_rng(0).random((2, 3, 6, 4))
    chance = np.random.default_rng(1).random((3, 4))
    left, right = draw(stages.flips(between, start, chance, LAYERS)).axes
    for ax, values in ((left, between), (right, start)):
        for layer, colour in enumerate(shades(4)):
            [line] = lines_of(ax, colour)
            assert np.allclose(line.get_ydata(), 100 * values[:, :, layer].mean(0))
            assert line.get_xdata().round().tolist() == [1, 2, 3, 4, 5, 6]  # side by side


def test_layers_have_colours_of_their_own():
    assert len(set(shades(6))) == 6


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_agreement_has_a_panel_a_layer(count):
    within, across = np.random.default_rng(0).random((2, 2, 7, count))
    names = [f"layer {k}" for k in range(count)]
    axes = draw(stages.agreement(within, across, names)).axes
    assert [ax.get_title() for ax in axes] == names
    for layer, ax in enumerate(axes):
        drawn = [line.get_ydata() for line in ax.lines]
        for values in (within, across):
            assert any(np.shape(y) == (7,) and np.allclose(y, values[:, :, layer].mean(0)) for y in drawn)


def test_a_layer_without_a_value_can_be_drawn():
    within = np.full((2, 7, 4), 0.5)
    within[:, :3, 1] = np.nan
    draw(stages.agreement(within, within - 0.1, LAYERS))
