"""Optimizers, losses and metrics: descriptions as short code, and fresh copies."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TypeVar

import keras

from deepkit.losses import MetricOfMean
from deepkit.utils.function_identity import has_complete_config
from deepkit.utils.object_config import complete_config

Value = TypeVar("Value")

_ALWAYS_SHOWN = ("learning_rate",)
_NEVER_SHOWN = ("name", "dtype", "fn", "reduction")


def fresh_copy(value: Value) -> Value:
    """Return a copy of an optimizer, loss or metric without state; return any other value unchanged.

    A user's loss or metric whose config does not hold its arguments is returned unchanged too: a copy would have the
    default arguments.
    """
    if not isinstance(value, keras.optimizers.Optimizer | keras.losses.Loss | keras.metrics.Metric):
        return value
    if not has_complete_config(type(value)):
        return value
    try:
        copy: Value = type(value).from_config(complete_config(value))
    except (TypeError, NotImplementedError):  # a user's class without a complete get_config
        return value
    return copy


def describe(value: object) -> str:
    """Return an optimizer, loss or metric as short code: its class and the arguments that are not defaults."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(describe(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {describe(item)}" for key, item in value.items()) + "}"
    if value is None or isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, functools.partial):
        return f"partial({describe(value.func)})"
    if not hasattr(value, "get_config"):
        return getattr(value, "__name__", type(value).__name__)
    inner = getattr(value, "inner_optimizer", None)
    if inner is not None:
        return f"LossScaleOptimizer({describe(inner)})"
    if isinstance(value, MetricOfMean):
        is_function = type(value.metric) is keras.metrics.MeanMetricWrapper
        return f"{value.name if is_function else describe(value.metric)} of the mean"
    arguments = [f"{key}={_format_config_value(item)}" for key, item in non_default_config(value).items()]
    return f"{type(value).__name__}({', '.join(arguments)})"


def describe_all(metrics: object) -> tuple[str, ...]:
    """Return the description of each metric in a list, or of a single one."""
    if isinstance(metrics, list | tuple):
        return tuple(describe(metric) for metric in metrics)
    return (describe(metrics),)


def non_default_config(value: object) -> dict[str, object]:
    """Return the entries of a Keras object's config that differ from the defaults, and the learning rate."""
    config: dict[str, object] = complete_config(value)
    try:
        defaults: Mapping[str, object] = complete_config(type(value)())
    except TypeError:  # a class with required arguments
        defaults = {}
    shown = {}
    for key, item in config.items():
        if key in _ALWAYS_SHOWN or (key not in _NEVER_SHOWN and item != defaults.get(key)):
            shown[key] = item
    return shown


def _format_config_value(value: object) -> str:
    if isinstance(value, dict) and "class_name" in value:
        entries = [(key, item) for key, item in value["config"].items() if key != "name"]
        arguments = ", ".join(f"{key}={_format_config_value(item)}" for key, item in entries)
        return f"{value['class_name']}({arguments})"
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
