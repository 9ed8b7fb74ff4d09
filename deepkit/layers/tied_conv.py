"""A convolution that can be called in reverse, as the transposed convolution with the same kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import layers, ops

from deepkit.layers.axes import channel_axis
from deepkit.utils.errors import format_value, message

if TYPE_CHECKING:
    from deepkit.utils.types import ActivationLike, KerasTensor, Shape, Tensor

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)


@keras.saving.register_keras_serializable(package="deepkit")
class TiedConv(keras.layers.Wrapper):
    """A convolution that can be called in reverse: the transposed convolution with the same kernel.

    `layer(x)` is the wrapped convolution of `x`; `layer(code, reverse=True)` is
    `reverse_activation(C' code + reverse_bias)`, in which C is the convolution as a matrix, without bias and
    activation, and C' its transpose: encoder and decoder of a convolutional autoencoder with tied weights. With
    strides of 1 it is the convolution of the code with the kernel flipped along its spatial axes. `TiedDense` is the
    corresponding layer for `keras.layers.Dense`.

    On an axis with a stride above 1, several input sizes give the same code size; the reverse call returns the size of
    the first forward call, which must be known. On an axis with stride 1 the size follows from the code; it may be
    unknown, and may differ from call to call.

    Reference:
        Masci et al. 2011, "Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction", section 3.

    Args:
        layer: A `keras.layers.Conv1D`, `Conv2D` or `Conv3D`, with any padding, strides, dilation and groups.
        reverse_activation: The activation in reverse.
        use_reverse_bias: Whether the reverse direction has a bias, with the wrapped layer's initializer, regularizer
            and constraint. Set it to False if the layer is only called forward, so that no weight is left without a
            gradient.
        kwargs: Further arguments of `keras.layers.Layer`; the default dtype is the dtype policy of the wrapped layer.

    Call arguments:
        inputs: Tensor of features, or of codes in reverse.
        reverse: Whether to map codes to features. The first call must be forward, as it sets the channels and sizes of
            the features.

    Input shape:
        The input shape of the wrapped layer; its output shape in reverse.

    Output shape:
        The output shape of the wrapped layer; its input shape in reverse.

    Raises:
        ValueError: The layer is not a convolution, the first call is in reverse, the code does not have the shape of
            the wrapped layer's output, or the size to restore is unknown.

    Examples:
        >>> import keras
        >>> from deepkit.layers import TiedConv
        >>> layer = TiedConv(
        ...     keras.layers.Conv2D(8, 3, strides=2, padding="same"),
        ...     reverse_activation="sigmoid",
        ... )
        >>> x = keras.Input((9, 7, 3))
        >>> code = layer(x)
        >>> autoencoder = keras.Model(x, layer(code, reverse=True))
        >>> code.shape, autoencoder.output_shape, autoencoder.count_params()
        ((None, 5, 4, 8), (None, 9, 7, 3), 227)
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        *,
        reverse_activation: ActivationLike = None,
        use_reverse_bias: bool = True,
        **kwargs: object,
    ) -> None:
        if type(layer) not in _CONVOLUTIONS:  # a subclass may use its kernel differently
            problem = f"TiedConv: layer must be a Keras Conv1D, Conv2D or Conv3D, received {format_value(layer)}"
            raise ValueError(message(problem, hint="use TiedConv(keras.layers.Conv2D(8, 3))"))
        dtype = kwargs.pop("dtype", None)
        super().__init__(layer, dtype=layer.dtype_policy if dtype is None else dtype, **kwargs)
        if dtype is not None:
            layer.dtype_policy = self.dtype_policy  # the same precision in both directions
        self.reverse_activation = keras.activations.get(reverse_activation)
        self.use_reverse_bias = use_reverse_bias
        self.input_spec = keras.InputSpec(ndim=layer.rank + 2)

    def build(self, input_shape: Shape = ()) -> None:
        """Create the wrapped layer's weights and the reverse bias, and store the shapes to restore in reverse."""
        super().build(input_shape)
        self._feature_shape = tuple(input_shape)
        self._code_shape = self.layer.compute_output_shape(self._feature_shape)
        self.reverse_bias = None
        if self.use_reverse_bias:
            self.reverse_bias = self.add_weight(
                name="reverse_bias",
                shape=(self._feature_shape[self._channel_axis],),
                initializer=self.layer.bias_initializer,
                regularizer=self.layer.bias_regularizer,
                constraint=self.layer.bias_constraint,
            )

    def __call__(self, inputs: Tensor, *args: object, **kwargs: object) -> Tensor:
        """Refuse a first call in reverse, which would set wrong channels and sizes."""
        if not self.built and (kwargs.get("reverse") or (args and args[0])):
            raise self._not_built_error()
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        """Apply the convolution, or the transposed convolution with the reverse bias and activation."""
        if not reverse:
            return self.layer(inputs)
        self._check_code(inputs.shape)
        outputs = self._restore_size(self._transpose_conv(inputs))
        if self.reverse_bias is not None:
            shape = [1] * len(inputs.shape)
            shape[self._channel_axis] = -1
            outputs = outputs + ops.reshape(self.reverse_bias, shape)
        return self.reverse_activation(outputs)

    def compute_output_shape(self, input_shape: Shape, reverse: bool = False) -> Shape:
        """Return the output shape."""
        if not reverse:
            return self.layer.compute_output_shape(input_shape)
        self._check_code(input_shape)
        shape = list(input_shape)
        shape[self._channel_axis] = self._feature_shape[self._channel_axis]
        for axis, window, stride in self._windows():
            size = shape[axis]
            if stride > 1:
                shape[axis] = self._feature_shape[axis]
            elif size is not None and self.layer.padding == "valid":
                shape[axis] = size + window - 1
        return tuple(shape)

    def compute_output_spec(self, inputs: KerasTensor, reverse: bool = False) -> KerasTensor:
        """Return the symbolic output; Keras does not pass `reverse` to `compute_output_shape`."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape, reverse), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        config = super().get_config()
        config["layer"].pop("build_config", None)  # `build` builds the wrapped layer, for the paths of its weights
        return {
            **config,
            "reverse_activation": keras.activations.serialize(self.reverse_activation),
            "use_reverse_bias": self.use_reverse_bias,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> TiedConv:
        """Create a layer from its config, which is not changed; the default name of the wrapped layer is `conv`."""
        layer = dict(config["layer"])
        layer["config"] = {**layer["config"], "name": layer["config"].get("name") or "conv"}
        return super().from_config({**config, "layer": layer}, custom_objects)

    @property
    def _channel_axis(self) -> int:
        return channel_axis(self.layer.data_format)

    def _windows(self) -> list[tuple[int, int, int]]:
        """Return the axis, the dilated width of the window and the stride, for each spatial axis."""
        axis = 1 if self._channel_axis == -1 else 2
        windows = []
        for size, rate, stride in zip(
            self.layer.kernel_size, self.layer.dilation_rate, self.layer.strides, strict=True
        ):
            windows.append((axis, (size - 1) * rate + 1, stride))
            axis += 1
        return windows

    def _transpose_conv(self, code: Tensor) -> Tensor:
        """Return the transposed convolution with "valid" padding, before cropping, for each group."""
        groups = self.layer.groups
        kernels = ops.split(ops.convert_to_tensor(self.layer.kernel), groups, axis=-1)
        codes = ops.split(code, groups, axis=self._channel_axis)
        outputs = [self._transpose_conv_group(*group) for group in zip(codes, kernels, strict=True)]
        return outputs[0] if groups == 1 else ops.concatenate(outputs, axis=self._channel_axis)

    def _transpose_conv_group(self, code: Tensor, kernel: Tensor) -> Tensor:
        data_format = self.layer.data_format
        if set(self.layer.dilation_rate) == {1}:
            return ops.conv_transpose(code, kernel, list(self.layer.strides), "valid", data_format=data_format)
        # Keras allows dilation only with strides of 1, for which the transposed convolution is a convolution with the
        # flipped kernel; TensorFlow's transposed convolution does not support dilation
        padding = [(0, 0)] * len(code.shape)
        for axis, window, _ in self._windows():
            padding[axis] = (window - 1, window - 1)
        flipped = ops.swapaxes(ops.flip(kernel, axis=tuple(range(self.layer.rank))), -1, -2)
        rates = list(self.layer.dilation_rate)
        return ops.conv(ops.pad(code, padding), flipped, 1, "valid", data_format=data_format, dilation_rate=rates)

    def _restore_size(self, outputs: Tensor) -> Tensor:
        """Crop the padding of the convolution, and add zeros for features that no window covered."""
        crops = [slice(None)] * len(outputs.shape)
        padding = [(0, 0)] * len(outputs.shape)
        for axis, window, stride in self._windows():
            before, after = self._overhang(axis, window, stride)
            crops[axis] = slice(before, -after if after > 0 else None)
            padding[axis] = (0, max(-after, 0))
        outputs = outputs[tuple(crops)]
        return ops.pad(outputs, padding) if any(map(any, padding)) else outputs

    def _overhang(self, axis: int, window: int, stride: int) -> tuple[int, int]:
        """Return how far the windows extend beyond the features, before and after; negative if they end earlier."""
        padding = self.layer.padding
        if stride == 1:  # independent of the size
            excess = 0 if padding == "valid" else window - 1
            total = excess
        else:
            excess = (self._code_shape[axis] - 1) * stride + window - self._feature_shape[axis]
            total = excess + max(stride - window, 0)  # Keras's output ends with the last stride
        if padding == "valid":
            before = 0
        elif padding == "causal":
            before = window - 1
        else:
            before = max(excess, 0) // 2
        return before, total - before

    def _check_code(self, shape: Shape) -> None:
        """Refuse a code of another shape than the wrapped layer's output, and a size that cannot be restored."""
        if not self.built:
            raise self._not_built_error()
        fixed_axes = [self._channel_axis, *(axis for axis, _, stride in self._windows() if stride > 1)]
        for axis in fixed_axes:
            if self._feature_shape[axis] is None:
                problem = (
                    f"TiedConv {self.name!r}: cannot restore the size of axis {axis}, which has a stride and was "
                    f"unknown at the first call, received the shape {self._feature_shape}"
                )
                raise ValueError(message(problem, hint="use a keras.Input with a number on that axis, or strides=1"))
            is_unknown_channel = axis == self._channel_axis and shape[axis] is None
            if shape[axis] not in (None, self._code_shape[axis]) or is_unknown_channel:
                problem = (
                    f"TiedConv {self.name!r}: in reverse, it expects a code of the shape {self._code_shape}, "
                    f"received {tuple(shape)}"
                )
                raise ValueError(message(problem, hint="pass the layer's own output"))

    def _not_built_error(self) -> ValueError:
        problem = (
            f"TiedConv {self.name!r}: called in reverse before the first forward call, which sets channels and sizes"
        )
        return ValueError(message(problem, hint="call code = layer(x), then layer(code, reverse=True)"))
