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

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from npflib import checks
from npflib.architectures import FullyConnected
from npflib.gates import GATES
from npflib.networks import DeepGatedNetwork, ReLUNetwork, ValueNetwork
from npflib.training.losses import LOSSES

EVALUATION_CHUNK = 1000
REGISTERS = 64
_threshold = torch.ops.aten.threshold_backward


class BatchedLayers:
    """The layers of S value networks: parameters and gradients in one flat tensor each, with a view a layer.

    Flat, so that the optimiser updates all of them in a single fused pass.

    Attributes:
        flat: all parameters, zero-padded to a multiple of ``REGISTERS``, with ``flat.grad`` their gradients.
        weights, biases: views [S, w_l, w_{l-1}] and [S, 1, w_l] (None without biases), input side first.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> from npflib.training.batched import BatchedLayers
        >>> networks = [ReLUNetwork(FullyConnected(depth=2, width=3, in_features=4)) for _ in range(5)]
        >>> layers = BatchedLayers(networks, torch.device("cpu"))
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
        # those are would depend on how many copies there are.
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


class BatchedLearner:
    """Trains S networks at once; the same interface as ``autograd.AutogradLearner``.

    Where their gates come from: a ReLU network has its own; a deep gated network has those of its feature network,
    frozen or learning; ``gates`` are written down, so that they may come from different networks in different layers,
    from another example, or from no network at all: the fixed-gate theorem (Claim 4) takes any.

    *Learning* gates are soft, G = (1 + ε) / (1 + exp(-β q)) with ∂G/∂q = β G (1 - G/(1+ε)). *Straight through* (Bengio,
    Léonard & Courville 2013) they are (1 + ε)·1[q > 0] instead, the limit as β → ∞, whose own derivative is zero almost
    everywhere, and learn by the soft gate's slope: hard at every step, only the direction in which they move is a
    surrogate.

    Args:
        networks: the starting networks, one a seed, all of one regime and fully connected. Where gates are given,
            their weights alone are used: of a deep gated network those of its value network.
        train_images: [N, d_in]; train_labels: [N]; test_images: [M, d_in]; test_labels: [M].
        device: where to train; None is the processor.
        loss: a name in ``losses.LOSSES``.
        reuse_gates: whether frozen gates are computed once and looked up (one byte a gate) instead of being computed
            anew in every step. The result is the same to the bit where the products round alike, and the lookup is
            faster (``benchmarks/``); it costs S · (N + M) · hidden units bytes.
        gates: hard gates of the training and of the test examples, uint8 [S, N, (d - 1) w] and [S, M, (d - 1) w], the
            layers side by side.
        betas, excesses: β > 0 and ε ≥ 0 of each copy, for gates that learn; None is the networks' own.
        straight_through: whether gates that learn are hard and only their slope is soft.

    Raises:
        ValueError: networks of another kind, an unknown loss, gates of another shape or type or with other entries
            than 0 and 1, β and ε that are not one a network and in their range or given to gates that do not learn.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> from npflib.training.batched import BatchedLearner
        >>> networks = [ReLUNetwork(FullyConnected(depth=2, width=3, in_features=2, out_features=2)) for _ in range(2)]
        >>> x, y = torch.eye(2), torch.tensor([0, 1])
        >>> learner = BatchedLearner(networks, x, y, x, y)
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
        device: torch.device | None = None,
        loss: str = "cross_entropy",
        reuse_gates: bool = True,
        *,
        gates: tuple[Tensor, Tensor] | None = None,
        betas: Sequence[float] | None = None,
        excesses: Sequence[float] | None = None,
        straight_through: bool = False,
    ):
        first = networks[0]
        checks.one_of(loss, "loss", LOSSES)
        if not isinstance(first.arch, FullyConnected):
            raise ValueError(f"BatchedLearner is for FullyConnected networks; got {first.arch}.")
        self.device, self.copies = device or torch.device("cpu"), len(networks)
        self.images, self.labels = train_images.flatten(1).to(self.device), train_labels.to(self.device)
        self.test_images, self.test_labels = test_images.flatten(1).to(self.device), test_labels.to(self.device)
        gated = isinstance(first, DeepGatedNetwork)
        self.value = BatchedLayers([n.value if gated else n for n in networks], self.device)
        self.hidden, self.width = first.arch.depth - 1, first.arch.width
        gated = gated and gates is None
        self.feature = BatchedLayers([n.feature for n in networks], self.device) if gated else None
        self.soft = gated and first.gate == "soft"
        self.gate = GATES[first.gate] if gated else None
        self.linear = gated and first.linear
        self.trains_feature = gated and next(first.feature.parameters()).requires_grad
        if self.trains_feature and not self.soft:
            raise ValueError(f"BatchedLearner trains soft gates only; got {first.gate!r}. Use AutogradLearner.")
        self.straight_through = straight_through
        self.beta, self.eps = (first.beta, first.eps) if gated else (None, None)
        if betas is not None or excesses is not None or straight_through:
            self._learn_by(networks, betas, excesses)
        self.table, self.test_table = None, None
        if gates is not None:
            self.table, self.test_table = (
                self._given(table, len(images), what)
                for table, images, what in zip(
                    gates, (self.images, self.test_images), ("training", "test"), strict=True
                )
            )
            self.table = self.table.flatten(0, 1)
        elif gated and not self.trains_feature and reuse_gates:
            self.table = self._gate_table(self.images)
        # Copy s of example i stands in row s·N + i of the flattened table.
        self.offsets = torch.arange(self.copies, device=self.device)[:, None] * len(self.images)
        self.loss_of = LOSSES[loss]
        self.loss = torch.zeros(self.copies, dtype=torch.float64, device=self.device)
        self.correct = torch.zeros(self.copies, dtype=torch.int64, device=self.device)

    def _learn_by(self, networks: Sequence, betas: Sequence[float] | None, excesses: Sequence[float] | None) -> None:
        """Takes β and ε of each copy, [S, 1, 1]."""
        if not self.trains_feature:
            raise ValueError("networks with soft gates that learn are needed, as regimes.start('DLNPF', …) makes them.")
        betas = [n.beta for n in networks] if betas is None else betas
        excesses = [n.eps for n in networks] if excesses is None else excesses
        if len(betas) != len(networks) or len(excesses) != len(networks):
            raise ValueError(
                f"one β and one ε a network: got {len(betas)} and {len(excesses)} for {len(networks)} networks."
            )
        if not all(beta > 0 for beta in betas) or not all(eps >= 0 for eps in excesses):
            raise ValueError(f"β must be positive and ε at least 0; got β {list(betas)!r} and ε {list(excesses)!r}.")
        self.beta, self.eps = (
            torch.tensor(numbers, dtype=torch.float32, device=self.device)[:, None, None]
            for numbers in (betas, excesses)
        )

    def _given(self, gates: Tensor, examples: int, what: str) -> Tensor:
        wanted = (self.copies, examples, self.hidden * self.width)
        if tuple(gates.shape) != wanted or gates.dtype != torch.uint8:
            raise ValueError(
                f"gates of the {what} examples must be uint8 of shape {wanted}: networks, examples, hidden units "
                f"of all layers; got {gates.dtype} {tuple(gates.shape)}."
            )
        if len(gates) and int(gates.max()) > 1:
            raise ValueError(f"gates of the {what} examples must be 0 or 1; the greatest is {int(gates.max())}.")
        return gates.to(self.device)

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
        feature_z, slopes, gates = [], [], None
        if self.table is not None:
            rows = self.table.index_select(0, (chosen + self.offsets).flatten())
            gates = rows.to(x.dtype).view(*chosen.shape, -1).split(self.width, 2)
        elif self.feature is not None:
            feature_z, gates, slopes = self._feature(x, self.trains_feature)
        q, z = [], [x]
        for index in range(self.hidden):
            q.append(self.value.pre_activation(index, z[-1]))
            if gates is None:
                z.append(q[-1].relu_())
            else:
                z.append(q[-1] * gates[index] if self.trains_feature else q[-1].mul_(gates[index]))
        loss, correct, delta = self.loss_of(self.value.pre_activation(self.hidden, z[-1]), y)
        self.loss += loss
        self.correct += correct
        self.value.set_gradient(self.hidden, delta, z[-1])
        feature_delta = None
        for index in reversed(range(self.hidden)):
            delta = self.value.backward(index + 1, delta)
            if self.trains_feature:
                own = slopes[index].mul_(q[index]).mul_(delta)
                if feature_delta is not None:
                    through = self.feature.backward(index + 1, feature_delta)
                    own.add_(through if self.linear else _threshold(through, feature_z[index + 1], 0))
                feature_delta = own
                self.feature.set_gradient(index, feature_delta, feature_z[index])
            # z > 0 exactly where q > 0, so a ReLU network's gate can be read off the hidden output.
            delta = _threshold(delta, z[index + 1], 0) if gates is None else delta.mul_(gates[index])
            self.value.set_gradient(index, delta, z[index])

    def _feature(self, x: Tensor, learning: bool = False) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """For x [S, B, d_in]: hidden outputs of the feature networks, x first; their gates; those gates' slopes."""
        z, gates, slopes = [x], [], []
        for index in range(self.hidden):
            q = self.feature.pre_activation(index, z[-1])
            if self.straight_through:
                gates.append((q > 0).to(x.dtype).mul_(1 + self.eps))
                if learning:
                    share = torch.sigmoid(q * self.beta)
                    slopes.append((1 - share).mul_(share).mul_(self.beta * (1 + self.eps)))
            elif self.soft:
                gate = torch.sigmoid(q * self.beta).mul_(1 + self.eps)
                gates.append(gate)
                if learning:
                    slopes.append((gate * (-1 / (1 + self.eps))).add_(1).mul_(gate).mul_(self.beta))
            else:
                gates.append(self.gate(q))
            z.append(q if self.linear else q.relu_())
        return z, gates, slopes

    def pre_activations(self, x: Tensor) -> list[Tensor]:
        """q of the feature networks' hidden layers, [S, B, w], for x [S, B, d_in]."""
        found = []
        for index in range(self.hidden):
            found.append(self.feature.pre_activation(index, x))
            x = found[-1] if self.linear else found[-1].relu()
        return found

    def _parts(self, images: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Some images at a time, [S, n, d_in], the same for every copy."""
        for start in range(0, len(images), EVALUATION_CHUNK):
            part = slice(start, start + EVALUATION_CHUNK)
            yield part, images[part].expand(self.copies, -1, -1)

    def _gate_table(self, images: Tensor) -> Tensor | None:
        """Frozen gates of all examples, uint8 [S·N, hidden units]; None if they are not all zeros and ones."""
        table = torch.empty(self.copies, len(images), self.hidden * self.width, dtype=torch.uint8, device=self.device)
        for part, x in self._parts(images):
            gates = torch.cat(self._feature(x)[1], 2)
            table[:, part] = gates.to(torch.uint8)
            if not torch.equal(table[:, part].to(gates.dtype), gates):
                return None
        return table.flatten(0, 1)

    def gate_tables(self, images: Tensor) -> Tensor:
        """The hard pattern 1[q > 0] of gates that learn, uint8 [S, n, (d - 1) w]."""
        parts = [
            torch.cat([(q > 0).to(torch.uint8) for q in self.pre_activations(x)], 2) for _, x in self._parts(images)
        ]
        return torch.cat(parts, 1)

    def test(self, gates: Tensor | None = None) -> tuple[list[float], list[float]]:
        """Mean loss and accuracy of every copy on the test set.

        ``gates``, uint8 [S, M, (d - 1) w], take the place of given ones, for networks that were trained behind others.
        """
        given = self.test_table if gates is None else gates
        loss = torch.zeros(self.copies, dtype=torch.float64, device=self.device)
        correct = torch.zeros(self.copies, dtype=torch.int64, device=self.device)
        for part, z in self._parts(self.test_images):
            y = self.test_labels[part].expand(self.copies, -1)[..., None]
            found = None
            if given is not None:
                found = given[:, part].to(z.dtype).split(self.width, 2)
            elif self.feature is not None:
                found = self._feature(z)[1]
            for index in range(self.hidden):
                q = self.value.pre_activation(index, z)
                z = q.relu_() if found is None else q.mul_(found[index])
            summed, right, _ = self.loss_of(self.value.pre_activation(self.hidden, z), y)
            loss += summed
            correct += right
        count = len(self.test_images)
        return (loss / count).tolist(), (correct.double() / count).tolist()

    def test_binarised(self) -> list[float]:
        """Test accuracy of every copy with its gates made hard, (1 + ε)·1[q > 0], and nothing trained again."""
        kept, self.straight_through = self.straight_through, True
        try:
            return self.test()[1]
        finally:
            self.straight_through = kept

    def undecided(self) -> list[float]:
        """Share of the test set's gates between 0.1 (1 + ε) and 0.9 (1 + ε): those that still pass a gradient."""
        inside = torch.zeros(self.copies, dtype=torch.float64)
        for _, x in self._parts(self.test_images):
            for q in self.pre_activations(x):
                share = torch.sigmoid(self.beta * q)
                inside += ((share > 0.1) & (share < 0.9)).sum((1, 2), dtype=torch.float64)
        return (inside / (len(self.test_images) * self.hidden * self.width)).tolist()

    def take_running(self, examples: int) -> tuple[list[float], list[float]]:
        """Mean loss and accuracy over the examples seen since the last call, and starts anew."""
        found = (self.loss / examples).tolist(), (self.correct.double() / examples).tolist()
        self.loss.zero_()
        self.correct.zero_()
        return found
