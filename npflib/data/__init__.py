"""MNIST, CIFAR-10, or a data set of your own, in memory, with where they came from."""

from npflib.data.datasets import (
    PARTS, CorruptDataError, Dataset, Source, binary, digests, load, names, register, subset,
)  # fmt: skip

__all__ = ["PARTS", "CorruptDataError", "Dataset", "Source", "binary", "digests", "load", "names", "register", "subset"]
