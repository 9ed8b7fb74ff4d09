"""The deep belief network as a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.models.dbn import DeepBeliefNetwork
from deepkit.models.rbm import VISIBLE_UNITS

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensors


class DBN(Block):
    """A deep belief network: restricted Boltzmann machines that are trained greedily, one on top of the other.

    `build` returns a `deepkit.models.DeepBeliefNetwork`: a `keras.Model` that returns the probabilities of its units at
    the top. It needs no labels and no loss. `dk.fit` trains each machine for `epochs_per_layer` epochs, so that its
    `epochs` should be `len(units) * epochs_per_layer`. The trained layers initialize a classifier or a deep
    autoencoder: `encoder_layers()` and `unfold()` of the model.

    The definition cannot be part of another one: it is trained as a whole.

    Reference:
        Hinton, Osindero & Teh 2006, "A Fast Learning Algorithm for Deep Belief Nets", section 4, without the up-down
        algorithm; Hinton & Salakhutdinov 2006, "Reducing the Dimensionality of Data with Neural Networks".

    Args:
        units: Number of hidden units of each machine, from the bottom up.
        visible: Kind of the visible units at the bottom: `"bernoulli"` for values from 0 to 1, each the probability of
            a 1, which is drawn anew in each step; `"gaussian"` for any numbers, with variance 1 given the hidden units.
        top: Kind of the hidden units at the top: `"bernoulli"`, or `"gaussian"` for linear units with variance 1 given
            the units below, such as the code of a deep autoencoder. They need a learning rate that is about a
            hundredth of that of Bernoulli units.
        epochs_per_layer: Number of epochs for each machine.

    Input shape:
        `(batch, ...)`: examples, all sizes known.

    Output shape:
        `(batch, units)`: probabilities of the units at the top, or means if they are Gaussian.

    Raises:
        DefinitionError: An argument is out of range, a single machine has Gaussian units on both sides, or a size of
            the data is unknown.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.DBN([500, 500, 2000]).build((28, 28, 1))
        >>> model.output_shape, len(model.encoder_layers())
        ((None, 2000), 4)
    """

    units: fields.Integers = fields.integers()
    _: KW_ONLY
    visible: str = fields.choice(VISIBLE_UNITS, default="bernoulli")
    top: str = fields.choice(VISIBLE_UNITS, default="bernoulli")
    epochs_per_layer: int = fields.integer(default=10, maximum=common.MAX_REPEATS)

    def check(self) -> None:
        """Refuse a network without machines."""
        if not self.units:
            raise DefinitionError("DBN: units is empty", hint="use dk.DBN([500, 500, 2000])")

    @property
    def training_target(self) -> str:
        """`"none"`: the model has no targets."""
        return "none"

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: a DBN has its own training step."""
        raise builder.error(
            "a DBN is trained as a whole and cannot be part of another model",
            hint="train it with dk.fit, and use its layers: dk.Sequential([*run.model.encoder_layers(), ...])",
        )

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> DeepBeliefNetwork:
        """Return a Keras model with new weights.

        Args:
            input_shape: Shape of one example, without the batch axis.

        Raises:
            DefinitionError: A size is unknown, or the weights would have 16 bits.
        """
        shape = common.known_shape(input_shape, self)
        with common.definition_errors(self):
            return DeepBeliefNetwork(
                self.units,
                shape,
                visible=self.visible,
                top=self.top,
                epochs_per_layer=self.epochs_per_layer,
                name=self.name or self.default_name,
            )
