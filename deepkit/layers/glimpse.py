"""Square patches of an image around a location, at one or more resolutions: the retina of hard attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_integer

if TYPE_CHECKING:
    from deepkit.utils.types import Shape, Tensor


_FARTHEST = 1e5  # location


@keras.saving.register_keras_serializable(package="deepkit")
class Glimpse(keras.layers.Layer):
    """Extract square patches of an image around a location, each with a lower resolution than the one before it.

    The window of scale k has the side size * scale_factor^k and the location as its center, rounded to whole pixels.
    Averaging reduces it to size by size pixels: the larger the window, the coarser the surroundings of the location.
    Pixels outside of the image are 0.

    A location is a pair (x, y): x from -1 at the left edge of the image to 1 at the right edge, y from -1 at the top
    to 1 at the bottom, and (0, 0) at the center. The patches are piecewise constant in the location, which therefore
    receives no gradient: `dk.RecurrentAttention` learns locations with the score function (REINFORCE).

    Reference:
        Mnih et al. 2014, "Recurrent Models of Visual Attention", sections 3.1 and 4.

    Args:
        size: Height and width of a patch in pixels.
        num_scales: Number of windows.
        scale_factor: Side of a window divided by the side of the one before it.
        kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: A pair of images and locations.

    Input shape:
        `[(batch, height, width, channels), (batch, 2)]`.

    Output shape:
        `(batch, size, size, num_scales * channels)`, the channels of the smallest window first.

    Raises:
        ValueError: An argument is not a positive integer, the inputs have other shapes, or `size` is larger than an
            image of known height and width.

    Examples:
        >>> import numpy as np
        >>> from deepkit.layers import Glimpse
        >>> image = np.arange(16.0).reshape(1, 4, 4, 1)
        >>> top_left, center = np.array([[-0.5, -0.5]]), np.array([[0.0, 0.0]])
        >>> np.asarray(Glimpse(2)([image, top_left]))[0, ..., 0].tolist()
        [[0.0, 1.0], [4.0, 5.0]]
        >>> np.asarray(Glimpse(2, num_scales=2)([image, center]))[0, ..., 1].tolist()
        [[2.5, 4.5], [10.5, 12.5]]
    """

    def __init__(self, size: int, num_scales: int = 1, scale_factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # 16 bits would round locations
        self.size = check_integer(size, "Glimpse: size", hint="use Glimpse(8)")
        self.num_scales = check_integer(num_scales, "Glimpse: num_scales", maximum=16, hint="use num_scales=3")
        self.scale_factor = check_integer(
            scale_factor, "Glimpse: scale_factor", maximum=16, hint="use scale_factor=2, which doubles the window"
        )

    @property
    def window_sizes(self) -> tuple[int, ...]:
        """Side of the window of each scale in pixels."""
        return tuple(self.size * self.scale_factor**scale for scale in range(self.num_scales))

    def build(self, input_shape: tuple[Shape, Shape]) -> None:
        """Check the shapes of images and locations."""
        self._check_shapes(input_shape)

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Return the patches."""
        self._check_shapes([tuple(x.shape) for x in inputs] if isinstance(inputs, list | tuple) else inputs)
        images, locations = inputs
        height, width = ops.shape(images)[1], ops.shape(images)[2]
        # a location far outside shows zeros like a near one, and its pixel numbers fit into 32 bits
        locations = ops.clip(ops.cast(locations, "float32"), -_FARTHEST, _FARTHEST)
        x = (locations[:, 0] + 1) * ops.cast(width, "float32") / 2
        y = (locations[:, 1] + 1) * ops.cast(height, "float32") / 2
        patches = [self._average(self._window(images, x, y, side), side) for side in self.window_sizes]
        glimpse = patches[0] if len(patches) == 1 else ops.concatenate(patches, axis=-1)
        is_number = ops.all(ops.equal(locations, locations), axis=-1)[:, None, None, None]
        return ops.where(is_number, glimpse, ops.cast(math.nan, glimpse.dtype))

    def _window(self, images: Tensor, x: Tensor, y: Tensor, side: int) -> Tensor:
        """Return the pixels of the windows of one scale, `(batch, side, side, channels)`, by one gather."""
        batch, height, width, channels = ops.shape(images)
        offsets = ops.arange(side, dtype="int32")
        rows = _first_pixels(y, side)[:, None] + offsets  # (batch, side)
        columns = _first_pixels(x, side)[:, None] + offsets
        is_row = ops.logical_and(rows >= 0, rows < height)
        is_column = ops.logical_and(columns >= 0, columns < width)
        rows, columns = ops.clip(rows, 0, height - 1), ops.clip(columns, 0, width - 1)
        first = ops.arange(batch, dtype="int32") * height  # row of each image among the rows of all
        indices = (first[:, None] + rows)[:, :, None] * width + columns[:, None, :]
        pixels = ops.take(ops.reshape(images, (-1, channels)), indices, axis=0)
        pixels = ops.cast(pixels, self.compute_dtype)
        is_inside = ops.logical_and(is_row[:, :, None], is_column[:, None, :])[..., None]
        return ops.where(is_inside, pixels, ops.zeros_like(pixels))

    def _average(self, window: Tensor, side: int) -> Tensor:
        """Return a window with `size` by `size` pixels, each the mean of a square of pixels."""
        factor = side // self.size
        if factor == 1:
            return window
        channels = ops.shape(window)[-1]
        squares = ops.reshape(window, (-1, self.size, factor, self.size, factor, channels))
        return ops.mean(squares, axis=(2, 4))

    def compute_output_shape(self, input_shape: tuple[Shape, Shape]) -> Shape:
        """Return the output shape."""
        batch, _, _, channels = self._check_shapes(input_shape)
        return (batch, self.size, self.size, None if channels is None else self.num_scales * channels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "num_scales": self.num_scales,
            "scale_factor": self.scale_factor,
        }

    def _check_shapes(self, shapes: Any) -> Shape:
        """Return the shape of the images, or raise an error if it does not fit the locations or the glimpse."""
        is_pair = isinstance(shapes, list | tuple) and len(shapes) == 2 and all(map(_is_shape, shapes))
        if not is_pair or len(shapes[0]) != 4 or len(shapes[1]) != 2 or shapes[1][-1] not in (2, None):
            problem = (
                "Glimpse: expected images (batch, height, width, channels) and locations (batch, 2), received "
                f"{format_value(shapes)}"
            )
            hint = "call the layer on a pair: glimpse([images, locations])"
            raise ValueError(message(problem, path=self.name, hint=hint))
        images = tuple(shapes[0])
        if None not in (images[0], shapes[1][0]) and images[0] != shapes[1][0]:
            problem = (
                f"Glimpse: expected a location for each image, received {images[0]} images and {shapes[1][0]} locations"
            )
            raise ValueError(message(problem, path=self.name, hint="pass images and locations of the same batch"))
        sizes = [size for size in images[1:3] if size is not None]
        if sizes and self.size > min(sizes):
            problem = (
                f"Glimpse: size={self.size} is larger than the image, received images of "
                f"{' by '.join(str(size) for size in images[1:3])} pixels"
            )
            hint = f"use a size of at most {min(sizes)}; num_scales adds larger windows, which may exceed the image"
            raise ValueError(message(problem, path=self.name, hint=hint))
        return images


def _first_pixels(centers: Tensor, side: int) -> Tensor:
    """Return the first row or column of windows around points, rounded half up."""
    return ops.cast(ops.floor(centers - side / 2 + 0.5), "int32")


def _is_shape(value: object) -> bool:
    return isinstance(value, list | tuple) and all(size is None or isinstance(size, int) for size in value)
