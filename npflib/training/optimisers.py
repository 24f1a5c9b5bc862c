"""Optimisers with Keras' defaults, since the paper's numbers were made with them.

SGD has no momentum; RMSprop has ρ = 0.9 and ε = 1e-7; Adam has β₁ = 0.9, β₂ = 0.999 and ε = 1e-7. RMSprop and SGD are
torch's own. Adam differs in where ε stands.
"""

from collections.abc import Callable, Iterable
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from npflib import checks

__all__ = ["KerasAdam"]

EPSILON = 1e-7


class KerasAdam(torch.optim.Adam):
    """Adam as Keras computes it: θ ← θ - η √(1-β₂ᵗ)/(1-β₁ᵗ) · m / (√v + ε).

    torch adds ε to √(v / (1-β₂ᵗ)) instead, so Keras' rule is torch's with ε / √(1-β₂ᵗ) at step t, some 32 ε at first.

    Example:
        >>> import torch
        >>> from npflib.training.optimisers import KerasAdam
        >>> theta = torch.nn.Parameter(torch.tensor([1.0]))
        >>> theta.grad = torch.tensor([8.0])
        >>> _ = KerasAdam([theta], lr=0.5).step()
        >>> round(theta.item(), 3)  # the first step is lr · sign(gradient), up to ε
        0.5
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float):
        checks.number(lr, "the learning rate")
        super().__init__(parameters, lr=lr, betas=(0.9, 0.999), eps=EPSILON, fused=True)
        for group in self.param_groups:
            group["steps_taken"] = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient."""
        for group in self.param_groups:
            group["steps_taken"] += 1
            group["eps"] = EPSILON / sqrt(1 - group["betas"][1] ** group["steps_taken"])
        return super().step(closure)


def keras_optimiser(name: str, parameters: Iterable[Tensor], learning_rate: float) -> torch.optim.Optimizer:
    """The optimiser of that name ("sgd", "adam", "rmsprop"), with Keras' defaults; a ValueError for another name."""
    if name == "adam":
        return KerasAdam(parameters, learning_rate)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=learning_rate, fused=True)
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=learning_rate, alpha=0.9, eps=EPSILON)
    raise ValueError(f"unknown optimiser {name!r}; allowed: sgd, adam, rmsprop.")
