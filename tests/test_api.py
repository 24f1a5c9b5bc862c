"""The library's pages: complete for the public names, each with an example that runs."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import companion
import npflib

PROJECT = Path(__file__).resolve().parents[1]
BOOK = PROJECT / "book"
MODULES = sorted(
    info.name
    for package in (npflib, companion)
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not info.ispkg
)
DIRECTIVE = re.compile(r"^\.\. automodule:: ([\w.]+)\n((?:   :[\w-]+:.*\n)*)", re.MULTILINE)
# Where a line of code would only draw or format something, a chapter of the book is the example.
SHOWN_BY_CHAPTERS = ("companion.figures.", "companion.explorer", "companion.overview")


def documented() -> dict[str, str]:
    """Module → options of the directive that documents it."""
    found = [match for page in BOOK.glob("api_*.md") for match in DIRECTIVE.findall(page.read_text())]
    assert len({name for name, _ in found}) == len(found), "a module is documented twice"
    return dict(found)


def internal() -> set[str]:
    """The modules that the library's first page lists as undocumented, each with a reason."""
    section = (BOOK / "api.md").read_text().split("## Modules without a page", 1)[1]
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section, re.MULTILINE)
    assert rows
    assert all(len(reason) > 20 for _, reason in rows)
    return {name for name, _ in rows}


def public(name: str) -> dict[str, object]:
    """The public functions and classes that a module defines."""
    module = importlib.import_module(name)
    return {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }


def test_every_module_has_a_place_on_the_pages_or_a_reason_why_not():
    assert set(documented()) | internal() == set(MODULES)
    assert not set(documented()) & internal()


def test_every_page_of_the_library_is_listed_on_its_first():
    listed = set(re.findall(r"\]\((api_\w+)\.md\)", (BOOK / "api.md").read_text()))
    assert listed == {page.stem for page in BOOK.glob("api_*.md")}


def test_the_pages_document_all_public_members():
    """Members inherited within the library may be shown too; nothing is left out."""
    for name, options in documented().items():
        lines = [line for line in options.splitlines() if not line.startswith("   :inherited-members:")]
        assert lines == ["   :members:"], f"{name} is documented with {options!r}, which leaves members out"


@pytest.mark.parametrize("name", sorted(documented()))
def test_public_names_have_a_docstring(name):
    assert all(inspect.getdoc(value) for value in public(name).values())
    assert importlib.import_module(name).__doc__


@pytest.mark.parametrize(
    "name", [n for n in sorted(documented()) if n == "companion.figures.style" or not n.startswith(SHOWN_BY_CHAPTERS)]
)
def test_public_names_have_an_example(name):
    finder = doctest.DocTestFinder(recurse=False)
    for key, value in public(name).items():
        if inspect.isclass(value) and issubclass(value, Exception):
            continue  # raised by the functions whose examples show it
        examples = [example for found in finder.find(value, key) for example in found.examples]
        assert examples, f"{name}.{key} has no example"
        assert any(example.want or example.exc_msg for example in examples) or key == "check", key
        assert "Example:" in inspect.getdoc(value), f"the example of {name}.{key} stands outside 'Example:'"


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_in_a_fresh_python(name, tmp_path, monkeypatch):
    """With nothing imported, outside the project, without data and without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPF_OFFLINE", "1")
    for variable in ("NPF_DATA", "NPF_BUILD"):
        monkeypatch.delenv(variable, raising=False)
    report = []
    runner = doctest.DocTestRunner(verbose=False)
    for found in doctest.DocTestFinder().find(importlib.import_module(name), globs={}):
        runner.run(found, out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)
    assert not list(tmp_path.iterdir()), "an example left files behind"


def test_the_ten_lines_run():
    code = re.search(r"## In ten lines.*?```python\n(.*?)```", (BOOK / "api.md").read_text(), re.DOTALL)[1]
    namespace = {}
    exec(code, namespace)
    assert namespace["path_kernel"].shape == namespace["tangent_kernel"].shape == (10, 10)
    assert namespace["nu"] >= 10
