"""Grad-CAM and saliency maps as figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops
from matplotlib.figure import Figure

from deepkit.visualize.attribution import grad_cam_maps, saliency_maps
from deepkit.visualize.figures import displayable_image, hide_axis_lines, subplots
from deepkit.visualize.model_inputs import accepts_run, as_image_batch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deepkit.utils.types import ArrayLike


@accepts_run
def grad_cam(
    model: keras.Model,
    image: ArrayLike,
    *,
    layer: str | None = None,
    class_index: int | None = None,
    class_names: Sequence[str] = (),
) -> Figure:
    """Draw which regions of an image support a class: Grad-CAM.

    The feature maps of a layer are summed, each weighted with the mean of the gradient of the class's score with
    respect to it, and negative values are set to 0 (Selvaraju et al., "Grad-CAM", 2017, section 3, equations 1 and
    2). The score is the value before the softmax or sigmoid, or the logarithm of the probability if no layer of the
    model computes that value.

    Args:
        model: A classifier of images, of any class. It may contain nested models and preprocessing layers.
            A `Run` stands for its model.
        image: An image (rows, columns, channels) as the model takes it, or several with a batch axis in front.
        layer: Name of a layer with outputs (batch, rows, columns, channels), also of a layer in a nested model. If
            several layers have the name, its path, such as `"base/conv5"`. By default the last such layer.
        class_index: The class, counted from 0. By default the predicted class.
        class_names: Names in the order of the classes. By default their numbers.

    Returns:
        A row per image: the image, and the image under its heat map. `dk.visualize.arrays.grad_cam` returns the
        numbers.

    Raises:
        ValueError: The layer or the class does not exist, the layer's output has no rows and columns, the image
            does not fit the model, or the model has several outputs or is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> net = dk.Sequential(
        ...     [dk.ConvBlock(4, name="conv"), dk.Classifier(3, pool="avg")]
        ... )
        >>> figure = dk.visualize.grad_cam(
        ...     net.build((8, 8, 1)), np.ones((8, 8, 1)), class_index=2
        ... )
        >>> len(figure.axes)
        2
    """
    batch, _ = as_image_batch(model, image, "grad_cam")
    maps, classes = grad_cam_maps(model, batch, layer, class_index)
    figure, axes = subplots(len(batch), 2, 2.3, 2.5)
    for (left, right), pixels, heat_map, label in zip(axes, batch, np.asarray(maps), classes, strict=True):
        _draw_image(left, pixels)
        _draw_image(right, pixels)
        rows, columns = pixels.shape[:2]
        resized = ops.image.resize(heat_map[..., None], (rows, columns), data_format="channels_last")
        values = np.asarray(resized)[..., 0]
        right.imshow(values, cmap="jet", alpha=0.45, vmin=0, vmax=float(values.max()) or 1.0)
        right.set_title(_class_title(label, class_names), fontsize=9)
    return figure


@accepts_run
def saliency(
    model: keras.Model,
    image: ArrayLike,
    *,
    class_index: int | None = None,
    num_samples: int = 0,
    noise: float = 0.15,
    seed: int = 0,
    class_names: Sequence[str] = (),
) -> Figure:
    """Draw how strongly the score of a class depends on each pixel: a saliency map.

    The map is the absolute gradient of the score with respect to the pixel, the largest over its channels (Simonyan
    et al., "Deep inside convolutional networks", 2014, section 3). With `num_samples`, the gradient is first averaged
    over noisy copies of the image, which gives a smoother map (Smilkov et al., "SmoothGrad", 2017, section 2).

    Args:
        model: A classifier of images, of any class, with a floating point input.
            A `Run` stands for its model.
        image: An image (rows, columns, channels) as the model takes it, or several with a batch axis in front.
        class_index: The class, counted from 0. By default the predicted class.
        num_samples: Number of noisy copies; 0 uses the image itself.
        noise: Standard deviation of the noise, as a fraction of the range from the darkest to the lightest pixel.
        seed: Seed of the noise.
        class_names: Names in the order of the classes. By default their numbers.

    Returns:
        A row per image: the image, and its saliency map. `dk.visualize.arrays.saliency` returns the numbers.

    Raises:
        ValueError: The image does not fit the model, the class does not exist, the gradient does not reach the
            input, or the model has several outputs or is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(3).build((8, 8, 1))
        >>> dk.visualize.arrays.saliency(model, np.ones((8, 8, 1))).shape
        (8, 8)
        >>> figure = dk.visualize.saliency(model, np.ones((8, 8, 1)), num_samples=4)
    """
    batch, _ = as_image_batch(model, image, "saliency")
    maps, classes = saliency_maps(model, batch, class_index, num_samples, noise, seed)
    figure, axes = subplots(len(batch), 2, 2.3, 2.5)
    for (left, right), pixels, values, label in zip(axes, batch, maps, classes, strict=True):
        _draw_image(left, pixels)
        hide_axis_lines(right).imshow(values, cmap="inferno", vmin=0, vmax=float(values.max()) or 1.0)
        right.set_title(_class_title(label, class_names), fontsize=9)
    return figure


def _draw_image(axes: Axes, image: np.ndarray) -> None:
    hide_axis_lines(axes).imshow(displayable_image(image), cmap="gray")


def _class_title(label: int, class_names: Sequence[str]) -> str:
    return class_names[label] if len(class_names) else f"class {label}"
