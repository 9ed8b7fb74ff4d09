"""Import TensorFlow without the messages that it prints at the start of every process."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterator

from deepkit.utils import machine, stderr

TRACEBACK = "DEEPKIT_TRACEBACK"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ONLY_FATAL, _ERRORS = "3", "2"
_HARMLESS_ERRORS = re.compile(
    rb".*(Unable to register cu(DNN|FFT|BLAS) factory|computation placer already registered|failed call to cuInit)"
)


def shows_everything() -> bool:
    """Return whether the user asked for tracebacks, and with them for all messages of TensorFlow."""
    return os.environ.get(TRACEBACK) == "1"


def quiet_tensorflow(*, missing_ok: bool = False) -> None:
    """Import TensorFlow without its start-up messages, whatever TF_CPP_MIN_LOG_LEVEL is.

    TensorFlow prints the first messages while it loads its libraries, before any of its settings apply. So standard
    error is captured during the import, and everything but those messages is printed afterwards. For the messages
    that follow, also those of the processes that this one starts, TF_CPP_MIN_LOG_LEVEL is set: to errors if there is
    an NVIDIA card; without one TensorFlow logs as an error that it has no driver, and raises real errors anyway.

    If DEEPKIT_TRACEBACK is 1, nothing is hidden and the user's log level stays.

    Args:
        missing_ok: Whether to do nothing if TensorFlow is not installed.
    """
    if shows_everything() or "tensorflow" in sys.modules:
        return
    uses_card = machine.has_card() and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1")
    os.environ[LOG_LEVEL] = _ERRORS if uses_card else _ONLY_FATAL
    with without_startup_messages():
        try:
            importlib.import_module("tensorflow")
        except ImportError:
            if not missing_ok:
                raise


@contextlib.contextmanager
def without_startup_messages() -> Iterator[None]:
    """Capture standard error, and print it after the block without TensorFlow's start-up messages."""
    lines: list[bytes] = []
    try:
        with stderr.capture_stderr() as lines:
            yield
    finally:
        os.write(2, b"".join(line for line in lines if not _HARMLESS_ERRORS.match(line)))
