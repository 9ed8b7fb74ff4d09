"""Pictures of what a layer has learned."""

from __future__ import annotations

import math

import keras
import numpy as np
from matplotlib.figure import Figure

from deepkit.layers import TiedDense
from deepkit.visualize.figures import panels, plain
from deepkit.visualize.lookup import Found, find, walk
from deepkit.visualize.model_inputs import check_built, input_shape

_MOST = 64


def filters(model: keras.Model, layer: str | None = None) -> Figure:
    """Draw the filters of a layer as pictures.

    Args:
        model: Any Keras model that is built.
        layer: Name of a convolution, or of a dense layer that sees an image, in a model within the model too, there
            as `"base/conv1"` where the name alone is not unique; the first there is if left out.

    Returns:
        One picture a filter (64 at most): colours where the filter sees three channels, else red for positive
        and blue for negative weights of its first input channel. Of a one-dimensional convolution, time goes to the
        right and channels downwards; of a depthwise one, every channel has filters of its own.
        `dk.visualize.arrays.filters` returns the numbers, all of them.

    Raises:
        ValueError: There is no such layer, or several; its weights are no pictures; or the model is not built.

    Examples:
        >>> import deepkit as dk
        >>> figure = dk.visualize.filters(dk.ConvBlock(8, kernel_size=5).build((28, 28, 1)))
        >>> len(figure.axes)
        8
    """
    every = filter_images(model, layer)
    pictures = every[:_MOST]
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
    if len(every) > len(pictures):
        figure.suptitle(f"{len(pictures)} of {len(every)} filters", fontsize=9)
    return figure


def filter_images(model: keras.Model, layer: str | None = None) -> np.ndarray:
    """Return the filters of a layer as an array (filters, rows, columns, channels); see `filters`."""
    check_built(model, "filters")
    if layer is not None:
        found = find(model, layer, "filters")
        pictures = _pictures(found)
        if pictures is not None:
            return pictures
        raise ValueError(
            f"filters: the weights of {layer!r}, a {type(found.layer).__name__}, are no pictures; "
            f"{model.name} has {_drawable(model)}"
        )
    for found in walk(model):
        pictures = _pictures(found)
        if pictures is not None:
            return pictures
    raise ValueError(
        f"filters: {model.name} does not have a layer whose weights are pictures; it has {_drawable(model)}"
    )


def _drawable(model: keras.Model) -> str:
    named = [found.path for found in walk(model) if _pictures(found) is not None]
    return ", ".join(named) or "none: pictures need a convolution, or a dense layer on an image"


def _pictures(found: Found) -> np.ndarray | None:
    """Return the weights of a layer as (filters, rows, columns, channels), or None where they are no pictures."""
    layer = found.layer
    if isinstance(layer, keras.layers.Dense | TiedDense):
        image = _image_before(found)
        return None if image is None else np.asarray(layer.kernel).T.reshape(-1, *image)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    separable = isinstance(layer, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D)
    kernel = getattr(layer, "depthwise_kernel" if separable else "kernel", None)
    if kernel is None or not isinstance(layer, _CONVOLUTIONS):
        return None
    values = np.asarray(kernel)  # (rows, columns, channels, filters), without rows where it is one-dimensional
    if isinstance(layer, keras.layers.Conv1DTranspose | keras.layers.Conv2DTranspose):
        values = np.moveaxis(values, -1, -2)
    if depthwise or separable:
        values = values.reshape(*values.shape[:-2], 1, -1)
    if values.ndim == 3:
        values = np.moveaxis(values, 0, 1)[:, :, None]  # channels as rows, time as columns
    return np.moveaxis(values, -1, 0)


_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def _image_before(found: Found) -> tuple[int, ...] | None:
    """Return the shape of the image that a dense layer sees: the input of a model around it, of as many pixels."""
    for model in reversed(found.models):
        image = [n for n in (input_shape(model) or ())[1:] if n is not None]
        if len(image) == 3 and math.prod(image) == found.layer.kernel.shape[0]:
            return tuple(image)
    return None
