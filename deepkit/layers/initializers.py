"""Initial weights that Keras has no name for."""

from __future__ import annotations

import math
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="deepkit")
class FanInUniform(keras.initializers.Initializer):
    """Uniform weights between -scale/n and scale/n, where n is the number of inputs of the unit.

    Source: LeCun et al. 1998, appendix A, with a scale of 2.4. Keras's `LecunUniform` divides by the square root
    of n instead.

    Args:
        scale: The limit for a unit with one input.
        seed: Integer for the same weights each time; None for others each time.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import FanInUniform
        >>> bool(np.max(np.abs(np.asarray(FanInUniform()((5, 5, 1, 6))))) <= 2.4 / 25)
        True
    """

    def __init__(self, scale: float = 2.4, seed: int | None = None) -> None:
        self.scale, self.seed = scale, seed
        self._uniform = keras.initializers.RandomUniform(-1.0, 1.0, seed=seed)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return initial weights of shape `(..., inputs, outputs)`."""
        fan_in = math.prod(shape[:-1]) if len(shape) > 1 else 1
        return self._uniform(shape, dtype=dtype) * (self.scale / fan_in)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"scale": self.scale, "seed": self.seed}


def independent(initializer: Any, number: int) -> list[Any]:
    """Return that many initialisers like this one, none of which draws the numbers of another.

    A Keras initialiser draws the same numbers each time it is called, so that weights made by calling one
    repeatedly would all start equal.

    Args:
        initializer: A Keras initialiser; one with an integer seed is given the seeds that follow. A function, or
            one whose seed is a `SeedGenerator`, is returned as it is: it is for itself to draw anew.
        number: How many.
    """
    config = initializer.get_config() if isinstance(initializer, keras.initializers.Initializer) else None
    seed = config.get("seed") if config else None
    if config is None or isinstance(seed, dict):
        return [initializer] * number
    shifts = [{"seed": seed + i} if isinstance(seed, int) else {} for i in range(number)]
    return [type(initializer).from_config({**config, **shift}) for shift in shifts]
