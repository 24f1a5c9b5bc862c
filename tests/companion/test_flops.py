"""Counted operations against torch's own counter."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from companion import flops
from npflib import experiments
from npflib.networks import FullyConnected, GConv, ReLUNetwork, VConv

sizes = st.integers(1, 5)
architectures = st.one_of(
    st.builds(FullyConnected, depth=sizes, width=sizes, in_features=sizes, out_features=sizes),
    *(
        st.builds(
            kind,
            in_channels=sizes,
            image_size=sizes,
            out_features=sizes,
            channels=st.lists(sizes, min_size=1, max_size=3).map(tuple),
            dense=st.lists(sizes, min_size=1, max_size=2).map(tuple),
        )
        for kind in (VConv, GConv)
    ),
)


def counted(arch) -> int:
    x = torch.rand(1, arch.in_channels, arch.image_size, arch.image_size) if hasattr(arch, "channels") else None
    x = torch.rand(1, arch.in_features) if x is None else x
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        ReLUNetwork(arch)(x)
    return counter.get_total_flops()


@settings(max_examples=25, deadline=None)
@given(architectures)
def test_a_forward_pass_is_what_torch_counts(arch):
    assert flops.forward_flops(arch) == counted(arch)


@pytest.mark.parametrize("arch", [FullyConnected(6, 128), GConv(), VConv()], ids=["fc", "gconv", "vconv"])
def test_the_papers_networks_are_what_torch_counts(arch):
    assert flops.forward_flops(arch) == counted(arch)


def test_a_run_is_its_passes():
    one = flops.forward_flops(experiments.find("cifar10-gconv-adam").arch)
    assert flops.run_flops("cifar10-gconv-adam", "ReLU") == 200 * (3 * 50_000 + 10_000) * one
    assert flops.run_flops("cifar10-gconv-adam", "DLNPF") == 2 * flops.run_flops("cifar10-gconv-adam", "ReLU")
    extra = flops.run_flops("cifar10-gconv-adam", "FLNPF") - flops.run_flops("cifar10-gconv-adam", "ReLU")
    assert extra == 60_000 * one
    assert flops.run_flops("cifar10-continuous", "ReLU") == 60 * (3 * 50_000 + 10_000) * one
    staged = flops.run_flops("cifar10-continuous", "FLNPF-stage-3")
    assert staged == (80 * (3 * 50_000 + 10_000) + 60_000) * one


def test_an_unknown_run_is_refused():
    with pytest.raises(ValueError, match="unknown experiment 'mnist'"):
        flops.run_flops("mnist", "ReLU")
    with pytest.raises(ValueError, match="unknown regime 'relu'"):
        flops.run_flops("mnist-fc-adam", "relu")
