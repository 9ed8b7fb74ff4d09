"""Token ids of strings, with defined results for empty texts and clear errors without a vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from deepkit.utils.errors import format_value, message
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepkit.utils.types import ArrayLike, Tensor

SPLIT_PUNCTUATION = "lower_and_split_punctuation"
# anything but letters, numbers, spaces and the marks that occur inside words
_PUNCTUATION = r"([^\p{L}\p{M}\p{N}\s'’_-])"
# what Python's str.split() splits at, and TensorFlow does not
_OTHER_WHITESPACE = r"[\x{1C}-\x{1F}\x{85}\p{Z}]"


@keras.saving.register_keras_serializable(package="deepkit")
class TokenIds(keras.layers.TextVectorization):
    """A `keras.layers.TextVectorization` that returns at least one token id for every text.

    It differs from Keras's layer in eight ways:

    - An empty text is one unknown word, id 1. Keras returns only padding, or no steps at all: recurrent layers fail on
      zero steps, a mean over zero steps is NaN, and the cuDNN kernels refuse a sequence of padding.
    - `truncating="pre"` cuts a long text at its beginning instead of its end.
    - `standardize="lower_and_split_punctuation"` keeps punctuation as separate words.
    - Letters beyond ASCII are converted to lowercase too: "Über" and "über" are the same word.
    - `split="whitespace"` splits at all whitespace of Unicode, as `str.split` does: at U+0085, which occurs in film
      reviews, at the no-break space and at the ideographic space. Keras splits at that of ASCII.
    - A layer without a vocabulary raises an error when it is called or saved; Keras writes a file that it cannot load.
    - The saved file holds the words of `set_vocabulary`; Keras saves those passed to the constructor.
    - A token may contain any character. Keras splits the words of a saved file at U+0085, and cannot load the file.

    Args:
        max_tokens: Maximum number of ids, including padding and the unknown word; None for no limit.
        truncating: `"post"` cuts a text longer than `output_sequence_length` at its end, `"pre"` at its beginning,
            as in `keras.utils.pad_sequences`.
        kwargs: Further arguments of `keras.layers.TextVectorization`.

    Call arguments:
        inputs: Tensor of strings.

    Input shape:
        `(batch,)` or `(batch, 1)`, strings.

    Output shape:
        `(batch, output_sequence_length)`, int64; `(batch, time)` if `output_sequence_length` is None.

    Raises:
        ValueError: The layer has no vocabulary, or an argument contradicts token ids as the output.

    Examples:
        >>> import deepkit as dk
        >>> import tensorflow as tf
        >>> dk.layers.TokenIds(vocabulary=["dog"])(
        ...     tf.constant(["a dog", ""])
        ... ).numpy().tolist()
        [[1, 2], [1, 0]]
    """

    raises_without_vocabulary = True  # so a model with this layer may be built before it is adapted

    def __init__(self, max_tokens: int | None = None, *, truncating: str = "post", **kwargs: object) -> None:
        check_choice(truncating, "TokenIds: truncating", ("post", "pre"), hint='use truncating="post"')
        for key, required in (("output_mode", "int"), ("ragged", False), ("sparse", False)):
            if kwargs.get(key, required) != required:
                problem = (
                    f"TokenIds: {key} must be {required!r} because the layer returns token ids, received "
                    f"{format_value(kwargs[key])}"
                )
                raise ValueError(message(problem, hint="use keras.layers.TextVectorization"))
        self.standardization = kwargs.pop("standardize", "lower_and_strip_punctuation")
        standardize = self.standardization
        if standardize == SPLIT_PUNCTUATION:
            standardize = lower_and_split_punctuation
        super().__init__(max_tokens=max_tokens, standardize=standardize, **kwargs)
        self.truncating = truncating
        self._lookup_layer.built = True  # it has no weights; `keras.Model.quantize` refuses layers that are not built
        for name in ("save_assets", "load_assets"):  # this layer saves the vocabulary
            setattr(self._lookup_layer, name, _ignore_assets)

    @property
    def has_vocabulary(self) -> bool:
        """Whether the vocabulary has words in addition to padding and the unknown word."""
        with tf.init_scope():  # a Python integer, even while a graph is traced
            return int(self.vocabulary_size()) > 2

    def call(self, inputs: Tensor) -> Tensor:
        """Return the ids of the words; a text without words is one unknown word."""
        self._check_vocabulary("called")
        if self._split is None:  # each text is one word
            ids = super().call(tf.reshape(inputs, (-1, 1)))
        elif self.truncating == "pre" and self._output_sequence_length:
            ids = self._truncate_beginning(inputs)
        else:
            ids = super().call(inputs)
        steps = tf.maximum(tf.shape(ids)[1], 1)
        ids = tf.pad(ids, [[0, 0], [0, steps - tf.shape(ids)[1]]])
        empty = tf.reduce_all(ids == 0, axis=1, keepdims=True)
        ids += tf.cast(empty & (tf.range(steps)[None] == 0), ids.dtype)
        return tf.ensure_shape(ids, self.compute_output_shape(inputs.shape))

    def num_tokens(self, texts: Tensor) -> Tensor:
        """Return the number of tokens of each text before it is truncated, `(batch,)`."""
        if self._split is None:
            return tf.ones(tf.shape(texts)[:1], "int64")
        tokens: tf.RaggedTensor = self._preprocess(texts)
        return tokens.row_lengths()

    def _preprocess(self, inputs: Tensor) -> Tensor:
        """Convert all letters to lowercase and all whitespace to spaces first; Keras converts only those of ASCII."""
        if self.standardization in ("lower", "lower_and_strip_punctuation"):
            inputs = tf.strings.lower(inputs, encoding="utf-8")
        if self._split == "whitespace":
            inputs = whitespace_to_spaces(inputs)
        return super()._preprocess(inputs)

    def _truncate_beginning(self, inputs: Tensor) -> Tensor:
        """Return the last ids of each text, padded at the end."""
        ids = self._lookup_layer(self._preprocess(inputs))  # ragged
        length = self._output_sequence_length
        return ids[:, -length:].to_tensor(shape=(None, length))

    def set_vocabulary(self, vocabulary: str | Sequence[str], idf_weights: ArrayLike | None = None) -> None:
        """Set the words; they replace those passed to the constructor, in the config too."""
        super().set_vocabulary(vocabulary, idf_weights)
        if self._lookup_layer.input_vocabulary is not None:
            words = self.get_vocabulary(include_special_tokens=False)
            self._lookup_layer.input_vocabulary = list(map(str, words))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "standardize": self.standardization, "truncating": self.truncating}

    def save_assets(self, dir_path: str) -> None:
        """Save the vocabulary, unless it is part of the config."""
        self._check_vocabulary("saved")
        if self.get_config()["vocabulary"] is None:
            Path(dir_path, "vocabulary.json").write_text(json.dumps(list(map(str, self.get_vocabulary()))))

    def load_assets(self, dir_path: str) -> None:
        """Load the vocabulary, unless it is part of the config."""
        if self.get_config()["vocabulary"] is None:
            self.set_vocabulary(json.loads(Path(dir_path, "vocabulary.json").read_text()))

    def _check_vocabulary(self, action: str) -> None:
        if not self.has_vocabulary:
            problem = f"the text layer {self.name!r} is {action} before it has a vocabulary"
            hint = (
                "call dk.fit, which learns it from the training data, or dk.adapt(model, dataset), or pass "
                "dk.Text(..., vocabulary=...)"
            )
            raise ValueError(message(problem, hint=hint))


def describe_vocabulary(layer: keras.layers.TextVectorization) -> str:
    """Return the size of an adapted vocabulary as text, and that `max_tokens` limits it if it does."""
    num_tokens = len(layer.get_vocabulary(include_special_tokens=False))
    text = f"a vocabulary of {num_tokens:,} {'token' if num_tokens == 1 else 'tokens'}"
    max_tokens = layer.get_config()["max_tokens"]
    is_full = max_tokens is not None and max_tokens == len(layer.get_vocabulary())
    return f"{text}, as many as max_tokens={max_tokens:,} allows" if is_full else text


def _ignore_assets(folder: str) -> None:
    """Neither save nor load assets."""


def whitespace_to_spaces(texts: Tensor) -> Tensor:
    """Return texts with a space for every whitespace character that TensorFlow does not split at."""
    return tf.strings.regex_replace(texts, _OTHER_WHITESPACE, " ")


def lower_and_split_punctuation(texts: Tensor) -> Tensor:
    """Return texts in lowercase, letters beyond ASCII included, with spaces around punctuation outside words."""
    return tf.strings.regex_replace(tf.strings.lower(texts, encoding="utf-8"), _PUNCTUATION, r" \1 ")
