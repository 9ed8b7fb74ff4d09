"""Decoding of target texts: compiled beam search over an encoder-decoder model, and joining of tokens."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import keras
from keras import ops

from deepkit.layers.token_ids import SPLIT_PUNCTUATION, TokenIds
from deepkit.models.beam_search import beam_search
from deepkit.models.incremental_decoding import IncrementalDecoder
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_integer, check_number

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

MAX_TOKENS = 1_000_000
"""The largest length of a text: arrays of a larger one do not fit into memory."""

_MAX_BEAMS = 10_000
UNKNOWN = 1  # the id of all words outside the vocabulary


class Generator(Protocol):
    """The members of a model that the search uses."""

    classifier: keras.layers.Dense

    @property
    def incremental_decoder(self) -> IncrementalDecoder:
        """The decoder, computed one step at a time."""

    def encode(self, source: Tensor, *, training: bool) -> dict[str, Tensor]:
        """Return the inputs of the decoder other than the ids."""

    def source_signature(self) -> tf.TensorSpec:
        """Return the shape and dtype of the sources."""


def check_search_arguments(
    num_beams: object, length_penalty: object, max_length: object, batch_size: object, *, owner: str
) -> None:
    """Check the arguments of a search.

    Args:
        num_beams: Number of open sequences.
        length_penalty: Preference for longer texts.
        max_length: Maximum number of tokens of a text.
        batch_size: Number of examples in a batch.
        owner: Name of the method, for the message.

    Raises:
        ValueError: An argument is out of range.
    """
    check_integer(num_beams, f"{owner}: num_beams", maximum=_MAX_BEAMS, hint="use num_beams=4")
    check_integer(max_length, f"{owner}: max_length", maximum=MAX_TOKENS, hint="use max_length=100")
    check_integer(batch_size, f"{owner}: batch_size", hint="use batch_size=64")
    check_number(length_penalty, f"{owner}: length_penalty", minimum=0, hint="use length_penalty=0.6")


def compile_search(model: Generator, num_beams: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return `search` for a model and a number of beams as a compiled function of its other arguments."""
    scalars = [tf.TensorSpec((), dtype) for dtype in ("int32", "float32", "int32")]
    signature = [model.source_signature(), *scalars]
    return tf.function(functools.partial(search, model, num_beams), input_signature=signature, autograph=False)


def search(
    model: Generator,
    num_beams: int,
    source: Tensor,
    max_length: Tensor,
    length_penalty: Tensor,
    vocabulary_size: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the best target of each source as ids `(batch, max_length)`, and its score `(batch,)`.

    Args:
        model: The model.
        num_beams: Number of open sequences of each source.
        source: Sources, `(batch, ...)`.
        max_length: Maximum number of tokens of a target.
        length_penalty: Preference for longer targets; see `beam_search`.
        vocabulary_size: Number of ids that have a word; higher ids and the unknown word are never decoded.
    """
    batch_size = ops.shape(source)[0]
    encoded = model.encode(source, training=False)
    decoding = model.incremental_decoder.begin(
        encoded, batch_size=batch_size, num_steps=max_length + 1, num_beams=num_beams
    )
    banned_tokens = unusable_tokens(model.classifier, vocabulary_size)

    def step(tokens: Tensor, states: list[Tensor], t: Tensor) -> tuple[Tensor, list[Tensor]]:
        outputs, states = decoding.step(tokens, states, t)
        log_p = ops.log_softmax(ops.cast(model.classifier(outputs["hidden"]), "float32"))
        return ops.where(banned_tokens, -math.inf, log_p), states

    return beam_search(
        step,
        decoding.initial_states,
        batch_size=batch_size,
        num_beams=num_beams,
        max_length=max_length,
        length_penalty=length_penalty,
    )


def unusable_tokens(classifier: keras.layers.Dense, vocabulary_size: Tensor | int) -> Tensor:
    """Return the mask `(vocabulary,)` of the unknown word, and of the ids that have no word."""
    ids = ops.arange(classifier.units)
    return ops.logical_or(ops.equal(ids, UNKNOWN), ids >= vocabulary_size)


def join_tokens(tokens: list[str], layer: TokenIds) -> str:
    """Return the text of tokens, the inverse of a text layer up to standardization."""
    config = layer.get_config()
    separator = "" if config["split"] == "character" else " "
    text = separator.join(tokens)
    if config["standardize"] == SPLIT_PUNCTUATION:
        return re.sub(r" ([.,;:!?%)])", r"\1", text)  # the layer splits these marks from the word before again
    return text
