"""Packed gates come back as they were stored, in whichever order, at one bit a gate."""

from math import ceil, prod

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import coins, seeds

from npflib.training.gate_sources import GateTable

shape = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
shapes = st.lists(shape, min_size=1, max_size=4)
counts = st.integers(1, 9)


def gates_of(shapes, count, seed):
    return [coins(seed + index, count, *one) for index, one in enumerate(shapes)]


def filled(shapes, gates, count, chunk=1000, channels_last=False):
    table = GateTable(shapes, count, channels_last=channels_last)
    table.rows.fill_(0b10110101)  # what ``empty`` happened to find must not show
    for start in range(0, count, chunk):
        where = slice(start, start + chunk)
        table.store(where, [gate[where] for gate in gates])
    return table


@given(shapes, counts, st.integers(1, 4), seeds, st.data())
def test_what_is_stored_in_chunks_is_looked_up_in_any_order(shapes, count, chunk, seed, data):
    gates = gates_of(shapes, count, seed)
    table = filled(shapes, gates, count, chunk)
    indices = torch.tensor(data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=12)))  # repeats too
    found = table.lookup(indices)
    assert [gate.shape for gate in found] == [(len(indices), *one) for one in shapes]
    for mine, original in zip(found, gates, strict=True):
        assert mine.dtype == torch.float32
        assert torch.equal(mine, original[indices].float())


@given(shapes, counts, seeds)
def test_channels_last_is_another_layout_of_the_same_gates(shapes, count, seed):
    gates = gates_of(shapes, count, seed)
    found = filled(shapes, gates, count, channels_last=True).lookup(torch.arange(count))
    for mine, original in zip(found, gates, strict=True):
        assert torch.equal(mine, original.float())
        assert mine.movedim(1, -1)[0].is_contiguous()


@given(shapes, counts, seeds)
def test_a_row_is_the_layers_gates_one_after_the_other_eight_to_a_byte(shapes, count, seed):
    gates = gates_of(shapes, count, seed)
    table = filled(shapes, gates, count)
    bits = np.concatenate([gate.flatten(1).numpy().astype(np.uint8) for gate in gates], 1)
    assert np.array_equal(table.rows.numpy(), np.packbits(bits, axis=1, bitorder="little"))
    assert table.rows.nbytes == count * ceil(sum(map(prod, shapes)) / 8)


@given(shapes, counts, seeds, st.sampled_from([torch.float16, torch.bfloat16, torch.float64, torch.uint8]))
def test_gates_come_in_the_type_that_is_asked_for(shapes, count, seed, dtype):
    gates = gates_of(shapes, count, seed)
    found = filled(shapes, gates, count).lookup(torch.arange(count), dtype)
    assert all(torch.equal(mine, gate.to(dtype)) for mine, gate in zip(found, gates, strict=True))
    assert {gate.dtype for gate in found} == {dtype}


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.bfloat16, torch.float32, torch.float64])
def test_zeros_and_ones_of_any_type_are_stored(dtype):
    gates = gates_of([(3,), (2, 2)], 5, 1)
    found = filled([(3,), (2, 2)], [gate.to(dtype) for gate in gates], 5).lookup(torch.arange(5))
    assert all(torch.equal(mine, gate.float()) for mine, gate in zip(found, gates, strict=True))


def test_storing_some_rows_leaves_the_others_and_what_was_looked_up_is_a_copy():
    gates = gates_of([(11,)], 6, 2)
    table = filled([(11,)], gates, 6)
    table.store(slice(2, 4), [1 - gates[0][2:4]])
    (found,) = table.lookup(torch.arange(6))
    assert torch.equal(found[:2], gates[0][:2].float())
    assert torch.equal(found[2:4], 1 - gates[0][2:4].float())
    assert torch.equal(found[4:], gates[0][4:].float())
    found.zero_()
    assert table.lookup(torch.arange(6))[0].any()


def test_no_examples_have_no_gates():
    found = filled([(3,), (2, 2)], gates_of([(3,), (2, 2)], 5, 1), 5).lookup(torch.arange(0))
    assert [gate.shape for gate in found] == [(0, 3), (0, 2, 2)]


def test_one_gate_takes_a_byte_and_eight_take_one_too():
    assert GateTable([(1,)], 3).rows.nbytes == GateTable([(8,)], 3).rows.nbytes == 3
    assert GateTable([(9,)], 3).rows.nbytes == 6


@pytest.mark.parametrize("kind", ["VConv", "GConv"])
def test_the_papers_convolutional_networks_need_49216_bytes_an_image(kind):
    from npflib import architectures

    arch = getattr(architectures, kind)()
    shapes = [(c, 32, 32) for c in arch.channels] + [(d,) for d in arch.dense]
    assert sum(map(prod, shapes)) == 393_728
    assert GateTable(shapes, 2).rows.nbytes == 2 * 49_216
