"""Examples of the data as HTML: images and texts as cards, the rows of a table as a table."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from PIL import Image

from deepkit.training.reporting import report_html as elements
from deepkit.visualize.figures import displayable_image

if TYPE_CHECKING:
    from deepkit.data.table_schema import TableSchema

MAX_CHARACTERS = 600  # of a text
_MAX_CELL = 60
_MAX_COLUMNS = 12  # of the inputs in a table
_MAX_SIDE = 112  # pixels of an image
_MIN_PHOTO = 48  # pixels of the shorter side of an image that is scaled smoothly, and saved as JPEG if it has colors


def examples_html(
    inputs: Sequence[Any], results: Sequence[Sequence[tuple[str, str]]], columns: TableSchema | None = None
) -> str:
    """Return examples with their results; an empty string if their inputs are neither images, texts nor few numbers.

    Args:
        inputs: The input of the model for each example, without the batch axis: an array, or a structure of arrays.
        results: Names and texts for each example, such as ("predicted", "cat").
        columns: The columns of a table, or None.
    """
    if not inputs:
        return ""
    parts = [list(_leaves(value)) for value in inputs]
    if any(is_image(array) or _is_text(name, array, columns) for name, array in parts[0]):
        return _cards(parts, results, columns)
    return _table(parts, results, columns)


def image_card(array: np.ndarray, alternative: str) -> str:
    """Return an image `(rows, columns)` or `(rows, columns, channels)`."""
    image = np.asarray(array)
    image = image[..., None] if image.ndim == 2 else image
    content, mime_type, is_photo = _encode(image)
    return elements.image(content, alternative, mime_type, "photo" if is_photo else "")


def is_image(array: Any) -> bool:
    """Return whether an input is an image `(rows, columns)` or `(rows, columns, channels)`."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb" or array.size == 0:
        return False
    if array.ndim == 3:
        return array.shape[-1] in (1, 3, 4) and min(array.shape[:2]) > 1
    return array.ndim == 2 and min(array.shape) >= 8


def _leaves(value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and array of each input; the name of a single input is empty."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from ((f"{key}.{name}" if name else str(key), array) for name, array in _leaves(item))
    elif isinstance(value, tuple | list):
        for i, item in enumerate(value):
            yield from ((f"input {i}" if not name else f"input {i}.{name}", array) for name, array in _leaves(item))
    else:
        yield "", np.asarray(value)


def _is_text(name: str, array: np.ndarray, columns: TableSchema | None) -> bool:
    """Return whether an input is a text, not the category of a table."""
    if array.size != 1 or array.dtype.kind not in "SUO":
        return False
    return columns is None or columns.kinds.get(name, "text") == "text"


def _cards(
    parts: Sequence[Sequence[tuple[str, np.ndarray]]],
    results: Sequence[Sequence[tuple[str, str]]],
    columns: TableSchema | None,
) -> str:
    contents, has_texts = [], False
    for leaves, rows in zip(parts, results, strict=True):
        content, values = "", []
        for name, array in leaves:
            if is_image(array):
                content += image_card(array, _alternative(name, rows))
            elif _is_text(name, array, columns):
                text = elements.shorten(_text(array.reshape(-1)[0]), MAX_CHARACTERS)
                content += elements.quotation(text or "(empty)")
                has_texts = True
            elif array.size == 1:
                values.append((name or "input", _format(name, array, columns)))
            else:
                values.append((name or "input", _format_array(array)))
        contents.append(content + elements.pairs([*values[:_MAX_COLUMNS], *rows]))
    return elements.cards(contents, "texts" if has_texts else "")


def _alternative(name: str, rows: Sequence[tuple[str, str]]) -> str:
    results = "; ".join(f"{key} {value}" for key, value in rows)
    return f"{name or 'Example'}: {results}"


def _table(
    parts: Sequence[Sequence[tuple[str, np.ndarray]]],
    results: Sequence[Sequence[tuple[str, str]]],
    columns: TableSchema | None,
) -> str:
    """Return a table with a column for each number or category of the inputs."""
    header: list[str] = [name for name, _ in results[0]]
    num_results = len(header)
    rows = [[value for _, value in result] for result in results]
    for leaves, row in zip(parts, rows, strict=True):
        names = []
        for name, array in leaves:
            if array.size == 1:
                names.append(name or "input")
                row.append(_format(name, array, columns))
            elif array.ndim == 1 and array.size <= _MAX_COLUMNS:
                names += [f"{name or 'x'}[{i}]" for i in range(array.size)]
                row += [_format("", value, None) for value in array]
        titles = names
    num_inputs = len(titles)
    if not num_inputs:
        return ""
    shown = num_results + min(num_inputs, _MAX_COLUMNS)
    note = ""
    if num_inputs > _MAX_COLUMNS:
        note = elements.note(f"The first {_MAX_COLUMNS} of {num_inputs} columns.")
    header = [*header, *titles]
    return elements.table(header[:shown], [row[:shown] for row in rows], texts=shown) + note


def _format(name: str, array: Any, columns: TableSchema | None) -> str:
    """Return a value of a column as text."""
    value = np.asarray(array).reshape(-1)[0]
    kind = "" if columns is None else columns.kinds.get(name, "")
    if isinstance(value, bytes | str):
        return elements.shorten(_text(value), _MAX_CELL) or "missing"
    if isinstance(value, np.floating) and np.isnan(value):
        return "missing"
    if kind == "date":
        return _date(int(value))
    if kind == "boolean":
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, np.floating) else str(value)


def _date(seconds: int) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds) if abs(seconds) < 2**37 else None
    if moment is None:
        return "missing"
    return moment.date().isoformat() if moment.time() == datetime.time() else moment.isoformat(" ", "minutes")


def _format_array(array: np.ndarray) -> str:
    if array.ndim == 1 and array.size <= 5 and array.dtype.kind in "iuf":
        return ", ".join(f"{value:.4g}" for value in array)
    return f"array of shape {array.shape}"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _encode(array: np.ndarray) -> tuple[bytes, str, bool]:
    """Return an image file with its type, and whether a browser may smooth the image."""
    values = np.uint8(255 * displayable_image(array))
    image = Image.fromarray(values)
    is_photo = min(image.size) >= _MIN_PHOTO
    if max(image.size) > _MAX_SIDE:
        image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    buffer = io.BytesIO()
    if is_photo and values.ndim == 3:
        image.save(buffer, "JPEG", quality=85)
        return buffer.getvalue(), "image/jpeg", is_photo
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), "image/png", is_photo


def take(inputs: Any, index: int) -> Any:
    """Return one example of inputs with a batch axis."""
    return keras.tree.map_structure(lambda array: np.asarray(array)[index], inputs)
