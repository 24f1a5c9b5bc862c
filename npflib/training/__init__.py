"""Training of the paper's regimes, a record a run: what is called from outside."""

from npflib.training.runs import DivergenceError, MissingGatesError, ensure, trained_network

__all__ = [
    "DivergenceError",
    "MissingGatesError",
    "ensure",
    "loop",
    "losses",
    "monitors",
    "optimisers",
    "trained_network",
]
