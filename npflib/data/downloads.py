"""Fetching a data set through torchvision, so that it arrives whole or not at all and never takes for ever.

torchvision waits on its servers without limit and writes into place as it goes. Here a server must answer a small
request before anything starts, every wait on it is limited, and the files are moved into the data folder only once all
of them are there and their checksums are right.
"""

import logging
import queue
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import file_digest, md5
from pathlib import Path
from tempfile import TemporaryDirectory

PROBE_SECONDS = 6.0  # all of a data set's servers together have them to answer a first request, names resolved included
STALL_SECONDS = 6.0  # how long a download may stand still before it counts as failed
REMEMBER_SECONDS = 60.0  # servers that did not answer are not asked again so soon: a notebook loads its data often
log = logging.getLogger("npflib")
_silent_since: dict[tuple[str, ...], float] = {}


class DownloadError(RuntimeError):
    """The data could not be fetched; the message says why, in words fit for a caption."""


def checksum(path: Path) -> str:
    """MD5 of a file, as torchvision states it for its data sets."""
    with path.open("rb") as file:
        return file_digest(file, partial(md5, usedforsecurity=False)).hexdigest()


def fetch_mnist(root: Path, expected: Mapping[str, str]) -> None:
    """Fetches MNIST by torchvision into ``root``: path below it → MD5 of every file that must arrive."""
    from torchvision import datasets

    archive = datasets.MNIST.resources[0][0]
    mirror = first_to_answer([server + archive for server in datasets.MNIST.mirrors]).removesuffix(archive)

    class MNIST(datasets.MNIST):  # torchvision names the folder after the class
        mirrors = [mirror, *(other for other in datasets.MNIST.mirrors if other != mirror)]  # noqa: RUF012

    _fetch(MNIST, root, expected)


def fetch_cifar10(root: Path, expected: Mapping[str, str]) -> None:
    """The same for CIFAR-10."""
    from torchvision import datasets

    first_to_answer([datasets.CIFAR10.url])
    _fetch(datasets.CIFAR10, root, expected)


def first_to_answer(addresses: Sequence[str]) -> str:
    """The address of a file that answers first of all, asked at once; a DownloadError if none does, or lately none did."""
    # In threads that are left behind when time is up, since a name resolver cannot be interrupted; and by urllib, as
    # torchvision asks, so that the request goes through a proxy where one is configured.
    key = tuple(addresses)
    if time.monotonic() - _silent_since.get(key, -REMEMBER_SECONDS) < REMEMBER_SECONDS:
        raise DownloadError("no network")
    answers: queue.Queue[str] = queue.Queue()
    for address in addresses:
        threading.Thread(target=_ask, args=(address, answers), daemon=True).start()
    deadline = time.monotonic() + PROBE_SECONDS
    with suppress(queue.Empty):
        for _ in addresses:
            if answer := answers.get(timeout=max(0.0, deadline - time.monotonic())):
                return answer
    _silent_since[key] = time.monotonic()
    raise DownloadError("no network")


def _ask(address: str, answers: "queue.Queue[str]") -> None:
    alive = False
    try:
        with urllib.request.urlopen(address, timeout=PROBE_SECONDS) as response:
            alive = bool(response.read(1))
    except urllib.error.HTTPError as refusal:
        refusal.close()
    except Exception as error:  # whatever it was, this server is of no use now; others may be
        log.debug("%s does not answer: %r", address, error)
    answers.put(address if alive else "")


def _fetch(kind: type, root: Path, expected: Mapping[str, str]) -> None:
    """Fetches a data set into a folder of its own, which nothing reads, and moves it from there, whole."""
    before = socket.getdefaulttimeout()
    try:
        # On the same file system as the data folder, so that moving into place is a rename.
        near = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
        with TemporaryDirectory(prefix=".npflib-download-", dir=near, ignore_cleanup_errors=True) as workshop:
            log.info("downloading %s into %s", kind.__name__, root)
            try:
                # Every wait on a socket made meanwhile, in the whole process: torchvision takes no limit itself.
                socket.setdefaulttimeout(STALL_SECONDS)
                kind(workshop, download=True)
            except Exception as error:  # torchvision, urllib, tarfile and gzip each have their own
                log.info("the download of %s failed: %r", kind.__name__, error)
                raise DownloadError("the download failed or stood still") from error
            finally:
                socket.setdefaulttimeout(before)
            for name, expected_sum in expected.items():
                path = Path(workshop, name)
                if not path.is_file() or checksum(path) != expected_sum:
                    raise DownloadError(f"the download brought a wrong {name}")
            _move(Path(workshop), root, list(expected))
    except OSError as error:
        raise DownloadError(f"the data folder cannot be written ({error.strerror})") from error


def _move(workshop: Path, root: Path, names: Sequence[str]) -> None:
    """Moves what was fetched into the data folder: its top folder in one step, or what it holds file by file."""
    top = Path(names[0]).parts[0]
    for path in list((workshop / top).rglob("*")):
        if path.is_file() and path.relative_to(workshop).as_posix() not in names:
            path.unlink()  # the packed files
    root.mkdir(parents=True, exist_ok=True)
    try:
        (workshop / top).rename(root / top)
    except OSError:  # a folder of that name is there and holds something else, or cannot be replaced
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (workshop / name).replace(root / name)
