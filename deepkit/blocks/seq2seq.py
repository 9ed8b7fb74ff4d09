"""The sequence-to-sequence model as a definition: encoder, decoder, and attention between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, MISSING, replace
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.blocks.attention import SCORES, Attention
from deepkit.blocks.recurrent import BiLSTM, Recurrent
from deepkit.blocks.text import Text
from deepkit.definition import fields, source
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.inputs import InputSpec
from deepkit.models.seq2seq import SequenceToSequence
from deepkit.utils.errors import format_value
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Shape, Tensors


class _BlockField(fields.Field[Any, Any]):
    """A block of certain classes."""

    def __init__(self, *classes: type[Block], example: str, default: object = MISSING) -> None:
        super().__init__(default=default)
        self.classes, self.example = classes, example

    def validate(self, value: object, name: str) -> object:
        if isinstance(value, self.classes) or (value is None and self.default is None):
            return value
        expected = " or ".join(f"dk.{cls.__name__}" for cls in self.classes)
        raise DefinitionError(f"{name} must be {expected}, received {format_value(value)}", hint=f"use {self.example}")

    def to_source(self, value: object) -> str:
        return repr(value)


class _AttentionField(fields.Field[Any, "Attention | str | None"]):
    """A score, a `dk.Attention`, or None."""

    def validate(self, value: object, name: str) -> Attention | str | None:
        if isinstance(value, Attention):
            return value
        return check_choice(value, name, (*SCORES, None), error=DefinitionError)

    def to_source(self, value: Attention | str | None) -> str:
        return source.quoted(value)


class Seq2Seq(Block):
    """A sequence-to-sequence model: an encoder of the source text, and a decoder that generates the target text.

    An example is a pair of strings. `dk.fit(net, (sources, targets))` adapts both vocabularies, then trains the decoder
    with teacher forcing; `run.model.translate([...])` decodes autoregressively.

    The initial states of the decoder are the final states of the encoder, projected by a dense layer with tanh if their
    widths differ. The attention follows the decoder: the query is the decoder's output, and tanh(W [context; output])
    is classified, so that all steps of a training pair are computed at once. In Bahdanau, Cho & Bengio 2015 the query
    is the state before a step, and the context is an input of that step; their additive score is `"additive"` here.

    Embeddings have initial values of variance 1: with Keras's, which are twenty times smaller, the first hundreds of
    steps teach the decoder little more than the frequencies of words.

    `build` returns a `SequenceToSequence`, a `keras.Model` with its own loss. The definition cannot be part of another.

    Reference:
        Luong, Pham & Manning 2015, "Effective Approaches to Attention-based Neural Machine Translation", sections 3 and
        3.1; without attention, Sutskever, Vinyals & Le 2014, "Sequence to Sequence Learning with Neural Networks".

    Args:
        source: A `dk.Text` that converts source texts to token ids.
        target: A `dk.Text` for target texts, which have a separate vocabulary; None for one that equals `source`.
        embedding_dim: Width of the token embeddings of both texts.
        encoder: A `dk.Recurrent` or `dk.BiLSTM`; its directions are merged.
        decoder: A `dk.Recurrent` in one direction.
        attention: `"additive"`, `"multiplicative"` or `"dot"`, a `dk.Attention`, or None.
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

    source: Text = _BlockField(Text, example="dk.Text(10_000)")  # type: ignore[assignment]
    _: KW_ONLY
    target: Text | None = _BlockField(Text, example="dk.Text(10_000)", default=None)  # type: ignore[assignment]
    embedding_dim: int = fields.integer(default=256)
    encoder: Recurrent | BiLSTM = _BlockField(BiLSTM, Recurrent, example="dk.BiLSTM(256)")  # type: ignore[assignment]
    decoder: Recurrent = _BlockField(Recurrent, example='dk.Recurrent("lstm", 512)')  # type: ignore[assignment]
    attention: fields.Field[Any, Attention | str | None] = _AttentionField(default="additive")
    dropout: float = fields.fraction(default=0.0)
    reverse_source: bool = fields.flag(default=False)

    def check(self) -> None:
        """Refuse an encoder without a merge, a bidirectional decoder, and causal attention."""
        if self._full_encoder().bidirectional is None:
            raise DefinitionError(
                "Seq2Seq: the encoder must merge its two directions", hint='use merge="concat", the default'
            )
        if self.decoder.bidirectional is not False:
            raise DefinitionError(
                "Seq2Seq: the decoder must have one direction, as later tokens are not generated yet",
                hint=f'use dk.Recurrent("{self.decoder.cell}", {self.decoder.units})',
            )
        if isinstance(self.attention, Attention) and self.attention.causal:
            raise DefinitionError(
                "Seq2Seq: the attention to a source cannot be causal: all of it is known", hint="use causal=False"
            )

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
        attention_head = None
        if self.attention is not None:
            attention_head = self._build_attention_head(self.attention, encoder.output[0].shape[-1])
        return SequenceToSequence(
            _text_layer(self.source, "source_text"),
            _text_layer(self._target_text, "target_text"),
            encoder,
            self._build_decoder(),
            attention_head,
            self._build_classifier(),
            reverse_source=self.reverse_source,
            name=self.name or self.default_name,
        )

    @property
    def _target_text(self) -> Text:
        """The `dk.Text` of the target texts."""
        return self.target or self.source

    def _full_encoder(self) -> Recurrent:
        """Return the encoder as a `dk.Recurrent` that returns the memory for the attention, and the final states."""
        encoder = self.encoder.recurrent if isinstance(self.encoder, BiLSTM) else self.encoder
        return replace(encoder, return_sequences=self.attention is not None, return_state=True, name="read")

    def _build_encoder(self) -> keras.Model:
        """Return a model from token ids to the decoder's initial states, after the memory if there is attention."""
        ids = keras.Input((None,), dtype="int64", name="source")
        memory, *states = self._full_encoder()(self._embed(ids, self.source, mask_zero=True))
        initial_states = _initial_states(_states_by_layer(states, self._full_encoder()), self.decoder)
        outputs = [memory, *initial_states] if self.attention is not None else initial_states
        return keras.Model(ids, outputs, name="encoder")

    def _build_decoder(self) -> keras.Model:
        """Return a model from token ids and states to outputs and states."""
        ids = keras.Input((None,), dtype="int64", name="target")
        num_states = self.decoder.num_layers * self.decoder.num_states
        states = [keras.Input((self.decoder.units,), name=f"state{i + 1}") for i in range(num_states)]
        decoder = replace(self.decoder, return_sequences=True, return_state=True, name="write")
        outputs = decoder([self._embed(ids, self._target_text, mask_zero=False), *states])
        if self.attention is None and self.dropout:
            outputs = [layers.Dropout(self.dropout, name="dropout_output")(outputs[0]), *outputs[1:]]
        return keras.Model([ids, *states], outputs, name="decoder")

    def _build_attention_head(self, attention: Attention | str, memory_width: int) -> keras.Model:
        """Return a model from the decoder's outputs and the memory to the classifier's input and the weights."""
        outputs = keras.Input((None, self.decoder.units), name="outputs")
        memory = keras.Input((None, memory_width))
        block = attention if isinstance(attention, Attention) else Attention(attention)
        context, weights = replace(block, return_weights=True, name="attention")([outputs, memory])
        concatenated = layers.Concatenate(name="context")([context, outputs])
        hidden = layers.Dense(self.decoder.units, activation="tanh", use_bias=False, name="attentional")(concatenated)
        if self.dropout:
            hidden = layers.Dropout(self.dropout, name="dropout")(hidden)
        return keras.Model([outputs, memory], [hidden, weights], name="reader")

    def _build_classifier(self) -> layers.Dense:
        layer = layers.Dense(self._target_text.max_tokens, dtype=common.float32_if_mixed(), name="classifier")
        layer.build((None, self.decoder.units))
        return layer

    def _embed(self, ids: KerasTensor, text: Text, *, mask_zero: bool) -> Any:
        initializer = keras.initializers.RandomNormal(stddev=1.0)
        embedding = layers.Embedding(
            text.max_tokens, self.embedding_dim, initializer, mask_zero=mask_zero, name="embedding"
        )
        x = embedding(ids)
        return layers.Dropout(self.dropout, name="dropout")(x) if self.dropout else x


def _text_layer(text: Text, name: str) -> layers.TextVectorization:
    """Return the layer that converts texts to token ids."""
    model = replace(text, name=name).build()
    return next(layer for layer in model.layers if isinstance(layer, layers.TextVectorization))


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


def _initial_states(final_states: list[list[Any]], decoder: Recurrent) -> list[Any]:
    """Return the initial states of the decoder: layer by layer, or all from the last layer of the encoder."""
    initial_states = []
    for i in range(decoder.num_layers):
        layer_states = final_states[i] if len(final_states) == decoder.num_layers else final_states[-1]
        for k in range(decoder.num_states):
            state = layer_states[min(k, len(layer_states) - 1)]
            if state.shape[-1] != decoder.units or k >= len(layer_states):
                state = layers.Dense(decoder.units, activation="tanh", name=f"begin{i + 1}_{k + 1}")(state)
            initial_states.append(state)
    return initial_states
