"""The sequence-to-sequence model as a definition: encoder, decoder, and attention between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, replace
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks.attention import Attention
from deepkit.blocks.recurrent import BiLSTM, Recurrent
from deepkit.blocks.text import Text
from deepkit.blocks.text_decoder import (
    AUTO,
    AttentionField,
    BlockField,
    TextDecoder,
    check_decoder,
    check_target_text,
    decoder_field,
    embed,
    name_states,
    project_states,
    resolve_attention,
    states_from_vector,
    text_layer,
)
from deepkit.blocks.transformer import TransformerDecoder, TransformerEncoder
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.inputs import InputSpec
from deepkit.layers import MaskedPooling1D, PositionEmbedding
from deepkit.models.seq2seq import SequenceToSequence

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensors


class Seq2Seq(Block):
    """A sequence-to-sequence model: an encoder of the source text, and a decoder that generates the target text.

    An example is a pair of strings. `dk.fit(net, (sources, targets))` adapts both vocabularies, then trains the decoder
    with teacher forcing; `run.model.translate(text)` decodes autoregressively, also a list of texts.

    A recurrent decoder begins with the final states of the encoder, projected by a dense layer with tanh if their
    widths differ; after a `dk.TransformerEncoder`, with projections of the mean of its outputs. The attention follows
    the decoder: the query is the decoder's output, and tanh(W [context; output]) is classified, so that all steps of a
    training pair are computed at once. In Bahdanau, Cho & Bengio 2015 the query is the state before a step, and the
    context is an input of that step; their additive score is `"additive"` here.

    A `dk.TransformerDecoder` attends to the outputs of the encoder in each of its layers. Transformers are as wide as
    the embeddings, to which sinusoids of the positions are added. Decoding keeps the keys and values of earlier steps.

    Embeddings have initial values of variance 1: with Keras's, which are twenty times smaller, the first hundreds of
    steps teach the decoder little more than the frequencies of words.

    `build` returns a `SequenceToSequence`, a `keras.Model` with its own loss. The definition cannot be part of another.

    Reference:
        Luong, Pham & Manning 2015, "Effective Approaches to Attention-based Neural Machine Translation", sections 3 and
        3.1; without attention, Sutskever, Vinyals & Le 2014, "Sequence to Sequence Learning with Neural Networks"; with
        Transformers, Vaswani et al. 2017, "Attention Is All You Need".

    Args:
        source: A `dk.Text` that converts source texts to token ids.
        target: A `dk.Text` for target texts, which have a separate vocabulary; None for one that equals `source`.
        embedding_dim: Width of the token embeddings of both texts.
        encoder: A `dk.Recurrent` or `dk.BiLSTM`, whose directions are merged, or a `dk.TransformerEncoder`.
        decoder: A `dk.Recurrent` in one direction, or a `dk.TransformerDecoder`.
        attention: The attention after a recurrent decoder: `"additive"`, which is the default, `"multiplicative"` or
            `"dot"`, a `dk.Attention`, or None. Leave it out for a `dk.TransformerDecoder`.
        dropout: Fraction of the units dropped in training: of the embeddings, and of the input of the classifier.
        reverse_source: Whether the encoder reads the source backward, so that the beginnings of both texts are close to
            each other (Sutskever et al. 2014, section 3.3).

    Input shape:
        `(batch,)`, of strings.

    Output shape:
        `(tokens, vocabulary)`, logits of all tokens of a batch of pairs.

    Raises:
        DefinitionError: An argument has another type, or encoder, decoder and attention do not fit one another.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Seq2Seq(
        ...     source=dk.Text(1_000),
        ...     target=dk.Text(1_000),
        ...     embedding_dim=64,
        ...     encoder=dk.BiLSTM(64),
        ...     decoder=dk.Recurrent("lstm", 128),
        ...     attention="additive",
        ... )
        >>> pairs = (
        ...     ["ein hund rennt", "ein hund schläft"],
        ...     ["a dog runs", "a dog sleeps"],
        ... )
        >>> run = dk.fit(net, pairs, epochs=1, verbose=0)
        >>> sorted(run.history)
        ['accuracy', 'loss', 'perplexity']
    """

    source: Text = BlockField(Text, example="dk.Text(10_000)")  # type: ignore[assignment]
    _: KW_ONLY
    target: Text | None = BlockField(Text, example="dk.Text(10_000)", default=None)  # type: ignore[assignment]
    embedding_dim: int = fields.integer(default=256)
    encoder: Recurrent | BiLSTM | TransformerEncoder = BlockField(  # type: ignore[assignment]
        BiLSTM, Recurrent, TransformerEncoder, example="dk.BiLSTM(256)"
    )
    decoder: Recurrent | TransformerDecoder = decoder_field()
    attention: fields.Field[Any, Attention | str | None] = AttentionField(default=AUTO)
    dropout: float = fields.fraction(default=0.0)
    reverse_source: bool = fields.flag(default=False)

    @property
    def default_name(self) -> str:
        """Name of the model if `name` is None."""
        return "seq2seq"

    def check(self) -> None:
        """Refuse an encoder without a merge, a bidirectional decoder, and attention that does not fit the decoder."""
        encoder = self._recurrent_encoder
        if encoder is not None and encoder.bidirectional is None:
            raise DefinitionError(
                "Seq2Seq: the encoder must merge its two directions", hint='use merge="concat", the default'
            )
        check_decoder(self.decoder, "Seq2Seq")
        check_target_text(self._target_text, "Seq2Seq")
        resolve_attention(self.attention, self.decoder, "Seq2Seq")

    def input_spec(self) -> InputSpec:
        """Return the input: one string per example."""
        return InputSpec((), "string")

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Refuse: a model that is trained on pairs of texts is not a layer."""
        raise builder.error(
            "a Seq2Seq is trained as a whole and cannot be part of another model",
            hint="use model = definition.build(), then model.encoder or model.decoder",
        )

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> SequenceToSequence:
        """Return a Keras model with new weights.

        Args:
            input_shape: May be left out: an example is a string.

        Raises:
            DefinitionError: The parts do not fit one another; the message contains the path.
        """
        if input_shape is not None:
            self.input_spec().check_shape(input_shape, self)
        encoder = self._build_encoder()
        memory = encoder.output.get("memory")
        decoder = self._text_decoder.build(
            None if memory is None else tuple(memory.shape[1:]), has_mask=True, has_initial_states=True
        )
        return SequenceToSequence(
            text_layer(self.source, "source_text"),
            text_layer(self._target_text, "target_text"),
            encoder,
            decoder,
            self._text_decoder.build_classifier(),
            reverse_source=self.reverse_source,
            name=self.name or self.default_name,
        )

    @property
    def _target_text(self) -> Text:
        """The `dk.Text` of the target texts."""
        return self.target or self.source

    @property
    def _text_decoder(self) -> TextDecoder:
        """The networks of the decoder."""
        attention = resolve_attention(self.attention, self.decoder, "Seq2Seq")
        return TextDecoder(self.decoder, self._target_text, self.embedding_dim, self.dropout, attention)

    @property
    def _recurrent_encoder(self) -> Recurrent | None:
        """The encoder as a `dk.Recurrent` that returns the memory for the attention, and the final states."""
        encoder = self.encoder.recurrent if isinstance(self.encoder, BiLSTM) else self.encoder
        if isinstance(encoder, TransformerEncoder):
            return None
        return replace(encoder, return_sequences=self._text_decoder.has_memory, return_state=True, name="read")

    def _build_encoder(self) -> keras.Model:
        """Return a model from token ids to the memory, if the decoder attends to it, and the initial states."""
        ids = keras.Input((None,), dtype="int64", name="source")
        x = embed(ids, self.source, self.embedding_dim, dropout=self.dropout, mask_zero=True)
        states: list[Any] = []
        if self._recurrent_encoder is None:
            memory = replace(self.encoder, name="read")(PositionEmbedding(name="positions")(x))
            if isinstance(self.decoder, Recurrent):
                states = states_from_vector(MaskedPooling1D("avg", name="mean")(memory), self.decoder)
        else:
            memory, *final_states = self._recurrent_encoder(x)
            if isinstance(self.decoder, Recurrent):
                states = project_states(_states_by_layer(final_states, self._recurrent_encoder), self.decoder)
        outputs = name_states(states)
        if self._text_decoder.has_memory:
            outputs["memory"] = memory
        return keras.Model(ids, outputs, name="encoder")


def _states_by_layer(states: list[Any], encoder: Recurrent) -> list[list[Any]]:
    """Return the final states of each layer, those of two directions concatenated."""
    num_states, is_bidirectional = encoder.num_states, encoder.bidirectional is not False
    states_per_layer = num_states * (2 if is_bidirectional else 1)
    by_layer = []
    for i in range(encoder.num_layers):
        layer_states = states[i * states_per_layer : (i + 1) * states_per_layer]
        merged = []
        for k in range(num_states):
            state = layer_states[k]
            if is_bidirectional:
                concatenate = layers.Concatenate(name=f"final{i + 1}_{k + 1}")
                state = concatenate([state, layer_states[k + num_states]])
            merged.append(state)
        by_layer.append(merged)
    return by_layer
