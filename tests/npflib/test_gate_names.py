"""Gates by name: what can be registered, what is refused, and that a network uses what was registered."""

import pytest
import torch

from npflib import gates
from npflib.gates import GATES, hard_gate, register, soft_gate
from npflib.networks import DeepGatedNetwork, FullyConnected


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    for name in ("_GATES", "GATES"):
        monkeypatch.setattr(gates, name, getattr(gates, name))
    before = dict(gates._GATES)
    yield
    gates._GATES.clear()
    gates._GATES.update(before)


def open_gate(q):
    return torch.ones_like(q)


def test_the_papers_two_gates_are_there_and_cannot_be_overwritten():
    assert (GATES["hard"], GATES["soft"]) == (hard_gate, soft_gate)
    with pytest.raises(TypeError):
        GATES["hard"] = open_gate
    with pytest.raises(ValueError, match="the name 'hard' is taken by another gate; taken are: hard, soft"):
        register("hard", open_gate)
    register("hard", hard_gate)


def test_a_network_behind_open_gates_is_the_product_of_its_weights():
    register("ajar", open_gate)
    arch = FullyConnected(4, 5, 3, 2, bias=False)
    network = DeepGatedNetwork(arch, "ajar", torch.Generator().manual_seed(0)).double()
    x = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    product = torch.linalg.multi_dot([w.double() for w in reversed(network.weights)])
    torch.testing.assert_close(network(x), x @ product.T)
    assert all(bool((gate == 1).all()) for gate in network.gates(x))


def test_the_same_code_again_changes_nothing():
    def again(q):
        return torch.ones_like(q)

    register("ajar", open_gate)
    register("ajar", again)
    assert GATES["ajar"] is again

    def half(q):
        return torch.full_like(q, 0.5)

    with pytest.raises(ValueError, match="the name 'ajar' is taken by another gate; taken are: hard, soft"):
        register("ajar", half)


@pytest.mark.parametrize("name", ["own", "Open", "", "an open gate", "-open", None, 3])
def test_a_name_that_is_not_allowed(name):
    with pytest.raises(ValueError, match="lower-case letters, digits and hyphens, not 'own'; got"):
        register(name, open_gate)


def scalar(q):
    return q.sum()


def whole(q):
    return q.long()


def words(q):
    return "open"


@pytest.mark.parametrize("gate", [scalar, whole, words])
def test_a_gate_gives_a_number_for_each_pre_activation(gate):
    with pytest.raises(ValueError, match=r"gate 'bad' must give a tensor of q's shape \(2, 3\) and dtype.*; got"):
        register("bad", gate)
    assert "bad" not in GATES


def test_a_built_in_has_no_code_to_take_a_digest_of():
    with pytest.raises(ValueError, match="a Python function"):
        register("ajar", torch.ones_like)
