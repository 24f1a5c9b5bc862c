"""Kernel read-outs of gates against the definition, path by path, and gates whose meaning is known."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from npflib.kernels import neural_path_kernel
from npflib.networks import FullyConnected, ReLUNetwork
from npflib.paths import neural_path_feature
from npflib.theory import kernel_ridge
from npflib.theory.kernel_ridge import KernelReadOut, choose_ridge, class_targets, fit

RIDGES = (0.01, 0.1, 1.0)


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(seed: int, n: int, m: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two classes that no linear machine tells apart: the sign of a product."""
    x = torch.randn(n + m, 3, generator=drawn(seed), dtype=torch.float64)
    labels = (x[:, 0] * x[:, 1] > 0).long()
    labels[0], labels[n - 1] = 0, 1
    return x[:n], labels[:n], x[n:], labels[n:]


def tiny(seed: int, depth: int = 3, width: int = 3) -> ReLUNetwork:
    arch = FullyConnected(depth=depth, width=width, in_features=3, out_features=2, bias=False)
    return ReLUNetwork(arch, drawn(seed)).double()


@settings(max_examples=25)
@given(st.integers(10, 40), st.integers(1, 20), st.integers(2, 4), st.integers(0, 1000))
@example(n=10, m=1, depth=3, seed=600)  # no gate is open for any example of the fit: its kernel is 0
def test_a_read_out_is_ridge_regression_on_the_path_features(n, m, depth, seed):
    """The primal solution with every path enumerated, for the ridge that was chosen."""
    x, labels, new, new_labels = problem(seed, n, m)
    network = tiny(seed, depth)
    reading = KernelReadOut(x, labels, new, new_labels, ridges=RIDGES, seed=seed).read_network(network)
    phi, new_phi = (neural_path_feature(part, network.gates(part)).detach() for part in (x, new))
    added = reading.ridge * phi.square().sum() / n
    normal = phi.T @ phi + added * torch.eye(phi.shape[1], dtype=torch.float64)
    weights = torch.linalg.pinv(normal, hermitian=True) @ phi.T @ class_targets(labels, 2)  # 0 where all paths are shut
    scores = new_phi @ weights
    # Scores that nearly tie are ordered by rounding; those of an input whose paths are all shut are exactly 0.
    clear = ((scores[:, 0] - scores[:, 1]).abs() > 1e-9) | (new_phi == 0).all(1)
    right = int((scores.argmax(1) == new_labels)[clear].sum())
    assert right <= round(reading.accuracy * m) <= right + int((~clear).sum())


def test_the_ridge_is_chosen_and_the_machine_fitted_on_the_path_kernel():
    x, labels, new, new_labels = problem(0, 120, 80)
    network = tiny(1, width=20)
    reading = KernelReadOut(x, labels, new, new_labels, ridges=RIDGES, seed=5).read_network(network)
    kernel = neural_path_kernel(x, network.gates(x))
    choice = choose_ridge(kernel, labels, RIDGES, seed=5)
    rows = neural_path_kernel(new, network.gates(new), x, network.gates(x))
    assert reading.accuracy == fit(kernel, labels, choice.ridge).accuracy(rows, new_labels)
    assert (reading.ridge, reading.at_edge) == (choice.ridge, choice.at_edge)
    assert reading.held_out == choice.accuracies[choice.ridge]


def test_test_labels_have_no_part_in_it():
    x, labels, new, new_labels = problem(0, 60, 40)
    one, other = (
        KernelReadOut(x, labels, new, found, ridges=RIDGES).read_network(tiny(1))
        for found in (new_labels, 1 - new_labels)
    )
    assert one.accuracy == pytest.approx(1 - other.accuracy, abs=1e-15)
    assert (one.ridge, one.held_out) == (other.ridge, other.held_out)


def test_read_outs_do_not_change_the_reader():
    x, labels, new, new_labels = problem(2, 50, 30)
    reader = KernelReadOut(x, labels, new, new_labels, ridges=RIDGES)
    first = reader.read_linear()
    for seed in range(3):
        reader.read_network(tiny(seed))
    assert reader.read_linear() == first
    assert torch.equal(reader.gram, reader.x @ reader.x.T) or torch.allclose(reader.gram, reader.x @ reader.x.T)


def test_open_gates_are_the_linear_kernel():
    x, labels, new, new_labels = problem(3, 60, 40)
    reader = KernelReadOut(x, labels, new, new_labels, ridges=RIDGES)
    # Λ = 4 · 4 is a power of two: it scales every number exactly.
    assert reader.read([torch.ones(60, 4)] * 2, [torch.ones(40, 4)] * 2) == reader.read_linear()


def test_gates_that_know_the_label_tell_it_and_gates_that_know_nothing_do_not():
    x, labels, new, new_labels = problem(4, 300, 300)
    reader = KernelReadOut(x.abs() + 1, labels, new.abs() + 1, new_labels)
    informed = [torch.nn.functional.one_hot(part).float() for part in (labels, new_labels)]
    assert reader.read([informed[0]], [informed[1]]).accuracy == 1.0
    # 300 coin flips: four standard deviations are 0.12.
    assert reader.read_linear().accuracy == pytest.approx(0.5, abs=0.12)


def test_blocks_change_nothing(monkeypatch):
    x, labels, new, new_labels = problem(5, 50, 33)
    whole = KernelReadOut(x, labels, new, new_labels, ridges=RIDGES).read_network(tiny(1, width=9))
    monkeypatch.setattr(kernel_ridge, "CHUNK", 7)
    assert KernelReadOut(x, labels, new, new_labels, ridges=RIDGES).read_network(tiny(1, width=9)) == whole


def test_counts_of_units_are_exact_however_many():
    """Products of counts beyond 2^24, which float32 would round."""
    width, depth = 331, 5
    gates = [torch.ones(2, width)] * depth
    kernel = kernel_ridge._with_overlap(torch.ones(2, 2, dtype=torch.float64), gates, gates)
    assert kernel.tolist() == [[float(width**depth)] * 2] * 2


def test_gates_that_are_all_shut_read_as_the_first_class():
    x, labels, new, new_labels = problem(7, 30, 20)
    reader = KernelReadOut(x, labels, new, new_labels, ridges=RIDGES)
    reading = reader.read([torch.zeros(30, 4)], [torch.zeros(20, 4)])
    assert reading.accuracy == float((new_labels == 0).double().mean())
    assert reading.ridge == max(RIDGES)
    # Open for new examples alone, they meet nothing that was fitted.
    assert reader.read([torch.zeros(30, 4)], [torch.ones(20, 4)]) == reading


def test_what_does_not_fit_is_refused():
    x, labels, new, new_labels = problem(6, 30, 20)
    with pytest.raises(ValueError, match=r"training inputs .* a label each"):
        KernelReadOut(x, labels[:-1], new, new_labels)
    with pytest.raises(ValueError, match="inputs differ"):
        KernelReadOut(x, labels, new[:, 0], new_labels)
    with pytest.raises(ValueError, match="inputs differ"):
        KernelReadOut(x, labels, new[:, :2], new_labels)
    with pytest.raises(ValueError, match="GiB; allowed are"):
        KernelReadOut(x, labels, new, new_labels, memory=1000)
    reader = KernelReadOut(x, labels, new, new_labels)
    with pytest.raises(ValueError, match="must be hard"):
        reader.read([torch.full((30, 2), 0.5)], [torch.ones(20, 2)])
    with pytest.raises(ValueError, match="same network"):
        reader.read([torch.ones(30, 2)], [torch.ones(20, 3)])
    with pytest.raises(ValueError, match="examples"):
        reader.read([torch.ones(29, 2)], [torch.ones(20, 2)])
