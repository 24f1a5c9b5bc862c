"""Random initial weights, each from an explicit generator.

Every function fills a weight tensor in place. ``fan_in`` and ``fan_out`` count, for a 3×3 kernel, its nine taps too.
"""

from math import sqrt

import torch
from torch import Generator, Tensor, nn

from npflib import checks

SCHEMES = ("glorot_uniform", "signed", "gaussian")


def glorot_uniform_(weight: Tensor, generator: Generator | None = None) -> Tensor:
    """Uniform on [-a, a], a = sqrt(6 / (fan_in + fan_out)): Keras' default, used for the paper's table.

    Example:
        >>> import torch
        >>> from npflib.initialisation import glorot_uniform_
        >>> bool((glorot_uniform_(torch.empty(2, 4)).abs() <= 1).all())  # a = sqrt(6 / (4 + 2)) = 1
        True
    """
    return nn.init.xavier_uniform_(checks.tensor(weight, "weights", kind="floating"), generator=generator)


@torch.no_grad()
def signed_(weight: Tensor, sigma: float, generator: Generator | None = None) -> Tensor:
    """Symmetric Bernoulli weights, -σ or +σ with probability ½ each: the assumption of the fixed-gate theorem.

    Example:
        >>> import torch
        >>> from npflib.initialisation import signed_
        >>> signed_(torch.empty(1, 3), sigma=0.5).abs()
        tensor([[0.5000, 0.5000, 0.5000]])
    """
    checks.number(sigma, "sigma, the scale of the weights,")
    checks.tensor(weight, "weights", kind="floating")
    return weight.bernoulli_(0.5, generator=generator).mul_(2).sub_(1).mul_(sigma)


@torch.no_grad()
def gaussian_(weight: Tensor, sigma: float, generator: Generator | None = None) -> Tensor:
    """Normal weights of mean 0 and standard deviation σ.

    Example:
        >>> import torch
        >>> from npflib.initialisation import gaussian_
        >>> gaussian_(torch.empty(2, 3), sigma=0.5).shape
        torch.Size([2, 3])
    """
    checks.number(sigma, "sigma, the scale of the weights,")
    checks.tensor(weight, "weights", kind="floating")
    return weight.normal_(0.0, sigma, generator=generator)


@torch.no_grad()
def initialise_(
    network: nn.Module, scheme: str = "glorot_uniform", sigma: float | None = None, generator: Generator | None = None
) -> nn.Module:
    """Draws all weights of a network (any module with a list ``layers``) anew, input side first, and zeroes its biases.

    The scheme is "glorot_uniform", "signed" (±σ) or "gaussian"; for the last two σ > 0, where None means
    sqrt(2 / fan_in), layer by layer, which keeps ReLU signals' size. Returns the network.

    Example:
        >>> from npflib.initialisation import initialise_
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> network = ReLUNetwork(FullyConnected(depth=2, width=1, in_features=3))
        >>> initialise_(network, "signed", sigma=0.5).weights[0].detach().abs()
        tensor([[0.5000, 0.5000, 0.5000]])
    """
    checks.one_of(scheme, "initialisation", SCHEMES)
    if not isinstance(getattr(network, "layers", None), nn.ModuleList):
        raise ValueError(f"a network with a list `layers` is needed; got {type(network).__name__}.")
    for layer in network.layers:  # type: ignore[union-attr]  # the list that the docstring asks for
        if scheme == "glorot_uniform":
            glorot_uniform_(layer.weight, generator)
        else:
            fill = signed_ if scheme == "signed" else gaussian_
            fill(layer.weight, sqrt(2 / layer.weight[0].numel()) if sigma is None else sigma, generator)
        if layer.bias is not None:
            layer.bias.zero_()
    return network
