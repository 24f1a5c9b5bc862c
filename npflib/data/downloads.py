"""Fetching a data set through torchvision, so that it arrives whole or not at all and never takes for ever.

torchvision waits on its servers without limit and writes into place as it goes. Here a server must answer a small
request before anything starts, every wait on it is limited, and the files are moved into the data folder only once all
of them are there and their checksums are right.
"""

import logging
import queue
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path
from tempfile import mkdtemp

PROBE_SECONDS = 6.0
"""How long all of a data set's servers together have to answer a first request, resolving their names included."""

STALL_SECONDS = 6.0
"""How long a download may stand still before it counts as failed."""

REMEMBER_SECONDS = 60.0
"""For how long servers that did not answer are not asked again: a notebook loads its data several times."""

log = logging.getLogger("npflib")
_silent_since: dict[tuple[str, ...], float] = {}


class DownloadError(RuntimeError):
    """The data could not be fetched; the message says why, in words fit for a caption."""


def checksum(path: Path) -> str:
    """MD5 of a file, as torchvision states it for its data sets."""
    digest = md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fetch_mnist(root: Path, expected: Mapping[str, str]) -> None:
    """Fetches MNIST by torchvision into ``root``; see :func:`fetch_cifar10`."""
    from torchvision import datasets

    archive = datasets.MNIST.resources[0][0]
    mirror = first_to_answer([server + archive for server in datasets.MNIST.mirrors]).removesuffix(archive)

    class MNIST(datasets.MNIST):  # torchvision names the folder after the class
        mirrors = [mirror, *(other for other in datasets.MNIST.mirrors if other != mirror)]  # noqa: RUF012

    _fetch(MNIST, root, expected)


def fetch_cifar10(root: Path, expected: Mapping[str, str]) -> None:
    """Fetches CIFAR-10 by torchvision into ``root``.

    Interrupted at any moment, Ctrl-C included, it leaves no part of the data set behind; a process killed outright
    may leave a folder ``.npflib-download-…``, which nothing reads.

    Args:
        root: the data folder, made if need be.
        expected: path below ``root`` → MD5 of every file that must have arrived.

    Raises:
        DownloadError: no server answered, one stopped answering, the files are not what they should be, or
            they cannot be written.
    """
    from torchvision import datasets

    first_to_answer([datasets.CIFAR10.url])
    _fetch(datasets.CIFAR10, root, expected)


def first_to_answer(addresses: Sequence[str], seconds: float | None = None) -> str:
    """Asks all addresses at once for the beginning of their file; returns the one that answers first.

    The requests run in threads that are left behind when time is up, since a name resolver cannot be interrupted. They
    go the way of torchvision's own (urllib), through a proxy where one is configured.

    Args:
        addresses: complete addresses of a file.
        seconds: time for all of it; ``PROBE_SECONDS`` if not given.

    Raises:
        DownloadError: none answered in time, or less than ``REMEMBER_SECONDS`` ago none did.
    """
    seconds = PROBE_SECONDS if seconds is None else seconds
    key = tuple(addresses)
    if time.monotonic() - _silent_since.get(key, -REMEMBER_SECONDS) < REMEMBER_SECONDS:
        raise DownloadError("no network")
    answers: queue.Queue[str | None] = queue.Queue()
    for address in addresses:
        threading.Thread(target=_ask, args=(address, seconds, answers), daemon=True).start()
    deadline = time.monotonic() + seconds
    for _ in addresses:
        try:
            answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if answer is not None:
            return answer
    _silent_since[key] = time.monotonic()
    raise DownloadError("no network")


def _ask(address: str, seconds: float, answers: "queue.Queue[str | None]") -> None:
    try:
        with urllib.request.urlopen(address, timeout=seconds) as response:
            alive = bool(response.read(1))
    except urllib.error.HTTPError as refusal:
        refusal.close()
        alive = False
    except Exception:  # whatever it was, this server is of no use now; others may be
        alive = False
    answers.put(address if alive else None)


def _fetch(kind: type, root: Path, expected: Mapping[str, str]) -> None:
    try:
        # On the same file system as the data folder, so that moving into place is a rename.
        near = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
        workshop = Path(mkdtemp(prefix=".npflib-download-", dir=near))
    except OSError as error:
        raise DownloadError(f"the data folder cannot be written ({error.strerror})") from error
    try:
        log.info("downloading %s into %s", kind.__name__, root)
        try:
            with _limited_waits(STALL_SECONDS):
                kind(str(workshop), download=True)
        except Exception as error:  # torchvision, urllib, tarfile and gzip each have their own
            log.info("the download of %s failed: %r", kind.__name__, error)
            raise DownloadError("the download failed or stood still") from error
        wrong = [name for name, sum_ in expected.items() if _differs(workshop / name, sum_)]
        if wrong:
            raise DownloadError(f"the download brought a wrong {wrong[0]}")
        try:
            _move(workshop, root, list(expected))
        except OSError as error:
            raise DownloadError(f"the data folder cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _differs(path: Path, expected: str) -> bool:
    return not path.is_file() or checksum(path) != expected


def _move(workshop: Path, root: Path, names: Sequence[str]) -> None:
    """Moves what was fetched into the data folder: its top folder in one step, or what it holds file by file."""
    top = Path(names[0]).parts[0]
    for extra in [path for path in (workshop / top).rglob("*") if path.is_file()]:
        if extra.relative_to(workshop).as_posix() not in names:
            extra.unlink()  # the packed files
    root.mkdir(parents=True, exist_ok=True)
    try:
        (workshop / top).rename(root / top)
    except OSError:  # a folder of that name is there and holds something else, or cannot be replaced
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (workshop / name).replace(root / name)


@contextmanager
def _limited_waits(seconds: float) -> Iterator[None]:
    """Limits every wait on a socket made meanwhile, in the whole process: torchvision takes no limit itself."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
