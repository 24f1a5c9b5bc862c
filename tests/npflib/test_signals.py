"""Layer signals against automatic differentiation: δ is the gradient for a bias, δ ⊗ z the one for a weight matrix."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import examples, fully_connected, normal, seeds, shuffled

from npflib import gate_registry
from npflib.kernels import neural_tangent_kernel
from npflib.networks import DeepGatedNetwork, FullyConnected, ReLUNetwork
from npflib.signals import tangent_signals

few = settings(max_examples=40)


class Straight(torch.autograd.Function):
    """Hard forward, the sigmoid's slope backward."""

    @staticmethod
    def forward(context, q):
        context.save_for_backward(q)
        return (q > 0).to(q.dtype)

    @staticmethod
    def backward(context, above):
        soft = torch.sigmoid(context.saved_tensors[0])
        return above * soft * (1 - soft)


def ramp(q):
    return torch.clamp(q + 0.5, 0, 1)


def logistic(q):
    return torch.sigmoid(q)


def straight(q):
    return Straight.apply(q)


def sharing(q):
    return torch.softmax(q, 1)  # each unit's gate depends on its whole layer


def threshold(q):
    return (q > 0.1).to(q.dtype)


REGISTERED = {"ramp": ramp, "logistic": logistic, "straight": straight, "sharing": sharing, "threshold": threshold}


@pytest.fixture(autouse=True, scope="module")
def _registered():
    before = dict(gate_registry._GATES)
    for name, gate in REGISTERED.items():
        gate_registry.register(name, gate)
    yield
    gate_registry._GATES.clear()
    gate_registry._GATES.update(before)


WITHOUT_GRADIENT = ("hard", "threshold")
KINDS = {
    "relu": ReLUNetwork,
    "hard": lambda arch: DeepGatedNetwork(arch, "hard"),
    "soft": lambda arch: DeepGatedNetwork(arch, "soft", beta=2.0, eps=0.3),
    "linear": lambda arch: DeepGatedNetwork(arch, "soft", beta=2.0, eps=0.3, linear=True),
    **{name: lambda arch, name=name: DeepGatedNetwork(arch, name) for name in REGISTERED},
}


def layers_of(network, part):
    """The layers whose parameters belong to a part and reach the output, input side first, value network first."""
    if isinstance(network, ReLUNetwork):
        return [] if part == "gate" else list(network.layers)
    value = list(network.value.layers) if part != "gate" else []
    # The feature network's last layer is not used; behind hard gates none of it has a gradient.
    learns = part != "value" and network.gate not in WITHOUT_GRADIENT
    feature = list(network.feature.layers)[:-1] if learns else []
    return value + feature


@given(fully_connected(), st.sampled_from(list(KINDS)), st.sampled_from(["all", "value", "gate"]), examples, seeds)
@few
def test_signals_make_the_gradients(arch, kind, part, n, seed):
    network = shuffled(KINDS[kind](arch), seed)
    x = normal(seed + 50, n, arch.in_features)
    layers = layers_of(network, part)
    with torch.no_grad():
        signals = tangent_signals(network, x, part)
    assert len(signals) == len(layers)
    for layer, found in zip(layers, signals, strict=True):
        assert found.forward.shape == (n, layer.in_features)
        assert found.backward.shape == (n, arch.out_features * layer.out_features)
        assert found.bias == float(arch.bias)
    for s in range(n):
        for c, output in enumerate(network(x[s : s + 1])[0]):
            for layer, found in zip(layers, signals, strict=True):
                delta = found.backward[s].view(arch.out_features, -1)[c]
                (gradient,) = torch.autograd.grad(output, layer.weight, retain_graph=True)
                torch.testing.assert_close(torch.outer(delta, found.forward[s]), gradient, rtol=1e-10, atol=1e-12)
                if layer.bias is not None:
                    (gradient,) = torch.autograd.grad(output, layer.bias, retain_graph=True)
                    torch.testing.assert_close(delta, gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("gate", ["ramp", "logistic", "straight", "sharing"])
def test_the_gate_kernel_of_a_registered_gate_is_that_of_automatic_differentiation(gate):
    network = DeepGatedNetwork(FullyConnected(3, 16, 5, 1), gate, torch.Generator().manual_seed(0)).double()
    x = normal(1, 6, 5)
    rows = []
    for one in x:
        gradients = torch.autograd.grad(
            network(one[None])[0, 0], list(network.feature.parameters()), materialize_grads=True, allow_unused=True
        )
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    jacobian = torch.stack(rows)
    kernel = neural_tangent_kernel(network, x, part="gate")
    assert kernel.trace() > 0
    torch.testing.assert_close(kernel, jacobian @ jacobian.T, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_signals_are_of_the_examples_as_given(kind):
    network = shuffled(KINDS[kind](FullyConnected(3, 4, 6, 2)), 0)
    x = normal(1, 5, 2, 3)
    flat = tangent_signals(network, x.flatten(1))
    for a, b in zip(tangent_signals(network, x), flat, strict=True):
        assert torch.equal(a.backward, b.backward)
    assert torch.equal(flat[0].forward, x.flatten(1))


def test_all_is_value_then_gate():
    network = shuffled(DeepGatedNetwork(FullyConnected(3, 4, 6, 2), "soft"), 0)
    x = normal(1, 5, 6)
    whole, value, gate = (tangent_signals(network, x, part) for part in ("all", "value", "gate"))
    assert (len(value), len(gate)) == (3, 2)
    for a, b in zip(whole, value + gate, strict=True):
        assert torch.equal(a.forward, b.forward)
        assert torch.equal(a.backward, b.backward)
