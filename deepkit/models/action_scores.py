"""Scores of actions as tensors: masked, of the chosen actions, and the entropy of their softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras import ops

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

ILLEGAL = -1e9
"""The score of an action that is not legal; finite, so that a softmax over it has a gradient."""


def mask_scores(scores: Tensor, action_mask: Any) -> Tensor:
    """Return scores in float32, `ILLEGAL` for the illegal actions.

    Args:
        scores: A score for each action, `(batch, actions)`.
        action_mask: Whether each action is legal, `(batch, actions)`; None if all are.
    """
    scores = ops.cast(scores, "float32")
    return scores if action_mask is None else ops.where(ops.cast(action_mask, "bool"), scores, ILLEGAL)


def gather_scores(scores: Tensor, actions: Tensor) -> Tensor:
    """Return the score of the chosen action of each row, `(batch,)`.

    Args:
        scores: A score for each action, `(batch, actions)`.
        actions: The chosen actions, `(batch,)`.
    """
    columns = ops.expand_dims(ops.cast(actions, "int32"), -1)
    return ops.squeeze(ops.take_along_axis(scores, columns, axis=-1), -1)


def policy_entropy(logits: Tensor) -> Tensor:
    """Return the entropy of the softmax of each row in nats, `(batch,)`.

    Args:
        logits: A logit for each action, `(batch, actions)`.
    """
    log_probabilities = ops.log_softmax(logits)
    return -ops.sum(ops.exp(log_probabilities) * log_probabilities, axis=-1)
