"""Gates: what switches a unit, and with it every path through that unit, on or off; and the gates by name.

A digest of a gate's code stands in the configuration of every run behind it (``regimes.definition``): a new gate makes
no old run invalid, a changed one its own.

Source: Lakshminarayanan & Singh (2020), definition of gates and of soft gates.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from npflib import checks
from npflib.records.fingerprint import code_digest

BETA = 4.0
EPS = 0.1


def hard_gate(q: Tensor) -> Tensor:
    """Hard gate of a ReLU unit, G = 1[q > 0].

    A unit at exactly q = 0 is off, so that ``q * hard_gate(q)`` is ReLU(q) at every q. Zeros and ones of q's shape and
    floating dtype; the gate is piecewise constant, so no gradient flows into q. NaN, neither positive nor not, is a
    ValueError (under ``torch.func.vmap``, where values cannot be looked at, it passes as shut).

    Example:
        >>> import torch
        >>> from npflib.gates import hard_gate
        >>> hard_gate(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([0., 0., 1.])
    """
    checks.tensor(q, "pre-activations", kind="floating", hint=" Convert with q.float().")
    if _holds_nan(q):
        found = (
            f"{int(q.isnan().sum())} of {q.numel():,} pre-activations are NaN: their gates are neither open nor shut"
        )
        raise ValueError(f"{found}. Look for NaN in inputs and weights; training that diverged leaves such weights.")
    return (q > 0).to(q.dtype)


def soft_gate(q: Tensor, beta: float = BETA, eps: float = EPS) -> Tensor:
    """Soft gate G = (1 + ε) / (1 + exp(-β q)) in (0, 1 + ε), which lets the gates learn by gradient.

    Its derivative is ∂G/∂q = β G (1 - G / (1 + ε)). As the steepness β > 0 grows, G tends to (1 + ε)·1[q > 0]; with the
    overshoot ε > 0 an open gate amplifies a little. The paper's experiments use β = 4 and ε = 0.1. q is of any shape
    and floating type, which are the gate's; else, or where β or ε is out of range, a ValueError.

    Example:
        >>> import torch
        >>> from npflib.gates import soft_gate
        >>> soft_gate(torch.tensor([0.0]), eps=1.0)  # at q = 0, half of 1 + ε
        tensor([1.])
    """
    checks.tensor(q, "pre-activations", kind="floating", hint=" Convert with q.float().")
    checks.number(beta, "beta, the steepness of the soft gate,")
    checks.number(eps, "eps, what an open gate adds to 1,", least=0)
    return (1 + eps) * torch.sigmoid(beta * q)


def _holds_nan(q: Tensor) -> bool:
    if not q.numel():
        return False
    try:
        return bool(q.detach().amax().isnan())  # one pass: the maximum is NaN wherever one is
    except RuntimeError:  # under torch.func.vmap, where no number can be looked at
        return False


_GATES: dict[str, Callable[[Tensor], Tensor]] = {"hard": hard_gate, "soft": soft_gate}
GATES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(_GATES)


def register(name: str, gate: Callable[[Tensor], Tensor]) -> None:
    """Makes a gate function, q of any shape → gates of q's shape and dtype, known by a name while the process lasts.

    It is a Python function with a source, of which a digest enters the configuration of every run behind it; what it
    calls, and variables from outside it, do not. A ValueError refuses what is no such function, and a name not of
    lower-case letters, digits and hyphens, "own" (a ReLU network's), or taken by other code.

    Example:
        >>> from npflib.gates import GATES, hard_gate, register
        >>> register("hard", hard_gate)  # known already: nothing changes
        >>> list(GATES)[:2]
        ['hard', 'soft']
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", name) or name == "own":
        raise ValueError(f"a gate's name is made of lower-case letters, digits and hyphens, not 'own'; got {name!r}.")
    digest = code_digest(gate)
    if name in _GATES and code_digest(_GATES[name]) != digest:
        raise ValueError(f"the name {name!r} is taken by another gate; taken are: {', '.join(_GATES)}.")
    q = torch.linspace(-1, 1, 6).reshape(2, 3)
    found = gate(q.clone())
    if not torch.is_tensor(found) or found.shape != q.shape or found.dtype != q.dtype:
        what = f"{tuple(found.shape)}, {found.dtype}" if torch.is_tensor(found) else type(found).__name__
        raise ValueError(f"gate {name!r} must give a tensor of q's shape (2, 3) and dtype torch.float32; got {what}.")
    _GATES[name] = gate
