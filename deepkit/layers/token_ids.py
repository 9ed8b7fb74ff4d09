"""Strings made token ids, where an empty text and a missing vocabulary are no trap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

SPLIT_PUNCTUATION = "lower_and_split_punctuation"
_MARK = r"([^\p{L}\p{M}\p{N}\s'’_-])"  # none of what may stand inside a word


@keras.saving.register_keras_serializable(package="deepkit")
class TokenIds(keras.layers.TextVectorization):
    """A `keras.layers.TextVectorization` that gives token ids, with at least one for every text.

    Seven things differ from Keras's layer. An empty text is one unknown word, id 1, where Keras gives padding alone, or
    no steps at all: recurrent layers fail on no steps, a mean over no steps is not a number, and the cuDNN kernels
    refuse a sequence of padding. A text that is too long may lose its beginning instead of its end. Punctuation can
    become words of its own, with `standardize="lower_and_split_punctuation"`. Letters beyond ASCII are lowered too:
    "Über" and "über" are one word. A layer without a vocabulary says so when it is called or saved, where Keras writes
    a file that it cannot read. Words that `set_vocabulary` sets are in the file, where Keras saves those the layer was
    made with. And a word may hold any mark: Keras cuts the words of a saved file at U+0085, which film reviews hold,
    and cannot load it.

    Args:
        max_tokens: Most ids, padding and the unknown word included; None for no limit.
        truncating: `"post"` cuts a text longer than `output_sequence_length` at its end, `"pre"` at its beginning,
            as `keras.utils.pad_sequences` calls it.
        kwargs: Further arguments of `keras.layers.TextVectorization`.

    Input shape:
        `(batch,)` or `(batch, 1)`, of strings.

    Output shape:
        `(batch, output_sequence_length)`, of int64; `(batch, time)` without a length.

    Raises:
        ValueError: There is no vocabulary yet.

    Examples:
        >>> import deepkit as dk
        >>> import tensorflow as tf
        >>> dk.layers.TokenIds(vocabulary=["dog"])(tf.constant(["a dog", ""])).numpy().tolist()
        [[1, 2], [1, 0]]
    """

    def __init__(self, max_tokens: int | None = None, *, truncating: str = "post", **kwargs: Any) -> None:
        if truncating not in ("post", "pre"):
            raise ValueError(f'TokenIds: truncating must be "post" or "pre", received {truncating!r}')
        for key, only in (("output_mode", "int"), ("ragged", False), ("sparse", False)):
            if kwargs.get(key, only) != only:
                raise ValueError(
                    f"TokenIds: {key} must be {only!r}, received {kwargs[key]!r}: token ids come out\n"
                    "  hint: keras.layers.TextVectorization"
                )
        self.standardization = kwargs.pop("standardize", "lower_and_strip_punctuation")
        own = self.standardization == SPLIT_PUNCTUATION
        standardize = lower_and_split_punctuation if own else self.standardization
        super().__init__(max_tokens=max_tokens, standardize=standardize, **kwargs)
        self.truncating = truncating
        for name in ("save_assets", "load_assets"):  # the words are kept by this layer alone
            setattr(self._lookup_layer, name, _nothing)

    @property
    def has_vocabulary(self) -> bool:
        """Whether words are known, from data or as they were given."""
        with tf.init_scope():  # a number, also while a graph is being traced
            return int(self.vocabulary_size()) > 2  # padding and the unknown word

    def call(self, inputs: Any) -> Any:
        """Look the words up; a text without any has one that is unknown."""
        self._check("called")
        if self._split is None:  # one word a text
            ids = super().call(tf.reshape(inputs, (-1, 1)))
        else:
            last = self.truncating == "pre" and self._output_sequence_length
            ids = self._last(inputs) if last else super().call(inputs)
        steps = tf.maximum(tf.shape(ids)[1], 1)
        ids = tf.pad(ids, [[0, 0], [0, steps - tf.shape(ids)[1]]])
        empty = tf.reduce_all(ids == 0, axis=1, keepdims=True)
        ids += tf.cast(empty & (tf.range(steps)[None] == 0), ids.dtype)
        return tf.ensure_shape(ids, self.compute_output_shape(inputs.shape))

    def _preprocess(self, inputs: Any) -> Any:
        """Lower all letters first: Keras then finds none to lower but those of ASCII."""
        if self.standardization in ("lower", "lower_and_strip_punctuation"):
            inputs = tf.strings.lower(inputs, encoding="utf-8")
        return super()._preprocess(inputs)

    def _last(self, inputs: Any) -> Any:
        """Return the last ids of each text, padded behind."""
        ids = self._lookup_layer(self._preprocess(inputs))  # ragged
        length = self._output_sequence_length
        return ids[:, -length:].to_tensor(shape=(None, length))

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the words; they take the place of those that the layer was given, in its config too."""
        super().set_vocabulary(vocabulary, idf_weights)
        if self._lookup_layer.input_vocabulary is not None:
            words = self.get_vocabulary(include_special_tokens=False)
            self._lookup_layer.input_vocabulary = list(map(str, words))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "standardize": self.standardization, "truncating": self.truncating}

    def save_assets(self, dir_path: str) -> None:
        """Save the vocabulary; one that was given is part of the config."""
        self._check("saved")
        if self.get_config()["vocabulary"] is None:
            Path(dir_path, "vocabulary.json").write_text(json.dumps(list(map(str, self.get_vocabulary()))))

    def load_assets(self, dir_path: str) -> None:
        """Load the vocabulary."""
        if self.get_config()["vocabulary"] is None:
            self.set_vocabulary(json.loads(Path(dir_path, "vocabulary.json").read_text()))

    def _check(self, what: str) -> None:
        if not self.has_vocabulary:
            raise ValueError(
                f"the text layer {self.name!r} is {what} before it has a vocabulary\n"
                "  hint: dk.fit, which learns it from the training data, dk.adapt(model, dataset), "
                "or dk.Text(..., vocabulary=...)"
            )


def _nothing(folder: str) -> None:
    """Neither save nor load."""


def lower_and_split_punctuation(texts: Any) -> Any:
    """Return texts in small letters, those beyond ASCII too, with spaces around marks that are not inside a word."""
    return tf.strings.regex_replace(tf.strings.lower(texts, encoding="utf-8"), _MARK, r" \1 ")
