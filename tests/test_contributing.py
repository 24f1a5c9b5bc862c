"""CONTRIBUTING names places and commands that exist."""

import importlib
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
TEXT = (PROJECT / "CONTRIBUTING.md").read_text()


def test_every_file_named_exists():
    named = set(re.findall(r"`((?:npflib|tests|scripts|notebooks|book|\.github)/[\w./-]+\.\w+)`", TEXT))
    named |= set(re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT))
    assert len(named) > 15
    absent = [name for name in named if not (PROJECT / name).exists() and "NN_name" not in name]
    assert absent == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("npflib.regimes", "_REGIMES"),
        ("npflib.gates", "_GATES"),
        ("npflib.experiments", "COMPANION"),
        ("npflib.data.datasets", "_KINDS"),
        ("npflib.initialisation", "SCHEMES"),
        ("npflib.training.monitors", "MEASURES"),
        ("companion.figures.style", "COLOURS"),
        ("companion.figures.style", "MARKERS"),
    ],
)
def test_every_table_named_is_there(module, name):
    assert f"`{name}`" in TEXT
    assert f"{module.replace('.', '/')}.py" in TEXT
    assert hasattr(importlib.import_module(module), name)


def test_every_make_target_named_exists():
    makefile = (PROJECT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    assert set(re.findall(r"^make ([\w-]+)|`make ([\w-]+)", TEXT, re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }
