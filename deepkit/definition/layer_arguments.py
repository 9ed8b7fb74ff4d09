"""Immutable keyword arguments of a Keras layer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from deepkit.definition import keras_config, source
from deepkit.definition.errors import DefinitionError
from deepkit.utils.errors import did_you_mean_or_list, format_value, message
from deepkit.utils.validation import is_flag, is_integer


class LayerArguments(Mapping[str, Any]):
    """Keyword arguments of one Keras layer: compared, hashed and printed as a dictionary.

    Args:
        arguments: Plain values and Keras objects such as initializers.
        layer: The layer class that takes them.
        name: The block and its argument, for messages: `"ConvBlock(conv=...)"`.
        excluding: Arguments that the block itself sets, refused here.

    Raises:
        TypeError: The arguments are not a mapping of names.
        DefinitionError: The layer does not take an argument, or the block sets it.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any] | None,
        layer: type[keras.layers.Layer],
        *,
        name: str,
        excluding: tuple[str, ...] = (),
    ) -> None:
        arguments = {} if arguments is None else arguments
        if not isinstance(arguments, Mapping) or not all(isinstance(key, str) for key in arguments):
            problem = f"{name} takes a mapping of argument names to values, received {format_value(arguments)}"
            raise TypeError(message(problem, hint='use a dictionary such as {"kernel_initializer": "he_normal"}'))
        layer_keys = set(keras_config.parameters(layer)) - {"name"}
        for key in arguments:
            if key == "data_format":
                received = format_value(arguments[key])
                raise DefinitionError(
                    f"{name}: the data format is set for the whole model, received data_format={received}",
                    hint='use keras.config.set_image_data_format("channels_first")',
                )
            if key in excluding:
                raise DefinitionError(
                    f"{name}: {key!r} is set by the block",
                    hint=f"pass {key}= to the block if it takes it, or leave it out",
                )
            if key not in layer_keys:
                layer_name = f"keras.layers.{layer.__name__}"
                raise DefinitionError(
                    f"{name}: {layer_name} takes no {format_value(key)}{did_you_mean_or_list(key, sorted(layer_keys))}"
                )
            if getattr(arguments[key], "size", 0) and getattr(arguments[key], "ndim", 0):
                raise DefinitionError(
                    f"{name}: {key} must be a plain value or a Keras object, received {format_value(arguments[key])}",
                    hint="use a list for a few values, or set the weights of the built model",
                )
        check_flags(layer, arguments, name)
        self.json = _checked_canonical(arguments, name)

    def new(self) -> dict[str, Any]:
        """Return the arguments with new Keras objects, so that no two layers hold the same one."""
        return {key: keras_config.revive(value) for key, value in json.loads(self.json).items()}

    def __getitem__(self, key: str) -> Any:
        return self.new()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(json.loads(self.json))

    def __len__(self) -> int:
        return len(json.loads(self.json))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LayerArguments):
            return self.json == other.json
        return isinstance(other, Mapping) and self.json == _canonical(other)

    def __hash__(self) -> int:
        return hash(self.json)

    def __repr__(self) -> str:
        items = json.loads(self.json).items()
        return "{" + ", ".join(f"{source.quoted(key)}: {source.config_value(value)}" for key, value in items) + "}"


def check_flags(cls: type, arguments: Mapping[str, Any], name: str) -> None:
    """Raise if a boolean argument is not True, False, 0 or 1: Keras would treat a string such as "no" as True."""
    signature = keras_config.parameters(cls)
    for key, value in arguments.items():
        if isinstance(signature[key].default, bool) and value is not None and not _is_flag_like(value):
            raise DefinitionError(f"{name}: {key} must be True or False, received {format_value(value)}")


def _is_flag_like(value: object) -> bool:
    """Return whether a value is a boolean, 0 or 1."""
    return is_flag(value) or (is_integer(value) and value in (0, 1))


def _checked_canonical(arguments: Mapping[str, Any], name: str) -> str:
    """Return arguments as canonical JSON; an error names the argument that cannot be converted."""
    try:
        return _canonical(arguments)
    except Exception as error:  # Keras, JSON and the objects themselves raise many kinds
        key = next((key for key, value in arguments.items() if not _has_json(key, value)), "")
        raise DefinitionError(
            f"{name}: {key} must be a plain value or a registered Keras object, received "
            f"{format_value(arguments.get(key))}",
            hint="register your own classes and functions with @keras.saving.register_keras_serializable",
        ) from error


def _has_json(key: str, value: object) -> bool:
    """Return whether an argument can be converted to canonical JSON."""
    try:
        _canonical({key: value})
    except Exception:
        return False
    return True


def _canonical(arguments: Mapping[str, Any]) -> str:
    """Return arguments as canonical JSON; a dtype that was passed is kept, even if it is the current policy."""
    canonical = json.loads(keras_config.to_json(dict(arguments)))
    if arguments.get("dtype") is not None:
        canonical["dtype"] = keras_config.dtype_name(arguments["dtype"])
    return json.dumps(canonical, sort_keys=True)
