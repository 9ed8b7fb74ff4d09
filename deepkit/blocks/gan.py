"""The generative adversarial network as a definition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras

from deepkit.blocks import common
from deepkit.blocks.heads import Classifier
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, error_path
from deepkit.definition.outputs import PROBABILITY_ACTIVATIONS, output_activation
from deepkit.definition.sequential import Sequential
from deepkit.definition.symbolic_inputs import find_input_spec, make_inputs
from deepkit.models.gan import LOSSES, PRIORS, GenerativeAdversarialNetwork

if TYPE_CHECKING:
    from deepkit.definition.preprocessing import Adapter
    from deepkit.utils.types import Shape, Tensors


class GAN(Block):
    """A generative adversarial network: a generator, and a discriminator of data and generated examples.

    The discriminator learns large logits for data and small ones for generated examples; the generator learns to
    generate examples with large logits.

    `build` returns a `deepkit.models.GenerativeAdversarialNetwork`: a `keras.Model` with the training step of
    algorithm 1. It needs no labels and no loss. The definition cannot be part of another one: it is trained as a whole.

    Reference:
        Goodfellow et al. 2014, "Generative Adversarial Nets", section 3 and algorithm 1.

    Args:
        generator: A block, Keras layer or list of them that turns a vector of `latent_dim` numbers into one example.
        discriminator: A block, Keras layer or list of them that turns an example into one number, the logit of the
            probability that it is data. If the output has another shape, a dense layer with one output is added.
        latent_dim: Dimensions of the noise vector, z in the paper.
        discriminator_steps: Number of discriminator steps, each with new noise, for each generator step: k in the
            paper. Steps are counted across epochs.
        loss: Loss of the generator: `"non_saturating"` is -log D(G(z)), whose gradient is large while the generator is
            poor; `"minimax"` is log(1 - D(G(z))), the game of equation 1.
        prior: Distribution of the noise: `"normal"`, or `"uniform"`; both with mean 0 and variance 1.

    Input shape:
        `(batch, ...)`: examples, all sizes known.

    Output shape:
        `(batch, 1)`: the discriminator's logit.

    Raises:
        DefinitionError: The generator does not return examples of the data's shape, or the discriminator ends in an
            activation, so that its output is not a logit.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.GAN([dk.MLP([16]), dk.Regressor(2)], dk.MLP([16]), latent_dim=4)
        >>> model = net.build((2,))
        >>> model.compile("adam")
        >>> model.sample(5, seed=0).shape
        (5, 2)
    """

    generator: fields.Body = fields.body()
    discriminator: fields.Body = fields.body()
    _: KW_ONLY
    latent_dim: int = fields.integer(default=100)
    discriminator_steps: int = fields.integer(default=1)
    loss: str = fields.choice(LOSSES, default="non_saturating")
    prior: str = fields.choice(PRIORS, default="normal")

    @property
    def training_target(self) -> str:
        """`"none"`: the model has no targets."""
        return "none"

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: two networks with separate optimizers are not layers."""
        raise builder.error(
            "a GAN is trained as a whole and cannot be part of another model",
            hint="use model = definition.build(input_shape), then model.generator or model.discriminator",
        )

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> GenerativeAdversarialNetwork:
        """Return a Keras model with new weights.

        Args:
            input_shape: Shape of one example, without the batch axis.

        Raises:
            DefinitionError: The parts do not fit the shape; the message contains the path.
        """
        return self.build_adapted(input_shape, None)

    def build_adapted(
        self, input_shape: Shape | Mapping[str, Shape] | None, adapter: Adapter | None
    ) -> GenerativeAdversarialNetwork:
        """Return a Keras model whose discriminator is built with an adapter of preprocessing layers.

        Args:
            input_shape: Shape of one example, without the batch axis.
            adapter: See `Block.build_from`.

        Raises:
            DefinitionError: The parts do not fit the shape; the message contains the path.
        """
        shape = common.known_shape(input_shape, self)
        generator = _build_network("generator", self.generator, (self.latent_dim,))
        self._check_generated(generator, shape)
        return GenerativeAdversarialNetwork(
            generator,
            self._build_discriminator(shape, adapter),
            latent_dim=self.latent_dim,
            discriminator_steps=self.discriminator_steps,
            loss=self.loss,
            prior=self.prior,
            name=self.name or self.default_name,
        )

    def _build_discriminator(self, shape: tuple[int, ...], adapter: Adapter | None) -> keras.Model:
        """Build the discriminator, with a head if its body does not end in one number."""
        model = _build_network("discriminator", self.discriminator, shape, adapter)
        if isinstance(model.output, list | tuple | dict) or tuple(model.output.shape[1:]) != (1,):
            return _build_network("discriminator", (*self.discriminator, Classifier(1, name="logit")), shape, adapter)
        layer, activation = output_activation(model.output)
        if activation in (None, "linear"):
            return model
        is_probability = activation in (*PROBABILITY_ACTIVATIONS, "hard_sigmoid")
        received = "a probability, and the losses contain the sigmoid" if is_probability else "a restricted range"
        raise DefinitionError(
            f"expected a logit, received {received}: the discriminator ends in {activation}",
            path=f"discriminator.{layer.name}",
            code=self,
            hint="use activation=None in the last layer, or dk.Regressor(1) as the last element in its place",
        )

    def _check_generated(self, generator: keras.Model, shape: tuple[int, ...]) -> None:
        output_shape = generator.output.shape[1:] if hasattr(generator.output, "shape") else None
        if output_shape == shape:
            return
        size = None if output_shape is None or None in output_shape else math.prod(output_shape)
        reshape = f"layers.Reshape({shape}) as its last element"
        raise DefinitionError(
            f"the generator returns {output_shape or 'several tensors'}, but the data has the shape {shape}",
            path="generator",
            code=self,
            hint=f"use {reshape}" if size == math.prod(shape) else f"use dk.Regressor({math.prod(shape)}), {reshape}",
        )


def _build_network(
    name: str, body: Sequence[Any], shape: tuple[int, ...], adapter: Adapter | None = None
) -> keras.Model:
    """Build the generator or the discriminator; the path of an error begins with its name."""
    with error_path(name):
        network = Sequential(list(body), name=name)
        x = make_inputs(network, find_input_spec(network, shape))
        return network.build_from(x, x, adapter=adapter)
