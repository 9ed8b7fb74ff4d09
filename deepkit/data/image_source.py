"""The source of images from files: decoded once into memory, or again in every epoch, in the same order."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from PIL import Image

from deepkit.data.errors import DataError, summarize_error
from deepkit.data.image_decoding import ImageDecoder
from deepkit.data.image_files import UnreadableFile
from deepkit.data.sources import Order, ordered_indices

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Nested, Tensor

_BLOCK_SIZE = 64  # images that are decoded into one block
_MAX_LISTED = 10


class ImageSource:
    """Images in files as uint8, with their labels if there are any.

    Args:
        decoder: Decoder of the files.
        labels: The labels, with the files along the first axis; None if there are none.
        images: The decoded images, (files, height, width, channels); None to decode them in every epoch.
    """

    kind = "images"  # equal for both: the batches are the same, whether or not the images fit into memory

    def __init__(self, decoder: ImageDecoder, labels: Any = None, images: Any = None) -> None:
        self.decoder, self.labels = decoder, labels
        self.num_examples = len(decoder.files)
        with tf.init_scope(), tf.device("CPU:0"):
            self._label_tensor = None if labels is None else tf.convert_to_tensor(labels)
            self.images = None if images is None else tf.convert_to_tensor(images)

    def batches(self, order: Order | None, batch_size: int, drop_remainder: bool) -> Dataset:
        """Return the epoch's batches of indices, shuffled by a stateless permutation, and the images if decoded now."""
        indices = ordered_indices(self.num_examples, order)
        if self.images is not None:
            return indices.batch(batch_size, drop_remainder)
        decoded = indices.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)
        return decoded.batch(batch_size, drop_remainder)

    def fetch(self, *batch: Any) -> tuple[Tensor, Nested]:
        """Gather the labels of a batch, and its images if they are in memory."""
        indices, *images = batch
        x = images[0] if images else tf.gather(self.images, indices)
        return indices, (x,) if self._label_tensor is None else (x, tf.gather(self._label_tensor, indices))

    def content_hash(self) -> str:
        """Return a hash of the names and checksums of the files, the labels, and the settings of the decoder."""
        content = hashlib.blake2b(digest_size=8)
        content.update(f"{self.decoder.shape} {self.decoder.resize} {self.decoder.color_mode}".encode())
        for file in self.decoder.files:
            content.update(f"{file.name}\0{file.checksum}\0".encode())
        content.update(repr(np.asarray(self.labels).tolist()).encode())
        return content.hexdigest()

    def head(self, num_examples: int) -> ImageSource:
        """Return a source of the first images."""
        images = None if self.images is None else self.images[:num_examples]
        labels = None if self.labels is None else self.labels[:num_examples]
        return ImageSource(self.decoder.head(num_examples), labels, images)

    @tf.autograph.experimental.do_not_convert
    def _decode(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return index, self.decoder.decode(index)

    def with_labels(self, labels: Nested) -> ImageSource:
        """Return a source of the same images with other labels."""
        return ImageSource(self.decoder, labels, self.images)

    def stored_inputs(self) -> np.ndarray:
        """Return one image with the largest value that a file can hold; it represents the images."""
        return np.full((1, *self.decoder.shape), 255, "uint8")


def decode_all(decoder: ImageDecoder) -> np.ndarray:
    """Decode all images: uint8 (files, height, width, channels).

    Raises:
        DataError: Files are damaged; it names them.
    """
    num_images = len(decoder.files)
    images = np.empty((num_images, *decoder.shape), "uint8")
    decoded = tf.data.Dataset.range(num_images).map(decoder.decode, num_parallel_calls=tf.data.AUTOTUNE)
    with naming_damaged_files(decoder):
        for block, start in zip(decoded.batch(_BLOCK_SIZE), range(0, num_images, _BLOCK_SIZE), strict=True):
            images[start : start + _BLOCK_SIZE] = block.numpy()
    return images


@contextlib.contextmanager
def naming_damaged_files(decoder: ImageDecoder | None) -> Iterator[None]:
    """Raise a `DataError` that names the damaged files instead of the error of TensorFlow.

    Args:
        decoder: The decoder of the files; None for data that is not read from image files.
    """
    try:
        yield
    except tf.errors.OpError as error:
        damaged = [] if decoder is None else _damaged_files(decoder)
        if decoder is None or not damaged:
            raise
        raise unreadable_error(damaged, len(decoder.files)) from error


def unreadable_error(files: Sequence[UnreadableFile], num_images: int) -> DataError:
    """Return the error that names the images that cannot be read."""
    listed = ", ".join(f"{file.name} ({file.reason})" for file in files[:_MAX_LISTED])
    more = f" and {len(files) - _MAX_LISTED:,} more" if len(files) > _MAX_LISTED else ""
    problem = f"{len(files):,} of {num_images:,} images cannot be read: {listed}{more}"
    return DataError(problem, hint="replace or remove these files")


def _damaged_files(decoder: ImageDecoder) -> list[UnreadableFile]:
    """Decode all images, and return those that raise an error."""
    numbers = tf.data.Dataset.range(len(decoder.files))
    checked = numbers.map(lambda index: (index, tf.reduce_max(decoder.decode(index)))).ignore_errors()
    readable = {int(index) for index, _ in checked}
    damaged = [file for index, file in enumerate(decoder.files) if index not in readable]
    return [UnreadableFile(file.name, _reason(file.path)) for file in damaged]


def _reason(path: str) -> str:
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # Pillow raises many kinds of errors for damaged files
        return summarize_error(error)
    return "TensorFlow cannot decode it; saving it again may help"
