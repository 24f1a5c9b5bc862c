"""Training of the paper's regimes, a record a run: what is called from outside."""

from npflib.training.runs import (
    DivergenceError,
    MissingGatesError,
    configuration_of,
    ensure,
    environment_of,
    shuffled,
    trained_network,
)

__all__ = [
    "DivergenceError",
    "MissingGatesError",
    "autograd",
    "batched",
    "configuration_of",
    "cuda_graphs",
    "ensure",
    "environment_of",
    "gate_sources",
    "loop",
    "losses",
    "monitors",
    "optimisers",
    "shuffled",
    "trained_network",
]
