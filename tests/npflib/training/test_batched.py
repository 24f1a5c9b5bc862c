"""Stacked training against automatic differentiation, and what one copy owes to the copies beside it.

Gradients are compared in float64. They are sums of at most a few hundred products through at most five layers, each
rounded at 2e-16, so the two ways agree to far better than 1e-11 of the largest entry; a wrong term would not.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from npflib import regimes
from npflib.networks import FullyConnected, GConv, ReLUNetwork
from npflib.training import batched
from npflib.training.autograd import ModuleLearner
from npflib.training.batched import StackedLearner
from npflib.training.optimisers import keras_optimiser

CPU = torch.device("cpu")
CLOSE = 1e-11
FROZEN = ("FLNPF", "FRNPF-DI", "FRNPF-II")


@st.composite
def setups(draw, names=tuple(regimes.REGIMES)):
    """(regime, architecture, copies, training examples, batch, seed of the data)."""
    regime = draw(st.sampled_from(names))
    arch = FullyConnected(
        depth=draw(st.integers(1 if regime == "ReLU" else 2, 5)),
        width=draw(st.integers(1, 9)),
        in_features=draw(st.integers(1, 7)),
        out_features=draw(st.integers(2, 5)),
        bias=draw(st.booleans()),
    )
    examples = draw(st.integers(1, 13))
    return regime, arch, draw(st.integers(1, 4)), examples, draw(st.integers(1, examples)), draw(st.integers(0, 2**20))


def networks(regime: str, arch: FullyConnected, seeds, shift: int = 0) -> list:
    """Starting networks with biases that are not zero, so that a lost bias shows."""
    found = []
    for seed in seeds:
        learnt = ReLUNetwork(arch, torch.Generator().manual_seed(100 + seed)) if regime == "FLNPF" else None
        network = regimes.start(regime, arch, seed, learnt)
        generator = torch.Generator().manual_seed(1000 * shift + seed)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_(0.0, 0.3, generator=generator)
        found.append(network)
    return found


def examples(arch: FullyConnected, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(n):
        return (
            torch.randn(n, arch.in_features, generator=generator),
            torch.randint(arch.out_features, (n,), generator=generator),
        )

    return (*draw(count), *draw(5))


def orders(copies: int, count: int, seed: int) -> Tensor:
    return torch.stack(
        [torch.randperm(count, generator=torch.Generator().manual_seed(seed + c)) for c in range(copies)]
    )


def gradients_of(learner: StackedLearner, copy: int) -> dict[str, Tensor]:
    """One copy's gradients under its network's parameter names."""
    parts = {"": learner.value} if learner.feature is None else {"value.": learner.value}
    if learner.trains_feature:
        parts["feature."] = learner.feature
    found = {}
    for prefix, part in parts.items():
        for index, gradient in enumerate(part.weight_gradients):
            found[f"{prefix}layers.{index}.weight"] = gradient[copy]
            if part.has_bias:
                found[f"{prefix}layers.{index}.bias"] = part.bias_gradients[index][copy, 0]
    return found


def assert_close(found: Tensor, expected: Tensor, tolerance: float = CLOSE) -> None:
    assert found.shape == expected.shape
    scale = max(expected.abs().max().item(), 1e-3)
    assert (found - expected).abs().max().item() <= tolerance * scale


def unclear(outputs: Tensor) -> int:
    """How many rows have two largest outputs that rounding may order either way; outputs of 0 are exact."""
    first, second = outputs.topk(2).values.unbind(-1)
    return int(((first - second <= CLOSE * outputs.abs().max(-1).values) & (outputs != 0).any(-1)).sum())


@pytest.mark.usefixtures("float64")
@given(setups())
@settings(max_examples=50)
# Outputs of 10⁻¹⁹, which log softmax rounds to a tie.
@example(("DLGN", FullyConnected(4, 1, 4, 2, bias=False), 1, 10, 1, 12))
@example(("DLGN", FullyConnected(4, 1, 4, 2, bias=False), 1, 3, 1, 0))
def test_gradients_losses_and_tests_are_those_of_automatic_differentiation(setup):
    regime, arch, copies, count, batch, seed = setup
    data = examples(arch, count, seed)
    plain = ModuleLearner(networks(regime, arch, range(copies)), *data, CPU)
    learner = StackedLearner(networks(regime, arch, range(copies)), *data, CPU)
    chosen = orders(copies, count, seed)[:, :batch]
    with torch.no_grad():
        plain.gradients(chosen)
        learner.gradients(chosen)
    for copy, network in enumerate(plain.networks):
        gradients = gradients_of(learner, copy)
        trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
        assert set(gradients) == trained
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                assert_close(gradients[name], expected)
    seen = [(data[2], learner.test(), plain.test())] * copies
    running = (learner.take_running(batch), plain.take_running(batch))
    seen += [(data[0][chosen[copy]], *running) for copy in range(copies)]
    for copy, (x, found, expected) in zip([*range(copies)] * 2, seen, strict=True):
        with torch.no_grad():
            either_way = unclear(plain.networks[copy](x)) / len(x)
        assert found[0][copy] == pytest.approx(expected[0][copy], rel=1e-11)
        assert abs(found[1][copy] - expected[1][copy]) <= either_way
    assert learner.take_running(batch) == ([0.0] * copies, [0.0] * copies), "reading starts the running means anew"


@pytest.mark.usefixtures("float64")
@given(setups())
@settings(max_examples=25)
def test_squared_loss_has_the_gradients_losses_and_answers_of_automatic_differentiation(setup):
    """One output, labels ±1: an example is right where output and label have one sign."""
    regime, arch, copies, count, batch, seed = setup
    arch = replace(arch, out_features=1)
    x, y, u, v = examples(replace(arch, out_features=2), count, seed)
    data = (x, 2.0 * y - 1, u, 2.0 * v - 1)
    learner = StackedLearner(networks(regime, arch, range(copies)), *data, CPU, loss="squared")
    chosen = orders(copies, count, seed)[:, :batch]
    with torch.no_grad():
        learner.gradients(chosen)
    running, tested = learner.take_running(batch), learner.test()
    for copy, network in enumerate(networks(regime, arch, range(copies))):
        outputs = network(x[chosen[copy]])[:, 0]
        loss = (outputs - data[1][chosen[copy]]).square().mean()
        loss.backward()
        assert running[0][copy] == pytest.approx(loss.item(), rel=1e-11)
        assert running[1][copy] == ((outputs * data[1][chosen[copy]]) > 0).double().mean().item()
        found = gradients_of(learner, copy)
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                assert_close(found[name], expected)
        with torch.no_grad():
            outputs = network(u)[:, 0]
        assert tested[0][copy] == pytest.approx((outputs - data[3]).square().mean().item(), rel=1e-11)
        assert tested[1][copy] == (outputs * data[3] > 0).double().mean().item()


def test_an_unknown_loss_is_refused_with_what_is_allowed():
    arch = FullyConnected(2, 3, 4, 1)
    with pytest.raises(ValueError, match="unknown loss 'hinge'; allowed: cross_entropy, squared"):
        StackedLearner([ReLUNetwork(arch)], *examples(arch, 3, 0), CPU, loss="hinge")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("optimiser", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("regime", list(regimes.REGIMES))
def test_thirty_steps_end_where_automatic_differentiation_ends(regime, optimiser):
    arch, copies, count = FullyConnected(4, 12, 6, 3), 3, 10
    data = examples(arch, count, 5)
    ends = []
    for kind in (ModuleLearner, StackedLearner):
        learner = kind(networks(regime, arch, range(copies)), *data, CPU)
        rule = keras_optimiser(optimiser, learner.parameters(), 1e-2)
        with torch.no_grad():
            for epoch in range(10):
                for chosen in orders(copies, count, 50 * epoch).split(4, dim=1):  # 4, 4 and a last batch of 2
                    learner.gradients(chosen)
                    rule.step()
        ends.append([learner.state_dict(copy) for copy in range(copies)])
    for plain, found in zip(*ends, strict=True):
        assert set(plain) == set(found)
        for name, expected in plain.items():
            # Thirty steps amplify a rounding error, Adam's and RMSprop's division most.
            assert_close(found[name], expected, 1e-7)


@given(setups(FROZEN), st.sampled_from(["sgd", "adam", "rmsprop"]))
@settings(max_examples=25)
def test_what_is_frozen_keeps_its_bits_and_the_value_network_moves(setup, optimiser):
    regime, arch, copies, count, batch, seed = setup
    starts = networks(regime, arch, range(copies))
    before = [{k: v.clone() for k, v in network.state_dict().items()} for network in starts]
    learner = StackedLearner(starts, *examples(arch, count, seed), CPU)
    assert [p.data_ptr() for p in learner.parameters()] == [learner.value.flat.data_ptr()]
    rule = keras_optimiser(optimiser, learner.parameters(), 1e-2)
    with torch.no_grad():
        for chosen in orders(copies, count, seed).split(batch, dim=1):
            learner.gradients(chosen)
            rule.step()
    for copy, start in enumerate(before):
        end = learner.state_dict(copy)
        assert set(end) == set(start)
        assert all(torch.equal(end[k], v) for k, v in start.items() if k.startswith("feature."))
        last = f"value.layers.{arch.depth - 1}."
        moved = [k for k, v in start.items() if k.startswith(last) and not torch.equal(end[k], v)]
        # Without biases, and with every gate shut, nothing reaches the last layer.
        assert moved or not arch.bias


@given(setups(FROZEN))
@settings(max_examples=25)
def test_gates_looked_up_and_gates_computed_give_the_same_bits(setup):
    regime, arch, copies, count, batch, seed = setup
    data, chosen = examples(arch, count, seed), orders(copies, count, seed)[:, :batch]
    learners = [StackedLearner(networks(regime, arch, range(copies)), *data, CPU, reuse_gates=r) for r in (True, False)]
    assert learners[0].table is not None
    assert learners[1].table is None
    with torch.no_grad():
        for learner in learners:
            learner.gradients(chosen)
    for copy in range(copies):
        looked_up, computed = (gradients_of(learner, copy) for learner in learners)
        assert all(torch.equal(looked_up[name], computed[name]) for name in computed)


@pytest.mark.parametrize("regime", ["ReLU", "DLNPF"])
def test_gates_that_learn_are_never_looked_up(regime):
    arch = FullyConnected(3, 4, 5, 3)
    assert StackedLearner(networks(regime, arch, [0]), *examples(arch, 6, 0), CPU, reuse_gates=True).table is None


@pytest.mark.parametrize("regime", list(regimes.REGIMES))
def test_chunks_of_the_gate_table_and_of_the_test_change_nothing(regime, monkeypatch):
    arch = FullyConnected(4, 8, 5, 3)
    data = examples(arch, 11, 2)
    whole = StackedLearner(networks(regime, arch, range(3)), *data, CPU)
    expected = whole.test()
    monkeypatch.setattr(batched, "EVALUATION_CHUNK", 2)  # eleven and five examples: the last chunk is smaller
    chunked = StackedLearner(networks(regime, arch, range(3)), *data, CPU)
    assert (whole.table is None and chunked.table is None) or torch.equal(whole.table, chunked.table)
    found = chunked.test()
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    assert found[1] == expected[1]


@given(setups(), st.integers(0, 3))
@settings(max_examples=25)
def test_copies_never_mix(setup, other):
    """Replacing the other copies' weights and examples leaves a copy's gradient, to the bit."""
    regime, arch, copies, count, batch, seed = setup
    copies, data = copies + 1, examples(arch, count, seed)
    kept = other % copies
    chosen = orders(copies, count, seed)[:, :batch]
    changed = orders(copies, count, seed + 77)[:, :batch]
    changed[kept] = chosen[kept]
    theirs = networks(regime, arch, range(20, 20 + copies), shift=1)
    theirs[kept] = networks(regime, arch, range(copies))[kept]
    one = StackedLearner(networks(regime, arch, range(copies)), *data, CPU)
    two = StackedLearner(theirs, *data, CPU)
    with torch.no_grad():
        one.gradients(chosen)
        two.gradients(changed)
    expected, found = gradients_of(one, kept), gradients_of(two, kept)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert one.loss[kept] == two.loss[kept]
    assert one.correct[kept] == two.correct[kept]


@cache
def trained(regime: str, seeds: tuple[int, ...], optimiser: str, steps: int = 20) -> dict[int, dict[str, Tensor]]:
    arch, count, batch = FullyConnected(4, 32, 20, 10), 64, 16
    learner = StackedLearner(networks(regime, arch, seeds), *examples(arch, count, 9), CPU)
    rule = keras_optimiser(optimiser, learner.parameters(), 1e-3)
    with torch.no_grad():
        for step in range(steps):
            chosen = torch.cat([orders(1, count, 1000 * seed + step)[:, :batch] for seed in seeds])
            learner.gradients(chosen)
            rule.step()
    return {seed: learner.state_dict(copy) for copy, seed in enumerate(seeds)}


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("regime", list(regimes.REGIMES))
@pytest.mark.parametrize("company", [(3,), (3, 0), (0, 3), (4, 3, 2, 1, 0), (1, 4, 0, 2, 3)], ids=str)
def test_a_seed_gives_the_same_network_alone_and_in_any_company(company, regime, optimiser):
    """To float32 rounding: libraries may round a product of another batch size, and Adam's last few numbers, apart."""
    expected = trained(regime, (0, 1, 2, 3, 4), optimiser)[3]
    found = trained(regime, company, optimiser)[3]
    for name, value in expected.items():
        assert_close(found[name], value, 1e-5)


@pytest.mark.parametrize("regime", list(regimes.REGIMES))
def test_the_same_seeds_give_the_same_bits(regime):
    first, second = trained(regime, (0, 3), "adam"), trained.__wrapped__(regime, (0, 3), "adam")
    assert all(torch.equal(first[s][name], second[s][name]) for s in first for name in first[s])
    assert any(not torch.equal(first[0][name], first[3][name]) for name in first[0])


def test_convolutions_are_refused_with_what_is_allowed():
    arch = GConv(image_size=4, channels=(2,), dense=(3,))
    network = regimes.start("ReLU", arch, 0)
    with pytest.raises(ValueError, match=r"FullyConnected.*GConv"):
        StackedLearner([network], *[torch.zeros(1, 48), torch.zeros(1, dtype=torch.int64)] * 2, CPU)
