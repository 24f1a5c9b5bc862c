"""Training of the paper's regimes, a record a run: what is called from outside."""

from npflib.training.runs import (
    MissingGatesError,
    configuration_of,
    ensure,
    environment_of,
    shuffled,
    trained_network,
)

__all__ = [
    "MissingGatesError",
    "autograd",
    "batched",
    "configuration_of",
    "ensure",
    "environment_of",
    "gate_table",
    "given_gates",
    "losses",
    "mixed_gates",
    "monitors",
    "optimisers",
    "shuffled",
    "snapshots",
    "soft_sweep",
    "trained_network",
]
