"""The restricted Boltzmann machine as a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.models.rbm import VISIBLE_UNITS, RestrictedBoltzmannMachine

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensors


class RBM(Block):
    """A restricted Boltzmann machine: hidden units that model which values of the data occur together.

    `build` returns a `deepkit.models.RestrictedBoltzmannMachine`: a `keras.Model` that is trained by contrastive
    divergence and returns the probabilities of its hidden units. It needs no labels and no loss. Each value of an
    example is a visible unit.

    The definition cannot be part of another one: it is trained as a whole. Its trained layer can be:
    `dk.Sequential([run.model.get_layer("hidden"), dk.Classifier(10)])`.

    Reference:
        Smolensky 1986, "Information Processing in Dynamical Systems: Foundations of Harmony Theory"; Hinton 2002,
        "Training Products of Experts by Minimizing Contrastive Divergence"; Hinton 2010, "A Practical Guide to Training
        Restricted Boltzmann Machines", for the initial weights.

    Args:
        units: Number of hidden units.
        visible: Kind of the visible units: `"bernoulli"` for values 0 and 1; `"gaussian"` for any numbers, with
            variance 1 given the hidden units, so that the data should be standardized.
        num_gibbs_steps: Number of steps of Gibbs sampling that separate the samples from the data in a training step: k
            in CD-k.
        persistent: Whether 100 chains of samples continue from one training step to the next, in place of chains that
            begin at the data (Tieleman 2008).

    Input shape:
        `(batch, ...)`: examples, all sizes known.

    Output shape:
        `(batch, units)`: probabilities of the hidden units.

    Raises:
        DefinitionError: An argument is out of range, or a size of the data is unknown.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.RBM(500).build((28, 28, 1))
        >>> model.count_params(), model.output_shape
        (393284, (None, 500))
    """

    units: int = fields.integer()
    _: KW_ONLY
    visible: str = fields.choice(VISIBLE_UNITS, default="bernoulli")
    num_gibbs_steps: int = fields.integer(default=1, maximum=common.MAX_REPEATS)
    persistent: bool = fields.flag(default=False)

    @property
    def training_target(self) -> str:
        """`"none"`: the model has no targets."""
        return "none"

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: an RBM has its own training step."""
        raise builder.error(
            "an RBM is trained as a whole and cannot be part of another model",
            hint='train it with dk.fit, and use its layer: run.model.get_layer("hidden")',
        )

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> RestrictedBoltzmannMachine:
        """Return a Keras model with new weights.

        Args:
            input_shape: Shape of one example, without the batch axis.

        Raises:
            DefinitionError: A size is unknown, or the weights would have 16 bits.
        """
        shape = common.known_shape(input_shape, self)
        with common.definition_errors(self):
            return RestrictedBoltzmannMachine(
                self.units,
                shape,
                visible=self.visible,
                num_gibbs_steps=self.num_gibbs_steps,
                persistent=self.persistent,
                name=self.name or self.default_name,
            )
