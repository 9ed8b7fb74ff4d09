"""The sides of a benchmark in processes of their own, so that none sees another's settings, caches or crash."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

PATIENCE = 900.0  # seconds to wait for one answer


class Unavailable(Exception):
    """What a benchmark needs is not on this machine: a package, an instruction set."""


class Failed(Exception):
    """A side raised an error, ended, or did not answer."""


@dataclass(frozen=True)
class Side:
    """One side of a benchmark, prepared.

    Args:
        measure: Does the work once and returns the figure: a time, or a rate.
        facts: What a reader should know about this side, such as a version.
    """

    measure: Callable[[], float]
    facts: Mapping[str, str] = field(default_factory=dict)


class Worker:
    """A fresh process that holds some sides and measures them when it is told to.

    Args:
        paths: A `"module:function"` for each side; the function takes nothing and returns a `Side`.
        patience: Seconds to wait for one answer.

    Raises:
        Unavailable: A side needs what is not here.
        Failed: A side could not be prepared.
    """

    def __init__(self, paths: Sequence[str], *, patience: float = PATIENCE) -> None:
        context = multiprocessing.get_context("spawn")
        self.patience = patience
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, tuple(paths)), daemon=True)
        self._process.start()
        there.close()
        try:
            self.facts: dict[str, str] = self._answer()
        except BaseException:
            self.close()
            raise

    def measure(self, index: int) -> float:
        """Return one figure of one side.

        Raises:
            Failed: The side raised an error, the process ended, or there was no answer in time.
        """
        try:
            self._here.send(index)
        except OSError as error:
            raise Failed(self._end()) from error
        return float(self._answer())

    def close(self) -> None:
        """End the process, whatever it does."""
        self._here.close()
        self._process.terminate()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _answer(self) -> Any:
        try:
            if not self._here.poll(self.patience):
                raise Failed(f"no answer in {self.patience:g} s")
            kind, content = self._here.recv()
        except (EOFError, OSError) as error:
            raise Failed(self._end()) from error
        if kind == "unavailable":
            raise Unavailable(content)
        if kind == "failed":
            raise Failed(content)
        return content

    def _end(self) -> str:
        self._process.join(5)
        return f"its process ended with code {self._process.exitcode}"


def _serve(answers: Connection, paths: Sequence[str]) -> None:
    """Prepare the sides and measure on demand, until the other end closes."""
    try:
        with _silent():
            sides = [function(path)() for path in paths]
        facts = {name: text for side in sides for name, text in side.facts.items()}
        answers.send(("ready", facts))
        while True:
            answers.send(("measured", sides[answers.recv()].measure()))
    except EOFError:
        return
    except Unavailable as error:
        answers.send(("unavailable", str(error)))
    except Exception as error:
        traceback.print_exc()
        answers.send(("failed", f"{type(error).__name__}: {error}"))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep the start-up lines of TensorFlow's libraries from the screen; an error is shown afterwards."""
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere, os.fdopen(os.dup(2), "wb") as real:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real.fileno(), 2)


def function(path: str) -> Callable[[], Side]:
    """Return what prepares a side, by its path."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
