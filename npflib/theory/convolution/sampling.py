"""Value kernels of convolutional networks behind fixed gates, many weight draws at once: the theorem by sampling.

Source: Lakshminarayanan & Singh (2020), section 5 (Claim 4), for fully connected networks. Its proof uses that a path
is known by its weights. With shared weights a *bundle* of paths is (``convolution.enumerate_paths``), so with H the
Gram matrix of bundle features E[K_value] = d σ^{2(d-1)} H holds for convolutions too, d the number of weight layers.
Scalar output, no biases; weights by ``fixed_gates.draw_weights``. Shapes: R draws, n inputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn.functional import conv2d, pad, unfold

from npflib import checks
from npflib.architectures import GConv, VConv
from npflib.theory.convolution.paths import PADDINGS


def output(
    arch: VConv | GConv, x: Tensor, gates: Sequence[Tensor], weights: Sequence[Tensor], padding: str = "zeros"
) -> Tensor:
    """ŷ [n] of images [n, c, s, s], for one setting of the weights behind fixed gates.

    Gates are [n, c_l, s, s] for every convolution, then [n, w] for every hidden dense layer, weights d tensors of
    ``fixed_gates.weight_shapes``, with shared kernels or without; padding is "zeros" or "circular".

    Example:
        >>> import torch
        >>> from npflib.theory.convolution.sampling import GConv, output
        >>> arch = GConv(in_channels=1, image_size=1, out_features=1, bias=False, channels=(1,), dense=(1,))
        >>> weights = [torch.full((1, 1, 3, 3), 2.0), torch.tensor([[3.0]]), torch.tensor([[5.0]])]
        >>> output(arch, torch.ones(1, 1, 1, 1), [torch.ones(1, 1, 1, 1), torch.ones(1, 1)], weights)  # 2 · 3 · 5
        tensor([30.])
    """
    checks.one_of(padding, "padding", PADDINGS)
    depth = len(arch.channels) + len(arch.dense)
    if len(gates) != depth or len(weights) != depth + 1:
        raise ValueError(f"{arch} needs {depth} gates and {depth + 1} weights; got {len(gates)} and {len(weights)}.")
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
    """K_value of every draw, [R, n, n], from the gradients of ``output`` by automatic differentiation.

    Arguments as for ``output``, but d weight tensors [R, …], as ``fixed_gates.draw_weights`` gives them. Draws are
    taken ``chunk`` at a time; each takes n gradients.

    Example:
        >>> import torch
        >>> from npflib.theory.convolution.sampling import GConv, value_kernels
        >>> arch = GConv(in_channels=1, image_size=1, out_features=1, bias=False, channels=(1,), dense=(1,))
        >>> weights = [torch.full((1, 1, 1, 3, 3), 2.0), torch.tensor([[[3.0]]]), torch.tensor([[[5.0]]])]
        >>> gates = [torch.ones(1, 1, 1, 1), torch.ones(1, 1)]
        >>> value_kernels(arch, torch.ones(1, 1, 1, 1), gates, weights)  # (3·5)² + (2·5)² + (2·3)²
        tensor([[[361.]]])
    """

    def one(parameters: list[Tensor], example: Tensor, *own: Tensor) -> Tensor:
        return output(arch, example[None], [gate[None] for gate in own], parameters, padding)[0]

    gradients = vmap(vmap(grad(one), (None, 0, *(0 for _ in gates))), (0, None, *(None for _ in gates)))
    checks.whole(chunk, "chunk", "draws")
    kernels = []
    for some in zip(*(weight.split(chunk) for weight in weights), strict=True):
        flat = torch.cat([part.flatten(2) for part in gradients(list(some), x, *gates)], 2)
        kernels.append(flat @ flat.mT)
    return torch.cat(kernels)
