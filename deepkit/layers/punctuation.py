"""Texts in small letters, punctuation as words of its own."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

_MARK = r"([^\p{L}\p{M}\p{N}\s'’_-])"  # what may stand inside a word is none


@keras.saving.register_keras_serializable(package="deepkit")
def lower_and_split_punctuation(texts: Any) -> Any:
    """Return texts in small letters, with spaces around each punctuation mark that is not inside a word.

    What a translation needs, where Keras's standardisation drops the marks: they are to be written too. Letters
    beyond ASCII become small as well; apostrophes, hyphens and underscores stay in their words.

    Args:
        texts: A tensor of strings.

    Examples:
        >>> from deepkit.layers import lower_and_split_punctuation
        >>> lower_and_split_punctuation(["Ärzte, it's well-known!"]).numpy()[0].decode()
        "ärzte , it's well-known ! "
    """
    return tf.strings.regex_replace(tf.strings.lower(texts, encoding="utf-8"), _MARK, r" \1 ")
