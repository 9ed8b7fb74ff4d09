"""The state of callbacks: captured with each checkpoint, and restored when a run resumes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from deepkit.training import csv_log
from deepkit.training.callback_checks import is_tracker
from deepkit.training.event_files import EventFiles
from deepkit.visualize.weight_path import WeightPath

_ATTRIBUTES: dict[type[keras.callbacks.Callback], tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("best", "wait", "stopped_epoch", "best_epoch", "best_weights"),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
    keras.callbacks.TensorBoard: ("_global_train_batch", "_global_test_batch"),
    WeightPath: ("weights",),
}
_STATELESS = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.TerminateOnNaN,
    keras.callbacks.CSVLogger,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.History,
)
_LOG = "log"  # the state of a callback's files

CallbackState = dict[str, Any]
"""Attributes of a callback by name, and the state of the files that it writes."""


class CallbackStates:
    """The states of the user's callbacks during one training.

    Args:
        callbacks: The callbacks.
        states: Their states in the checkpoint; empty if the run begins.
        epoch: The first epoch of the training, counted from 0.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], states: Sequence[Mapping[str, Any]], epoch: int
    ) -> None:
        self.callbacks, self._epoch = list(callbacks), epoch
        self._states = [states[i] if i < len(states) else {} for i in range(len(callbacks))]
        self._event_files: dict[int, EventFiles] = {}
        for i, callback in enumerate(callbacks):
            if isinstance(callback, keras.callbacks.TensorBoard):
                self._event_files[i] = EventFiles(callback, self._states[i].get(_LOG))

    @contextlib.contextmanager
    def continued_logs(self) -> Iterator[None]:
        """Let the callbacks that write logs continue them during the training in a `with` block.

        Entries that a killed process wrote after its last checkpoint are removed first.
        """
        with contextlib.ExitStack() as stack:
            for callback, state in zip(self.callbacks, self._states, strict=True):
                if isinstance(callback, keras.callbacks.CSVLogger):
                    stack.enter_context(csv_log.continued(callback, state.get(_LOG), self._epoch))
            for event_files in self._event_files.values():
                stack.enter_context(event_files.continued())
            yield

    def restore(self) -> None:
        """Restore the attributes of the callbacks; call it after their `on_train_begin`, which clears them."""
        for callback, state in zip(self.callbacks, self._states, strict=True):
            for name in _state_names(callback):
                if name in state:
                    setattr(callback, name, state[name])

    def open_event_files(self, has_validation: bool) -> bool:
        """Create the event files of this process, which the next checkpoint must list; return whether there are any."""
        for event_files in self._event_files.values():
            event_files.open_writers(has_validation)
        return bool(self._event_files)

    def capture(self) -> list[CallbackState]:
        """Return the state of each stock callback, or of the stock class of a subclass; empty for all others."""
        states = []
        for i, callback in enumerate(self.callbacks):
            state: CallbackState = {name: getattr(callback, name) for name in _state_names(callback)}
            if isinstance(callback, keras.callbacks.CSVLogger):
                state[_LOG] = csv_log.capture(callback)
            elif i in self._event_files:
                state[_LOG] = self._event_files[i].capture()
            states.append(state)
        return states


def untracked_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Return the classes of callbacks that may have a state unknown to deepkit.

    A callback class without state can set `stateless = True`.
    """
    tracked = {*_ATTRIBUTES, *_STATELESS}
    return [
        type(callback).__name__
        for callback in callbacks
        if type(callback) not in tracked and not is_tracker(callback) and not getattr(callback, "stateless", False)
    ]


def _state_names(callback: keras.callbacks.Callback) -> list[str]:
    names = [name for cls, names in _ATTRIBUTES.items() if isinstance(callback, cls) for name in names]
    return [name for name in names if hasattr(callback, name)]
