"""The library's pages of the book: one a package, made of the package's `__all__`; what is not in it has no page."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("npflib", "npflib.theory", "npflib.training", "npflib.data", "npflib.records")
# What a network can do is told with it, also where a class above defines it, but not all that torch's modules can.
_OTHERS = "FullyConnected, GConv, VConv"  # told where they are defined
OPTIONS = {"npflib.networks": f"   :inherited-members: ValueNetwork, Module\n   :exclude-members: {_OTHERS}\n"}


def contents(package: str) -> dict[str, list[str]]:
    """What a package's page documents: module → the names from it, where not simply all that are public.

    It is what its `__all__` names: functions and classes, as the package's own, and modules; packages among these have
    pages of their own, unless they are small ones not in `PACKAGES`.
    """
    names = import_module(package).__all__
    modules = [name for name in names if find_spec(f"{package}.{name}")]
    found = {package: [name for name in names if name not in modules]}
    return found | {f"{package}.{name}": [] for name in modules if f"{package}.{name}" not in PACKAGES}


def write(folder: Path) -> list[str]:
    """Writes `api_<package>.md` for every package; the pages' names."""
    names = []
    for package in PACKAGES:
        parts = []
        for name, members in contents(package).items():
            chosen = f"   :members: {', '.join(members)}\n" if members else "" if name == package else "   :members:\n"
            # A module by its last name: a long one would break in the middle of a word on a phone.
            title = f"# {name}" if name == package else f"## {name.removeprefix(package + '.')}"
            parts.append(f"{title}\n\n```{{eval-rst}}\n.. automodule:: {name}\n{chosen}{OPTIONS.get(name, '')}```\n")
        names.append(f"api_{package.rpartition('.')[2]}")
        (folder / f"{names[-1]}.md").write_text("\n".join(parts), encoding="utf-8")
    return names
