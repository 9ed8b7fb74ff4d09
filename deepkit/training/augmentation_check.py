"""Checks of Keras's augmentation layers in a model: the range of their images, and layers that also change labels.

Keras's layers assume images with values from 0 to 255 unless `value_range` says otherwise: `RandomBrightness(0.2)` adds
up to 51 to each value, also to images with values from 0 to 1, of which nothing remains.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

from deepkit.training.training_data import TrainingData
from deepkit.utils.errors import message

_MIXES_LABELS = (layers.MixUp, layers.CutMix)
_SCALES_WITH_RANGE = (  # the others depend on value_range only by clipping
    layers.AugMix, layers.AutoContrast, layers.Equalization, layers.RandAugment, layers.RandomBrightness,
    layers.RandomColorJitter, layers.RandomErasing, layers.RandomInvert, layers.RandomPosterization,
    layers.Solarization,
)  # fmt: skip
_TOLERANCE = 1.5  # of values that an earlier layer has moved out of the range
_MIN_SHARE = 0.02  # of the range; images from 0 to 1 use 0.004 of the range from 0 to 255


def check(model: keras.Model, data: TrainingData) -> None:
    """Raise if an augmentation layer of a model changes images of another range than those of the data, or only x.

    Only the first batch is read, and only if the model has such a layer.

    Raises:
        ValueError: There is such a layer.
    """
    for layer, x in _augmentation_layers(model):
        if isinstance(layer, _MIXES_LABELS):
            problem = f"net: {type(layer).__name__} combines images, and a layer of a model cannot combine their labels"
            hint = "apply it to the batches of a tf.data.Dataset, where it receives images and labels"
            raise ValueError(message(problem, path=layer.path, hint=hint))
        value_range = getattr(layer, "value_range", None)
        if value_range is not None:
            _check_range(layer, float(value_range[1]), _largest_value(model, x, data))


def _augmentation_layers(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, keras.KerasTensor]]:
    """Yield the augmentation layers in the graph of a model, each with its input; those of a `Pipeline` too."""
    if not getattr(model, "inputs", None):  # a subclassed model has no graph
        return
    for layer in model.layers:
        inner = layer.layers if isinstance(layer, layers.Pipeline) else [layer]
        for item in inner:
            if isinstance(item, _MIXES_LABELS) or hasattr(item, "value_range"):
                yield item, layer.input


def _largest_value(model: keras.Model, x: keras.KerasTensor, data: TrainingData) -> float:
    values = keras.Model(model.input, x)(data.sample_input(), training=False)
    return float(np.abs(keras.ops.convert_to_numpy(values)).max(initial=0))


def _check_range(layer: keras.layers.Layer, maximum: float, largest: float) -> None:
    is_too_small = 0 < largest < _MIN_SHARE * maximum and isinstance(layer, _SCALES_WITH_RANGE)
    if not is_too_small and largest <= _TOLERANCE * maximum:
        return
    scale = 1 if largest <= _TOLERANCE else 255
    problem = (
        f"net: {type(layer).__name__} has value_range={tuple(layer.value_range)}, and its images have values up to "
        f"{largest:.4g}"
    )
    raise ValueError(message(problem, path=layer.path, hint=f"pass value_range=(0, {scale}) to the layer"))
