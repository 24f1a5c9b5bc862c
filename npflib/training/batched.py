"""Several fully connected networks trained at once: one batched matrix product where a loop would make many small ones.

The networks are copies of one architecture that differ in their seed. Copy s keeps its weights in slice s of every
tensor and sees its own order of examples, so copies never mix. Forward and backward passes are written out (and tested
against automatic differentiation) because building an autograd graph costs as much as the arithmetic at batch size 32.

A seed's result does not depend on its company but for float32 rounding, which long training amplifies; with one thread
(AMD EPYC, 64 steps) it was equal to the bit for 1, 2 and 5 copies in any order.

Shapes: S copies, B examples to a step, w_l units, C outputs.
"""

# What a gated network has and another lacks is None here, decided once by the first network; and torch's modules have
# attributes of any type. mypy can follow neither, so in this file it leaves out what only these two give rise to.
# mypy: disable-error-code="union-attr, operator, assignment, index, attr-defined, misc, var-annotated, arg-type"

from collections.abc import Callable, Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from npflib import checks
from npflib.architectures import FullyConnected
from npflib.gates import GATES, soft_gate
from npflib.networks import DeepGatedNetwork, ReLUNetwork, ValueNetwork
from npflib.training.gate_sources import pixels
from npflib.training.losses import LOSSES, Scores, check_learner

EVALUATION_CHUNK = 1000
REGISTERS = 64
_threshold = torch.ops.aten.threshold_backward


class BatchedLayers:
    """The layers of S value networks, input side first: views of flat tensors, which one fused pass updates."""

    def __init__(self, networks: Sequence[ValueNetwork], device: torch.device):
        states = [network.state_dict() for network in networks]
        shapes = {name: (len(networks), *tensor.shape) for name, tensor in states[0].items()}
        sizes = [prod(shape) for shape in shapes.values()]
        # Whole vector registers: fused Adam rounds what lies beyond the last whole one otherwise, and which numbers
        # those are would depend on how many copies there are.
        self.flat = networks[0].weights[0].new_zeros(-(-sum(sizes) // REGISTERS) * REGISTERS, device=device)
        self.flat.grad = torch.zeros_like(self.flat)
        self.tensors, gradients = (
            {name: part.view(shapes[name]) for name, part in zip(shapes, flat[: sum(sizes)].split(sizes), strict=True)}
            for flat in (self.flat, self.flat.grad)
        )
        for copy, state in enumerate(states):
            for name, tensor in state.items():
                self.tensors[name][copy] = tensor
        self.weights, self.weight_gradients = (
            [tensor for tensor in part.values() if tensor.ndim == 3] for part in (self.tensors, gradients)
        )
        self.has_bias = len(shapes) > len(self.weights)
        self.biases, self.bias_gradients = (
            [tensor[:, None] for tensor in part.values() if tensor.ndim == 2] for part in (self.tensors, gradients)
        )

    def pre_activation(self, index: int, z: Tensor) -> Tensor:
        """q [S, B, w] of a layer from z [S, B, ·] below it."""
        weight = self.weights[index].mT
        return torch.baddbmm(self.biases[index], z, weight) if self.has_bias else torch.bmm(z, weight)

    def set_gradient(self, index: int, delta: Tensor, z: Tensor) -> None:
        """Stores ∂loss/∂Θ = δᵀ z and ∂loss/∂b = Σ δ of a layer, summed over the step's examples."""
        torch.bmm(delta.mT, z, out=self.weight_gradients[index])
        if self.has_bias:
            torch.sum(delta, 1, keepdim=True, out=self.bias_gradients[index])

    def backward(self, index: int, delta: Tensor) -> Tensor:
        """Θᵀ δ: the gradient backpropagated to the hidden output below a layer, [S, B, ·]."""
        return torch.bmm(delta, self.weights[index])

    def state_dict(self, copy: int) -> dict[str, Tensor]:
        """Parameters of one copy, named as in ``networks.ValueNetwork``."""
        return {name: tensor[copy].cpu().clone() for name, tensor in self.tensors.items()}


class BatchedLearner(Scores):
    """Trains S networks, all fully connected and of one regime; the same interface as ``autograd.AutogradLearner``.

    Images are [N, d_in] and [M, d_in], labels [N] and [M]. A ReLU network has its own gates; a deep gated network has
    those of its feature network, frozen or learning; given ``gates`` are hard, uint8 [S, N, (d - 1) w] for training and
    [S, M, (d - 1) w] for the test, from whichever network, layer or example one likes, or from none: the fixed-gate
    theorem (Claim 4) takes any. Then only weights are used, of a deep gated network those of its value network.

    *Learning* gates are soft, G = (1 + ε) / (1 + exp(-β q)) with ∂G/∂q = β G (1 - G/(1+ε)), and β > 0 and ε ≥ 0 are the
    networks' own or ``betas`` and ``excesses``, one a network. *Straight through* (Bengio, Léonard & Courville 2013)
    they are (1 + ε)·1[q > 0] instead, the limit as β → ∞, whose own derivative is zero almost everywhere, and learn by
    the soft gate's slope: only the direction in which they move is a surrogate.

    With ``reuse_gates`` frozen gates are computed once and looked up, in S · N · hidden units bytes.
    """

    def __init__(
        self,
        networks: Sequence[ReLUNetwork | DeepGatedNetwork],
        train_images: Tensor,
        train_labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        device: torch.device | None = None,
        loss: str = "cross_entropy",
        reuse_gates: bool = True,
        *,
        gates: tuple[Tensor, Tensor] | None = None,
        betas: Sequence[float] | None = None,
        excesses: Sequence[float] | None = None,
        straight_through: bool = False,
    ):
        checks.one_of(loss, "loss", LOSSES)
        parts = train_images, train_labels, test_images, test_labels
        check_learner(networks, loss, *parts)
        first = networks[0]
        checks.instance(first.arch, "the networks' architecture", FullyConnected)
        super().__init__(len(networks), device)
        self.loss_of = LOSSES[loss]
        self.images, self.test_images = (
            pixels(x).flatten(1).to(self.device, first.weights[0].dtype) for x in parts[::2]
        )
        self.labels, self.test_labels = (y.to(self.device) for y in parts[1::2])
        self.hidden, self.width = first.arch.depth - 1, first.arch.width
        gated = isinstance(first, DeepGatedNetwork)
        self.value = BatchedLayers([n.value if gated else n for n in networks], self.device)
        gated = gated and gates is None
        self.feature = BatchedLayers([n.feature for n in networks], self.device) if gated else None
        self.gate, self.beta, self.eps = (GATES[first.gate], first.beta, first.eps) if gated else (None, None, None)
        self.soft = gated and first.gate == "soft"
        self.linear = gated and first.linear
        self.trains_feature = gated and next(first.feature.parameters()).requires_grad
        if self.trains_feature and not self.soft:
            raise ValueError(f"BatchedLearner trains soft gates only; got {first.gate!r}. Use AutogradLearner.")
        self.straight_through = straight_through
        if betas is not None or excesses is not None or straight_through:
            self._learn_by(networks, betas, excesses)
        self.table, self.test_table = None, None
        if gates is not None:
            self.table = self._given(gates[0], self.images, "training")
            self.test_table = self._given(gates[1], self.test_images, "test")
        elif gated and not self.trains_feature and reuse_gates:
            self.table = self._written_down(self.images, self._gate)
        # Copy s of example i stands in row s·N + i of the flattened table.
        self.offsets = torch.arange(self.copies, device=self.device)[:, None] * len(self.images)

    def _learn_by(self, networks: Sequence, betas: Sequence[float] | None, excesses: Sequence[float] | None) -> None:
        """Takes β and ε of each copy, [S, 1, 1]."""
        if not self.trains_feature:
            raise ValueError("networks with soft gates that learn are needed, as regimes.start('DLNPF', …) makes them.")
        betas = [n.beta for n in networks] if betas is None else list(betas)
        excesses = [n.eps for n in networks] if excesses is None else list(excesses)
        if not len(betas) == len(excesses) == self.copies:
            raise ValueError(f"one β and one ε a network: got {len(betas)} and {len(excesses)} for {self.copies}.")
        for beta, eps in zip(betas, excesses, strict=True):
            soft_gate(torch.zeros(()), beta, eps)
        self.beta, self.eps = torch.tensor([betas, excesses], dtype=torch.float32, device=self.device)[..., None, None]

    def _given(self, gates: Tensor, images: Tensor, what: str) -> Tensor:
        wanted = (self.copies, len(images), self.hidden * self.width)
        if tuple(checks.tensor(gates, f"gates of the {what} examples").shape) != wanted or gates.dtype != torch.uint8:
            shape = f"{wanted}: networks, examples, hidden units of all layers; got {gates.dtype} {tuple(gates.shape)}"
            raise ValueError(f"gates of the {what} examples must be uint8 of shape {shape}.")
        if len(gates) and int(gates.max()) > 1:
            raise ValueError(f"gates of the {what} examples must be 0 or 1; the greatest is {int(gates.max())}.")
        return gates.to(self.device).contiguous()

    def parameters(self) -> list[Tensor]:
        """What the optimiser updates; frozen parameters are not among them."""
        return [self.value.flat, self.feature.flat] if self.trains_feature else [self.value.flat]

    def state_dict(self, copy: int) -> dict[str, Tensor]:
        """One copy's parameters, named as in its ``ReLUNetwork`` or ``DeepGatedNetwork``."""
        if self.feature is None:
            return self.value.state_dict(copy)
        parts = {"feature": self.feature, "value": self.value}
        return {f"{name}.{key}": t for name, part in parts.items() for key, t in part.state_dict(copy).items()}

    def gradients(self, chosen: Tensor) -> None:
        """Puts the gradient of each copy's mean loss over its examples ``chosen`` [S, B] into place.

        Adds the examples' loss and correct answers to the running ``loss`` and ``correct``. With z(l) the hidden
        outputs, G(l) the gates, δ(l) the gradient at layer l's pre-activations and δ_f(l) that of the feature network,
        δ(l) = G(l) ∘ Θ(l+1)ᵀ δ(l+1) and δ_f(l) = G'(l) ∘ q(l) ∘ Θ(l+1)ᵀ δ(l+1) + 1[q_f(l) > 0] ∘ Θ_f(l+1)ᵀ δ_f(l+1).
        """
        flat = chosen.flatten()
        x = self.images.index_select(0, flat).view(*chosen.shape, -1)
        y = self.labels[flat].view(*chosen.shape, 1)
        gates, feature_delta = None, None
        if self.table is not None:
            rows = self.table.flatten(0, 1).index_select(0, (chosen + self.offsets).flatten())
            gates = rows.to(x.dtype).view(*chosen.shape, -1).split(self.width, 2)
        elif self.feature is not None:
            feature_q, feature_z = self._feature(x)
            gates = [self._gate(each) for each in feature_q]
        q, z = self._value(x, gates)
        loss, correct, delta = self.loss_of(self.value.pre_activation(self.hidden, z[-1]), y)
        self.loss += loss
        self.correct += correct
        self.value.set_gradient(self.hidden, delta, z[-1])
        for index in reversed(range(self.hidden)):
            delta = self.value.backward(index + 1, delta)
            if self.trains_feature:
                own = self._slope(feature_q[index], gates[index]).mul_(q[index]).mul_(delta)
                if feature_delta is not None:
                    through = self.feature.backward(index + 1, feature_delta)
                    own.add_(through if self.linear else _threshold(through, feature_q[index], 0))
                feature_delta = own
                self.feature.set_gradient(index, feature_delta, feature_z[index])
            # z > 0 exactly where q > 0, so a ReLU network's gate can be read off the hidden output.
            delta = _threshold(delta, z[index + 1], 0) if gates is None else delta.mul_(gates[index])
            self.value.set_gradient(index, delta, z[index])

    def _value(self, x: Tensor, gates: Sequence[Tensor] | None) -> tuple[list[Tensor], list[Tensor]]:
        """q and z of the value networks' hidden layers, x before the latter; q is kept where a gradient needs it."""
        qs, zs = [], [x]
        for index in range(self.hidden):
            qs.append(self.value.pre_activation(index, zs[-1]))
            if gates is None:
                zs.append(qs[-1].relu_())
            else:
                zs.append(qs[-1] * gates[index] if self.trains_feature else qs[-1].mul_(gates[index]))
        return qs, zs

    def _feature(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """q and z of the feature networks' hidden layers, [S, B, w], x before the latter."""
        qs, zs = [], [x]
        for index in range(self.hidden):
            qs.append(self.feature.pre_activation(index, zs[-1]))
            zs.append(qs[-1] if self.linear else qs[-1].relu())
        return qs, zs

    def _gate(self, q: Tensor) -> Tensor:
        if self.straight_through:
            return (q > 0).to(q.dtype).mul_(1 + self.eps)
        return torch.sigmoid(q * self.beta).mul_(1 + self.eps) if self.soft else self.gate(q)

    def _slope(self, q: Tensor, gate: Tensor) -> Tensor:
        """∂G/∂q of gates that learn; straight through, that of the soft gate."""
        if self.straight_through:
            share = torch.sigmoid(q * self.beta)
            return (1 - share).mul_(share).mul_(self.beta * (1 + self.eps))
        return (gate * (-1 / (1 + self.eps))).add_(1).mul_(gate).mul_(self.beta)

    def _parts(self, images: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Some images at a time, [S, n, d_in], the same for every copy."""
        for start in range(0, len(images), EVALUATION_CHUNK):
            part = slice(start, start + EVALUATION_CHUNK)
            yield part, images[part].expand(self.copies, -1, -1)

    def _written_down(self, images: Tensor, gate: Callable[[Tensor], Tensor]) -> Tensor | None:
        """Gates of all images, uint8 [S, n, (d - 1) w]; None if they are not all zeros and ones."""
        table = torch.empty(self.copies, len(images), self.hidden * self.width, dtype=torch.uint8, device=self.device)
        for part, x in self._parts(images):
            gates = torch.cat([gate(q) for q in self._feature(x)[0]], 2)
            table[:, part] = gates
            if not torch.equal(table[:, part].to(gates.dtype), gates):
                return None
        return table

    def gate_tables(self, images: Tensor) -> Tensor:
        """The hard pattern 1[q > 0] of gates that learn, uint8 [S, n, (d - 1) w]."""
        return self._written_down(images, lambda q: q > 0)  # type: ignore[return-value]  # zeros and ones

    def test(self, gates: Tensor | None = None) -> tuple[list[float], list[float]]:
        """Mean loss and accuracy of every copy on the test set.

        ``gates``, uint8 [S, M, (d - 1) w], take the place of given ones, for networks that were trained behind others.
        """
        given = self.test_table if gates is None else gates
        scores = Scores(self.copies, self.device)
        for part, x in self._parts(self.test_images):
            found = None if given is None else given[:, part].to(x.dtype).split(self.width, 2)
            if given is None and self.feature is not None:
                found = [self._gate(q) for q in self._feature(x)[0]]
            outputs = self.value.pre_activation(self.hidden, self._value(x, found)[1][-1])
            loss, correct, _ = self.loss_of(outputs, self.test_labels[part].expand(self.copies, -1)[..., None])
            scores.loss += loss
            scores.correct += correct
        return scores.take_running(len(self.test_images))

    def test_binarised(self) -> list[float]:
        """Test accuracy of every copy with its gates binarised, (1 + ε)·1[q > 0], and nothing trained again."""
        kept, self.straight_through = self.straight_through, True
        try:
            return self.test()[1]
        finally:
            self.straight_through = kept

    def undecided(self) -> list[float]:
        """Share of the test set's gates between 0.1 (1 + ε) and 0.9 (1 + ε): those that still pass a gradient."""

        def passes(q: Tensor) -> Tensor:
            share = torch.sigmoid(self.beta * q)
            return (share > 0.1) & (share < 0.9)

        table = self._written_down(self.test_images, passes)
        return (table.sum((1, 2), dtype=torch.float64) / table[0].numel()).tolist()
