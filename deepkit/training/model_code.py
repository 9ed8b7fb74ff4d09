"""Parts of a run that the text of its definition lacks: the built architecture, and the code of the user's classes."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping

import keras

from deepkit.definition.block import Block
from deepkit.definition.keras_config import snake_case
from deepkit.utils.function_identity import Identity, identify, is_library, is_plain

_SET_BY_KERAS = ("build", "quantize", "loss")  # wrapped methods, and the loss, which is part of the fingerprint
_NOT_ARCHITECTURE = ("build_config", "compile_config", "seed")
_FEATURE_NAME = r"(float|integer|string)(_[a-z]+)?(_\d+)?_preprocessor"  # in a FeatureSpace
_HELPERS = (keras.initializers.Initializer, keras.regularizers.Regularizer, keras.constraints.Constraint)


def architecture_hash(model: keras.Model) -> str:
    """Return a hash of the config of a model and the shapes of its variables, the same for each build of the model.

    Seeds are left out: they follow from the seed of the plan, or are part of the definition.
    """
    config = _layer_config(model)
    if config is None:  # a model or a layer without get_config
        config = [_layer_config(layer) or _attributes(layer) for layer in model._flatten_layers(include_self=False)]
    variables = [(list(variable.shape), variable.dtype, variable.trainable) for variable in model.variables]
    text = json.dumps([without_automatic_names(config), variables], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _layer_config(layer: keras.layers.Layer) -> object:
    """Return the class and the config of a layer or model as JSON values, or None if it has no complete config."""
    try:
        text = json.dumps(layer.get_config(), default=lambda value: identify(value).text)
    except (TypeError, ValueError, NotImplementedError):
        return None
    return _architecture({"class_name": type(layer).__name__, "config": json.loads(text)})


def _attributes(layer: keras.layers.Layer) -> object:
    attributes = {name: value for name, value in vars(layer).items() if name[0] != "_" and is_plain(value)}
    attributes.pop("name", None)
    return [type(layer).__name__, identify(attributes).text]


def _architecture(value: object) -> object:
    """Return JSON values without seeds, build configs, and serialized functions, whose bytes depend on their file."""
    if isinstance(value, list):
        return [_architecture(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "__lambda__":
        return "__lambda__"
    return {key: _architecture(item) for key, item in value.items() if key not in _NOT_ARCHITECTURE}


def without_automatic_names(config: object) -> object:
    """Replace the names that Keras numbers anew in each build by their position."""
    positions: dict[str, str] = {}
    for class_name, name in _layer_names(config):
        automatic = rf"(forward_|backward_)?{re.escape(snake_case(class_name))}(_\d+)?"
        if re.fullmatch(rf"{automatic}|{_FEATURE_NAME}", name):
            positions.setdefault(name, f"{class_name} {len(positions)}")
    return _replace(config, positions)


def _layer_names(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _layer_names(item)
    elif isinstance(value, dict):
        class_name, config = value.get("class_name"), value.get("config")
        if isinstance(class_name, str) and isinstance(config, dict) and isinstance(config.get("name"), str):
            yield class_name, config["name"]
        for item in value.values():
            yield from _layer_names(item)


def _replace(value: object, replacements: Mapping[str, str]) -> object:
    """Replace names of layers; an activation may have the name of a layer, such as "softmax"."""
    if isinstance(value, str):
        return replacements.get(value, value)
    if isinstance(value, list):
        return [_replace(item, replacements) for item in value]
    if isinstance(value, dict):
        return {
            key: item if isinstance(item, str) and key != "name" else _replace(item, replacements)
            for key, item in value.items()
        }
    return value


def user_code(net: object, model: keras.Model) -> dict[str, Identity]:
    """Return the identity of each class and function of the user that a definition or its model contains, by name.

    Args:
        net: The definition, or the model itself.
        model: The built model.
    """
    items = [*_definition_code(net)]
    for layer in model._flatten_layers():
        items += [type(layer), *_layer_code(layer)]
    identities: dict[str, Identity] = {}
    for item in {id(item): item for item in items if not is_library(item)}.values():
        named = item if isinstance(item, type | types.FunctionType) else type(item)
        name = f"{named.__module__}.{named.__qualname__}"
        identity = identify(item, named.__qualname__)
        text = identity.text.removeprefix(name).strip()
        if name in identities:  # two functions of one name, with other closures
            previous = identities[name]
            text = previous.text if text == previous.text else f"{previous.text}; {text}"
            identity = Identity(text, (*previous.unidentified, *identity.unidentified))
        identities[name] = Identity(text, identity.unidentified)
    return identities


def _definition_code(value: object) -> Iterator[object]:
    """Yield the classes of the blocks and layers in a definition, and its functions."""
    if isinstance(value, type | types.FunctionType):
        yield value
    elif isinstance(value, Block):
        yield type(value)
        for item in vars(value).values():
            yield from _definition_code(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _definition_code(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _definition_code(item)


def _layer_code(layer: keras.layers.Layer) -> Iterator[object]:
    """Yield the functions of a layer, such as an activation, and its initializers, regularizers and constraints."""
    for name, value in vars(layer).items():
        if name in _SET_BY_KERAS:
            continue
        if inspect.isroutine(value) or (isinstance(value, _HELPERS) and not is_library(type(value))):
            yield value
