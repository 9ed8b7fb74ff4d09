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
    """Return a field for an integer.

    Args:
        default: Value if the argument is left out; a field without one is required. With None, the field also accepts
            None.
        minimum: Smallest allowed integer.
        maximum: Largest allowed integer; None for no limit.

    Returns:
        The field; it holds an `int`. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Crop(dk.Block):
        ...     steps: int = dk.fields.integer(default=1, maximum=3)
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(x, "crop", layers.Cropping1D, self.steps)
        >>> Crop(2).steps
        2
        >>> Crop(5)
        Traceback (most recent call last):
            ...
        deepkit.definition.errors.DefinitionError: Crop: steps must be at most 3, received 5
    """
    return IntegerField(default=default, minimum=minimum, maximum=maximum)


def integers(*, default: object = MISSING) -> Any:
    """Return a field for a list of positive integers, held as a tuple.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Returns:
        The field; it holds a tuple of `int`. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> class Tower(dk.Block):
        ...     widths: dk.fields.Integers = dk.fields.integers()
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_block("mlp", dk.MLP(self.widths), x)
        >>> Tower([64, 32]).widths
        (64, 32)
    """
    return IntegersField(default=default)


def size(*, default: object = MISSING) -> Any:
    """Return a field for a size per axis: one positive integer, or a tuple of them.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Returns:
        The field; it holds an `int` or a tuple of `int`. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Window(dk.Block):
        ...     size: dk.fields.Size = dk.fields.size(default=3)
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(x, "pool", layers.MaxPooling2D, self.size)
        >>> Window().size, Window([1, 5]).size
        (3, (1, 5))
    """
    return SizeField(default=default)


def number(
    *,
    default: object = MISSING,
    above: float | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Return a field for a finite number in a range.

    Args:
        default: Value if the argument is left out; a field without one is required.
        above: Number that the value must exceed.
        minimum: Smallest allowed value.
        maximum: Largest allowed value.

    Returns:
        The field; it holds a `float` or an `int`. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Scale(dk.Block):
        ...     factor: float = dk.fields.number(above=0)
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(x, "scale", layers.Rescaling, self.factor)
        >>> Scale(0.5).factor
        0.5
        >>> Scale(0)
        Traceback (most recent call last):
            ...
        deepkit.definition.errors.DefinitionError: Scale: factor must be a number above 0, received 0
    """
    return NumberField(default=default, above=above, minimum=minimum, maximum=maximum)


def fraction(*, default: object = MISSING) -> Any:
    """Return a field for a fraction from 0 to below 1, such as a dropout rate.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Returns:
        The field; it holds a number. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Noise(dk.Block):
        ...     rate: float = dk.fields.fraction(default=0.1)
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(x, "dropout", layers.Dropout, self.rate)
        >>> Noise().rate
        0.1
    """
    return FractionField(default=default)


def flag(*, default: object = MISSING) -> Any:
    """Return a field for True or False.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Returns:
        The field; it holds a `bool`. It raises a `DefinitionError` for any other value, also for 0 and 1.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Scale(dk.Block):
        ...     is_trainable: bool = dk.fields.flag(default=True)
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(
        ...             x, "norm", layers.LayerNormalization, scale=self.is_trainable
        ...         )
        >>> Scale(False).is_trainable
        False
    """
    return FlagField(default=default)


def choice(choices: Sequence[Any], *, default: object = MISSING, hint: str = "") -> Any:
    """Return a field for one of several values.

    Args:
        choices: The allowed values.
        default: Value if the argument is left out; a field without one is required.
        hint: Hint of the error for any other value, as an imperative; empty for none.

    Returns:
        The field; it holds the chosen value. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Gate(dk.Block):
        ...     kind: str = dk.fields.choice(("sigmoid", "tanh"), default="sigmoid")
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(
        ...             x, "gate", layers.Dense, 1, activation=self.kind
        ...         )
        >>> Gate("relu")
        Traceback (most recent call last):
            ...
        deepkit.definition.errors.DefinitionError: Gate: kind must be one of 'sigmoid', 'tanh', received 'relu'
    """
    return ChoiceField(choices, default=default, hint=hint)


def name_or_layer(choices: Sequence[Any], *, default: object = MISSING, hint: str = "") -> Any:
    """Return a field for one of several names, or a block or Keras layer.

    Args:
        choices: The allowed names; None among them allows None.
        default: Value if the argument is left out; a field without one is required.
        hint: Hint of the error for any other value, as an imperative; empty for none.

    Returns:
        The field; it holds the name, or the layer as a block. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Skip(dk.Block):
        ...     merge: dk.fields.NameOrLayer = dk.fields.name_or_layer(
        ...         ["add", "concat"]
        ...     )
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_block("merge", dk.Merge(self.merge), [x, x])
        >>> Skip("add").merge
        'add'
        >>> Skip(layers.Maximum()).merge
        layers.Maximum()
    """
    return NameOrLayerField(choices, default=default, hint=hint)


def plain(*, default: object = MISSING) -> Any:
    """Return a field for a plain value: None, a boolean, a number, a string, or a list of them.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Returns:
        The field; it holds the value, a list as a tuple. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Crop(dk.Block):
        ...     borders: object = dk.fields.plain(default=0)
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(x, "crop", layers.Cropping1D, self.borders)
        >>> Crop([1, 2]).borders
        (1, 2)
    """
    return PlainField(default=default if default is MISSING else PlainField().validate(default, "default"))


def unchecked(*, default: object = MISSING) -> Any:
    """Return a field that accepts any value unchecked; a block with such a value cannot be written to a file.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Returns:
        The field; it holds the value as it is.

    Examples:
        >>> import deepkit as dk
        >>> class Apply(dk.Block):
        ...     function: object = dk.fields.unchecked()
        ...
        ...     def add(self, x, builder):
        ...         return self.function(x)
        >>> Apply(abs).function(-2)
        2
    """
    return UncheckedField(default=default)


def body(*, default: object = MISSING, is_list: bool = False) -> Any:
    """Return a field for a body: a block, a Keras layer or a list of them, held as a tuple of blocks.

    Args:
        default: Value if the argument is left out; with None, the field also accepts None.
        is_list: Whether only a list is accepted, which is also printed and written as a list.

    Returns:
        The field, whose value `builder.add_all` adds. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Twice(dk.Block):
        ...     body: dk.fields.Body = dk.fields.body()
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_all(x, self.body * 2)
        >>> Twice(layers.Dense(3)).build((8,)).output_shape
        (None, 3)
    """
    return BodyField(default=default, is_list=is_list)


def named_bodies(*, default: object = MISSING) -> Any:
    """Return a field for a mapping of names to bodies; the order matters.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Returns:
        The field; it holds a mapping of names to tuples of blocks. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Branches(dk.Block):
        ...     branches: dk.fields.NamedBodies = dk.fields.named_bodies()
        ...
        ...     def add(self, x, builder):
        ...         return [builder.add_all(x, body) for body in self.branches.values()]
        >>> list(Branches({"wide": layers.Dense(8), "deep": [dk.MLP([8, 8])]}).branches)
        ['wide', 'deep']
    """
    return NamedBodiesField(default=default)


def keras_arguments(layer: type[keras.layers.Layer], *, excluding: Sequence[str] = ()) -> Any:
    """Return a field for keyword arguments of a Keras layer, checked against its signature; empty by default.

    Args:
        layer: The class of the Keras layer that takes them.
        excluding: Names of arguments that the block sets itself.

    Returns:
        The field; the method `new` of its value returns the arguments for a new layer. It raises a
        `DefinitionError` for an argument that the layer does not have.

    Raises:
        TypeError: `layer` is not a class of layers, or `excluding` names no arguments of it.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Wide(dk.Block):
        ...     dense: dk.fields.KerasArguments = dk.fields.keras_arguments(
        ...         layers.Dense, excluding=("units",)
        ...     )
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(
        ...             x, "dense", layers.Dense, 8, **self.dense.new()
        ...         )
        >>> Wide(dense={"use_bias": False}).dense.new()
        {'use_bias': False}
        >>> Wide(dense={"use_bais": False})
        Traceback (most recent call last):
            ...
        deepkit.definition.errors.DefinitionError: Wide(dense=...): keras.layers.Dense takes no 'use_bais'; ...
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
        default: Value if the argument is left out; a field without one is required.
        allow_layers: Whether a layer or block is accepted too.

    Returns:
        The field; it holds a name, None, or the layer as a block. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import keras, deepkit as dk
        >>> from keras import layers
        >>> class Unit(dk.Block):
        ...     activation: dk.fields.ActivationName = dk.fields.activation(
        ...         default="relu", allow_layers=False
        ...     )
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(
        ...             x, "unit", layers.Activation, self.activation
        ...         )
        >>> Unit().activation, Unit(keras.activations.gelu).activation
        ('relu', 'gelu')
    """
    return ActivationField(default=default, allow_layers=allow_layers)


def norm(*, default: object = MISSING) -> Any:
    """Return a field for a normalization: `"batch"`, `"layer"`, a layer, or None.

    `"batch"` is `layers.BatchNormalization(momentum=0.9)`. With Keras's default of 0.99, the moving statistics, which
    replace those of the batch outside training, need about 300 steps; with 0.9 they need 29.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Returns:
        The field; it holds the name, None, or the layer as a block. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Unit(dk.Block):
        ...     norm: dk.fields.NameOrLayer = dk.fields.norm(default="batch")
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_block("conv", dk.ConvBlock(8, norm=self.norm), x)
        >>> Unit().norm, Unit(None).norm
        ('batch', None)
        >>> Unit(layers.GroupNormalization(8)).norm
        layers.GroupNormalization(groups=8)
    """
    return NameOrLayerField(
        (*NORMS, None), default=default, hint="use a layer such as layers.GroupNormalization(8) for any other"
    )


def pool(*, default: object = MISSING) -> Any:
    """Return a field for a pooling: `"max"`, `"avg"`, `"l2"`, a layer, or None.

    Args:
        default: Value if the argument is left out; a field without one is required.

    Returns:
        The field; it holds the name, None, or the layer as a block. It raises a `DefinitionError` for any other value.

    Examples:
        >>> import deepkit as dk
        >>> class Stage(dk.Block):
        ...     pool: dk.fields.NameOrLayer = dk.fields.pool(default="max")
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_block(
        ...             "stack", dk.ConvStack(8, pool=self.pool), x
        ...         )
        >>> Stage("avg").pool
        'avg'
    """
    return NameOrLayerField(
        (*POOLS, None), default=default, hint="use a layer such as layers.MaxPooling2D(3, 2) for any other"
    )


def name_field() -> Any:
    """Return the field for the name of a block."""
    return NameField(default=None)


def __dir__() -> list[str]:
    return sorted(__all__)
