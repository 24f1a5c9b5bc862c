"""Kernels against path features, counted paths, automatic differentiation and exact expectations."""

import weakref
from itertools import product
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float32, Float64
from strategies import coins, examples, fully_connected, normal, random_gates, seeds, shuffled
from torch import Tensor
from torch.func import functional_call, jacrev, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from npflib.kernels import CHUNK, PARTS, neural_path_kernel, neural_tangent_kernel, path_overlap
from npflib.networks import DeepGatedNetwork, FullyConnected, GConv, ReLUNetwork, ValueNetwork
from npflib.paths import neural_path_feature

widths = st.lists(st.integers(1, 4), min_size=1, max_size=4)
chunks = st.integers(1, 7)
few = settings(max_examples=40)

MAKERS = {
    "relu": ReLUNetwork,
    "hard": lambda arch: DeepGatedNetwork(arch, "hard"),
    "soft": lambda arch: DeepGatedNetwork(arch, "soft", beta=3.0, eps=0.2),
}
kinds = st.sampled_from(list(MAKERS))
parts = st.sampled_from(PARTS)


def close(actual: Tensor, expected: Tensor, relative: float = 1e-12) -> None:
    """Equal up to rounding of the largest entry: entries that cancel have no relative precision of their own."""
    assert actual.shape == expected.shape
    scale = expected.abs().max().item() if expected.numel() else 0
    torch.testing.assert_close(actual, expected, rtol=relative, atol=relative * scale)


def parameters_of(network, part: str) -> dict[str, Tensor]:
    """The parameters that a part of the tangent kernel differentiates with respect to, by the paper's definition."""
    wanted = {"all": "", "value": "value.", "gate": "feature."}[part]
    if isinstance(network, ReLUNetwork):
        wanted = "" if part != "gate" else "none"
    return {name: p.detach() for name, p in network.named_parameters() if name.startswith(wanted)}


def tangent_kernel_by_autodiff(network, x: Tensor, x2: Tensor, part: str) -> Tensor:
    """Σ_c of the Gram matrix of output c's gradients, from torch.func's Jacobians."""
    kernel = torch.zeros(len(x), len(x2), dtype=x.dtype)
    parameters = parameters_of(network, part)
    if not parameters:
        return kernel

    def output(chosen, example):
        return functional_call(network, chosen, (example[None],))[0]

    left, right = (vmap(jacrev(output), (None, 0))(parameters, inputs) for inputs in (x, x2))
    for name in parameters:
        kernel += torch.einsum("ncp,mcp->nm", left[name].flatten(2), right[name].flatten(2))
    return kernel


def tangent_kernel_by_single_gradients(network, x: Tensor) -> Tensor:
    """The same kernel from one backward pass for every example and output."""
    parameters = list(network.parameters())
    rows = []
    for example in x:
        gradients = []
        for output in network(example[None])[0]:
            found = torch.autograd.grad(output, parameters, retain_graph=True, allow_unused=True)
            filled = [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
            gradients.append(torch.cat([g.flatten() for g in filled]))
        rows.append(torch.cat(gradients))
    jacobian = torch.stack(rows)
    return jacobian @ jacobian.T


# The path overlap


@given(widths, examples, examples, seeds)
def test_overlap_counts_the_paths_that_are_active_for_both(sizes, n, m, seed):
    gates = random_gates(seed, n, sizes)
    gates2 = random_gates(seed + 20, m, sizes)
    overlap = path_overlap(gates, gates2)
    assert isinstance(overlap, Float64[Tensor, f"{n} {m}"])
    for s, t in product(range(n), range(m)):
        count = 0
        for path in product(*map(range, sizes)):
            count += all(a[s, i] and b[t, i] for a, b, i in zip(gates, gates2, path, strict=True))
        assert overlap[s, t].item() == count


def test_overlap_at_the_papers_size_is_exact_in_float64():
    gates = random_gates(0, 30, [128] * 5)
    counts = [[prod(int(g[s] @ g[t]) for g in gates) for t in range(30)] for s in range(30)]
    assert path_overlap(gates).tolist() == counts
    assert path_overlap([g.bool() for g in gates]).tolist() == counts
    assert path_overlap([g.float() for g in gates], dtype=torch.float64).tolist() == counts


# The neural path kernel


@given(fully_connected(bias=False), examples, examples, seeds, kinds)
def test_claim_2_path_kernel_is_the_gram_matrix_of_path_features(arch, n, m, seed, kind):
    network = shuffled(MAKERS[kind](arch), seed)
    x, x2 = normal(seed + 30, n, arch.in_features), normal(seed + 31, m, arch.in_features)
    with torch.no_grad():
        gates, gates2 = network.gates(x), network.gates(x2)
    phi, phi2 = neural_path_feature(x, gates), neural_path_feature(x2, gates2)
    kernel = neural_path_kernel(x, gates, x2, gates2)
    assert isinstance(kernel, Float64[Tensor, f"{n} {m}"])
    close(kernel, phi @ phi2.T)
    close(neural_path_kernel(x, gates), phi @ phi.T)


@given(fully_connected(min_depth=2, bias=False), examples, seeds)
def test_path_kernel_is_gram_matrix_times_overlap(arch, n, seed):
    x, gates = normal(seed, n, arch.in_features), random_gates(seed + 1, n, arch.widths[1:])
    close(neural_path_kernel(x, gates), (x @ x.T) * path_overlap(gates))


@given(fully_connected(bias=False), examples, seeds)
def test_path_kernel_is_positive_semidefinite(arch, n, seed):
    x, gates = normal(seed, n, arch.in_features), random_gates(seed + 1, n, arch.widths[1:])
    kernel = neural_path_kernel(x, gates)
    assert torch.linalg.eigvalsh(kernel).min() >= -1e-13 * kernel.trace()


# The neural tangent kernel


@given(fully_connected(), kinds, parts, examples, examples, seeds)
@few
def test_tangent_kernel_is_torch_funcs(arch, kind, part, n, m, seed):
    network = shuffled(MAKERS[kind](arch), seed)
    x, x2 = normal(seed + 30, n, arch.in_features), normal(seed + 31, m, arch.in_features)
    kernel = neural_tangent_kernel(network, x, x2, part)
    assert isinstance(kernel, Float64[Tensor, f"{n} {m}"])
    close(kernel, tangent_kernel_by_autodiff(network, x, x2, part))
    close(neural_tangent_kernel(network, x, part=part), tangent_kernel_by_autodiff(network, x, x, part))


@given(fully_connected(), kinds, examples, seeds)
@few
def test_tangent_kernel_is_that_of_single_gradients(arch, kind, n, seed):
    network = shuffled(MAKERS[kind](arch), seed)
    x = normal(seed + 30, n, arch.in_features)
    close(neural_tangent_kernel(network, x), tangent_kernel_by_single_gradients(network, x))


@given(fully_connected(), kinds, examples, seeds)
@few
def test_claim_3_parts_add_up(arch, kind, n, seed):
    network = shuffled(MAKERS[kind](arch), seed)
    x = normal(seed + 30, n, arch.in_features)
    whole, value, gate = (neural_tangent_kernel(network, x, part=part) for part in PARTS)
    close(value + gate, whole)
    if kind != "soft":  # a hard gate's derivative is 0 almost everywhere
        assert not gate.any()
        assert torch.equal(value, whole)


def test_soft_gates_have_a_gate_part():
    network = shuffled(DeepGatedNetwork(FullyConnected(3, 5, 4, 1), "soft"), 0)
    assert neural_tangent_kernel(network, normal(1, 3, 4), part="gate").diagonal().min() > 0


def test_tangent_kernel_of_a_middling_network_in_float32():
    network = ReLUNetwork(FullyConnected(4, 32, 50, 10), torch.Generator().manual_seed(0))
    x = normal(1, 12, 50, dtype=torch.float32)
    expected = tangent_kernel_by_autodiff(network.double(), x.double(), x.double(), "all")
    kernel = neural_tangent_kernel(network.float(), x)
    assert isinstance(kernel, Float32[Tensor, "12 12"])
    close(kernel.double(), expected, 1e-5)
    precise = neural_tangent_kernel(network, x, dtype=torch.float64)
    assert isinstance(precise, Float64[Tensor, "12 12"])
    close(precise, expected)
    assert network.weights[0].dtype == torch.float32  # the caller's network keeps its type


def test_frozen_parameters_count_in_the_tangent_kernel():
    network = shuffled(DeepGatedNetwork(FullyConnected(3, 4, 5, 2), "soft"), 0)
    x = normal(1, 3, 5)
    before = neural_tangent_kernel(network, x)
    network.feature.requires_grad_(False)
    assert torch.equal(neural_tangent_kernel(network, x), before)
    assert not before.requires_grad


def test_images_need_not_be_flattened():
    network = shuffled(ReLUNetwork(FullyConnected(3, 4, 12, 2)), 0)
    x = normal(1, 5, 3, 2, 2)
    assert torch.equal(neural_tangent_kernel(network, x), neural_tangent_kernel(network, x.flatten(1)))


# Claim 4, exactly: the expectation over all sign patterns, none sampled


@pytest.mark.parametrize(
    ("depth", "width", "in_features", "outputs"),
    [(1, 1, 3, 2), (2, 1, 2, 1), (2, 3, 2, 1), (2, 2, 1, 2), (3, 2, 2, 1), (4, 1, 3, 2), (4, 2, 1, 1)],
)
@pytest.mark.parametrize("gate", ["hard", "soft"])
def test_claim_4_expected_value_kernel_is_the_path_kernel(depth, width, in_features, outputs, gate):
    sigma, x = 0.5, normal(7, 4, in_features)
    arch = FullyConnected(depth, width, in_features, outputs, bias=False)
    networks = (shuffled(DeepGatedNetwork(arch, gate), seed) for seed in range(100))
    with torch.no_grad():
        network = next(found for found in networks if neural_path_kernel(x, found.gates(x)).any())
        path_kernel = neural_path_kernel(x, network.gates(x))
        # Turning all signs of one layer turns the sign of whole gradients, and leaves the kernel as it is: so the
        # first sign of each layer can stay, and the mean over the others is the mean over all.
        free = [weight.flatten()[1:] for weight in network.weights]
        for weight in network.weights:
            weight.fill_(sigma)
        total, patterns = torch.zeros(4, 4, dtype=torch.float64), 2 ** sum(map(len, free))
        for pattern in product((-sigma, sigma), repeat=sum(map(len, free))):
            signs = torch.tensor(pattern, dtype=torch.float64)
            for part, values in zip(free, signs.split([len(part) for part in free]), strict=True):
                part.copy_(values)
            total += neural_tangent_kernel(network, x, part="value")
    # Each of the C outputs contributes d · σ^(2(d-1)) · H to the trace.
    close(total / patterns, outputs * depth * sigma ** (2 * (depth - 1)) * path_kernel)


# Blocks


@given(fully_connected(), kinds, parts, st.integers(1, 9), st.integers(1, 9), seeds, chunks)
@few
def test_chunked_equals_unchunked(arch, kind, part, n, m, seed, chunk):
    network = shuffled(MAKERS[kind](arch), seed)
    x, x2 = normal(seed + 30, n, arch.in_features), normal(seed + 31, m, arch.in_features)
    with torch.no_grad():
        gates, gates2 = network.gates(x), network.gates(x2)
    pairs = [
        lambda c: neural_tangent_kernel(network, x, x2, part, chunk=c),
        lambda c: neural_tangent_kernel(network, x, None, part, chunk=c),
        lambda c: neural_path_kernel(x, gates, x2, gates2, chunk=c),
        lambda c: neural_path_kernel(x, gates, chunk=c),
    ]
    if gates:
        pairs += [lambda c: path_overlap(gates, gates2, chunk=c), lambda c: path_overlap(gates, chunk=c)]
    for kernel in pairs:
        close(kernel(chunk), kernel(CHUNK), 1e-14)


@given(fully_connected(), kinds, st.integers(1, 9), seeds, chunks, st.sampled_from([torch.float32, torch.float64]))
@few
def test_kernels_of_one_set_are_symmetric_to_the_bit(arch, kind, n, seed, chunk, dtype):
    network = shuffled(MAKERS[kind](arch), seed).to(dtype)
    x = normal(seed + 30, n, arch.in_features, dtype=dtype)
    with torch.no_grad():
        gates = network.gates(x)
    kernels = [neural_tangent_kernel(network, x, chunk=chunk), neural_path_kernel(x, gates, chunk=chunk)]
    if gates:
        kernels.append(path_overlap(gates, chunk=chunk))
    for kernel in kernels:
        assert kernel.dtype == dtype
        assert torch.equal(kernel, kernel.T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "chunk"), [(5, 5), (7, 512), (9, 9), (301, 128), (61, 7)])
def test_wider_kernels_are_symmetric_to_the_bit(n, chunk, dtype):
    # At these sizes a matrix product with its own transpose is in general not.
    x, gates = normal(0, n, 50, dtype=dtype), [normal(layer, n, 128, dtype=dtype) for layer in range(5)]
    network = ReLUNetwork(FullyConnected(4, 64, 50, 3), torch.Generator().manual_seed(0)).to(dtype)
    for kernel in (
        neural_path_kernel(x, gates, chunk=chunk),
        path_overlap(gates, chunk=chunk),
        neural_tangent_kernel(network, x, chunk=chunk),
    ):
        assert torch.equal(kernel, kernel.T)


@given(fully_connected(), kinds, examples, examples, seeds)
@few
def test_second_set_may_be_the_first_or_another(arch, kind, n, m, seed):
    network = shuffled(MAKERS[kind](arch), seed)
    x, x2 = normal(seed + 30, n, arch.in_features), normal(seed + 31, m, arch.in_features)
    close(neural_tangent_kernel(network, x, x), neural_tangent_kernel(network, x), 1e-14)
    close(neural_tangent_kernel(network, x2, x), neural_tangent_kernel(network, x, x2).T, 1e-14)
    both = neural_tangent_kernel(network, torch.cat([x, x2]))
    close(neural_tangent_kernel(network, x, x2), both[:n, n:])


class Memory(TorchDispatchMode):
    """Bytes of the tensors that torch operations made and that are still alive, and the most there ever were."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(tensor, Tensor):
                self.count(tensor.untyped_storage())
        return result

    def count(self, storage):
        address, size = storage.data_ptr(), storage.nbytes()
        if size and address not in self.seen:
            self.seen.add(address)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.forget, address, size)

    def forget(self, address, size):
        self.seen.discard(address)
        self.now -= size


def test_tangent_kernel_never_holds_a_jacobian():
    n, width, outputs, chunk = 1000, 128, 2, 250
    arch = FullyConnected(6, width, 784, outputs, bias=False)
    network = ReLUNetwork(arch, torch.Generator().manual_seed(0))
    x = normal(0, n, 784, dtype=torch.float32)
    with Memory() as memory:
        neural_tangent_kernel(network, x, chunk=chunk)
    jacobian = 4 * n * outputs * sum(weight.numel() for weight in network.weights)
    # Beside the kernel: a handful of blocks, and for both sides of one block every layer's pre-activations and gates of
    # the forward pass, its hidden outputs, and for each output the signal that arrives above and below its gates.
    signals = 2 * chunk * arch.depth * width * (4 + 2 * outputs)
    allowed = 4 * (n * n + signals + 8 * chunk * chunk)
    assert 4 * n * n <= memory.peak <= allowed
    assert allowed < jacobian / 50


def test_the_memory_meter_sees_what_is_alive():
    with Memory() as memory:
        for _ in range(3):
            a = torch.ones(1000)
            b = a + 1
            del a, b
    assert memory.peak in (8000, 12000)  # the next tensor may be made before the last is freed
    assert memory.now == 0


# Types and layouts


def test_path_kernels_take_their_type_from_the_first_argument():
    x, gates = normal(0, 3, 4), random_gates(1, 3, [5, 5])
    single, boolean = x.float(), [g.bool() for g in gates]
    expected = neural_path_kernel(x, gates)
    assert isinstance(neural_path_kernel(single, gates), Float32[Tensor, "3 3"])
    assert isinstance(neural_path_kernel(single, gates, dtype=torch.float64), Float64[Tensor, "3 3"])
    assert torch.equal(neural_path_kernel(x, boolean), expected)
    # Two sides of different types: the first decides.
    close(neural_path_kernel(x, gates, x, boolean), expected, 1e-14)
    assert isinstance(neural_path_kernel(single, gates, x, gates), Float32[Tensor, "3 3"])
    assert torch.equal(path_overlap([g.float() for g in gates], boolean).double(), path_overlap(gates))
    assert torch.equal(path_overlap(boolean, gates), path_overlap(gates))


def test_raw_pixels_do_not_overflow():
    x, gates = torch.full((2, 3), 255, dtype=torch.uint8), [torch.ones(2, 4, dtype=torch.bool)]
    kernel = neural_path_kernel(x, gates)
    assert isinstance(kernel, Float64[Tensor, "2 2"])
    assert (kernel == 3 * 255**2 * 4).all()
    network = shuffled(ReLUNetwork(FullyConnected(2, 4, 3, 1)), 0)
    assert torch.equal(neural_tangent_kernel(network, x), neural_tangent_kernel(network, x.double()))


def test_non_contiguous_inputs_are_as_good():
    x, gate = normal(0, 6, 5).T, coins(1, 4, 5).T
    network = shuffled(ReLUNetwork(FullyConnected(3, 4, 6, 2)), 0)
    close(neural_path_kernel(x, [gate]), neural_path_kernel(x.contiguous(), [gate.contiguous()]), 1e-14)
    close(neural_tangent_kernel(network, x), neural_tangent_kernel(network, x.contiguous()), 1e-14)


def test_no_examples_make_an_empty_kernel():
    network = ReLUNetwork(FullyConnected(3, 4, 5, 2)).double()
    none, some = torch.zeros(0, 5, dtype=torch.float64), normal(0, 3, 5)
    with torch.no_grad():
        g0, g3 = network.gates(none), network.gates(some)
    assert neural_tangent_kernel(network, none).shape == (0, 0)
    assert neural_tangent_kernel(network, some, none).shape == (3, 0)
    assert neural_tangent_kernel(network, none, some).shape == (0, 3)
    assert neural_path_kernel(none, g0, some, g3).shape == (0, 3)
    assert path_overlap(g3, g0).shape == (3, 0)


# Bad input


def test_unknown_part_is_refused():
    with pytest.raises(ValueError, match="unknown part 'gates' of the tangent kernel; allowed: all, value, gate"):
        neural_tangent_kernel(ReLUNetwork(FullyConnected(2, 3, 4)), torch.zeros(2, 4), part="gates")


def test_tangent_kernel_refuses_networks_it_is_not_for():
    images = torch.zeros(2, 3, 4, 4)
    convolutional = ReLUNetwork(GConv(3, 4, 2, channels=(2,), dense=(2,)))
    for network in (convolutional, torch.nn.Linear(48, 2), ValueNetwork(FullyConnected(2, 3, 48))):
        with pytest.raises(ValueError, match=r"must be (ReLUNetwork or DeepGatedNetwork|FullyConnected); got"):
            neural_tangent_kernel(network, images)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 5), (0, 3), (2, 4, 2)])
def test_tangent_kernel_refuses_inputs_of_another_size(shape):
    network, x = DeepGatedNetwork(FullyConnected(2, 3, 4), "soft"), torch.zeros(2, 4)
    for arguments in ((torch.zeros(shape),), (x, torch.zeros(shape))):
        with pytest.raises(ValueError, match=r"inputs must be \[n, …\] with 4 numbers each; got"):
            neural_tangent_kernel(network, *arguments)


@pytest.mark.parametrize("chunk", [0, -1, 2.0, None, True])
def test_refuses_a_chunk_that_is_not_a_number_of_examples(chunk):
    x, gates = torch.zeros(2, 4), [torch.zeros(2, 3)]
    for kernel in (
        lambda: neural_tangent_kernel(ReLUNetwork(FullyConnected(2, 3, 4)), x, chunk=chunk),
        lambda: neural_path_kernel(x, gates, chunk=chunk),
        lambda: path_overlap(gates, chunk=chunk),
    ):
        with pytest.raises(ValueError, match="chunk must be a positive whole number of examples; got"):
            kernel()


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_refuses_a_type_that_is_not_floating(dtype):
    x, gates = torch.zeros(2, 4), [torch.zeros(2, 3)]
    for kernel in (
        lambda: neural_tangent_kernel(ReLUNetwork(FullyConnected(2, 3, 4)), x, dtype=dtype),
        lambda: neural_path_kernel(x, gates, dtype=dtype),
        lambda: path_overlap(gates, dtype=dtype),
    ):
        with pytest.raises(ValueError, match="floating type"):
            kernel()


def test_path_kernel_refuses_half_a_second_side():
    x, gates = torch.zeros(2, 4), [torch.zeros(2, 3)]
    with pytest.raises(ValueError, match="gates2 is missing"):
        neural_path_kernel(x, gates, x2=x)
    with pytest.raises(ValueError, match="x2 is missing"):
        neural_path_kernel(x, gates, gates2=gates)


@pytest.mark.parametrize(
    ("x2", "gates2", "message"),
    [
        ((2, 5), [(2, 3)], "same network"),
        ((2, 4), [(2, 2)], "same network"),
        ((2, 4), [(2, 3), (2, 3)], "same network"),
        ((2, 4), [], "same network"),
        ((2, 4), [(3, 3)], "are for 3 examples, expected 2"),
        ((2, 4), [(2, 3, 1)], "gates of hidden layer 1 must be"),
        ((4,), [(2, 3)], "inputs must be"),
    ],
)
def test_path_kernel_refuses_sides_that_do_not_match(x2, gates2, message):
    with pytest.raises(ValueError, match=message):
        neural_path_kernel(torch.zeros(2, 4), [torch.zeros(2, 3)], torch.zeros(x2), [torch.zeros(g) for g in gates2])


@pytest.mark.parametrize(
    ("gates", "gates2", "message"),
    [
        ([], None, "at least one tensor"),
        ([(2, 3)], [], "at least one tensor"),
        ([(2, 3)], [(2, 4)], "same network"),
        ([(2, 3), (3, 3)], None, "are for 3 examples, expected 2"),
        ([(2, 3, 4, 4)], None, "formulas are for fully connected networks"),
    ],
)
def test_overlap_refuses_gates_that_do_not_match(gates, gates2, message):
    gates, gates2 = [torch.zeros(g) for g in gates], None if gates2 is None else [torch.zeros(g) for g in gates2]
    with pytest.raises(ValueError, match=message):
        path_overlap(gates, gates2)
