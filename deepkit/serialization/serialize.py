"""Definitions as plain data, and as YAML: exact both ways, and nothing in a file can run code or read a path."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import deepkit
from deepkit.definition import source as code
from deepkit.definition.block import Block
from deepkit.definition.errors import DefinitionError
from deepkit.definition.frozen_dict import FrozenDict
from deepkit.definition.keras_layer import LayerInstance, LayerTemplate
from deepkit.definition.source import Arguments
from deepkit.serialization import yaml_format as _yaml
from deepkit.serialization.reader import Reader
from deepkit.serialization.registry import OBJECTS, file_name
from deepkit.utils import files as _files

VERSION = 1


def to_dict(definition: Block) -> dict[str, Any]:
    """Return a definition as plain data: dicts, lists, strings, numbers, booleans and None.

    A block is `{"block": "ConvBlock", "filters": 16}`, a Keras layer `{"layer": "MaxPooling2D", "pool_size": 3}`, and
    only what differs from the defaults is said. `from_dict` gives an equal definition back.

    Args:
        definition: Any block.

    Raises:
        DefinitionError: A part cannot be said in plain data: a layer or model with weights, a class that is neither
            Keras's nor deepkit's.
        TypeError: It is no definition.

    Examples:
        >>> import deepkit as dk
        >>> dk.to_dict(dk.ConvBlock(16, kernel_size=5))
        {'deepkit': 1, 'block': 'ConvBlock', 'filters': 16, 'kernel_size': 5}
    """
    if not isinstance(definition, Block):
        what = type(definition).__name__
        raise TypeError(f"to_dict takes a definition, received {what}\n  hint: dk.Sequential([...]), before .build()")
    return {"deepkit": VERSION, **_element(definition)}


def from_dict(data: Mapping[str, Any] | list[Any]) -> Block:
    """Return the definition that plain data describe.

    Only blocks of deepkit and layers of Keras and deepkit can be named. Layers that run code or read files cannot
    (`Lambda`, a vocabulary given as a path).

    Args:
        data: What `to_dict` returns; a list stands for a `Sequential`.

    Raises:
        DefinitionError: A key or name is unknown, or a value is not what it should be; the message begins with the
            path of it: `layers[3].body[1].filters`.

    Examples:
        >>> import deepkit as dk
        >>> dk.from_dict({"block": "Residual", "body": [{"block": "ConvBlock", "filters": 16}]})
        dk.Residual(dk.ConvBlock(16))
    """
    if isinstance(data, Mapping) and "deepkit" in data:
        version = data["deepkit"]
        if version != VERSION or isinstance(version, bool):
            raise DefinitionError(
                f"deepkit: the format has the version {VERSION}, received {version!r}",
                hint="the release of deepkit that wrote it, or a later one",
            )
        data = {key: value for key, value in data.items() if key != "deepkit"}
    return Reader().element(data, "")


def dump(definition: Block, path: str | os.PathLike[str] | None = None) -> str:
    """Return a definition as YAML, and write it to a file where a path is given.

    Args:
        definition: Any block.
        path: The file, which is written whole or not at all.

    Returns:
        The text.

    Raises:
        DefinitionError: As `to_dict`.
        OSError: The file cannot be written; what was there before still is.

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
    text = _yaml.text(to_dict(definition))
    if path is not None:
        _files.write(Path(path), text.encode())
    return text


def load(path: str | os.PathLike[str]) -> Block:
    """Return the definition that a YAML file describes; see `from_dict`.

    Args:
        path: The file, of 4 MB at most.

    Raises:
        DefinitionError: The file is no YAML or describes no definition; the message says where in it.
        OSError: It cannot be read.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.Sequential([dk.ConvStack(32), dk.Classifier(10)])
        >>> text = dk.dump(net, "model.yaml")
        >>> dk.load("model.yaml") == net
        True
    """
    source = Path(path)
    if "\n" in str(path):
        raise DefinitionError("load takes the path of a file, received a text of several lines")
    with source.open("rb") as file:
        raw = file.read(_yaml.MOST_BYTES + 1)
    try:
        if len(raw) > _yaml.MOST_BYTES:
            raise DefinitionError(f"a definition has {_yaml.MOST_BYTES:,} bytes at most, this is larger")
        return from_dict(_yaml.parse(raw.decode()))
    except DefinitionError as error:
        place = f"{source.name}: {error.path}" if error.path else source.name
        raise DefinitionError(error.problem, path=place, code=error.code, hint=error.hint) from error
    except (UnicodeDecodeError, _yaml.YamlError) as error:
        raise DefinitionError(f"no YAML: {error}", path=source.name) from error


def _element(element: Block) -> dict[str, Any]:
    if isinstance(element, LayerInstance):
        raise DefinitionError(
            f"{element!r} cannot be said in plain data: it has weights or other state of its own",
            hint="saving the built model: model.save('model.keras')",
        )
    return _layer(element) if isinstance(element, LayerTemplate) else _block(element)


def _block(block: Block) -> dict[str, Any]:
    name = type(block).__name__
    if getattr(deepkit, name, None) is not type(block):
        raise DefinitionError(f"{name} is no block of deepkit's, and a file can name no other")
    found: dict[str, Any] = {"block": name}
    for item in fields(block):
        value = getattr(block, item.name)
        default = item.default if item.default_factory is MISSING else item.default_factory()
        if value != default:
            found[item.name] = _field(value, item.metadata.get("body"))
    return found


def _field(value: Any, body: str | None) -> Any:
    if body == "one or many" and isinstance(value, tuple):
        return _body(value)
    if body == "arguments":
        return {name: _plain(part) for name, part in value}
    if body == "named":
        return {name: _body(part) for name, part in value.items()}
    if body == "inputs":
        return {name: {k: v for k, v in _block(part).items() if k != "block"} for name, part in value.items()}
    if body == "nodes":
        return {name: {"from": _plain(source), "body": _body(part)} for name, (source, part) in value.items()}
    return _plain(value)


def _body(body: tuple[Block, ...]) -> Any:
    return _element(body[0]) if len(body) == 1 else [_element(item) for item in body]


def _plain(value: Any) -> Any:
    if isinstance(value, Block):
        return _element(value)
    if isinstance(value, Arguments):
        return {key: _config(item) for key, item in json.loads(value.json).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping) and not isinstance(value, FrozenDict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _layer(template: LayerTemplate) -> dict[str, Any]:
    named = {} if template.name is None else {"name": template.name}
    return {"layer": file_name(template.cls, "layer")} | named | _arguments(template.cls, template.config)


def _arguments(cls: type, config: str) -> dict[str, Any]:
    """Return the arguments that make an object of this config; a wrapper's `layer` is written `wrapped`."""
    values = json.loads(config)
    said = {key: _config(code.per_axis(cls, key, values[key])) for key in code.needed(cls, config)}
    return {"wrapped" if key == "layer" else key: value for key, value in said.items()}


def _config(value: Any) -> Any:
    """Return a config value, of JSON, with serialised Keras objects as a file names them."""
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
    cls = code.class_of(value)
    for key, (_, base) in OBJECTS.items():
        if issubclass(cls, base):
            config = dict(value["config"])
            name = config.pop("name", None)
            given = {} if name is None or code.is_auto_name(name, cls) else {"name": name}
            return {key: file_name(cls, key)} | given | _arguments(cls, code.to_json(config))
    raise DefinitionError(f"{cls.__name__} cannot be said in plain data", hint="layers of Keras and blocks of deepkit")
