"""The folders that interrupted downloads leave: which are removed, and which are not."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from deepkit import data as dk_data
from deepkit.data import download, download_folder
from deepkit.data.catalog import CatalogEntry
from tests.data.tiny import TinyShapes

ENTRY = CatalogEntry("tiny_shapes", "1.0.0")
NAME = ".deepkit-download-tiny_shapes-1.0.0-abcd_123"
TFDS_NAME = "incomplete.AB12CD_1.0.0"


@pytest.fixture
def root(tmp_path):
    TinyShapes(data_dir=tmp_path).download_and_prepare()
    return tmp_path


def make_folder(path, seconds_old=0):
    (path / "downloads").mkdir(parents=True)
    part = path / "downloads" / "part.zip"
    part.write_bytes(b"half a download")
    for item in (part, part.parent, path):
        os.utime(item, (time.time() - seconds_old,) * 2)
    return path


def load(root):
    return dk_data.load("tiny_shapes", data_dir=root)


def remove(root):
    return download_folder.remove_stale_folders(ENTRY, root)


def test_the_next_load_removes_the_folder_of_a_killed_process(root, capsys):
    folder = make_folder(root / NAME)
    (folder / ".lock").touch()
    load(root)
    assert not folder.exists()
    first, _ = capsys.readouterr().out.splitlines()
    assert first == f"removed {folder}, which an interrupted download of tiny_shapes 1.0.0 left"
    assert sorted(path.name for path in root.iterdir()) == ["downloads", "tiny_shapes"]


def test_the_folder_is_removed_before_a_new_download(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "is_reachable", lambda urls: True)
    make_folder(tmp_path / NAME)
    load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny_shapes"]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "removed",
        "downloading",
        "tiny_shapes",
    ]


def test_a_folder_in_use_stays(tmp_path):
    folder = make_folder(tmp_path / NAME)
    with open(folder / ".lock", "w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        assert remove(tmp_path) == []
    assert (folder / "downloads" / "part.zip").exists()


def test_a_download_holds_the_lock_of_its_folder(tmp_path):
    with download_folder.temporary_download_folder(ENTRY, tmp_path) as folder:
        assert folder.name.startswith(".deepkit-download-tiny_shapes-1.0.0-")
        assert remove(tmp_path) == []
        assert folder.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        ".deepkit-download-tiny_photos-1.0.0-abcd_123", ".deepkit-download-tiny_shapes-2.0.0-abcd_123",
        ".deepkit-download-tiny_shapes-1.0.0-my-notes", "downloads", "tiny_shapes/incomplete.AB12CD_2.0.0",
        "tiny_shapes/incomplete.notes", "tiny_shapes/1.0.0.incomplete", "incomplete.AB12CD_1.0.0",
    ],
)  # fmt: skip
def test_other_folders_stay(tmp_path, name):
    folder = make_folder(tmp_path / name, seconds_old=10 * 24 * 3600)
    assert remove(tmp_path) == []
    assert (folder / "downloads" / "part.zip").exists()


def test_links_and_files_stay(tmp_path, tmp_path_factory):
    target = make_folder(tmp_path_factory.mktemp("mine") / "folder", seconds_old=10 * 24 * 3600)
    (tmp_path / NAME).symlink_to(target)
    (tmp_path / "tiny_shapes").mkdir()
    (tmp_path / "tiny_shapes" / TFDS_NAME).write_text("a file")
    assert remove(tmp_path) == []
    assert (tmp_path / NAME).is_symlink()
    assert (tmp_path / "tiny_shapes" / TFDS_NAME).exists()
    assert (target / "downloads" / "part.zip").exists()


@pytest.mark.parametrize("name", [f"tiny_shapes/{TFDS_NAME}", ".deepkit-new-abcd_123"])
def test_an_old_folder_without_a_lock_is_removed(tmp_path, name):
    folder = make_folder(tmp_path / name, seconds_old=25 * 3600)
    assert remove(tmp_path) == [folder]
    assert not folder.exists()


@pytest.mark.parametrize("name", [f"tiny_shapes/{TFDS_NAME}", ".deepkit-new-abcd_123"])
def test_a_folder_without_a_lock_that_changed_today_stays(tmp_path, name):
    folder = make_folder(tmp_path / name, seconds_old=23 * 3600)
    assert remove(tmp_path) == []
    assert folder.exists()


def test_a_folder_of_tfds_with_an_open_file_stays(tmp_path):
    folder = make_folder(tmp_path / "tiny_shapes" / TFDS_NAME, seconds_old=25 * 3600)
    with open(folder / "downloads" / "part.zip", "rb"):
        assert remove(tmp_path) == []
    assert folder.exists()


DOWNLOAD = r"""
import os, sys, time
from deepkit import data as dk_data
from deepkit.data import download
from tests.data.tiny import TinyShapes

def wait(self, start, stop):
    os.write(1, b"half\n")  # TFDS's output is discarded
    time.sleep(600)
    yield

TinyShapes._examples = wait
download.is_reachable = lambda urls: True
dk_data.load("tiny_shapes", data_dir=sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_download_is_removed_by_the_next_load(tmp_path, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", DOWNLOAD, str(tmp_path)], stdout=subprocess.PIPE) as process:
        while (line := process.stdout.readline()) and line.strip() != b"half":
            pass
        assert len(list(tmp_path.glob(".deepkit-download-tiny_shapes-1.0.0-*"))) == 1
        assert remove(tmp_path) == []
        process.send_signal(signal.SIGKILL)
    monkeypatch.setattr(download, "is_reachable", lambda urls: True)
    load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny_shapes"]
