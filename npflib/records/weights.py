"""Weights of finished runs: one file of tensors beside each record, whose SHA-256 the record holds.

The format is safetensors: names, types and numbers, and no code that opening it could run.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from npflib.records import run_records
from npflib.records.atomic import write_with

MEND = "Restore both from version control, or delete them and train again."


def path_of(folder: Path, experiment: str, regime: str, seed: int) -> Path:
    """Where the weights of a run lie below a folder of records: beside its record."""
    return run_records.path_of(folder, experiment, regime, seed).with_suffix(".safetensors")


def write(networks: Mapping[str, Mapping[str, Tensor]], path: Path) -> str:
    """Writes networks by name ("best", "last", …), each a name → tensor, whole or not at all; returns the SHA-256."""
    # One network may be kept under two names, and a file holds each tensor once a name.
    flat = {f"{which}/{name}": t.clone() for which, network in networks.items() for name, t in network.items()}
    content = save(flat)
    write_with(path, lambda file: file.write(content))
    return hashlib.sha256(content).hexdigest()


def read(path: Path, digest: str) -> dict[str, dict[str, Tensor]]:
    """What ``write`` wrote, on the CPU; a ValueError, and nothing of it is used, where the SHA-256 is another."""
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        said = f"its SHA-256 is {found}, the record beside it says {digest or 'nothing'}"
        raise ValueError(f"{path} holds other weights than its run's: {said}. {MEND}")
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise ValueError(f"{path} holds no tensors ({error}), against its record. {MEND}") from None
    networks: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        which, _, name = key.partition("/")
        networks.setdefault(which, {})[name] = tensor
    return networks
