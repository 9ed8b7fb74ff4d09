"""Grad-CAM and saliency maps as arrays: which parts of an image a classifier's score depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from deepkit.utils.errors import message
from deepkit.utils.validation import check_integer, check_number
from deepkit.visualize.class_scores import GRADIENT_SCALE, class_scores, sum_of_class_scores
from deepkit.visualize.layer_calls import RecordedCall, record_calls
from deepkit.visualize.model_inputs import accepts_run, as_image_batch, pack_inputs
from deepkit.visualize.nested_layers import NestedLayer, find_layer, walk_layers

if TYPE_CHECKING:
    import tensorflow as tf

    from deepkit.utils.types import ArrayLike, Nested, Tensor


@accepts_run
def grad_cam(
    model: keras.Model, image: ArrayLike, *, layer: str | None = None, class_index: int | None = None
) -> np.ndarray:
    """Return the Grad-CAM heat map of an image: how much each region supports a class.

    Reference:
        Selvaraju et al. 2017, "Grad-CAM", section 3, equations 1 and 2.

    Args:
        model: A classifier of images.
            A `Run` stands for its model.
        image: An image (rows, columns, channels) as the model takes it, or several with a batch axis in front.
        layer: Name or path of a layer with outputs (batch, rows, columns, channels). By default the last such layer.
        class_index: The class, counted from 0. By default the predicted class.

    Returns:
        Values of at least 0, in units of the class's score: (rows, columns) of the image, or (batch, rows, columns)
        for several images.

    Raises:
        ValueError: The layer or the class does not exist, the layer's output has no rows and columns, the image does
            not fit the model, or the model has several outputs or is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> net = dk.Sequential([dk.ConvBlock(4), dk.Classifier(3, pool="avg")])
        >>> model = net.build((8, 8, 1))
        >>> heat_map = dk.visualize.arrays.grad_cam(
        ...     model, np.ones((8, 8, 1)), class_index=2
        ... )
        >>> heat_map.shape, bool((heat_map >= 0).all())
        ((8, 8), True)
    """
    batch, is_single = as_image_batch(model, image, "grad_cam")
    maps, _ = grad_cam_maps(model, batch, layer, class_index)
    resized = ops.image.resize(maps[..., None], batch.shape[1:3], interpolation="bilinear", data_format="channels_last")
    values = np.asarray(resized)[..., 0]
    return values[0] if is_single else values


def grad_cam_maps(
    model: keras.Model, batch: np.ndarray, layer: str | None, class_index: int | None
) -> tuple[Tensor, list[int]]:
    """Return a heat map per image in the size of the layer's output, and the class of each image."""
    import tensorflow as tf

    layers = list(walk_layers(model))
    target_layer = None if layer is None else find_layer(model, layer, "grad_cam")
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        scores, calls = _run(model, layers, batch, tape, "grad_cam")
        score, classes = sum_of_class_scores(scores, class_index, "grad_cam")
        feature_maps = _feature_maps(model, calls, target_layer)
        scaled_score = score * GRADIENT_SCALE
    gradients = tape.gradient(scaled_score, feature_maps)
    if gradients is None:
        raise ValueError(f"grad_cam: the class scores of {model.name} do not depend on the layer {layer!r}")
    feature_maps = ops.cast(feature_maps, "float32")
    gradients = ops.cast(gradients, "float32") / GRADIENT_SCALE
    weights = ops.mean(gradients, axis=(1, 2), keepdims=True)  # the alphas of equation 1
    return ops.relu(ops.sum(weights * feature_maps, axis=-1)), classes


@accepts_run
def saliency(
    model: keras.Model,
    image: ArrayLike,
    *,
    class_index: int | None = None,
    num_samples: int = 0,
    noise: float = 0.15,
    seed: int = 0,
) -> np.ndarray:
    """Return the saliency map of an image: how strongly the score of a class depends on each pixel.

    Reference:
        Simonyan et al. 2014, "Deep inside convolutional networks", section 3; with `num_samples` Smilkov et al. 2017,
        "SmoothGrad", section 2.

    Args:
        model: A classifier of images with a floating point input.
            A `Run` stands for its model.
        image: An image (rows, columns, channels) as the model takes it, or several with a batch axis in front.
        class_index: The class, counted from 0. By default the predicted class.
        num_samples: Number of noisy copies over which the gradient is averaged; 0 uses the image itself.
        noise: Standard deviation of the noise, as a fraction of the range from the darkest to the lightest pixel.
        seed: Seed of the noise.

    Returns:
        The largest absolute gradient over the channels, in units of the class's score per unit of a pixel:
        (rows, columns) of the image, or (batch, rows, columns) for several images.

    Raises:
        ValueError: The image does not fit the model, the class does not exist, the gradient does not reach the
            input, or the model has several outputs or is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(3).build((8, 8, 1))
        >>> dk.visualize.arrays.saliency(model, np.ones((2, 8, 8, 1))).shape
        (2, 8, 8)
    """
    batch, is_single = as_image_batch(model, image, "saliency")
    maps, _ = saliency_maps(model, batch, class_index, num_samples, noise, seed)
    return maps[0] if is_single else maps


def saliency_maps(
    model: keras.Model, batch: np.ndarray, class_index: int | None, num_samples: int, noise: float, seed: int
) -> tuple[np.ndarray, list[int]]:
    """Return a saliency map per image, and the class of each image, predicted without noise."""
    num_samples = check_integer(num_samples, "saliency: num_samples", minimum=0)
    noise = check_number(noise, "saliency: noise", minimum=0)
    images = np.asarray(batch, "float32")
    gradient, classes = _input_gradient(model, images, class_index)
    if num_samples:
        generator = np.random.default_rng(seed)
        value_range = images.max(axis=(1, 2, 3), keepdims=True) - images.min(axis=(1, 2, 3), keepdims=True)
        stddev = noise * value_range
        total = np.zeros_like(images)
        for _ in range(num_samples):
            noisy_images = images + stddev * generator.standard_normal(images.shape, "float32")
            total = total + _input_gradient(model, noisy_images, classes)[0]
        gradient = total / num_samples
    return np.abs(gradient).max(axis=-1), classes


def _input_gradient(
    model: keras.Model, batch: np.ndarray, class_index: int | list[int] | None
) -> tuple[np.ndarray, list[int]]:
    """Return the signed gradient of each image's class score with respect to its pixels, and the classes."""
    import tensorflow as tf

    x = tf.constant(batch)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        scores, _ = _run(model, list(walk_layers(model)), x, None, "saliency")
        score, classes = sum_of_class_scores(scores, class_index, "saliency")
        scaled_score = score * GRADIENT_SCALE
    gradient = tape.gradient(scaled_score, x)
    if gradient is None:
        dtypes = [tensor.dtype for tensor in getattr(model, "inputs", None) or []]
        integer_dtypes = [dtype for dtype in dtypes if "float" not in dtype]
        cause = f"its input is {integer_dtypes[0]}" if integer_dtypes else "a layer does not have a gradient"
        problem = f"saliency: the gradient of {model.name} does not reach its input: {cause}"
        raise ValueError(message(problem, hint="use grad_cam, which needs the gradient of a layer only"))
    return np.asarray(gradient) / GRADIENT_SCALE, classes


def _run(
    model: keras.Model,
    layers: Sequence[NestedLayer],
    batch: np.ndarray | Tensor,
    tape: tf.GradientTape | None,
    caller: str,
) -> tuple[Tensor, list[RecordedCall]]:
    """Return the class scores of a batch and the calls of the layers; the tape watches the layers' outputs."""

    def watch(tensor: tf.Tensor) -> None:
        if tape is not None and len(tensor.shape) == 4 and tensor.dtype.is_floating:
            tape.watch(tensor)

    with record_calls(layers, watch) as calls:
        output = model(pack_inputs(model, batch), training=False)
        return class_scores(output, list(calls), caller), calls


def _feature_maps(model: keras.Model, calls: Sequence[RecordedCall], target_layer: NestedLayer | None) -> Nested:
    """Return the output of a layer, or of the last layer whose output has rows and columns."""
    if target_layer is None:
        spatial_outputs = [call.output for call in calls if _is_spatial(call.output)]
        if not spatial_outputs:
            problem = f"grad_cam: {model.name} does not have a layer with outputs (batch, rows, columns, channels)"
            raise ValueError(message(problem, hint="use saliency, which works without such a layer"))
        return spatial_outputs[-1]
    path = target_layer.path
    outputs = [call.output for call in calls if call.path == path]
    if not outputs:
        problem = f"grad_cam: the layer {path!r} of {model.name} is not called when the model runs"
        hint = "use another layer, or leave layer= out for the last one with rows and columns"
        raise ValueError(message(problem, hint=hint))
    if not _is_spatial(outputs[-1]):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in keras.tree.flatten(outputs[-1]))
        problem = (
            f"grad_cam: expected a layer with outputs (batch, rows, columns, channels), received {path!r} with "
            f"outputs of shape {shapes}"
        )
        spatial_paths = [call.path for call in calls if _is_spatial(call.output)]
        last_path = list(dict.fromkeys(spatial_paths))[-1:]
        raise ValueError(message(problem, hint=f"use layer={last_path[0]!r}" if last_path else ""))
    return outputs[-1]


def _is_spatial(output: Nested) -> bool:
    """Return whether an output is a floating point tensor (batch, rows, columns, channels) of more than one pixel."""
    shape: Sequence[int] = getattr(output, "shape", ())
    if len(shape) != 4 or shape[1] * shape[2] <= 1:
        return False
    dtype = getattr(output, "dtype", None)
    return bool(getattr(dtype, "is_floating", False))
