"""The exact variance of the value kernel's diagonal behind fixed hard gates, at every width.

For one input, fixed hard gates leave a deep *linear* network of the open units: m_1, …, m_{d-1} of them. Its weights
are independent with mean 0, variance σ² and E[θ⁴] = κ σ⁴ (κ = 1 for ±σ, 3 for Gaussian weights). With z(l) coming up
and δ(l) going down, K(s, s) = Σ_l ‖z(l-1)‖² ‖δ(l)‖², and E[K²] is a sum over pairs of layers l ≤ k::

    l = k   E[‖z(l-1)‖⁴] · E[‖δ(l)‖⁴]
    l < k   E[‖z(l-1)‖⁴] · E[‖M‖_F⁴] · E[‖δ(k)‖⁴],   M = Θ(k-1) ⋯ Θ(l+1) (the identity if k = l + 1),

because given what lies below, z(l) has covariance σ² ‖z(l-1)‖² I, and likewise δ(k-1). Each factor is a product of
small linear recursions over layers, all from one identity for a row θ of weights: E[(θᵀ S θ)²] = σ⁴ ((tr S)² + 2 tr S²
+ (κ - 3) Σ_j S_jj²). Our own derivation; the paper gives a bound (Claim 4). Hanin & Nica (2020), "Finite depth and
width corrections to the neural tangent kernel", find moments of the same kind for ReLU networks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

KURTOSIS = {"signed": 1.0, "gaussian": 3.0}


def relative_variance(x: Tensor, gates: Sequence[Tensor], law: str = "signed") -> Tensor:
    """Var[K_value(s, s)] / E[K_value(s, s)]² of a scalar network with fixed hard gates, exact at finite width.

    It depends on neither σ nor the size of the input.

    Args:
        x: inputs [n, d_in].
        gates: d - 1 tensors [n, w_l] of zeros and ones, independent of the weights.
        law: "signed" or "gaussian".

    Returns:
        float64 [n]; not a number for an input that no path lets through.

    Raises:
        ValueError: unknown law, or gates that are not zeros and ones.

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_variance import relative_variance
        >>> x, gates = torch.ones(1, 2), [torch.ones(1, 1)]  # K = (±1 ± 1)² + 2: 2 or 6, mean 4, variance 4
        >>> relative_variance(x, gates)
        tensor([0.2500], dtype=torch.float64)
    """
    for layer, gate in enumerate(gates, start=1):
        if not ((gate == 0) | (gate == 1)).all():
            raise ValueError(f"gates of hidden layer {layer} must be hard, 0 or 1: the formula counts open units.")
    active = [gate.sum(1, dtype=torch.float64) for gate in gates]
    x = x.double()
    concentration = x.pow(4).sum(1) / x.square().sum(1).square()
    return relative_variance_of(active, concentration, law)


def relative_variance_of(
    active: Sequence[Tensor | float], concentration: Tensor | float, law: str = "signed"
) -> Tensor:
    """The same from what it depends on.

    Args:
        active: numbers of open units m_1, …, m_{d-1}, each a number or a tensor of the common shape.
        concentration: Σ_j x_j⁴ / (Σ_j x_j²)², between 1/d_in and 1.
        law: "signed" or "gaussian".

    Returns:
        float64, of the common shape.

    Example:
        >>> from npflib.theory.kernel_variance import relative_variance_of
        >>> relative_variance_of([1.0], concentration=0.5)  # the example of ``relative_variance``
        tensor(0.2500, dtype=torch.float64)
    """
    if law not in KURTOSIS:
        raise ValueError(f"unknown law {law!r} of the weights; allowed: {', '.join(KURTOSIS)}.")
    excess = KURTOSIS[law] - 3
    m = [torch.as_tensor(count, dtype=torch.float64) for count in active]
    q = torch.as_tensor(concentration, dtype=torch.float64)
    one = torch.ones_like(q)
    depth = len(m) + 1
    # σ = ‖x‖ = 1, and every factor divided by its mean's square as it is formed, so that nothing overflows.
    ups = _vector_moments(m, q, excess)
    downs = _vector_moments(m[::-1], one, excess)[::-1]
    total = sum(ups[k] * downs[k] for k in range(depth))
    for low in range(depth - 1):
        # The matrix M between layers low and high, both counted from 0; it starts as the identity of m[low] units.
        a, b, c = one, 1 / m[low], 1 / m[low]
        for high in range(low + 1, depth):
            if high > low + 1:
                row = a + 2 * b + excess * c
                rows = m[high - 1]
                a, b, c = a + (row - a) / rows, b + (row - b) / rows, row / rows
            total = total + 2 * ups[low] * a * downs[high]
    return torch.as_tensor(total / depth**2 - 1)


def wide_limit(depth: int, concentration: float, law: str = "signed") -> float:
    """The limit of m · Var[K(s, s)] / E[K(s, s)]² as the number m of open units in every hidden layer grows.

    (2/3 · d (d-1) (2d-1) - (3-κ) (d-1)² (1 + q)) / d², with q the input's concentration: each weight layer that both
    layers of a pair share adds 2/m, less (3-κ)/m for the top layer and (3-κ) q/m for the bottom one. It grows like
    4d/3, so Var ~ 4/3 · d³ σ^{4(d-1)} m^{2(d-2)+1} ‖x‖⁴ for deep networks.

    Example:
        >>> from npflib.theory.kernel_variance import wide_limit
        >>> wide_limit(2, concentration=0.0, law="gaussian"), wide_limit(2, concentration=0.0, law="signed")
        (1.0, 0.5)
    """
    missing = 3 - KURTOSIS[law]
    pairs = 2 / 3 * depth * (depth - 1) * (2 * depth - 1) - missing * (depth - 1) ** 2 * (1 + concentration)
    return pairs / depth**2


def _vector_moments(m: Sequence[Tensor], q: Tensor, excess: float) -> list[Tensor]:
    """E[‖z(l)‖⁴] / E[‖z(l)‖²]² for l = 0, …, d - 1, from z(0) with Σ z⁴ / ‖z‖⁴ = q."""
    second, fourth = torch.ones_like(q), q
    found = [second]
    for rows in m:
        row = 3 * second + excess * fourth
        second, fourth = second + (row - second) / rows, row / rows
        found.append(second)
    return found
