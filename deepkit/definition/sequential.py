"""The values everything is composed of: `Sequential`, `Input` and `Shared`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from deepkit.definition import source as code
from deepkit.definition.block import Block, Objective
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.keras_layer import LayerInstance, LayerTemplate, _has_state

__all__ = ["Block", "DefinitionError", "Input", "Objective", "Sequential", "Shared"]


@dataclass(frozen=True, repr=False)
class Sequential(Block):
    """Blocks and Keras layers one after the other.

    A Keras layer without weights is a template: each use, and each build, makes a fresh one. A layer or model
    with weights is used as it is, so a trained part stays trained.

    Args:
        layers: Blocks, Keras layers, models, or lists of them.
        name: Name of this part, and of the model when it is the whole.

    Raises:
        TypeError: An element is none of these.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> net = dk.Sequential([dk.ConvStack(32), dk.Classifier(10, pool="avg")], name="small")
        >>> net.build((28, 28, 1)).output_shape
        (None, 10)
    """

    layers: Sequence[Any] = field(metadata={"body": "many"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.layers, list | tuple):
            raise TypeError(
                f"Sequential takes a list, received {type(self.layers).__name__}\n  hint: dk.Sequential([...])"
            )
        object.__setattr__(self, "layers", as_body(self.layers, "Sequential: layers"))
        for i, element in enumerate(self.layers[1:], start=1):
            if isinstance(element, Input):
                raise DefinitionError(f"Sequential: layers[{i}] is {element!r}", hint="it as the first element")

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Several tensors go to the first element."""
        return True

    @property
    def training_target(self) -> str:
        """A single element says what it learns to answer."""
        return self.layers[0].training_target if len(self.layers) == 1 else "labels"

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the elements in order."""
        return builder.add_all(x, self.layers)

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return what the first element fixes."""
        return self.layers[0].input_spec() if self.layers else None

    def objective(self, outputs: Any, labels: Any) -> Objective | None:
        """Ask the last element."""
        return self.layers[-1].objective(outputs, labels) if self.layers else None


@dataclass(frozen=True, repr=False)
class Input(Block):
    """What enters a model: as the first element of a `Sequential`, it fixes the input shape.

    Args:
        shape: Shape of one example, without the batch axis; `None` for an unknown size.
        dtype: Type of the values, such as `"int32"` for token ids; Keras's default float type if left out.
        batch_size: Fixed batch size, where one is needed.
        name: Name of the input.

    Raises:
        DefinitionError: The shape is not a tuple of positive integers or `None`.

    Examples:
        >>> import deepkit as dk
        >>> dk.Sequential([dk.Input((28, 28, 1)), dk.Classifier(10)]).build().input_shape
        (None, 28, 28, 1)
    """

    shape: Sequence[int | None]
    dtype: str | None = field(default=None, kw_only=True)
    batch_size: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = self.shape
        if not isinstance(shape, list | tuple) or any(
            n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 1) for n in shape
        ):
            raise DefinitionError(
                f"Input: shape must be a tuple of positive integers or None, received {shape!r}",
                hint="dk.Input((28, 28, 1)), without the batch axis",
            )
        object.__setattr__(self, "shape", tuple(shape))
        object.__setattr__(self, "dtype", _dtype(self.dtype))
        if self.batch_size is not None and (type(self.batch_size) is not int or self.batch_size < 1):
            raise DefinitionError(f"Input: batch_size must be a positive integer, received {self.batch_size!r}")

    def add(self, x: Any, builder: Builder) -> Any:
        """Pass the tensor on, checked against the shape and type declared here."""
        received = tuple(x.shape[1:])
        fits = len(received) == len(self.shape) and all(
            a is None or b is None or a == b for a, b in zip(received, self.shape, strict=False)
        )
        if not fits:
            raise builder.error(f"expected an input of shape {tuple(self.shape)}, received {received}")
        if self.dtype is not None and keras.backend.standardize_dtype(x.dtype) != self.dtype:
            raise builder.error(f"expected an input of type {self.dtype}, received {x.dtype}")
        return x

    def input_spec(self) -> InputSpec:
        """Return what this input fixes."""
        return InputSpec(tuple(self.shape), self.dtype, self.batch_size, self.name)


def _dtype(dtype: Any) -> str | None:
    """Return the name of a type of values."""
    if dtype is None:
        return None
    try:
        return keras.backend.standardize_dtype(dtype)
    except (ValueError, TypeError) as error:
        raise DefinitionError(
            f"Input: dtype must be the name of a type, received {dtype!r}", hint='dtype="int32"'
        ) from error


@dataclass(frozen=True, repr=False)
class Shared(Block):
    """One set of weights used at several places of a model, as in the two towers of a siamese network.

    Values never share weights: a block used twice makes two sets. Wrapped in `Shared`, its layers are added once
    in a build, under the name of the first place, and every equal `Shared` in the build uses them again.

    Args:
        body: A block, a Keras layer or a list of them.
        name: Name of the tower. Two towers of the same body with weights of their own need two names.

    Examples:
        >>> import deepkit as dk
        >>> layer = dk.Shared(dk.MLP([8]), name="tower")
        >>> model = dk.Sequential([dk.MLP([8]), layer, layer]).build((8,))
        >>> model.count_params()  # two sets of 8 x 8 + 8, not three
        144
    """

    body: Any = field(metadata={"body": "one or many"})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "body", as_body(self.body, "Shared: body"))

    @property
    def is_shared(self) -> bool:
        """Equal ones are one part."""
        return True

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Several tensors go to the first element."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the layers at the first use, and call the same ones afterwards."""
        if not builder.state.keeps_shared:
            raise builder.error(
                "a Shared called by hand would make new weights at each call",
                hint="tower = definition.build(input_shape), a model that may be called many times",
            )
        return builder.shared(self).add_all(x, self.body)

    def objective(self, outputs: Any, labels: Any) -> Objective | None:
        """Ask the last element."""
        return as_element(list(self.body), "Shared").objective(outputs, labels)


def as_element(value: Any, owner: str) -> Block:
    """Return a block, Keras layer, model or list of them as a definition.

    Args:
        value: What the user gave.
        owner: The block and argument it was given to, for errors: `"Sequential: layers[2]"`.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(value, Block):
        return value
    if isinstance(value, list | tuple):
        return _sequence(value)
    if isinstance(value, keras.Sequential) and not _has_state(value):
        return _sequence(value.layers, _given_name(value, value.name))
    if isinstance(value, keras.layers.Layer):
        return LayerInstance(value) if isinstance(value, keras.Model) or _has_state(value) else _template(value, owner)
    what = f"the class {value.__name__}" if isinstance(value, type) else f"{type(value).__name__} {value!r}"
    hint = (
        f"{value.__name__}(...), an instance" if isinstance(value, type) else "layers.Activation('relu') for a function"
    )
    if isinstance(value, keras.KerasTensor):
        hint = "dk.Input(shape) as the first element"
    raise TypeError(f"{owner} must be a block, a Keras layer or a list of them, received {what}\n  hint: {hint}")


def as_body(value: Any, owner: str) -> tuple[Block, ...]:
    """Return what a block takes as its body, one element or a list of them, as a tuple of definitions."""
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(as_element(item, f"{owner}[{i}]") for i, item in enumerate(items))


def _sequence(items: Sequence[Any], name: str | None = None) -> Block:
    return Sequential(list(items), name=name)


def _given_name(layer: keras.layers.Layer, name: str | None) -> str | None:
    """Return the name that a person gave, None where Keras made one."""
    return None if name is None or code.is_auto_name(name, type(layer)) else name


def _template(layer: keras.layers.Layer, owner: str) -> Block:
    config = dict(layer.get_config())
    given = _given_name(layer, config.pop("name", None))
    if isinstance(layer, keras.layers.Lambda):
        return LayerInstance(layer)  # Keras makes no second Lambda from a config, and it has no weights to share
    if isinstance(layer, keras.layers.InputLayer):
        raise TypeError(f"{owner} is a Keras InputLayer\n  hint: dk.Input(shape) as the first element")
    try:
        return LayerTemplate(type(layer), code.to_json(config), name=given)
    except TypeError as error:
        raise TypeError(
            f"{owner}: the config of {type(layer).__name__} cannot be kept: {error}\n"
            "  hint: get_config() with plain values, or register the objects with keras.saving"
        ) from error
