"""Standard error put aside while C++ libraries talk, and what matters of it kept."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_PROGRESS = re.compile(
    rb"(WARNING: All log messages before absl|[IW]\d{4} |INFO: |To enable the following instructions:)"
)


@contextlib.contextmanager
def aside() -> Iterator[list[bytes]]:
    """Put standard error aside; at the end the list that was given holds its lines but for those of progress.

    It is put aside as a file descriptor, that of the whole process: another thread's lines come late, but they come.
    """
    said: list[bytes] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept, os.fdopen(os.dup(2), "wb") as real:
        traced = faulthandler.is_enabled()
        faulthandler.enable(real)  # should a library kill the process, say where
        os.dup2(kept.fileno(), 2)
        try:
            yield said
        finally:
            sys.stderr.flush()
            os.dup2(real.fileno(), 2)
            faulthandler.enable(2) if traced else faulthandler.disable()  # a notebook's sys.stderr is no file
            kept.seek(0)
            said.extend(line for line in kept if not _PROGRESS.match(line))
