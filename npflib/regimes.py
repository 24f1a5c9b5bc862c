"""The training regimes: where the gates of a network come from, and what is trained. The paper compares five::

    ReLU        a ReLU network; its gates are its own
                deep gated networks, whose gates a second network of the same shape, the feature network, makes:
    DLNPF       soft gates; the feature network starts at random and learns beside the values
    FLNPF       hard gates, frozen as a trained ReLU network has them
    FRNPF (DI)  hard gates, frozen, of a feature network with the value network's own start (dependent initialisation)
    FRNPF (II)  hard gates, frozen, of a feature network with a random start of its own (independent initialisation)

DLGN is DLNPF with a feature network without ReLU (Lakshminarayanan & Singh 2021, arXiv 2110.03403). FLNPF-stage-k has
the gates of the ReLU network not when trained, but at stage k of its training.

A regime is data, and what it says stands in the configuration of each of its runs (:func:`definition`), so that a
changed one reuses no old record, and a new one (:func:`register`) makes no other run invalid. torch is imported only
where networks are built, so that planning stays light.

Source: Lakshminarayanan & Singh (2020).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from types import MappingProxyType
from typing import TYPE_CHECKING

from npflib import checks

if TYPE_CHECKING:
    from npflib.networks import Architecture, DeepGatedNetwork, ReLUNetwork


FEATURES = ("own", "random", "value", "learnt")


@dataclass(frozen=True)
class Regime:
    """One way of having gates. A ValueError refuses fields that contradict each other.

    Attributes:
        name: identifier, as in records and on the command line: letters, digits and hyphens.
        title: what a reader sees: a short label, and after a colon what it means.
        gate: "own" (a ReLU network), or the DGN's: "soft", "hard" or another name in ``gates.GATES``.
        feature: where the feature network's weights come from: "own" (there is none), "random", "value" (the value
            network's initial weights) or "learnt" (a trained ReLU network); ``trains_feature``: whether they learn too.
        stage: for gates "learnt" in stages, the stage of the ReLU network's training at which they were copied.
        linear: whether the feature network has no ReLU (``networks.DeepLinearNetwork``).

    Example:
        >>> from npflib.regimes import REGIMES
        >>> [name for name, regime in REGIMES.items() if regime.trains_feature]
        ['DLNPF', 'ReLU', 'DLGN']
    """

    name: str
    title: str
    gate: str
    feature: str
    trains_feature: bool
    stage: int | None = None
    linear: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", self.name):
            raise ValueError(f"a regime's name is made of letters, digits and hyphens; got {self.name!r}.")
        if not isinstance(self.title, str) or not self.label:
            raise ValueError(f"regime {self.name} needs a title: a short label, a colon, what it means.")
        for name in ("trains_feature", "linear"):
            checks.flag(getattr(self, name), f"regime {self.name}: {name}")
        if self.stage is not None:
            checks.whole(self.stage, f"regime {self.name}: stage", "training, or None")
        checks.one_of(self.feature, "feature", FEATURES, f"regime {self.name}")
        if (self.gate == "own") != (self.feature == "own") or (self.gate == "own" and not self.trains_feature):
            raise ValueError(f"regime {self.name}: gate, feature 'own' and trains_feature True go together (ReLU).")
        if self.linear:
            checks.one_of(self.feature, "start of a linear feature network", FEATURES[1:3], f"regime {self.name}")

    @property
    def label(self) -> str:
        """The short form of the title, what stands before its colon, for figures and tables."""
        return self.title.partition(":")[0].strip()


# The order is that of figures and tables, as the paper argues: random gates, then learnt.
_REGIMES: dict[str, Regime] = {
    regime.name: regime
    for regime in (
        Regime("FRNPF-II", "FRNPF (II): frozen random gates, independent start", "hard", "random", False),
        Regime("FRNPF-DI", "FRNPF (DI): frozen random gates, shared start", "hard", "value", False),
        Regime("DLNPF", "DLNPF: gates and values learnt side by side", "soft", "random", True),
        Regime("FLNPF", "FLNPF: frozen learnt gates", "hard", "learnt", False),
        Regime("ReLU", "ReLU: the network's own gates", "own", "own", True),
        Regime("DLGN", "DLGN: gates learnt by a linear network", "soft", "random", True, linear=True),
    )
}
REGIMES: Mapping[str, Regime] = MappingProxyType(_REGIMES)


def register(regime: Regime) -> Regime:
    """Makes a regime known for as long as the process lasts, and gives it back; entered in ``_REGIMES`` it is for ever.

    Its gate must be known (``gates.register``) and pass a gradient where the feature network is to learn, its name must
    not be another regime's or read like a stage: else a ValueError. The same regime again changes nothing.

    Example:
        >>> from npflib.regimes import find, register
        >>> register(find("DLNPF")) == find("DLNPF")  # known already: nothing changes
        True
    """
    import torch

    from npflib.gates import GATES

    checks.instance(regime, "a regime", Regime)
    if regime.stage is not None or "-stage-" in regime.name:
        raise ValueError(f"regime {regime.name!r}: stages are made from the name of a regime with learnt gates.")
    if REGIMES.get(regime.name, regime) != regime:
        raise ValueError(f"the name {regime.name!r} is taken by another regime; taken are: {', '.join(REGIMES)}.")
    checks.one_of(regime.gate, "gate", ("own", *GATES), f"regime {regime.name} (new ones: gates.register)")
    if regime.trains_feature and regime.gate != "own":
        with torch.enable_grad():
            passes = GATES[regime.gate](torch.ones(1, requires_grad=True)).requires_grad
        if not passes:
            why = f"no gradient passes through the gate {regime.gate!r}, so the feature network cannot learn"
            raise ValueError(f"regime {regime.name}: {why}; set trains_feature to False or choose another gate.")
    _REGIMES[regime.name] = regime
    return regime


def definition(name: str) -> dict[str, str | bool]:
    """What a run's configuration says of its regime: its fields, and a digest of the gate's code.

    The stage is said elsewhere, by the epoch whose gates were copied. "linear" is said only where true, so that records
    from before there were linear feature networks stay valid.

    Example:
        >>> from npflib.regimes import definition
        >>> definition("FRNPF-DI")["feature"], len(definition("FRNPF-DI")["gate_code"])
        ('value', 16)
    """
    from npflib.gates import GATES
    from npflib.records.fingerprint import code_digest

    chosen = find(name)
    return {
        "gate": chosen.gate,
        "gate_code": code_digest(GATES["hard" if chosen.gate == "own" else chosen.gate]),
        "feature": chosen.feature,
        "trains_feature": chosen.trains_feature,
        **({"linear": True} if chosen.linear else {}),
    }


def find(name: str) -> Regime:
    """The regime of that name; "FLNPF-stage-3" is FLNPF with gates from the third stage of the ReLU network.

    Where there is none, a ValueError lists those there are.

    Example:
        >>> from npflib.regimes import find
        >>> find("FLNPF").feature, find("FLNPF-stage-3").stage
        ('learnt', 3)
    """
    base, _, stage = (name := str(name)).partition("-stage-")
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

    One seed, a whole number ≥ 0, gives every regime the same initial value network, so that regimes differ in their
    gates only. The ReLU network starts from other weights of the same distribution: FLNPF's value network is a fresh
    start and not the start from which its gates were learnt. ``learnt`` is the trained ReLU network of that
    architecture whose gates FLNPF copies, for the other regimes None. The initialisation is "glorot_uniform" with zero
    biases, or "signed": weights ±√(2/w) with probability ½ each, for a fully connected network of width w.

    Example:
        >>> import torch
        >>> from npflib.architectures import FullyConnected
        >>> from npflib.regimes import start
        >>> network = start("FRNPF-DI", FullyConnected(depth=3, width=4, in_features=2), seed=0)
        >>> torch.equal(network.feature.weights[0], network.value.weights[0])  # DI: a shared start
        True
        >>> network.feature.weights[0].requires_grad  # and frozen gates
        False
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
        # Signed weights are for fully connected networks, and what goes into `initialise_` comes out of it.
        return initialise_(network, initialisation, sqrt(2 / arch.width), generator(seed, purpose))  # type: ignore[return-value, union-attr]

    if chosen.gate == "own":
        return drawn("relu")
    # Its own weights are all replaced below: drawn from a stream of their own, they leave torch's global one alone.
    network = DeepGatedNetwork(arch, chosen.gate, generator(seed, "feature"), linear=chosen.linear)
    network.value.load_state_dict(drawn("value").state_dict())
    source = learnt or (network.value if chosen.feature == "value" else drawn("feature"))
    network.feature.load_state_dict(source.state_dict())
    network.feature.requires_grad_(chosen.trains_feature)
    return network
