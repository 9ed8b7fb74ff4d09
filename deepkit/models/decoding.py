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
from deepkit.utils.lazy_tensorflow import tf
from deepkit.utils.validation import check_integer, check_number

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

UNKNOWN = 1  # the id of all words outside the vocabulary


class EncoderDecoder(Protocol):
    """The members of an encoder-decoder model that the search uses."""

    decoder: keras.Model
    classifier: keras.layers.Dense

    def encode(self, source: Tensor, *, training: bool) -> tuple[Tensor | None, list[Tensor]]:
        """Return the memory and the initial states of the decoder."""

    def project_memory(self, memory: Tensor | None, source: Tensor) -> list[Tensor]:
        """Return what the attention computes from the memory alone."""

    def attend_projected(self, outputs: Tensor, projected: list[Tensor]) -> Tensor:
        """Return the inputs of the classifier."""


def check_search_arguments(num_beams: object, length_penalty: object, max_length: object, batch_size: object) -> None:
    """Check the arguments of `translate`.

    Raises:
        ValueError: An argument is out of range.
    """
    check_integer(num_beams, "translate: num_beams", hint="use num_beams=4")
    check_integer(max_length, "translate: max_length", hint="use max_length=100")
    check_integer(batch_size, "translate: batch_size", hint="use batch_size=64")
    check_number(length_penalty, "translate: length_penalty", minimum=0, hint="use length_penalty=0.6")


def compile_search(model: EncoderDecoder, num_beams: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return `search` for a model and a number of beams as a compiled function of its other arguments."""
    scalars = [tf.TensorSpec((), dtype) for dtype in ("int32", "float32", "int32")]
    signature = [tf.TensorSpec((None, None), "int64"), *scalars]
    return tf.function(functools.partial(search, model, num_beams), input_signature=signature, autograph=False)


def search(
    model: EncoderDecoder,
    num_beams: int,
    source: Tensor,
    max_length: Tensor,
    length_penalty: Tensor,
    vocabulary_size: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the best target of each source as ids `(batch, max_length)`, and its score `(batch,)`.

    Args:
        model: The encoder-decoder model.
        num_beams: Number of open sequences of each source.
        source: Source ids, `(batch, time)`.
        max_length: Maximum number of tokens of a target.
        length_penalty: Preference for longer targets; see `beam_search`.
        vocabulary_size: Number of ids that have a word; higher ids and the unknown word are never decoded.
    """
    memory, states = model.encode(source, training=False)
    projected = model.project_memory(memory, source)
    ids = ops.arange(model.classifier.units)
    banned_tokens = ops.logical_or(ops.equal(ids, UNKNOWN), ids >= vocabulary_size)

    def step(tokens: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        outputs, *states = model.decoder([ops.reshape(tokens, (-1, 1)), *states], training=False)
        queries = ops.reshape(outputs, (-1, num_beams, outputs.shape[-1]))  # the beams of a source share its memory
        attended = model.attend_projected(queries, projected)
        log_p = ops.log_softmax(ops.cast(model.classifier(attended), "float32"))
        return ops.where(banned_tokens, -math.inf, log_p), states

    initial_states = [ops.repeat(state, num_beams, axis=0) for state in states]
    return beam_search(step, initial_states, num_beams=num_beams, max_length=max_length, length_penalty=length_penalty)


def join_tokens(tokens: list[str], layer: TokenIds) -> str:
    """Return the text of tokens, the inverse of a text layer up to standardization."""
    config = layer.get_config()
    separator = "" if config["split"] == "character" else " "
    text = separator.join(tokens)
    if config["standardize"] == SPLIT_PUNCTUATION:
        return re.sub(r" ([.,;:!?%)])", r"\1", text)  # the layer splits these marks from the word before again
    return text
