"""Pictures of attention: which places each query looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from deepkit.visualize._inputs import shown
from deepkit.visualize.figures import panels, plain

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
        weights: Shaped (queries, places), or (heads, queries, places); of one example.
        source: A token a place, from left to right.
        target: A token a query, from top to bottom.
        image: (rows, columns, channels) that the places lie in; then each query is drawn over it, as a caption's
            words are (Xu et al. 2015, figure 2).
        grid: Rows and columns of the places in the image; left out, those that fit the image's shape best.

    Returns:
        A panel a head: light where the weight is large. Over an image, a row a head and a panel a query, 16 at most.

    Raises:
        ValueError: The weights have another shape, or there are more or fewer tokens than queries or places.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> weights = np.eye(3)
        >>> figure = dk.visualize.attention(weights, source=["a", "big", "cat"], target=["eine", "große", "Katze"])
        >>> figure = dk.visualize.attention(np.full((2, 3, 4), 0.25), image=np.ones((8, 8, 3)), target=["a", "b", "c"])
        >>> len(figure.axes)
        6
    """
    heads = _heads(weights)
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


def _heads(weights: Any) -> np.ndarray:
    array = np.asarray(ops.convert_to_numpy(weights), "float32")
    if array.ndim not in (2, 3) or not array.size:
        hint = "\n  try weights[0], those of the first example" if array.ndim == 4 else ""
        raise ValueError(
            f"attention: expected weights (queries, places) or (heads, queries, places), received {array.shape}{hint}"
        )
    return array if array.ndim == 3 else array[None]


def _check_tokens(name: str, tokens: Sequence[str], count: int, what: str) -> None:
    if isinstance(tokens, str):
        raise ValueError(f"attention: {name} is one text\n  try {name}={tokens!r}.split()")
    if len(tokens) not in (0, count):
        cut = f"weights[..., :{len(tokens)}]" if name == "source" else f"weights[..., :{len(tokens)}, :]"
        hint = f"\n  try {cut}, where the rest is padding" if len(tokens) < count else ""
        raise ValueError(f"attention: {name} has {len(tokens)} tokens, and the weights have {count} {what}{hint}")


def _grid(places: int, ratio: float) -> tuple[int, int]:
    """Return the rows and columns of so many places whose ratio is nearest to that of the image."""
    pairs = [(n, places // n) for n in range(1, places + 1) if places % n == 0]
    return min(pairs, key=lambda pair: abs(math.log(pair[0] / pair[1] / ratio)))


def _label(set_ticks: Any, tokens: Sequence[str], **style: Any) -> None:
    if 0 < len(tokens) <= _MANY:
        set_ticks(range(len(tokens)), list(tokens), fontsize=8, **style)
    else:
        set_ticks([])
