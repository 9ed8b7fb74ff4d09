"""SIGTERM during a training, as SLURM sends it at the time limit: stop after the current step, keep what is saved."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from types import FrameType

import keras

EXIT_CODE = 128 + signal.SIGTERM
"""The exit code of a process whose training was stopped by SIGTERM: 143, as shells report it."""


class Terminated(SystemExit):
    """The training was stopped by SIGTERM; the exit code of the process is 143."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class StopOnSigterm(keras.callbacks.Callback):
    """Ends the training with `Terminated` after the step during which SIGTERM came.

    While it is active, the signal does not end the process. In another thread than the main one, and if the program
    handles SIGTERM itself, nothing changes.
    """

    stateless = True
    async_safe = True

    def __init__(self) -> None:
        super().__init__()
        self.received = False

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Handle SIGTERM in a `with` block.

        Raises:
            Terminated: SIGTERM came, and the block ended, with or without an error.
        """
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return
        signal.signal(signal.SIGTERM, self._handle)
        try:
            yield
        except Exception as error:
            if self.received:  # such as the error that another worker, which was stopped too, is lost
                raise Terminated from error
            raise
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.received:
            raise Terminated

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Stop after this step."""
        if self.received:
            self.model.stop_training = True

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Skip the validation."""
        self._check()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """End the training before the state of an unfinished epoch is saved."""
        self._check()

    def _check(self) -> None:
        if self.received:
            raise Terminated

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = True
