"""Checks of every batch in the data pipeline, before it reaches a device: token ids and labels.

On a GPU and under XLA, an index out of range raises no error. The assertions are therefore part of the `tf.data`
pipeline, which runs on the CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import keras
import tensorflow as tf

from deepkit.training import label_check, token_id_check, value_check
from deepkit.training.errors import restored_state
from deepkit.training.label_check import LabelCheck, LabelChecks
from deepkit.training.token_id_check import EmbeddingInput

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested

    Batches = TypeVar("Batches", Dataset, None)


def check_batches(batches: Batches, model: keras.Model, label_checks: Sequence[LabelCheck] = ()) -> Batches:
    """Return the batches of a dataset with checks of labels, and of the token ids of embeddings that read an input."""
    check = None if batches is None else batch_check(batches.element_spec, model, label_checks)
    if check is None:
        return batches
    return batches.map(check, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)  # while a step is computed


def batch_check(
    element_spec: object, model: keras.Model, label_checks: Sequence[LabelCheck] = ()
) -> Callable[..., Nested] | None:
    """Return the function that checks a batch and returns it; None if there is nothing to check."""
    embeddings = token_id_check.embedding_inputs(model, element_spec)
    if not embeddings and not label_checks:
        return None
    return functools.partial(_check_batch, tuple(embeddings), tuple(label_checks))


def explain_error(
    error: Exception, model: keras.Model, label_checks: LabelChecks, epoch: int, checkpoint: Path | None
) -> Exception | None:
    """Return the error of a check for a TensorFlow error; None for any other error."""
    label_error = label_check.explain_error(error, label_checks, epoch, checkpoint)
    token_error = token_id_check.explain_error(error, model, epoch, checkpoint)
    return label_error or token_error or value_check.explain_error(error, _state_clause(epoch, checkpoint))


def _state_clause(epoch: int, checkpoint: Path | None) -> str:
    return f"in epoch {epoch}, {restored_state(epoch, checkpoint)}"


@tf.autograph.experimental.do_not_convert
def _check_batch(embeddings: Sequence[EmbeddingInput], label_checks: Sequence[LabelCheck], *batch: Nested) -> object:
    token_id_check.check_batch(embeddings, batch[0])
    label_check.check_batch(label_checks, batch)
    return batch if len(batch) > 1 else batch[0]
