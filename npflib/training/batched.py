"""Several fully connected networks trained at once: one batched matrix product where a loop would make many small ones.

The networks are copies of one architecture that differ in their seed. Copy s keeps its weights in slice s of every
tensor and sees its own order of examples, so copies never mix. Forward and backward passes are written out (they are
a few lines, tested against automatic differentiation) because building an autograd graph costs as much as the
arithmetic at batch size 32.

A seed's result does not depend on its company: the tests hold it to float32 rounding, and on the machine where it was
measured (AMD EPYC, one thread, 64 steps) it was equal to the bit for 1, 2 and 5 copies in any order. With two threads
a seed trained alone differed from the same seed in company by rounding, which long training amplifies.

Shapes: S copies, B examples to a step, w_l units, C outputs.
"""

# What a gated network has and another lacks is None here, decided once by the first network; and torch's modules have
# attributes of any type. mypy can follow neither, so in this file it leaves out what only these two give rise to.
# mypy: disable-error-code="union-attr, operator, assignment, index, attr-defined, misc, var-annotated, arg-type"

from collections.abc import Sequence

import torch
from torch import Tensor

from npflib.architectures import FullyConnected
from npflib.gates import GATES
from npflib.networks import DeepGatedNetwork, ReLUNetwork, ValueNetwork
from npflib.training.losses import LOSSES

EVALUATION_CHUNK = 1000
REGISTERS = 64


class StackedLayers:
    """The layers of S value networks: parameters and gradients in one flat tensor each, with a view a layer.

    Flat, so that the optimiser updates all of them in a single fused pass.

    Attributes:
        flat: all parameters, zero-padded to a multiple of ``REGISTERS``, with ``flat.grad`` their gradients.
        weights, biases: views [S, w_l, w_{l-1}] and [S, 1, w_l] (None without biases), input side first.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> from npflib.training.batched import StackedLayers
        >>> networks = [ReLUNetwork(FullyConnected(depth=2, width=3, in_features=4)) for _ in range(5)]
        >>> layers = StackedLayers(networks, torch.device("cpu"))
        >>> layers.pre_activation(0, torch.ones(5, 7, 4)).shape  # five networks, seven examples each
        torch.Size([5, 7, 3])
    """

    def __init__(self, networks: Sequence[ValueNetwork], device: torch.device):
        layers = networks[0].arch.layers()
        self.copies = len(networks)
        self.has_bias = layers[0].bias
        shapes = []
        for layer in layers:
            shapes.append((self.copies, layer.out_features, layer.in_features))
            if self.has_bias:
                shapes.append((self.copies, 1, layer.out_features))
        sizes = [torch.Size(shape).numel() for shape in shapes]
        # Whole vector registers: fused Adam rounds what lies beyond the last whole one otherwise, and which numbers
        # those are would depend on how many copies are stacked.
        used = sum(sizes)
        self.flat = torch.zeros(-(-used // REGISTERS) * REGISTERS, device=device)
        self.flat.grad = torch.zeros_like(self.flat)
        self.weights, self.biases = self._views(self.flat[:used], shapes, sizes)
        self.weight_gradients, self.bias_gradients = self._views(self.flat.grad[:used], shapes, sizes)
        for copy, network in enumerate(networks):
            for index, layer in enumerate(network.layers):
                self.weights[index][copy] = layer.weight.detach()
                if self.has_bias:
                    self.biases[index][copy, 0] = layer.bias.detach()

    def _views(self, flat: Tensor, shapes: list, sizes: list[int]) -> tuple[list[Tensor], list[Tensor | None]]:
        views = [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
        if self.has_bias:
            return views[0::2], views[1::2]
        return views, [None] * len(views)

    def pre_activation(self, index: int, z: Tensor) -> Tensor:
        """q [S, B, w] of a layer from z [S, B, ·] below it."""
        weight, bias = self.weights[index].mT, self.biases[index]
        return torch.bmm(z, weight) if bias is None else torch.baddbmm(bias, z, weight)

    def set_gradient(self, index: int, delta: Tensor, z: Tensor) -> None:
        """Stores ∂loss/∂Θ = δᵀ z and ∂loss/∂b = Σ δ of a layer, summed over the step's examples."""
        torch.bmm(delta.mT, z, out=self.weight_gradients[index])
        if self.has_bias:
            torch.sum(delta, 1, keepdim=True, out=self.bias_gradients[index])

    def backward(self, index: int, delta: Tensor) -> Tensor:
        """Θᵀ δ: what comes back to the hidden output below a layer, [S, B, ·]."""
        return torch.bmm(delta, self.weights[index])

    def state_dict(self, copy: int) -> dict[str, Tensor]:
        """Parameters of one copy, named as in ``networks.ValueNetwork``."""
        state = {}
        for index, weight in enumerate(self.weights):
            state[f"layers.{index}.weight"] = weight[copy].cpu().clone()
            if self.has_bias:
                state[f"layers.{index}.bias"] = self.biases[index][copy, 0].cpu().clone()
        return state


class StackedLearner:
    """Trains S networks of one regime at once (see ``learners.learner_for`` for the common interface).

    Args:
        networks: the starting networks, one a seed, all of one regime and fully connected.
        train_images: [N, d_in]; train_labels: [N]; test_images: [M, d_in]; test_labels: [M].
        device: where to train.
        loss: a name in ``losses.LOSSES``.
        reuse_gates: whether frozen gates are computed once and looked up (one byte a gate) instead of being computed
            anew in every step. The result is the same to the bit where the products round alike, and the lookup is
            faster (``benchmarks/``); it costs S · (N + M) · hidden units bytes.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> from npflib.training.batched import StackedLearner
        >>> networks = [ReLUNetwork(FullyConnected(depth=2, width=3, in_features=2, out_features=2)) for _ in range(2)]
        >>> x, y = torch.eye(2), torch.tensor([0, 1])
        >>> learner = StackedLearner(networks, x, y, x, y, torch.device("cpu"))
        >>> learner.gradients(torch.tensor([[0, 1], [1, 0]]))  # each network its own order of examples
        >>> losses, accuracies = learner.take_running(examples=2)
        >>> len(losses), len(learner.parameters())  # all parameters of all networks in one tensor
        (2, 1)
    """

    def __init__(
        self,
        networks: Sequence[ReLUNetwork | DeepGatedNetwork],
        train_images: Tensor,
        train_labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        device: torch.device,
        loss: str = "cross_entropy",
        reuse_gates: bool = True,
    ):
        first = networks[0]
        if loss not in LOSSES:
            raise ValueError(f"unknown loss {loss!r}; allowed: {', '.join(LOSSES)}.")
        if not isinstance(first.arch, FullyConnected):
            raise ValueError(f"StackedLearner is for FullyConnected networks; got {first.arch}.")
        self.device, self.copies = device, len(networks)
        self.images, self.labels = train_images.flatten(1).to(device), train_labels.to(device)
        self.test_images, self.test_labels = test_images.flatten(1).to(device), test_labels.to(device)
        gated = isinstance(first, DeepGatedNetwork)
        self.value = StackedLayers([n.value if gated else n for n in networks], device)
        self.feature = StackedLayers([n.feature for n in networks], device) if gated else None
        self.hidden = first.arch.depth - 1
        self.width = first.arch.width
        self.soft = gated and first.gate == "soft"
        self.gate = GATES[first.gate] if gated else None
        self.beta, self.eps = (first.beta, first.eps) if gated else (None, None)
        self.linear = gated and first.linear
        self.trains_feature = gated and next(first.feature.parameters()).requires_grad
        if self.trains_feature and not self.soft:
            raise ValueError(f"StackedLearner trains soft gates only; got {first.gate!r}. Use ModuleLearner.")
        self.table = None
        if gated and not self.trains_feature and reuse_gates:
            self.table = self._gate_table(self.images)
        # Copy s of example i stands in row s·N + i of the flattened table.
        self.offsets = torch.arange(self.copies, device=device)[:, None] * len(self.images)
        self.loss_of = LOSSES[loss]
        self.loss = torch.zeros(self.copies, dtype=torch.float64, device=device)
        self.correct = torch.zeros(self.copies, dtype=torch.int64, device=device)

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

        Adds the examples' loss and correct answers to the running ``loss`` and ``correct``.
        """
        flat = chosen.flatten()
        x = self.images.index_select(0, flat).view(*chosen.shape, -1)
        y = self.labels[flat].view(*chosen.shape, 1)
        if self.feature is None:
            self._own_gates(x, y)
        elif self.trains_feature:
            self._learning_gates(x, y)
        else:
            if self.table is None:
                gates = self._feature_gates(x)
            else:
                rows = self.table.index_select(0, (chosen + self.offsets).flatten())
                gates = rows.to(x.dtype).view(*chosen.shape, -1).split(self.width, 2)
            self._frozen_gates(x, y, gates)

    def _own_gates(self, x: Tensor, y: Tensor) -> None:
        z = [x]
        for index in range(self.hidden):
            z.append(self.value.pre_activation(index, z[-1]).relu_())
        delta = self._loss_gradient(self.value.pre_activation(self.hidden, z[-1]), y)
        self.value.set_gradient(self.hidden, delta, z[-1])
        for index in reversed(range(self.hidden)):
            # z > 0 exactly where q > 0, so the gate can be read off the hidden output.
            delta = torch.ops.aten.threshold_backward(self.value.backward(index + 1, delta), z[index + 1], 0)
            self.value.set_gradient(index, delta, z[index])

    def _frozen_gates(self, x: Tensor, y: Tensor, gates: Sequence[Tensor]) -> None:
        z = [x]
        for index in range(self.hidden):
            z.append(self.value.pre_activation(index, z[-1]).mul_(gates[index]))
        delta = self._loss_gradient(self.value.pre_activation(self.hidden, z[-1]), y)
        self.value.set_gradient(self.hidden, delta, z[-1])
        for index in reversed(range(self.hidden)):
            delta = self.value.backward(index + 1, delta).mul_(gates[index])
            self.value.set_gradient(index, delta, z[index])

    def _learning_gates(self, x: Tensor, y: Tensor) -> None:
        feature_z, gates, q, z = [x], [], [], [x]
        for index in range(self.hidden):
            feature_q = self.feature.pre_activation(index, feature_z[-1])
            gates.append(torch.sigmoid(feature_q * self.beta).mul_(1 + self.eps))
            feature_z.append(self._activated(feature_q))
            q.append(self.value.pre_activation(index, z[-1]))
            z.append(q[-1] * gates[-1])
        delta = self._loss_gradient(self.value.pre_activation(self.hidden, z[-1]), y)
        self.value.set_gradient(self.hidden, delta, z[-1])
        feature_delta = None
        for index in reversed(range(self.hidden)):
            arriving = self.value.backward(index + 1, delta)
            gate = gates[index]
            slope = (gate * (-1 / (1 + self.eps))).add_(1).mul_(gate).mul_(self.beta)
            own = slope.mul_(q[index]).mul_(arriving)
            if feature_delta is not None:
                through = self.feature.backward(index + 1, feature_delta)
                own.add_(self._through(through, feature_z[index + 1]))
            feature_delta = own
            self.feature.set_gradient(index, feature_delta, feature_z[index])
            delta = arriving.mul_(gate)
            self.value.set_gradient(index, delta, z[index])

    def _loss_gradient(self, outputs: Tensor, y: Tensor) -> Tensor:
        """∂(mean loss)/∂outputs, [S, B, C]; counts the loss and the correct answers on the way."""
        loss, correct, gradient = self.loss_of(outputs, y)
        self.loss += loss
        self.correct += correct
        return gradient

    def _feature_gates(self, x: Tensor) -> list[Tensor]:
        """Gates [S, B, w] of the feature networks, for x [S, B, d_in]."""
        gates = []
        for index in range(self.hidden):
            q = self.feature.pre_activation(index, x)
            gates.append(torch.sigmoid(self.beta * q).mul_(1 + self.eps) if self.soft else self.gate(q))
            x = self._activated(q)
        return gates

    def _activated(self, q: Tensor) -> Tensor:
        """The feature networks' hidden output, in place of q."""
        return q if self.linear else q.relu_()

    def _through(self, delta: Tensor, z: Tensor) -> Tensor:
        """What of δ passes back through the activation that gave z."""
        return delta if self.linear else torch.ops.aten.threshold_backward(delta, z, 0)

    def _gate_table(self, images: Tensor) -> Tensor | None:
        """Frozen gates of all examples, uint8 [S·N, hidden units]; None if they are not all zeros and ones."""
        table = torch.empty(self.copies, len(images), self.hidden * self.width, dtype=torch.uint8, device=self.device)
        for start in range(0, len(images), EVALUATION_CHUNK):
            x = images[start : start + EVALUATION_CHUNK].expand(self.copies, -1, -1)
            gates = torch.cat(self._feature_gates(x), 2)
            table[:, start : start + EVALUATION_CHUNK] = gates.to(torch.uint8)
            if not torch.equal(table[:, start : start + EVALUATION_CHUNK].to(gates.dtype), gates):
                return None
        return table.flatten(0, 1)

    def test(self) -> tuple[list[float], list[float]]:
        """Mean loss and accuracy of every copy on the test set."""
        loss = torch.zeros(self.copies, dtype=torch.float64, device=self.device)
        correct = torch.zeros(self.copies, dtype=torch.int64, device=self.device)
        for start in range(0, len(self.test_images), EVALUATION_CHUNK):
            x = self.test_images[start : start + EVALUATION_CHUNK].expand(self.copies, -1, -1)
            y = self.test_labels[start : start + EVALUATION_CHUNK].expand(self.copies, -1)[..., None]
            gates = None if self.feature is None else self._feature_gates(x)
            z = x
            for index in range(self.hidden):
                q = self.value.pre_activation(index, z)
                z = q.relu_() if gates is None else q.mul_(gates[index])
            summed, right, _ = self.loss_of(self.value.pre_activation(self.hidden, z), y)
            loss += summed
            correct += right
        count = len(self.test_images)
        return (loss / count).tolist(), (correct.double() / count).tolist()

    def take_running(self, examples: int) -> tuple[list[float], list[float]]:
        """Mean loss and accuracy over the examples seen since the last call, and starts anew."""
        found = (self.loss / examples).tolist(), (self.correct.double() / examples).tolist()
        self.loss.zero_()
        self.correct.zero_()
        return found
