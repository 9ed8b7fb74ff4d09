"""Errors of Python code inside a `tf.data.Dataset`, which TensorFlow reports as errors of its own, as text."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import OrderedDict
from collections.abc import Iterator

import tensorflow as tf

_MAX_ERRORS = 8  # an error holds the frames of its traceback, so only the last ones are stored
_MARK = re.compile(r"\[deepkit source error (\d+)\]")
_numbers = itertools.count(1)
_errors: OrderedDict[int, Exception] = OrderedDict()


class SourceError(Exception):
    """Stands for an error of the user's code, which `original_errors` raises instead.

    Args:
        error: The error of the user's code.
    """

    def __init__(self, error: Exception) -> None:
        number = next(_numbers)
        _errors[number] = error
        while len(_errors) > _MAX_ERRORS:
            _errors.popitem(last=False)
        super().__init__(f"[deepkit source error {number}] {type(error).__name__}: {error}")


@contextlib.contextmanager
def original_errors() -> Iterator[None]:
    """Raise the error of the user's code instead of the error of TensorFlow that reports it."""
    try:
        yield
    except tf.errors.OpError as error:
        match = _MARK.search(str(error))
        original = _errors.pop(int(match[1]), None) if match else None
        if original is None:
            raise
        raise original from None
