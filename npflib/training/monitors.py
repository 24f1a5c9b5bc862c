"""What the paper measures along a run: the alignment ν_t of the path kernel, the sizes of the tangent kernel's parts.

A probe looks at a network between two epochs and changes nothing. Its numbers stand in the run's record as series.
Source: Lakshminarayanan & Singh (2020), experiments, and the authors' released notebooks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from npflib import checks
from npflib.kernels import alignment, neural_path_kernel, neural_tangent_kernel
from npflib.networks import DeepGatedNetwork, ReLUNetwork, checked_input
from npflib.randomness import generator


@dataclass(frozen=True)
class Batch:
    """The fixed examples on which a probe measures: inputs [n, …], true labels [n], labels that are trained on [n].

    Example:
        >>> import torch
        >>> from npflib.training.monitors import Batch
        >>> Batch(x=torch.eye(2), labels=torch.tensor([1.0, -1.0]), trained=torch.tensor([-1.0, 1.0])).x.shape
        torch.Size([2, 2])
    """

    x: Tensor
    labels: Tensor
    trained: Tensor

    def __post_init__(self) -> None:
        checks.labelled(self.x, self.labels)
        checks.labelled(self.x, self.trained)


def first_of_each_class(labels: Tensor, count: int) -> Tensor:
    """Indices [classes · count] of the first ``count`` of each class, class by class: the released code's choice.

    Example:
        >>> import torch
        >>> from npflib.training.monitors import first_of_each_class
        >>> first_of_each_class(torch.tensor([7, 4, 7, 4, 4]), count=2)  # the first two 4s, then the first two 7s
        tensor([1, 3, 0, 2])
    """
    return torch.cat([members[:count] for members in _classes(labels, count)])


def random_of_each_class(labels: Tensor, count: int, seed: int = 0) -> Tensor:
    """Indices [classes · count] of ``count`` examples drawn from each class, class by class.

    Example:
        >>> import torch
        >>> from npflib.training.monitors import random_of_each_class
        >>> labels = torch.tensor([7, 4, 7, 4, 4])
        >>> labels[random_of_each_class(labels, count=2)]
        tensor([4, 4, 7, 7])
    """
    classes = _classes(labels, count)
    orders = [torch.randperm(len(own), generator=generator(seed, "examples", k)) for k, own in enumerate(classes)]
    return torch.cat([own[order[:count]] for own, order in zip(classes, orders, strict=True)])


def _classes(labels: Tensor, count: int) -> list[Tensor]:
    """The indices of each class's examples."""
    checks.whole(count, "count", "examples a class")
    checks.finite(checks.tensor(labels, "labels", "[n]", 1), "labels")
    found = []
    for value in labels.unique():
        found.append(torch.nonzero(labels == value)[:, 0])
        if len(found[-1]) < count:
            raise ValueError(f"the probe needs {count} examples of each class; class {value:g} has {len(found[-1])}.")
    return found


def kernel_and_labels(network: ReLUNetwork, batch: Batch) -> dict[str, float]:
    """ν of the neural path kernel H on the batch, with what is needed to read it; all in float64, by solves.

    ``nu`` = yᵀ (H / tr H)⁻¹ y for the true labels; ``nu_trained`` for the labels trained on; ``nu_chance`` =
    tr H · tr H⁻¹, the mean of ν over labels drawn ±1 at random, which changes with H's spectrum alone, so that
    ν / ν_chance is alignment and not conditioning; ``condition`` of H, its largest eigenvalue over the smallest; trace.

    Example:
        >>> import torch
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> from npflib.training.monitors import Batch, kernel_and_labels
        >>> line = ReLUNetwork(FullyConnected(depth=1, width=1, in_features=2, out_features=1))
        >>> y = torch.tensor([1.0, -1.0])
        >>> found = kernel_and_labels(line, Batch(x=torch.eye(2), labels=y, trained=y))
        >>> found["nu"], found["trace"]  # H is the identity: ν = n²
        (4.0, 2.0)
    """
    checks.instance(batch, "batch", Batch)
    x = checked_input(network, batch.x)
    kernel = neural_path_kernel(x.flatten(1).double(), [gate.double() for gate in network.gates(x)])
    eigenvalues = torch.linalg.eigvalsh(kernel)
    return {
        "nu": alignment(kernel, batch.labels),
        "nu_trained": alignment(kernel, batch.trained),
        "nu_chance": float(eigenvalues.sum() * (1 / eigenvalues).sum()),
        "condition": float(eigenvalues[-1] / eigenvalues[0]),
        "trace": float(kernel.trace()),
    }


def value_and_gate_kernels(network: DeepGatedNetwork, batch: Batch) -> dict[str, float]:
    """Traces and Frobenius norms of K_value and K_gate, summed over the logits, in float64; and the released code's.

    ``trace_value``, ``norm_value``, ``trace_gate``, ``norm_gate`` of K = Σ_c K_c; the same with suffix ``_summed`` for
    the kernel of Σ_c softmax_c, which the released code differentiates, in float32 as there. That sum is 1 whatever the
    parameters, so the latter are zero but for rounding.

    Example:
        >>> import torch
        >>> from npflib.networks import DeepGatedNetwork, FullyConnected
        >>> from npflib.training.monitors import Batch, value_and_gate_kernels
        >>> network = DeepGatedNetwork(FullyConnected(depth=2, width=3, in_features=2, out_features=2), gate="hard")
        >>> y = torch.tensor([0, 1])
        >>> value_and_gate_kernels(network, Batch(x=torch.eye(2), labels=y, trained=y))["trace_gate"]  # hard gates
        0.0
    """
    checks.instance(batch, "batch", Batch)
    parts = ("value", "gate")
    kernels = {part: neural_tangent_kernel(network, batch.x, part=part, dtype=torch.float64) for part in parts}
    gradients = zip(*(summed_softmax_gradient(network, x) for x in batch.x), strict=True)
    jacobians = dict(zip(parts, map(torch.stack, gradients), strict=True))
    kernels |= {f"{part}_summed": jacobian @ jacobian.T for part, jacobian in jacobians.items()}
    found: dict[str, float] = {}
    for part, kernel in kernels.items():
        found |= {f"trace_{part}": float(kernel.trace()), f"norm_{part}": float(kernel.norm())}
    return found


@torch.enable_grad()
def summed_softmax_gradient(network: DeepGatedNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
    """∂ Σ_c softmax_c(ŷ(x)) / ∂θ for the value network's parameters and for the feature network's, flattened.

    Σ_c softmax_c = 1, so both are zero; in floating point they are rounding error.

    Example:
        >>> import torch
        >>> from npflib.networks import DeepGatedNetwork, FullyConnected
        >>> from npflib.training.monitors import summed_softmax_gradient
        >>> network = DeepGatedNetwork(FullyConnected(depth=2, width=3, in_features=2, out_features=2), gate="soft")
        >>> value, gate = summed_softmax_gradient(network, torch.ones(2))
        >>> bool(value.abs().max() < 1e-6)
        True
    """
    checks.instance(network, "network", DeepGatedNetwork)
    total = torch.softmax(network(checks.tensor(x, "inputs")[None]), 1).sum()
    parts = []
    for part in (network.value, network.feature):
        gradients = torch.autograd.grad(total, list(part.parameters()), retain_graph=True, materialize_grads=True)
        parts.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return parts[0], parts[1]


class _Measure(NamedTuple):
    """How a probe chooses its examples from labels, and what it measures on them."""

    choose: Callable[[Tensor, int], Tensor]
    measure: Callable[[Any, Batch], dict[str, float]]  # on the one kind of network that its experiments train


MEASURES: Mapping[str, _Measure] = MappingProxyType(
    {
        "alignment": _Measure(first_of_each_class, kernel_and_labels),
        "traces": _Measure(random_of_each_class, value_and_gate_kernels),
    }
)
