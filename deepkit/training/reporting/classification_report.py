"""The evaluation of a classifier: metrics of each class, confusion matrix, and metrics of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn import metrics

from deepkit.training.reporting import report_html as elements
from deepkit.training.reporting.evaluation import OutputEvaluation
from deepkit.training.reporting.report_figures import ReportFigures
from deepkit.visualize.classification import draw_confusion

MAX_CLASSES = 20
"""The largest number of classes whose metrics and confusion matrix a report shows completely."""

_MAX_DRAWN = 200  # classes of a confusion matrix as a figure
_MAX_NAME = 20  # characters of a name in the figure
_MAX_HEADER = 40  # characters of a name in the table of the confusion matrix
_MAX_PAIRS = 10  # of classes that are confused
_THRESHOLD = 0.5
_COLUMNS = ("Precision", "Recall", "F1 score", "Support")


@dataclass(frozen=True)
class ClassMetrics:
    """Precision, recall, F1 score and support of each class, as `sklearn.metrics.classification_report` has them.

    Args:
        classes: The indices of the classes that occur as a label or as a prediction.
        precision: The precision of each class; 0 if the class is never predicted.
        recall: The recall of each class; 0 if the class has no example.
        f1_score: The F1 score of each class.
        support: The number of labels of each class.
    """

    classes: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1_score: np.ndarray
    support: np.ndarray

    def averages(self) -> list[tuple[str, list[float], int]]:
        """Return the unweighted means over the classes, and those weighted by the support."""
        rows = []
        for title, weights in (("macro average", None), ("weighted average", self.support)):
            if weights is not None and not weights.sum():
                continue
            values = [float(np.average(v, weights=weights)) for v in (self.precision, self.recall, self.f1_score)]
            rows.append((title, values, int(self.support.sum())))
        return rows


def class_metrics(labels: np.ndarray, predictions: np.ndarray) -> ClassMetrics:
    """Return the metrics of each class.

    Args:
        labels: Class indices `(examples,)`, or zeros and ones `(examples, classes)` of a multi-label classifier.
        predictions: The predicted classes in the same form.
    """
    classes = np.arange(labels.shape[1]) if labels.ndim > 1 else np.union1d(labels, predictions)
    values = metrics.precision_recall_fscore_support(labels, predictions, labels=classes, zero_division=0)
    return ClassMetrics(classes, *(np.asarray(value) for value in values))


def classification_section(
    evaluation: OutputEvaluation, class_names: Sequence[str], figures: ReportFigures, output: str
) -> str:
    """Return the metrics and the confusion matrix of a classifier with one class per example.

    Args:
        evaluation: The evaluation.
        class_names: Names in the order of the classes; empty if unknown.
        figures: Receives the confusion matrix as a figure for the run directory.
        output: Name of the output, empty for a single one.
    """
    labels, probabilities = evaluation.labels, evaluation.predictions
    predictions = probabilities.argmax(-1)
    names = all_names(class_names, probabilities.shape[-1])
    unit = "positions" if evaluation.has_positions else "examples"
    num_errors = int((labels != predictions).sum())
    parts = [
        elements.paragraph(
            f"Accuracy {percent(1 - num_errors / len(labels))}: {num_errors:,} of {len(labels):,} {unit} misclassified."
        )
    ]
    if evaluation.head.task == "binary":
        parts.append(_ranking_table(labels, probabilities[:, 1], names[1]))
    parts += [
        elements.heading("Metrics of each class"),
        _class_table(class_metrics(labels, predictions), names),
        elements.heading("Confusion matrix"),
        _confusion(labels, predictions, names),
    ]
    if len(names) <= _MAX_DRAWN:
        counts = metrics.confusion_matrix(labels, predictions, labels=np.arange(len(names)))
        drawn = draw_confusion(counts, [elements.shorten(name, _MAX_NAME) for name in names])
        figures.store(f"confusion_{output}" if output else "confusion", drawn)
    return "".join(parts)


def multilabel_section(evaluation: OutputEvaluation, class_names: Sequence[str]) -> str:
    """Return the metrics of a classifier whose classes do not exclude each other."""
    labels, probabilities = (evaluation.labels > _THRESHOLD).astype(int), evaluation.predictions
    predictions = (probabilities > _THRESHOLD).astype(int)
    names = all_names(class_names, probabilities.shape[-1])
    correct = labels == predictions
    text = (
        f"Accuracy of the single labels {percent(correct.mean())}; all labels are correct for "
        f"{int(correct.all(1).sum()):,} of {len(labels):,} examples ({percent(correct.all(1).mean())}). A label is "
        f"predicted if its probability is above {_THRESHOLD}."
    )
    ranking = [ranking_metrics(labels[:, i], probabilities[:, i]) for i in range(labels.shape[1])]
    table = _class_table(class_metrics(labels, predictions), names, ranking)
    return elements.paragraph(text) + elements.heading("Metrics of each label") + table


def ranking_metrics(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, float] | None:
    """Return the area under the ROC curve and the average precision; None if all labels are equal."""
    if len(np.unique(labels)) < 2:
        return None
    area = metrics.roc_auc_score(labels, probabilities)
    return float(area), float(metrics.average_precision_score(labels, probabilities))


def all_names(class_names: Sequence[str], num_classes: int) -> list[str]:
    """Return the name of each class; its index if the names are unknown."""
    names = list(class_names) or [str(i) for i in range(num_classes)]
    return names + [f"class {i}" for i in range(len(names), num_classes)]


def percent(fraction: float) -> str:
    """Return a fraction in percent.

    >>> percent(0.9779)
    '97.8 %'
    """
    return f"{100 * fraction:.1f} %"


def _ranking_table(labels: np.ndarray, probabilities: np.ndarray, positive: str) -> str:
    values = ranking_metrics(labels, probabilities)
    if values is None:
        return elements.note("All labels are equal, so the area under the ROC curve is undefined.")
    rows = [("Area under the ROC curve", f"{values[0]:.3f}"), ("Average precision", f"{values[1]:.3f}")]
    return elements.table((f"Probability of {positive}", "Value"), rows)


def _class_table(
    values: ClassMetrics, names: Sequence[str], ranking: Sequence[tuple[float, float] | None] | None = None
) -> str:
    """Return the table of the classes; those with the lowest F1 score if there are many."""
    order = np.arange(len(values.classes))
    shown, note = order, ""
    if len(order) > MAX_CLASSES:
        shown = np.argsort(values.f1_score, kind="stable")[:MAX_CLASSES]
        note = elements.note(
            f"The {MAX_CLASSES} classes with the lowest F1 score; the other {len(order) - MAX_CLASSES:,} are left out."
        )
    num_absent = len(names) - len(order)
    if num_absent > 0:
        classes = "1 class that is" if num_absent == 1 else f"{num_absent:,} classes that are"
        note += elements.note(f"Without {classes} neither a label nor a prediction.")
    rows = []
    for i in shown:
        cells = [names[values.classes[i]], *_decimals(values.precision[i], values.recall[i], values.f1_score[i])]
        cells.append(f"{values.support[i]:,}")
        if ranking is not None:
            pair = ranking[int(i)]
            cells += ["undefined"] * 2 if pair is None else _decimals(*pair)
        rows.append(cells)
    totals = [[title, *_decimals(*means), f"{support:,}"] for title, means, support in values.averages()]
    header = ["Class", *_COLUMNS]
    if ranking is not None:
        header += ["ROC AUC", "Average precision"]
        totals = [[*row, "", ""] for row in totals]
    return elements.table(header, rows, totals=totals) + note


def _decimals(*values: float) -> list[str]:
    return [f"{value:.3f}" for value in values]


def _confusion(labels: np.ndarray, predictions: np.ndarray, names: Sequence[str]) -> str:
    """Return the confusion matrix as a table; the most frequent confusions if there are many classes."""
    if len(names) > MAX_CLASSES:
        return _confusion_pairs(labels, predictions, names)
    counts = metrics.confusion_matrix(labels, predictions, labels=np.arange(len(names)))
    errors = counts * (1 - np.eye(len(names), dtype=int))
    largest = max(1, errors.max())
    names = [elements.shorten(name, _MAX_HEADER) for name in names]
    head = "".join(f'<th scope="col">{elements.name(name)}</th>' for name in names)
    rows = []
    for i, name in enumerate(names):
        cells = "".join(_count_cell(int(counts[i, j]), counts[i, j] / largest, i == j) for j in range(len(names)))
        rows.append(f'<tr><th scope="row">{elements.name(name)}</th>{cells}</tr>')
    table = f'<table class="matrix"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    note = elements.note("Rows: true class. Columns: predicted class. Errors are colored.")
    return note + elements.scroll(table, "Confusion matrix: rows are true classes, columns are predicted classes")


def _count_cell(count: int, share: float, is_correct: bool) -> str:
    if is_correct:
        return f'<td class="correct"><b>{count:,}</b></td>'
    if not count:
        return '<td class="zero">0</td>'
    return f'<td style="background:rgba(232,89,12,{0.12 + 0.33 * share:.2f})">{count:,}</td>'


def _confusion_pairs(labels: np.ndarray, predictions: np.ndarray, names: Sequence[str]) -> str:
    wrong = labels != predictions
    pairs, counts = np.unique(np.stack([labels[wrong], predictions[wrong]], 1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MAX_PAIRS]
    rows = [(names[pairs[i][0]], names[pairs[i][1]], f"{counts[i]:,}") for i in order]
    if not rows:
        return elements.note("No class is confused with another one.")
    more = len(counts) - len(rows)
    note = elements.note(f"{more:,} less frequent pairs of classes are left out.") if more else ""
    return elements.table(("True class", "Predicted class", "Examples"), rows, texts=2) + note
