"""Short runs against a loop with automatic differentiation, written out."""

import pytest
import torch

from npflib import regimes
from npflib.networks import FullyConnected, ReLUNetwork
from npflib.randomness import generator
from npflib.training.loop import train_and_keep
from npflib.training.optimisers import keras_optimiser

ARCH = FullyConnected(depth=3, width=6, in_features=5, out_features=3, bias=False)
IMAGES = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(3, (20,), generator=torch.Generator().manual_seed(1))
ROWS = torch.stack([torch.randperm(20, generator=torch.Generator().manual_seed(s))[:11] for s in (2, 3)])


def start(regime: str, seed: int):
    learnt = ReLUNetwork(ARCH, torch.Generator().manual_seed(9)) if regime == "FLNPF" else None
    return regimes.start(regime, ARCH, seed, learnt)


def by_hand(network, rows, seed: int, epochs: int):
    with torch.enable_grad():
        trained = [p for p in network.parameters() if p.requires_grad]
        optimiser = keras_optimiser("adam", trained, 0.01)
        for epoch in range(epochs):
            order = torch.randperm(len(rows), generator=generator(seed, "order", epoch))
            for chosen in rows[order].split(4):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(network(IMAGES[chosen]), LABELS[chosen]).backward()
                optimiser.step()
    return network


@pytest.mark.parametrize("regime", ["ReLU", "FLNPF"])
def test_it_is_training_with_each_seeds_own_examples_and_order(regime):
    networks = [start(regime, seed) for seed in (0, 1)]
    kept = train_and_keep(networks, IMAGES, LABELS, ROWS, (0, 1, 3), seeds=(0, 1), learning_rate=0.01, batch=4)
    for copy, seed in enumerate((0, 1)):
        assert list(kept[copy]) == [0, 1, 3]
        for epochs in (0, 1, 3):
            expected = by_hand(start(regime, seed), ROWS[copy], seed, epochs)
            # Nine steps of Adam in float32, which divides by the root of squared gradients.
            torch.testing.assert_close(kept[copy][epochs](IMAGES), expected(IMAGES), rtol=1e-3, atol=1e-4)
        # The given networks are left as they are.
        assert torch.equal(networks[copy](IMAGES), start(regime, seed)(IMAGES))


def test_frozen_gates_stay():
    network = start("FLNPF", 0)
    (kept,) = train_and_keep([network], IMAGES, LABELS, ROWS[:1], (2,), seeds=(0,), learning_rate=0.1)
    assert all(torch.equal(a, b) for a, b in zip(kept[2].gates(IMAGES), network.gates(IMAGES), strict=True))
    assert not torch.equal(kept[2](IMAGES), network(IMAGES))


def test_what_does_not_fit_is_refused():
    networks = [start("ReLU", 0), start("ReLU", 1)]
    for rows, labels, keep, seeds, batch, message in (
        (ROWS[:1], LABELS, (1,), (0, 1), 4, "one row of examples a network"),
        (ROWS, LABELS, (1,), (0,), 4, "one seed"),
        (ROWS[0], LABELS, (1,), (0, 1), 4, r"\[S, n\]"),
        (ROWS + 10, LABELS, (1,), (0, 1), 4, "0 to 19"),
        (ROWS - 20, LABELS, (1,), (0, 1), 4, "0 to 19"),
        (ROWS.double(), LABELS, (1,), (0, 1), 4, "0 to 19"),
        (ROWS[:, :0], LABELS, (1,), (0, 1), 4, "one or more"),
        (ROWS, LABELS[1:], (1,), (0, 1), 4, "a label each"),
        (ROWS, LABELS, (), (0, 1), 4, "epochs"),
        (ROWS, LABELS, (-1, 2), (0, 1), 4, "epochs"),
        (ROWS, LABELS, (1.5,), (0, 1), 4, "epochs"),
        (ROWS, LABELS, (1,), (0, 1), 0, "batch"),
    ):
        with pytest.raises(ValueError, match=message):
            train_and_keep(networks, IMAGES, labels, rows, keep, seeds=seeds, batch=batch)
    with pytest.raises(ValueError, match="one seed"):
        train_and_keep([], IMAGES, LABELS, ROWS[:0], (1,), seeds=())
