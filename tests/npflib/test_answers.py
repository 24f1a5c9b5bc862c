"""Ties have one rule, which no code path can change: the lowest of the classes with the largest score."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import normal, seeds

from npflib.answers import accuracy, answers
from npflib.architectures import FullyConnected
from npflib.networks import ReLUNetwork
from npflib.theory.kernel_ridge import fit
from npflib.training.autograd import ModuleLearner
from npflib.training.batched import StackedLearner
from npflib.training.losses import cross_entropy


@given(seeds, st.integers(1, 5), st.integers(1, 70), st.integers(1, 3), st.sampled_from([torch.float32, torch.float64]))
def test_of_equal_scores_the_lowest_class_is_the_answer(seed, examples, classes, values, dtype):
    """Few values, so that most rows tie, over lengths on both sides of a vector register's, laid out in two ways."""
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randint(-values, values + 1, (2, examples, classes), generator=draw).to(dtype)
    expected = [[max(range(classes), key=lambda c: (row[c], -c)) for row in part] for part in scores.tolist()]
    assert answers(scores).tolist() == expected
    assert answers(scores.mT.contiguous().mT).tolist() == expected


TINY = 1e-20


def test_scores_that_differ_are_no_tie_however_small_they_are():
    """log softmax would round both to -log 2, and give the first."""
    outputs = torch.tensor([[0.0, TINY], [TINY, 0.0], [-TINY, -2 * TINY]])
    labels = torch.tensor([1, 0, 0])
    assert torch.log_softmax(outputs, 1).unique().numel() == 1
    assert answers(outputs).tolist() == labels.tolist()
    assert cross_entropy(outputs[None], labels[None, :, None])[1].tolist() == [3]


@pytest.mark.parametrize("values", [(0.0, 0.0), (0.0, TINY), (TINY, 0.0), (-TINY, TINY)], ids=str)
@pytest.mark.parametrize("learner", [ModuleLearner, StackedLearner])
def test_every_path_gives_the_answer_of_the_scores(learner, values):
    """A network of one layer whose outputs are its weights; a machine whose scores are differences of the same."""
    arch = FullyConnected(depth=1, width=1, in_features=1, out_features=2, bias=False)
    network = ReLUNetwork(arch)
    with torch.no_grad():
        network.weights[0].copy_(torch.tensor(values)[:, None])
    expected = 1 if values[1] > values[0] else 0
    x, y = torch.ones(2, 1), torch.tensor([expected, 1 - expected])
    trained = learner([network], x, y, x, y, torch.device("cpu"))
    assert trained.test()[1] == [0.5]
    trained = learner([network], x[:1], y[:1], x[:1], y[:1], torch.device("cpu"))
    assert trained.test()[1] == [1.0]
    trained.gradients(torch.tensor([[0]]))
    assert trained.take_running(1)[1] == [1.0]
    assert accuracy(network, x[:1], y[:1]) == 1.0
    machine = fit(torch.eye(2), torch.tensor([0, 1]), ridge=1.0)  # its scores are ±(a - b) / 4
    assert machine.predict(torch.tensor([values])).tolist() == [expected]


@given(seeds, st.integers(1, 12), st.integers(1, 13))
def test_accuracy_does_not_depend_on_the_chunk(seed, examples, chunk):
    scores = normal(seed, examples, 3)
    labels = torch.randint(3, (examples,), generator=torch.Generator().manual_seed(seed))
    given_ = [max(range(3), key=row.__getitem__) for row in scores.tolist()]
    expected = sum(one == y for one, y in zip(given_, labels.tolist(), strict=True)) / examples
    assert accuracy(lambda x: x, scores, labels, chunk) == expected
