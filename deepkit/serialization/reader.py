"""Plain data read as a definition, every error with its path."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, fields
from typing import Any

import keras

from deepkit.definition import source as code
from deepkit.definition.block import Block, check_arguments, is_required
from deepkit.definition.errors import DefinitionError, first_line
from deepkit.definition.keras_layer import LayerInstance
from deepkit.definition.sequential import Sequential, as_element
from deepkit.serialization.registry import OBJECTS, find

_TAGS = ("block", "layer")
_DEEPEST = 60
_MOST_WRAPPED = 8  # Keras copies what a wrapper holds, at each level again
_LARGEST = 2**31 - 1
_MOST = {"ngrams": 20, "num_oov_indices": 100_000}  # Keras makes that many strings before anything is built
_PLAIN = ("renorm_clipping",)  # arguments of Keras that are mappings
_WORDS = {"None": "null", "none": "null", "True": "true", "False": "false"}
_WORDS |= dict.fromkeys(("yes", "Yes", "on", "On"), "true") | dict.fromkeys(("no", "No", "off", "Off"), "false")
_FILES = ("vocabulary", "idf_weights")  # which Keras takes as the path of a file too


class Reader:
    """Reads plain data as definitions. Each method takes a value and its path, `layers[3].body`."""

    def element(self, value: Any, path: str) -> Block:
        """Return a block, a layer, or a list of them as a sequence."""
        _check_depth(path)
        if isinstance(value, list | tuple):
            return Sequential([self.element(item, f"{path}[{i}]") for i, item in enumerate(value)])
        tags = [key for key in _TAGS if isinstance(value, Mapping) and key in value]
        if len(tags) != 1:
            raise _untagged(value, path)
        return self.block(value, path) if tags[0] == "block" else self.layer(value, path)

    def block(self, value: Mapping[str, Any], path: str) -> Block:
        """Return a block of deepkit's."""
        cls = find(value["block"], "block", _dot(path, "block"))
        known = {item.name: item for item in fields(cls)}
        given = {key: item for key, item in value.items() if key != "block"}
        for key in given:
            try:
                check_arguments(cls, (), {str(key): None})
            except DefinitionError as error:
                raise _error(error.problem, _dot(path, str(key))) from error
        _check_keys(cls, given, known, [name for name, item in known.items() if is_required(item)], path)
        return _made(cls, {k: self.field(v, known[k], _dot(path, k)) for k, v in given.items()}, path)

    def field(self, value: Any, item: Field[Any], path: str) -> Any:
        """Return one argument of a block."""
        body = item.metadata.get("body")
        if body == "one or many":
            return value if value is None else self.body(value, path)
        if body == "many" and item.name == "layers":
            return self.body(_expect(value, list | tuple, "a list", path), path)
        if body in ("named", "inputs", "nodes"):
            readers = {"named": self.body, "inputs": self.input, "nodes": self.node}
            named = _expect(value, Mapping, "a mapping of names", path)
            return {_name(name, path): readers[body](part, _dot(path, str(name))) for name, part in named.items()}
        if item.default_factory is dict or body == "arguments":
            return self.arguments(_expect(value, Mapping, "a mapping of arguments", path), path)
        return self.value(value, path)

    def body(self, value: Any, path: str) -> Any:
        """Return one element, or a list of them."""
        if isinstance(value, list | tuple):
            return [self.element(item, f"{path}[{i}]") for i, item in enumerate(value)]
        return self.element(value, path)

    def input(self, value: Any, path: str) -> Block:
        """Return what enters a graph."""
        given = _expect(value, Mapping, "an input such as {shape: [28, 28, 1]}", path)
        if given.get("block", "Input") != "Input":
            raise _error(f"expected an Input, received {given['block']!r}", _dot(path, "block"))
        return self.block({**given, "block": "Input"}, path)

    def node(self, value: Any, path: str) -> tuple[Any, Any]:
        """Return a node of a graph: what it is behind, and its body."""
        given = _expect(value, Mapping, "a node such as {from: image, body: [...]}", path)
        _check_keys(Block, given, ("from", "body"), ("from", "body"), path, owner="a node")
        return self.value(given["from"], _dot(path, "from")), self.body(given["body"], _dot(path, "body"))

    def layer(self, value: Mapping[str, Any], path: str) -> Block:
        """Return a Keras layer as a template."""
        layer = self.object(value, "layer", path)
        try:
            element = as_element(layer, path)
        except Exception as error:  # a layer may take what it then cannot describe
            raise _error(f"{type(layer).__name__}: {first_line(error)}", path) from error
        if isinstance(element, LayerInstance):
            raise _error(f"{type(element.layer).__name__} comes with state of its own, which a file cannot say", path)
        return element

    def object(self, value: Mapping[str, Any], kind: str, path: str) -> Any:
        """Return a Keras object: a layer, an initialiser, a regulariser or a constraint."""
        cls = find(value[kind], kind, _dot(path, kind))
        known = dict(code.parameters(cls))
        written = {"wrapped" if key == "layer" else key for key in known}
        given = {key: item for key, item in value.items() if key != kind}
        required = [("wrapped" if k == "layer" else k) for k, p in known.items() if p.default is p.empty]
        _check_keys(cls, given, written, required, path)
        _check_flags(cls, {key: item for key, item in given.items() if key in known}, path)
        for key, item in given.items():
            _check_harmless(cls, key, item, _dot(path, key))
        return _made(cls, {key: self.argument(key, item, _dot(path, key)) for key, item in given.items()}, path)

    def argument(self, key: str, value: Any, path: str) -> Any:
        """Return one argument of a Keras object."""
        if key in _PLAIN and isinstance(value, Mapping):
            return {_name(name, path): self.value(item, _dot(path, str(name))) for name, item in value.items()}
        return _function(self.value(value, path))

    def arguments(self, value: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Return arguments for a Keras layer."""
        return {_name(key, path): self.value(item, _dot(path, str(key))) for key, item in value.items()}

    def value(self, value: Any, path: str) -> Any:
        """Return a plain value, or the Keras object that a mapping describes."""
        _check_depth(path)
        if isinstance(value, list | tuple):
            return [self.value(item, f"{path}[{i}]") for i, item in enumerate(value)]
        if isinstance(value, Mapping):
            return self.described(value, path)
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise _error(f"expected a number of at most {_LARGEST:,}, received a larger one", path)
        if value is not None and not isinstance(value, bool | int | float | str):
            raise _error(f"expected a plain value, received {type(value).__name__}", path)
        return value

    def described(self, value: Mapping[str, Any], path: str) -> Any:
        """Return the object that a mapping describes by its first key."""
        for kind in OBJECTS:
            if kind in value:
                return self.object(value, kind, path)
        if "block" in value:
            return self.block(value, path)
        kinds = ", ".join(f"`{kind}:`" for kind in OBJECTS)
        hint = "{regularizer: L2, l2: 1e-4}, or {layer: ReLU}"
        raise _error(f"expected a value, or a mapping with one of {kinds}; received {_short(value)}", path, hint)


def _untagged(value: Any, path: str) -> DefinitionError:
    """Return what is wrong with a part that is not said to be a block or a layer, one of the two."""
    if not isinstance(value, Mapping):
        return _error(
            f"expected a mapping with `block:` or `layer:`, or a list of them, received {_short(value)}", path
        )
    if all(tag in value for tag in _TAGS):
        return _error("this has both `block:` and `layer:`; it can be one of them", path)
    near = [key for key in value if difflib.get_close_matches(str(key), _TAGS, n=1)]
    meant = f"; did you mean `block:` or `layer:` by {near[0]!r}?" if near else ""
    received = ", ".join(map(str, value))
    return _error(f"expected `block:` or `layer:` among the keys, received {received}{meant}", path)


def _check_depth(path: str) -> None:
    if path.count(".") + path.count("[") > _DEEPEST or path.count(".wrapped") > _MOST_WRAPPED:
        raise _error("nested too deeply", f"{path[:60]}...")


def _check_harmless(cls: type, key: str, value: Any, path: str) -> None:
    """Raise where an argument names a file, holds weights, or makes Keras work for long before anything is built."""
    if isinstance(value, Mapping) and "block" in value:
        raise _error(f"{cls.__name__} takes no block, received {_short(value)}", path)
    if key in _FILES and isinstance(value, str):
        raise _error("a file may not name another file; expected the list itself", path)
    if key == "weights" and value is not None:
        raise _error("a file cannot hold weights", path, "model.save('model.keras')")
    if key in _MOST and isinstance(value, int) and value > _MOST[key]:
        raise _error(f"expected at most {_MOST[key]:,}, received {value:,}", path)


def _check_flags(cls: type, given: Mapping[str, Any], path: str) -> None:
    for key, value in given.items():
        try:
            code.check_flags(cls, {key: value}, cls.__name__)
        except ValueError as error:
            raise _error(str(error), _dot(path, key), _in_yaml(value)) from error


def _in_yaml(value: Any) -> str:
    """Return how YAML writes what was meant by a word of Python's or of older YAML's."""
    return _WORDS.get(value, "") if isinstance(value, str) else ""


def _function(value: Any) -> Any:
    """Return the registered function of a name such as `deepkit>scaled_tanh`, which a Keras layer takes itself."""
    found = keras.saving.get_registered_object(value) if isinstance(value, str) and ">" in value else None
    return found if inspect.isfunction(found) else value


def _made(cls: Callable[..., Any], given: Mapping[str, Any], path: str) -> Any:
    """Return `cls` made with the arguments; an error names the one that is wrong."""
    arguments = {"layer" if key == "wrapped" else key: value for key, value in given.items()}
    try:
        return cls(**arguments)
    except Exception as error:  # Keras raises many kinds here; all mean that a value is wrong
        text = error.problem if isinstance(error, DefinitionError) else first_line(error)
        wrong = _culprit(cls, arguments, text)
        hint = _in_yaml(arguments.get(wrong)) or (error.hint if isinstance(error, DefinitionError) else "")
        raise _error(text, _dot(path, wrong), hint) from error


def _culprit(cls: Callable[..., Any], arguments: Mapping[str, Any], problem: str) -> str:
    """Return the argument that is wrong: the one that is named, or without which all is well; empty if unclear."""
    words = problem.replace("[", " ").replace("=", " ").replace("`", " ").replace("'", " ").replace(".", " ").split()
    named = [key for key in arguments if key in words]
    if len(named) == 1:
        return named[0]
    for key in named or arguments:
        try:
            cls(**{other: value for other, value in arguments.items() if other != key})
        except Exception:
            continue
        return key
    return named[0] if named else ""


def _check_keys(
    cls: type, given: Mapping[Any, Any], known: Iterable[str], required: Iterable[str], path: str, owner: str = ""
) -> None:
    owner = owner or cls.__name__
    known = sorted(known)
    for key in given:
        if key not in known:
            raise _error(f"{owner} takes no {key!r}{code.close(str(key), set(known))}", _dot(path, str(key)))
    missing = [key for key in required if key not in given]
    if missing:
        raise _error(f"{owner} needs {missing[0]!r}", path)


def _expect(value: Any, kind: Any, words: str, path: str) -> Any:
    if not isinstance(value, kind):
        raise _error(f"expected {words}, received {_short(value)}", path)
    return value


def _name(name: Any, path: str) -> str:
    if not isinstance(name, str):
        raise _error(f"a name must be text, received {name!r}", path, hint=f'"{name}" in quotes')
    return name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _dot(path: str, key: str) -> str:
    return f"{path}.{key}" if path and key else path or key


def _error(problem: str, path: str, hint: str = "") -> DefinitionError:
    return DefinitionError(problem, path=path, hint=hint)
