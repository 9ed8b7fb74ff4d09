"""The display of a plan in a notebook."""

from __future__ import annotations

from deepkit.execution.measurement import Measurement
from deepkit.execution.plan import Plan
from deepkit.utils import html_fragments as fragments


def render_plan(plan: Plan) -> str:
    """Return the choices of a plan with their reasons, and the measurements of `dk.autotune`, as HTML."""
    return fragments.title("Plan") + plan_tables(plan)


def plan_tables(plan: Plan) -> str:
    """Return the tables of a plan as HTML."""
    choices = fragments.table(plan.rows(), ("field", "choice", "reason"))
    if not plan.measurements:
        return choices
    rows = [measurement.cells() for measurement in plan.measurements]
    return choices + fragments.title("Measurements") + fragments.table(rows, Measurement.columns)
