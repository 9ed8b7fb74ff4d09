"""Pictures of attention: which places each query looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from deepkit.visualize.figures import panels, plain
from deepkit.visualize.model_inputs import shown

_MANY = 60  # tokens beyond which their names cannot be read
_QUERIES = 16  # over an image, at most


def attention(
    weights: Any,
    *,
    source: Sequence[str] = (),
    target: Sequence[str] = (),
    image: Any = None,
    grid: tuple[int, int] | None = None,
) -> Figure:
    """Draw how much each query attends to each place, as alignments are drawn (Bahdanau et al. 2015, figure 3).

    Args:
        weights: Shaped (queries, places), or (heads, queries, places); of one example. Over an image the places may
            be two axes, (..., rows, columns), as those of attention over a feature map are; name them with `grid`.
        source: A token a place, from left to right.
        target: A token a query, from top to bottom.
        image: (rows, columns, channels) that the places lie in; then each query is drawn over it, as a caption's
            words are (Xu et al. 2015, figure 2).
        grid: Rows and columns of the places in the image: of the last axis, or of the last two where these are rows
            and columns. Left out, they are those of the last axis that fit the image's shape best.

    Returns:
        A panel a head: light where the weight is large. Over an image, a row a head and a panel a query, 16 at most.

    Raises:
        ValueError: The weights have another shape, there are more or fewer tokens than queries or places, or without
            a `grid` the weights may as well be rows and columns.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> weights = np.eye(3)
        >>> figure = dk.visualize.attention(weights, source=["a", "big", "cat"], target=["eine", "große", "Katze"])
        >>> figure = dk.visualize.attention(np.full((2, 3, 4), 0.25), image=np.ones((8, 8, 3)), target=["a", "b", "c"])
        >>> len(figure.axes)
        6
        >>> figure = dk.visualize.attention(np.eye(7), image=np.ones((28, 28, 1)), grid=(7, 7))
        >>> len(figure.axes)
        1
    """
    heads = _heads(weights, image, grid)
    _check_tokens("target", target, heads.shape[1], "queries")
    if image is not None:
        return _over_image(heads, np.asarray(image), list(target), grid)
    _check_tokens("source", source, heads.shape[2], "places")
    wide, tall = (min(9.0, 1.3 + 0.28 * count) for count in (heads.shape[2], heads.shape[1]))
    figure, axes = panels(1, len(heads), wide, tall)
    for number, (ax, head) in enumerate(zip(axes[0], heads, strict=True), start=1):
        ax.imshow(head, cmap="gray", vmin=0, vmax=float(head.max()) or 1.0, aspect="auto")
        _label(ax.set_xticks, source, rotation=60, ha="right")
        _label(ax.set_yticks, target if number == 1 else ())
        if len(heads) > 1:
            ax.set_title(f"head {number}", fontsize=9)
    return figure


def _over_image(heads: np.ndarray, image: np.ndarray, target: list[str], grid: tuple[int, int] | None) -> Figure:
    if image.ndim != 3:
        raise ValueError(f"attention: expected an image (rows, columns, channels), received shape {image.shape}")
    rows, columns = grid or _grid(heads.shape[2], image.shape[0] / image.shape[1])
    if rows * columns != heads.shape[2]:
        raise ValueError(f"attention: a grid of {rows} by {columns} has {rows * columns} places, not {heads.shape[2]}")
    queries = min(_QUERIES, heads.shape[1])
    figure, axes = panels(len(heads), queries, 1.6, 1.8)
    for number, (line, head) in enumerate(zip(axes, heads, strict=True), start=1):
        for ax, query, token in zip(line, head, target or [""] * queries, strict=False):
            plain(ax).imshow(shown(image), cmap="gray")
            sized = ops.image.resize(query.reshape(rows, columns, 1), image.shape[:2], data_format="channels_last")
            ax.imshow(np.asarray(sized)[..., 0], cmap="inferno", alpha=0.55, vmin=0, vmax=float(query.max()) or 1.0)
            ax.set_title(token, fontsize=9)
        if len(heads) > 1:
            line[0].set_ylabel(f"head {number}", fontsize=9)
    if queries < heads.shape[1]:
        figure.suptitle(f"{queries} of {heads.shape[1]} queries", fontsize=9)
    return figure


def _heads(weights: Any, image: Any, grid: tuple[int, int] | None) -> np.ndarray:
    """Return weights (heads, queries, places)."""
    array = np.asarray(ops.convert_to_numpy(weights), "float32")
    received = array.shape
    if image is not None and array.ndim >= 2 and array.size:
        array = _in_a_row(array, np.shape(image), grid)
    if array.ndim not in (2, 3) or not array.size:
        raise ValueError(
            "attention: expected weights (queries, places) or (heads, queries, places), "
            f"received {received}{_first(received, image, grid)}"
        )
    return array if array.ndim == 3 else array[None]


def _in_a_row(array: np.ndarray, image: tuple[int, ...], grid: tuple[int, int] | None) -> np.ndarray:
    """Return weights over an image with their places along one axis, where the grid says that they are along two."""
    *others, rows, columns = array.shape
    if grid is not None:
        two = (rows, columns) == tuple(grid) and columns != math.prod(grid)
        return array.reshape(*(others or [1]), rows * columns) if two else array
    if array.ndim <= 3 and len(image) == 3:
        ratio = image[0] / image[1]
        best = _grid(columns, ratio)
        if _misfit((rows, columns), ratio) <= _misfit(best, ratio):
            raise ValueError(
                f"attention: {rows} by {columns} may be queries by places, or the rows and columns of the places\n"
                f"  hint: grid=({rows}, {columns}) for rows and columns, or grid={best} for {rows} queries"
            )
    return array


def _first(shape: tuple[int, ...], image: Any, grid: tuple[int, int] | None) -> str:
    """Return what to try with weights of too many axes."""
    if len(shape) < 4:
        return ""
    first = "weights[0], those of the first example"
    if image is None and len(shape) == 4:
        return f"\n  hint: {first}, or image= and grid={shape[-2:]} for places in rows and columns"
    flat = len(shape) == 4 and grid is None
    return f"\n  hint: grid={shape[-2:]} for places in rows and columns, or {first}" if flat else f"\n  hint: {first}"


def _check_tokens(name: str, tokens: Sequence[str], count: int, what: str) -> None:
    if isinstance(tokens, str):
        raise ValueError(f"attention: {name} is one text\n  hint: {name}={tokens!r}.split()")
    if len(tokens) not in (0, count):
        cut = f"weights[..., :{len(tokens)}]" if name == "source" else f"weights[..., :{len(tokens)}, :]"
        hint = f"\n  hint: {cut}, where the rest is padding" if len(tokens) < count else ""
        raise ValueError(f"attention: {name} has {len(tokens)} tokens, and the weights have {count} {what}{hint}")


def _grid(places: int, ratio: float) -> tuple[int, int]:
    """Return the rows and columns of so many places whose ratio is nearest to that of the image."""
    pairs = [(n, places // n) for n in range(1, places + 1) if places % n == 0]
    return min(pairs, key=lambda pair: _misfit(pair, ratio))


def _misfit(grid: tuple[int, int], ratio: float) -> float:
    """Return how far rows over columns are from the ratio of an image."""
    return abs(math.log(grid[0] / grid[1] / ratio))


def _label(set_ticks: Any, tokens: Sequence[str], **style: Any) -> None:
    if 0 < len(tokens) <= _MANY:
        set_ticks(range(len(tokens)), list(tokens), fontsize=8, **style)
    else:
        set_ticks([])
