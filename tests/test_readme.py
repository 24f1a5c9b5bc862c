"""What the README shows is true: its example runs, its commands exist, its outputs are those that come out."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from npflib import cli, experiments

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


def commands_shown() -> list[tuple[str, str]]:
    """(command, output printed below it or "") for every line of a shell example."""
    blocks = re.findall(r"```(sh|text)\n(.*?)```", README, re.DOTALL)
    found = []
    for place, (kind, text) in enumerate(blocks):
        if kind == "sh":
            after = blocks[place + 1][1] if blocks[place + 1 : place + 2] and blocks[place + 1][0] == "text" else ""
            found += [(line.split("#")[0].strip(), after) for line in text.splitlines() if line.strip()]
    return found


def test_papermill_is_shown_with_notebooks_and_parameters_that_exist():
    shown = [shlex.split(command) for command, _ in commands_shown() if "papermill" in command]
    assert shown
    for words in shown:
        notebook = PROJECT / words[1]
        assert notebook.is_file()
        for name in (words[place + 1] for place, word in enumerate(words) if word == "-p"):
            assert f'"{name} = ' in notebook.read_text().replace("\\n", "\n"), f"{notebook.name} has no {name}"


def test_the_message_on_a_wrong_value_is_the_one_shown(tmp_path):
    [(command, shown)] = [(c, output) for c, output in commands_shown() if "-p profile huge" in c]
    words = shlex.split(command)[1:]
    words[1] = str(tmp_path / "out.ipynb")
    run = subprocess.run(
        [sys.executable, "-m", "papermill", *words, "--no-progress-bar"], cwd=PROJECT, capture_output=True, text=True
    )
    assert run.returncode != 0
    assert shown.strip() in run.stderr


def test_training_is_shown_with_names_and_options_that_exist():
    shown = [shlex.split(command) for command, _ in commands_shown() if "npf train" in command]
    assert shown
    options = CliRunner().invoke(cli.main, ["train", "--help"]).output
    for words in shown:
        assert all(word in options for word in words if word.startswith("--"))
        row = experiments.find(words[words.index("--experiment") + 1])
        assert words[words.index("--regime") + 1] in row.regimes


def test_the_figure_is_drawn_from_todays_records(tmp_path):
    [place] = re.findall(r"!\[[^\]]{40,}\]\(([^)]+\.svg)\)", README)
    [script] = re.findall(r"`\.venv/bin/python (scripts/\w+\.py)`", README)
    assert (PROJECT / place).stat().st_size < 100_000
    subprocess.run([sys.executable, PROJECT / script, tmp_path / "again.svg"], cwd=PROJECT, check=True)
    numbers = [re.findall(r"<!-- (.*?) -->", path.read_text()) for path in (PROJECT / place, tmp_path / "again.svg")]
    assert numbers[0] == numbers[1], f"run {script} and look at the difference"
    assert any(re.fullmatch(r"9\d\.\d\d", text) for text in numbers[0]), "the texts of the figure"


def test_the_paper_is_cited_as_in_the_bibliography():
    [entry] = re.findall(r"```bibtex\n(.*?)```", README, re.DOTALL)
    key = re.match(r"@\w+\{(\w+),", entry).group(1)
    book = (PROJECT / "book" / "references.bib").read_text()
    assert f"{{{key}," in book
    author = re.search(r"author += \{(.*?)\}", entry).group(1)
    assert author in book


def test_what_the_notebook_prints_is_what_is_shown(smoke_book):
    executed = (smoke_book.parent / "notebooks" / "adding_a_data_set.ipynb").read_text(encoding="utf-8")
    [shown] = [output for command, output in commands_shown() if "adding_a_data_set" in command]
    [line] = [line for line in shown.splitlines() if " images" in line]
    assert line in executed
