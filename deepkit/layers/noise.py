"""Noise that destroys part of what a denoising autoencoder sees: masking, and salt and pepper."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class _Destruction(keras.layers.Layer):
    """What both kinds of noise have in common: a share of the values, drawn in training alone."""

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ValueError(
                f"{owner}: rate must be a number from 0 to below 1, received {rate!r}\n  hint: {owner}(0.25)"
            )
        self.rate = rate
        self.seed = seed
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Put something else in the place of the values that are drawn."""
        if not training or self.rate == 0:
            return inputs
        # in float32: half precision has too few numbers between 0 and 1 for a small rate
        drawn = keras.random.uniform(ops.shape(inputs), dtype="float32", seed=self.seed_generator)
        return ops.where(drawn < self.rate, self._instead(inputs, drawn), inputs)

    def _instead(self, inputs: Any, drawn: Any) -> Any:
        """Return what stands in the place of each value that was drawn: `drawn` is below the rate there."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="deepkit")
class MaskingNoise(_Destruction):
    """In training, set each value to 0 with probability `rate`; else the identity.

    The corruption of a denoising autoencoder: what is missing must be filled in from the rest. Unlike
    `keras.layers.Dropout` it leaves the other values as they are, for the input of a corrupted example is to look
    like an input. Source: Vincent et al. 2010, "Stacked Denoising Autoencoders", section 3.3, where it is MN; the
    additive Gaussian noise (GS) of that section is `keras.layers.GaussianNoise`.

    Args:
        rate: Probability of each value, from 0 (never) to below 1.
        seed: Integer for the same draws each time; None for others each time.

    Input shape:
        Any.

    Output shape:
        That of the input.

    Raises:
        ValueError: `rate` is no number from 0 to below 1.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> noise = dk.layers.MaskingNoise(0.25, seed=1)
        >>> x = np.ones((1, 1000), "float32")
        >>> sorted(set(np.asarray(noise(x, training=True)).ravel().tolist())), float(noise(x).numpy().min())
        ([0.0, 1.0], 1.0)
    """

    def _instead(self, inputs: Any, drawn: Any) -> Any:
        return ops.zeros_like(inputs)


@keras.saving.register_keras_serializable(package="deepkit")
class SaltAndPepperNoise(_Destruction):
    """In training, set a share of the values to the smallest or the largest there is, by a fair coin.

    Source: Vincent et al. 2010, "Stacked Denoising Autoencoders", section 3.3, where it is SP.

    Args:
        rate: Probability that a value is destroyed, from 0 (never) to below 1; half of these become `low`, half
            `high`.
        low: The smallest value.
        high: The largest value.
        seed: Integer for the same draws each time; None for others each time.

    Input shape:
        Any.

    Output shape:
        That of the input.

    Raises:
        ValueError: `rate` is no number from 0 to below 1, or `low` is not below `high`.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> noise = dk.layers.SaltAndPepperNoise(0.1, seed=1)
        >>> x = np.full((1, 1000), 0.5, "float32")
        >>> sorted(set(np.asarray(noise(x, training=True)).ravel().tolist()))
        [0.0, 0.5, 1.0]
    """

    def __init__(
        self, rate: float, low: float = 0.0, high: float = 1.0, *, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)) or not low < high:
            raise ValueError(
                f"SaltAndPepperNoise: low must be a number below high, received low={low!r}, high={high!r}\n"
                "  hint: low=0, high=1, the smallest and the largest value of the data"
            )
        self.low, self.high = low, high

    def _instead(self, inputs: Any, drawn: Any) -> Any:
        # below the rate, the draw is uniform: its lower half is the coin
        ends = [ops.cast(end, inputs.dtype) for end in (self.low, self.high)]
        return ops.where(drawn < self.rate / 2, *ends)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "low": self.low, "high": self.high}
