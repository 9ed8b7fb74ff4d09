"""Typed fields of blocks: each validates an argument, prints it as code, and writes and reads it as plain data.

A block lists its arguments as fields:

    class Scale(dk.Block):
        units: int = fields.integer()
        _: KW_ONLY
        trainable: bool = fields.flag(default=True)
        dense: fields.KerasArguments = fields.keras_arguments(
            layers.Dense, excluding=("units",)
        )

A field is a descriptor: the value that a block holds is the validated one, in a canonical form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, TypeAlias

import keras

from deepkit.definition import keras_config
from deepkit.definition.field import DataReader, DataWriter, Field
from deepkit.definition.field_types import (
    NORMS,
    POOLS,
    ActivationField,
    BodyField,
    ChoiceField,
    FlagField,
    FractionField,
    IntegerField,
    IntegersField,
    KerasArgumentsField,
    NamedBodiesField,
    NameField,
    NameOrLayerField,
    NumberField,
    PlainField,
    SizeField,
    UncheckedField,
)
from deepkit.definition.layer_arguments import LayerArguments
from deepkit.utils.errors import format_value, message

if TYPE_CHECKING:
    from deepkit.definition.protocol import Definition


__all__ = [
    "Field", "DataReader", "DataWriter", "KerasArgumentsField",
    "Size", "Integers", "KerasArguments", "ActivationName", "BodyLike", "Body", "OptionalBody", "NamedBodies",
    "Activation", "NameOrLayer",
    "integer", "integers", "size", "number", "fraction", "flag", "choice", "name_or_layer", "plain", "unchecked",
    "body", "named_bodies", "keras_arguments", "activation", "norm", "pool", "name_field",
]  # fmt: skip

Size: TypeAlias = int | tuple[int, ...]
KerasArguments: TypeAlias = Field[Mapping[str, Any], LayerArguments]
Integers: TypeAlias = Field[Sequence[int], tuple[int, ...]]
ActivationName: TypeAlias = Field[str | Callable[..., Any] | None, str | None]
if TYPE_CHECKING:
    BodyLike: TypeAlias = Definition | keras.layers.Layer | Sequence["BodyLike"]
    Body: TypeAlias = Field[BodyLike, tuple[Definition, ...]]
    OptionalBody: TypeAlias = Field[BodyLike | None, tuple[Definition, ...] | None]
    NamedBodies: TypeAlias = Field[Mapping[str, BodyLike], Mapping[str, tuple[Definition, ...]]]
    Activation: TypeAlias = Field[
        str | Callable[..., Any] | keras.layers.Layer | Definition | None, str | Definition | None
    ]
    NameOrLayer: TypeAlias = Field[str | keras.layers.Layer | Definition | None, str | Definition | None]
else:  # for `typing.get_type_hints`, which resolves names in the module of a block
    BodyLike = Any
    Body = OptionalBody = NamedBodies = Activation = NameOrLayer = Field[Any, Any]


def integer(*, default: object = MISSING, minimum: int = 1, maximum: int | None = None) -> Any:
    """Return a field for an integer from `minimum` to `maximum`; with `default=None` it also accepts None."""
    return IntegerField(default=default, minimum=minimum, maximum=maximum)


def integers(*, default: object = MISSING) -> Any:
    """Return a field for a list of positive integers, held as a tuple."""
    return IntegersField(default=default)


def size(*, default: object = MISSING) -> Any:
    """Return a field for a size per axis: one positive integer, or a tuple of them."""
    return SizeField(default=default)


def number(
    *,
    default: object = MISSING,
    above: float | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Return a field for a finite number: greater than `above`, at least `minimum`, and at most `maximum`."""
    return NumberField(default=default, above=above, minimum=minimum, maximum=maximum)


def fraction(*, default: object = MISSING) -> Any:
    """Return a field for a fraction from 0 to below 1, such as a dropout rate."""
    return FractionField(default=default)


def flag(*, default: object = MISSING) -> Any:
    """Return a field for True or False."""
    return FlagField(default=default)


def choice(choices: Sequence[Any], *, default: object = MISSING, hint: str = "") -> Any:
    """Return a field for one of several values."""
    return ChoiceField(choices, default=default, hint=hint)


def name_or_layer(choices: Sequence[Any], *, default: object = MISSING, hint: str = "") -> Any:
    """Return a field for one of several names, or a block or Keras layer."""
    return NameOrLayerField(choices, default=default, hint=hint)


def plain(*, default: object = MISSING) -> Any:
    """Return a field for a plain value: None, a boolean, a number, a string, or a list of them."""
    return PlainField(default=default if default is MISSING else PlainField().validate(default, "default"))


def unchecked(*, default: object = MISSING) -> Any:
    """Return a field that accepts any value unchecked; a block with such a value cannot be written to a file."""
    return UncheckedField(default=default)


def body(*, default: object = MISSING, is_list: bool = False) -> Any:
    """Return a field for a body: a block, a Keras layer or a list of them, held as a tuple of blocks.

    Args:
        default: Value if the argument is left out; with None, the field also accepts None.
        is_list: Whether only a list is accepted, which is also printed and written as a list.
    """
    return BodyField(default=default, is_list=is_list)


def named_bodies(*, default: object = MISSING) -> Any:
    """Return a field for a mapping of names to bodies; the order matters."""
    return NamedBodiesField(default=default)


def keras_arguments(layer: type[keras.layers.Layer], *, excluding: Sequence[str] = ()) -> Any:
    """Return a field for keyword arguments of a Keras layer, checked against its signature; empty by default.

    Args:
        layer: The Keras layer that takes them.
        excluding: Arguments that the block sets itself.

    Raises:
        TypeError: `layer` is not a class of layers.
    """
    if not (isinstance(layer, type) and issubclass(layer, keras.layers.Layer)):
        problem = f"keras_arguments takes a class of Keras layers, received {format_value(layer)}"
        raise TypeError(message(problem, hint="use fields.keras_arguments(layers.Dense)"))
    unknown = sorted(set(excluding) - set(keras_config.parameters(layer)))
    if isinstance(excluding, str) or unknown:
        names = excluding if isinstance(excluding, str) else unknown
        problem = f"keras_arguments: excluding must be names of arguments of {layer.__name__}, received {names!r}"
        raise TypeError(message(problem, hint='use excluding=("units", "activation")'))
    return KerasArgumentsField(layer, excluding)


def activation(*, default: object = MISSING, allow_layers: bool = True) -> Any:
    """Return a field for an activation: the name of a Keras activation, a registered function, or None.

    Args:
        default: Value if the argument is left out.
        allow_layers: Whether a layer or block is accepted too.
    """
    return ActivationField(default=default, allow_layers=allow_layers)


def norm(*, default: object = MISSING) -> Any:
    """Return a field for a normalization: `"batch"`, `"layer"`, a layer, or None.

    `"batch"` is `layers.BatchNormalization(momentum=0.9)`. With Keras's default of 0.99, the moving statistics, which
    replace those of the batch outside training, need about 300 steps; with 0.9 they need 29.
    """
    return NameOrLayerField(
        (*NORMS, None), default=default, hint="use a layer such as layers.GroupNormalization(8) for any other"
    )


def pool(*, default: object = MISSING) -> Any:
    """Return a field for a pooling: `"max"`, `"avg"`, `"l2"`, a layer, or None."""
    return NameOrLayerField(
        (*POOLS, None), default=default, hint="use a layer such as layers.MaxPooling2D(3, 2) for any other"
    )


def name_field() -> Any:
    """Return the field for the name of a block."""
    return NameField(default=None)


def __dir__() -> list[str]:
    return sorted(__all__)
