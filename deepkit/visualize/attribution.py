"""Pictures of where in an image a classifier finds its class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from matplotlib.figure import Figure

from deepkit.visualize import class_gradients as _evidence
from deepkit.visualize.figures import panels, plain
from deepkit.visualize.model_inputs import image_batch, shown


def grad_cam(
    model: keras.Model,
    image: Any,
    *,
    layer: str | None = None,
    class_index: int | None = None,
    class_names: Sequence[str] = (),
) -> Figure:
    """Draw which places of an image speak for a class: Grad-CAM.

    The maps of a layer are summed, each weighted with the mean of the gradient of the class's score for it, and
    what is negative is cut off (Selvaraju et al., "Grad-CAM", 2017, section 3, equations 1 and 2). The score is the
    one before the softmax or sigmoid; where no layer of the model shows it, the logarithm of the probability.

    Args:
        model: A classifier of images, of any class: nested models and preprocessing may be inside.
        image: (rows, columns, channels) as the model takes them, or several with a batch axis in front.
        layer: Name of a layer that gives (batch, rows, columns, channels), in a model within the model too, there
            as `"base/conv5"` where the name alone is not unique; the last such layer if left out.
        class_index: The class, from 0; the predicted one if left out.
        class_names: In order of the classes; their numbers if left out.

    Returns:
        A row an image: the image, and over it the map, enlarged to its size. `dk.visualize.arrays.grad_cam` returns
        the numbers.

    Raises:
        ValueError: There is no such layer or class, it has no rows and columns, the image does not fit, or the model
            has several outputs or is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> net = dk.Sequential([dk.ConvBlock(4, name="conv"), dk.Classifier(3, pool="avg")])
        >>> figure = dk.visualize.grad_cam(net.build((8, 8, 1)), np.ones((8, 8, 1)), class_index=2)
        >>> len(figure.axes)
        2
    """
    batch, _ = image_batch(model, image, "grad_cam")
    maps, classes = _evidence.cam(model, batch, layer, class_index)
    figure, axes = panels(len(batch), 2, 2.3, 2.5)
    for (left, right), picture, heat, label in zip(axes, batch, np.asarray(maps), classes, strict=True):
        _draw_image(left, picture)
        _draw_image(right, picture)
        rows, columns = picture.shape[:2]
        sized = np.asarray(ops.image.resize(heat[..., None], (rows, columns), data_format="channels_last"))[..., 0]
        right.imshow(sized, cmap="jet", alpha=0.45, vmin=0, vmax=float(sized.max()) or 1.0)
        right.set_title(_name(label, class_names), fontsize=9)
    return figure


def saliency(
    model: keras.Model,
    image: Any,
    *,
    class_index: int | None = None,
    samples: int = 0,
    noise: float = 0.15,
    seed: int = 0,
    class_names: Sequence[str] = (),
) -> Figure:
    """Draw how much the score of a class changes with each pixel.

    The absolute value of the score's gradient for the pixel, the largest over its channels (Simonyan et al., "Deep
    inside convolutional networks", 2014, section 3). With `samples`, gradients are averaged over noisy copies of
    the image before that, which makes the picture calmer (Smilkov et al., "SmoothGrad", 2017, section 2).

    Args:
        model: A classifier of images, of any class, with an input of floats.
        image: (rows, columns, channels) as the model takes them, or several with a batch axis in front.
        class_index: The class, from 0; the predicted one if left out.
        samples: How many noisy copies; 0 for the image alone.
        noise: Standard deviation of the noise, as a fraction of the range from the darkest to the lightest pixel.
        seed: Of the noise.
        class_names: In order of the classes; their numbers if left out.

    Returns:
        A row an image: the image, and beside it the map. `dk.visualize.arrays.saliency` returns the numbers.

    Raises:
        ValueError: The image does not fit, there is no such class, no gradient reaches the input, or the model has
            several outputs or is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Classifier(3).build((8, 8, 1))
        >>> dk.visualize.arrays.saliency(model, np.ones((8, 8, 1))).shape
        (8, 8)
        >>> figure = dk.visualize.saliency(model, np.ones((8, 8, 1)), samples=4)
    """
    batch, _ = image_batch(model, image, "saliency")
    maps, classes = _evidence.slopes(model, batch, class_index, samples, noise, seed)
    figure, axes = panels(len(batch), 2, 2.3, 2.5)
    for (left, right), picture, slope, label in zip(axes, batch, maps, classes, strict=True):
        _draw_image(left, picture)
        plain(right).imshow(slope, cmap="inferno", vmin=0, vmax=float(slope.max()) or 1.0)
        right.set_title(_name(label, class_names), fontsize=9)
    return figure


def _draw_image(axes: Any, image: np.ndarray) -> None:
    plain(axes).imshow(shown(image), cmap="gray")


def _name(label: int, class_names: Sequence[str]) -> str:
    return class_names[label] if len(class_names) else f"class {label}"
