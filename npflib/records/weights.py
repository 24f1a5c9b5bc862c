"""Weights of finished runs: one file of tensors beside each record, whose SHA-256 the record holds.

The format is safetensors: names, types and numbers, and no code that opening it could run.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor

from npflib.records import run_records
from npflib.records.atomic import write_with


def path_of(folder: Path, experiment: str, regime: str, seed: int) -> Path:
    """Where the weights of a run lie below a folder of records: beside its record.

    Example:
        >>> from pathlib import Path
        >>> from npflib.records import weights
        >>> weights.path_of(Path("results"), "mnist-fc-adam", "ReLU", seed=2).as_posix()
        'results/mnist-fc-adam/ReLU/seed-2.safetensors'
    """
    return run_records.path_of(folder, experiment, regime, seed).with_suffix(".safetensors")


def write(networks: Mapping[str, Mapping[str, Tensor]], path: Path) -> str:
    """Writes networks by name ("best", "last", …), each a name → tensor, whole or not at all; returns the SHA-256.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import torch
        >>> from npflib.records import weights
        >>> with TemporaryDirectory() as folder:
        ...     digest = weights.write({"last": {"layers.0.bias": torch.zeros(2)}}, Path(folder) / "w.safetensors")
        ...     weights.read(Path(folder) / "w.safetensors", digest)
        {'last': {'layers.0.bias': tensor([0., 0.])}}
    """
    # One network may be kept under two names, and a file holds each tensor once a name.
    flat = {f"{which}/{name}": t.clone() for which, network in networks.items() for name, t in network.items()}
    content = save(flat)
    write_with(path, lambda file: file.write(content))
    return hashlib.sha256(content).hexdigest()


def read(path: Path, digest: str) -> dict[str, dict[str, Tensor]]:
    """Reads what ``write`` wrote, on the CPU.

    Args:
        path: the file.
        digest: the SHA-256 that it must have, as the run's record says.

    Raises:
        ValueError: a file of other content; nothing of it is used.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from npflib.records import weights
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "seed-0.safetensors"
        ...     digest = weights.write({"last": {}}, path)
        ...     weights.read(path, digest="f" * 64)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: ...seed-0.safetensors holds other weights than its run's: its SHA-256 is ...
    """
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ValueError(
            f"{path} holds other weights than its run's: its SHA-256 is {found}, the record beside it says "
            f"{digest or 'nothing'}. Restore both from version control, or delete them and train again."
        )
    networks: dict[str, dict[str, Tensor]] = {}
    for key, tensor in load(content).items():
        which, _, name = key.partition("/")
        networks.setdefault(which, {})[name] = tensor
    return networks
