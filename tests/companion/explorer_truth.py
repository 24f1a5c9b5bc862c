"""What the gate explorer's page must show for two points of the plane, computed with the library."""

from typing import NamedTuple

import numpy as np
import torch

from companion import explorer
from npflib import kernels, paths
from npflib.gates import hard_gate


@torch.no_grad()
def at(network, x, x2, constants=()) -> dict:
    """All that is shown for a point x and a second point x', in float64.

    Paths are in the order of ``paths.enumerate_paths``; "pre_activations" are the value network's, "sum" is ⟨φ_x, v⟩,
    "output" the same computed forwards, "overlap" Λ, "inner" Σ = ⟨x, x'⟩ with the constants, "kernel" H = Σ·Λ, and
    "gram" ⟨φ_x, φ_x'⟩.
    """
    both = torch.tensor([[*x, *constants], [*x2, *constants]], dtype=torch.float64)
    matrices, makers = ([weight.double() for weight in one.weights] for one in (network, _makers(network)))
    z, own, pre_activations, gates = both, both, [], []
    for matrix, maker in zip(matrices[:-1], makers, strict=False):
        pre_activations.append(z @ matrix.T)
        own = (own @ maker.T).relu()
        gates.append(hard_gate(own))
        z = pre_activations[-1] * gates[-1]
    output = z @ matrices[-1].T
    first, second = ([gate[k : k + 1] for gate in gates] for k in (0, 1))
    phi, v = paths.neural_path_feature(both, gates), paths.neural_path_value(matrices)[:, 0]
    found = {"pre_activations": [q[0].tolist() for q in pre_activations]}
    for k, suffix in enumerate(("", "2")):
        found[f"gates{suffix}"] = [gate[k].int().tolist() for gate in gates]
        found[f"open{suffix}"] = both.shape[1] * int(paths.active_paths(gates)[k])
        found[f"features{suffix}"] = phi[k].tolist()
        found[f"output{suffix}"] = float(output[k, 0])
    return found | {
        "values": v.tolist(),
        "products": (phi[0] * v).tolist(),
        "sum": float(phi[0] @ v),
        "overlap": float(kernels.path_overlap(first, second)),
        "inner": float(both[0] @ both[1]),
        "kernel": float(kernels.neural_path_kernel(both[:1], first, both[1:], second)),
        "gram": float(phi[0] @ phi[1]),
    }


class Region(NamedTuple):
    """A part of the plane on which all gates are constant, so that the network is linear in its inputs."""

    gates: tuple
    corners: np.ndarray  # [k, 2] of the convex polygon, in order
    slope: np.ndarray  # the output's derivative by each input: the sum of v over the open paths from it


def regions(network, constants=()) -> list[Region]:
    """The linear regions of a network in the square."""
    found = []
    for gates, corners in explorer.regions(network, constants)[0].items():
        forward = np.eye(2 + len(constants))
        for weight, on in zip(network.weights, (*gates, (1,)), strict=True):
            forward = np.array(on)[:, None] * (weight.detach().double().numpy() @ forward)
        found.append(Region(gates, corners, forward[0]))
    return found


def _makers(network):
    """The network whose pre-activations decide the gates."""
    return getattr(network, "feature", network)
