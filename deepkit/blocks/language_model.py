"""The language model as a definition: a decoder that predicts each token of a text from the tokens before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING

from deepkit.blocks.recurrent import Recurrent
from deepkit.blocks.text import Text
from deepkit.blocks.text_decoder import (
    BlockField,
    TextDecoder,
    check_decoder,
    check_target_text,
    decoder_field,
    text_layer,
)
from deepkit.blocks.transformer import TransformerDecoder
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.inputs import InputSpec
from deepkit.models.language_model import AutoregressiveLanguageModel

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensors


class LanguageModel(Block):
    """A language model: it predicts each token of a text from the tokens before it, and continues texts.

    An example is a string. `dk.fit(net, texts)` adapts the vocabulary, then trains on all tokens of each text at once;
    `run.model.generate("The ")` draws a continuation. The tokens are words, or characters with
    `dk.Text(..., split="character")`.

    For texts that are pieces of a longer one, use `predict_end=False`: such pieces end at arbitrary tokens.

    `build` returns an `AutoregressiveLanguageModel`, a `keras.Model` with its own loss. The definition cannot be part
    of another definition.

    Reference:
        Bengio, Ducharme, Vincent & Jauvin 2003, "A Neural Probabilistic Language Model"; Sutskever, Martens & Hinton
        2011, "Generating Text with Recurrent Neural Networks", for recurrent decoders; Vaswani et al. 2017, "Attention
        Is All You Need", for Transformers.

    Args:
        text: A `dk.Text` that converts texts to token ids.
        embedding_dim: Width of the token embeddings, and of a Transformer.
        decoder: A `dk.Recurrent` in one direction, or a `dk.TransformerDecoder`, whose input is the sum of the
            embeddings and sinusoids of the positions.
        dropout: Fraction of the units dropped in training: of the embeddings, and of the input of the classifier.
        predict_end: Whether the model predicts the end of a text after its last token.

    Input shape:
        `(batch,)`, of strings.

    Output shape:
        `(tokens, vocabulary)`, logits of all tokens of a batch of texts.

    Raises:
        DefinitionError: An argument has another type, or the decoder has two directions.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.LanguageModel(
        ...     dk.Text(100, split="character", standardize="lower"),
        ...     embedding_dim=16,
        ...     decoder=dk.TransformerDecoder(2, num_layers=2),
        ... )
        >>> texts = ["a dog runs", "a dog sleeps", "two dogs run"]
        >>> run = dk.fit(net, texts, epochs=1, verbose=0)
        >>> run.model.generate("a d", max_new_tokens=4, seed=0).startswith("a d")
        True
    """

    text: Text = BlockField(Text, example="dk.Text(10_000)")  # type: ignore[assignment]
    _: KW_ONLY
    embedding_dim: int = fields.integer(default=256)
    decoder: Recurrent | TransformerDecoder = decoder_field()
    dropout: float = fields.fraction(default=0.0)
    predict_end: bool = fields.flag(default=True)

    def check(self) -> None:
        """Refuse a decoder with two directions."""
        check_decoder(self.decoder, "LanguageModel")
        check_target_text(self.text, "LanguageModel")

    @property
    def training_target(self) -> str:
        """`"none"`: the loss depends on the inputs only."""
        return "none"

    def input_spec(self) -> InputSpec:
        """Return the input: one string per example."""
        return InputSpec((), "string")

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: a model with its own loss is not a layer."""
        raise builder.error(
            "a LanguageModel is trained as a whole and cannot be part of another model",
            hint="use model = definition.build(), then model.decoder",
        )

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> AutoregressiveLanguageModel:
        """Return a Keras model with new weights.

        Args:
            input_shape: May be left out: an example is a string.

        Raises:
            DefinitionError: The parts do not fit one another; the message contains the path.
        """
        if input_shape is not None:
            self.input_spec().check_shape(input_shape, self)
        decoder = TextDecoder(self.decoder, self.text, self.embedding_dim, self.dropout)
        return AutoregressiveLanguageModel(
            text_layer(self.text, "text"),
            decoder.build(None, has_initial_states=False),
            decoder.build_classifier(),
            predict_end=self.predict_end,
            name=self.name or self.default_name,
        )
