"""Radial basis function units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class RBF(keras.layers.Layer):
    """Euclidean radial basis function units with fixed centers: squared distances to the centers.

    The output layer of LeNet-5, whose centers are drawings of the ten digits; the smallest output is the predicted
    class.

    Reference:
        LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section II.B, equation 7.

    Args:
        centers: Array of shape `(units, features)`, one point for each unit. The centers are constants, not weights.

    Input shape:
        `(batch, ..., features)`.

    Output shape:
        `(batch, ..., units)`.

    Raises:
        ValueError: `centers` is not a matrix, or its width differs from the number of features.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import RBF
        >>> np.asarray(
        ...     RBF([[0.0, 0.0], [1.0, 1.0]])(np.array([[1.0, 0.0], [1.0, 1.0]]))
        ... ).tolist()
        [[1.0, 1.0], [2.0, 0.0]]
    """

    def __init__(self, centers: ArrayLike, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.centers = np.asarray(centers, dtype="float32")
        if self.centers.ndim != 2 or not self.centers.size:
            problem = f"RBF: centers must have the shape (units, features), received {self.centers.shape}"
            raise ValueError(message(problem, hint="pass a matrix with one row for each unit"))

    def build(self, input_shape: Shape) -> None:
        """Check the number of features."""
        if input_shape[-1] != self.centers.shape[1]:
            problem = f"RBF: the centers have {self.centers.shape[1]} features, received {input_shape[-1]}"
            raise ValueError(message(problem, hint=f"pass an input of {self.centers.shape[1]} features"))

    def call(self, inputs: Tensor) -> Tensor:
        """Return |x - c|^2 = |x|^2 - 2 x c + |c|^2, computed in float32 because the terms nearly cancel."""
        x = ops.cast(inputs, "float32")
        centers = ops.convert_to_tensor(self.centers)
        squares = ops.sum(ops.square(x), axis=-1, keepdims=True) + ops.sum(ops.square(centers), axis=-1)
        distances = ops.maximum(squares - 2.0 * ops.matmul(x, ops.transpose(centers)), 0.0)
        return ops.cast(distances, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        return (*input_shape[:-1], self.centers.shape[0])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "centers": self.centers.tolist()}
