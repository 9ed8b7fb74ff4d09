"""Atomic writes: a file has its old content or its new one."""

import os

import pytest

from deepkit.utils import files


def test_atomic_write_creates_the_folder_and_the_file(tmp_path):
    path = tmp_path / "new" / "file.txt"
    files.atomic_write(path, "text")
    assert path.read_text() == "text"
    files.atomic_write(path, b"bytes")
    assert path.read_bytes() == b"bytes"
    assert os.listdir(path.parent) == ["file.txt"]


def test_atomic_write_keeps_the_permissions(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    path.chmod(0o600)
    files.atomic_write(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_failed_atomic_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        files.atomic_write(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_atomic_path_has_the_suffix_and_replaces_the_file(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with files.atomic_path(path) as temporary:
        assert temporary.suffix == ".keras"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["model.keras"]


def test_an_error_in_the_body_keeps_the_old_file(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")

    def write():
        with files.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.keras"]


def test_temporary_files_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / "model.keras").write_text("old")
    (tmp_path / ".deepkit-unfinished-123-model.keras").write_text("half")
    files.remove_stale_temporaries(tmp_path)
    assert os.listdir(tmp_path) == ["model.keras"]
