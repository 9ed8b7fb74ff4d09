"""Figures of examples with their labels: images in a grid, other inputs as the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from deepkit.visualize.figures import hide_axis_lines, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_COLUMNS = 8  # of the grid, and of a table for the values of one input
_MAX_VALUES = 5  # of an array in a cell
_MAX_TITLE = 24  # characters
_MAX_CELL = 64
_FONT_SIZE = 8
_CHARACTER = 0.075  # width in inches
_ROW = 0.27  # height in inches


def examples_figure(x: Any, y: Any, class_names: Sequence[str] | Mapping[str, Sequence[str]] = ()) -> Figure:
    """Draw examples with their labels.

    Args:
        x: Array `(batch, ...)`, or a structure of arrays. The only array of images `(batch, rows, columns)` or
            `(batch, rows, columns, channels)` is drawn as a grid; other inputs become a table.
        y: Labels of the examples, in the same form, or None.
        class_names: Names in the order of the classes; by name of the output if there are several.
    """
    inputs, labels = dict(_leaves(x, "x")), dict(_leaves(y, "label"))
    texts = {name: _label_texts(values, _names_of(class_names, name)) for name, values in labels.items()}
    images = [values for values in inputs.values() if _are_images(values)]
    return _image_grid(images[0], texts) if len(images) == 1 else _table(inputs, texts)


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield name and array of each part of a structure."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, str(key))
    elif isinstance(value, tuple | list):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{name}[{position}]")
    elif value is not None:
        yield name, value


def _names_of(class_names: Sequence[str] | Mapping[str, Sequence[str]], output: str) -> Sequence[str]:
    return class_names.get(output, ()) if isinstance(class_names, Mapping) else class_names


def _are_images(values: Any) -> bool:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        return False
    return (values.ndim == 4 and values.shape[-1] <= 4) or (values.ndim == 3 and min(values.shape[1:]) >= 8)


def _image_grid(images: np.ndarray, labels: Mapping[str, Sequence[str]]) -> Figure:
    columns = min(_MAX_COLUMNS, len(images))
    figure, axes = subplots(-(-len(images) // columns), columns, 1.35, 1.5 + 0.13 * max(0, len(labels) - 1))
    for ax in axes.flat:
        hide_axis_lines(ax)
    for index, (ax, image) in enumerate(zip(axes.flat, _displayable(images), strict=False)):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1)
        named = len(labels) > 1
        lines = [f"{name}: {texts[index]}" if named else texts[index] for name, texts in labels.items()]
        title = "\n".join(_shorten(line, _MAX_TITLE) for line in lines)
        ax.set_title(title, fontsize=_FONT_SIZE, parse_math=False)
    return figure


def _displayable(images: np.ndarray) -> np.ndarray:
    """Return images with values from 0 to 1: of one channel or without a channel axis, or of three channels."""
    values = images.astype("float32")
    if values.ndim == 4:
        values = values[..., :3] if values.shape[-1] >= 3 else values[..., 0]
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return values
    return values / 255 if low >= 0 and high <= 255 else (values - low) / max(high - low, 1e-12)


def _table(inputs: Mapping[str, Any], labels: Mapping[str, Sequence[str]]) -> Figure:
    columns: dict[str, Sequence[str]] = {}
    for name, values in inputs.items():
        columns |= dict(_columns(name, values))
    for name, texts in labels.items():
        columns[f"{name} (label)" if name in columns else name] = texts
    rows = [[_shorten(text, _MAX_CELL) for text in row] for row in zip(*columns.values(), strict=True)]
    widths = [max(map(len, column)) + 3 for column in zip(columns, *rows, strict=True)]
    figure, axes = subplots(1, 1, max(3.0, _CHARACTER * sum(widths)), _ROW * (len(rows) + 1) + 0.2)
    _draw_table(axes[0, 0], list(columns), rows, widths)
    return figure


def _draw_table(ax: Axes, names: list[str], rows: list[list[str]], widths: list[int]) -> None:
    """Draw a table whose columns have widths in characters."""
    ax.set_axis_off()
    table = ax.table(
        rows,
        colLabels=names,
        colWidths=[width / sum(widths) for width in widths],
        cellLoc="left",
        colLoc="left",
        bbox=Bbox.unit(),
    )
    table.auto_set_font_size(False)
    table.set_fontsize(_FONT_SIZE)
    for (row, column), cell in table.get_celld().items():
        cell.PAD = 1 / widths[column]  # a fraction of its width
        cell.get_text().set_parse_math(False)
        cell.set_edgecolor("#dee2e6")
        if row == 0:
            cell.set_facecolor("#f1f3f5")


def _columns(name: str, values: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield title and texts of each column: one for each value of short vectors, else one for the input."""
    if isinstance(values, np.ndarray) and values.ndim == 2 and 1 < values.shape[1] <= _MAX_COLUMNS:
        for position in range(values.shape[1]):
            yield f"{name}[{position}]", [_text(value) for value in values[:, position]]
    else:
        yield name, [_text(value) for value in values]


def _label_texts(labels: Any, names: Sequence[str]) -> list[str]:
    """Return each label as text: class names for class indices and for rows of zeros and ones."""
    array = np.asarray(labels) if isinstance(labels, np.ndarray) else None
    if array is None or not names:
        return [_text(label) for label in labels]
    if array.dtype.kind in "iu" and array.size == len(array):
        return [names[label] if 0 <= label < len(names) else str(label) for label in array.reshape(-1).tolist()]
    if array.ndim == 2 and array.shape[1] == len(names) and np.isin(array, (0, 1)).all():
        pairs = [zip(names, row, strict=True) for row in array]
        return [", ".join(name for name, value in row if value) or "none" for row in pairs]
    return [_text(label) for label in array]


def _text(value: Any) -> str:
    """Return a number, a text or an array as short text."""
    array = np.asarray(value)
    if array.ndim > 1:
        return f"array of shape {array.shape}"
    if array.ndim == 1 and array.size != 1:
        texts = [_text(item) for item in array[:_MAX_VALUES]]
        more = f", ... ({len(array)} values)" if len(array) > _MAX_VALUES else ""
        return ", ".join(texts) + more
    item = array.item()
    if isinstance(item, bytes):
        item = item.decode("utf-8", "replace")
    return f"{item:.4g}" if isinstance(item, float) else str(item)


def _shorten(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
