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
    """A folder's path with ~ written out; a ValueError where that is the home of nobody, or no name of a folder."""
    try:
        path = Path(given).expanduser()
        path.is_dir()  # asks the system, which refuses names that are too long
    except RuntimeError:
        raise ValueError(f"{what} {str(given)!r} begins with the home folder of a user that there is not.") from None
    except (OSError, TypeError) as error:
        raise ValueError(f"{what} {str(given)[:80]!r} is no folder's name ({str(error)[:80]}): give another.") from None
    if "\0" in str(path):
        raise ValueError(f"{what} {given!r} holds a null character, which no folder's name does: leave it out.")
    return path


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
