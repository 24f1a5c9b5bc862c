"""The tangent kernel against ``torch.func``, and the path kernel against the machine's matrix products."""

from collections.abc import Iterator

import torch
from timing import side_by_side
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from npflib import data
from npflib.kernels import neural_path_kernel, neural_tangent_kernel
from npflib.networks import FullyConnected, ReLUNetwork
from npflib.theory.convolution import flattened_path_kernel

TANGENT_TARGET, AGREEMENT_TARGET, RATE_TARGET, CONVOLUTION_TARGET = 50.0, 1e-5, 0.5, 0.3
SIZE = 2048  # of the square matrices that measure the machine's rate


def by_jacobians(network: nn.Module, x: Tensor, chunk: int = 250) -> Tensor:
    """The tangent kernel of a network with one output from ``vmap`` of ``jacrev``, contracted by one matrix product
    for each pair of chunks.
    """
    parameters = {name: p.detach() for name, p in network.named_parameters()}

    def output(parameters: dict[str, Tensor], example: Tensor) -> Tensor:
        return functional_call(network, parameters, (example[None],))[0, 0]

    jacobian = vmap(jacrev(output), (None, 0))
    # The whole Jacobian is held where it fits: making its chunks anew for each pair would be slower.
    rows = [torch.cat([j.flatten(1) for j in jacobian(parameters, part).values()], 1) for part in x.split(chunk)]
    return torch.cat([torch.cat([a @ b.T for b in rows], 1) for a in rows])


def measure(examples: int, path_examples: int, rounds: int) -> Iterator[dict]:
    """Results of both kernels for every number of threads."""
    dataset = data.load("mnist", flatten=True)
    images = dataset.train_images
    yield agreement(images[:examples])
    yield from tangent(images[:examples], max(2, rounds // 2))
    yield from paths(images, path_examples, rounds)
    yield from convolutional_paths(200, max(2, rounds // 2))


def tangent_network() -> ReLUNetwork:
    """FC 128×6 with one output."""
    return ReLUNetwork(FullyConnected(6, 128, out_features=1), torch.Generator().manual_seed(0))


def agreement(x: Tensor) -> dict:
    """The largest difference between the two ways, relative to the largest entry, in both precisions."""
    network = tangent_network()
    difference = {}
    for dtype, some in ((torch.float32, x), (torch.float64, x[:200])):
        network, some = network.to(dtype), some.to(dtype)
        expected = by_jacobians(network, some)
        gap = (neural_tangent_kernel(network, some) - expected).abs().max() / expected.abs().max()
        difference[f"{str(dtype).removeprefix('torch.')}, n = {len(some)}"] = gap.item()
    return {
        "what": "tangent kernel, relative difference from torch.func",
        "difference": difference,
        "largest": max(difference.values()),
        "target": AGREEMENT_TARGET,
    }


def tangent(x: Tensor, rounds: int) -> Iterator[dict]:
    """How many times faster the tangent kernel is."""
    network = tangent_network()
    rivals = {"torch.func": lambda: by_jacobians(network, x), "npflib": lambda: neural_tangent_kernel(network, x)}
    yield from side_by_side(f"tangent kernel, n = {len(x)}", rivals, "npflib", rounds, target=TANGENT_TARGET)


def paths(images: Tensor, n: int, rounds: int) -> Iterator[dict]:
    """The path kernel's useful arithmetic a second, as a share of the machine's.

    Useful are the inner products of the entries that are asked for: n·m between two sets, n (n+1) / 2 within one,
    each 2 (d_in + (d-1) w) operations. Elementwise products and entries computed twice count for nothing.
    """
    network = ReLUNetwork(FullyConnected(6, 128), torch.Generator().manual_seed(0))
    with torch.no_grad():
        x, x2 = images[:n].clone(), images[-n:].clone()
        gates, gates2 = network.gates(x), network.gates(x2)
    square = torch.rand(SIZE, SIZE)
    out = torch.empty_like(square)
    each = 2 * (x.shape[1] + sum(g.shape[1] for g in gates))
    forms = {
        "one set": (lambda: neural_path_kernel(x, gates), each * len(x) * (len(x) + 1) / 2),
        "two sets": (lambda: neural_path_kernel(x, gates, x2, gates2), each * len(x) * len(x2)),
    }
    product = f"product of {SIZE}×{SIZE}"
    for name, (kernel, operations) in forms.items():
        rivals = {product: lambda: torch.mm(square, square, out=out), "path kernel": kernel}
        yield from side_by_side(
            f"path kernel, {name}, n = {len(x)}, share of the matrix-product rate", rivals, "path kernel", rounds,
            target=RATE_TARGET, work={product: 2 * SIZE**3, "path kernel": operations}, rates="GFLOP/s",
        )  # fmt: skip


def convolutional_paths(n: int, rounds: int) -> Iterator[dict]:
    """The same for the convolutional path kernel without weight sharing: 32×32, channels 64-64-128-128.

    Useful are the inner products over channels: n (n+1) / 2 pairs, 1,024 positions, 3 + 64 + 64 + 128 + 128 channels,
    two operations each. The sums over offsets and entries computed twice count for nothing. Gates are random bits: what
    they cost does not depend on them.
    """
    channels, size = (3, 64, 64, 128, 128), 32
    draw = torch.Generator().manual_seed(0)
    layers = [torch.randint(0, 2, (n, c, size, size), generator=draw).float() for c in channels]
    last = [layer.to(memory_format=torch.channels_last) for layer in layers]
    square = torch.rand(SIZE, SIZE)
    out = torch.empty_like(square)
    product, operations = f"product of {SIZE}×{SIZE}", n * (n + 1) * size**2 * sum(channels)
    for name, (x, *gates) in {"channels last": last, "channels first": layers}.items():
        rivals = {
            product: lambda: torch.mm(square, square, out=out),
            "path kernel": lambda x=x, gates=gates: flattened_path_kernel(x, gates),
        }
        yield from side_by_side(
            f"convolutional path kernel, {name}, n = {n}, share of the matrix-product rate", rivals, "path kernel",
            rounds, target=CONVOLUTION_TARGET if name == "channels last" else None,
            work={product: 2 * SIZE**3, "path kernel": operations}, rates="GFLOP/s",
        )  # fmt: skip
