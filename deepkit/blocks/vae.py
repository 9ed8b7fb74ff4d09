"""The variational autoencoder as a definition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.blocks.gaussian import GaussianHead
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, error_path, shape_text
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.sequential import Sequential
from deepkit.definition.symbolic_inputs import find_input_spec, make_inputs
from deepkit.layers import GaussianSampling
from deepkit.losses.likelihoods import LIKELIHOODS
from deepkit.models.vae import VariationalAutoencoder, check_beta

if TYPE_CHECKING:
    from deepkit.definition.preprocessing import Adapter
    from deepkit.utils.types import KerasTensor, Shape, Tensors


class VAE(Block):
    """A variational autoencoder: a generative model with a Gaussian code.

    `build` adds two dense layers for mean and variance of the code z to the encoder, and a layer of the data's shape to
    the decoder: a convolution if its output has the data's rows and columns, else a dense layer. The model needs no
    loss and no labels; it is a `deepkit.models.VariationalAutoencoder`, which samples, encodes, decodes and estimates
    log-likelihoods.

    Inside another definition it adds the layers of the reconstruction, without the loss.

    Reference:
        Kingma & Welling 2014, "Auto-Encoding Variational Bayes"; Rezende et al. 2014, "Stochastic Backpropagation and
        Approximate Inference in Deep Generative Models".

    Args:
        encoder: A block, a Keras layer or a list of them.
        latent_dim: Number of dimensions of the code.
        decoder: A block, a Keras layer or a list of them, whose input is the code.
        likelihood: Distribution of the data given the code: `"bernoulli"` for values 0 and 1; `"gaussian"` for any
            numbers, with a learned variance for each (at least 1e-6); `"unit_gaussian"` with variance 1, whose loss is
            half the squared error plus a constant.
        beta: Weight of the KL divergence of the code from its prior (Higgins et al. 2017, "beta-VAE").
        num_importance_samples: Draws of the code for each example in the importance-weighted bound (Burda et al. 2016,
            equation 8); 1 for the bound of the VAE.

    Input shape:
        Input of the encoder.

    Output shape:
        The input shape: the reconstruction.

    Raises:
        DefinitionError: An argument is out of range, or a size of the data is unknown.

    Examples:
        >>> import deepkit as dk
        >>> tanh = dk.MLP([500], activation="tanh")
        >>> model = dk.VAE(tanh, latent_dim=20, decoder=tanh).build((28, 28, 1))
        >>> model.count_params(), model.encoder.count_params()
        (815825, 412540)
    """

    encoder: fields.Body = fields.body()
    _: KW_ONLY
    latent_dim: int = fields.integer()
    decoder: fields.Body = fields.body()
    likelihood: str = fields.choice(tuple(LIKELIHOODS), default="bernoulli")
    beta: float = fields.number(default=1.0)
    num_importance_samples: int = fields.integer(default=1, maximum=common.MAX_REPEATS)

    def check(self) -> None:
        """Refuse a beta other than 1 in the importance-weighted bound."""
        check_beta(self.beta, self.num_importance_samples, "VAE", error=DefinitionError)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: the first element of the encoder receives them."""
        return True

    @property
    def training_target(self) -> str:
        """`"none"`: the loss depends on the inputs only."""
        return "none"

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input that the first element of the encoder fixes."""
        return self.encoder[0].input_spec() if self.encoder else None

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> VariationalAutoencoder:
        """Return a Keras model with new weights; see `Block.build`."""
        return self.build_adapted(input_shape, None)

    def build_adapted(
        self, input_shape: Shape | Mapping[str, Shape] | None, adapter: Adapter | None
    ) -> VariationalAutoencoder:
        """Return a Keras model whose encoder is built with an adapter; see `Block.build_from`."""
        spec = find_input_spec(self, input_shape)
        with error_path("encoder"):
            x = make_inputs(self._encoder(), spec)
            encoder = self._encoder().build_from(x, x, adapter=adapter)
        with error_path("decoder"):
            decoder = self._decoder(encoder.input_shape[1:]).build((self.latent_dim,))
        return VariationalAutoencoder(
            encoder,
            decoder,
            likelihood=self.likelihood,
            beta=self.beta,
            num_importance_samples=self.num_importance_samples,
            name=self.name or self.default_name,
        )

    def add(self, x: Tensors, builder: Builder) -> KerasTensor:
        """Add the layers of the reconstruction; the code is sampled in training."""
        shape = builder.require_single(x, "expected one tensor, received").shape[1:]
        code = builder.add_block("encoder", self._encoder(), x)
        z = builder.add_layer(code, "sampling", GaussianSampling, dtype="float32")
        outputs: Any = builder.add_block("decoder", self._decoder(shape), z)
        likelihood = LIKELIHOODS[self.likelihood]
        mean = outputs[likelihood.outputs[0]]
        return builder.add_layer(mean, "mean", layers.Activation, likelihood.activation, dtype="float32")

    def _encoder(self) -> Sequential:
        return Sequential([*self.encoder, GaussianHead(self.latent_dim, name="code")], name="encoder")

    def _decoder(self, shape: Shape) -> Sequential:
        return Sequential([*self.decoder, _DataHead(shape, self.likelihood, name="data")], name="decoder")


class _DataHead(Block):
    """The last layers of the decoder: the parameters of the likelihood of each number of the data."""

    shape: Shape = fields.unchecked()
    likelihood: str = fields.unchecked()

    def add(self, x: KerasTensor, builder: Builder) -> dict[str, KerasTensor]:
        """Add a layer for each parameter of the likelihood."""
        if None in self.shape:
            raise builder.error(
                f"the decoder reconstructs data of one shape, but the input has an unknown size: {self.shape}",
                hint="use an input_shape without None",
            )
        return {name: self._add_layer(x, name, builder) for name in LIKELIHOODS[self.likelihood].outputs}

    def _add_layer(self, x: KerasTensor, name: str, builder: Builder) -> Any:
        """Add a convolution if the input has the data's positions, else a dense layer."""
        dtype = common.float32_if_mixed()
        axis = common.channel_axis(x) - 1
        sizes = [size for size in self.shape if size is not None]
        has_positions = common.without_axis(x.shape[1:], axis) == common.without_axis(self.shape, axis)
        if len(sizes) > 1 and has_positions:
            return common.add_projection(x, name, sizes[axis], builder, kernel_size=3, dtype=dtype)
        flat, units = common.flatten(x, builder), math.prod(sizes)
        if len(sizes) == 1:
            return builder.add_layer(flat, name, layers.Dense, units, dtype=dtype)
        dense = builder.add_layer(flat, f"{name}_dense", layers.Dense, units, dtype=dtype)
        return builder.add_layer(dense, name, layers.Reshape, self.shape, dtype=dtype)

    def __repr__(self) -> str:
        return f"<layer of the data {shape_text(keras.KerasTensor((None, *self.shape)))}, {self.likelihood}>"
