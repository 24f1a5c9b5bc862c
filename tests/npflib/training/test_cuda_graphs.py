"""Steps replayed from a graph: what is recorded is put in and taken out rightly, and a wrong record is not used.

Recording itself needs a card. Elsewhere something else is recorded: a function that computes the step again and, like a
graph, leaves the gradients in the tensors that were there when it was recorded.
"""

import weakref

import pytest
import torch

from npflib import regimes
from npflib.networks import FullyConnected, GConv
from npflib.training import cuda_graphs
from npflib.training.autograd import AutogradLearner
from npflib.training.loop import each_epoch
from npflib.training.optimisers import keras_optimiser

EXAMPLES, BATCH, EPOCHS = 22, 8, 3  # two whole batches and one of six an epoch


def learner_of(regime, copies=2, device="cpu", precision="float32"):
    arch = FullyConnected(3, 6, 5, 4) if device == "cpu" else GConv(3, 8, 4, True, (4, 8), (6,))
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(EXAMPLES, *((5,) if device == "cpu" else (3, 8, 8)), generator=draw)
    y = torch.arange(EXAMPLES) % 4
    learnt = regimes.start("ReLU", arch, 9) if regime == "FLNPF" else None
    networks = [regimes.start(regime, arch, seed, learnt) for seed in range(copies)]
    return AutogradLearner(networks, x, y, x, y, torch.device(device), precision)


def like_a_graph(learner, replays, change=lambda gradient: gradient, stale=False):
    parameters = learner.parameters()

    def record(step):
        step()
        recorded = [p.grad for p in parameters]

        def replay():
            replays.append(1)
            if not stale:
                step()
            for into, p in zip(recorded, parameters, strict=True):
                if into is not None:
                    into.copy_(change(p.grad))

        return replay

    return record


def trained(learner, replayed=None, optimiser="adam"):
    """Parameters, and each epoch's losses and accuracies."""
    if replayed is not None:
        learner.gradients = replayed
    loop = each_epoch(learner, keras_optimiser(optimiser, learner.parameters(), 1e-2), range(learner.copies), BATCH)
    sums = [(next(loop), learner.take_running(EXAMPLES)) for _ in range(EPOCHS)]
    return [p.detach().cpu() for p in learner.parameters()], sums


def assert_same_bits(found, expected):
    assert all(torch.equal(a, b) for a, b in zip(found[0], expected[0], strict=True))
    assert found[1] == expected[1]


@pytest.mark.parametrize("regime", ["ReLU", "DLNPF", "FLNPF", "FRNPF-DI"])
def test_replayed_steps_end_with_the_same_bits(regime):
    learner, replays = learner_of(regime), []
    replayed = cuda_graphs._Replayed(learner, like_a_graph(learner, replays))
    assert_same_bits(trained(learner, replayed), trained(learner_of(regime)))
    assert len(replays) == EPOCHS * (EXAMPLES // BATCH), "all whole batches; the first is tried beside the step itself"


WRONG = {
    "deaf to its examples": {"stale": True},
    "twice as long": {"change": lambda gradient: 2 * gradient},
    "not a number": {"change": lambda gradient: gradient * float("nan")},
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_record_that_computes_something_else_is_not_used(fault, caplog):
    learner, replays = learner_of("DLNPF"), []
    replayed = cuda_graphs._Replayed(learner, like_a_graph(learner, replays, **WRONG[fault]))
    assert_same_bits(trained(learner, replayed), trained(learner_of("DLNPF")))
    assert len(replays) == 1
    assert "without a CUDA graph: it gives other gradients" in caplog.text


def test_where_nothing_can_be_recorded_steps_are_taken_as_ever(caplog):
    def refuses(step):
        step()
        raise RuntimeError("operation not permitted when stream is capturing")

    learner = learner_of("ReLU")
    assert_same_bits(trained(learner, cuda_graphs._Replayed(learner, refuses)), trained(learner_of("ReLU")))
    assert caplog.text.count("operation not permitted") == 1


def test_a_learner_that_is_let_go_is_gone():
    learner = learner_of("FLNPF")
    learner.gradients = cuda_graphs._Replayed(learner, like_a_graph(learner, []))
    learner.gradients(torch.zeros(2, BATCH, dtype=torch.int64))
    gone = weakref.ref(learner)
    del learner
    assert gone() is None


@pytest.mark.card
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("regime", ["ReLU", "DLNPF", "FLNPF"])
def test_on_a_card_graphs_are_recorded_and_agree(regime, precision, caplog):
    learner = cuda_graphs.accelerated(learner_of(regime, device="cuda", precision=precision))
    found, _ = trained(learner, optimiser="sgd")
    assert learner.gradients.replay is not None, caplog.text
    expected, _ = trained(learner_of(regime, device="cuda", precision=precision), optimiser="sgd")
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=2e-3)  # nine steps of 0.01, whose gradients of about 1 are rounded to 2^-8
