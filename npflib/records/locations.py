"""Where things lie: the project, a build's products, the published records."""

import os
from pathlib import Path

from npflib import profiles


def project() -> Path:
    """The nearest folder from here upwards, else from this file, with ``npflib/`` and ``notebooks/``; else this one."""
    here = Path.cwd()
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "notebooks").is_dir() and (folder / "npflib").is_dir():
            return folder
    return here


def expanded(given: str | os.PathLike, what: str) -> Path:
    """A folder's path with ~ written out; a ValueError where that is the home of nobody."""
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise ValueError(f"{what} {str(given)!r} begins with the home folder of a user that there is not.") from None


def build(profile: str, given: str | os.PathLike = "") -> Path:
    """A profile's build folder: the one given, else NPF_BUILD, else ``build`` (quick) or ``build/<profile>``."""
    profiles.find(profile)
    chosen = str(given) or os.environ.get("NPF_BUILD", "")
    if chosen:
        return expanded(chosen, "the build folder").resolve()
    return project() / "build" / ("" if profile == "quick" else profile)


def published() -> Path:
    """The published full-budget records; an absent folder holds none."""
    return project() / "results"
