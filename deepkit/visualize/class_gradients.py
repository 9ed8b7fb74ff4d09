"""Where in an image a classifier finds its class: gradients of the class's score, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from deepkit.visualize.capture import Call, listening
from deepkit.visualize.class_scores import SCALE, chosen, class_scores
from deepkit.visualize.lookup import Found, find, walk
from deepkit.visualize.model_inputs import fed, image_batch


def grad_cam(model: keras.Model, image: Any, *, layer: str | None = None, class_index: int | None = None) -> np.ndarray:
    """Return how much each place of an image speaks for a class; see `deepkit.visualize.grad_cam`.

    Returns:
        (rows, columns) of the image, at least 0, in the units of the class's score; with a batch axis in front
        where the image has one.
    """
    batch, single = image_batch(model, image, "grad_cam")
    maps, _ = cam(model, batch, layer, class_index)
    sized = ops.image.resize(maps[..., None], batch.shape[1:3], interpolation="bilinear", data_format="channels_last")
    values = np.asarray(sized)[..., 0]
    return values[0] if single else values


def cam(model: keras.Model, batch: np.ndarray, layer: str | None, class_index: int | None) -> tuple[Any, list[int]]:
    """Return a map an image in the size of the layer's output, and the classes that they are of."""
    import tensorflow as tf

    layers = list(walk(model))
    wanted = None if layer is None else find(model, layer, "grad_cam")
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        scores, calls = _run(model, layers, batch, tape, "grad_cam")
        score, classes = chosen(scores, class_index, "grad_cam")
        maps = _maps(model, calls, wanted)
        scaled = score * SCALE
    gradients = tape.gradient(scaled, maps)
    if gradients is None:
        raise ValueError(f"grad_cam: the class scores of {model.name} do not depend on the layer {layer!r}")
    maps, gradients = ops.cast(maps, "float32"), ops.cast(gradients, "float32") / SCALE
    weights = ops.mean(gradients, axis=(1, 2), keepdims=True)  # the alphas of equation 1
    return ops.relu(ops.sum(weights * maps, axis=-1)), classes


def saliency(
    model: keras.Model,
    image: Any,
    *,
    class_index: int | None = None,
    samples: int = 0,
    noise: float = 0.15,
    seed: int = 0,
) -> np.ndarray:
    """Return how much a class's score changes with each pixel; see `deepkit.visualize.saliency`.

    Returns:
        (rows, columns) of the image, the largest absolute value over the channels, in the units of the class's
        score over those of a pixel; with a batch axis in front where the image has one.
    """
    batch, single = image_batch(model, image, "saliency")
    maps, _ = slopes(model, batch, class_index, samples, noise, seed)
    return maps[0] if single else maps


def slopes(
    model: keras.Model, batch: np.ndarray, class_index: int | None, samples: int, noise: float, seed: int
) -> tuple[np.ndarray, list[int]]:
    """Return a map an image, and the classes that they are of: those of the images without noise."""
    if not isinstance(samples, int) or samples < 0 or noise < 0:
        raise ValueError(f"saliency: expected samples >= 0 and noise >= 0, received {samples!r} and {noise!r}")
    clean = np.asarray(batch, "float32")
    gradient, classes = _slope(model, clean, class_index)
    if samples:
        numbers = np.random.default_rng(seed)
        spread = noise * (clean.max(axis=(1, 2, 3), keepdims=True) - clean.min(axis=(1, 2, 3), keepdims=True))
        drawn = (clean + spread * numbers.standard_normal(clean.shape, "float32") for _ in range(samples))
        gradient = sum((_slope(model, noisy, classes)[0] for noisy in drawn), np.zeros_like(clean)) / samples
    return np.abs(gradient).max(axis=-1), classes


def _slope(model: keras.Model, batch: np.ndarray, class_index: Any) -> tuple[np.ndarray, list[int]]:
    """Return the gradient of each image's class score for its pixels, with its sign."""
    import tensorflow as tf

    x = tf.constant(batch)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        scores, _ = _run(model, list(walk(model)), x, None, "saliency")
        score, classes = chosen(scores, class_index, "saliency")
        scaled = score * SCALE
    gradient = tape.gradient(scaled, x)
    if gradient is None:
        inputs = getattr(model, "inputs", None) or []
        kinds = [tensor.dtype for tensor in inputs if "float" not in tensor.dtype]
        cause = f"its input is {kinds[0]}" if kinds else "a layer has no gradient"
        raise ValueError(f"saliency: no gradient of {model.name} reaches its input: {cause}\n  hint: grad_cam")
    return np.asarray(gradient) / SCALE, classes


def _run(model: keras.Model, layers: Sequence[Found], batch: Any, tape: Any, who: str) -> tuple[Any, list[Call]]:
    """Return the class scores of a batch, and the calls of the layers, whose outputs the tape watches."""

    def heard(tensor: Any) -> None:
        if tape is not None and len(tensor.shape) == 4 and tensor.dtype.is_floating:
            tape.watch(tensor)

    with listening(layers, heard) as calls:
        output = model(fed(model, batch), training=False)
        return class_scores(output, list(calls), who), calls


def _maps(model: keras.Model, calls: Sequence[Call], wanted: Found | None) -> Any:
    """Return the output of a layer, or of the last one that has rows and columns."""
    if wanted is None:
        spatial = [call.output for call in calls if _is_spatial(call.output)]
        if not spatial:
            raise ValueError(
                f"grad_cam: no layer of {model.name} gives maps (batch, rows, columns, channels)\n"
                "  hint: saliency, which needs none"
            )
        return spatial[-1]
    outputs = [call.output for call in calls if call.path == wanted.path]
    if not outputs:
        raise ValueError(
            f"grad_cam: the layer {wanted.path!r} of {model.name} takes no part when the model runs\n"
            "  hint: another layer, or leave it out for the last one with rows and columns"
        )
    if not _is_spatial(outputs[-1]):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in keras.tree.flatten(outputs[-1]))
        others = list(dict.fromkeys(call.path for call in calls if _is_spatial(call.output)))
        hint = f"\n  hint: {others[-1]!r}" if others else ""
        raise ValueError(f"grad_cam: the layer {wanted.path!r} gives {shapes}, which has no rows and columns{hint}")
    return outputs[-1]


def _is_spatial(output: Any) -> bool:
    shape: Any = getattr(output, "shape", ())
    return len(shape) == 4 and shape[1] * shape[2] > 1 and output.dtype.is_floating
