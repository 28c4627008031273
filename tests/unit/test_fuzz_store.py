"""The store: files are complete or absent, seeds are read back, nothing is followed out of the folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hlfuzz.errors import EnvironmentProblem, UsageError
from hlfuzz.files import write_file
from hlfuzz.fuzz import Store, load
from hlfuzz.fuzz.store import read_json
from hlfuzz.invariants import read_seeds
from hlfuzz.invariants.settings.seeds import MAX_SEED_BYTES


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_inputs_are_kept_once_by_content(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for data in (b"one", b"two", b"one"):
        store.add_input(data)
    assert sorted(store.inputs()) == [b"one", b"two"]
    assert Store(tmp_path / "new").inputs() == []


def test_a_corpus_folder_is_read_without_hidden_and_huge_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / ".hidden").write_bytes(b"b")
    (tmp_path / "huge").write_bytes(bytes(MAX_SEED_BYTES + 1))
    (tmp_path / "folder").mkdir()
    assert read_seeds(tmp_path) == [b"a"]
    with pytest.raises(UsageError, match="missing"):
        read_seeds(tmp_path / "missing")


@pytest.mark.parametrize("text", ["", "[1]", "{", '"text"', "[" * 100_000])
def test_a_finding_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "finding.json"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_json(path)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"schema": "hlfuzz.finding/2"},
        {"schema": "hlfuzz.finding/1"},
        {"schema": "hlfuzz.finding/1", "guest": {"name": "g", "sha256": "", "file": "../../etc/passwd"}},
        {"schema": "hlfuzz.finding/1", "guest": 5},
    ],
)
def test_a_malformed_finding_is_refused(tmp_path: Path, document: object) -> None:
    path = tmp_path / "findings" / "finding.json"
    path.parent.mkdir()
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError):
        load(path)
