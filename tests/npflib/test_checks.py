"""Wrong kinds of arguments are refused in one sentence that says what was given; gates are read once."""

import doctest
import importlib
import inspect
import re
from functools import wraps
from numbers import Number

import library_pages
import numpy as np
import pytest
import torch

from npflib import answers, gates, initialisation, kernels, networks, paths, signals
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

OBJECT = object()
WRONG = {  # in the place of a tensor
    "None": None,
    "a list": [[1.0, 2.0, 3.0]] * 2,
    "numpy": np.ones((2, 3), dtype=np.float32),
    "words": "ones",
    "an object": OBJECT,
    "complex": lambda x: x.to(torch.complex64),
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
}
ODD = {  # a function may have a meaning for these, or refuse them
    "whole": lambda x: x.long(),
    "bool": lambda x: x.bool(),
    "half": lambda x: x.half(),
    "double": lambda x: x.double(),
    "NaN": lambda x: torch.full_like(x, float("nan")) if x.is_floating_point() else x,
    "empty": lambda x: x[:0] if x.ndim else x,
    "one more dimension": lambda x: x[None],
    "one less": lambda x: x[0] if x.ndim and len(x) else x,
    "a number": lambda x: torch.tensor(1.0),
}
NO_NUMBERS = {"None": None, "words": "2", "NaN": float("nan"), "imaginary": 2j, "bytes": b"2", "an object": OBJECT}
ODD_NUMBERS = {
    "infinite": float("inf"),
    "negative": -1,
    "zero": 0,
    "a half": 1.5,
    "beyond any type": 10**30,
    "True": True,
}


def recorded(name, monkeypatch):
    """What the examples of a module call, label → (function, its arguments by name): each public function once."""
    module, calls, running = importlib.import_module(name), {}, []
    monkeypatch.setitem(gates._GATES, "hard", gates.hard_gate)  # which an example registers again

    def noted(function, label):
        signature = inspect.signature(function)

        @wraps(function)
        def wrapper(*given, **named):
            if not running and label not in calls:
                bound = signature.bind(*given, **named)
                bound.apply_defaults()
                calls[label] = function, dict(bound.arguments)
            running.append(label)
            try:
                return function(*given, **named)
            finally:
                running.pop()

        return wrapper

    public = getattr(module, "__all__", [key for key in vars(module) if key[0] != "_"])
    for key, value in [(key, getattr(module, key)) for key in public]:
        if getattr(value, "__module__", "").startswith("npflib") and inspect.isfunction(value):
            monkeypatch.setattr(module, key, noted(value, key))
        elif inspect.isclass(value) and not issubclass(value, Exception) and value.__module__ == name:
            for method, function in list(vars(value).items()):
                if inspect.isfunction(function) and (method[0] != "_" or method == "__init__"):
                    monkeypatch.setattr(value, method, noted(function, f"{key}.{method}"))
    runner = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder().find(module, globs={}):
        runner.run(test, out=lambda _: None, clear_globs=False)  # their lambdas are called again
    return calls


def places(value, wanted, path=()):
    """Where a value, or a list of lists, holds what is wanted."""
    if wanted(value):
        yield path
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from places(each, wanted, (*path, index))


def at(value, path):
    return at(value[path[0]], path[1:]) if path else value


def put(value, path, new):
    if not path:
        return new
    items = [put(each, path[1:], new) if index == path[0] else each for index, each in enumerate(value)]
    return tuple(items) if isinstance(value, tuple) else items


AS_TORCH = ("self", "generator", "closure", "parameters")  # what torch's own classes take, refused in their words


def trials(calls, wanted, wrong):
    """Each argument of each call that is wanted, replaced by each wrong one: a label, and what makes the call."""
    for label, (function, given) in sorted(calls.items()):
        for key in given:
            for path in places(given[key], wanted) if key not in AS_TORCH else ():
                for kind, replacement in wrong.items():
                    if kind == "None" and inspect.signature(function).parameters[key].default is None:
                        continue
                    new = replacement
                    if callable(replacement):
                        try:
                            new = replacement(at(given[key], path))
                        except (RuntimeError, NotImplementedError):  # torch has no such tensor
                            continue
                    arguments = {k: v.clone() if torch.is_tensor(v) and v.ndim < 9 else v for k, v in given.items()}
                    yield f"{label}({key}{list(path)}: {kind})", function, arguments | {key: put(given[key], path, new)}


def outcome(function, arguments):
    """ "refused" by a ValueError that says what was given, "done", or the foreign words that came instead."""
    arguments = dict(arguments)
    named = [k for k, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    more = [k for k, p in inspect.signature(function).parameters.items() if p.kind is p.VAR_POSITIONAL]
    positional = [v for k, v in arguments.items() if k not in (*named, *more)]
    try:
        found = function(*positional, *(v for k in more for v in arguments[k]), **{k: arguments[k] for k in named})
        if inspect.isgenerator(found):
            list(found)
    except ValueError as error:
        return (
            "refused"
            if len(str(error)) > 20 and not re.search(r"unpack|zip\(\)|could not convert", str(error))
            else repr(error)
        )
    except Exception as error:
        return repr(error)
    return "done"


EXAMPLES = sorted({name for package in library_pages.PACKAGES for name in library_pages.contents(package)})


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_no_tensor_is_refused_by_every_public_function(name, monkeypatch):
    """Their own examples are called again, with each tensor in turn replaced."""
    calls = recorded(name, monkeypatch)
    for label, function, arguments in trials(calls, torch.is_tensor, WRONG):
        if "alignment(y[]: a list)" not in label:  # labels may be a list
            assert outcome(function, arguments) == "refused", label
    for label, function, arguments in trials(calls, torch.is_tensor, ODD):
        assert outcome(function, arguments) in ("refused", "done"), label


@pytest.mark.parametrize("wrong", [kind for kind in WRONG if kind != "a list"])
@pytest.mark.parametrize("learner", [BatchedLearner, AutogradLearner])
def test_what_is_no_tensor_is_refused_by_learners(learner, wrong):
    good = [ONE, LABELS, ONE, LABELS]
    for place, tensor in enumerate(good):
        new = WRONG[wrong](tensor) if callable(WRONG[wrong]) else WRONG[wrong]
        with pytest.raises(ValueError, match=r"(inputs|labels) must be a real tensor.*; got"):
            learner(SMALL, *good[:place], new, *good[place + 1 :])
    if learner is BatchedLearner:
        new = WRONG[wrong](ONE) if callable(WRONG[wrong]) else WRONG[wrong]
        with pytest.raises(ValueError, match="gates of the training examples must be a real tensor; got"):
            learner(SMALL, *good, gates=(new, new))


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_no_number_is_refused_by_every_public_function(name, monkeypatch):
    """And no number, however odd, has a foreign error for an answer."""
    calls = recorded(name, monkeypatch)

    def number_or_name(value):
        return isinstance(value, Number | str | torch.nn.Module)

    for label, function, arguments in trials(calls, number_or_name, NO_NUMBERS):
        assert outcome(function, arguments) == "refused", label
    for label, function, arguments in trials(calls, number_or_name, ODD_NUMBERS):
        assert outcome(function, arguments) in ("refused", "done"), label


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
        ValueError, match=r"layer 2 must .* of torch.float32; got .* of torch.float64.*x.to\(torch.float32\)"
    ):
        network(ONE, [ONE.double(), ONE])
    expected = network(ONE, [ONE, ONE])
    for kind in (torch.bool, torch.uint8, torch.float16):
        assert torch.equal(network(ONE, [ONE.to(kind), ONE.to(kind)]), expected)
    assert torch.allclose(network.double()(ONE.double(), [ONE, ONE.double()]).float(), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(RELU(ONE), RELU(ONE.half()))
        with pytest.raises(
            ValueError, match=r"layer 1 must fit its weights .* of torch\.float32; got .* of torch\.float64"
        ):
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
    with pytest.raises(
        ValueError,
        match=r"labels must be \(1, 2, 1\), floating; got \(1, 1, 1\) of torch.float32",
    ):
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
            call(torch.zeros(1), 10**6)
        with pytest.raises(ValueError, match=r"must be a positive whole number below 2\^63; got 1000000"):
            call(torch.zeros(1), 10**30)
