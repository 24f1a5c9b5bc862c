"""ReLU networks, deep linear networks and deep gated networks of the paper's architectures.

Notation: pre-activation q(l) = Θ(l) z(l-1), hidden output z(l) = q(l) · G(l), z(0) = x, output Θ(d) z(d-1), with
biases added to q where the architecture has them. A ReLU network takes G(l) = 1[q(l) > 0] from itself; a deep gated
network (DGN) takes it from a second network of the same shape. Source: Lakshminarayanan & Singh (2020); a DGN whose
second network is linear is theirs of 2021 (arXiv 2110.03403).
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from npflib import checks
from npflib.architectures import DenseLayer, FullyConnected, GConv, Layer, VConv
from npflib.gates import BETA, EPS, GATES, hard_gate, soft_gate
from npflib.initialisation import initialise_

__all__ = [
    "DeepGatedNetwork", "DeepLinearNetwork", "FullyConnected", "GConv", "ReLUNetwork", "VConv", "ValueNetwork",
    "hard_gates",
]  # fmt: skip

AUTOCAST = torch.float32, torch.bfloat16, torch.float16  # what torch converts by itself, where it is asked to
Architecture = FullyConnected | VConv | GConv


class ValueNetwork(nn.Module):
    """A network whose hidden units are *linear pre-activation × a gate given from outside*.

    Given gates, it is linear in its input and its output is ⟨φ, v⟩: gates and input make the neural path feature φ, its
    weights the neural path value v. They start Glorot-uniform (``generator`` None is torch's global one), biases at 0.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ValueNetwork
        >>> network = ValueNetwork(FullyConnected(depth=2, width=3, in_features=4, out_features=1))
        >>> closed = [torch.zeros(5, 3)]  # every gate off, and biases start at zero: nothing comes through
        >>> network(torch.ones(5, 4), closed).abs().max().item()
        0.0
    """

    def __init__(self, arch: Architecture, generator: Generator | None = None):
        super().__init__()
        checks.instance(arch, "arch", FullyConnected, VConv, GConv)
        self.arch = arch
        self.specification = arch.layers()
        self.layers = nn.ModuleList(_module(layer) for layer in self.specification)
        self.hidden_layers = len(self.layers) - 1  # d - 1, the number of gate tensors
        initialise_(self, generator=generator)

    @property
    def weights(self) -> list[Tensor]:
        """Weight matrices [out, in] (kernels [out, in, 3, 3]), input side first."""
        return [layer.weight for layer in self.layers]  # type: ignore[misc]  # of a linear or a convolution

    def pre_activation(self, index: int, z: Tensor) -> Tensor:
        """q of layer ``index`` (0 is the input side) from the hidden output z below it."""
        before = self.specification[checks.whole(index, "index", least=0)].before
        checks.tensor(z, "what enters a layer", "[n, …]")
        if before == "flatten" and z.ndim > 2:
            z = z.flatten(1)
        elif before == "pool" and z.ndim == 4:  # channels last: by rows, so that the gradient has that layout too
            z = z.movedim(1, -1).flatten(1, 2).mean(1) if z.stride(1) == 1 else z.mean(dim=(2, 3))
        weight: Tensor = self.layers[index].weight  # type: ignore[assignment]  # of a linear or a convolution
        cast = AUTOCAST if torch.is_autocast_enabled(z.device.type) else (weight.dtype,)
        if z.dtype not in cast or z.ndim != weight.ndim or z.shape[1] != weight.shape[1]:
            given = f"{tuple(weight.shape)} of {weight.dtype}; got {tuple(z.shape)} of {z.dtype}"
            mend = f"Inputs, gates and weights are in one type: x.to({weight.dtype}), or network.to({z.dtype})"
            raise ValueError(f"what enters layer {index + 1} must fit its weights {given}. {mend}.")
        return self.layers[index](z)

    def forward(self, x: Tensor, gates: Sequence[Tensor]) -> Tensor:
        """Output [n, C] for inputs x [n, …] behind the given gates, one tensor a hidden layer, of its units' shape."""
        gates = checks.tensors(gates, "gates of hidden layer {}")
        if len(gates) != self.hidden_layers:
            raise ValueError(f"the network has {self.hidden_layers} hidden layers; got gates for {len(gates)}.")
        z = self.checked_input(x)
        for index, gate in enumerate(gates):
            q = self.pre_activation(index, z)
            if gate.shape != q.shape:
                shapes = f"{tuple(q.shape)} of its pre-activations; got {tuple(gate.shape)}"
                raise ValueError(f"gates of hidden layer {index + 1} must have the shape {shapes}.")
            z = q * gate
        return self.pre_activation(self.hidden_layers, z)

    def checked_input(self, x: Tensor) -> Tensor:
        """The inputs, if they are of the architecture's size; images also where they come flattened."""
        checks.tensor(x, "inputs", "[n, …]")
        arch = self.arch
        if isinstance(arch, FullyConnected):
            if x.ndim < 2 or x.shape[1:].numel() != arch.in_features:
                given = f"{tuple(x.shape)}. A single example needs a leading dimension: x[None]"
                raise ValueError(f"inputs must be [n, …] with {arch.in_features} numbers each; got {given}.")
            return x
        expected = (arch.in_channels, arch.image_size, arch.image_size)
        if tuple(x.shape[1:]) == (arch.in_features,):
            x = x.unflatten(1, expected)
        if tuple(x.shape[1:]) != expected:
            raise ValueError(f"inputs must be images [n, {', '.join(map(str, expected))}]; got {tuple(x.shape)}.")
        return x


class _PlainNetwork(ValueNetwork):
    """A network whose hidden outputs are an activation of its own pre-activations: it needs no gates from outside."""

    @staticmethod
    def activation(q: Tensor) -> Tensor:
        """z of a hidden layer from its pre-activation q: where a kind does not say otherwise, q."""
        return q

    def pre_activations(self, x: Tensor) -> list[Tensor]:
        """q of every hidden layer, input side first."""
        z, found = self.checked_input(x), []
        for index in range(self.hidden_layers):
            q = self.pre_activation(index, z)
            found.append(q)
            z = self.activation(q)
        return found

    def gates(self, x: Tensor) -> list[Tensor]:
        """Hard gates 1[q > 0] of every hidden layer: [n, w], or [n, channels, height, width]."""
        return [hard_gate(q) for q in self.pre_activations(x)]

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # its gates are its own
        """Logits [n, C] of inputs x [n, …]."""
        z = self.checked_input(x)
        for index in range(self.hidden_layers):
            z = self.activation(self.pre_activation(index, z))
        return self.pre_activation(self.hidden_layers, z)


class ReLUNetwork(_PlainNetwork):
    """A ReLU network: a value network behind the hard gates of its own pre-activations.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> network = ReLUNetwork(FullyConnected(depth=3, width=4, in_features=2, out_features=1))
        >>> [tuple(gate.shape) for gate in network.gates(torch.ones(5, 2))]
        [(5, 4), (5, 4)]
    """

    @staticmethod
    def activation(q: Tensor) -> Tensor:
        """z = max(q, 0) of a hidden layer from its pre-activation q."""
        return q.relu()


class DeepLinearNetwork(_PlainNetwork):
    """A network without activation: q(l) = Θ(l) q(l-1), linear in its input (affine with biases) at any depth.

    Its hard gates 1[q > 0], which a deep linearly gated network takes, are half-spaces of the input in every layer.

    Example:
        >>> import torch
        >>> from npflib.networks import DeepLinearNetwork, FullyConnected
        >>> network = DeepLinearNetwork(FullyConnected(depth=4, width=3, in_features=2, bias=False))
        >>> x = torch.tensor([[1.0, 2.0]])
        >>> all(torch.equal(on + off, torch.ones(1, 3)) for on, off in zip(network.gates(x), network.gates(-x)))
        True
    """


class DeepGatedNetwork(nn.Module):
    """Deep gated network: a value network behind the gates of a separate feature network.

    The pre-activations q_f of ``feature`` give the gates; its own output (and so its last layer) is not used. The DGN's
    output is that of ``value``, a value network of the same architecture. The two share no parameter, so the tangent
    kernel splits exactly into a value and a gate part. Initial weights are drawn for ``feature`` first.

    The gate is "hard", G = 1[q_f > 0], through which no gradient reaches ``feature``; "soft", through which it learns,
    G = (1 + ε) / (1 + exp(-β q_f)); or another name in ``gates.GATES``. ``feature`` is a ReLU network, or ``linear``, a
    :class:`DeepLinearNetwork`, which makes this a deep linearly gated network (DLGN).

    Example:
        >>> import torch
        >>> from npflib.networks import DeepGatedNetwork, FullyConnected
        >>> network = DeepGatedNetwork(FullyConnected(depth=3, width=4, in_features=2, out_features=1))
        >>> x = torch.ones(5, 2)
        >>> torch.equal(network.gates(x)[0], network.feature.gates(x)[0])  # gates are the feature network's
        True
        >>> torch.equal(network(x), network.value(x, network.gates(x)))  # the output is the value network's
        True
    """

    def __init__(
        self,
        arch: Architecture,
        gate: str = "hard",
        generator: Generator | None = None,
        beta: float = BETA,
        eps: float = EPS,
        linear: bool = False,
    ):
        super().__init__()
        checks.one_of(gate, "gate", GATES)
        checks.flag(linear, "linear")
        soft_gate(torch.zeros(()), beta, eps)
        self.arch, self.gate, self.beta, self.eps, self.linear = arch, gate, beta, eps, linear
        self.feature = (DeepLinearNetwork if linear else ReLUNetwork)(arch, generator)
        self.value = ValueNetwork(arch, generator)

    @property
    def weights(self) -> list[Tensor]:
        """The value network's weights, input side first."""
        return self.value.weights

    def gates(self, x: Tensor) -> list[Tensor]:
        """Gates that the value network sees, one tensor a hidden layer."""
        return [self.gate_of(q) for q in self.feature.pre_activations(x)]

    def gate_of(self, q: Tensor) -> Tensor:
        """The gate that a pre-activation of the feature network gives."""
        return soft_gate(q, self.beta, self.eps) if self.gate == "soft" else GATES[self.gate](q)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, C] of inputs x [n, …]."""
        return self.value(x, self.gates(x))


def checked_input(network: _PlainNetwork | DeepGatedNetwork, x: Tensor) -> Tensor:
    """The inputs, if they are of the network's size, and it is a network of this module."""
    checks.instance(network, "network", ReLUNetwork, DeepLinearNetwork, DeepGatedNetwork)
    return (network.value if isinstance(network, DeepGatedNetwork) else network).checked_input(x)


@torch.no_grad()
def hard_gates(network: ReLUNetwork | DeepGatedNetwork, images: Tensor, chunk: int = 50) -> list[Tensor]:
    """The hard gates of a network on many inputs, n ≥ 1: one boolean tensor [n, …] a hidden layer.

    Whole numbers are pixels and become pixels / 255. Pre-activations are held for ``chunk`` inputs at a time.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork, hard_gates
        >>> network = ReLUNetwork(FullyConnected(depth=3, width=4, in_features=2))
        >>> [(layer.dtype, tuple(layer.shape)) for layer in hard_gates(network, torch.ones(5, 2))]
        [(torch.bool, (5, 4)), (torch.bool, (5, 4))]
    """
    checks.whole(chunk, "chunk", "inputs")
    if not len(checked_input(network, images)):
        raise ValueError("one or more inputs are needed; got none.")
    like = network.weights[0]
    parts = []
    for some in images.split(chunk):
        found = network.gates(some.to(like) if some.is_floating_point() else some.to(like) / 255)
        checks.hard(found, f"this network's are {getattr(network, 'gate', 'hard')!r}")
        parts.append([gate.bool() for gate in found])
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def _module(layer: Layer) -> nn.Module:
    if isinstance(layer, DenseLayer):
        return nn.utils.skip_init(nn.Linear, layer.in_features, layer.out_features, bias=layer.bias)
    return nn.utils.skip_init(nn.Conv2d, layer.in_channels, layer.out_channels, 3, padding=1, bias=layer.bias)
