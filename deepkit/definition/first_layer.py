"""The first layers that an input reaches in a definition, from which the dtype of the input follows."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.definition.builder import Builder, BuildState

if TYPE_CHECKING:
    from deepkit.definition.protocol import Definition
    from deepkit.utils.types import KerasTensor, Tensors

_SAME_VALUES = (
    layers.ActivityRegularization, layers.Dropout, layers.Identity,
    layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D,
)  # fmt: skip
_SAME_VALUES_RESHAPED = (layers.Flatten, layers.Permute, layers.RepeatVector, layers.Reshape)
_INTEGERS = (layers.CategoryEncoding, layers.Embedding, layers.HashedCrossing, layers.Hashing, layers.IntegerLookup)
_STRINGS = (layers.StringLookup, layers.TextVectorization)
_HASHES = (layers.HashedCrossing, layers.Hashing)
_ANY_NUMBERS = (layers.Discretization,)
_PACKAGES = ("keras", "deepkit")


@dataclass(frozen=True)
class FirstLayer:
    """A layer that reads an input of a definition, directly or after layers that pass its values on unchanged.

    Args:
        cls: The class of the layer.
        layer: The layer itself if the definition calls it as it is, such as a model with weights; else None.
        is_explicit: Whether the layer is an element of the definition; False if a block chose its class.
        fills_missing_values: Whether the block that adds the layer replaces NaN.
    """

    cls: type[keras.layers.Layer]
    layer: keras.layers.Layer | None
    is_explicit: bool
    fills_missing_values: bool = False

    @property
    def has_unknown_input(self) -> bool:
        """Whether the layer belongs to neither Keras nor deepkit, or calls a function of the user."""
        return issubclass(self.cls, layers.Lambda) or self.cls.__module__.split(".")[0] not in _PACKAGES

    @property
    def is_preprocessing(self) -> bool:
        """Whether the layer is one of Keras's preprocessing layers, such as `Rescaling` or `RandomFlip`."""
        return self._has_module("preprocessing")

    @property
    def is_augmentation(self) -> bool:
        """Whether the layer is one of Keras's image layers, such as `RandomFlip` or `Resizing`, or a `Pipeline`."""
        return self._has_module("image_preprocessing") or issubclass(self.cls, keras.layers.Pipeline)

    def _has_module(self, name: str) -> bool:
        return any(name in cls.__module__.split(".") for cls in self.cls.__mro__)

    def dtype(self, data_dtype: str | None) -> str | None:
        """Return the dtype of input that this layer needs.

        Args:
            data_dtype: The dtype of the data; None if it is unknown.

        Returns:
            `"string"`, `"int64"`, or the dtype of a model's own input; None for Keras's default float type.
        """
        if isinstance(self.layer, keras.Model) and len(getattr(self.layer, "inputs", None) or ()) == 1:
            return keras.backend.standardize_dtype(self.layer.inputs[0].dtype)
        if issubclass(self.cls, _STRINGS) or (issubclass(self.cls, _HASHES) and data_dtype == "string"):
            return "string"
        is_integer = data_dtype is not None and "int" in data_dtype
        if issubclass(self.cls, _INTEGERS) and (is_integer or data_dtype is None):
            return "int64"
        if self.has_unknown_input or issubclass(self.cls, _ANY_NUMBERS):
            return "int64" if is_integer else ("string" if data_dtype == "string" else None)
        return None

    @property
    def takes_ids(self) -> bool:
        """Whether the layer looks up or hashes integers."""
        return issubclass(self.cls, _INTEGERS)


def first_layers(definition: Definition, inputs: Tensors, target: KerasTensor) -> list[FirstLayer]:
    """Return the layers that read `target`, without creating the other layers of the definition.

    Args:
        definition: The definition.
        inputs: Its symbolic input, or several.
        target: One of the inputs.

    Returns:
        The layers in the order in which the definition adds them; empty if none can be determined.
    """
    trace = _Trace([target])
    with _same_random_state(), contextlib.suppress(Exception):  # `build` raises the error with its path
        _Tracer(definition=definition, state=BuildState(), trace=trace).build_block(inputs)
    return trace.layers


@dataclass
class _Trace:
    """The tensors with the values of the target, and the layers that read them."""

    tensors: list[KerasTensor]
    layers: list[FirstLayer] = field(default_factory=list)

    def contains(self, x: Tensors) -> bool:
        return any(leaf is tensor for leaf in keras.tree.flatten(x) for tensor in self.tensors)


class _Tracer(Builder):
    """A builder that records the layers that read the target, and skips every other layer."""

    def __init__(self, path: str = "", *, definition: Definition, state: BuildState, trace: _Trace) -> None:
        super().__init__(path, definition=definition, state=state)
        self.trace = trace

    def child(self, name: str, definition: Definition) -> _Tracer:
        return _Tracer(self.qualified_name(name), definition=definition, state=self.state, trace=self.trace)

    def shared(self, definition: Definition) -> _Tracer:
        return _Tracer(self.path, definition=definition, state=self.state, trace=self.trace)

    def build_block(self, x: Tensors) -> Tensors:
        return self.definition.add(x, self) if self.trace.contains(x) else x

    def add_layer(
        self,
        x: Tensors,
        name: str,
        make: Callable[..., keras.layers.Layer],
        *args: Any,
        call_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        if not self.trace.contains(x):
            return _first_tensor(x)
        layer = make(*args, name=self.qualified_name(name), **kwargs)
        return self._visit(layer, x, is_instance=False, is_explicit=not isinstance(make, type))

    def call_layer(self, layer: Callable[..., Any], x: Tensors, call_kwargs: Mapping[str, Any] | None = None) -> Any:
        if not self.trace.contains(x) or not isinstance(layer, keras.layers.Layer):
            return _first_tensor(x)
        return self._visit(layer, x, is_instance=True, is_explicit=True)

    def _visit(self, layer: keras.layers.Layer, x: Tensors, *, is_instance: bool, is_explicit: bool) -> Tensors:
        """Record a layer that reads the target; a layer that only passes its values on is called instead."""
        if isinstance(layer, _SAME_VALUES):
            return x
        if isinstance(layer, _SAME_VALUES_RESHAPED):
            y = layer(x)
            self.trace.tensors.append(y)
            return y
        inner = layer.layer if isinstance(layer, layers.Wrapper) else layer
        fills_missing_values = getattr(self.definition, "fills_missing_values", False)
        first_layer = FirstLayer(type(inner), layer if is_instance else None, is_explicit, fills_missing_values)
        self.trace.layers.append(first_layer)
        return keras.KerasTensor(_first_tensor(x).shape)


def _first_tensor(x: Tensors) -> KerasTensor:
    return keras.tree.flatten(x)[0]


@contextlib.contextmanager
def _same_random_state() -> Iterator[None]:
    """Restore Python's random state, from which Keras draws a seed for each new layer."""
    random_state = random.getstate()
    try:
        yield
    finally:
        random.setstate(random_state)
