"""The gate explorer: a small network on a plane as plain data, and all that its page shows at a point.

The page (``book/explorer/``) computes in the reader's browser; its numbers are held to ``at``. The linear regions and
their edges, which do not depend on the points that a reader chooses, are computed here once. A network on the plane has
two inputs, and constants beside them: one that is always 1 is the bias that a network without biases can have. Source:
Lakshminarayanan & Singh (2020), Claims 1 and 2.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from npflib import kernels, paths
from npflib.gates import hard_gate
from npflib.networks import ReLUNetwork

MAX_LISTED = 64  # paths that a page can list and a reader can look through
# Pre-activations below this share of the largest in the square count as zero: corners on an edge that has been drawn.
_ON_THE_EDGE = 1e-9
Gates = tuple[tuple[int, ...], ...]  # layer by layer, 0 or 1


@dataclass(frozen=True)
class Region:
    """A part of the plane on which all gates are constant, so that the network is linear in its inputs."""

    gates: Gates
    corners: np.ndarray  # [k, 2] of the convex polygon, in order
    slope: np.ndarray  # the output's derivative by each input: the sum of v over the open paths from it

    @property
    def open_paths(self) -> int:
        """Number of open paths, from all input nodes together."""
        return len(self.slope) * int(np.prod([sum(layer) for layer in self.gates]))


@dataclass(frozen=True)
class Edge:
    """A straight piece of the line on which a unit's pre-activation is zero: its gate flips there."""

    layer: int  # the unit's, from 0; the number of hidden layers for the output, whose zero level it is
    unit: int
    ends: np.ndarray  # [2, 2]


def regions(
    network: ReLUNetwork, constants: Sequence[float] = (), half: float = 1.0
) -> tuple[list[Region], list[Edge]]:
    """The linear regions of a network in the square [-half, half]², and the edges of units and of the zero level in it.

    The square is cut by one unit after another: within a piece the gates of the layers below are constant, hence a
    unit's pre-activation is linear and cuts along a straight line, and a gate pattern has one convex piece at most.
    """
    weights, constants = _checked(network, constants)
    if not half > 0:
        raise ValueError(f"half is half the side of the square and must be positive; got {half!r}.")
    square = half * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    pieces: list[tuple[np.ndarray, np.ndarray, Gates]] = [(square, np.eye(2 + len(constants)), ())]
    found: list[Edge] = []
    for layer, weight in enumerate(weights[:-1]):
        after = []
        for polygon, forward, gates in pieces:
            rows = weight @ forward  # each unit's pre-activation as a function of the inputs
            parts: list[tuple[np.ndarray, tuple[int, ...]]] = [(polygon, ())]
            for unit, row in enumerate(rows):
                cuts = [(_cut(part, row, constants, half), on) for part, on in parts]
                found += [Edge(layer, unit, line) for (_, _, line), _ in cuts if line is not None]
                sides = [(side, (*on, 1 - k)) for cut, on in cuts for k, side in enumerate(cut[:2])]
                parts = [(side, on) for side, on in sides if side is not None]
            after += [(part, np.array(on)[:, None] * rows, (*gates, on)) for part, on in parts]
        pieces = after
    whole = [Region(gates, polygon, (weights[-1] @ forward)[0]) for polygon, forward, gates in pieces]
    levels = [_cut(region.corners, region.slope, constants, half)[2] for region in whole]
    return whole, found + [Edge(len(weights) - 1, 0, line) for line in levels if line is not None]


def _cut(
    polygon: np.ndarray, row: np.ndarray, constants: Sequence[float], half: float
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """A convex polygon's part where row · (x, constants) > 0, its other part, and the line between; None for none."""
    offset = row[2:] @ np.asarray(constants, dtype=float)
    q = polygon @ row[:2] + offset
    q = np.where(np.abs(q) <= _ON_THE_EDGE * (half * np.abs(row[:2]).sum() + abs(offset)), 0.0, q)
    if not (q > 0).any():
        return None, polygon, None
    if not (q < 0).any():
        return polygon, None, None
    positive, negative, line = [], [], []
    for here, value, there, other in zip(polygon, q, np.roll(polygon, -1, 0), np.roll(q, -1), strict=True):
        if value >= 0:
            positive.append(here)
        if value <= 0:
            negative.append(here)
        if value == 0:
            line.append(here)
        if value * other < 0:
            crossing = here + value / (value - other) * (there - here)
            for side in (positive, negative, line):
                side.append(crossing)
    return np.array(positive), np.array(negative), np.array(line)


def at(
    network: ReLUNetwork, x: Sequence[float], x2: Sequence[float], constants: Sequence[float] = ()
) -> dict[str, Any]:
    """All that the explorer shows for a point x and a second point x', in float64.

    Paths are in the order of ``paths.enumerate_paths``; "sum" is ⟨φ_x, v⟩, "output" the same computed forwards,
    "overlap" Λ, "inner" Σ = ⟨x, x'⟩ with the constants, "kernel" H = Σ·Λ, and "gram" ⟨φ_x, φ_x'⟩.
    """
    weights, constants = _checked(network, constants)
    for name, point in (("x", x), ("x2", x2)):
        if len(point) != 2 or not all(isfinite(entry) for entry in point):
            raise ValueError(f"{name} must be a point of the plane, two finite numbers; got {list(point)!r}.")
    both = torch.tensor([[*x, *constants], [*x2, *constants]], dtype=torch.float64)
    matrices = [torch.from_numpy(weight) for weight in weights]
    z, pre_activations = both, []
    for matrix in matrices[:-1]:
        pre_activations.append(z @ matrix.T)
        z = pre_activations[-1].relu()
    output = z @ matrices[-1].T
    gates = [hard_gate(q) for q in pre_activations]
    first, second = ([gate[k : k + 1] for gate in gates] for k in (0, 1))
    phi, v = paths.neural_path_feature(both, gates), paths.neural_path_value(matrices)[:, 0]
    overlap = kernels.path_overlap(first, second)
    kernel = kernels.neural_path_kernel(both[:1], first, both[1:], second)
    found: dict[str, Any] = {"pre_activations": [q[0].tolist() for q in pre_activations]}
    for k, suffix in enumerate(("", "2")):
        found[f"gates{suffix}"] = [gate[k].int().tolist() for gate in gates]
        found[f"open{suffix}"] = both.shape[1] * int(paths.active_paths(gates)[k])
        found[f"features{suffix}"] = phi[k].tolist()
        found[f"output{suffix}"] = float(output[k, 0])
    return found | {
        "values": v.tolist(),
        "products": (phi[0] * v).tolist(),
        "sum": float(phi[0] @ v),
        "overlap": float(overlap),
        "inner": float(both[0] @ both[1]),
        "kernel": float(kernel),
        "gram": float(phi[0] @ phi[1]),
    }


def export(
    network: ReLUNetwork, *, start: tuple[Sequence[float], Sequence[float]], constants: Sequence[float] = (),
    half: float = 1.0, points: Tensor | None = None, labels: Tensor | None = None,
    colours: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """All that the page needs, which opens at the points ``start``, as plain data that JSON carries without loss."""
    weights, constants = _checked(network, constants)
    paths = network.arch.paths  # type: ignore[union-attr]  # fully connected: checked
    if paths > MAX_LISTED:
        too_large = f"a network with {paths:,} paths is too large for the page, which lists every path"
        raise ValueError(f"{too_large}: at most {MAX_LISTED}. Use fewer units or layers.")
    for point in start:
        if len(point) != 2 or not all(abs(entry) <= half for entry in point):
            raise ValueError(f"start must be two points in the square of half side {half:g}; got {list(start)!r}.")
    points, labels = (torch.empty(0, 2), torch.empty(0)) if points is None and labels is None else (points, labels)
    if points is None or labels is None or points.shape != (len(labels), 2):
        raise ValueError("points must be [n, 2] and labels [n], both or neither; got other shapes.")
    pieces, lines = regions(network, constants, half)
    hidden, drawn = len(weights) - 1, zip(points.tolist(), labels.tolist(), strict=True)
    return {
        "weights": [weight.tolist() for weight in weights],
        "constants": list(constants),
        "half": float(half),
        "start": [[float(entry) for entry in point] for point in start],
        "examples": [[*point, int(label)] for point, label in drawn],
        "colours": dict(colours or {}),
        "regions": [{"gates": r.gates, "corners": r.corners.tolist(), "open": r.open_paths} for r in pieces],
        "edges": [{"layer": e.layer, "unit": e.unit, "ends": e.ends.tolist()} for e in lines if e.layer < hidden],
        "level": [e.ends.tolist() for e in lines if e.layer == hidden],
    }


def html(data: Mapping[str, Any], script: str, style: str) -> str:
    """The interactive part of the page, whole: style, data and script in one piece that asks for no other file."""
    for name, text in (("script", script), ("style", style)):
        if f"</{name}" in text.lower():
            raise ValueError(f"the {name} holds '</{name}', which would end it on the page. Write it in two parts.")
    # "</" cannot occur in the numbers, but a colour is a text; "<\/" means the same in JSON.
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True).replace("</", "<\\/")
    return (
        f'<style>{style}</style>\n<div class="npf-explorer">\n<script type="application/json">{text}</script>\n'
        "<p>The interactive figure needs JavaScript. The picture and the table below show the same for two points.</p>"
        f"\n</div>\n<script>{script}</script>"
    )


def open_table(shown: Mapping[str, Any], widths: Sequence[int]) -> Iterator[tuple[str, float, float, float, float]]:
    """The paths with φ_x ≠ 0, by name, e.g. "1→3→2": φ_x, v, φ_x · v, φ_x'. ⟨φ_x, v⟩ and ⟨φ_x, φ_x'⟩ need no more."""
    columns = zip(*(shown[name] for name in ("features", "values", "products", "features2")), strict=True)
    for nodes, (phi, v, product, phi2) in zip(paths.enumerate_paths(widths).tolist(), columns, strict=True):
        if phi:
            yield "→".join(str(node + 1) for node in nodes), phi, v, product, phi2


def _checked(network: ReLUNetwork, constants: Sequence[float]) -> tuple[list[np.ndarray], tuple[float, ...]]:
    """The weights in float64, and the constants, of a network on the plane."""
    arch: Any = getattr(network, "arch", None)
    if not isinstance(network, ReLUNetwork) or getattr(arch, "depth", 0) < 2 or arch.bias or arch.out_features != 1:
        raise ValueError(
            "the explorer shows a ReLUNetwork of the FullyConnected architecture with at least one hidden layer, one "
            f"output and bias=False; got {type(network).__name__} of {arch!r}."
        )
    constants = tuple(float(constant) for constant in constants)
    if arch.in_features != 2 + len(constants) or not all(map(isfinite, constants)):
        needs = f"a network of {arch.in_features} inputs needs {max(arch.in_features - 2, 0)} finite constants"
        raise ValueError(f"{needs} beside the plane's two coordinates; got {list(constants)}.")
    return [weight.detach().double().numpy() for weight in network.weights], constants
