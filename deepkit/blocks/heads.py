"""Heads: the last block of a network, which also says what to train it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import parts
from deepkit.code import Arguments
from deepkit.element import Block, Objective
from deepkit.scope import Scope

_POOLS = ("flatten", "avg", "max", None)
_ACTIVATIONS = (None, "softmax", "sigmoid")


@dataclass(frozen=True, repr=False)
class Classifier(Block):
    """A dense layer with one output a class, in float32 whatever the precision of the rest.

    Args:
        classes: Number of classes; 1 for yes or no.
        pool: What makes a vector of an image or sequence: `"flatten"`, `"avg"` or `"max"` over all positions, or
            None to classify every position alike.
        activation: None for logits, `"softmax"` for the probability of each class, `"sigmoid"` for classes that
            do not exclude each other.
        dropout: Fraction of features dropped before the layer in training.
        dense: Further arguments of `keras.layers.Dense`.

    Input shape:
        `(batch, features)`, or more axes.

    Output shape:
        `(batch, classes)`; the last axis replaced when `pool=None`.

    Raises:
        DefinitionError: An argument is out of range, or a size is unknown where the input must be flattened.

    Examples:
        >>> import deepkit as dk
        >>> dk.Classifier(10, pool="avg").build((7, 7, 64)).output_shape
        (None, 10)
    """

    classes: int
    pool: str | None = field(default="flatten", kw_only=True)
    activation: str | None = field(default=None, kw_only=True)
    dropout: float = field(default=0.0, kw_only=True)
    dense: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("Classifier", "classes", self.classes)
        parts.choice("Classifier", "pool", self.pool, _POOLS)
        parts.choice("Classifier", "activation", self.activation, _ACTIVATIONS)
        parts.rate("Classifier", "dropout", self.dropout)
        taken = ("units", "activation", "dtype")
        dense = Arguments(self.dense, layers.Dense, owner="Classifier(dense=...)", taken=taken)
        object.__setattr__(self, "dense", dense)

    def add(self, x: Any, scope: Scope) -> Any:
        """Add the pooling, the dropout and the dense layer."""
        if self.pool == "flatten":
            x = parts.flat(x, scope)
        elif self.pool and len(x.shape) > 2:
            kind = "GlobalAveragePooling" if self.pool == "avg" else "GlobalMaxPooling"
            x = scope.add(x, "pool", parts.by_rank(kind, x, scope))
        if self.dropout:
            x = scope.add(x, "dropout", layers.Dropout, self.dropout)
        given = {"activation": self.activation, "dtype": _head_dtype()} | self.dense.fresh()  # type: ignore[attr-defined]
        return scope.add(x, "dense", layers.Dense, self.classes, **given)

    def objective(self, outputs: tuple[int | None, ...], labels: tuple[int | None, ...]) -> Objective:
        """Return cross-entropy and accuracy: binary, one-hot or of class numbers, as the labels are."""
        logits = self.activation is None
        if self.classes == 1 or self.activation == "sigmoid":
            accuracy = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0 if logits else 0.5)
            return Objective(keras.losses.BinaryCrossentropy(from_logits=logits), (accuracy,))
        if len(labels) == len(outputs) and labels[-1] == self.classes:
            loss = keras.losses.CategoricalCrossentropy(from_logits=logits)
            return Objective(loss, (keras.metrics.CategoricalAccuracy(name="accuracy"),))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
        return Objective(loss, (keras.metrics.SparseCategoricalAccuracy(name="accuracy"),))


def _head_dtype() -> str | None:
    """Return float32 where the policy computes in 16 bits: a softmax over few bits loses small probabilities."""
    return "float32" if keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16") else None
