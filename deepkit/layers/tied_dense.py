"""A dense layer that runs both ways."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from deepkit.layers import config_checks as _checks


@keras.saving.register_keras_serializable(package="deepkit")
class TiedDense(keras.layers.Layer):
    """A dense layer that can be called in reverse, with the transpose of the same kernel.

    `layer(x)` is `activation(x W + bias)`; `layer(code, reverse=True)` is `reverse_activation(code W' + reverse_bias)`
    with W' the transpose of W: encoder and decoder of an autoencoder with tied weights. Source: Vincent et al. 2010,
    "Stacked Denoising Autoencoders", section 2.2. It is to `keras.layers.Dense` what Keras's `ReversibleEmbedding`
    is to `Embedding`.

    Args:
        units: Number of outputs, which is the number of inputs in reverse.
        activation: Keras's name of an activation, a function, or None.
        use_bias: Whether there is a bias for each unit.
        reverse_activation: The activation in reverse.
        use_reverse_bias: Whether there is a bias for each feature in reverse; False where the layer is called
            forward only, so that no weight is left without a gradient.
        kernel_initializer: For the kernel of shape `(features, units)`.
        bias_initializer: For both biases.
        kernel_regularizer: For the kernel, counted once.
        bias_regularizer: For both biases.
        kernel_constraint: For the kernel.
        bias_constraint: For both biases.

    Call arguments:
        inputs: A tensor, the features or in reverse the code.
        reverse: Whether to go from the code to the features. The first call must be forward: it fixes their number.

    Input shape:
        `(batch, ..., features)`; in reverse `(batch, ..., units)`.

    Output shape:
        `(batch, ..., units)`; in reverse `(batch, ..., features)`.

    Raises:
        ValueError: `units` is no positive integer, the number of features is unknown or another one than at the
            first call, or the first call is in reverse.

    Examples:
        >>> import keras
        >>> from deepkit.layers import TiedDense
        >>> layer = TiedDense(32, activation="sigmoid", reverse_activation="sigmoid")
        >>> x = keras.Input((784,))
        >>> autoencoder = keras.Model(x, layer(layer(x), reverse=True))
        >>> autoencoder.output_shape, autoencoder.count_params()
        ((None, 784), 25904)
    """

    def __init__(
        self,
        units: int,
        *,
        activation: Any = None,
        use_bias: bool = True,
        reverse_activation: Any = None,
        use_reverse_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = _checks.positive_integer(units, "TiedDense: units", 'TiedDense(32, activation="relu")')
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.reverse_activation = keras.activations.get(reverse_activation)
        self.use_reverse_bias = use_reverse_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.input_spec = keras.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel for both ways, and a bias for each."""
        self._features = _checks.known_size(input_shape, -1, "TiedDense")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self._features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = self._add_bias("bias", self.units) if self.use_bias else None
        self.reverse_bias = self._add_bias("reverse_bias", self._features) if self.use_reverse_bias else None

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse a first call in reverse, which would fix the number of features wrongly."""
        if not self.built and (kwargs.get("reverse") or (args and args[0])):
            raise self._not_built()
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        """Multiply by the kernel or its transpose, add the bias of that way and apply its activation."""
        self.compute_output_shape(inputs.shape, reverse)
        kernel = ops.transpose(self.kernel) if reverse else ops.convert_to_tensor(self.kernel)
        bias = self.reverse_bias if reverse else self.bias
        outputs = ops.matmul(inputs, kernel)
        if bias is not None:
            outputs = outputs + ops.convert_to_tensor(bias)
        return self.reverse_activation(outputs) if reverse else self.activation(outputs)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...], reverse: bool = False
    ) -> tuple[int | None, ...]:
        """Return the output shape."""
        if not self.built and reverse:
            raise self._not_built()
        received = input_shape[-1]
        expected = self.units if reverse else self._features if self.built else received
        if received != expected:
            way = "in reverse it takes a code" if reverse else "its kernel was made for an input"
            raise ValueError(
                f"TiedDense {self.name!r}: {way} of {expected} features, received the shape {tuple(input_shape)}\n"
                f"  hint: {'its own output as the code' if reverse else 'another TiedDense for this input'}"
            )
        return (*input_shape[:-1], self._features if reverse else self.units)

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> keras.KerasTensor:
        """Return the output's shape and dtype: Keras gives `compute_output_shape` no `reverse`."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape, reverse), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "reverse_activation": keras.activations.serialize(self.reverse_activation),
            "use_reverse_bias": self.use_reverse_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }

    def _add_bias(self, name: str, size: int) -> Any:
        return self.add_weight(
            name=name,
            shape=(size,),
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def _not_built(self) -> ValueError:
        return ValueError(
            f"TiedDense {self.name!r}: called in reverse before it was called forward, which fixes the number of "
            "features\n  hint: code = layer(x), then layer(code, reverse=True)"
        )
