"""The fully connected Boltzmann machine as a definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.models.boltzmann import FullBoltzmannMachine

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensors


class BoltzmannMachine(Block):
    """A small Boltzmann machine with a weight between each pair of its units, visible or hidden.

    `build` returns a `deepkit.models.FullBoltzmannMachine`: a `keras.Model` whose log-likelihood and gradient are sums
    over all its states, so that visible and hidden units are at most 20 in sum. It needs no labels and no loss. Each
    value of an example, 0 or 1, is a visible unit. The definition cannot be part of another one: it is trained as a
    whole.

    Reference:
        Ackley, Hinton & Sejnowski 1985, "A Learning Algorithm for Boltzmann Machines".

    Args:
        units: Number of hidden units; 0 for none.

    Input shape:
        `(batch, ...)`: examples, all sizes known.

    Output shape:
        `(batch, units)`: probabilities of the hidden units.

    Raises:
        DefinitionError: There are more than 20 units, or a size of the data is unknown.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.BoltzmannMachine(2).build((8,))
        >>> model.count_params(), model.output_shape
        (55, (None, 2))
    """

    units: int = fields.integer(minimum=0)

    @property
    def training_target(self) -> str:
        """`"none"`: the model has no targets."""
        return "none"

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: the loss is the likelihood of the whole model."""
        raise builder.error(
            "a Boltzmann machine is trained as a whole and cannot be part of another model",
            hint="train it with dk.fit, and call the model for its hidden probabilities",
        )

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> FullBoltzmannMachine:
        """Return a Keras model with new weights.

        Args:
            input_shape: Shape of one example, without the batch axis.

        Raises:
            DefinitionError: There are more than 20 units, or a size is unknown.
        """
        shape = common.known_shape(input_shape, self)
        with common.definition_errors(self):
            return FullBoltzmannMachine(self.units, shape, name=self.name or self.default_name)
