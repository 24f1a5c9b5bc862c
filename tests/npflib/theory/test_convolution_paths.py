"""Paths of convolutional networks against a walk by hand, the network itself, and the definition of a bundle."""

from itertools import product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import convolutional, examples, normal, seeds, shuffled
from torch import Tensor, nn

from npflib.networks import FullyConnected, GConv, ReLUNetwork, VConv
from npflib.paths import MAX_PATHS
from npflib.theory.convolution.paths import (
    PADDINGS,
    bundle_feature,
    enumerate_paths,
    neural_path_feature,
    neural_path_value,
)

few = settings(max_examples=20)
paddings = st.sampled_from(PADDINGS)


@st.composite
def tiny(draw):
    """VConv or GConv of at most two convolutions, small enough to list."""
    kind = draw(st.sampled_from([VConv, GConv]))
    channels = draw(st.lists(st.integers(1, 2), min_size=1, max_size=2))
    return kind(
        in_channels=draw(st.integers(1, 2)),
        image_size=draw(st.integers(1, 4 if len(channels) == 1 else 3)),
        out_features=draw(st.integers(1, 3)),
        bias=False,
        channels=tuple(channels),
        dense=tuple(draw(st.lists(st.integers(1, 2), min_size=1, max_size=2))),
    )


def network_of(arch, padding: str, seed: int) -> ReLUNetwork:
    """A ReLU network with random weights, padded as asked."""
    network = shuffled(ReLUNetwork(arch), seed)
    for layer in network.layers:
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = padding
    return network


def close(actual: Tensor, expected: Tensor) -> None:
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11 * scale)


@given(tiny(), paddings, examples, seeds)
@few
def test_claim_1_output_is_the_sum_over_paths_class_by_class(arch, padding, n, seed):
    network = network_of(arch, padding, seed)
    x = normal(seed + 30, n, arch.in_channels, arch.image_size, arch.image_size)
    paths = enumerate_paths(arch, padding)
    with torch.no_grad():
        output = network(x)
        feature = neural_path_feature(x, network.gates(x), paths)
        value = neural_path_value(network.weights, paths)
    assert value.shape == (len(paths), arch.out_features)
    close(feature @ value, output)


@given(tiny(), paddings, seeds)
@few
def test_bundles_are_the_sets_of_paths_with_the_same_weights(arch, padding, seed):
    paths = enumerate_paths(arch, padding)
    # A path's value is then the exponential of a sum of independent normal numbers: equal only where the weights are.
    network = network_of(arch, padding, seed)
    logs = [normal(seed + 100 + k, *weight.shape).exp() for k, weight in enumerate(network.weights)]
    value = neural_path_value(logs, paths)[:, 0].log()
    some = slice(0, 2000)
    same = (value[some, None] - value[None, some]).abs() < 1e-10
    assert torch.equal(same, paths.bundles[some, None] == paths.bundles[None, some])
    assert sorted(paths.bundles.unique().tolist()) == list(range(paths.bundle_count))
    if isinstance(arch, VConv):
        assert paths.bundle_count == len(paths)


@given(tiny(), paddings, examples, seeds)
@few
def test_output_is_the_sum_over_bundles(arch, padding, n, seed):
    network = network_of(arch, padding, seed)
    x = normal(seed + 30, n, arch.in_channels, arch.image_size, arch.image_size)
    paths = enumerate_paths(arch, padding)
    with torch.no_grad():
        together = bundle_feature(neural_path_feature(x, network.gates(x), paths), paths)
        value = neural_path_value(network.weights, paths)
        first = torch.stack([(paths.bundles == b).nonzero()[0, 0] for b in range(paths.bundle_count)])
        close(together @ value[first], network(x))


@pytest.mark.parametrize("kind", [VConv, GConv])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_paths_are_the_walks_that_stay_inside(kind, size):
    arch = kind(in_channels=2, image_size=size, channels=(1, 2), dense=(3,))
    walks = []
    for last in product(range(size), repeat=2):
        for steps in product(product((-1, 0, 1), repeat=2), repeat=2):
            middle = last[0] + steps[1][0], last[1] + steps[1][1]
            start = middle[0] + steps[0][0], middle[1] + steps[0][1]
            if all(0 <= c < size for c in (*middle, *start)):
                walks.append(tuple(r * size + c for r, c in (start, middle, last)))
    paths = enumerate_paths(arch)
    assert len(paths) == len(walks) * 2 * 1 * 2 * 3
    assert sorted(map(tuple, paths.positions.tolist())) == sorted(walk for walk in walks for _ in range(12))
    assert len(enumerate_paths(arch, "circular")) == size**2 * 81 * 12


@given(convolutional(), seeds)
@few
def test_every_listed_path_is_different(arch, seed):
    count = arch.image_size**2 * 9 ** len(arch.channels) * arch.in_channels
    assume(count * 9 < MAX_PATHS)
    paths = enumerate_paths(arch)
    rows = torch.cat([paths.channels, paths.positions, paths.offsets, paths.units], 1)
    assert len(torch.unique(rows, dim=0)) == len(rows)


def test_refusals():
    arch = GConv(in_channels=1, image_size=3, channels=(2,), dense=(2,), bias=False)
    with pytest.raises(ValueError, match="VConv or GConv; got FullyConnected"):
        enumerate_paths(FullyConnected(2, 3))
    with pytest.raises(ValueError, match="unknown padding 'same'; allowed: zeros, circular"):
        enumerate_paths(arch, "same")
    with pytest.raises(ValueError, match="324 paths, more than the 100"):
        enumerate_paths(arch, limit=100)
    paths = enumerate_paths(arch)
    x, gates = torch.ones(2, 1, 3, 3), [torch.ones(2, 2, 3, 3), torch.ones(2, 2)]
    for wrong in (gates[:1], [gates[0][:1], gates[1]], [gates[0], torch.ones(2, 3)]):
        with pytest.raises(ValueError, match=r"inputs and gates must have the shapes.*got"):
            neural_path_feature(x, wrong, paths)
    weights = [torch.ones(2, 1, 3, 3), torch.ones(2, 2), torch.ones(10, 2)]
    assert neural_path_value(weights, paths).shape == (len(paths), 10)
    for wrong in ([], weights[:2], [weights[0], torch.ones(2, 18), weights[2]], [*weights[:2], torch.ones(2)]):
        with pytest.raises(ValueError, match="weights must have the shapes"):
            neural_path_value(wrong, paths)
    with pytest.raises(ValueError, match=r"one a path; got \(2, 5\)"):
        bundle_feature(torch.ones(2, 5), paths)
