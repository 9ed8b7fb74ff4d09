"""Decode an image file with Pillow: the formats and color modes that TensorFlow cannot decode."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_TRANSPOSITIONS = {  # from an orientation of EXIF to the upright image
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_with_pillow(path: bytes, orientation: int, reduction: int, color_mode: str) -> np.ndarray:
    """Decode the first image of a file and turn it upright.

    Args:
        path: Path of the file.
        orientation: Orientation according to EXIF, from 1 to 8.
        reduction: Factor of 1, 2, 4 or 8 by which a JPEG may be reduced while it is decoded.
        color_mode: "grayscale", "rgb" or "rgba".

    Returns:
        uint8 (height, width, channels).
    """
    with Image.open(os.fsdecode(path)) as image:
        if image.format in ("JPEG", "MPO") and reduction > 1:
            width, height = image.size
            image.draft(_MODES[color_mode], (max(1, width // reduction), max(1, height // reduction)))
        converted = convert_mode(image, color_mode)
    if orientation in _TRANSPOSITIONS:
        converted = converted.transpose(_TRANSPOSITIONS[int(orientation)])
    pixels = np.asarray(converted)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def convert_mode(image: Image.Image, color_mode: str) -> Image.Image:
    """Convert an image of any mode; transparent pixels are composited on white unless `color_mode` is "rgba"."""
    mode = _MODES[color_mode]
    if image.mode.startswith("I"):  # 16 bits: the upper byte, as TensorFlow reads it
        image = Image.fromarray((np.asarray(image).astype("uint32") >> 8).astype("uint8"))
    is_transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if is_transparent:
        image = image.convert("RGBA")
        if mode != "RGBA":
            background = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(background, image)
    elif image.mode in ("P", "CMYK"):
        image = image.convert("RGB")
    return image.convert(mode)
