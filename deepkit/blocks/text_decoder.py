"""The networks of models that generate texts: embeddings, decoder, initial states and classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.blocks.attention import SCORES, Attention
from deepkit.blocks.recurrent import Recurrent
from deepkit.blocks.text import Text
from deepkit.blocks.transformer import TransformerDecoder
from deepkit.definition import fields, source
from deepkit.definition.block import Block
from deepkit.definition.errors import DefinitionError
from deepkit.definition.sequential import Sequential
from deepkit.layers import HardAttention, PositionEmbedding, TokenIds
from deepkit.utils.errors import format_value
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Shape

AUTO = "auto"
_EXPECTATION_RATE = 0.5  # of hard attention, as in Xu et al. 2015, section 4.1


class BlockField(fields.Field[Any, Any]):
    """A block of certain classes."""

    def __init__(self, *classes: type[Block], example: str, default: object = MISSING) -> None:
        super().__init__(default=default)
        self.classes, self.example = classes, example

    def validate(self, value: object, name: str) -> object:
        """Return the block, or raise an error for another value."""
        if isinstance(value, self.classes) or (value is None and self.default is None):
            return value
        expected = " or ".join(f"dk.{cls.__name__}" for cls in self.classes)
        raise DefinitionError(f"{name} must be {expected}, received {format_value(value)}", hint=f"use {self.example}")

    def to_source(self, value: object) -> str:
        """Return the code of the block."""
        return repr(value)


class AttentionField(fields.Field[Any, "Attention | str | None"]):
    """A score, a `dk.Attention`, `"auto"`, or None."""

    def validate(self, value: object, name: str) -> Attention | str | None:
        """Return the attention, or raise an error for another value."""
        if isinstance(value, Attention):
            return value
        return check_choice(value, name, (AUTO, *SCORES, None), error=DefinitionError)

    def to_source(self, value: Attention | str | None) -> str:
        """Return the code of the attention."""
        return source.quoted(value)


def decoder_field() -> Any:
    """Return a field for a decoder."""
    return BlockField(Recurrent, TransformerDecoder, example='dk.Recurrent("lstm", 512)')


def check_decoder(decoder: Recurrent | TransformerDecoder, owner: str) -> None:
    """Refuse a decoder that reads tokens that are not generated yet.

    Args:
        decoder: The decoder.
        owner: Name of the class with this argument, for the message.

    Raises:
        DefinitionError: The decoder has two directions.
    """
    if isinstance(decoder, Recurrent) and decoder.bidirectional is not False:
        raise DefinitionError(
            f"{owner}: the decoder must have one direction, as later tokens are not generated yet",
            hint=f'use dk.Recurrent("{decoder.cell}", {decoder.units})',
        )


def check_target_text(text: Text, owner: str) -> None:
    """Refuse tokens that do not follow one another in a text.

    Args:
        text: The texts that are generated.
        owner: Name of the class that has it, for the message.

    Raises:
        DefinitionError: The text layer adds n-grams to the words.
    """
    ngrams = dict(text.text).get("ngrams")
    if ngrams is not None:
        raise DefinitionError(
            f"{owner}: generated texts must be sequences of tokens, received ngrams={format_value(ngrams)}, which adds "
            "overlapping groups of words",
            hint="leave ngrams out",
        )


def resolve_attention(
    attention: Attention | str | None, decoder: Recurrent | TransformerDecoder, owner: str
) -> Attention | None:
    """Return the attention after a recurrent decoder; None without one, and for a Transformer decoder.

    Args:
        attention: The argument of a definition.
        decoder: The decoder.
        owner: Name of the class with these arguments, for the message.

    Raises:
        DefinitionError: The attention is causal, or the decoder is a Transformer.
    """
    if isinstance(decoder, TransformerDecoder):
        if attention != AUTO:
            raise DefinitionError(
                f"{owner}: attention has no effect for a dk.TransformerDecoder, which attends to the memory in each "
                f"layer, received {format_value(attention)}",
                hint='leave attention out, or use a dk.Recurrent("gru", 256) as the decoder',
            )
        return None
    if isinstance(attention, Attention) and attention.causal:
        raise DefinitionError(
            f"{owner}: the attention to a source cannot be causal, as the whole source is known",
            hint="use causal=False",
        )
    if attention is None or isinstance(attention, Attention):
        return attention
    return Attention("additive" if attention == AUTO else attention)


@dataclass(frozen=True)
class TextDecoder:
    """The networks of a decoder of texts, as a definition's arguments describe them.

    Args:
        decoder: A `dk.Recurrent` or a `dk.TransformerDecoder`.
        text: The `dk.Text` of the generated texts.
        embedding_dim: Width of the token embeddings.
        dropout: Fraction dropped of the embeddings, and of the input of the classifier.
        attention: The attention after a recurrent decoder, or None.
        hard: Whether the attention reads one position for each token.
    """

    decoder: Recurrent | TransformerDecoder
    text: Text
    embedding_dim: int
    dropout: float = 0.0
    attention: Attention | None = None
    hard: bool = False

    @property
    def width(self) -> int:
        """Width of the input of the classifier."""
        return self.decoder.units if isinstance(self.decoder, Recurrent) else self.embedding_dim

    @property
    def num_states(self) -> int:
        """Number of initial states."""
        return self.decoder.num_layers * self.decoder.num_states if isinstance(self.decoder, Recurrent) else 0

    @property
    def has_memory(self) -> bool:
        """Whether the decoder attends to a memory, if there is one."""
        return isinstance(self.decoder, TransformerDecoder) or self.attention is not None

    def build(self, memory_shape: Shape | None, *, has_mask: bool = False, has_initial_states: bool) -> keras.Model:
        """Return the decoder of an `AutoregressiveModel`.

        Args:
            memory_shape: Shape of the memory without the batch axis, or None if there is none.
            has_mask: Whether the memory has a mask.
            has_initial_states: Whether the initial states of a recurrent decoder are inputs.
        """
        inputs = {"ids": keras.Input((None,), dtype="int64", name="ids")}
        x = embed(inputs["ids"], self.text, self.embedding_dim, dropout=self.dropout, mask_zero=False)
        if memory_shape is not None:
            inputs["memory"] = keras.Input(memory_shape, name="memory")
            if has_mask:
                inputs["memory"]._keras_mask = keras.KerasTensor((None, *memory_shape[:-1]), "bool")
        if isinstance(self.decoder, TransformerDecoder):
            outputs = self._add_transformer(self.decoder, x, inputs.get("memory"))
        else:
            if has_initial_states:
                for i in range(self.num_states):
                    inputs[f"state{i + 1}"] = keras.Input((self.width,), name=f"state{i + 1}")
            outputs = self._add_recurrent(self.decoder, x, inputs)
        if self.dropout:
            outputs["hidden"] = layers.Dropout(self.dropout, name="dropout_output")(outputs["hidden"])
        model = keras.Model(inputs, outputs, name="decoder")
        model.supports_masking = True  # of the memory
        return model

    def build_classifier(self) -> layers.Dense:
        """Return the layer that returns the logits of the next token."""
        layer = layers.Dense(self.text.max_tokens, dtype=common.float32_if_mixed(), name="classifier")
        layer.build((None, self.width))
        return layer

    def _add_transformer(
        self, decoder: TransformerDecoder, x: KerasTensor, memory: KerasTensor | None
    ) -> dict[str, Any]:
        x = PositionEmbedding(name="positions")(x)
        if memory is None:
            return {"hidden": replace(decoder, name="write")(x)}
        hidden, weights = replace(decoder, return_weights=True, name="write")([x, memory])
        return {"hidden": hidden, "weights": weights}

    def _add_recurrent(self, decoder: Recurrent, x: KerasTensor, inputs: dict[str, KerasTensor]) -> dict[str, Any]:
        states = [tensor for name, tensor in inputs.items() if name.startswith("state")]
        decoder = replace(decoder, return_sequences=True, return_state=True, name="write")
        hidden, *states = decoder([x, *states])
        outputs = {"hidden": hidden, **name_states(states)}
        if self.attention is not None and "memory" in inputs:
            attend = replace(self.attention, return_weights=True, name="attention")
            context, outputs["weights"] = attend([hidden, inputs["memory"]])
            dense = layers.Dense(self.width, activation="tanh", use_bias=False, name="attentional")
            if self.hard:
                outputs["mean_hidden"] = dense(layers.Concatenate(name="mean_context")([context, hidden]))
                select = HardAttention(_EXPECTATION_RATE, name="selection", dtype=common.float32_if_mixed())
                context, outputs["selected"] = select([outputs["weights"], inputs["memory"]])
            outputs["hidden"] = dense(layers.Concatenate(name="context")([context, hidden]))
        return outputs


def name_states(states: Sequence[Any]) -> dict[str, Any]:
    """Return states by the names of the inputs of a decoder."""
    return {f"state{i}": state for i, state in enumerate(states, start=1)}


def embed(ids: KerasTensor, text: Text, embedding_dim: int, *, dropout: float, mask_zero: bool) -> Any:
    """Return the embeddings of ids, with initial values of variance 1."""
    initializer = keras.initializers.RandomNormal(stddev=1.0)
    embedding = layers.Embedding(text.max_tokens, embedding_dim, initializer, mask_zero=mask_zero, name="embedding")
    x = embedding(ids)
    return layers.Dropout(dropout, name="dropout")(x) if dropout else x


def project_states(sources: Sequence[Sequence[KerasTensor]], decoder: Recurrent) -> list[Any]:
    """Return initial states of a decoder from the final states of an encoder.

    A state of another width, or of a kind that the encoder does not have, is computed by a dense layer with tanh.

    Args:
        sources: The final states `(batch, features)` of each layer of an encoder. If the decoder has another number of
            layers, all use those of the last layer.
        decoder: The decoder.
    """
    initial_states = []
    for i in range(decoder.num_layers):
        layer_states = sources[i] if len(sources) == decoder.num_layers else sources[-1]
        for k in range(decoder.num_states):
            state = layer_states[min(k, len(layer_states) - 1)]
            if state.shape[-1] != decoder.units or k >= len(layer_states):
                state = _project(state, decoder, i, k)
            initial_states.append(state)
    return initial_states


def states_from_vector(vector: KerasTensor, decoder: Recurrent) -> list[Any]:
    """Return initial states of a decoder, each computed from a vector by a dense layer with tanh."""
    return [_project(vector, decoder, i, k) for i in range(decoder.num_layers) for k in range(decoder.num_states)]


def _project(x: KerasTensor, decoder: Recurrent, i: int, k: int) -> Any:
    return layers.Dense(decoder.units, activation="tanh", name=f"begin{i + 1}_{k + 1}")(x)


def text_layer(text: Text, name: str) -> TokenIds:
    """Return the layer that converts texts to token ids; a model of two texts needs two names."""
    model = Sequential([replace(text, name=name)]).build()
    return next(layer for layer in model.layers if isinstance(layer, TokenIds))
