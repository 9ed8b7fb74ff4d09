"""Hide the progress messages of converters, and keep all other messages."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator

from deepkit.utils.stderr import capture_stderr

_LOGGERS = ("absl", "tensorflow", "tf2onnx")
_WARNINGS = (
    r"\s*Warning: tf\.lite\.Interpreter is deprecated",  # TensorFlow itself has no other interpreter
    r"In the future `np\.object` will be defined",  # raised by Keras's patch of tf2onnx
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop progress messages; print all others after the block, or add them to the error that is raised as a note."""
    with warnings.catch_warnings(), _logging_level(logging.CRITICAL), contextlib.ExitStack() as stack:
        for pattern in _WARNINGS:
            warnings.filterwarnings("ignore", message=pattern)
        lines = stack.enter_context(capture_stderr())
        try:
            yield
        except Exception as error:
            stack.close()
            if lines:
                error.add_note(b"".join(lines).decode(errors="replace"))
            raise
        stack.close()
        sys.stderr.write(b"".join(lines).decode(errors="replace"))


@contextlib.contextmanager
def _logging_level(level: int) -> Iterator[None]:
    """Set the level of the converters' loggers, and restore it."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, original in zip(loggers, levels, strict=True):
            logger.setLevel(original)
