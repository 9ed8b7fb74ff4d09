"""The standard name and the unit of a metric, from its name in a history."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_PREFIX = "val_"
_FRACTIONS = {
    "accuracy": "accuracy",
    "acc": "accuracy",
    "binary_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "top_k_categorical_accuracy": "top-k accuracy",
    "sparse_top_k_categorical_accuracy": "top-k accuracy",
    "masked_accuracy": "accuracy",
}
_NUMBERS = {
    "mae": "mean absolute error",
    "mean_absolute_error": "mean absolute error",
    "mse": "mean squared error",
    "mean_squared_error": "mean squared error",
    "rmse": "root mean squared error",
    "root_mean_squared_error": "root mean squared error",
    "auc": "area under the ROC curve",
    "f1_score": "F1 score",
    "r2_score": "R²",
    "kl": "KL divergence",
}


@dataclass(frozen=True)
class MetricName:
    """The standard name of a metric.

    Args:
        text: The name, such as "mean absolute error"; with the output in front if there are several outputs.
        is_validation: Whether the value belongs to the validation data.
        is_fraction: Whether a value of 1 is 100 %.
    """

    text: str
    is_validation: bool = False
    is_fraction: bool = False

    @property
    def unit(self) -> str:
        """Return "%" for a fraction, else an empty string."""
        return "%" if self.is_fraction else ""

    @property
    def heading(self) -> str:
        """The name with a capital letter: "Accuracy"."""
        return self.text[:1].upper() + self.text[1:]

    @property
    def title(self) -> str:
        """The name with its unit, for the axis of a figure: "Accuracy (%)"."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading

    def format(self, value: object) -> str:
        """Return a value with four significant digits, or in percent.

        >>> metric_name("accuracy").format(0.97801), metric_name("mae").format(0.123456)
        ('97.8 %', '0.1235')
        """
        if isinstance(value, list):
            shown = ", ".join(self.format(item) for item in value[:6])
            return f"{shown}, …" if len(value) > 6 else shown
        number = float(value)  # type: ignore[arg-type]
        return f"{100 * number:.1f} %" if self.is_fraction else f"{number:.4g}"


def metric_name(name: str, outputs: Sequence[str] = ()) -> MetricName:
    """Return the standard name of a metric.

    Args:
        name: The name in a history, such as "val_accuracy" or "price_mae".
        outputs: Names of the outputs, with which the names of their metrics begin.

    >>> metric_name("val_sparse_categorical_accuracy").title
    'Accuracy (%)'
    >>> metric_name("price_mae", ["price"]).text
    'price: mean absolute error'
    """
    is_validation, rest = name.startswith(_PREFIX), name.removeprefix(_PREFIX)
    output = next((output for output in outputs if output and rest.startswith(f"{output}_")), "")
    rest = rest.removeprefix(f"{output}_") if output else rest
    stem = rest if rest in _FRACTIONS or rest in _NUMBERS else re.sub(r"_\d+$", "", rest)
    is_fraction = stem in _FRACTIONS or stem.endswith("_accuracy")
    text = _FRACTIONS.get(stem) or _NUMBERS.get(stem) or rest.replace("_", " ")
    return MetricName(f"{output}: {text}" if output else text, is_validation, is_fraction)
