"""Draws from a Gaussian that gradients pass through: the reparameterisation trick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from deepkit.layers import config_checks as _checks


@keras.saving.register_keras_serializable(package="deepkit")
class GaussianSampling(keras.layers.Layer):
    """In training, draw z = mean + exp(log_variance / 2) * noise; else return the mean.

    The noise is standard normal and does not depend on any weight, so gradients reach the mean and the variance
    through the drawn z. Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", section 2.4; Rezende et
    al. 2014.

    At inference a network is a function: the layer then returns the mean, the likeliest z, `num_samples` times where
    samples are asked for. To draw at inference too, call it with `training=True`.

    Args:
        num_samples: How many draws of each example, on an axis of their own behind the batch; None for one draw
            without such an axis.
        seed: Integer for the same draws each time; None for others each time.

    Input shape:
        Mean and logarithm of the variance, `{"mean": (batch, ...), "log_variance": (batch, ...)}` as
        `dk.GaussianHead` returns them, or a pair of the two.

    Output shape:
        `(batch, ...)`, or `(batch, num_samples, ...)`.

    Raises:
        ValueError: `num_samples` is no positive integer, or the input is no mean with a variance of its shape.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential([dk.GaussianHead(2), dk.layers.GaussianSampling(), dk.MLP([8])])
        >>> net.build((4,)).output_shape
        (None, 8)
    """

    def __init__(self, num_samples: int | None = None, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_samples is not None:
            hint = "GaussianSampling() for one draw of each example"
            _checks.positive_integer(num_samples, "GaussianSampling: num_samples", hint)
        self.num_samples = num_samples
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Check that a mean and a variance come in."""
        mean, log_variance = (tuple(shape) for shape in _pair(input_shape))
        if mean != log_variance:
            raise ValueError(
                f"GaussianSampling: mean and log_variance must have one shape, received {mean[1:]} and "
                f"{log_variance[1:]}"
            )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Draw in the type of the inputs, which `dk.GaussianHead` keeps in float32."""
        mean, log_variance = _pair(inputs)
        if self.num_samples is not None:
            mean, log_variance = (_repeated(part, self.num_samples) for part in (mean, log_variance))
        return draw(mean, log_variance, self.seed_generator) if training else mean

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the output shape."""
        mean = tuple(_pair(input_shape)[0])
        return mean if self.num_samples is None else (mean[0], self.num_samples, *mean[1:])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "num_samples": self.num_samples, "seed": self.seed}


def draw(mean: Any, log_variance: Any, seed: Any) -> Any:
    """Return one draw of each Gaussian, through which gradients reach the mean and the variance.

    Args:
        mean: Of any shape.
        log_variance: Of the same shape.
        seed: An integer, or a `keras.random.SeedGenerator`, which moves on.
    """
    noise = keras.random.normal(ops.shape(mean), dtype="float32", seed=seed)
    return mean + ops.exp(0.5 * log_variance) * ops.cast(noise, mean.dtype)


def _repeated(x: Any, times: int) -> Any:
    return ops.repeat(ops.expand_dims(x, 1), times, axis=1)


def _pair(inputs: Any) -> tuple[Any, Any]:
    """Return the mean and the logarithm of the variance, tensors or shapes."""
    if isinstance(inputs, Mapping) and set(inputs) == {"mean", "log_variance"}:
        return inputs["mean"], inputs["log_variance"]
    lone = isinstance(inputs, tuple) and any(part is None or isinstance(part, int) for part in inputs)  # one shape
    if isinstance(inputs, list | tuple) and len(inputs) == 2 and not lone:
        return inputs[0], inputs[1]
    raise ValueError(
        f"GaussianSampling: expected the mean and the log variance, received {inputs!r}\n"
        '  hint: dk.GaussianHead(units) before it, or {"mean": ..., "log_variance": ...}'
    )
