"""The display of `Data` in a notebook: its first training examples, the sizes of its splits and its origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepkit.data.points import PointData
from deepkit.utils import html_fragments as fragments
from deepkit.visualize.html_figures import png_fragment

if TYPE_CHECKING:
    from deepkit.data.dataset import Data
    from deepkit.utils.types import ClassNames

_NUM_EXAMPLES = 8
_MAX_NAMES = 12


def render_data(data: Data) -> str:
    """Return examples, sizes, origin, classes and columns of a dataset as HTML."""
    parts = [fragments.title(f"{data.name} {data.version}".strip(), data.origin)]
    if data.stand_in_for is not None:
        parts.append(fragments.warning(f"It stands in for {data.stand_in_for}: results are not comparable."))
    parts += [
        _examples(data),
        fragments.table(_split_rows(data), ("split", "examples", "batches", "batch size")),
        fragments.table(_property_rows(data)),
    ]
    return "".join(parts)


def _examples(data: Data) -> str:
    """Return the first examples of the first epoch as an image, or the reason why they cannot be drawn."""
    try:
        figure = data.show() if isinstance(data, PointData) else data.show(_NUM_EXAMPLES)
    except Exception as error:  # of the files, or of a `map` function; the sizes of the splits are still valid
        return fragments.note(f"The examples cannot be drawn: {type(error).__name__}: {error}")
    count = "" if isinstance(data, PointData) else f" {min(_NUM_EXAMPLES, data.train.num_examples)}"
    return png_fragment(figure, f"The first{count} training examples of {data.name}")


def _split_rows(data: Data) -> list[tuple[str, str, str, str]]:
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return [
        (name, f"{split.num_examples:,}", f"{split.steps:,}", f"{split.batch_size:,}")
        for name, split in splits.items()
        if split is not None
    ]


def _property_rows(data: Data) -> list[tuple[str, str]]:
    rows = [("input shape", _shape(data.input_shape))]
    if data.num_classes is not None:
        rows.append(("classes", f"{data.num_classes:,}"))
    rows += [(name, names) for name, names in _class_names(data.class_names) if names]
    if data.columns is not None:
        rows.append(("columns", ", ".join(f"{name} ({kind})" for name, kind in data.columns.kinds.items())))
    return rows


def _class_names(names: ClassNames) -> list[tuple[str, str]]:
    if isinstance(names, tuple):
        return [("class names", _shorten(names))]
    return [(f"class names of {output}", _shorten(output_names)) for output, output_names in names.items()]


def _shorten(names: tuple[str, ...]) -> str:
    more = f", ... ({len(names):,} names)" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def _shape(shape: Any) -> str:
    if isinstance(shape, dict):
        return ", ".join(f"{name}: {_shape(item)}" for name, item in shape.items())
    return str(shape)
