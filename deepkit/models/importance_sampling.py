"""Importance sampling: an estimate of log p(x) with q(z | x) as the proposal and a standard normal prior of z."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from keras import ops

from deepkit.layers.gaussian_sampling import draw
from deepkit.losses.likelihoods import gaussian_log_prob

if TYPE_CHECKING:
    import keras

    from deepkit.utils.types import Tensor


def log_prior_ratio(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return log p(z) - log q(z | x) of each draw, `(draws,)`."""
    return ops.sum(gaussian_log_prob(z, 0.0, 0.0) - gaussian_log_prob(z, mean, log_variance), axis=-1)


def estimate_log_likelihood(
    log_prob: Callable[[Tensor], Tensor],
    mean: Tensor,
    log_variance: Tensor,
    *,
    num_samples: int,
    chunk_size: int,
    seed: keras.random.SeedGenerator,
) -> Tensor:
    """Return the log of the mean importance weight of each example, `(batch,)`.

    Args:
        log_prob: Function from draws `(batch * chunk_size, latent)` to log p(x | z) of each draw, with the draws of an
            example in consecutive rows.
        mean: Mean of q(z | x), `(batch, latent)`.
        log_variance: Log-variance of q(z | x), `(batch, latent)`.
        num_samples: Number of draws for each example.
        chunk_size: Number of draws for each example that are decoded at a time.
        seed: Seed generator of the draws.
    """
    batch = ops.shape(mean)[0]
    mean, log_variance = ops.repeat(mean, chunk_size, axis=0), ops.repeat(log_variance, chunk_size, axis=0)

    def add_chunk(step: Tensor, total: Tensor) -> Tensor:
        z = draw(mean, log_variance, seed)
        log_weights = ops.reshape(log_prob(z) + log_prior_ratio(z, mean, log_variance), (-1, chunk_size))
        is_counted = ops.arange(chunk_size) + step * chunk_size < num_samples  # the last chunk may be smaller
        log_weights = ops.where(is_counted, log_weights, -math.inf)
        return ops.logaddexp(total, ops.logsumexp(log_weights, axis=1))

    num_chunks = -(-num_samples // chunk_size)
    total = ops.fori_loop(0, num_chunks, add_chunk, ops.full((batch,), -math.inf))
    return total - math.log(num_samples)
