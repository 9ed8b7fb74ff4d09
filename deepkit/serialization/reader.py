"""Read plain data as a definition; every error contains the path of the value."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING
from typing import Any

import keras

from deepkit.definition import keras_config
from deepkit.definition.block import Block
from deepkit.definition.block_type import check_arguments, field_items, field_of
from deepkit.definition.errors import DefinitionError, first_line
from deepkit.definition.keras_layer import LayerInstance
from deepkit.definition.layer_arguments import check_flags
from deepkit.definition.sequential import Sequential, as_element
from deepkit.serialization.limits import MAX_INTEGER
from deepkit.serialization.paths import join_path, key_text
from deepkit.serialization.registry import KINDS, find_class
from deepkit.utils.errors import did_you_mean, did_you_mean_or_list, format_value
from deepkit.utils.validation import is_integer

_TAGS = ("block", "layer")
_MAX_WRAPPED = 8  # nested wrappers; each one copies its inner layer again
_MAX_KEYS = 10  # keys in a message
_MAX_VALUES = {"ngrams": 20, "num_oov_indices": 100_000}  # the constructor creates that many strings
_MAPPING_ARGUMENTS = ("renorm_clipping",)  # arguments of Keras that are mappings
_FILE_ARGUMENTS = ("vocabulary", "idf_weights")  # Keras also accepts the path of a file for these
_YAML_LITERALS = {  # Python's and YAML 1.1's, in YAML 1.2
    "None": "null", "none": "null", "True": "true", "False": "false",
    "yes": "true", "Yes": "true", "on": "true", "On": "true",
    "no": "false", "No": "false", "off": "false", "Off": "false",
}  # fmt: skip


class Reader:
    """Reads plain data as definitions. Each method takes a value and its path, such as `layers[3].body`."""

    def element(self, value: object, path: str) -> Block:
        """Return a block, a layer, or a list of them as a `Sequential`."""
        _check_wrapped(path)
        if isinstance(value, list | tuple):
            return Sequential([self.element(item, f"{path}[{i}]") for i, item in enumerate(value)])
        if not isinstance(value, Mapping):
            expected = "expected a mapping with `block:` or `layer:`, or a list of them"
            raise _error(f"{expected}, received {format_value(value)}", path)
        tags = [key for key in _TAGS if key in value]
        if len(tags) != 1:
            raise _tag_error(value, path)
        return self.block(value, path) if tags[0] == "block" else self.layer(value, path)

    def block(self, value: Mapping[str, Any], path: str) -> Block:
        """Return a block."""
        cls = find_class(value["block"], "block", join_path(path, "block"))
        items = field_items(cls)
        data = {key: item for key, item in value.items() if key != "block"}
        for key in data:
            try:
                check_arguments(cls, (), {key_text(key): None})
            except DefinitionError as error:
                raise _error(error.problem, join_path(path, key_text(key))) from error
        required = [name for name, item in items.items() if item.default is MISSING]
        _check_keys(cls.__name__, data, items, required, path)
        kwargs = {key: field_of(cls, key).from_data(item, join_path(path, key), self) for key, item in data.items()}
        return _make(cls, kwargs, path)

    def body(self, value: object, path: str) -> Any:
        """Return one element, or a list of them."""
        if isinstance(value, list | tuple):
            return [self.element(item, f"{path}[{i}]") for i, item in enumerate(value)]
        return self.element(value, path)

    def named(self, value: object, path: str, read: Callable[[object, str], object]) -> dict[str, object]:
        """Return a mapping of names, each value read by `read`."""
        items = _expect_mapping(value, "a mapping of names", path)
        return {_name(name, path): read(item, join_path(path, key_text(name))) for name, item in items.items()}

    def input(self, value: object, path: str) -> Block:
        """Return an input of a graph."""
        data = _expect_mapping(value, "an input such as {shape: [28, 28, 1]}", path)
        if data.get("block", "Input") != "Input":
            raise _error(f"expected an Input, received {format_value(data['block'])}", join_path(path, "block"))
        return self.block({**data, "block": "Input"}, path)

    def node(self, value: object, path: str) -> tuple[Any, Any]:
        """Return a node of a graph: its source and its body."""
        data = _expect_mapping(value, "a node such as {from: image, body: [...]}", path)
        _check_keys("a node", data, ("from", "body"), ("from", "body"), path)
        return self.value(data["from"], join_path(path, "from")), self.body(data["body"], join_path(path, "body"))

    def layer(self, value: Mapping[str, Any], path: str) -> Block:
        """Return a Keras layer as a template."""
        layer = self.keras_object(value, "layer", path)
        try:
            element = as_element(layer, path)
        except Exception as error:  # a layer may accept a value that its config cannot hold
            raise _error(f"{type(layer).__name__}: {first_line(error)}", path) from error
        if isinstance(element, LayerInstance):
            raise _error(f"{type(element.layer).__name__} has state, which a file cannot hold", path)
        return element

    def keras_object(self, value: Mapping[str, Any], kind: str, path: str) -> Any:
        """Return a Keras object: a layer, an initializer, a regularizer or a constraint."""
        cls = find_class(value[kind], kind, join_path(path, kind))
        signature = keras_config.parameters(cls)
        data = {key: item for key, item in value.items() if key != kind}
        keys = {"wrapped" if key == "layer" else key: parameter for key, parameter in signature.items()}
        required = [key for key, parameter in keys.items() if parameter.default is parameter.empty]
        _check_keys(cls.__name__, data, keys, required, path)
        for key, item in data.items():
            _check_flag(cls, signature, key, item, path)
            _check_allowed(cls, key, item, join_path(path, key))
        return _make(cls, {key: self.argument(key, item, join_path(path, key)) for key, item in data.items()}, path)

    def argument(self, key: str, value: object, path: str) -> Any:
        """Return one argument of a Keras object."""
        if key == "seed" and is_integer(value):
            return value
        if key in _MAPPING_ARGUMENTS and isinstance(value, Mapping):
            return {
                _name(name, path): self.value(item, join_path(path, key_text(name))) for name, item in value.items()
            }
        return _registered_function(self.value(value, path))

    def arguments(self, value: object, path: str) -> dict[str, Any]:
        """Return keyword arguments of a Keras layer."""
        items = _expect_mapping(value, "a mapping of arguments", path)
        return {_name(key, path): self.value(item, join_path(path, key_text(key))) for key, item in items.items()}

    def value(self, value: object, path: str) -> Any:
        """Return a plain value, or the block or Keras object that a mapping describes."""
        _check_wrapped(path)
        if isinstance(value, list | tuple):
            return [self.value(item, f"{path}[{i}]") for i, item in enumerate(value)]
        if isinstance(value, Mapping):
            return self._described(value, path)
        if is_integer(value) and abs(int(value)) > MAX_INTEGER:  # type: ignore[call-overload]
            raise _error(f"expected a number of at most {MAX_INTEGER:,}, received a larger one", path)
        if value is not None and not isinstance(value, bool | int | float | str) and not is_integer(value):
            raise _error(f"expected a plain value, received {format_value(value)}", path)
        return value

    def _described(self, value: Mapping[str, Any], path: str) -> Any:
        """Return the block or Keras object that a mapping describes."""
        for kind in KINDS:
            if kind in value:
                return self.keras_object(value, kind, path)
        if "block" in value:
            return self.block(value, path)
        kinds = ", ".join(f"`{kind}:`" for kind in KINDS)
        problem = f"expected a value, or a mapping with one of {kinds}; received {format_value(value)}"
        raise _error(problem, path, "write {regularizer: L2, l2: 1e-4}, or {layer: ReLU}")


def _tag_error(value: Mapping[str, Any], path: str) -> DefinitionError:
    """Return the error for a mapping with neither or both of `block:` and `layer:`."""
    if all(tag in value for tag in _TAGS):
        return _error("expected `block:` or `layer:`, received both", path)
    first_keys = list(itertools.islice(value, _MAX_KEYS))
    similar = [key for key in first_keys if did_you_mean(key, _TAGS)]
    suggestion = f"; did you mean `block:` or `layer:` by {format_value(similar[0])}?" if similar else ""
    keys = ", ".join(key_text(key) for key in first_keys) + (", ..." if len(value) > _MAX_KEYS else "")
    return _error(f"expected `block:` or `layer:` among the keys, received {keys}{suggestion}", path)


def _check_wrapped(path: str) -> None:
    if path.count(".wrapped") > _MAX_WRAPPED:
        problem = f"nested too deeply: at most {_MAX_WRAPPED} wrappers inside each other, received more"
        raise _error(problem, f"{path[:60]}...", "remove wrappers")


def _check_allowed(cls: type, key: str, value: object, path: str) -> None:
    """Raise if an argument names a file, holds weights, or would make the constructor slow."""
    if isinstance(value, Mapping) and "block" in value:
        raise _error(f"{cls.__name__} takes no block, received {format_value(value)}", path)
    if key in _FILE_ARGUMENTS and isinstance(value, str):
        raise _error("a file may not name another file; expected the list itself", path)
    if key == "weights" and value is not None:
        raise _error("a file cannot hold weights", path, "use model.save('model.keras')")
    if key in _MAX_VALUES and is_integer(value) and value > _MAX_VALUES[key]:  # type: ignore[operator]
        raise _error(f"expected at most {_MAX_VALUES[key]:,}, received {value:,}", path)


def _check_flag(cls: type, signature: Mapping[str, inspect.Parameter], key: str, value: object, path: str) -> None:
    """Raise if a boolean argument is neither true nor false."""
    if key not in signature:
        return
    try:
        check_flags(cls, {key: value}, cls.__name__)
    except DefinitionError as error:
        raise _error(error.problem, join_path(path, key), _yaml_hint(value)) from error


def _yaml_hint(value: object) -> str:
    """Return a hint for a literal of Python or YAML 1.1, such as `None` or `yes`; empty for any other value."""
    literal = _YAML_LITERALS.get(value) if isinstance(value, str) else None
    return f"write {literal}" if literal else ""


def _registered_function(value: Any) -> Any:
    """Return the registered function of a name such as `deepkit>scaled_tanh`, and any other value as it is."""
    registered = keras.saving.get_registered_object(value) if isinstance(value, str) and ">" in value else None
    return registered if inspect.isfunction(registered) else value


def _make(cls: Callable[..., Any], kwargs: Mapping[str, Any], path: str) -> Any:
    """Return a new object; an error contains the path of the argument that is wrong."""
    arguments = {"layer" if key == "wrapped" else key: value for key, value in kwargs.items()}
    try:
        return cls(**arguments)
    except Exception as error:  # Keras raises many kinds; all mean that a value is wrong
        text, hint = first_line(error), ""
        if isinstance(error, DefinitionError):
            text, hint = error.problem, error.hint
        wrong = _wrong_argument(cls, arguments, text)
        hint = _yaml_hint(arguments.get(wrong)) or hint
        raise _error(text, join_path(path, wrong), hint) from error


def _wrong_argument(cls: Callable[..., Any], arguments: Mapping[str, Any], problem: str) -> str:
    """Return the argument that causes an error: the message names it alone, or its removal avoids the error."""
    text = problem
    for separator in "[=`'.:":
        text = text.replace(separator, " ")
    named = [key for key in arguments if key in text.split()]
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
    cls_name: str, data: Mapping[Any, Any], allowed: Iterable[str], required: Iterable[str], path: str
) -> None:
    """Raise a `DefinitionError` if a key is unknown, or a required key is missing."""
    names = sorted(allowed)
    for key in data:
        if key not in names:
            problem = f"{cls_name} takes no {format_value(key)}{did_you_mean_or_list(key, names)}"
            raise _error(problem, join_path(path, key_text(key)))
    for key in required:
        if key not in data:
            raise _error(f"{cls_name} needs {key!r}", path)


def _expect_mapping(value: object, expected: str, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _error(f"expected {expected}, received {format_value(value)}", path)
    return value


def _name(name: object, path: str) -> str:
    if not isinstance(name, str):
        raise _error(f"expected a string as name, received {format_value(name)}", path, f'write "{name}" in quotes')
    return name


def _error(problem: str, path: str, hint: str = "") -> DefinitionError:
    return DefinitionError(problem, path=path, hint=hint)
