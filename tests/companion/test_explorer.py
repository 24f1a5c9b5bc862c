"""The gate explorer's truth: regions that tile the square, and numbers that agree with plain enumeration."""

import itertools
import json
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from explorer_truth import at, regions
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds, shuffled

from companion import explorer
from companion.figures.diagrams import explorer as standing_still
from npflib import regimes
from npflib.networks import DeepGatedNetwork, FullyConnected, ReLUNetwork


@st.composite
def networks(draw):
    """A ReLU or a deep gated network on the plane without biases, and its constant inputs, two or fewer."""
    constants = draw(st.lists(st.sampled_from([1.0, -0.5, 0.3]), max_size=2))
    arch = FullyConnected(draw(st.integers(2, 4)), draw(st.integers(1, 3)), 2 + len(constants), 1, bias=False)
    kind = draw(st.sampled_from([ReLUNetwork, DeepGatedNetwork]))
    return shuffled(kind(arch), draw(seeds)), tuple(constants)


def by_hand(weights, constants=()):
    """A network with the given weights."""
    weights = [torch.tensor(weight, dtype=torch.float64) for weight in weights]
    arch = FullyConnected(len(weights), len(weights[0]), 2 + len(constants), 1, bias=False)
    network = ReLUNetwork(arch).double()
    with torch.no_grad():
        for own, weight in zip(network.weights, weights, strict=True):
            own.copy_(weight)
    return network


SMALL = by_hand([[[1.0, -1.0], [0.0, 2.0]], [[1.0, 1.0], [-1.0, 1.0]], [[1.0, -2.0]]])


def makers(network):
    """The network whose pre-activations decide the gates."""
    return getattr(network, "feature", network)


def task(points=((0.1, 0.2), (-0.3, 0.4)), labels=(1.0, -1.0), **more):
    """A task on the plane that is learnt from and tested on the same points."""
    points, labels = (torch.tensor(a, dtype=torch.float64) for a in (points, labels))
    return explorer.Task(points, labels, points, labels, **more)


def area(corners):
    x, y = np.transpose(corners)
    return 0.5 * abs(x @ np.roll(y, 1) - y @ np.roll(x, 1))


def input_of(points, constants):
    points = torch.as_tensor(np.asarray(points), dtype=torch.float64).reshape(-1, 2)
    return torch.cat([points, torch.tensor(constants, dtype=torch.float64).expand(len(points), -1)], 1)


@settings(max_examples=40)
@given(case=networks(), seed=seeds)
@torch.no_grad()
def test_the_regions_tile_the_square_and_are_linear_with_the_gates_they_name(case, seed):
    network, constants = case
    found = regions(network, constants)
    assert sum(area(region.corners) for region in found) == pytest.approx(4)
    rng = np.random.default_rng(seed)
    for region in found:
        if area(region.corners) < 1e-7:  # too narrow for a point that is safely inside
            continue
        inside = rng.dirichlet(np.ones(len(region.corners)), 3) @ region.corners
        inputs = input_of(inside, constants)
        q = torch.cat(makers(network).pre_activations(inputs), 1)
        clear = (q.abs() > 1e-9 * q.abs().max()) | (q == 0)
        named = torch.tensor(sum(region.gates, ()))
        assert (((q > 0) == (named > 0)) | ~clear).all()
        np.testing.assert_allclose(inputs.numpy() @ region.slope, network(inputs)[:, 0].numpy(), atol=1e-7)
    at_random = rng.uniform(-1, 1, (50, 2))
    patterns = {region.gates for region in found}
    for gates in zip(*(layer.int().tolist() for layer in network.gates(input_of(at_random, constants))), strict=True):
        assert tuple(map(tuple, gates)) in patterns


@settings(max_examples=40)
@given(case=networks())
@torch.no_grad()
def test_an_edge_lies_where_its_unit_is_at_zero(case):
    network, constants = case
    _, lines = explorer.regions(network, constants)
    for edge in lines:
        inputs = input_of([edge.ends[0], edge.ends.mean(0), edge.ends[1]], constants)
        layers = makers(network).pre_activations(inputs)
        scale = max(float(layer.abs().max()) for layer in layers) + 1
        assert float(layers[edge.layer][:, edge.unit].abs().max()) < 1e-7 * scale
        assert np.abs(edge.ends).max() < 1 + 1e-9


def test_regions_of_a_network_that_can_be_cut_by_hand():
    """Units x_1 and x_2 cut the square into its four quadrants."""
    network = by_hand([[[1.0, 0.0], [0.0, 1.0]], [[1.0, -1.0]]])
    found, lines = explorer.regions(network)
    assert {gates: area(corners) for gates, corners in found.items()} == {
        ((a, b),): 1.0 for a, b in itertools.product((0, 1), repeat=2)
    }
    assert [edge.unit for edge in lines] == [0, 1, 1]  # the second unit cuts two pieces
    assert all(not edge.ends[:, edge.unit].any() for edge in lines)


point = st.tuples(st.floats(-1, 1), st.floats(-1, 1))


@settings(max_examples=60)
@given(case=networks(), x=point, x2=point)
def test_what_is_shown_agrees_with_enumeration(case, x, x2):
    network, constants = case
    shown = at(network, x, x2, constants)
    weights, deciding = ([weight.tolist() for weight in one.weights] for one in (network, makers(network)))

    def product(matrix, z):
        return [sum(a * b for a, b in zip(row, z, strict=True)) for row in matrix]

    def run(inputs):
        z, own, on, least = inputs, inputs, [], 1.0
        for weight, maker in zip(weights[:-1], deciding, strict=False):
            q = product(maker, own)
            on.append([int(value > 0) for value in q])
            own = [max(value, 0.0) for value in q]
            least = min([least, *(abs(value) for value in q if value)])
            z = [value * gate for value, gate in zip(product(weight, z), on[-1], strict=True)]
        return on, product(weights[-1], z)[0], least

    first, second = [*x, *constants], [*x2, *constants]
    (on, output, least), (on2, output2, least2) = run(first), run(second)
    near = pytest.approx
    # A pre-activation that is zero but for rounding may be on in one and off in the other order of summation.
    if min(least, least2) < 1e-12:
        return
    assert on2 == shown["gates2"]
    assert shown["gates"] == on
    every = list(itertools.product(*(range(len(weight[0])) for weight in weights)))
    phi, phi2 = (
        [inputs[p[0]] * math.prod(gates[layer][p[layer + 1]] for layer in range(len(gates))) for p in every]
        for inputs, gates in ((first, on), (second, on2))
    )
    v = [math.prod(w[(*p, 0)[layer + 1]][p[layer]] for layer, w in enumerate(weights)) for p in every]
    scale = 1 + sum(abs(a * b) for a, b in zip(phi, v, strict=True))
    assert shown["features"] == near(phi)
    assert shown["features2"] == near(phi2)
    assert shown["values"] == near(v)
    assert shown["sum"] == near(math.fsum(a * b for a, b in zip(phi, v, strict=True)), abs=1e-11 * scale)
    assert shown["sum"] == near(shown["output"], abs=1e-11 * scale)
    assert shown["output"] == near(output, abs=1e-11 * scale)
    assert shown["output2"] == near(output2, rel=1e-9, abs=1e-9)
    assert shown["open"] == sum(all(on[k][p[k + 1]] for k in range(len(on))) for p in every)
    common = sum(all(on[k][p[k + 1]] and on2[k][p[k + 1]] for k in range(len(on))) for p in every if p[0] == 0)
    assert shown["overlap"] == common
    assert shown["kernel"] == near(shown["gram"], rel=1e-9, abs=1e-12)
    assert shown["kernel"] == near(common * sum(a * b for a, b in zip(first, second, strict=True)), rel=1e-9, abs=1e-12)


def test_a_unit_at_exactly_zero_is_off():
    shown = at(SMALL, (0.5, 0.5), (0.5, 0.25))  # the first unit's pre-activation is x_1 - x_2
    assert shown["pre_activations"][0][0] == 0
    assert shown["gates"][0] == [0, 1]
    assert shown["gates2"][0] == [1, 1]
    nowhere = at(SMALL, (0, 0), (0.5, 0.25))
    assert nowhere["open"] == nowhere["output"] == nowhere["kernel"] == 0


def test_data_survive_json_without_loss():
    """The weights are those with which npflib's regimes start: FLNPF's and FRNPF (II)'s values are the same."""
    arch, constants = FullyConnected(3, 4, 3, 1, bias=False), (1.0,)
    given = task(constants=constants)
    data = explorer.export(given, arch, (5, 6), ((0.1, 0.2), (0.3, 0.4)), {"a": "red"})
    again = json.loads(json.dumps(data))
    for start, seed in zip(again["starts"], (5, 6), strict=True):
        relu = regimes.start("ReLU", arch, seed)
        random, learnt = regimes.start("FRNPF-II", arch, seed), regimes.start("FLNPF", arch, seed, relu)
        for name, own in (("ReLU", relu), ("value", random), ("value", learnt), ("random", random.feature)):
            for weight, truth in zip(start[name], own.weights, strict=True):
                assert torch.tensor(weight, dtype=torch.float64).equal(truth.double())
    assert again["examples"] == [[0.1, 0.2, 1], [-0.3, 0.4, -1]] == again["held"]
    assert (again["rate"], again["steps"], again["constants"], again["colours"]) == (0.3, 1000, [1.0], {"a": "red"})


def test_learnt_gates_are_the_trained_networks_own_in_float64():
    relu = shuffled(ReLUNetwork(FullyConnected(3, 4, 3, 1, bias=False)), 3).double()
    with torch.no_grad():
        for weight in relu.weights:
            weight /= 3  # which float32 cannot hold
    network = explorer.begin("FLNPF", relu.arch, 0, relu)
    assert all(torch.equal(*pair) for pair in zip(network.feature.weights, relu.weights, strict=True))


def test_descent_is_a_step_against_the_gradient_by_differences():
    """Two steps of a linear network of one unit, with the derivative of the loss taken by differences."""
    given, steps = task(rate=0.5), 2
    network = by_hand([[[0.4, 0.35]], [[0.7]]])
    weights = [0.4, 0.35, 0.7]

    def loss(a, b, c):
        outputs = [c * max(a * x + b * y, 0.0) for x, y in given.points.tolist()]
        margins = [y * output for y, output in zip(given.labels.tolist(), outputs, strict=True)]
        return sum(math.log1p(math.exp(-m)) for m in margins) / len(margins)

    expected = []
    for _ in range(steps + 1):
        expected.append(loss(*weights))
        moved = [[w + h * (k == j) for j, w in enumerate(weights)] for k in range(3) for h in (1e-6, -1e-6)]
        slopes = [(loss(*up) - loss(*down)) / 2e-6 for up, down in zip(moved[::2], moved[1::2], strict=True)]
        last, weights = weights, [w - 0.5 * slope for w, slope in zip(weights, slopes, strict=True)]
    assert explorer.descend(network, given, steps) == pytest.approx(expected, abs=1e-9)
    assert [*network.weights[0].flatten().tolist(), network.weights[1].item()] == pytest.approx(last, abs=1e-8)
    assert given.right(network) == 0.5


def test_the_data_cannot_end_their_element():
    text = explorer.html({"colours": {"active": "</script><b>"}}, "1", "a{}")
    assert "</script><b>" not in text
    inside = text.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(inside) == {"colours": {"active": "</script><b>"}}


@pytest.mark.parametrize(("script", "style"), [("'</script>'", ""), ("", "</STYLE>")])
def test_a_script_or_style_that_ends_itself_is_refused(script, style):
    with pytest.raises(ValueError, match="would end it on the page"):
        explorer.html({}, script, style)


def test_the_static_picture_draws_every_regime():
    arch = FullyConnected(3, 2, 2, 1, bias=False)
    data = explorer.export(task(), arch, (0,), ((0.6, 0.2), (-0.4, 0.3)), {})
    output = np.linspace(-1, 1, 81)[:, None] * np.ones(81)
    curves = np.array([[0, 10, 20], [0.7, 0.5, 0.4], [0.5, 0.75, 1.0]])
    edges = [(0, np.array([[-1.0, 0], [1, 0]])), (1, np.array([[0, 0.0], [0, 1]]))]
    panel = {"output": output, "edges": edges, "curves": curves}
    figure = standing_still(data, dict.fromkeys(("ReLU", "FLNPF", "FRNPF-II"), panel))
    planes, (loss, right) = figure.axes[:3], figure.axes[3:]
    assert [ax.get_xlabel() for ax in planes] == ["100.0 % right"] * 3
    assert all(np.array_equal(ax.images[0].get_array(), output) for ax in planes)
    first, deep, marks = (planes[0].lines[k].get_xydata() for k in range(3))
    assert [np.isfinite(drawn[:, 0]).sum() // 2 for drawn in (first, deep, marks)] == [1, 1, 3]  # + has two strokes
    assert [len(loss.lines), len(right.lines)] == [3, 3]
    plt.close(figure)


@pytest.mark.parametrize("start", [((0, 2), (0, 0)), ((0, 0, 0), (0, 0))])
def test_a_start_out_of_the_square_is_refused(start):
    with pytest.raises(ValueError, match="start must be two points"):
        explorer.export(task(), FullyConnected(3, 2, 2, 1, bias=False), (0,), start, {})
