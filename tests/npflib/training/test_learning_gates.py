"""Gates that learn, each copy with its own steepness, and straight through: against automatic differentiation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from npflib import regimes
from npflib.architectures import FullyConnected
from npflib.gates import soft_gate
from npflib.networks import DeepGatedNetwork
from npflib.randomness import generator
from npflib.training.autograd import AutogradLearner
from npflib.training.batched import BatchedLearner
from npflib.training.loop import train


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, beta, eps):
        ctx.save_for_backward(q)
        ctx.beta, ctx.eps = beta, eps
        return (1 + eps) * (q > 0).to(q.dtype)

    @staticmethod
    def backward(ctx, arriving):
        with torch.enable_grad():
            q = ctx.saved_tensors[0].detach().requires_grad_()
            (slope,) = torch.autograd.grad(soft_gate(q, ctx.beta, ctx.eps).sum(), q)
        return arriving * slope, None, None


def _examples(seed, n, inputs, classes):
    source = generator(seed, "examples")
    return torch.randn(n, inputs, generator=source), torch.randint(0, classes, (n,), generator=source)


@settings(max_examples=25, deadline=None)
@given(
    depth=st.integers(2, 5), width=st.integers(1, 6), inputs=st.integers(1, 5), classes=st.integers(2, 4),
    bias=st.booleans(), seed=st.integers(0, 50), through=st.booleans(),
    kinds=st.lists(st.tuples(st.floats(0.1, 20), st.floats(0, 2)), min_size=1, max_size=3),
)  # fmt: skip
def test_gradients_are_those_of_automatic_differentiation(
    depth, width, inputs, classes, bias, seed, through, kinds
):  # fmt: skip
    arch = FullyConnected(depth, width, inputs, classes, bias)
    networks = [regimes.start("DLNPF", arch, seed + k) for k in range(len(kinds))]
    x, y = _examples(seed, 7, inputs, classes)
    learner = BatchedLearner(
        networks, x, y, x, y, betas=[beta for beta, _ in kinds], excesses=[eps for _, eps in kinds],
        straight_through=through,
    )  # fmt: skip
    with torch.no_grad():
        learner.gradients(torch.arange(7).expand(len(kinds), -1))
    for copy, (network, (beta, eps)) in enumerate(zip(networks, kinds, strict=True)):
        gate = _StraightThrough.apply if through else soft_gate
        outputs = network.value(x, [gate(q, beta, eps) for q in network.feature.pre_activations(x)])
        torch.nn.functional.cross_entropy(outputs, y).backward()
        for layers, part in ((learner.value, network.value), (learner.feature, network.feature)):
            for index, layer in enumerate(part.layers):
                if layer.weight.grad is None:  # a feature network's last layer is not used
                    assert part is network.feature
                    continue
                # float32 sums of a few dozen terms, of gradients up to about ten
                torch.testing.assert_close(
                    layers.weight_gradients[index][copy], layer.weight.grad, rtol=1e-4, atol=1e-5
                )
                if bias:
                    mine = layers.bias_gradients[index][copy, 0]
                    torch.testing.assert_close(mine, layer.bias.grad, rtol=1e-4, atol=1e-5)


def test_each_copy_trains_as_a_network_of_its_own_does():
    arch = FullyConnected(4, 16, 6, 3)
    x, y = _examples(1, 90, 6, 3)
    kinds = [(1.0, 0.1), (8.0, 0.5)]
    started = [regimes.start("DLNPF", arch, 0) for _ in kinds]
    sweep = BatchedLearner(started, x, y, x, y, betas=[beta for beta, _ in kinds], excesses=[eps for _, eps in kinds])
    together = train(sweep, 3, seeds=[0, 0], learning_rate=0.01)
    for copy, (beta, eps) in enumerate(kinds):
        alone = DeepGatedNetwork(arch, "soft", beta=beta, eps=eps)
        alone.load_state_dict(regimes.start("DLNPF", arch, 0).state_dict())
        learner = AutogradLearner([alone], x, y, x, y, torch.device("cpu"))
        accuracies = train(learner, 3, seeds=[0], learning_rate=0.01)[0]
        # The same steps in another order of summation: an example at a border may change sides.
        assert together[copy] == pytest.approx(accuracies, abs=2.5 / 90)
    assert (
        sweep.state_dict(0)["value.layers.0.weight"].sub(sweep.state_dict(1)["value.layers.0.weight"]).abs().max() > 0
    )


def test_binarised_gates_passing_gates_and_the_pattern():
    arch = FullyConnected(3, 5, 4, 2)
    x, y = _examples(2, 40, 4, 2)
    networks = [regimes.start("DLNPF", arch, seed) for seed in range(2)]
    learner = BatchedLearner(networks, x, y, x, y, betas=[2.0, 50.0], excesses=[0.1, 1.0])
    binarised, undecided, pattern = learner.test_binarised(), learner.undecided(), learner.gate_tables(x)
    for copy, (network, beta, eps) in enumerate(zip(networks, (2.0, 50.0), (0.1, 1.0), strict=True)):
        with torch.no_grad():
            qs = network.feature.pre_activations(x)
            outputs = network.value(x, [(1 + eps) * (q > 0).float() for q in qs])
        assert binarised[copy] == pytest.approx(float((outputs.argmax(1) == y).float().mean()))
        share = [soft_gate(q, beta, eps) / (1 + eps) for q in qs]
        inside = torch.cat([((g > 0.1) & (g < 0.9)).flatten() for g in share]).double().mean()
        assert undecided[copy] == pytest.approx(float(inside))
        assert torch.equal(pattern[copy], torch.cat([(q > 0).to(torch.uint8) for q in qs], 1))
    assert undecided[0] > undecided[1]
    assert not learner.straight_through


def test_straight_through_is_hard_at_every_step():
    arch = FullyConnected(3, 5, 4, 2)
    x, y = _examples(3, 40, 4, 2)
    learner = BatchedLearner(
        [regimes.start("DLNPF", arch, 0)], x, y, x, y, betas=[4.0], excesses=[0.1], straight_through=True
    )
    train(learner, 2, seeds=[0], learning_rate=0.01)
    assert learner.test()[1] == learner.test_binarised()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"betas": [1.0]}, "one β and one ε a network: got 1 and 2 for 2"),
        ({"betas": [1.0, 0.0]}, "beta, the steepness of the soft gate, must be finite and positive; got 0.0"),
        ({"excesses": [0.1, -0.1]}, "eps, .* must be a finite number of at least 0; got -0.1"),
        ({"betas": [1.0, float("nan")]}, "beta, .* must be finite and positive; got nan"),
        ({"regime": "FLNPF-like"}, "soft gates that learn"),
    ],
)
def test_bad_input(changes, message):
    arch = FullyConnected(2, 3, 2, 2)
    regime = "FRNPF-II" if changes.pop("regime", None) else "DLNPF"
    networks = [regimes.start(regime, arch, seed) for seed in range(2)]
    x, y = torch.eye(2), torch.tensor([0, 1])
    given = {"betas": [1.0, 4.0], "excesses": [0.1, 0.1]} | changes
    with pytest.raises(ValueError, match=message):
        BatchedLearner(networks, x, y, x, y, **given)
