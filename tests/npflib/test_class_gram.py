"""Per-example tangent kernels of all outputs against automatic differentiation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import normal, seeds

from npflib.architectures import FullyConnected
from npflib.kernels import neural_tangent_kernel
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.signals import class_gram, softmax_jacobian


def jacobian(network, x, part, output=lambda logits: logits):
    """[n, C, parameters] by torch.func."""
    state = {name: p.detach() for name, p in network.named_parameters()}
    found = torch.func.jacrev(lambda s: output(torch.func.functional_call(network, s, (x,))))(state)
    prefix = {"all": "", "value": "value.", "gate": "feature."}[part]
    return torch.cat([j.flatten(2) for name, j in found.items() if name.startswith(prefix)], 2)


def gated(seed, depth, width, outputs, bias):
    arch = FullyConnected(depth, width, 5, outputs, bias=bias)
    network = DeepGatedNetwork(arch, "soft", torch.Generator().manual_seed(seed)).double()
    for parameter in network.parameters():  # biases start at zero, where a mistake about them could hide
        parameter.data += 0.1 * normal(seed + 1, *parameter.shape)
    return network


few = settings(max_examples=15)  # each takes a Jacobian


@few
@given(
    seeds,
    st.integers(2, 4),
    st.integers(1, 6),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(("all", "value", "gate")),
)
def test_class_gram_is_the_jacobians(seed, depth, width, outputs, bias, part):
    network, x = gated(seed, depth, width, outputs, bias), normal(seed + 2, 3, 5)
    j = jacobian(network, x, part)
    expected = j @ j.mT
    rounding = 1e-12 * float(expected.abs().max())
    assert torch.allclose(class_gram(network, x, part), expected, rtol=1e-9, atol=rounding)


@few
@given(seeds)
def test_its_trace_is_the_kernels_diagonal(seed):
    network, x = gated(seed, 3, 7, 4, True), normal(seed, 6, 5)
    for part in ("all", "value", "gate"):
        traces = class_gram(network, x, part).diagonal(dim1=1, dim2=2).sum(1)
        assert torch.allclose(traces, neural_tangent_kernel(network, x, part=part).diagonal(), rtol=1e-10)


def test_of_a_relu_network():
    network = ReLUNetwork(FullyConnected(3, 6, 5, 3), torch.Generator().manual_seed(0)).double()
    x = normal(1, 4, 5)
    j = jacobian(network, x, "all")
    assert torch.allclose(class_gram(network, x), j @ j.mT, rtol=1e-10)
    assert not class_gram(network, x, "gate").any()


@few
@given(seeds)
def test_softmax_jacobian_is_autograds_and_its_rows_sum_to_zero(seed):
    logits = 3 * normal(seed, 4, 6)
    expected = torch.stack([torch.func.jacrev(lambda row: torch.softmax(row, 0))(row) for row in logits])
    found = softmax_jacobian(logits)
    assert torch.allclose(found, expected, atol=1e-14)
    assert found.sum(1).abs().max() < 1e-15


@few
@given(seeds)
def test_kernel_of_the_probabilities(seed):
    network, x = gated(seed, 3, 6, 4, True), normal(seed, 3, 5)
    s = softmax_jacobian(network(x).detach())
    j = jacobian(network, x, "value", lambda logits: torch.softmax(logits, 1))
    assert torch.allclose(s @ class_gram(network, x, "value") @ s, j @ j.mT, rtol=1e-8, atol=1e-13)


def test_refuses_an_unknown_part():
    with pytest.raises(ValueError, match="unknown part 'gates' of the tangent kernel; allowed: all, value, gate"):
        class_gram(gated(0, 2, 2, 2, False), normal(0, 1, 5), "gates")
