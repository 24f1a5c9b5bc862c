"""Hypothesis strategies that several tests share: small networks of random shape, and seeds for what fills them."""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from npflib.networks import FullyConnected, GConv, VConv

seeds = st.integers(0, 2**31 - 1)
examples = st.integers(1, 5)


@st.composite
def fully_connected(draw, *, min_depth=1, max_depth=4, max_size=4, bias=None):
    """A fully connected architecture small enough to enumerate: at most max_size^max_depth paths."""
    size = st.integers(1, max_size)
    return FullyConnected(
        depth=draw(st.integers(min_depth, max_depth)),
        width=draw(size),
        in_features=draw(size),
        out_features=draw(st.integers(1, 3)),
        bias=draw(st.booleans()) if bias is None else bias,
    )


@st.composite
def convolutional(draw):
    """VConv or GConv, tiny."""
    sizes = st.lists(st.integers(1, 3), min_size=1, max_size=2)
    return draw(st.sampled_from([VConv, GConv]))(
        in_channels=draw(st.integers(1, 3)),
        image_size=draw(st.integers(1, 5)),
        out_features=draw(st.integers(1, 3)),
        bias=draw(st.booleans()),
        channels=draw(sizes),
        dense=draw(sizes),
    )


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def coins(seed: int, *shape: int) -> Tensor:
    """Zeros and ones, half each: random hard gates."""
    return (normal(seed, *shape) > 0).double()


def random_gates(seed: int, n: int, widths: Sequence[int]) -> list[Tensor]:
    """Random hard gates [n, w_l], one tensor a hidden layer."""
    return [coins(seed + layer, n, width) for layer, width in enumerate(widths)]


def shuffled(network: nn.Module, seed: int) -> nn.Module:
    """The network in float64 with every parameter standard normal, biases too (which otherwise start at zero)."""
    network = network.double()
    with torch.no_grad():
        for index, parameter in enumerate(network.parameters()):
            parameter.copy_(normal(seed + index, *parameter.shape))
    return network
