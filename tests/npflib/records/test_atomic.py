"""A file is the old one or the new one, whatever happens in between."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from npflib.records.atomic import replacing, write_text, write_with


def test_text_is_written_whole_in_utf8_into_folders_that_did_not_exist(tmp_path):
    path = tmp_path / "a" / "b" / "ν.json"
    write_text(path, "Σ ∘ Λ")
    assert path.read_bytes() == "Σ ∘ Λ".encode()
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_stands_until_the_block_has_ended(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")

    def save(file):
        file.write(b"half of the")
        raise error

    with pytest.raises(error):
        write_with(path, save)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_failing_disk_or_rename_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_text("old")

    def fails(*_arguments, **_options):
        raise OSError("no space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fails)
    with pytest.raises(OSError, match="no space"):
        write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old")
    code = (
        "import os, signal, sys; from pathlib import Path; from npflib.records.atomic import write_with\n"
        "def save(file):\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_with(Path(sys.argv[1]), save)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode < 0
    assert path.read_text() == "old"
    assert list(tmp_path.glob("*.json")) == [path], "what was half written does not look like a record"


def test_others_may_read_the_file(tmp_path):
    write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_what_a_killed_process_left_half_written_goes_and_what_a_living_one_writes_stays(tmp_path):
    path = tmp_path / "a [file].json"
    code = "import os, sys; from pathlib import Path; from npflib.records.atomic import replacing\n"
    code += "with replacing(Path(sys.argv[1])) as file:\n    file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)"
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -9
    (orphan,) = tmp_path.glob(".*.part")
    with replacing(path) as file:
        (own,) = tmp_path.glob(".*.part")
        assert own != orphan, "the first thing that a writer does is to clear up"
        write_text(path, "another writer of the same process")
        assert own.exists()
        file.write(b"whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]
