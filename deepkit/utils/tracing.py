"""Silence TensorFlow's warning about functions that are traced again: each training has a new model to trace."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Hide the warning about retracing in a `with` block, or in a function that it decorates."""
    logger = logging.getLogger("tensorflow")
    if _is_other_message in logger.filters:  # by the function that called this one, which removes the filter
        yield
        return
    logger.addFilter(_is_other_message)
    try:
        yield
    finally:
        logger.removeFilter(_is_other_message)


def _is_other_message(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in str(record.msg)
