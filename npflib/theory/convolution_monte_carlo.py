"""Value kernels of convolutional networks behind fixed gates, many weight draws at once: the theorem by sampling.

Source: Lakshminarayanan & Singh (2020), section 5 (Claim 4), for fully connected networks. Its proof uses that a path
is known by its weights. With shared weights a *bundle* of paths is (``convolution_paths``), so with H the Gram
matrix of bundle features E[K_value] = d σ^{2(d-1)} H holds for convolutions too, d the number of weight layers.
Scalar output, no biases. Shapes: R draws, n inputs.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor
from torch.func import grad, vmap
from torch.nn.functional import conv2d, pad, unfold

from npflib.architectures import GConv, VConv
from npflib.theory.convolution_paths import PADDINGS


def weight_shapes(arch: VConv | GConv, shared: bool = True) -> list[tuple[int, ...]]:
    """Shapes of all weights of a scalar network without biases, input side first.

    Args:
        arch: a convolutional architecture with one output and no biases.
        shared: whether a convolution has one kernel [out, in, 3, 3], or one for each position, [out, in, 3, 3, s²]
            (a locally connected layer).

    Raises:
        ValueError: an architecture with biases or several outputs.

    Example:
        >>> from npflib.theory.convolution_monte_carlo import GConv, weight_shapes
        >>> arch = GConv(in_channels=1, image_size=4, out_features=1, bias=False, channels=(2,), dense=(3,))
        >>> weight_shapes(arch)
        [(2, 1, 3, 3), (3, 2), (1, 3)]
    """
    if not isinstance(arch, VConv | GConv) or arch.bias or arch.out_features != 1:
        raise ValueError(f"the theorem is about networks with bias=False and out_features=1; got {arch}.")
    own = () if shared else (arch.image_size**2,)
    kernels = [(out, into, 3, 3, *own) for into, out in pairwise((arch.in_channels, *arch.channels))]
    flat = arch.channels[-1] * (arch.image_size**2 if isinstance(arch, VConv) else 1)
    return kernels + [(out, into) for into, out in pairwise((flat, *arch.dense, 1))]


def draw_weights(
    arch: VConv | GConv,
    draws: int,
    sigma: float,
    generator: Generator | None = None,
    *,
    shared: bool = True,
    dtype: torch.dtype = torch.float32,
) -> list[Tensor]:
    """Independent draws of all weights, each -σ or +σ with probability ½.

    Args:
        arch: a convolutional architecture with one output and no biases.
        draws: R ≥ 1.
        sigma: σ > 0.
        generator: source of randomness; None is torch's global one.
        shared: see ``weight_shapes``.
        dtype: floating type of the weights.

    Returns:
        d tensors [R, …], input side first.

    Raises:
        ValueError: see ``weight_shapes``; or R < 1, or σ not positive.

    Example:
        >>> from npflib.theory.convolution_monte_carlo import GConv, draw_weights
        >>> arch = GConv(in_channels=1, image_size=4, out_features=1, bias=False, channels=(2,), dense=(3,))
        >>> [tuple(weight.shape) for weight in draw_weights(arch, draws=5, sigma=0.5)]
        [(5, 2, 1, 3, 3), (5, 3, 2), (5, 1, 3)]
    """
    if draws < 1 or not sigma > 0:
        raise ValueError(f"draws must be at least 1 and sigma positive; got {draws!r} and {sigma!r}.")
    return [
        sigma * (2 * torch.randint(0, 2, (draws, *shape), generator=generator, dtype=dtype) - 1)
        for shape in weight_shapes(arch, shared)
    ]


def every_sign_pattern(arch: VConv | GConv, sigma: float, limit: int = 18) -> list[Tensor]:
    """The whole law of the weights ±σ of a tiny network: 2^(N-d) settings whose mean is that over all 2^N.

    Turning every sign of one layer turns the sign of whole gradients and leaves K_value as it is. So the first sign
    of each of the d layers stays, and the other N - d take all their values.

    Args:
        arch: a convolutional architecture with one output and no biases.
        sigma: size of the weights.
        limit: the largest N - d to list.

    Returns:
        d tensors [2^(N-d), …], float64, input side first.

    Raises:
        ValueError: see ``weight_shapes``; or more free weights than the limit.

    Example:
        >>> from npflib.theory.convolution_monte_carlo import GConv, every_sign_pattern
        >>> arch = GConv(in_channels=1, image_size=2, out_features=1, bias=False, channels=(1,), dense=(1,))
        >>> len(every_sign_pattern(arch, sigma=1.0)[0])  # nine kernel entries, one of them kept; two single weights
        256
    """
    shapes = weight_shapes(arch)
    sizes = [torch.Size(shape).numel() for shape in shapes]
    free = sum(sizes) - len(sizes)
    if free > limit:
        raise ValueError(f"{free} free weights have 2^{free} sign patterns; at most {limit} are listed.")
    bits = torch.arange(2**free)[:, None].bitwise_right_shift(torch.arange(free)) & 1
    signs = sigma * (2 * bits.double() - 1)
    parts = signs.split([size - 1 for size in sizes], dim=1)
    first = torch.full((2**free, 1), sigma, dtype=torch.float64)
    return [torch.cat([first, part], 1).view(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


def output(
    arch: VConv | GConv, x: Tensor, gates: Sequence[Tensor], weights: Sequence[Tensor], padding: str = "zeros"
) -> Tensor:
    """ŷ of one setting of the weights behind fixed gates, [n].

    Args:
        arch: says what stands between the convolutions and the dense layers: a flatten (VConv) or a pool (GConv).
        x: images [n, c, s, s].
        gates: [n, c_l, s, s] for every convolution, then [n, w] for every hidden dense layer.
        weights: d tensors of ``weight_shapes``, with shared kernels or without.
        padding: "zeros" or "circular".

    Raises:
        ValueError: an unknown padding, or numbers of gates and weights that do not match.

    Example:
        >>> import torch
        >>> from npflib.theory.convolution_monte_carlo import GConv, output
        >>> arch = GConv(in_channels=1, image_size=1, out_features=1, bias=False, channels=(1,), dense=(1,))
        >>> weights = [torch.full((1, 1, 3, 3), 2.0), torch.tensor([[3.0]]), torch.tensor([[5.0]])]
        >>> output(arch, torch.ones(1, 1, 1, 1), [torch.ones(1, 1, 1, 1), torch.ones(1, 1)], weights)  # 2 · 3 · 5
        tensor([30.])
    """
    if padding not in PADDINGS:
        raise ValueError(f"unknown padding {padding!r}; allowed: {', '.join(map(repr, PADDINGS))}.")
    depth = len(arch.channels) + len(arch.dense)
    if len(gates) != depth or len(weights) != depth + 1:
        raise ValueError(
            f"{arch} needs {depth} gate and {depth + 1} weight tensors; got {len(gates)} and {len(weights)}."
        )
    z = x
    for layer, (gate, weight) in enumerate(zip(gates, weights, strict=False)):
        if layer < len(arch.channels):
            z = pad(z, (1, 1, 1, 1), mode="constant" if padding == "zeros" else "circular")
            if weight.ndim == 4:
                z = conv2d(z, weight)
            else:
                windows = unfold(z, 3)  # [n, in · 9, s²]
                z = torch.einsum("nkp,okp->nop", windows, weight.flatten(1, 3)).view_as(gate)
        else:
            if layer == len(arch.channels):
                z = z.flatten(1) if isinstance(arch, VConv) else z.mean((2, 3))
            z = z @ weight.T
        z = z * gate
    return (z @ weights[-1].T)[:, 0]


def value_kernels(
    arch: VConv | GConv,
    x: Tensor,
    gates: Sequence[Tensor],
    weights: Sequence[Tensor],
    padding: str = "zeros",
    *,
    chunk: int = 64,
) -> Tensor:
    """K_value of every draw, from the gradients of ``output`` by automatic differentiation.

    Args:
        arch, x, gates, padding: see ``output``; all draws share the gates.
        weights: d tensors [R, …], as ``draw_weights`` gives them.
        chunk: draws at a time; each takes n gradients.

    Returns:
        [R, n, n].

    Raises:
        ValueError: see ``output``.

    Example:
        >>> import torch
        >>> from npflib.theory.convolution_monte_carlo import GConv, value_kernels
        >>> arch = GConv(in_channels=1, image_size=1, out_features=1, bias=False, channels=(1,), dense=(1,))
        >>> weights = [torch.full((1, 1, 1, 3, 3), 2.0), torch.tensor([[[3.0]]]), torch.tensor([[[5.0]]])]
        >>> gates = [torch.ones(1, 1, 1, 1), torch.ones(1, 1)]
        >>> value_kernels(arch, torch.ones(1, 1, 1, 1), gates, weights)  # (3·5)² + (2·5)² + (2·3)²
        tensor([[[361.]]])
    """

    def one(parameters: list[Tensor], example: Tensor, *own: Tensor) -> Tensor:
        return output(arch, example[None], [gate[None] for gate in own], parameters, padding)[0]

    gradients = vmap(vmap(grad(one), (None, 0, *(0 for _ in gates))), (0, None, *(None for _ in gates)))
    kernels = []
    for start in range(0, len(weights[0]), chunk):
        some = [weight[start : start + chunk] for weight in weights]
        flat = torch.cat([part.flatten(2) for part in gradients(some, x, *gates)], 2)
        kernels.append(flat @ flat.mT)
    return torch.cat(kernels)
