"""The arguments of Keras losses, metrics and optimizers, also those that `get_config` omits."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

_CLASSES = (keras.losses.Loss, keras.metrics.Metric, keras.optimizers.Optimizer)
_PLAIN_TYPES = (bool, int, float, str, list, tuple, Mapping, np.ndarray, np.generic, type(None))


def complete_config(value: Any) -> dict[str, Any]:
    """Return the config of a Keras object with the arguments that its `get_config` omits.

    Keras omits the `delta` of `Huber`, and the `axis` of `CosineSimilarity` and `SparseCategoricalCrossentropy`.

    Args:
        value: A loss, metric or optimizer; the config of any other object is returned unchanged.
    """
    config: dict[str, Any] = value.get_config()
    if not isinstance(value, _CLASSES):
        return config
    config = dict(config)
    attributes = dict(getattr(value, "__dict__", {}))
    attributes |= attributes.get("_fn_kwargs") or {}  # of a class that wraps a function
    for name in _constructor_arguments(type(value)):
        if name not in config and name in attributes and _is_argument(attributes[name]):
            config[name] = attributes[name]
    return config


def _is_argument(value: object) -> bool:
    return isinstance(value, _PLAIN_TYPES) or inspect.isroutine(value)


def _constructor_arguments(cls: type) -> list[str]:
    """Return the named arguments of the constructor of a class, also those that `**kwargs` passes to a base class."""
    names: list[str] = []
    for base in cls.__mro__:
        constructor = vars(base).get("__init__")
        if not inspect.isfunction(constructor):
            continue
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names
