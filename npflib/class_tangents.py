"""How the gradients of a network's outputs lie to one another at one input: all per-example tangent kernels at once.

With J_x [C, parameters] the Jacobian of the C outputs at x, the matrix M_x = J_x J_xᵀ [C, C] gives the diagonal entry
K(x, x) of the tangent kernel of *any* function of the outputs: for f(ŷ) with gradient g, it is gᵀ M_x g. So of one
class, of a sum of classes, and, with S = diag p - p pᵀ the Jacobian of the softmax p, of probabilities.
"""

import torch
from torch import Tensor

from npflib.kernels import PARTS
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.tangent_signals import tangent_signals


@torch.no_grad()
def class_gram(network: ReLUNetwork | DeepGatedNetwork, x: Tensor, part: str = "all") -> Tensor:
    """M_x = J_x J_xᵀ for every input; no Jacobian is formed.

    A layer's gradient is (signal coming back) ⊗ (signal going in), so M_x = Σ_l (‖z_x(l-1)‖² + b_l) Δ_x(l) Δ_x(l)ᵀ,
    with Δ_x(l) [C, w_l] the signals coming back from the C outputs and b_l = 1 where layer l has biases.

    Args:
        network: a fully connected ``ReLUNetwork`` or ``DeepGatedNetwork``.
        x: inputs [n, …], of the network's floating type.
        part: "all", "value" or "gate" parameters.

    Returns:
        [n, C, C], symmetric. Its trace over the classes is the diagonal of ``kernels.neural_tangent_kernel``.

    Raises:
        ValueError: unknown part.

    Example:
        >>> import torch
        >>> from npflib.class_tangents import class_gram
        >>> from npflib.networks import FullyConnected, ReLUNetwork
        >>> line = ReLUNetwork(FullyConnected(depth=1, width=1, in_features=2, out_features=2, bias=False))
        >>> class_gram(line, torch.tensor([[1.0, 2.0]]))  # ŷ = Θ x: outputs share no weight, each has |x|² = 5
        tensor([[[5., 0.],
                 [0., 5.]]])
    """
    if part not in PARTS:
        raise ValueError(f"unknown part {part!r} of the tangent kernel; allowed: {', '.join(PARTS)}.")
    outputs = len(network.weights[-1])
    found = x.new_zeros(len(x), outputs, outputs)
    for layer in tangent_signals(network, x, part):
        size = layer.forward.square().sum(1) + layer.bias
        backward = layer.backward.unflatten(1, (outputs, -1))
        found += size[:, None, None] * (backward @ backward.mT)
    return found


def softmax_jacobian(logits: Tensor) -> Tensor:
    """S = diag p - p pᵀ [n, C, C] of p = softmax(logits [n, C]). Its rows sum to zero, as Σ_c p_c = 1.

    Example:
        >>> import torch
        >>> from npflib.class_tangents import softmax_jacobian
        >>> softmax_jacobian(torch.zeros(1, 2))  # p = (½, ½)
        tensor([[[ 0.2500, -0.2500],
                 [-0.2500,  0.2500]]])
    """
    p = torch.softmax(logits, 1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
