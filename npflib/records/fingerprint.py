"""A fingerprint of the code that decides a number: of all that a function can reach, wherever it stands.

From a root, say ``npflib.training.runs:ensure``, references are followed through the modules of this project, by
reading them: nothing is imported. Each definition is digested without docstring, annotations, imports, comments, its
own name and its local names, and with a digest of each definition of this project in the place of that one's name. So
moving, renaming, rewording and typing change nothing, code does, and no list of files has to be kept. Syntax trees are
written out by rules of this file, not by Python's, which differ from version to version.

What a run's own configuration says does not enter (``RECORDED``), so that a new data set, regime or gate makes no old
run invalid: its data, by a digest of the examples; its budget; its regime's entry, with a digest of its gate's code.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
TRAINING = "npflib.training.runs:ensure"
# Modules and definitions that are not entered: each run's record says what it had of them, or they decide no number.
RECORDED = (
    "npflib.data",
    "npflib.experiments",
    "npflib.profiles",
    "npflib.records",
    "npflib.gates:_GATES",
    "npflib.regimes:_REGIMES",
)
_WORDLESS = ("annotation", "returns", "ctx", "kind", "type_comment", "type_params")


class Place(NamedTuple):
    """A definition: the module that holds it and its name there."""

    module: str
    name: str

    @property
    def recorded(self) -> bool:
        """Whether the search ends here."""
        within = f"{self.module}.".startswith(tuple(f"{part}." for part in RECORDED))
        return within or ":".join(self) in RECORDED


@cache
def fingerprint(*roots: str) -> str:
    """Sixteen hexadecimal digits over all that the ``roots`` reach, each a "module:name" of this project."""
    digests = {digest(place) for place in reached(*roots)}
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:16]


def training_source_hash() -> str:
    """The fingerprint of training: of ``TRAINING`` and all that it reaches."""
    return fingerprint(TRAINING)


def reached(*roots: str) -> set[Place]:
    """The definitions that count: the roots and what their code names, over and over."""
    # An annotation counts as a reference to a class, whose methods are called on what it annotates, but the alias of a
    # type is no code.
    queue = []
    for root in roots:
        module, _, name = root.partition(":")
        if (place := _follow(module, name)) is None:
            raise ValueError(f"there is no {name!r} in {module}, a module of this project; roots are 'module:name'.")
        queue.append((place, True))
    seen: dict[tuple[Place, bool], ast.stmt] = {}
    while queue:
        place, as_code = queue.pop()
        if not place.recorded and (place, as_code) not in seen:
            node = seen[place, as_code] = _read(place.module)[0][place.name]
            queue += [(other, as_code and not typed) for other, typed in _references(place.module, node)]
    return {place for (place, as_code), node in seen.items() if as_code or isinstance(node, ast.ClassDef)}


@cache
def digest(place: Place, depth: int = 1) -> str:
    """A definition without its words; what it names of this project enters as a digest that names nothing further."""
    definitions, imports = _read(place.module)

    def named(node: ast.AST) -> str | None:
        if (found := _target(place.module, node)) is not None:
            return "recorded" if found.recorded else digest(found, 0) if depth else "project"
        return imports.get(node.id) if isinstance(node, ast.Name) else None

    return _digest(definitions[place.name], named)


def code_digest(function: Callable) -> str:
    """Sixteen hexadecimal digits over a function's own code, without docstrings, annotations, names, what it calls."""
    if not inspect.isfunction(function):
        raise ValueError(f"a Python function (def) is needed; got {function!r}.")
    try:
        node = ast.parse(dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError) as error:
        mend = "define it by def, in a file or a notebook"
        raise ValueError(f"the source of {function.__qualname__} cannot be read: {mend}.") from error
    return _digest(node, lambda _: None)


@cache
def _read(module: str) -> tuple[Mapping[str, ast.stmt], Mapping[str, str]]:
    """A module's definitions by name, and its imports: name → "module" or "module:name"; none of other projects'."""
    stem = ROOT / module.replace(".", "/")
    files = [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]
    tree = ast.parse(files[0].read_text(encoding="utf-8") if files else "")
    definitions: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
            definitions |= dict.fromkeys(names, node)
    imports: dict[str, str] = {}
    for part in ast.walk(tree):
        if isinstance(part, ast.Import):
            imports |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in part.names}
        elif isinstance(part, ast.ImportFrom) and part.module:
            imports |= {alias.asname or alias.name: f"{part.module}:{alias.name}" for alias in part.names}
    return definitions, imports


def _follow(module: str, name: str) -> Place | None:
    """Where a module's name is defined, through the modules that pass it on; None outside this project."""
    definitions, imports = _read(module)
    if name in definitions:
        return Place(module, name)
    origin, _, original = imports.get(name, "").partition(":")
    return _follow(origin, original) if original else None


def _target(module: str, node: ast.AST) -> Place | None:
    """The definition of this project that a name, or an attribute of one of its modules, stands for."""
    if isinstance(node, ast.Name):
        return _follow(module, node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        _, imports = _read(module)
        return _follow(imports.get(node.value.id, "").replace(":", "."), node.attr)
    return None


def _references(module: str, node: ast.AST, typed: bool = False) -> Iterator[tuple[Place, bool]]:
    """The definitions that a piece of code names, and whether in an annotation."""
    if (found := _target(module, node)) is not None:
        yield found, typed
    for child in ast.iter_child_nodes(node):
        noted = child in (getattr(node, "annotation", None), getattr(node, "returns", None))
        yield from _references(module, child, typed or noted)


def _digest(node: ast.stmt, named: Callable[[ast.AST], str | None]) -> str:
    """A piece of code written out and digested; ``named`` says what a name or an attribute stands for."""
    local = {name: str(index) for index, name in enumerate(_locals(node, False))}
    outer = getattr(node, "name", None)

    def write(node: Any, own: bool = False) -> str:
        if isinstance(node, list):
            return "[" + ",".join(filter(None, map(write, node))) + "]"
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            return ""
        free = isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and node.id not in local)
        if free and (target := named(node)) is not None:
            return f"<{target}>"
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            node = ast.Assign(targets=[node.target], value=node.value)
        parts = [type(node).__name__]
        for field, value in ast.iter_fields(node):
            if field in _WORDLESS or value is None or value == []:
                continue
            if field == "body" and isinstance(node, ast.FunctionDef | ast.ClassDef):
                value = value if ast.get_docstring(node) is None else value[1:]
            if isinstance(value, str) and field in ("id", "arg", "name") and not isinstance(node, ast.keyword):
                value = "" if own and value == outer else local.get(value, value)
            parts.append(f"{field}={write(value)}")
        return "(" + " ".join(parts) + ")"

    # An assignment's own name is the one that it gives.
    given = write(node.value) if isinstance(node, ast.Assign | ast.AnnAssign) else write(node, own=True)
    return hashlib.sha256(given.encode()).hexdigest()[:16]


def _locals(node: ast.AST, inside: bool) -> dict[str, None]:
    """The names that the functions in a piece of code, or around it, bind, in the order in which they are met."""
    found: dict[str, None] = {}
    if isinstance(node, ast.arg):
        found[node.arg] = None
    elif inside and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        found[node.id] = None
    elif inside and isinstance(node, ast.FunctionDef):
        found[node.name] = None
    inside = inside or isinstance(node, ast.FunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        # A class within a function keeps its names; one around it has its methods' locals counted alone.
        found |= _locals(child, inside and not isinstance(node, ast.ClassDef))
    return found
