"""Keep what converters say about their own progress off the screen, and lose nothing that matters."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator

from deepkit.utils.stderr import capture_stderr

_LOGGERS = ("absl", "tensorflow", "tf2onnx")
_WARNINGS = (
    r"\s*Warning: tf\.lite\.Interpreter is deprecated",  # it is what TensorFlow itself brings to run the file
    r"In the future `np\.object` will be defined",  # Keras's own patch of tf2onnx
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop lines of progress; other lines are printed afterwards, or added as a note to the error that is raised."""
    with warnings.catch_warnings(), _loggers_raised(logging.CRITICAL), contextlib.ExitStack() as stack:
        for message in _WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        said = stack.enter_context(capture_stderr())
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
