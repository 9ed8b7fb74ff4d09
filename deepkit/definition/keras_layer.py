"""Keras layers and models as elements of a definition: templates that are copied, and instances used as they are."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition import fields, keras_config, source
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.preprocessing import has_fitted_state, nested_layers

if TYPE_CHECKING:
    from deepkit.utils.types import Tensors

_STATISTICS = (keras.layers.Normalization, keras.layers.Discretization)


class LayerTemplate(Block):
    """A Keras layer without weights: its class and config, from which each use makes a new layer.

    Args:
        cls: The layer's class.
        config: Canonical JSON of its config, without generated names and without the current dtype policy.
        name: The name that the user gave the layer.
    """

    cls: type[keras.layers.Layer] = fields.unchecked()
    config: str = fields.unchecked()

    @property
    def default_name(self) -> str:
        """The class name of the layer in Keras's snake case."""
        return keras_config.snake_case(self.cls.__name__)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: the layer itself checks its inputs."""
        return True

    @property
    def is_keras_layer(self) -> bool:
        """True."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Any:
        """Call a new copy of the layer, named by the path."""
        num_copies = builder.state.copies[self]
        builder.state.copies[self] += 1
        name = "" if builder.path else self.name or self.default_name
        return builder.add_layer(x, name, partial(self._new_layer, builder), seed_shift=num_copies)

    def _new_layer(self, builder: Builder, *, name: str, seed_shift: int) -> keras.layers.Layer:
        config = json.loads(self.config)
        if issubclass(self.cls, _STATISTICS) and "16" in keras.config.dtype_policy().compute_dtype:
            config.setdefault("dtype", "float32")  # statistics of data exceed the range and the precision of 16 bits
        # a copy with the seed of the first layer would drop the same units: each has its own seed
        config = {**_shift_seeds(config, seed_shift), "name": name}
        try:
            return self.cls.from_config(config)
        except TypeError as error:  # get_config leaves out an argument; RandomShear of Keras 3.15 refuses its own
            reason = str(error).rpartition("Exception encountered: ")[2]
            raise builder.error(
                f"the layer cannot be copied from its config: {reason}",
                hint=f"return every argument of __init__ from {self.cls.__name__}.get_config; "
                "Keras does so without get_config if the arguments are plain values",
            ) from error

    def __repr__(self) -> str:
        return source.keras_object(self.cls, json.loads(self.config), self.name)


class LayerInstance(Block, eq=False):
    """A Keras layer or model with weights or other fitted state: used as it is, and compared by identity."""

    layer: keras.layers.Layer = fields.unchecked()

    @property
    def default_name(self) -> str:
        """The name of the layer, which a build does not change."""
        return self.layer.name

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: the layer itself checks its inputs."""
        return True

    @property
    def is_keras_layer(self) -> bool:
        """True."""
        return True

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input of a model with one input."""
        inputs = getattr(self.layer, "inputs", None)
        if not isinstance(self.layer, keras.Model) or not inputs or len(inputs) != 1:
            return None
        return InputSpec(tuple(inputs[0].shape[1:]), inputs[0].dtype)

    def add(self, x: Tensors, builder: Builder) -> Any:
        """Call the layer itself."""
        name, state = self.layer.name, builder.state
        if id(self.layer) not in state.instances and name in state.names:
            raise builder.error(f"two layers of this model have the name {name!r}", hint="rename one of them")
        state.instances[id(self.layer)] = self.layer
        state.names.add(name)
        return builder.call_layer(self.layer, x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayerInstance) and self.layer is other.layer

    def __hash__(self) -> int:
        return id(self.layer)

    def __repr__(self) -> str:
        return f"<{type(self.layer).__name__} {self.layer.name!r} with its state>"


def has_state(layer: keras.layers.Layer) -> bool:
    """Return whether a layer holds weights, or was adapted to data, which its config does not contain."""
    return bool(layer.weights) or any(has_fitted_state(inner) for inner in (layer, *nested_layers(layer)))


def _shift_seeds(config: Any, shift: int) -> Any:
    """Return a config in which every integer seed is increased, also those of nested objects."""
    if shift == 0:
        return config
    if isinstance(config, list):
        return [_shift_seeds(item, shift) for item in config]
    if not isinstance(config, dict):
        return config
    shifted = {}
    for key, value in config.items():
        if key == "seed" and isinstance(value, int):
            shifted[key] = value + shift
        else:
            shifted[key] = _shift_seeds(value, shift)
    return shifted
