"""Optimisers, losses and metrics as short code, and fresh copies of them."""

from __future__ import annotations

from typing import Any

import keras


def fitting_steps(most: int, steps: int, of: int = 1) -> int:
    """Return the largest number up to `most` that divides the steps of an epoch; a multiple of `of`, which does."""
    return max(n for n in range(of, most + 1, of) if steps % n == 0)


def fresh(value: Any) -> Any:
    """Return a copy of an optimiser, loss or metric that carries no state from earlier use."""
    kinds = (keras.optimizers.Optimizer, keras.losses.Loss, keras.metrics.Metric)
    if not isinstance(value, kinds):
        return value
    try:
        return type(value).from_config(value.get_config())
    except (TypeError, NotImplementedError):  # a class of the user's that does not describe itself
        return value


def words(value: Any) -> str:
    """Return an optimiser, loss or metric as short code: its class and what differs from the defaults."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(words(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {words(item)}" for key, item in value.items()) + "}"
    if value is None or isinstance(value, str | int | float):
        return str(value)
    if not hasattr(value, "get_config"):
        return getattr(value, "__name__", repr(value))
    inner = getattr(value, "inner_optimizer", None)
    if inner is not None:
        return f"LossScaleOptimizer({words(inner)})"
    return f"{type(value).__name__}({', '.join(_said(value))})"


def _said(value: Any) -> list[str]:
    config = value.get_config()
    try:
        usual = type(value)().get_config()
    except TypeError:
        usual = {}
    always = ("learning_rate",)
    skipped = ("name", "dtype", "fn", "reduction")
    said = [key for key in config if key in always or (key not in skipped and config[key] != usual.get(key))]
    return [f"{key}={_plain(config[key])}" for key in said]


def _plain(value: Any) -> str:
    if isinstance(value, dict) and "class_name" in value:
        inner = ", ".join(f"{key}={_plain(item)}" for key, item in value["config"].items() if key != "name")
        return f"{value['class_name']}({inner})"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def _all_words(metrics: Any) -> tuple[str, ...]:
    return tuple(words(metric) for metric in metrics) if isinstance(metrics, list | tuple) else (words(metrics),)


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:97] + "..."
