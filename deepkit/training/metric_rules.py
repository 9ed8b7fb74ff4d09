"""Adapt each Keras metric to the head of an output: by its arguments, or by its counterpart for the kind of labels.

An adapted metric measures the same quantity. A metric that cannot be adapted raises an error. Metrics and functions of
the user are not changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from keras import losses, metrics

from deepkit.definition.objective import Head
from deepkit.utils.errors import format_value, make_error


@dataclass(frozen=True)
class Output:
    """An output of a model, with the head and the labels that determine its metrics.

    Args:
        head: The task of the head.
        argument: The argument that holds the metrics of this output, for messages.
        rank: Rank of the output; for a Gaussian, of its mean.
        label_rank: Rank of the labels, or None if it is unknown.
        activation: Name of the activation that computes the output, or None if it is unknown.
    """

    head: Head
    argument: str
    rank: int
    label_rank: int | None
    activation: str | None

    @property
    def has_class_indices(self) -> bool:
        """Whether the labels are class indices, which have no column for each output."""
        return self.head.task == "multiclass" and not self.head.one_hot


Adapted: TypeAlias = tuple[metrics.Metric | losses.Loss, str]
"""A metric, or a loss that serves as one, and the change as a message; an empty message if the metric is unchanged."""

Rule: TypeAlias = Callable[[metrics.Metric, Output], Adapted]

_SINGLE_THRESHOLD_METRICS = (metrics.BinaryAccuracy, metrics.BinaryIoU)
_COUNTS = (
    metrics.Precision, metrics.Recall,
    metrics.TruePositives, metrics.TrueNegatives, metrics.FalsePositives, metrics.FalseNegatives,
)  # fmt: skip
_OPERATING_POINTS = (
    metrics.SensitivityAtSpecificity, metrics.SpecificityAtSensitivity,
    metrics.PrecisionAtRecall, metrics.RecallAtPrecision,
)  # fmt: skip
_ONE_HOT_COUNTERPARTS: dict[type[metrics.Metric], type[metrics.Metric]] = {
    metrics.SparseCategoricalAccuracy: metrics.CategoricalAccuracy,
    metrics.SparseTopKCategoricalAccuracy: metrics.TopKCategoricalAccuracy,
    metrics.SparseCategoricalCrossentropy: metrics.CategoricalCrossentropy,
}
_SPARSE_COUNTERPARTS = {one_hot: sparse for sparse, one_hot in _ONE_HOT_COUNTERPARTS.items()}
_CONVERTED_ARGUMENTS = ("name", "dtype", "k", "from_logits", "axis")  # the others have no counterpart
_VALUE_METRICS = (
    metrics.MeanSquaredError, metrics.RootMeanSquaredError, metrics.MeanAbsoluteError,
    metrics.MeanAbsolutePercentageError, metrics.MeanSquaredLogarithmicError, metrics.LogCoshError, metrics.R2Score,
    metrics.CosineSimilarity, metrics.KLDivergence, metrics.Poisson,
    metrics.PearsonCorrelation, metrics.ConcordanceCorrelation,
)  # fmt: skip
_NEED_EQUAL_RANKS = (
    metrics.BinaryCrossentropy, metrics.FBetaScore, metrics.KLDivergence, metrics.CosineSimilarity,
    metrics.Hinge, metrics.SquaredHinge, metrics.CategoricalHinge,
)  # fmt: skip
_IOU_METRICS = (metrics.IoU, metrics.MeanIoU, metrics.OneHotIoU, metrics.OneHotMeanIoU)


def adapt_metric(metric: metrics.Metric, output: Output) -> Adapted:
    """Return the metric with the arguments that the head of an output requires, and a message about the change.

    Raises:
        ValueError: The metric does not fit the head, and no argument can change that.
    """
    rule = _find_rule(metric)
    return (metric, "") if rule is None else rule(metric, output)


def is_keras_metric(metric: metrics.Metric) -> bool:
    """Return whether a metric is one of Keras, or a subclass that inherits its `update_state`."""
    return _find_rule(metric) is not None


def _find_rule(metric: metrics.Metric) -> Rule | None:
    """Return the rule of a Keras metric, or of a subclass that inherits its `update_state`; None for others."""
    cls = _keras_class(metric)
    if cls is None or type(metric).update_state is not cls.update_state:
        return None
    return _RULES[cls]


def _keras_class(metric: metrics.Metric) -> type[metrics.Metric] | None:
    return next((cls for cls in type(metric).__mro__ if cls in _RULES), None)


def _config(metric: metrics.Metric) -> dict[str, Any]:
    """Return the arguments of the Keras class, also of a user's subclass without a complete `get_config`."""
    cls = _keras_class(metric) or type(metric)
    config: dict[str, Any] = cls.get_config(metric)
    return config


def _adapt_threshold(metric: metrics.Metric, output: Output) -> Adapted:
    """Adapt the one threshold of `BinaryAccuracy` or `BinaryIoU`, which may be any number."""
    _require_label_columns(metric, output)
    threshold = float(_config(metric)["threshold"])
    if not output.head.from_logits:
        _check_probability_threshold(metric, output, threshold)
        return metric, ""
    if not 0 < threshold < 1:  # already a threshold of logits
        return metric, ""
    if output.head.scores:
        if threshold != 0.5:
            problem = f"has the threshold {threshold:g}, which is a probability, but the head returns scores"
            raise _error(metric, output, problem, "use threshold=0, the score at which the predicted class changes")
        return _rebuild(metric, output, threshold=0.0), "counts scores above 0 as positive"
    logit = math.log(threshold / (1 - threshold))
    meaning = "" if threshold == 0.5 else f", which are probabilities above {threshold:g}"
    return _rebuild(metric, output, threshold=logit), f"counts logits above {logit:.4g} as positive{meaning}"


def _adapt_counts(metric: metrics.Metric, output: Output) -> Adapted:
    """Adapt the thresholds of `Precision`, `Recall` and the four counts, which Keras restricts to [0, 1]."""
    config = _config(metric)
    thresholds, top_k = config["thresholds"], config.get("top_k")
    is_ranking = top_k is not None and thresholds is None  # depends on the order of the outputs only
    _require_label_columns(metric, output, accepts_logits=is_ranking)
    _check_class_id(metric, output)
    if top_k is not None and (top_k > output.head.units or output.head.units == 1):
        hint = "leave top_k out" if output.head.units == 1 else "use a smaller top_k"
        raise _error(metric, output, f"has top_k={top_k}, but the head has {_num_classes_text(output)}", hint)
    if is_ranking:
        return metric, ""
    values = np.atleast_1d(0.5 if thresholds is None else thresholds).tolist()
    if not output.head.from_logits:
        if len(values) == 1:
            _check_probability_threshold(metric, output, values[0])
        return metric, ""
    if set(values) == {0}:
        return metric, ""
    if set(values) != {0.5}:
        raise _logits_error(metric, output, f"has thresholds={format_value(thresholds)}, which are probabilities")
    zeros = [0.0] * len(values) if isinstance(thresholds, list | tuple) else 0.0
    outputs = "scores" if output.head.scores else "logits"
    return _rebuild(metric, output, thresholds=zeros), f"counts {outputs} above 0 as positive"


def _adapt_operating_point(metric: metrics.Metric, output: Output) -> Adapted:
    """Check a metric that searches the thresholds from 0 to 1."""
    _require_label_columns(metric, output)
    _check_class_id(metric, output)
    if output.head.from_logits:
        raise _logits_error(metric, output, "searches thresholds from 0 to 1, which are probabilities")
    return metric, ""


def _adapt_auc(metric: metrics.Metric, output: Output) -> Adapted:
    _require_label_columns(metric, output)
    num_labels = _config(metric)["num_labels"]
    if num_labels is not None and num_labels != output.head.units:
        hint = f"use num_labels={output.head.units}, or leave it out"
        raise _error(metric, output, f"has num_labels={num_labels}, but the head has {_num_classes_text(output)}", hint)
    return _adapt_from_logits(metric, output)


def _adapt_f_score(metric: metrics.Metric, output: Output) -> Adapted:
    """Adapt the threshold of `F1Score` or `FBetaScore`; without one, the largest output of each row is positive."""
    head, threshold = output.head, _config(metric)["threshold"]
    _require_label_columns(metric, output, accepts_logits=threshold is None)
    if output.rank > 2:
        hint = "use keras.metrics.Precision() and keras.metrics.Recall(), or a head that pools over the positions"
        raise _error(metric, output, f"needs an output (batch, classes), but its rank is {output.rank}", hint)
    _require_equal_ranks(metric, output)
    if head.task == "multiclass":
        return metric, ""
    if head.from_logits:
        raise _logits_error(metric, output, "needs a threshold between 0 and 1", extra=" with threshold=0.5")
    if threshold is not None:
        return metric, ""
    return _rebuild(metric, output, threshold=0.5), "counts probabilities above 0.5 as positive (threshold=0.5)"


def _adapt_binary_crossentropy(metric: metrics.Metric, output: Output) -> Adapted:
    """Adapt a cross-entropy of each output; for labels without the last axis it is a loss, which adds that axis."""
    _require_label_columns(metric, output)
    adapted, change = _adapt_from_logits(metric, output)
    if output.label_rank in (None, output.rank) or output.head.units > 1 or type(metric) not in _RULES:
        _require_equal_ranks(metric, output)
        return adapted, change
    config = {key: value for key, value in _config(metric).items() if key in ("name", "label_smoothing")}
    return losses.BinaryCrossentropy(from_logits=output.head.from_logits, reduction=None, **config), change


def _adapt_categorical(metric: metrics.Metric, output: Output) -> Adapted:
    """Adapt a metric of the most probable class to class indices or one-hot labels, and to logits."""
    head = output.head
    _require_classifier(metric, output)
    if head.task != "multiclass":
        reason = "the head has one output" if head.units == 1 else "its classes do not exclude each other"
        hint = f"use {_head_metric_name(metric)!r}"
        raise _error(metric, output, f"compares the most probable class, but {reason}", hint)
    k = _config(metric).get("k", 1)
    if k > head.units:
        raise _error(metric, output, f"has k={k}, but the head has {_num_classes_text(output)}", "use a smaller k")
    metric, conversion = _adapt_label_encoding(metric, output)
    if "from_logits" not in _config(metric):
        return metric, conversion
    adapted, change = _adapt_from_logits(metric, output)
    return adapted, " and ".join(text for text in (conversion, change) if text)


def _adapt_label_encoding(metric: metrics.Metric, output: Output) -> tuple[metrics.Metric, str]:
    """Return the metric, or its counterpart for the labels of this output: class indices or one-hot rows."""
    counterparts = _ONE_HOT_COUNTERPARTS if output.head.one_hot else _SPARSE_COUNTERPARTS
    labels = "rows of probabilities" if output.head.one_hot else "class indices"
    counterpart = next((counterparts[cls] for cls in type(metric).__mro__ if cls in counterparts), None)
    if counterpart is None:
        return metric, ""
    config = _config(metric)
    default = _config(type(metric)()) if type(metric) in counterparts else {}
    lost = [key for key in config if key not in _CONVERTED_ARGUMENTS and config[key] != default.get(key)]
    if lost or not default:
        conversion = "y.argmax(-1)" if output.head.one_hot else f"keras.utils.to_categorical(y, {output.head.units})"
        setting = f" with {lost[0]}={config[lost[0]]}" if lost else ""
        expected = "class indices" if output.head.one_hot else "one-hot labels"
        raise _error(
            metric, output, f"{setting} needs {expected}, but the labels are {labels}".strip(), f"use {conversion}"
        )
    config = {key: value for key, value in config.items() if key in _CONVERTED_ARGUMENTS}
    return counterpart.from_config(config), f"compares {labels} (keras.metrics.{counterpart.__name__})"


def _adapt_value_metric(metric: metrics.Metric, output: Output) -> Adapted:
    """Check a metric that compares the values of outputs and labels, such as the squared error (the Brier score)."""
    if output.has_class_indices:
        raise _class_indices_error(metric, output)
    if output.head.from_logits:
        raise _logits_error(metric, output, "compares the outputs with the labels, as probabilities")
    if isinstance(metric, metrics.KLDivergence) and output.activation == "linear":
        raise _error(metric, output, "expects probabilities, but the head is linear", "set an activation in the head")
    _require_equal_ranks(metric, output)
    return metric, ""


def _adapt_hinge(metric: metrics.Metric, output: Output) -> Adapted:
    """Check a hinge, which is a function of scores: logits need no change."""
    if output.has_class_indices:
        raise _class_indices_error(metric, output)
    if isinstance(metric, metrics.CategoricalHinge) and output.head.task in ("binary", "multilabel"):
        raise _error(metric, output, "compares classes that exclude each other", "use keras.metrics.Hinge()")
    _require_equal_ranks(metric, output)
    return metric, ""


def _adapt_iou(metric: metrics.Metric, output: Output) -> Adapted:
    """Adapt the intersection over union of classes: of the most probable class, and of the labels' encoding."""
    head, config = output.head, _config(metric)
    _require_classifier(metric, output)
    if head.task != "multiclass":
        raise _error(metric, output, "compares classes that exclude each other", "use keras.metrics.BinaryIoU()")
    if config["num_classes"] != head.units:
        problem = f"has num_classes={config['num_classes']}, but the head has {_num_classes_text(output)}"
        raise _error(metric, output, problem, f"use num_classes={head.units}")
    if isinstance(metric, metrics.OneHotIoU | metrics.OneHotMeanIoU) and not head.one_hot:
        raise _class_indices_error(metric, output)
    changes: dict[str, object] = {}
    if config["sparse_y_pred"]:
        changes["sparse_y_pred"] = False
    if config.get("sparse_y_true", not head.one_hot) is head.one_hot:
        changes["sparse_y_true"] = not head.one_hot
    if not changes:
        return metric, ""
    arguments = ", ".join(f"{key}={value}" for key, value in changes.items())
    return _rebuild(metric, output, **changes), f"compares the most probable class with the label ({arguments})"


def _refuse_accuracy(metric: metrics.Metric, output: Output) -> Adapted:
    """Refuse `keras.metrics.Accuracy`, which tests whether outputs equal labels exactly."""
    _require_classifier(metric, output)
    raise _error(
        metric, output, "counts outputs that equal their label exactly, and probabilities do not", "use 'accuracy'"
    )


def _adapt_from_logits(metric: metrics.Metric, output: Output) -> Adapted:
    head = output.head
    if head.scores and not isinstance(metric, metrics.AUC):  # an AUC depends on the order of the outputs only
        raise _logits_error(metric, output, "compares the labels with probabilities")
    if _config(metric)["from_logits"] == head.from_logits:
        return metric, ""
    if head.from_logits:
        return _rebuild(metric, output, from_logits=True), "is computed from logits (from_logits=True)"
    raise _error(metric, output, "has from_logits=True, but the head returns probabilities", "leave from_logits out")


def _rebuild(metric: metrics.Metric, output: Output, **changes: object) -> metrics.Metric:
    """Return a copy of a metric with other arguments."""
    try:
        copy: metrics.Metric = type(metric).from_config(metric.get_config() | changes)
        config = _config(copy)
    except (TypeError, ValueError, NotImplementedError):  # a user's subclass with other arguments
        config = {}
    if all(config.get(key) == value for key, value in changes.items()):
        return copy
    arguments = ", ".join(f"{key}={value!r}" for key, value in changes.items())
    hint = f"accept {' and '.join(changes)} in its __init__ and return it from get_config, or override update_state"
    raise _error(metric, output, f"must have {arguments} for this head, which it does not accept", hint)


def _require_classifier(metric: metrics.Metric, output: Output) -> None:
    """Raise if the head predicts numbers; a sigmoid of a `Regressor` may still be a probability."""
    if output.head.task == "regression" and output.activation != "sigmoid":
        hint = f"use 'mae', or dk.Classifier({output.head.units}) for classes"
        raise _error(metric, output, "is a metric of classes, but the head predicts numbers", hint)


def _require_label_columns(metric: metrics.Metric, output: Output, accepts_logits: bool = False) -> None:
    """Raise unless the labels have a column for each output, of which each is compared with a threshold."""
    _require_classifier(metric, output)
    if output.has_class_indices:
        raise _class_indices_error(metric, output)
    if output.head.task == "multiclass" and output.head.from_logits and not accepts_logits:
        raise _logits_error(metric, output, "compares the probability of each class with its label")


def _require_equal_ranks(metric: metrics.Metric, output: Output) -> None:
    if not isinstance(metric, _NEED_EQUAL_RANKS) or output.label_rank in (None, output.rank):
        return
    problem = f"expects labels of rank {output.rank}, as the output, received labels of rank {output.label_rank}"
    raise _error(metric, output, problem, "add an axis to the labels: y[..., None]")


def _check_probability_threshold(metric: metrics.Metric, output: Output, threshold: float) -> None:
    if threshold <= 0 or threshold >= 1:
        problem = f"has the threshold {threshold:g}, but the head returns probabilities"
        raise _error(metric, output, problem, "use a threshold between 0 and 1, such as 0.5")


def _check_class_id(metric: metrics.Metric, output: Output) -> None:
    class_id = _config(metric).get("class_id")
    if class_id is None or (output.head.units > 1 and class_id < output.head.units):
        return
    hint = "leave class_id out" if output.head.units == 1 else f"use a class_id from 0 to {output.head.units - 1}"
    raise _error(metric, output, f"has class_id={class_id}, but the head has {_num_classes_text(output)}", hint)


def _logits_error(metric: metrics.Metric, output: Output, problem: str, extra: str = "") -> Exception:
    if output.head.scores:
        hint = "use 'accuracy', or a classifier that trains with the cross-entropy"
        return _error(metric, output, f"{problem}, but the head returns scores, which are not probabilities", hint)
    activation = "softmax" if output.head.task == "multiclass" else "sigmoid"
    hint = f'use dk.Classifier({output.head.units}, activation="{activation}"){extra}'
    if activation == "softmax" and isinstance(metric, metrics.BinaryAccuracy | metrics.BinaryCrossentropy):
        hint = f"use {_head_metric_name(metric)!r}"
    return _error(metric, output, f"{problem}, but the head returns logits", hint)


def _class_indices_error(metric: metrics.Metric, output: Output) -> Exception:
    hint = f"use one-hot labels: keras.utils.to_categorical(y, {output.head.units})"
    if isinstance(metric, metrics.BinaryAccuracy | metrics.BinaryCrossentropy):
        hint = f"use {_head_metric_name(metric)!r}"
    problem = f"compares each of the {output.head.units} outputs with its label, but the labels are class indices"
    return _error(metric, output, problem, hint)


def _error(metric: metrics.Metric, output: Output, problem: str, hint: str) -> Exception:
    return make_error(ValueError, f"{output.argument}: {type(metric).__name__} {problem}", hint=hint)


def _head_metric_name(metric: metrics.Metric) -> str:
    """Return the name of the metric that every head defines."""
    return "crossentropy" if "Crossentropy" in type(metric).__name__ else "accuracy"


def _num_classes_text(output: Output) -> str:
    """Return the number of classes of a head as text."""
    units = output.head.units
    return "one output" if units == 1 else f"{units} classes"


_RULES: dict[type[metrics.Metric], Rule] = {
    metrics.Accuracy: _refuse_accuracy,
    metrics.AUC: _adapt_auc,
    metrics.FBetaScore: _adapt_f_score,
    metrics.F1Score: _adapt_f_score,
    metrics.BinaryCrossentropy: _adapt_binary_crossentropy,
    **dict.fromkeys(_SINGLE_THRESHOLD_METRICS, _adapt_threshold),
    **dict.fromkeys(_COUNTS, _adapt_counts),
    **dict.fromkeys(_OPERATING_POINTS, _adapt_operating_point),
    **dict.fromkeys((*_ONE_HOT_COUNTERPARTS, *_SPARSE_COUNTERPARTS), _adapt_categorical),
    **dict.fromkeys(_VALUE_METRICS, _adapt_value_metric),
    **dict.fromkeys((metrics.Hinge, metrics.SquaredHinge, metrics.CategoricalHinge), _adapt_hinge),
    **dict.fromkeys(_IOU_METRICS, _adapt_iou),
}
