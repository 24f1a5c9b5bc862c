"""What a run costs, counted in floating-point operations before anything is run.

Only matrix products and convolutions are counted, two operations a multiply-add; gates, losses and optimisers are small
beside them. This file does not import torch.
"""

from collections.abc import Iterator

from npflib.architectures import ConvLayer, FullyConnected, GConv, VConv
from npflib.experiments import find
from npflib.regimes import find as find_regime

TRAIN_EXAMPLES = {"mnist": 60_000, "cifar10": 50_000}
TEST_EXAMPLES = 10_000


def forward_flops(arch: FullyConnected | VConv | GConv) -> int:
    """Operations of one example: 2 in · out a dense layer, 2 · 9 · in · out a pixel a 3×3 convolution."""
    return sum(2 * into * out * places for into, out, places, _ in _layers(arch))


def size_of(arch: VConv | GConv) -> tuple[int, int]:
    """Weights and biases of a convolutional network, and gates an image: a channel at a position, or a dense unit."""
    weights = sum((into + bias) * out for into, out, _, bias in _layers(arch))
    units = sum(out * places for _, out, places, _ in _layers(arch))
    return weights, units - arch.out_features  # outputs have no gates


def _layers(arch: FullyConnected | VConv | GConv) -> Iterator[tuple[int, int, int, bool]]:
    """Each layer's inputs to a unit, its units at one place, its places, and whether it has biases."""
    for layer in arch.layers():
        if isinstance(layer, ConvLayer):
            yield 9 * layer.in_channels, layer.out_channels, arch.image_size**2, layer.bias  # type: ignore[union-attr]
        else:
            yield layer.in_features, layer.out_features, 1, layer.bias


def run_flops(experiment: str, regime: str) -> int:
    """Operations of one run at its full budget, the test after every epoch included.

    A training step is three forward passes: forward, gradients of the signals, gradients of the weights. DLNPF trains
    two networks, and frozen gates cost one forward pass of the feature network an example, once.
    """
    chosen, source = find(experiment), find_regime(regime)
    if chosen.dataset not in TRAIN_EXAMPLES:
        known = ", ".join(TRAIN_EXAMPLES)
        raise ValueError(f"{experiment}: the size of {chosen.dataset!r} is not in cost.TRAIN_EXAMPLES; it has {known}.")
    images, epochs = TRAIN_EXAMPLES[chosen.dataset], chosen.full_epochs(regime)
    networks = 2 if source.trains_feature and source.gate != "own" else 1
    passes = epochs * networks * (3 * images + TEST_EXAMPLES)
    if not source.trains_feature:
        passes += images + TEST_EXAMPLES
    return passes * forward_flops(chosen.arch)
