"""The exact variance of the value kernel's diagonal, against full sums over the weights and against sampling."""

from math import sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npflib.architectures import FullyConnected
from npflib.theory import kernel_variance, monte_carlo


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
    kernel = monte_carlo.value_kernels(x, gates, monte_carlo.every_sign_pattern(arch, 0.8)).diagonal(dim1=1, dim2=2)
    expected = kernel.var(0, correction=0) / kernel.mean(0).square()
    found = kernel_variance.relative_variance(x, gates)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_gaussian_weights_by_hand():
    """d = 2: K = |z|² + |x|² |a|² with independent chi squares, m open units: variance 4 m over (2 m)²."""
    for m in (1, 2, 7):
        found = kernel_variance.relative_variance_of([m], 0.3, "gaussian")
        assert float(found) == pytest.approx(1 / m, rel=1e-12)


@pytest.mark.parametrize("law", monte_carlo.LAWS)
def test_both_laws_against_sampling(law):
    arch, x = FullyConnected(5, 9, 4, 1, bias=False), torch.randn(2, 4, generator=seeded(0), dtype=torch.float64)
    gates = [torch.rand(2, 9, generator=seeded(s), dtype=torch.float64).lt(0.7).double() for s in range(4)]
    expected = kernel_variance.relative_variance(x, gates, law)
    found = monte_carlo.sample(
        arch, x, lambda group: gates, 200, 200, 0.5, law, seeded(7), predict=lambda gates: expected
    )
    error = found.diagonal.std(0) / sqrt(200)
    assert ((found.diagonal.mean(0) - expected).abs() < 4 * error).all()
    assert (error < 0.1 * expected).all()
    torch.testing.assert_close(found.predicted, expected.expand(200, 2))


@given(st.integers(2, 12), st.floats(0.01, 1), st.sampled_from(monte_carlo.LAWS))
def test_wide_networks_reach_the_stated_limit(depth, concentration, law):
    wide = 1e7
    found = wide * float(kernel_variance.relative_variance_of([wide] * (depth - 1), concentration, law))
    assert found == pytest.approx(kernel_variance.wide_limit(depth, concentration, law), rel=1e-4, abs=1e-6)


def test_no_hidden_layer_has_no_spread():
    assert float(kernel_variance.relative_variance_of([], 0.5)) == 0.0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="hard, 0 or 1"):
        kernel_variance.relative_variance(torch.ones(1, 2), [torch.full((1, 3), 0.5)])
    with pytest.raises(ValueError, match=r"'cauchy'.*signed, gaussian"):
        kernel_variance.relative_variance_of([3], 0.5, "cauchy")
