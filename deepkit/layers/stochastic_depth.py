"""Residual branches that are left out at random."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="deepkit")
class StochasticDepth(keras.layers.Layer):
    """In training, drop the whole branch of an example with probability `rate`; else the identity.

    It is the last layer in the body of a residual block: what is dropped is the branch, and the shortcut carries
    the example on. Source: Huang et al. 2016, "Deep Networks with Stochastic Depth", section 3.

    Two differences from the paper, which draws once for a mini-batch and multiplies the branch by its survival
    probability `1 - rate` when testing. Here each example draws for itself, and the branches that survive are
    divided by `1 - rate` in training, so that inference is the plain network. The expectations agree: weights
    trained here are those of the paper's rule with the branch's output divided by `1 - rate`. The paper lets the
    rate grow linearly with depth, from 0 at the input to 0.5 at the last block.

    Args:
        rate: Probability that a branch is dropped, from 0 (never) to below 1. A branch that is always dropped
            would never learn what inference then adds.
        seed: Integer for the same draws each time; None for others each time.

    Input shape:
        Any, with the batch axis first.

    Output shape:
        That of the input.

    Raises:
        ValueError: `rate` is no number from 0 to below 1.

    Examples:
        >>> import deepkit as dk
        >>> body = [dk.ConvBlock(8), dk.ConvBlock(8, activation=None), dk.layers.StochasticDepth(0.2)]
        >>> dk.Residual(body).build((28, 28, 8)).output_shape
        (None, 28, 28, 8)
    """

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
            raise ValueError(
                f"StochasticDepth: rate must be a number from 0 to below 1, received {rate!r}\n"
                "  hint: StochasticDepth(0.2)"
            )
        self.rate = rate
        self.seed = seed
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Draw in float32: half precision has too few numbers between 0 and 1 for a small rate."""
        if not training or self.rate == 0:
            return inputs
        one_each = (ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        survives = keras.random.uniform(one_each, dtype="float32", seed=self.seed_generator) >= self.rate
        return ops.where(survives, inputs / (1 - self.rate), ops.zeros_like(inputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
