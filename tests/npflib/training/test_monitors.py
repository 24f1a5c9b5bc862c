"""What is measured along a run, against definitions written out, exact arithmetic, and torch.func."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import fully_connected, normal, seeds, shuffled
from torch.func import functional_call, jacrev

from npflib.kernels import alignment
from npflib.networks import DeepGatedNetwork, FullyConnected, ReLUNetwork
from npflib.paths import neural_path_feature
from npflib.training import monitors
from npflib.training.monitors import (
    MEASURES,
    Batch,
    first_of_each_class,
    kernel_and_labels,
    random_of_each_class,
    summed_softmax_gradient,
    value_and_gate_kernels,
)

few = settings(max_examples=25)
labels_of_some_classes = st.lists(st.integers(0, 3), min_size=1, max_size=40)


# --- examples --------------------------------------------------------------------------------------------------------


def members(labels, value):
    return [index for index, label in enumerate(labels) if label == value]


@given(labels_of_some_classes, st.integers(1, 4), st.sampled_from([torch.int64, torch.float32]))
def test_the_first_of_each_class(labels, count, dtype):
    smallest = min(labels.count(value) for value in set(labels))
    count = min(count, smallest)
    found = first_of_each_class(torch.tensor(labels, dtype=dtype), count)
    assert found.tolist() == [i for value in sorted(set(labels)) for i in members(labels, value)[:count]]


@given(labels_of_some_classes, st.integers(1, 4), seeds)
def test_random_ones_of_each_class(labels, count, seed):
    count = min(count, *(labels.count(value) for value in set(labels)))
    tensor = torch.tensor(labels)
    found = random_of_each_class(tensor, count, seed)
    torch.rand(1)
    assert torch.equal(found, random_of_each_class(tensor, count, seed))
    for value, chosen in zip(sorted(set(labels)), found.split(count), strict=True):
        assert len(set(chosen.tolist())) == count
        assert set(chosen.tolist()) <= set(members(labels, value))


def test_random_ones_are_not_the_first_and_every_example_has_the_same_chance():
    labels = torch.arange(60) % 3
    draws = [random_of_each_class(labels, 5, seed) for seed in range(400)]
    assert not any(torch.equal(draw, first_of_each_class(labels, 5)) for draw in draws[:10])
    counts = torch.bincount(torch.cat(draws), minlength=60).double()
    # Each of 20 in a class is drawn in a quarter of the 400 draws, binomially: 100 ± 8.7.
    assert (counts - 100).abs().max() < 5 * (400 * 0.25 * 0.75) ** 0.5
    # Classes are drawn independently: the same places would be chosen in all three otherwise.
    places = [{i // 3 for i in part.tolist()} for part in draws[0].split(5)]
    assert places[0] != places[1]


@pytest.mark.parametrize("choose", [first_of_each_class, random_of_each_class])
@pytest.mark.parametrize(("labels", "message"), [([0, 0, 1], r"2 examples of each class; class 1 has 1"),
                                                 ([-1.0, 1.0, 1.0], r"class -1 has 1")])  # fmt: skip
def test_too_few_of_a_class_are_refused(choose, labels, message):
    with pytest.raises(ValueError, match=message):
        choose(torch.tensor(labels), 2)


@pytest.mark.parametrize("choose", [first_of_each_class, random_of_each_class])
@pytest.mark.parametrize("count", [-1, 0, True, 1.0, None])
def test_a_count_that_is_no_number_of_examples_is_refused(choose, count):
    with pytest.raises(ValueError, match=f"count must be a positive whole number of examples a class; got {count!r}"):
        choose(torch.tensor([0, 1, 0, 1]), count)


# --- ν ---------------------------------------------------------------------------------------------------------------


def exact_inverse_form(kernel: list[list[int]], y: list[int]) -> Fraction | None:
    """yᵀ K⁻¹ y in rational arithmetic by elimination; None if K is singular."""
    n = len(kernel)
    rows = [[Fraction(v) for v in row] + [Fraction(label)] for row, label in zip(kernel, y, strict=True)]
    for column in range(n):
        pivot = next((r for r in range(column, n) if rows[r][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for other in range(n):
            if other != column and rows[other][column]:
                factor = rows[other][column]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[column], strict=True)]
    return sum(Fraction(label) * row[-1] for label, row in zip(y, rows, strict=True))


def whole_network(seed: int, width: int, inputs: int) -> ReLUNetwork:
    """Two hidden layers with small whole numbers for weights, so that every path is a whole number."""
    network = ReLUNetwork(FullyConnected(3, width, inputs, 1, bias=False)).double()
    with torch.no_grad():
        for index, weight in enumerate(network.weights):
            weight.copy_((2 * normal(seed + index, *weight.shape)).round())
    return network


def signs(seed: int, n: int) -> torch.Tensor:
    return torch.where(normal(seed, n) > 0, 1.0, -1.0).double()


@given(seeds, st.integers(1, 5), st.integers(2, 6), st.integers(2, 5))
@few
def test_nu_is_that_of_rational_arithmetic(seed, n, width, inputs):
    network = whole_network(seed, width, inputs)
    x = (3 * normal(seed + 9, n, inputs)).round()
    y, trained = signs(seed + 10, n), signs(seed + 11, n)
    features = neural_path_feature(x, network.gates(x))
    kernel = [[round(v) for v in row] for row in (features @ features.T).tolist()]
    trace = sum(kernel[i][i] for i in range(n))
    expected = [exact_inverse_form(kernel, [int(v) for v in labels]) for labels in (y, trained)]
    assume(None not in expected)
    assume(np.linalg.cond(np.array(kernel, dtype=float)) < 1e8)
    found = kernel_and_labels(network, Batch(x, y, trained))
    # A solve loses the condition number, at most 1e8, from sixteen digits.
    assert found["nu"] == pytest.approx(float(trace * expected[0]), rel=1e-7)
    assert found["nu_trained"] == pytest.approx(float(trace * expected[1]), rel=1e-7)
    assert found["trace"] == trace


def batch_of(seed: int, n: int, width: int = 30, inputs: int = 12, bias: bool = False, depth: int = 4):
    network = shuffled(ReLUNetwork(FullyConnected(depth, width, inputs, 1, bias)), seed)
    return network, Batch(normal(seed + 20, n, inputs), signs(seed + 21, n), signs(seed + 22, n))


@given(seeds, st.integers(1, 12), st.booleans(), st.integers(2, 5))
@few
def test_all_of_it_against_an_explicit_inverse(seed, n, bias, depth):
    network, batch = batch_of(seed, n, bias=bias, depth=depth)
    kernel = batch.x @ batch.x.T
    for gate in network.gates(batch.x):
        kernel = kernel * (gate @ gate.T)
    assume(torch.linalg.cond(kernel) < 1e8)
    inverse = torch.linalg.inv(kernel)
    found = kernel_and_labels(network, batch)
    expected = {
        "nu": kernel.trace() * (batch.labels @ inverse @ batch.labels),
        "nu_trained": kernel.trace() * (batch.trained @ inverse @ batch.trained),
        "nu_chance": kernel.trace() * inverse.trace(),
        "condition": torch.linalg.cond(kernel),
        "trace": kernel.trace(),
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value.item(), rel=1e-6), name
    assert found["nu"] >= n * (1 - 1e-9), "its least value, whatever the kernel"


def kernel_of(network, batch):
    features = batch.x @ batch.x.T
    for gate in network.gates(batch.x):
        features = features * (gate @ gate.T)
    return features


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_chance_is_the_mean_over_all_labels(n):
    network, batch = batch_of(5, n)
    kernel = kernel_of(network, batch)
    every = [alignment(kernel, torch.tensor(y)) for y in product([-1.0, 1.0], repeat=n)]
    assert kernel_and_labels(network, batch)["nu_chance"] == pytest.approx(sum(every) / len(every), rel=1e-10)


def test_chance_is_the_mean_over_random_labels():
    n, draws = 40, 4000
    network, batch = batch_of(3, n, width=60, inputs=50)
    kernel = kernel_of(network, batch)
    a = kernel.trace() * torch.linalg.inv(kernel)
    y = torch.where(normal(8, draws, n) > 0, 1.0, -1.0).double()
    nu = ((y @ a) * y).sum(1)
    assert nu[0].item() == pytest.approx(alignment(kernel, y[0]), rel=1e-9)
    # Of signs y the variance of yᵀAy is 2 Σ_{i≠j} A_ij².
    error = (2 * (a - a.diag().diag()).square().sum() / draws).sqrt().item()
    found = kernel_and_labels(network, batch)["nu_chance"]
    assert abs(nu.mean().item() - found) < 5 * error
    assert 5 * error < 0.2 * found, "the test could tell a wrong mean"


@given(seeds, st.floats(1e-3, 1e3))
@few
def test_only_the_trace_knows_the_scale_of_the_inputs(seed, scale):
    network, batch = batch_of(seed, 6)
    one = kernel_and_labels(network, batch)
    other = kernel_and_labels(network, Batch(scale * batch.x, batch.labels, batch.trained))  # no biases: same gates
    for name in ("nu", "nu_trained", "nu_chance", "condition"):
        assert other[name] == pytest.approx(one[name], rel=1e-5)
    assert other["trace"] == pytest.approx(scale**2 * one["trace"], rel=1e-9)


def test_float32_networks_and_images_are_measured_in_float64():
    network, batch = batch_of(4, 8)
    network.float()
    x = batch.x.float().view(8, 1, 3, 4)
    features = neural_path_feature(x.flatten(1).double(), [g.double() for g in network.gates(x)], limit=10**7)
    kernel = features @ features.T
    found = kernel_and_labels(network, Batch(x, batch.labels.float(), batch.trained.float()))
    assert found["nu"] == pytest.approx(alignment(kernel, batch.labels), rel=1e-9)


def test_labels_that_are_not_signs_and_singular_kernels_are_refused():
    network, batch = batch_of(0, 4)
    with pytest.raises(ValueError, match=r"labels must be -1 or \+1"):
        kernel_and_labels(network, Batch(batch.x, torch.arange(4), batch.trained))
    with pytest.raises(ValueError, match=r"labels must be -1 or \+1"):
        kernel_and_labels(network, Batch(batch.x, batch.labels, torch.arange(4)))
    twice = batch.x[[0, 0, 1, 2]]
    with pytest.raises(ValueError, match="singular"):
        kernel_and_labels(network, Batch(twice, batch.labels, batch.trained))


# --- traces and norms of the tangent kernel's parts ------------------------------------------------------------------


@st.composite
def gated(draw):
    """(a tiny network with soft gates and biases that are not zero, inputs)."""
    arch = draw(fully_connected(min_depth=2, max_depth=4, max_size=4))
    network = shuffled(DeepGatedNetwork(arch, "soft"), draw(seeds))
    return network, normal(draw(seeds), draw(st.integers(1, 4)), arch.in_features)


def jacobians(network, x, of):
    """∂ of(ŷ)/∂θ [n, outputs, parameters] of the value and of the feature network, by torch.func."""
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    found = jacrev(lambda p: of(functional_call(network, p, (x,))))(parameters)
    return {
        part: torch.cat([j.flatten(2) for name, j in found.items() if name.startswith(prefix)], 2)
        for part, prefix in (("value", "value."), ("gate", "feature."))
    }


@given(gated())
@few
def test_traces_and_norms_are_those_of_the_jacobians(setup):
    network, x = setup
    found = value_and_gate_kernels(network, Batch(x, *[torch.zeros(len(x))] * 2))
    for part, jacobian in jacobians(network, x, lambda logits: logits).items():
        kernel = torch.einsum("icp,jcp->ij", jacobian, jacobian)
        assert found[f"trace_{part}"] == pytest.approx(kernel.trace().item(), rel=1e-9, abs=1e-12)
        assert found[f"norm_{part}"] == pytest.approx(kernel.norm().item(), rel=1e-9, abs=1e-12)
    assert set(found) == {f"{what}_{part}{end}" for what in ("trace", "norm") for part in ("value", "gate")
                          for end in ("", "_summed")}  # fmt: skip


@given(gated())
@few
def test_the_summed_softmax_has_no_gradient_but_rounding(setup):
    """One class's softmax has one: the sum's is smaller by about the machine's precision."""
    network, x = setup
    one = jacobians(network, x, lambda logits: torch.softmax(logits, 1))
    size = max(j.abs().max().item() for j in one.values())
    for example in x:
        for gradient in summed_softmax_gradient(network, example):
            # Rounding of sums of at most a few hundred terms, each no larger than a class's own gradient would allow.
            assert gradient.abs().max().item() <= 1e-11 * max(size, 1.0)
    found = value_and_gate_kernels(network, Batch(x, *[torch.zeros(len(x))] * 2))
    for part in ("value", "gate"):
        assert found[f"trace_{part}_summed"] <= 1e-20 * max(size, 1.0) ** 2
        assert found[f"norm_{part}_summed"] <= found[f"trace_{part}_summed"] * (1 + 1e-9), "of a positive matrix"


def test_at_the_papers_size_the_summed_softmax_gives_noise_where_one_class_gives_a_gradient():
    network = DeepGatedNetwork(FullyConnected(6, 128), "soft", torch.Generator().manual_seed(0))
    x = torch.rand(784, generator=torch.Generator().manual_seed(1))
    value, gate = summed_softmax_gradient(network, x)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (network.value, network.feature)]
    assert [len(value), len(gate)] == sizes
    logits = torch.softmax(network(x[None]), 1)[0, 0]
    single = torch.cat([g.flatten() for g in torch.autograd.grad(logits, list(network.value.parameters()))])
    assert single.norm() > 0.05
    assert max(value.norm(), gate.norm()) < 1e-5 * single.norm()


@given(gated())
@few
def test_the_gradient_is_of_every_parameter_in_order_shown_on_a_sum_that_is_not_constant(setup):
    """With logits in place of their softmax the same lines must give the derivative of the summed logits."""
    network, x = setup
    expected = jacobians(network, x[:1], lambda logits: logits.sum(1, keepdim=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitors.torch, "softmax", lambda logits, _dim: logits)
        value, gate = summed_softmax_gradient(network, x[0])
    torch.testing.assert_close(value, expected["value"][0, 0], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(gate, expected["gate"][0, 0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", list(MEASURES))
def test_measuring_changes_nothing_and_needs_no_gradients_to_be_on(name):
    arch = FullyConnected(3, 64, 16, 1)
    network = ReLUNetwork(arch) if name == "alignment" else DeepGatedNetwork(arch, "soft")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    batch = Batch(torch.rand(4, 16, generator=torch.Generator().manual_seed(3)), *[signs(1, 4)] * 2)
    with torch.no_grad():
        found = MEASURES[name].measure(network, batch)
    assert found == MEASURES[name].measure(network, batch)
    assert all(isinstance(value, float) and np.isfinite(value) for value in found.values())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_paper_chooses_the_first_for_nu_and_the_companion_draws_for_the_traces():
    assert MEASURES["alignment"].choose is first_of_each_class
    assert MEASURES["traces"].choose is random_of_each_class
    with pytest.raises(TypeError):
        MEASURES["third"] = MEASURES["traces"]
