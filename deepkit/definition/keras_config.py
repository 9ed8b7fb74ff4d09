"""Configs of Keras objects as canonical values: compared, hashed, and turned back into objects."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from deepkit.utils.errors import format_value

_PER_AXIS = ("pool_size", "kernel_size", "strides", "dilation_rate", "size")
_BASE_ARGUMENTS = ("name", "dtype", "trainable", "activity_regularizer", "autocast")


def to_json(value: object) -> str:
    """Return the canonical JSON of a config: sorted, Keras objects serialized, automatic names and dtypes dropped."""
    return json.dumps(_without_defaults(json.loads(json.dumps(value, default=_serialize))), sort_keys=True)


def revive(value: Any) -> Any:
    """Return the value that canonical JSON describes, with new Keras objects."""
    if isinstance(value, Mapping) and str(value.get("class_name")).endswith("DTypePolicy"):
        return value["config"]["name"]
    if isinstance(value, Mapping) and "class_name" in value:
        config = copy.deepcopy(dict(value))  # some layers modify the dictionary
        return keras.saving.deserialize_keras_object(config)
    if isinstance(value, list):
        return tuple(revive(item) for item in value)
    return value


def class_of(value: Mapping[str, Any]) -> type:
    """Return the class of a serialized Keras object."""
    return type(revive(value))


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """Return the keyword arguments of a layer class, including those of `keras.layers.Layer`."""
    return _cached_parameters(cls)


@functools.cache
def _cached_parameters(cls: Any) -> dict[str, inspect.Parameter]:  # Any, as mypy regards some classes as unhashable
    signature = inspect.signature(cls).parameters
    named = {key: p for key, p in signature.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    if any(p.kind is p.VAR_KEYWORD for p in signature.values()) and issubclass(cls, keras.layers.Layer):
        for key in _BASE_ARGUMENTS:
            named.setdefault(key, inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None))
    return named


@functools.cache
def required_arguments(cls: type, config_json: str) -> tuple[str, ...]:
    """Return the arguments that must be passed to get an object of this config, in the order of the signature.

    One argument may change the default of another (the strides of a pooling layer follow its window), so arguments
    are added until the config of the new object equals this one.
    """
    config = json.loads(config_json)
    signature = {key: p for key, p in parameters(cls).items() if key in config}
    needed = {key for key, p in signature.items() if p.default is p.empty}
    for _ in signature:
        try:
            instance = cls(**{key: revive(config[key]) for key in needed})
            instance_config = json.loads(to_json(instance.get_config()))
        except Exception:  # the class needs one of several arguments: pass all that differ from their defaults
            return tuple(key for key, p in signature.items() if key in needed or not _is_same(config[key], p.default))
        optional = signature.keys() - needed
        missing = {key for key in optional if not _is_same(instance_config.get(key), config[key])}
        if not missing:
            break
        needed |= missing
    return tuple(key for key in signature if key in needed)


def per_axis(cls: type, key: str, value: Any) -> Any:
    """Return a size in its short form: one number if it is the same on each axis of a 1-D, 2-D or 3-D layer."""
    has_rank = re.search(r"[123]D(Transpose)?$", cls.__name__) is not None
    if has_rank and key in _PER_AXIS and isinstance(value, list) and len({str(item) for item in value}) == 1:
        return value[0]
    return value


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype or dtype policy."""
    if isinstance(dtype, str):
        return dtype
    return getattr(dtype, "name", None) or keras.backend.standardize_dtype(dtype)


def is_automatic_name(name: str, cls: type) -> bool:
    """Return whether Keras chose a name itself: the class in snake case, perhaps with a number."""
    return re.fullmatch(rf"{snake_case(cls.__name__)}(_\d+)?", name) is not None


def snake_case(name: str) -> str:
    """Return a class name in Keras's snake case: `ConvBlock` gives `conv_block`, `MLP` gives `mlp`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _is_same(first: object, second: object) -> bool:
    """Return whether two config values have the same JSON; 0 and 0.0 differ."""
    return json.dumps(first, sort_keys=True, default=repr) == json.dumps(second, sort_keys=True, default=repr)


def _without_defaults(value: Any) -> Any:
    """Return a config, or a nested one, without generated names and the current dtype policy."""
    if isinstance(value, list):
        return [_without_defaults(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _without_defaults(item) for key, item in value.items()}
    if _is_current_policy(value.get("dtype")):
        del value["dtype"]
    config, class_name = value.get("config"), value.get("class_name")
    if isinstance(config, dict) and isinstance(class_name, str) and isinstance(config.get("name"), str):
        pattern = rf"(forward_|backward_)?{snake_case(class_name)}(_\d+)?"
        if re.fullmatch(pattern, config["name"]) and class_name != "DTypePolicy":
            config.pop("name")
            if "layers" in config:  # Keras cannot make a model without a name
                config["name"] = snake_case(class_name)
    value.pop("build_config", None)
    return value


def _is_current_policy(dtype: Any) -> bool:
    current = keras.config.dtype_policy().name
    if isinstance(dtype, dict):
        return dtype.get("class_name") == "DTypePolicy" and dtype["config"]["name"] == current
    return dtype == current


def _serialize(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if keras.ops.is_tensor(value):
        return keras.ops.convert_to_numpy(value).tolist()
    if getattr(value, "__name__", "") == "<lambda>":  # Keras would print a warning
        raise TypeError("a lambda has no registered name; use a function and register it with keras.saving")
    serialized = keras.saving.serialize_keras_object(value)
    if isinstance(serialized, dict) and not _is_revivable(serialized):
        raise TypeError(f"{format_value(value)} has no registered name; register it with keras.saving")
    return serialized


def _is_revivable(serialized: Mapping[str, Any]) -> bool:
    """Return whether Keras can deserialize a value that it serialized, which fails for classes and generators."""
    class_name, config = serialized.get("class_name"), serialized.get("config")
    if class_name in ("__lambda__", "__typespec__", "__bytes__"):
        return False
    return "class_name" not in serialized or class_name == "function" or isinstance(config, Mapping)
