"""Initial weights against the distributions they are said to have."""

from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from scipy import stats
from strategies import convolutional, fully_connected, seeds
from torch import Generator

from npflib.initialisation import SCHEMES, gaussian_, glorot_uniform_, initialise_, signed_
from npflib.networks import FullyConnected, GConv, ReLUNetwork

# A correct sampler falls below this once in a million draws; the draws are seeded, so the outcome is fixed.
IMPROBABLE = 1e-6


def source(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Keras' fan-in and fan-out of a weight stored as [out, in] or [out, in, 3, 3]."""
    taps = 9 if len(shape) == 4 else 1
    return shape[1] * taps, shape[0] * taps


@pytest.mark.parametrize("shape", [(128, 784), (10, 128), (64, 3, 3, 3), (128, 64, 3, 3), (256, 1024)])
def test_glorot_uniform_is_uniform_up_to_keras_limit(shape):
    weight = glorot_uniform_(torch.empty(shape), source())
    limit = sqrt(6 / sum(fans(shape)))
    assert weight.abs().max() <= limit * (1 + 1e-6)  # the limit in float32
    assert stats.kstest(weight.flatten(), "uniform", (-limit, 2 * limit)).pvalue > IMPROBABLE


@given(seeds)
@settings(max_examples=25)
def test_signed_weights_take_two_values_equally_often(seed):
    weight = signed_(torch.empty(40, 30), 0.3, source(seed))
    assert set(weight.unique().tolist()) == {-torch.tensor(0.3).item(), torch.tensor(0.3).item()}
    assert stats.binomtest(int((weight > 0).sum()), weight.numel()).pvalue > IMPROBABLE


def test_signed_weights_of_neighbours_are_independent():
    sign = signed_(torch.empty(300, 300), 1.0, source())
    for product in (sign[1:] * sign[:-1], sign[:, 1:] * sign[:, :-1]):
        assert stats.binomtest(int((product > 0).sum()), product.numel()).pvalue > IMPROBABLE


def test_gaussian_weights_are_normal():
    weight = gaussian_(torch.empty(100, 100), 0.7, source())
    assert stats.kstest(weight.flatten(), "norm", (0, 0.7)).pvalue > IMPROBABLE


@given(fully_connected())
@settings(max_examples=25)
def test_default_scale_of_signed_weights_is_he(arch):
    network = initialise_(ReLUNetwork(arch).double(), "signed", generator=source())
    for weight in network.weights:
        expected = torch.full_like(weight, sqrt(2 / weight.shape[1]))
        torch.testing.assert_close(weight.abs(), expected, rtol=1e-15, atol=0)


def test_default_scale_of_kernels_counts_their_taps():
    network = ReLUNetwork(GConv(3, 4, 2, channels=(5,), dense=(2,))).double()
    kernel = initialise_(network, "signed", generator=source()).weights[0]
    torch.testing.assert_close(kernel.abs(), torch.full_like(kernel, sqrt(2 / 27)), rtol=1e-15, atol=0)


def test_default_scale_of_gaussian_weights_is_he():
    weight = initialise_(ReLUNetwork(FullyConnected(1, 1, 50, 200)), "gaussian", generator=source()).weights[0]
    assert stats.kstest(weight.detach().flatten(), "norm", (0, 0.2)).pvalue > IMPROBABLE


@pytest.mark.parametrize("scheme", ["signed", "gaussian"])
def test_sigma_scales_every_layer(scheme):
    arch = FullyConnected(4, 3, 5, 2)
    one = initialise_(ReLUNetwork(arch).double(), scheme, 1.0, source())
    two = initialise_(ReLUNetwork(arch).double(), scheme, 2.0, source())
    for a, b in zip(one.weights, two.weights, strict=True):
        assert torch.equal(2 * a, b)


@given(convolutional() | fully_connected(), seeds)
@settings(max_examples=25)
def test_layers_are_drawn_input_side_first_and_biases_are_zero(arch, seed):
    network = ReLUNetwork(arch)
    with torch.no_grad():
        for layer in network.layers:
            if layer.bias is not None:
                layer.bias.fill_(3)
    assert initialise_(network, generator=source(seed)) is network
    stream = source(seed)
    for layer in network.layers:
        limit = sqrt(6 / sum(fans(tuple(layer.weight.shape))))
        drawn = torch.empty(layer.weight.shape).uniform_(-limit, limit, generator=stream)
        assert torch.equal(layer.weight, drawn)
        assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_same_generator_same_weights(scheme):
    first, same, other = (
        initialise_(ReLUNetwork(FullyConnected(3, 4, 5, 2)), scheme, generator=source(seed)).weights
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan")])
@pytest.mark.parametrize("fill", [signed_, gaussian_])
def test_refuses_a_scale_that_is_not_positive(fill, sigma):
    weight = torch.full((2, 2), 7.0)
    with pytest.raises(ValueError, match=r"sigma.*positive; got"):
        fill(weight, sigma)
    assert (weight == 7).all()


def test_unknown_scheme_is_refused_before_anything_is_drawn():
    network = ReLUNetwork(FullyConnected(3, 4, 5, 2))
    before = [weight.clone() for weight in network.weights]
    with pytest.raises(ValueError, match="unknown initialisation 'he'; allowed: glorot_uniform, signed, gaussian"):
        initialise_(network, "he")
    assert all(torch.equal(a, b) for a, b in zip(before, network.weights, strict=True))
