"""Size, style and files of the figures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from deepkit.utils import files
from deepkit.utils.errors import message

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deepkit.utils.types import PathLike

BLUE, ORANGE, GRAY, GREEN = "#3b5bdb", "#e8590c", "#868e96", "#2b8a3e"
_DPI = 110
_SUFFIXES = (".pdf", ".png", ".svg")
_WITHOUT_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}  # so that equal figures give equal files


class PngFigure(Figure):
    """A figure that a notebook displays as PNG, also without pyplot and `%matplotlib inline`.

    `alt_text` describes the figure to a reader who cannot see it; the notebook stores it beside the image.
    """

    alt_text: str = ""

    def _repr_png_(self) -> bytes | tuple[bytes, dict[str, str]]:
        content = png_bytes(self)
        return (content, {"alt": self.alt_text}) if self.alt_text else content


class SvgFigure(Figure):
    """A figure that a notebook displays as SVG, whose text can be searched and copied."""

    def _repr_svg_(self) -> str:
        return figure_bytes(self, "svg").decode("utf-8")


def subplots(rows: int, columns: int, width: float, height: float) -> tuple[PngFigure, np.ndarray]:
    """Return a figure and its axes as an array (rows, columns); works without a display.

    Args:
        rows: Number of rows of axes.
        columns: Number of columns of axes.
        width: Width of each axes in inches.
        height: Height of each axes in inches.
    """
    figure = PngFigure(figsize=(columns * width, rows * height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def hide_axis_lines(axes: Axes) -> Axes:
    """Remove the ticks and the frame of axes that show an image, and return the axes."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def displayable_image(image: np.ndarray) -> np.ndarray:
    """Rescale an image to [0, 1]: (rows, columns) for fewer than three channels, else the first three channels."""
    image = np.asarray(image, "float32")
    image = image[..., :3] if image.shape[-1] >= 3 else image[..., 0]
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else np.zeros_like(image)


def png_bytes(figure: Figure, dpi: float | None = None) -> bytes:
    """Return the content of a PNG file, by default with 110 dots per inch, or more if the figure has more."""
    return figure_bytes(figure, "png", dpi=dpi or max(_DPI, figure.dpi))


def figure_bytes(figure: Figure, file_format: str, *, dpi: float | None = None) -> bytes:
    """Return the content of a figure's file: equal for equal figures, with text as text if the format supports it."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "deepkit"}):
        figure.savefig(buffer, format=file_format, metadata=_WITHOUT_DATE.get(file_format), dpi=dpi or "figure")
    return buffer.getvalue()


def file_format(path: PathLike) -> str:
    """Return the file format that the suffix of a path stands for.

    Raises:
        ValueError: The suffix is not `.pdf`, `.png` or `.svg`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        expected = f"{', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}"
        problem = f"expected a path that ends in {expected}, received {str(path)!r}"
        raise ValueError(message(problem, hint=f"use {str(Path(path).with_suffix('.svg'))!r}"))
    return suffix[1:]


def save(figure: Figure, path: PathLike) -> Path:
    """Save a figure as PNG, SVG or PDF, atomically.

    Args:
        figure: A figure that one of the functions of `deepkit.visualize` returned.
        path: A path that ends in `.png`, `.svg` or `.pdf`. A missing folder is created.

    Returns:
        The path.

    Raises:
        ValueError: The path has another suffix.
        OSError: The file cannot be written; an existing file is left unchanged.

    Examples:
        >>> import deepkit as dk
        >>> dk.visualize.save(
        ...     dk.visualize.curves({"loss": [1.0, 0.5]}), "curves.png"
        ... ).name
        'curves.png'
    """
    target = Path(path)
    suffix = file_format(path)
    content = png_bytes(figure) if suffix == "png" else figure_bytes(figure, suffix)
    files.atomic_write(target, content)
    return target
