"""The weights of a linear classifier as one image per class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
from matplotlib.figure import Figure

from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import is_integer
from deepkit.visualize.figures import displayable_image, hide_axis_lines, subplots
from deepkit.visualize.labeled_points import names_of_classes
from deepkit.visualize.model_inputs import accepts_run, check_built, input_shape
from deepkit.visualize.nested_layers import NestedLayer, find_layer, walk_layers

_CALLER = "templates"
_COLUMNS = 5


@accepts_run
def templates(
    model: keras.Model,
    *,
    layer: str | None = None,
    image_shape: Sequence[int] | None = None,
    class_names: Sequence[str] = (),
) -> Figure:
    """Draw the weights of a linear classifier as one image per class.

    The score of a class is the product of its weights with the pixels, plus a bias, so it is largest for images that
    resemble the weights: they are the template of the class (Karpathy, "CS231n: Linear classification", 2016, section
    "Interpretation of linear classifiers as template matching").

    Args:
        model: A built model with a dense layer that takes the pixels of an image.
            A `Run` stands for its model.
        layer: Name of the dense layer. By default the only one of the model.
        image_shape: Shape of the image, (rows, columns) or (rows, columns, channels). By default the input shape of
            the model, if that is an image.
        class_names: Names in the order of the classes. By default their numbers.

    Returns:
        A figure with a template per class. Three channels: an image in color, each template rescaled to the range of
        its weights, over all channels. One channel: positive weights in red, negative weights in blue, on the same
        scale for all classes. `dk.visualize.arrays.templates` returns the weights.

    Raises:
        TypeError: `model` is not a Keras model.
        ValueError: The model has several dense layers or none, the layer does not take an image of this shape, or
            the images do not have one or three channels.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Classifier(10).build((8, 8, 3))
        >>> figure = dk.visualize.templates(model)
        >>> dk.visualize.arrays.templates(model).shape
        (10, 8, 8, 3)
    """
    images = template_images(model, layer=layer, image_shape=image_shape)
    num_templates, num_channels = len(images), images.shape[-1]
    if num_channels not in (1, 3):
        problem = f"{_CALLER}: expected images of one or three channels, received {images.shape[1:]}"
        raise ValueError(message(problem, hint="use dk.visualize.arrays.templates, which returns the weights"))
    first = 1 if num_templates == 1 else 0  # a single output is the score of the second class
    numbers = np.arange(first + num_templates)
    names = names_of_classes(numbers, class_names, (), _CALLER)[first:]
    columns = min(_COLUMNS, num_templates)
    figure, axes = subplots(-(-num_templates // columns), columns, 1.15, 1.35)
    limit = float(np.abs(images).max()) or 1.0
    for ax in axes.flat:
        hide_axis_lines(ax)
    for ax, image, name in zip(axes.flat, images, names, strict=False):
        if num_channels == 3:
            ax.imshow(displayable_image(image))
        else:
            mesh = ax.imshow(image[..., 0], cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set_title(name, fontsize=8)
    for ax in axes.flat[num_templates:]:
        ax.remove()
    if num_channels == 1:
        figure.colorbar(mesh, ax=list(axes.flat[:num_templates]), label="Weight", shrink=0.8, aspect=12)
    figure.alt_text = f"The weights of {model.name} as images, one for each class: {', '.join(names)}."
    return figure


@accepts_run
def template_images(
    model: keras.Model, *, layer: str | None = None, image_shape: Sequence[int] | None = None
) -> np.ndarray:
    """Return the weights of a linear classifier as one image per class.

    Args:
        model: A built model with a dense layer that takes the pixels of an image.
            A `Run` stands for its model.
        layer: Name of the dense layer. By default the only one of the model.
        image_shape: Shape of the image, (rows, columns) or (rows, columns, channels). By default the input shape of the
            model, if that is an image.

    Returns:
        The weights, of shape (classes, rows, columns, channels).

    Raises:
        TypeError: `model` is not a Keras model.
        ValueError: The model has several dense layers or none, or the layer does not take an image of this shape.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Classifier(10).build((64,))
        >>> dk.visualize.arrays.templates(model, image_shape=(8, 8)).shape
        (10, 8, 8, 1)
    """
    check_built(model, _CALLER)
    nested = _dense_layer(model, layer)
    assert isinstance(nested.layer, keras.layers.Dense)
    kernel = np.asarray(keras.ops.convert_to_numpy(nested.layer.kernel))
    if not np.isfinite(kernel).all():
        problem = f"{_CALLER}: expected finite weights, the layer {nested.path!r} has weights that are NaN or infinite"
        raise ValueError(message(problem, hint="use the weights of an earlier epoch"))
    shape = _image_shape(nested, kernel.shape[0], image_shape)
    return kernel.T.reshape(-1, *shape)


def _dense_layer(model: keras.Model, name: str | None) -> NestedLayer:
    """Return the dense layer with a name, or the only one of the model."""
    layers = [nested for nested in walk_layers(model) if isinstance(nested.layer, keras.layers.Dense)]
    paths = ", ".join(repr(nested.path) for nested in layers)
    if name is not None:
        nested = find_layer(model, name, _CALLER)
        if isinstance(nested.layer, keras.layers.Dense):
            return nested
        problem = f"{_CALLER}: expected a dense layer, received {name!r}, a {type(nested.layer).__name__}"
        raise ValueError(message(problem, hint=f"use one of {paths}" if paths else "use dk.visualize.filters"))
    if len(layers) == 1:
        return layers[0]
    if not layers:
        problem = f"{_CALLER}: expected a linear classifier, {model.name} does not have a dense layer"
        raise ValueError(message(problem, hint="use dk.visualize.filters, which draws the filters of convolutions"))
    problem = f"{_CALLER}: expected a linear classifier, which has one dense layer, {model.name} has {len(layers)}"
    raise ValueError(message(problem, hint=f"pass layer= with one of {paths}"))


def _image_shape(nested: NestedLayer, num_inputs: int, image_shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape (rows, columns, channels) of an image with as many values as the layer has inputs."""
    if image_shape is None:
        for model in reversed(nested.models):
            sizes = tuple(size for size in (input_shape(model) or ())[1:] if size is not None)
            if len(sizes) in (2, 3) and math.prod(sizes) == num_inputs:
                return (*sizes, 1)[:3]
        problem = (
            f"{_CALLER}: the layer {nested.path!r} takes {num_inputs} values, and the shape of the image is unknown"
        )
        raise ValueError(message(problem, hint=f"pass image_shape={_example_shape(num_inputs)}"))
    sizes = tuple(image_shape) if isinstance(image_shape, Sequence) else ()
    if len(sizes) not in (2, 3) or not all(is_integer(size) and size > 0 for size in sizes):
        problem = f"{_CALLER}: image_shape must be (rows, columns) or (rows, columns, channels), received "
        raise ValueError(message(problem + format_value(image_shape), hint=f"pass {_example_shape(num_inputs)}"))
    if math.prod(sizes) != num_inputs:
        problem = (
            f"{_CALLER}: image_shape {format_value(sizes)} has {math.prod(sizes):,} values, and the layer "
            f"{nested.path!r} takes {num_inputs:,}"
        )
        raise ValueError(message(problem, hint="use the shape of the images, and the layer that takes their pixels"))
    return (*sizes, 1)[:3]


def _example_shape(num_inputs: int) -> str:
    """Return the shape of a square image with so many values as code, or the names of its axes."""
    for channels in (1, 3):
        side = math.isqrt(num_inputs // channels)
        if side * side * channels == num_inputs:
            return f"({side}, {side})" if channels == 1 else f"({side}, {side}, 3)"
    return "(rows, columns)"
