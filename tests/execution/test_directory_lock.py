"""The lock of a run directory: held by one process, and never by its forked children."""

import contextlib
import errno
import multiprocessing
import os
import select
import signal
import subprocess
import sys

import pytest

from deepkit.errors import RunDirError
from deepkit.training import directory_lock
from deepkit.training.directory_lock import DirectoryLock
from deepkit.training.run_dir import RunDir

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# acquires the lock and starts a child, which prints its number; both wait to be killed
PARENT = """
import os, sys, time
from deepkit.training import directory_lock
from pathlib import Path
lock = directory_lock.DirectoryLock(Path(sys.argv[1]))
lock.acquire()
if sys.argv[2] == "a library":  # which does not call Python's functions after the fork
    directory_lock._acquired.clear()
if os.fork() == 0:  # returns after the functions that Python calls after a fork
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def acquire_elsewhere(folder):
    """Acquire the lock in another process, and return its output: empty, or the error."""
    code = (
        "import sys; from pathlib import Path; from deepkit.training.directory_lock import DirectoryLock\n"
        "try: DirectoryLock(Path(sys.argv[1])).acquire()\n"
        "except OSError as error: print(error)"
    )
    return subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def forked_child(action=lambda: None):
    """Fork a child that runs an action and then lives until the end of the body; a child that fails cannot block."""
    ready, end = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.close(end[1])  # otherwise, the child would wait for itself
            action()
            os.write(ready[1], b"1")
            os.read(end[0], 1)
        os._exit(0)
    os.close(ready[1])  # so that reading ends if the child fails
    try:
        assert select.select([ready[0]], [], [], 60)[0]
        assert os.read(ready[0], 1) == b"1"
        yield child
    finally:
        os.close(end[1])
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for descriptor in (ready[0], end[0]):
            os.close(descriptor)


def test_a_child_that_outlives_the_training_does_not_block(tmp_path):
    with contextlib.ExitStack() as stack:
        with RunDir(tmp_path).lock():
            stack.enter_context(forked_child())
        with RunDir(tmp_path).lock():
            pass
        assert acquire_elsewhere(tmp_path) == ""


def test_a_child_of_a_library_that_outlives_the_training_does_not_block(tmp_path, monkeypatch):
    with contextlib.ExitStack() as stack:
        with RunDir(tmp_path).lock(), monkeypatch.context() as patched:
            patched.setattr(directory_lock, "_acquired", set())  # the child keeps its copy of the file
            stack.enter_context(forked_child())
        assert acquire_elsewhere(tmp_path) == ""


def test_a_child_cannot_release_the_lock_of_its_parent(tmp_path):
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    with forked_child(lock.release):
        assert f"is in use by process {os.getpid()}, which trains there" in acquire_elsewhere(tmp_path)
    assert f"is in use by process {os.getpid()}" in acquire_elsewhere(tmp_path)  # after the child has ended
    lock.release()
    assert acquire_elsewhere(tmp_path) == ""


def wait(started, end):
    started.set()
    end.wait(60)


def test_a_process_of_multiprocessing_does_not_block(tmp_path):
    context = multiprocessing.get_context("fork")
    started, end = context.Event(), context.Event()
    with RunDir(tmp_path).lock():
        process = context.Process(target=wait, args=(started, end))
        process.start()
        started.wait(60)
    try:
        with RunDir(tmp_path).lock():
            pass
    finally:
        end.set()
        process.join()


def test_a_child_does_not_close_a_file_that_has_the_number_of_the_lock(tmp_path):
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    number = lock._descriptor

    def action():
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)  # the child has closed its copy of the lock
        os.dup2(os.open(os.devnull, os.O_RDONLY), number)
        lock.release()
        os.fstat(number)

    with forked_child(action):
        pass
    lock.release()


@pytest.fixture(params=["os.fork", "a library"])
def killed(tmp_path, request):
    """Kill a process that holds the lock and has a living child; return the numbers of both, and how it forked."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path, request.param], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    parent.stdout.close()
    parent.kill()
    parent.wait()
    yield parent.pid, child, request.param
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def test_a_child_of_a_killed_training(tmp_path, killed):
    parent, child, fork = killed
    if fork == "os.fork":  # the child has closed its copy
        with RunDir(tmp_path).lock():
            return
    with pytest.raises(RunDirError) as caught, RunDir(tmp_path).lock():
        pass
    assert str(caught.value) == (
        f"run_dir: process {parent}, which trained in {tmp_path}, has ended, but a process that it started still "
        f"holds its lock\n  hint: end that process ({child}), or use another run_dir"
    )


def test_a_second_call_in_the_same_process(tmp_path):
    problem = f"is in use by another call in this process, {os.getpid()}, which trains there"
    with RunDir(tmp_path).lock():
        with pytest.raises(RunDirError, match=rf"{problem}\n  hint: wait for that call"), RunDir(tmp_path).lock():
            pass
        assert "is in use by process" in acquire_elsewhere(tmp_path)  # the second call has not released the lock
    assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_process_on_another_machine(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    with RunDir(tmp_path).lock():
        (tmp_path / ".lock").write_text(str(ended.pid))  # a number that this machine does not have
        with pytest.raises(RunDirError) as caught, RunDir(tmp_path).lock():
            pass
    assert str(caught.value) == (
        f"run_dir: {tmp_path} is in use by process {ended.pid} of another machine, or by a process that it started\n"
        "  hint: wait for that process, end it, or use another run_dir"
    )


def test_a_file_system_without_locks_is_printed(tmp_path, monkeypatch, capsys):
    def refuse(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(directory_lock.fcntl, "flock", refuse)
    with RunDir(tmp_path).lock():
        pass
    assert f"the file system of {tmp_path} has no locks (No locks available)" in capsys.readouterr().out


def test_a_full_disk_raises_and_releases_the_lock(tmp_path, monkeypatch):
    def refuse(descriptor, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(directory_lock.os, "write", refuse)
        with pytest.raises(RunDirError, match="No space left on device; nothing was trained"), RunDir(tmp_path).lock():
            pass
    with RunDir(tmp_path).lock():
        pass
