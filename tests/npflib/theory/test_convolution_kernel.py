"""Convolutional path kernels against listed paths, counted paths, translation, and blocks of every size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import coins, examples, normal, seeds
from test_convolution_paths import network_of, paddings, tiny
from test_kernels import Memory, close
from torch import Tensor
from torch.nn.functional import conv2d, pad

from npflib.kernels import neural_path_kernel
from npflib.networks import GConv, VConv
from npflib.theory.convolution import (
    bundle_feature,
    enumerate_paths,
    flattened_path_kernel,
    neural_path_feature,
    pooled_path_kernel,
)

few = settings(max_examples=20)
chunks = st.integers(1, 6)
KERNELS = (flattened_path_kernel, pooled_path_kernel)


def maps(seed: int, n: int, height: int, width: int, channels=(2, 3), dense=(4,), hard=True):
    """Images and random gates of a network that is given by its gates alone."""
    make = coins if hard else normal
    x = normal(seed, n, 2, height, width)
    gates = [make(seed + 1 + k, n, c, height, width) for k, c in enumerate(channels)]
    return x, gates + [make(seed + 11 + k, n, w) for k, w in enumerate(dense)]


# Against enumeration


@given(tiny(), paddings, examples, examples, seeds)
@few
def test_kernels_are_gram_matrices_of_listed_features(arch, padding, n, m, seed):
    network = network_of(arch, padding, seed)
    size = arch.image_size
    x, x2 = (normal(seed + 30 + k, count, arch.in_channels, size, size) for k, count in enumerate((n, m)))
    paths = enumerate_paths(arch, padding)
    with torch.no_grad():
        gates, gates2 = network.gates(x), network.gates(x2)
    phi, phi2 = (neural_path_feature(a, g, paths) for a, g in ((x, gates), (x2, gates2)))
    if isinstance(arch, VConv):
        kernel = flattened_path_kernel
    else:
        kernel = pooled_path_kernel
        # Without weight sharing every path counts for itself; the pool's 1/s² on both sides is in φ.
        apart = flattened_path_kernel(x, gates, x2, gates2, padding=padding) / size**4
        close(apart, phi @ phi2.T)
        phi, phi2 = bundle_feature(phi, paths), bundle_feature(phi2, paths)
    close(kernel(x, gates, x2, gates2, padding=padding), phi @ phi2.T)
    close(kernel(x, gates, padding=padding), phi @ phi.T)


@given(examples, examples, st.integers(1, 5), st.integers(1, 4), paddings, st.booleans(), seeds)
@few
def test_overlap_counts_paths_from_above_and_the_kernel_from_below(n, m, height, width, padding, hard, seed):
    """Two derivations of one kernel: summing from the inputs up, and from the outputs down.

    Λ(s, s'; u) is the number of paths from one input node at position u that are active for both; unlike in fully
    connected networks it depends on u, and H = Σ_u ⟨x[:, u], x'[:, u]⟩ Λ(s, s'; u) is no product of two matrices.
    """

    def overlap_by_position(gates, gates2):
        shared = [torch.einsum("nc...,mc...->nm...", one, other) for one, other in zip(gates, gates2, strict=True)]
        total = torch.ones(len(gates[0]), len(gates2[0]), height, width, dtype=x.dtype)
        for part in reversed(shared):
            if part.ndim == 2:
                total = total * part[..., None, None]
            else:  # all offsets of a 3×3 kernel, each once
                around = pad(total * part, (1, 1, 1, 1), "constant" if padding == "zeros" else "circular")
                total = around.unfold(2, 3, 1).unfold(3, 3, 1).sum((4, 5))
        return total

    x, gates = maps(seed, n, height, width, hard=hard)
    x2, gates2 = maps(seed + 50, m, height, width, hard=hard)
    overlap = overlap_by_position(gates, gates2)
    products = torch.einsum("nchw,mchw->nmhw", x, x2)
    expected = (products * overlap).sum((2, 3))
    close(flattened_path_kernel(x, gates, x2, gates2, padding=padding), expected)


@given(examples, st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 5]), seeds)
@few
def test_any_odd_kernel_by_torchs_own_convolution(n, height, width, size, seed):
    """One convolution with a box of ones is the sum over offsets, so torch counts the paths of a pair itself."""
    x, gates = maps(seed, n, height, width, channels=(2, 3, 1), dense=())
    box = torch.ones(1, 1, size, size, dtype=torch.float64)
    for s in range(n):
        for t in range(n):
            total = (x[s] * x[t]).sum(0)[None, None]
            for gate in gates:
                total = conv2d(total, box, padding=size // 2) * (gate[s] * gate[t]).sum(0)
            found = flattened_path_kernel(x, gates, kernel_size=size)[s, t]
            torch.testing.assert_close(found, total.sum(), rtol=1e-10, atol=1e-10)


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 3]), seeds)
@settings(max_examples=10)
def test_pooled_kernel_of_any_odd_kernel_by_its_bundles(height, width, size, seed):
    """Σ over bundles, by writing the sums over shared offsets of two convolutions out in full."""
    x, gates = maps(seed, 2, height, width, channels=(1, 2), dense=())
    reach = size // 2
    offsets = [(a, b) for a in range(-reach, reach + 1) for b in range(-reach, reach + 1)]

    def moved(image: Tensor, step: tuple[int, int]) -> Tensor:
        """image[u + step], 0 outside."""
        one = torch.zeros(1, 1, size, size, dtype=torch.float64)
        one[0, 0, step[0] + reach, step[1] + reach] = 1
        return conv2d(image[:, None], one, padding=reach)[:, 0]

    features = []
    for s in range(2):
        bundles = []
        for first in offsets:
            for second in offsets:
                for c in range(x.shape[1]):
                    for i in range(2):
                        inner = moved(x[s, c][None], first) * gates[0][s, 0]
                        bundles.append((moved(inner, second) * gates[1][s, i]).mean())
        features.append(torch.stack(bundles))
    phi = torch.stack(features)
    close(pooled_path_kernel(x, gates, kernel_size=size), phi @ phi.T)


def test_one_pixel_is_a_fully_connected_network():
    x, gates = maps(3, 6, 1, 1, channels=(4, 5), dense=(3,))
    flat = [gate.flatten(1) for gate in gates]
    for kernel in KERNELS:
        close(kernel(x, gates), neural_path_kernel(x.flatten(1), flat))


# Translation


@given(st.integers(1, 5), st.integers(1, 5), st.integers(-4, 4), st.integers(-4, 4), seeds)
@few
def test_circular_pooled_kernel_does_not_see_where_an_image_is(height, width, down, right, seed):
    x, gates = maps(seed, 3, height, width)
    shift = [torch.roll(part, (down, right), (2, 3)) if part.ndim == 4 else part for part in (x, *gates)]
    kernel = pooled_path_kernel(x, gates, padding="circular")
    close(pooled_path_kernel(x, gates, shift[0], shift[1:], padding="circular"), kernel)
    # The flattened kernel only stays when both are shifted together.
    close(
        flattened_path_kernel(shift[0], shift[1:], padding="circular"),
        flattened_path_kernel(x, gates, padding="circular"),
    )


def test_with_zero_padding_it_does_at_the_border_and_nowhere_else():
    x, gates = torch.zeros(1, 1, 9, 9), [torch.zeros(1, 2, 9, 9) for _ in range(2)]
    x[..., 3:5, 3:5] = 1.0
    for gate in gates:
        gate[..., 2:6, 2:6] = coins(5, 1, 2, 4, 4).float()
    self_kernel = pooled_path_kernel(x, gates)
    inside, outside = ([torch.roll(part, by, 3) for part in (x, *gates)] for by in (3, 5))
    torch.testing.assert_close(pooled_path_kernel(x, gates, inside[0], inside[1:]), self_kernel)
    assert pooled_path_kernel(x, gates, outside[0], outside[1:]) < 0.99 * self_kernel


def test_gates_of_a_circular_network_move_with_the_image():
    arch = GConv(in_channels=2, image_size=5, out_features=1, bias=False, channels=(3, 3), dense=(4,))
    network = network_of(arch, "circular", 0)
    x = normal(1, 4, 2, 5, 5)
    with torch.no_grad():
        gates, moved = network.gates(x), network.gates(torch.roll(x, (2, 1), (2, 3)))
    kernel = pooled_path_kernel(x, gates, padding="circular")
    close(pooled_path_kernel(x, gates, torch.roll(x, (2, 1), (2, 3)), moved, padding="circular"), kernel)


# Blocks, types, memory


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), paddings, chunks, seeds)
@few
def test_chunked_equals_unchunked_and_one_set_is_symmetric_to_the_bit(n, m, size, padding, chunk, seed):
    x, gates = maps(seed, n, size, size)
    x2, gates2 = maps(seed + 50, m, size, size)
    for kernel in KERNELS:
        found = kernel(x, gates, padding=padding, chunk=chunk)
        assert torch.equal(found, found.T)
        close(found, kernel(x, gates, padding=padding), 1e-13)
        close(kernel(x, gates, x2, gates2, padding=padding, chunk=chunk), kernel(x, gates, x2, gates2, padding=padding))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layout_and_type(kernel, dtype):
    x, gates = maps(0, 5, 6, 4)
    x, gates = x.to(dtype), [gate.to(dtype) for gate in gates]
    found = kernel(x, gates)
    assert found.dtype == dtype
    last = [g.to(memory_format=torch.channels_last) if g.ndim == 4 else g for g in (x, *gates)]
    assert torch.equal(kernel(last[0], last[1:]), found)
    close(kernel(x, [g.bool() for g in gates], dtype=torch.float64), kernel(x.double(), [g.double() for g in gates]))


def test_float32_keeps_its_digits_over_many_positions():
    x, gates = maps(0, 2, 28, 28, channels=(4, 4), dense=())
    x = x.abs()
    for kernel in KERNELS:
        # A relative rounding of 6e-8 in each of a few hundred additions one after the other.
        close(kernel(x.float(), [gate.float() for gate in gates]).double(), kernel(x, gates), 2e-5)


def test_memory_is_bounded_by_the_chunk():
    n, size, chunk = 12, 12, 3
    x, gates = maps(0, n, size, size, channels=(4, 4), dense=())
    x, *gates = (part.float().to(memory_format=torch.channels_last) for part in (x, *gates))
    with Memory() as memory:
        flattened_path_kernel(x, gates, chunk=chunk)
    # Beside the inputs, of which it takes views: H, a block of it (chunk × 2 chunk), two work spaces, rows of one.
    given = sum(part.numel() for part in (x, *gates))
    assert memory.peak <= 4 * (given + n * n + 8 * chunk**2 + 4 * size**2 * chunk**2 + 4 * size * chunk**2)
    with Memory() as memory:
        pooled_path_kernel(x, gates, chunk=chunk)
    assert memory.peak <= 4 * (2 * given + 4 * n * n + 5 * chunk * size**4)


# Refusals


@pytest.mark.parametrize("kernel", KERNELS)
def test_refusals(kernel):
    x, gates = maps(0, 3, 4, 4)
    with pytest.raises(ValueError, match="gates2 is missing"):
        kernel(x, gates, x)
    with pytest.raises(ValueError, match="x2 is missing"):
        kernel(x, gates, None, gates)
    for size in (2, 0, -3, True, 3.0):
        with pytest.raises(ValueError, match="kernel_size must be an odd positive whole number"):
            kernel(x, gates, kernel_size=size)
    with pytest.raises(ValueError, match="unknown padding 'reflect'"):
        kernel(x, gates, padding="reflect")
    with pytest.raises(ValueError, match="floating type"):
        kernel(x, gates, dtype=torch.int64)
    for chunk in (0, True, 2.0):
        with pytest.raises(ValueError, match="chunk must be a positive whole number"):
            kernel(x, gates, chunk=chunk)
    wrong = [
        (x.flatten(1), gates),
        (x, [gates[0][:2], *gates[1:]]),
        (x, [gates[0][..., :3], *gates[1:]]),
        (x, [gates[0], gates[2], gates[1]]),
    ]
    for images, some in wrong:
        with pytest.raises(ValueError, match=r"images must be \[n, c, h, w\].*got images"):
            kernel(images, some)
    with pytest.raises(ValueError, match="the same network"):
        kernel(x, gates, x, gates[:2])
