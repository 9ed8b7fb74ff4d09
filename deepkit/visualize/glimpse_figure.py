"""Figures of the glimpses of a recurrent attention model: their path over an image, and their patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import patheffects
from matplotlib.patches import Rectangle

from deepkit.models.glimpse_path import GlimpsePath
from deepkit.models.recurrent_attention import RecurrentAttentionModel
from deepkit.utils.errors import format_value, message
from deepkit.visualize.figures import ORANGE, displayable_image, hide_axis_lines, subplots
from deepkit.visualize.model_inputs import accepts_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from deepkit.utils.types import ArrayLike

_MAX_IMAGES = 8  # rows of the figure


@accepts_run
def glimpses(model: RecurrentAttentionModel | GlimpsePath, x: ArrayLike, *, class_names: Sequence[str] = ()) -> Figure:
    """Draw the path of the glimpses at images, and their patches (Mnih et al. 2014, figure 3).

    The first panel of a row is the image, with a numbered frame for each glimpse: that of the smallest window, and
    dotted frames for the larger windows. The other panels are the patches in their order, each with the prediction
    after it. Patches of several scales are below one another, the smallest window first.

    Args:
        model: A model of `dk.RecurrentAttention`, whose locations are those of `predict`; or the `GlimpsePath` that its
            method `glimpses` returned for the images.
            A `Run` stands for its model.
        x: Images `(examples, height, width, channels)`, of which the first 8 are drawn; or one image.
        class_names: Names of the classes, in their order.

    Returns:
        A figure with a row for each image.

    Raises:
        TypeError: `model` is neither a recurrent attention model nor a path.
        ValueError: The images have another shape, or the path has another number of examples.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> net = dk.RecurrentAttention(3, num_glimpses=4, glimpse_size=4, units=8)
        >>> images = np.zeros((2, 12, 12, 1), "float32")
        >>> figure = dk.visualize.glimpses(net.build((12, 12, 1)), images)
        >>> len(figure.axes)  # two rows: an image and four patches
        10
    """
    images = _check_images(x)
    if isinstance(model, RecurrentAttentionModel):
        images = images[:_MAX_IMAGES]
        model = model.glimpses(images)
    path = _check_path(model)
    if len(path.locations) != len(images):
        problem = f"glimpses: the path has {len(path.locations)} examples, received {len(images)} images"
        raise ValueError(message(problem, hint="pass the images of the path: glimpses(model.glimpses(x), x)"))
    num_rows, num_glimpses = min(_MAX_IMAGES, len(images)), path.locations.shape[1]
    figure, axes = subplots(num_rows, num_glimpses + 1, 1.25, 1.25 * max(1.0, 0.6 * len(path.window_sizes)) + 0.2)
    for row in range(num_rows):
        _draw_path(axes[row, 0], images[row], path.locations[row], path.window_sizes)
        low, high = float(images[row].min()), float(images[row].max())
        for number in range(num_glimpses):
            ax = hide_axis_lines(axes[row, number + 1])
            patch = _stack_scales(path.patches[row, number], len(path.window_sizes))
            ax.imshow(np.clip((patch - low) / (high - low or 1.0), 0, 1), cmap="gray", vmin=0, vmax=1)
            prediction = int(np.argmax(path.logits[row, number]))
            name = class_names[prediction] if class_names else str(prediction)
            ax.set_title(f"{number + 1}: {name}", fontsize=9, parse_math=False)
    return figure


def _draw_path(ax: Axes, image: np.ndarray, locations: np.ndarray, window_sizes: tuple[int, ...]) -> None:
    """Draw an image, a frame for each window, and a line through the numbered centers."""
    height, width = image.shape[:2]
    # the edges of the image are at -0.5 and width - 0.5
    x, y = (locations[:, 0] + 1) * width / 2, (locations[:, 1] + 1) * height / 2
    hide_axis_lines(ax).imshow(displayable_image(image), cmap="gray")
    outline: list[patheffects.AbstractPathEffect] = [patheffects.withStroke(linewidth=2, foreground="black")]
    for number in range(len(locations)):
        for scale, side in enumerate(window_sizes):
            corner = (np.floor(x[number] - side / 2 + 0.5) - 0.5, np.floor(y[number] - side / 2 + 0.5) - 0.5)
            style = {"linewidth": 1.0} if scale == 0 else {"linewidth": 0.5, "linestyle": ":"}
            ax.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=ORANGE, **style))
    ax.plot(x - 0.5, y - 0.5, color=ORANGE, linewidth=0.8)
    for number, center in enumerate(zip(x - 0.5, y - 0.5, strict=True), start=1):
        text = ax.text(*center, str(number), color="white", fontsize=8, ha="center", va="center", clip_on=True)
        text.set_path_effects(outline)
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(height - 0.5, -0.5)


def _stack_scales(patch: np.ndarray, num_scales: int) -> np.ndarray:
    """Return the patches of all scales below one another, in color if they have three channels."""
    scales = np.split(patch, num_scales, axis=-1)
    stacked = np.concatenate(scales, axis=0)
    return stacked[..., :3] if stacked.shape[-1] >= 3 else stacked[..., 0]


def _check_path(path: object) -> GlimpsePath:
    if isinstance(path, GlimpsePath):
        return path
    problem = f"glimpses: expected a model of dk.RecurrentAttention or a GlimpsePath, received {format_value(path)}"
    raise TypeError(message(problem, hint="pass run.model, or model.glimpses(x)"))


def _check_images(x: ArrayLike) -> np.ndarray:
    """Return images `(examples, height, width, channels)`."""
    images = np.asarray(x)
    if images.ndim == 3:
        images = images[None]
    if images.ndim != 4 or not images.size:
        problem = f"glimpses: expected images (examples, height, width, channels), received shape {np.shape(x)}"
        raise ValueError(message(problem, hint="pass a few images: x[:4]"))
    return images
