"""Blocks that a user of deepkit might write: a complete one, and one for each way to violate the protocol."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import ClassVar

import keras
import numpy as np
from keras import layers

import deepkit as dk


@dk.register_block("tests")
class GatedDense(dk.Block):
    """A dense layer whose output is scaled by a gate, with an optional body before it."""

    units: int = dk.fields.integer()
    body: dk.fields.OptionalBody = dk.fields.body(default=None)
    _: KW_ONLY
    gate: str = dk.fields.choice(("sigmoid", "hard_sigmoid"), default="sigmoid")
    dropout: float = dk.fields.fraction(default=0.0)
    bias: float = dk.fields.number(default=-1.0)
    sizes: dk.fields.Integers = dk.fields.integers(default=())
    has_activation: bool = dk.fields.flag(default=False)
    activation: dk.fields.Activation = dk.fields.activation(default="relu")
    dense: dk.fields.KerasArguments = dk.fields.keras_arguments(layers.Dense, excluding=("units", "activation"))

    def check(self):
        if self.has_activation and self.activation is None:
            raise dk.DefinitionError("GatedDense: has_activation=True needs an activation", hint="pass activation=")

    @property
    def default_name(self):
        return "gated"

    def add(self, x, builder):
        for i, size in enumerate(self.sizes, start=1):
            x = builder.add_layer(x, f"hidden{i}", layers.Dense, size)
        if self.body is not None:
            x = builder.require_single(builder.add_all(x, self.body, reserved=("values", "gate")), "expected one")
        values = builder.add_layer(x, "values", layers.Dense, self.units, **self.dense.new())
        initializer = keras.initializers.Constant(self.bias)
        gate = builder.add_layer(
            x, "gate", layers.Dense, self.units, activation=self.gate, bias_initializer=initializer
        )
        y = builder.add_layer([values, gate], "multiply", layers.Multiply)
        if self.has_activation:
            y = builder.add_layer(y, "activation", layers.Activation, self.activation)
        return builder.add_layer(y, "dropout", layers.Dropout, self.dropout) if self.dropout else y


@dk.register_block("tests")
class PlainFields(dk.Block):
    """A block with annotations alone: its arguments are plain values."""

    units: int
    label: str = "dense"
    rates: tuple = (0.1, 0.2)
    registry: ClassVar[dict] = {}

    def add(self, x, builder):
        x = builder.add_layer(x, self.label, layers.Dense, self.units)
        for i, rate in enumerate(self.rates, start=1):
            x = builder.add_layer(x, f"dropout{i}", layers.Dropout, rate)
        return x


class Unregistered(dk.Block):
    def add(self, x, builder):
        return builder.add_layer(x, "dense", layers.Dense, 3)


@dk.register_block("tests")
class NothingReturned(dk.Block):
    def add(self, x, builder):
        builder.add_layer(x, "dense", layers.Dense, 3)


@dk.register_block("tests")
class WrongRepr(dk.Block):
    units: int = dk.fields.integer()

    def add(self, x, builder):
        return builder.add_layer(x, "dense", layers.Dense, self.units)

    def __repr__(self):
        return "tests.conformance.user_blocks.WrongRepr(1)"


class UnwrittenField(dk.fields.Field):
    def to_data(self, value, writer):
        return 1


@dk.register_block("tests")
class WrongData(dk.Block):
    units: int = UnwrittenField()

    def add(self, x, builder):
        return builder.add_layer(x, "dense", layers.Dense, self.units)


@keras.saving.register_keras_serializable(package="tests")
class WrongShape(layers.Layer):
    def call(self, inputs):
        return inputs[:, :1]

    def compute_output_shape(self, input_shape):
        return input_shape


@dk.register_block("tests")
class WrongOutputShape(dk.Block):
    def add(self, x, builder):
        return builder.add_layer(x, "shape", WrongShape)


@dk.register_block("tests")
class HalfPrecisionWeights(dk.Block):
    def add(self, x, builder):
        dtype = keras.config.dtype_policy().compute_dtype
        return builder.add_layer(x, "dense", layers.Dense, 3, dtype=dtype)


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(layers.Layer):
    """A layer whose config lacks its argument."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return {"name": self.name}


@dk.register_block("tests")
class LostInFile(dk.Block):
    def add(self, x, builder):
        return builder.add_layer(x, "scale", Forgetful, 2.0)


@dk.register_block("tests")
class RefusedByLoading(dk.Block):
    def add(self, x, builder):
        return builder.add_layer(x, "lambda", layers.Lambda, lambda inputs: inputs + 1)


@keras.saving.register_keras_serializable(package="tests")
class UnusedWeight(layers.Layer):
    def build(self, input_shape):
        self.unused = self.add_weight(shape=(2,), name="unused")

    def call(self, inputs):
        return inputs


@dk.register_block("tests")
class WeightWithoutGradient(dk.Block):
    def add(self, x, builder):
        return builder.add_layer(x, "idle", UnusedWeight)


SHARED = layers.Dense(3, name="global")


@dk.register_block("tests")
class SharedBetweenBuilds(dk.Block):
    def add(self, x, builder):
        return builder.call_layer(SHARED, x)


@dk.register_block("tests")
class InvalidLayerName(dk.Block):
    def add(self, x, builder):
        return builder.add_layer(x, "a layer", layers.Dense, 3)


@dk.register_block("tests")
class OtherLayersInCall(dk.Block):
    def add(self, x, builder):
        scale = 1.0 if builder.state.allows_shared else 2.0
        return builder.add_layer(x, "scale", layers.Rescaling, scale)


@keras.saving.register_keras_serializable(package="tests")
class MeanOfSteps(layers.Layer):
    """A layer that adds the mean over all steps, and keeps the mask if `keep`."""

    def __init__(self, keep, **kwargs):
        super().__init__(**kwargs)
        self.keep, self.supports_masking = keep, True

    def call(self, inputs):
        return inputs + keras.ops.mean(inputs, axis=1, keepdims=True) if self.keep else inputs * 1.0

    def compute_mask(self, inputs, mask=None):
        return mask if self.keep else None

    def get_config(self):
        return {**super().get_config(), "keep": self.keep}


@dk.register_block("tests")
class LosesMask(dk.Block):
    def add(self, x, builder):
        return builder.add_layer(x, "steps", MeanOfSteps, False)


@dk.register_block("tests")
class ReadsPaddedSteps(dk.Block):
    def add(self, x, builder):
        return builder.add_layer(x, "steps", MeanOfSteps, True)


@dk.register_block("tests")
class GatedSteps(dk.Block):
    """Gates for the steps of a sequence, from layers that a user might choose: `kind` selects one."""

    kind: str = dk.fields.choice(("conv", "multiply", "merge"))

    def add(self, x, builder):
        if self.kind == "conv":
            return builder.add_layer(x, "conv", layers.Conv1D, 3, 3, padding="same")
        y = builder.add_layer(x, "pool", layers.GlobalAveragePooling1D)
        y = builder.add_layer(y, "reshape", layers.Reshape, (1, x.shape[-1]))
        if self.kind == "multiply":
            return builder.add_layer([x, y], "multiply", layers.Multiply)
        return builder.add_layer([x, y], "multiply", dk.layers.MaskedMerge, layers.Multiply(name="product"))


@dk.register_block("tests")
class RefusesEmbeddings(dk.Block):
    def add(self, x, builder):
        if getattr(x, "_keras_mask", None) is not None:
            raise builder.error("no embeddings, please")
        return x


@dk.register_block("tests")
class RandomName(dk.Block):
    def add(self, x, builder):
        return builder.add_layer(x, f"dense{np.random.default_rng().integers(10**9)}", layers.Dense, 3)
