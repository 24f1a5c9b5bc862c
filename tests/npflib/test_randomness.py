"""Streams of random numbers: repeatable, distinct, and apart from torch's global one."""

from itertools import combinations, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from npflib.randomness import PURPOSES, generator


def draws(*key) -> tuple[float, ...]:
    return tuple(torch.rand(4, generator=generator(*key)).tolist())


@given(seeds, st.sampled_from(PURPOSES), st.lists(st.integers(0, 2**31), max_size=2))
def test_a_stream_depends_on_its_names_alone(seed, purpose, more):
    first = draws(seed, purpose, *more)
    torch.rand(3)
    draws(seed + 1, purpose, *more)
    assert draws(seed, purpose, *more) == first


@given(st.data())
def test_streams_of_different_names_differ(data):
    key = st.tuples(seeds, st.sampled_from(PURPOSES), st.integers(0, 1000))
    one, other = data.draw(st.tuples(key, key).filter(lambda pair: pair[0] != pair[1]))
    assert draws(*one) != draws(*other)


def test_small_keys_all_differ():
    keys = [*product(range(6), PURPOSES, range(6))]
    found = {draws(*key) for key in keys}
    assert len(found) == len(keys)


def test_streams_of_neighbouring_seeds_are_uncorrelated():
    streams = [torch.randn(20_000, generator=generator(seed, "order"), dtype=torch.float64) for seed in range(6)]
    for a, b in combinations(streams, 2):
        assert abs(torch.dot(a, b).item()) / 20_000**0.5 < 5  # a standard normal number, were they independent


def test_torchs_global_stream_is_left_alone():
    before = torch.get_rng_state()
    draws(0, "relu")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, 1.0, "0", None, True, 2**32])
def test_refuses_a_seed_that_is_not_a_whole_number(seed):
    with pytest.raises(ValueError, match=r"seed must be a whole number of at least 0 and below 2\^32; got"):
        generator(seed, "relu")


def test_refuses_an_unknown_purpose():
    with pytest.raises(ValueError, match="unknown purpose 'gates' of randomness; allowed: relu, value, feature"):
        generator(0, "gates")
