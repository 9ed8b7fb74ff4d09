"""What the pictures have in common: their size, their quiet style, and how they are saved."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from deepkit.utils import files as _files

BLUE, ORANGE, GREY = "#3b5bdb", "#e8590c", "#868e96"
_DPI = 110
_FORMATS = (".pdf", ".png", ".svg")


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


def png(figure: Figure, dpi: float | None = None) -> bytes:
    """Return a figure as the bytes of a PNG file, at 110 dots an inch or as many as the figure asks for."""
    return _bytes(figure, "png", dpi=dpi or max(_DPI, figure.dpi))


def file_format(path: str | os.PathLike[str]) -> str:
    """Return the format that the ending of a path asks for; raise a ValueError where it is none of the known."""
    ending = Path(path).suffix.lower()
    if ending not in _FORMATS:
        raise ValueError(
            f"expected a path that ends in {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}, received {os.fspath(path)!r}"
            f"\n  hint: {str(Path(path).with_suffix('.svg'))!r}"
        )
    return ending[1:]


def _bytes(figure: Figure, form: str, **options: Any) -> bytes:
    """Return a file's bytes: the same ones for the same figure, text as text where the format can."""
    out = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "deepkit"}):
        figure.savefig(out, format=form, metadata=undated.get(form), **options)
    return out.getvalue()


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Save a figure as PNG, SVG or PDF, whole or not at all.

    Args:
        figure: What one of the functions here returned.
        path: The file, which ends in `.png`, `.svg` or `.pdf`; its folder is made when it is not there.

    Returns:
        The path.

    Raises:
        ValueError: The path has another ending.
        OSError: It cannot be written; what was there before still is.

    Examples:
        >>> import deepkit as dk
        >>> dk.visualize.save(dk.visualize.curves({"loss": [1.0, 0.5]}), "curves.png").name
        'curves.png'
    """
    target = Path(path)
    form = file_format(path)
    _files.write(target, png(figure) if form == "png" else _bytes(figure, form))
    return target
