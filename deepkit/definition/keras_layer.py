"""Keras layers and models as elements of a definition: templates, and parts that are used as they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import keras

from deepkit.definition import source as code
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.inputs import InputSpec


@dataclass(frozen=True, repr=False)
class LayerTemplate(Block):
    """A Keras layer without weights: its class and config, from which a fresh layer is made at each use.

    Args:
        cls: The layer's class.
        config: Canonical JSON of its config, without generated names and without the dtype of the moment.
        name: The name given to the layer, if one was.
    """

    cls: type[keras.layers.Layer]
    config: str

    @property
    def default_name(self) -> str:
        """The class in Keras's snake case."""
        return code.snake(self.cls.__name__)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """The layer itself says what it takes."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Call a fresh copy of the layer, named by its place."""
        copies = builder.state.uses[self]
        builder.state.uses[self] += 1
        return builder.add_layer(
            x, "" if builder.path else self.name or self.default_name, self._fresh, seed_shift=copies
        )

    def _fresh(self, *, name: str, seed_shift: int) -> keras.layers.Layer:
        config = json.loads(self.config)
        # a second layer with the seed of the first would drop the same units: each copy has its own
        return self.cls.from_config({**_shift_seeds(config, seed_shift), "name": name})

    def __repr__(self) -> str:
        return code.object_code(self.cls, json.loads(self.config), self.name)


@dataclass(frozen=True, eq=False, repr=False)
class LayerInstance(Block):
    """A Keras layer or model with weights or other fitted state: used as it is, and compared by identity."""

    layer: keras.layers.Layer

    @property
    def default_name(self) -> str:
        """The layer's own name, which it keeps."""
        return self.layer.name

    def input_spec(self) -> InputSpec | None:
        """Return the input that a model already has."""
        inputs = getattr(self.layer, "inputs", None)
        if not isinstance(self.layer, keras.Model) or not inputs or len(inputs) != 1:
            return None
        return InputSpec(tuple(inputs[0].shape[1:]), inputs[0].dtype)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """The layer itself says what it takes."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Call the layer itself."""
        name = self.layer.name
        if id(self.layer) not in builder.state.fixed and name in builder.state.names:
            raise builder.error(f"two layers of this model are named {name!r}", hint="another name for one of them")
        builder.state.fixed[id(self.layer)] = self.layer
        builder.state.names.add(name)
        return builder.call_layer(self.layer, x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayerInstance) and self.layer is other.layer

    def __hash__(self) -> int:
        return id(self.layer)

    def __repr__(self) -> str:
        return f"<{type(self.layer).__name__} {self.layer.name!r} with its state>"


def _has_state(layer: keras.layers.Layer) -> bool:
    """Tell whether a layer holds weights, or was adapted to data, which its config does not carry."""
    parts = [layer, *getattr(layer, "layers", ()), getattr(layer, "layer", None)]
    return bool(layer.weights) or any(_is_adapted_lookup(part) for part in parts if part is not None)


def _is_adapted_lookup(layer: keras.layers.Layer) -> bool:
    kinds = (keras.layers.TextVectorization, keras.layers.StringLookup, keras.layers.IntegerLookup)
    if not isinstance(layer, kinds) or layer.get_config().get("vocabulary") is not None:
        return False
    return len(layer.get_vocabulary(include_special_tokens=False)) > 0


def _shift_seeds(config: Any, by: int) -> Any:
    if by and isinstance(config, dict):
        return {
            key: value + by if key == "seed" and isinstance(value, int) else _shift_seeds(value, by)
            for key, value in config.items()
        }
    if by and isinstance(config, list):
        return [_shift_seeds(item, by) for item in config]
    return config
