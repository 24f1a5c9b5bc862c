"""Kernel flow: the flow against gradient descent, networks against automatic differentiation, and the smoke run."""

from dataclasses import replace
from math import sqrt

import pytest
import torch
from torch.func import functional_call, jacrev, vmap

from companion.studies import kernel_flow
from companion.studies.kernel_flow import MNIST, FlowConfig
from npflib import data, regimes
from npflib.architectures import FullyConnected
from npflib.randomness import generator
from npflib.theory import fixed_gates
from npflib.training.batched import BatchedLearner
from npflib.training.loop import train

TINY = FlowConfig(120, 20, 40, (0, 3), ((3, 8), (3, 32), (3, 16)), (2, 6), (16,), 1, tested=30)


def random(*shape, stream=0):
    return torch.randn(*shape, generator=generator(0, "examples", stream), dtype=torch.float64)


@pytest.fixture(scope="module")
def table():
    digits = data.subset(data.load("mnist", offline=True), train_examples=200, test_examples=60)
    return MNIST.measure(TINY, digits, progress=False)


@pytest.mark.parametrize("features", [30, 5])  # more than examples, and fewer: then K is singular
@pytest.mark.parametrize("steps", [1, 7, 60])
def test_the_flow_is_gradient_descent_of_a_linear_model(features, steps):
    """Integrated step by step in the weights: no kernel, no eigenvector."""
    phi, new, y = random(2, 12, features), random(2, 9, features, stream=1), random(12, 3, stream=2)
    weights = random(2, features, 3, stream=3)
    start, new_start = phi @ weights, new @ weights
    rho = 0.5 / float(torch.linalg.matrix_norm(phi, 2).max() ** 2)
    for _ in range(steps):
        weights = weights - rho * phi.mT @ (phi @ weights - y)
    found = kernel_flow.flow(phi @ phi.mT, new @ phi.mT, start, new_start, y, rho, steps)
    torch.testing.assert_close(found, new @ weights, rtol=0, atol=1e-9)


def behind(arch, n=14, m=6):
    """Networks of two seeds from ±σ behind random gates, their learner and gates, inputs [n + m, d_in]."""
    x, giving = random(n + m, arch.in_features).float(), [regimes.start("ReLU", arch, seed) for seed in (0, 3)]
    gates = kernel_flow._Gates(giving, x[:n], x[n:])
    networks = [regimes.start("FRNPF-II", arch, seed, initialisation="signed") for seed in (0, 3)]
    labels = [torch.zeros(count, dtype=torch.long) for count in (n, m)]
    learner = BatchedLearner(networks, x[:n], labels[0], x[n:], labels[1], gates=gates.tables)
    learner.labels = torch.arange(n)
    return networks, gates, x, learner


ARCH = FullyConnected(depth=4, width=6, in_features=5, out_features=3, bias=False)


def test_a_network_learns_as_by_automatic_differentiation():
    networks, gates, x, learner = behind(ARCH)
    goal, rate = random(2, 14, 3, stream=4).float(), 1e-3
    learner.loss_of = kernel_flow.towards(goal)
    train(learner, 8, seeds=(0, 3), optimiser="sgd", learning_rate=rate, batch=14, test_every_epoch=False)
    found = kernel_flow.outputs(learner, x[14:], gates.new)
    for copy, network in enumerate(networks):
        value, own = network.value, [[layer[copy] for layer in side] for side in (gates.old, gates.new)]
        for _ in range(8):
            loss = (value(x[:14], own[0]) - goal[copy]).square().sum() / 14
            for weight, gradient in zip(value.weights, torch.autograd.grad(loss, value.weights), strict=True):
                weight.data -= rate * gradient
        torch.testing.assert_close(found[copy], value(x[14:], own[1]).double(), rtol=1e-4, atol=1e-5)


def test_a_network_that_goes_a_hundredth_of_the_way_is_its_first_kernel():
    """Against the flow of the whole kernel [nC, nC], from Jacobians by automatic differentiation."""
    networks, gates, x, learner = behind(ARCH)
    goal, n, steps, reach = random(14, 3, stream=4).float(), 14, 40, 0.01
    both = [torch.cat(pair, 1) for pair in zip(gates.old, gates.new, strict=True)]
    value, own = networks[1].value, [layer[1] for layer in both]
    weights = {name: weight.detach() for name, weight in value.named_parameters()}

    def of_one(weights, x, *gates):
        return functional_call(value, weights, (x[None], [gate[None] for gate in gates]))[0]

    jacobian = vmap(jacrev(of_one), in_dims=(None, 0, *[0] * len(own)))(weights, x, *own)
    phi = torch.cat([part.flatten(2) for part in jacobian.values()], 2).double().flatten(0, 1)  # [20 · C, weights]
    kernel, f0 = phi @ phi.T, kernel_flow.outputs(learner, x, both)
    rho = 0.5 / float(torch.linalg.eigvalsh(kernel)[-1])
    given = kernel[None, : 3 * n, : 3 * n], kernel[None, 3 * n :, : 3 * n], f0[1, :n].reshape(1, -1, 1)
    exact = kernel_flow.flow(*given, f0[1, n:].reshape(1, -1, 1), goal.double().reshape(-1, 1), rho, steps)
    learner.loss_of = kernel_flow.towards((f0[:, :n] + reach * (goal - f0[:, :n])).float())
    train(learner, steps, seeds=(0, 3), optimiser="sgd", learning_rate=rho * n / 2, batch=n, test_every_epoch=False)
    found = f0[1, n:] + (kernel_flow.outputs(learner, x[n:], gates.new)[1] - f0[1, n:]) / reach
    moved = float((exact.view(6, 3) - f0[1, n:]).norm())
    assert float((found - exact.view(6, 3)).norm()) < 0.02 * moved  # its own departure is of the order of `reach`


def test_the_mean_kernel_is_the_theorems():
    _, gates, x, _ = behind(replace(ARCH, out_features=1))
    for copy in range(2):
        both = [torch.cat([a[copy], b[copy]]) for a, b in zip(gates.old, gates.new, strict=True)]
        expected = fixed_gates.expected_value_kernel(x, both, sqrt(2 / ARCH.width))
        torch.testing.assert_close(gates.mean[copy], expected[:14, :14])
        torch.testing.assert_close(gates.rows[copy], expected[14:, :14])


def test_every_shape_scale_start_step_and_rung_is_measured(table):
    assert table.seeds == list(TINY.seeds)
    names = ("drift", "spread", "total", "kernel", "moved")
    for seed in table.seeds:
        rows = [row for row in table.rows if row["seed"] == seed]
        along = [r for r in rows if "rung" not in r]
        measured = {(r["gates"], r["width"], round(r["alpha"] ** 2 * 128), r["start"], r["epoch"]) for r in along}
        random = {("random", w, a, s, t) for w in (8, 32) for a in (128, w) for s in ("own", "zero") for t in (2, 6)}
        learnt = {("learnt", width, 128, "own", step) for width in (8, 32) for step in (2, 6)}
        assert measured == random | learnt | {("random", 16, 128, "own", step) for step in (2, 6)}
        assert len(along) == len(measured)
        assert all(set(names if r["width"] != 16 else ("spread", "kernel")) <= set(r) for r in along)
        rungs = [row["rung"] for row in rows if "rung" in row]
        assert rungs == ["kernel ridge", "from zero", "mean kernel", *kernel_flow.RUNGS, *kernel_flow.FROM_ZERO]
    where = {"gates": "random", "width": 32, "alpha": 1.0, "start": "own"}
    drift, spread, total = (table.values(name, **where) for name in names[:3])
    assert (total <= drift + spread + 1e-9).all()
    assert (total >= abs(drift - spread) - 1e-9).all()
    assert (table.values("distance", rung="mean kernel") < 1e-12).all()


def test_pixels_multiply_outputs(table):
    """Behind fixed gates α multiplies every kernel by α², so that relative distances of kernels are the same; without
    the start's outputs that of the two flows too, and a network departs less from its own where α is larger."""

    def of(metric, alpha, start, gates="random"):
        return table.values(metric, gates=gates, width=32, alpha=alpha, start=start)

    assert of("kernel", 1.0, "own") == pytest.approx(of("kernel", 0.5, "own"), rel=1e-9)
    assert of("spread", 1.0, "zero") == pytest.approx(of("spread", 0.5, "zero"), rel=1e-6)
    assert (of("spread", 1.0, "own") != of("spread", 0.5, "own")).all()
    assert (of("drift", 1.0, "zero") < of("drift", 0.5, "zero")).all()
    assert (of("kernel", 1.0, "own") != of("kernel", 1.0, "own", "learnt")).all()


def test_published_table_has_every_shape_and_rung():
    full, found = MNIST.configs["paper"], MNIST.published()
    assert {(row["depth"], row["width"]) for row in found.rows if "depth" in row} == set(full.shapes)
    assert found.options("rung")[3:] == [*kernel_flow.RUNGS, *kernel_flow.FROM_ZERO]
