"""The fixed-gate theorem: the value kernel behind gates that do not move, its mean by sampling and its exact variance.

Source: Lakshminarayanan & Singh (2020), Claim 4: with gates fixed and independent of the value network's
weights, and those independent of each other with mean 0 and variance σ², E[K_value] = d σ^{2(d-1)} H at every width.
Scalar output, no biases: other architectures are a ValueError. Shapes: R draws, n inputs x [n, d_in], d weight layers,
w units in each hidden layer, d - 1 gates [n, w]; σ is the standard deviation of every weight, ``law`` "signed" (-σ or
+σ with probability ½ each: the theorem's assumption) or "gaussian", ``generator`` None torch's global one. Weights are
drawn for convolutional networks too, whose value kernels are in ``npflib.theory.convolution``.

**The exact variance of the diagonal**, behind fixed hard gates, at every width. For one input, they leave a deep
*linear* network of the open units: m_1, …, m_{d-1} of them. Its weights are independent with mean 0, variance σ² and
E[θ⁴] = κ σ⁴ (κ = 1 for ±σ, 3 for Gaussian weights). With z(l) coming up and δ(l) going down, K(s, s) =
Σ_l ‖z(l-1)‖² ‖δ(l)‖², and E[K²] is a sum over pairs of layers l ≤ k::

    l = k   E[‖z(l-1)‖⁴] · E[‖δ(l)‖⁴]
    l < k   E[‖z(l-1)‖⁴] · E[‖M‖_F⁴] · E[‖δ(k)‖⁴],   M = Θ(k-1) ⋯ Θ(l+1) (the identity if k = l + 1),

because given what lies below, z(l) has covariance σ² ‖z(l-1)‖² I, and likewise δ(k-1). Each factor is a product of
small linear recursions over layers, all from one identity for a row θ of weights: E[(θᵀ S θ)²] = σ⁴ ((tr S)² + 2 tr S²
+ (κ - 3) Σ_j S_jj²). Our own derivation; the paper gives a bound (Claim 4). Hanin & Nica (2020), "Finite depth and
width corrections to the neural tangent kernel", find moments of the same kind for ReLU networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import torch
from torch import Generator, Tensor
from torch.nn.functional import embedding

from npflib import checks, kernels
from npflib.architectures import ConvLayer, FullyConnected
from npflib.gates import hard_gate
from npflib.initialisation import gaussian_
from npflib.networks import Architecture

KURTOSIS = {"signed": 1.0, "gaussian": 3.0}
MAX_NUMBERS = 4_000_000  # weights held at once: small enough to stay near the processor, large enough to batch


def weight_shapes(arch: Architecture, shared: bool = True) -> list[tuple[int, ...]]:
    """Shapes of all weights of a scalar network without biases, input side first.

    A convolution has a kernel [out, in, 3, 3]; locally connected, not ``shared``, [out, in, 3, 3, s²], one a position.

    Example:
        >>> from npflib.architectures import GConv
        >>> from npflib.theory.fixed_gates import weight_shapes
        >>> arch = GConv(in_channels=1, image_size=4, out_features=1, bias=False, channels=(2,), dense=(3,))
        >>> weight_shapes(arch)
        [(2, 1, 3, 3), (3, 2), (1, 3)]
    """
    if not isinstance(arch, Architecture) or arch.bias or arch.out_features != 1:
        raise ValueError(f"the theorem is about networks with bias=False and out_features=1; got {arch}.")
    checks.flag(shared, "shared")
    own = () if shared or isinstance(arch, FullyConnected) else (arch.image_size**2,)
    return [(*layer.shape, *(own if isinstance(layer, ConvLayer) else ())) for layer in arch.layers()]


def draw_weights(
    arch: Architecture, draws: int, sigma: float, law: str = "signed", generator: Generator | None = None,
    dtype: torch.dtype = torch.float32, *, shared: bool = True,
) -> list[Tensor]:  # fmt: skip
    """R independent draws of all weights of a scalar network: d tensors [R, …] of ``weight_shapes``.

    Example:
        >>> from npflib.theory.fixed_gates import FullyConnected, draw_weights
        >>> arch = FullyConnected(depth=2, width=3, in_features=2, out_features=1, bias=False)
        >>> first, last = draw_weights(arch, draws=100, sigma=0.5)
        >>> first.shape, last.shape, first.abs().unique()
        (torch.Size([100, 3, 2]), torch.Size([100, 1, 3]), tensor([0.5000]))
    """
    checks.one_of(law, "law", KURTOSIS, "the weights")
    checks.whole(draws, "draws")
    checks.number(sigma, "sigma, the scale of the weights,")
    dtype = checks.floating(dtype, torch.empty(0))
    shapes = [(draws, *shape) for shape in weight_shapes(arch, shared)]
    if law == "signed":
        return [_signs(shape, generator, dtype).mul_(sigma) for shape in shapes]
    return [gaussian_(torch.empty(shape, dtype=dtype), sigma, generator) for shape in shapes]


def every_sign_pattern(arch: Architecture, sigma: float, limit: int = 18, *, up_to_sign: bool = False) -> list[Tensor]:
    """All 2^N ways of giving the N weights of a tiny network the values ±σ: the signed law itself, not a sample.

    With ``up_to_sign`` the first sign of each of the d layers stays, so that N - d are free. The mean over them is that
    over all: turning every sign of one layer turns whole gradients and leaves K_value as it is. d tensors [2^N, …] or
    [2^(N-d), …], float64, input side first; more free signs than the limit are a ValueError.

    Example:
        >>> from npflib.theory.fixed_gates import FullyConnected, every_sign_pattern
        >>> arch = FullyConnected(depth=1, width=1, in_features=2, out_features=1, bias=False)
        >>> every_sign_pattern(arch, sigma=1.0)[0].flatten(1).T
        tensor([[-1.,  1., -1.,  1.],
                [-1., -1.,  1.,  1.]], dtype=torch.float64)
    """
    checks.number(sigma, "sigma, the scale of the weights,")
    checks.flag(up_to_sign, "up_to_sign")
    shapes = weight_shapes(arch)
    sizes = [torch.Size(shape).numel() - up_to_sign for shape in shapes]
    free = sum(sizes)
    if free > checks.number(limit, "limit", least=0):
        raise ValueError(f"{free} free weights have 2^{free} sign patterns; at most {limit} weights are listed.")
    parts = _sign_patterns(free).double().split(sizes, dim=1)
    if up_to_sign:
        parts = [torch.cat([torch.ones(2**free, 1, dtype=torch.float64), part], 1) for part in parts]
    return [sigma * part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


def relu_gates(x: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Gates [R, n, w] that ReLU networks with these weights [R, out, in] have themselves: dependent initialisation.

    Example:
        >>> import torch
        >>> from npflib.theory.fixed_gates import relu_gates
        >>> weights = [torch.tensor([[[1.0], [-1.0]]]), torch.ones(1, 1, 2)]  # one draw
        >>> relu_gates(torch.tensor([[2.0], [-3.0]]), weights)[0]  # each of two inputs opens one of two units
        tensor([[[1., 0.],
                 [0., 1.]]])
    """
    _check(x, None, weights)
    z, gates = x, []
    for weight in weights[:-1]:
        q = torch.matmul(z, weight.mT)
        gates.append(hard_gate(q))
        z = q.relu()
    return gates


def value_kernels(x: Tensor, gates: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """K_value of every draw: Σ_l ⟨z_s(l-1), z_s'(l-1)⟩ · ⟨δ_s(l), δ_s'(l)⟩ with the gates as given.

    z(0) = x, z(l) = G(l) ∘ Θ(l) z(l-1) come up; δ(d) = 1, δ(l) = G(l) ∘ Θ(l+1)ᵀ δ(l+1) go down. It equals
    ``kernels.neural_tangent_kernel(…, part="value")`` draw by draw, all draws in one batched product a layer. The gates
    are [n, w] if the draws share them (the theorem) or [R, n, w] if each has its own (DI), the weights d tensors
    [R, out, in], the last [R, 1, w]; the result is [R, n, n].

    Example:
        >>> import torch
        >>> from npflib.theory.fixed_gates import value_kernels
        >>> weights = [torch.tensor([[[2.0]]]), torch.tensor([[[3.0]]])]  # one path: ŷ = 3 · G · 2 · x
        >>> value_kernels(torch.tensor([[1.0]]), [torch.ones(1, 1)], weights)  # 2² + 3²
        tensor([[[13.]]])
    """
    _check(x, gates, weights)
    forwards = [x]
    for gate, weight in zip(gates, weights, strict=False):
        forwards.append(torch.matmul(forwards[-1], weight.mT) * gate)
    kernel = forwards[-1] @ forwards[-1].mT  # the last layer: δ(d) = 1
    delta = weights[-1]  # [R, 1, w]: what arrives at every input's last hidden outputs
    for layer in reversed(range(len(gates))):
        delta = delta * gates[layer]
        kernel = kernel + (forwards[layer] @ forwards[layer].mT) * (delta @ delta.mT)
        if layer:
            delta = delta @ weights[layer]
    return kernel.expand(len(weights[0]), -1, -1)


def expected_value_kernel(x: Tensor, gates: Sequence[Tensor], sigma: float) -> Tensor:
    """The theorem's E[K_value] = d σ^{2(d-1)} H, float64 [n, n], for gates, hard or soft, independent of the weights.

    Example:
        >>> import torch
        >>> from npflib.theory.fixed_gates import expected_value_kernel
        >>> x, gates = torch.tensor([[1.0, 2.0]]), [torch.tensor([[1.0, 1.0, 0.0]])]
        >>> expected_value_kernel(x, gates, sigma=3.0)  # d = 2, σ² = 9, H = 5 · 2
        tensor([[180.]], dtype=torch.float64)
    """
    gates = list(gates)
    return scaled(kernels.neural_path_kernel(x, gates, dtype=torch.float64), len(gates) + 1, sigma)


def scaled(path_kernel: Tensor, depth: int, sigma: float) -> Tensor:
    """d σ^{2(d-1)} H; a ValueError where it is beyond the range of float64, or σ vanishes in it.

    Example:
        >>> import torch
        >>> from npflib.theory.fixed_gates import scaled
        >>> scaled(torch.tensor([[10.0]]), depth=2, sigma=3.0)
        tensor([[180.]])
    """
    checks.number(sigma, "sigma, the scale of the weights,")
    checks.whole(depth, "depth")
    try:
        factor = depth * float(sigma) ** (2 * (depth - 1))
    except OverflowError:
        factor = inf
    kernel = factor * checks.tensor(path_kernel, "the path kernel")
    if not factor or not bool(kernel.isfinite().all()):
        what = f"d σ^(2(d-1)) H of the scale sigma = {sigma:.3g} and depth d = {depth}"
        raise ValueError(f"{what} is beyond the range of float64: take sigma near sqrt(2 / width), or fewer layers.")
    return kernel


@dataclass(frozen=True)
class Deviations:
    """How far the value kernels of R draws lie from the expected one E; all relative, so free of units.

    Draws come in B groups of equal size. A group has one set of gates, so one E; ‖·‖ is the Frobenius norm. ``bias``
    [R] is ⟨K - E, E⟩ / ‖E‖², of mean 0 if the theorem's mean is right, ``spread`` [R] is ‖K - E‖² / ‖E‖². Of a group,
    ``means`` [B, n, n] is the mean of n (K - E) / ‖E‖, ``diagonal`` [B, n] that of (K(s,s) / E(s,s) - 1)², not a number
    where E(s,s) = 0, and ``predicted`` [B, n] what that should be, if the sampler was given a prediction; else empty.

    Example:
        >>> import torch
        >>> from npflib.theory.fixed_gates import FullyConnected, sample
        >>> arch = FullyConnected(depth=2, width=3, in_features=2, out_features=1, bias=False)
        >>> sample(arch, torch.ones(4, 2), lambda group: [torch.ones(4, 3)], groups=5, draws=10, sigma=1.0).means.shape
        torch.Size([5, 4, 4])
    """

    bias: Tensor
    spread: Tensor
    means: Tensor
    diagonal: Tensor
    predicted: Tensor


def sample(
    arch: FullyConnected, x: Tensor, gates_of: Callable[[int], Sequence[Tensor]], groups: int, draws: int, sigma: float,
    law: str = "signed", generator: Generator | None = None,
    predict: Callable[[Sequence[Tensor]], Tensor] | None = None,
) -> Deviations:  # fmt: skip
    """Draws value kernels behind fixed gates and compares them with the theorem's mean.

    ``gates_of`` gives group 0 ≤ b < B = ``groups`` its gates, the same for all or not; they must let some path through,
    and come from another generator than the weights. Each group has ``draws`` draws. ``predict`` gives, for gates, the
    predicted relative variance of K(s, s), [n].

    Example:
        >>> import torch
        >>> from npflib.theory.fixed_gates import FullyConnected, sample
        >>> arch = FullyConnected(depth=2, width=2, in_features=1, out_features=1, bias=False)
        >>> found = sample(arch, torch.ones(1, 1), lambda group: [torch.ones(1, 2)], groups=2, draws=5, sigma=1.0)
        >>> found.spread.max().item()  # weights ±1 on one input node: K = 2 + 2 whatever the signs
        0.0
    """
    checks.tensor(x, "inputs", "[n, d_in]", 2, kind="floating")
    found = []
    for group in range(checks.whole(groups, "groups")):
        gates = gates_of(group)
        expected = expected_value_kernel(x, gates, sigma)
        norm = torch.linalg.matrix_norm(expected)
        if norm == 0:
            raise ValueError(f"the gates of group {group} let no path through for any input, so H = 0: widen the net.")
        if not torch.finfo(x.dtype).tiny < norm < torch.finfo(x.dtype).max:
            raise ValueError(f"kernels of the scale sigma = {sigma:.3g} are beyond {x.dtype}: nearer sqrt(2 / width).")
        batches = (draw_weights(arch, count, sigma, law, generator, x.dtype) for count in _batches(arch, draws))
        relative = (torch.cat([value_kernels(x, gates, batch) for batch in batches]).double() - expected) / norm
        diagonal = relative.diagonal(dim1=1, dim2=2) / (expected.diagonal() / norm)
        found.append(
            (
                (relative * (expected / norm)).sum((1, 2)),
                relative.square().sum((1, 2)),
                len(x) * relative.mean(0)[None],
                diagonal.square().mean(0)[None],
                torch.empty(1, 0) if predict is None else predict(gates)[None],
            )
        )
    return Deviations(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def sample_with_random_gates(
    arch: FullyConnected, x: Tensor, draws: int, sigma: float, law: str = "signed", generator: Generator | None = None,
    *, shared: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """K_value and d σ^{2(d-1)} H of each of R draws with gates of its own, both float64 [R, n, n].

    The gates are those of a ReLU network with the *same* weights (``shared``: dependent initialisation), or with
    another draw of the same law (independent initialisation, to which the theorem applies: both means are the same).

    Example:
        >>> import torch
        >>> from npflib.theory.fixed_gates import FullyConnected, sample_with_random_gates
        >>> arch = FullyConnected(depth=2, width=4, in_features=2, out_features=1, bias=False)
        >>> kernels, theorem = sample_with_random_gates(arch, torch.eye(2), draws=100, sigma=0.5, shared=False)
        >>> kernels.shape, theorem.shape
        (torch.Size([100, 2, 2]), torch.Size([100, 2, 2]))
    """
    weight_shapes(arch, shared)  # what is wrong is refused before any weight is drawn
    scaled(torch.ones(()), arch.depth, sigma)
    checks.tensor(x, "inputs", "[n, d_in]", 2, kind="floating")
    found, expected = [], []
    for count in _batches(arch, draws):
        weights = draw_weights(arch, count, sigma, law, generator, x.dtype)
        others = weights if shared else draw_weights(arch, count, sigma, law, generator, x.dtype)
        gates = relu_gates(x, others)
        found.append(value_kernels(x, gates, weights).double())
        path_kernel = (x @ x.T).double()
        for gate in gates:
            path_kernel = path_kernel * (gate @ gate.mT).double()
        expected.append(scaled(path_kernel, arch.depth, sigma).expand_as(found[-1]))
    return torch.cat(found), torch.cat(expected)


def relative_variance(x: Tensor, gates: Sequence[Tensor], law: str = "signed") -> Tensor:
    """Var[K_value(s, s)] / E[K_value(s, s)]² of a scalar network with fixed hard gates, exact at finite width.

    It depends on neither σ nor the size of the input. float64 [n]; not a number for an input that no path lets through.

    Example:
        >>> import torch
        >>> from npflib.theory.fixed_gates import relative_variance
        >>> x, gates = torch.ones(1, 2), [torch.ones(1, 1)]  # K = (±1 ± 1)² + 2: 2 or 6, mean 4, variance 4
        >>> relative_variance(x, gates)
        tensor([0.2500], dtype=torch.float64)
    """
    _, gates = checks.examples(checks.tensor(x, "inputs"), gates)
    checks.hard(gates, "the formula counts open units")
    active = [gate.sum(1, dtype=torch.float64) for gate in gates]
    x = checks.finite(x.double(), "inputs")
    concentration = x.pow(4).sum(1) / x.square().sum(1).square()
    return relative_variance_of(active, concentration, law)


def relative_variance_of(
    active: Sequence[Tensor | float], concentration: Tensor | float, law: str = "signed"
) -> Tensor:
    """The same, of numbers or tensors of one shape: open units m_1, …, m_{d-1}, concentration Σ_j x_j⁴ / (Σ_j x_j²)².

    Example:
        >>> from npflib.theory.fixed_gates import relative_variance_of
        >>> relative_variance_of([1.0], concentration=0.5)  # that of ``relative_variance``
        tensor(0.2500, dtype=torch.float64)
    """
    checks.one_of(law, "law", KURTOSIS, "the weights")
    excess = KURTOSIS[law] - 3
    m = [_numbers(count, "a number of open units") for count in active]
    q = _numbers(concentration, "concentration")
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
        >>> from npflib.theory.fixed_gates import wide_limit
        >>> wide_limit(2, concentration=0.0, law="gaussian"), wide_limit(2, concentration=0.0, law="signed")
        (1.0, 0.5)
    """
    checks.one_of(law, "law", KURTOSIS, "the weights")
    checks.whole(depth, "depth")
    missing, q = 3 - KURTOSIS[law], checks.number(concentration, "concentration", least=0)
    pairs = 2 / 3 * depth * (depth - 1) * (2 * depth - 1) - missing * (depth - 1) ** 2 * (1 + q)
    return pairs / depth**2


def largest_z(means: Tensor, generator: Generator | None = None, repeats: int = 2_000) -> tuple[float, float]:
    """One test of all entries' means [B, …] at once: the largest absolute z and how often chance alone gives a larger.

    z = mean / standard error over the B ≥ 2 independent groups, entry by entry. Entries are strongly correlated, so the
    law of the largest is simulated: groups are re-weighted by independent random signs, under which groups symmetric
    about 0 keep their law whatever their correlation. The smallest possible p-value is 1 / (repeats + 1).

    Example:
        >>> import torch
        >>> from npflib.theory.fixed_gates import largest_z
        >>> largest_z(torch.tensor([[1.0], [3.0]]))[0]  # mean 2, standard error 1
        2.0
    """
    if checks.tensor(means, "means", "[B, …]", kind="floating").ndim < 2 or len(means) < 2:
        raise ValueError(f"a standard error needs at least two groups: means [B, …]; got {tuple(means.shape)}.")
    rows = checks.finite(means.flatten(1), "means")
    rows = rows[:, (rows != 0).any(0)]
    signs = _signs((checks.whole(repeats, "repeats"), len(rows)), generator, rows.dtype)
    signs = torch.cat([torch.ones_like(signs[:1]), signs])
    centre = signs @ rows / len(rows)
    # Signs leave squares alone, so the variance about the re-weighted mean needs no second pass.
    variance = (rows.square().mean(0) - centre.square()) / (len(rows) - 1)
    largest = (centre.abs() / variance.sqrt()).amax(1)
    return float(largest[0]), float((largest >= largest[0]).double().mean())


def _numbers(given: Tensor | float, what: str) -> Tensor:
    given = checks.tensor(given, what) if torch.is_tensor(given) else torch.tensor(checks.number(given, what, least=0))
    return given.to(torch.float64)


def _vector_moments(m: Sequence[Tensor], q: Tensor, excess: float) -> list[Tensor]:
    """E[‖z(l)‖⁴] / E[‖z(l)‖²]² for l = 0, …, d - 1, from z(0) with Σ z⁴ / ‖z‖⁴ = q."""
    second, fourth = torch.ones_like(q), q
    found = [second]
    for rows in m:
        row = 3 * second + excess * fourth
        second, fourth = second + (row - second) / rows, row / rows
        found.append(second)
    return found


def _batches(arch: FullyConnected, draws: int) -> list[int]:
    """Numbers of draws whose weights are held at once."""
    whole = max(1, MAX_NUMBERS // sum(torch.Size(shape).numel() for shape in weight_shapes(arch)))
    return [min(whole, draws - done) for done in range(0, checks.whole(draws, "draws"), whole)]


def _signs(shape: tuple[int, ...], generator: Generator | None, dtype: torch.dtype) -> Tensor:
    """Independent signs ±1. Each random byte picks eight at once: twenty times as fast as ``Tensor.bernoulli_``."""
    count = torch.Size(shape).numel()
    chosen = torch.empty(-(-count // 8), dtype=torch.uint8).random_(generator=generator)
    return embedding(chosen.int(), _sign_patterns(8).to(dtype)).flatten()[:count].view(shape)


def _sign_patterns(count: int) -> Tensor:
    """All rows of so many signs ±1, [2^count, count]."""
    return 2 * (torch.arange(2**count)[:, None].bitwise_right_shift(torch.arange(count)) & 1) - 1


def _check(x: Tensor, gates: Sequence[Tensor] | None, weights: Sequence[Tensor]) -> None:
    for what, some in (("inputs", [x]), ("gates", gates or []), ("weights", weights)):
        checks.tensors(some, what)
    numbers = [x, *weights, *(gate for gate in gates or [] if gate.is_floating_point())]
    if len(types := {each.dtype for each in numbers}) > 1 or not x.is_floating_point():
        raise ValueError(f"inputs, gates and weights must be of one floating type; got {sorted(map(str, types))}.")
    shapes, given = ([tuple(each.shape) for each in some] for some in (weights, gates or []))
    sizes = [*x.shape[1:], *(size for shape in shapes for size in shape[1:2])]
    chain = [(*shapes[0][:1], out, into) for into, out in pairwise(sizes)] if shapes else []
    if not weights or shapes != chain or sizes[-1] != 1:
        chained = "inputs [n, d_in] and weights [R, w_1, d_in], [R, w_2, w_1], …, [R, 1, w_(d-1)]"
        raise ValueError(f"{chained} must chain; got inputs {tuple(x.shape)} and weights {shapes}.")
    allowed = [((len(x), w), (r, len(x), w)) for r, w, _ in shapes[:-1]]
    fits = len(given) == len(allowed) and all(g in a for g, a in zip(given, allowed, strict=True))
    if gates is not None and not fits:
        needed = f"{len(allowed)} gate tensors [n, w] or [R, n, w], that is one of {allowed}"
        raise ValueError(f"{len(weights)} weight layers need {needed}; got {given}.")
