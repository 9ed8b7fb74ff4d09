"""The display of an export in a notebook."""

from __future__ import annotations

from deepkit.export.exporter import ExportResult, format_size
from deepkit.utils import html_fragments as fragments


def render_export(result: ExportResult) -> str:
    """Return path, size and difference from the model as HTML."""
    shapes = ", ".join(str(shape) for shape in result.sample_shapes)
    relative = f"{result.relative_difference:.1e} of the largest output"
    rows = [
        ("path", str(result.path)),
        ("format", result.format),
        ("size", format_size(result.size)),
        ("difference from the model", f"{result.absolute_difference:.1e}, {relative}"),
        ("tolerance", f"{result.tolerance:.1e} of the largest output"),
        ("compared on a batch of shape", shapes),
    ]
    return fragments.title("Exported model") + fragments.table(rows)
