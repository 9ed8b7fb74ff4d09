"""Atomic writes: a file has its old content or its new one."""

import contextlib
import errno
import os
import stat
import subprocess
from pathlib import Path

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


@pytest.fixture(scope="module")
def ended_process():
    """Return the number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_temporary_files_of_an_ended_process_are_removed(tmp_path, ended_process):
    (tmp_path / "model.keras").write_text("old")
    (tmp_path / f".deepkit-unfinished-{ended_process}-model.keras").write_text("half")
    (tmp_path / f".deepkit-unfinished-{ended_process}-7-model.keras").write_text("half")
    (tmp_path / f".deepkit-unfinished-{os.getpid()}-config.json").write_text("of an earlier process with this number")
    files.remove_stale_temporaries(tmp_path)
    assert os.listdir(tmp_path) == ["model.keras"]


def test_other_files_and_temporary_files_in_use_are_not_removed(tmp_path, ended_process):
    names = [
        f".deepkit-unfinished-{os.getppid()}-model.keras",
        f".deepkit-unfinished-{ended_process}",
        ".deepkit-unfinished-notes.txt",
        f"deepkit-unfinished-{ended_process}-1-a.txt",
        ".unfinished-1-a.txt",
    ]
    for name in names:
        (tmp_path / name).write_text("content")
    folder = tmp_path / f".deepkit-unfinished-{ended_process}-folder"
    folder.mkdir()
    link = tmp_path / f".deepkit-unfinished-{ended_process}-link"
    link.symlink_to(tmp_path / names[2])
    with files.atomic_path(tmp_path / "model.keras") as temporary:
        temporary.write_text("new")
        files.remove_stale_temporaries(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*names, folder.name, link.name, "model.keras"])


@pytest.fixture
def fsynced(monkeypatch):
    """Return the list of the paths that are passed to `os.fsync`."""
    paths, fsync = [], os.fsync

    def record(descriptor):
        paths.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return paths


def test_the_file_its_folder_and_new_parents_are_fsynced(tmp_path, fsynced):
    path = tmp_path / "a" / "b" / "file.txt"
    files.atomic_write(path, "text")
    temporary = fsynced.pop(2)
    assert temporary.name.endswith("-file.txt")
    assert fsynced == [tmp_path / "a", tmp_path, path.parent]
    del fsynced[:]
    files.atomic_write(path, "new text")
    assert [item.name.rpartition("-")[2] for item in fsynced] == ["file.txt", "b"]


def test_a_relative_path_in_the_current_folder_is_fsynced(tmp_path, fsynced, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.atomic_write(Path("new") / "file.txt", "text")
    assert fsynced[0] == tmp_path
    assert fsynced[-1] == tmp_path / "new"


@pytest.mark.parametrize(
    ("number", "is_ignored"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False), (errno.ENOSPC, False)]
)
def test_only_file_systems_without_fsync_of_folders_are_ignored(tmp_path, monkeypatch, number, is_ignored):
    fsync = os.fsync

    def fail_for_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with contextlib.nullcontext() if is_ignored else pytest.raises(OSError, match=os.strerror(number)):
        files.atomic_write(tmp_path / "file.txt", "text")
    assert os.listdir(tmp_path) == ["file.txt"]


def test_two_writes_of_a_file_have_different_temporary_files(tmp_path):
    with files.atomic_path(tmp_path / "a.txt") as first, files.atomic_path(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"
