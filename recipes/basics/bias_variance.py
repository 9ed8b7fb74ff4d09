r"""Bias and variance of polynomials, nearest neighbors and support vector machines, over resampled training sets.

A method is trained on many training sets of the same size. At each test point, the squared distance of the mean
prediction from the true function is the squared bias, and the spread of the predictions is the variance; their sum is
the expected squared error without the noise of the targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from sklearn.svm import SVC

import deepkit as dk

NOISE = 0.3  # standard deviation of the targets of the regression
FLIPPED = 0.1  # share of wrong labels of the classification
TEST_POINTS = np.linspace(-0.95, 0.95, 101)


@dataclass(frozen=True)
class Decomposition:
    """Squared bias and variance over a setting of a method, such as a degree, as means over the test points.

    Args:
        bias: Squared bias for each value of the setting.
        variance: Variance for each value of the setting.
    """

    bias: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, predictions: np.ndarray, truth: np.ndarray) -> Decomposition:
        """Decompose predictions (settings, training sets, test points) with the true values (test points,)."""
        mean = predictions.mean(axis=1)
        return cls(((mean - truth) ** 2).mean(-1), predictions.var(axis=1).mean(-1))


def truth(x: np.ndarray) -> np.ndarray:
    """Return the function that the regressions estimate: the Chebyshev polynomial of degree 3."""
    return 4 * x**3 - 3 * x


def training_sets(num_sets: int, num_points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and noisy targets, each (sets, points)."""
    x = rng.uniform(-1, 1, (num_sets, num_points))
    return x, truth(x) + NOISE * rng.normal(size=x.shape)


def polynomials(x: np.ndarray, y: np.ndarray, degrees: Sequence[int]) -> np.ndarray:
    """Return the predictions of least-squares polynomials, (degrees, sets, test points)."""
    return np.array(
        [
            [chebyshev.chebval(TEST_POINTS, chebyshev.chebfit(*points, degree)) for points in zip(x, y, strict=True)]
            for degree in degrees
        ]
    )


def nearest_neighbors(x: np.ndarray, y: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Return the mean target of the k nearest training points for each k, (counts, sets, test points)."""
    order = np.argsort(np.abs(TEST_POINTS[:, None] - x[:, None, :]), axis=-1)  # (sets, test points, points)
    sorted_targets = np.take_along_axis(y[:, None, :], order, axis=-1)
    return np.array([sorted_targets[..., :count].mean(-1) for count in counts])


def support_vector_machines(
    c_values: Sequence[float], num_sets: int, num_points: int, seed: int
) -> tuple[Decomposition, np.ndarray]:
    """Decompose the predicted classes, 0 or 1, of machines with a Gaussian kernel on the circle with wrong labels.

    The violation of a training point is max(0, 1 - y f(x)). A machine with a penalty C on their sum is also the machine
    whose budget is that sum: the widest margin of all machines with at most as much violation.

    Returns:
        The decomposition over the values of C, and the budget of each, as a mean over the training sets.
    """
    rng = np.random.default_rng(seed)
    x_test, y_test = dk.data.points("circle", 400, seed=seed).test.arrays()
    predictions = np.empty((len(c_values), num_sets, len(x_test)))
    violations = np.empty((len(c_values), num_sets))
    for repeat in range(num_sets):
        x, labels = dk.data.points("circle", num_points, seed=int(rng.integers(2**31))).train.arrays()
        labels = np.where(rng.uniform(size=num_points) < FLIPPED, 1 - labels, labels)
        for row, c in enumerate(c_values):
            machine = SVC(C=c, gamma=1.0).fit(x, labels)
            predictions[row, repeat] = machine.predict(x_test)
            margins = (2 * labels - 1) * machine.decision_function(x)
            violations[row, repeat] = np.maximum(0, 1 - margins).sum()
    return Decomposition.of(predictions, y_test), violations.mean(1)
