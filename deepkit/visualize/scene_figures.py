"""Figures of scenes with their captions, or with their questions and answers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepkit.visualize.figures import hide_axis_lines, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 4
_CHARACTERS = 30  # of a line above an image
_FONT_SIZE = 8


def scenes_figure(images: np.ndarray, texts: Sequence[str]) -> Figure:
    """Draw images in a grid, each below its text.

    Args:
        images: Images in [0, 1], `(batch, rows, columns, 3)`.
        texts: A text for each image.
    """
    columns = min(_COLUMNS, len(images))
    figure, axes = subplots(-(-len(images) // columns), columns, 2.2, 2.5)
    for ax in axes.flat:
        hide_axis_lines(ax)
    for ax, image, text in zip(axes.flat, images, texts, strict=False):
        ax.imshow(image, vmin=0, vmax=1)
        ax.set_title("\n".join(textwrap.wrap(text, _CHARACTERS)), fontsize=_FONT_SIZE, parse_math=False)
    return figure
