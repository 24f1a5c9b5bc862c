"""Networks against the same computation written with torch's own modules, or with the paper's equations."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float64
from strategies import coins, convolutional, examples, fully_connected, normal, seeds, shuffled
from torch import Tensor, nn

from npflib.gates import hard_gate, soft_gate
from npflib.networks import DeepGatedNetwork, DeepLinearNetwork, FullyConnected, GConv, ReLUNetwork, ValueNetwork, VConv
from npflib.randomness import generator

architectures = fully_connected() | convolutional()
few = settings(max_examples=40)


class MeanOverPositions(nn.Module):
    def forward(self, z):
        return z.flatten(2).mean(2)


def textbook(network: ValueNetwork) -> nn.Sequential:
    """The ReLU network with a network's weights as an nn.Sequential, written from the paper's description."""
    arch, modules = network.arch, []
    if isinstance(arch, FullyConnected):
        sizes = [arch.in_features, *[arch.width] * (arch.depth - 1), arch.out_features]
        modules.append(nn.Flatten())
    else:
        channels = [arch.in_channels, *arch.channels]
        for i, o in pairwise(channels):
            modules += [nn.Conv2d(i, o, 3, padding="same", bias=arch.bias), nn.ReLU()]
        flat = isinstance(arch, VConv)
        modules.append(nn.Flatten() if flat else MeanOverPositions())
        sizes = [channels[-1] * (arch.image_size**2 if flat else 1), *arch.dense, arch.out_features]
    for i, o in pairwise(sizes):
        modules += [nn.Linear(i, o, bias=arch.bias), nn.ReLU()]
    reference = nn.Sequential(*modules[:-1]).double()
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), reference.parameters(), strict=True):
            theirs.copy_(mine)
    return reference


def inputs(arch, seed: int, n: int) -> Tensor:
    if isinstance(arch, FullyConnected):
        return normal(seed + 100, n, arch.in_features)
    return normal(seed + 100, n, arch.in_channels, arch.image_size, arch.image_size)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


@given(architectures, seeds, examples)
@few
def test_relu_network_is_the_textbook_one(arch, seed, n):
    network = shuffled(ReLUNetwork(arch), seed)
    x = inputs(arch, seed, n)
    output = network(x)
    assert isinstance(output, Float64[Tensor, f"{n} {arch.out_features}"])
    close(output, textbook(network)(x))


@given(architectures, seeds, examples)
@few
def test_gates_are_where_the_textbook_network_is_positive(arch, seed, n):
    network = shuffled(ReLUNetwork(arch), seed)
    x = z = inputs(arch, seed, n)
    outputs = []
    for module in textbook(network):
        z = module(z)
        if isinstance(module, nn.ReLU):
            outputs.append(z)
    gates = network.gates(x)
    assert len(gates) == len(outputs) == network.hidden_layers == len(arch.layers()) - 1
    for gate, output, q in zip(gates, outputs, network.pre_activations(x), strict=True):
        close(q * gate, output)
        assert torch.equal(gate, (output > 0).double())


@given(architectures, seeds, examples)
@few
def test_value_network_behind_a_relu_networks_gates_is_that_relu_network(arch, seed, n):
    relu = shuffled(ReLUNetwork(arch), seed)
    value = ValueNetwork(arch).double()
    value.load_state_dict(relu.state_dict())
    x = inputs(arch, seed, n)
    assert torch.equal(value(x, relu.gates(x)), relu(x))


@given(architectures, seeds, examples, st.floats(-3, 3), st.floats(-3, 3))
@few
def test_value_network_behind_fixed_gates_is_affine_in_its_input(arch, seed, n, a, b):
    value = shuffled(ValueNetwork(arch), seed)
    x, y = inputs(arch, seed, n), inputs(arch, seed + 1, n)
    gates = [coins(seed + i, *q.shape) for i, q in enumerate(ReLUNetwork(arch).double().pre_activations(x))]
    at_zero = value(torch.zeros_like(x), gates)
    if not arch.bias:
        assert not at_zero.any()
    combined = value(a * x + b * y, gates) - at_zero
    expected = a * (value(x, gates) - at_zero) + b * (value(y, gates) - at_zero)
    scale = 1 + expected.abs().max().item() + at_zero.abs().max().item()
    torch.testing.assert_close(combined, expected, rtol=0, atol=1e-10 * scale)


@given(fully_connected(), seeds, examples, st.sampled_from(["hard", "soft"]), st.floats(0.5, 8), st.floats(0, 1))
@few
def test_deep_gated_network_is_its_equations(arch, seed, n, gate, beta, eps):
    network = shuffled(DeepGatedNetwork(arch, gate, beta=beta, eps=eps), seed)
    x = inputs(arch, seed, n)
    feature = [(layer.weight, 0 if layer.bias is None else layer.bias) for layer in network.feature.layers]
    value = [(layer.weight, 0 if layer.bias is None else layer.bias) for layer in network.value.layers]
    z_f = z_v = x
    for index in range(arch.depth - 1):
        q_f = z_f @ feature[index][0].T + feature[index][1]
        q_v = z_v @ value[index][0].T + value[index][1]
        opened = hard_gate(q_f) if gate == "hard" else soft_gate(q_f, beta, eps)
        close(network.gates(x)[index], opened)
        z_f, z_v = q_f.clamp(min=0), q_v * opened
    close(network(x), z_v @ value[-1][0].T + value[-1][1])


@given(fully_connected(), seeds, examples, st.sampled_from(["hard", "soft"]), st.floats(0.5, 8), st.floats(0, 1))
@few
def test_gates_of_a_linear_network_are_functions_of_one_affine_form_each(arch, seed, n, gate, beta, eps):
    """q_f(l) = A(l) x + b(l) with A(l) = Θ(l) ⋯ Θ(1), multiplied out before any input is seen."""
    network = shuffled(DeepGatedNetwork(arch, gate, beta=beta, eps=eps, linear=True), seed)
    x = inputs(arch, seed, n)
    slope = torch.eye(arch.in_features, dtype=torch.float64)
    shift = torch.zeros(arch.in_features, dtype=torch.float64)
    value = [(layer.weight, 0 if layer.bias is None else layer.bias) for layer in network.value.layers]
    z = x
    for layer, mine, (weight, bias) in zip(network.feature.layers, network.gates(x), value, strict=False):
        slope, shift = layer.weight @ slope, layer.weight @ shift + (0 if layer.bias is None else layer.bias)
        q = x @ slope.T + shift
        opened = hard_gate(q) if gate == "hard" else soft_gate(q, beta, eps)
        clear = q.abs() > 1e-9  # rounding decides the sign of what is nearer to its hyperplane
        close(mine[clear], opened[clear])
        z = (z @ weight.T + bias) * mine
    close(network(x), z @ value[-1][0].T + value[-1][1])


@given(architectures, seeds, examples)
@few
def test_deep_linear_network_is_the_textbook_one_without_its_relus(arch, seed, n):
    network = shuffled(DeepLinearNetwork(arch), seed)
    plain = nn.Sequential(*(module for module in textbook(network) if not isinstance(module, nn.ReLU)))
    x = inputs(arch, seed, n)
    close(network(x), plain(x))
    open_gates = [torch.ones_like(q) for q in network.pre_activations(x)]
    value = ValueNetwork(arch).double()
    value.load_state_dict(network.state_dict())
    assert torch.equal(network(x), value(x, open_gates)), "a value network behind open gates"


@given(convolutional(), seeds, examples, st.sampled_from(["hard", "soft"]))
@few
def test_convolutional_deep_gated_network_uses_the_feature_networks_gates(arch, seed, n, gate):
    network = shuffled(DeepGatedNetwork(arch, gate), seed)
    x = inputs(arch, seed, n)
    switch = hard_gate if gate == "hard" else soft_gate
    gates = [switch(q) for q in network.feature.pre_activations(x)]
    for mine, expected, q in zip(network.gates(x), gates, network.feature.pre_activations(x), strict=True):
        assert mine.shape == q.shape
        assert torch.equal(mine, expected)
    assert torch.equal(network(x), network.value(x, gates))


@given(architectures, st.sampled_from(["hard", "soft"]), seeds, examples)
@few
def test_learning_reaches_the_feature_network_through_soft_gates_only(arch, gate, seed, n):
    network = shuffled(DeepGatedNetwork(arch, gate), seed)
    network(inputs(arch, seed, n)).sum().backward()
    hidden = list(network.feature.layers)[:-1]
    if gate == "hard":
        assert all(parameter.grad is None for parameter in network.feature.parameters())
    else:
        assert all(layer.weight.grad is not None for layer in hidden)
        assert network.feature.layers[-1].weight.grad is None  # the feature network's own output is not used
    assert all(parameter.grad is not None for parameter in network.value.parameters())


@given(architectures)
@few
def test_feature_and_value_share_no_parameter(arch):
    network = DeepGatedNetwork(arch)
    feature = {parameter.data_ptr() for parameter in network.feature.parameters()}
    value = {parameter.data_ptr() for parameter in network.value.parameters()}
    assert not feature & value
    assert len(list(network.parameters())) == 2 * len(list(network.value.parameters()))
    assert [w.data_ptr() for w in network.weights] == [w.data_ptr() for w in network.value.weights]


@given(fully_connected(bias=True))
@few
def test_weights_are_input_side_first_and_biases_follow_the_architecture(arch):
    network = ReLUNetwork(arch)
    sizes = [*arch.widths, arch.out_features]
    assert [tuple(w.shape) for w in network.weights] == [(o, i) for i, o in pairwise(sizes)]
    assert len(list(network.parameters())) == 2 * arch.depth
    bare = ReLUNetwork(FullyConnected(arch.depth, arch.width, arch.in_features, arch.out_features, bias=False))
    assert len(list(bare.parameters())) == arch.depth


def test_the_papers_networks_have_the_papers_shapes():
    kernels = [tuple(w.shape) for w in ReLUNetwork(GConv()).weights]
    assert kernels == [
        (64, 3, 3, 3), (64, 64, 3, 3), (128, 64, 3, 3), (128, 128, 3, 3), (256, 128), (256, 256), (10, 256),
    ]  # fmt: skip
    x = normal(0, 2, 3, 32, 32).float()
    shapes = [tuple(gate.shape) for gate in ReLUNetwork(GConv()).gates(x)]
    assert shapes == [(2, 64, 32, 32)] * 2 + [(2, 128, 32, 32)] * 2 + [(2, 256)] * 2
    assert tuple(ReLUNetwork(VConv()).weights[4].shape) == (256, 131_072)


@given(convolutional().filter(lambda arch: isinstance(arch, GConv)), seeds, examples)
@few
def test_pooling_is_the_same_in_either_layout_and_the_gradient_keeps_it(arch, seed, n):
    """The gradient of a mean over the last two dimensions is laid out one way only; each step after it mends that."""
    network, found = ReLUNetwork(arch).double(), []
    values = normal(seed, n, arch.channels[-1], arch.image_size, arch.image_size)
    for layout in (torch.contiguous_format, torch.channels_last):
        z = values.clone(memory_format=layout).requires_grad_().mul(1)
        gradients = []
        z.register_hook(gradients.append)
        q = network.pre_activation(len(arch.channels), z)
        q.square().sum().backward()
        assert gradients[0].is_contiguous(memory_format=layout)
        found.append((q.detach(), gradients[0]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@given(architectures, seeds, examples)
@few
def test_flattened_and_shaped_inputs_give_the_same(arch, seed, n):
    network = shuffled(DeepGatedNetwork(arch, "soft"), seed)
    x = inputs(arch, seed, n)
    flat = x.flatten(1)
    shaped = x if x.ndim > 2 else x[:, None, :, None]
    assert torch.equal(network(flat), network(shaped))


@given(architectures)
@few
def test_no_examples_give_no_outputs(arch):
    x = inputs(arch, 0, 0)
    network = DeepGatedNetwork(arch).double()
    assert isinstance(network(x), Float64[Tensor, f"0 {arch.out_features}"])
    assert all(len(gate) == 0 for gate in network.gates(x))


@given(architectures, seeds)
@few
def test_generator_fixes_the_weights_feature_network_first(arch, seed):
    network = DeepGatedNetwork(arch, generator=generator(seed, "feature"))
    stream = generator(seed, "feature")
    for part in (network.feature, network.value):
        expected = ValueNetwork(arch, stream)
        assert all(torch.equal(a, b) for a, b in zip(part.parameters(), expected.parameters(), strict=True))


@pytest.mark.parametrize("gated", [False, True])
def test_gates_behind_a_weight_that_is_not_a_number_are_refused(gated):
    arch = FullyConnected(4, 5, 3, 1)
    network = DeepGatedNetwork(arch) if gated else ReLUNetwork(arch)
    x = torch.ones(2, 3)
    with torch.no_grad():
        (network.feature if gated else network).weights[1][0, 0] = float("nan")
    with pytest.raises(ValueError, match="2 of 10 pre-activations are NaN"):
        network.gates(x)


def test_unknown_gate_is_refused():
    with pytest.raises(ValueError, match="unknown gate 'relu'; allowed: hard, soft"):
        DeepGatedNetwork(FullyConnected(3, 4), gate="relu")


@pytest.mark.parametrize("bad", [{"beta": 0}, {"beta": -1}, {"eps": -0.1}])
def test_soft_gate_settings_are_checked_when_the_network_is_made(bad):
    with pytest.raises(ValueError, match=f"^{next(iter(bad))}, .*got"):
        DeepGatedNetwork(FullyConnected(3, 4), gate="soft", **bad)


@pytest.mark.parametrize("shape", [(5,), (2, 4), (2, 6), (2, 5, 2)])
def test_fully_connected_refuses_inputs_of_another_size(shape):
    for network in (ReLUNetwork(FullyConnected(3, 4, 5, 2)), DeepGatedNetwork(FullyConnected(3, 4, 5, 2))):
        with pytest.raises(ValueError, match=r"inputs must be \[n, …\] with 5 numbers each; got"):
            network(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 1, 4, 4), (2, 3, 5, 5), (2, 47), (48,)])
def test_convolutional_refuses_inputs_that_are_not_its_images(shape):
    network = ReLUNetwork(GConv(3, 4, 2, channels=(2,), dense=(2,)))
    with pytest.raises(ValueError, match=r"inputs must be images \[n, 3, 4, 4\]; got"):
        network(torch.zeros(shape))


def test_value_network_refuses_gates_that_are_not_its_own():
    value, x = ValueNetwork(FullyConnected(3, 4, 5, 2)), torch.zeros(6, 5)
    with pytest.raises(ValueError, match="has 2 hidden layers; got gates for 1"):
        value(x, [torch.ones(6, 4)])
    for wrong in ((6, 1), (1, 4), (6, 3), (4,)):  # some of these would broadcast
        with pytest.raises(ValueError, match=r"gates of hidden layer 2 must have the shape \(6, 4\)"):
            value(x, [torch.ones(6, 4), torch.ones(wrong)])
