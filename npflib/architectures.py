"""The paper's three architectures, as data: which layers a network has, before any weight exists.

Source: Lakshminarayanan & Singh (2020), experiments, with the layer sizes of the authors' released notebooks.
This file does not import torch, so that planning (the workflow, the experiments) stays light.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

from npflib import checks

__all__ = ["FullyConnected", "GConv", "VConv"]

MAX_DEPTH = 10_000  # weight layers; a list of many more would fill the memory before a message could be given
MAX_WEIGHTS = 10**10  # 40 GB in float32; the paper's largest network has 34 million


@dataclass(frozen=True)
class DenseLayer:
    """A fully connected layer: q = W z + b with W of shape [out_features, in_features]."""

    in_features: int
    out_features: int
    bias: bool
    before: str = ""  # the incoming hidden output: "flatten" makes it a vector, "pool" averages it over positions

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its weight."""
        return self.out_features, self.in_features


@dataclass(frozen=True)
class ConvLayer:
    """A 3×3 convolution, stride 1, zero padding 1 ('same'), kernel of shape [out_channels, in_channels, 3, 3]."""

    in_channels: int
    out_channels: int
    bias: bool
    before: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its kernel."""
        return self.out_channels, self.in_channels, 3, 3


Layer = DenseLayer | ConvLayer


@dataclass(frozen=True)
class FullyConnected:
    """A fully connected network: depth d counts its weight layers, and its d - 1 hidden layers have the same width w.

    The input may have any shape of d_in = ``in_features`` numbers; it is flattened. The paper's MNIST network has
    d = 6; paths are defined without biases, which the released table code has. ``out_features`` is the number C of
    outputs. A ValueError refuses numbers that are not whole and positive, and more weights than ``MAX_WEIGHTS``.

    Example:
        >>> from npflib.architectures import FullyConnected
        >>> arch = FullyConnected(depth=3, width=4, in_features=2)
        >>> arch.widths, arch.paths
        ((2, 4, 4), 32)
    """

    depth: int
    width: int
    in_features: int = 784
    out_features: int = 10
    bias: bool = True

    def __post_init__(self) -> None:
        _require_positive(self, "depth", "width", "in_features", "out_features")
        if self.depth > MAX_DEPTH:
            raise ValueError(f"FullyConnected: depth must be at most {MAX_DEPTH:,}; got {self.depth}.")
        _require_room(self)

    @property
    def widths(self) -> tuple[int, ...]:
        """The nodes that a path can pick, layer by layer, input first, (d_in, w_1, …, w_{d-1})."""
        return (self.in_features,) + (self.width,) * (self.depth - 1)

    @property
    def paths(self) -> int:
        """P = d_in · w^(d-1), the number of paths from an input node to one output."""
        return prod(self.widths)

    def layers(self) -> tuple[Layer, ...]:
        """The weight layers, input side first."""
        return _dense((*self.widths, self.out_features), self.bias, "flatten")


@dataclass(frozen=True)
class _Convolutional:
    """Four 3×3 convolutions, then three dense layers; what stands between them tells the two apart."""

    in_channels: int = 3
    image_size: int = 32
    out_features: int = 10
    bias: bool = True
    channels: tuple[int, ...] = (64, 64, 128, 128)
    dense: tuple[int, ...] = (256, 256)

    between = ""

    def __post_init__(self) -> None:
        _require_positive(self, "in_channels", "image_size", "out_features")
        for name in ("channels", "dense"):
            sizes = getattr(self, name)
            if not isinstance(sizes, list | tuple) or not sizes or any(type(s) is not int or s < 1 for s in sizes):
                raise ValueError(f"{name} must be one or more positive whole numbers; got {sizes!r}.")
            object.__setattr__(self, name, tuple(sizes))
        _require_room(self)

    @property
    def in_features(self) -> int:
        """Numbers in one input image."""
        return self.in_channels * self.image_size**2

    def layers(self) -> tuple[Layer, ...]:
        """The weight layers, input side first."""
        convolutions = (ConvLayer(i, o, self.bias) for i, o in pairwise((self.in_channels, *self.channels)))
        positions = self.image_size**2 if self.between == "flatten" else 1
        sizes = (self.channels[-1] * positions, *self.dense, self.out_features)
        return (*convolutions, *_dense(sizes, self.bias, self.between))


@dataclass(frozen=True)
class VConv(_Convolutional):
    """The paper's VCONV: 3×3 convolutions of 64, 64, 128, 128 channels, flatten, dense 256, 256, 10.

    Example:
        >>> from npflib.architectures import VConv
        >>> VConv().layers()[4].in_features  # 128 channels of 32 × 32 positions
        131072
    """

    between = "flatten"


@dataclass(frozen=True)
class GConv(_Convolutional):
    """The paper's GCONV: VCONV with a global average pool in place of the flatten.

    Example:
        >>> from npflib.architectures import GConv
        >>> GConv().layers()[4].in_features  # one average for each of 128 channels
        128
    """

    between = "pool"


def _dense(sizes: tuple[int, ...], bias: bool, before: str) -> tuple[Layer, ...]:
    """Dense layers from size to size, and what happens before the first."""
    return tuple(DenseLayer(i, o, bias, "" if n else before) for n, (i, o) in enumerate(pairwise(sizes)))


def _require_positive(arch: "FullyConnected | _Convolutional", *names: str) -> None:
    for name in names:
        checks.whole(getattr(arch, name), f"{type(arch).__name__}: {name}")
    checks.flag(arch.bias, f"{type(arch).__name__}: bias")


def _require_room(arch: FullyConnected | _Convolutional) -> None:
    """Refuses more weights than a memory holds, before any is drawn."""
    count = sum(prod(layer.shape) for layer in arch.layers())
    if count > MAX_WEIGHTS:
        raise ValueError(f"{arch} has {count:,} weights; at most {MAX_WEIGHTS:,} are allowed. Make it smaller.")
