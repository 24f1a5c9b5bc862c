"""The gate explorer: the paper's experiment on a plane, as plain data, and all that its page shows.

The page (``book/explorer/``) trains, cuts and sums in the reader's browser; it is held to ``descend``, ``regions`` and,
at a point, to the library (``tests/companion/explorer_truth.py``). A network on the plane has two inputs, and constants
beside them: one that is always 1 is the bias that a network without biases can have. Source: Lakshminarayanan & Singh
(2020), Claims 1, 2 and 6.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from npflib import regimes
from npflib.architectures import FullyConnected
from npflib.networks import DeepGatedNetwork, ReLUNetwork

Network = ReLUNetwork | DeepGatedNetwork
# Pre-activations below this share of the largest in the square count as zero: corners on an edge that has been drawn.
_ON_THE_EDGE = 1e-9
HALF = 1.0  # of the side of the square that is shown
Gates = tuple[tuple[int, ...], ...]  # layer by layer, 0 or 1
Part = np.ndarray | None


class Edge(NamedTuple):
    """A straight piece of the line on which a unit's pre-activation is zero: its gate flips there."""

    layer: int  # the unit's, from 0
    unit: int
    ends: np.ndarray  # [2, 2]


@dataclass(frozen=True)
class Task:
    """Two classes in the square [-1, 1]², and the training of a network that is to tell them apart.

    Points are [n, 2] and labels [n], -1 or +1, to learn from and to be tested on; ``constants`` are inputs beside the
    plane's two. ``steps`` of gradient descent at a fixed ``rate`` take all n examples each time.
    """

    points: Tensor
    labels: Tensor
    tests: Tensor
    answers: Tensor
    constants: tuple[float, ...] = ()
    rate: float = 0.3
    steps: int = 1000

    def inputs(self, points: Tensor) -> Tensor:
        """Points [n, 2] with the constants beside them, in float64."""
        constants = torch.tensor(self.constants, dtype=torch.float64)
        return torch.cat([points.double(), constants.expand(len(points), -1)], 1)

    def right(self, network: Network) -> float:
        """Share of the test points on the right side of zero."""
        with torch.no_grad():
            return float((network(self.inputs(self.tests))[:, 0] * self.answers > 0).double().mean())


def begin(regime: str, arch: FullyConnected, seed: int, learnt: ReLUNetwork | None = None) -> Network:
    """``regimes.start`` in float64: the weights drawn in float32 as they are, and learnt ones, too."""
    network = regimes.start(regime, arch, seed, learnt).double()
    if isinstance(network, DeepGatedNetwork) and learnt is not None:
        network.feature.load_state_dict(learnt.state_dict())
    return network


def descend(network: Network, task: Task, steps: int) -> list[float]:
    """Gradient descent in place on L = (1/n) Σ log(1 + exp(-y ŷ)): L before each step and after all, [steps + 1]."""
    inputs, losses = task.inputs(task.points), []
    learning = [weight for weight in network.weights if weight.requires_grad]
    for left in range(steps, -1, -1):
        loss = softplus(-task.labels * network(inputs)[:, 0]).mean()
        losses.append(float(loss.detach()))
        if left:
            gradients = torch.autograd.grad(loss, learning)
            with torch.no_grad():
                for weight, gradient in zip(learning, gradients, strict=True):
                    weight -= task.rate * gradient
    return losses


def regions(network: Network, constants: Sequence[float] = ()) -> tuple[dict[Gates, np.ndarray], list[Edge]]:
    """A network's linear regions in the square [-1, 1]², gates → corners [k, 2] in order, and the edges in it.

    The square is cut by one unit after another: within a piece the gates of the layers below are constant, hence a
    unit's pre-activation is linear and cuts along a straight line, and a gate pattern has one convex piece at most. In
    a deep gated network units of the feature network cut, and the output, which is the value network's, may jump there.
    """
    source = network if isinstance(network, ReLUNetwork) else network.feature
    makers = [weight.detach().double().numpy() for weight in source.weights]
    square = HALF * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    pieces: list[tuple[np.ndarray, np.ndarray, Gates]] = [(square, np.eye(2 + len(constants)), ())]
    found: list[Edge] = []
    for layer, weight in enumerate(makers[:-1]):
        after = []
        for polygon, forward, gates in pieces:
            rows = weight @ forward  # each unit's pre-activation as a function of the inputs
            parts: list[tuple[np.ndarray, tuple[int, ...]]] = [(polygon, ())]
            for unit, row in enumerate(rows):
                cuts = [(_cut(part, row, constants), on) for part, on in parts]
                found += [Edge(layer, unit, line) for (_, _, line), _ in cuts if line is not None]
                sides = [(side, (*on, 1 - k)) for cut, on in cuts for k, side in enumerate(cut[:2])]
                parts = [(side, on) for side, on in sides if side is not None]
            after += [(part, np.array(on)[:, None] * rows, (*gates, on)) for part, on in parts]
        pieces = after
    return {gates: polygon for polygon, _, gates in pieces}, found


def _cut(polygon: np.ndarray, row: np.ndarray, constants: Sequence[float]) -> tuple[Part, Part, Part]:
    """A convex polygon's part where row · (x, constants) > 0, its other part, and the line between; None for none."""
    offset = row[2:] @ np.asarray(constants, dtype=float)
    q = polygon @ row[:2] + offset
    q = np.where(np.abs(q) <= _ON_THE_EDGE * (HALF * np.abs(row[:2]).sum() + abs(offset)), 0.0, q)
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


def export(
    task: Task, arch: FullyConnected, seeds: Sequence[int], start: Sequence[Sequence[float]], colours: Mapping[str, str]
) -> dict[str, Any]:
    """All that the page needs, which opens at the points ``start``, as plain data that JSON carries without loss.

    Each seed brings the initial weights of the ReLU network, of FLNPF's and FRNPF (II)'s value network, which are the
    same, and of the random feature network.
    """
    starts: list[dict[str, Any]] = []
    for seed in seeds:
        relu, gated = begin("ReLU", arch, seed), begin("FRNPF-II", arch, seed)
        kinds = {"ReLU": relu, "value": gated.value, "random": gated.feature}
        starts.append({"seed": seed} | {name: [w.tolist() for w in one.weights] for name, one in kinds.items()})  # type: ignore[union-attr]
    for point in start:
        if len(point) != 2 or not all(abs(entry) <= HALF for entry in point):
            raise ValueError(f"start must be two points in the square of half side {HALF:g}; got {list(start)!r}.")
    drawn = {"examples": (task.points, task.labels), "held": (task.tests, task.answers)}
    examples = {
        name: [[*point, int(label)] for point, label in zip(points.tolist(), labels.tolist(), strict=True)]
        for name, (points, labels) in drawn.items()
    }
    known = {"starts": starts, "constants": list(task.constants), "half": HALF, "rate": task.rate, "steps": task.steps}
    return known | {"start": [[*map(float, point)] for point in start], "colours": dict(colours)} | examples


def html(data: Mapping[str, Any], script: str, style: str, instead: str = "") -> str:
    """The interactive part of the page, which asks for no other file; without JavaScript ``instead`` stands there."""
    for name, text in (("script", script), ("style", style)):
        if f"</{name}" in text.lower():
            raise ValueError(f"the {name} holds '</{name}', which would end it on the page. Write it in two parts.")
    # "</" cannot occur in the numbers, but a colour is a text; "<\\/" means the same in JSON.
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True).replace("</", "<\\/")
    return (
        f'<style>{style}</style>\n<div class="npf-explorer">\n<script type="application/json">{text}</script>\n'
        f"<p>The interactive figure needs JavaScript. This is where it leads.</p>\n{instead}"
        f"\n</div>\n<script>{script}</script>"
    )
