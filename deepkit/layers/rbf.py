"""Units that answer with a distance."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="deepkit")
class RBF(keras.layers.Layer):
    """Euclidean radial basis function units with fixed centres: squared distances to them.

    The output layer of LeNet-5, whose centres are drawings of the ten digits. Small means alike. Source: LeCun et
    al. 1998, section II.B, equation 7.

    Args:
        centres: One point a unit, of shape `(units, features)`; constants, not weights.

    Input shape:
        `(batch, ..., features)`.

    Output shape:
        `(batch, ..., units)`.

    Raises:
        ValueError: `centres` is not a matrix, or the input has another number of features.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import RBF
        >>> np.asarray(RBF([[0.0, 0.0], [1.0, 1.0]])(np.array([[1.0, 0.0], [1.0, 1.0]]))).tolist()
        [[1.0, 1.0], [2.0, 0.0]]
    """

    def __init__(self, centres: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.centres = np.asarray(centres, dtype="float32")
        if self.centres.ndim != 2 or not self.centres.size:
            raise ValueError(f"RBF: centres must have the shape (units, features), received {self.centres.shape}")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check the number of features."""
        if input_shape[-1] != self.centres.shape[1]:
            raise ValueError(f"RBF: the centres have {self.centres.shape[1]} features, received {input_shape[-1]}")

    def call(self, inputs: Any) -> Any:
        """Return |x - c|^2 = |x|^2 - 2 x c + |c|^2, computed in float32: the terms nearly cancel."""
        x = ops.cast(inputs, "float32")
        centres = ops.convert_to_tensor(self.centres)
        squares = ops.sum(ops.square(x), axis=-1, keepdims=True) + ops.sum(ops.square(centres), axis=-1)
        distances = ops.maximum(squares - 2.0 * ops.matmul(x, ops.transpose(centres)), 0.0)
        return ops.cast(distances, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output shape."""
        return (*input_shape[:-1], self.centres.shape[0])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "centres": self.centres.tolist()}
