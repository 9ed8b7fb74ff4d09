"""Gaussian outputs: a mean and a variance for every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.source import Arguments


@dataclass(frozen=True, repr=False)
class GaussianHead(Block):
    """Two dense layers behind the same features: the mean of a Gaussian, and the logarithm of its variance.

    The covariance is diagonal. Both layers are linear and in float32 also where the rest has 16 bits, as variances
    are exponentials. Source: Kingma & Welling 2014, appendix C.2.

    Args:
        units: How many numbers the Gaussian is over.
        dense: Further arguments of the two `keras.layers.Dense`.

    Input shape:
        `(batch, features)`; more axes are flattened.

    Output shape:
        `{"mean": (batch, units), "log_variance": (batch, units)}`.

    Raises:
        DefinitionError: `units` is no positive integer, or a size is unknown where the input must be flattened.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Sequential([dk.MLP([500]), dk.GaussianHead(20)]).build((28, 28, 1))
        >>> {name: output.shape for name, output in model.output.items()}
        {'mean': (None, 20), 'log_variance': (None, 20)}
    """

    units: int
    dense: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("GaussianHead", "units", self.units)
        taken = ("units", "activation", "dtype")
        given = Arguments(self.dense, layers.Dense, owner="GaussianHead(dense=...)", taken=taken)
        object.__setattr__(self, "dense", given)

    def add(self, x: Any, builder: Builder) -> dict[str, Any]:
        """Add the two layers."""
        x = parts.flat(x, builder)

        def dense(name: str) -> Any:
            given = {"dtype": parts.float32_if_mixed()} | self.dense.fresh()  # type: ignore[attr-defined]
            return builder.add_layer(x, name, layers.Dense, self.units, **given)

        return {"mean": dense("mean"), "log_variance": dense("log_variance")}
