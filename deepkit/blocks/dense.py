"""Dense layers: the multilayer perceptron."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

from keras import layers

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor


class MLP(Block):
    """Dense layers, each with its activation: a multilayer perceptron without its output layer.

    Reference:
        Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors"; Srivastava et al.
        2014, "Dropout", section 4.

    Args:
        units: Width of each layer: `[300, 100]`.
        activation: Name of a Keras activation, a registered function, a layer, or None.
        norm: Normalization between a layer and its activation: `"batch"` (momentum 0.9), `"layer"`, a layer, or None.
        dropout: Fraction of units dropped after each activation in training.
        flatten: Whether an image or sequence becomes one vector first; with False the layers are applied to
            the last axis, as `keras.layers.Dense` is.
        dense: Further arguments of the Keras layers: `{"kernel_initializer": "he_normal"}`.

    Input shape:
        `(batch, features)`, or more axes.

    Output shape:
        `(batch, units[-1])`; the last axis replaced when `flatten=False`.

    Raises:
        DefinitionError: A width is not a positive integer, dropout lies outside [0, 1), or the input must be flattened
            and has an unknown size or a mask.

    Examples:
        >>> import deepkit as dk
        >>> dk.MLP([300, 100], dropout=0.5).build((28, 28, 1)).count_params()
        265600
    """

    units: fields.Integers = fields.integers()
    _: KW_ONLY
    activation: fields.Activation = fields.activation(default="relu")
    norm: fields.NameOrLayer = fields.norm(default=None)
    dropout: float = fields.fraction(default=0.0)
    flatten: bool = fields.flag(default=True)
    dense: fields.KerasArguments = fields.keras_arguments(layers.Dense, excluding=("units", "activation"))

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the layers in order."""
        if self.flatten:
            x = common.flatten(x, builder)
        for i, units in enumerate(self.units, start=1):
            number = str(i) if len(self.units) > 1 else ""
            x = self._add_layer(x, units, number, builder)
        return x

    def _add_layer(self, x: KerasTensor, units: int, number: str, builder: Builder) -> Any:
        kwargs = {"use_bias": self.norm is None} | self.dense.new()
        x = builder.add_layer(x, f"dense{number}", layers.Dense, units, **kwargs)
        x = common.add_norm(x, self.norm, builder, f"norm{number}")
        x = common.add_activation(x, self.activation, builder, f"activation{number}")
        if self.dropout:
            x = builder.add_layer(x, f"dropout{number}", layers.Dropout, self.dropout)
        return x
