"""The two losses against torch's own and automatic differentiation, several networks at once."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import normal, seeds
from torch.nn import functional

from npflib.training.losses import LOSSES, cross_entropy, squared

sizes = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))  # S networks, B examples, C outputs


@st.composite
def logits_and_labels(draw):
    copies, batch, classes = draw(sizes)
    scale = draw(st.sampled_from([0.0, 1e-3, 1.0, 50.0]))
    logits = scale * normal(draw(seeds), copies, batch, classes)
    labels = st.lists(st.integers(0, classes - 1), min_size=copies * batch, max_size=copies * batch)
    return logits, torch.tensor(draw(labels)).view(copies, batch, 1)


@st.composite
def outputs_and_signs(draw):
    copies, batch, _ = draw(sizes)
    signs = st.lists(st.sampled_from([-1.0, 1.0]), min_size=copies * batch, max_size=copies * batch)
    return normal(draw(seeds), copies, batch, 1), torch.tensor(draw(signs)).view(copies, batch, 1)


@given(logits_and_labels())
def test_cross_entropy_is_torchs_and_its_gradient_is_autograds(given_):
    logits, labels = given_
    before = logits.clone()
    total, correct, gradient = cross_entropy(logits, labels)
    assert torch.equal(logits, before), "the outputs are left alone"
    free = logits.clone().requires_grad_()
    for copy in range(len(logits)):
        y = labels[copy, :, 0]
        each = functional.cross_entropy(free[copy], y, reduction="none")
        each.mean().backward()
        assert total[copy].item() == pytest.approx(each.sum().item(), rel=1e-12, abs=1e-12)
        assert correct[copy].item() == sum(row.argmax() == label for row, label in zip(logits[copy], y, strict=True))
    torch.testing.assert_close(gradient, free.grad, rtol=1e-12, atol=1e-14)


@given(outputs_and_signs())
def test_squared_is_the_residuals_square_and_its_gradient_is_autograds(given_):
    outputs, labels = given_
    before = outputs.clone()
    total, correct, gradient = squared(outputs, labels)
    assert torch.equal(outputs, before)
    free = outputs.clone().requires_grad_()
    functional.mse_loss(free, labels.double(), reduction="none").mean(1).sum().backward()
    torch.testing.assert_close(gradient, free.grad, rtol=1e-12, atol=1e-15)
    for copy in range(len(outputs)):
        pairs = list(zip(outputs[copy, :, 0].tolist(), labels[copy, :, 0].tolist(), strict=True))
        assert total[copy].item() == pytest.approx(sum((o - y) ** 2 for o, y in pairs), rel=1e-12)
        assert correct[copy].item() == sum(math.copysign(1, o) == y for o, y in pairs if o)


def test_numbers_worked_out_by_hand():
    total, correct, gradient = cross_entropy(torch.zeros(1, 2, 4), torch.tensor([[[0], [3]]]))
    assert total.item() == pytest.approx(2 * math.log(4))
    assert correct.item() == 1, "of equal logits the first is the answer"
    assert gradient[0, 0].tolist() == pytest.approx([-0.75 / 2, 0.25 / 2, 0.25 / 2, 0.25 / 2])
    total, correct, gradient = squared(torch.tensor([[[0.5], [-2.0], [0.0]]]), torch.tensor([[[1.0], [1.0], [-1.0]]]))
    assert total.item() == pytest.approx(0.25 + 9 + 1)
    assert correct.item() == 1, "an output of zero has no sign, so it is no answer"
    assert gradient.flatten().tolist() == pytest.approx([-1 / 3, -2.0, 2 / 3])


def test_cross_entropy_stays_finite_where_softmax_over_or_underflows():
    logits = torch.tensor([[[1e4, -1e4, 0.0], [-3e38, 3e38, 0.0]]])
    total, _, gradient = cross_entropy(logits, torch.tensor([[[0], [1]]]))
    assert total.item() == 0
    assert torch.isfinite(gradient).all()


@given(logits_and_labels(), outputs_and_signs(), st.randoms())
def test_copies_do_not_mix_and_the_order_of_examples_does_not_matter(classes, signs, random):
    for loss, (outputs, labels) in ((cross_entropy, classes), (squared, signs)):
        total, correct, gradient = loss(outputs, labels)
        order = random.sample(range(outputs.shape[1]), outputs.shape[1])
        for copy in range(len(outputs)):
            alone = loss(outputs[copy : copy + 1, order], labels[copy : copy + 1, order])
            assert alone[0].item() == pytest.approx(total[copy].item(), rel=1e-12, abs=1e-12)
            assert alone[1].item() == correct[copy].item()
            assert torch.equal(alone[2][0], gradient[copy, order])


def test_the_losses_have_names_that_cannot_be_rebound():
    assert {name: loss.__name__ for name, loss in LOSSES.items()} == {n: n for n in ("cross_entropy", "squared")}
    with pytest.raises(TypeError):
        LOSSES["cross_entropy"] = squared
