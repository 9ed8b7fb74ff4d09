"""The display of a diagnosis in a notebook, and its fragment of HTML for a report."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from deepkit.training.diagnose import diagnose_history
from deepkit.training.diagnosis import Diagnosis
from deepkit.utils import html_fragments as fragments

if TYPE_CHECKING:
    from deepkit.training.baseline_errors import BaselineErrors
    from deepkit.training.trained_run import Run
    from deepkit.utils.types import History


def render_diagnosis(diagnosis: Diagnosis) -> str:
    """Return the rule, the errors and the suggestions as HTML."""
    rows = [(f"{name} {diagnosis.measure}", text) for name, text in diagnosis.errors().items()]
    title = fragments.title(f"Diagnosis: {diagnosis.rule}", f"after {diagnosis.duration}")
    return title + _sentence(diagnosis) + fragments.table(rows) + _next_steps(diagnosis)


def diagnosis_fragment(run: Run) -> str:
    """Return the diagnosis of a run as HTML for a report; empty if the run has neither a loss nor an accuracy."""
    return history_fragment(run.history, run.baseline_errors)


def history_fragment(history: History, baselines: BaselineErrors) -> str:
    """Return the diagnosis of a training as HTML for a report; empty if the history has no suitable metric.

    Args:
        history: Loss and metrics of every epoch, by name.
        baselines: Errors of the predictions that ignore the input, by measure.
    """
    try:
        diagnosis = diagnose_history(history, baselines)
    except ValueError:  # no finished epoch, or a generative model without a loss of this name
        return ""
    rows = "".join(
        f"<tr><th>{html.escape(f'{name} {diagnosis.measure}')}</th><td>{html.escape(text)}</td></tr>"
        for name, text in diagnosis.errors().items()
    )
    rule = f"<p><b>{html.escape(diagnosis.rule.capitalize())}.</b></p>"
    return f"{rule}{_sentence(diagnosis)}<table>{rows}</table>{_next_steps(diagnosis)}"


def _sentence(diagnosis: Diagnosis) -> str:
    text = diagnosis.explanation
    return f"<p>{html.escape(text[:1].upper() + text[1:])}.</p>"


def _next_steps(diagnosis: Diagnosis) -> str:
    items = "".join(f"<li>{html.escape(suggestion)}</li>" for suggestion in diagnosis.suggestions)
    return f"<p>What to try next:</p><ul>{items}</ul>"
