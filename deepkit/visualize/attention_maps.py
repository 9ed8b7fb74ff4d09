"""Attention weights as figures: over tokens, or over the regions of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from deepkit.utils.errors import message
from deepkit.visualize.figures import displayable_image, hide_axis_lines, subplots

if TYPE_CHECKING:
    from deepkit.utils.types import ArrayLike, Tensor

    Grid = tuple[int, int]  # rows and columns of the regions of an image

_MAX_TOKENS = 60  # labels of more tokens are not legible
_MAX_QUERIES = 16  # panels over an image
_PANELS_PER_ROW = 7  # of a single head


class _SetTicks(Protocol):
    def __call__(self, ticks: Sequence[int], labels: Sequence[str] = ..., **style: object) -> object: ...


def attention(
    weights: ArrayLike | Tensor,
    *,
    source: Sequence[str] = (),
    target: Sequence[str] = (),
    image: ArrayLike | None = None,
    grid: tuple[int, int] | None = None,
) -> Figure:
    """Draw attention weights as an alignment matrix (Bahdanau et al. 2015, figure 3), or over an image.

    Args:
        weights: Attention weights of one example: (queries, keys) or (heads, queries, keys). Over an image, the keys
            may also be two axes, (..., rows, columns), as attention over a feature map returns them; then pass
            `grid`.
        source: A token per key, from left to right.
        target: A token per query, from top to bottom.
        image: An image (rows, columns, channels) whose regions are the keys. Each query is drawn over it, like the
            words of a caption (Xu et al. 2015, figure 2).
        grid: Rows and columns of the regions in the image: of the last axis of the weights, or of the last two axes
            if these are rows and columns. By default the rows and columns that fit the image's shape best.

    Returns:
        A panel per head, with large weights in light gray. Over an image, a panel per query, 16 at most: a row per
        head, and rows of seven panels for a single head.

    Raises:
        ValueError: The weights have another shape, the number of tokens is not the number of queries or keys, or
            the last two axes of the weights could be rows and columns and `grid` is None.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> weights = np.eye(3)
        >>> figure = dk.visualize.attention(
        ...     weights, source=["a", "big", "cat"], target=["eine", "große", "Katze"]
        ... )
        >>> figure = dk.visualize.attention(
        ...     np.full((2, 3, 4), 0.25),
        ...     image=np.ones((8, 8, 3)),
        ...     target=["a", "b", "c"],
        ... )
        >>> len(figure.axes)
        6
        >>> figure = dk.visualize.attention(
        ...     np.eye(7), image=np.ones((28, 28, 1)), grid=(7, 7)
        ... )
        >>> len(figure.axes)
        1
    """
    image_array = None if image is None else np.asarray(image)
    heads = _heads(weights, image_array, grid)
    _check_tokens("target", target, heads.shape[1], "queries")
    if image_array is not None:
        return _draw_over_image(heads, image_array, list(target), grid)
    _check_tokens("source", source, heads.shape[2], "keys")
    width, height = (min(9.0, 1.3 + 0.28 * count) for count in (heads.shape[2], heads.shape[1]))
    figure, axes = subplots(1, len(heads), width, height)
    for number, (ax, head) in enumerate(zip(axes[0], heads, strict=True), start=1):
        ax.imshow(head, cmap="gray", vmin=0, vmax=float(head.max()) or 1.0, aspect="auto")
        _label_ticks(ax.set_xticks, source, rotation=60, ha="right")
        _label_ticks(ax.set_yticks, target if number == 1 else ())
        if len(heads) > 1:
            ax.set_title(f"head {number}", fontsize=9)
    return figure


def _draw_over_image(heads: np.ndarray, image: np.ndarray, target: list[str], grid: Grid | None) -> Figure:
    if image.ndim != 3:
        raise ValueError(f"attention: expected an image (rows, columns, channels), received shape {image.shape}")
    num_keys = heads.shape[2]
    rows, columns = grid or _best_grid(num_keys, image.shape[0] / image.shape[1])
    if rows * columns != num_keys:
        problem = f"attention: a grid of {rows} by {columns} has {rows * columns} regions, the weights have {num_keys}"
        raise ValueError(f"{problem} keys")
    num_queries = min(_MAX_QUERIES, heads.shape[1])
    num_columns = min(num_queries, _PANELS_PER_ROW) if len(heads) == 1 else num_queries
    figure, axes = subplots(len(heads) * math.ceil(num_queries / num_columns), num_columns, 1.6, 1.8)
    panels = np.ravel(axes)
    for unused in panels[len(heads) * num_queries :]:
        unused.remove()
    rows_of_heads = panels[: len(heads) * num_queries].reshape(len(heads), num_queries)
    for number, (axes_row, head) in enumerate(zip(rows_of_heads, heads, strict=True), start=1):
        for ax, query, token in zip(axes_row, head, target or [""] * num_queries, strict=False):
            hide_axis_lines(ax).imshow(displayable_image(image), cmap="gray")
            resized = ops.image.resize(query.reshape(rows, columns, 1), image.shape[:2], data_format="channels_last")
            ax.imshow(np.asarray(resized)[..., 0], cmap="inferno", alpha=0.55, vmin=0, vmax=float(query.max()) or 1.0)
            ax.set_title(token, fontsize=9)
        if len(heads) > 1:
            axes_row[0].set_ylabel(f"head {number}", fontsize=9)
    if num_queries < heads.shape[1]:
        figure.suptitle(f"{num_queries} of {heads.shape[1]} queries", fontsize=9)
    return figure


def _heads(weights: ArrayLike | Tensor, image: np.ndarray | None, grid: Grid | None) -> np.ndarray:
    """Return the weights as (heads, queries, keys)."""
    array = np.asarray(ops.convert_to_numpy(weights), "float32")
    received_shape = array.shape
    if image is not None and array.ndim >= 2 and array.size:
        array = _flatten_regions(array, image.shape, grid)
    if array.ndim not in (2, 3) or not array.size:
        problem = f"attention: expected weights (queries, keys) or (heads, queries, keys), received {received_shape}"
        raise ValueError(message(problem, hint=_axes_hint(received_shape, image is not None, grid)))
    return array if array.ndim == 3 else array[None]


def _flatten_regions(array: np.ndarray, image_shape: tuple[int, ...], grid: Grid | None) -> np.ndarray:
    """Return weights over an image with the regions along one axis, if the grid says that they are along two."""
    *outer, rows, columns = array.shape
    if grid is not None:
        has_two_axes = (rows, columns) == tuple(grid) and columns != math.prod(grid)
        return array.reshape(*(outer or [1]), rows * columns) if has_two_axes else array
    if array.ndim <= 3 and len(image_shape) == 3:
        ratio = image_shape[0] / image_shape[1]
        best_grid = _best_grid(columns, ratio)
        if _ratio_distance((rows, columns), ratio) <= _ratio_distance(best_grid, ratio):
            problem = f"attention: the axes of {rows} by {columns} are ambiguous: queries and keys, or rows and columns"
            hint = f"pass grid=({rows}, {columns}) for rows and columns, or grid={best_grid} for {rows} queries"
            raise ValueError(message(problem, hint=hint))
    return array


def _axes_hint(shape: tuple[int, ...], has_image: bool, grid: Grid | None) -> str:
    """Return the hint for weights with too many axes."""
    if len(shape) < 4:
        return ""
    first_example = "weights[0], the weights of the first example"
    if len(shape) == 4 and not has_image:
        return f"pass {first_example}, or image= and grid={shape[-2:]} for regions in rows and columns"
    if len(shape) == 4 and grid is None:
        return f"pass grid={shape[-2:]} for regions in rows and columns, or {first_example}"
    return f"pass {first_example}"


def _check_tokens(name: str, tokens: Sequence[str], count: int, axis: str) -> None:
    if isinstance(tokens, str):
        problem = f"attention: expected {name} as a sequence of tokens, received one text"
        raise ValueError(message(problem, hint=f"use {name}={tokens!r}.split()"))
    if len(tokens) in (0, count):
        return
    hint = ""
    if len(tokens) < count:
        slices = f"[..., :{len(tokens)}]" if name == "source" else f"[..., :{len(tokens)}, :]"
        hint = f"pass weights{slices} if the rest is padding"
    problem = f"attention: {name} has {len(tokens)} tokens, and the weights have {count} {axis}"
    raise ValueError(message(problem, hint=hint))


def _best_grid(num_regions: int, ratio: float) -> Grid:
    """Return the rows and columns for a number of regions whose ratio is closest to that of the image."""
    grids = [(rows, num_regions // rows) for rows in range(1, num_regions + 1) if num_regions % rows == 0]
    return min(grids, key=lambda grid: _ratio_distance(grid, ratio))


def _ratio_distance(grid: Grid, ratio: float) -> float:
    """Return the distance between rows over columns of a grid and of an image, on a logarithmic scale."""
    return abs(math.log(grid[0] / grid[1] / ratio))


def _label_ticks(set_ticks: _SetTicks, tokens: Sequence[str], **style: object) -> None:
    if 0 < len(tokens) <= _MAX_TOKENS:
        set_ticks(range(len(tokens)), list(tokens), fontsize=8, **style)
    else:
        set_ticks([])
