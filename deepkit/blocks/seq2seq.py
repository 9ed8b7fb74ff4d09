"""The definition of a sequence-to-sequence model: two texts, an encoder, a decoder and the attention between them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.blocks.attention import SCORES, Attention
from deepkit.blocks.recurrent import BiLSTM, Recurrent
from deepkit.blocks.text import Text
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.inputs import InputSpec
from deepkit.models.seq2seq import SequenceToSequence


@dataclass(frozen=True, repr=False)
class Seq2Seq(Block):
    """From texts to texts: an encoder reads the source, a decoder writes the target, with attention to the source.

    An example is a pair of strings, and strings come out: `dk.fit(net, (sources, targets))` learns both vocabularies,
    then trains the decoder with the right tokens before each (teacher forcing); `run.model.translate([...])` decodes.

    The decoder's layers begin with the encoder's final states, brought to their width by a dense layer with tanh where
    they have another one. The attention stands behind the decoder (Luong, Pham & Manning 2015, sections 3 and 3.1): its
    output asks the memory, and tanh(W [context; output]) is classified. All steps of a training pair are so computed
    at once. In Bahdanau, Cho & Bengio 2015 the state before a step asks and the context enters that step; its additive
    score is `"additive"` here. Without attention it is the model of Sutskever, Vinyals & Le 2014.

    Embeddings begin with numbers of variance 1: with Keras's, twenty times as small, the first hundreds of steps teach
    the decoder little more than how frequent words are.

    `build` makes a `SequenceToSequence`, a `keras.Model` with its own loss. The definition cannot be a part of another.

    Args:
        source: How source texts are made ids.
        target: The same for target texts, which have a vocabulary of their own; as `source` if left out.
        embedding_dim: Width of the vectors that ids become, on both sides.
        encoder: A `dk.Recurrent` or `dk.BiLSTM`; both directions are merged.
        decoder: A `dk.Recurrent` in one direction.
        attention: `"additive"`, `"multiplicative"` or `"dot"`, a `dk.Attention`, or None.
        dropout: Share of the units dropped in training: of the embeddings, and of what is classified.
        reverse_source: Whether the encoder reads the source from its end, so that the beginnings of both texts come
            close to one another (Sutskever et al. 2014, section 3.3).

    Input shape:
        `(batch,)`, of strings.

    Output shape:
        `(tokens, vocabulary)`, logits of all tokens of a batch of pairs.

    Raises:
        DefinitionError: A part is none of these, or the parts do not fit one another.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Seq2Seq(
        ...     source=dk.Text(1_000), target=dk.Text(1_000), embedding_dim=64,
        ...     encoder=dk.BiLSTM(64), decoder=dk.Recurrent("lstm", 128), attention="additive",
        ... )
        >>> pairs = ["ein hund rennt", "ein hund schläft"], ["a dog runs", "a dog sleeps"]
        >>> run = dk.fit(net, pairs, epochs=1, verbose=0)
        >>> sorted(run.history)
        ['accuracy', 'loss', 'perplexity']
    """

    source: Text
    target: Text | None = field(default=None, kw_only=True)
    embedding_dim: int = field(default=256, kw_only=True)
    encoder: Any = field(kw_only=True)
    decoder: Recurrent = field(kw_only=True)
    attention: Any = field(default="additive", kw_only=True)
    dropout: float = field(default=0.0, kw_only=True)
    reverse_source: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("source",) if self.target is None else ("source", "target"):
            _check_kind(f"Seq2Seq: {name}", getattr(self, name), (Text,), "dk.Text(10_000)")
        _check_kind("Seq2Seq: encoder", self.encoder, (BiLSTM, Recurrent), "dk.BiLSTM(256)")
        _check_kind("Seq2Seq: decoder", self.decoder, (Recurrent,), 'dk.Recurrent("lstm", 512)')
        if self._reading.bidirectional is None:
            raise DefinitionError(
                "Seq2Seq: the encoder must merge its two directions", hint='merge="concat", the default'
            )
        if self.decoder.bidirectional is not False:
            raise DefinitionError(
                "Seq2Seq: the decoder must have one direction, as it cannot read what it has not written yet",
                hint=f'dk.Recurrent("{self.decoder.cell}", {self.decoder.units})',
            )
        if not isinstance(self.attention, Attention):
            parts.choice("Seq2Seq", "attention", self.attention, (*SCORES, None))
        elif self.attention.causal:
            raise DefinitionError("Seq2Seq: the attention to a source cannot be causal: all of it is known")
        parts.positive("Seq2Seq", "embedding_dim", self.embedding_dim)
        parts.rate("Seq2Seq", "dropout", self.dropout)
        parts.flag("Seq2Seq", "reverse_source", self.reverse_source)

    def input_spec(self) -> InputSpec:
        """One string an example."""
        return InputSpec((), "string")

    def add(self, x: Any, builder: Builder) -> Any:
        """Refuse: what is trained on pairs of texts is no layer."""
        raise builder.error(
            "a Seq2Seq is trained as a whole, and cannot be a part of another model",
            hint="model = definition.build(), then model.encoder or model.decoder as a part",
        )

    def build(self, input_shape: Any = None) -> SequenceToSequence:
        """Make a model with weights of its own.

        Args:
            input_shape: May be left out: an example is a string.

        Raises:
            DefinitionError: The parts do not fit one another; the message says where.
        """
        if input_shape is not None:
            self.input_spec().with_shape(input_shape, self)
        encoder = self._encoder()
        reader = None if self.attention is None else self._reader(encoder.output[0].shape[-1])
        return SequenceToSequence(
            _ids_layer(self.source, "source_text"),
            _ids_layer(self._written, "target_text"),
            encoder,
            self._decoder(),
            reader,
            self._classifier(),
            reverse_source=self.reverse_source,
            name=self.name or self.default_name,
        )

    @property
    def _written(self) -> Text:
        """How target texts are made ids."""
        return self.target or self.source

    @property
    def _reading(self) -> Recurrent:
        """The encoder in its long form, which gives all that is asked for."""
        encoder = self.encoder.recurrent if isinstance(self.encoder, BiLSTM) else self.encoder
        return replace(encoder, return_sequences=self.attention is not None, return_state=True, name="read")

    def _encoder(self) -> keras.Model:
        """Return a model from ids to the states that the decoder begins with, the memory before them."""
        ids = keras.Input((None,), dtype="int64", name="source")
        memory, *states = self._reading(self._embedded(ids, self.source, mask_zero=True))
        begin = _begin(_merged(states, self._reading), self.decoder)
        return keras.Model(ids, [memory, *begin] if self.attention is not None else begin, name="encoder")

    def _decoder(self) -> keras.Model:
        """Return a model from ids and states to outputs and states."""
        ids = keras.Input((None,), dtype="int64", name="target")
        count = self.decoder.num_layers * self.decoder.num_states
        states = [keras.Input((self.decoder.units,), name=f"state{i + 1}") for i in range(count)]
        block = replace(self.decoder, return_sequences=True, return_state=True, name="write")
        found = block([self._embedded(ids, self._written, mask_zero=False), *states])
        if self.attention is None and self.dropout:
            found = [layers.Dropout(self.dropout, name="dropout_output")(found[0]), *found[1:]]
        return keras.Model([ids, *states], found, name="decoder")

    def _reader(self, width: int) -> keras.Model:
        """Return a model from the decoder's outputs and the memory to what is classified, and the weights."""
        outputs, memory = keras.Input((None, self.decoder.units), name="outputs"), keras.Input((None, width))
        asked = self.attention if isinstance(self.attention, Attention) else Attention(self.attention)
        context, weights = replace(asked, return_weights=True, name="attention")([outputs, memory])
        both = layers.Concatenate(name="context")([context, outputs])
        read = layers.Dense(self.decoder.units, activation="tanh", use_bias=False, name="attentional")(both)
        if self.dropout:
            read = layers.Dropout(self.dropout, name="dropout")(read)
        return keras.Model([outputs, memory], [read, weights], name="reader")

    def _classifier(self) -> layers.Dense:
        layer = layers.Dense(self._written.max_tokens, dtype=parts.float32_if_mixed(), name="classifier")
        layer.build((None, self.decoder.units))
        return layer

    def _embedded(self, ids: Any, text: Text, *, mask_zero: bool) -> Any:
        start = keras.initializers.RandomNormal(stddev=1.0)
        embedding = layers.Embedding(text.max_tokens, self.embedding_dim, start, mask_zero=mask_zero, name="embedding")
        x = embedding(ids)
        return layers.Dropout(self.dropout, name="dropout")(x) if self.dropout else x


def _ids_layer(text: Text, name: str) -> layers.TextVectorization:
    """Return the layer that makes ids of texts."""
    model = replace(text, name=name).build()
    return next(layer for layer in model.layers if isinstance(layer, layers.TextVectorization))


def _merged(states: list[Any], encoder: Recurrent) -> list[list[Any]]:
    """Return the final states of each layer, those of both directions one behind the other."""
    kinds, both = encoder.num_states, encoder.bidirectional is not False
    each = kinds * (2 if both else 1)
    found = []
    for i in range(encoder.num_layers):
        own = states[i * each : (i + 1) * each]
        pairs = [[own[k], own[k + kinds]] if both else [own[k]] for k in range(kinds)]
        names = [f"final{i + 1}_{k + 1}" for k in range(kinds)]
        found.append(
            [layers.Concatenate(name=name)(pair) if both else pair[0] for name, pair in zip(names, pairs, strict=True)]
        )
    return found


def _begin(finals: list[list[Any]], decoder: Recurrent) -> list[Any]:
    """Return the states that the decoder begins with: layer by layer, or all from the encoder's last layer."""
    found = []
    for i in range(decoder.num_layers):
        given = finals[i] if len(finals) == decoder.num_layers else finals[-1]
        for k in range(decoder.num_states):
            state = given[min(k, len(given) - 1)]
            fits = state.shape[-1] == decoder.units and k < len(given)
            name = f"begin{i + 1}_{k + 1}"
            found.append(state if fits else layers.Dense(decoder.units, activation="tanh", name=name)(state))
    return found


def _check_kind(owner: str, value: Any, kinds: tuple[type, ...], hint: str) -> None:
    if not isinstance(value, kinds):
        expected = " or ".join(f"dk.{kind.__name__}" for kind in kinds)
        raise DefinitionError(f"{owner} must be {expected}, received {value!r}", hint=hint)
