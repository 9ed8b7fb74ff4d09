"""The Helmholtz machine as a definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.models.helmholtz_machine import HelmholtzMachineModel

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensors


class HelmholtzMachine(Block):
    """A Helmholtz machine: a generative and a recognition model of binary data, trained by the wake-sleep algorithm.

    `build` returns a `deepkit.models.HelmholtzMachineModel`: a `keras.Model` that needs no labels and no loss, and has
    the methods `sample`, `bound` and `log_likelihood`. The definition cannot be part of another one: it is trained as a
    whole.

    Reference:
        Dayan et al. 1995, "The Helmholtz Machine"; Hinton et al. 1995, "The Wake-Sleep Algorithm for Unsupervised
        Neural Networks".

    Args:
        units: Number of units of each hidden layer, from the data to the top.

    Input shape:
        `(batch, ...)`: examples of 0 and 1, all sizes known.

    Output shape:
        `(batch, units[0])`: the probabilities of the first hidden layer.

    Raises:
        DefinitionError: `units` is empty, or a size of the data is unknown.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.HelmholtzMachine([8, 1]).build((4, 4))
        >>> model.count_params()  # 16-8-1 in both directions, and the biases of the top
        306
        >>> model.sample(3, seed=0).shape
        (3, 4, 4)
    """

    units: fields.Integers = fields.integers()

    def check(self) -> None:
        """Refuse a machine without hidden layers."""
        if not self.units:
            raise DefinitionError(
                "HelmholtzMachine: units: expected a hidden layer, received none",
                hint="use dk.HelmholtzMachine([8, 1])",
            )

    @property
    def training_target(self) -> str:
        """`"none"`: the model has no targets."""
        return "none"

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: both models are trained together."""
        raise builder.error(
            "a Helmholtz machine is trained as a whole and cannot be part of another model",
            hint="use model = dk.HelmholtzMachine(units).build(input_shape), then model.recognition",
        )

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> HelmholtzMachineModel:
        """Return a Keras model with new weights.

        Args:
            input_shape: Shape of one example, without the batch axis.

        Raises:
            DefinitionError: A size is unknown.
        """
        shape = common.known_shape(input_shape, self)
        return HelmholtzMachineModel(shape, self.units, name=self.name or self.default_name)
