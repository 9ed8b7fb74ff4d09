"""A callback that records the weights of a model during training."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from deepkit.utils.validation import check_integer


class WeightPath(keras.callbacks.Callback):
    """A callback that keeps copies of the weights: before training, and after every `every` epochs.

    `loss_landscape` draws them as the path of the optimizer. A copy needs as much memory as the model. A run that
    `dk.fit` resumes continues its path.

    Args:
        every: Number of epochs between two copies.

    Attributes:
        weights: The copies, each a list of arrays in the order of `model.get_weights()`.

    Raises:
        ValueError: `every` is not a positive integer.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> path = dk.visualize.WeightPath()
        >>> x, y = np.ones((8, 2), "float32"), np.zeros(8, int)
        >>> run = dk.fit(
        ...     dk.Classifier(2), (x, y), epochs=3, verbose=0, callbacks=[path]
        ... )
        >>> len(path.weights)
        4
    """

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        self.every = check_integer(every, "WeightPath: every")
        self.weights: list[list[np.ndarray]] = []

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Start a new path with the present weights."""
        self.weights = [self.model.get_weights()]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Add the weights after every `every` epochs; `epoch` counts from 0."""
        if (epoch + 1) % self.every == 0:
            self.weights.append(self.model.get_weights())
