"""Convolution with a connection table between input and output maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from deepkit.layers.axes import (
    as_float,
    channel_axis,
    from_channels_last,
    make_shape,
    spatial_sizes,
    standardize_data_format,
    to_channels_last,
)
from deepkit.layers.initializers import independent_initializers
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import ActivationLike, InitializerLike, Shape, Tensor


@keras.saving.register_keras_serializable(package="deepkit")
class TableConv2D(keras.layers.Layer):
    """A 2-D convolution with a connection table: output map m reads only the input maps `table[m]`.

    Weights exist only for the connections of the table: the third layer of LeNet-5 has 60 of 96 connections, and so
    60 x 25 + 16 = 1,516 weights.

    Reference:
        LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section II.B and table I.

    Args:
        table: For each output map, the indices of the input maps it reads.
        kernel_size: Side of the square window, in pixels.
        activation: Name of a Keras activation, a function, or None.
        kernel_initializer: Initializer of the kernels, called once for each output map with the number of its inputs.
        bias_initializer: Initializer of the biases, one for each output map.
        data_format: `"channels_last"`, `"channels_first"`, or None for Keras's setting.

    Input shape:
        `(batch, rows, columns, channels)`, or `(batch, channels, rows, columns)` with `"channels_first"`; integers are
        cast to the compute dtype.

    Output shape:
        `(batch, rows - kernel_size + 1, columns - kernel_size + 1, len(table))`, with the channels as in the input.

    Raises:
        ValueError: The table is empty, has an empty row, or names a channel that the input lacks; or the image is
            smaller than the kernel.

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
        activation: ActivationLike = None,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        data_format: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.table = tuple(tuple(int(i) for i in row) for row in table)
        if not self.table or not all(self.table):
            problem = f"TableConv2D: every row of table must name an input map, received {format_value(table)}"
            raise ValueError(message(problem, hint="pass the indices of at least one input map for each output map"))
        hint = "use TableConv2D(table, 5)"
        self.kernel_size = check_integer(kernel_size, "TableConv2D: kernel_size", hint=hint)
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.data_format = standardize_data_format(data_format, "TableConv2D")
        self.input_spec = keras.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Create a kernel for each connection and a bias for each map."""
        channels = input_shape[channel_axis(self.data_format)]
        highest = max(max(row) for row in self.table)
        if channels is None or highest >= channels:
            problem = f"TableConv2D: table names input map {highest}, received {channels} channels"
            raise ValueError(message(problem, hint=f"pass an input of at least {highest + 1} channels"))
        rows, columns = spatial_sizes(input_shape, self.data_format)
        if any(size is not None and size < self.kernel_size for size in (rows, columns)):
            problem = (
                f"TableConv2D: kernel_size={self.kernel_size} needs at least that many rows and columns, received "
                f"{rows}x{columns}"
            )
            raise ValueError(message(problem, hint="use a larger image or a smaller kernel"))
        connections = sum(len(row) for row in self.table)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, connections),
            initializer=self._initial_kernels,
        )
        self.bias = self.add_weight(name="bias", shape=(len(self.table),), initializer=self.bias_initializer)
        self._scatter = _scatter_matrix(self.table, channels)
        self._dense_shape = (self.kernel_size, self.kernel_size, channels, len(self.table))

    def call(self, inputs: Tensor) -> Tensor:
        """Scatter the kernels into a dense kernel with zeros, convolve, add the bias and apply the activation."""
        kernel = ops.reshape(ops.matmul(self.kernel, ops.cast(self._scatter, self.kernel.dtype)), self._dense_shape)
        x = to_channels_last(as_float(inputs, self.compute_dtype), self.data_format)
        outputs = ops.conv(x, ops.cast(kernel, x.dtype), strides=1, padding="valid", data_format="channels_last")
        outputs = self.activation(outputs + ops.cast(self.bias, x.dtype))
        return from_channels_last(outputs, self.data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape."""
        sizes = spatial_sizes(input_shape, self.data_format)
        sizes = tuple(None if n is None else n - self.kernel_size + 1 for n in sizes)
        return make_shape(input_shape[0], sizes, len(self.table), self.data_format)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "table": [list(row) for row in self.table],
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "data_format": self.data_format,
        }

    def _initial_kernels(self, shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        """Initialize the kernels of each output map as a convolution with one filter."""
        side = self.kernel_size
        initializers = independent_initializers(self.kernel_initializer, len(self.table))
        kernels = []
        for initialize, row in zip(initializers, self.table, strict=True):
            kernels.append(initialize((side, side, len(row), 1), dtype=dtype)[..., 0])
        return ops.concatenate(kernels, axis=-1)


def _scatter_matrix(table: tuple[tuple[int, ...], ...], channels: int) -> np.ndarray:
    """Return the 0/1 matrix (connections, channels * maps) that moves each kernel to its channel and map."""
    connections = [(channel, m) for m, row in enumerate(table) for channel in row]
    matrix = np.zeros((len(connections), channels * len(table)), "float32")
    for i, (channel, m) in enumerate(connections):
        matrix[i, channel * len(table) + m] = 1
    return matrix
