"""Initial weights that Keras has no initializer for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class FanInUniform(keras.initializers.Initializer):
    """Uniform weights between -scale/n and scale/n, where n is the number of inputs of the unit.

    Keras's `LecunUniform` divides by the square root of n instead.

    Reference:
        LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", appendix A, with a scale of 2.4.

    Args:
        scale: The limit for a unit with one input.
        seed: Integer seed for reproducible weights; None for a random seed.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import FanInUniform
        >>> bool(np.max(np.abs(np.asarray(FanInUniform()((5, 5, 1, 6))))) <= 2.4 / 25)
        True
    """

    def __init__(self, scale: float = 2.4, seed: int | None = None) -> None:
        self.scale, self.seed = scale, seed
        self._uniform = keras.initializers.RandomUniform(-1.0, 1.0, seed=seed)

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        """Return initial weights of shape `(..., inputs, outputs)`."""
        fan_in = math.prod(shape[:-1]) if len(shape) > 1 else 1
        return self._uniform(shape, dtype=dtype) * (self.scale / fan_in)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"scale": self.scale, "seed": self.seed}


def independent_initializers(initializer: Callable[..., Any], count: int) -> list[Callable[..., Any]]:
    """Return copies of an initializer that draw different numbers from one another.

    A Keras initializer draws the same numbers at every call, so that weights made by repeated calls would all start
    equal.

    Args:
        initializer: A Keras initializer; the copies of one with an integer seed get consecutive seeds. A function, or
            an initializer whose seed is a `SeedGenerator`, draws new numbers at every call and is returned unchanged.
        count: Number of copies.
    """
    if not isinstance(initializer, keras.initializers.Initializer):
        return [initializer] * count
    config = initializer.get_config()
    seed = config.get("seed")
    if isinstance(seed, dict):
        return [initializer] * count
    copies: list[Callable[..., Any]] = []
    for i in range(count):
        shifted = {"seed": seed + i} if isinstance(seed, int) else {}
        copies.append(type(initializer).from_config({**config, **shifted}))
    return copies
