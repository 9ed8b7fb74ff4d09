"""Definitions as plain data and as YAML, without loss; a file can neither run code nor read other files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.definition import keras_config
from deepkit.definition.block import Block
from deepkit.definition.block_type import field_of
from deepkit.definition.errors import DefinitionError
from deepkit.definition.frozen_dict import FrozenDict
from deepkit.definition.keras_layer import LayerInstance, LayerTemplate
from deepkit.definition.layer_arguments import LayerArguments
from deepkit.serialization import yaml_format
from deepkit.serialization.limits import MAX_BYTES, check_limits
from deepkit.serialization.reader import Reader
from deepkit.serialization.registry import KINDS, block_key, class_key
from deepkit.utils import files
from deepkit.utils.errors import format_value, message

if TYPE_CHECKING:
    from deepkit.definition.protocol import Definition
    from deepkit.utils.types import PathLike

VERSION = 1


def to_dict(definition: Block) -> dict[str, Any]:
    """Return a definition as plain data: dictionaries, lists, strings, numbers, booleans and None.

    A block is `{"block": "ConvBlock", "filters": 16}`, a Keras layer `{"layer": "MaxPooling2D", "pool_size": 3}`;
    arguments at their default are left out. `from_dict` returns an equal definition.

    Args:
        definition: Any block.

    Raises:
        DefinitionError: A layer or model has weights, or a class is neither Keras's nor deepkit's nor registered.
        TypeError: `definition` is not a block.

    Examples:
        >>> import deepkit as dk
        >>> dk.to_dict(dk.ConvBlock(16, kernel_size=5))
        {'deepkit': 1, 'block': 'ConvBlock', 'filters': 16, 'kernel_size': 5}
    """
    if not isinstance(definition, Block):
        problem = f"to_dict takes a definition, received {format_value(definition)}"
        raise TypeError(message(problem, hint="pass dk.Sequential([...]), before .build()"))
    return {"deepkit": VERSION, **Writer().element(definition)}


def from_dict(data: Mapping[str, Any] | list[Any]) -> Block:
    """Return the definition that plain data describes.

    Only deepkit's and registered blocks, and layers of Keras and deepkit can be named. Layers that run code or read
    files cannot (`Lambda`, a vocabulary that is a path).

    Args:
        data: A dict, as `to_dict` returns it; a list stands for a `Sequential`.

    Raises:
        DefinitionError: A key or name is unknown, a value is invalid, or the data is too large or contains itself;
            the message contains its path: `layers[3].body[1].filters`.

    Examples:
        >>> import deepkit as dk
        >>> dk.from_dict(
        ...     {"block": "Residual", "body": [{"block": "ConvBlock", "filters": 16}]}
        ... )
        dk.Residual(dk.ConvBlock(16))
    """
    if isinstance(data, Mapping) and "deepkit" in data:
        version = data["deepkit"]
        if type(version) is not int or version != VERSION:
            raise DefinitionError(
                f"deepkit: the format has version {VERSION}, received {format_value(version)}",
                hint="use the release of deepkit that wrote it, or a later one",
            )
        data = {key: value for key, value in data.items() if key != "deepkit"}
    check_limits(data)
    return Reader().element(data, "")


def dump(definition: Block, path: PathLike | None = None) -> str:
    """Return a definition as YAML, and write it to a file if `path` is set.

    Args:
        definition: Any block.
        path: The file, which is replaced atomically.

    Returns:
        The YAML.

    Raises:
        DefinitionError: As `to_dict`, or the definition is too large to be read back.
        OSError: The file cannot be written; an earlier file is unchanged.

    Examples:
        >>> import deepkit as dk
        >>> print(dk.dump(dk.Sequential([dk.ConvStack(32), dk.Classifier(10)])))
        deepkit: 1
        block: Sequential
        layers:
        - {block: ConvStack, filters: 32}
        - {block: Classifier, num_classes: 10}
        <BLANKLINE>
    """
    data = to_dict(definition)
    check_limits(data)
    text = yaml_format.to_yaml(data)
    _check_size(len(text.encode()))
    if path is not None:
        files.atomic_write(Path(path), text.encode())
    return text


def load(path: PathLike) -> Block:
    """Return the definition that a YAML file describes; see `from_dict`.

    Args:
        path: The file, of at most 4 MB and 200,000 keys and values.

    Raises:
        DefinitionError: The file is not YAML, is too large or describes no definition; the message contains the path
            in it.
        OSError: The file cannot be read.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential([dk.ConvStack(32), dk.Classifier(10)])
        >>> text = dk.dump(net, "model.yaml")
        >>> dk.load("model.yaml") == net
        True
    """
    if "\n" in str(path):
        raise DefinitionError("load takes the path of a file, received a text of several lines")
    source = Path(path)
    with source.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    try:
        _check_size(len(raw))
        return from_dict(yaml_format.parse(raw.decode()))
    except DefinitionError as error:
        location = f"{source.name}: {error.path}" if error.path else source.name
        raise DefinitionError(error.problem, path=location, code=error.code, hint=error.hint) from error
    except yaml_format.YamlError as error:
        raise DefinitionError(f"expected YAML: {error.problem}", path=source.name, hint=error.hint) from error
    except UnicodeDecodeError as error:
        raise DefinitionError(f"expected YAML: {error}", path=source.name, hint="save the file as UTF-8") from error


def _check_size(num_bytes: int) -> None:
    if num_bytes > MAX_BYTES:
        raise DefinitionError(
            f"a definition has at most {MAX_BYTES:,} bytes of YAML, received more",
            hint="use Repeat blocks, or create a layer with a long vocabulary in Python",
        )


class Writer:
    """Writes definitions as plain data."""

    def element(self, block: Definition) -> dict[str, Any]:
        """Return a block or layer as plain data."""
        if isinstance(block, LayerInstance):
            raise DefinitionError(
                f"{block!r} cannot be written to a file: it has weights or other state",
                hint="save the built model: model.save('model.keras')",
            )
        return self._layer(block) if isinstance(block, LayerTemplate) else self._block(block)

    def _block(self, block: Any) -> dict[str, Any]:
        data: dict[str, Any] = {"block": block_key(type(block))}
        for item in dataclass_fields(block):
            field, value = field_of(type(block), item.name), getattr(block, item.name)
            if not field.is_default(value):
                data[item.name] = field.to_data(value, self)
        return data

    def body(self, body: Sequence[Definition]) -> Any:
        """Return a body: a single element as it is, several as a list."""
        return self.element(body[0]) if len(body) == 1 else [self.element(item) for item in body]

    def arguments(self, arguments: LayerArguments) -> dict[str, Any]:
        """Return keyword arguments of a Keras layer."""
        return {key: _config(item) for key, item in json.loads(arguments.json).items()}

    def value(self, value: object) -> Any:
        """Return a plain value, or a block as plain data."""
        if isinstance(value, Block):
            return self.element(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, Mapping) and not isinstance(value, FrozenDict):
            return {key: self.value(item) for key, item in value.items()}
        return value

    def _layer(self, template: LayerTemplate) -> dict[str, Any]:
        data = {"layer": class_key(template.cls, "layer")}
        if template.name is not None:
            data["name"] = template.name
        return data | _arguments(template.cls, template.config)


def _arguments(cls: type, config: str) -> dict[str, Any]:
    """Return the arguments that create an object of this config; the `layer` of a wrapper is written `wrapped`."""
    values = json.loads(config)
    arguments = {}
    for key in keras_config.required_arguments(cls, config):
        arguments["wrapped" if key == "layer" else key] = _config(keras_config.per_axis(cls, key, values[key]))
    return arguments


def _config(value: Any) -> Any:
    """Return a config value as plain data, with Keras objects in the format of the file."""
    if isinstance(value, list):
        return [_config(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "function":
        return value["config"]
    if str(value.get("class_name")).endswith("DTypePolicy"):
        return value["config"]["name"]
    if "class_name" not in value:
        return {key: _config(item) for key, item in value.items()}
    cls = keras_config.class_of(value)
    for kind, (_, base) in KINDS.items():
        if issubclass(cls, base):
            config = dict(value["config"])
            name = config.pop("name", None)
            data = {kind: class_key(cls, kind)}
            if name is not None and not keras_config.is_automatic_name(name, cls):
                data["name"] = name
            return data | _arguments(cls, keras_config.to_json(config))
    raise DefinitionError(f"{cls.__name__} cannot be written to a file", hint="use layers of Keras and blocks")
