"""The Parzen-window estimate of the likelihood of data under a model that only draws samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepkit.utils.errors import format_value, message

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike

# scikit-learn's KernelDensity is the same estimate, but fifteen times slower; in 784 dimensions its tree loses most of
# the sum for some points, unless one leaf holds all samples
_CHUNK_SIZE = 500  # points; their distances to 10,000 samples fill 40 MB


class ParzenWindow:
    """A density that is the mean of Gaussians of one width around samples, and the log-likelihood of data under it.

    The protocol of generative adversarial networks: draw samples from the model, choose the width `sigma` on
    validation data, and report the mean log-likelihood of the test data. The estimate has a large variance, and it
    prefers blurred copies of the data in high dimensions, as the paper warns; it is provided to reproduce published
    values.

    Reference:
        Goodfellow et al. 2014, "Generative Adversarial Nets", section 5, after Breuleux, Bengio & Vincent 2011.

    Args:
        samples: Generated examples, `(count, ...)`.
        sigma: Standard deviation of each Gaussian, in the unit of the data; or several candidates, from which the one
            with the largest log-likelihood of `validation` is chosen.
        validation: Examples on which to choose among several candidates.

    Raises:
        ValueError: There are several candidates but no validation data, or an argument is not finite.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> samples, validation, test = np.random.default_rng(0).normal(
        ...     size=(3, 1000, 2)
        ... )
        >>> window = dk.ParzenWindow(
        ...     samples, sigma=np.linspace(0.1, 1, 10), validation=validation
        ... )
        >>> nats, standard_error = window.score(test)
        >>> (
        ...     round(window.sigma, 1),
        ...     round(nats, 1),
        ...     round(standard_error, 2),
        ... )  # exactly -(1 + log 2 pi) = -2.8
        (0.3, -2.8, 0.03)
    """

    def __init__(
        self,
        samples: ArrayLike,
        *,
        sigma: float | Sequence[float] | np.ndarray,
        validation: ArrayLike | None = None,
    ) -> None:
        self._samples = _as_rows(samples, "samples")
        candidates = np.atleast_1d(np.asarray(sigma, "float64"))
        if candidates.ndim != 1 or not len(candidates) or not np.all(np.isfinite(candidates) & (candidates > 0)):
            problem = f"sigma: expected a positive number or several, received {format_value(sigma)}"
            raise ValueError(message(problem, hint="use sigma=0.2"))
        if len(candidates) > 1 and validation is None:
            problem = f"sigma: received {len(candidates)} candidates without validation data to choose on"
            hint = "pass validation=..., examples that are neither training nor test data"
            raise ValueError(message(problem, hint=hint))
        self.sigma = float(candidates[0])
        if len(candidates) > 1:
            scores = self._log_densities(_as_rows(validation, "validation"), candidates).mean(axis=1)
            self.sigma = float(candidates[np.argmax(scores)])

    def log_density(self, points: ArrayLike) -> np.ndarray:
        """Return the log-density at each point.

        Args:
            points: Examples of the shape of the samples, `(count, ...)`.

        Returns:
            Nats of each example, `(count,)`.

        Raises:
            ValueError: The points have another shape than the samples, or are not finite.
        """
        return self._log_densities(_as_rows(points, "points"), np.array([self.sigma]))[0]

    def score(self, points: ArrayLike) -> tuple[float, float]:
        """Return the mean log-likelihood of the points in nats, and its standard error over the points.

        Args:
            points: Examples of the shape of the samples, `(count, ...)`.

        Raises:
            ValueError: The points have another shape than the samples, or are not finite.
        """
        log_densities = self.log_density(points)
        deviation = log_densities.std(ddof=1) if len(log_densities) > 1 else math.nan
        return float(log_densities.mean()), float(deviation / math.sqrt(len(log_densities)))

    def _log_densities(self, points: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
        """Return the log-density of each point for each sigma, `(sigmas, points)`; compute distances only once."""
        count, features = self._samples.shape
        if points.shape[1] != features:
            problem = f"points: expected {features} features, as the samples have, received {points.shape[1]}"
            raise ValueError(message(problem, hint="pass points of the shape of the samples"))
        norms = np.sum(self._samples**2, axis=1)
        log_sums = np.empty((len(sigmas), len(points)))
        for start in range(0, len(points), _CHUNK_SIZE):
            rows = points[start : start + _CHUNK_SIZE]
            squares = np.maximum(norms - 2 * rows @ self._samples.T + np.sum(rows**2, axis=1)[:, None], 0)
            nearest = squares.min(axis=1, keepdims=True)  # subtracted so that the exponentials do not underflow
            for i, sigma in enumerate(sigmas):
                sums = np.exp((nearest - squares) / (2 * sigma**2)).sum(axis=1)
                log_sums[i, start : start + len(rows)] = np.log(sums) - nearest[:, 0] / (2 * sigma**2)
        log_width = np.log(sigmas) + math.log(2 * math.pi) / 2
        return log_sums - math.log(count) - features * log_width[:, None]


def _as_rows(values: ArrayLike | None, name: str) -> np.ndarray:
    """Return examples as rows of float64."""
    examples = np.asarray(values, "float64")
    if examples.ndim < 2 or not len(examples) or not np.all(np.isfinite(examples)):
        problem = f"{name}: expected finite examples of shape (count, ...), received shape {examples.shape}"
        raise ValueError(message(problem, hint="pass an array with one example a row, without NaN and infinity"))
    return examples.reshape(len(examples), -1)
