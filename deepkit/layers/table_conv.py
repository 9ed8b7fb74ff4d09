"""A convolution whose maps do not all see all input maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from deepkit.layers import config_checks as _checks
from deepkit.layers.initializers import independent


@keras.saving.register_keras_serializable(package="deepkit")
class TableConv2D(keras.layers.Layer):
    """A 2-D convolution with a connection table: output map m reads only the input maps `table[m]`.

    Weights exist only for the connections of the table: the third layer of LeNet-5 has 60 of 96, and so
    60 x 25 + 16 = 1,516 weights. Source: LeCun et al. 1998, section II.B and table I.

    Args:
        table: For each output map, the numbers of the input maps it reads.
        kernel_size: Side of the square window, in pixels.
        activation: Keras's name of an activation, a function, or None.
        kernel_initializer: Drawn for each output map by itself, with the number of its own inputs.
        bias_initializer: For one bias an output map.

    Input shape:
        `(batch, rows, columns, channels)`.

    Output shape:
        `(batch, rows - kernel_size + 1, columns - kernel_size + 1, len(table))`.

    Raises:
        ValueError: The table is empty, has an empty row, or names a channel that the input lacks.

    Examples:
        >>> import keras
        >>> from deepkit.layers import TableConv2D
        >>> layer = TableConv2D([(0, 1), (1, 2), (0, 1, 2)], kernel_size=5)
        >>> layer(keras.Input((14, 14, 3))).shape, layer.count_params()
        ((None, 10, 10, 3), 178)
    """

    def __init__(
        self,
        table: Sequence[Sequence[int]],
        kernel_size: int,
        *,
        activation: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = tuple(tuple(int(i) for i in row) for row in table)
        if not self.table or not all(self.table):
            raise ValueError(f"TableConv2D: every row of table must name an input map, received {table!r}")
        self.kernel_size = _checks.positive_integer(kernel_size, "TableConv2D: kernel_size", "TableConv2D(table, 5)")
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.input_spec = keras.InputSpec(ndim=4)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make a kernel for each connection and a bias for each map."""
        channels = input_shape[-1]
        highest = max(max(row) for row in self.table)
        if channels is None or highest >= channels:
            raise ValueError(f"TableConv2D: table names input map {highest}, received {channels} channels")
        rows, columns = input_shape[1:3]
        if any(size is not None and size < self.kernel_size for size in (rows, columns)):
            raise ValueError(
                f"TableConv2D: kernel_size={self.kernel_size} needs at least that many rows and columns, received "
                f"{rows}x{columns}\n  hint: a larger image, or a smaller kernel"
            )
        connections = sum(len(row) for row in self.table)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, connections),
            initializer=self._initial_kernels,
        )
        self.bias = self.add_weight(name="bias", shape=(len(self.table),), initializer=self.bias_initializer)
        self._place = _placement(self.table, channels)
        self._dense_shape = (self.kernel_size, self.kernel_size, channels, len(self.table))

    def call(self, inputs: Any) -> Any:
        """Spread the kernels into a dense one with zeros between, convolve, add the bias and squash."""
        kernel = ops.reshape(ops.matmul(self.kernel, ops.cast(self._place, self.kernel.dtype)), self._dense_shape)
        kernel = ops.cast(kernel, inputs.dtype)
        outputs = ops.conv(inputs, kernel, strides=1, padding="valid", data_format="channels_last")
        return self.activation(outputs + ops.cast(self.bias, inputs.dtype))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output shape."""
        sides = [None if n is None else n - self.kernel_size + 1 for n in input_shape[1:3]]
        return (input_shape[0], *sides, len(self.table))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "table": [list(row) for row in self.table],
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }

    def _initial_kernels(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        side, each = self.kernel_size, independent(self.kernel_initializer, len(self.table))
        maps = [draw((side, side, len(row), 1), dtype=dtype) for draw, row in zip(each, self.table, strict=True)]
        return ops.concatenate([kernel[..., 0] for kernel in maps], axis=-1)


def _placement(table: tuple[tuple[int, ...], ...], channels: int) -> np.ndarray:
    """Return the 0/1 matrix (connections, channels x maps) that puts each kernel where it belongs."""
    pairs = [(channel, m) for m, row in enumerate(table) for channel in row]
    place = np.zeros((len(pairs), channels * len(table)), "float32")
    for connection, (channel, m) in enumerate(pairs):
        place[connection, channel * len(table) + m] = 1
    return place
