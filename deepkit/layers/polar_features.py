"""Polar coordinates of points in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.layers.axes import as_float
from deepkit.utils.errors import message

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class PolarFeatures(keras.layers.Layer):
    """Radius and angle of points in the plane: r = sqrt(x^2 + y^2) and theta = atan2(y, x).

    The angle is in radians, from -pi to pi. atan2 distinguishes opposite directions, which arctan(y / x) does not, and
    is defined for x = 0. The angle of the origin is 0; at the origin, where neither derivative exists, both gradients
    are 0. A circle around the origin is the line r = constant, so a linear unit separates its inside from its outside.

    Reference:
        Goodfellow, Bengio & Courville 2016, "Deep Learning", figure 1.1.

    Input shape:
        `(batch, ..., 2)`: x and y.

    Output shape:
        `(batch, ..., 2)`: r and theta.

    Raises:
        ValueError: The last axis of the input does not have the size 2.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import PolarFeatures
        >>> np.asarray(
        ...     PolarFeatures()(np.array([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0]]))
        ... ).round(2)
        array([[3.  , 0.  ],
               [2.  , 1.57],
               [1.  , 3.14]], dtype=float32)
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.InputSpec(min_ndim=2)

    def build(self, input_shape: Shape) -> None:
        """Check the number of columns."""
        if input_shape[-1] != 2:
            problem = f"PolarFeatures: expected points (batch, 2), received the shape {tuple(input_shape)}"
            hint = "pass the columns x and y alone, for example x[:, :2], and concatenate other features afterwards"
            raise ValueError(message(problem, hint=hint))

    def call(self, inputs: Tensor) -> Tensor:
        """Compute radius and angle in float32 or wider."""
        inputs = as_float(inputs, self.compute_dtype)
        points = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        x, y = points[..., 0], points[..., 1]
        # the root and atan2 have infinite and undefined gradients at the origin, which the inner `where` hides
        is_origin = ops.logical_and(ops.equal(x, 0), ops.equal(y, 0))
        safe_x = ops.where(is_origin, 1.0, x)
        # coordinates of at most 1, whose squares neither overflow nor vanish; the gradient of the scale cancels
        scale = ops.stop_gradient(ops.maximum(ops.abs(safe_x), ops.abs(y)))
        scale = ops.where(ops.isinf(scale), 1.0, scale)
        scaled_x, scaled_y = safe_x / scale, y / scale
        radius = ops.where(is_origin, 0.0, scale * ops.sqrt(ops.square(scaled_x) + ops.square(scaled_y)))
        angle = ops.where(is_origin, 0.0, ops.arctan2(scaled_y, scaled_x))
        return ops.cast(ops.stack([radius, angle], axis=-1), self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        return input_shape
