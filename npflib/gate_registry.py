"""The gates that a deep gated network can have, by name. A new gate function is written here, or registered.

A digest of the gate's code stands in the configuration of every run behind it (``regimes.definition``), so that this
file is no part of the fingerprint of the training code: a new gate makes no old run invalid, a changed one its own.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from npflib.gates import hard_gate, soft_gate
from npflib.source_hash import code_digest

_GATES: dict[str, Callable[[Tensor], Tensor]] = {"hard": hard_gate, "soft": soft_gate}
GATES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(_GATES)


def register(name: str, gate: Callable[[Tensor], Tensor]) -> None:
    """Makes a gate function known by a name, for as long as the process lasts.

    Args:
        name: lower-case letters, digits and hyphens; not "own", which is a ReLU network's.
        gate: pre-activations q of any shape → gates of q's shape and dtype. A Python function with a source: a digest
            of its code becomes part of every run's configuration, so that a changed gate reuses no old record. What
            the function calls, and variables from outside it, do not enter the digest.

    Raises:
        ValueError: a name that is not allowed or taken by other code, or something that is not such a function.

    Example:
        >>> from npflib.gate_registry import GATES, register
        >>> from npflib.gates import hard_gate
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
