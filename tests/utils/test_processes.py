"""Processes: whether one is running, and which ones have a file open."""

import subprocess
import sys

import pytest

from deepkit.utils.processes import is_running, processes_with_open_file


def test_an_ended_process_is_not_running():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(process.pid)
    process.communicate(b"\n")
    assert not is_running(process.pid)
    assert not is_running(10**30)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_processes_that_have_a_file_open(tmp_path):
    path = tmp_path / "file"
    path.write_text("content")
    code = f"file = open({str(path)!r}); print('open', flush=True); input()"
    with (
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        path.open(),
    ):
        process.stdout.readline()
        assert processes_with_open_file(path) == [process.pid]
        process.communicate(b"\n")
    assert processes_with_open_file(path) == []
    assert processes_with_open_file(tmp_path / "missing") == []
