"""The library alone: it imports, and its types ship, without what only the book or the developers need."""

import pkgutil
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import npflib

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("npflib", "companion")
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(npflib.__path__, "npflib.")
    if not info.name.startswith("companion.figures")
)
BLOCKED = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed in this test", name=name)

sys.meta_path.insert(0, Blocked())
for name in {modules!r}:
    importlib.import_module(name)
    assert "companion.figures" not in sys.modules, f"{{name}} imports the figures"
"""
IMPORT_NAMES = {
    "jupyter-book": "jupyter_book", "myst-nb": "myst_nb", "sphinx-mathjax-offline": "sphinx_mathjax_offline",
    "scikit-learn": "sklearn", "snakemake-executor-plugin-slurm": "snakemake_executor_plugin_slurm",
}  # fmt: skip


def of_the_book() -> set[str]:
    """Import names of what the `book` extra installs."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in project["optional-dependencies"]["book"]}
    return {IMPORT_NAMES.get(name, name) for name in names}


def import_without(blocked: set[str], modules: list[str]) -> subprocess.CompletedProcess:
    code = BLOCKED.format(blocked=blocked, modules=modules)
    return subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=PROJECT, capture_output=True, text=True)


def test_the_library_imports_without_the_books_dependencies():
    blocked = of_the_book() - {"jinja2"}  # torch brings it
    assert {"matplotlib", "pandas", "seaborn", "jupyter_book", "scipy", "sklearn", "papermill"} <= blocked
    found = import_without(blocked, MODULES)
    assert found.returncode == 0, found.stderr


def test_the_block_blocks():
    found = import_without({"scipy"}, ["companion.statistics"])
    assert found.returncode == 1
    assert "scipy is not installed in this test" in found.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    """Names of the files in the wheel that `pip wheel` builds of this project, with the setuptools that is here."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (sources / name).write_bytes((PROJECT / name).read_bytes())
    for path in [path for name in PACKAGES for path in (PROJECT / name).rglob("*")]:
        if path.suffix == ".py" or path.name == "py.typed":
            target = sources / path.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", str(sources), "--no-deps", "--no-build-isolation", "-q"]
    made = subprocess.run([*command, "-w", str(folder)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl"))).namelist()


def test_the_wheel_holds_the_library_its_types_and_nothing_else(wheel):
    shipped = {name for name in wheel if not name.split("/")[0].endswith(".dist-info")}
    expected = {path.relative_to(PROJECT).as_posix() for name in PACKAGES for path in (PROJECT / name).rglob("*.py")}
    assert shipped == expected | {f"{name}/py.typed" for name in PACKAGES}
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
