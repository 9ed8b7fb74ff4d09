"""The examples with the largest errors: misclassified images and texts, and the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepkit.training.reporting import report_html as elements
from deepkit.training.reporting.classification_report import all_names, percent
from deepkit.training.reporting.evaluation import Example, OutputEvaluation
from deepkit.training.reporting.example_cards import examples_html

if TYPE_CHECKING:
    from deepkit.data.table_schema import TableSchema

_MAX_LABELS = 6  # of a multi-label example
_MAX_NUMBERS = 4


def worst_section(evaluation: OutputEvaluation, names: Sequence[str], columns: TableSchema | None) -> str:
    """Return the examples with the largest errors; an empty string if they cannot be shown.

    Args:
        evaluation: The evaluation of an output.
        names: Names of the classes, or of the targets of a regression.
        columns: The columns of a table, or None.
    """
    if evaluation.has_positions:
        return ""
    is_regression = evaluation.head.task == "regression"
    title = "Examples with the largest errors" if is_regression else "Misclassified examples with the largest loss"
    if not evaluation.worst:
        text = "No example is misclassified."
        return "" if is_regression else elements.heading("Misclassified examples") + elements.paragraph(text)
    results = [_results(example, evaluation, names) for example in evaluation.worst]
    content = examples_html([example.inputs for example in evaluation.worst], results, columns)
    return elements.heading(title) + content if content else ""


def _results(example: Example, evaluation: OutputEvaluation, names: Sequence[str]) -> list[tuple[str, str]]:
    task, probabilities = evaluation.head.task, example.prediction
    if task == "regression":
        return _numbers(example, evaluation, names)
    classes = all_names(names, len(probabilities))
    if task == "multilabel":
        true = _join([classes[i] for i in np.flatnonzero(example.label > 0.5)])
        predicted = _join([f"{classes[i]} {percent(probabilities[i])}" for i in np.flatnonzero(probabilities > 0.5)])
        return [("true", true), ("predicted", predicted)]
    label, prediction = int(example.label), int(probabilities.argmax())
    return [
        ("true", classes[label]),
        ("predicted", classes[prediction]),
        ("probability", percent(float(probabilities[prediction]))),
    ]


def _numbers(example: Example, evaluation: OutputEvaluation, names: Sequence[str]) -> list[tuple[str, str]]:
    def text(values: np.ndarray) -> str:
        shown = ", ".join(f"{value:.4g}" for value in values[:_MAX_NUMBERS])
        return f"{shown}, …" if len(values) > _MAX_NUMBERS else shown

    suffix = f" {names[0]}" if len(names) == 1 and names[0] != "target" else ""
    return [
        (f"true{suffix}", text(example.label)),
        (f"predicted{suffix}", text(example.prediction)),
        ("error", text(example.prediction - example.label)),
    ]


def _join(names: Sequence[str]) -> str:
    if not names:
        return "none"
    return ", ".join(names[:_MAX_LABELS]) + (", …" if len(names) > _MAX_LABELS else "")
