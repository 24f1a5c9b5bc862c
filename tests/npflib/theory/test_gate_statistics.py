"""What flips and what inputs share, against plain loops over inputs, pairs and units."""

from itertools import combinations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import coins, convolutional, examples, fully_connected, normal, seeds, shuffled

from npflib import networks
from npflib.networks import DeepGatedNetwork, ReLUNetwork
from npflib.theory import gate_statistics

shapes = st.lists(
    st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3
)  # a layer's gates for one input: units, or channels and positions


def patterns(seed, n, shapes):
    return [coins(seed + index, n, *shape).bool() for index, shape in enumerate(shapes)]


def pixels(seed, n, arch):
    return normal(seed, n, arch.in_features)


@given(seeds, examples, shapes)
def test_flips_are_counted_one_by_one(seed, n, shapes):
    before, after = patterns(seed, n, shapes), patterns(seed + 100, n, shapes)
    found = gate_statistics.flipped(before, after)
    for layer, (a, b) in enumerate(zip(before, after, strict=True)):
        different = [x != y for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)]
        assert found[layer].item() == pytest.approx(sum(different) / len(different), abs=1e-15)
    assert torch.equal(found, gate_statistics.flipped(after, before))
    assert torch.equal(gate_statistics.flipped(before, before), torch.zeros(len(shapes), dtype=torch.float64))
    assert torch.equal(
        gate_statistics.flipped(before, [~g for g in before]), torch.ones(len(shapes), dtype=torch.float64)
    )


@given(seeds, examples, shapes)
def test_chance_is_the_mean_over_all_rearrangements(seed, n, shapes):
    """Two unrelated patterns: every place of the one meets every place of the other."""
    before, after = patterns(seed, n, shapes), patterns(seed + 100, n, shapes)
    found = gate_statistics.flipped_by_chance(before, after)
    for layer, (a, b) in enumerate(zip(before, after, strict=True)):
        meetings = [x != y for x in a.flatten().tolist() for y in b.flatten().tolist()]
        assert found[layer].item() == pytest.approx(sum(meetings) / len(meetings), abs=1e-12)


@settings(max_examples=60)
@given(seeds, st.integers(3, 7), shapes, st.data())
def test_agreement_is_the_mean_over_pairs(seed, n, shapes, data):
    labels = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    pairs = {
        same: [(s, t) for s, t in combinations(range(n), 2) if (labels[s] == labels[t]) is same]
        for same in (True, False)
    }
    assume(pairs[True] and pairs[False])
    gates = patterns(seed, n, shapes)
    found = gate_statistics.agreement(gates, torch.tensor(labels))
    for layer, gate in enumerate(gates):
        rows = gate.flatten(1).int().tolist()
        flat = [g for row in rows for g in row]
        on = sum(flat) / len(flat)
        if on in (0, 1):
            assert torch.isnan(found.within[layer])
            assert torch.isnan(found.across[layer])
            continue
        for same, value in ((True, found.within), (False, found.across)):
            kappas = []
            for s, t in pairs[same]:
                differ = sum(a != b for a, b in zip(rows[s], rows[t], strict=True)) / len(rows[s])
                kappas.append(1 - differ / (2 * on * (1 - on)))
            assert value[layer].item() == pytest.approx(sum(kappas) / len(kappas), abs=1e-12)
    assert torch.equal(found.contrast.nan_to_num(9), (found.within - found.across).nan_to_num(9))


def test_gates_that_are_the_class_agree_wholly_within_and_not_at_all_beyond_chance_across():
    labels = torch.arange(2).repeat_interleave(6)
    gates = [labels[:, None].expand(12, 5).bool(), torch.stack([labels, 1 - labels], 1).bool()]
    found = gate_statistics.agreement(gates, labels)
    assert found.within.tolist() == [1, 1]
    assert found.across.tolist() == [-1, -1]


def test_independent_coins_agree_by_chance():
    """Mean 0: within 4.5 standard deviations of it, by the variance of a mean of nearly independent pairs."""
    share, n, units = 0.2, 60, 4_000
    gates = [torch.rand(n, units, generator=torch.Generator().manual_seed(3)) < share]
    found = gate_statistics.agreement(gates, torch.arange(n) % 10)
    differ = 2 * share * (1 - share)
    for value, pairs in ((found.within, n * (n // 10 - 1) / 2), (found.across, n * (n - n // 10) / 2)):
        assert abs(value.item()) < 4.5 * (differ * (1 - differ) / (pairs * units)) ** 0.5 / differ


def test_units_that_never_change_count_as_agreement_across_classes():
    steady = torch.tensor([1, 1, 0, 0]).bool().expand(40, 4)
    gates = [torch.cat([steady, coins(5, 40, 4).bool()], 1)]
    found = gate_statistics.agreement(gates, torch.arange(40) % 4)
    assert found.across.item() == pytest.approx(0.5, abs=0.05)
    assert abs(found.contrast.item()) < 0.1


@settings(max_examples=25)
@given(convolutional(), seeds, st.integers(1, 4))
def test_gates_of_convolutions_are_the_networks_in_chunks(arch, seed, chunk):
    network = shuffled(ReLUNetwork(arch), seed)
    x = pixels(seed, 5, arch)
    found = networks.hard_gates(network, x, chunk)
    for layer, q in zip(found, network.pre_activations(x), strict=True):
        assert layer.dtype == torch.bool
        assert torch.equal(layer, q > 0)


@settings(max_examples=25)
@given(fully_connected(min_depth=2), seeds)
def test_gates_of_a_gated_network_are_its_feature_networks(arch, seed):
    network = shuffled(DeepGatedNetwork(arch), seed)
    x = pixels(seed, 3, arch)
    for layer, q in zip(networks.hard_gates(network, x), network.feature.pre_activations(x), strict=True):
        assert torch.equal(layer, q > 0)


def test_bytes_become_pixels():
    from npflib.networks import GConv

    arch = GConv(image_size=4, channels=(3,), dense=(5,))
    network = ReLUNetwork(arch, torch.Generator().manual_seed(0))
    raw = torch.randint(0, 256, (7, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    for a, b in zip(networks.hard_gates(network, raw), networks.hard_gates(network, raw / 255), strict=True):
        assert torch.equal(a, b)


@given(seeds, examples, shapes)
def test_zeros_and_ones_of_any_type_are_gates(seed, n, shapes):
    before, after = patterns(seed, n, shapes), patterns(seed + 100, n, shapes)
    floats = [gate.float() for gate in before]
    assert torch.equal(gate_statistics.flipped(before, after), gate_statistics.flipped(floats, after))
    shares = [gate.double().mean().item() for gate in before]
    assert gate_statistics.on_share(floats).tolist() == pytest.approx(shares, abs=1e-15)


def bits(*shape):
    return torch.zeros(shape, dtype=torch.bool)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([], [], "got none"),
        ([bits(3)], [bits(3)], r"must be \[n, …\]"),
        ([bits(0, 2)], [bits(0, 2)], r"must be \[n, …\]"),
        ([bits(3, 2)], [bits(3, 4)], "same shapes"),
        ([bits(3, 2)], [bits(3, 2), bits(3, 2)], "same shapes"),
        ([bits(3, 2), bits(4, 2)], [bits(3, 2), bits(4, 2)], "for the same n ≥ 1 inputs in every layer"),
        ([torch.full((3, 2), 0.5)], [bits(3, 2)], "zeros and ones"),
        ([torch.full((3, 2), float("nan"))], [bits(3, 2)], "zeros and ones"),
    ],
)
def test_flips_refuse_what_are_no_gates(before, after, said):
    for function in (gate_statistics.flipped, gate_statistics.flipped_by_chance):
        with pytest.raises(ValueError, match=said):
            function(before, after)


@pytest.mark.parametrize(
    ("gates", "labels", "said"),
    [
        ([bits(4, 2)], torch.tensor([0, 1, 2]), "a label each; got inputs"),
        ([bits(4, 2)], torch.tensor([0.0, 0.0, 1.0, float("nan")]), "labels must hold finite numbers"),
        ([bits(4, 2)], torch.tensor([0, 1, 2, 3]), "two classes"),
        ([bits(4, 2)], torch.tensor([1, 1, 1, 1]), "two classes"),
        ([torch.full((4, 2), 2)], torch.tensor([0, 0, 1, 1]), "zeros and ones"),
    ],
)
def test_agreement_refuses_what_has_no_pairs(gates, labels, said):
    with pytest.raises(ValueError, match=said):
        gate_statistics.agreement(gates, labels)


@pytest.mark.parametrize(
    ("gate", "n", "chunk", "said"),
    [("hard", 3, 0, "chunk"), ("hard", 3, True, "chunk"), ("hard", 0, 5, "got none"), ("soft", 3, 5, "soft")],
)
def test_hard_gates_refuse(gate, n, chunk, said):
    from npflib.networks import FullyConnected

    network = DeepGatedNetwork(FullyConnected(depth=2, width=2, in_features=2), gate)
    with pytest.raises(ValueError, match=said):
        networks.hard_gates(network, torch.zeros(n, 2), chunk)
