"""Calls of the methods of a `keras.utils.PyDataset` before and after each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from deepkit.data.batch_iterables import IterableBatches

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset


class EpochHooks(keras.callbacks.Callback):
    """Calls `on_epoch_begin` and `on_epoch_end` of the PyDatasets of a training, as Keras does.

    Args:
        train: The training data, or None.
        validation: The validation data, or None.
    """

    def __init__(self, train: keras.utils.PyDataset | None, validation: keras.utils.PyDataset | None) -> None:
        super().__init__()
        self._train, self._validation = train, validation

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Call the method of the training data."""
        if self._train is not None:
            self._train.on_epoch_begin()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Call the method of the training data, which may shuffle the examples of the next epoch."""
        if self._train is not None:
            self._train.on_epoch_end()

    def on_test_begin(self, logs: object = None) -> None:
        """Call the method of the validation data."""
        if self._validation is not None:
            self._validation.on_epoch_begin()

    def on_test_end(self, logs: object = None) -> None:
        """Call the method of the validation data."""
        if self._validation is not None:
            self._validation.on_epoch_end()


def epoch_hooks(train: Dataset, validation: Dataset | None) -> tuple[keras.callbacks.Callback, ...]:
    """Return the callback for the PyDatasets among the training and the validation data; empty if there is none."""
    datasets = [batches.py_dataset if isinstance(batches, IterableBatches) else None for batches in (train, validation)]
    return (EpochHooks(*datasets),) if any(dataset is not None for dataset in datasets) else ()
