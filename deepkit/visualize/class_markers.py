"""Points with a color and a marker for each class, which also differ without color vision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from deepkit.visualize.figures import BLUE, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# the palette of Okabe and Ito (2008), with the blue and the orange of the other figures; it excludes yellow, which is
# hard to see on white, and two colors of Paul Tol
COLORS = (
    BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#000000", "#e69f00", "#6c757d", "#882255", "#44aa99",
)  # fmt: skip
_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*", "<", "p")


def class_color(number: int) -> str:
    """Return the color of a class; after ten classes the colors repeat, with other markers."""
    return COLORS[number % len(COLORS)]


def mix_with_white(number: int, share: np.ndarray) -> np.ndarray:
    """Return the color of a class as RGB, of which a share between 0 (white) and 1 remains."""
    return 1 - np.asarray(share)[..., None] * (1 - np.array(to_rgb(class_color(number))))


def scatter_by_class(
    ax: Axes, positions: np.ndarray, numbers: np.ndarray, names: Sequence[str], *, size: float = 18
) -> None:
    """Draw points (points, 2) with the color, the marker and the name of their class."""
    for number in np.unique(numbers):
        rows = numbers == number
        marker = _MARKERS[(number + number // len(COLORS)) % len(_MARKERS)]
        ax.scatter(
            positions[rows, 0],
            positions[rows, 1],
            s=2 * size if marker == "*" else size,  # most of the area of a star lies outside of it
            color=class_color(number),
            marker=marker,
            edgecolors="white",
            linewidths=0.5 if size > 15 else 0.2,
            label=names[number],
            zorder=3,
        )
