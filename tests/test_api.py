"""The library's pages: complete for the public names, each with an example that runs."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import build_book
import library_pages
import nbformat
import pytest
import yaml

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
PARTS = {name.rpartition(".")[0] for name in MODULES}


CONTENTS = {package: library_pages.contents(package) for package in library_pages.PACKAGES}
DOCUMENTED = sorted({name for found in CONTENTS.values() for name in found})


def public(name: str) -> dict[str, object]:
    """The functions and classes of a module that its `__all__` names; without one, those that it defines."""
    module = importlib.import_module(name)
    own = {key for key, value in vars(module).items() if getattr(value, "__module__", "") == name and key[0] != "_"}
    return {
        key: getattr(module, key)
        for key in sorted(getattr(module, "__all__", own))
        if inspect.isfunction(getattr(module, key, None)) or inspect.isclass(getattr(module, key, None))
    }


@pytest.mark.parametrize("package", library_pages.PACKAGES)
def test_a_package_names_what_it_has(package):
    module = importlib.import_module(package)
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__) > 1
    for name in module.__all__:
        assert hasattr(module, name) or f"{package}.{name}" in [*MODULES, *PARTS], name


def test_pages_hold_what_the_packages_name_once_each(tmp_path):
    names = library_pages.write(tmp_path)
    pages = {page.stem: page.read_text() for page in tmp_path.iterdir()}
    found = re.findall(r"^\.\. automodule:: ([\w.]+)$", "".join(pages.values()), re.MULTILINE)
    assert sorted(found) == DOCUMENTED
    assert set(re.findall(r"\]\((api_\w+)\.md\)", (BOOK / "api.md").read_text())) == set(pages)
    assert sorted(names) == sorted(pages)
    assert "## convolution\n" in pages["api_theory"]
    assert ":members: PARTS, CorruptDataError, Dataset," in pages["api_data"]
    assert not any("figures" in page or "atomic" in page for page in pages.values())


def test_the_pages_stand_below_the_library_in_the_contents(tmp_path):
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / f"{build_book.ROOT_PAGE}.ipynb")
    build_book.assemble(BOOK, tmp_path, [build_book.ROOT_PAGE], tmp_path / "book")
    toc = yaml.safe_load((tmp_path / "book" / "_toc.yml").read_text())
    (library,) = [c for part in toc["parts"] for c in part["chapters"] if c["file"] == "api"]
    assert {page["file"] for page in library["sections"]} == {p.stem for p in (tmp_path / "book").glob("api_*.md")}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_names_have_a_docstring(name):
    assert all(inspect.getdoc(value) for value in public(name).values())
    assert importlib.import_module(name).__doc__


@pytest.mark.parametrize("name", DOCUMENTED)
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
