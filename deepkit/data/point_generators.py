"""The distributions of `points`: functions that draw points in the plane, or of a curve, and their labels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

CLOUD_RADIUS = 1.0
CIRCLE_RADIUS = math.sqrt(2)
RING = (1.0, 2.0)
MODE_CENTERS = 1.25 * np.array([[math.cos(angle), math.sin(angle)] for angle in np.deg2rad([90, 210, 330])])
MODE_RADIUS = 0.5
SPIRAL_RADII, SPIRAL_TURNS = (0.2, 2.0), 1.5

Points: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Points or inputs, and labels or targets, in float64 and int64."""


@dataclasses.dataclass(frozen=True)
class Draw:
    """The arguments of a generator.

    Args:
        num_points: Number of points.
        rng: The generator of this split.
        shared: A generator that is equal for all splits, for the values that they have in common.
        noise: Standard deviation of the noise.
        margin: Smallest distance from the separating line.
        degree: Degree of the polynomial.
    """

    num_points: int
    rng: np.random.Generator
    shared: np.random.Generator
    noise: float = 0.0
    margin: float = 0.0
    degree: int = 0

    def uniform(self, limit: float, count: int) -> np.ndarray:
        """Return points of the square [-limit, limit]^2, rounded to float32: labels follow from the stored points."""
        return self.rng.uniform(-limit, limit, (count, 2)).astype("float32").astype("float64")

    def balanced(self, limit: float, is_positive: Callable[[np.ndarray], np.ndarray]) -> Points:
        """Return uniform points of a square, half of each class, in random order."""
        labels = self.labels()
        x = np.empty((self.num_points, 2))
        for label in (0, 1):
            missing = np.flatnonzero(labels == label)
            while len(missing):
                candidates = self.uniform(limit, 4 * len(missing))
                accepted = candidates[is_positive(candidates) == label][: len(missing)]
                x[missing[: len(accepted)]] = accepted
                missing = missing[len(accepted) :]
        return x, labels

    def labels(self) -> np.ndarray:
        """Return labels 0 and 1 in random order, as many of each."""
        return self.rng.permutation(np.arange(self.num_points) % 2)


def quadrants(draw: Draw) -> Points:
    """Return points of [-1, 1]^2; 1 if the signs of the coordinates differ, as XOR."""
    return draw.balanced(1.0, lambda x: (x[:, 0] >= 0) != (x[:, 1] >= 0))


def annulus(draw: Draw) -> Points:
    """Return points of [-3, 3]^2; 1 if 1 <= |x| <= 2."""
    low, high = RING
    return draw.balanced(3.0, lambda x: (_norm(x) >= low) & (_norm(x) <= high))


def three_modes(draw: Draw) -> Points:
    """Return points of [-2, 2]^2; 1 inside one of three discs."""

    def is_inside(x: np.ndarray) -> np.ndarray:
        distances = np.linalg.norm(x[:, None] - MODE_CENTERS, axis=-1)
        return np.asarray(distances.min(1) <= MODE_RADIUS)

    return draw.balanced(2.0, is_inside)


def circle(draw: Draw) -> Points:
    """Return points of [-2, 2]^2; 1 if x1^2 + x2^2 <= 2."""
    x = draw.uniform(2.0, draw.num_points)
    return x, (_norm(x) <= CIRCLE_RADIUS).astype("int64")


def spirals(draw: Draw) -> Points:
    """Return points of two Archimedean spirals, the second rotated by half a turn, with noise."""
    labels = draw.labels()
    position = np.sqrt(draw.rng.uniform(size=draw.num_points))  # about even along the spiral
    radius = SPIRAL_RADII[0] + (SPIRAL_RADII[1] - SPIRAL_RADII[0]) * position
    angle = 2 * np.pi * SPIRAL_TURNS * position + np.pi * labels
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return x + draw.rng.normal(0, draw.noise, x.shape), labels


def moons(draw: Draw) -> Points:
    """Return the two half circles of scikit-learn, with noise."""
    from sklearn.datasets import make_moons

    x, labels = make_moons(draw.num_points, noise=draw.noise, random_state=int(draw.rng.integers(2**31)))
    return x, labels


def clouds(draw: Draw) -> Points:
    """Return points of two discs on either side of a line through the origin, at least `margin` away from it."""
    labels = draw.labels()
    normal = cloud_normal(draw.shared)
    radius = CLOUD_RADIUS * np.sqrt(draw.rng.uniform(size=draw.num_points))
    angle = draw.rng.uniform(0, 2 * np.pi, draw.num_points)
    discs = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    distance = draw.margin * (1 + 1e-6) + CLOUD_RADIUS + 1e-6  # rounding to float32 does not reduce the margin
    return discs + distance * (2 * labels - 1)[:, None] * normal, labels


def cloud_normal(shared: np.random.Generator) -> np.ndarray:
    """Return the unit normal of the separating line, from the class 0 to the class 1."""
    angle = shared.uniform(0, 2 * np.pi)
    return np.array([math.cos(angle), math.sin(angle)])


def polynomial(draw: Draw) -> Points:
    """Return x of [-1, 1] and the Chebyshev polynomial of x with noise, each (num_points, 1)."""
    x = draw.rng.uniform(-1, 1, (draw.num_points, 1))
    y = chebyshev(x, draw.degree)
    return x, y + draw.rng.normal(0, draw.noise, y.shape)


def chebyshev(x: np.ndarray, degree: int) -> np.ndarray:
    """Return the Chebyshev polynomial of x: cos(degree * arccos(x))."""
    return np.asarray(np.polynomial.chebyshev.chebval(x, np.eye(degree + 1)[-1]))


def _norm(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(x, axis=-1))


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of points.

    Args:
        draw: Draws the points of one split.
        class_names: Names of the classes 0 and 1; empty for a regression.
        defaults: The optional arguments that the kind takes, with their default values.
        generator: The function that draws the random numbers, for the summary of the data.
    """

    draw: Callable[[Draw], Points]
    class_names: tuple[str, ...]
    defaults: Mapping[str, float] = dataclasses.field(default_factory=dict)
    generator: str = "numpy.random.default_rng"


KINDS: Mapping[str, Kind] = {
    "quadrants": Kind(quadrants, ("equal signs", "opposite signs")),
    "annulus": Kind(annulus, ("outside or in the hole", "in the ring")),
    "three_modes": Kind(three_modes, ("between the modes", "in a mode")),
    "circle": Kind(circle, ("outside", "inside")),
    "spirals": Kind(spirals, ("first spiral", "second spiral"), {"noise": 0.05}),
    "moons": Kind(moons, ("upper moon", "lower moon"), {"noise": 0.1}, "sklearn.datasets.make_moons"),
    "clouds": Kind(clouds, ("negative side", "positive side"), {"margin": 0.5}),
    "polynomial": Kind(polynomial, (), {"noise": 0.1, "degree": 3}),
}
