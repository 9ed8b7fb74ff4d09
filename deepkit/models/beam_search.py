"""Beam search as one compiled loop over arrays of a fixed size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

END = 0  # the id that ends a sequence, and that one begins behind
_NEVER = float("-inf")

Step = Callable[[Any, list[Any]], tuple[Any, list[Any]]]


def beam_search(
    step: Step, states: list[Any], *, num_beams: int, max_length: Any, length_penalty: Any
) -> tuple[Any, Any]:
    """Return the sequence of each example with the best score, and the score.

    Of all continuations of the `num_beams` sequences that are still open, those with the largest probability are kept. What
    has ended is compared by log p / ((5 + n) / 6) ^ length_penalty with n tokens, the end among them (Wu et al. 2016,
    "Google's Neural Machine Translation System", equation 14 without coverage); an example is done when no open
    sequence can become better than the best that has ended. With `num_beams=1` the most probable token is taken each time.

    Args:
        step: From the last tokens (batch, beam) and the states to the log-probabilities of the next ones (batch, beam,
            vocabulary) and the new states. Id 0 ends a sequence; it also is what stands before the first token.
        states: Tensors (batch * beam, ...), the beams of an example one after the other.
        num_beams: How many open sequences are followed.
        max_length: Most tokens, the end not counted; what has not ended then ends there.
        length_penalty: How much longer sequences are preferred; 0 compares plain probabilities.

    Returns:
        Ids (batch, max_length), zeros behind the end; and scores (batch,).
    """
    batch = ops.shape(states[0])[0] // num_beams
    ids = ops.zeros((batch, num_beams, max_length), "int32")
    only_first = ops.broadcast_to(
        ops.where(ops.arange(num_beams) == 0, 0.0, _NEVER)[None], (batch, num_beams)
    )  # all are alike yet
    length_penalty = ops.cast(length_penalty, "float32")

    def score(log_p: Any, tokens: Any) -> Any:
        return log_p / ((5.0 + ops.cast(tokens, "float32")) / 6.0) ** length_penalty

    def open_still(t: Any, tokens: Any, ids: Any, log_p: Any, best_ids: Any, best: Any, *states: Any) -> Any:
        return ops.logical_and(t <= max_length, ops.any(score(ops.max(log_p, 1), max_length + 1) > best))

    def extend(t: Any, tokens: Any, ids: Any, log_p: Any, best_ids: Any, best: Any, *states: Any) -> Any:
        found, after = step(tokens, list(states))
        log_p, origin, tokens = _best(log_p, found, 2 * num_beams if num_beams > 1 else 1, last=t == max_length)
        ids = ops.where(ops.arange(max_length) == t, tokens[..., None], _beams(ids, origin))
        ended = tokens == END
        scores = ops.where(ended, score(log_p, t + 1), _NEVER)
        better = ops.max(scores, 1) > best
        best_ids = ops.where(better[:, None], _beams(ids, ops.argmax(scores, 1)[:, None])[:, 0], best_ids)
        best = ops.where(better, ops.max(scores, 1), best)
        log_p, kept = ops.top_k(ops.where(ended, _NEVER, log_p), num_beams)
        tokens, origin, ids = _beams(tokens, kept), _beams(origin, kept), _beams(ids, kept)
        rows = ops.reshape(ops.arange(batch)[:, None] * num_beams + origin, (-1,))
        return t + 1, tokens, ids, log_p, best_ids, best, *[ops.take(state, rows, axis=0) for state in after]

    start = (0, ids[..., 0] * 0, ids, only_first, ids[:, 0], ops.full((batch,), _NEVER), *states)
    found = ops.while_loop(open_still, extend, start)
    return found[4], found[5]


def _best(log_p: Any, found: Any, count: int, *, last: Any) -> tuple[Any, Any, Any]:
    """Return the most probable continuations: their log-probabilities, beams and tokens, each (batch, count).

    Those of each beam are looked for first, so that nothing else is computed over the whole vocabulary.

    Args:
        log_p: Of the beams (batch, beam).
        found: Of the next token (batch, beam, vocabulary).
        count: How many.
        last: Whether they can only end.
    """
    each = min(count, found.shape[-1])
    values, tokens = ops.top_k(found, each)
    ends = ops.where(ops.arange(each) == 0, found[..., END, None], _NEVER)
    values, tokens = ops.where(last, ends, values), ops.where(last, END, tokens)
    every = found.shape[1] * each
    values, index = ops.top_k(ops.reshape(log_p[..., None] + values, (-1, every)), count)
    return values, index // each, ops.take_along_axis(ops.reshape(tokens, (-1, every)), index, axis=1)


def _beams(x: Any, index: Any) -> Any:
    """Return, for each example of (batch, beam, ...), the beams of an index (batch, count)."""
    return ops.take_along_axis(x, ops.reshape(index, (*ops.shape(index), *[1] * (len(x.shape) - 2))), axis=1)
