"""Files that appear whole or not at all, written under a temporary name and renamed; and one reader of JSON files."""

import glob
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from platform import node
from tempfile import NamedTemporaryFile
from types import MappingProxyType, UnionType
from typing import Any, BinaryIO, cast, get_args, get_origin


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a binary file that takes ``path``'s place when the block ends well, and vanishes otherwise.

    Its content is on the disk before the rename, so that a crash leaves the old file or the new one. What processes of
    this machine left half written when they were killed goes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.{node()}-"
    for part in path.parent.glob(f"{glob.escape(prefix)}*.part"):
        if not _alive(part.name.removeprefix(prefix).partition(".")[0]):
            part.unlink(missing_ok=True)
    file = NamedTemporaryFile(dir=path.parent, prefix=f"{prefix}{os.getpid()}.", suffix=".part", delete=False)  # noqa: SIM115
    try:
        with file:
            yield cast(BinaryIO, file)  # the wrapper passes everything on to one
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


def _alive(process: str) -> bool:
    """Whether a process of that number runs on this machine, as far as can be seen."""
    if os.name == "posix":  # elsewhere the question itself would end it
        try:
            os.kill(int(process), 0)
        except (OSError, ValueError) as fault:  # there is none; or it is another user's, or no number
            return not isinstance(fault, ProcessLookupError)
    return True


def write_text(path: Path, text: str) -> None:
    """Writes text in UTF-8, atomically."""
    write_with(path, lambda file: file.write(text.encode()))


def write_with(path: Path, save: Callable[[BinaryIO], object]) -> None:
    """Lets ``save`` write to a file object, atomically."""
    with replacing(path) as file:
        save(file)


def read_json(
    path: Path, what: str, mend: str, *, kind: type = dict, schema: int | None = None,
    fields: Mapping[str, Any] = MappingProxyType({}), older: Collection[str] = (), error: type[ValueError] = ValueError,
) -> Any:  # fmt: skip
    """The object (or list) in a JSON file; an error names the file, the fault and the mend, which is a sentence.

    It, or each of a list, must have all ``fields`` (name → type), if any are said, and no others; ``older`` files lack
    some.
    """
    damaged = f"{path} is not a readable {what}"
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    except FileNotFoundError:
        raise error(f"there is no {what} {path}.") from None
    except (OSError, ValueError, RecursionError) as fault:  # what is not UTF-8, JSON or finite is a ValueError
        raise error(f"{damaged} ({fault}). {mend}") from fault
    given = found.get("schema") if isinstance(found, dict) else type(found).__name__
    if not isinstance(found, kind) or (schema is not None and (given != schema or isinstance(given, bool))):
        allowed = ("objects" if kind is dict else "lists") if schema is None else f"schema {schema}"
        raise error(f"{damaged}: it has schema {given!r}; this library reads {allowed}. {mend}")
    for entry in found if isinstance(found, list) else [found]:
        there = set(entry) if isinstance(entry, dict) else set()
        missing, extra = sorted(set(fields) - there - set(older)), sorted(there - set(fields))
        if fields and (missing or extra):
            raise error(f"{damaged}: it lacks fields {missing} and has unknown fields {extra}. {mend}")
        if wrong := unfit(cast(dict, entry), fields):
            raise error(f"{damaged}: {wrong}. {mend}")
    return found


def unfit(values: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    """In words, which of the fields (name → type) has a value of another type; "" if none has."""
    for name, hint in fields.items():
        if name in values and not _fits(values[name], hint):
            kind = hint.__name__ if isinstance(hint, type) else hint
            return f"its {name} must be {kind}; it is {repr(values[name])[:80]}"
    return ""


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON, with all that is in it, is of a type; a whole number is a float too, true is none."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Any or kind is UnionType:
        return kind is Any or any(_fits(value, one) for one in inner)
    good = isinstance(value, int | float if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    return good and (not inner or all(_fits(one, inner[-1]) for one in (value.values() if kind is dict else value)))


def _whole(text: str) -> int:
    return int(text if _finite(text) else 0)


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"it holds {text}, a number that is not finite")
    return number
