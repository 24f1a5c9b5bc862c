"""The buttons for Binder and Colab: off by default, on by one setting, and then they open notebooks that exist."""

from pathlib import Path

import build_book
import launch_buttons
import nbformat
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]

REPOSITORY = "https://github.com/someone/companion"


@pytest.fixture
def assembled(tmp_path):
    """Assembles the book's sources from one empty page, and gives the theme's options."""
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Overview")])
    nbformat.write(page, tmp_path / f"{build_book.ROOT_PAGE}.ipynb")

    def assemble():
        build_book.assemble(PROJECT / "book", tmp_path, [build_book.ROOT_PAGE], tmp_path / "book")
        configuration = yaml.safe_load((tmp_path / "book" / "_config.yml").read_text())
        return configuration, configuration["sphinx"]["config"]["html_theme_options"]

    return assemble


@pytest.mark.parametrize("setting", [None, "", "  "])
def test_without_the_setting_the_configuration_is_the_books_own(assembled, monkeypatch, setting):
    monkeypatch.delenv(launch_buttons.VARIABLE, raising=False)
    if setting is not None:
        monkeypatch.setenv(launch_buttons.VARIABLE, setting)
    configuration, options = assembled()
    assert configuration == yaml.safe_load((PROJECT / "book" / "_config.yml").read_text())
    assert (options["launch_buttons"], options["repository_url"]) == ({}, "")


@pytest.mark.parametrize("given", [REPOSITORY, REPOSITORY + "/", REPOSITORY + ".git"])
def test_one_setting_switches_both_on(assembled, monkeypatch, given):
    monkeypatch.setenv(launch_buttons.VARIABLE, given)
    configuration, options = assembled()
    assert options["repository_url"] == REPOSITORY
    assert set(options["launch_buttons"]) == {"binderhub_url", "colab_url", "notebook_interface"}
    assert (PROJECT / options["path_to_docs"] / f"{build_book.ROOT_PAGE}.ipynb").is_file()
    own = yaml.safe_load((PROJECT / "book" / "_config.yml").read_text())
    changed = {"repository_url", "repository_branch", "path_to_docs", "launch_buttons"}
    for settings in (configuration, own):
        for name in changed:
            settings["sphinx"]["config"]["html_theme_options"].pop(name, None)
    published = configuration["sphinx"]["config"]
    assert published.pop("ogp_site_url") == "https://someone.github.io/companion/"
    assert published.pop("ogp_site_name") == configuration["title"]
    assert published["extensions"].pop() == "sphinxext.opengraph"
    assert configuration == own, "nothing else changes"


@pytest.mark.parametrize(
    "given",
    ["someone/companion", "http://github.com/a/b", "https://gitlab.com/a/b", "https://github.com/a", REPOSITORY + "/x"],
)
def test_another_address_is_refused_with_what_is_allowed(assembled, monkeypatch, given):
    monkeypatch.setenv(launch_buttons.VARIABLE, given)
    with pytest.raises(ValueError, match=r"NPF_REPOSITORY=.* is not allowed; it must look like https://github\.com/"):
        assembled()


def test_the_first_pages_buttons_open_the_overview(tmp_path):
    link = "https://colab.research.google.com/github/someone/companion/blob/main/notebooks/{}.ipynb"
    (tmp_path / "index.html").write_text(f'<a href="{link.format("index")}">Colab</a>')
    launch_buttons.mend_root(tmp_path, build_book.ROOT_PAGE)
    assert (tmp_path / "index.html").read_text() == f'<a href="{link.format("00_overview")}">Colab</a>'


def test_binder_installs_what_the_project_asks_for():
    environment = yaml.safe_load((PROJECT / ".binder" / "environment.yml").read_text())
    [*names] = [entry.split(">=")[0] for entry in environment["dependencies"]]
    assert names == ["python=3.11", "pip", "pytorch-cpu", "torchvision"]
    project = (PROJECT / "pyproject.toml").read_text()
    for entry in environment["dependencies"][2:]:
        name, bound = entry.split(">=")
        assert f'"{name.replace("pytorch-cpu", "torch")}>={bound}"' in project
    post = PROJECT / ".binder" / "postBuild"
    assert post.stat().st_mode & 0o111, "Binder runs it"
    assert "-e '.[book]'" in post.read_text()
