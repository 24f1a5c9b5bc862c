"""The alignment ν against exact rational arithmetic and against what is known of it."""

from fractions import Fraction
from math import isclose

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import coins, normal, seeds
from torch import Tensor

from npflib.kernels import alignment, neural_path_kernel, well_above_rounding
from npflib.networks import FullyConnected, ReLUNetwork
from npflib.theory.kernel_ridge import fit


def exact_alignment(kernel: Tensor, labels: list[int]) -> Fraction:
    """tr K · yᵀ K⁻¹ y of the very numbers in the matrix, by Gaussian elimination over the rationals."""
    n = len(kernel)
    rows = [[*map(Fraction, row), Fraction(y)] for row, y in zip(kernel.tolist(), labels, strict=True)]
    trace = sum(rows[i][i] for i in range(n))
    for i in range(n):
        pivot = next(j for j in range(i, n) if rows[j][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [entry / rows[i][i] for entry in rows[i]]
        for j in range(n):
            if j != i:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
    return trace * sum(y * row[-1] for y, row in zip(labels, rows, strict=True))


def signs(seed: int, n: int) -> Tensor:
    return 2 * coins(seed, n) - 1


@st.composite
def kernels_with_labels(draw):
    n, seed = draw(st.integers(1, 7)), draw(seeds)
    features = normal(seed, n, n + draw(st.integers(0, 5)))
    kernel = draw(st.sampled_from([1e-6, 1.0, 1e9])) * features @ features.T
    kernel = (kernel + kernel.T) / 2
    assume(torch.linalg.cond(kernel) < 1e8)
    return kernel, signs(seed + 1, n)


@given(kernels_with_labels())
def test_alignment_is_its_definition(drawn):
    kernel, y = drawn
    expected = exact_alignment(kernel, [int(label) for label in y])
    # A backward stable solve loses the kernel's condition number.
    tolerance = 1e-15 * len(y) * torch.linalg.cond(kernel).item() + 1e-14
    assert isclose(alignment(kernel, y), float(expected), rel_tol=tolerance)


@given(kernels_with_labels())
def test_alignment_is_at_least_the_number_of_labels(drawn):
    kernel, y = drawn
    assert alignment(kernel, y) >= len(y) * (1 - 1e-12)


@given(st.integers(1, 20), seeds, st.floats(1e-3, 1e3))
def test_the_identity_has_the_square_of_that_number(n, seed, scale):
    nu = alignment(scale * torch.eye(n, dtype=torch.float64), signs(seed, n))
    assert isclose(nu, n**2, rel_tol=1e-12)


@given(st.integers(2, 20), seeds, st.floats(1e-6, 10))
def test_the_more_of_the_trace_the_labels_carry_the_smaller_alignment_is(n, seed, rest):
    y = signs(seed, n)
    # y is an eigenvector of eigenvalue 1 + rest, all others are rest: ν = n (1 + n·rest)/(1 + rest), from n to n².
    kernel = torch.outer(y, y) / n + rest * torch.eye(n, dtype=torch.float64)
    assert isclose(alignment(kernel, y), n * (1 + n * rest) / (1 + rest), rel_tol=1e-8)


@given(kernels_with_labels(), seeds)
def test_scale_order_and_label_names_do_not_matter(drawn, seed):
    kernel, y = drawn
    tolerance = 1e-15 * len(y) * torch.linalg.cond(kernel).item() + 1e-14
    nu, order = alignment(kernel, y), torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    for other in (alignment(4 * kernel, y), alignment(kernel, -y), alignment(kernel[order][:, order], y[order])):
        assert isclose(other, nu, rel_tol=2 * tolerance)


def test_a_kernel_in_float32_is_solved_in_float64():
    features = normal(0, 40, 60).float()
    kernel = features @ features.T
    kernel[0, 1] *= 1 + 1e-6  # what rounding leaves of symmetry
    y = signs(1, 40)
    lower = torch.tril(kernel) + torch.tril(kernel, -1).T
    expected = exact_alignment(lower.double(), [int(label) for label in y])
    assert isclose(alignment(kernel, y), float(expected), rel_tol=1e-10)


@pytest.mark.parametrize("labels", [[1, -1], (1, -1), torch.tensor([1, -1]), torch.tensor([1.0, -1.0])])
def test_labels_of_any_type(labels):
    assert alignment(torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64), labels) == pytest.approx(8)


def test_gradients_are_not_followed():
    kernel = torch.eye(2, dtype=torch.float64, requires_grad=True)
    assert isinstance(alignment(kernel, [1, -1]), float)


@pytest.mark.parametrize("labels", [[0, 1], [2, -1], [1, float("nan")], [0.5, 1]])
def test_refuses_labels_that_are_not_signs(labels):
    with pytest.raises(ValueError, match=r"labels must be -1 or \+1; got .* Map two classes"):
        alignment(torch.eye(2), labels)


@pytest.mark.parametrize("labels", [[1], [1, -1, 1], [[1], [-1]], 1])
def test_refuses_another_number_of_labels(labels):
    with pytest.raises(ValueError, match="one label for each of the kernel's 2 rows; got"):
        alignment(torch.eye(2), labels)


@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 2, 2), (0, 0), ()])
def test_refuses_what_is_not_a_square_matrix(shape):
    with pytest.raises(ValueError, match=r"kernel must be a square matrix \[n, n\] of n ≥ 1 examples; got"):
        alignment(torch.zeros(shape), torch.ones(shape[:1]))


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 1.0], [1.0, 1.0]],
        [[0.0, 0.0], [0.0, 0.0]],
        [[1.0, 0.0], [0.0, 0.0]],
        [[1.0, 0.0], [0.0, 1e-17]],
        [[-1.0, 0.0], [0.0, -1.0]],
        [[1.0, 2.0], [2.0, 1.0]],
    ],
)
def test_refuses_a_singular_or_indefinite_kernel(rows):
    with pytest.raises(ValueError, match=r"is singular to working precision \(or not positive semidefinite\)"):
        alignment(torch.tensor(rows, dtype=torch.float64), [1, -1])


def nearly_equal_inputs(n: int, digits: float, seed: int) -> list[Tensor]:
    """The path kernel of n inputs, the first two 10^-digits apart, in float32 and of the same numbers in float64."""
    arch = FullyConnected(4, 64, 16, 1, bias=False)
    network = ReLUNetwork(arch, torch.Generator().manual_seed(seed))
    x = normal(seed + 1, n, 16)
    x[1] = x[0] + 10**-digits * x[0].norm() * normal(seed + 2, 16) / 4
    with torch.no_grad():
        gates = network.gates(x.float())
    return [neural_path_kernel(x.float().to(dtype), gates, dtype=dtype) for dtype in (torch.float32, torch.float64)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [2, 9, 40])
def test_of_a_kernel_in_float32_a_digit_is_right_or_it_is_refused(n, seed):
    y = signs(seed, n)
    y[0], y[1] = 1, -1
    refused = {}
    for digits in (1, 1.5, 2, 2.5, 2.75, 3, 3.25, 3.5, 4, 4.5):
        single, double = nearly_equal_inputs(n, digits, seed)
        pivots = torch.linalg.cholesky_ex(single.double())[0].diagonal().square()
        refused[digits] = not well_above_rounding(pivots, torch.float32)
        if refused[digits]:
            for call in (lambda k: alignment(k, y), lambda k: fit(k, (y > 0).long(), 0.0)):
                with pytest.raises(ValueError, match="singular to working precision"):
                    call(single)
            continue
        found = [alignment(single, y), fit(single, (y > 0).long(), 0.0).coefficients]
        truth = [alignment(double, y), fit(double, (y > 0).long(), 0.0).coefficients]
        assert found[0] == pytest.approx(truth[0], rel=0.2)
        torch.testing.assert_close(found[1][:2], truth[1][:2], rtol=0.2, atol=0)
    assert not any(refused[digits] for digits in (1, 1.5))
    assert all(refused[digits] for digits in (3.5, 4, 4.5))


@given(st.integers(2, 8), seeds)
def test_refuses_a_kernel_with_an_example_twice(n, seed):
    features = normal(seed, n, n + 3)
    features = torch.cat([features, features[:1]])
    with pytest.raises(ValueError, match="singular to working precision"):
        alignment(features @ features.T, signs(seed, n + 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_refuses_a_kernel_that_is_not_symmetric(dtype):
    with pytest.raises(ValueError, match="symmetric"):
        alignment(torch.tensor([[1.0, 0.1], [0.2, 1.0]], dtype=dtype), [1, -1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_refuses_numbers_that_are_not_finite(bad):
    with pytest.raises(ValueError, match="not finite"):
        alignment(torch.tensor([[1.0, bad], [bad, 1.0]]), [1, -1])
