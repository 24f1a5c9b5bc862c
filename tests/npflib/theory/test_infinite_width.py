"""The limits of wide networks against quadrature, high precision, finite networks, automatic differentiation, and by
hand."""

from functools import lru_cache
from math import acos, cos, pi, sin, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from scipy import integrate, stats
from strategies import normal, seeds

from npflib import kernels
from npflib.architectures import FullyConnected
from npflib.initialisation import initialise_
from npflib.networks import ReLUNetwork
from npflib.theory import fixed_gates, infinite_width
from npflib.theory.infinite_width import KINDS

depths = st.integers(1, 7)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@lru_cache
def moments(cosine: float) -> tuple[float, float]:
    """2 E[1[a>0] 1[b>0]] and 2 E[relu a · relu b] of standard Gaussian a, b with this correlation, by quadrature over
    a; given a, b is Gaussian with mean ρa and standard deviation √(1 - ρ²). Nothing here knows of angles."""
    rest = sqrt(1 - cosine**2)

    def both(a):
        return stats.norm.pdf(a) * stats.norm.cdf(cosine * a / rest)

    def product(a):
        mean = cosine * a
        return stats.norm.pdf(a) * a * (mean * stats.norm.cdf(mean / rest) + rest * stats.norm.pdf(mean / rest))

    on, size = (integrate.quad(f, 0, 12, epsabs=1e-12, epsrel=1e-12, limit=200)[0] for f in (both, product))
    return 2 * on, 2 * size


def by_quadrature(cosine: float, depth: int) -> dict[str, float]:
    """The recursion over layers as Jacot et al. state it, for inputs of norm 1, and the product of the open shares."""
    overlap, tangent, covariance = 1.0, cosine, cosine
    for _ in range(depth - 1):
        on, size = moments(covariance)
        overlap, tangent, covariance = overlap * on, tangent * on + size, size
    return {"overlap": overlap, "gates": depth * cosine * overlap, "output": covariance, "relu": tangent}


@pytest.mark.parametrize("cosine", [-0.99, -0.5, 0.0, 0.3, 0.8, 0.97])
@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_against_quadrature(cosine, depth):
    found = infinite_width.of_angle(torch.tensor(acos(cosine), dtype=torch.float64), depth)
    for kind, value in by_quadrature(cosine, depth).items():
        # The quadrature is asked for 1e-12; six layers add up.
        assert float(found[kind]) == pytest.approx(value, rel=1e-10, abs=1e-10), kind


def test_one_and_two_layers_by_hand():
    theta = torch.linspace(0, pi, 7, dtype=torch.float64)
    one, two = (infinite_width.of_angle(theta, depth) for depth in (1, 2))
    for kind in ("gates", "output", "relu"):
        torch.testing.assert_close(one[kind], theta.cos(), rtol=0, atol=1e-15)
    assert (one["overlap"] == 1).all()
    for t, gates, relu in zip(theta.tolist(), two["gates"].tolist(), two["relu"].tolist(), strict=True):
        assert gates == pytest.approx(2 * cos(t) * (1 - t / pi), abs=1e-15)
        # Cho & Saul's two kernels: of order 1 for the last layer, of order 0 times the inputs' for the first.
        assert relu == pytest.approx((sin(t) + (pi - t) * cos(t)) / pi + cos(t) * (1 - t / pi), abs=1e-15)


@pytest.mark.parametrize("start", [1e-300, 1e-12, 1e-8, 1e-5, 0.029999, 0.030001, 0.3, 1.5, 3.1, pi - 1e-6, pi - 1e-8])
def test_angles_keep_their_digits_at_both_ends(start):
    with mp.workdps(400):  # 1e-300 enters as its square
        expected, theta = [], mp.mpf(start)
        for _ in range(4):
            expected.append(float(theta))
            theta = mp.acos((mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)) / mp.pi)
    found = infinite_width.angles(torch.tensor(start, dtype=torch.float64), depth=4)
    # Squares below 1e-308 are lost: an angle of 1e-300 may become 0, and is as good as parallel.
    assert [float(t) for t in found] == pytest.approx(expected, rel=2e-14, abs=1e-150)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_ends_are_exact(dtype):
    parallel, opposite = torch.tensor(0.0, dtype=dtype), torch.tensor(pi, dtype=dtype)
    assert all(float(t) == 0 for t in infinite_width.angles(parallel, 9))
    assert {k: float(v) for k, v in infinite_width.of_angle(parallel, 9).items()} == {
        "overlap": 1, "gates": 9, "output": 1, "relu": 9
    }  # fmt: skip
    turned = infinite_width.angles(opposite, 3)[1]  # no unit is on for both: orthogonal
    torch.testing.assert_close(turned, opposite / 2, rtol=1e-6 if dtype == torch.float32 else 1e-15, atol=0)
    assert float(infinite_width.of_angle(opposite, 3)["gates"]) == pytest.approx(0, abs=1e-6)


@given(seeds, st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), depths, st.floats(0.01, 100))
def test_homogeneous_symmetric_and_blind_to_rotations(seed, n, m, d_in, depth, factor):
    x, x2 = normal(seed, n, d_in), normal(seed + 1, m, d_in)
    rotation = torch.linalg.qr(normal(seed + 2, d_in, d_in))[0]
    plain, scaled, turned, back = (
        infinite_width.kernels(a, b, depth=depth)
        for a, b in ((x, x2), (factor * x, x2), (x @ rotation, x2 @ rotation), (x2, x))
    )
    for kind in KINDS:
        size = (x.norm(dim=1).max() * x2.norm(dim=1).max() * depth) ** (kind != "overlap")
        # An angle near 0 or π is as uncertain as the rounding of the inputs, and each kernel's slope is below d.
        close = {"rtol": 1e-12, "atol": 1e-13 * float(size)}
        torch.testing.assert_close(scaled[kind], plain[kind] * factor ** (kind != "overlap"), rtol=1e-12,
                                   atol=1e-13 * float(size) * max(1, factor))  # fmt: skip
        torch.testing.assert_close(turned[kind], plain[kind], **close)
        torch.testing.assert_close(back[kind].T, plain[kind], **close)


@given(seeds, st.integers(1, 9), st.integers(1, 4), depths, st.integers(1, 10))
def test_blocks_change_nothing(seed, n, d_in, depth, chunk):
    x = normal(seed, n, d_in)
    whole, parts = (infinite_width.kernels(x, depth=depth, chunk=size) for size in (1000, chunk))
    other = infinite_width.kernels(x, x.clone(), depth=depth, chunk=chunk)
    for kind in KINDS:
        assert torch.equal(parts[kind], parts[kind].T)
        size = float(whole[kind].abs().max())
        torch.testing.assert_close(parts[kind], whole[kind], rtol=0, atol=1e-14 * depth * size)
        torch.testing.assert_close(parts[kind], other[kind], rtol=0, atol=1e-14 * depth * size)


@given(seeds, st.integers(2, 12), st.integers(1, 6), depths)
def test_positive_semidefinite_with_the_stated_diagonal(seed, n, d_in, depth):
    x = normal(seed, n, d_in)
    for kind, kernel in infinite_width.kernels(x, depth=depth).items():
        assert float(torch.linalg.eigvalsh(kernel)[0]) > -1e-13 * float(kernel.trace()), kind
        factor = {"overlap": 1, "gates": depth, "output": 1, "relu": depth}[kind]
        norms = torch.ones(n, dtype=x.dtype) if kind == "overlap" else x.square().sum(1)
        torch.testing.assert_close(kernel.diagonal(), factor * norms, rtol=1e-13, atol=0)


@given(st.floats(0, pi), depths)
def test_relu_has_more_than_its_gates(theta, depth):
    found = infinite_width.of_angle(torch.tensor(theta, dtype=torch.float64), depth)
    assert float(found["relu"] - found["gates"]) >= -1e-12


def test_very_deep_networks():
    """ϑ_l ~ 3π/l, so the overlap falls as l^-3: nothing but the diagonal is left of "gates" over d, while "relu" over d
    keeps a quarter off the diagonal."""
    theta = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    last = infinite_width.angles(theta, 1001)[-1]
    torch.testing.assert_close(last * 1000 / (3 * pi), torch.ones(3, dtype=theta.dtype), rtol=0.05, atol=0)
    some, twice = (infinite_width.of_angle(theta, depth) for depth in (1001, 2001))
    torch.testing.assert_close(
        (twice["overlap"] / some["overlap"]).log2(), torch.full_like(theta, -3), rtol=0.05, atol=0
    )
    torch.testing.assert_close(twice["relu"] / 2001, torch.full_like(theta, 0.25), rtol=0.05, atol=0)


def inputs() -> torch.Tensor:
    """Four inputs in three dimensions: alike, oblique, obtuse."""
    return torch.tensor([[1.0, 0.2, 0.0], [1.0, 0.0, 0.3], [0.0, 1.0, 1.0], [-0.5, 1.0, 0.1]], dtype=torch.float64)


def finite_overlaps(depth: int, width: int, draws: int, seed: int) -> torch.Tensor:
    """(2/w)^{d-1} Λ of independent Gaussian networks by the library's path_overlap, [draws, n, n]."""
    arch = FullyConnected(depth, width, 3, 1, bias=False)
    weights = fixed_gates.draw_weights(arch, draws, 1.0, "gaussian", seeded(seed), torch.float64)
    gates = fixed_gates.relu_gates(inputs(), weights)
    return torch.stack(
        [(2 / width) ** (depth - 1) * kernels.path_overlap([gate[k] for gate in gates]) for k in range(draws)]
    )


def largest_z(draws: torch.Tensor, expected: torch.Tensor) -> float:
    error = draws.std(0) / sqrt(len(draws))
    away = (draws.mean(0) - expected).abs()
    return float((away / error.clamp(min=1e-12)).max())


@pytest.mark.parametrize("width", [1, 7, 64])
def test_one_hidden_layer_is_unbiased_at_every_width(width):
    expected = infinite_width.kernels(inputs(), depth=2, kinds=["overlap"])["overlap"]
    assert largest_z(finite_overlaps(2, width, 3000, width), expected) < 4  # ten numbers: 1 in 1600 by chance


def test_wide_path_overlap():
    """Four layers of 600: the bias of order 1/w is far below the standard error of 40 draws, of order (40 w)^-½."""
    expected = infinite_width.kernels(inputs(), depth=5, kinds=["overlap"])["overlap"]
    draws = finite_overlaps(5, 600, 40, 3)
    assert largest_z(draws, expected) < 4
    assert float((draws.mean(0) / expected - 1).abs().max()) < 0.08  # so the test above is not a loose one


@pytest.mark.parametrize(("shared", "kind"), [(False, "gates"), (True, "relu")])
def test_wide_value_kernels(shared, kind):
    """Behind independent gates the limit is "gates"; behind the network's own it is ReLU's tangent kernel."""
    arch, width = FullyConnected(4, 400, 3, 1, bias=False), 400
    found, _ = fixed_gates.sample_with_random_gates(
        arch, inputs(), 60, sqrt(2 / width), law="gaussian", generator=seeded(1), shared=shared
    )
    expected = infinite_width.kernels(inputs(), depth=4)
    assert largest_z(found, expected[kind]) < 4
    other = expected["relu" if kind == "gates" else "gates"]
    assert largest_z(found, other) > 10  # and the two are told apart


def test_tangent_kernel_by_automatic_differentiation():
    """K(x, x') = ⟨∂ŷ(x), ∂ŷ(x')⟩ by torch.func, of 24 ReLU networks of width 256, every weight of variance 2/w."""
    width, found = 256, []
    for k in range(24):
        arch = FullyConnected(3, width, 3, 1, bias=False)
        network = initialise_(ReLUNetwork(arch).double(), "gaussian", sqrt(2 / width), seeded(k))
        weights = {name: weight.detach() for name, weight in network.named_parameters()}

        def output(weights, x, network=network):
            return torch.func.functional_call(network, weights, (x[None],))[0, 0]

        each = torch.func.vmap(torch.func.grad(output), in_dims=(None, 0))(weights, inputs())
        rows = torch.cat([gradient.flatten(1) for gradient in each.values()], dim=1)
        found.append(rows @ rows.T)
    assert largest_z(torch.stack(found), infinite_width.kernels(inputs(), depth=3)["relu"]) < 4


def test_output_covariance():
    """Of 20,000 untrained networks of width 64: 2/w times "output", up to a bias of order 1/w that depth 2 lacks."""
    arch = FullyConnected(2, 64, 3, 1, bias=False)
    first, last = fixed_gates.draw_weights(arch, 20_000, sqrt(2 / 64), "gaussian", seeded(0), torch.float64)
    outputs = (last @ (first @ inputs().T).relu())[:, 0]
    products = outputs[:, :, None] * outputs[:, None, :]
    assert largest_z(products, 2 / 64 * infinite_width.kernels(inputs(), depth=2)["output"]) < 4


def test_signs_in_the_first_layer_have_another_limit():
    """ξ = ±1 twice: ⟨ξ, x⟩ > 0 exactly if the first sign is +, for both inputs, so half of the units are on for both
    whatever the angle. Gaussian weights would leave (π - ϑ)/(2π)."""
    x = torch.tensor([[1.0, 0.0], [0.9, 0.5]], dtype=torch.float64)
    arch = FullyConnected(2, 1, 2, 1, bias=False)
    gates = fixed_gates.relu_gates(x, fixed_gates.every_sign_pattern(arch, 1.0))[0]
    assert float((gates[:, 0] * gates[:, 1]).mean()) == 0.5
    assert float(infinite_width.kernels(x, depth=2)["overlap"][0, 1]) / 2 < 0.43


def test_repeated_opposite_and_empty_inputs():
    x = torch.tensor([[3.0, 4.0], [3.0, 4.0], [-6.0, -8.0], [0.0, 0.0], [3.0, 4.0 + 1e-9]], dtype=torch.float64)
    theta = infinite_width.input_angles(x, x.clone())
    assert theta[0, 1] == 0
    assert float(theta[0, 2]) == pytest.approx(pi, abs=1e-15)
    assert float(theta[0, 4]) == pytest.approx(3e-9 / 25, rel=1e-5)  # the input itself is rounded at 1e-16 / 1e-10
    found = infinite_width.kernels(x, depth=3)
    for kernel in found.values():
        assert not kernel[3].any()
        assert torch.isfinite(kernel).all()
    assert float(found["relu"][0, 2]) == pytest.approx(50 * by_quadrature(-1 + 1e-12, 3)["relu"], rel=1e-4)


def test_single_precision_is_enough_to_multiply_with():
    x = torch.rand(30, 50, generator=seeded(0), dtype=torch.float64)
    single, double = (infinite_width.kernels(x, depth=6, dtype=dtype) for dtype in (torch.float32, torch.float64))
    for kind in KINDS:
        assert single[kind].dtype == torch.float32
        size = double[kind].diagonal().max()
        assert float((single[kind] - double[kind]).abs().max() / size) < 3e-6  # 50 roundings of 6e-8, at worst


def test_shortcuts_types_and_sizes():
    x = torch.rand(3, 4, generator=seeded(0))
    for kind in KINDS:
        alone = infinite_width.kernels(x, depth=3, kinds=[kind])
        assert list(alone) == [kind]
        assert torch.equal(alone[kind], infinite_width.kernels(x, depth=3)[kind])
    assert infinite_width.kernels(torch.ones(2, 2, dtype=torch.uint8), depth=2)["relu"].dtype == torch.float64
    huge = infinite_width.kernels(1e150 * torch.eye(2, dtype=torch.float64), depth=2)["relu"]
    assert float(huge[0, 1]) == pytest.approx(1e300 / pi)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: infinite_width.kernels(x, depth=0), "depth"),
        (lambda x: infinite_width.kernels(x, depth=2.0), "depth"),
        (lambda x: infinite_width.kernels(x, depth=2, kinds=["value"]), "overlap, gates, output, relu"),
        (lambda x: infinite_width.kernels(x, depth=2, kinds="relu"), "list"),
        (lambda x: infinite_width.kernels(x, depth=2, kinds=[]), "one or more"),
        (lambda x: infinite_width.kernels(x, depth=2, chunk=0), "chunk"),
        (lambda x: infinite_width.kernels(x, depth=2, dtype=torch.int64), "float64"),
        (lambda x: infinite_width.kernels(x, x[:, :1], depth=2), "one size"),
        (lambda x: infinite_width.kernels(x[0], depth=2), r"x\[None\]"),
        (lambda x: infinite_width.kernels(x.view(2, 1, 2), depth=2), r"flatten\(1\)"),
        (lambda x: infinite_width.kernels(x[:0], depth=2), "n ≥ 1; got"),
        (lambda x: infinite_width.kernels(x, x / 0, depth=2), "x2 must hold finite"),
        (lambda x: infinite_width.angles(180 * x, 2), "deg2rad"),
        (lambda x: infinite_width.angles(-x, 2), "deg2rad"),
        (lambda x: infinite_width.of_angle(x / 0, 2), "deg2rad"),
        (lambda x: infinite_width.angles(torch.ones(2, dtype=torch.int64), 2), "floating"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
