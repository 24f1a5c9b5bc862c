"""Wrong kinds of arguments are refused in one sentence that says what was given; gates are read once."""

import numpy as np
import pytest
import torch

from npflib import gates, kernels, networks, paths, signals
from npflib.theory import convolution, fixed_gates, gate_statistics, infinite_width, kernel_ridge, residual

ONE = torch.ones(2, 3)
FULL = networks.FullyConnected(depth=3, width=3, in_features=3, out_features=1, bias=False)
RELU = networks.ReLUNetwork(FULL)
WEIGHTS = [torch.ones(3, 3), torch.ones(1, 3)]
IMAGE, MAP = torch.ones(2, 1, 3, 3), torch.ones(2, 2, 3, 3)
FIT = kernel_ridge.fit(torch.eye(2), torch.tensor([0, 1]), 1.0)
LABELS = torch.tensor([0, 1])

CALLS = {
    "hard_gate": gates.hard_gate,
    "soft_gate": gates.soft_gate,
    "feature, x": lambda wrong: paths.neural_path_feature(wrong, [ONE]),
    "feature, gate": lambda wrong: paths.neural_path_feature(ONE, [wrong]),
    "value": lambda wrong: paths.neural_path_value([wrong]),
    "sum, x": lambda wrong: paths.path_sum(wrong, [ONE], WEIGHTS),
    "sum, weight": lambda wrong: paths.path_sum(ONE, [ONE], [wrong, WEIGHTS[1]]),
    "active": lambda wrong: paths.active_paths([wrong]),
    "overlap": lambda wrong: kernels.path_overlap([wrong]),
    "overlap, second": lambda wrong: kernels.path_overlap([ONE], [wrong]),
    "path kernel, x": lambda wrong: kernels.neural_path_kernel(wrong, [ONE]),
    "path kernel, gate": lambda wrong: kernels.neural_path_kernel(ONE, [wrong]),
    "tangent kernel": lambda wrong: kernels.neural_tangent_kernel(RELU, wrong),
    "tangent kernel, x2": lambda wrong: kernels.neural_tangent_kernel(RELU, ONE, wrong),
    "network": RELU,
    "value network": lambda wrong: networks.ValueNetwork(FULL)(wrong, [ONE, ONE]),
    "hard_gates": lambda wrong: networks.hard_gates(RELU, wrong),
    "softmax_jacobian": signals.softmax_jacobian,
    "input_angles": infinite_width.input_angles,
    "wide kernels": lambda wrong: infinite_width.kernels(wrong, depth=2),
    "angles": lambda wrong: infinite_width.angles(wrong, 2),
    "variance, x": lambda wrong: fixed_gates.relative_variance(wrong, [ONE]),
    "variance, gate": lambda wrong: fixed_gates.relative_variance(ONE, [wrong]),
    "expected": lambda wrong: fixed_gates.expected_value_kernel(wrong, [ONE], 1.0),
    "value kernels": lambda wrong: fixed_gates.value_kernels(wrong, [ONE], [w[None] for w in WEIGHTS]),
    "flattened, x": lambda wrong: convolution.flattened_path_kernel(wrong, [MAP]),
    "pooled, gate": lambda wrong: convolution.pooled_path_kernel(IMAGE, [wrong]),
    "residual, x": lambda wrong: residual.residual_path_kernel(wrong, ONE, [[ONE]]),
    "residual, gate": lambda wrong: residual.residual_path_kernel(ONE, ONE, [[wrong]]),
    "on_share": lambda wrong: gate_statistics.on_share([wrong]),
    "agreement": lambda wrong: gate_statistics.agreement([ONE], wrong),
    "fit, kernel": lambda wrong: kernel_ridge.fit(wrong, LABELS, 1.0),
    "fit, labels": lambda wrong: kernel_ridge.fit(torch.eye(2), wrong, 1.0),
    "scores": FIT.scores,
    "accuracy": lambda wrong: FIT.accuracy(torch.eye(2), wrong),
    "read-out": lambda wrong: kernel_ridge.KernelReadOut(wrong, LABELS, ONE, LABELS),
}
WRONG = {
    "None": None,
    "a list": [[1.0, 2.0, 3.0]] * 2,
    "numpy": np.ones((2, 3), dtype=np.float32),
    "words": "ones",
    "complex": torch.ones(2, 3, dtype=torch.complex64),
    "sparse": torch.ones(2, 3).to_sparse(),
    "meta": torch.ones(2, 3, device="meta"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("call", [name for name in CALLS if name != "tangent kernel, x2"])
def test_what_is_no_tensor_of_numbers_is_refused_in_one_sentence(call, wrong):
    given = {"None": "None", "a list": "list: convert", "numpy": "ndarray: convert it with torch.from_numpy"}
    said = given.get(wrong, {"words": "str"}.get(wrong, r"\(2, 3\) of torch\."))
    with pytest.raises(ValueError, match=rf"must be a (real|floating) tensor.*; got {said}"):
        CALLS[call](WRONG[wrong])


def test_gates_may_come_from_a_generator():
    """It can be read only once."""
    layers = [torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])] * 2
    expected = kernels.path_overlap(layers)
    assert torch.equal(kernels.path_overlap(layer for layer in layers), expected)
    assert torch.equal(kernels.neural_path_kernel(ONE, (layer for layer in layers)), 3 * expected)
    assert torch.equal(paths.active_paths(layer for layer in layers), expected.diagonal().double())
    assert torch.equal(gate_statistics.on_share(layer for layer in layers), gate_statistics.on_share(layers))
    feature = paths.neural_path_feature(ONE, (layer for layer in layers))
    assert torch.equal(feature, paths.neural_path_feature(ONE, layers))


@pytest.mark.parametrize("wrong", [3, None])
def test_one_tensor_a_layer_is_given_in_a_list(wrong):
    for call in (kernels.path_overlap, paths.active_paths, paths.neural_path_value, gate_statistics.on_share):
        with pytest.raises(ValueError, match="must be given in a list, one tensor a layer; got"):
            call(wrong)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_never_go_on_in_silence(number):
    x = torch.tensor([[number, 1.0, 1.0], [1.0, 1.0, 1.0]])
    for call in (
        lambda: kernels.neural_path_kernel(x, [ONE]),
        lambda: kernels.path_overlap([x]),
        lambda: kernels.neural_tangent_kernel(RELU, x),
        lambda: infinite_width.input_angles(x),
        lambda: convolution.flattened_path_kernel(number * IMAGE, [MAP]),
        lambda: residual.residual_path_kernel(x, ONE, [[ONE]]),
    ):
        with pytest.raises(ValueError, match=r"must hold finite numbers|are NaN"):
            call()


def test_counts_beyond_a_types_range_are_refused_and_said_where_they_fit():
    layers = [torch.ones(2, 64)] * 25  # 64^25 = 2^150 paths
    with pytest.raises(ValueError, match=r"beyond the range of torch.float32.*dtype=torch.float64"):
        kernels.path_overlap(layers)
    assert kernels.path_overlap(layers, dtype=torch.float64).tolist() == [[2.0**150] * 2] * 2
    with pytest.raises(ValueError, match=r"Beyond 10\^308 no type holds them"):
        paths.active_paths([torch.ones(2, 64)] * 180)


def test_features_of_too_many_examples_are_refused_before_they_are_made():
    gate = torch.ones(1, 1).expand(10_000, 1400)
    with pytest.raises(ValueError, match="1,960,000 paths are 19,600,000,000 numbers, more than the 200,000,000"):
        paths.neural_path_feature(gate, [gate])


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf"), "1", None])
def test_a_scale_is_a_finite_positive_number(sigma):
    for call in (
        lambda: fixed_gates.expected_value_kernel(ONE, [ONE], sigma),
        lambda: fixed_gates.draw_weights(FULL, 1, sigma),
        lambda: residual.expected_value_kernel(ONE, ONE, [[ONE]], sigma),
    ):
        with pytest.raises(ValueError, match="sigma, the scale of the weights, must be finite and positive; got"):
            call()
