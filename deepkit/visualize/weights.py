"""Pictures of what a layer has learned."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
import numpy as np
from matplotlib.figure import Figure

from deepkit.visualize.figures import panels, plain

_MOST = 64


def filters(model: keras.Model, layer: str | None = None) -> Figure:
    """Draw the filters of a layer as pictures.

    Args:
        model: Any Keras model.
        layer: Name of a convolution, or of a dense layer that sees an image; the first there is if left out.

    Returns:
        One picture a filter (64 at most): colours where the filter sees three channels, else red for positive
        and blue for negative weights of its first input channel.

    Raises:
        ValueError: There is no such layer, or its weights are no pictures.

    Examples:
        >>> import deepkit as dk
        >>> figure = dk.visualize.filters(dk.ConvBlock(8, kernel_size=5).build((28, 28, 1)))
        >>> len(figure.axes)
        8
    """
    pictures = filter_images(model, layer)[:_MOST]
    columns = min(8, len(pictures))
    figure, axes = panels(math.ceil(len(pictures) / columns), columns, 1.1, 1.1)
    limit = float(np.abs(pictures).max()) or 1.0
    for ax in axes.flat:
        plain(ax)
    for ax, picture in zip(axes.flat, pictures, strict=False):
        if picture.shape[-1] == 3:
            ax.imshow(picture / (2 * limit) + 0.5)
        else:
            ax.imshow(picture[..., 0], cmap="RdBu_r", vmin=-limit, vmax=limit)
    for ax in axes.flat[len(pictures) :]:
        ax.remove()
    return figure


def filter_images(model: keras.Model, layer: str | None = None) -> np.ndarray:
    """Return the filters of a layer as an array (filters, rows, columns, channels); see `filters`."""
    named = dict(_picturable(model))
    if layer is None and named:
        return next(iter(named.values()))
    if layer in named:
        return named[layer]
    wanted = "a layer whose weights are pictures" if layer is None else f"the layer {layer!r}"
    have = ", ".join(named) or "none: pictures need a convolution, or a dense layer on an image"
    raise ValueError(f"filters: {model.name} does not have {wanted}; it has {have}")


def _picturable(model: keras.Model) -> Iterator[tuple[str, np.ndarray]]:
    for layer in _layers(model):
        if isinstance(layer, keras.layers.Conv2D):
            yield layer.name, np.moveaxis(np.asarray(layer.kernel), -1, 0)
        elif isinstance(layer, keras.layers.Dense):
            image = _image_before(model, layer)
            if image is not None:
                yield layer.name, np.asarray(layer.kernel).T.reshape(-1, *image)


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _image_before(model: keras.Model, layer: keras.layers.Layer) -> tuple[int, ...] | None:
    """Return the shape of the model's input where it is an image of as many pixels as the layer has inputs."""
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:]:
        return None
    return shape[1:] if math.prod(shape[1:]) == layer.kernel.shape[0] else None
