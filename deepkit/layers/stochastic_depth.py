"""Stochastic depth: residual branches that are dropped at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import as_float
from deepkit.utils.replicas import split_across_replicas
from deepkit.utils.validation import check_fraction

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class StochasticDepth(keras.layers.Layer):
    """Drop the whole branch of an example with probability `rate` in training; the identity at inference.

    Use it as the last layer in the body of a residual block: it drops the branch, and the shortcut remains.

    The layer differs from the paper in two ways. The paper draws once for each mini-batch and multiplies the branch
    by its survival probability `1 - rate` at inference. This layer draws once for each example and divides the
    surviving branches by `1 - rate` in training, so that inference is the plain network. Both rules have the same
    expectation: the trained weights correspond to those of the paper's rule with the branch's output divided by
    `1 - rate`. In the paper the rate grows linearly with depth, from 0 at the input to 0.5 at the last block.

    Reference:
        Huang et al. 2016, "Deep Networks with Stochastic Depth", section 3.

    Args:
        rate: Probability that a branch is dropped, from 0 (never) to below 1. A rate of 1 is refused: the branch would
            never be trained, but used at inference.
        seed: Integer seed for reproducible draws; None for a random seed.

    Call arguments:
        inputs: Tensor with the batch axis first.
        training: Whether to drop branches.

    Input shape:
        Any, with the batch axis first.

    Output shape:
        The input shape.

    Raises:
        ValueError: `rate` is not a fraction in [0, 1).

    Examples:
        >>> import deepkit as dk
        >>> body = [
        ...     dk.ConvBlock(8),
        ...     dk.ConvBlock(8, activation=None),
        ...     dk.layers.StochasticDepth(0.2),
        ... ]
        >>> dk.Residual(body).build((28, 28, 8)).output_shape
        (None, 28, 28, 8)
    """

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.rate = check_fraction(rate, "StochasticDepth: rate", hint="use StochasticDepth(0.2)")
        self.seed = seed
        if self.rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Drop in training; draw in float32, as half precision has too few numbers between 0 and 1 for a small rate."""
        inputs = as_float(inputs, self.compute_dtype)
        if not training or self.rate == 0:
            return inputs
        uniform = split_across_replicas(self._draw, ops.shape(inputs)[0])
        survives = ops.reshape(uniform, (-1, *[1] * (len(inputs.shape) - 1))) >= self.rate
        return ops.where(survives, inputs / (1 - self.rate), ops.zeros_like(inputs))

    def _draw(self, num_examples: Tensor | int) -> Tensor:
        """Draw a uniform number for each example, `(examples,)`."""
        return keras.random.uniform((num_examples,), dtype="float32", seed=self.seed_generator)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
