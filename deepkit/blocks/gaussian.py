"""Gaussian outputs: a mean and a variance for every number."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

from keras import layers

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.layer_arguments import LayerArguments

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor


class GaussianHead(Block):
    """Two dense layers on the same features: the mean of a Gaussian and the logarithm of its variance.

    The covariance is diagonal. Both layers are linear and in float32 even if the rest computes in 16 bits, as variances
    are exponentials.

    Reference:
        Kingma & Welling 2014, "Auto-Encoding Variational Bayes", appendix C.2.

    Args:
        units: Number of dimensions of the Gaussian.
        dense: Further arguments of the two `keras.layers.Dense`.

    Input shape:
        `(batch, features)`; more axes are flattened.

    Output shape:
        `{"mean": (batch, units), "log_variance": (batch, units)}`.

    Raises:
        DefinitionError: `units` is not a positive integer, or the input must be flattened and has an unknown size or a
            mask.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Sequential([dk.MLP([500]), dk.GaussianHead(20)]).build(
        ...     (28, 28, 1)
        ... )
        >>> {name: output.shape for name, output in model.output.items()}
        {'mean': (None, 20), 'log_variance': (None, 20)}
    """

    units: int = fields.integer()
    _: KW_ONLY
    dense: fields.KerasArguments = fields.keras_arguments(layers.Dense, excluding=("units", "activation", "dtype"))

    def add(self, x: KerasTensor, builder: Builder) -> dict[str, KerasTensor]:
        """Add the two layers."""
        return add_moments(common.flatten(x, builder), self.units, self.dense, builder)


def add_moments(
    x: KerasTensor, units: int, arguments: LayerArguments, builder: Builder, **log_variance_kwargs: Any
) -> dict[str, KerasTensor]:
    """Add two linear layers on the same features: the mean of a Gaussian, and the logarithm of its variance.

    Args:
        x: The features.
        units: Number of dimensions of the Gaussian.
        arguments: Further arguments of both layers.
        builder: The builder of the block.
        log_variance_kwargs: Arguments of the layer of the log-variance, which replace those of `arguments`.
    """

    def dense(name: str, **kwargs: Any) -> Any:
        kwargs = {"dtype": common.float32_if_mixed()} | arguments.new() | kwargs
        return builder.add_layer(x, name, layers.Dense, units, **kwargs)

    return {"mean": dense("mean"), "log_variance": dense("log_variance", **log_variance_kwargs)}
