"""The evaluation of a regression: errors in the units of the target, and figures of each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn import metrics

from deepkit.training.reporting import report_html as elements
from deepkit.training.reporting.evaluation import OutputEvaluation
from deepkit.training.reporting.report_figures import ReportFigures
from deepkit.visualize.interval_coverage import IntervalCoverage, coverage_of_intervals, draw_coverage
from deepkit.visualize.regression_figures import draw_residuals, draw_true_and_predicted

_MAX_TARGETS = 20  # rows of the table
_MAX_DRAWN = 4  # targets with figures


@dataclass(frozen=True)
class RegressionMetrics:
    """The errors of one target.

    Args:
        mae: Mean absolute error.
        rmse: Root mean squared error.
        r2: Coefficient of determination; None if all true values are equal.
        mean_error: Mean of the predicted minus the true values.
        stddev: Standard deviation of the true values.
    """

    mae: float
    rmse: float
    r2: float | None
    mean_error: float
    stddev: float


def regression_metrics(labels: np.ndarray, predictions: np.ndarray) -> RegressionMetrics:
    """Return the errors of one target, with labels and predictions of shape `(examples,)`."""
    stddev = float(labels.std())
    return RegressionMetrics(
        float(metrics.mean_absolute_error(labels, predictions)),
        float(metrics.root_mean_squared_error(labels, predictions)),
        float(metrics.r2_score(labels, predictions)) if stddev > 0 else None,
        float((predictions - labels).mean()),
        stddev,
    )


def regression_section(
    evaluation: OutputEvaluation, names: Sequence[str], figures: ReportFigures, output: str, split: str
) -> str:
    """Return errors and figures of a regression.

    Args:
        evaluation: The evaluation.
        names: The name of each target.
        figures: Receives the figures.
        output: Name of the output, empty for a single one.
        split: Name of the data: "validation".
    """
    labels, predictions = evaluation.labels, evaluation.predictions
    values = [regression_metrics(labels[:, i], predictions[:, i]) for i in range(labels.shape[1])]
    order = list(range(len(values)))
    parts = []
    if len(order) > _MAX_TARGETS:
        order = sorted(order, key=lambda i: _ascending(values[i].r2))[:_MAX_TARGETS]
    parts.append(_error_table(order, values, names))
    if len(values) > len(order):
        more = len(values) - len(order)
        parts.append(elements.note(f"The {len(order)} targets with the lowest R²; {more:,} others are left out."))
    parts.append(
        elements.note(
            "MAE, RMSE, mean error and standard deviation have the unit of the target. R² is 1 for exact predictions "
            "and 0 for predictions that are as good as the mean of the true values."
        )
    )
    for i in order[:_MAX_DRAWN]:
        parts.append(elements.heading(names[i]))
        suffix = "_".join(["", *([output] if output else []), *([str(i)] if len(values) > 1 else [])])
        parts.append(_target_figures(labels[:, i], predictions[:, i], names[i], suffix, figures))
    if len(order) > _MAX_DRAWN:
        parts.append(elements.note(f"Figures of the first {_MAX_DRAWN} targets of the table."))
    if evaluation.stddev is not None:
        coverage = coverage_of_intervals(predictions, evaluation.stddev, labels)
        parts.append(_calibration(coverage, figures, output, split))
    return "".join(parts)


def _ascending(r2: float | None) -> float:
    """Return a key that sorts an undefined value last."""
    return float("inf") if r2 is None else r2


def _error_table(order: Sequence[int], values: Sequence[RegressionMetrics], names: Sequence[str]) -> str:
    header = ("Target", "MAE", "RMSE", "R²", "Mean error", "Standard deviation of the target")
    rows = []
    for i in order:
        value = values[i]
        r2 = "undefined" if value.r2 is None else f"{value.r2:.3f}"
        rows.append(
            (names[i], f"{value.mae:.4g}", f"{value.rmse:.4g}", r2, f"{value.mean_error:.3g}", f"{value.stddev:.4g}")
        )
    return elements.table(header, rows)


def _target_figures(labels: np.ndarray, predictions: np.ndarray, name: str, suffix: str, figures: ReportFigures) -> str:
    short = elements.shorten(name, 30)
    scatter = figures.add(
        f"true_predicted{suffix}",
        draw_true_and_predicted(labels, predictions, short),
        f"Predicted against true {short}",
        "Points on the dashed diagonal are exact predictions.",
    )
    histogram = figures.add(
        f"residuals{suffix}",
        draw_residuals(predictions - labels, short),
        f"Histogram of predicted minus true {short}",
        "Residuals: positive values are predictions that are too large.",
    )
    return elements.panels([scatter, histogram])


def _calibration(coverage: IntervalCoverage, figures: ReportFigures, output: str, split: str) -> str:
    file, of_output = (f"calibration_{output}", f" of {output}") if output else ("calibration", "")
    caption = f"Calibration{of_output} on the {split} split: {coverage.summary()}."
    drawn = figures.add(file, draw_coverage(coverage), f"Calibration curve{of_output}", caption)
    text = elements.note(
        "A curve on the diagonal is calibrated. Below it, the predicted standard deviations are too small; above it, "
        "too large."
    )
    return elements.heading("Calibration of the predicted intervals") + drawn + text
