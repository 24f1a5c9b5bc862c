"""The two losses of the paper's experiments, each with its gradient, for several networks at once.

Shapes: S networks, B examples to a step, C outputs; labels [S, B, 1].
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from npflib import checks
from npflib.answers import answers
from npflib.networks import DeepGatedNetwork, ReLUNetwork

__all__ = ["cross_entropy", "squared"]

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def cross_entropy(outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """-log softmax(ŷ)_y: its sum [S] over the examples, correct answers [S], ∂(mean over B)/∂ŷ [S, B, C].

    Example:
        >>> import torch
        >>> from npflib.training.losses import cross_entropy
        >>> outputs, labels = torch.zeros(1, 1, 2), torch.zeros(1, 1, 1, dtype=torch.int64)
        >>> cross_entropy(outputs, labels)[2]  # p - y for p = (½, ½)
        tensor([[[-0.5000,  0.5000]]])
    """
    _check(outputs, labels, floating=False)
    correct = (answers(outputs)[..., None] == labels).sum((1, 2))
    log_p = torch.log_softmax(outputs, 2)
    total = -log_p.gather(2, labels).sum((1, 2))
    gradient = log_p.exp_()
    gradient.scatter_add_(2, labels, torch.full_like(labels, -1, dtype=gradient.dtype))
    return total, correct, gradient.div_(labels.shape[1])


def squared(outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(ŷ - y)² for one output, labels ±1: its sum [S], answers of the right sign [S], ∂(mean over B)/∂ŷ [S, B, 1].

    An output of 0 has no sign: it is a wrong answer to either label.

    Example:
        >>> import torch
        >>> from npflib.training.losses import squared
        >>> outputs, labels = torch.tensor([[[3.0], [-2.0]]]), torch.tensor([[[1.0], [1.0]]])
        >>> squared(outputs, labels)[:2]  # residuals 2 and -3
        (tensor([13.]), tensor([1]))
    """
    _check(outputs, labels, floating=True)
    residual = outputs - labels
    correct = (outputs * labels > 0).sum((1, 2))
    return residual.square().sum((1, 2)), correct, residual.mul_(2 / labels.shape[1])


LOSSES: MappingProxyType[str, Loss] = MappingProxyType({"cross_entropy": cross_entropy, "squared": squared})


def _check(outputs: Tensor, labels: Tensor, floating: bool) -> None:
    shape = (*checks.tensor(outputs, "outputs", "[S, B, C]", 3, kind="floating").shape[:2], 1)
    fits = checks.tensor(labels, "labels").shape == shape
    if not fits or not (labels.is_floating_point() if floating else labels.dtype == torch.int64):
        given = f"{tuple(labels.shape)} of {labels.dtype}"
        raise ValueError(f"labels must be {shape}, {'floating' if floating else 'in torch.int64'}; got {given}.")


def check_learner(networks: Sequence[ReLUNetwork | DeepGatedNetwork], loss: str, *data: Tensor) -> None:
    """Raises a ValueError unless networks are of one kind, and training and test images and labels are for them."""
    several = networks if isinstance(networks, Sequence) else ()
    kinds = {tuple(getattr(n, name, type(n)) for name in ("arch", "gate", "linear")) for n in several}
    if len(kinds) != 1 or not hasattr(first := several[0], "arch"):
        raise ValueError(f"one or more networks of one kind and architecture are needed; got {networks!r}.")
    outputs = first.arch.out_features
    for part, images, labels in zip(("training", "test"), data[::2], data[1::2], strict=True):
        getattr(first, "value", first).checked_input(images)  # type: ignore[operator]
        checks.labelled(images, labels, f"{part} ")
        good, allowed = labels.is_floating_point() and outputs == 1, "in a floating type, of one output"
        if loss != "squared":
            good, allowed = labels.dtype == torch.int64, f"classes from 0 to {outputs - 1} in torch.int64"
            good = good and 0 <= int(labels.min()) <= int(labels.max()) < outputs
        if not good:
            few = labels.unique()[:5].tolist()
            raise ValueError(f"{part} labels must be {allowed}; got {few} of {labels.dtype}, and {outputs} outputs.")


class Scores:
    """The loss and the correct answers of S networks, summed over the examples that they have seen."""

    def __init__(self, copies: int, device: torch.device | None = None):
        self.copies, self.device = copies, device or torch.device("cpu")
        self.loss = torch.zeros(copies, dtype=torch.float64, device=self.device)
        self.correct = torch.zeros(copies, dtype=torch.int64, device=self.device)

    def take_running(self, examples: int) -> tuple[list[float], list[float]]:
        """Mean loss and accuracy over so many examples, those seen since the last call, and starts anew."""
        found = (self.loss / examples).tolist(), (self.correct.double() / examples).tolist()
        self.loss.zero_()
        self.correct.zero_()
        return found
