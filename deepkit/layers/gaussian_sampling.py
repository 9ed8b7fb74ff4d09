"""Differentiable draws from a Gaussian: the reparameterization trick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
from keras import ops

from deepkit.layers.axes import as_float
from deepkit.utils.errors import format_value, message
from deepkit.utils.replicas import split_across_replicas
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor

    Moments: TypeAlias = Mapping[str, Tensor] | Sequence[Tensor]
    MomentShapes: TypeAlias = Mapping[str, Shape] | Sequence[Shape]


@keras.saving.register_keras_serializable(package="deepkit")
class GaussianSampling(keras.layers.Layer):
    """Draw z = mean + exp(log_variance / 2) * noise in training; return the mean at inference.

    The noise is standard normal and independent of all weights, so that gradients reach the mean and the variance
    through the draw z (the reparameterization trick).

    At inference the layer is deterministic: it returns the mean, the mode of z, repeated `num_samples` times if that
    argument is set. To draw at inference too, call the layer with `training=True`.

    Reference:
        Kingma & Welling 2014, "Auto-Encoding Variational Bayes", section 2.4; Rezende et al. 2014, "Stochastic
        Backpropagation and Approximate Inference in Deep Generative Models".

    Args:
        num_samples: Number of draws for each example, on an axis after the batch axis. None draws once, without this
            axis.
        seed: Integer seed for reproducible draws; None for a random seed.

    Call arguments:
        inputs: Mean and log-variance: a mapping with these two keys, or a pair.
        training: Whether to draw, or to return the mean.

    Input shape:
        `{"mean": (batch, ...), "log_variance": (batch, ...)}`, as `dk.GaussianHead` returns them, or a pair of these
        shapes.

    Output shape:
        `(batch, ...)`, or `(batch, num_samples, ...)`.

    Raises:
        ValueError: `num_samples` is not a positive integer, or the input is not a mean with a log-variance of the same
            shape.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential(
        ...     [dk.GaussianHead(2), dk.layers.GaussianSampling(), dk.MLP([8])]
        ... )
        >>> net.build((4,)).output_shape
        (None, 8)
    """

    def __init__(self, num_samples: int | None = None, *, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        if num_samples is not None:
            hint = "use GaussianSampling() for one draw of each example"
            num_samples = check_integer(num_samples, "GaussianSampling: num_samples", hint=hint)
        self.num_samples = num_samples
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: MomentShapes) -> None:
        """Check that the mean and the log-variance have the same shape."""
        check_moments(input_shape, "GaussianSampling")

    def call(self, inputs: Moments, training: bool = False) -> Tensor:
        """Draw in the dtype of the inputs, which `dk.GaussianHead` keeps in float32."""
        mean, log_variance = (
            as_float(moment, self.compute_dtype) for moment in split_moments(inputs, "GaussianSampling")
        )
        if self.num_samples is not None:
            mean = _repeat(mean, self.num_samples)
            log_variance = _repeat(log_variance, self.num_samples)
        return draw(mean, log_variance, self.seed_generator) if training else mean

    def compute_output_shape(self, input_shape: MomentShapes) -> Shape:
        """Return the output shape."""
        mean = tuple(split_moments(input_shape, "GaussianSampling")[0])
        return mean if self.num_samples is None else (mean[0], self.num_samples, *mean[1:])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "num_samples": self.num_samples, "seed": self.seed}


def draw(mean: Tensor, log_variance: Tensor | float, seed: int | keras.random.SeedGenerator | None) -> Tensor:
    """Draw once from each Gaussian; gradients reach the mean and the log-variance.

    Args:
        mean: Tensor of any shape.
        log_variance: Tensor of the same shape, or a number.
        seed: An integer, or a `keras.random.SeedGenerator`, which advances.
    """
    features = ops.shape(mean)[1:]

    def draw_noise(num_examples: Tensor | int) -> Tensor:
        return keras.random.normal((num_examples, *features), dtype="float32", seed=seed)

    noise = split_across_replicas(draw_noise, ops.shape(mean)[0])
    return mean + ops.exp(0.5 * log_variance) * ops.cast(noise, mean.dtype)


def _repeat(x: Tensor, count: int) -> Tensor:
    return ops.repeat(ops.expand_dims(x, 1), count, axis=1)


def check_moments(input_shape: MomentShapes, layer: str) -> None:
    """Raise unless the mean and the log-variance have the same shape."""
    mean, log_variance = (tuple(shape) for shape in split_moments(input_shape, layer))
    if mean != log_variance:
        problem = f"{layer}: mean and log_variance must have one shape, received {mean[1:]} and {log_variance[1:]}"
        raise ValueError(message(problem, hint="use dk.GaussianHead(units) before this layer"))


def split_moments(inputs: Any, layer: str) -> tuple[Any, Any]:
    """Return the mean and the log-variance of a mapping or pair of tensors or shapes.

    Args:
        inputs: A mapping with the keys `"mean"` and `"log_variance"`, or a pair.
        layer: Class name of the layer, for the message.

    Raises:
        ValueError: The value is neither.
    """
    if isinstance(inputs, Mapping) and set(inputs) == {"mean", "log_variance"}:
        return inputs["mean"], inputs["log_variance"]
    is_shape = isinstance(inputs, tuple) and any(size is None or isinstance(size, int) for size in inputs)
    if isinstance(inputs, list | tuple) and len(inputs) == 2 and not is_shape:
        return inputs[0], inputs[1]
    problem = f"{layer}: expected the mean and the log variance, received {format_value(inputs)}"
    hint = 'use dk.GaussianHead(units) before this layer, or pass {"mean": ..., "log_variance": ...}'
    raise ValueError(message(problem, hint=hint))
