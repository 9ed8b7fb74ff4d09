"""Checks of the inputs that a trained model receives: their shapes, dtypes, and the scale of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from PIL import Image

from deepkit.data import Pipeline
from deepkit.training.image_paths import is_paths
from deepkit.training.output_heads import symbolic_inputs
from deepkit.training.prediction_settings import PredictionSettings, largest_value
from deepkit.training.training_data import as_tuple
from deepkit.utils.errors import format_value, make_error

if TYPE_CHECKING:
    from deepkit.utils.types import Dataset, Shape

_COLOR_MODES = {1: ', color_mode="grayscale"', 3: "", 4: ', color_mode="rgba"'}  # by the number of channels
_MIN_UNSCALED = 10  # images with larger values are not scaled to [0, 1]


def check_inputs_fit(model: keras.Model, batches: Dataset) -> None:
    """Raise a `ValueError` if the shapes or dtypes of the inputs do not fit the model."""
    num_examples = batches.num_examples if isinstance(batches, Pipeline) else None
    for name, tensor, spec in _input_pairs(symbolic_inputs(model), as_tuple(batches.element_spec)[0]):
        if isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None:
            _check_dtype(name, keras.backend.standardize_dtype(tensor.dtype), spec.dtype)
            _check_shape(name, tuple(tensor.shape), tuple(spec.shape), num_examples)


def check_scale(settings: PredictionSettings, batches: Dataset) -> None:
    """Raise a `ValueError` if the images of a pipeline are in another scale than the training images.

    The batches of other datasets are not read: a Python generator yields them only once.
    """
    training = settings.largest_value
    if training is None or not isinstance(batches, Pipeline):
        return
    for batch in batches.take(1):
        largest = largest_value(as_tuple(batch)[0])
        low, high = sorted((training if largest is None else largest, training))
        if 0 < low <= 1 and high > _MIN_UNSCALED:
            problem = f"x: the images have values up to {largest:g}, the training images up to {training:g}"
            raise make_error(ValueError, problem, hint="pass images in the scale of the training images")


def check_no_paths(model: keras.Model, x: object) -> None:
    """Raise a `ValueError` for paths instead of the images that a model expects.

    Only a run on a folder of images has the settings to decode files.
    """
    tensors = keras.tree.flatten(symbolic_inputs(model))
    shape = tuple(tensors[0].shape) if len(tensors) == 1 and tensors[0] is not None else ()
    if len(shape) != 4 or shape[-1] not in _COLOR_MODES or tensors[0].dtype == "string" or not is_paths(x):
        return
    size = "" if None in shape[1:3] else f", target_size={shape[1:3]}"
    image = f"keras.utils.load_img(path{size}{_COLOR_MODES[shape[-1]]})"
    problem = f"x: expected images as arrays, received {format_value(x)}; the training data is not a folder of images"
    raise make_error(ValueError, problem, hint=f"pass np.stack([{image} for path in paths])")


def check_no_pillow_images(x: object) -> None:
    """Raise a `TypeError` for images of Pillow, which have not been decoded and resized as the training images."""
    first = x[0] if isinstance(x, list | tuple) and x else x
    if isinstance(first, Image.Image):
        problem = f"x: expected paths of images, received {format_value(first)}"
        hint = "pass the path of the file: it is decoded and resized as the training images"
        raise make_error(TypeError, problem, hint=hint)


def check_has_labels(settings: PredictionSettings, x: object) -> None:
    """Raise a `ValueError` for paths of images, which have no labels, instead of labeled images."""
    first = x[0] if isinstance(x, tuple) and x else x
    images = settings.images
    if images is None or not is_paths(first):
        return
    options = f'image_size={images.image_size}, resize="{images.resize}", color_mode="{images.color_mode}"'
    hint = f"pass a folder with one folder per class: dk.data.from_folder(path, {options}).train"
    raise make_error(ValueError, f"x: expected images with labels, received {format_value(first)}", hint=hint)


def _input_pairs(expected: Any, received: Any) -> list[tuple[str, Any, Any]]:
    """Return name, symbolic input and spec of each input; empty if they do not correspond, so that Keras raises."""
    if expected is None:
        return []
    if isinstance(expected, Mapping) and isinstance(received, Mapping):
        if set(expected) != set(received):
            return []
        return [(f"x[{name!r}]", expected[name], received[name]) for name in expected]
    tensors, specs = keras.tree.flatten(expected), keras.tree.flatten(received)
    if len(tensors) != len(specs):
        return []
    names = ["x"] if len(tensors) == 1 else [f"x[{i}]" for i in range(len(tensors))]
    return list(zip(names, tensors, specs, strict=True))


def _check_dtype(name: str, expected: str, received: Any) -> None:
    if received.is_complex and not expected.startswith("complex"):
        problem = f"{name}: expected real numbers, received {received.name}"
        raise make_error(ValueError, problem, hint="convert x as the training data")
    if (expected == "string") == (received == tf.string):
        return
    if expected == "string":
        problem, hint = f"{name}: expected strings, received {received.name}", "pass a list of strings"
    else:
        problem, hint = f"{name}: expected numbers, received strings", "pass the numbers that the model was trained on"
    raise make_error(ValueError, problem, hint=hint)


def _check_shape(name: str, expected: Shape, received: Shape, num_examples: int | None) -> None:
    """Raise if a batch does not fit an input; `num_examples` is the length of an array, or None for a dataset."""
    if _fits(received, expected):
        return
    sizes = ["batch", *("any" if size is None else str(size) for size in expected[1:])]
    shape = f"({', '.join(sizes)})" if len(sizes) > 1 else "(batch,)"
    if num_examples is None:
        problem = f"{name}: expected a batch of shape {shape}, received batches of shape {received}"
        unbatched = len(received) < len(expected)
        hint = "use dataset.batch(32)" if unbatched else "map x to the shape of the training examples"
        raise make_error(ValueError, problem, hint=hint)
    problem = f"{name}: expected a batch of shape {shape}, received an array of shape {(num_examples, *received[1:])}"
    hint = "pass x in the shape of the training examples"
    if len(received) == len(expected) - 1:
        channels = ", or x[..., None] to add a channel axis" if len(expected) == 4 and expected[-1] == 1 else ""
        hint = f"pass x[None], a batch of one example{channels}"
    raise make_error(ValueError, problem, hint=hint)


def _fits(received: Shape, expected: Shape) -> bool:
    """Return whether Keras accepts a shape: a last axis of size 1 may be missing or added."""
    accepted = [expected, (*expected, 1)]
    if expected[-1:] == (1,):
        accepted.append(expected[:-1])
    return any(
        len(received) == len(shape)
        and all(None in (size, other) or size == other for size, other in zip(received[1:], shape[1:], strict=True))
        for shape in accepted
    )
