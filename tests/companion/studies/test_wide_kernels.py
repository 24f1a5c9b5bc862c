"""Kernels of wide networks: what is measured, and on what."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from companion.studies import wide_kernels
from companion.studies.wide_kernels import MNIST, WideConfig, accuracies
from npflib import data
from npflib.theory import infinite_width

TINY = WideConfig((40, 60), 60, (2, 3), (4, 16), (0, 1))


@pytest.fixture(scope="module")
def digits():
    return data.subset(data.load("mnist", offline=True), 200, 150)


@pytest.fixture(scope="module")
def found(digits):
    return MNIST.measure(TINY, digits, progress=False)


def test_every_kernel_is_read_once(found):
    asked = {("linear", n, 1, 0) for n in (40, 60)}
    asked |= {(kind, n, 6, 0) for kind in infinite_width.KINDS for n in (40, 60)}
    asked |= {(kind, 60, depth, 0) for kind in infinite_width.KINDS for depth in (2, 3)}
    asked |= {("finite", 40, 6, 128)} | {("finite", 60, 6, width) for width in (4, 16, 128)}
    for seed in (0, 1):
        rows = [row for row in found.rows if row["seed"] == seed]
        assert sorted((r["kernel"], r["examples"], r["depth"], r["width"]) for r in rows) == sorted(asked)
        assert all(0 <= row["accuracy"] <= 1 and row["ridge"] in TINY.ridges for row in rows)


def test_a_seed_depends_on_no_other(digits, found):
    alone = MNIST.measure(replace(TINY, seeds=(1,)), digits, progress=False)
    assert alone.rows == [row for row in found.rows if row["seed"] == 1]
    assert [row | {"seed": 1} for row in found.rows if row["seed"] == 0] != alone.rows


def test_the_linear_row_is_ridge_regression(digits, found):
    """scikit-learn's, from the inputs and never from a kernel, with the same targets and the ridge that was chosen."""
    part = data.subset(digits, 60, None, seed=0)
    x, test = (images.flatten(1).double().numpy() for images in (part.train_images, part.test_images))
    (row,) = [r for r in found.rows if (r["seed"], r["kernel"], r["examples"]) == (0, "linear", 60)]
    targets = torch.nn.functional.one_hot(part.train_labels, 10).double().numpy() - 0.1
    machine = Ridge(alpha=row["ridge"] * (x**2).sum(1).mean(), fit_intercept=False).fit(x, targets)
    right = (machine.predict(test).argmax(1) == part.test_labels.numpy()).mean()
    assert row["accuracy"] == pytest.approx(right, abs=1 / 150 + 1e-9)  # one tie may be broken by rounding


def test_the_finite_kernel_tends_to_its_limit():
    x = torch.rand(5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    limit = infinite_width.kernels(x, depth=3)["gates"] / 3
    errors = [
        torch.stack([wide_kernels.finite_kernel(x, None, 3, width, seed) / limit - 1 for seed in range(20)])
        for width in (64, 1024)
    ]
    narrow, wide = (float(e.square().mean().sqrt()) for e in errors)
    # Four times as narrow a spread; 20 draws of few entries leave it uncertain by a fifth or so.
    assert narrow / wide == pytest.approx(4, rel=0.5)
    assert wide < 0.1
    assert torch.equal(*(wide_kernels.finite_kernel(x, y, 3, 64, 0)[:2, :2].float() for y in (x, x.float())))


def test_the_test_set_has_no_part_in_the_choice(digits, found):
    other = replace(digits, test_labels=digits.test_labels.roll(1))
    again = MNIST.measure(replace(TINY, seeds=(0,)), other, progress=False)
    before = [row for row in found.rows if row["seed"] == 0]
    assert [(r["ridge"], r["held_out"]) for r in before] == [(r["ridge"], r["held_out"]) for r in again.rows]
    assert [row["accuracy"] for row in before] != [row["accuracy"] for row in again.rows]


def test_accuracies_are_per_cents_by_seed(found):
    by_hand = [100 * r["accuracy"] for r in found.rows if (r["kernel"], r["width"]) == ("finite", 4)]
    assert accuracies(found, "finite", 60, width=4).tolist() == by_hand
    assert np.array_equal(accuracies(found, "linear", 60, depth=6), accuracies(found, "linear", 60, depth=2))
    with pytest.raises(
        ValueError, match=r"seed 0 of mnist-infinite-width has no rows with kernel = 'gates'.*depth = 9"
    ):
        accuracies(found, "gates", 60, depth=9)


def test_too_few_examples(digits):
    with pytest.raises(ValueError, match="500 training examples are asked for; there are 200"):
        MNIST.measure(MNIST.configs["quick"], digits, progress=False)


def test_the_published_table_is_whole():
    full, found = MNIST.configs["paper"], MNIST.published()
    for kind in ("linear", "gates", "relu", "finite"):
        assert all((accuracies(found, kind, n) > 50).all() for n in full.examples)
    assert all((accuracies(found, "gates", full.swept, depth) > 50).all() for depth in full.depths)
    assert all((accuracies(found, "finite", full.swept, width=width) > 30).all() for width in full.widths)
