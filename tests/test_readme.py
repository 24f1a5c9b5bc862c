"""The README's example runs as it is printed, and its links lead somewhere."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text()


def test_the_example_runs():
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    space: dict = {}
    exec(example, space)
    assert space["phi"].shape == (7, 80)
    assert space["H"].shape == (7, 7)


def test_local_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_make_help_lists_the_commands_named_here():
    makefile = (PROJECT / "Makefile").read_text()
    named = set(re.findall(r"^\s*make (\w+)", README, re.MULTILINE)) | set(re.findall(r"`make (\w+)", README))
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    assert named <= targets
