"""A fingerprint of the code that decides what a training run yields.

It is taken over the syntax trees without docstrings, so that wording and comments change nothing: a run stays valid
until its code changes. The data do not enter here: a run's configuration carries a digest of the examples themselves.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

TRAINING_FILES = (
    "gates.py",
    "architectures.py",
    "initialisation.py",
    "networks.py",
    "randomness.py",
    "optimisers.py",
    "regimes.py",
    "losses.py",
    "stacked.py",
    "gate_table.py",
    "probes.py",
    "kernels.py",
    "tangent_signals.py",
    "module_learner.py",
    "training.py",
)


@cache
def training_source_hash() -> str:
    """Sixteen hexadecimal digits over ``TRAINING_FILES``."""
    digest = hashlib.sha256()
    for name in TRAINING_FILES:
        tree = ast.parse((Path(__file__).parent / name).read_text(encoding="utf-8"))
        digest.update(name.encode() + ast.dump(without_docstrings(tree)).encode())
    return digest.hexdigest()[:16]


def without_docstrings(tree: ast.AST) -> ast.AST:
    """The tree with every docstring replaced by ``pass``; changed in place and returned."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            body[0] = ast.Pass()
    return tree
