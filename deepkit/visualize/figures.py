"""What the pictures have in common: their size, their quiet style, and how they are saved."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from deepkit import _files

BLUE, ORANGE, GREY = "#3b5bdb", "#e8590c", "#868e96"


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """Return a figure of `rows` by `columns` axes, each of a size in inches; no display is needed."""
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def plain(axes: Any) -> Any:
    """Take away what is not data: the box and the ticks of a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def png(figure: Figure, dpi: int = 110) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi)
    return out.getvalue()


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Save a figure as PNG, whole or not at all.

    Args:
        figure: What one of the functions here returned.
        path: The file; its folder is made when it is not there.

    Returns:
        The path.

    Raises:
        OSError: It cannot be written; what was there before still is.

    Examples:
        >>> import deepkit as dk
        >>> dk.visualize.save(dk.visualize.curves({"loss": [1.0, 0.5]}), "curves.png").name
        'curves.png'
    """
    target = Path(path)
    _files.write(target, png(figure))
    return target
