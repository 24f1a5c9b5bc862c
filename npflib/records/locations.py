"""Where things lie: the project, a build's products, the published records."""

import os
from pathlib import Path

from npflib import profiles


def project() -> Path:
    """The project's root: the nearest folder, from here upwards, that holds ``npflib/`` and ``notebooks/``.

    Outside a checkout it is the one that the library runs from; installed on its own, the current folder.

    Example:
        >>> from npflib.records import locations
        >>> locations.project() / "results" == locations.published()
        True
    """
    here = Path.cwd()
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "notebooks").is_dir() and (folder / "npflib").is_dir():
            return folder
    return here


def expanded(given: str | os.PathLike, what: str) -> Path:
    """A folder's path with ~ written out; a ValueError where that is the home of nobody.

    Example:
        >>> from npflib.records import locations
        >>> locations.expanded("mine", "the build folder").as_posix()
        'mine'
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise ValueError(f"{what} {str(given)!r} begins with the home folder of a user that there is not.") from None


def build(profile: str, given: str | os.PathLike = "") -> Path:
    """A profile's build folder: the one given, else NPF_BUILD, else ``build`` (quick) or ``build/<profile>``.

    Raises:
        ValueError: unknown profile.

    Example:
        >>> from npflib.records import locations
        >>> locations.build("quick", given="mine").name
        'mine'
    """
    profiles.find(profile)
    chosen = str(given) or os.environ.get("NPF_BUILD", "")
    if chosen:
        return expanded(chosen, "the build folder").resolve()
    return project() / "build" if profile == "quick" else project() / "build" / profile


def published() -> Path:
    """The published full-budget records; an absent folder holds none.

    Example:
        >>> from npflib.records import locations
        >>> locations.published().name
        'results'
    """
    return project() / "results"
