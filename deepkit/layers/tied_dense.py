"""A dense layer that can be called in reverse, with the transposed kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.layers.axes import static_size
from deepkit.utils.errors import message
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import (
        ActivationLike,
        ConstraintLike,
        InitializerLike,
        KerasTensor,
        RegularizerLike,
        Shape,
        Tensor,
    )


@keras.saving.register_keras_serializable(package="deepkit")
class TiedDense(keras.layers.Layer):
    """A dense layer that can be called in reverse, with the transpose of the same kernel.

    `layer(x)` is `activation(x W + bias)`; `layer(code, reverse=True)` is `reverse_activation(code W' + reverse_bias)`,
    with W' the transpose of W: encoder and decoder of an autoencoder with tied weights. Keras's `ReversibleEmbedding`
    is the corresponding layer for `Embedding`.

    Reference:
        Vincent et al. 2010, "Stacked Denoising Autoencoders", section 2.2.

    Args:
        units: Number of outputs, which is the number of inputs in reverse.
        activation: Name of a Keras activation, a function, or None.
        use_bias: Whether the forward direction has a bias.
        reverse_activation: The activation in reverse.
        use_reverse_bias: Whether the reverse direction has a bias. Set it to False if the layer is only called
            forward, so that no weight is left without a gradient.
        kernel_initializer: Initializer of the kernel, of shape `(features, units)`.
        bias_initializer: Initializer of both biases.
        kernel_regularizer: Regularizer of the kernel, counted once.
        bias_regularizer: Regularizer of both biases.
        kernel_constraint: Constraint on the kernel.
        bias_constraint: Constraint on both biases.

    Call arguments:
        inputs: Tensor of features, or of codes in reverse.
        reverse: Whether to map codes to features. The first call must be forward, as it sets the number of features.

    Input shape:
        `(batch, ..., features)`; in reverse `(batch, ..., units)`.

    Output shape:
        `(batch, ..., units)`; in reverse `(batch, ..., features)`.

    Raises:
        ValueError: `units` is not a positive integer, the number of features is unknown or differs from that of the
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
        activation: ActivationLike = None,
        use_bias: bool = True,
        reverse_activation: ActivationLike = None,
        use_reverse_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.units = check_integer(units, "TiedDense: units", hint='use TiedDense(32, activation="relu")')
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

    def build(self, input_shape: Shape) -> None:
        """Create the shared kernel, and a bias for each direction."""
        self._features = static_size(input_shape, -1, "TiedDense")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self._features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = self._add_bias("bias", self.units) if self.use_bias else None
        self.reverse_bias = self._add_bias("reverse_bias", self._features) if self.use_reverse_bias else None

    def __call__(self, inputs: Tensor, *args: object, **kwargs: object) -> Tensor:
        """Refuse a first call in reverse, which would set a wrong number of features."""
        if not self.built and (kwargs.get("reverse") or (args and args[0])):
            raise self._not_built_error()
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        """Multiply by the kernel or its transpose, add the bias of this direction and apply its activation."""
        self.compute_output_shape(inputs.shape, reverse)  # checks the number of features
        kernel = ops.transpose(self.kernel) if reverse else ops.convert_to_tensor(self.kernel)
        bias = self.reverse_bias if reverse else self.bias
        outputs = ops.matmul(inputs, kernel)
        if bias is not None:
            outputs = outputs + ops.convert_to_tensor(bias)
        return self.reverse_activation(outputs) if reverse else self.activation(outputs)

    def compute_output_shape(self, input_shape: Shape, reverse: bool = False) -> Shape:
        """Return the output shape."""
        if not self.built and reverse:
            raise self._not_built_error()
        if reverse:
            self._check_features(
                input_shape, self.units, "in reverse, it expects a code", "pass the layer's own output"
            )
            return (*input_shape[:-1], self._features)
        if self.built:
            hint = "use another TiedDense for this input"
            self._check_features(input_shape, self._features, "its kernel expects an input", hint)
        return (*input_shape[:-1], self.units)

    def compute_output_spec(self, inputs: KerasTensor, reverse: bool = False) -> KerasTensor:
        """Return the symbolic output; Keras does not pass `reverse` to `compute_output_shape`."""
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

    def _check_features(self, shape: Shape, expected: int, role: str, hint: str) -> None:
        if shape[-1] != expected:
            problem = f"TiedDense {self.name!r}: {role} of {expected} features, received the shape {tuple(shape)}"
            raise ValueError(message(problem, hint=hint))

    def _add_bias(self, name: str, size: int) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=(size,),
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def _not_built_error(self) -> ValueError:
        problem = (
            f"TiedDense {self.name!r}: called in reverse before the first forward call, which sets the number of "
            "features"
        )
        return ValueError(message(problem, hint="call code = layer(x), then layer(code, reverse=True)"))
