"""The size of an image while it is decoded, cropped, resized and padded; computed from its header."""

from __future__ import annotations

import dataclasses
import math

RESIZE_MODES = ("crop", "pad", "stretch")
_REDUCTIONS = (8, 4, 2)  # by which libjpeg can reduce an image while it decodes


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How an image of one size becomes an image of another size.

    Args:
        reduction: Factor of 1, 2, 4 or 8 by which a JPEG is reduced while it is decoded.
        decoded: (height, width) of the decoded image.
        region: (top, left, height, width) of the region that is used.
        resized: (height, width) to which the region is resized.
    """

    reduction: int
    decoded: tuple[int, int]
    region: tuple[int, int, int, int]
    resized: tuple[int, int]

    @property
    def crops(self) -> bool:
        """Whether the region is smaller than the decoded image."""
        return self.region[2:] != self.decoded

    @property
    def averages(self) -> bool:
        """Whether an axis becomes half as large or smaller: linear interpolation would skip pixels."""
        return any(2 * new <= old for new, old in zip(self.resized, self.region[2:], strict=True))

    @property
    def interpolates(self) -> bool:
        """Whether the image is interpolated: it changes its size by less, or an axis becomes larger."""
        pairs = list(zip(self.resized, self.region[2:], strict=True))
        return any(new > old for new, old in pairs) or (not self.averages and self.resized != self.region[2:])


def plan_geometry(height: int, width: int, size: tuple[int, int], resize: str, *, may_reduce: bool) -> Geometry:
    """Return the geometry of an image.

    Args:
        height: Number of rows of the image.
        width: Number of columns.
        size: (height, width) of the result.
        resize: "crop" uses the largest centered region with the aspect ratio of `size`, "pad" fits the whole image into
            `size`, "stretch" ignores the aspect ratio.
        may_reduce: Whether the decoder can reduce the image; it stays at least as large as it is resized to.

    Examples:
        >>> plan_geometry(600, 1000, (100, 100), "crop", may_reduce=True)
        Geometry(reduction=4, decoded=(150, 250), region=(0, 50, 150, 150), resized=(100, 100))
        >>> plan_geometry(600, 1000, (100, 100), "pad", may_reduce=False).resized
        (60, 100)
    """
    ratios = height / size[0], width / size[1]
    factor = max(ratios) if resize == "pad" else min(ratios)
    reduction = next((number for number in _REDUCTIONS if may_reduce and number <= factor), 1)
    rows, columns = math.ceil(height / reduction), math.ceil(width / reduction)
    region, resized = (0, 0, rows, columns), size
    if resize == "crop":
        inner_rows = _clip(_round_ratio(columns * size[0], size[1]), rows)
        inner_columns = _clip(_round_ratio(rows * size[1], size[0]), columns)
        region = ((rows - inner_rows) // 2, (columns - inner_columns) // 2, inner_rows, inner_columns)
    elif resize == "pad":
        scale = min(size[0] / height, size[1] / width)
        resized = _clip(round(scale * height), size[0]), _clip(round(scale * width), size[1])
    return Geometry(reduction, (rows, columns), region, resized)


def _round_ratio(numerator: int, denominator: int) -> int:
    return (numerator + denominator // 2) // denominator


def _clip(number: int, maximum: int) -> int:
    return max(1, min(number, maximum))
