"""Print definitions as the code that makes them, and hold Keras arguments as values."""

from __future__ import annotations

import copy
import difflib
import functools
import inspect
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

WIDTH = 100  # a repr longer than this is spread over several lines
_PER_AXIS = ("pool_size", "kernel_size", "strides", "dilation_rate", "size")


class Arguments(Mapping[str, Any]):
    """Keyword arguments for one Keras layer, as a value: they compare, hash and print as a dict.

    Args:
        given: Plain values and Keras objects such as initialisers.
        layer: The layer class that will take them.
        owner: The block and its argument, for errors: `"ConvBlock(conv=...)"`.
        taken: Arguments that the block itself names, refused here.
    """

    def __init__(
        self, given: Mapping[str, Any] | None, layer: type, *, owner: str, taken: tuple[str, ...] = ()
    ) -> None:
        given = {} if given is None else given
        if not isinstance(given, Mapping):
            raise TypeError(f"{owner} takes a mapping of arguments, received {type(given).__name__} {given!r}")
        known = set(parameters(layer)) - {"name"}
        for key in given:
            if key == "data_format":
                raise ValueError(
                    f"{owner}: the order of the axes is one for the whole model\n"
                    '  hint: keras.config.set_image_data_format("channels_first")'
                )
            if key in taken:
                raise ValueError(f"{owner}: {key!r} is an argument of the block itself; say {key}= there")
            if key not in known:
                raise ValueError(f"{owner}: keras.layers.{layer.__name__} takes no {key!r}{close(key, known)}")
        check_flags(layer, given, owner)
        self.json = _said(given)

    def fresh(self) -> dict[str, Any]:
        """Return the arguments with every Keras object made anew, so that no two layers hold the same one."""
        return {key: _revive(value) for key, value in json.loads(self.json).items()}

    def __getitem__(self, key: str) -> Any:
        return self.fresh()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(json.loads(self.json))

    def __len__(self) -> int:
        return len(json.loads(self.json))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Arguments):
            return self.json == other.json
        return isinstance(other, Mapping) and self.json == _said(other)

    def __hash__(self) -> int:
        return hash(self.json)

    def __repr__(self) -> str:
        items = json.loads(self.json).items()
        return "{" + ", ".join(f"{quoted(key)}: {value_code(value)}" for key, value in items) + "}"


def _said(given: Mapping[str, Any]) -> str:
    """Return arguments as canonical JSON; a dtype is said on purpose, also where it is that of the moment."""
    kept = json.loads(to_json(dict(given)))
    if given.get("dtype") is not None:
        kept["dtype"] = _plain_dtype(given["dtype"])
    return json.dumps(kept, sort_keys=True)


def check_flags(cls: type, given: Mapping[str, Any], owner: str) -> None:
    """Raise where an argument that is on or off is given something else, which Keras would take for on."""
    signature = parameters(cls)
    for key, value in given.items():
        if isinstance(signature[key].default, bool) and value not in (True, False, None):
            raise ValueError(f"{owner}: {key} must be True or False, received {value!r}")


def to_json(value: Any) -> str:
    """Return the canonical JSON of a config: sorted, Keras objects serialised, auto names and dtypes dropped."""
    return json.dumps(_clean(json.loads(json.dumps(value, default=_plain))), sort_keys=True)


def call(function: str, positional: list[str], named: Mapping[str, str]) -> str:
    """Return the code of a call: on one line where it fits, else one argument a line."""
    arguments = [*positional, *(f"{key}={text}" for key, text in named.items())]
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    rest = ", ".join(arguments[1:])
    if arguments[0].startswith("[") and "\n" not in rest and len(rest) < WIDTH:
        return f"{function}({', '.join(arguments)})"
    body = "".join(f"    {_indent(argument)},\n" for argument in arguments)
    return f"{function}(\n{body})"


def sequence(items: list[str]) -> str:
    """Return the code of a list: on one line where it fits, else one item a line."""
    line = f"[{', '.join(items)}]"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return "[\n" + "".join(f"    {_indent(item)},\n" for item in items) + "]"


def mapping(items: Mapping[str, str]) -> str:
    """Return the code of a dict: on one line where it fits, else one item a line."""
    line = "{" + ", ".join(f"{key}: {text}" for key, text in items.items()) + "}"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return "{\n" + "".join(f"    {key}: {_indent(text)},\n" for key, text in items.items()) + "}"


def quoted(value: Any) -> str:
    """Return the code of a plain value, with strings in double quotes."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def value_code(value: Any) -> str:
    """Return the code of a config value: plain, or a serialised Keras object."""
    if isinstance(value, dict) and "class_name" in value:
        if value["class_name"].endswith("DTypePolicy"):
            return quoted(value["config"]["name"])
        if value["class_name"] == "function":
            return _function_code(value["config"])
        return object_code(class_of(value), value["config"])
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}: {value_code(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        inner = ", ".join(value_code(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return quoted(value)


def object_code(cls: type, config: Mapping[str, Any], name: str | None = None) -> str:
    """Return the code that makes a Keras object of this config: required arguments and those not at default."""
    signature = parameters(cls)
    said = needed(cls, json.dumps(config, sort_keys=True))
    required = [key for key in said if signature[key].default is inspect.Parameter.empty]
    named = {key: value_code(per_axis(cls, key, config[key])) for key in said if key not in required[:1]}
    if name is not None:
        named["name"] = quoted(name)
    first = [value_code(per_axis(cls, key, config[key])) for key in required[:1]]
    return call(_public_name(cls), first, named)


@functools.cache
def needed(cls: type, config_json: str) -> tuple[str, ...]:
    """Return the arguments that must be said to get this config back, in the order of the signature.

    One argument may move another's default (a pooling layer's strides follow its window), so those said so far
    are tried until the config comes out right.
    """
    config = json.loads(config_json)
    signature = {key: p for key, p in parameters(cls).items() if key in config}
    said = {key for key, p in signature.items() if p.default is p.empty}
    for _ in signature:
        try:
            made = cls(**{key: _revive(config[key]) for key in said})
            got = json.loads(to_json(made.get_config()))
        except Exception:  # it needs one of several arguments: say all that are not at their default
            return tuple(key for key, p in signature.items() if key in said or not _same(config[key], p.default))
        missing = {key for key in signature if key not in said and not _same(got.get(key), config[key])}
        if not missing:
            break
        said |= missing
    return tuple(key for key in signature if key in said)


def _same(one: Any, other: Any) -> bool:
    """Tell whether two config values are written alike: 0 and 0.0 are not."""
    return json.dumps(one, sort_keys=True, default=repr) == json.dumps(other, sort_keys=True, default=repr)


@functools.cache
def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """Return the arguments a layer class takes by name, those of the base layer included."""
    signature = inspect.signature(cls).parameters
    found = {key: p for key, p in signature.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    if any(p.kind is p.VAR_KEYWORD for p in signature.values()) and issubclass(cls, keras.layers.Layer):
        base = ("name", "dtype", "trainable", "activity_regularizer", "autocast")
        found |= {k: inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=None) for k in base if k not in found}
    return found


def is_auto_name(name: str, cls: type) -> bool:
    """Tell whether Keras gave `name` by itself: the class in snake case, perhaps with a number."""
    return re.fullmatch(rf"{snake(cls.__name__)}(_\d+)?", name) is not None


def snake(name: str) -> str:
    """Return a class name in Keras's snake case: `ConvBlock` gives `conv_block`, `MLP` gives `mlp`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def per_axis(cls: type, key: str, value: Any) -> Any:
    """Return a size as people write it: one number where it is the same on each axis of a 1-D, 2-D or 3-D layer."""
    ranked = re.search(r"[123]D(Transpose)?$", cls.__name__) is not None
    if ranked and key in _PER_AXIS and isinstance(value, list) and len(set(map(str, value))) == 1:
        return value[0]
    return value


def _clean(value: Any) -> Any:
    """Drop what Keras adds by itself: generated names and the dtype policy of the moment, nested ones too."""
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _clean(item) for key, item in value.items()}
    if _is_current_policy(value.get("dtype")):
        del value["dtype"]
    config = value.get("config")
    if isinstance(config, dict) and isinstance(value.get("class_name"), str) and isinstance(config.get("name"), str):
        stem = snake(value["class_name"])
        if (
            re.fullmatch(rf"(forward_|backward_)?{stem}(_\d+)?", config["name"])
            and value["class_name"] != "DTypePolicy"
        ):
            config.pop("name")
    value.pop("build_config", None)
    return value


def _is_current_policy(dtype: Any) -> bool:
    current = keras.config.dtype_policy().name
    if isinstance(dtype, dict):
        return dtype.get("class_name") == "DTypePolicy" and dtype["config"]["name"] == current
    return dtype == current


def _plain_dtype(dtype: Any) -> str:
    return dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or keras.backend.standardize_dtype(dtype)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if keras.ops.is_tensor(value):
        return keras.ops.convert_to_numpy(value).tolist()
    serialised = keras.saving.serialize_keras_object(value)
    if isinstance(serialised, dict) and serialised.get("class_name") in ("__lambda__", "__typespec__"):
        raise TypeError(f"{value!r} has no name to be known by; register it with Keras")
    return serialised


def _revive(value: Any) -> Any:
    if isinstance(value, Mapping) and str(value.get("class_name")).endswith("DTypePolicy"):
        return value["config"]["name"]
    if isinstance(value, Mapping) and "class_name" in value:
        given = copy.deepcopy(dict(value))  # some layers empty what they are given
        return keras.saving.deserialize_keras_object(given)
    if isinstance(value, list):
        return tuple(_revive(item) for item in value)
    return value


def class_of(value: Mapping[str, Any]) -> type:
    """Return the class of a serialised Keras object."""
    return type(_revive(value))


def _function_code(name: str) -> str:
    """Return the code of a function in a config: Keras's by its name, a registered one by its place."""
    function = keras.saving.get_registered_object(name) if ">" in name else None
    return quoted(name) if function is None else _public_name(function)


def _public_name(cls: Any) -> str:
    module, name = cls.__module__, cls.__qualname__
    if module.startswith("deepkit."):
        return f"dk.layers.{name}"
    if not module.startswith("keras."):
        return f"{module}.{name}"
    for home in ("layers", "initializers", "regularizers", "constraints", "random", "dtype_policies"):
        found = getattr(keras, home)
        for known in (name, *dir(found)):  # a class may be known by another name than its own
            if getattr(found, known, None) is cls:
                return f"layers.{known}" if home == "layers" else f"keras.{home}.{known}"
    return f"{module}.{name}"


def _indent(text: str) -> str:
    return text.replace("\n", "\n    ")


def close(key: str, known: set[str]) -> str:
    """Say which of the known names was meant, or which there are."""
    near = difflib.get_close_matches(key, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(sorted(known))}"
