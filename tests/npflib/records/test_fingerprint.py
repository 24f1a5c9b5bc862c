"""The fingerprint changes with the code that decides a result, wherever it stands, and with nothing else."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from npflib.records import fingerprint
from npflib.records.fingerprint import ROOT, TRAINING, Place

MAIN = """
from elsewhere import twice
import helpers as h
from helpers import LIMIT, Thing

TABLE = {"twice": twice}

def run(x, power=2):
    '''Said.'''
    y = h.add(x, LIMIT)  # why
    thing: Thing = make()
    return TABLE["twice"](y) ** power

def make():
    return Thing(3)

def unused(x):
    return x
"""
HELPERS = """
LIMIT = 5

class Thing:
    '''Said.'''
    size: int
    def __init__(self, size):
        self.size = size
    def area(self):
        side = self.size
        return side * side

def add(a, b):
    return a + b
"""
ELSEWHERE = """
def twice(a):
    return 2 * a
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Three modules of which ``main:run`` is the root, and the fingerprint after some of their text was replaced."""
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    texts = {"main": MAIN, "helpers": HELPERS, "elsewhere": ELSEWHERE}

    def changed(changes=(), **more: str) -> str:
        for cached in (fingerprint.fingerprint, fingerprint._read, fingerprint.digest):
            cached.cache_clear()
        for path in tmp_path.glob("*.py"):
            path.unlink()
        for name, text in (texts | more).items():
            for module, old, new in changes:
                if module == name:
                    assert text.count(old) >= 1, old
                    text = text.replace(old, new)
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return fingerprint.fingerprint("main:run")

    yield changed
    monkeypatch.undo()
    for cached in (fingerprint.fingerprint, fingerprint._read, fingerprint.digest):
        cached.cache_clear()


@pytest.mark.parametrize(
    "changes",
    [
        [("main", "Said.", "Other words.")],
        [("main", "# why", "# or not")],
        [("main", "x, power=2", "x: float, power: int = 2")],
        [("main", "thing: Thing = make()", "thing = make()"), ("main", "thing", "it")],
        [("main", "y", "total"), ("helpers", "side", "edge")],  # names of variables
        [("main", "make", "build"), ("helpers", "add", "plus"), ("main", "h.add", "h.plus")],  # of functions
        [("main", "import helpers as h", "import helpers"), ("main", "h.add", "helpers.add")],
        [("main", "return x", "return x + 1")],  # in what nothing reaches
        [("helpers", "size: int", "size: float")],
    ],
    ids=str,
)
def test_words_names_types_and_what_is_not_reached_do_not_count(project, changes):
    assert project(changes) == project()


@pytest.mark.parametrize(
    "change",
    [
        ("main", "power=2", "power=3"),
        ("main", "h.add(x, LIMIT)", "h.add(LIMIT, x)"),
        ("main", 'TABLE["twice"](y) ** power', 'power ** TABLE["twice"](y)'),
        ("main", "Thing(3)", "Thing(4)"),
        ("helpers", "LIMIT = 5", "LIMIT = 6"),
        ("helpers", "a + b", "a - b"),
        ("helpers", "side * side", "side + side"),  # a method, called nowhere by name
        ("elsewhere", "2 * a", "3 * a"),  # reached through a table
        ("helpers", "    size: int\n", ""),  # a dataclass's field is code
    ],
    ids=str,
)
def test_code_that_is_reached_counts(project, change):
    assert project([change]) != project()


def test_a_move_to_another_file_does_not_count(project):
    before = project()
    moved = ("helpers", "\ndef add(a, b):\n    return a + b\n", "")
    after = project(
        [moved, ("main", "import helpers as h", "import sums as h")], sums="def add(a, b):\n    return a + b\n"
    )
    assert after == before
    assert (
        project([moved, ("main", "import helpers as h", "import sums as h")], sums="def add(a, b):\n    return b\n")
        != after
    )


def test_two_functions_that_change_places_count(project):
    before = project()
    swapped = project(
        [("main", "return Thing(3)", "return twice(Thing(3))"), ("main", '"twice": twice', '"twice": Thing')]
    )
    assert swapped != before


def test_a_root_that_is_not_there_is_refused(project):
    project()
    with pytest.raises(ValueError, match="there is no 'missing' in main"):
        fingerprint.fingerprint("main:missing")


def test_training_reaches_what_decides_a_run_and_none_of_what_its_record_says():
    reached = fingerprint.reached(TRAINING)
    modules = {place.module for place in reached}
    parts = ("batched", "autograd", "optimisers", "losses", "monitors")
    assert {f"npflib.training.{part}" for part in parts} <= modules
    assert Place("npflib.networks", "DeepGatedNetwork") in reached
    assert Place("npflib.regimes", "start") in reached
    assert not any(place.recorded for place in reached)
    assert Place("npflib.regimes", "_REGIMES").recorded, "each run's configuration holds its regime's entry"
    assert not {"npflib.data.datasets", "npflib.experiments"} & modules


def test_it_is_the_same_under_every_supported_python():
    """Where other Pythons are there, they agree: the file imports nothing but the standard library."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from npflib.records import fingerprint as f; "
    code += "print(f.training_source_hash())"
    homes = sorted(Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python"))
    pythons = {str(path) for path in homes} | {found for v in range(11, 15) if (found := shutil.which(f"python3.{v}"))}
    digests = {}
    for python in sorted(pythons):
        run = subprocess.run([python, "-I", "-c", code, str(ROOT)], capture_output=True, text=True)
        if "not found" not in run.stderr:  # a shim without its Python
            digests[python] = run.stdout.strip() or run.stderr
    assert set(digests.values()) <= {fingerprint.training_source_hash()}, json.dumps(digests, indent=1)


def test_a_functions_digest_follows_its_code_alone():
    def one(q: int, beta=4.0):
        """Said."""
        return q * beta  # why

    def two(p, slope=4.0):
        return p * slope

    def other(q, beta=5.0):
        return q * beta

    digests = [fingerprint.code_digest(function) for function in (one, two, other)]
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 16


@pytest.mark.parametrize(
    "thing", [abs, int, None, "x", eval("lambda q: q")], ids=["abs", "int", "None", "text", "lambda"]
)
def test_what_has_no_source_has_no_digest(thing):
    with pytest.raises(ValueError, match=r"a Python function \(def\) is needed; got|the source of .* cannot be read"):
        fingerprint.code_digest(thing)
