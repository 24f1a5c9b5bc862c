"""pyproject.toml, constraints.txt and environment.yml describe one environment."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).resolve().parents[1]
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS = METADATA["optional-dependencies"]
REQUIREMENTS = [
    Requirement(text) for text in [*METADATA["dependencies"], *(text for extra in EXTRAS.values() for text in extra)]
]


def pins() -> dict[str, str]:
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_constraints_are_plain_names_and_versions():
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    plain = [line for line in lines if not line.startswith("#")]
    assert [line for line in plain if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    names = [line.split("==")[0] for line in plain]
    assert names == sorted(set(names))
    assert names == [canonicalize_name(name) for name in names]


def test_what_cites_the_project_agrees_with_it():
    """CITATION.cff, codemeta.json and pyproject.toml name one version, licence and paper."""
    cited, described = (yaml.safe_load((PROJECT / name).read_text()) for name in ("CITATION.cff", "codemeta.json"))
    assert cited["version"] == described["version"] == METADATA["version"]
    assert cited["license"] == METADATA["license"] == described["license"].rpartition("/")[2]
    [paper] = cited["preferred-citation"]["identifiers"]
    assert described["referencePublication"]["identifier"] == METADATA["urls"]["Paper"]
    assert METADATA["urls"]["Paper"].endswith(paper["value"].removeprefix("arXiv:"))
    assert described["referencePublication"]["name"] == cited["preferred-citation"]["title"]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.name)
def test_every_requirement_is_pinned_within_its_bounds(requirement):
    pinned = pins()[canonicalize_name(requirement.name)]
    assert Version(pinned) in requirement.specifier


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.name)
def test_the_environment_under_test_is_the_pinned_one(requirement):
    installed = Version(version(requirement.name))
    assert Version(installed.public) == Version(pins()[canonicalize_name(requirement.name)])


def test_pins_agree_with_each_other():
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout


def test_conda_environment_installs_the_same():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    names = {entry.split("=")[0]: entry for entry in conda}
    # Everything but the interpreter, pip and make comes from pip with the pins, so that nothing can differ.
    assert set(names) == {"python", "pip", "make"}
    python = names["python"].split("=")[-1]
    assert Version(python) in SpecifierSet(METADATA["requires-python"])
    assert pip[0] == "-c constraints.txt"
    [editable] = pip[1:]
    extras = re.fullmatch(r"-e \.\[(.*)\]", editable).group(1).split(",")
    assert sorted(extras) == sorted(EXTRAS)


def test_make_installs_the_same():
    makefile = (PROJECT / "Makefile").read_text()
    extras = re.search(r"-c constraints\.txt -e '\.\[(.*)\]'", makefile).group(1).split(",")
    assert sorted(extras) == sorted(EXTRAS)


@pytest.mark.parametrize(("made_in", "remade"), [("here", False), ("/another/folder", True), ("", True)])
def test_an_environment_that_came_with_a_copied_project_is_made_anew(tmp_path, made_in, remade):
    """Its scripts would run the code of the folder that it was made in: `ready` and `pip` hold that folder's name."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    place = str(tmp_path) if made_in == "here" else made_in
    (tmp_path / ".venv" / "bin" / "pip").write_text(f"#!{place}/.venv/bin/python\n")
    (tmp_path / ".venv" / "ready").write_text(place)
    plan = subprocess.run(
        ["make", "-n", "env", f"PYTHON={sys.executable}"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ("-e '.[book,dev]'" in plan.stdout) == remade
    assert ("rm -rf .venv" in plan.stdout) == remade
