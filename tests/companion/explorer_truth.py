"""What the gate explorer's page must show for two points of the plane, computed with the library."""

import torch

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


def _makers(network):
    """The network whose pre-activations decide the gates."""
    return getattr(network, "feature", network)
