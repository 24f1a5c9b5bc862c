"""The five training regimes: where the gates come from, and what is trained.

Source: Lakshminarayanan & Singh (2020), sections 4 and 5. torch is imported only where networks are built, so that
planning stays light.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from npflib.networks import Architecture, DeepGatedNetwork, ReLUNetwork


@dataclass(frozen=True)
class Regime:
    """One way of having gates.

    Attributes:
        name: identifier, as in records and on the command line.
        title: what a reader sees.
        gate: "own" (a ReLU network), or the DGN's "soft" or "hard".
        feature: where the feature network's weights come from: "own" (there is none), "random", "value" (the value
            network's initial weights) or "learnt" (a trained ReLU network).
        trains_feature: whether the feature network learns too.
        stage: for gates "learnt" in stages, the stage of the ReLU network's training at which they were copied.
    """

    name: str
    title: str
    gate: str
    feature: str
    trains_feature: bool
    stage: int | None = None


REGIMES: Mapping[str, Regime] = MappingProxyType(
    {
        regime.name: regime
        for regime in (
            Regime("FRNPF-II", "FRNPF (II): frozen random gates, independent start", "hard", "random", False),
            Regime("FRNPF-DI", "FRNPF (DI): frozen random gates, shared start", "hard", "value", False),
            Regime("DLNPF", "DLNPF: gates and values learnt side by side", "soft", "random", True),
            Regime("FLNPF", "FLNPF: frozen learnt gates", "hard", "learnt", False),
            Regime("ReLU", "ReLU: the network's own gates", "own", "own", True),
        )
    }
)


def find(name: str) -> Regime:
    """The regime of that name; "FLNPF-stage-3" is FLNPF with gates from the third stage of the ReLU network.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    base, _, stage = str(name).partition("-stage-")
    known = REGIMES.get(base)
    if name in REGIMES:
        return REGIMES[name]
    if known is None or known.feature != "learnt" or not re.fullmatch(r"[1-9]\d*", stage):
        raise ValueError(f"unknown regime {name!r}; allowed: {', '.join(REGIMES)}, FLNPF-stage-1, FLNPF-stage-2, ….")
    title = f"FLNPF: frozen gates as learnt by stage {stage}"
    return replace(known, name=name, title=title, stage=int(stage))


def start(
    regime: str,
    arch: Architecture,
    seed: int,
    learnt: ReLUNetwork | None = None,
    initialisation: str = "glorot_uniform",
) -> ReLUNetwork | DeepGatedNetwork:
    """The network with which a run of a regime starts; what is frozen does not require gradients.

    One seed gives every regime the same initial value network, so that regimes differ in their gates only. The
    ReLU network starts from other weights of the same distribution: FLNPF's value network is a fresh start and not
    the start from which its gates were learnt.

    Args:
        regime: a name in ``REGIMES``.
        arch: the architecture.
        seed: the run's seed, a whole number ≥ 0.
        learnt: the trained ReLU network whose gates FLNPF copies; for the other regimes None.
        initialisation: "glorot_uniform" with zero biases, or "signed": weights ±√(2/w) with probability ½ each, for a
            fully connected network of width w.

    Raises:
        ValueError: unknown regime, FLNPF without a learnt network or of another architecture, any other with one.
    """
    from npflib.initialisation import initialise_
    from npflib.networks import DeepGatedNetwork, ReLUNetwork
    from npflib.randomness import generator

    chosen = find(regime)
    if (learnt is not None) != (chosen.feature == "learnt"):
        needed = "needs a trained ReLU network" if learnt is None else "takes no trained network"
        raise ValueError(f"regime {regime} {needed} as `learnt`.")
    if learnt is not None and learnt.arch != arch:
        raise ValueError(f"the learnt gates come from {learnt.arch}, but the value network is {arch}.")

    def drawn(purpose: str) -> ReLUNetwork:
        network = ReLUNetwork(arch, generator(seed, purpose))
        if initialisation == "glorot_uniform":
            return network
        return initialise_(network, initialisation, sqrt(2 / arch.width), generator(seed, purpose))

    if chosen.gate == "own":
        return drawn("relu")
    # Its own weights are all replaced below: drawn from a stream of their own, they leave torch's global one alone.
    network = DeepGatedNetwork(arch, chosen.gate, generator(seed, "feature"))
    network.value.load_state_dict(drawn("value").state_dict())
    source = {
        "random": lambda: drawn("feature"),
        "value": lambda: network.value,
        "learnt": lambda: learnt,
    }[chosen.feature]()
    network.feature.load_state_dict(source.state_dict())
    network.feature.requires_grad_(chosen.trains_feature)
    return network
