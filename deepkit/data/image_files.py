"""Image files: recognize JPEG, PNG, BMP and GIF by their content, and check them without decoding the pixels."""

from __future__ import annotations

import dataclasses
import os
import stat
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from deepkit.data.errors import summarize_error

FORMATS = ("JPEG", "PNG", "BMP", "GIF")
FORMAT_TEXT = "JPEG, PNG, BMP or GIF"
_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif")
_UNIQUE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_SIGNATURES = (*_UNIQUE_SIGNATURES, b"BM")  # a text may begin with BM
_END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_CONTENTS = (  # other files that often have the suffix of an image: position, bytes, description
    (8, b"WEBP", "a WebP image"),
    (0, b"II*\x00", "a TIFF image"),
    (0, b"MM\x00*", "a TIFF image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyp", "a HEIC image or a video"),
    (0, b"<svg", "an SVG image"),
    (0, b"<?xml", "an XML file"),
    (0, b"<!doctype html", "an HTML page"),
    (0, b"<html", "an HTML page"),
    (0, b"version https://git-lfs", "a pointer of Git LFS"),
)
_EDGE_BYTES = 2**16  # of both ends of a file: smaller images are read whole
_ORIENTATION_TAG = 0x0112  # of EXIF
_MAX_THREADS = 16  # they wait for the disk


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image file whose header is valid.

    Args:
        path: Path to open.
        name: Path in the folder of the dataset, with "/" between its parts.
        format: "JPEG", "PNG", "BMP" or "GIF".
        mode: Pillow's mode of the pixels, such as "RGB" or "CMYK".
        height: Number of rows of the upright image.
        width: Number of columns of the upright image.
        orientation: Orientation according to EXIF, from 1 (upright) to 8.
        has_transparency: Whether pixels may be transparent.
        is_complete: Whether the file ends with the marker of its format.
        checksum: Size and checksum of the first and last 64 KiB.
    """

    path: str
    name: str
    format: str
    mode: str
    height: int
    width: int
    orientation: int
    has_transparency: bool
    is_complete: bool
    checksum: str


@dataclasses.dataclass(frozen=True)
class UnreadableFile:
    """A file that should be an image and cannot be read.

    Args:
        name: Path in the folder of the dataset.
        reason: The reason.
    """

    name: str
    reason: str


def inspect_files(files: Sequence[tuple[str, str]]) -> list[ImageFile | UnreadableFile | None]:
    """Inspect files in parallel; see `inspect_file`.

    Args:
        files: Path and name of each file.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor(_MAX_THREADS) as executor:
        warnings.simplefilter("ignore")  # Pillow warns about damaged metadata and very large images
        return list(executor.map(lambda file: inspect_file(*file), files))


def inspect_file(path: str, name: str) -> ImageFile | UnreadableFile | None:
    """Read the header and both ends of a file.

    Returns:
        The image, or a reason if the file has the suffix or the signature of an image but is damaged; None for any
        other file.
    """
    has_suffix = name.lower().endswith(_SUFFIXES)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe would wait
            return UnreadableFile(name, "not a regular file") if has_suffix else None
        with open(path, "rb") as file:
            ends, size = _read_ends(file)
            if not has_suffix and not ends.startswith(_SIGNATURES):
                return None
            if not size:
                return UnreadableFile(name, "the file is empty")
            try:
                return _inspect_image(file, path, name, ends, size)
            except Exception as error:  # Pillow raises many kinds of errors for damaged files
                if has_suffix or ends.startswith(_UNIQUE_SIGNATURES):
                    return UnreadableFile(name, _reason(ends, error))
                return None
    except OSError as error:
        return UnreadableFile(name, error.strerror or summarize_error(error)) if has_suffix else None


def _read_ends(file: BinaryIO) -> tuple[bytes, int]:
    """Return the first and the last bytes of a file, and its size."""
    head = file.read(_EDGE_BYTES)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(len(head), size - _EDGE_BYTES))
    return head + file.read(), size


def _inspect_image(file: BinaryIO, path: str, name: str, ends: bytes, size: int) -> ImageFile:
    file.seek(0)
    image = Image.open(file, formats=FORMATS)
    image_format = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with further images
    width, height = image.size
    orientation = _orientation(image)
    if orientation >= 5:  # turned by 90 degrees
        width, height = height, width
    is_complete = _END_MARKERS.get(image_format, b"") in ends[-_EDGE_BYTES:]
    result = ImageFile(
        path=path,
        name=name,
        format=image_format,
        mode=image.mode,
        height=height,
        width=width,
        orientation=orientation,
        has_transparency=image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info,
        is_complete=is_complete,
        checksum=f"{size}:{zlib.crc32(ends):08x}",
    )
    if not is_complete:
        image.load()  # raises an error if the file is truncated
    return result


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # Pillow raises many kinds of errors for damaged metadata; the pixels may be intact
        return 1
    return orientation if orientation in range(1, 9) else 1


def _reason(ends: bytes, error: Exception) -> str:
    """Return why a file is not an image, as text."""
    for position, content, description in _CONTENTS:
        if ends[position : position + len(content)].lower() == content.lower():
            return f"it is {description}"
    if isinstance(error, UnidentifiedImageError):  # its message is the address of the file object
        return "its header is damaged" if ends.startswith(_SIGNATURES) else f"it is not a {FORMAT_TEXT} image"
    return summarize_error(error)
