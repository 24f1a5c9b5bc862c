"""Validation of notebook parameters: a wrong one stops the notebook at once, saying what is allowed."""

import ast
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any


class ParameterError(ValueError):
    """A notebook parameter that is not allowed; the message says what was given and what is."""


def choice(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raises unless ``value`` is one of ``allowed``.

    Example:
        >>> from companion.parameters import choice
        >>> choice("profile", "huge", ["smoke", "quick", "paper"])
        Traceback (most recent call last):
            ...
        companion.parameters.ParameterError: profile = 'huge' is not allowed; choose one of: 'smoke', 'quick', 'paper'.
    """
    if value not in allowed:
        raise ParameterError(f"{name} = {value!r} is not allowed; choose one of: {', '.join(map(repr, allowed))}.")


def number(name: str, value: Any, kind: type = int, least: float | None = None, most: float | None = None) -> None:
    """Raises unless ``value`` is an int (or, with kind=float, a finite number) from ``least`` to ``most``.

    Example:
        >>> from companion.parameters import number
        >>> number("seed", -1, int, least=0)
        Traceback (most recent call last):
            ...
        companion.parameters.ParameterError: seed = -1 is not allowed; it must be a whole number at least 0.
    """
    kinds = (int,) if kind is int else (int, float)
    what = "a whole number" if kind is int else "a finite number"
    limits = (("at least", least), ("at most", most))
    bounds = [f"{word} {limit:,}" for word, limit in limits if limit is not None]
    allowed = " ".join([what, " and ".join(bounds)]).strip()
    wrong = isinstance(value, bool) or not isinstance(value, kinds) or value != value or abs(value) == inf
    if wrong or (least is not None and value < least) or (most is not None and value > most):
        raise ParameterError(f"{name} = {value!r} is not allowed; it must be {allowed}.")


def numbers(name: str, values: Any, kind: type = int, least: float | None = None, most: float | None = None) -> None:
    """Raises unless ``values`` is a list or tuple of one or more numbers that ``number`` accepts.

    Example:
        >>> from companion.parameters import numbers
        >>> numbers("widths", [8, 0], least=1)
        Traceback (most recent call last):
            ...
        companion.parameters.ParameterError: widths[1] = 0 is not allowed; it must be a whole number at least 1.
    """
    if not isinstance(values, list | tuple) or not values:
        raise ParameterError(f"{name} = {values!r} is not allowed; it must be a list of one or more numbers.")
    for index, value in enumerate(values):
        number(f"{name}[{index}]", value, kind, least, most)


def only(namespace: Mapping[str, Any], *names: str) -> None:
    """Raises if a notebook was given a parameter that it does not have.

    Called with ``globals()`` right after the parameters: its own, and those that papermill injected, which lets a
    misspelt name pass. In Jupyter they are what the cells directly before have set, so that variables left over from an
    earlier run in the same kernel are none; elsewhere, all plain values in the namespace.

    Args:
        namespace: the notebook's ``globals()``.
        names: the parameters that it has.

    Example:
        >>> from companion.parameters import only
        >>> only({"profile": "smoke", "sed": 1}, "profile", "seed")
        Traceback (most recent call last):
            ...
        companion.parameters.ParameterError: unknown parameter 'sed'; this notebook has: profile, seed.
    """
    history = namespace.get("In")
    if isinstance(history, list) and history and "only(" in history[-1]:
        given = _set_before(history)
    else:
        plain = (str, int, float, bool, list, tuple, dict, type(None))
        given = [name for name, value in namespace.items() if isinstance(value, plain) and name not in ("In", "Out")]
    for name in given:
        if not name.startswith("_") and name not in names:
            raise ParameterError(f"unknown parameter {name!r}; this notebook has: {', '.join(names)}.")


def _set_before(history: list[str]) -> list[str]:
    """The names that are set by the cells before the last, back to the first that does more than set plain values."""
    found: list[str] = []
    for source in reversed(history[:-1]):
        try:
            body = ast.parse(source).body
        except SyntaxError:
            return found
        if not body or not all(isinstance(node, ast.Assign) and _is_plain(node.value) for node in body):
            return found
        found += [target.id for node in body for target in node.targets if isinstance(target, ast.Name)]  # type: ignore[attr-defined]
    return found


def _is_plain(value: ast.expr) -> bool:
    """Whether an expression is a value as papermill writes it: a literal, or float('nan')."""
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "float"
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def check(profile: str, build: str, seed: int = 0) -> None:
    """Checks the parameters that every notebook has.

    Raises:
        ParameterError: profile is not a known one, build not a text, or seed not a whole number of at least 0.

    Example:
        >>> from companion.parameters import check
        >>> check("quick", build="", seed=0)  # nothing to object to
    """
    from npflib.profiles import PROFILES

    choice("profile", profile, list(PROFILES))
    if not isinstance(build, str):
        raise ParameterError(f"build = {build!r} is not allowed; it must be a folder's name, or '' for the default.")
    number("seed", seed, int, least=0)
