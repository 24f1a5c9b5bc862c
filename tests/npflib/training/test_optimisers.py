"""The optimisers against Keras' update rules, written out in NumPy in float64."""

from math import sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npflib.training.optimisers import KerasAdam, keras_optimiser

STEPS = 50


def keras_adam(theta, gradients, lr, beta1=0.9, beta2=0.999, epsilon=1e-7):
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        rate = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
        theta = theta - rate * m / (np.sqrt(v) + epsilon)
    return theta


def keras_sgd(theta, gradients, lr):
    for g in gradients:
        theta = theta - lr * g
    return theta


def keras_rmsprop(theta, gradients, lr, rho=0.9, epsilon=1e-7):
    """As Keras had it in 2020: ε outside the root."""
    v = np.zeros_like(theta)
    for g in gradients:
        v = rho * v + (1 - rho) * g**2
        theta = theta - lr * g / (np.sqrt(v) + epsilon)
    return theta


RULES = {"adam": keras_adam, "sgd": keras_sgd, "rmsprop": keras_rmsprop}


def problem(seed, size, scale, steps=STEPS):
    """A start and a sequence of gradients; the scale makes ε matter or not."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal(size), scale * generator.standard_normal((steps, size))


def stepped(name, theta, gradients, lr, dtype=torch.float64):
    parameter = torch.tensor(theta, dtype=dtype)
    rule = keras_optimiser(name, [parameter], lr)
    for g in gradients:
        parameter.grad = torch.tensor(g, dtype=dtype)
        rule.step()
    return parameter.double().numpy()


@pytest.mark.parametrize("name", list(RULES))
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 40),
    scale=st.sampled_from([1e-8, 1e-6, 1e-3, 1.0]),
    lr=st.sampled_from([1e-4, 1e-2]),
)
def test_fifty_steps_are_keras_fifty_steps(name, seed, size, scale, lr):
    theta, gradients = problem(seed, size, scale)
    expected = RULES[name](theta, gradients, lr)
    np.testing.assert_allclose(stepped(name, theta, gradients, lr), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", list(RULES))
def test_in_float32_they_are_keras_to_that_precision(name):
    theta, gradients = problem(3, 1000, 1e-2)
    expected = RULES[name](theta, gradients, 1e-3)
    # Fifty additions to numbers of size up to 4, each rounded to 24 bits.
    np.testing.assert_allclose(stepped(name, theta, gradients, 1e-3, torch.float32), expected, rtol=0, atol=50 * 2.4e-7)


@pytest.mark.parametrize("size", [1e-7, 1e-6, 1e-3])
def test_the_first_step_differs_from_torch_adam_as_epsilon_says(size):
    """Step 1 of gradient g: Keras moves by η g / (|g| + ε/√(1-β₂)), torch by η g / (|g| + ε)."""
    moves = []
    for kind in (lambda p: KerasAdam([p], 1e-2), lambda p: torch.optim.Adam([p], lr=1e-2, eps=1e-7)):
        parameter = torch.zeros(1, dtype=torch.float64)
        parameter.grad = torch.full_like(parameter, size)
        kind(parameter).step()
        moves.append(-parameter.item())
    assert moves[0] == pytest.approx(1e-2 * size / (size + 1e-7 / sqrt(0.001)), rel=1e-9)
    assert moves[1] == pytest.approx(1e-2 * size / (size + 1e-7), rel=1e-9)
    assert moves[0] < moves[1]


@pytest.mark.parametrize("name", list(RULES))
def test_a_saved_state_goes_on_with_the_same_bits(name, tmp_path):
    theta, gradients = problem(1, 30, 1e-5)
    expected = stepped(name, theta, gradients, 1e-3, torch.float32)
    parameter = torch.tensor(theta, dtype=torch.float32)
    rule = keras_optimiser(name, [parameter], 1e-3)
    for number, g in enumerate(gradients):
        if number == 20:
            torch.save({"rule": rule.state_dict(), "parameter": parameter}, tmp_path / "state.pt")
            state = torch.load(tmp_path / "state.pt", weights_only=True)
            parameter = state["parameter"]
            rule = keras_optimiser(name, [parameter], 1e-3)
            rule.load_state_dict(state["rule"])
        parameter.grad = torch.tensor(g, dtype=torch.float32)
        rule.step()
    assert np.array_equal(parameter.double().numpy(), expected)


@pytest.mark.parametrize("name", list(RULES))
def test_a_parameter_without_a_gradient_stays(name):
    still, moving = torch.ones(3), torch.ones(3)
    rule = keras_optimiser(name, [still, moving], 1e-2)
    moving.grad = torch.ones(3)
    rule.step()
    assert torch.equal(still, torch.ones(3))
    assert not torch.equal(moving, torch.ones(3))


def test_an_unknown_name_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"'adagrad'.*sgd, adam, rmsprop"):
        keras_optimiser("adagrad", [torch.zeros(1)], 1e-2)
