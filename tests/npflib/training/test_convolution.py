"""Convolutional networks in all regimes: identities, what moves and what does not, gates looked up, bfloat16.

Identities are tried on small networks of random shape and once at the paper's own sizes; every convolutional row of
the paper's table is trained for one epoch of a few images in every regime.
"""

import os
from dataclasses import replace
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import normal, seeds, shuffled

from npflib import data, experiments, profiles, regimes
from npflib.networks import DeepGatedNetwork, GConv, ReLUNetwork, ValueNetwork, VConv
from npflib.records import run_records, weights
from npflib.training import autograd, gate_sources
from npflib.training import runs as training
from npflib.training.autograd import AutogradLearner
from npflib.training.optimisers import keras_optimiser

CPU = torch.device("cpu")
FROZEN = ("FLNPF", "FRNPF-DI", "FRNPF-II")
few = settings(max_examples=20)


@st.composite
def architectures(draw):
    """VConv or GConv with one to three convolutions on images of up to seven pixels."""
    sizes = st.lists(st.integers(1, 4), min_size=1, max_size=3)
    return draw(st.sampled_from([VConv, GConv]))(
        in_channels=draw(st.integers(1, 3)), image_size=draw(st.integers(1, 7)), out_features=draw(st.integers(2, 4)),
        bias=draw(st.booleans()), channels=draw(sizes), dense=draw(sizes),
    )  # fmt: skip


def gate_shapes(arch, n):
    shapes = [(n, channels, arch.image_size, arch.image_size) for channels in arch.channels]
    return [*shapes, *((n, units) for units in arch.dense)]


def images_of(arch, n, seed=0, dtype=torch.float64):
    return normal(seed, n, arch.in_channels, arch.image_size, arch.image_size, dtype=dtype)


# --- identities ------------------------------------------------------------------------------------------------------


def assert_value_network_is_relu_network(relu: ReLUNetwork, x: torch.Tensor) -> None:
    arch = relu.arch
    gates = relu.gates(x)
    assert [tuple(gate.shape) for gate in gates] == gate_shapes(arch, len(x))
    assert all(((gate == 0) | (gate == 1)).all() for gate in gates)
    assert sum(prod(shape) for shape in gate_shapes(arch, 1)) == sum(gate[0].numel() for gate in gates)
    value = ValueNetwork(arch).to(x.dtype)
    value.load_state_dict(relu.state_dict())
    logits = relu(x)
    assert logits.shape == (len(x), arch.out_features)
    assert torch.equal(value(x, gates), logits)
    del value
    gated = DeepGatedNetwork(arch, "hard").to(x.dtype)
    gated.feature.load_state_dict(relu.state_dict())
    gated.value.load_state_dict(relu.state_dict())
    assert torch.equal(gated(x), logits)


@given(architectures(), st.integers(1, 4), seeds)
@few
def test_the_value_network_behind_its_own_gates_is_the_relu_network(arch, n, seed):
    assert_value_network_is_relu_network(shuffled(ReLUNetwork(arch), seed), images_of(arch, n, seed))


@pytest.mark.parametrize("arch", [VConv(), GConv()], ids=["VConv", "GConv"])
@torch.no_grad()
def test_at_the_papers_sizes_too_and_a_dependent_start_shares_the_hidden_weights(arch):
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    relu = ReLUNetwork(arch, torch.Generator().manual_seed(2))
    for layer in relu.layers:
        layer.bias.normal_(0, 0.1, generator=torch.Generator().manual_seed(3))
    assert_value_network_is_relu_network(relu, x)
    del relu
    network = regimes.start("FRNPF-DI", arch, 0)
    for feature, value in zip(network.feature.layers[:-1], network.value.layers[:-1], strict=True):
        assert torch.equal(feature.weight, value.weight)
        assert torch.equal(feature.bias, value.bias)
        assert feature.weight.data_ptr() != value.weight.data_ptr()
    gates = network.gates(x)
    assert [tuple(gate.shape) for gate in gates] == gate_shapes(arch, 2)
    assert all(0.2 < gate.mean() < 0.8 for gate in gates), "about half of them are open"


# --- the learner -----------------------------------------------------------------------------------------------------


def learnt_for(regime, arch):
    if regime != "FLNPF":
        return None
    learnt = ReLUNetwork(arch, torch.Generator().manual_seed(77))
    with torch.no_grad():
        for layer in learnt.layers:
            if layer.bias is not None:
                layer.bias.normal_(0, 0.3, generator=torch.Generator().manual_seed(78))
    return learnt


def learner(regime, arch, count=11, dtype=None, copies=2, **options):
    """A learner of fresh networks on random images; the same arguments give the same."""
    networks = [regimes.start(regime, arch, seed, learnt_for(regime, arch)) for seed in range(copies)]
    x, u = (images_of(arch, n, seed).abs() for n, seed in ((count, 5), (7, 6)))
    if dtype is torch.uint8:
        x, u = (images.mul(100).clamp(max=255).to(torch.uint8) for images in (x, u))
    else:
        x, u = (images.to(dtype or torch.get_default_dtype()) for images in (x, u))
    y, v = (torch.arange(n) % arch.out_features for n in (count, 7))
    return AutogradLearner(networks, x, y, u, v, CPU, **options)


def train(found: AutogradLearner, steps: int, optimiser="sgd", rate=1e-2, batch=4) -> AutogradLearner:
    rule = keras_optimiser(optimiser, found.parameters(), rate)
    for step in range(steps):
        order = [torch.randperm(len(found.labels), generator=torch.Generator().manual_seed(100 * c + step))
                 for c in range(found.copies)]  # fmt: skip
        found.gradients(torch.stack(order)[:, :batch])
        rule.step()
    return found


@given(architectures(), st.sampled_from(["ReLU", "DLNPF", *FROZEN]), st.sampled_from(["sgd", "adam", "rmsprop"]))
@settings(max_examples=30)
def test_what_is_frozen_keeps_its_bits_and_everything_else_may_move(arch, regime, optimiser):
    found = learner(regime, arch)
    before = [found.state_dict(copy) for copy in range(found.copies)]
    train(found, 3, optimiser)
    for copy, start in enumerate(before):
        end = found.state_dict(copy)
        assert list(end) == list(start)
        if regime in FROZEN:
            assert all(torch.equal(end[name], start[name]) for name in start if name.startswith("feature."))
        bias = [name for name in start if name.endswith(f"layers.{len(arch.channels) + len(arch.dense)}.bias")]
        # The output's own bias always learns; with gates shut nothing else need, and the feature's output is not used.
        assert all(not torch.equal(end[name], start[name]) for name in bias if not name.startswith("feature."))
        if regime == "DLNPF":
            moved = {name for name in start if not torch.equal(end[name], start[name])}
            unused = f"feature.layers.{len(arch.channels) + len(arch.dense)}."
            assert not any(name.startswith(unused) for name in moved)
    assert len(found.parameters()) == sum(p.requires_grad for n in found.networks for p in n.parameters())


@pytest.mark.parametrize("regime", ["ReLU", "DLNPF", *FROZEN])
@pytest.mark.parametrize("kind", [VConv, GConv])
def test_every_trained_weight_moves(kind, regime):
    found = learner(regime, kind(2, 6, 3, True, (3, 4), (8,)))
    before = found.state_dict(1)
    train(found, 5)
    moved = {name for name, value in found.state_dict(1).items() if not torch.equal(value, before[name])}
    unused = {f"feature.layers.3.{what}" for what in ("weight", "bias")}
    expected = {n for n in before if regime in ("ReLU", "DLNPF") or n.startswith("value.")} - unused
    assert moved == expected


@pytest.mark.usefixtures("float64")
@given(architectures(), st.sampled_from(FROZEN), st.sampled_from(["sgd", "adam"]), st.integers(1, 5))
@few
def test_gates_looked_up_and_gates_computed_train_alike(arch, regime, optimiser, chunk):
    """To the rounding of float64, amplified by a few steps; the table is made in chunks of any size."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (autograd, gate_sources):
            patch.setattr(module, "CHUNK", chunk)
        found = [train(learner(regime, arch, reuse_gates=reuse), 4, optimiser) for reuse in (True, False)]
        assert [one.tables is None for one in found] == [False, True]
        tested = [one.test() for one in found]
    for copy in range(2):
        looked_up, computed = (one.state_dict(copy) for one in found)
        for name, expected in computed.items():
            torch.testing.assert_close(looked_up[name], expected, rtol=0, atol=1e-8)
    assert tested[0][0] == pytest.approx(tested[1][0], rel=1e-8)
    assert tested[0][1] == tested[1][1]


@pytest.mark.parametrize("regime", FROZEN)
@pytest.mark.parametrize("kind", [VConv, GConv])
def test_the_tables_hold_the_feature_networks_gates_of_every_image(kind, regime, monkeypatch):
    monkeypatch.setattr(gate_sources, "CHUNK", 4)
    arch = kind(3, 6, 3, True, (3, 5), (7, 4))
    found = learner(regime, arch, dtype=torch.uint8)
    for tables, images in zip(found.tables, (found.images, found.test_images), strict=True):
        pixels = images.float() / 255
        for table, network in zip(tables, found.networks, strict=True):
            assert len(table.rows) == len(images)
            gates = table.lookup(torch.arange(len(images)))
            assert all(torch.equal(a, b) for a, b in zip(gates, network.gates(pixels), strict=True))


@pytest.mark.parametrize("regime", ["ReLU", "DLNPF"])
def test_gates_that_learn_are_never_looked_up(regime):
    assert learner(regime, GConv(2, 4, 3, True, (3,), (4,)), reuse_gates=True).tables is None


@pytest.mark.parametrize("regime", ["ReLU", "DLNPF", *FROZEN])
def test_bytes_are_pixels_over_255(regime):
    arch = VConv(2, 4, 3, True, (3,), (4,))
    raw = learner(regime, arch, dtype=torch.uint8)
    floats = learner(regime, arch, dtype=torch.uint8)
    assert raw.images.dtype == torch.uint8, "they stay bytes in memory"
    floats.images, floats.test_images = (images.float() / 255 for images in (floats.images, floats.test_images))
    for one in (raw, floats):
        train(one, 3)
    assert raw.test() == floats.test()
    assert all(torch.equal(value, floats.state_dict(0)[name]) for name, value in raw.state_dict(0).items())


def test_an_unknown_precision_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match="unknown precision 'float16'; allowed: float32, bfloat16"):
        learner("ReLU", GConv(2, 4, 3, True, (3,), (4,)), precision="float16")


# --- bfloat16 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", ["ReLU", "DLNPF", *FROZEN])
@pytest.mark.parametrize("kind", [VConv, GConv])
def test_bfloat16_trains_close_to_float32_and_keeps_parameters_in_float32(kind, regime):
    """bfloat16 has eight significant bits, so each of the five layers rounds by at most 2^-9 on the way in and out of
    its product: together some 10 × 2^-9 = 2 % of logits that are about 1 in size. Cross-entropy changes by at most
    twice the largest change of a logit, hence 0.04, and the short run at a small rate adds little to that.
    """
    arch = kind(3, 8, 4, True, (8, 8, 16), (16,))
    losses, found = {}, {}
    for precision in ("float32", "bfloat16"):
        one = learner(regime, arch, count=48, dtype=torch.uint8, precision=precision, copies=1)
        first = one.test()[0][0]
        train(one, 30, "sgd", 5e-2, batch=16)
        losses[precision], found[precision] = (first, one.test()[0][0], one.take_running(30 * 16)[0][0]), one
    low = found["bfloat16"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], abs=0.04)
    assert losses["bfloat16"] != losses["float32"], "the products were in bfloat16"
    for network in low.networks:
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
        assert {p.grad.dtype for p in network.parameters() if p.grad is not None} == {torch.float32}
    start = regimes.start(regime, arch, 0, learnt_for(regime, arch)).state_dict()
    end = low.state_dict(0)
    assert all(value.is_contiguous() and value.dtype == torch.float32 for value in end.values())
    if regime in FROZEN:
        assert all(torch.equal(end[name], start[name]) for name in start if name.startswith("feature."))
    assert any(not torch.equal(end[name], start[name]) for name in start)


def test_bfloat16_lowers_the_loss_as_float32_does():
    arch = GConv(3, 8, 2, True, (8, 8), (16,))
    falls = {}
    for precision in ("float32", "bfloat16"):
        one = learner("ReLU", arch, count=16, precision=precision, copies=1, dtype=torch.float32)
        one.labels = (one.images.mean((1, 2, 3)) > one.images.mean()).long()
        train(one, 150, "adam", 1e-2, batch=16)
        one.take_running(1)
        train(one, 1, "sgd", 1e-9, batch=16)
        falls[precision] = one.take_running(16)[0][0]
    assert max(falls.values()) < 0.2, falls  # chance is 0.69


def test_looked_up_gates_are_float32s_whatever_the_precision():
    arch = GConv(3, 8, 4, True, (8, 8), (16,))
    low, full = (learner("FRNPF-II", arch, count=200, dtype=torch.uint8, precision=p) for p in ("bfloat16", "float32"))
    everything = torch.arange(200)
    for one, other in zip(low.tables[0], full.tables[0], strict=True):
        pairs = zip(one.lookup(everything), other.lookup(everything), strict=True)
        # Channels-last sums in another order: a pre-activation within rounding of zero may fall on its other side.
        assert sum((a != b).sum().item() for a, b in pairs) <= 2
    pixels = low.images.float() / 255
    with torch.autocast("cpu", torch.bfloat16):
        rounded = low.networks[0].gates(pixels)
    exact = low.tables[0][0].lookup(torch.arange(len(pixels)))
    assert sum((a != b).sum().item() for a, b in zip(rounded, exact, strict=True)) > 50, "bfloat16's would be others"


# --- every convolutional row of the paper's table --------------------------------------------------------------------

ROWS = [experiment for experiment in experiments.TABLE if experiment.dataset == "cifar10"]
IMAGES = 8


def test_the_papers_table_has_four_convolutional_rows():
    assert [type(row.arch) for row in ROWS] == [VConv, VConv, GConv, GConv]
    assert all(row.arch == type(row.arch)() for row in ROWS), "none of them is made smaller here"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_epoch_of_every_row_in_every_regime_on_a_few_images(row, monkeypatch, tmp_path):
    """The paper's own networks, from loading to record, on the data that need no network."""
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("NPF_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("NPF_OFFLINE", "1")
    # Gigabytes that nobody keeps: checkpoints, and that weights reach the disk, are tested with smaller networks.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(training._Run, "_save", lambda _run: None)
    small = replace(
        profiles.PROFILES["smoke"], train_examples=IMAGES, test_examples=IMAGES, epochs={"cifar10": 1}, limits={}
    )
    monkeypatch.setattr(profiles, "PROFILES", {"smoke": small})
    started, start = {}, regimes.start

    def noted(*arguments):
        network = start(*arguments)
        started.clear()
        started.update({name: value.clone() for name, value in network.state_dict().items()})
        return network

    monkeypatch.setattr(regimes, "start", noted)
    build, learnt = tmp_path / "build", {}
    assert row.regimes[0] == "ReLU"
    for regime in row.regimes:
        (record,) = training.ensure(
            row.name, regime, "smoke", seeds=[0], build=build, device="cpu", progress=False
        )  # fmt: skip
        assert run_records.read(run_records.path_of(build / "runs", row.name, regime, 0)) == record
        given_ = {"architecture": type(row.arch).__name__, "channels": [64, 64, 128, 128], "dense": [256, 256]}
        given_ |= {"optimiser": row.optimiser, "learning_rate": row.learning_rate, "batch": 32, "epochs": 1}
        given_ |= {"full_epochs": row.epochs, "train_examples": IMAGES, "test_examples": IMAGES}
        assert {key: record.configuration[key] for key in given_} == given_
        assert record.data["stand_in"]
        assert record.data["name"] == "cifar10"
        assert not record.is_full
        # Ten classes that the start knows nothing of: about log 10 = 2.3 before the step, which is when it is taken.
        assert 1.8 < record.history["train_loss"][0] < 3.2
        assert 0 <= record.peak <= 1
        path = weights.path_of(build / "runs", row.name, regime, 0)
        state = weights.read(path, record.weights)
        assert set(state) == {"best", "last"}
        last = state["last"]
        del state
        assert set(last) == set(started)
        moved = {name for name, value in last.items() if not torch.equal(value, started[name])}
        if regime == "ReLU":
            expected, learnt = set(last), last
        else:
            output = f"feature.layers.{len(row.arch.layers()) - 1}."
            trained = ("value.", "feature.") if regime == "DLNPF" else ("value.",)
            expected = {name for name in last if name.startswith(trained) and not name.startswith(output)}
        assert moved == expected
        if regime == "FLNPF":
            assert all(torch.equal(last[f"feature.{name}"], value) for name, value in learnt.items())
            x = data.subset(data.load("cifar10"), IMAGES, IMAGES).train_images[:2]
            assert_gates_are_those_of(row.arch, learnt, x)
        if regime != "ReLU":
            path.unlink()  # the ReLU's stay for FLNPF
        del last


@torch.no_grad()
def assert_gates_are_those_of(arch, learnt, x):
    """A learner behind FLNPF's start looks up the gates of the trained network, and they are not its start's."""
    relu = ReLUNetwork(arch)
    relu.load_state_dict(learnt)
    network = regimes.start("FLNPF", arch, 0, relu)
    y = torch.zeros(len(x), dtype=torch.int64)
    found = AutogradLearner([network], x, y, x, y, CPU).tables[0][0].lookup(torch.arange(len(x)))
    expected = relu.gates(x)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    del network
    before = regimes.start("ReLU", arch, 0).gates(x)
    assert any(not torch.equal(a, b) for a, b in zip(before, expected, strict=True))
