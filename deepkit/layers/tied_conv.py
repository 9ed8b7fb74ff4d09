"""A convolution that runs both ways."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)


@keras.saving.register_keras_serializable(package="deepkit")
class TiedConv(keras.layers.Wrapper):
    """A convolution that can be called in reverse: the transposed convolution with the same kernel.

    `layer(x)` is the wrapped convolution of `x`; `layer(code, reverse=True)` is
    `reverse_activation(C' code + reverse_bias)`, where C is the convolution as a matrix, without bias and activation,
    and C' its transpose: encoder and decoder of a convolutional autoencoder with tied weights. For strides of 1 it is
    the convolution of the code with the kernel flipped over its spatial axes. Source: Masci et al. 2011, "Stacked
    Convolutional Auto-Encoders for Hierarchical Feature Extraction", section 3. `TiedDense` is the same for
    `keras.layers.Dense`.

    On an axis with a stride several sizes give a code of one size, and in reverse it is the size of the first call
    that comes back; it must be known. On an axis with stride 1 the size follows from the code, and may be unknown
    and another one at each call.

    Args:
        layer: A `keras.layers.Conv1D`, `Conv2D` or `Conv3D`, with any padding, strides, dilation and groups.
        reverse_activation: The activation in reverse.
        use_reverse_bias: Whether there is a bias for each input channel in reverse, with the initialiser, penalty
            and constraint of the layer's own; False where the layer is called forward only, so that no weight is
            left without a gradient.
        kwargs: `name` and the rest of what a Keras layer takes; the dtype is the wrapped layer's unless given.

    Call arguments:
        inputs: A tensor, the features or in reverse the code.
        reverse: Whether to go from the code to the features. The first call must be forward: it fixes their channels
            and sizes.

    Input shape:
        What the wrapped layer takes; in reverse what it returns.

    Output shape:
        What the wrapped layer returns; in reverse what it takes.

    Raises:
        ValueError: The layer is no convolution, the first call is in reverse, or in reverse the code is not of the
            wrapped layer's output or the size to come back to is not known.

    Examples:
        >>> import keras
        >>> from deepkit.layers import TiedConv
        >>> layer = TiedConv(keras.layers.Conv2D(8, 3, strides=2, padding="same"), reverse_activation="sigmoid")
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
        reverse_activation: Any = None,
        use_reverse_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        if type(layer) not in _CONVOLUTIONS:  # a subclass may do something else with its kernel
            raise ValueError(
                f"TiedConv: layer must be a Keras Conv1D, Conv2D or Conv3D, received {layer!r}\n"
                "  hint: TiedConv(keras.layers.Conv2D(8, 3))"
            )
        given = kwargs.pop("dtype", None)
        super().__init__(layer, dtype=layer.dtype_policy if given is None else given, **kwargs)
        if given is not None:
            layer.dtype_policy = self.dtype_policy  # one precision both ways
        self.reverse_activation = keras.activations.get(reverse_activation)
        self.use_reverse_bias = use_reverse_bias
        self.input_spec = keras.InputSpec(ndim=layer.rank + 2)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the wrapped layer's weights and a bias for the way back, and note the sizes to come back to."""
        super().build(input_shape)
        self._features = tuple(input_shape)
        self._code = self.layer.compute_output_shape(self._features)
        self.reverse_bias = None
        if self.use_reverse_bias:
            self.reverse_bias = self.add_weight(
                name="reverse_bias",
                shape=(self._features[self._channels],),
                initializer=self.layer.bias_initializer,
                regularizer=self.layer.bias_regularizer,
                constraint=self.layer.bias_constraint,
            )

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse a first call in reverse, which would fix channels and sizes wrongly."""
        if not self.built and (kwargs.get("reverse") or (args and args[0])):
            raise self._not_built()
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        """Convolve, or transpose the convolution, add the bias of the way back and apply its activation."""
        if not reverse:
            return self.layer(inputs)
        self._check_code(inputs.shape)
        outputs = self._fitted(self._transposed(inputs))
        if self.reverse_bias is not None:
            shape = [1] * len(inputs.shape)
            shape[self._channels] = -1
            outputs = outputs + ops.reshape(self.reverse_bias, shape)
        return self.reverse_activation(outputs)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...], reverse: bool = False
    ) -> tuple[int | None, ...]:
        """Return the output shape."""
        if not reverse:
            return self.layer.compute_output_shape(input_shape)
        self._check_code(input_shape)
        shape = list(input_shape)
        shape[self._channels] = self._features[self._channels]
        for axis, window, stride in self._steps():
            size = shape[axis]
            if stride > 1:
                shape[axis] = self._features[axis]
            elif size is not None and self.layer.padding == "valid":
                shape[axis] = size + window - 1
        return tuple(shape)

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> keras.KerasTensor:
        """Return the output's shape and dtype: Keras gives `compute_output_shape` no `reverse`."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape, reverse), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        config = super().get_config()
        config["layer"].pop("build_config", None)  # it is built by this one, which gives its weights their paths
        return {
            **config,
            "reverse_activation": keras.activations.serialize(self.reverse_activation),
            "use_reverse_bias": self.use_reverse_bias,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> TiedConv:
        """Return the layer of a config, which stays as it is; a wrapped layer without a name is `conv`."""
        layer = dict(config["layer"])
        layer["config"] = {**layer["config"], "name": layer["config"].get("name") or "conv"}
        return super().from_config({**config, "layer": layer}, custom_objects)

    @property
    def _channels(self) -> int:
        return -1 if self.layer.data_format == "channels_last" else 1

    def _steps(self) -> list[tuple[int, int, int]]:
        """Return axis, width of the window with its dilation, and stride of each spatial axis."""
        first = 1 if self._channels == -1 else 2
        sizes = zip(self.layer.kernel_size, self.layer.dilation_rate, self.layer.strides, strict=True)
        return [(first + i, (size - 1) * rate + 1, stride) for i, (size, rate, stride) in enumerate(sizes)]

    def _transposed(self, code: Any) -> Any:
        """Spread each value of the code over the window that it came from; no padding is cut off yet."""
        groups = self.layer.groups
        kernels = ops.split(ops.convert_to_tensor(self.layer.kernel), groups, axis=-1)
        codes = ops.split(code, groups, axis=self._channels)
        parts = [self._spread(part, kernel) for part, kernel in zip(codes, kernels, strict=True)]
        return parts[0] if groups == 1 else ops.concatenate(parts, axis=self._channels)

    def _spread(self, code: Any, kernel: Any) -> Any:
        order = self.layer.data_format
        if set(self.layer.dilation_rate) == {1}:
            return ops.conv_transpose(code, kernel, list(self.layer.strides), "valid", data_format=order)
        # Keras has dilation with strides of 1 only, where a convolution does it; TensorFlow's transposed one does not
        around = [(0, 0)] * len(code.shape)
        for axis, window, _ in self._steps():
            around[axis] = (window - 1, window - 1)
        flipped = ops.swapaxes(ops.flip(kernel, axis=tuple(range(self.layer.rank))), -1, -2)
        rates = list(self.layer.dilation_rate)
        return ops.conv(ops.pad(code, around), flipped, 1, "valid", data_format=order, dilation_rate=rates)

    def _fitted(self, outputs: Any) -> Any:
        """Cut off what lies in the padding of the convolution, and put zeros where no window reached."""
        kept = [slice(None)] * len(outputs.shape)
        missing = [(0, 0)] * len(outputs.shape)
        for axis, window, stride in self._steps():
            before, after = self._around(axis, window, stride)
            kept[axis] = slice(before, -after if after > 0 else None)
            missing[axis] = (0, max(-after, 0))
        outputs = outputs[tuple(kept)]
        return ops.pad(outputs, missing) if any(map(any, missing)) else outputs

    def _around(self, axis: int, window: int, stride: int) -> tuple[int, int]:
        """Return how far the windows reach over the features on both sides; negative where they fall short."""
        padding = self.layer.padding
        if stride == 1:  # at any size
            end = over = 0 if padding == "valid" else window - 1
        else:
            over = (self._code[axis] - 1) * stride + window - self._features[axis]
            end = over + max(stride - window, 0)  # Keras spreads to the end of the last stride
        before = {"valid": 0, "causal": window - 1}.get(padding, max(over, 0) // 2)
        return before, end - before

    def _check_code(self, shape: tuple[int | None, ...]) -> None:
        """Refuse a code that is not of the wrapped layer's output, or from which the size does not follow."""
        if not self.built:
            raise self._not_built()
        rigid = [self._channels, *(axis for axis, _, stride in self._steps() if stride > 1)]
        for axis in rigid:
            if self._features[axis] is None:
                raise ValueError(
                    f"TiedConv {self.name!r}: axis {axis} has a stride, and its size was unknown at the first call, "
                    f"which received the shape {self._features}, so it cannot come back\n"
                    "  hint: keras.Input with a number on that axis, or strides=1"
                )
            if shape[axis] not in (None, self._code[axis]) or (axis == self._channels and shape[axis] is None):
                raise ValueError(
                    f"TiedConv {self.name!r}: in reverse it takes a code of the shape {self._code}, "
                    f"received {tuple(shape)}\n  hint: its own output as the code"
                )

    def _not_built(self) -> ValueError:
        return ValueError(
            f"TiedConv {self.name!r}: called in reverse before it was called forward, which fixes channels and sizes\n"
            "  hint: code = layer(x), then layer(code, reverse=True)"
        )
