"""The Hopfield network as a definition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.models.hopfield import HopfieldNetwork

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensors


class Hopfield(Block):
    """A Hopfield network: a memory that recalls stored patterns from damaged ones.

    `build` returns a `deepkit.models.HopfieldNetwork`: a `keras.Model` with the methods `store`, `recall` and `energy`.
    `dk.fit(net, patterns)` stores patterns too, in one epoch and without labels. The definition cannot be part of
    another one: it is trained as a whole.

    Reference:
        Hopfield 1982, "Neural Networks and Physical Systems with Emergent Collective Computational Abilities".

    Args:
        units: Number of units, which is the number of values of a pattern.

    Input shape:
        `(batch, ...)`: patterns of -1 and 1, with `units` values each.

    Output shape:
        The input shape: the states after an update of all units at the same time.

    Raises:
        DefinitionError: The patterns do not have `units` values.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> patterns = np.sign(np.random.default_rng(0).normal(size=(3, 100)))
        >>> model = dk.Hopfield(100).build()
        >>> model.store(patterns)
        >>> damaged = patterns * np.where(np.arange(100) < 20, -1, 1)
        >>> np.array_equal(model.recall(damaged, seed=0), patterns)
        True
    """

    units: int = fields.integer()

    @property
    def training_target(self) -> str:
        """`"none"`: the model has no targets."""
        return "none"

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: the weights store patterns of the whole model."""
        raise builder.error(
            "a Hopfield network stores patterns as a whole and cannot be part of another model",
            hint="use model = dk.Hopfield(units).build(), then model.recall(x)",
        )

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> HopfieldNetwork:
        """Return a Keras model that stores no pattern yet.

        Args:
            input_shape: Shape of one pattern, without the batch axis; None for `(units,)`.

        Raises:
            DefinitionError: The product of the sizes is not `units`.
        """
        shape = (self.units,) if input_shape is None else input_shape
        sizes = common.known_shape(shape, self, hint=f"use .build(({self.units},))")
        if math.prod(sizes) != self.units:
            raise DefinitionError(
                f"a Hopfield network of {self.units} units received patterns of {math.prod(sizes)} values: {sizes}",
                code=self,
                hint=f"use dk.Hopfield({math.prod(sizes)})",
            )
        return HopfieldNetwork(sizes, name=self.name or self.default_name)
