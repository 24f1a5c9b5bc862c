"""A fingerprint of the code that decides what a training run yields.

It is taken over the syntax trees without docstrings and annotations, so that wording, comments and types change
nothing: a run stays valid until its code changes. What a run's own configuration holds does not enter here: the data,
by a digest of the examples; its regime, by the entry in the table of regimes and a digest of the gate's code. So a new
data set, regime or gate makes no old run invalid.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from textwrap import dedent

TRAINING_FILES = (
    "gates.py",
    "architectures.py",
    "initialisation.py",
    "networks.py",
    "randomness.py",
    "optimisers.py",
    "regimes.py",
    "answers.py",
    "losses.py",
    "stacked.py",
    "gate_table.py",
    "probes.py",
    "kernels.py",
    "tangent_signals.py",
    "module_learner.py",
    "training.py",
)
# File → the table in it whose entries each run's configuration holds.
RECORDED = {"regimes.py": "_REGIMES"}


@cache
def training_source_hash(files: tuple[str, ...] = TRAINING_FILES) -> str:
    """Sixteen hexadecimal digits over ``files`` of the library, by default ``TRAINING_FILES``."""
    digest = hashlib.sha256()
    for name in files:
        tree = without_words(ast.parse((Path(__file__).parent / name).read_text(encoding="utf-8")))
        tree.body = [node for node in tree.body if RECORDED.get(name) not in _assigned(node)]
        digest.update(name.encode() + ast.dump(tree).encode())
    return digest.hexdigest()[:16]


def code_digest(function: Callable) -> str:
    """Sixteen hexadecimal digits over a Python function's code, without docstrings, annotations and its name.

    What the function calls, and variables from outside it, do not enter.

    Raises:
        ValueError: not a function, or one whose source cannot be found.

    Example:
        >>> from npflib.gates import hard_gate, soft_gate
        >>> from npflib.source_hash import code_digest
        >>> code_digest(hard_gate) == code_digest(soft_gate)
        False
    """
    if not inspect.isfunction(function):
        raise ValueError(f"a Python function (def) is needed; got {function!r}.")
    try:
        tree = without_words(ast.parse(dedent(inspect.getsource(function))))
    except (OSError, SyntaxError) as error:
        name = function.__qualname__
        raise ValueError(f"the source of {name} cannot be read: define it by def, in a file or a notebook.") from error
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            node.name = ""
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def without_words(tree: ast.Module) -> ast.Module:
    """The tree without docstrings and annotations; changed in place and returned."""
    return _Unannotated().visit(without_docstrings(tree))


class _Unannotated(ast.NodeTransformer):
    """Takes annotations away: of arguments, of results, and of variables, whose order in a class stays."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is not None:
            return ast.Assign(targets=[node.target], value=node.value)
        node.annotation = ast.Constant(None)
        return node


def _assigned(node: ast.AST) -> set[str]:
    """The names that a statement assigns to."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def without_docstrings(tree: ast.AST) -> ast.AST:
    """The tree without docstrings; changed in place and returned."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[:1] = [] if len(node.body) > 1 else [ast.Pass()]
    return tree
