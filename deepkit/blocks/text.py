"""Text: strings to token ids inside the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING

import keras
from keras import layers

from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.inputs import InputSpec
from deepkit.layers import TokenIds
from deepkit.utils.errors import format_value

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor

_BLOCK_ARGUMENTS = ("max_tokens", "output_sequence_length", "standardize", "split", "vocabulary", "output_mode")
_STANDARDIZE = ("lower_and_strip_punctuation", "lower_and_split_punctuation", "lower", "strip_punctuation", None)
_SPLIT = ("whitespace", "character", None)
_VOCABULARY_HINT = 'use vocabulary=("the", "dog")'


class _VocabularyField(fields.Field["Sequence[str] | None", "tuple[str, ...] | None"]):
    """A vocabulary as a tuple of distinct tokens, without those of padding and of unknown tokens."""

    def validate(self, value: object, name: str) -> tuple[str, ...] | None:
        if value is None:
            return None
        is_text = isinstance(value, str)
        if is_text or not isinstance(value, Sequence) or not all(isinstance(token, str) for token in value):
            raise DefinitionError(
                f"{name} must be a tuple of tokens, received {format_value(value)}", hint=_VOCABULARY_HINT
            )
        tokens = tuple(str(token) for token in value)
        if tokens[:2] == ("", "[UNK]"):  # as `get_vocabulary` returns them
            tokens = tokens[2:]
        problem = ""
        if not tokens:
            problem = "no tokens"
        elif "" in tokens:
            problem = "an empty token"
        elif len(set(tokens)) < len(tokens):
            duplicates = [token for token, count in Counter(tokens).items() if count > 1]
            problem = f"{duplicates[0]!r} twice"
        if problem:
            raise DefinitionError(f"{name} must hold distinct tokens, received {problem}", hint=_VOCABULARY_HINT)
        return tokens


class Text(Block):
    """Convert strings to token ids with Keras's `TextVectorization` inside the model.

    The saved model takes strings. Id 0 is padding, after the tokens of the shorter texts of a batch; id 1 stands for
    every token that is not in the vocabulary, and for an empty text. `dk.fit` adapts the vocabulary to the training
    inputs, the most frequent tokens first; `dk.adapt` does so for a built model.

    Ids are not quantities: put a `keras.layers.Embedding` after this block. Dense, convolutional, recurrent and
    normalization layers refuse ids.

    Args:
        max_tokens: Largest number of ids, including those of padding and of unknown tokens.
        output_sequence_length: Number of tokens to which each text is truncated or padded; None for the length of the
            longest text of a batch.
        truncating: Which tokens of a longer text are removed: `"post"` the last, `"pre"` the first.
        standardize: Standardization before splitting: `"lower_and_strip_punctuation"`,
            `"lower_and_split_punctuation"`, which makes punctuation marks tokens, `"lower"`, `"strip_punctuation"` or
            None. Letters of every script are lowercased; Keras's layer lowercases ASCII only. The punctuation that is
            stripped is that of ASCII, as in Keras; the punctuation that is split off is that of every script.
        split: `"whitespace"` for words, separated by any whitespace of Unicode; `"character"` for characters; None for
            the whole text as one token.
        vocabulary: The tokens of ids 2, 3, ...; None to adapt it to data.
        text: Further arguments of `keras.layers.TextVectorization`: `{"ngrams": 2}`.

    Input shape:
        `(batch,)`, of strings.

    Output shape:
        `(batch, output_sequence_length)`, or `(batch, time)` without a length.

    Raises:
        DefinitionError: An argument is invalid, or the input is not text.

    Examples:
        >>> import deepkit as dk
        >>> import tensorflow as tf
        >>> model = dk.Text(6, vocabulary=("the", "dog", "runs")).build()
        >>> model(tf.constant(["The dog runs.", "Runs!", "A dog"])).numpy().tolist()
        [[2, 3, 4], [4, 0, 0], [1, 3, 0]]
    """

    max_tokens: int = fields.integer(minimum=3)
    _: KW_ONLY
    output_sequence_length: int | None = fields.integer(default=None)
    truncating: str = fields.choice(("post", "pre"), default="post")
    standardize: str | None = fields.choice(_STANDARDIZE, default="lower_and_strip_punctuation")
    split: str | None = fields.choice(_SPLIT, default="whitespace")
    vocabulary: fields.Field[Sequence[str] | None, tuple[str, ...] | None] = _VocabularyField(default=None)
    text: fields.KerasArguments = fields.keras_arguments(layers.TextVectorization, excluding=_BLOCK_ARGUMENTS)

    def check(self) -> None:
        """Refuse a vocabulary with more tokens than there are ids."""
        num_ids = len(self.vocabulary or ()) + 2
        if num_ids > self.max_tokens:
            raise DefinitionError(
                f"Text: a vocabulary of {num_ids - 2:,} tokens needs max_tokens of at least {num_ids:,}, including the "
                f"ids of padding and of unknown tokens, received {self.max_tokens:,}",
                hint=f"use dk.Text({num_ids}, ...)",
            )

    def input_spec(self) -> InputSpec:
        """Return the input: one string per example."""
        return InputSpec((), "string")

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Add the layer."""
        if keras.backend.standardize_dtype(x.dtype) != "string" or len(x.shape) > 2 or x.shape[1:] not in ((), (1,)):
            raise builder.error(
                f"expected one string per example, received {x.dtype} of shape {shape_text(x)}",
                hint='use dk.Input((), dtype="string")',
            )
        return builder.add_layer(
            x,
            "ids",
            TokenIds,
            max_tokens=self.max_tokens,
            standardize=self.standardize,
            split=self.split,
            output_sequence_length=self.output_sequence_length,
            truncating=self.truncating,
            vocabulary=None if self.vocabulary is None else list(self.vocabulary),
            **self.text.new(),
        )
