"""Figures as HTML fragments of limited size, for the display in notebooks."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from deepkit.utils import html_fragments as fragments
from deepkit.visualize.figures import figure_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_BYTES = 110_000  # of an image: a notebook file contains it
_RESOLUTIONS = (110, 80, 60, 45)  # dots per inch, tried in this order
_SCALES = (1.0, 0.7, 0.5, 0.35)


def png_fragment(figure: Figure, alternative: str) -> str:
    """Return a figure as a PNG image, with fewer dots per inch if it would be too large."""
    content = b""
    for resolution in _RESOLUTIONS:
        content = figure_bytes(figure, "png", dpi=resolution)
        if len(content) <= MAX_BYTES:
            break
    return fragments.image(content, "image/png", alternative)


def png_file_fragment(content: bytes, alternative: str, *, max_bytes: int = MAX_BYTES) -> str:
    """Return the content of a PNG file as an image, reduced in size if it would be too large."""
    if len(content) <= max_bytes:
        return fragments.image(content, "image/png", alternative)
    reduced = content
    with Image.open(io.BytesIO(content)) as image:
        colors = image.convert("RGB")
        for scale in _SCALES:
            reduced = _encode(colors, scale)
            if len(reduced) <= max_bytes:
                break
    return fragments.image(reduced, "image/png", alternative)


def _encode(image: Image.Image, scale: float) -> bytes:
    """Return a scaled image as PNG with a palette of 256 colors."""
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    buffer = io.BytesIO()
    image.resize(size).quantize(256).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
