"""Checks of the user's callbacks before a training, for contradictions that Keras reports an epoch later, or never."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import keras

from deepkit.training.run_dir import RunDir
from deepkit.training.run_files import FILES
from deepkit.utils.errors import format_value, make_error

_SETS_LEARNING_RATE = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
PATH_ARGUMENTS: dict[type[keras.callbacks.Callback], str] = {
    keras.callbacks.ModelCheckpoint: "filepath",
    keras.callbacks.CSVLogger: "filename",
    keras.callbacks.TensorBoard: "log_dir",
}
"""The argument of each stock callback that is the path of its files."""
_TRACKERS = ("clearml", "comet_ml", "mlflow", "neptune", "swanlab", "wandb")


def is_tracker(callback: keras.callbacks.Callback) -> bool:
    """Return whether a callback reports to an experiment tracker, such as Weights & Biases or MLflow.

    It does not change the training, and it may report the same run in several parts.
    """
    return type(callback).__module__.partition(".")[0] in _TRACKERS


def check_types(callbacks: object) -> None:
    """Raise if the callbacks are not a list of Keras callbacks.

    Raises:
        TypeError: They are not.
    """
    if not isinstance(callbacks, list | tuple):
        raise make_error(
            TypeError,
            f"callbacks: expected a list, received {type(callbacks).__name__}",
            hint="pass callbacks=[...]",
        )
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise make_error(
                TypeError,
                f"callbacks: expected Keras callbacks, received {format_value(callback)}",
                hint="pass instances of keras.callbacks.Callback",
            )


def check_learning_rate(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Raise if a callback sets the learning rate of an optimizer whose rate follows a schedule.

    Raises:
        ValueError: There is such a callback.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    rate = getattr(optimizer, "_learning_rate", None)  # the public property returns the current value
    if rate is None or isinstance(rate, keras.Variable):
        return
    for callback in _flatten(callbacks):
        if isinstance(callback, _SETS_LEARNING_RATE):
            raise make_error(
                ValueError,
                f"callbacks: {type(callback).__name__} sets the learning rate, and the optimizer's learning rate is "
                f"already determined by {_describe_rate(rate)}",
                hint="leave the callback out, or use a number as the learning rate",
            )


def check_run_dir(directory: RunDir, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Raise if a callback stores the training itself, or writes a file of the run.

    Raises:
        ValueError: There is such a callback.
    """
    files = {(directory.path / name).absolute(): name for name in FILES}
    for callback in _flatten(callbacks):
        name = type(callback).__name__
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise make_error(
                ValueError,
                f"callbacks: {name} restores the model by itself, and the run in {directory.path} does too",
                hint="leave the callback out: with run_dir, the same call resumes",
            )
        for cls, attribute in PATH_ARGUMENTS.items():
            path = getattr(callback, attribute) if isinstance(callback, cls) else None
            if path is not None and Path(path).expanduser().absolute() in files:
                raise make_error(
                    ValueError,
                    f"callbacks: {name}({attribute}={path!r}) would write a file of the run",
                    hint=f"use another name than {Path(path).name}, or another directory",
                )


def _flatten(callbacks: Iterable[keras.callbacks.Callback]) -> Iterator[keras.callbacks.Callback]:
    """Yield the callbacks, and those in a `CallbackList` in place of the list."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CallbackList):
            yield from _flatten(callback.callbacks)
        else:
            yield callback


def _describe_rate(rate: object) -> str:
    return f"the function {rate.__name__}" if hasattr(rate, "__name__") else f"the schedule {type(rate).__name__}"
