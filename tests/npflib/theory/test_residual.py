"""Residual networks: the sum over sub-networks by listing them, by their paths, and by every sign pattern."""

from itertools import product
from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import coins, examples, normal, seeds
from test_kernels import close
from torch.func import grad, vmap

from npflib.kernels import neural_path_kernel
from npflib.paths import neural_path_feature, neural_path_value
from npflib.theory.residual import (
    expected_value_kernel,
    residual_gates,
    residual_output,
    residual_path_kernel,
    subnetworks,
)

few = settings(max_examples=30)
shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 3))  # d_in, w, m, B


def random_weights(seed, inputs, width, layers, blocks, outputs=1):
    middle = [[normal(seed + 10 * b + k + 1, width, width) for k in range(layers)] for b in range(blocks)]
    return normal(seed, width, inputs), middle, normal(seed + 99, outputs, width)


def random_gates(seed, n, width, layers, blocks, make=coins):
    return make(seed, n, width), [[make(seed + 10 * b + k + 1, n, width) for k in range(layers)] for b in range(blocks)]


def relu_network(x, weights):
    first, middle, last = weights
    z = (x @ first.T).relu()
    for matrices in middle:
        branch = z
        for matrix in matrices:
            branch = (branch @ matrix.T).relu()
        z = z + branch
    return z @ last.T


@given(shapes, examples, seeds)
@few
def test_its_own_gates_make_it_a_relu_network(shape, n, seed):
    weights = random_weights(seed, *shape, outputs=2)
    x = normal(seed + 200, n, shape[0])
    close(residual_output(x, *residual_gates(x, weights), weights), relu_network(x, weights))


@given(shapes, examples, seeds)
@few
def test_claim_1_output_is_the_sum_over_the_paths_of_all_subnetworks(shape, n, seed):
    inputs, width, layers, blocks = shape
    weights = random_weights(seed, *shape, outputs=2)
    stem, gates = random_gates(seed + 300, n, width, layers, blocks)
    x = normal(seed + 200, n, inputs)
    total, count = torch.zeros(n, 2, dtype=torch.float64), 0
    for chosen, own in subnetworks(stem, gates):
        chain = [weights[0], *(matrix for block in chosen for matrix in weights[1][block]), weights[2]]
        total += neural_path_feature(x, own) @ neural_path_value(chain)
        count += 1
    assert count == 2**blocks
    close(residual_output(x, stem, gates, weights), total)


@given(shapes, examples, examples, st.sampled_from([coins, normal]), seeds)
@few
def test_kernel_is_the_sum_over_listed_subnetworks(shape, n, m, make, seed):
    inputs, width, layers, blocks = shape
    stem, gates = random_gates(seed, n, width, layers, blocks, make)
    stem2, gates2 = random_gates(seed + 500, m, width, layers, blocks, make)
    x, x2 = normal(seed + 200, n, inputs), normal(seed + 201, m, inputs)
    expected = torch.zeros(blocks + 1, n, m, dtype=torch.float64)
    pairs = zip(subnetworks(stem, gates), subnetworks(stem2, gates2), strict=True)
    for (chosen, own), (_, own2) in pairs:
        phi, phi2 = neural_path_feature(x, own), neural_path_feature(x2, own2)
        expected[len(chosen)] += phi @ phi2.T
    close(residual_path_kernel(x, stem, gates, x2, stem2, gates2), expected)
    close(residual_path_kernel(x, stem, gates), residual_path_kernel(x, stem, gates, x, stem, gates))


@pytest.mark.parametrize(
    ("inputs", "width", "layers", "blocks"), [(1, 1, 1, 1), (2, 1, 2, 2), (2, 2, 1, 1), (1, 2, 1, 2), (2, 1, 1, 5)]
)
def test_claim_4_over_every_sign_pattern(inputs, width, layers, blocks):
    sigma, n = 0.7, 3
    stem, gates = torch.ones(n, width, dtype=torch.float64), random_gates(4, n, width, layers, blocks)[1]
    x = normal(1, n, inputs)
    sizes = [width * inputs, *[width * width] * (layers * blocks), width]
    patterns = torch.tensor(list(product((-sigma, sigma), repeat=sum(sizes))), dtype=torch.float64)

    def one(flat, example, own, *others):
        parts = flat.split(sizes)
        squares = [part.view(width, width) for part in parts[1:-1]]
        middle = [squares[b * layers : (b + 1) * layers] for b in range(blocks)]
        rows = [other[None] for other in others]
        around = [rows[b * layers : (b + 1) * layers] for b in range(blocks)]
        weights = parts[0].view(width, inputs), middle, parts[-1][None]
        return residual_output(example[None], own[None], around, weights)[0, 0]

    flat_gates = [gate for block in gates for gate in block]
    inner = vmap(grad(one), (None, 0, 0, *(0 for _ in flat_gates)))
    gradients = vmap(inner, (0, None, None, *(None for _ in flat_gates)))(patterns, x, stem, *flat_gates)
    close((gradients @ gradients.mT).mean(0), expected_value_kernel(x, stem, gates, sigma).sum(0), 1e-11)


def test_open_gates_have_binomially_many_paths():
    width, layers, blocks = 3, 2, 5
    stem, gates = torch.ones(1, width), [[torch.ones(1, width)] * layers] * blocks
    found = residual_path_kernel(torch.ones(1, 4), stem, gates, dtype=torch.float64).flatten().tolist()
    assert found == [4 * width * comb(blocks, j) * width ** (layers * j) for j in range(blocks + 1)]


def test_closed_blocks_leave_the_stem():
    x, stem = normal(0, 4, 3), coins(1, 4, 5)
    closed = [[torch.zeros(4, 5, dtype=torch.float64)]] * 3
    kernel = residual_path_kernel(x, stem, closed)
    close(kernel[0], neural_path_kernel(x, [stem]))
    assert not kernel[1:].any()


def test_refusals():
    x, gate = torch.ones(3, 2), torch.ones(3, 4)
    for blocks in ([], [[]], [[gate], [gate, gate]]):
        with pytest.raises(ValueError, match="one block or more must have the same number of layers, at least one"):
            residual_path_kernel(x, gate, blocks)
    with pytest.raises(ValueError, match="must have one width"):
        residual_path_kernel(x, gate, [[torch.ones(3, 5)]])
    with pytest.raises(ValueError, match="for 2 examples, expected 3"):
        residual_path_kernel(x, gate, [[torch.ones(2, 4)]])
    with pytest.raises(ValueError, match="give all three, or none"):
        residual_path_kernel(x, gate, [[gate]], x)
    with pytest.raises(ValueError, match="the same blocks; got 1 and 2"):
        residual_path_kernel(x, gate, [[gate]], x, gate, [[gate], [gate]])
    with pytest.raises(ValueError, match="a weight matrix for each layer"):
        residual_output(x, gate, [[gate]], (torch.ones(4, 2), [], torch.ones(1, 4)))
