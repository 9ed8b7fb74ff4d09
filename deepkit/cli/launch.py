"""The `deepkit launch` command: start several workers on this machine, or one of the workers on several hosts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from deepkit.recipe.command import UsageError, parse_options
from deepkit.utils import machine
from deepkit.utils.cluster import TF_CONFIG, Cluster
from deepkit.utils.console import echo
from deepkit.utils.errors import message

_GRACE_SECONDS = 60.0  # for the other workers to end by themselves, with an error that names the lost one
_USAGE = "usage: deepkit launch [--workers N | --hosts A:PORT,B:PORT --index I] run NAME [flags]"


@dataclass(frozen=True)
class Options:
    """Start a deepkit command or a Python script as several workers that train one model together.

    With --workers, all of them run on this machine. With --hosts, this process becomes one of them: run the same
    command on every host, each with its own --index.
    """

    workers: int = 2
    """Number of workers on this machine."""
    hosts: str = ""
    """Addresses of all workers, such as host0:2222,host1:2222."""
    index: int | None = None
    """Number of this host among them, from 0."""


def run(args: Sequence[str]) -> int:
    """Start the workers and return the exit code: 0 if all succeed, else that of the first one that fails."""
    launch_flags, command = split_arguments(args)
    options = parse_options(Options, launch_flags, "deepkit launch")
    if not command:
        raise UsageError(message(_USAGE, hint="deepkit launch --workers 2 run lenet --quick"))
    program = _program(command)
    if options.hosts:
        return _run_on_hosts(options, program)
    if options.index is not None:
        raise UsageError(message("--index needs --hosts", hint=_USAGE))
    if options.workers < 1:
        raise UsageError(message(f"--workers {options.workers}: expected a positive number", hint=_USAGE))
    return _run_locally(options.workers, program)


def split_arguments(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags of `deepkit launch`, and the command that the workers run."""
    position = 0
    while position < len(args) and args[position].startswith("-"):
        has_value = "=" not in args[position] and args[position] not in ("-h", "--help")
        position += 2 if has_value else 1
    return list(args[:position]), list(args[position:])


def _program(command: Sequence[str]) -> list[str]:
    """Return the command line of a worker: a deepkit command, or a Python script."""
    if command[0] in ("run", "doctor"):
        return [sys.executable, "-m", "deepkit", *command]
    if command[0].endswith(".py") and Path(command[0]).is_file():
        return [sys.executable, *command]
    problem = f"expected `run NAME`, `doctor --cluster` or a Python script, received {command[0]!r}"
    raise UsageError(message(problem, hint="deepkit launch --workers 2 run lenet --quick"))


def _run_on_hosts(options: Options, program: Sequence[str]) -> int:
    if options.index is None:
        raise UsageError(message("--hosts needs --index, the number of this host", hint="--index 0 on the first host"))
    cluster = Cluster(tuple(options.hosts.split(",")), options.index, "--hosts")
    return subprocess.run(program, env={**os.environ, TF_CONFIG: cluster.tf_config()}, check=False).returncode


def _run_locally(num_workers: int, program: Sequence[str]) -> int:
    addresses = tuple(f"localhost:{port}" for port in _free_ports(num_workers))
    processes: list[subprocess.Popen[bytes]] = []
    threads = []
    try:
        with _forwarded_signals(processes):
            for index in range(num_workers):
                processes.append(_start(Cluster(addresses, index, "deepkit launch"), program))
                if index > 0:  # the chief writes to the terminal itself, with its progress bars
                    threads.append(_print_lines(processes[-1], f"worker {index}: "))
            code = _wait(processes)
    finally:
        _stop(processes)
        for thread in threads:
            thread.join()
    return code


def _start(cluster: Cluster, program: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a worker, with its share of the cores, and with its own GPU if there are any."""
    num_workers = len(cluster.addresses)
    environment = {**os.environ, TF_CONFIG: cluster.tf_config()}
    environment.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, (os.cpu_count() or 1) // num_workers)))
    if machine.has_card():
        environment.setdefault("CUDA_VISIBLE_DEVICES", str(cluster.index))
    if cluster.is_chief:
        return subprocess.Popen(program, env=environment)
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("", 0))
        return [item.getsockname()[1] for item in sockets]


def _print_lines(process: subprocess.Popen[bytes], prefix: str) -> threading.Thread:
    """Print the output of a worker in the background, each line with its name."""

    def copy(stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                echo(prefix + line.decode(errors="replace").rstrip())

    assert process.stdout is not None
    thread = threading.Thread(target=copy, args=(process.stdout,), daemon=True)
    thread.start()
    return thread


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait until all workers have ended; after the first failure, no longer than the grace period."""
    deadline, code = float("inf"), 0
    while [process for process in processes if process.poll() is None] and time.monotonic() < deadline:  # polls all
        failed = [process.returncode for process in processes if process.returncode]
        if failed and not code:
            code, deadline = failed[0], time.monotonic() + _GRACE_SECONDS
        time.sleep(0.1)
    failed = [process.returncode for process in processes if process.returncode]
    code = code or (failed[0] if failed else 0)
    return 128 - code if code < 0 else code  # as shells report a signal


@contextlib.contextmanager
def _forwarded_signals(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Forward SIGTERM to the workers in a `with` block; a terminal sends Ctrl-C to them itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def forward(number: int, frame: FrameType | None) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = signal.signal(signal.SIGTERM, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the workers that still run."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
