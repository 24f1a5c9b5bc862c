"""Wrong kinds of arguments are refused in one sentence that says what was given; gates are read once."""

import numpy as np
import pytest
import torch

from npflib import answers, data, gates, initialisation, kernels, networks, paths, signals
from npflib.theory import convolution, fixed_gates, gate_statistics, infinite_width, kernel_ridge, residual
from npflib.training import loop, losses
from npflib.training.autograd import AutogradLearner
from npflib.training.batched import BatchedLearner

ONE = torch.ones(2, 3)
FULL = networks.FullyConnected(depth=3, width=3, in_features=3, out_features=1, bias=False)
RELU = networks.ReLUNetwork(FULL)
WEIGHTS = [torch.ones(3, 3), torch.ones(1, 3)]
IMAGE, MAP = torch.ones(2, 1, 3, 3), torch.ones(2, 2, 3, 3)
FIT = kernel_ridge.fit(torch.eye(2), torch.tensor([0, 1]), 1.0)
LABELS = torch.tensor([0, 1])
SMALL = [networks.ReLUNetwork(networks.FullyConnected(2, 2, 3, 2))]
OUTPUTS, CHOSEN = torch.zeros(1, 2, 3), torch.zeros(1, 2, 1, dtype=torch.int64)
RESIDUAL = (torch.ones(3, 3), [[torch.ones(3, 3)]], torch.ones(1, 3))

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
    "accuracy of a network, x": lambda wrong: answers.accuracy(lambda x: x, wrong, LABELS),
    "accuracy of a network, labels": lambda wrong: answers.accuracy(lambda x: x, ONE, wrong),
    "class_gram": lambda wrong: signals.class_gram(RELU, wrong),
    "residual output, x": lambda wrong: residual.residual_output(wrong, ONE, [[ONE]], RESIDUAL),
    "residual output, stem": lambda wrong: residual.residual_output(ONE, ONE, [[ONE]], (wrong, *RESIDUAL[1:])),
    "residual output, block": lambda wrong: residual.residual_output(
        ONE, ONE, [[ONE]], (RESIDUAL[0], [[wrong]], RESIDUAL[2])
    ),
    "residual gates": lambda wrong: residual.residual_gates(wrong, RESIDUAL),
    "scaled": lambda wrong: fixed_gates.scaled(wrong, 2, 1.0),
    "largest z": fixed_gates.largest_z,
    "random gates": lambda wrong: fixed_gates.sample_with_random_gates(FULL, wrong, 1, 1.0, shared=True),
    "digests": lambda wrong: data.digests([wrong] * 4),
    "glorot": initialisation.glorot_uniform_,
    "signed": lambda wrong: initialisation.signed_(wrong, 1.0),
    "gaussian": lambda wrong: initialisation.gaussian_(wrong, 1.0),
    "alignment": lambda wrong: kernels.alignment(wrong, [1, -1]),
    "cross-entropy, outputs": lambda wrong: losses.cross_entropy(wrong, CHOSEN),
    "cross-entropy, labels": lambda wrong: losses.cross_entropy(OUTPUTS, wrong),
    "squared, outputs": lambda wrong: losses.squared(wrong, torch.ones(1, 2, 1)),
    "squared, labels": lambda wrong: losses.squared(torch.ones(1, 2, 1), wrong),
    "batched, images": lambda wrong: BatchedLearner(SMALL, wrong, LABELS, ONE, LABELS),
    "batched, test images": lambda wrong: BatchedLearner(SMALL, ONE, LABELS, wrong, LABELS),
    "batched, labels": lambda wrong: BatchedLearner(SMALL, ONE, wrong, ONE, LABELS),
    "batched, gates": lambda wrong: BatchedLearner(SMALL, ONE, LABELS, ONE, LABELS, gates=(wrong, wrong)),
    "autograd, images": lambda wrong: AutogradLearner(SMALL, wrong, LABELS, ONE, LABELS),
    "autograd, test labels": lambda wrong: AutogradLearner(SMALL, ONE, LABELS, ONE, wrong),
    "kept": lambda wrong: loop.train_and_keep([RELU], wrong, LABELS, torch.tensor([[0]]), [1], seeds=[0]),
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
        lambda: signals.softmax_jacobian(x),
        lambda: fixed_gates.relative_variance(x, [ONE]),
        lambda: fixed_gates.largest_z(x),
        lambda: answers.accuracy(lambda x: x, ONE, torch.tensor([0.0, number])),
        lambda: kernel_ridge.KernelReadOut(x, LABELS, ONE, LABELS),
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


def test_whole_numbers_are_counted_in_a_type_that_holds_their_products():
    weights = [torch.full((3, 3), 100, dtype=torch.uint8), torch.full((1, 3), 100, dtype=torch.int8)]
    x, gates = torch.full((2, 3), 200, dtype=torch.uint8), [torch.ones(2, 3, dtype=torch.uint8)]
    value, feature = paths.neural_path_value(weights), paths.neural_path_feature(x, gates)
    assert value.unique().tolist() == [1e4]
    assert (feature @ value).tolist() == paths.path_sum(x, gates, weights).tolist() == [[9 * 200 * 1e4]] * 2
    assert paths.path_sum(x.double(), [ONE.bool()], [weight.float() for weight in weights]).dtype == torch.float64


MIXED = ValueError, "one floating type|in one type|must be a floating tensor"


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float64, torch.float16])
def test_another_type_than_the_weights_is_said(kind):
    for call in (
        lambda: residual.residual_output(ONE.to(kind), ONE, [[ONE]], RESIDUAL),
        lambda: residual.residual_gates(ONE.to(kind), RESIDUAL),
        lambda: fixed_gates.value_kernels(ONE.to(kind), [ONE], [weight[None] for weight in WEIGHTS]),
        lambda: fixed_gates.relu_gates(ONE.to(kind), [weight[None] for weight in WEIGHTS]),
        lambda: RELU(ONE.to(kind)),
        lambda: RELU.gates(ONE.to(kind)),
        lambda: networks.DeepGatedNetwork(FULL, "soft")(ONE.to(kind)),
        lambda: networks.ValueNetwork(FULL)(ONE.to(kind), [ONE, ONE]),
    ):
        with pytest.raises(MIXED[0], match=MIXED[1]):
            call()


def test_gates_of_a_wider_type_than_the_weights_are_said():
    """Narrower ones, and such as are no floating numbers, multiply as they are; autocast converts by itself."""
    network = networks.ValueNetwork(FULL)
    with pytest.raises(
        ValueError, match=r"layer 2 is of torch.float32 and is given torch.float64.*x.to\(torch.float32\)"
    ):
        network(ONE, [ONE.double(), ONE])
    expected = network(ONE, [ONE, ONE])
    for kind in (torch.bool, torch.uint8, torch.float16):
        assert torch.equal(network(ONE, [ONE.to(kind), ONE.to(kind)]), expected)
    assert torch.allclose(network.double()(ONE.double(), [ONE, ONE.double()]).float(), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(RELU(ONE), RELU(ONE.half()))
        with pytest.raises(ValueError, match=r"layer 1 is of torch\.float32 and is given torch\.float64"):
            RELU(ONE.double())


@pytest.mark.parametrize("learner", [BatchedLearner, AutogradLearner])
def test_a_learner_says_at_once_what_does_not_fit_together(learner):
    other = networks.ReLUNetwork(networks.FullyConnected(2, 5, 3, 2))
    for wrong in ([], None, 3, [None], ["ReLU"], [*SMALL, other], [torch.nn.Linear(3, 2)]):
        with pytest.raises(ValueError, match="one or more networks of one kind and architecture are needed; got"):
            learner(wrong, ONE, LABELS, ONE, LABELS)
    for x in (torch.ones(2, 4), torch.ones(3), torch.ones(2, 3, 3)):
        with pytest.raises(ValueError, match=r"inputs must be \[n, …\] with 3 numbers each"):
            learner(SMALL, x, LABELS, ONE, LABELS)
    for x, y in ((ONE, LABELS[:1]), (ONE[:0], LABELS[:0]), (ONE[:1], LABELS)):
        with pytest.raises(ValueError, match=r"test inputs must be .* with n ≥ 1 and a label each; got"):
            learner(SMALL, ONE, LABELS, x, y)
    for y in (torch.tensor([0, 2]), torch.tensor([-1, 1]), LABELS.float(), LABELS.int(), LABELS.bool()):
        with pytest.raises(
            ValueError, match=r"training labels must be classes from 0 to 1 in torch.int64; got .* and 2 outputs"
        ):
            learner(SMALL, ONE, y, ONE, LABELS)


def test_labels_of_squared_loss_are_finite_and_of_one_output():
    single = [networks.ReLUNetwork(FULL)]
    good = torch.tensor([1.0, -1.0])
    for networks_, y, message in (
        (SMALL, good, "training labels must be in a floating type, of one output; got .* and 2 outputs"),
        (single, LABELS, r"training labels must be in a floating type, of one output; got \[0, 1\] of torch.int64"),
        (single, good * float("nan"), "training labels must hold finite numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            BatchedLearner(networks_, ONE, y, ONE, good, loss="squared")
    with pytest.raises(ValueError, match=r"labels must be \(1, 2, 1\), one an example; got \(1, 1, 1\)"):
        losses.squared(torch.ones(1, 2, 1), torch.ones(1, 1, 1))


def test_pixels_in_bytes_train_as_their_floating_values_do():
    x = torch.tensor([[0, 51, 255], [102, 0, 204]], dtype=torch.uint8)
    found = [BatchedLearner(SMALL, images, LABELS, images, LABELS).test() for images in (x, x.float() / 255)]
    assert found[0] == found[1] == AutogradLearner(SMALL, x, LABELS, x, LABELS).test()


def test_initialisation_says_what_it_can_fill():
    for wrong in (None, ONE, torch.nn.Linear(2, 2)):
        with pytest.raises(ValueError, match="a network with a list `layers` is needed; got"):
            initialisation.initialise_(wrong)
    for wrong in (None, "ab", torch.tensor([1j, 1])):
        with pytest.raises(ValueError, match="labels y must be a real tensor; got"):
            kernels.alignment(torch.eye(2), wrong)


def test_residual_networks_are_given_in_lists():
    for blocks in (None, ONE, [ONE]):
        with pytest.raises(ValueError, match="blocks are given in a list, one list of gates for each block"):
            residual.residual_path_kernel(ONE, ONE, blocks)
    for weights in (None, RESIDUAL[:2], (RESIDUAL[0], ONE, RESIDUAL[2])):
        with pytest.raises(ValueError, match="weights are three"):
            residual.residual_gates(ONE, weights)


NUMBERS = {
    "depth, wide": lambda wrong: infinite_width.kernels(ONE, depth=wrong),
    "depth, angles": lambda wrong: infinite_width.angles(torch.zeros(1), wrong),
    "depth, scaled": lambda wrong: fixed_gates.scaled(ONE, wrong, 1.0),
    "groups": lambda wrong: fixed_gates.sample(FULL, ONE, lambda _: [ONE, ONE], wrong, 1, 1.0),
    "draws": lambda wrong: fixed_gates.sample(FULL, ONE, lambda _: [ONE, ONE], 1, wrong, 1.0),
    "repeats": lambda wrong: fixed_gates.largest_z(torch.tensor([[1.0], [3.0]]), repeats=wrong),
    "chunk": lambda wrong: answers.accuracy(lambda x: x, ONE, LABELS, wrong),
    "memory": lambda wrong: kernel_ridge.fit(torch.eye(2), LABELS, 1.0, memory=wrong),
    "concentration": lambda wrong: fixed_gates.wide_limit(2, wrong),
    "limit": lambda wrong: convolution.enumerate_paths(networks.VConv(1, 2, channels=(1,), dense=(1,)), limit=wrong),
    "limit, signs": lambda wrong: fixed_gates.every_sign_pattern(FULL, 1.0, wrong),
    "share": lambda wrong: kernel_ridge.choose_ridge(torch.eye(2), LABELS, share=wrong),
    "rate": lambda wrong: loop.train(LEARNER, 1, seeds=[0], learning_rate=wrong),
    "batch": lambda wrong: loop.train(LEARNER, 1, seeds=[0], batch=wrong),
}
LEARNER = BatchedLearner(SMALL, ONE, LABELS, ONE, LABELS)


@pytest.mark.parametrize("wrong", [None, float("nan"), float("inf"), -1, "2", True, 2j, [2], torch.ones(2)])
@pytest.mark.parametrize("call", NUMBERS)
def test_what_is_no_number_or_out_of_range_is_refused_by_name(call, wrong):
    with pytest.raises(ValueError, match=rf"{call.partition(',')[0]}|learning_rate"):
        NUMBERS[call](wrong)


def test_more_layers_than_memory_has_room_for_are_refused_at_once():
    for call in (infinite_width.of_angle, infinite_width.angles):
        with pytest.raises(ValueError, match="depth must be at most 10,000; got 1000000"):
            call(torch.zeros(1), 10**30)
