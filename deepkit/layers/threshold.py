"""The threshold unit: an activation of 0 or 1, which has no useful gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import as_float
from deepkit.utils.errors import message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_number

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor

_SAVING_GRAPH = "internal_grad_fn"  # the graph in which TensorFlow traces the gradient of an operation that it saves


@keras.saving.register_keras_serializable(package="deepkit")
class Threshold(keras.layers.Layer):
    """The step function: 1 if x >= threshold, else 0.

    The derivative is 0 everywhere except at the threshold, where it does not exist, so gradient descent cannot train
    the layers before it. A request for the gradient raises an error, instead of weights that never change: with a
    `tf.GradientTape`, and in `fit`. Other backends of Keras return a gradient of 0. Layers after a `Threshold` train
    as usual. NaN is below every threshold.

    Reference:
        McCulloch & Pitts 1943, "A Logical Calculus of the Ideas Immanent in Nervous Activity".

    Args:
        threshold: The smallest input whose output is 1.

    Input shape:
        Any.

    Output shape:
        The input shape.

    Raises:
        ValueError: `threshold` is not a finite number, or a gradient is requested.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import Threshold
        >>> np.asarray(Threshold(1.5)(np.array([[0.0, 1.0, 1.5, 2.0]]))).tolist()
        [[0.0, 0.0, 1.0, 1.0]]
    """

    def __init__(self, threshold: float = 0.0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.threshold = check_number(threshold, "Threshold: threshold", hint="use Threshold(0.0)")
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        """Compare with the threshold."""
        x = as_float(inputs, self.compute_dtype)
        step = _step_without_gradient if keras.backend.backend() == "tensorflow" else _step
        return step(x, self.threshold)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "threshold": self.threshold}


def _step(x: Tensor, threshold: float) -> Tensor:
    limit = ops.cast(ops.convert_to_tensor(threshold, "float64"), x.dtype)  # a large one is infinite in `x.dtype`
    return ops.cast(ops.greater_equal(x, limit), x.dtype)


def _step_without_gradient(x: Tensor, threshold: float) -> Tensor:
    """Return the step function of a TensorFlow tensor; a request of its gradient raises an error."""

    @tf.custom_gradient
    def forward(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return _step(x, threshold), _refuse_gradient

    return forward(x)


def _refuse_gradient(gradient: Tensor) -> Tensor:
    """Raise the error, except in `tf.saved_model.save`, which traces the gradient of every operation to store it."""
    if not tf.executing_eagerly() and tf.compat.v1.get_default_graph().name == _SAVING_GRAPH:
        return gradient
    problem = "Threshold: a gradient was requested, but the derivative of the step function is 0 or does not exist"
    hint = (
        'use a smooth activation such as layers.Activation("sigmoid") to train the layers before it by gradient '
        "descent, or dk.Perceptron(), which has a rule of its own"
    )
    raise ValueError(message(problem, hint=hint))
