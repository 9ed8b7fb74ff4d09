"""Autoencoders: a network that learns to reconstruct its input from a code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common, mirror
from deepkit.blocks.mirror import TracedLayer
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.keras_layer import LayerInstance
from deepkit.definition.objective import Objective
from deepkit.definition.outputs import output_activation
from deepkit.layers import TiedConv, TiedDense

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor

_DENSE_ARGUMENTS = ("units", "activation", "use_bias", "trainable", "dtype")
_EMPTY_HINTS = {
    "encoder": "use dk.Autoencoder(dk.MLP([500]))",
    "decoder": "leave decoder out, for the mirrored encoder",
    "corruption": "leave corruption out",
}


class Autoencoder(Block):
    """An encoder, a code, and a decoder that reconstructs the input.

    With `corruption` it is a denoising autoencoder: the encoder receives the corrupted input, and the decoder
    reconstructs the original.

    `dk.fit` uses the inputs as targets; labels are ignored. In the built model the encoder ends in a layer named
    `code`, so that encoder and decoder are two Keras models:
    `keras.Model(model.input, model.get_layer("code").output)` and
    `keras.Model(model.get_layer("code").output, model.output)`.

    Reference:
        Hinton & Salakhutdinov 2006, "Reducing the Dimensionality of Data with Neural Networks"; Vincent et al. 2010,
        "Stacked Denoising Autoencoders", section 3, for `corruption`; Masci et al. 2011, "Stacked Convolutional
        Auto-Encoders", section 3, for `tied_weights`.

    Args:
        encoder: A block, a Keras layer or a list of them.
        decoder: A block, a Keras layer or a list of them that returns as many values as the input has, without an
            activation at its end if `activation` is set. None mirrors the encoder: a dense layer becomes a dense layer
            that returns to the previous width, a convolution a transposed convolution, and a pooling an upsampling,
            cropped or padded to the previous size; with the encoder's initializers, regularizers, normalizations and
            activations. Dropout and noise are left out. An encoder with any other layer needs a `decoder`.
        corruption: Layers that corrupt the training input: `dk.MaskingNoise(0.25)`, `layers.GaussianNoise(0.3)`.
        tied_weights: Whether each dense layer and each convolution of the mirrored decoder uses the transposed kernel
            of its counterpart in the encoder, and has only a separate bias: `dk.layers.TiedDense`,
            `dk.layers.TiedConv`. Convolutions may then have groups and dilation. Trained layers are copied with their
            weights: those of `dk.pretrain` are not changed.
        activation: Activation of the output: `"sigmoid"` for values from 0 to 1, None for any number; in float32 even
            if the rest computes in 16 bits.

    Input shape:
        Input of the encoder.

    Output shape:
        The input shape.

    Raises:
        DefinitionError: The encoder cannot be mirrored, the decoder does not return the shape of the input, or it
            ends in an activation although `activation` is set.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Autoencoder(
        ...     dk.MLP([500], activation="sigmoid"),
        ...     tied_weights=True,
        ...     activation="sigmoid",
        ... )
        >>> model = net.build((28, 28, 1))
        >>> (
        ...     model.output_shape,
        ...     model.get_layer("code").output.shape,
        ...     model.count_params(),
        ... )
        ((None, 28, 28, 1), (None, 500), 393284)
    """

    encoder: fields.Body = fields.body()
    _: KW_ONLY
    decoder: fields.OptionalBody = fields.body(default=None)
    corruption: fields.OptionalBody = fields.body(default=None)
    tied_weights: bool = fields.flag(default=False)
    activation: fields.ActivationName = fields.activation(default=None, allow_layers=False)

    def check(self) -> None:
        """Refuse an empty body, and tied weights of a decoder that does not mirror the encoder."""
        for name, hint in _EMPTY_HINTS.items():
            if getattr(self, name) == ():
                raise DefinitionError(f"Autoencoder: {name} is empty", hint=hint)
        if self.tied_weights and self.decoder is not None:
            raise DefinitionError(
                "Autoencoder: tied_weights=True ties the mirrored encoder, received a decoder",
                hint="pass one of the two",
            )

    @property
    def training_target(self) -> str:
        """`"inputs"`: the model reconstructs its input."""
        return "inputs"

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input that the first element of the encoder fixes."""
        return self.encoder[0].input_spec()

    def objective(self, output_shape: Any, label_shape: Any) -> Objective:
        """Return the squared error, or for a sigmoid the cross-entropy; both are means over all values.

        With a sigmoid the values are probabilities of being 1, and the squared error is a metric.
        """
        if self.activation == "sigmoid":
            return Objective(keras.losses.BinaryCrossentropy(), (keras.metrics.MeanSquaredError(name="mse"),))
        return Objective(keras.losses.MeanSquaredError(), (keras.metrics.MeanAbsoluteError(name="mae"),))

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the corruption, the encoder, the code, the decoder and the output's activation."""
        encoder_input = x
        if self.corruption is not None:
            corruption = builder.child("corruption", self)
            corrupted = corruption.add_all(x, self.corruption)
            encoder_input = corruption.require_single(corrupted, "corruption must return one tensor, but returns")
        if self.decoder is None:
            y = self._add_mirrored(encoder_input, builder)
        else:
            encoder, decoder = builder.child("encoder", self), builder.child("decoder", self)
            code = encoder.add_all(encoder_input, self.encoder)
            code = encoder.require_single(code, "the encoder must return one tensor, but returns")
            output = decoder.add_all(_add_code(code, builder), self.decoder)
            y = decoder.require_single(output, "the decoder must return one tensor, but returns")
            self._check_decoder_activation(y, decoder)
        activation = "linear" if self.activation is None else common.activation_argument(self.activation)
        y = _reshape_like(y, x, builder)
        return builder.add_layer(y, "output", layers.Activation, activation, dtype=common.float32_if_mixed())

    def _add_mirrored(self, x: KerasTensor, builder: Builder) -> Any:
        """Add the encoder, the code, and the mirrored encoder."""
        encoder, decoder = builder.child("encoder", self), builder.child("decoder", self)
        traced = mirror.trace_chain(x, self.encoder, encoder)
        specs = mirror.mirror(traced, encoder, self.tied_weights)
        tied_layers: Mapping[str, Any] = {}
        if self.tied_weights:
            reverse_kwargs = {spec.tied_to: spec.kwargs for spec in specs if spec.tied_to}
            code, tied_layers = _add_tied_encoder(x, traced, reverse_kwargs, builder)
        else:
            code = encoder.add_all(x, self.encoder)
        return mirror.add_decoder(_add_code(code, builder), specs, decoder, tied_layers)

    def _check_decoder_activation(self, y: KerasTensor, builder: Builder) -> None:
        """Raise if the decoder ends in an activation and the output has one too."""
        layer, activation = output_activation(y)
        if self.activation not in (None, "linear") and activation not in (None, "linear"):
            raise builder.error(
                f"the decoder ends in {activation} ({layer.name}), and activation={self.activation!r} would follow it",
                hint="use activation=None in the decoder's last layer, or in the Autoencoder",
            )


def _add_code(x: Any, builder: Builder) -> Any:
    """Add an identity layer named `code`, by which users access the code."""
    return builder.add_layer(x, "code", layers.Identity)


def _reshape_like(y: KerasTensor, x: KerasTensor, builder: Builder) -> Any:
    """Return the decoder's output in the shape of the input."""
    expected, received = tuple(x.shape[1:]), tuple(y.shape[1:])
    if expected == received:
        return y
    if None in (*expected, *received) or math.prod(expected) != math.prod(received):
        hint = "use a decoder that keeps unknown sizes"
        if None not in expected:
            hint = f"use layers.Dense({math.prod(expected)}) as its last element"
        raise builder.error(f"the decoder returns {shape_text(y)}, but the input is {shape_text(x)}", hint=hint)
    return builder.add_layer(y, "reshape", layers.Reshape, expected)


def _add_tied_encoder(
    x: KerasTensor, traced: Sequence[TracedLayer], reverse_kwargs: Mapping[str, Any], builder: Builder
) -> tuple[Any, dict[str, Any]]:
    """Add a chain of layers, the tied ones as layers that run in both directions.

    Returns:
        The output, and the layers by name.
    """
    if not reverse_kwargs:
        raise builder.error(
            "tied_weights=True ties dense layers and convolutions, but the encoder has none",
            hint="use tied_weights=False",
        )
    top = Builder("", definition=builder.definition, state=builder.state, cache=builder.cache, reuse=builder.reuse)
    new_layers: dict[str, Any] = dict(builder.cache or {})
    for step in traced:
        layer, reverse = step.layer, reverse_kwargs.get(step.layer.name)
        if step.is_instance and reverse is None:
            x = LayerInstance(layer).add(x, top)
            continue
        cls, config = _tied_config(layer, reverse)
        x = top.add_layer(x, layer.name, _recorded(cls, config, new_layers))
        if step.is_instance and not builder.reuse:
            _copy_weights(layer, new_layers[layer.name])
    return x, new_layers


def _copy_weights(trained: Any, layer: Any) -> None:
    """Copy the weights of a trained layer to the layer that runs in both directions in its place."""
    forward = layer.layer if isinstance(layer, TiedConv) else layer
    forward.kernel.assign(trained.kernel)
    if trained.use_bias:
        forward.bias.assign(trained.bias)


def _tied_config(layer: keras.layers.Layer, reverse: Mapping[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """Return class and config of a copy of a layer, which runs in both directions if `reverse` has its arguments."""
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    if reverse is None:
        return type(layer), config
    if isinstance(layer, layers.Dense):
        return TiedDense, {key: config[key] for key in (*_DENSE_ARGUMENTS, *mirror.WEIGHT_ARGUMENTS)} | dict(reverse)
    inner = type(layer).from_config({**config, "name": "conv"})
    return TiedConv, {"layer": keras.saving.serialize_keras_object(inner), **reverse}


def _recorded(cls: Any, config: Mapping[str, Any], new_layers: dict[str, Any]) -> Callable[[str], Any]:
    """Return a function that makes a layer and records it under its name."""

    def make(name: str) -> Any:
        new_layers[name] = cls.from_config({**config, "name": name})
        return new_layers[name]

    return make
