"""Corruption for denoising autoencoders: masking noise and salt-and-pepper noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import as_float
from deepkit.utils.errors import format_value, message
from deepkit.utils.replicas import split_across_replicas
from deepkit.utils.validation import check_fraction, is_number

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


class _Corruption(keras.layers.Layer):
    """Base of both kinds of noise: replace a random fraction of the values in training."""

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        self.rate = check_fraction(rate, f"{name}: rate", hint=f"use {name}(0.25)")
        self.seed = seed
        if self.rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Replace a random fraction `rate` of the values in training."""
        if not training or self.rate == 0:
            return inputs
        features = ops.shape(inputs)[1:]

        def draw(num_examples: Tensor | int) -> Tensor:
            # in float32: half precision has too few numbers between 0 and 1 for a small rate
            return keras.random.uniform((num_examples, *features), dtype="float32", seed=self.seed_generator)

        uniform = split_across_replicas(draw, ops.shape(inputs)[0])
        return ops.where(uniform < self.rate, self._replacements(inputs, uniform), inputs)

    def _replacements(self, inputs: Tensor, uniform: Tensor) -> Tensor:
        """Return the replacement of each value; only those with `uniform` below the rate are used."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="deepkit")
class MaskingNoise(_Corruption):
    """Set each value to 0 with probability `rate` in training; the identity at inference.

    The corruption of a denoising autoencoder, which learns to fill in the missing values from the others. Unlike
    `keras.layers.Dropout`, the layer does not scale the remaining values.

    Reference:
        Vincent et al. 2010, "Stacked Denoising Autoencoders", section 3.3 (MN); the additive Gaussian noise of that
        section (GS) is `keras.layers.GaussianNoise`.

    Args:
        rate: Probability that a value is set to 0, from 0 (never) to below 1.
        seed: Integer seed for reproducible draws; None for a random seed.

    Call arguments:
        inputs: Tensor of any shape.
        training: Whether to corrupt the input.

    Input shape:
        Any.

    Output shape:
        The input shape.

    Raises:
        ValueError: `rate` is not a fraction in [0, 1).

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> noise = dk.layers.MaskingNoise(0.25, seed=1)
        >>> x = np.ones((1, 1000), "float32")
        >>> (
        ...     sorted(set(np.asarray(noise(x, training=True)).ravel().tolist())),
        ...     float(noise(x).numpy().min()),
        ... )
        ([0.0, 1.0], 1.0)
    """

    def _replacements(self, inputs: Tensor, uniform: Tensor) -> Tensor:
        return ops.zeros_like(inputs)


@keras.saving.register_keras_serializable(package="deepkit")
class SaltAndPepperNoise(_Corruption):
    """Set a fraction `rate` of the values to `low` or `high`, each with probability 1/2, in training.

    Reference:
        Vincent et al. 2010, "Stacked Denoising Autoencoders", section 3.3 (SP).

    Args:
        rate: Probability that a value is replaced, from 0 (never) to below 1.
        low: The smallest value of the data.
        high: The largest value of the data.
        seed: Integer seed for reproducible draws; None for a random seed.

    Call arguments:
        inputs: Tensor of any shape.
        training: Whether to corrupt the input.

    Input shape:
        Any.

    Output shape:
        The input shape.

    Raises:
        ValueError: `rate` is not a fraction in [0, 1), or `low` is not below `high`.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> noise = dk.layers.SaltAndPepperNoise(0.1, seed=1)
        >>> x = np.full((1, 1000), 0.5, "float32")
        >>> sorted(set(np.asarray(noise(x, training=True)).ravel().tolist()))
        [0.0, 0.5, 1.0]
    """

    def __init__(
        self, rate: float, low: float = 0.0, high: float = 1.0, *, seed: int | None = None, **kwargs: object
    ) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        if not is_number(low) or not is_number(high) or not low < high:
            problem = (
                f"SaltAndPepperNoise: low must be a number below high, received low={format_value(low)}, "
                f"high={format_value(high)}"
            )
            raise ValueError(message(problem, hint="pass the smallest and the largest value of the data as low, high"))
        self.low, self.high = low, high

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Replace values in training; integers are cast first, because `low` and `high` need not be integers."""
        return super().call(as_float(inputs, self.compute_dtype), training=training)

    def _replacements(self, inputs: Tensor, uniform: Tensor) -> Tensor:
        # a number below the rate is uniform on [0, rate): the lower half of this interval selects `low`
        low, high = ops.cast(self.low, inputs.dtype), ops.cast(self.high, inputs.dtype)
        return ops.where(uniform < self.rate / 2, low, high)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "low": self.low, "high": self.high}
