"""The display of the report and of the result of a recipe in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepkit.recipe.report import STAND_IN, Report, format_number
from deepkit.utils import html_fragments as fragments
from deepkit.utils.durations import format_duration

if TYPE_CHECKING:
    from deepkit.recipe.contract import Result

_FIGURE_BYTES = 120_000  # of all figures
_MAX_FIGURES = 4


def render_report(report: Report) -> str:
    """Return measured beside claimed values, the figures and the deviations as HTML."""
    recipe = report.recipe
    rows = [
        ("data", report.data),
        ("seeds", ", ".join(str(repeat.seed) for repeat in report.config.repeats())),
        ("time", format_duration(sum(report.seconds))),
        ("command", report.command),
        (recipe.paper.kind, recipe.paper.cite()),
    ]
    deviations = [(f"{number}", text) for number, text in recipe.deviations_for(report.config).items()]
    return "".join(
        [
            fragments.title(recipe.name, recipe.summary),
            *map(fragments.warning, report.warnings()),
            fragments.table(report.rows(), report.columns),
            _images(report.figures),
            fragments.table(rows),
            fragments.details(f"Deviations from the {recipe.paper.kind}", fragments.table(deviations))
            if deviations
            else "",
            *map(fragments.note, report.notes),
        ]
    )


def render_result(result: Result) -> str:
    """Return the measured numbers, the data and the figures of one repeat as HTML."""
    rows = [("data", result.data)]
    if result.model is not None:
        rows.append(("model", f"{result.model.name}, {result.model.count_params():,} parameters"))
    if result.seconds is not None:
        rows.append(("time", format_duration(result.seconds)))
    measured = [(name, format_number(value)) for name, value in result.measured.items()]
    figures = {caption: path.read_bytes() for caption, path in result.figures.items() if path.exists()}
    return "".join(
        [
            fragments.title("Result"),
            "" if result.comparable else fragments.warning(f"The result is {STAND_IN}."),
            fragments.table(measured, ("metric", "measured")),
            _images(figures),
            fragments.table(rows),
            *map(fragments.note, result.notes),
        ]
    )


def _images(figures: Mapping[str, bytes]) -> str:
    """Return PNG images with their captions; further ones are named."""
    from deepkit.visualize.html_figures import png_file_fragment

    drawn, others = list(figures.items())[:_MAX_FIGURES], list(figures)[_MAX_FIGURES:]
    parts = []
    for caption, content in drawn:
        max_bytes = _FIGURE_BYTES // len(drawn)
        parts += [png_file_fragment(content, caption, max_bytes=max_bytes), fragments.note(caption)]
    if others:
        parts.append(fragments.note(f"Not shown: {', '.join(others)}"))
    return "".join(parts)
