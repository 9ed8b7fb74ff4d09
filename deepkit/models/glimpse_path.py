"""A sequence of glimpses at images: the loop over them, and their locations and patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import keras
import numpy as np
from keras import ops

from deepkit.utils.errors import format_value, message
from deepkit.utils.lazy_tensorflow import tf

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Dataset, Tensor

    NextLocation: TypeAlias = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class GlimpsePath:
    """The glimpses of a network at images, as `RecurrentAttentionModel.glimpses` returns them.

    Args:
        locations: Location (x, y) of each glimpse, from -1 to 1: `(examples, num_glimpses, 2)`. See
            `deepkit.layers.Glimpse`.
        patches: Patches that the network received: `(examples, num_glimpses, size, size, num_scales * channels)`.
        logits: Output of the classifier after each glimpse: `(examples, num_glimpses, num_classes)`. It is trained
            for the last one.
        window_sizes: Side of the window of each scale in pixels of the image.

    Examples:
        >>> import deepkit as dk
        >>> import numpy as np
        >>> net = dk.RecurrentAttention(10, num_glimpses=3, glimpse_size=8)
        >>> model = net.build((28, 28, 1))
        >>> path = model.glimpses(np.zeros((2, 28, 28, 1), "float32"))
        >>> path.locations.shape, path.patches.shape, path.window_sizes
        ((2, 3, 2), (2, 3, 8, 8, 1), (8,))
    """

    locations: np.ndarray
    patches: np.ndarray
    logits: np.ndarray
    window_sizes: tuple[int, ...]


def run_glimpses(
    step: keras.Model, images: Tensor, num_glimpses: int, next_location: NextLocation, *, training: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the location and the state of each glimpse; the first one is at the center, after a state of zeros.

    Args:
        step: Model from images, locations and states to the next states.
        images: Images `(batch, height, width, channels)`, or a symbolic tensor.
        num_glimpses: Number of glimpses.
        next_location: Function from the number of a glimpse, from 1 on, and the state before it to its location.
        training: Whether the step is called in training.
    """
    zero = ops.zeros_like(images[:, 0, 0, :1], dtype="float32")  # (batch, 1)
    location = ops.repeat(zero, 2, axis=-1)
    state = ops.repeat(zero, step.output_shape[-1], axis=-1)
    for number in range(num_glimpses):
        if number > 0:
            location = next_location(number, state)
        state = step([images, location, state], training=training)
        yield location, state


def iterate_images(x: ArrayLike | Dataset, batch_size: int) -> Iterator[ArrayLike | Tensor]:
    """Yield the images of an array or of a dataset, with or without labels, in batches.

    Raises:
        TypeError: `x` is neither an array nor a dataset of arrays.
    """
    if isinstance(x, tf.data.Dataset):
        for batch in x:
            images = batch[0] if isinstance(batch, tuple) else batch
            if isinstance(images, dict | list | tuple):
                raise _not_images(images)
            yield images
        return
    images = np.asarray(x)
    if images.dtype.kind in "OSU" or images.ndim == 0:
        raise _not_images(x)
    for start in range(0, len(images), batch_size):
        yield images[start : start + batch_size]


def _not_images(value: object) -> TypeError:
    problem = f"glimpses: expected an array of images, or a dataset of such batches, received {format_value(value)}"
    return TypeError(
        message(problem, hint="pass model.glimpses(data.test), or an array (examples, height, width, channels)")
    )
