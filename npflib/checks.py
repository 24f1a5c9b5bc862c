"""What functions are given, checked in one place and refused in one sentence: what was given, and what is allowed.

Numbers and names are checked without torch, since planning does without it. A step of training looks at types and
shapes alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import isfinite
from numbers import Real
from sys import float_info
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def whole(value: Any, name: str, of: str = "", least: int = 1) -> int:
    """The value, if it is a whole number of at least ``least``."""
    if type(value) is not int or not least <= value < 2**63:
        kind = "a positive whole number" if least == 1 else f"a whole number of at least {least}"
        most = " below 2^63" if type(value) is int and value >= least else ""
        raise ValueError(f"{name} must be {kind}{most}{of and ' of ' + of}; got {value!r}.")
    return value


def number(value: Any, name: str, least: float | None = None) -> float:
    """The value, if it is a finite number of at least ``least``; without it, a positive one."""
    most = 2**63 - 1 if isinstance(value, int) else float_info.max
    good = isinstance(value, Real) and not isinstance(value, bool) and abs(value) <= most  # type: ignore[operator]
    if not good or (value <= 0 if least is None else value < least):
        kind = "finite and positive" if least is None else f"a finite number of at least {least:g}"
        raise ValueError(
            f"{name} must be {kind}{', below 2^63' * (type(value) is int and value > most)}; got {value!r}."
        )
    return value


def instance(value: Any, name: str, *kinds: type) -> None:
    """Raises a ValueError unless the value is of one of these kinds."""
    if not isinstance(value, kinds):
        allowed = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{name} must be {allowed}; got {_given(value)}.")


def flag(value: Any, name: str) -> None:
    """Raises a ValueError unless the value is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False; got {value!r}.")


def one_of(value: Any, what: str, allowed: Collection[str], of: str = "") -> None:
    """Raises a ValueError unless the value is among those allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"unknown {what} {value!r}{of and ' of ' + of}; allowed: {', '.join(allowed)}.")


def _given(value: Any) -> str:
    """What was given, in words."""
    import torch

    if torch.is_tensor(value):
        return f"{tuple(value.shape)} of {value.dtype}{'' if _dense(value) else f', {value.layout} on {value.device}'}"
    mend = {"ndarray": ": convert it with torch.from_numpy", "list": ": convert it with torch.tensor"}
    kind = "None" if value is None else type(value).__name__
    return kind + mend.get(kind, "")


def _dense(value: Any) -> bool:
    import torch

    return torch.is_tensor(value) and value.layout is torch.strided and value.device.type != "meta"


def tensor(
    value: Any, what: str, shape: str = "", ndim: int | None = None, hint: str = "", kind: str = "real"
) -> Tensor:
    """The value, if it is a dense tensor of numbers, of a "real" or a "floating" type, with ``ndim`` dimensions."""
    if not _dense(value) or value.is_complex() or (kind != "real" and not value.is_floating_point()):
        raise ValueError(f"{what} must be a {kind} tensor{shape and ' ' + shape}; got {_given(value)}.{hint}")
    if ndim is not None and value.ndim != ndim:
        raise ValueError(f"{what} must be {shape}; got {tuple(value.shape)}.{hint}")
    return value


def tensors(values: Any, what: str, shape: str = "", ndim: int | None = None, hint: str = "") -> list[Tensor]:
    """The values as a list, whose source is read once; ``what`` and ``shape`` may hold {}, the layer's number."""
    if not isinstance(values, Iterable):
        raise ValueError(f"{what.format('…')} must be given in a list, one tensor a layer; got {_given(values)}.")
    return [tensor(value, what.format(n), shape.format(n), ndim, hint) for n, value in enumerate(values, start=1)]


def examples(x: Tensor | None, gates: Iterable[Tensor]) -> tuple[Tensor | None, list[Tensor]]:
    """x [n, d_in] and the list of gates [n, w_l], if they are such for the same n; without x, one layer or more."""
    if x is not None:
        tensor(x, "inputs", "[n, d_in]", 2, " Flatten images with x.flatten(1).")
    hint = " These formulas are for fully connected networks."
    layers = tensors(gates, "gates of hidden layer {}", "[n, w_{}]", 2, hint)
    if x is None and not layers:
        raise ValueError("gates must hold at least one tensor [n, w_l]; got none.")
    n = len(layers[0] if x is None else x)
    for layer, gate in enumerate(layers, start=1):
        if len(gate) != n:
            raise ValueError(f"gates of hidden layer {layer} are for {len(gate)} examples, expected {n}.")
    return x, layers


def labelled(x: Tensor, labels: Tensor, which: str = "") -> None:
    """Raises a ValueError unless inputs [n, …] have a finite label each, and there are one or more."""
    found = finite(tensor(labels, f"{which}labels", "[n]", 1), f"{which}labels").shape
    if found != tensor(x, f"{which}inputs").shape[:1] or not len(labels):
        given = f"inputs {tuple(x.shape)} and labels {tuple(labels.shape)}"
        raise ValueError(f"{which}inputs must be [n, …] with n ≥ 1 and a label each; got {given}.")


def hard(gates: Iterable[Tensor], why: str) -> None:
    """Raises a ValueError unless all gates are 0 or 1."""
    for layer, gate in enumerate(gates, start=1):
        if not bool(((gate == 0) | (gate == 1)).all()):
            raise ValueError(f"gates of hidden layer {layer} must be hard, 0 or 1: {why}.")


def finite(value: Tensor, what: str, mend: str = "") -> Tensor:
    """The tensor, if all its numbers are finite."""
    import torch

    # A finite sum has finite terms, and takes one pass; finite terms may have a sum beyond the type's range.
    if not isfinite(value.sum().item()) and not bool(torch.isfinite(value).all()):
        raise ValueError(f"{what} must hold finite numbers; some are not finite.{mend}")
    return value


def floating(dtype: torch.dtype | None, like: Tensor) -> torch.dtype:
    """The type to compute a kernel in: the one given, else that of ``like``; float64 for whole numbers."""
    import torch

    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(f"kernels are computed in a floating type, such as torch.float64; got dtype {dtype}.")
    return dtype or (like.dtype if like.is_floating_point() else torch.float64)


def together(x2: Any, gates2: Any) -> bool:
    """Whether other inputs are given; a ValueError if they are without their gates, or gates without inputs."""
    if (x2 is None) != (gates2 is None):
        missing = "gates2" if gates2 is None else "x2"
        raise ValueError(f"x2 and gates2 belong together: {missing} is missing. Give both, or neither.")
    return x2 is not None
