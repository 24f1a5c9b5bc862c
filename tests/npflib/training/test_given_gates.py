"""Value networks behind tables of gates: against automatic differentiation and against frozen feature networks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import coins, fully_connected, normal, seeds

from npflib import regimes
from npflib.architectures import FullyConnected
from npflib.networks import DeepGatedNetwork, ReLUNetwork, ValueNetwork
from npflib.training.batched import StackedLearner
from npflib.training.given_gates import GivenGatesLearner, gate_table, train
from npflib.training.snapshots import train_and_keep

# float32 sums of a few dozen terms of size about 1: a hundred roundings of 6e-8.
ROUNDING = 1e-5
ARCH = FullyConnected(depth=4, width=8, in_features=6, out_features=3)


def table_of(seed, copies, n, arch):
    return coins(seed, copies, n, (arch.depth - 1) * arch.width).to(torch.uint8)


def examples(seed, n, arch):
    return normal(seed, n, arch.in_features).float(), torch.arange(n) % arch.out_features


@given(arch=fully_connected(min_depth=2), copies=st.integers(1, 3), n=st.integers(1, 6), seed=seeds)
def test_gradients_and_tests_are_those_of_automatic_differentiation(arch, copies, n, seed):
    networks = [ReLUNetwork(arch, torch.Generator().manual_seed(seed + copy)) for copy in range(copies)]
    x, y = examples(seed, n, arch)
    gates, test_gates = table_of(seed, copies, n, arch), table_of(seed + 1, copies, n, arch)
    learner = GivenGatesLearner(networks, x, y, x, y, gates, test_gates)
    chosen = torch.stack([torch.randperm(n, generator=torch.Generator().manual_seed(seed + c)) for c in range(copies)])
    chosen = chosen[:, : max(1, n - 1)]
    learner.gradients(chosen)
    losses, accuracies = learner.test()
    for copy, network in enumerate(networks):
        rows = chosen[copy]
        split = gates[copy, rows].float().split(arch.width, 1)
        # The class's own forward takes its own gates; what is tested is the value network behind given ones.
        loss = torch.nn.functional.cross_entropy(ValueNetwork.forward(network, x[rows], split), y[rows])
        loss.backward()
        for index, layer in enumerate(network.layers):
            assert torch.allclose(learner.value.weight_gradients[index][copy], layer.weight.grad, atol=ROUNDING)
            if arch.bias:
                assert torch.allclose(learner.value.bias_gradients[index][copy, 0], layer.bias.grad, atol=ROUNDING)
        with torch.no_grad():
            outputs = ValueNetwork.forward(network, x, test_gates[copy].float().split(arch.width, 1))
        assert losses[copy] == pytest.approx(float(torch.nn.functional.cross_entropy(outputs, y)), abs=ROUNDING)
        # Where two classes are equal to rounding, as all are behind closed gates, either may be the greatest.
        best_two = outputs.topk(min(2, outputs.shape[1])).values
        if outputs.shape[1] == 1 or bool((best_two[:, 0] - best_two[:, 1] > ROUNDING).all()):
            assert accuracies[copy] == pytest.approx(float((outputs.argmax(1) == y).double().mean()))


@pytest.mark.parametrize("regime", ["FLNPF", "FRNPF-II"])
def test_a_feature_network_s_gates_as_a_table_train_the_same_network(regime):
    """Equal to the bit: the same engine, the same gates, the same order."""
    x, y = examples(0, 50, ARCH)
    learnt = [regimes.start("ReLU", ARCH, seed) if regime == "FLNPF" else None for seed in (0, 1)]
    gated = [regimes.start(regime, ARCH, seed, network) for seed, network in zip((0, 1), learnt, strict=True)]
    starts = []
    for network in gated:
        starts.append(ReLUNetwork(ARCH))
        starts[-1].load_state_dict(network.value.state_dict())
    table = torch.stack([gate_table(network, x) for network in gated])
    given_table = GivenGatesLearner(starts, x, y, x, y, table, table)
    behind_network = StackedLearner(gated, x, y, x, y, torch.device("cpu"))
    found = [train(learner, 5, seeds=[0, 1], learning_rate=1e-2, batch=16) for learner in (given_table, behind_network)]
    assert found[0] == found[1]
    assert not torch.equal(given_table.value.weights[0][0], given_table.value.weights[0][1])
    assert torch.equal(given_table.value.flat, behind_network.value.flat)
    assert given_table.test() == behind_network.test()


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_training_is_that_of_the_snapshots(optimiser):
    """The same orders, steps and optimiser as ``train_and_keep``, a last smaller batch included."""
    x, y = examples(1, 50, ARCH)
    networks = [regimes.start("ReLU", ARCH, seed) for seed in (3, 4)]
    how = {"seeds": [3, 4], "optimiser": optimiser, "learning_rate": 1e-2}
    kept = train_and_keep(networks, x, y, torch.arange(50).expand(2, -1), (3,), **how)
    learner = StackedLearner(networks, x, y, x, y, torch.device("cpu"))
    accuracies = train(learner, 3, **how)
    assert [len(values) for values in accuracies] == [3, 3]
    for copy, networks_kept in enumerate(kept):
        for name, tensor in learner.state_dict(copy).items():
            assert torch.equal(tensor, networks_kept[3].state_dict()[name])
        with torch.no_grad():
            assert accuracies[copy][-1] == pytest.approx(float((networks_kept[3](x).argmax(1) == y).double().mean()))


def test_the_gates_can_hold_the_whole_answer():
    """Inputs that say nothing, gates that are the class: learnt to the last example; behind other gates to none."""
    arch = FullyConnected(depth=3, width=6, in_features=2, out_features=3)
    x, y = torch.ones(30, 2), torch.arange(30) % 3
    says = torch.nn.functional.one_hot(y, 3).repeat(1, 4).to(torch.uint8)[None]
    learner = GivenGatesLearner([ReLUNetwork(arch, torch.Generator().manual_seed(0))], x, y, x, y, says, says)
    assert train(learner, 60, seeds=[0], learning_rate=1e-2)[0][-1] == 1
    assert learner.test_behind(says.roll(1, 1))[1] == [0.0]


def test_a_table_is_the_network_s_gates_side_by_side():
    network = regimes.start("ReLU", ARCH, 0)
    x, _ = examples(2, 2_001, ARCH)  # more than two chunks
    table = gate_table(network, x)
    assert table.dtype == torch.uint8
    assert torch.equal(table, torch.cat(network.gates(x), 1).to(torch.uint8))
    with pytest.raises(ValueError, match="soft"):
        gate_table(DeepGatedNetwork(ARCH, "soft", torch.Generator().manual_seed(0)), x)


def test_what_does_not_fit_is_refused():
    x, y = examples(0, 5, ARCH)
    network, table = regimes.start("ReLU", ARCH, 0), table_of(0, 1, 5, ARCH)
    good = (table, table)
    for wrong in (table[0], table[:, :4], table[..., 1:], table.float(), table.repeat(2, 1, 1), 2 * table):
        for given_tables, what in (((wrong, good[1]), "training"), ((good[0], wrong), "test")):
            with pytest.raises(ValueError, match=f"gates of the {what} examples must be"):
                GivenGatesLearner([network], x, y, x, y, *given_tables)
    learner = GivenGatesLearner([network], x, y, x, y, *good)
    for epochs in (0, -1, 1.0, True):
        with pytest.raises(ValueError, match="positive whole number"):
            train(learner, epochs, seeds=[0])
    with pytest.raises(ValueError, match="2 seeds for 1 networks"):
        train(learner, 1, seeds=[0, 1])
