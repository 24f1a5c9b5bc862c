"""Architectures against the sizes that the paper and its released notebooks give."""

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from strategies import convolutional, fully_connected

from npflib.architectures import ConvLayer, DenseLayer, FullyConnected, GConv, VConv
from npflib.networks import ReLUNetwork


def test_the_papers_fully_connected_network():
    arch = FullyConnected(depth=6, width=128)
    sizes = [(layer.in_features, layer.out_features) for layer in arch.layers()]
    assert sizes == [(784, 128), (128, 128), (128, 128), (128, 128), (128, 128), (128, 10)]
    assert arch.widths == (784, 128, 128, 128, 128, 128)
    assert arch.paths == 784 * 128**5
    assert all(layer.bias for layer in arch.layers())


@pytest.mark.parametrize(("arch", "into_dense", "before"), [(VConv(), 131_072, "flatten"), (GConv(), 128, "pool")])
def test_the_papers_convolutional_networks(arch, into_dense, before):
    assert arch.layers() == (
        ConvLayer(3, 64, True),
        ConvLayer(64, 64, True),
        ConvLayer(64, 128, True),
        ConvLayer(128, 128, True),
        DenseLayer(into_dense, 256, True, before),
        DenseLayer(256, 256, True),
        DenseLayer(256, 10, True),
    )
    assert arch.in_features == 3 * 32 * 32


@given(fully_connected(max_depth=6))
def test_fully_connected_layers_chain(arch):
    layers = arch.layers()
    assert len(layers) == arch.depth == len(arch.widths)
    assert layers[0].in_features == arch.in_features
    assert layers[-1].out_features == arch.out_features
    assert all(a.out_features == b.in_features == arch.width for a, b in pairwise(layers))
    assert [layer.before for layer in layers] == ["flatten"] + [""] * (arch.depth - 1)
    assert {layer.bias for layer in layers} == {arch.bias}


@given(convolutional())
def test_convolutional_layers_chain(arch):
    layers = arch.layers()
    convolutions, dense = layers[: len(arch.channels)], layers[len(arch.channels) :]
    assert [layer.out_channels for layer in convolutions] == list(arch.channels)
    assert [layer.out_features for layer in dense] == [*arch.dense, arch.out_features]
    assert [layer.in_channels for layer in convolutions] == [arch.in_channels, *arch.channels[:-1]]
    positions = arch.image_size**2 if isinstance(arch, VConv) else 1
    assert [layer.in_features for layer in dense] == [arch.channels[-1] * positions, *arch.dense]
    assert [layer.before for layer in dense[1:]] == [""] * len(arch.dense)
    assert {layer.bias for layer in layers} == {arch.bias}


def test_architectures_are_values():
    assert FullyConnected(3, 4) == FullyConnected(depth=3, width=4)
    assert VConv() != GConv()
    assert hash(VConv(channels=[2, 3])) == hash(VConv(channels=(2, 3)))
    with pytest.raises(AttributeError):
        FullyConnected(3, 4).width = 5


@pytest.mark.parametrize("bad", [0, -1, 2.0, True, "3", None])
@pytest.mark.parametrize("name", ["depth", "width", "in_features", "out_features"])
def test_fully_connected_refuses_sizes(name, bad):
    with pytest.raises(ValueError, match=rf"{name} must be a positive whole number; got"):
        FullyConnected(**{"depth": 2, "width": 2, name: bad})


@pytest.mark.parametrize("arch", [FullyConnected, VConv, GConv])
@pytest.mark.parametrize("bad", ["x", None, 1])
def test_bias_is_a_switch(arch, bad):
    sizes = {"depth": 2, "width": 2} if arch is FullyConnected else {}
    with pytest.raises(ValueError, match=rf"{arch.__name__}: bias must be True or False; got {bad!r}"):
        arch(**sizes, bias=bad)


@pytest.mark.parametrize("arch", [VConv, GConv])
@pytest.mark.parametrize("bad", [0, -1, 2.0, True])
@pytest.mark.parametrize("name", ["in_channels", "image_size", "out_features"])
def test_convolutional_refuses_sizes(arch, name, bad):
    with pytest.raises(ValueError, match=rf"{arch.__name__}: {name} must be a positive whole number; got"):
        arch(**{name: bad})


@pytest.mark.parametrize("bad", [(), (64, 0), (64, -1), (2.5,), (True,), "64", None, 64])
@pytest.mark.parametrize("name", ["channels", "dense"])
def test_convolutional_refuses_layer_lists(name, bad):
    with pytest.raises(ValueError, match=rf"{name} must be one or more positive whole numbers; got"):
        GConv(**{name: bad})


@pytest.mark.parametrize(
    ("kind", "sizes", "count"),
    [
        (FullyConnected, {"depth": 3, "width": 10**12}, "1,000,000,000,794,000,000,000,000"),
        (FullyConnected, {"depth": 10_000, "width": 1_001}, "10,018,800,792"),
        (VConv, {"channels": (10**9,)}, "262,171,000,068,096"),
        (GConv, {"dense": (10**6, 10**6)}, "1,000,138,259,776"),
    ],
)
def test_more_weights_than_a_memory_holds_are_refused_before_any_is_drawn(kind, sizes, count):
    with pytest.raises(ValueError, match=f"has {count} weights; at most 10,000,000,000 are allowed"):
        kind(**sizes)


def test_a_layer_knows_the_shape_of_its_weight():
    network = ReLUNetwork(GConv(in_channels=1, image_size=4, channels=(2, 3), dense=(5,)))
    assert [tuple(weight.shape) for weight in network.weights] == [layer.shape for layer in network.arch.layers()]


def test_planning_does_not_import_torch():
    planning = "import sys, npflib.architectures, npflib.regimes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", planning], check=False).returncode == 0
