"""Kernel ridge regression against the primal solution, scikit-learn, closed forms and optimality itself."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from npflib import kernels
from npflib.theory import kernel_ridge
from npflib.theory.kernel_ridge import RidgeChoice, choose_ridge, class_targets, fit, memory_needed, ridge_path

# Products and solves of at most 40 examples with ridges ≥ 1e-3 of the mean diagonal: condition number below 4e4, hence
# a relative error of some 1e-11.
TIGHT = {"rtol": 1e-8, "atol": 1e-10}
few = settings(max_examples=40)
ridges = st.floats(1e-3, 10)
sizes = st.integers(2, 40)
seeds = st.integers(0, 2**31)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def digits(seed: int, n: int, classes: int) -> Tensor:
    return torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed + 1))


@few
@given(sizes, st.integers(1, 12), st.integers(1, 5), ridges, seeds)
def test_it_is_ridge_regression_on_the_features(n, features, outputs, ridge, seed):
    x, new, y = drawn(seed, n, features), drawn(seed + 1, 7, features), drawn(seed + 2, n, outputs)
    added = ridge * x.square().sum() / n
    primal = torch.linalg.solve(x.T @ x + added * torch.eye(features, dtype=torch.float64), x.T @ y)
    (dual,) = ridge_path(x @ x.T, y, [ridge])
    torch.testing.assert_close(new @ x.T @ dual, new @ primal, **TIGHT)


@few
@given(sizes, st.integers(1, 6), ridges, seeds)
def test_it_minimises_the_penalised_loss(n, features, ridge, seed):
    """The gradient of Σ ‖K α - Y‖² + λ tr αᵀK α, by automatic differentiation, vanishes."""
    x, y = drawn(seed, n, features), drawn(seed + 1, n, 2)
    kernel = x @ x.T
    alpha = ridge_path(kernel, y, [ridge])[0].requires_grad_()
    added = ridge * kernel.trace() / n
    loss = (kernel @ alpha - y).square().sum() + added * (alpha * (kernel @ alpha)).sum()
    (gradient,) = torch.autograd.grad(loss, alpha)
    assert gradient.abs().max() <= 1e-9 * (1 + float(kernel.abs().max()) * float(y.abs().max()) * n)


@few
@given(sizes, ridges, seeds)
def test_a_diagonal_kernel_shrinks_each_target_by_itself(n, ridge, seed):
    diagonal, y = drawn(seed, n).square() + 0.1, drawn(seed + 1, n, 3)
    (found,) = ridge_path(torch.diag(diagonal), y, [ridge])
    torch.testing.assert_close(found, y / (diagonal + ridge * diagonal.mean())[:, None], **TIGHT)


@few
@given(sizes, st.lists(ridges, min_size=1, max_size=15), seeds)
def test_a_path_has_the_order_of_its_ridges_and_is_that_of_eigenvectors(n, tried, seed):
    """K = U diag(s) Uᵀ: α = U (s + λ)⁻¹ UᵀY."""
    x, y = drawn(seed, n, n + 2), drawn(seed + 1, n, 2)
    values, vectors = torch.linalg.eigh(x @ x.T)
    added = [ridge * values.mean() for ridge in tried]
    expected = torch.stack([vectors @ ((vectors.T @ y) / (values + one)[:, None]) for one in added])
    torch.testing.assert_close(ridge_path(x @ x.T, y, tried), expected, **TIGHT)


@few
@given(sizes, ridges, st.floats(1e-6, 1e6), seeds)
def test_a_kernels_scale_changes_no_score(n, ridge, scale, seed):
    x, new, labels = drawn(seed, n, 4), drawn(seed + 1, 5, 4), digits(seed, n, 3)
    one = fit(x @ x.T, labels, ridge, classes=3).scores(new @ x.T)
    other = fit(scale * (x @ x.T), labels, ridge, classes=3).scores(scale * (new @ x.T))
    torch.testing.assert_close(one, other, **TIGHT)


@few
@given(sizes, ridges, seeds)
def test_it_agrees_with_scikit_learn(n, ridge, seed):
    library = pytest.importorskip("sklearn.kernel_ridge")
    x, new, labels = drawn(seed, n, 5), drawn(seed + 1, 9, 5), digits(seed, n, 4)
    kernel = (x @ x.T + 1).square()
    theirs = library.KernelRidge(alpha=float(ridge * kernel.trace() / n), kernel="precomputed")
    theirs.fit(kernel.numpy(), class_targets(labels, 4).numpy())
    rows = (new @ x.T + 1).square()
    ours = fit(kernel, labels, ridge, classes=4)
    torch.testing.assert_close(ours.scores(rows), torch.from_numpy(theirs.predict(rows.numpy())), **TIGHT)


def test_without_a_ridge_a_regular_kernel_is_interpolated():
    x, labels = drawn(0, 20, 30), digits(0, 20, 3)
    machine = fit(x @ x.T, labels, 0.0)
    # The condition number of this kernel is about 1e2.
    torch.testing.assert_close(machine.scores(x @ x.T), class_targets(labels, 3), rtol=0, atol=1e-11)
    assert machine.accuracy(x @ x.T, labels) == 1.0


@few
@given(st.integers(1, 30), st.integers(2, 6), seeds)
def test_targets_are_centred_over_the_classes_and_name_the_class(n, classes, seed):
    labels = digits(seed, n, classes)
    y = class_targets(labels, classes)
    assert torch.equal(y.argmax(1), labels)
    # A sum of at most 6 numbers below 1 in size.
    assert y.sum(1).abs().max() < 1e-15
    assert y.dtype == torch.float64
    torch.testing.assert_close(y.max(1).values - y.min(1).values, torch.ones(n, dtype=torch.float64))


@few
@given(sizes, st.integers(1, 25), seeds)
def test_the_class_of_the_largest_score_is_predicted(n, m, seed):
    x, new, labels = drawn(seed, n, 4), drawn(seed + 1, m, 4), digits(seed, n, 3)
    machine = fit(x @ x.T, labels, 0.1, classes=3)
    predicted = machine.scores(new @ x.T).argmax(1)
    assert torch.equal(machine.predict(new @ x.T), predicted)
    expected = (predicted == digits(seed + 5, m, 3)).double().mean().item()
    assert machine.accuracy(new @ x.T, digits(seed + 5, m, 3)) == pytest.approx(expected, abs=1e-15)


# The choice of the ridge


def test_the_choice_is_what_fitting_the_rest_by_hand_says():
    x, labels = drawn(3, 60, 6), digits(3, 60, 3)
    kernel, tried = x @ x.T, (0.01, 0.1, 1.0, 10.0)
    choice = choose_ridge(kernel, labels, tried[::-1], share=0.25, seed=7)
    order = torch.randperm(60, generator=kernel_ridge.generator(7, "examples"))
    out, rest = order[:15], order[15:]
    by_hand = {}
    for ridge in tried:
        machine = fit(kernel[rest][:, rest], labels[rest], ridge, classes=3)
        by_hand[ridge] = machine.accuracy(kernel[out][:, rest], labels[out])
    assert choice.accuracies == by_hand
    assert list(choice.accuracies) == sorted(tried)
    assert choice.held_out == 15
    assert choice.accuracies[choice.ridge] == max(by_hand.values())


def test_noise_wants_a_large_ridge_and_a_clean_problem_does_not():
    n = 400
    x = drawn(4, n, 200)
    direction = x[:, 0] + 0.3 * x[:, 1]
    clean = (direction > 0).long()
    noisy = torch.where(drawn(5, n) > 0.5, 1 - clean, clean)
    tried = [10.0**k for k in range(-5, 3)]
    weak, strong = (choose_ridge(x @ x.T, y, tried) for y in (clean, noisy))
    assert strong.accuracies[1.0] > strong.accuracies[1e-5]
    assert max(weak.accuracies.values()) > max(strong.accuracies.values())


def test_the_held_out_examples_do_not_enter_the_fit():
    """With labels that mean nothing, an accuracy far above chance would betray them."""
    x = drawn(6, 300, 400)  # more features than examples: what enters the fit is fitted exactly
    choice = choose_ridge(x @ x.T, digits(6, 300, 2), (1e-3,), share=0.5)
    # 150 coin flips: five standard deviations are 0.2.
    assert choice.accuracies[1e-3] == pytest.approx(0.5, abs=0.2)


def test_equal_ridges_go_to_the_largest_and_an_edge_is_seen():
    labels = torch.tensor([0, 1] * 20)
    x = torch.where(labels == 0, -1.0, 1.0)[:, None]
    choice = choose_ridge(x @ x.T, labels, (0.1, 1.0, 10.0))
    assert choice.ridge == 10.0
    assert choice.at_edge
    assert not RidgeChoice(1.0, {0.1: 0.5, 1.0: 0.6, 10.0: 0.5}, 8).at_edge


# What is refused


def test_what_is_not_a_kernel_is_refused():
    y, labels = torch.ones(3, 1), torch.tensor([0, 1, 0])
    for kernel, message in (
        (torch.ones(3, 2), r"square matrix .* got \(3, 2\)"),
        (torch.ones(3), "square matrix"),
        (torch.empty(0, 0), "n ≥ 1"),
        (torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), "symmetric"),
        (torch.full((3, 3), torch.nan), "not finite"),
        (torch.full((3, 3), torch.inf), "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            ridge_path(kernel, y, [1.0])
    with pytest.raises(ValueError, match="one for each row"):
        fit(torch.eye(4), labels, 1.0)
    with pytest.raises(ValueError, match="one for each row"):
        choose_ridge(torch.eye(4), labels)


def test_asymmetry_is_found_wherever_it_stands(monkeypatch):
    monkeypatch.setattr(kernels, "CHUNK", 3)
    for i, j in ((0, 7), (4, 5), (7, 0), (6, 2)):
        kernel = torch.eye(8)
        kernel[i, j] = 0.5
        with pytest.raises(ValueError, match="symmetric"):
            ridge_path(kernel, torch.ones(8, 1), [1.0])


def test_rounding_of_float32_is_no_asymmetry():
    x = drawn(7, 30, 40).float()
    kernel = x @ x.T
    kernel[0, 1] *= 1 + 1e-6
    (found,) = ridge_path(kernel, torch.ones(30, 1), [0.1])
    assert found.dtype == torch.float64
    with pytest.raises(ValueError, match="symmetric"):
        ridge_path(kernel.double(), torch.ones(30, 1), [0.1])


def test_a_singular_kernel_is_refused_without_a_ridge_and_taken_with_one():
    kernel, y = torch.ones(3, 3), torch.ones(3, 1)
    for ridge in (0.0, 1e-18):
        with pytest.raises(ValueError, match=rf"singular .* Use a larger relative ridge than {ridge:g}"):
            ridge_path(kernel, y, [1.0, ridge])
    with pytest.raises(ValueError, match="positive semidefinite"):
        ridge_path(torch.diag(torch.tensor([1.0, -2.0, 3.0])), y, [0.1])
    with pytest.raises(ValueError, match="positive semidefinite"):
        ridge_path(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), y[:2], [1.0])  # its trace is 0 too
    # (11ᵀ + λ I)⁻¹ 1 = 1 / (3 + λ)
    torch.testing.assert_close(ridge_path(kernel, y, [0.5])[0], torch.full((3, 1), 1 / 3.5, dtype=torch.float64))


def test_the_zero_kernel_has_the_zero_function_alone():
    """Ridge regression on features that are all 0: the weights are 0, whatever the ridge."""
    y, features, tried = drawn(8, 5, 3), torch.zeros(5, 2, dtype=torch.float64), [0.0, 0.1, 1.0]
    weights = torch.linalg.lstsq(torch.cat([features, torch.eye(2)]), torch.cat([y, torch.zeros(2, 3)])).solution
    found = ridge_path(features @ features.T, y, tried)
    assert torch.equal(found, torch.zeros(3, 5, 3, dtype=torch.float64))
    assert torch.equal(drawn(9, 4, 2) @ features.T @ found[1], drawn(9, 4, 2) @ weights)
    labels, new_labels = torch.tensor([1, 0, 2, 1, 1]), torch.tensor([0, 1, 0, 2])
    choice = choose_ridge(torch.zeros(5, 5), labels, tried, share=0.4)
    assert choice.ridge == 1.0, "all ridges are equal, and the largest is taken"
    assert len(set(choice.accuracies.values())) == 1
    machine = fit(torch.zeros(5, 5), labels, 0.1)
    assert torch.equal(machine.scores(torch.zeros(4, 5)), torch.zeros(4, 3, dtype=torch.float64))
    assert machine.accuracy(torch.zeros(4, 5), new_labels) == 0.5, "all classes tie, and the first is the answer"


@pytest.mark.parametrize("bad", [[], [-1.0], [math.nan], [math.inf], ["2"], [None], [True]])
def test_bad_ridges_are_refused(bad):
    with pytest.raises(ValueError, match=r"finite numbers? (≥ 0|of at least 0)"):
        ridge_path(torch.eye(2), torch.ones(2, 1), bad)


def test_bad_targets_and_labels_are_refused():
    with pytest.raises(ValueError, match=r"targets must be \[2, C\]"):
        ridge_path(torch.eye(2), torch.ones(3, 1), [1.0])
    with pytest.raises(ValueError, match="not finite"):
        ridge_path(torch.eye(2), torch.full((2, 1), torch.nan), [1.0])
    for labels, classes, message in (
        (torch.tensor([0, 3]), 3, "0 to 2; got 0 to 3"),
        (torch.tensor([-1, 1]), 3, "got -1 to 1"),
        (torch.tensor([0.0, 1.0]), 2, "whole numbers"),
        (torch.tensor([True, False]), 2, "whole numbers"),
        (torch.tensor([], dtype=torch.int64), 2, "n ≥ 1"),
        (torch.tensor([[0, 1]]), 2, "whole numbers"),
        (torch.tensor([0, 0]), 1, "at least 2"),
        (torch.tensor([0, 0]), True, "at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            class_targets(labels, classes)


def test_labels_of_one_class_alone_still_make_two_classes():
    assert fit(torch.eye(2), torch.tensor([0, 0]), 1.0).coefficients.shape == (2, 2)


def test_rows_that_do_not_match_are_refused():
    machine = fit(torch.eye(3), torch.tensor([0, 1, 2]), 1.0)
    with pytest.raises(ValueError, match=r"\[m, 3\], n examples fitted; got \(3, 2\)"):
        machine.scores(torch.ones(3, 2))
    with pytest.raises(ValueError, match="not finite"):
        machine.scores(torch.full((1, 3), torch.nan))
    with pytest.raises(ValueError, match="one for each row"):
        machine.accuracy(torch.ones(1, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="not finite"):
        machine.accuracy(torch.ones(2, 3), torch.tensor([0.0, math.nan]))


@pytest.mark.parametrize("share", [0, 1, 0.01, -0.5, "half"])
def test_a_share_that_leaves_one_side_empty_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        choose_ridge(torch.eye(4), torch.tensor([0, 1, 0, 1]), share=share)


def test_too_many_examples_are_refused_with_what_they_would_need():
    # 100 examples: 3 · 8 · 100² = 240,000 bytes.
    assert memory_needed(100) == 240_000
    with pytest.raises(ValueError, match=r"100 examples needs 0\.000224 GiB; allowed .* enough for 99\."):
        fit(torch.eye(100), torch.tensor([0, 1] * 50), 1.0, memory=239_999)
    fit(torch.eye(100), torch.tensor([0, 1] * 50), 1.0, memory=240_000)
    with pytest.raises(ValueError, match="GiB"):
        choose_ridge(torch.eye(100), torch.tensor([0, 1] * 50), [1.0], memory=120_000)
    with pytest.raises(ValueError, match="GiB"):  # before anything of that size is made: this kernel takes no memory
        fit(torch.zeros(1, 1).expand(50_000, 50_000), torch.tensor([0, 1] * 25_000), 1.0)
