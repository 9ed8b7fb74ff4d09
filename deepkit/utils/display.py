"""Rich display in notebooks: the renderer of each class, and the base class of the objects that have one.

The table names renderers as text and they are imported when the first object is displayed. A definition can so be drawn
by `deepkit.visualize`, which imports definitions, and a program that displays nothing does not import Matplotlib.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from deepkit.utils import html_fragments as fragments
from deepkit.utils.errors import format_value

RENDERERS = {
    "deepkit.data.dataset.Data": "deepkit.visualize.data_display.render_data",
    "deepkit.definition.block.Block": "deepkit.visualize.definition_display.render_definition",
    "deepkit.execution.plan.Plan": "deepkit.execution.plan_display.render_plan",
    "deepkit.export.exporter.ExportResult": "deepkit.export.export_display.render_export",
    "deepkit.recipe.contract.Result": "deepkit.recipe.recipe_display.render_result",
    "deepkit.recipe.report.Report": "deepkit.recipe.recipe_display.render_report",
    "deepkit.search.match.Match": "deepkit.search.match_display.render_match",
    "deepkit.teaching.tape.Trace": "deepkit.teaching.trace_display.render_trace",
    "deepkit.training.diagnosis.Diagnosis": "deepkit.training.diagnosis_display.render_diagnosis",
    "deepkit.training.learning_rate.LearningRateTest": "deepkit.training.run_display.render_learning_rate_test",
    "deepkit.training.trained_run.Run": "deepkit.training.run_display.render_run",
}
"""The function that renders the objects of each class as HTML."""


class Displayable:
    """An object that Jupyter and Colab display as HTML; other programs print its `repr`."""

    def _repr_html_(self) -> str:
        return render(self)


def render(value: object) -> str:
    """Return an object as HTML; its `repr` with the reason if the renderer of its class fails.

    A display raises no error: a notebook would show a traceback in place of a value that is correct.
    """
    try:
        return fragments.block(renderer_of(type(value))(value))
    except Exception as error:
        reason = f"The display failed: {type(error).__name__}: {error}"
        return fragments.block(fragments.code(_repr(value)), fragments.note(reason))


def renderer_of(cls: type) -> Callable[[object], str]:
    """Return the function that renders the objects of a class: that of the first base class in the table.

    Raises:
        LookupError: Neither the class nor a base class is in the table.
    """
    for base in cls.__mro__:
        path = RENDERERS.get(f"{base.__module__}.{base.__qualname__}")
        if path is not None:
            module, _, name = path.rpartition(".")
            renderer: Callable[[object], str] = getattr(importlib.import_module(module), name)
            return renderer
    raise LookupError(f"{cls.__name__} has no renderer")


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # a block of the user
        return format_value(value)
