"""`Diagnosis`: the rule of the training checklist that applies to a run, as a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from deepkit.utils.display import Displayable

Rule: TypeAlias = Literal[
    "diverged",
    "bad on training data",
    "bad on validation data",
    "good",
    "no validation data",
    "nothing to compare with",
]

ERROR_RATE = "error rate"
"""The measure 1 - accuracy, which is displayed in percent."""


@dataclass(frozen=True)
class Diagnosis(Displayable):
    """The rule of the training checklist that applies to a run, with the errors that it compares.

    Args:
        rule: The rule: "diverged", "bad on training data", "bad on validation data", "good", "no validation data" or
            "nothing to compare with".
        explanation: The comparison that selects the rule, with its numbers.
        suggestions: What to try next, the most promising first.
        measure: The error that is compared: "error rate", "mean squared error", "mean absolute error" or "loss".
        training_error: Training error in the last epoch.
        validation_error: Validation error after the last epoch, or None.
        baseline_error: Error of the best prediction that ignores the input, or None.
        target: The error to reach, or None.
        epochs: Number of epochs.

    Examples:
        >>> import deepkit as dk
        >>> run = dk.fit(
        ...     dk.Classifier(2), dk.data.points("circle", 40), epochs=1, verbose=0
        ... )
        >>> diagnosis = dk.teaching.diagnose(run)
        >>> diagnosis.measure, sorted(diagnosis.errors()), diagnosis.validation_error
        ('error rate', ['baseline', 'training'], None)
    """

    rule: Rule
    explanation: str
    suggestions: tuple[str, ...]
    measure: str
    training_error: float
    validation_error: float | None
    baseline_error: float | None
    target: float | None
    epochs: int

    @property
    def duration(self) -> str:
        """The number of epochs as text."""
        return f"{self.epochs:,} epoch{'' if self.epochs == 1 else 's'}"

    def errors(self) -> dict[str, str]:
        """Return the errors that exist as text, by name."""
        values = {
            "training": self.training_error,
            "validation": self.validation_error,
            "baseline": self.baseline_error,
            "target": self.target,
        }
        return {name: format_error(value, self.measure) for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        errors = ", ".join(f"{name} {text}" for name, text in self.errors().items())
        lines = [
            f"{self.rule} after {self.duration}: {self.explanation}",
            f"  {self.measure}: {errors}",
            *(f"  - {suggestion}" for suggestion in self.suggestions),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        errors = ", ".join(f"{name} {text}" for name, text in self.errors().items())
        return f"<Diagnosis: {self.rule}; {self.measure}: {errors}>"


def format_error(value: float, measure: str) -> str:
    """Return an error as text: a rate in percent.

    >>> format_error(0.1234, "error rate"), format_error(0.123456, "loss")
    ('12.3 %', '0.1235')
    """
    return f"{100 * value:.1f} %" if measure == ERROR_RATE and math.isfinite(value) else f"{value:.4g}"
