"""Continue the event files of a `TensorBoard` callback: no event is lost, and none is written twice.

A writer appends to a file of its own, which TensorBoard shows together with the earlier ones of the same directory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras

_PATTERN = "*/events.out.tfevents.*"


class EventFiles:
    """The event files of a run, which one `TensorBoard` callback writes.

    Args:
        board: The callback.
        state: The size of each event file of the run in the checkpoint, by its path in the log directory; or None.
    """

    def __init__(self, board: keras.callbacks.TensorBoard, state: Mapping[str, int] | None) -> None:
        self._board, self._directory = board, Path(board.log_dir)
        self._sizes = dict(state or {})
        self._existing: set[str] = set()

    @contextlib.contextmanager
    def continued(self) -> Iterator[None]:
        """Remove the events after the checkpoint; close the writers if the training raises an error."""
        for name, size in self._sizes.items():
            path = self._directory / name
            if path.exists() and path.stat().st_size > size:
                os.truncate(path, size)
        self._existing = self._names()
        try:
            yield
        except BaseException:
            while self._board._prev_summary_state:
                self._board._pop_writer()
            self._board._close_writers()
            raise

    def open_writers(self, has_validation: bool) -> None:
        """Create the files of this process, so that the first checkpoint lists them."""
        _ = self._board._train_writer
        if has_validation:
            _ = self._board._val_writer

    def capture(self) -> dict[str, int]:
        """Write all events, and return the size of each event file of the run."""
        for writer in self._board._writers.values():
            writer.flush()
        new = {name for name in self._names() - self._existing if f".{os.getpid()}." in name}
        paths = {name: self._directory / name for name in sorted({*self._sizes, *new})}
        return {name: path.stat().st_size for name, path in paths.items() if path.exists()}

    def _names(self) -> set[str]:
        return {str(path.relative_to(self._directory)) for path in self._directory.glob(_PATTERN)}
