"""How likely data is under a model that can only be sampled from: the Parzen-window estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

# scikit-learn's KernelDensity is the same estimate; in 784 dimensions its tree loses most of the sum for some points,
# unless one leaf holds all samples, and it takes fifteen times as long
_ROWS = 500  # points at a time: with 10,000 samples, their distances fill 40 MB


class ParzenWindow:
    """A Gaussian of one width around every sample: a density, and the log-likelihood of data under it.

    The protocol of Goodfellow et al. 2014, "Generative Adversarial Nets", section 5, after Breuleux, Bengio &
    Vincent 2011: draw samples from the model, choose the width `sigma` on validation data, and report the mean
    log-likelihood of the test data. The estimate varies much and favours blurred copies of the data in high
    dimensions, as the paper warns; it is here because it is what was published.

    Args:
        samples: Generated examples, `(count, ...)`.
        sigma: Standard deviation of each Gaussian, in the unit of the data; or several candidates, of which the
            one under which `validation` is likeliest is taken.
        validation: Examples on which to choose among several `sigma`.

    Raises:
        ValueError: There are several candidates and nothing to choose on, or an argument is not finite.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> samples, validation, test = np.random.default_rng(0).normal(size=(3, 1000, 2))
        >>> window = dk.ParzenWindow(samples, sigma=np.linspace(0.1, 1, 10), validation=validation)
        >>> nats, standard_error = window.score(test)
        >>> round(window.sigma, 1), round(nats, 1), round(standard_error, 2)  # truly -(1 + log 2 pi) = -2.8
        (0.3, -2.8, 0.03)
    """

    def __init__(self, samples: Any, *, sigma: float | Sequence[float] | np.ndarray, validation: Any = None) -> None:
        self._samples = _rows(samples, "samples")
        candidates = np.atleast_1d(np.asarray(sigma, "float64"))
        if candidates.ndim != 1 or not len(candidates) or not np.all(np.isfinite(candidates) & (candidates > 0)):
            raise ValueError(f"sigma: expected a positive number or several, received {sigma!r}\n  hint: sigma=0.2")
        if len(candidates) > 1 and validation is None:
            raise ValueError(
                f"sigma: {len(candidates)} candidates, and nothing to choose among them on\n"
                "  hint: validation=..., examples that are neither trained on nor tested on"
            )
        self.sigma = float(candidates[0])
        if len(candidates) > 1:
            likely = self._log_densities(_rows(validation, "validation"), candidates).mean(axis=1)
            self.sigma = float(candidates[np.argmax(likely)])

    def log_density(self, points: Any) -> np.ndarray:
        """Return the log density at each point, in nats."""
        return self._log_densities(_rows(points, "points"), np.array([self.sigma]))[0]

    def score(self, points: Any) -> tuple[float, float]:
        """Return the mean log-likelihood of the points in nats, and its standard error over the points."""
        found = self.log_density(points)
        spread = found.std(ddof=1) if len(found) > 1 else math.nan
        return float(found.mean()), float(spread / math.sqrt(len(found)))

    def _log_densities(self, points: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
        """Return the log density of each point for each sigma, `(sigmas, points)`; distances are computed once."""
        count, features = self._samples.shape
        if points.shape[1] != features:
            raise ValueError(f"expected points of {features} numbers as the samples have, received {points.shape[1]}")
        norms = np.sum(self._samples**2, axis=1)
        found = np.empty((len(sigmas), len(points)))
        for start in range(0, len(points), _ROWS):
            rows = points[start : start + _ROWS]
            squares = np.maximum(norms - 2 * rows @ self._samples.T + np.sum(rows**2, axis=1)[:, None], 0)
            least = squares.min(axis=1, keepdims=True)  # so that no exponential of a nearest sample is lost
            for i, sigma in enumerate(sigmas):
                sums = np.exp((least - squares) / (2 * sigma**2)).sum(axis=1)
                found[i, start : start + len(rows)] = np.log(sums) - least[:, 0] / (2 * sigma**2)
        width = np.log(sigmas) + math.log(2 * math.pi) / 2
        return found - math.log(count) - features * width[:, None]


def _rows(values: Any, name: str) -> np.ndarray:
    """Return examples as rows of float64."""
    found = np.asarray(values, "float64")
    if found.ndim < 2 or not len(found) or not np.all(np.isfinite(found)):
        raise ValueError(f"{name}: expected finite examples of shape (count, ...), received shape {found.shape}")
    return found.reshape(len(found), -1)
