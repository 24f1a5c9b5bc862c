"""Files that appear whole or not at all: written under a temporary name in the same folder, then renamed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a binary file that takes ``path``'s place when the block ends well, and vanishes otherwise.

    Its content is on the disk before the rename, so that a crash leaves the old file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False)  # noqa: SIM115
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


def write_text(path: Path, text: str) -> None:
    """Writes text in UTF-8, atomically."""
    with replacing(path) as file:
        file.write(text.encode())


def write_with(path: Path, save: Callable[[BinaryIO], object]) -> None:
    """Lets ``save`` write to a file object, atomically."""
    with replacing(path) as file:
        save(file)
