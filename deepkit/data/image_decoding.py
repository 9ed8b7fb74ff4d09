"""Decode image files to one size and one number of channels, in a `tf.data` graph.

TensorFlow decodes plain JPEG and PNG files, Pillow all others: turned by EXIF, CMYK, transparent, with a palette, BMP
and GIF. The header of a file decides which, so a file has the same pixels in every run.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import tensorflow as tf

from deepkit.data.image_files import ImageFile
from deepkit.data.image_geometry import Geometry, plan_geometry
from deepkit.data.pillow_decoding import decode_with_pillow

if TYPE_CHECKING:
    from deepkit.utils.types import Tensor

    Branch: TypeAlias = Callable[[], Tensor]

NUM_CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
_PLAIN_MODES = ("RGB", "L")


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """The settings of decoding, which all images of a training share.

    Args:
        image_size: (height, width) of the decoded images.
        resize: "crop", "pad" or "stretch"; see `image_geometry.plan_geometry`.
        color_mode: "rgb", "grayscale" or "rgba".
    """

    image_size: tuple[int, int]
    resize: str
    color_mode: str

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ImageSettings:
        """Return the settings from JSON values, in which the size is a list."""
        return cls(**{**stored, "image_size": tuple(stored["image_size"])})


class _Steps(NamedTuple):
    """The steps of decoding that differ between files; files with equal steps share a branch of the graph."""

    decoder: str
    reduction: int
    crops: bool
    averages: bool
    interpolates: bool


class ImageDecoder:
    """Decode image files by their index.

    Args:
        files: The files.
        image_size: (height, width) of the decoded images.
        resize: "crop", "pad" or "stretch"; see `image_geometry.plan_geometry`.
        color_mode: "rgb", "grayscale" or "rgba".
    """

    def __init__(self, files: Sequence[ImageFile], image_size: tuple[int, int], resize: str, color_mode: str) -> None:
        self.files, self.image_size, self.resize, self.color_mode = tuple(files), image_size, resize, color_mode
        geometries = [
            plan_geometry(file.height, file.width, image_size, resize, may_reduce=file.format == "JPEG")
            for file in files
        ]
        steps = [self._steps(file, geometry) for file, geometry in zip(files, geometries, strict=True)]
        self._branches = tuple(sorted(set(steps)))
        positions = {branch: position for position, branch in enumerate(self._branches)}
        with tf.init_scope(), tf.device("CPU:0"):
            self._paths = tf.constant([os.fsencode(file.path) for file in files])
            self._positions = tf.constant([positions[step] for step in steps], tf.int32)
            self._orientations = tf.constant([file.orientation for file in files], tf.int32)
            self._regions = tf.constant([geometry.region for geometry in geometries], tf.int32)
            self._sizes = tf.constant([geometry.resized for geometry in geometries], tf.int32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a decoded image: (height, width, channels)."""
        return (*self.image_size, NUM_CHANNELS[self.color_mode])

    @property
    def settings(self) -> ImageSettings:
        """The settings, without the files."""
        return ImageSettings(self.image_size, self.resize, self.color_mode)

    def head(self, num_files: int) -> ImageDecoder:
        """Return a decoder of the first files."""
        return ImageDecoder(self.files[:num_files], self.image_size, self.resize, self.color_mode)

    @tf.autograph.experimental.do_not_convert
    def decode(self, index: Tensor) -> Tensor:
        """Decode one image: uint8 (height, width, channels)."""
        branches = [functools.partial(self._decode, steps, index) for steps in self._branches]
        image = branches[0]() if len(branches) == 1 else tf.switch_case(self._positions[index], branches)
        return tf.ensure_shape(image, self.shape)

    def _steps(self, file: ImageFile, geometry: Geometry) -> _Steps:
        decoder = _choose_decoder(file, self.color_mode)
        return _Steps(decoder, geometry.reduction, geometry.crops, geometry.averages, geometry.interpolates)

    def _decode(self, steps: _Steps, index: Tensor) -> Tensor:
        path = self._paths[index]
        if steps.decoder == "jpeg":
            image = self._decode_jpeg(path, steps, index)
        elif steps.decoder == "png":
            image = tf.io.decode_png(tf.io.read_file(path), channels=self.shape[-1])
        else:
            function = functools.partial(decode_with_pillow, reduction=steps.reduction, color_mode=self.color_mode)
            image = tf.numpy_function(function, [path, self._orientations[index]], tf.uint8, stateful=False)
        image = tf.ensure_shape(image, (None, None, self.shape[-1]))
        if steps.crops and steps.decoder != "jpeg":
            top, left, height, width = tf.unstack(self._regions[index])
            image = image[top : top + height, left : left + width]
        image = self._resize(image, steps, index)
        if self.resize != "pad":
            return image
        top, left = tf.unstack((tf.constant(self.image_size) - self._sizes[index]) // 2)
        return tf.image.pad_to_bounding_box(image, top, left, *self.image_size)

    def _decode_jpeg(self, path: Tensor, steps: _Steps, index: Tensor) -> Tensor:
        """Decode the region of a JPEG."""
        num_channels = min(3, self.shape[-1])
        arguments = {"channels": num_channels, "ratio": steps.reduction, "dct_method": "INTEGER_ACCURATE"}
        if steps.crops:
            image = tf.io.decode_and_crop_jpeg(tf.io.read_file(path), self._regions[index], **arguments)
        else:
            image = tf.io.decode_jpeg(tf.io.read_file(path), **arguments)
        if self.color_mode != "rgba":
            return image
        return tf.concat([image, tf.fill([*tf.unstack(tf.shape(image)[:2]), 1], tf.constant(255, tf.uint8))], -1)

    def _resize(self, image: Tensor, steps: _Steps, index: Tensor) -> Tensor:
        """Resize an image: to half its size or less by averages over areas, otherwise by linear interpolation."""
        if not steps.averages and not steps.interpolates:
            return image
        size = tf.constant(self.image_size) if self.resize != "pad" else self._sizes[index]
        if steps.averages:
            smaller = tf.minimum(size, tf.shape(image)[:2]) if steps.interpolates else size
            image = tf.image.resize(image, smaller, "area")
        if steps.interpolates:
            image = tf.image.resize(image, size, "bilinear")
        return tf.cast(tf.round(image), tf.uint8)


def _choose_decoder(file: ImageFile, color_mode: str) -> str:
    """Return "jpeg" or "png" for a file that TensorFlow decodes, else "pillow"."""
    is_plain = file.mode in _PLAIN_MODES and file.orientation == 1 and file.is_complete and not file.has_transparency
    if is_plain and file.format == "JPEG":
        return "jpeg"
    if is_plain and file.format == "PNG" and (color_mode != "grayscale" or file.mode == "L"):
        return "png"
    return "pillow"
