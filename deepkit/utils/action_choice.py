"""Choice of an action for each row of scores: the best one, or a draw from the softmax, among the legal ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_actions(scores: np.ndarray, action_mask: np.ndarray | None) -> NDArray[np.int64]:
    """Return the legal action with the largest score in each row, `(batch,)`; the first of equal ones.

    Args:
        scores: A score for each action, `(batch, actions)`.
        action_mask: Whether each action is legal, `(batch, actions)`; None if all are.
    """
    return np.argmax(scores if action_mask is None else np.where(action_mask, scores, -np.inf), axis=-1)


def sample_actions(
    logits: np.ndarray, action_mask: np.ndarray | None, rng: np.random.Generator, temperature: float = 1.0
) -> NDArray[np.int64]:
    """Draw an action for each row from the softmax of logits over the legal actions, `(batch,)`.

    Args:
        logits: A logit for each action, `(batch, actions)`.
        action_mask: Whether each action is legal, `(batch, actions)`; None if all are.
        rng: Source of randomness.
        temperature: Divides the logits; 0 for the largest logit.
    """
    scores = np.asarray(logits, np.float64)
    if temperature > 0:
        scores = scores / temperature + rng.gumbel(size=scores.shape)  # the largest is a sample of the softmax
    return best_actions(scores, action_mask)
