"""Metrics follow the head: fit adapts the metrics of the user to the heads of a definition."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition.outputs import logits_message, output_activation, probability_loss_name
from deepkit.losses import GaussianNegativeLogLikelihood, MetricOfMean
from deepkit.training.label_rules import label_kind
from deepkit.training.loss_names import ALIASES, CROSSENTROPY_NAMES
from deepkit.training.metric_rules import Output, adapt_metric, is_keras_metric
from deepkit.utils.errors import did_you_mean, format_value, make_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepkit.definition.objective import Head, Heads
    from deepkit.utils.types import MetricLike

_ACCURACY_NAMES = ("accuracy", "acc")


def adapt_metrics(metrics: Any, heads: Heads | None, model: keras.Model, labels: object) -> tuple[Any, tuple[str, ...]]:
    """Return the metrics with the arguments that the heads of a model require, and a message for each change.

    A threshold of 0.5 becomes 0 for logits, cross-entropies are computed from logits, `"accuracy"` is the accuracy of
    each label for a multi-label head, and so on. Metrics of a Gaussian head apply to its mean. The names of the metrics
    do not change. Metrics and functions of the user, and the metrics of an output without a known head, are returned
    unchanged.

    Args:
        metrics: The `metrics` argument of `fit`.
        heads: The head, a mapping by output name, or None if it is unknown.
        model: The model, built.
        labels: The `tf.TensorSpec` of the labels, or a structure of several.

    Raises:
        TypeError: A metric has an unsupported type.
        ValueError: A metric does not exist, or does not fit the head.
    """
    if not isinstance(metrics, list | tuple | Mapping):
        metrics = [metrics]
    if heads is None or not metrics:
        items = _without_none(keras.tree.flatten(metrics))
        _check_types(items, "metrics")
        _check_names(items)
        return metrics, ()
    if isinstance(heads, Mapping):
        return _adapt_by_name(metrics, heads, model, labels)
    output = _make_output(heads, "metrics", model.output, labels)
    items = _without_none(keras.tree.flatten(metrics))
    _check_types(items, "metrics")
    adapted, changes = _adapt_all(items, output)
    return adapted, tuple(changes)


def _without_none(items: Sequence[Any]) -> list[Any]:
    """Return the metrics; None stands for an output without metrics, as in Keras."""
    return [item for item in items if item is not None]


def _check_types(metrics: Sequence[Any], argument: str) -> None:
    """Raise if an item is neither a name nor a metric of labels and outputs."""
    for metric in metrics:
        if not isinstance(metric, str) and not callable(metric):
            problem = f"{argument}: expected a metric, a function or a name, received {format_value(metric)}"
            raise make_error(TypeError, problem, hint="pass a metric such as keras.metrics.MeanAbsoluteError()")
        if isinstance(metric, str) and metric.lower() in ("mean", "sum"):  # Keras returns its class
            metric = getattr(keras.metrics, metric.title())
        cls = metric if inspect.isclass(metric) else type(metric)
        if issubclass(cls, keras.metrics.Metric) and not _compares(cls):
            problem = f"{argument}: {cls.__name__} reduces one value, but a metric compares labels with outputs"
            raise make_error(ValueError, problem, hint="pass a metric such as keras.metrics.MeanAbsoluteError()")


def _compares(cls: type[keras.metrics.Metric]) -> bool:
    """Return whether the first two arguments of `update_state` can be labels and outputs."""
    parameters = list(inspect.signature(cls.update_state).parameters.values())[1:]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2 and positional[1] != "sample_weight"


def _check_names(metrics: Sequence[object]) -> None:
    """Raise if the name of a metric is unknown; without a head, Keras chooses the accuracy."""
    for name in metrics:
        if isinstance(name, str) and name.lower() in CROSSENTROPY_NAMES:
            problem = f"metrics: {name!r} requires a definition with a classifier as its head"
            raise make_error(ValueError, problem, hint="pass a metric such as keras.metrics.BinaryCrossentropy()")
        if isinstance(name, str) and name.lower() not in _ACCURACY_NAMES:
            _metric_by_name(name, "metrics")


def _adapt_by_name(
    metrics: Sequence[Any] | Mapping[str, Any], heads: Mapping[str, Head], model: keras.Model, labels: object
) -> tuple[dict[str, list[MetricLike]], tuple[str, ...]]:
    """Adapt the metrics of several outputs."""
    by_name = metrics if isinstance(metrics, Mapping) else _name_outputs(metrics, model)
    adapted: dict[str, list[MetricLike]] = {}
    messages: list[str] = []
    for name, values in by_name.items():
        if name not in model.output:
            choices = list(model.output)
            hint = f"use the names of the outputs: {', '.join(choices)}"
            raise make_error(
                ValueError, f"metrics: there is no output {name!r}{did_you_mean(name, choices)}", hint=hint
            )
        items = _without_none(values if isinstance(values, list | tuple) else [values])
        _check_types(items, f"metrics[{name!r}]")
        adapted[name] = items
        if name in heads:
            spec = labels[name] if isinstance(labels, Mapping) else None
            output = _make_output(heads[name], f"metrics[{name!r}]", model.output[name], spec)
            adapted[name], changes = _adapt_all(items, output)
            messages += changes
    return adapted, tuple(messages)


def _name_outputs(metrics: Sequence[Any], model: keras.Model) -> dict[str, Any]:
    """Return a list with the metrics of each output as a mapping, in the order of Keras."""
    names = list(model.output)
    if len(metrics) != len(names):
        raise make_error(
            ValueError,
            f"metrics: expected a mapping by output name ({', '.join(names)}), received {format_value(metrics)}",
            hint=f"pass metrics={{{names[0]!r}: [...]}}",
        )
    order = model.output_names if set(model.output_names) == set(names) else sorted(names)
    return {name: values for name, values in zip(order, metrics, strict=True) if values is not None}


def _make_output(head: Head, argument: str, tensor: object, labels: object) -> Output:
    shape = getattr(labels, "shape", None)
    label_rank = getattr(shape, "rank", None)
    activation = output_activation(tensor)[1] if isinstance(tensor, keras.KerasTensor) else None
    rank = len(getattr(tensor, "shape", ())) - (head.distribution is not None)
    return Output(head, argument, rank, label_rank, activation)


def _adapt_all(items: Sequence[Any], output: Output) -> tuple[list[MetricLike], list[str]]:
    """Return the adapted metrics of one output, and a message for each change."""
    adapted, messages = [], []
    for item in items:
        metric, change = _adapt(item, output)
        if output.head.distribution is not None:
            metric = _of_mean(metric, output)
        adapted.append(metric)
        if change:
            messages.append(f"{output.argument}: {getattr(metric, 'name', metric)} {change}")
    return adapted, messages


def _adapt(item: Any, output: Output) -> tuple[MetricLike, str]:
    """Return a metric, a name or a function adapted to the head, and the change as a message."""
    if isinstance(item, str) and item.lower() in _ACCURACY_NAMES + CROSSENTROPY_NAMES:
        return adapt_metric(_metric_of_head(item, output), output)[0], ""
    metric = _as_metric(item, output)
    if metric is None:
        _check_function(item, output)
        return item, ""
    adapted, change = adapt_metric(metric, output)
    return (item, "") if adapted is metric and not isinstance(item, type) else (adapted, change)


def _of_mean(item: Any, output: Output) -> MetricLike:
    """Return a stock metric, loss or function applied to the mean of a Gaussian; return the user's unchanged."""
    metric = _as_metric(item, output)
    if metric is not None:
        return MetricOfMean(metric) if is_keras_metric(metric) else item
    if isinstance(item, GaussianNegativeLogLikelihood) or label_kind(item) is None:
        return item
    name = getattr(item, "name", None) or item.__name__
    return MetricOfMean(keras.metrics.MeanMetricWrapper(item, name=name))


def _metric_of_head(name: str, output: Output) -> keras.metrics.Metric:
    """Return the accuracy or the cross-entropy that a head defines."""
    head = output.head
    if head.task == "regression":
        raise make_error(
            ValueError,
            f"{output.argument}: {name!r} is a metric of classes, but the head predicts numbers",
            hint=f"use 'mae', or dk.Classifier({head.units}) for classes",
        )
    if head.scores and name.lower() in CROSSENTROPY_NAMES:
        raise make_error(
            ValueError,
            f"{output.argument}: {name!r} is a metric of probabilities, but the head returns scores",
            hint="use 'accuracy', or a classifier that trains with the cross-entropy",
        )
    prefix = "Binary"
    if head.task == "multiclass":
        prefix = "Categorical" if head.one_hot else "SparseCategorical"
    if name.lower() in CROSSENTROPY_NAMES:
        cls = getattr(keras.metrics, f"{prefix}Crossentropy")
        return cls(name=name, from_logits=head.from_logits)
    cls = getattr(keras.metrics, f"{prefix}Accuracy")
    return cls(name=name, threshold=0.0 if head.from_logits else 0.5) if prefix == "Binary" else cls(name=name)


def _as_metric(item: Any, output: Output) -> keras.metrics.Metric | None:
    """Return the metric that Keras makes of a metric, a name, a class or a function of `keras.metrics`, else None."""
    if isinstance(item, keras.metrics.Metric):
        return item
    if isinstance(item, str):
        return _metric_by_name(item, output.argument)
    if inspect.isclass(item) and issubclass(item, keras.metrics.Metric):
        return item()
    if _is_keras_function(item):
        try:
            return _named(keras.metrics.get(item.__name__), item.__name__)
        except ValueError:  # a function without a class
            return None
    return None


def _metric_by_name(name: str, argument: str) -> keras.metrics.Metric:
    """Return the metric with a name of Keras, such as `"recall"`.

    Raises:
        ValueError: Keras has no metric of this name, or it requires arguments.
    """
    try:
        return _named(keras.metrics.get(name), name)
    except ValueError:
        problem = f"{argument}: Keras has no metric {format_value(name)}{did_you_mean(name, _metric_names())}"
        raise make_error(ValueError, problem, hint="pass a metric such as keras.metrics.Recall()") from None
    except TypeError as error:
        cls = next((cls for cls in _metric_classes() if name in (cls, _snake_case(cls))), name)
        problem = f"{argument}: the metric {name!r} requires arguments: {error}"
        raise make_error(ValueError, problem, hint=f"pass keras.metrics.{cls}(...)") from None


def _named(metric: keras.metrics.Metric, name: str) -> keras.metrics.Metric:
    return type(metric).from_config(metric.get_config() | {"name": name})


def _metric_names() -> list[str]:
    return [*_ACCURACY_NAMES, *ALIASES, *_metric_classes(), *map(_snake_case, _metric_classes())]


def _metric_classes() -> list[str]:
    return [name for name in dir(keras.metrics) if inspect.isclass(getattr(keras.metrics, name))]


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _is_keras_function(item: object) -> bool:
    name = getattr(item, "__name__", "")
    return inspect.isfunction(item) and item in (
        getattr(keras.metrics, name, None),
        getattr(keras.losses, name, None),
    )


def _check_function(item: Any, output: Output) -> None:
    """Raise if a Keras loss or function that serves as a metric expects probabilities, and the head returns logits."""
    if not isinstance(item, keras.losses.Loss) and not _is_keras_function(item):
        return
    name = probability_loss_name(item)
    if name is not None and output.head.from_logits:
        raise ValueError(logits_message(name, output.argument, "the head has no activation"))
