"""SIGTERM during a training, as SLURM sends it at the time limit: save a checkpoint after this step, and stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

import keras
import tensorflow as tf

from deepkit.execution.errors import ClusterError

EXIT_CODE = 128 + signal.SIGTERM
"""The exit code of a process whose training was stopped by SIGTERM: 143, as shells report it."""


class Terminated(SystemExit):
    """The training was stopped by SIGTERM; the exit code of the process is 143."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class StopOnSigterm(keras.callbacks.Callback):
    """Ends the training with `Terminated` after the step during which SIGTERM came, or after the validation.

    It comes before the other callbacks: they do not see the end of an epoch that is incomplete. While it is active, the
    signal does not end the process. In another thread than the main one, and if the program handles SIGTERM itself,
    nothing changes.

    Args:
        any_worker: Function that returns whether its argument is true on any worker; all workers call it together.
        is_shared: Whether the workers agree in each step, and set `stops` (see `replicated_fit`).

    Attributes:
        received: Whether the signal came to this process.
        stops: Whether the training ends after the current step.
        save_partial_epoch: Function that saves the state inside an epoch, if it can be continued there, and returns
            whether the epoch is incomplete.
    """

    stateless = True
    async_safe = True

    def __init__(self, any_worker: Callable[[bool], bool] = bool, *, is_shared: bool = False) -> None:
        super().__init__()
        self._any_worker, self._is_shared = any_worker, is_shared
        self.received = self.stops = False
        self.save_partial_epoch: Callable[[], bool] = lambda: True

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Handle SIGTERM in a `with` block.

        Raises:
            Terminated: SIGTERM came, and the block ended, or another worker that was stopped too is lost.
        """
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return
        signal.signal(signal.SIGTERM, self._handle)
        try:
            yield
        except (ClusterError, tf.errors.OpError) as error:
            if self.received:
                raise Terminated from error
            raise
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.received:
            raise Terminated

    def end_step(self, batch: int) -> None:
        """Stop after a step, unless it is the last one of its epoch; called after the other callbacks."""
        if not self._is_shared:
            self.stops = self.received
        if self.stops and batch + 1 != self.params["steps"]:
            self.model.stop_training = True

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Skip the validation of an incomplete epoch."""
        self._end_partial_epoch()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """End the training inside an incomplete epoch."""
        self._end_partial_epoch()

    def end_epoch(self) -> None:
        """End the training after the state of a complete epoch was saved."""
        if self._any_worker(self.received):
            raise Terminated

    def _end_partial_epoch(self) -> None:
        if self.stops and self.save_partial_epoch():
            self._any_worker(True)  # a worker that ended now would disturb the one that saves
            raise Terminated

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = True
