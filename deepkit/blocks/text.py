"""Text as it is typed: strings in, token ids out, inside the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.inputs import InputSpec
from deepkit.definition.source import Arguments

_TAKEN = ("max_tokens", "output_sequence_length", "standardize", "split", "vocabulary", "output_mode")
_TRUNCATING = ("post", "pre")
_STANDARDIZE = ("lower_and_strip_punctuation", "lower_and_split_punctuation", "lower", "strip_punctuation", None)
_SPLIT = ("whitespace", "character", None)


@dataclass(frozen=True, repr=False)
class Text(Block):
    """Strings made token ids, by Keras's `TextVectorization` inside the model.

    The saved model takes strings as they are typed. Id 0 is padding, behind the tokens of the shorter texts of a
    batch; id 1 stands for every word that is not in the vocabulary, and for an empty text. `dk.fit` learns the
    vocabulary from the training inputs, the most frequent words first; `dk.adapt` does so by hand.

    Args:
        max_tokens: Most ids, padding and the unknown word included.
        output_sequence_length: How many tokens every text is cut or padded to; None for those of the longest in a batch.
        truncating: Where a text that is too long is cut: `"post"` at its end, `"pre"` at its beginning.
        standardize: What happens to a text first: `"lower_and_strip_punctuation"`, `"lower_and_split_punctuation"`,
            which makes marks words of their own, `"lower"`, `"strip_punctuation"` or None. Letters of every script
            are lowered, where Keras's layer lowers those of ASCII alone.
        split: What a token is: `"whitespace"` between words, or each `"character"`; None for the whole text.
        vocabulary: The words of ids 2, 3, ..., where they are known; the model is then ready at once.
        text: Further arguments of `keras.layers.TextVectorization`: `{"ngrams": 2}`.

    Input shape:
        `(batch,)`, of strings.

    Output shape:
        `(batch, output_sequence_length)`, or `(batch, time)` without a length.

    Raises:
        DefinitionError: An argument is none of these, or what comes in is no text.

    Examples:
        >>> import deepkit as dk
        >>> import tensorflow as tf
        >>> model = dk.Text(6, vocabulary=("the", "dog", "runs")).build()
        >>> model(tf.constant(["The dog runs.", "Runs!", "A dog"])).numpy().tolist()
        [[2, 3, 4], [4, 0, 0], [1, 3, 0]]
    """

    max_tokens: int
    output_sequence_length: int | None = field(default=None, kw_only=True)
    truncating: str = field(default="post", kw_only=True)
    standardize: str | None = field(default="lower_and_strip_punctuation", kw_only=True)
    split: str | None = field(default="whitespace", kw_only=True)
    vocabulary: Sequence[str] | None = field(default=None, kw_only=True)
    text: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts.positive("Text", "max_tokens", self.max_tokens, least=3)
        if self.output_sequence_length is not None:
            parts.positive("Text", "output_sequence_length", self.output_sequence_length)
        parts.choice("Text", "truncating", self.truncating, _TRUNCATING)
        parts.choice("Text", "standardize", self.standardize, _STANDARDIZE)
        parts.choice("Text", "split", self.split, _SPLIT)
        object.__setattr__(self, "vocabulary", _words(self.vocabulary, self.max_tokens))
        given = Arguments(self.text, layers.TextVectorization, owner="Text(text=...)", taken=_TAKEN)
        object.__setattr__(self, "text", given)

    def input_spec(self) -> InputSpec:
        """One string an example."""
        return InputSpec((), "string")

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the layer."""
        from deepkit.layers import TokenIds

        if keras.backend.standardize_dtype(x.dtype) != "string" or len(x.shape) > 2 or x.shape[1:] not in ((), (1,)):
            raise builder.error(
                f"expected one string an example, received {x.dtype} of shape {shape_text(x)}",
                hint='dk.Input((), dtype="string")',
            )
        vocabulary = None if self.vocabulary is None else list(self.vocabulary)
        return builder.add_layer(
            x,
            "ids",
            TokenIds,
            max_tokens=self.max_tokens,
            standardize=self.standardize,
            split=self.split,
            output_sequence_length=self.output_sequence_length,
            truncating=self.truncating,
            vocabulary=vocabulary,
            **self.text.fresh(),  # type: ignore[attr-defined]
        )


def _words(value: Any, max_tokens: int) -> tuple[str, ...] | None:
    """Return a vocabulary as a tuple of different words, checked."""
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(word, str) for word in value):
        raise DefinitionError(f"Text: vocabulary must be a tuple of words, received {value!r}", hint='("the", "dog")')
    words = tuple(value)
    if words[:2] == ("", "[UNK]"):  # as `get_vocabulary` gives them
        words = words[2:]
    twice = [word for word in dict.fromkeys(words) if words.count(word) > 1] if len(set(words)) < len(words) else []
    if twice or "" in words or not words:
        wrong = f"{twice[0]!r} twice" if twice else "an empty word" if words else "no words"
        raise DefinitionError(f"Text: vocabulary must hold different words, received {wrong}", hint='("the", "dog")')
    if len(words) + 2 > max_tokens:
        raise DefinitionError(
            f"Text: a vocabulary of {len(words):,} words needs max_tokens of at least {len(words) + 2:,}, with the ids "
            f"of padding and of the unknown word, received {max_tokens:,}",
            hint=f"dk.Text({len(words) + 2}, ...)",
        )
    return words
