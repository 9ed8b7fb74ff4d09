"""Beam search as one compiled loop over arrays of fixed size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from keras import ops

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

    Step: TypeAlias = Callable[[Tensor, list[Tensor], Tensor], tuple[Tensor, list[Tensor]]]

END = 0  # the id that ends a sequence, and the input before the first token
_MINUS_INFINITY = float("-inf")


def beam_search(
    step: Step,
    states: list[Tensor],
    *,
    batch_size: Tensor | int,
    num_beams: int,
    max_length: Tensor | int,
    length_penalty: Tensor | float,
) -> tuple[Tensor, Tensor]:
    """Return the sequence with the best score for each example, and the score.

    Each step extends the `num_beams` open sequences of an example and keeps the most probable continuations. Completed
    sequences are compared by log p / ((5 + n) / 6) ^ length_penalty, with n tokens including the end. The search of an
    example stops if no open sequence can exceed its best completed one. `num_beams=1` is greedy search.

    Reference:
        Wu et al. 2016, "Google's Neural Machine Translation System", equation 14, without coverage.

    Args:
        step: Function of the last tokens `(batch, beams)`, the states and the number of the step that returns the
            log-probabilities of the next tokens `(batch, beams, vocabulary)` and the new states. Id 0 ends a sequence;
            it is also the input before the first token.
        states: Tensors of shape `(batch * beams, ...)`, with the beams of an example in consecutive rows.
        batch_size: Number of examples.
        num_beams: Number of open sequences.
        max_length: Maximum number of tokens, not counting the end; longer sequences are ended at this length.
        length_penalty: Preference for longer sequences; 0 compares probabilities.

    Returns:
        Ids of shape `(batch, max_length)`, with zeros after the end, and scores of shape `(batch,)`.
    """
    ids = ops.zeros((batch_size, num_beams, max_length), "int32")
    # all beams start equal: only the first one may be extended
    log_p = ops.broadcast_to(ops.where(ops.arange(num_beams) == 0, 0.0, _MINUS_INFINITY)[None], (batch_size, num_beams))
    length_penalty = ops.cast(length_penalty, "float32")

    def score(log_p: Tensor, length: Tensor | int) -> Tensor:
        return log_p / ((5.0 + ops.cast(length, "float32")) / 6.0) ** length_penalty

    def can_improve(
        t: Tensor, tokens: Tensor, ids: Tensor, log_p: Tensor, best_ids: Tensor, best: Tensor, *states: Tensor
    ) -> Tensor:
        return ops.logical_and(t <= max_length, ops.any(score(ops.max(log_p, 1), max_length + 1) > best))

    def extend(
        t: Tensor, tokens: Tensor, ids: Tensor, log_p: Tensor, best_ids: Tensor, best: Tensor, *states: Tensor
    ) -> tuple[Tensor, ...]:
        next_log_p, new_states = step(tokens, list(states), t)
        count = 2 * num_beams if num_beams > 1 else 1
        log_p, origin, tokens = _best_continuations(log_p, next_log_p, count, must_end=t == max_length)
        ids = ops.where(ops.arange(max_length) == t, tokens[..., None], _take_beams(ids, origin))
        has_ended = ops.equal(tokens, END)
        scores = ops.where(has_ended, score(log_p, t + 1), _MINUS_INFINITY)
        is_better = ops.max(scores, 1) > best
        best_ids = ops.where(is_better[:, None], _take_beams(ids, ops.argmax(scores, 1)[:, None])[:, 0], best_ids)
        best = ops.where(is_better, ops.max(scores, 1), best)
        log_p, beams = ops.top_k(ops.where(has_ended, _MINUS_INFINITY, log_p), num_beams)
        tokens, origin, ids = _take_beams(tokens, beams), _take_beams(origin, beams), _take_beams(ids, beams)
        if num_beams > 1:
            rows = ops.reshape(ops.arange(batch_size)[:, None] * num_beams + origin, (-1,))
            new_states = [ops.take(state, rows, axis=0) for state in new_states]
        return t + 1, tokens, ids, log_p, best_ids, best, *new_states

    start = (0, ids[..., 0] * 0, ids, log_p, ids[:, 0], ops.full((batch_size,), _MINUS_INFINITY), *states)
    result = ops.while_loop(can_improve, extend, start)
    return result[4], result[5]


def _best_continuations(
    log_p: Tensor, next_log_p: Tensor, count: int, *, must_end: Tensor | bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the most probable continuations: their log-probabilities, beams and tokens, each `(batch, count)`.

    The best tokens of each beam are selected first, so that only this step runs over the whole vocabulary.

    Args:
        log_p: Log-probabilities of the beams, `(batch, beams)`.
        next_log_p: Log-probabilities of the next token, `(batch, beams, vocabulary)`.
        count: Number of continuations.
        must_end: Whether END is the only possible continuation.
    """
    count_per_beam = min(count, next_log_p.shape[-1])
    values, tokens = ops.top_k(next_log_p, count_per_beam)
    ends = ops.where(ops.arange(count_per_beam) == 0, next_log_p[..., END, None], _MINUS_INFINITY)
    values, tokens = ops.where(must_end, ends, values), ops.where(must_end, END, tokens)
    total = next_log_p.shape[1] * count_per_beam
    values, index = ops.top_k(ops.reshape(log_p[..., None] + values, (-1, total)), count)
    return values, index // count_per_beam, ops.take_along_axis(ops.reshape(tokens, (-1, total)), index, axis=1)


def _take_beams(x: Tensor, index: Tensor) -> Tensor:
    """Return the beams of a tensor `(batch, beams, ...)` at an index `(batch, count)`."""
    return ops.take_along_axis(x, ops.reshape(index, (*ops.shape(index), *[1] * (len(x.shape) - 2))), axis=1)
