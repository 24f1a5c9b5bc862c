"""The fixed-gate theorem for convolutions: over every sign pattern, by sampling, and against the network class."""

import pytest
import torch
from hypothesis import given, settings
from strategies import coins, examples, normal, seeds
from test_convolution_paths import network_of, paddings, tiny
from test_kernels import close
from torch.func import functional_call, jacrev

from npflib.networks import GConv, VConv
from npflib.theory.convolution import flattened_path_kernel, output, pooled_path_kernel, value_kernels
from npflib.theory.fixed_gates import draw_weights, every_sign_pattern, weight_shapes

few = settings(max_examples=8)


def arch_of(kind, size, channels, dense, colours=1):
    return kind(
        in_channels=colours, image_size=size, out_features=1, bias=False, channels=tuple(channels), dense=tuple(dense)
    )


def random_gates(arch, n: int, seed: int):
    size = arch.image_size
    x = normal(seed, n, arch.in_channels, size, size)
    maps = [coins(seed + 1 + k, n, c, size, size) for k, c in enumerate(arch.channels)]
    return x, maps + [torch.ones(n, w, dtype=torch.float64) for w in arch.dense]


def path_kernel(arch, x, gates, padding="zeros", shared=True):
    if isinstance(arch, VConv):
        return flattened_path_kernel(x, gates, padding=padding)
    if shared:
        return pooled_path_kernel(x, gates, padding=padding)
    return flattened_path_kernel(x, gates, padding=padding) / arch.image_size**4


@given(tiny(), paddings, examples, seeds)
@few
def test_output_and_gradients_are_the_networks(arch, padding, n, seed):
    arch = arch_of(type(arch), arch.image_size, arch.channels, arch.dense, arch.in_channels)
    network = network_of(arch, padding, seed)
    x = normal(seed + 30, n, arch.in_channels, arch.image_size, arch.image_size)
    with torch.no_grad():
        gates = network.gates(x)
        close(output(arch, x, gates, network.weights, padding), network(x)[:, 0])
    # A hard gate's derivative is 0 almost everywhere: a ReLU network's gradients are those behind its own gates.
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    jacobians = jacrev(lambda chosen: functional_call(network, chosen, (x,))[:, 0])(parameters)
    flat = torch.cat([jacobian.flatten(1) for jacobian in jacobians.values()], 1)
    found = value_kernels(arch, x, gates, [weight.detach()[None] for weight in network.weights], padding)
    close(found[0], flat @ flat.T)


EXACT = [
    (GConv, 2, (1,), (1,), 1, "zeros"),
    (GConv, 3, (1,), (2,), 1, "zeros"),
    (GConv, 3, (1,), (1,), 1, "circular"),
    (GConv, 2, (1, 1), (), 1, "zeros"),
    (VConv, 2, (1,), (1,), 1, "zeros"),
    (VConv, 2, (1,), (1,), 1, "circular"),
    (VConv, 3, (1,), (1,), 1, "zeros"),
]


@pytest.mark.parametrize(("kind", "size", "channels", "dense", "colours", "padding"), EXACT)
def test_claim_4_over_every_sign_pattern(kind, size, channels, dense, colours, padding):
    """Exact: with shared weights the mean of K_value is that of bundles, pooled or flattened."""
    arch = arch_of(kind, size, channels, dense or (1,), colours)
    x, gates = random_gates(arch, 3, 7)
    sigma = 0.7
    free = sum(torch.Size(shape).numel() - 1 for shape in weight_shapes(arch))
    assert free <= 16
    mean = value_kernels(arch, x, gates, every_sign_pattern(arch, sigma, up_to_sign=True), padding, chunk=4096).mean(0)
    depth = len(arch.channels) + len(arch.dense) + 1
    kernel = path_kernel(arch, x, gates, padding)
    assert kernel.abs().max() > 0
    close(mean, depth * sigma ** (2 * (depth - 1)) * kernel, 1e-11)
    if kind is GConv:  # the kernel of single paths is another: summing translates matters
        apart = flattened_path_kernel(x, gates, padding=padding) / size**4
        assert (apart - kernel).abs().max() > 0.05 * kernel.abs().max()


@pytest.mark.parametrize("kind", [VConv, GConv])
@pytest.mark.parametrize("shared", [True, False])
def test_claim_4_by_sampling_wider_networks(kind, shared):
    """Sharing changes the mean behind a pool, and not where the outputs are flattened."""
    arch = arch_of(kind, 4, (3, 2), (3,), 2)
    x, gates = random_gates(arch, 3, 1)
    draws = draw_weights(
        arch, 4000, 0.5, generator=torch.Generator().manual_seed(5), shared=shared, dtype=torch.float64
    )
    expected = 4 * 0.5**6 * path_kernel(arch, x, gates, shared=shared)
    relative = (value_kernels(arch, x, gates, draws, chunk=500) - expected) / torch.linalg.matrix_norm(expected)
    bias = (relative * expected / torch.linalg.matrix_norm(expected)).sum((1, 2))
    error = (bias.std() / len(bias) ** 0.5).item()
    # Fixed seeds: four standard errors would be passed by a right mean in all but one of 16,000 choices of them.
    assert abs(bias.mean().item()) < 4 * error
    assert error < 0.03
    if kind is GConv:
        other = path_kernel(arch, x, gates, shared=not shared) * 4 * 0.5**6
        assert abs(((other - expected) * expected).sum().item()) > 10 * error * (expected**2).sum().item()


def test_refusals():
    arch = arch_of(GConv, 3, (2,), (2,))
    for wrong in (GConv(out_features=1), GConv(bias=False), "GConv"):
        with pytest.raises(ValueError, match="bias=False and out_features=1"):
            weight_shapes(wrong)
    for draws, sigma in ((0, 1.0), (3, 0.0), (3, -1.0)):
        with pytest.raises(ValueError, match=r"draws must be a positive whole|sigma.* must be finite and positive"):
            draw_weights(arch, draws, sigma)
    with pytest.raises(ValueError, match="free weights have"):
        every_sign_pattern(arch, 1.0, limit=5)
    x, gates = random_gates(arch, 2, 0)
    weights = [weight[0] for weight in draw_weights(arch, 1, 1.0, dtype=torch.float64)]
    with pytest.raises(ValueError, match="unknown padding"):
        output(arch, x, gates, weights, "same")
    with pytest.raises(ValueError, match="needs 2 gates and 3 weights; got 1 and 3"):
        output(arch, x, gates[:1], weights)
    with pytest.raises(ValueError, match="got 2 and 2"):
        output(arch, x, gates, weights[:2])
