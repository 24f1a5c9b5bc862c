"""Gates against their definitions, evaluated number by number."""

from math import exp, inf, isclose

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float32, Float64
from torch import Tensor

from npflib.gates import BETA, EPS, hard_gate, soft_gate

numbers = st.floats(-20, 20)


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_hard_gate_is_one_exactly_where_q_is_positive(values):
    gate = hard_gate(torch.tensor(values, dtype=torch.float64))
    assert gate.tolist() == [1.0 if value > 0 else 0.0 for value in values]


def test_hard_gate_is_off_at_both_zeros_and_on_at_the_smallest_number():
    assert hard_gate(torch.tensor([0.0, -0.0, 5e-324, -5e-324], dtype=torch.float64)).tolist() == [0, 0, 1, 0]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_pre_activation_times_hard_gate_is_relu(values):
    q = torch.tensor(values, dtype=torch.float64)
    assert torch.equal(q * hard_gate(q), q.relu())


@pytest.mark.parametrize("values", [[float("nan")], [-inf, float("nan"), inf], [1.0, float("nan"), -1.0]])
def test_not_a_number_is_neither_open_nor_shut(values):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        with pytest.raises(ValueError, match=rf"^1 of {len(values)} pre-activations are NaN.*Look for NaN"):
            hard_gate(torch.tensor(values, dtype=dtype))
    assert hard_gate(torch.tensor([-inf, inf])).tolist() == [0.0, 1.0]
    assert hard_gate(torch.empty(0, 3)).shape == (0, 3)


def test_no_gradient_flows_through_a_hard_gate():
    q = torch.tensor([-1.0, 2.0], requires_grad=True)
    assert not hard_gate(q).requires_grad


@given(numbers, st.floats(0.1, 10), st.floats(0, 2))
def test_soft_gate_is_its_formula(q, beta, eps):
    assert isclose(soft_gate(scalar(q), beta, eps).item(), (1 + eps) / (1 + exp(-beta * q)), rel_tol=1e-13)


def test_soft_gate_defaults_are_the_papers():
    assert (BETA, EPS) == (4.0, 0.1)
    assert torch.equal(soft_gate(scalar(0.3)), soft_gate(scalar(0.3), beta=4.0, eps=0.1))
    assert soft_gate(scalar(0.0)).item() == pytest.approx(0.55, rel=1e-15)


@given(numbers, st.floats(0.1, 10), st.floats(0, 2))
def test_soft_gate_derivative_is_the_documented_one(value, beta, eps):
    q = scalar(value).requires_grad_()
    gate = soft_gate(q, beta, eps)
    (slope,) = torch.autograd.grad(gate, q)
    g = gate.item()
    # Where the gate saturates the formula subtracts two equal numbers: what is left is rounding, hence the absolute
    # tolerance beside the relative one.
    assert isclose(slope.item(), beta * g * (1 - g / (1 + eps)), rel_tol=1e-9, abs_tol=1e-14 * beta * (1 + eps))


@given(numbers.filter(lambda q: abs(q) > 0.01), st.floats(0, 2))
def test_steep_soft_gate_is_the_scaled_hard_gate(value, eps):
    q = scalar(value)
    assert soft_gate(q, beta=1e5, eps=eps).item() == pytest.approx((1 + eps) * hard_gate(q).item(), abs=1e-12)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3, 4, 4)])
def test_gates_keep_shape_and_dtype(shape):
    expected = " ".join(map(str, shape))
    for gate in (hard_gate, soft_gate):
        assert isinstance(gate(torch.zeros(shape)), Float32[Tensor, expected])
        assert isinstance(gate(torch.zeros(shape, dtype=torch.float64)), Float64[Tensor, expected])


@pytest.mark.parametrize("bad", [torch.tensor([1, 2]), torch.tensor([True]), 0.5, [0.5]])
def test_gates_refuse_what_is_not_floating(bad):
    for gate in (hard_gate, soft_gate):
        with pytest.raises(ValueError, match="floating"):
            gate(bad)


@pytest.mark.parametrize("beta", [0, -1.0, float("nan"), -inf])
def test_soft_gate_refuses_a_steepness_that_is_not_positive(beta):
    with pytest.raises(ValueError, match=r"beta.*positive; got"):
        soft_gate(scalar(0.0), beta=beta)


@pytest.mark.parametrize("eps", [-0.1, float("nan")])
def test_soft_gate_refuses_a_negative_excess(eps):
    with pytest.raises(ValueError, match=r"eps.*at least 0; got"):
        soft_gate(scalar(0.0), eps=eps)
