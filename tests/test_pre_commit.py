"""The hooks before a commit are the commands of `make lint`, and run in its environment."""

import re
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[1]
HOOKS = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]


def lint_commands() -> list[str]:
    """The recipe of `make lint`, without the files that each command is given."""
    makefile = (PROJECT / "Makefile").read_text()
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE).group(1)
    lines = [line.strip().lstrip("@").replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    return [re.sub(r"( \.| notebooks/\*\.ipynb| npflib)$", "", line) for line in lines]


def test_the_hooks_are_the_commands_of_make_lint():
    hooks = [hook for repository in HOOKS for hook in repository["hooks"]]
    assert [hook["entry"] for hook in hooks] == lint_commands()


def test_every_hook_runs_what_is_installed_here_and_downloads_nothing():
    for repository in HOOKS:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            assert hook["entry"].startswith(".venv/bin/")
            for word in hook["entry"].split()[1:]:
                assert not word.endswith(".py") or (PROJECT / word).is_file()
