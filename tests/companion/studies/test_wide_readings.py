"""The experiment of infinite width: what is measured, on what, and how it is kept."""

from dataclasses import replace

import pytest
import torch
from companion.studies.wide_readings import BUDGETS, Budget
from sklearn.linear_model import Ridge

from companion.studies import wide_readings
from npflib.data import datasets as data
from npflib.theory import infinite_width

TINY = Budget((40, 60), 60, (2, 3), (4, 16), (0, 1))


@pytest.fixture(scope="module")
def digits():
    return data.subset(data.load("mnist", offline=True), 200, 150)


@pytest.fixture(scope="module")
def found(digits):
    return wide_readings.measure(digits, TINY, "smoke")


def test_every_kernel_is_read_once(found):
    asked = {("linear", n, 1, 0) for n in (40, 60)}
    asked |= {(kind, n, 6, 0) for kind in infinite_width.KINDS for n in (40, 60)}
    asked |= {(kind, 60, depth, 0) for kind in infinite_width.KINDS for depth in (2, 3)}
    asked |= {("finite", 40, 6, 128)} | {("finite", 60, 6, width) for width in (4, 16, 128)}
    for one in found:
        read = [(r.kind, r.examples, r.depth, r.width) for r in one.readings]
        assert sorted(read) == sorted(asked)
        assert all(0 <= r.accuracy <= 1 and r.ridge in one.ridges for r in one.readings)


def test_a_seed_depends_on_no_other(digits, found):
    (alone,) = wide_readings.measure(digits, TINY, "smoke", seeds=[1])
    assert replace(alone, seconds=0) == replace(found[1], seconds=0)
    assert found[0].readings != found[1].readings


def test_the_linear_reading_is_ridge_regression(digits, found):
    """scikit-learn's, from the inputs and never from a kernel, with the same targets and the ridge that was chosen."""
    part = data.subset(digits, 60, None, seed=0)
    x, test = (images.flatten(1).double().numpy() for images in (part.train_images, part.test_images))
    (reading,) = [r for r in found[0].readings if r.kind == "linear" and r.examples == 60]
    targets = torch.nn.functional.one_hot(part.train_labels, 10).double().numpy() - 0.1
    machine = Ridge(alpha=reading.ridge * (x**2).sum(1).mean(), fit_intercept=False).fit(x, targets)
    right = (machine.predict(test).argmax(1) == part.test_labels.numpy()).mean()
    assert reading.accuracy == pytest.approx(right, abs=1 / 150 + 1e-9)  # one tie may be broken by rounding


def test_the_finite_kernel_tends_to_its_limit():
    x = torch.rand(5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    limit = infinite_width.fixed_gate_kernel(x, depth=3) / 3
    errors = [
        torch.stack([wide_readings.finite_kernel(x, None, 3, width, seed) / limit - 1 for seed in range(20)])
        for width in (64, 1024)
    ]
    narrow, wide = (float(e.square().mean().sqrt()) for e in errors)
    # Four times as narrow a spread; 20 draws of few entries leave it uncertain by a fifth or so.
    assert narrow / wide == pytest.approx(4, rel=0.5)
    assert wide < 0.1
    assert torch.equal(*(wide_readings.finite_kernel(x, y, 3, 64, 0)[:2, :2].float() for y in (x, x.float())))


def test_the_test_set_has_no_part_in_the_choice(digits, found):
    other = replace(digits, test_labels=digits.test_labels.roll(1))
    (again,) = wide_readings.measure(other, TINY, "smoke", seeds=[0])
    for before, after in zip(found[0].readings, again.readings, strict=True):
        assert (before.ridge, before.held_out) == (after.ridge, after.held_out)
    assert [r.accuracy for r in found[0].readings] != [r.accuracy for r in again.readings]


def test_kept_and_read_back(found, tmp_path):
    path = wide_readings.path_of(1, tmp_path)
    wide_readings.write(found[1], path)
    assert wide_readings.read(path) == found[1]
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(ValueError, match=r"seed-1\.json.*schema.*read_wide_kernels"):
        wide_readings.read(path)


def test_what_was_not_measured_is_named(found):
    assert found[0].accuracy("finite", 60, width=4) >= 0
    with pytest.raises(KeyError, match=r"gates.*seed 0"):
        found[0].accuracy("gates", 60, depth=9)


def test_too_few_examples(digits):
    with pytest.raises(ValueError, match="500 training examples are asked for; mnist has 200"):
        wide_readings.measure(digits, BUDGETS["quick"], "quick")


def test_published_readings_are_whole_and_of_the_real_data():
    for number, one in enumerate(wide_readings.published()):
        assert (one.seed, one.profile, one.ridges) == (number, "paper", wide_readings.RIDGES)
        assert not one.data["stand_in"]
        budget = BUDGETS["paper"]
        for kind in ("linear", "gates", "relu", "finite"):
            assert all(one.accuracy(kind, n) > 0.5 for n in budget.examples)
        assert all(one.accuracy("gates", budget.swept, depth) > 0.5 for depth in budget.depths)
        assert all(one.accuracy("finite", budget.swept, width=width) > 0.3 for width in budget.widths)
