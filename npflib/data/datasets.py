"""MNIST and CIFAR-10 as whole tensors in memory, and where they came from.

torchvision fetches them; what is loaded has passed its checksums. Without the files and without a network a stand-in
takes their place (:mod:`npflib.data.stand_ins`) and says so: in the log, in :class:`Source`, and thereby in every
record, figure and table made from it.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import md5
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from npflib import checks
from npflib.data import downloads, stand_ins
from npflib.records import locations

PARTS = ("train_images", "train_labels", "test_images", "test_labels")
log = logging.getLogger("npflib")


class CorruptDataError(ValueError):
    """A file of a data set is missing while others are there, or it is not what it should be."""


@dataclass(frozen=True)
class Source:
    """Where data came from, and how many examples there are.

    ``title`` is what to call the data in a caption, e.g. "MNIST"; a stand-in's begins with "stand-in:". ``stand_in``
    says whether something else took the place of the data set ``name``, and ``reason`` why, else "". ``checksums`` are
    file → MD5, of everything that was read (or generated).

    Example:
        >>> from npflib.data import Source
        >>> Source("mnist", "stand-in: a sample", True, "there is no network", {}, 4000, 1000).banner()
        'STAND-IN DATA: a sample, because there is no network. Not a test of the paper.'
    """

    name: str
    title: str
    stand_in: bool
    reason: str
    checksums: Mapping[str, str]
    train_examples: int
    test_examples: int

    def as_dict(self) -> dict:
        """The same as plain JSON values; equal to what reading the JSON gives back."""
        return asdict(self)

    def banner(self) -> str:
        """One line to show above what was made from a stand-in; "" for the data set itself."""
        what = self.title.removeprefix("stand-in: ")
        return f"STAND-IN DATA: {what}, because {self.reason}. Not a test of the paper." if self.stand_in else ""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory: N training and M test examples of C channels, H by W pixels.

    Images are [N, C, H, W], or [N, C·H·W] when loaded flat; pixels / 255, or raw ones in uint8. Labels are [N] int64;
    -1.0 and +1.0 after :func:`binary`. ``classes`` are the classes' names, in the order of the labels.

    Example:
        >>> from npflib.data import load
        >>> digits = load("mnist", offline=True)
        >>> digits.classes[:3], digits.train_images.shape[1:]
        (('0', '1', '2'), torch.Size([1, 28, 28]))
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    source: Source
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Kind:
    """What distinguishes the data sets: files with checksums, how to read and fetch them, what stands in."""

    title: str
    files: Mapping[str, str]
    read: Callable[[Path], tuple[Sequence[Tensor], tuple[str, ...]]]
    fetch: Callable[[Path, Mapping[str, str]], None] | None
    stand_in: Callable[[], stand_ins.StandIn] | None
    parts: Mapping[str, str] = field(default_factory=dict)  # for data without files: part → MD5 of its bytes
    archive: str = ""  # the name under which the files are handed out packed


def load(
    name: str,
    root: str | os.PathLike | None = None,
    *,
    offline: bool | None = None,
    flatten: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Dataset:
    """Loads "mnist" or "cifar10" from torchvision's layout, fetching it first where it is absent; or a registered set.

    Every file's checksum is verified. If none of the files is there, torchvision downloads them; if that is not
    allowed, or no server answers within seconds, a stand-in is returned, and a warning in the log of ``npflib`` says
    so. Files that *are* there are never replaced, nor passed over.

    Args:
        root: the folder that holds (or will hold) ``MNIST/raw/`` and ``cifar-10-batches-py/``; if not given, the
            variable ``NPF_DATA`` names it, else it is ``data/`` in the project.
        offline: never touch the network; if not given, the variable ``NPF_OFFLINE`` says so (1 or 0).
        flatten: images are [N, C·H·W] instead of [N, C, H, W].
        dtype: a floating dtype for pixels / 255, or torch.uint8 for the pixels as they are; labels are int64.

    A ValueError refuses an unknown name, dtype, root, ``NPF_OFFLINE`` or ``NPF_DATA``; a CorruptDataError a file that is
    damaged, unreadable, missing beside others, or there in another form or folder, and registered data that are not
    what their checksums say; a FileNotFoundError files that cannot be had where nothing stands in for them.

    Example:
        >>> from npflib.data import load
        >>> digits = load("mnist", offline=True, flatten=True)  # a labelled stand-in where the files are absent
        >>> digits.test_images.shape[1], digits.test_labels.dtype
        (784, torch.int64)
    """
    checks.one_of(name, "data set", _KINDS)
    if not isinstance(dtype, torch.dtype) or not (dtype.is_floating_point or dtype is torch.uint8):
        raise ValueError(f"dtype = {dtype!r} is not allowed; use a floating one (pixels / 255) or torch.uint8.")
    kind = _KINDS[name]
    folder, place = _root(root)
    offline = _offline_by_environment() if offline is None else bool(offline)

    reason = _fetch_if_absent(kind, folder, offline)
    parts: Sequence[Tensor]
    if reason:
        if kind.stand_in is None:
            raise FileNotFoundError(f"{reason}. Looked in {folder}; nothing stands in for them.")
        other = kind.stand_in()
        parts = [torch.from_numpy(getattr(other, part)) for part in PARTS]
        title, checksums, classes = other.title, dict(other.checksums), other.classes
    else:
        parts, classes = kind.read(folder)
        _check_parts(kind, parts)
        title, checksums = kind.title, dict(kind.files) | dict(kind.parts)

    # Copies: the stand-ins are kept for the next call, which must not see what a caller does to them.
    x, u = ((part.flatten(1) if flatten else part).to(dtype, copy=True) for part in parts[::2])
    if dtype.is_floating_point:
        x, u = x.div_(255), u.div_(255)
    y, v = (part.to(torch.int64, copy=True) for part in parts[1::2])
    source = Source(name, title, bool(reason), reason, checksums, len(y), len(v))
    if reason:
        log.warning("%s (Looked in %s.)", source.banner(), place)
    return Dataset(name, x, y, u, v, source, classes)


def names() -> tuple[str, ...]:
    """The data sets that :func:`load` knows.

    Example:
        >>> from npflib.data import names
        >>> names()[:2]
        ('mnist', 'cifar10')
    """
    return tuple(_KINDS)


def digests(parts: Sequence[Tensor]) -> dict[str, str]:
    """MD5 of the bytes of training images, training labels, test images and test labels, by the names in ``PARTS``.

    Example:
        >>> import torch
        >>> from npflib.data import digests
        >>> nothing = torch.empty(0)
        >>> digests([nothing] * 4)["test_labels"]  # MD5 of no bytes at all
        'd41d8cd98f00b204e9800998ecf8427e'
    """
    return {
        name: md5(checks.tensor(part, name).detach().contiguous().numpy().tobytes(), usedforsecurity=False).hexdigest()
        for name, part in zip(PARTS, parts, strict=True)
    }


def register(
    name: str,
    title: str,
    read: Callable[[Path], tuple[Sequence[Tensor], tuple[str, ...]]],
    *,
    files: Mapping[str, str] | None = None,
    parts: Mapping[str, str] | None = None,
    fetch: Callable[[Path, Mapping[str, str]], None] | None = None,
    stand_in: Callable[[], stand_ins.StandIn] | None = None,
) -> None:
    """Makes a data set known to :func:`load` for as long as the process lasts; entered in ``_KINDS`` it is so for ever.

    The same again changes nothing. A ValueError refuses a name that is not allowed or taken, and unfit checksums.

    Args:
        name: lower-case letters and digits; experiments on the data begin with it. ``title`` names it in a caption.
        read: data folder → (training images, training labels, test images, test labels), classes' names. Images are
            uint8 [N, C, H, W], labels whole numbers [N].
        files: file, relative to the data folder → MD5; for data that lie there. Or else
        parts: name in ``PARTS`` → MD5 of its bytes (see :func:`digests`); for data from an installed package, say.
        fetch: (data folder, files) → None: fetches the files, or raises ``downloads.DownloadError``.
        stand_in: what is loaded where the files cannot be had; without it that is an error.

    Example:
        >>> from npflib.data import register
        >>> register("my-data", "Mine", read=lambda folder: ([], ()))
        Traceback (most recent call last):
        ...
        ValueError: a data set's name is made of lower-case letters and digits; got 'my-data'.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9]*", name):
        raise ValueError(f"a data set's name is made of lower-case letters and digits; got {name!r}.")
    if not isinstance(title, str) or not title.strip() or not callable(read):
        raise ValueError(f"data set {name} needs a title and a function `read`; got {title!r} and {read!r}.")
    files, parts = dict(files or {}), dict(parts or {})
    if bool(files) == bool(parts):
        raise ValueError(f"data set {name}: give the checksums of its files or of its parts, one of the two.")
    if parts and set(parts) != set(PARTS):
        raise ValueError(f"data set {name}: parts must be {', '.join(PARTS)}; got {', '.join(map(str, parts))}.")
    if (fetch or stand_in) and not files:
        raise ValueError(f"data set {name}: fetch and stand_in are for data with files.")
    for part, checksum in (files | parts).items():
        if not re.fullmatch(r"[0-9a-f]{32}", str(checksum)):
            raise ValueError(f"data set {name}: the checksum of {part} must be an MD5, 32 digits; got {checksum!r}.")
    kind = _Kind(title, files, read, fetch, stand_in, parts)
    there = _KINDS.get(name, kind)
    if (there.title, there.files, there.parts) != (title, files, parts):
        raise ValueError(f"the name {name!r} is taken by other data; taken are: {', '.join(_KINDS)}.")
    _KINDS[name] = kind


def subset(
    dataset: Dataset, train_examples: int | None = None, test_examples: int | None = None, seed: int = 0
) -> Dataset:
    """Draws a part of a data set in which every class keeps its share.

    A class with n_c of the N examples gets n·n_c/N of the n asked for, rounded down; what that leaves goes one each to
    the classes that lost most by rounding. None, or more than there are, takes all. Within a class the choice is
    random, by ``seed``, whatever is asked of the other part; the examples keep their order, and one seed's larger draw
    holds, class by class, its smaller one. A ValueError refuses what is no positive whole number, or a negative seed.

    Example:
        >>> from npflib.data import load, subset
        >>> few = subset(load("mnist", offline=True), train_examples=100, test_examples=20)
        >>> few.source.train_examples, few.source.test_examples
        (100, 20)
    """
    for what, count in (("train_examples", train_examples), ("test_examples", test_examples)):
        if count is not None:
            checks.whole(count, what, "examples, or None")
    checks.whole(seed, "seed", least=0)
    train = _stratified(dataset.train_labels, train_examples, (seed, 0))
    test = _stratified(dataset.test_labels, test_examples, (seed, 1))
    return _part(dataset, train, test)


def binary(dataset: Dataset, negative: int = 4, positive: int = 7) -> Dataset:
    """Keeps two classes, labelled -1.0 and +1.0 in the images' dtype if that is floating, else float32.

    The defaults are the digits of the paper's experiment on ν (claim 5): 4 is -1, 7 is +1. A ValueError refuses two
    classes that are the same, or one that does not occur in both parts of the data.

    Example:
        >>> from npflib.data import binary, load
        >>> two = binary(load("mnist", offline=True), negative=4, positive=7)
        >>> two.classes, two.train_labels.unique()
        (('4', '7'), tensor([-1.,  1.]))
    """
    if negative == positive:
        raise ValueError(f"negative and positive are both {negative!r}; they must be two different classes.")
    for label in (negative, positive):
        checks.whole(label, "a class", least=-1)
    parts = {"training": dataset.train_labels, "test": dataset.test_labels}
    for wanted in (negative, positive):
        for part, labels in parts.items():
            if not bool((labels == wanted).any()):
                there = ", ".join(f"{label:g}" for label in labels.unique().tolist())
                raise ValueError(f"class {wanted!r} does not occur in the {part} data; there are: {there}.")
    two = _part(dataset, *(torch.nonzero((y == negative) | (y == positive))[:, 0] for y in parts.values()))
    dtype = dataset.train_images.dtype if dataset.train_images.dtype.is_floating_point else torch.float32
    train, test = (torch.where(y == positive, 1.0, -1.0).to(dtype) for y in (two.train_labels, two.test_labels))
    # Labels ±1 have their names in this order too, and are no positions.
    place = {-1: 0, 1: 1} if bool((dataset.train_labels < 0).any()) else range(len(dataset.classes))
    names = tuple(dataset.classes[place[label]] for label in (negative, positive)) if dataset.classes else ()
    return replace(two, train_labels=train, test_labels=test, classes=names)


def _root(given: str | os.PathLike | None) -> tuple[Path, str]:
    """The data folder, and words for it without a path, since logs end in notebooks."""
    named = os.environ.get("NPF_DATA", "")
    if given:
        folder, place = locations.expanded(given, "the data folder"), "the given folder"
    elif named:
        folder, place = locations.expanded(named, "NPF_DATA ="), "the folder that NPF_DATA names"
        if not folder.exists() and not any(parent.is_file() for parent in folder.parents):
            hint = "Quotes are part of the name here: leave them out." if {'"', "'"} & set(named) else "Is it mistyped?"
            raise ValueError(f"NPF_DATA names {named!r}, a folder that does not exist. {hint} Else make it first.")
    else:
        folder, place = locations.project() / "data", "the folder data/"
    obstacle = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if obstacle.exists() and not obstacle.is_dir():
        raise ValueError(f"{folder} is no folder: {obstacle} is a file. Give one as root, or let NPF_DATA name one.")
    if obstacle.is_dir() and not os.access(obstacle, os.R_OK | os.X_OK):
        raise ValueError(f"the data folder {folder} cannot be read: {obstacle} lacks permission (chmod u+rx).")
    return folder, place


def _offline_by_environment() -> bool:
    word = os.environ.get("NPF_OFFLINE", "").strip().lower()
    if word not in ("", "0", "false", "no", "off", "1", "true", "yes", "on"):
        raise ValueError(f"NPF_OFFLINE={word!r} is not understood; use 1 (never download) or 0.")
    return word in ("1", "true", "yes", "on")


def _fetch_if_absent(kind: _Kind, root: Path, offline: bool) -> str:
    """Makes sure that the files are there and whole; otherwise returns why they cannot be had."""
    if not kind.files or _check(kind, root):
        return ""
    _look_elsewhere(kind, root)
    if kind.fetch is None:
        return f"there are no {kind.title} files and this library cannot fetch them"
    if offline:
        return f"there are no {kind.title} files and downloading is switched off (NPF_OFFLINE)"
    try:
        kind.fetch(root, kind.files)
    except downloads.DownloadError as error:
        return f"there are no {kind.title} files and downloading them failed: {error}"
    return ""


def _check(kind: _Kind, root: Path) -> bool:
    """True if every file is there and right; False if none is there. Anything between is an error."""
    if not any((root / name).exists() or (root / name).is_symlink() for name in kind.files):
        return False
    states = [(root / name, f"MD5 {expected}", _state(root / name)) for name, expected in kind.files.items()]
    if wrong := [state for state in states if not state[2].startswith(f"{state[1]} ")]:
        top = root / Path(next(iter(kind.files))).parts[0]
        raise CorruptDataError(
            f"{kind.title} is incomplete or damaged:\n{_differences(wrong)}\nDelete {top} and load again with a "
            "network, so that all of it is downloaded anew; or let NPF_DATA name a folder that holds whole files."
        )
    return True


def _state(path: Path) -> str:
    """What lies at a path: a checksum and a size, or why there is none."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe or a device would never end
            return "not a regular file"
        return f"MD5 {downloads.checksum(path)} ({path.stat().st_size:,} bytes)"
    except FileNotFoundError:
        return f"a link to {path.readlink()}, which is missing" if path.is_symlink() else "missing"
    except OSError as error:
        return f"unreadable ({error.strerror})"


def _differences(states: Iterable[tuple[object, str, str]]) -> str:
    return "\n".join(f"  {what}\n    expected {expected}\n    found    {found}" for what, expected, found in states)


def _look_elsewhere(kind: _Kind, root: Path) -> None:
    """Raises an error that says so if files are there in another form, or some folders too high or too low."""
    first = Path(next(iter(kind.files)))
    folders = [root / Path(*first.parts[k:-1]) for k in range(len(first.parts))] + [root / first.parts[0]]
    folders += [folder / first.parent for below in ("*/", "*/*/") for folder in root.glob(below)]
    names = [Path(file).name for file in kind.files]
    forms = [form for name in names for form in (name, f"{name}.gz", name.replace("-idx", ".idx"))] + [kind.archive]
    possible = [folder / form for folder in dict.fromkeys(folders) for form in dict.fromkeys(filter(None, forms))]
    there = [path for path in possible if path.exists()]
    # Whatever else bears the data's name or a file's, and is no folder: packed otherwise, converted, a link to nothing.
    name = re.compile(rf"{re.escape(re.sub('[ _-]', '', kind.title))}(?![0-9])", re.IGNORECASE)
    tops = [top for top in root.glob("[!.]*") if name.match(re.sub("[ _-]", "", top.name))]
    stems = tuple(re.split(r"-idx|\.", file)[0] for file in names)
    there += [path for top in tops for path in top.glob("**/[!.]*") if path.name.startswith(stems)]
    if there := list(dict.fromkeys(path for path in (*there, *tops) if not path.is_dir())):
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise CorruptDataError(
            f"{kind.title} is there, but not as it is read: found {there[0]}{more}; expected {root / first}, unpacked "
            "and under that name. Unpack, rename or move the files, or let NPF_DATA (or root) name the folder above "
            f"{first.parts[0]}/."
        )


def _check_parts(kind: _Kind, parts: Sequence[Tensor]) -> None:
    """Refuses what a data set's ``read`` gives if it has other shapes or, without files, other bytes than it says."""
    x, y, u, v = parts
    shaped = x.ndim == u.ndim == 4 and x.dtype == u.dtype == torch.uint8 and x.shape[1:] == u.shape[1:]
    if not shaped or y.shape != x.shape[:1] or v.shape != u.shape[:1] or not len(y) or not len(v):
        shapes = ", ".join(f"{tuple(part.shape)} {part.dtype}" for part in parts)
        raise CorruptDataError(
            f"{kind.title}: images must be uint8 [N, C, H, W] with a label each, training before test; got {shapes}."
        )
    if kind.parts and (found := digests(parts)) != dict(kind.parts):
        states = [(part, f"MD5 {kind.parts[part]}", f"MD5 {found[part]}") for part in PARTS]
        raise CorruptDataError(
            f"{kind.title} is not what its checksums say:\n{_differences(states)}\nInstall the version of its package "
            "that was registered, or register the new data with their own checksums."
        )


def _read_mnist(root: Path) -> tuple[Sequence[Tensor], tuple[str, ...]]:
    # Bytes behind a header of 16 for images, 8 for labels; that all of it is there is verified.
    x, y, u, v = (torch.from_numpy(np.fromfile(root / name, np.uint8)) for name in _MNIST)
    return (x[16:].view(-1, 1, 28, 28), y[8:], u[16:].view(-1, 1, 28, 28), v[8:]), stand_ins.DIGITS


def _read_cifar10(root: Path) -> tuple[Sequence[Tensor], tuple[str, ...]]:
    from torchvision import datasets

    class CIFAR10(datasets.CIFAR10):
        def _check_integrity(self) -> bool:
            return True  # just verified: not twice more

    halves = [CIFAR10(str(root), train=train) for train in (True, False)]
    x, u = (torch.from_numpy(half.data).permute(0, 3, 1, 2).contiguous() for half in halves)
    y, v = (torch.tensor(half.targets) for half in halves)
    return (x, y, u, v), tuple(halves[0].classes)


def _stratified(labels: Tensor, count: int | None, seed: tuple[int, int]) -> Tensor | None:
    """Indices, ascending, of ``count`` examples with every class in proportion; None for all of them."""
    total = len(labels)
    if count is None or count >= total:
        return None
    classes, sizes = labels.unique(return_counts=True)
    # In whole numbers: count·n_c/N can be whole where its floating quotient is not.
    shares = [divmod(count * size, total) for size in sizes.tolist()]
    quotas = [whole for whole, _ in shares]
    by_loss = sorted(range(len(shares)), key=lambda c: -shares[c][1])
    for c in by_loss[: count - sum(quotas)]:
        quotas[c] += 1
    chosen = []
    for c, (value, quota) in enumerate(zip(classes, quotas, strict=True)):
        members = torch.nonzero(labels == value)[:, 0]
        order = np.random.default_rng([*seed, c]).permutation(len(members))[:quota]
        chosen.append(members[torch.from_numpy(order).to(members.device)])
    return torch.cat(chosen).sort().values


def _part(dataset: Dataset, train: Tensor | None, test: Tensor | None) -> Dataset:
    x, y = (t if train is None else t[train] for t in (dataset.train_images, dataset.train_labels))
    u, v = (t if test is None else t[test] for t in (dataset.test_images, dataset.test_labels))
    source = replace(dataset.source, train_examples=len(y), test_examples=len(v))
    return replace(dataset, train_images=x, train_labels=y, test_images=u, test_labels=v, source=source)


_MNIST = {
    "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_CIFAR10_ARCHIVE = "cifar-10-python.tar.gz"
_CIFAR10 = {
    "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
    "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
    "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
}
# A new data set is entered here; see ``register`` for what each field means.
_KINDS: dict[str, _Kind] = {
    "mnist": _Kind("MNIST", _MNIST, _read_mnist, downloads.fetch_mnist, stand_ins.digits),
    "cifar10": _Kind(
        "CIFAR-10", _CIFAR10, _read_cifar10, downloads.fetch_cifar10, stand_ins.textures, archive=_CIFAR10_ARCHIVE
    ),
}
