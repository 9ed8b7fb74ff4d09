"""The filters of a layer as images."""

from __future__ import annotations

import math

import keras
import numpy as np
from matplotlib.figure import Figure

from deepkit.layers import TiedDense
from deepkit.utils.errors import message
from deepkit.visualize.figures import hide_axis_lines, subplots
from deepkit.visualize.model_inputs import accepts_run, check_built, input_shape
from deepkit.visualize.nested_layers import NestedLayer, find_layer, walk_layers

_MAX_FILTERS = 64
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)
_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, *_TRANSPOSED, *_DEPTHWISE, *_SEPARABLE)


@accepts_run
def filters(model: keras.Model, layer: str | None = None) -> Figure:
    """Draw the filters of a layer as images.

    Args:
        model: Any built Keras model.
            A `Run` stands for its model.
        layer: Name of a convolution or of a dense layer whose input is an image, also of a layer in a nested model. If
            several layers have the name, its path, such as `"base/conv1"`. By default the first such layer.

    Returns:
        An image per filter (64 at most): in color if the filter has three input channels, else the first input
        channel, with positive weights in red and negative weights in blue. The filters of a one-dimensional
        convolution have time to the right and channels downwards; a depthwise convolution has separate filters for
        each channel. `dk.visualize.arrays.filters` returns all numbers.

    Raises:
        ValueError: No layer or several layers have the name, the layer's weights cannot be drawn as images, or the
            model is not built.

    Examples:
        >>> import deepkit as dk
        >>> figure = dk.visualize.filters(
        ...     dk.ConvBlock(8, kernel_size=5).build((28, 28, 1))
        ... )
        >>> len(figure.axes)
        8
    """
    all_images = filter_images(model, layer)
    images = all_images[:_MAX_FILTERS]
    columns = min(8, len(images))
    figure, axes = subplots(math.ceil(len(images) / columns), columns, 1.1, 1.1)
    limit = float(np.abs(images).max()) or 1.0
    for ax in axes.flat:
        hide_axis_lines(ax)
    for ax, image in zip(axes.flat, images, strict=False):
        if image.shape[-1] == 3:
            ax.imshow(image / (2 * limit) + 0.5)
        else:
            ax.imshow(image[..., 0], cmap="RdBu_r", vmin=-limit, vmax=limit)
    for ax in axes.flat[len(images) :]:
        ax.remove()
    if len(all_images) > len(images):
        figure.suptitle(f"{len(images)} of {len(all_images)} filters", fontsize=9)
    return figure


@accepts_run
def filter_images(model: keras.Model, layer: str | None = None) -> np.ndarray:
    """Return the filters of a layer as images.

    Args:
        model: Any built Keras model.
            A `Run` stands for its model.
        layer: Name or path of a convolution or of a dense layer whose input is an image. By default the first such
            layer.

    Returns:
        The weights, of shape (filters, rows, columns, channels).

    Raises:
        ValueError: No layer or several layers have the name, the layer's weights cannot be drawn as images, or the
            model is not built.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.ConvBlock(8, kernel_size=5).build((28, 28, 3))
        >>> dk.visualize.arrays.filters(model).shape
        (8, 5, 5, 3)
    """
    check_built(model, "filters")
    if layer is not None:
        nested = find_layer(model, layer, "filters")
        images = _layer_filters(nested)
        if images is not None:
            return images
        kind = type(nested.layer).__name__
        problem = f"filters: expected a layer whose weights are images, received {layer!r}, a {kind}"
        raise ValueError(_with_drawable_layers(problem, model))
    for nested in walk_layers(model):
        images = _layer_filters(nested)
        if images is not None:
            return images
    problem = f"filters: expected a model with a convolution, or a dense layer on an image, received {model.name}"
    raise ValueError(problem)


def _with_drawable_layers(problem: str, model: keras.Model) -> str:
    """Return an error message that lists the layers whose filters can be drawn."""
    paths = [nested.path for nested in walk_layers(model) if _layer_filters(nested) is not None]
    if not paths:
        return f"{problem}; {model.name} does not have such a layer"
    return message(problem, hint=f"use one of {', '.join(paths)}")


def _layer_filters(nested: NestedLayer) -> np.ndarray | None:
    """Return the weights of a layer as (filters, rows, columns, channels), or None if they are not images."""
    layer = nested.layer
    if isinstance(layer, keras.layers.Dense | TiedDense):
        image_shape = _dense_input_image(nested, layer.kernel.shape[0])
        return None if image_shape is None else np.asarray(layer.kernel).T.reshape(-1, *image_shape)
    if not isinstance(layer, _CONVOLUTIONS):
        return None
    kernel = getattr(layer, "depthwise_kernel" if isinstance(layer, _SEPARABLE) else "kernel", None)
    if kernel is None:
        return None
    values = np.asarray(kernel)  # (rows, columns, channels, filters), without rows if one-dimensional
    if isinstance(layer, _TRANSPOSED):
        values = np.moveaxis(values, -1, -2)
    if isinstance(layer, _DEPTHWISE + _SEPARABLE):
        values = values.reshape(*values.shape[:-2], 1, -1)
    if values.ndim == 3:
        values = np.moveaxis(values, 0, 1)[:, :, None]  # channels as rows, time as columns
    return np.moveaxis(values, -1, 0)


def _dense_input_image(nested: NestedLayer, num_inputs: int) -> tuple[int, ...] | None:
    """Return the input shape of the innermost model around a dense layer that is an image of as many values."""
    for model in reversed(nested.models):
        sizes = tuple(size for size in (input_shape(model) or ())[1:] if size is not None)
        if len(sizes) == 3 and math.prod(sizes) == num_inputs:
            return sizes
    return None
