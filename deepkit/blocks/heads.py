"""Heads: the last block of a network, which also says what to train it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block, Objective
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.source import Arguments

_POOLS = ("flatten", "avg", "max", None)
_ACTIVATIONS = (None, "softmax", "sigmoid")


@dataclass(frozen=True, repr=False)
class Classifier(Block):
    """A dense layer with one output a class, in float32 also where the rest has 16 bits.

    Args:
        num_classes: Number of classes; 1 for yes or no.
        pool: What makes a vector of an image or sequence: `"flatten"`, `"avg"` or `"max"` over all positions, or
            None to classify every position alike.
        activation: None for logits, `"softmax"` for the probability of each class, `"sigmoid"` for classes that
            do not exclude each other.
        dropout: Fraction of features dropped before the layer in training.
        dense: Further arguments of `keras.layers.Dense`.

    Input shape:
        `(batch, features)`, or more axes.

    Output shape:
        `(batch, num_classes)`; the last axis replaced when `pool=None`.

    Raises:
        DefinitionError: An argument is out of range, or a size is unknown where the input must be flattened.

    Examples:
        >>> import deepkit as dk
        >>> dk.Classifier(10, pool="avg").build((7, 7, 64)).output_shape
        (None, 10)
    """

    num_classes: int
    pool: str | None = field(default="flatten", kw_only=True)
    activation: str | None = field(default=None, kw_only=True)
    dropout: float = field(default=0.0, kw_only=True)
    dense: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("Classifier", "num_classes", self.num_classes)
        parts.choice("Classifier", "activation", self.activation, _ACTIVATIONS)
        if self.num_classes == 1 and self.activation == "softmax":
            raise DefinitionError("Classifier: a softmax over one class is always 1", hint='activation="sigmoid"')
        _set_head_fields(self)

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the pooling, the dropout and the dense layer."""
        return _add_head(self, x, self.num_classes, builder)

    def objective(self, outputs: Any, labels: Any) -> Objective:
        """Return cross-entropy and accuracy: binary, one-hot or of class numbers, as the labels are."""
        logits = self.activation is None
        if self.num_classes == 1 or self.activation == "sigmoid":
            accuracy = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0 if logits else 0.5)
            return Objective(keras.losses.BinaryCrossentropy(from_logits=logits), (accuracy,))
        if len(labels) == len(outputs) and labels[-1] == self.num_classes:
            loss = keras.losses.CategoricalCrossentropy(from_logits=logits)
            return Objective(loss, (keras.metrics.CategoricalAccuracy(name="accuracy"),))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
        return Objective(loss, (keras.metrics.SparseCategoricalAccuracy(name="accuracy"),))


@dataclass(frozen=True, repr=False)
class Regressor(Block):
    """A dense layer with one output a predicted number, in float32 also where the rest has 16 bits.

    Args:
        units: How many numbers are predicted.
        pool: What makes a vector of an image or sequence: `"flatten"`, `"avg"` or `"max"` over all positions, or
            None to predict at every position alike.
        activation: None for any number; `"softplus"` or `"relu"` where there are no negative ones, `"sigmoid"` or
            `"tanh"` for a range.
        dropout: Fraction of features dropped before the layer in training.
        dense: Further arguments of `keras.layers.Dense`.

    Input shape:
        `(batch, features)`, or more axes.

    Output shape:
        `(batch, units)`; the last axis replaced when `pool=None`.

    Raises:
        DefinitionError: An argument is out of range, or a size is unknown where the input must be flattened.

    Examples:
        >>> import deepkit as dk
        >>> dk.Sequential([dk.MLP([64]), dk.Regressor()]).build((13,)).output_shape
        (None, 1)
    """

    units: int = 1
    pool: str | None = field(default="flatten", kw_only=True)
    activation: Any = field(default=None, kw_only=True)
    dropout: float = field(default=0.0, kw_only=True)
    dense: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("Regressor", "units", self.units)
        activation = parts.activation_value("Regressor", self.activation)
        if isinstance(activation, Block):
            raise DefinitionError(
                f"Regressor: activation must be a name, a registered function or None, received {activation!r}",
                hint='a name such as "softplus"',
            )
        object.__setattr__(self, "activation", activation)
        _set_head_fields(self)

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the pooling, the dropout and the dense layer."""
        return _add_head(self, x, self.units, builder)

    def objective(self, outputs: Any, labels: Any) -> Objective:
        """Return the mean squared error, and the mean absolute error as metric."""
        return Objective(keras.losses.MeanSquaredError(), (keras.metrics.MeanAbsoluteError(name="mae"),))


def _set_head_fields(head: Any) -> None:
    """Check and keep as values the arguments that every head has."""
    owner = type(head).__name__
    parts.choice(owner, "pool", head.pool, _POOLS)
    parts.rate(owner, "dropout", head.dropout)
    taken = ("units", "activation", "dtype")
    object.__setattr__(head, "dense", Arguments(head.dense, layers.Dense, owner=f"{owner}(dense=...)", taken=taken))


def _add_head(head: Any, x: Any, units: int, builder: Builder) -> Any:
    """Add the pooling, the dropout and the dense layer of a head."""
    if head.pool == "flatten":
        x = parts.flat(x, builder)
    elif head.pool and len(x.shape) > 2:
        x = _add_pool(x, head.pool, builder)
    if head.dropout:
        x = builder.add_layer(x, "dropout", layers.Dropout, head.dropout)
    activation = head.activation and parts.for_layer(head.activation)
    given = {"activation": activation, "dtype": parts.float32_if_mixed()} | head.dense.fresh()
    return builder.add_layer(x, "dense", layers.Dense, units, **given)


def _add_pool(x: Any, pool: str, builder: Builder) -> Any:
    """Pool over all positions; of a sequence with a mask, over the steps that count."""
    if len(x.shape) == 3 and getattr(x, "_keras_mask", None) is not None:
        from deepkit.layers import MaskedPooling1D

        return builder.add_layer(x, "pool", MaskedPooling1D, pool)
    return builder.add_layer(
        x, "pool", parts.by_rank("GlobalAveragePooling" if pool == "avg" else "GlobalMaxPooling", x, builder)
    )
