"""Downsampling of images by the mean of the area that each pixel covers."""

from __future__ import annotations

import math

import numpy as np


class AreaResize:
    """Downsample a batch of gray images: each pixel is the mean of the area that it covers.

    It sums in float32, first along the columns, in the order of OpenCV's `INTER_AREA`, so that it rounds pixels alike.

    Args:
        from_size: Height and width of the images.
        to_size: Height and width of the result, at most those of the images.

    Examples:
        >>> resize = AreaResize((4, 4), (2, 2))
        >>> resize(np.arange(16, dtype=np.uint8).reshape(1, 4, 4))
        array([[[ 2,  4],
                [10, 12]]], dtype=uint8)
    """

    def __init__(self, from_size: tuple[int, int], to_size: tuple[int, int]) -> None:
        self.rows = _taps(from_size[0], to_size[0])
        self.columns = _taps(from_size[1], to_size[1])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the images downsampled, uint8 `(images, height, width)`.

        Args:
            images: uint8 `(images, height, width)`.
        """
        narrow = _weighted_sum(images, self.columns, axis=2)
        return np.rint(_weighted_sum(narrow, self.rows, axis=1)).astype(np.uint8)


def _weighted_sum(images: np.ndarray, taps: list[tuple[np.ndarray, np.ndarray]], axis: int) -> np.ndarray:
    shape = (1, -1, 1) if axis == 1 else (1, 1, -1)
    terms = (
        np.take(images, indices, axis=axis).astype(np.float32) * weights.reshape(shape) for indices, weights in taps
    )
    total = next(terms)
    for term in terms:
        total += term
    return total


def _taps(num_from: int, num_to: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each summand of the mean the index of its source, and its weight, for all targets.

    A target without as many sources has the weight 0 for the last ones.
    """
    scale = num_from / num_to
    num_taps = max(len(_sources(target, scale, num_from)) for target in range(num_to))
    indices = np.zeros((num_taps, num_to), dtype=np.int64)
    weights = np.zeros((num_taps, num_to), dtype=np.float32)
    for target in range(num_to):
        for tap, (source, weight) in enumerate(_sources(target, scale, num_from)):
            indices[tap, target], weights[tap, target] = source, weight
    return list(zip(indices, weights, strict=True))


def _sources(target: int, scale: float, num_from: int) -> list[tuple[int, float]]:
    """Return the sources that a target covers, from the first to the last, with the covered share of the area."""
    start = target * scale
    end = min(start + scale, num_from)
    sources = []
    for source in range(math.floor(start), math.ceil(end)):
        covered = min(source + 1, end) - max(source, start)
        if covered > 1e-3:
            sources.append((source, covered / (end - start)))
    return sources
