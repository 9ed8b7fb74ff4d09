"""Dense layers: the multilayer perceptron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.source import Arguments


@dataclass(frozen=True, repr=False)
class MLP(Block):
    """Dense layers, each with its activation: a multilayer perceptron without its output layer.

    Source: Rumelhart, Hinton & Williams 1986; dropout after Srivastava et al. 2014, section 4.

    Args:
        units: Width of each layer: `[300, 100]`.
        activation: Keras's name, a registered function, a layer, or None.
        norm: Between a layer and its activation: `"batch"`, `"layer"`, a layer, or None.
        dropout: Fraction of units dropped after each activation in training.
        flatten: Whether an image or sequence becomes one vector first; with False the layers work on the last
            axis, at each position alike, as `keras.layers.Dense` does.
        dense: Further arguments of the Keras layers: `{"kernel_initializer": "he_normal"}`.

    Input shape:
        `(batch, features)`, or more axes.

    Output shape:
        `(batch, units[-1])`; the last axis replaced when `flatten=False`.

    Raises:
        DefinitionError: A width is not a positive integer, dropout lies outside [0, 1), or a size is unknown where
            the input must be flattened.

    Examples:
        >>> import deepkit as dk
        >>> dk.MLP([300, 100], dropout=0.5).build((28, 28, 1)).count_params()
        265600
    """

    units: Sequence[int] = field(metadata={"body": "many"})
    activation: Any = field(default="relu", kw_only=True)
    norm: Any = field(default=None, kw_only=True)
    dropout: float = field(default=0.0, kw_only=True)
    flatten: bool = field(default=True, kw_only=True)
    dense: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.units, list | tuple):
            raise DefinitionError(
                f"MLP: units must be a list of widths, received {self.units!r}",
                hint=f"dk.MLP([{self.units!r}])" if isinstance(self.units, int) else "dk.MLP([300, 100])",
            )
        for i, width in enumerate(self.units):
            parts.positive("MLP", f"units[{i}]", width)
        parts.rate("MLP", "dropout", self.dropout)
        parts.flag("MLP", "flatten", self.flatten)
        values = {
            "units": tuple(self.units),
            "activation": parts.activation_value("MLP", self.activation),
            "norm": parts.norm_value("MLP", self.norm),
            "dense": Arguments(self.dense, layers.Dense, owner="MLP(dense=...)", taken=("units", "activation")),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the layers in order."""
        x = parts.flat(x, builder) if self.flatten else x
        for i, width in enumerate(self.units, start=1):
            number = str(i) if len(self.units) > 1 else ""
            x = self._layer(x, width, number, builder)
        return x

    def _layer(self, x: Any, width: int, number: str, builder: Builder) -> Any:
        x = builder.add_layer(x, f"dense{number}", layers.Dense, width, **self._arguments())
        x = parts.add_norm(x, self.norm, builder, f"norm{number}")
        x = parts.add_activation(x, self.activation, builder, f"activation{number}")
        return builder.add_layer(x, f"dropout{number}", layers.Dropout, self.dropout) if self.dropout else x

    def _arguments(self) -> dict[str, Any]:
        return {"use_bias": self.norm is None} | self.dense.fresh()  # type: ignore[attr-defined]
