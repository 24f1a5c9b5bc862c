"""The gate explorer's truth: regions that tile the square, and numbers that agree with plain enumeration."""

import itertools
import json
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds, shuffled

from companion import explorer
from companion.figures.diagrams import explorer as standing_still
from npflib.networks import FullyConnected, GConv, ReLUNetwork


@st.composite
def networks(draw):
    """A network on the plane without biases, with up to two constant inputs, and its constants."""
    constants = draw(st.lists(st.sampled_from([1.0, -0.5, 0.3]), max_size=2))
    arch = FullyConnected(draw(st.integers(2, 4)), draw(st.integers(1, 3)), 2 + len(constants), 1, bias=False)
    return shuffled(ReLUNetwork(arch), draw(seeds)), tuple(constants)


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


def area(corners):
    x, y = np.transpose(corners)
    return 0.5 * abs(x @ np.roll(y, 1) - y @ np.roll(x, 1))


def input_of(points, constants):
    points = torch.as_tensor(np.asarray(points), dtype=torch.float64).reshape(-1, 2)
    return torch.cat([points, torch.tensor(constants, dtype=torch.float64).expand(len(points), -1)], 1)


@settings(max_examples=40)
@given(case=networks(), half=st.sampled_from([0.5, 1.0, 3.0]), seed=seeds)
@torch.no_grad()
def test_the_regions_tile_the_square_and_are_linear_with_the_gates_they_name(case, half, seed):
    network, constants = case
    found, _ = explorer.regions(network, constants, half)
    assert sum(area(region.corners) for region in found) == pytest.approx(4 * half**2)
    assert len({region.gates for region in found}) == len(found)
    rng = np.random.default_rng(seed)
    for region in found:
        if area(region.corners) < 1e-7 * half**2:  # too narrow for a point that is safely inside
            continue
        inside = rng.dirichlet(np.ones(len(region.corners)), 3) @ region.corners
        inputs = input_of(inside, constants)
        q = torch.cat(network.pre_activations(inputs), 1)
        clear = (q.abs() > 1e-9 * q.abs().max()) | (q == 0)
        named = torch.tensor(sum(region.gates, ()))
        assert (((q > 0) == (named > 0)) | ~clear).all()
        np.testing.assert_allclose(inputs.numpy() @ region.slope, network(inputs)[:, 0].numpy(), atol=1e-7)
    at_random = rng.uniform(-half, half, (50, 2))
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
        layers = [*network.pre_activations(inputs), network(inputs)]
        scale = max(float(layer.abs().max()) for layer in layers) + 1
        assert float(layers[edge.layer][:, edge.unit].abs().max()) < 1e-7 * scale
        assert np.abs(edge.ends).max() < 1 + 1e-9


def test_regions_of_a_network_that_can_be_cut_by_hand():
    """Units x_1 and x_2 cut the square into its four quadrants; the output x_1 - x_2 is zero on a diagonal of one."""
    network = by_hand([[[1.0, 0.0], [0.0, 1.0]], [[1.0, -1.0]]])
    found, lines = explorer.regions(network)
    assert {region.gates: area(region.corners) for region in found} == {
        ((a, b),): 1.0 for a, b in itertools.product((0, 1), repeat=2)
    }
    assert {region.gates: region.open_paths for region in found}[((1, 1),)] == 4
    level = [edge for edge in lines if edge.layer == 1]
    assert [sorted(edge.ends.tolist()) for edge in level] == [[[0, 0], [1, 1]]]


point = st.tuples(st.floats(-1, 1), st.floats(-1, 1))


@settings(max_examples=60)
@given(case=networks(), x=point, x2=point)
def test_what_is_shown_agrees_with_enumeration(case, x, x2):
    network, constants = case
    shown = explorer.at(network, x, x2, constants)
    weights = [weight.tolist() for weight in network.weights]

    def run(inputs):
        z, on = inputs, []
        for weight in weights[:-1]:
            q = [sum(a * b for a, b in zip(row, z, strict=True)) for row in weight]
            on.append([int(value > 0) for value in q])
            z = [max(value, 0.0) for value in q]
        return on, sum(a * b for a, b in zip(weights[-1][0], z, strict=True))

    first, second = [*x, *constants], [*x2, *constants]
    on, output = run(first)
    on2, output2 = run(second)
    near = pytest.approx
    # A pre-activation that is zero but for rounding may be on in one and off in the other order of summation.
    if any(0 < abs(q) < 1e-12 for layer in shown["pre_activations"] for q in layer) or on2 != shown["gates2"]:
        return
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
    shown = explorer.at(SMALL, (0.5, 0.5), (0.5, 0.25))  # the first unit's pre-activation is x_1 - x_2
    assert shown["pre_activations"][0][0] == 0
    assert shown["gates"][0] == [0, 1]
    assert shown["gates2"][0] == [1, 1]
    nowhere = explorer.at(SMALL, (0, 0), (0.5, 0.25))
    assert nowhere["open"] == nowhere["output"] == nowhere["kernel"] == 0


def test_data_survive_json_without_loss():
    points, labels = torch.rand(5, 2, dtype=torch.float64), torch.tensor([1.0, -1, 1, -1, 1])
    data = explorer.export(SMALL, start=((0.1, 0.2), (0.3, 0.4)), points=points, labels=labels, colours={"a": "red"})
    again = json.loads(json.dumps(data))
    assert [torch.tensor(w, dtype=torch.float64).equal(o) for w, o in zip(again["weights"], SMALL.weights, strict=True)]
    assert [example[:2] for example in again["examples"]] == points.tolist()
    assert [example[2] for example in again["examples"]] == [1, -1, 1, -1, 1]
    assert {tuple(map(tuple, r["gates"])) for r in again["regions"]} == {r.gates for r in explorer.regions(SMALL)[0]}


def test_the_data_cannot_end_their_element():
    text = explorer.html({"colours": {"active": "</script><b>"}}, "1", "a{}")
    assert "</script><b>" not in text
    inside = text.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(inside) == {"colours": {"active": "</script><b>"}}


@pytest.mark.parametrize(("script", "style"), [("'</script>'", ""), ("", "</STYLE>")])
def test_a_script_or_style_that_ends_itself_is_refused(script, style):
    with pytest.raises(ValueError, match="would end it on the page"):
        explorer.html({}, script, style)


def test_the_table_holds_all_that_both_sums_need():
    shown = explorer.at(SMALL, (0.6, 0.2), (0.4, 0.3))
    rows = list(explorer.open_table(shown, (2, 2, 2)))
    assert len(rows) == shown["open"]
    assert sum(row[3] for row in rows) == pytest.approx(shown["sum"])
    assert sum(row[1] * row[4] for row in rows) == pytest.approx(shown["gram"])
    assert rows[0][0] == "1→1→1"


def test_the_static_picture_draws_the_regions_of_both_points():
    data = explorer.export(SMALL, start=((0.6, 0.2), (-0.4, 0.3)))
    figure = standing_still(data, explorer.at(SMALL, *data["start"]))
    plane = figure.axes[0]
    assert len(plane.patches) == len(data["regions"])
    outlines = [line for line in plane.lines if line.get_linewidth() == 2 and len(line.get_xdata()) > 3]
    assert len(outlines) == 2
    assert len(figure.axes) == 3
    plt.close(figure)


@pytest.mark.parametrize(
    ("wrong", "constants", "message"),
    [
        (lambda: ReLUNetwork(FullyConnected(2, 2, 2, 1, bias=True)), (), "bias=False"),
        (lambda: ReLUNetwork(FullyConnected(2, 2, 2, 3, bias=False)), (), "one output"),
        (lambda: ReLUNetwork(FullyConnected(1, 2, 2, 1, bias=False)), (), "one hidden layer"),
        (lambda: ReLUNetwork(GConv(1, 2, channels=(1,), dense=(1,))), (), "FullyConnected"),
        (lambda: "a network", (), "got str"),
        (lambda: SMALL, (1.0,), "2 inputs needs 0 finite constants"),
        (lambda: ReLUNetwork(FullyConnected(2, 2, 3, 1, bias=False)), (math.nan,), "finite constants"),
        (lambda: ReLUNetwork(FullyConnected(2, 2, 1, 1, bias=False)), (), "1 inputs needs 0 finite constants"),
    ],
)
def test_what_is_no_network_on_the_plane_is_refused(wrong, constants, message):
    for work in (
        lambda network: explorer.regions(network, constants),
        lambda network: explorer.at(network, (0, 0), (0, 0), constants),
        lambda network: explorer.export(network, start=((0, 0), (0, 0)), constants=constants),
    ):
        with pytest.raises(ValueError, match=message):
            work(wrong())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": ((0, 2), (0, 0))}, "start must be two points"),
        ({"start": ((0, 0, 0), (0, 0))}, "start must be two points"),
        ({"start": ((0, 0), (0, 0)), "half": 0.0}, "must be positive"),
        ({"start": ((0, 0), (0, 0)), "points": torch.zeros(3, 2)}, "both or neither"),
        ({"start": ((0, 0), (0, 0)), "points": torch.zeros(3, 2), "labels": torch.zeros(2)}, "both or neither"),
    ],
)
def test_wrong_exports_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        explorer.export(SMALL, **options)


@pytest.mark.parametrize("wrong", [(1,), (1, 2, 3), (math.inf, 0), (math.nan, 0)])
def test_points_that_are_not_in_the_plane_are_refused(wrong):
    with pytest.raises(ValueError, match="two finite numbers"):
        explorer.at(SMALL, (0, 0), wrong)


def test_a_network_with_too_many_paths_is_not_exported():
    network = ReLUNetwork(FullyConnected(4, 4, in_features=2, out_features=1, bias=False))
    with pytest.raises(ValueError, match="128 paths is too large"):
        explorer.export(network, start=((0, 0), (0, 0)))
