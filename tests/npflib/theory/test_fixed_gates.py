"""Batched value kernels against the kernel of one network at a time, and the theorem by summing over all weights."""

from math import sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npflib import kernels
from npflib.architectures import FullyConnected
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.theory import fixed_gates, residual

sizes = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(1, 5))  # d, w, d_in, n


def scalar(depth: int, width: int, inputs: int) -> FullyConnected:
    return FullyConnected(depth, width, inputs, 1, bias=False)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def load(network: torch.nn.Module, weights: list[torch.Tensor], draw: int) -> None:
    with torch.no_grad():
        for parameter, weight in zip(network.weights, weights, strict=True):
            parameter.copy_(weight[draw])


@given(sizes, st.sampled_from(list(fixed_gates.KURTOSIS)), st.integers(0, 2**20))
def test_each_draw_is_the_tangent_kernel_of_its_network(size, law, seed):
    depth, width, inputs, n = size
    source, arch = seeded(seed), scalar(depth, width, inputs)
    x = torch.randn(n, inputs, generator=source, dtype=torch.float64)
    network = DeepGatedNetwork(arch, "soft", source).double()
    weights = fixed_gates.draw_weights(arch, 3, 0.7, law, source, torch.float64)
    found = fixed_gates.value_kernels(x, [g.detach() for g in network.gates(x)], weights)
    assert found.shape == (3, n, n)
    for draw in range(3):
        load(network.value, weights, draw)
        expected = kernels.neural_tangent_kernel(network, x, part="value")
        torch.testing.assert_close(found[draw], expected, rtol=1e-10, atol=1e-12)


@given(sizes, st.integers(0, 2**20))
def test_each_draw_may_have_its_own_gates(size, seed):
    depth, width, inputs, n = size
    source, arch = seeded(seed), scalar(depth, width, inputs)
    x = torch.randn(n, inputs, generator=source, dtype=torch.float64)
    weights = fixed_gates.draw_weights(arch, 3, 1.1, "gaussian", source, torch.float64)
    gates = fixed_gates.relu_gates(x, weights)
    found = fixed_gates.value_kernels(x, gates, weights)
    network = ReLUNetwork(arch).double()
    for draw in range(3):
        load(network, weights, draw)
        for own, expected in zip(gates, network.gates(x), strict=True):
            assert torch.equal(own[draw], expected)
        torch.testing.assert_close(found[draw], kernels.neural_tangent_kernel(network, x), rtol=1e-10, atol=1e-12)


@given(
    st.sampled_from([(1, 3, 4), (2, 1, 3), (2, 2, 2), (2, 3, 2), (3, 2, 2), (3, 3, 1), (4, 2, 1), (5, 1, 4)]),
    st.floats(0.2, 2),
    st.booleans(),
    st.integers(0, 2**20),
)
def test_the_theorems_mean_is_exact_over_all_sign_patterns(size, sigma, hard, seed):
    """E over the whole law, no sampling: d σ^(2(d-1)) H for arbitrary gates, hard or not."""
    depth, width, inputs = size
    source, arch = seeded(seed), scalar(*size)
    x = torch.randn(3, inputs, generator=source, dtype=torch.float64)
    gates = [torch.rand(3, width, generator=source, dtype=torch.float64) for _ in range(depth - 1)]
    gates = [gate.round() for gate in gates] if hard else gates
    weights = fixed_gates.every_sign_pattern(arch, sigma)
    mean = fixed_gates.value_kernels(x, gates, weights).mean(0)
    path_kernel = x @ x.T  # H, from the definition of its two factors
    for gate in gates:
        path_kernel = path_kernel * (gate @ gate.T)
    torch.testing.assert_close(mean, depth * sigma ** (2 * (depth - 1)) * path_kernel, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(fixed_gates.expected_value_kernel(x, gates, sigma), mean, rtol=1e-10, atol=1e-10)


def test_every_sign_pattern_occurs_once():
    arch = scalar(2, 2, 2)
    weights = fixed_gates.every_sign_pattern(arch, 0.5)
    rows = torch.cat([w.flatten(1) for w in weights], dim=1)
    assert [tuple(w.shape) for w in weights] == [(64, 2, 2), (64, 1, 2)]
    assert rows.abs().eq(0.5).all()
    assert len(rows.unique(dim=0)) == 64
    fewer = fixed_gates.every_sign_pattern(arch, 0.5, up_to_sign=True)
    assert torch.cat([w.flatten(1) for w in fewer], dim=1).unique(dim=0).shape == (16, 6)
    assert all(w.flatten(1)[:, 0].eq(0.5).all() for w in fewer)


@pytest.mark.parametrize("law", fixed_gates.KURTOSIS)
def test_weights_have_mean_zero_the_given_scale_and_no_pattern(law):
    first, second = fixed_gates.draw_weights(scalar(2, 50, 40), 100, 0.3, law, seeded(1), torch.float64)
    assert first.shape == (100, 50, 40)
    assert second.shape == (100, 1, 50)
    count = first.numel()
    assert abs(first.mean()) < 5 * 0.3 / sqrt(count)
    fourth = {"signed": 1.0, "gaussian": 3.0}[law]
    assert abs(first.square().mean() / 0.09 - 1) < 5 * sqrt((fourth - 1) / count) + 1e-12
    assert float(first.pow(4).mean() / 0.3**4) == pytest.approx(fourth, abs=5 * sqrt(96 / count))
    # Signs come eight to a byte: neighbours must be as independent as strangers.
    flat = first.flatten() / 0.3
    for lag in (1, 2, 3, 4, 7, 8, 16, 64):
        assert abs((flat[lag:] * flat[:-lag]).mean()) < 5 / sqrt(count)


def test_draws_depend_on_their_generator_alone():
    arch = scalar(3, 5, 4)
    torch.manual_seed(0)
    first = fixed_gates.draw_weights(arch, 7, 1.0, "signed", seeded(3))
    torch.manual_seed(1)
    again, other = (fixed_gates.draw_weights(arch, 7, 1.0, "signed", seeded(s)) for s in (3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_sample_is_unbiased_and_measures_a_bias_that_is_there(monkeypatch):
    """The statistics against draws made by hand, then with an expectation that is 10 % too small."""
    arch, x = scalar(3, 8, 5), torch.randn(4, 5, generator=seeded(0), dtype=torch.float64)
    gates = [torch.rand(4, 8, generator=seeded(s), dtype=torch.float64).round() for s in (1, 2)]
    found = fixed_gates.sample(arch, x, lambda group: gates, 50, 40, 0.5, "signed", seeded(3))
    assert found.bias.shape == found.spread.shape == (2000,)
    assert found.means.shape == (50, 4, 4)
    assert found.diagonal.shape == (50, 4)
    assert found.predicted.shape == (50, 0)
    standard_error = found.bias.std() / sqrt(2000)
    assert abs(found.bias.mean()) < 4 * standard_error
    assert fixed_gates.largest_z(found.means, seeded(4))[1] > 0.001

    kernel = fixed_gates.value_kernels(x, gates, fixed_gates.draw_weights(arch, 40, 0.5, "signed", seeded(3), x.dtype))
    expected = fixed_gates.expected_value_kernel(x, gates, 0.5)
    difference = kernel - expected
    torch.testing.assert_close(found.bias[:40], (difference * expected).sum((1, 2)) / expected.square().sum())
    torch.testing.assert_close(found.spread[:40], difference.square().sum((1, 2)) / expected.square().sum())
    torch.testing.assert_close(found.means[0], 4 * difference.mean(0) / expected.norm())
    torch.testing.assert_close(found.diagonal[0], (difference.mT.diagonal(0, 1, 2) / expected.diag()).square().mean(0))

    monkeypatch.setattr(fixed_gates, "expected_value_kernel", lambda *a: 0.9 * expected)
    biased = fixed_gates.sample(arch, x, lambda group: gates, 50, 40, 0.5, "signed", seeded(3))
    assert biased.bias.mean() > 4 * biased.bias.std() / sqrt(2000)
    assert fixed_gates.largest_z(biased.means, seeded(4))[1] < 0.01


def test_large_samples_come_in_parts_of_the_same_stream(monkeypatch):
    arch, x = scalar(2, 4, 3), torch.randn(2, 3, generator=seeded(0))
    gates = [torch.ones(2, 4)]
    monkeypatch.setattr(fixed_gates, "MAX_NUMBERS", 16 * 10)
    parts = fixed_gates.sample(arch, x, lambda group: gates, 3, 25, 1.0, "signed", seeded(1))
    assert parts.bias.shape == (75,)
    assert len(parts.bias.unique()) > 10


def test_largest_z_has_uniform_p_values_under_symmetric_noise():
    p = [
        fixed_gates.largest_z(torch.randn(30, 1, generator=seeded(s)) * torch.ones(1, 9) + 0.5 * torch.randn(30, 9))[1]
        for s in range(100)
    ]
    assert 25 < sum(value < 0.5 for value in p) < 75
    assert sum(value < 0.01 for value in p) < 8


def test_largest_z_is_the_largest_students_t():
    from scipy.stats import ttest_1samp

    means = torch.randn(20, 3, 3, generator=seeded(0), dtype=torch.float64) + 0.3
    expected = abs(ttest_1samp(means.flatten(1).numpy(), 0.0).statistic).max()
    assert fixed_gates.largest_z(means, seeded(1))[0] == pytest.approx(expected, rel=1e-10)


def test_independent_gates_keep_the_mean_and_shared_ones_only_its_diagonal():
    """Continuous weights: signed ones tie pre-activations at exactly 0, and then a gate is no fair coin."""
    arch, x = scalar(4, 12, 6), torch.randn(3, 6, generator=seeded(5), dtype=torch.float64).abs()
    z = {}
    for shared in (False, True):
        kernel, theorem = fixed_gates.sample_with_random_gates(
            arch, x, 8000, sqrt(2 / 12), "gaussian", seeded(6), shared=shared
        )
        off = ~torch.eye(3, dtype=torch.bool)
        for name, mask in (("off", off), ("diagonal", ~off)):
            sums = (kernel - theorem)[:, mask].sum(1)
            z[shared, name] = float(sums.mean() / (sums.std() / sqrt(len(sums))))
    assert abs(z[False, "off"]) < 4
    assert abs(z[False, "diagonal"]) < 4
    assert abs(z[True, "diagonal"]) < 4
    assert z[True, "off"] > 10


def test_shared_gates_are_those_of_the_networks_themselves():
    arch, x = scalar(3, 4, 3), torch.randn(2, 3, generator=seeded(0), dtype=torch.float64)
    kernel, theorem = fixed_gates.sample_with_random_gates(arch, x, 5, 0.6, generator=seeded(1), shared=True)
    weights = fixed_gates.draw_weights(arch, 5, 0.6, "signed", seeded(1), torch.float64)
    network = ReLUNetwork(arch).double()
    for draw in range(5):
        load(network, weights, draw)
        torch.testing.assert_close(kernel[draw], kernels.neural_tangent_kernel(network, x))
        expected = 3 * 0.6**4 * kernels.neural_path_kernel(x, network.gates(x))
        torch.testing.assert_close(theorem[draw], expected)


def test_bad_input_is_refused():
    arch, x = scalar(3, 4, 5), torch.randn(2, 5)
    weights = fixed_gates.draw_weights(arch, 2, 1.0)
    with pytest.raises(ValueError, match="bias=False"):
        fixed_gates.draw_weights(FullyConnected(3, 4, 5, 1), 2, 1.0)
    with pytest.raises(ValueError, match="out_features=1"):
        fixed_gates.draw_weights(FullyConnected(3, 4, 5, 2, bias=False), 2, 1.0)
    with pytest.raises(ValueError, match=r"'cauchy'.*signed, gaussian"):
        fixed_gates.draw_weights(arch, 2, 1.0, "cauchy")
    with pytest.raises(ValueError, match="draws must be"):
        fixed_gates.draw_weights(arch, 0, 1.0)
    with pytest.raises(ValueError, match="sigma"):
        fixed_gates.draw_weights(arch, 2, 0.0)
    with pytest.raises(ValueError, match="2 gate tensors"):
        fixed_gates.value_kernels(x, [torch.ones(2, 4)], weights)
    with pytest.raises(ValueError, match="2 gate tensors"):
        fixed_gates.value_kernels(x, [torch.ones(2, 4), torch.ones(2, 3)], weights)
    with pytest.raises(ValueError, match="must chain"):
        fixed_gates.value_kernels(torch.randn(2, 6), [torch.ones(2, 4)] * 2, weights)
    with pytest.raises(ValueError, match="no path"):
        fixed_gates.sample(arch, x, lambda group: [torch.zeros(2, 4)] * 2, 2, 2, 1.0)
    with pytest.raises(ValueError, match="two groups"):
        fixed_gates.largest_z(torch.ones(1, 3))
    with pytest.raises(ValueError, match="40 free weights"):
        fixed_gates.every_sign_pattern(arch, 1.0)


# The exact variance of the diagonal, against full sums over the weights and against sampling


@given(
    st.sampled_from([(1, 3, 4), (2, 2, 3), (2, 4, 2), (3, 2, 2), (3, 3, 1), (4, 2, 1), (4, 2, 2), (6, 1, 3)]),
    st.integers(0, 2**20),
)
def test_signed_weights_against_all_sign_patterns(size, seed):
    depth, width, inputs = size
    source, arch = seeded(seed), FullyConnected(*size, 1, bias=False)
    x = torch.randn(3, inputs, generator=source, dtype=torch.float64)
    gates = [torch.rand(3, width, generator=source, dtype=torch.float64).round() for _ in range(depth - 1)]
    for gate in gates:
        gate[:, 0] = 1  # some path is open
    kernel = fixed_gates.value_kernels(x, gates, fixed_gates.every_sign_pattern(arch, 0.8)).diagonal(dim1=1, dim2=2)
    expected = kernel.var(0, correction=0) / kernel.mean(0).square()
    found = fixed_gates.relative_variance(x, gates)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_gaussian_weights_by_hand():
    """d = 2: K = |z|² + |x|² |a|² with independent chi squares, m open units: variance 4 m over (2 m)²."""
    for m in (1, 2, 7):
        found = fixed_gates.relative_variance_of([m], 0.3, "gaussian")
        assert float(found) == pytest.approx(1 / m, rel=1e-12)


@pytest.mark.parametrize("law", fixed_gates.KURTOSIS)
def test_both_laws_against_sampling(law):
    arch, x = FullyConnected(5, 9, 4, 1, bias=False), torch.randn(2, 4, generator=seeded(0), dtype=torch.float64)
    gates = [torch.rand(2, 9, generator=seeded(s), dtype=torch.float64).lt(0.7).double() for s in range(4)]
    expected = fixed_gates.relative_variance(x, gates, law)
    found = fixed_gates.sample(
        arch, x, lambda group: gates, 200, 200, 0.5, law, seeded(7), predict=lambda gates: expected
    )
    error = found.diagonal.std(0) / sqrt(200)
    assert ((found.diagonal.mean(0) - expected).abs() < 4 * error).all()
    assert (error < 0.1 * expected).all()
    torch.testing.assert_close(found.predicted, expected.expand(200, 2))


@given(st.integers(2, 12), st.floats(0.01, 1), st.sampled_from(list(fixed_gates.KURTOSIS)))
def test_wide_networks_reach_the_stated_limit(depth, concentration, law):
    wide = 1e7
    found = wide * float(fixed_gates.relative_variance_of([wide] * (depth - 1), concentration, law))
    assert found == pytest.approx(fixed_gates.wide_limit(depth, concentration, law), rel=1e-4, abs=1e-6)


def test_no_hidden_layer_has_no_spread():
    assert float(fixed_gates.relative_variance_of([], 0.5)) == 0.0


def test_the_variance_refuses_bad_input():
    with pytest.raises(ValueError, match="hard, 0 or 1"):
        fixed_gates.relative_variance(torch.ones(1, 2), [torch.full((1, 3), 0.5)])
    with pytest.raises(ValueError, match=r"'cauchy'.*signed, gaussian"):
        fixed_gates.relative_variance_of([3], 0.5, "cauchy")


@pytest.mark.parametrize("sigma", [1e30, 1e-30, 1e300])
def test_a_scale_beyond_the_range_of_floats_is_refused(sigma):
    x, gates = torch.ones(1, 2), [torch.ones(1, 3)] * 10
    arch = FullyConnected(depth=11, width=3, in_features=2, out_features=1, bias=False)
    blocks = [gates[1:3], gates[3:5], gates[5:7], gates[7:9], gates[8:10]]
    calls = {
        "expected": lambda: fixed_gates.expected_value_kernel(x, gates, sigma),
        "sampled": lambda: fixed_gates.sample_with_random_gates(arch, x, 2, sigma, shared=False),
        "residual": lambda: residual.expected_value_kernel(x, gates[0], blocks, sigma),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match=r"sigma = 1e[-+]\d+ and depth d = \d+ is beyond the range of float64"):
            call()


@pytest.mark.parametrize("sigma", [10**400, 10**300, 2**63])
def test_a_scale_that_torch_does_not_take_is_no_number(sigma):
    with pytest.raises(ValueError, match=r"sigma, the scale of the weights, must be finite and positive, below 2\^63"):
        fixed_gates.expected_value_kernel(torch.ones(1, 2), [torch.ones(1, 3)], sigma)


@pytest.mark.parametrize("scale", [0.01, 30, 100])
def test_a_scale_beyond_the_inputs_type_is_refused_before_a_draw_and_held_in_float64(scale):
    """Sixteen layers, as in chapter 4: σ^30 overflows or vanishes in float32."""
    arch, x = FullyConnected(16, 8, 3, 1, bias=False), torch.ones(1, 3)

    def spread(x):
        gates = [torch.ones(1, 8, dtype=x.dtype)] * 15
        return fixed_gates.sample(arch, x, lambda _: gates, 2, 4, scale / 8**0.5, generator=torch.Generator()).spread

    with pytest.raises(ValueError, match=r"beyond torch\.float32: nearer sqrt\(2 / width\)"):
        spread(x)
    assert spread(x.double()).isfinite().all()
