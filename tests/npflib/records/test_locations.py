"""Where a build, the project and the published records lie."""

from pathlib import Path

import pytest

from npflib.records import locations


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("NPF_BUILD", raising=False)
    for name in ("npflib", "notebooks/deep"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_profile_has_a_build_folder_of_its_own(project):
    assert locations.build("quick") == project / "build"
    assert locations.build("smoke") == project / "build" / "smoke"
    assert locations.build("paper") == project / "build" / "paper"
    assert locations.published() == project / "results"


def test_the_project_is_found_from_below(project, monkeypatch):
    monkeypatch.chdir(project / "notebooks" / "deep")
    assert locations.project() == project
    assert locations.build("quick") == project / "build"


def test_outside_a_checkout_it_is_the_one_that_the_library_runs_from(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locations.project() == Path(__file__).resolve().parents[3]


def test_without_any_checkout_it_is_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locations, "__file__", str(tmp_path / "site-packages" / "npflib" / "records" / "locations.py"))
    assert locations.project() == tmp_path


def test_a_given_folder_comes_before_the_variable_and_that_before_the_profile(project, monkeypatch):
    monkeypatch.setenv("NPF_BUILD", "by-variable")
    assert locations.build("smoke") == project / "by-variable"
    assert locations.build("smoke", "given") == project / "given"
    assert locations.build("smoke", project / "as-path") == project / "as-path"


def test_a_tilde_is_the_home_folder(project, monkeypatch):
    monkeypatch.setenv("HOME", str(project))
    assert locations.build("quick", "~/mine") == project / "mine"


@pytest.mark.parametrize(
    ("given", "said"), [("x" * 5000, "File name too long"), (b"x", "is no folder's name"), ("a\0b", "a null character")]
)
def test_what_is_no_folders_name_is_refused(given, said):
    with pytest.raises(ValueError, match=f"the build folder .*{said}"):
        locations.build("quick", given) if isinstance(given, str) else locations.expanded(given, "the build folder")


def test_an_unknown_profile_is_refused_even_with_a_folder(project):
    with pytest.raises(ValueError, match=r"'huge'.*smoke, quick, paper"):
        locations.build("huge", "given")
