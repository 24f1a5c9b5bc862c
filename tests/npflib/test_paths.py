"""Path features and values against their definitions, summed path by path in plain Python."""

from itertools import pairwise, product
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float64, Int64
from strategies import coins, examples, fully_connected, normal, random_gates, seeds, shuffled
from torch import Tensor

from npflib.kernels import path_overlap
from npflib.networks import DeepGatedNetwork, FullyConnected, ReLUNetwork
from npflib.paths import MAX_PATHS, active_paths, enumerate_paths, neural_path_feature, neural_path_value, path_sum

bare = fully_connected(bias=False)
unequal_widths = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def every_path(widths):
    return list(product(*map(range, widths)))


@st.composite
def inputs_gates_weights(draw):
    """Inputs, real-valued gates and weights whose layers all have different widths."""
    widths, n, outputs, seed = draw(unequal_widths), draw(examples), draw(st.integers(1, 3)), draw(seeds)
    x = normal(seed, n, widths[0])
    gates = [normal(seed + layer, n, w) for layer, w in enumerate(widths[1:], 1)]
    sizes = [*widths, outputs]
    weights = [normal(seed + 50 + layer, o, i) for layer, (i, o) in enumerate(pairwise(sizes))]
    return x, gates, weights


@given(unequal_widths)
def test_paths_are_all_combinations_in_lexicographic_order(widths):
    paths = enumerate_paths(widths)
    assert isinstance(paths, Int64[Tensor, f"{prod(widths)} {len(widths)}"])
    assert [tuple(path) for path in paths.tolist()] == every_path(widths)


@given(inputs_gates_weights())
def test_path_feature_is_its_definition(drawn):
    x, gates, weights = drawn
    phi = neural_path_feature(x, gates)
    paths = every_path([w.shape[1] for w in weights])
    assert isinstance(phi, Float64[Tensor, f"{len(x)} {len(paths)}"])
    for s in range(len(x)):
        for p, path in enumerate(paths):
            activity = prod(gate[s, node].item() for gate, node in zip(gates, path[1:], strict=True))
            assert phi[s, p].item() == pytest.approx(x[s, path[0]].item() * activity, rel=1e-14)


@given(inputs_gates_weights())
def test_path_value_is_its_definition(drawn):
    _, _, weights = drawn
    value = neural_path_value(weights)
    paths = every_path([w.shape[1] for w in weights])
    assert isinstance(value, Float64[Tensor, f"{len(paths)} {len(weights[-1])}"])
    for p, path in enumerate(paths):
        for c in range(len(weights[-1])):
            nodes = (*path, c)
            factors = [w[o, i].item() for w, (i, o) in zip(weights, pairwise(nodes), strict=True)]
            assert value[p, c].item() == pytest.approx(prod(factors), rel=1e-14)


@given(inputs_gates_weights())
def test_layer_by_layer_sum_is_the_sum_over_paths(drawn):
    x, gates, weights = drawn
    by_paths = neural_path_feature(x, gates) @ neural_path_value(weights)
    # Rounding is relative to the sum of the terms' sizes, which may cancel.
    size = neural_path_feature(x.abs(), [g.abs() for g in gates]) @ neural_path_value([w.abs() for w in weights])
    assert ((path_sum(x, gates, weights) - by_paths).abs() <= 1e-14 * (1 + size)).all()


@given(bare, seeds, examples)
def test_claim_1_relu_output_is_feature_times_value(arch, seed, n):
    network = shuffled(ReLUNetwork(arch), seed)
    x = normal(seed + 9, n, arch.in_features)
    with torch.no_grad():
        output, gates, weights = network(x), network.gates(x), network.weights
        phi, value = neural_path_feature(x, gates), neural_path_value(weights)
        size = neural_path_feature(x.abs(), gates) @ neural_path_value([w.abs() for w in weights])
        assert value.shape == (arch.paths, arch.out_features)
        assert ((phi @ value - output).abs() <= 1e-14 * (1 + size)).all()
        assert ((path_sum(x, gates, weights) - output).abs() <= 1e-14 * (1 + size)).all()


@given(bare, seeds, examples, st.sampled_from(["hard", "soft"]))
def test_claim_1_holds_behind_another_networks_gates(arch, seed, n, gate):
    network = shuffled(DeepGatedNetwork(arch, gate), seed)
    x = normal(seed + 9, n, arch.in_features)
    with torch.no_grad():
        gates, weights = network.gates(x), network.weights
        by_paths = neural_path_feature(x, gates) @ neural_path_value(weights)
        size = neural_path_feature(x.abs(), gates) @ neural_path_value([w.abs() for w in weights])
        assert ((by_paths - network(x)).abs() <= 1e-14 * (1 + size)).all()


def test_claim_1_at_the_papers_size_without_enumeration():
    arch = FullyConnected(depth=6, width=128, bias=False)
    network = ReLUNetwork(arch, torch.Generator().manual_seed(0)).double()
    x = normal(1, 20, 784).abs()
    with torch.no_grad():
        torch.testing.assert_close(path_sum(x, network.gates(x), network.weights), network(x), rtol=1e-11, atol=1e-13)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), examples, seeds, st.booleans())
def test_active_paths_are_counted(widths, n, seed, boolean):
    gates = random_gates(seed, n, widths)
    counted = [
        sum(all(gate[s, node] == 1 for gate, node in zip(gates, path, strict=True)) for path in every_path(widths))
        for s in range(n)
    ]
    given_gates = [g.bool() for g in gates] if boolean else gates
    assert active_paths(given_gates).tolist() == counted
    assert path_overlap(given_gates).diagonal().tolist() == counted


def test_active_paths_are_exact_at_the_papers_size():
    gates = [torch.ones(2, 127)] * 5  # float32, in which 127^5 = 3.3e10 cannot be written
    assert active_paths(gates).tolist() == [127.0**5] * 2


def test_a_linear_network_has_one_path_an_input():
    x, weight = normal(0, 3, 5), normal(1, 2, 5)
    assert enumerate_paths([5]).tolist() == [[0], [1], [2], [3], [4]]
    assert torch.equal(neural_path_feature(x, []), x)
    assert torch.equal(neural_path_value([weight]), weight.T)
    torch.testing.assert_close(path_sum(x, [], [weight]), x @ weight.T, rtol=1e-14, atol=1e-14)


def test_no_examples_have_no_features():
    assert neural_path_feature(torch.zeros(0, 3), [torch.zeros(0, 2)]).shape == (0, 6)
    assert path_sum(torch.zeros(0, 3), [torch.zeros(0, 2)], [torch.zeros(2, 3), torch.zeros(4, 2)]).shape == (0, 4)


def test_non_contiguous_tensors_are_as_good():
    x, gate = normal(0, 3, 4).T, coins(1, 2, 4).T
    weights = [normal(2, 3, 2).T, normal(3, 2, 1).T]
    assert torch.equal(neural_path_feature(x, [gate]), neural_path_feature(x.contiguous(), [gate.contiguous()]))
    assert torch.equal(neural_path_value(weights), neural_path_value([w.contiguous() for w in weights]))


def test_too_many_paths_are_refused_with_their_number():
    with pytest.raises(ValueError, match="3,486,784,401 paths, more than the 2,000,000 that are listed"):
        enumerate_paths([3] * 20)
    with pytest.raises(ValueError, match="9 paths, more than the 8"):
        neural_path_value([torch.zeros(3, 3), torch.zeros(1, 3)], limit=8)
    with pytest.raises(ValueError, match="9 paths, more than the 8"):
        neural_path_feature(torch.zeros(1, 3), [torch.zeros(1, 3)], limit=8)
    assert len(enumerate_paths([3, 3], limit=9)) == 9
    for limit in (float("nan"), -1, None):
        with pytest.raises(ValueError, match=f"limit must be finite and positive; got {limit}"):
            enumerate_paths([3, 3], limit)
    assert MAX_PATHS == 2_000_000


@pytest.mark.parametrize("widths", [[], [0], [3, -1], [2.5], [3.0], ["a"], [None], [float("inf")], [True]])
def test_refuses_widths_that_are_not_sizes(widths):
    with pytest.raises(ValueError, match=r"widths must be positive whole numbers .*; got"):
        enumerate_paths(widths)


@pytest.mark.parametrize(
    ("x", "gates", "message"),
    [
        ((3,), [(3, 2)], "inputs must be .*Flatten images"),
        ((3, 1, 2), [(3, 2)], "inputs must be .*Flatten images"),
        ((3, 4), [(3, 2, 5)], "gates of hidden layer 1 must be"),
        ((3, 4), [(3, 2), (4, 2)], "gates of hidden layer 2 are for 4 examples, expected 3"),
        ((3, 4), [(1, 2)], "gates of hidden layer 1 are for 1 examples, expected 3"),
    ],
)
def test_refuses_inputs_and_gates_that_do_not_match(x, gates, message):
    x, gates = torch.zeros(x), [torch.zeros(g) for g in gates]
    weights = [torch.zeros(2, 4)] * (len(gates) + 1)
    for call in (lambda: neural_path_feature(x, gates), lambda: path_sum(x, gates, weights)):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("shapes", [[], [(2, 3), (2, 3)], [(2,)], [(2, 3, 1)], [(2, 3), (2,)]])
def test_refuses_weights_that_do_not_chain(shapes):
    weights = [torch.zeros(shape) for shape in shapes]
    with pytest.raises(ValueError, match="weights must"):
        neural_path_value(weights)
    with pytest.raises(ValueError, match="weights must"):
        path_sum(torch.zeros(4, 3), [torch.zeros(4, 2)], weights)


@pytest.mark.parametrize(
    ("inputs", "gates"),
    [(3, []), (3, [2, 2]), (4, [2]), (3, [1]), (3, [3])],
    ids=["none", "two", "x", "1", "3"],
)
def test_layer_by_layer_sum_refuses_widths_that_are_not_the_weights(inputs, gates):
    weights = [torch.zeros(2, 3), torch.zeros(1, 2)]
    # Gates of width 1 would broadcast, and give a number that is not a sum over paths.
    with pytest.raises(ValueError, match=r"must have the weights' widths \[3, 2\]"):
        path_sum(torch.zeros(5, inputs), [torch.zeros(5, w) for w in gates], weights)


def test_active_paths_need_gates():
    with pytest.raises(ValueError, match="gates must hold at least one tensor"):
        active_paths([])
