"""Models that learn from the inputs alone and accept only some values, such as 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested

    _Model = keras.Model
else:  # not `keras.Model`: Keras would replace that base of all subclasses if one of them is a functional model
    _Model = object


class CheckedData(_Model):
    """A part of models without labels: it checks the values of the data before a training and an evaluation.

    A model derives from it before `keras.Model`.
    """

    def check_values(self, values: np.ndarray) -> None:
        """Raise a `ValueError` if the model does not accept these values; a subclass implements it.

        Args:
            values: Examples `(batch, ...)`.
        """
        raise NotImplementedError

    def adapt(self, dataset: Dataset) -> tuple[str, ...]:
        """Check the first batch before a training; `dk.fit` calls it on every model that has this method.

        Args:
            dataset: A `tf.data.Dataset` of inputs, or of tuples that begin with them.

        Returns:
            Messages about the data.

        Raises:
            ValueError: The model does not accept the values.
        """
        self.check_data(dataset.take(1))
        return ()

    def check_data(self, dataset: Dataset) -> None:
        """Check all batches of a dataset.

        Args:
            dataset: A `tf.data.Dataset` of inputs, or of tuples that begin with them.

        Raises:
            ValueError: The model does not accept the values.
        """
        for batch in dataset:
            self.check_values(np.asarray(batch[0] if isinstance(batch, tuple) else batch))

    def fit(self, x: Nested | Dataset | None = None, *args: object, **kwargs: object) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does, on inputs without labels.

        Args:
            x: Inputs `(examples, ...)`, or a dataset of batches; labels in a dataset are ignored.
            args: Further arguments of `keras.Model.fit`.
            kwargs: Further arguments of `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: The model does not accept the values.
        """
        self._check_inputs(x)
        return super().fit(x, *args, **kwargs)

    def evaluate(
        self, x: Nested | Dataset | None = None, *args: object, **kwargs: object
    ) -> float | list[float] | dict[str, float]:
        """Return the loss and the metrics of the model, as `keras.Model.evaluate` does, on inputs without labels.

        Args:
            x: Inputs `(examples, ...)`, or a dataset of batches; labels in a dataset are ignored.
            args: Further arguments of `keras.Model.evaluate`.
            kwargs: Further arguments of `keras.Model.evaluate`.

        Raises:
            ValueError: The model does not accept the values.
        """
        self._check_inputs(x)
        return super().evaluate(x, *args, **kwargs)

    def _check_inputs(self, x: object) -> None:
        """Check the values of arrays and tensors, and those of the first batch of a dataset."""
        if isinstance(x, tf.data.Dataset):
            # deepkit's datasets count their epochs: iterate over a copy
            self.check_data((x.epochs() if hasattr(x, "epochs") else x).take(1))
        elif isinstance(x, np.ndarray) or tf.is_tensor(x):
            self.check_values(np.asarray(x))


def other_values(values: np.ndarray, allowed: Sequence[float]) -> str:
    """Return a text about an array that holds other values than those that are allowed, for an error message.

    Args:
        values: The array; one of its values is not allowed.
        allowed: The allowed values.

    Examples:
        >>> other_values(np.array([0.0, 0.25, 1.0]), (0, 1))
        '0.25 among values from 0 to 1'
    """
    other = values[~np.isin(values, allowed)][0]
    return f"{other:.4g} among values from {values.min():.4g} to {values.max():.4g}"
