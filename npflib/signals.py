"""Forward and backward signals of each layer: all that a tangent kernel needs to know about a fully connected network.

The gradient of an output with respect to a layer's weights is (signal coming back) ⊗ (signal going in). For a deep
gated network, with q_v, z_v the value network's signals, q_f, z_f the feature network's, and G = gate(q_f)::

    value part  δ_v(l) = G(l) ∘ Θ_v(l+1)ᵀ δ_v(l+1)
    gate part   δ_f(l) = G'(q_f(l)) ∘ q_v(l) ∘ Θ_v(l+1)ᵀ δ_v(l+1)  +  1[q_f(l) > 0] ∘ Θ_f(l+1)ᵀ δ_f(l+1)

G' is the gate's derivative, by automatic differentiation, whatever function it is; where it has none (hard gates) the
gate part is 0. The first term of δ_f is layer l's own gate, the second what later gates see through the feature
network; where that network is linear, z_f = q_f and the factor 1[q_f(l) > 0] is absent.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from npflib import checks
from npflib.gates import hard_gate
from npflib.networks import DeepGatedNetwork, ReLUNetwork, ValueNetwork, checked_input

__all__ = ["class_gram", "softmax_jacobian", "tangent_signals"]

PARTS = ("all", "value", "gate")


@dataclass(frozen=True)
class LayerSignals:
    """What enters a layer, z(l-1) [n, w_{l-1}], and the backpropagated gradient, δ_c(l) of output c [n, C·w_l]."""

    forward: Tensor
    backward: Tensor
    bias: float  # 1.0 where the layer has biases (their gradient is δ itself), else 0.0


def tangent_signals(network: ReLUNetwork | DeepGatedNetwork, x: Tensor, part: str = "all") -> list[LayerSignals]:
    """Signals of every layer whose parameters belong to ``part`` (of ``PARTS``), value network first, for x [n, …].

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> from npflib.signals import tangent_signals
        >>> network = ReLUNetwork(FullyConnected(depth=2, width=3, in_features=2, out_features=1))
        >>> tangent_signals(network, torch.ones(5, 2))[1].backward.detach().unique()  # δ(d) = 1
        tensor([1.])
    """
    checks.one_of(part, "part", PARTS, "the tangent kernel")
    x = checked_input(network, x).flatten(1)
    if isinstance(network, ReLUNetwork):
        return [] if part == "gate" else _value_signals(network, x, network.gates(x))[0]
    value, arriving, pre_activations = _value_signals(network.value, x, network.gates(x))
    gate = _gate_signals(network, x, arriving, pre_activations) if part != "value" else []
    return gate if part == "gate" else value + gate


@torch.no_grad()
def class_gram(network: ReLUNetwork | DeepGatedNetwork, x: Tensor, part: str = "all") -> Tensor:
    """M_x = J_x J_xᵀ [n, C, C] of every input x [n, …], with J_x [C, parameters of a part] the outputs' Jacobian.

    No Jacobian is formed: M_x = Σ_l (‖z_x(l-1)‖² + b_l) Δ_x(l) Δ_x(l)ᵀ, with Δ_x(l) [C, w_l] the signals coming back
    from the C outputs and b_l = 1 where layer l has biases. Its trace is the diagonal of the tangent kernel, and
    gᵀ M_x g that of the tangent kernel of any function f(ŷ) of the outputs with gradient g: of one class, of a sum of
    classes, and, with S = diag p - p pᵀ the Jacobian of the softmax p, of probabilities.

    Example:
        >>> import torch
        >>> from npflib.signals import class_gram
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> line = ReLUNetwork(FullyConnected(depth=1, width=1, in_features=2, out_features=2, bias=False))
        >>> class_gram(line, torch.tensor([[1.0, 2.0]]))  # ŷ = Θ x: outputs share no weight, each has |x|² = 5
        tensor([[[5., 0.],
                 [0., 5.]]])
    """
    x = checked_input(network, x).to(network.weights[0])
    outputs = len(network.weights[-1])
    found = x.new_zeros(len(x), outputs, outputs)
    for layer in tangent_signals(network, x, part):
        backward = layer.backward.unflatten(1, (outputs, -1))
        found += (layer.forward.square().sum(1) + layer.bias)[:, None, None] * (backward @ backward.mT)
    return found


def softmax_jacobian(logits: Tensor) -> Tensor:
    """S = diag p - p pᵀ [n, C, C] of p = softmax(logits [n, C]). Its rows sum to zero, as Σ_c p_c = 1.

    Example:
        >>> import torch
        >>> from npflib.signals import softmax_jacobian
        >>> softmax_jacobian(torch.zeros(1, 2))  # p = (½, ½)
        tensor([[[ 0.2500, -0.2500],
                 [-0.2500,  0.2500]]])
    """
    p = torch.softmax(checks.finite(checks.tensor(logits, "logits", "[n, C]", 2, kind="floating"), "logits"), 1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


def _value_signals(
    network: ValueNetwork, x: Tensor, gates: list[Tensor]
) -> tuple[list[LayerSignals], list[Tensor], list[Tensor]]:
    """Signals of a value network; what arrives from above at each hidden output [n, C, w]; its pre-activations."""
    forwards, pre_activations = [x], []
    for index, gate in enumerate(gates):
        pre_activations.append(network.pre_activation(index, forwards[-1]))
        forwards.append(pre_activations[-1] * gate)
    weights = network.weights
    delta = torch.eye(len(weights[-1]), dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
    signals = [_signals(network, len(gates), forwards[-1], delta)]
    arriving: list[Tensor] = []
    for index in reversed(range(len(gates))):
        arriving.insert(0, delta @ weights[index + 1])
        delta = arriving[0] * gates[index][:, None]
        signals.insert(0, _signals(network, index, forwards[index], delta))
    return signals, arriving, pre_activations


def _gate_signals(
    network: DeepGatedNetwork, x: Tensor, arriving: list[Tensor], pre_activations: list[Tensor]
) -> list[LayerSignals]:
    """Signals of the feature network's hidden layers, which the gates depend on; none of gates without a gradient."""
    feature, weights = network.feature, network.feature.weights
    q = feature.pre_activations(x)
    with torch.enable_grad():
        sources = [layer.detach().requires_grad_() for layer in q]
        gates = [network.gate_of(source) for source in sources]
    if not any(gate.requires_grad for gate in gates):
        return []
    forwards = [x, *(feature.activation(layer) for layer in q)]
    signals: list[LayerSignals] = []
    through = torch.zeros_like(arriving[-1])
    for index in reversed(range(len(q))):
        above = (arriving[index] * pre_activations[index][:, None]).unbind(1)  # ∂ŷ_c/∂G [n, w] of each output c
        own = [torch.autograd.grad(gates[index], sources[index], one, retain_graph=True)[0] for one in above]
        delta = torch.stack(own, 1) + through
        signals.insert(0, _signals(feature, index, forwards[index], delta))
        if index:
            through = delta @ weights[index]
            through = through if network.linear else through * hard_gate(q[index - 1])[:, None]
    return signals


def _signals(network: ValueNetwork, index: int, forward: Tensor, delta: Tensor) -> LayerSignals:
    return LayerSignals(forward, delta.flatten(1), float(network.layers[index].bias is not None))
