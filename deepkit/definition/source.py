"""The source code of definitions and Keras objects, as `repr` prints it."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from deepkit.definition.keras_config import class_of, parameters, per_axis, required_arguments

WIDTH = 100  # a longer repr is printed over several lines
_KERAS_MODULES = ("layers", "initializers", "regularizers", "constraints", "random", "dtype_policies")


def call(function: str, positional: list[str], named: Mapping[str, str]) -> str:
    """Return the code of a call: on one line if it fits, else one argument per line."""
    arguments = [*positional, *(f"{key}={text}" for key, text in named.items())]
    line = f"{function}({', '.join(arguments)})"
    if not arguments or (len(line) <= WIDTH and "\n" not in line):
        return line
    # a list over several lines as first argument begins on the line of the call: Sequential([...])
    rest = ", ".join(arguments[1:])
    if arguments[0].startswith("[") and "\n" not in rest and len(rest) < WIDTH:
        return line
    body_lines = "".join(f"    {_indent(argument)},\n" for argument in arguments)
    return f"{function}(\n{body_lines})"


def sequence(items: list[str]) -> str:
    """Return the code of a list: on one line if it fits, else one item per line."""
    line = f"[{', '.join(items)}]"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return "[\n" + "".join(f"    {_indent(item)},\n" for item in items) + "]"


def mapping(items: Mapping[str, str]) -> str:
    """Return the code of a dictionary: on one line if it fits, else one item per line."""
    line = "{" + ", ".join(f"{key}: {text}" for key, text in items.items()) + "}"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return "{\n" + "".join(f"    {key}: {_indent(text)},\n" for key, text in items.items()) + "}"


def body(elements: Sequence[object]) -> str:
    """Return the code of a body: a single element as it is, several as a list."""
    return repr(elements[0]) if len(elements) == 1 else sequence([repr(element) for element in elements])


def quoted(value: object) -> str:
    """Return the code of a plain value, with strings in double quotes."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def config_value(value: Any) -> str:
    """Return the code of a config value: a plain one, or a serialized Keras object."""
    if isinstance(value, dict) and "class_name" in value:
        if value["class_name"].endswith("DTypePolicy"):
            return quoted(value["config"]["name"])
        if value["class_name"] == "function":
            return _function(value["config"])
        return keras_object(class_of(value), value["config"])
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}: {config_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        items = ", ".join(config_value(item) for item in value)
        return f"({items},)" if len(value) == 1 else f"({items})"
    return quoted(value)


def keras_object(cls: type, config: Mapping[str, Any], name: str | None = None) -> str:
    """Return the code that makes a Keras object of this config, without the arguments at their default."""
    signature = parameters(cls)
    passed = required_arguments(cls, json.dumps(config, sort_keys=True))
    positional = [key for key in passed if signature[key].default is inspect.Parameter.empty][:1]
    texts = {key: config_value(per_axis(cls, key, config[key])) for key in passed}
    named = {key: text for key, text in texts.items() if key not in positional}
    if name is not None:
        named["name"] = quoted(name)
    return call(public_name(cls), [texts[key] for key in positional], named)


def public_name(target: type | Callable[..., Any]) -> str:
    """Return the name by which a class or function is imported: `layers.Dense`, `dk.layers.RBF`, `mine.Scale`."""
    module, name = target.__module__, target.__qualname__
    if module.startswith("deepkit."):
        return f"dk.layers.{name}"
    if module.startswith("keras."):
        for submodule in _KERAS_MODULES:
            namespace = getattr(keras, submodule)
            for alias in (name, *dir(namespace)):  # Keras exports some classes under another name only
                if getattr(namespace, alias, None) is target:
                    return f"layers.{alias}" if submodule == "layers" else f"keras.{submodule}.{alias}"
    return name if module == "__main__" else f"{module}.{name}"


def _function(name: str) -> str:
    """Return the code of a function in a config: Keras's by name, a registered one by its import path."""
    function = keras.saving.get_registered_object(name) if ">" in name else None
    return quoted(name) if function is None else public_name(function)


def _indent(text: str) -> str:
    return text.replace("\n", "\n    ")
