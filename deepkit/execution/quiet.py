"""Keep what converters say about their own progress off the screen, and lose nothing that matters."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator

_LOGGERS = ("absl", "tensorflow", "tf2onnx")
_PROGRESS = re.compile(
    rb"(WARNING: All log messages before absl|[IW]\d{4} |INFO: |To enable the following instructions:)"
)
_WARNINGS = (
    r"\s*Warning: tf\.lite\.Interpreter is deprecated",  # it is what TensorFlow itself brings to run the file
    r"In the future `np\.object` will be defined",  # Keras's own patch of tf2onnx
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop lines of progress; other lines are printed afterwards, or added as a note to the error that is raised.

    Standard error is put aside as a file descriptor, for the converters are C++. It is that of the whole process, so
    another thread's lines come late, but they come.
    """
    with warnings.catch_warnings(), _loggers_raised(logging.CRITICAL), contextlib.ExitStack() as stack:
        for message in _WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        said = stack.enter_context(_standard_error_aside())
        try:
            yield
        except Exception as error:
            stack.close()
            if said:
                error.add_note(b"".join(said).decode(errors="replace"))
            raise
        stack.close()
        sys.stderr.write(b"".join(said).decode(errors="replace"))


@contextlib.contextmanager
def _loggers_raised(level: int) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, old in zip(loggers, before, strict=True):
            logger.setLevel(old)


@contextlib.contextmanager
def _standard_error_aside() -> Iterator[list[bytes]]:
    """Put standard error aside; at the end the list that was given holds its lines but for those of progress."""
    said: list[bytes] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as aside, os.fdopen(os.dup(2), "wb") as real:
        traced = faulthandler.is_enabled()
        faulthandler.enable(real)  # should a converter kill the process, say where
        os.dup2(aside.fileno(), 2)
        try:
            yield said
        finally:
            sys.stderr.flush()
            os.dup2(real.fileno(), 2)
            faulthandler.enable(2) if traced else faulthandler.disable()  # a notebook's sys.stderr is no file
            aside.seek(0)
            said.extend(line for line in aside if not _PROGRESS.match(line))
