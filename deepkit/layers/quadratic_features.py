"""All products of two features, with which a linear unit has a quadratic decision boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from deepkit.layers.axes import as_float, static_size
from deepkit.utils.errors import format_value, message
from deepkit.utils.finite import check_finite

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class QuadraticFeatures(keras.layers.Layer):
    """The features, followed by their products: x_i for every i, then x_i x_j for every i <= j.

    n features become n + n (n + 1) / 2. For two features the order is x0, x1, x0^2, x0 x1, x1^2, as in scikit-learn's
    `PolynomialFeatures(2, include_bias=False)`. The decision boundary of a linear unit on these features is a conic
    section, such as a circle, an ellipse or a hyperbola.

    Reference:
        Cover 1965, "Geometrical and Statistical Properties of Systems of Linear Inequalities with Applications in
        Pattern Recognition".

    Input shape:
        `(batch, ..., features)`.

    Output shape:
        `(batch, ..., features + features * (features + 1) / 2)`.

    Raises:
        ValueError: The number of features is unknown; or, in float16, a product exceeds the largest number, which the
            features do from 256 on. In a graph TensorFlow raises an `InvalidArgumentError`.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import QuadraticFeatures
        >>> layer = QuadraticFeatures()
        >>> np.asarray(layer(np.array([[2.0, 3.0]]))).tolist()
        [[2.0, 3.0, 4.0, 6.0, 9.0]]
        >>> layer.feature_names()
        ['x0', 'x1', 'x0^2', 'x0 x1', 'x1^2']
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_spec = keras.InputSpec(min_ndim=2)

    def build(self, input_shape: Shape) -> None:
        """Check that the number of features is known."""
        num_features = static_size(input_shape, -1, "QuadraticFeatures")
        self.input_spec = keras.InputSpec(min_ndim=2, axes={-1: num_features})
        self._rows, self._columns = np.triu_indices(num_features)

    def call(self, inputs: Tensor) -> Tensor:
        """Append the products to the features."""
        x = as_float(inputs, self.compute_dtype)
        products = ops.take(x, self._rows, axis=-1) * ops.take(x, self._columns, axis=-1)
        if self.compute_dtype == "float16":
            problem = (
                f"QuadraticFeatures {self.name!r}: a product is NaN or exceeds 65,504, the largest number of float16"
            )
            hint = "scale the features with layers.Normalization(), or use QuadraticFeatures(dtype='float32')"
            products = check_finite(products, problem, hint)
        return ops.concatenate([x, products], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        num_features = static_size(input_shape, -1, "QuadraticFeatures")
        return (*input_shape[:-1], num_features + num_features * (num_features + 1) // 2)

    def feature_names(self, names: Sequence[str] | None = None) -> list[str]:
        """Return the name of each output: `x0`, `x0^2`, `x0 x1`.

        Args:
            names: Names of the input features; None for x0, x1 and so on.

        Raises:
            ValueError: The layer is not built, or the number of names differs from the number of features.
        """
        if not self.built:
            problem = "QuadraticFeatures.feature_names: the layer is not built, so the number of features is unknown"
            raise ValueError(message(problem, hint="call the layer on data first, or layer.build((None, 2))"))
        num_features = int(np.sum(self._rows == self._columns))
        received = [f"x{i}" for i in range(num_features)] if names is None else names
        is_list = isinstance(received, Sequence | np.ndarray) and not isinstance(received, str | bytes)
        if not is_list or len(received) != num_features or not all(isinstance(name, str) for name in received):
            problem = f"QuadraticFeatures.feature_names: expected {num_features} names, received {format_value(names)}"
            raise ValueError(message(problem, hint="pass one name for each input feature"))
        names = [str(name) for name in received]
        products = [
            f"{names[i]}^2" if i == j else f"{names[i]} {names[j]}"
            for i, j in zip(self._rows, self._columns, strict=True)
        ]
        return [*names, *products]
