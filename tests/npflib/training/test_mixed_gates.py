"""Gates of layers from different sources, for networks of any architecture."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import convolutional, examples, fully_connected, seeds

from npflib import regimes
from npflib.networks import DeepGatedNetwork, GConv, ReLUNetwork
from npflib.randomness import generator
from npflib.training.autograd import AutogradLearner
from npflib.training.gate_sources import MixedGates, OpenGates, layer_tables

archs = st.one_of(convolutional(), fully_connected(min_depth=2, max_size=3))


def images_for(arch, n, seed):
    shape = (arch.in_channels, arch.image_size, arch.image_size) if hasattr(arch, "channels") else (arch.in_features,)
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


@given(archs, examples, seeds)
def test_tables_give_a_network_s_own_gates_back(arch, n, seed):
    network, x = ReLUNetwork(arch, generator(seed, "relu")), images_for(arch, n, seed)
    tables = layer_tables(network, x)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    for table, gate in zip(tables, network.gates(x), strict=True):
        assert torch.equal(table.lookup(order)[0], gate[order])
        assert table.lookup(order, torch.float64)[0].dtype == torch.float64


def test_bytes_are_pixels_and_many_images_are_taken_in_chunks():
    arch = GConv(in_channels=1, image_size=3, channels=(2,), dense=(3,))
    network = ReLUNetwork(arch, generator(0, "relu"))
    pixels = torch.randint(0, 256, (300, 1, 3, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    everything = torch.arange(300)
    found = MixedGates(layer_tables(network, pixels)).lookup(everything)
    # A product of a whole set may round a pre-activation at zero to the other side than one of a chunk.
    for gate, wanted in zip(found, network.gates(pixels.float() / 255), strict=True):
        assert (gate != wanted).double().mean() < 1e-3


@given(archs, st.lists(st.sampled_from("LRO"), min_size=4, max_size=4), seeds)
def test_gradients_behind_mixed_gates_are_those_of_automatic_differentiation(arch, letters, seed):
    n = 6
    x, y = images_for(arch, n, seed), torch.arange(n) % arch.out_features
    givers = {"L": ReLUNetwork(arch, generator(seed, "relu")), "R": ReLUNetwork(arch, generator(seed, "feature"))}
    tables = {letter: layer_tables(giver, x) for letter, giver in givers.items()}
    gates = {letter: [gate.detach() for gate in giver.gates(x)] for letter, giver in givers.items()}
    gates["O"] = [torch.ones_like(gate) for gate in gates["L"]]
    tables["O"] = [OpenGates(gate.shape[1:]) for gate in gates["O"]]
    pattern = letters[: len(gates["L"])] + ["L"] * (len(gates["L"]) - len(letters))
    mixture = MixedGates([tables[letter][layer] for layer, letter in enumerate(pattern)])
    network = regimes.start("FRNPF-II", arch, seed)
    learner = AutogradLearner([network], x, y, x, y, gates=([mixture], [mixture]))
    chosen = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:4]
    learner.gradients(chosen[None])
    ours = [p.grad.clone() for p in learner.parameters()]
    # Computed anew, layer by layer, from the gates themselves.
    network.zero_grad()
    z = x[chosen]
    for index, letter in enumerate(pattern):
        z = network.value.pre_activation(index, z) * gates[letter][index][chosen]
    logits = network.value.pre_activation(len(pattern), z)
    (logits.logsumexp(1) - logits[torch.arange(4), y[chosen]]).mean().backward()
    for mine, parameter in zip(ours, network.value.parameters(), strict=True):
        assert torch.allclose(mine, parameter.grad, rtol=1e-4, atol=1e-6)


def test_refusals():
    arch = GConv(in_channels=1, image_size=3, out_features=2, channels=(2,), dense=(3,))
    x, y = torch.rand(4, 1, 3, 3), torch.tensor([0, 1, 0, 1])
    with pytest.raises(ValueError, match="gates of no images"):
        layer_tables(ReLUNetwork(arch), x[:0])
    with pytest.raises(ValueError, match=r"must be hard, 0 or 1: .* this network's are soft"):
        layer_tables(DeepGatedNetwork(arch, gate="soft"), x)
    network = regimes.start("FRNPF-II", arch, 0)
    good = MixedGates(layer_tables(network, x))
    for layers in ([OpenGates((3,))], [OpenGates((2, 3, 3)), OpenGates((4,))]):
        with pytest.raises(ValueError, match=r"must have the shapes \[\(2, 3, 3\), \(3,\)\]; got"):
            AutogradLearner([network], x, y, x, y, gates=([MixedGates(layers)], [good]))
        with pytest.raises(ValueError, match="must have the shapes"):
            AutogradLearner([network], x, y, x, y, gates=([good], [MixedGates(layers)]))
    with pytest.raises(ValueError, match="zip"):
        AutogradLearner([network], x, y, x, y, gates=([good, good], [good]))
