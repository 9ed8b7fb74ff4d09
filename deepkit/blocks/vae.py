"""The variational autoencoder as a definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.blocks.gaussian import GaussianHead
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, inside, shape_text
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.sequential import Sequential, as_body
from deepkit.losses.likelihoods import LIKELIHOODS
from deepkit.models.vae import VariationalAutoencoder, beta_problem


@dataclass(frozen=True, repr=False)
class VAE(Block):
    """A variational autoencoder: it learns a code of Gaussian noise and the data that each code stands for.

    The encoder gets two dense layers for mean and variance of the code z, the decoder a layer of the data's shape:
    a convolution where its output has the data's rows and columns, else a dense layer. The model needs no loss and
    no labels; it is a `deepkit.models.VariationalAutoencoder`, which samples, encodes, decodes and estimates
    log-likelihoods. Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes"; Rezende et al. 2014.

    Inside another definition it is its reconstruction, without the bound it is trained on.

    Args:
        encoder: A block, a Keras layer or a list of them.
        latent_dim: Numbers in the code.
        decoder: A block, a Keras layer or a list of them, from the code on.
        likelihood: Of the data given the code. `"bernoulli"` for values 0 and 1; `"gaussian"` for any numbers, with
            a variance that is learned for each (at least 1e-6); `"unit_gaussian"` with variance 1, half the squared
            error and a constant.
        beta: Weight of the divergence of the code from its prior (Higgins et al. 2017, "beta-VAE").
        num_importance_samples: Draws of the code for each example in the importance-weighted bound (Burda et al. 2016,
            equation 8); 1 for the bound of the VAE.

    Raises:
        DefinitionError: An argument is out of range, or a size of the data is unknown.

    Examples:
        >>> import deepkit as dk
        >>> tanh = dk.MLP([500], activation="tanh")
        >>> model = dk.VAE(tanh, latent_dim=20, decoder=tanh).build((28, 28, 1))
        >>> model.count_params(), model.encoder.count_params()
        (815824, 412540)
    """

    encoder: Any = field(metadata={"body": "one or many"})
    latent_dim: int = field(kw_only=True)
    decoder: Any = field(kw_only=True, metadata={"body": "one or many"})
    likelihood: str = field(default="bernoulli", kw_only=True)
    beta: float = field(default=1.0, kw_only=True)
    num_importance_samples: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("encoder", "decoder"):
            object.__setattr__(self, name, as_body(getattr(self, name), f"VAE: {name}"))
        parts.positive("VAE", "latent_dim", self.latent_dim)
        parts.choice("VAE", "likelihood", self.likelihood, tuple(LIKELIHOODS))
        parts.positive("VAE", "importance_samples", self.num_importance_samples, most=parts.MOST)
        wrong = beta_problem(self.beta, self.num_importance_samples)
        if wrong:
            raise DefinitionError(f"VAE: {wrong[0]}", hint=wrong[1])

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Several tensors go to the encoder's first element."""
        return True

    @property
    def training_target(self) -> str:
        """The model's loss is of its inputs alone."""
        return "none"

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return what the encoder's first element fixes."""
        return self.encoder[0].input_spec() if self.encoder else None

    def build(self, input_shape: Any = None) -> VariationalAutoencoder:
        """Make a model with weights of its own; see `Block.build`."""
        if input_shape is None and self.input_spec() is None:
            return super().build()  # which says what is missing
        with inside("encoder"):
            encoder = self._encoder().build(input_shape)
        with inside("decoder"):
            decoder = self._decoder(encoder.input_shape[1:]).build((self.latent_dim,))
        return VariationalAutoencoder(
            encoder,
            decoder,
            likelihood=self.likelihood,
            beta=self.beta,
            num_importance_samples=self.num_importance_samples,
            name=self.name or self.default_name,
        )

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the layers of the reconstruction; the code is drawn in training."""
        from deepkit.layers import GaussianSampling

        shape = builder.require_single(x, "expected one tensor, received").shape[1:]
        code = builder.add_block("encoder", self._encoder(), x)
        z = builder.add_layer(code, "sampling", GaussianSampling, dtype="float32")
        outputs = builder.add_block("decoder", self._decoder(shape), z)
        known = LIKELIHOODS[self.likelihood]
        return builder.add_layer(
            outputs[known.outputs[0]], "mean", layers.Activation, known.activation, dtype="float32"
        )

    def _encoder(self) -> Sequential:
        return Sequential([*self.encoder, GaussianHead(self.latent_dim, name="code")], name="encoder")

    def _decoder(self, shape: tuple[int | None, ...]) -> Sequential:
        return Sequential([*self.decoder, _Data(shape, self.likelihood, name="data")], name="decoder")


@dataclass(frozen=True, repr=False)
class _Data(Block):
    """The decoder's last layers: for each number of the data what its distribution needs."""

    shape: tuple[int | None, ...]
    likelihood: str

    def add(self, x: Any, builder: Builder) -> dict[str, Any]:
        """Add a layer for each parameter of the likelihood."""
        if None in self.shape:
            raise builder.error(
                f"the decoder gives back data of one shape, and the input has an unknown size: {self.shape}",
                hint="an input_shape without None",
            )
        return {name: self._layer(x, name, builder) for name in LIKELIHOODS[self.likelihood].outputs}

    def _layer(self, x: Any, name: str, builder: Builder) -> Any:
        """Add a convolution where there are the data's positions already, else a dense layer."""
        given = {"dtype": parts.float32_if_mixed()}
        axis = parts.channel_axis(x) - 1
        if len(self.shape) > 1 and _without(x.shape[1:], axis) == _without(self.shape, axis):
            return parts.add_projection(x, name, self.shape[axis], builder, kernel_size=3, **given)  # type: ignore[arg-type]
        flat = parts.flat(x, builder)
        units = math.prod(self.shape)  # type: ignore[arg-type]
        if len(self.shape) == 1:
            return builder.add_layer(flat, name, layers.Dense, units, **given)
        dense = builder.add_layer(flat, f"{name}_dense", layers.Dense, units, **given)
        return builder.add_layer(dense, name, layers.Reshape, self.shape, **given)

    def __repr__(self) -> str:
        return f"<layer of the data {shape_text(keras.KerasTensor((None, *self.shape)))}, {self.likelihood}>"


def _without(shape: tuple[int | None, ...], axis: int) -> tuple[int | None, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
