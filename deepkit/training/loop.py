"""One call of `model.fit`, watched: every epoch kept, a loss that is no number caught."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from deepkit.training import checkpoint, state
from deepkit.training import token_id_check as token_ids
from deepkit.training.errors import DivergedError
from deepkit.training.run_dir import RunDir
from deepkit.training.state import State, Variables
from deepkit.training.training_data import Feed


class Keeper(keras.callbacks.Callback):
    """Keeps the training's state after every epoch, and stops it when the loss is no finite number.

    It stands behind the user's callbacks, so that theirs are done with an epoch when it is kept.

    Args:
        folder: Where to keep checkpoints; None keeps the last state in memory only.
        others: The user's callbacks.
        begin: The state to go on from.
    """

    async_safe = True  # looks at one number a step; Keras need not wait for it

    def __init__(self, folder: RunDir | None, others: Sequence[Any], begin: State) -> None:
        super().__init__()
        self.folder, self.others, self.state = folder, list(others), begin
        self._epoch = begin.epoch
        self._began = 0.0
        self._bad: tuple[int, float] | None = None
        self._batch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Give the callbacks their state back, which their own `on_train_begin` has just cleared."""
        state.put_callbacks(self.others, self.state.callbacks)
        if self.folder is not None and self.state.epoch == 0:
            self.folder.save(self.state)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remember where we are."""
        self._epoch, self._began = epoch, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop at the first loss that is no finite number."""
        self._batch, loss = batch + 1, (logs or {}).get("loss")
        if self._bad is None and isinstance(loss, float) and not math.isfinite(loss):
            self._bad = (batch + 1, loss)
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:
        """Spare a diverged model its validation."""
        self._check()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the state after this epoch."""
        self._check()
        variables = self._finite(state.take(self.model), (logs or {}).get("loss", math.nan))
        history = {name: list(values) for name, values in self.state.history.items()}
        for name, value in (logs or {}).items():
            history.setdefault(name, []).append(float(value))
        self.state = State(
            epoch=epoch + 1,
            variables=variables,
            history=history,
            seconds=[*self.state.seconds, time.perf_counter() - self._began],
            callbacks=state.callbacks_state(self.others),
            stopped=bool(self.model.stop_training),
        )
        if self.folder is not None:
            self.folder.save(self.state)

    def _check(self) -> None:
        if self._bad is not None:
            raise DivergedError(self.epoch, *self._bad, self.kept)

    def _finite(self, variables: Variables, loss: float) -> Variables:
        """Return the variables, or raise where the loss hid that one is no number: that state must not be kept."""
        bad = [path for path, value in variables["model"] if not state.finite(value)]
        if bad:
            raise DivergedError(self.epoch, self._batch, loss, self.kept, bad[0])
        return variables

    @property
    def epoch(self) -> int:
        """Number of the epoch, counted from 1."""
        return self._epoch + 1

    @property
    def kept(self) -> Path | None:
        """The checkpoint that holds the last good state."""
        return None if self.folder is None else self.folder.path / checkpoint.NAME


def train(
    model: keras.Model,
    feed: Feed,
    epochs: int,
    folder: RunDir | None,
    callbacks: Sequence[Any],
    verbose: int | str,
) -> State:
    """Train up to `epochs`, from the newest checkpoint of the folder where there is one; return the last state.

    Raises:
        DivergedError: The loss became NaN or infinite; the model is at its last good state.
        TokenIdError: An embedding has no row for a token id; the model is at its last good state.
        CheckpointError: The checkpoint is damaged or of another model.
        RunDirError: A checkpoint could not be written.
    """
    begin = restore(model, feed, folder)
    keeper = Keeper(folder, callbacks, begin)
    last = begin.epoch if begin.stopped else max(epochs, begin.epoch)
    arguments = feed.arguments(begin.epoch)
    batches = {name: token_ids.watched(arguments[name], model) for name in ("x", "validation_data")}
    try:
        model.fit(
            **arguments | batches,
            initial_epoch=begin.epoch,
            epochs=last,
            callbacks=[*callbacks, keeper],
            verbose=verbose,
        )
    except DivergedError as error:
        state.put(model, keeper.state.variables, "the last good state")
        raise _explained(error, model, feed) from None
    except tf.errors.InvalidArgumentError as error:
        explained = token_ids.explained(error, model, keeper.epoch, keeper.kept)
        if explained is None:
            raise
        state.put(model, keeper.state.variables, "the last good state")
        raise explained from error
    return keeper.state


def _explained(error: DivergedError, model: keras.Model, feed: Feed) -> DivergedError:
    """Return the error, with the reason where the model finds one in the data."""
    try:
        getattr(model, "check_data", lambda batches: None)(feed.once())
    except ValueError as reason:
        return DivergedError(error.epoch, error.step, error.loss, error.kept, error.weight, str(reason))
    return error


def restore(model: keras.Model, feed: Feed, folder: RunDir | None) -> State:
    """Put the model into the state of the newest checkpoint, if there is one; return the state it is in."""
    state.make_variables(model, feed.one_input)
    kept = folder.load() if folder is not None else None
    if kept is None:
        return State(0, state.take(model))
    state.put(model, kept.variables, str(folder and folder.path / checkpoint.NAME))
    return kept
