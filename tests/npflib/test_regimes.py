"""Regimes: which weights a run starts from, which are shared, and which are frozen."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import convolutional, fully_connected, normal, seeds
from torch import nn

from npflib.networks import DeepGatedNetwork, DeepLinearNetwork, FullyConnected, ReLUNetwork
from npflib.regimes import REGIMES, Regime, definition, find, start

architectures = fully_connected() | convolutional()
few = settings(max_examples=30)
names = st.sampled_from(list(REGIMES))


def learnt_network(arch, seed: int = 0) -> ReLUNetwork:
    """Stands for a trained network: weights and biases unlike any start's."""
    network = ReLUNetwork(arch)
    with torch.no_grad():
        for index, parameter in enumerate(network.parameters()):
            parameter.copy_(normal(seed + index, *parameter.shape))
    return network


def begin(regime: str, arch, seed: int):
    return start(regime, arch, seed, learnt_network(arch) if REGIMES[regime].feature == "learnt" else None)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def different_weights(a: nn.Module, b: nn.Module) -> bool:
    """No layer's weights agree."""
    return not any(torch.equal(p.weight, q.weight) for p, q in zip(a.layers, b.layers, strict=True))


def test_the_papers_five_regimes():
    paper = ["FRNPF-II", "FRNPF-DI", "DLNPF", "FLNPF", "ReLU"]
    assert list(REGIMES)[:5] == paper, "in the table's order; others come after them"
    table = {name: (REGIMES[name].gate, REGIMES[name].feature, REGIMES[name].trains_feature) for name in paper}
    assert table == {
        "ReLU": ("own", "own", True),
        "DLNPF": ("soft", "random", True),
        "FLNPF": ("hard", "learnt", False),
        "FRNPF-DI": ("hard", "value", False),
        "FRNPF-II": ("hard", "random", False),
    }
    assert all(find(name).name == name for name in REGIMES)
    with pytest.raises(TypeError):
        REGIMES["sixth"] = REGIMES["ReLU"]


@given(names, architectures, seeds)
@few
def test_same_seed_same_network(regime, arch, seed):
    first = begin(regime, arch, seed)
    torch.rand(1)
    again, other = begin(regime, arch, seed), begin(regime, arch, seed + 1)
    assert same(first, again)
    learning = (lambda n: n) if regime == "ReLU" else (lambda n: n.value)
    assert different_weights(learning(first), learning(other))


@given(names, architectures, seeds)
@few
def test_kind_of_network_and_what_is_frozen(regime, arch, seed):
    network = begin(regime, arch, seed)
    assert network.arch == arch
    if regime == "ReLU":
        assert isinstance(network, ReLUNetwork)
        assert all(parameter.requires_grad for parameter in network.parameters())
        return
    assert isinstance(network, DeepGatedNetwork)
    assert network.gate == REGIMES[regime].gate
    assert (network.beta, network.eps) == (4.0, 0.1)
    assert network.linear == (regime == "DLGN")
    assert all(parameter.requires_grad for parameter in network.value.parameters())
    learns = REGIMES[regime].trains_feature
    assert all(parameter.requires_grad == learns for parameter in network.feature.parameters())


@given(names.filter(lambda name: name != "ReLU"), architectures, seeds)
@few
def test_a_step_leaves_frozen_gates_alone(regime, arch, seed):
    network = begin(regime, arch, seed)
    frozen = {name: p.clone() for name, p in network.feature.state_dict().items()}
    values = {name: p.clone() for name, p in network.value.named_parameters()}
    shape = (3, arch.in_features)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network(normal(seed, *shape).float()).square().sum().backward()
    optimiser.step()
    if REGIMES[regime].trains_feature:
        assert any(p.grad is not None for p in network.feature.parameters()) == (network.feature.hidden_layers > 0)
    else:
        assert all(torch.equal(p, frozen[name]) for name, p in network.feature.state_dict().items())
        assert all(parameter.grad is None for parameter in network.feature.parameters())
    for name, p in network.value.named_parameters():
        torch.testing.assert_close(p.detach(), values[name] - 0.1 * p.grad)


@given(architectures, seeds)
@few
def test_dependent_start_shares_the_hidden_weights_and_independent_does_not(arch, seed):
    shared, independent = start("FRNPF-DI", arch, seed), start("FRNPF-II", arch, seed)
    hidden = slice(0, shared.feature.hidden_layers)
    for a, b in zip(shared.feature.layers[hidden], shared.value.layers[hidden], strict=True):
        assert torch.equal(a.weight, b.weight)
        assert a.weight.data_ptr() != b.weight.data_ptr()  # equal, but a step on one must not move the other
    assert different_weights(independent.feature, independent.value)
    x = normal(seed, 4, arch.in_features).float()
    relu = ReLUNetwork(arch)
    relu.load_state_dict(shared.value.state_dict())
    assert torch.equal(shared(x), relu(x))  # at the start, and only then, DI is a ReLU network


@given(architectures, seeds)
@few
def test_one_seed_gives_all_gated_regimes_the_same_values(arch, seed):
    networks = [begin(name, arch, seed) for name in REGIMES if name != "ReLU"]
    assert all(same(networks[0].value, network.value) for network in networks[1:])
    assert same(start("DLNPF", arch, seed).feature, start("FRNPF-II", arch, seed).feature)


@given(architectures, seeds)
@few
def test_learnt_gates_are_a_frozen_copy_behind_a_fresh_start(arch, seed):
    learnt = learnt_network(arch, seed)
    before = [p.clone() for p in learnt.parameters()]
    network = start("FLNPF", arch, seed, learnt)
    x = normal(seed, 4, arch.in_features).float()
    assert same(network.feature, learnt)
    for mine, theirs in zip(network.gates(x), learnt.gates(x), strict=True):
        assert torch.equal(mine, theirs)
    addresses = {p.data_ptr() for p in learnt.parameters()}
    assert not addresses & {p.data_ptr() for p in network.parameters()}
    assert all(p.requires_grad for p in learnt.parameters())
    assert all(torch.equal(p, q) for p, q in zip(before, learnt.parameters(), strict=True))
    assert different_weights(network.value, start("ReLU", arch, seed))  # not the start the gates were learnt from


@given(names, architectures, seeds)
@few
def test_starts_are_glorot_uniform_with_zero_biases(regime, arch, seed):
    network = begin(regime, arch, seed)
    if regime == "ReLU":
        drawn = list(network.layers)
    else:
        drawn = [*network.value.layers, *(network.feature.layers if REGIMES[regime].feature != "learnt" else [])]
    for layer in drawn:
        taps = layer.weight[0, 0].numel()
        limit = (6 / ((layer.weight.shape[0] + layer.weight.shape[1]) * taps)) ** 0.5
        assert layer.weight.abs().max() <= limit * (1 + 1e-6)
        assert layer.bias is None or not layer.bias.any()


@given(architectures, seeds)
@few
def test_linear_gates_start_as_dlnpfs_do_and_differ_by_the_missing_relu(arch, seed):
    linear, gated = start("DLGN", arch, seed), start("DLNPF", arch, seed)
    assert isinstance(linear.feature, DeepLinearNetwork)
    assert isinstance(gated.feature, ReLUNetwork)
    assert same(linear, gated)
    x = normal(seed, 4, arch.in_features).float()
    for mine, theirs in zip(linear.gates(x)[:1], gated.gates(x)[:1], strict=True):
        assert torch.equal(mine, theirs)  # below the first layer there is nothing to switch off


def test_only_a_linear_feature_network_is_said_so_that_older_records_stay_valid():
    """The fields of the paper's five are those of every record published before there was a sixth."""
    for name in REGIMES:
        expected = {"gate", "gate_code", "feature", "trains_feature"} | ({"linear"} if name == "DLGN" else set())
        assert set(definition(name)) == expected
    assert definition("DLGN") == definition("DLNPF") | {"linear": True}


@pytest.mark.parametrize(("gate", "feature", "trains"), [("hard", "learnt", False), ("own", "own", True)])
def test_a_linear_feature_network_takes_no_relu_networks_weights(gate, feature, trains):
    with pytest.raises(
        ValueError, match=rf"unknown start of a linear feature network '{feature}'.*allowed: random, value"
    ):
        Regime("Mine", "Mine: another", gate, feature, trains, linear=True)


ARCH = FullyConnected(3, 4, 5, 2)


@given(st.integers(1, 10**6))
def test_stages_of_learnt_gates_are_that_regime_with_the_stage_said(stage):
    found = find(f"FLNPF-stage-{stage}")
    assert (found.name, found.stage) == (f"FLNPF-stage-{stage}", stage)
    assert found.title.endswith(f"by stage {stage}")
    assert replace(found, name="FLNPF", title=REGIMES["FLNPF"].title, stage=None) == REGIMES["FLNPF"]
    assert all(regime.stage is None for regime in REGIMES.values())


def test_gates_of_a_stage_start_like_any_learnt_gates():
    learnt = learnt_network(ARCH)
    assert same(start("FLNPF-stage-2", ARCH, 3, learnt), start("FLNPF", ARCH, 3, learnt))
    with pytest.raises(ValueError, match="regime FLNPF-stage-2 needs a trained ReLU network as `learnt`"):
        start("FLNPF-stage-2", ARCH, 3)


@given(fully_connected(min_depth=2, max_size=6), seeds)
@few
def test_signed_starts_have_every_weight_of_one_size_and_differ_by_seed_and_purpose(arch, seed):
    size = (2 / arch.width) ** 0.5
    relu, gated = (start(name, arch, seed, None, "signed") for name in ("ReLU", "FRNPF-II"))
    for network in (relu, gated.value, gated.feature):
        for layer in network.layers:
            torch.testing.assert_close(layer.weight.abs(), torch.full_like(layer.weight, size))
            assert layer.bias is None or not layer.bias.any()
    assert same(relu, start("ReLU", arch, seed, None, "signed"))


def test_signed_starts_are_coins_of_their_own_for_each_seed_and_network():
    arch = FullyConnected(3, 40, 50, 1, bias=False)
    gated = start("FRNPF-II", arch, 0, None, "signed")
    networks = [start("ReLU", arch, 0, None, "signed"), start("ReLU", arch, 1, None, "signed"), gated.value]
    networks += [gated.feature]
    signs = torch.stack([torch.cat([w.sign().flatten() for w in network.weights]) for network in networks]).double()
    count = signs.shape[1]
    correlations = signs @ signs.T / count
    assert (correlations - torch.eye(4)).abs().max() < 5 / count**0.5
    assert signs.mean(1).abs().max() < 5 / count**0.5
    shared = start("FRNPF-DI", arch, 0, None, "signed")
    assert same(shared.feature, shared.value)


@pytest.mark.parametrize(
    "regime",
    [
        "FLNPF-stage-0", "FLNPF-stage-", "FLNPF-stage-01", "FLNPF-stage-x", "FLNPF-stage-1.5", "FLNPF-stage--1",
        "FLNPF-stage-1 ", "FLNPF-stage-١", "FLNPF-stage-1-stage-1", "FLNPF-Stage-1", "ReLU-stage-1", "DLNPF-stage-1",
        "FRNPF-II-stage-1", "stage-1", "-stage-1",
    ],
)  # fmt: skip
def test_a_stage_that_cannot_be_is_refused(regime):
    with pytest.raises(ValueError, match=r"unknown regime .*; allowed: .*FLNPF-stage-1, FLNPF-stage-2") as caught:
        find(regime)
    assert repr(regime) in str(caught.value)


@pytest.mark.parametrize("regime", ["relu", "FRNPF", "", None])
def test_unknown_regime_is_refused(regime):
    for call in (lambda: find(regime), lambda: start(regime, ARCH, 0)):
        with pytest.raises(ValueError, match=r"unknown regime .*; allowed: FRNPF-II, FRNPF-DI, DLNPF, FLNPF, ReLU"):
            call()


def test_learnt_gates_need_a_learnt_network_of_the_same_architecture():
    with pytest.raises(ValueError, match="regime FLNPF needs a trained ReLU network as `learnt`"):
        start("FLNPF", ARCH, 0)
    with pytest.raises(ValueError, match=r"learnt gates come from FullyConnected\(depth=4"):
        start("FLNPF", ARCH, 0, ReLUNetwork(FullyConnected(4, 4, 5, 2)))


@pytest.mark.parametrize("regime", ["ReLU", "DLNPF", "FRNPF-DI", "FRNPF-II"])
def test_other_regimes_take_no_learnt_network(regime):
    with pytest.raises(ValueError, match=f"regime {regime} takes no trained network"):
        start(regime, ARCH, 0, ReLUNetwork(ARCH))


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
def test_refuses_a_seed_that_is_not_a_whole_number(seed):
    for regime in ("ReLU", "DLNPF"):
        with pytest.raises(ValueError, match=r"seed must be a whole number of at least 0 and below 2\^32; got"):
            start(regime, ARCH, seed)
