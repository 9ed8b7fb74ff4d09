"""`diagnose`: the training checklist, which compares the errors of a run and names what to try next."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from deepkit.training.diagnosis import ERROR_RATE, Diagnosis, Rule, format_error
from deepkit.training.trained_run import Run
from deepkit.utils.errors import make_error
from deepkit.utils.validation import check_number

if TYPE_CHECKING:
    from deepkit.training.baseline_errors import BaselineErrors
    from deepkit.utils.types import History

_MEASURES = {  # names of metrics, in the order of preference, and the measure
    "accuracy": ERROR_RATE,
    "acc": ERROR_RATE,
    "binary_accuracy": ERROR_RATE,
    "categorical_accuracy": ERROR_RATE,
    "sparse_categorical_accuracy": ERROR_RATE,
    "mse": "mean squared error",
    "mean_squared_error": "mean squared error",
    "mae": "mean absolute error",
    "mean_absolute_error": "mean absolute error",
    "loss": "loss",
}
_TRAINING_FRACTION = 0.5  # of the baseline error: the default bound of the training error
_GAP_FRACTION = 0.1  # of the baseline error: the default bound of validation error minus training error
_FAR_FROM_BASELINE = (
    3  # times the error of always predicting the mean: the outputs are in another range than the labels
)

_STANDARDIZE = "standardize the labels, (y - mean) / standard deviation: a regression starts near 0"
_CHECK_DATA = "check that inputs and labels belong together, and that the inputs are scaled"
_NEW_ARCHITECTURE = "try a new architecture: more units or layers, or another activation such as ReLU"
_BETTER_OPTIMIZER = "try a better optimizer: Adam or momentum, with the learning rate of dk.find_learning_rate"
_MORE_DATA = "use more training examples, or augment them; dk.teaching.required_examples(run.model) is a rule of thumb"
_REGULARIZE = "penalize large weights: kernel_regularizer=keras.regularizers.L2(1e-4)"
_DROPOUT = "add dropout, such as dk.Classifier(10, dropout=0.5)"
_SMALLER_ARCHITECTURE = "try a new architecture with fewer weights"
_TEST = "evaluate the test data, once: run.evaluate(data.test)"
_PASS_VALIDATION = "pass validation_data= or validation_split=0.2 to dk.fit, which shows whether the network overfits"
_PASS_BOUND = "call dk.teaching.diagnose(run, target=0.05), with the error to reach, or with baseline="
_AFTER_DIVERGENCE = (
    "use a smaller learning rate, such as that of dk.find_learning_rate",
    "limit the gradient: set clipnorm=1.0 on the optimizer",
    "look for NaN and very large values in the data",
)


def diagnose(run: Run, *, baseline: float | None = None, target: float | None = None) -> Diagnosis:
    """Return the rule of the training checklist that applies to a run, and what to try next.

    The checklist asks two questions in this order:

    1. Is the result on the training data good? If not, the network does not fit them: try a new architecture or a
       better optimizer, and train longer.
    2. Is the result on the validation data good? If not, the network overfits: try more data, early stopping,
       regularization or dropout.

    Good means an error of at most `target`. Without a target, the baseline error is the scale: the training error is
    good if it is at most half of it, and the validation error if it exceeds the training error by at most a tenth of
    it. The baseline is the best prediction that ignores the input: always the most frequent class of the training
    labels, or for a regression always their mean. An error that is not below the baseline error suggests labels that
    do not belong to their inputs.

    The errors are those of the last epoch: 1 - accuracy if the run has that metric, else the mean squared or mean
    absolute error, else the loss. Keras averages the training error over the epoch, while the weights change and
    dropout is active, so it can exceed the validation error.

    Args:
        run: The run that `dk.fit` or `dk.load_run` returned.
        baseline: The baseline error, in the measure of the diagnosis; by default that of the training labels, which is
            known if they are in memory and the model has one output.
        target: The error to reach, in the same measure: 0.05 for an accuracy of 95 %.

    Returns:
        The diagnosis, which `print` shows as text and a notebook as a table.

    Raises:
        TypeError: `run` is not a run.
        ValueError: `baseline` or `target` is out of range, or the run has no finished epoch, or neither an accuracy nor
            a loss.

    Examples:
        >>> import numpy as np
        >>> import deepkit as dk
        >>> x, y = np.eye(3, dtype="float32").repeat(20, 0), np.arange(3).repeat(20)
        >>> run = dk.fit(
        ...     dk.Sequential([dk.Classifier(3)]),
        ...     x,
        ...     y,
        ...     epochs=9,
        ...     learning_rate=0.3,
        ...     verbose=0,
        ... )
        >>> print(dk.teaching.diagnose(run))
        no validation data after 9 epochs: the training error 0.0 % is at most 33.3 %, half the baseline error
          error rate: training 0.0 %, baseline 66.7 %
          - pass validation_data= or validation_split=0.2 to dk.fit, which shows whether the network overfits
    """
    if not isinstance(run, Run):
        problem = f"diagnose: expected a run, received {type(run).__name__}"
        raise make_error(TypeError, problem, hint="pass the run that dk.fit or dk.load_run returned")
    return diagnose_history(run.history, run.baseline_errors, baseline=baseline, target=target)


def diagnose_history(
    history: History, baselines: BaselineErrors, *, baseline: float | None = None, target: float | None = None
) -> Diagnosis:
    """Return the diagnosis of a training from its history and its baseline errors; see `diagnose`."""
    metric = _select_metric(history)
    measure = _MEASURES[metric]
    training = _errors(history, metric)
    validation = _errors(history, f"val_{metric}")
    baseline = baselines.get(measure) if baseline is None else _check_error(baseline, "baseline", measure)
    target = None if target is None else _check_error(target, "target", measure)
    errors = _Errors(measure, training, validation, baseline, target)
    finding = _not_finite(history) or _training_rule(errors) or _validation_rule(errors)
    return Diagnosis(
        rule=finding.rule,
        explanation=finding.explanation,
        suggestions=finding.suggestions,
        measure=measure,
        training_error=training[-1],
        validation_error=validation[-1] if validation else None,
        baseline_error=baseline,
        target=target,
        epochs=len(training),
    )


class _Errors(NamedTuple):
    """The errors of each epoch, and the errors to compare them with."""

    measure: str
    training: list[float]
    validation: list[float]
    baseline: float | None
    target: float | None

    def text(self, value: float) -> str:
        """Return an error as text."""
        return format_error(value, self.measure)


class _Finding(NamedTuple):
    """A rule, the comparison that selects it, and what to try next."""

    rule: Rule
    explanation: str
    suggestions: tuple[str, ...]


def _not_finite(history: History) -> _Finding | None:
    """Return the rule for a loss or metric that is NaN or infinite in the last epoch, or None if all are finite."""
    for name, values in history.items():
        if values and isinstance(values[-1], float) and not math.isfinite(values[-1]):
            split = "validation" if name.startswith("val_") else "training"
            explanation = f"the {split} {name.removeprefix('val_').replace('_', ' ')} is {values[-1]}"
            return _Finding("diverged", explanation, _AFTER_DIVERGENCE)
    return None


def _training_rule(errors: _Errors) -> _Finding | None:
    """Return the rule for a bad result on the training data, or None if the result is good."""
    error, baseline, text = errors.training[-1], errors.baseline, errors.text
    bound, bound_text = _training_bound(errors)
    if bound is None:
        explanation = f"the training error {text(error)} cannot be judged without a target or a baseline error"
        return _Finding("nothing to compare with", explanation, (_PASS_BOUND,))
    if error <= bound:
        return None
    explanation = f"the training error {text(error)} is above {bound_text}"
    suggestions = []
    if baseline is not None and error >= baseline:
        explanation += f", and not below the baseline error {text(baseline)}"
        is_far = errors.measure != ERROR_RATE and error > _FAR_FROM_BASELINE * baseline
        suggestions += [_STANDARDIZE, _CHECK_DATA] if is_far else [_CHECK_DATA]
    if len(errors.training) == 1:
        suggestions.append("train for more than one epoch")
    elif error < errors.training[-2]:
        suggestions.append("train for more epochs: the training error still falls")
    return _Finding("bad on training data", explanation, (*suggestions, _NEW_ARCHITECTURE, _BETTER_OPTIMIZER))


def _training_bound(errors: _Errors) -> tuple[float | None, str]:
    """Return the largest good training error, and its name; None if it is unknown."""
    if errors.target is not None:
        return errors.target, f"the target {errors.text(errors.target)}"
    if errors.baseline is None:
        return None, ""
    bound = _TRAINING_FRACTION * errors.baseline
    return bound, f"{errors.text(bound)}, half the baseline error"


def _validation_rule(errors: _Errors) -> _Finding:
    """Return the rule for a good result on the training data."""
    training, text = errors.training[-1], errors.text
    training_text = f"the training error {text(training)} is at most {_training_bound(errors)[1]}"
    if not errors.validation:
        return _Finding("no validation data", training_text, (_PASS_VALIDATION,))
    validation = errors.validation[-1]
    if errors.target is not None:
        is_good = validation <= errors.target
        comparison = f"the validation error {text(validation)} is {'at most' if is_good else 'above'} the target"
    else:
        allowed = _GAP_FRACTION * (errors.baseline or 0.0)
        is_good = validation - training <= allowed
        amount = f"{text(validation - training)}, {'at most' if is_good else 'more than'} {text(allowed)}"
        comparison = f"the validation error {text(validation)} exceeds it by {amount}, a tenth of the baseline error"
        if validation <= training:
            comparison = f"the validation error {text(validation)} does not exceed it"
    explanation = f"{training_text}; {comparison}"
    if is_good:
        return _Finding("good", explanation, (_TEST,))
    suggestions = (_MORE_DATA, *_stop_early(errors), _REGULARIZE, _DROPOUT, _SMALLER_ARCHITECTURE)
    if errors.baseline is not None and validation >= errors.baseline:
        explanation += f", and not below the baseline error {text(errors.baseline)}"
        suggestions = (_CHECK_DATA, *suggestions)
    return _Finding("bad on validation data", explanation, suggestions)


def _stop_early(errors: _Errors) -> tuple[str, ...]:
    """Return the suggestion of early stopping, if the validation error was lower in an earlier epoch."""
    best = min(errors.validation)
    if not best < errors.validation[-1]:
        return ()
    epoch = 1 + errors.validation.index(best)
    callback = "keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)"
    return (f"stop early: the validation error was lowest in epoch {epoch} ({errors.text(best)}); {callback}",)


def _select_metric(history: History) -> str:
    """Return the name of the metric that the diagnosis compares."""
    if not any(history.values()):
        problem = "diagnose: the run has no finished epoch"
        raise make_error(ValueError, problem, hint="pass a run of dk.fit with epochs=1 or more")
    for name in _MEASURES:
        if _errors(history, name):
            return name
    problem = f"diagnose: expected a loss or an accuracy in the history, received {', '.join(history)}"
    raise make_error(ValueError, problem, hint="pass a run of a model that is trained with a loss")


def _errors(history: History, name: str) -> list[float]:
    """Return the error of each epoch; empty if the history lacks the metric, or if it has several values."""
    values = history.get(name, [])
    if not all(isinstance(value, float) for value in values):
        return []
    is_accuracy = _MEASURES[name.removeprefix("val_")] == ERROR_RATE
    return [1 - value if is_accuracy else value for value in values]


def _check_error(value: object, name: str, measure: str) -> float:
    """Return a baseline error or a target."""
    if measure == ERROR_RATE:
        hint = "pass a fraction: 0.1 for an error of 10 %"
        return check_number(value, f"diagnose: {name}", minimum=0, maximum=1, hint=hint)
    return check_number(value, f"diagnose: {name}", minimum=0, hint=f"pass a {measure}")
