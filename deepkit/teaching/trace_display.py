"""The display of an evaluation trace: a table as text, and in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deepkit.utils import html_fragments as fragments

HEADER = ("", "primitive", "kind", "value", "df/dz")
_MIN_FIXED, _MAX_FIXED = 1e-4, 1e9  # other numbers are displayed with an exponent


class TracedVariable(Protocol):
    """The members of a variable that the display uses."""

    name: str
    kind: str
    text: str
    value: float
    derivative: float


class EvaluationTrace(Protocol):
    """The members of a trace that the display uses."""

    @property
    def inputs(self) -> Sequence[TracedVariable]:
        """The inputs w1, w2, ..."""

    @property
    def variables(self) -> Sequence[TracedVariable]:
        """The intermediate variables z1, z2, ..."""

    @property
    def output(self) -> TracedVariable:
        """The variable that is the value of the function."""

    @property
    def function_operations(self) -> int:
        """Number of operations for the value."""

    @property
    def gradient_operations(self) -> int:
        """Number of operations for value and gradient."""


def affine_text(terms: Sequence[tuple[float, TracedVariable]], shift: float) -> str:
    """Return an affine transformation as in a textbook: `3 z1 - z3 + 0.5`."""
    text = ""
    for factor, name in [*((factor, variable.name) for factor, variable in terms), (shift, "")]:
        if name or factor:
            size = name if name and abs(factor) == 1 else f"{abs(factor):g} {name}".rstrip()
            text += f" - {size}" if factor < 0 else f" + {size}"
    return text.removeprefix(" + ") if text.startswith(" + ") else f"-{text.removeprefix(' - ')}"


def trace_text(trace: EvaluationTrace) -> str:
    """Return the table of a trace: a line for each variable, and the numbers of operations."""
    rows = [HEADER, *_rows(trace)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    aligned = (str.ljust, str.ljust, str.ljust, str.rjust, str.rjust)
    lines = [
        "  ".join(align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, _operations(trace)])


def trace_repr(trace: EvaluationTrace) -> str:
    """Return a trace as one line."""
    size = f"{len(trace.variables)} intermediate variable{'' if len(trace.variables) == 1 else 's'}"
    return f"<Trace: {_value(trace)}, {size}>"


def render_trace(trace: EvaluationTrace) -> str:
    """Return the table of a trace as HTML."""
    title = fragments.title("Evaluation trace", _value(trace))
    return title + fragments.table(_rows(trace), HEADER) + fragments.note(_operations(trace))


def _rows(trace: EvaluationTrace) -> list[tuple[str, ...]]:
    return [
        (variable.name, variable.text, variable.kind, _number(variable.value), _number(variable.derivative))
        for variable in (*trace.inputs, *trace.variables)
    ]


def _value(trace: EvaluationTrace) -> str:
    point = ", ".join(f"{variable.value:g}" for variable in trace.inputs)
    return f"f({point}) = {_number(trace.output.value)}"


def _operations(trace: EvaluationTrace) -> str:
    value, gradient = trace.function_operations, trace.gradient_operations
    factor = f", {gradient / value:.2f} times as many" if value else ""
    return f"f = {trace.output.name}: {value} operations for the value, {gradient} with the gradient{factor}"


def _number(value: float) -> str:
    is_fixed = value == 0 or _MIN_FIXED <= abs(value) < _MAX_FIXED
    return f"{value:.8f}" if is_fixed else f"{value:.8e}"
