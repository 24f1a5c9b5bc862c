"""Figures of chapters 1 and 2: what they draw is what they were given, and they refuse what they cannot draw."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from companion.figures.diagrams import subnetwork
from companion.figures.kernel_figures import (
    active_shares,
    activity,
    contrasts,
    costs,
    heat_map_grid,
    rounding_errors,
)
from companion.figures.style import INACTIVE


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@settings(max_examples=15)
@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_a_connection_is_coloured_when_both_its_ends_are_on(sizes, seed):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(o, i)) for i, o in zip(sizes, [*sizes[1:], 1], strict=True)]
    gates = [rng.integers(0, 2, size) for size in sizes[1:]]
    fig, ax = plt.subplots()
    subnetwork(ax, weights, gates, show_weights=True)
    coloured = sum(to_hex(line.get_color(), keep_alpha=False) != INACTIVE.lower() for line in ax.lines)
    on = [sizes[0], *(int(gate.sum()) for gate in gates), 1]
    assert len(ax.lines) == sum(weight.size for weight in weights)
    assert coloured == sum(below * above for below, above in itertools.pairwise(on))
    assert len(ax.texts) == len(ax.lines)
    dashed = sum(line.get_linestyle() != "-" for line in ax.lines)
    assert dashed == sum((weight < 0).sum() for weight in weights)
    plt.close(fig)


def test_a_larger_weight_makes_a_wider_line():
    _, ax = plt.subplots()
    subnetwork(ax, [np.array([[1.0], [3.0]]), np.array([[2.0, 2.0]])], [np.ones(2)])
    thin, wide, *_ = (line.get_linewidth() for line in ax.lines)
    assert thin < wide


def test_weights_written_on_crossing_lines_do_not_meet():
    """The worked example of chapter 1: labels are more than a letter's height apart, in units of the layers' gap."""
    weights = [np.ones((3, 2)), np.ones((2, 3)), np.ones((1, 2))]
    _, ax = plt.subplots()
    subnetwork(ax, weights, [np.ones(3), np.ones(2)], show_weights=True)
    places = np.array([text.get_position() for text in ax.texts])
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 9 * np.eye(len(places))
    assert apart.min() > 0.25


def test_gates_of_another_network_are_refused():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="do not fit weights"):
        subnetwork(ax, [np.ones((3, 2)), np.ones((1, 3))], [np.ones(2)])


def test_exact_agreement_is_shown_at_the_foot_and_not_left_out():
    fig = rounding_errors([2, 20, 200], [0.0, 1e-16, 2e-16], [1e-15, 1e-14, 1e-13], [0.5, 0.0, 0.1])
    drawn = [len(group.get_offsets()) for group in fig.axes[0].collections]
    assert sorted(drawn) == [1, 2, 2, 3]  # exact, measured, controls that moved, bounds


def test_the_predicted_spread_is_that_of_a_product_of_binomials():
    rng = np.random.default_rng(0)
    shares = {w: np.cumprod(rng.binomial(w, 0.5, size=(4000, 5)) / w, axis=1) for w in (8, 32)}
    _, right = active_shares(shares).axes
    curves = [line.get_ydata() for line in right.lines if len(line.get_ydata()) == 50]
    assert len(curves) == 3
    for curve, index in zip(curves, (0, 2, 4), strict=True):
        for end, width in ((0, 8), (-1, 32)):
            sample = shares[width][:, index]
            assert curve[end] == pytest.approx(sample.std() / sample.mean(), rel=0.08)


def kernels_of(classes: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(classes), each)
    return np.where(labels[:, None] == labels, 0.9, 0.1), labels


def test_heat_maps_share_one_colour_scale_and_mark_each_class_in_its_middle():
    matrix, labels = kernels_of(3, 4)
    fig = heat_map_grid({"before": {"a": matrix, "b": matrix / 9}, "after": {"a": matrix, "b": matrix}}, labels)
    images = [image for ax in fig.axes for image in ax.images]
    assert {image.get_clim() for image in images} == {(0, 1)}
    assert list(fig.axes[0].get_xticks()) == [1.5, 5.5, 9.5]
    assert [tick.get_text() for tick in fig.axes[0].get_xticklabels()] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, y: (m, y[::-1]), "sorted by label"),
        (lambda m, y: (m[:-1], y), "fits 12 labels"),
        (lambda m, y: (2 * m, y), "must lie in"),
        (lambda m, y: (-m, y), "must lie in"),
    ],
)
def test_heat_maps_refuse_what_they_would_misdraw(change, message):
    matrix, labels = change(*kernels_of(3, 4))
    with pytest.raises(ValueError, match=message):
        heat_map_grid({"row": {"kernel": matrix}}, labels)


def test_bands_reach_from_the_least_seed_to_the_greatest():
    rng = np.random.default_rng(1)
    units, differ = ({when: rng.random((3, 5)) for when in ("before", "after")} for _ in range(2))
    shares = {when: rng.random((3, 50)) for when in ("before", "after")}
    left, right, _ = activity(units, shares, differ).axes
    for ax, values in ((left, units), (right, differ)):
        for group, when in zip(ax.collections, ("before", "after"), strict=True):
            heights = group.get_paths()[0].vertices[:, 1]
            assert heights.min() == pytest.approx(100 * values[when].min())
            assert heights.max() == pytest.approx(100 * values[when].max())


def test_contrasts_and_costs_draw_every_value():
    rng = np.random.default_rng(2)
    layers, classes = ({when: 1 + rng.random((3, n)) for when in ("before", "after")} for n in (5, 10))
    left, right = contrasts(layers, classes, 1 + rng.random(3), range(10)).axes
    np.testing.assert_allclose(left.lines[1].get_ydata(), layers["after"].mean(0))
    np.testing.assert_allclose(right.lines[0].get_ydata(), classes["before"].mean(0))
    times = [rng.random(5) for _ in range(3)]
    (ax,) = costs([10, 100, 1000], times, times, (1e13, rng.random(5)), 100).axes
    assert [len(line.get_xdata()) for line in ax.lines] == [3, 4]
