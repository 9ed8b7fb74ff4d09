"""The processes of the benchmark of several workers: each has one core, and waits between its epochs."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.workers_network import Link

ROOT = Path(__file__).parent.parent
PROGRAM = "benchmarks/workers_program.py"
BATCH_SIZES = (64, 32)  # examples of each worker: two with 32 divide the batch of one with 64
WARM_UP_STEPS, NUM_STEPS = 4, 16  # of each epoch
SECONDS = 300.0  # to wait for one answer
NUM_LINES = 15  # of the output of a process, for an error message
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONSAFEPATH": "1",  # without the folder of the program, whose modules have short names
    "PYTHONWARNINGS": "ignore",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "DEEPKIT_CLUSTER_TIMEOUT": "120",
}
Answer = dict[str, Any]


class ProcessError(RuntimeError):
    """A process ended, or did not answer in time."""


class Process:
    """A process that answers commands with lines of JSON.

    Args:
        command: Its command line.
    """

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: text for name, text in os.environ.items() if name != "TF_CONFIG"}
        self._process = subprocess.Popen(
            command, env={**environment, **ENVIRONMENT}, cwd=ROOT, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._answers: queue.Queue[Answer | None] = queue.Queue()
        self._lines: deque[str] = deque(maxlen=NUM_LINES)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                if line.startswith("{"):
                    self._answers.put(json.loads(line))
                else:
                    self._lines.append(line.rstrip())
        self._answers.put(None)

    def send(self, command: str) -> None:
        """Send a command.

        Raises:
            ProcessError: The process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ProcessError(self._message("ended")) from error

    def answer(self) -> Answer:
        """Wait for the next answer.

        Raises:
            ProcessError: The process has ended, or does not answer in time.
        """
        try:
            content = self._answers.get(timeout=SECONDS)
        except queue.Empty:
            raise ProcessError(self._message(f"gave no answer in {SECONDS:.0f} s")) from None
        if content is None:
            raise ProcessError(self._message("ended"))
        return content

    def _message(self, problem: str) -> str:
        """Return the problem, with the last line that the process has printed, without the hint of an error."""
        last = next((line for line in reversed(self._lines) if line and line[0] != " "), "it printed nothing")
        return f"a worker {problem}: {last}"

    def close(self) -> None:
        """End the process and its children."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()


class Group:
    """Processes that take their epochs at the same time.

    Args:
        commands: Command line of each.
    """

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self._processes: list[Process] = []
        try:
            for command in commands:
                self._processes.append(Process(command))
        except BaseException:
            self.close()
            raise

    def answers(self) -> list[Answer]:
        """Wait for the next answer of each process."""
        return [process.answer() for process in self._processes]

    def ask(self, command: str, count: int | None = None) -> list[Answer]:
        """Send a command to the first processes, and wait for their answers.

        Args:
            command: The command.
            count: Number of processes; None for all of them.
        """
        processes = self._processes[:count]
        for process in processes:
            process.send(command)
        return [process.answer() for process in processes]

    def close(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.close()


def cores() -> list[int]:
    """Return the two cores for the workers; fewer if this process may not use two."""
    return sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else []


def machine_problem() -> str:
    """Return why this machine cannot run the benchmark; an empty text if it can."""
    if len(cores()) < 2:
        return "the benchmark needs Linux and two cores, one for each worker"
    if shutil.which("taskset") is None:
        return "`taskset` is not installed; it is part of util-linux"
    return ""


def independent_workers(batch_size: int) -> Group:
    """Start two processes that train by themselves, each on one core."""
    return Group([[*_on_core(core), sys.executable, PROGRAM, str(batch_size)] for core in cores()])


def connected_workers(link: Link, offset: int, batch_size: int) -> Group:
    """Start two workers that train together, each on one core and at one end of a link, with `deepkit launch`.

    Args:
        link: The link.
        offset: Number of the training on the link, from 0.
        batch_size: Examples in the batch of both.
    """
    hosts = ",".join(link.addresses(offset))
    commands = []
    for index, (core, prefix) in enumerate(zip(cores(), link.prefixes, strict=True)):
        launch = [sys.executable, "-m", "deepkit", "launch", "--hosts", hosts, "--index", str(index)]
        commands.append([*prefix, *_on_core(core), *launch, PROGRAM, str(batch_size)])
    return Group(commands)


def _on_core(core: int) -> list[str]:
    return ["taskset", "-c", str(core)]
