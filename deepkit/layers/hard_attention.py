"""Hard attention: each query reads one position of a memory, in place of a weighted mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import as_float
from deepkit.utils.errors import format_value, message
from deepkit.utils.replicas import current_replica
from deepkit.utils.validation import check_fraction, check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class HardAttention(keras.layers.Layer):
    """Read one position of a memory for each query: in training a drawn one, at inference that of the largest weight.

    The weights are those of soft attention, as `dk.Attention(..., return_weights=True)` returns them. No
    gradient flows through the draw: train the weights with `dk.teaching.score_function` on the log-probability of the
    position, the logarithm of `ops.sum(selected * weights, axis=-1)`, as the model of `dk.Captioner(hard=True)` does.

    Reference:
        Xu et al. 2015, "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", section 4.1.

    Args:
        expectation_rate: Fraction of the examples that read the weighted mean of all positions in training, as soft
            attention does; 0.5 in the paper. It gives the weights a gradient with less variance.
        seed: Integer seed for reproducible draws; None for a random seed.
        kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: A list of weights and memory.
        training: Whether to draw.

    Input shape:
        Weights `(batch, queries, ...)` and memory `(batch, ..., features)`, with the same axes of positions.

    Output shape:
        A list: the features of the positions, `(batch, queries, features)`, and the positions, one-hot in the shape of
        the weights; the weights themselves for an example that reads the mean.

    Raises:
        ValueError: The axes of positions differ, or `expectation_rate` is not a fraction.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import HardAttention
        >>> weights = np.array([[[0.2, 0.5, 0.3]]], "float32")
        >>> memory = np.array([[[1.0], [2.0], [3.0]]], "float32")
        >>> features, selected = HardAttention()([weights, memory])
        >>> np.asarray(features).tolist(), np.asarray(selected).tolist()
        ([[[2.0]]], [[[0.0, 1.0, 0.0]]])
    """

    def __init__(self, expectation_rate: float = 0.0, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        hint = "use HardAttention(0.5), or HardAttention() to draw for all examples"
        self.expectation_rate = check_fraction(expectation_rate, "HardAttention: expectation_rate", hint=hint)
        if seed is not None:
            seed = check_integer(seed, "HardAttention: seed", minimum=0, hint="use seed=0")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True  # a masked position has weight 0

    def build(self, input_shape: Sequence[Shape]) -> None:
        """Check that weights and memory have the same examples and positions."""
        self._check_shapes(input_shape)

    def call(self, inputs: Sequence[Tensor], training: bool = False) -> list[Tensor]:
        """Select the positions, and return their features."""
        self._check_shapes(
            [tuple(x.shape) for x in inputs] if isinstance(inputs, list | tuple) else format_value(inputs)
        )
        weights, memory = as_float(inputs[0], self.compute_dtype), as_float(inputs[1], self.compute_dtype)
        num_queries = ops.shape(weights)[1]
        flat_memory = ops.reshape(memory, (ops.shape(memory)[0], -1, memory.shape[-1]))
        num_positions = ops.shape(flat_memory)[1]
        flat_weights = ops.reshape(weights, (-1, num_positions))
        if training and current_replica() is not None:
            problem = "HardAttention over several devices: each device would draw with a copy of the random state"
            raise ValueError(message(problem, path=self.name, hint='use one device: dk.plan(devices="CPU:0")'))
        if training:
            log_weights = ops.log(ops.cast(flat_weights, "float32"))
            index = keras.random.categorical(log_weights, 1, seed=self.seed_generator)[:, 0]
        else:
            index = ops.top_k(flat_weights, 1)[1][:, 0]  # `ops.argmax` of floats is not exported to ONNX and LiteRT
        selected = ops.cast(ops.equal(ops.arange(num_positions)[None], ops.cast(index, "int32")[:, None]), memory.dtype)
        if training:  # weights that are NaN, or all 0, have no position to draw
            is_drawn = ops.cast(index, "int32") < num_positions
            selected = ops.where(is_drawn[:, None], selected, ops.cast(math.nan, selected.dtype))
        if training and self.expectation_rate:
            is_mean = keras.random.uniform((ops.shape(weights)[0],), seed=self.seed_generator) < self.expectation_rate
            is_mean = ops.repeat(is_mean, num_queries)[:, None]
            selected = ops.where(is_mean, flat_weights, selected)
        features = ops.matmul(ops.reshape(selected, (-1, num_queries, num_positions)), flat_memory)
        return [features, ops.reshape(selected, ops.shape(weights))]

    def compute_mask(self, inputs: Sequence[Tensor], previous_mask: Any) -> None:
        """Return None: no mask of an input applies to the outputs."""

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> list[Shape]:
        """Return the shapes of the features and the positions."""
        weights, memory = self._check_shapes(input_shape)
        return [(*weights[:2], memory[-1]), weights]

    def _check_shapes(self, shapes: Any) -> tuple[Shape, Shape]:
        """Return the shapes of weights and memory, or raise an error if they do not fit."""
        is_pair = isinstance(shapes, list | tuple) and len(shapes) == 2
        if is_pair and all(isinstance(shape, list | tuple) for shape in shapes):
            weights, memory = (tuple(shape) for shape in shapes)
            pairs = [(weights[:1], memory[:1]), (weights[2:], memory[1:-1])]
            sizes = [pair for left, right in pairs for pair in zip(left, right, strict=False)]
            fits = all(None in pair or pair[0] == pair[1] for pair in sizes)
            if len(weights) == len(memory) >= 3 and fits and 0 not in memory[1:-1]:
                return weights, memory
        problem = (
            f"HardAttention {self.name!r}: expected weights (batch, queries, ...) and a memory (batch, ..., "
            f"features) with the same positions, received {format_value(shapes)}"
        )
        raise ValueError(message(problem, hint="pass [weights, memory] as dk.Attention receives and returns them"))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "expectation_rate": self.expectation_rate, "seed": self.seed}
