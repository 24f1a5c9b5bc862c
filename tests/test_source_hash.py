"""The fingerprint changes with the code that decides a result, and with nothing else."""

import ast
from pathlib import Path

import pytest

import npflib
from npflib import source_hash

FOLDER = Path(npflib.__file__).parent


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the library's training files, and the fingerprint over it."""
    for name in source_hash.TRAINING_FILES:
        (tmp_path / name).write_text((FOLDER / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(source_hash, "__file__", str(tmp_path / "source_hash.py"))
    return tmp_path


def fingerprint() -> str:
    return source_hash.training_source_hash.__wrapped__()


def test_it_is_sixteen_hexadecimal_digits_and_the_same_again(copy):
    assert fingerprint() == fingerprint() == source_hash.training_source_hash()
    assert len(fingerprint()) == 16
    int(fingerprint(), 16)


def test_a_new_regime_makes_no_run_invalid_but_other_code_beside_the_table_does(copy):
    before, path = fingerprint(), copy / "regimes.py"
    text = path.read_text(encoding="utf-8")
    entry = '        Regime("ReLU", '
    assert text.count(entry) == 1
    path.write_text(text.replace(entry, '        Regime("Mine", "Mine: a test", "soft", "value", True),\n' + entry))
    assert fingerprint() == before, "each run's configuration holds its regime's entry"
    path.write_text(text.replace('"random": lambda: drawn("feature")', '"random": lambda: drawn("relu")'))
    assert fingerprint() != before


def test_annotations_do_not_count():
    plain = "class A:\n    x: int\n    y: str = 1\n\ndef f(a: int, *b: str, c: float = 2, **d) -> int:\n"
    plain += "    e: int = a\n    return e\n"
    other = "class A:\n    x: str\n    y = 1\n\ndef f(a, *b, c=2, **d: int):\n    e = a\n    return e\n"
    fewer = "class A:\n    y = 1\n\ndef f(a, *b, c=2, **d: int):\n    e = a\n    return e\n"
    dumps = [ast.dump(source_hash.without_words(ast.parse(text))) for text in (plain, other, fewer)]
    assert dumps[0] == dumps[1] != dumps[2], "a dataclass's field is code, its type is not"


def test_a_functions_digest_follows_its_code_alone():
    def one(q: int, beta=4.0):
        """Said."""
        return q * beta  # why

    def two(q, beta=4.0):
        return q * beta

    def other(q, beta=5.0):
        return q * beta

    digests = [source_hash.code_digest(function) for function in (one, two, other)]
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 16


@pytest.mark.parametrize("thing", [abs, int, None, "x", eval("lambda q: q")], ids=repr)
def test_what_has_no_source_has_no_digest(thing):
    with pytest.raises(ValueError, match=r"a Python function \(def\) is needed; got|the source of .* cannot be read"):
        source_hash.code_digest(thing)


@pytest.mark.parametrize("name", source_hash.TRAINING_FILES)
def test_code_of_every_training_file_counts_and_words_do_not(copy, name):
    before, path = fingerprint(), copy / name
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    first = tree.body[0]
    lines = text.splitlines()
    assert ast.get_docstring(tree), f"{name} begins with what it is"
    reworded = ['"""Other words."""', *lines[first.end_lineno :], "", "# A comment at the end."]
    path.write_text("\n".join(reworded), encoding="utf-8")
    assert fingerprint() == before
    path.write_text(text + "\nADDED = 1\n", encoding="utf-8")
    assert fingerprint() != before


def test_a_changed_number_in_a_function_counts(copy):
    before, path = fingerprint(), copy / "optimisers.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0.999", "0.99"), encoding="utf-8")
    assert fingerprint() != before


def test_docstrings_of_functions_and_classes_do_not_count():
    one = 'class A:\n    """One."""\n    def f(self):\n        """One."""\n        return 1\n'
    two = 'class A:\n    """Two."""\n    def f(self):\n        """Two."""  # said\n        return 1\n'
    other = 'class A:\n    """One."""\n    def f(self):\n        """One."""\n        return "One."\n'
    dumps = [ast.dump(source_hash.without_docstrings(ast.parse(text))) for text in (one, two, other)]
    assert dumps[0] == dumps[1] != dumps[2]


def test_all_that_training_imports_from_the_library_counts_or_is_known_not_to():
    """A module that decides a result cannot be forgotten: whoever adds one decides here."""
    # Where files lie and how they are written, weights among them, whose digests are in the records; data and budgets
    # are in every record's configuration, as a digest and as numbers; so is a digest of the gate's code, which
    # ``gate_registry`` looks up. From ``paths`` comes one function that refuses wrong shapes and computes nothing.
    harmless = {"folders", "results", "atomic", "source_hash", "experiments", "data", "downloads", "stand_ins", "paths"}
    harmless |= {"gate_registry", "weights"}
    reached, queue, taken_from_paths = set(), ["training"], set()
    while queue:
        module = queue.pop()
        if module in reached or not (FOLDER / f"{module}.py").exists():
            continue
        reached.add(module)
        for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "npflib":
                parts = node.module.split(".")
                taken_from_paths |= {alias.name for alias in node.names if parts[1:] == ["paths"]}
                queue += parts[1:2] or [alias.name for alias in node.names]
    counted = {name.removesuffix(".py") for name in source_hash.TRAINING_FILES}
    assert counted <= reached
    assert reached - counted <= harmless
    assert taken_from_paths == {"check_examples"}
