"""Capture the messages that C++ libraries print to standard error, without their progress messages."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_PROGRESS = re.compile(
    rb"(WARNING: All log messages before absl|[IW]\d{4} |INFO: |To enable the following instructions:"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] )"  # of older versions of TensorFlow
)


@contextlib.contextmanager
def capture_stderr() -> Iterator[list[bytes]]:
    """Capture standard error, and yield a list that holds its lines after the block, without progress messages.

    The file descriptor of the whole process is redirected, so the list also holds the lines of other threads.
    """
    lines: list[bytes] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as captured, os.fdopen(os.dup(2), "wb") as terminal:
        was_enabled = faulthandler.is_enabled()
        faulthandler.enable(terminal)  # if a library crashes the process, print the traceback on the terminal
        os.dup2(captured.fileno(), 2)
        try:
            yield lines
        finally:
            sys.stderr.flush()
            os.dup2(terminal.fileno(), 2)
            if was_enabled:
                faulthandler.enable(2)  # the descriptor: in a notebook sys.stderr is not a file
            else:
                faulthandler.disable()
            captured.seek(0)
            lines.extend(line for line in captured if not _PROGRESS.match(line))
