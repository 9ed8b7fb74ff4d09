"""Embeddings of positions, from which attention learns the order of its inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import as_float, static_size
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_choice, check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor

KINDS = ("sinusoidal", "learned")
_LONGEST_PERIOD = 10_000.0


@keras.saving.register_keras_serializable(package="deepkit")
class PositionEmbedding(keras.layers.Layer):
    """Add to each step of a sequence a vector that depends on its position.

    Attention computes a set of weighted means, which does not change if the steps change places. The sum with an
    embedding of the position makes the order visible.

    - `"sinusoidal"`: sin(p / 10000^(2i/d)) and cos(p / 10000^(2i/d)), interleaved, for position p and width d. It has
      no weights and no largest length.
    - `"learned"`: one vector of weights for each position up to `max_length`.

    The positions count the unmasked steps from 0, so that a sequence has the same embeddings without its padding.

    Reference:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.5.

    Args:
        kind: `"sinusoidal"` or `"learned"`.
        max_length: Largest number of steps; required by `"learned"`, and not accepted by `"sinusoidal"`.
        embeddings_initializer: Initial values of learned embeddings.
        kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, time, features)`.
        start: Position of the first step, for a sequence that is decoded step by step.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        The input shape.

    Raises:
        ValueError: An argument is invalid, or a sequence of known length is longer than `max_length`. If the length is
            unknown in a graph, TensorFlow raises an `InvalidArgumentError` on a CPU; on other devices and backends
            the steps after the last position are NaN.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import PositionEmbedding
        >>> np.asarray(PositionEmbedding()(np.zeros((1, 3, 4)))).round(2)
        array([[[ 0.  ,  1.  ,  0.  ,  1.  ],
                [ 0.84,  0.54,  0.01,  1.  ],
                [ 0.91, -0.42,  0.02,  1.  ]]], dtype=float32)
    """

    def __init__(
        self,
        kind: str = "sinusoidal",
        max_length: int | None = None,
        embeddings_initializer: Any = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind = check_choice(kind, "PositionEmbedding: kind", KINDS, hint="use PositionEmbedding()")
        self.max_length = _check_max_length(max_length, self.kind)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.embeddings: keras.Variable | None = None
        self.supports_masking = True
        self.input_spec = keras.InputSpec(ndim=3)

    def build(self, input_shape: Shape) -> None:
        """Create the learned embeddings."""
        width = static_size(input_shape, -1, "PositionEmbedding")
        self.input_spec = keras.InputSpec(ndim=3, axes={-1: width})
        if self.max_length is not None:
            self.embeddings = self.add_weight(
                shape=(self.max_length, width), initializer=self.embeddings_initializer, name="embeddings"
            )

    def call(self, inputs: Tensor, mask: Tensor | None = None, start: Tensor | int = 0) -> Tensor:
        """Add the embeddings of the positions."""
        x = as_float(inputs, self.compute_dtype)
        self._check_length(x, mask, start)
        if mask is None:
            positions = start + ops.arange(ops.shape(x)[1])
        else:
            positions = start + ops.maximum(ops.cumsum(ops.cast(mask, "int32"), axis=1) - 1, 0)
        vectors = self._sinusoids(positions, x.shape[-1]) if self.embeddings is None else self._learned(positions)
        return x + ops.cast(vectors, x.dtype)

    def _learned(self, positions: Tensor) -> Tensor:
        """Return the rows of the positions; NaN after the last one on devices that do not raise an error."""
        vectors = ops.take(self.embeddings, positions, axis=0)
        is_known = ops.less(positions, self.max_length)
        return ops.where(is_known[..., None], vectors, ops.cast(math.nan, vectors.dtype))

    def _sinusoids(self, positions: Tensor, width: int) -> Tensor:
        exponents = ops.arange(0, width, 2, dtype="float32") / width
        angles = ops.cast(positions, "float32")[..., None] / ops.power(_LONGEST_PERIOD, exponents)
        pairs = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
        interleaved = ops.reshape(pairs, (*ops.shape(angles)[:-1], 2 * len(range(0, width, 2))))
        return interleaved[..., :width]

    def _check_length(self, x: Tensor, mask: Tensor | None, start: Tensor | int) -> None:
        """Raise if an unmasked sequence of known length is too long."""
        length = x.shape[1]
        if self.max_length is None or mask is not None or length is None or not isinstance(start, int):
            return
        if start + length > self.max_length:
            problem = (
                f"PositionEmbedding {self.name!r}: expected at most max_length={self.max_length} steps, received "
                f"{start + length}"
            )
            raise ValueError(message(problem, hint="use a larger max_length, shorter sequences, or kind='sinusoidal'"))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "kind": self.kind,
            "max_length": self.max_length,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


def _check_max_length(value: object, kind: str) -> int | None:
    name = "PositionEmbedding: max_length"
    if kind == "learned":
        return check_integer(value, name, hint='use PositionEmbedding("learned", max_length=512)')
    if value is not None:
        problem = f'{name} has no effect for kind="sinusoidal", received {format_value(value)}'
        raise ValueError(message(problem, hint="leave it out: every position has a vector"))
    return None
