"""The definition of a generative adversarial network: two bodies and the rules of their game."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import keras

from deepkit.blocks import common as parts
from deepkit.blocks.heads import Classifier
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, inside
from deepkit.definition.outputs import PROBABILITY_ACTIVATIONS, ending
from deepkit.definition.sequential import Sequential, as_body
from deepkit.models.gan import LOSSES, PRIORS, GenerativeAdversarialNetwork


@dataclass(frozen=True, repr=False)
class GAN(Block):
    """A generator that turns noise into data, and a discriminator that tells the data from what was generated.

    The discriminator learns to give data a large and generated examples a small logit; the generator learns to be
    taken for data. Source: Goodfellow et al. 2014, "Generative Adversarial Nets", section 3 and algorithm 1.

    `build` makes a `deepkit.models.GenerativeAdversarialNetwork`: a `keras.Model` with the training step of
    algorithm 1. It needs no labels and no loss. The definition cannot be a part of another: it is trained as a whole.

    Args:
        generator: A block, Keras layer or list of them that turns a vector of `latent_dim` numbers into one example.
        discriminator: The same from an example to one number, the logit that it is data. A body that ends in
            anything else gets a dense layer with one output behind it.
        latent_dim: Numbers in the noise vector, the paper's z.
        discriminator_steps: Minibatches that the discriminator learns from, each with noise of its own, before
            the generator learns from one: the paper's k. The generator's turn is counted across epochs.
        loss: What the generator minimises: `"non_saturating"` is -log D(G(z)), whose gradient is strong where the
            generator is poor; `"minimax"` is log(1 - D(G(z))), the game of equation 1.
        prior: Distribution of the noise: `"normal"`, or `"uniform"`; both with mean 0 and variance 1.

    Input shape:
        `(batch, ...)`: examples, all sizes known.

    Output shape:
        `(batch, 1)`: the discriminator's logit.

    Raises:
        DefinitionError: The generator makes no examples of the data's shape, or the discriminator ends in an
            activation: a probability, or whatever else is no logit.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.GAN([dk.MLP([16]), dk.Regressor(2)], dk.MLP([16]), latent_dim=4)
        >>> model = net.build((2,))
        >>> model.compile("adam")
        >>> model.sample(5, seed=0).shape
        (5, 2)
    """

    generator: Any = field(metadata={"body": "one or many"})
    discriminator: Any = field(metadata={"body": "one or many"})
    latent_dim: int = field(default=100, kw_only=True)
    discriminator_steps: int = field(default=1, kw_only=True)
    loss: str = field(default="non_saturating", kw_only=True)
    prior: str = field(default="normal", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("GAN", "latent_dim", self.latent_dim)
        parts.positive("GAN", "discriminator_steps", self.discriminator_steps)
        parts.choice("GAN", "loss", self.loss, LOSSES)
        parts.choice("GAN", "prior", self.prior, PRIORS)
        for name in ("generator", "discriminator"):
            object.__setattr__(self, name, as_body(getattr(self, name), f"GAN: {name}"))

    @property
    def training_target(self) -> str:
        """Labels are not used."""
        return "none"

    def add(self, x: Any, builder: Builder) -> Any:
        """Refuse: two networks with an optimiser each are no layers."""
        raise builder.error(
            "a GAN is trained as a whole, and cannot be a part of another model",
            hint="model = definition.build(input_shape), then model.generator or model.discriminator as a part",
        )

    def build(self, input_shape: Any = None) -> GenerativeAdversarialNetwork:
        """Make a model with weights of its own.

        Args:
            input_shape: Shape of one example, without the batch axis.

        Raises:
            DefinitionError: The parts do not fit the shape; the message says where.
        """
        shape = self._checked_shape(input_shape)
        generator = self._part("generator", self.generator, (self.latent_dim,))
        self._check_generated(generator, shape)
        return GenerativeAdversarialNetwork(
            generator,
            self._discriminator(shape),
            latent_dim=self.latent_dim,
            discriminator_steps=self.discriminator_steps,
            loss=self.loss,
            prior=self.prior,
            name=self.name or self.default_name,
        )

    def _checked_shape(self, shape: Any) -> tuple[int, ...]:
        if not isinstance(shape, list | tuple) or not shape or not all(type(n) is int and n > 0 for n in shape):
            raise DefinitionError(
                f"GAN.build needs the shape of an example, every size known, received {shape!r}",
                code=self,
                hint=".build((28, 28, 1)), the shape of one example without the batch axis",
            )
        return tuple(shape)

    def _part(self, name: str, body: tuple[Block, ...], shape: tuple[int, ...]) -> keras.Model:
        """Build one of the two networks; errors say in which."""
        with inside(name):
            return Sequential(list(body), name=name).build(shape)

    def _discriminator(self, shape: tuple[int, ...]) -> keras.Model:
        """Build the discriminator, with a head behind a body that does not end in one number."""
        found = self._part("discriminator", self.discriminator, shape)
        if isinstance(found.output, list | tuple | dict) or tuple(found.output.shape[1:]) != (1,):
            return self._part("discriminator", (*self.discriminator, Classifier(1, name="logit")), shape)
        last, activation = ending(found.output)
        if activation in (None, "linear"):
            return found
        probability = activation in (*PROBABILITY_ACTIVATIONS, "hard_sigmoid")
        received = "a probability, and the losses contain the sigmoid" if probability else "what is not any number"
        raise DefinitionError(
            f"expected a logit, received {received}: the discriminator ends in {activation}",
            path=f"discriminator.{last.name}",
            code=self,
            hint="activation=None in the last layer, or dk.Regressor(1) as the last element in place of it",
        )

    def _check_generated(self, generator: keras.Model, shape: tuple[int, ...]) -> None:
        made = generator.output.shape[1:] if hasattr(generator.output, "shape") else None
        if made == shape:
            return
        size = None if made is None or None in made else math.prod(made)
        reshape = f"layers.Reshape({shape}) as its last element"
        raise DefinitionError(
            f"the generator makes {made or 'several tensors'}, and the data has {shape}",
            path="generator",
            code=self,
            hint=reshape if size == math.prod(shape) else f"dk.Regressor({math.prod(shape)}), {reshape}",
        )
