"""Worker processes for the sides of a benchmark, so that none is affected by the settings or a crash of another."""

from __future__ import annotations

import contextlib
import functools
import importlib
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

TIMEOUT = 900.0  # seconds to wait for one answer


class Unavailable(Exception):
    """The machine lacks a package or an instruction set that the benchmark needs."""


class Failed(Exception):
    """A side raised an error, its process ended, or it did not answer in time."""


@dataclass(frozen=True)
class Side:
    """One side of a benchmark, ready to measure.

    Args:
        measure: Function that runs the work once and returns a time or a rate.
        facts: Facts about this side for the page, such as a version.
    """

    measure: Callable[[], float]
    facts: Mapping[str, str] = field(default_factory=dict)


class Worker:
    """A new process that prepares some sides and measures them on request.

    Args:
        paths: A path for each side, `"module:function"` or `"module:function:argument"`; the function returns a `Side`.
        timeout: Seconds to wait for one answer.

    Raises:
        Unavailable: A side needs a package or an instruction set that the machine lacks.
        Failed: A side could not be prepared.
    """

    def __init__(self, paths: Sequence[str], *, timeout: float = TIMEOUT) -> None:
        context = multiprocessing.get_context("spawn")
        self.timeout = timeout
        self._connection, child_connection = context.Pipe()
        self._process = context.Process(target=_serve, args=(child_connection, tuple(paths)), daemon=True)
        self._process.start()
        child_connection.close()
        try:
            self.facts: dict[str, str] = self._receive()
        except BaseException:
            self.close()
            raise

    def measure(self, index: int) -> float:
        """Measure one side once and return the number.

        Raises:
            Failed: The side raised an error, the process ended, or there was no answer in time.
        """
        try:
            self._connection.send(index)
        except OSError as error:
            raise Failed(self._exit_message()) from error
        return float(self._receive())

    def close(self) -> None:
        """End the process, even if it is busy."""
        self._connection.close()
        self._process.terminate()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _receive(self) -> Any:
        try:
            if not self._connection.poll(self.timeout):
                raise Failed(f"no answer in {self.timeout:g} s")
            kind, content = self._connection.recv()
        except (EOFError, OSError) as error:
            raise Failed(self._exit_message()) from error
        if kind == "unavailable":
            raise Unavailable(content)
        if kind == "failed":
            raise Failed(content)
        return content

    def _exit_message(self) -> str:
        self._process.join(5)
        return f"its process ended with code {self._process.exitcode}"


def _serve(connection: Connection, paths: Sequence[str]) -> None:
    """Prepare the sides, and measure them on request until the connection is closed."""
    try:
        with _without_stderr():
            sides = [side_function(path)() for path in paths]
        facts = {name: text for side in sides for name, text in side.facts.items()}
        connection.send(("ready", facts))
        while True:
            connection.send(("measured", sides[connection.recv()].measure()))
    except EOFError:
        return
    except Unavailable as error:
        connection.send(("unavailable", str(error)))
    except Exception as error:
        traceback.print_exc()
        connection.send(("failed", f"{type(error).__name__}: {error}"))


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Discard the startup messages of TensorFlow's libraries; an error is printed afterwards."""
    sys.stderr.flush()
    with open(os.devnull, "wb") as null, os.fdopen(os.dup(2), "wb") as original:
        os.dup2(null.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original.fileno(), 2)


def side_function(path: str) -> Callable[[], Side]:
    """Return the function of a path, with its argument, which prepares a side.

    Examples:
        >>> side_function("benchmarks.training:deepkit_step:mlp").args
        ('mlp',)
    """
    module, name, *arguments = path.split(":")
    return functools.partial(getattr(importlib.import_module(module), name), *arguments)
