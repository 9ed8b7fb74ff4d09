"""Detection of data without a batch, which Keras reports as a finished epoch with a loss of 0."""

from __future__ import annotations

import keras

from deepkit.training.state import optimizers
from deepkit.training.training_data import no_batches
from deepkit.utils.errors import make_error


class BatchCount(keras.callbacks.Callback):
    """Counts the batches of each epoch, and raises an error if there was none.

    `fit` puts it before the user's callbacks, so that none of them reports such an epoch.

    Args:
        has_length: Whether the number of batches is known before an epoch. If not, Keras executes a step after the
            last batch, which fails, but TensorFlow may run the operations that need no batch first: the iteration
            count of the optimizer increases. The callback restores it.
    """

    async_safe = True  # Keras waits for all batches before the end of an epoch or a validation

    def __init__(self, *, has_length: bool = True) -> None:
        super().__init__()
        self._has_length, self._has_trained = has_length, False
        self._iterations: list[int] = []
        self._train_batches = self._test_batches = 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Reset the count of training batches."""
        self._train_batches = 0
        self._iterations = [] if self._has_length else [_iterations(item) for item in optimizers(self.model)]

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Count a training batch, or several that are executed together."""
        self._train_batches += 1

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Raise an error if the epoch had no batch."""
        if self._train_batches:
            self._has_trained = True
            self._correct_iterations()
        elif self._has_trained:
            raise make_error(
                ValueError,
                f"data: the dataset has no batch in epoch {epoch + 1}, so it can be read only once",
                hint="let the function of from_generator return a new iterator at each call, or use dataset.cache()",
            )
        else:
            raise no_batches("data")

    def _correct_iterations(self) -> None:
        if self._has_length or self.model.steps_per_execution > 1:
            return
        for optimizer, before in zip(optimizers(self.model), self._iterations, strict=True):
            if _iterations(optimizer) == before + self._train_batches + 1:
                optimizer.iterations.assign(before + self._train_batches)

    def on_test_begin(self, logs: object = None) -> None:
        """Reset the count of validation batches."""
        self._test_batches = 0

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:
        """Count a validation batch, or several that are executed together."""
        self._test_batches += 1

    def on_test_end(self, logs: object = None) -> None:
        """Raise an error if the validation had no batch."""
        if not self._test_batches:
            raise no_batches("validation_data")


def _iterations(optimizer: keras.optimizers.Optimizer) -> int:
    return int(keras.ops.convert_to_numpy(optimizer.iterations))
