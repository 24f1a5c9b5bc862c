"""Entries kept while a long measurement runs."""

import pytest
from companion.studies.kept_entries import KeptEntries


def test_what_is_kept_comes_back_under_its_own_key_alone(tmp_path):
    key = {"budget": (1, 2), "seeds": [0]}
    kept = KeptEntries(tmp_path, key)
    assert kept.get("one") is None
    kept.put("one", {"accuracy": [0.5, 1.0]})
    assert KeptEntries(tmp_path, key).get("one") == {"accuracy": [0.5, 1.0]}
    assert KeptEntries(tmp_path, key).get("two") is None
    assert KeptEntries(tmp_path, key | {"seeds": [1]}).get("one") is None
    kept.put("one", {"accuracy": []})
    assert kept.get("one") == {"accuracy": []}


def test_nothing_is_kept_without_a_folder():
    kept = KeptEntries(None, {})
    kept.put("one", {"accuracy": 1})
    assert kept.get("one") is None


def test_an_entry_is_written_whole_or_not_at_all(tmp_path):
    kept = KeptEntries(tmp_path, {})
    kept.put("one", {"accuracy": 1})
    with pytest.raises(TypeError):
        kept.put("one", {"accuracy": object()})
    assert kept.get("one") == {"accuracy": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]
