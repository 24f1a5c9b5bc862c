"""Paths of convolutional networks, listed one by one: the definitions themselves, for tiny networks.

A path of a network with L convolutions picks a channel *and* a position in the input and after every convolution,
(i_0, u_0), (i_1, u_1), …, (i_L, u_L), and then one unit in every hidden dense layer. Neighbouring positions differ by
an offset δ_l that the kernel reaches: u_{l-1} = u_l + δ_l. A path that leaves the image meets the zero padding and is
no path; with circular padding positions wrap around and none leaves.

Convolutions share weights, so different paths may have the same weights: the weight of the l-th convolution is
Θ(l)[i_l, i_{l-1}, δ_l], whatever u_l. A *bundle* is a set of paths with the same weights in every layer. Where the
output is flattened, the first dense weight knows (i_L, u_L), and with it and the offsets the whole path is known:
every bundle is a single path. Behind a global average pool it knows i_L alone, and a bundle is a path's translates.

Source: Lakshminarayanan & Singh (2020), section 2, for paths; (2021, arXiv 2110.03403) for convolutions with pooling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from npflib import checks
from npflib.architectures import GConv, VConv
from npflib.paths import MAX_PATHS, check_size

PADDINGS = ("zeros", "circular")
OFFSETS = 9  # of a 3×3 kernel, row by row


@dataclass(frozen=True)
class ConvolutionPaths:
    """All paths of a convolutional network, and which of them share their weights.

    For L convolutions, D hidden dense layers, P paths and B bundles, int64: ``channels`` [P, L + 1], i_0, …, i_L;
    ``positions`` [P, L + 1], u_0, …, u_L, numbered row by row; ``offsets`` [P, L], which of the nine entries of the
    kernel leads from u_l to u_{l-1}; ``units`` [P, D], that of each hidden dense layer; and ``bundles`` [P], the number
    of the bundle that a path belongs to, 0, …, B - 1.

    Example:
        >>> from npflib.theory.convolution.paths import VConv, enumerate_paths
        >>> paths = enumerate_paths(VConv(in_channels=1, image_size=2, channels=(1,), dense=(1,)))
        >>> paths.positions.T  # four output positions, each sees four input positions
        tensor([[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3],
                [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]])
    """

    arch: VConv | GConv
    channels: Tensor
    positions: Tensor
    offsets: Tensor
    units: Tensor
    bundles: Tensor

    def __len__(self) -> int:
        return len(self.channels)

    @property
    def bundle_count(self) -> int:
        """B, the number of bundles, of different sets of weights, one in each layer, that some path has."""
        return int(self.bundles.max()) + 1


def enumerate_paths(arch: VConv | GConv, padding: str = "zeros", limit: int = MAX_PATHS) -> ConvolutionPaths:
    """All paths of a convolutional network, by output position, then offsets, channels and units; biases play no part.

    With padding "zeros" paths that leave the image are dropped, with "circular" positions wrap around. More than
    ``limit`` candidates, positions · 9^L · Π channels · Π units, are a ValueError.

    Example:
        >>> from npflib.theory.convolution.paths import GConv, enumerate_paths
        >>> arch = GConv(in_channels=1, image_size=2, channels=(1,), dense=(1,))
        >>> paths = enumerate_paths(arch)  # 4 output positions see 4 input positions each, by 9 different offsets
        >>> len(paths), paths.bundle_count
        (16, 9)
    """
    checks.instance(arch, "a convolutional architecture", VConv, GConv)
    checks.one_of(padding, "padding", PADDINGS)
    size, depth = arch.image_size, len(arch.channels)
    choices = [size**2, *[OFFSETS] * depth, arch.in_channels, *arch.channels, *arch.dense]
    if prod(choices) > checks.number(limit, "limit"):
        mend = "Use a smaller network, or flattened_path_kernel and pooled_path_kernel, which list none"
        raise ValueError(f"{arch} has up to {prod(choices):,} paths, more than the {limit:,} that are listed. {mend}.")
    every = torch.cartesian_prod(*map(torch.arange, choices))
    last, offsets, channels, units = every.split([1, depth, depth + 1, len(arch.dense)], dim=1)
    rows, columns, inside = [last[:, 0] // size], [last[:, 0] % size], torch.ones(len(every), dtype=torch.bool)
    for layer in reversed(range(depth)):
        row, column = rows[0] + offsets[:, layer] // 3 - 1, columns[0] + offsets[:, layer] % 3 - 1
        inside &= (row >= 0) & (row < size) & (column >= 0) & (column < size)
        rows.insert(0, row % size)
        columns.insert(0, column % size)
    kept = inside if padding == "zeros" else torch.ones_like(inside)
    positions = torch.stack(rows, 1) * size + torch.stack(columns, 1)
    # The weights on a path: kernel entries and units always, the output position only where the outputs are flattened.
    weights_of = every[kept] if isinstance(arch, VConv) else every[kept, 1:]
    bundles = torch.unique(weights_of, dim=0, return_inverse=True)[1]
    return ConvolutionPaths(arch, channels[kept], positions[kept], offsets[kept], units[kept], bundles)


def neural_path_feature(x: Tensor, gates: Sequence[Tensor], paths: ConvolutionPaths) -> Tensor:
    """Neural path feature φ_x(p) = x[i_0, u_0] · Π_l G_x(l)[i_l, u_l] · Π (gates of its dense units), one a path.

    A global average pool weighs each of the s² positions by 1/s²; that fixed factor is counted in the feature. For
    images [n, c, s, s] and gates, L tensors [n, c_l, s, s], then D tensors [n, w], hard or soft: [n, P].

    Example:
        >>> import torch
        >>> from npflib.theory.convolution.paths import GConv, enumerate_paths, neural_path_feature
        >>> paths = enumerate_paths(GConv(in_channels=1, image_size=1, channels=(2,), dense=(1,)))
        >>> gates = [torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), torch.ones(1, 1)]
        >>> neural_path_feature(torch.full((1, 1, 1, 1), 5.0), gates, paths)  # the second channel is closed
        tensor([[5., 0.]])
    """
    arch = paths.arch
    square = (arch.image_size, arch.image_size)
    expected = [(arch.in_channels, *square), *[(c, *square) for c in arch.channels], *[(w,) for w in arch.dense]]
    given = [checks.tensor(x, "inputs"), *checks.tensors(gates, "gates of hidden layer {}")]
    if [tuple(g.shape) for g in given] != [(len(x), *shape) for shape in expected]:
        shapes = f"{[('n', *shape) for shape in expected]}; got {[tuple(g.shape) for g in given]}"
        raise ValueError(f"inputs and gates must have the shapes {shapes}.")
    check_size(len(x), len(paths), MAX_PATHS)
    feature = torch.ones(len(x), len(paths), dtype=x.dtype)
    for factor, channel, position in zip(given, paths.channels.T, paths.positions.T, strict=False):
        feature = feature * factor.flatten(2)[:, channel, position]
    for factor, unit in zip(given[-len(arch.dense) :], paths.units.T, strict=True):
        feature = feature * factor[:, unit]
    return feature / arch.image_size**2 if isinstance(arch, GConv) else feature


def neural_path_value(weights: Sequence[Tensor], paths: ConvolutionPaths) -> Tensor:
    """Neural path value v(p) [P, C]: the product of the path's weights, one in each layer, a column for each output.

    Paths of one bundle have the same value. ⟨φ_x, v⟩ is the network's output behind the given gates. Weights are L
    kernels [out, in, 3, 3], then D + 1 matrices [out, in], as ``network.weights`` gives them.

    Example:
        >>> import torch
        >>> from npflib.theory.convolution.paths import GConv, enumerate_paths, neural_path_value
        >>> paths = enumerate_paths(GConv(in_channels=1, image_size=1, channels=(2,), dense=(1,)))
        >>> kernels = torch.tensor([2.0, 3.0]).view(2, 1, 1, 1).expand(2, 1, 3, 3)
        >>> neural_path_value([kernels, torch.tensor([[1.0, 10.0]]), torch.tensor([[7.0]])], paths).T  # 2·1·7, 3·10·7
        tensor([[ 14., 210.]])
    """
    arch = paths.arch
    depth = len(arch.channels)
    shapes = [tuple(weight.shape) for weight in checks.tensors(weights, "weights of layer {}")]
    expected = [layer.shape for layer in arch.layers()[:-1]]
    outputs = shapes[-1][0] if shapes and shapes[-1] else 0
    if shapes != [*expected, (outputs, arch.dense[-1])]:
        raise ValueError(f"weights must have the shapes {[*expected, ('C', arch.dense[-1])]}; got {shapes}.")
    value = weights[-1][:, paths.units[:, -1]].T
    for layer, weight in enumerate(weights[:depth]):
        entry = weight.flatten(2)[paths.channels[:, layer + 1], paths.channels[:, layer], paths.offsets[:, layer]]
        value = value * entry[:, None]
    below = paths.channels[:, -1]
    if isinstance(arch, VConv):
        below = below * arch.image_size**2 + paths.positions[:, -1]
    for unit, weight in zip(paths.units.T, weights[depth:-1], strict=False):
        value = value * weight[unit, below, None]
        below = unit
    return value


def bundle_feature(feature: Tensor, paths: ConvolutionPaths) -> Tensor:
    """φ_x(b) = Σ_{p ∈ b} φ_x(p): what one set of weights is multiplied by in the output, [n, B], from φ_x [n, P].

    Then ŷ(x) = Σ_b φ_x(b) v(b), and no two bundles have the same weights in every layer, just as no two paths of a
    fully connected network have. So the fixed-gate theorem holds with bundles in the place of paths.

    Example:
        >>> import torch
        >>> from npflib.theory.convolution.paths import GConv, bundle_feature, enumerate_paths
        >>> paths = enumerate_paths(GConv(in_channels=1, image_size=2, channels=(1,), dense=(1,)))
        >>> bundle_feature(torch.ones(1, 16), paths)  # corner offsets fit once, edges twice, the centre four times
        tensor([[1., 2., 1., 2., 4., 2., 1., 2., 1.]])
    """
    if checks.tensor(feature, "features").ndim != 2 or feature.shape[1] != len(paths):
        raise ValueError(f"features must be [n, {len(paths)}], one a path; got {tuple(feature.shape)}.")
    return feature.new_zeros(len(feature), paths.bundle_count).index_add_(1, paths.bundles, feature)
