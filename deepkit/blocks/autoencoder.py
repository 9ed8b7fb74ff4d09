"""Autoencoders: a network that learns to give back its input through a code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.blocks import mirror
from deepkit.definition.block import Block, Objective
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.keras_layer import LayerInstance
from deepkit.definition.outputs import ending
from deepkit.definition.sequential import as_body
from deepkit.layers import TiedConv, TiedDense

_DENSE = ("units", "activation", "use_bias", "trainable", "dtype")
_BOTH = tuple(f"{w}_{what}" for w in ("kernel", "bias") for what in ("initializer", "regularizer", "constraint"))


@dataclass(frozen=True, repr=False)
class Autoencoder(Block):
    """An encoder, a code, and a decoder that gives back the input.

    Sources: Hinton & Salakhutdinov 2006, "Reducing the Dimensionality of Data with Neural Networks"; with
    `corruption` the denoising autoencoder of Vincent et al. 2010, "Stacked Denoising Autoencoders", section 3: the
    encoder sees the input with noise, and the decoder gives back the input without.

    `dk.fit` feeds the inputs as their own targets, whatever labels the data has. In the built model the encoder ends
    in a layer named `code`, so its parts are two Keras models:
    `keras.Model(model.input, model.get_layer("code").output)` and
    `keras.Model(model.get_layer("code").output, model.output)`.

    Args:
        encoder: A block, a Keras layer or a list of them.
        decoder: The way back: a block, a Keras layer or a list of them that ends in as many values as the input has,
            without an activation where `activation` gives one. Left out, it is the encoder's mirror image: for each
            dense layer one back to the width before it, for a convolution a transposed one, for a pooling an
            upsampling, cut or filled with zeros to the size before; with the encoder's initialisers, penalties,
            normalisations and activations.
            Dropout and noise have no image. A layer that is not in this list needs a decoder of your own.
        corruption: What the training input goes through: `dk.MaskingNoise(0.25)`, `layers.GaussianNoise(0.3)`.
        tied_weights: Whether each dense layer and each convolution of the mirror image has the transposed kernel of its
            original, and only a bias of its own: `dk.layers.TiedDense`, `dk.layers.TiedConv`. Source: Masci et al.
            2011, "Stacked Convolutional Auto-Encoders", section 3. Convolutions may then have groups and dilation.
            Trained layers begin with their weights, as copies: those of `dk.pretrain` stay as they are.
        activation: Of the output: `"sigmoid"` for values from 0 to 1, None for any number; in float32 also where the
            rest has 16 bits.

    Input shape:
        What the encoder takes.

    Output shape:
        That of the input.

    Raises:
        DefinitionError: The encoder has no mirror image, or the decoder does not give back the input's shape, or
            ends in an activation under another.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Autoencoder(dk.MLP([500], activation="sigmoid"), tied_weights=True, activation="sigmoid")
        >>> model = net.build((28, 28, 1))
        >>> model.output_shape, model.get_layer("code").output.shape, model.count_params()
        ((None, 28, 28, 1), (None, 500), 393284)
    """

    encoder: Any = field(metadata={"body": "one or many"})
    decoder: Any = field(default=None, kw_only=True, metadata={"body": "one or many"})
    corruption: Any = field(default=None, kw_only=True, metadata={"body": "one or many"})
    tied_weights: bool = field(default=False, kw_only=True)
    activation: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.flag("Autoencoder", "tied_weights", self.tied_weights)
        for name in ("encoder", "decoder", "corruption"):
            value = getattr(self, name)
            body = None if value is None and name != "encoder" else as_body(value, f"Autoencoder: {name}")
            if body == ():
                raise DefinitionError(f"Autoencoder: {name} is empty", hint=_INSTEAD[name])
            object.__setattr__(self, name, body)
        if self.tied_weights and self.decoder is not None:
            raise DefinitionError(
                "Autoencoder: tied_weights=True is for a decoder that mirrors the encoder, and decoder= gives another one",
                hint="one of the two",
            )
        activation = parts.activation_value("Autoencoder", self.activation)
        if isinstance(activation, Block):
            raise DefinitionError(
                f"Autoencoder: activation must be a name, a registered function or None, received {activation!r}",
                hint='activation="sigmoid"',
            )
        object.__setattr__(self, "activation", activation)

    @property
    def training_target(self) -> str:
        """The inputs: that is what it learns to give back."""
        return "inputs"

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return what the encoder's first element fixes."""
        return self.encoder[0].input_spec()

    def objective(self, outputs: Any, labels: Any) -> Objective:
        """Return the squared error, or for a sigmoid the cross-entropy; both are means over all values.

        With a sigmoid the values are taken for probabilities of being 1, and the squared error is a metric.
        """
        if self.activation == "sigmoid":
            return Objective(keras.losses.BinaryCrossentropy(), (keras.metrics.MeanSquaredError(name="mse"),))
        return Objective(keras.losses.MeanSquaredError(), (keras.metrics.MeanAbsoluteError(name="mae"),))

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the corruption, the encoder, the code, the decoder and the output's activation."""
        seen = x
        if self.corruption is not None:
            place = builder.child("corruption", self)
            seen = place.require_single(
                place.add_all(x, self.corruption), "corruption must return one tensor, and returns"
            )
        way, back = builder.child("encoder", self), builder.child("decoder", self)
        if self.decoder is not None:
            code = way.require_single(
                way.add_all(seen, self.encoder), "the encoder must return one tensor, and returns"
            )
            y = back.require_single(
                back.add_all(_code(code, builder), self.decoder), "the decoder must return one tensor, and returns"
            )
            self._check_end(y, back)
        else:
            found = mirror.chain(seen, self.encoder, way)
            decoder = mirror.mirror(found, way, self.tied_weights)
            tied = {part.tied: part.given for part in decoder if part.tied}
            code, both = (
                _tied(seen, found, tied, builder) if self.tied_weights else (way.add_all(seen, self.encoder), {})
            )
            y = mirror.add(_code(code, builder), decoder, back, both)
        activation = "linear" if self.activation is None else parts.for_layer(self.activation)
        return builder.add_layer(
            _shaped(y, x, builder), "output", layers.Activation, activation, dtype=parts.float32_if_mixed()
        )

    def _check_end(self, y: Any, builder: Builder) -> None:
        """Raise where a decoder of the user's ends in an activation, and the output has one too."""
        last, own = ending(y)
        if self.activation not in (None, "linear") and own not in (None, "linear"):
            raise builder.error(
                f"the decoder ends in {own} ({last.name}), and activation={self.activation!r} would come behind it",
                hint="activation=None in the decoder's last layer, or in the Autoencoder",
            )


_INSTEAD = {
    "encoder": "dk.Autoencoder(dk.MLP([500]))",
    "decoder": "leaving it out, for the encoder's mirror image",
    "corruption": "leaving it out",
}


def _code(x: Any, builder: Builder) -> Any:
    """Add the layer that does nothing but bear the name by which the code is found."""
    return builder.add_layer(x, "code", layers.Identity)


def _shaped(y: Any, x: Any, builder: Builder) -> Any:
    """Return the decoder's output in the shape of the input."""
    wanted, received = tuple(x.shape[1:]), tuple(y.shape[1:])
    if wanted == received:
        return y
    if None in (*wanted, *received) or math.prod(wanted) != math.prod(received):
        raise builder.error(
            f"the decoder returns {shape_text(y)}, and the input is {shape_text(x)}",
            hint=f"layers.Dense({math.prod(wanted)}) as its last element"
            if None not in wanted
            else "a decoder that keeps unknown sizes",
        )
    return builder.add_layer(y, "reshape", layers.Reshape, wanted)


def _tied(
    x: Any, found: Sequence[mirror.Link], tied: Mapping[str, Any], builder: Builder
) -> tuple[Any, dict[str, Any]]:
    """Add a chain of layers with those that are tied made to run both ways; return the output, and layers by name."""
    if not tied:
        raise builder.error(
            "tied_weights=True ties dense layers and convolutions, and the encoder has none", hint="tied_weights=False"
        )
    bare = Builder("", definition=builder.definition, state=builder.state, cache=builder.cache, reuse=builder.reuse)
    both: dict[str, Any] = dict(builder.cache or {})
    for link in found:
        layer, reverse = link.layer, tied.get(link.layer.name)
        if link.kept and reverse is None:
            x = LayerInstance(layer).add(x, bare)
            continue
        x = bare.add_layer(x, layer.name, _kept(*_again(layer, reverse), both))
        if link.kept and not builder.reuse:
            _hand_over(layer, both[layer.name])
    return x, both


def _hand_over(trained: keras.layers.Layer, to: keras.layers.Layer) -> None:
    """Give a layer that runs both ways the weights of the trained one that it stands for."""
    one_way = to.layer if isinstance(to, TiedConv) else to
    one_way.kernel.assign(trained.kernel)
    if trained.use_bias:
        one_way.bias.assign(trained.bias)


def _again(layer: keras.layers.Layer, reverse: Mapping[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """Return class and config of a layer like this one, which runs both ways where arguments for that are given."""
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    if reverse is None:
        return type(layer), config
    if isinstance(layer, layers.Dense):
        return TiedDense, {key: config[key] for key in (*_DENSE, *_BOTH)} | dict(reverse)
    inner = type(layer).from_config({**config, "name": "conv"})
    return TiedConv, {"layer": keras.saving.serialize_keras_object(inner), **reverse}


def _kept(cls: Any, config: Mapping[str, Any], made: dict[str, Any]) -> Any:
    """Return a function that makes a layer and keeps it under its name."""

    def make(name: str) -> Any:
        made[name] = cls.from_config({**config, "name": name})
        return made[name]

    return make
