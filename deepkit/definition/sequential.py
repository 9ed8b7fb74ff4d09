"""`Sequential`, `Input` and `Shared`, and the conversion of Keras layers and lists to blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition import fields, keras_config
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.feature_space import FeatureSpaceInstance
from deepkit.definition.field_types import register_converters
from deepkit.definition.inputs import InputSpec, InputSpecs, is_shape
from deepkit.definition.keras_layer import LayerInstance, LayerTemplate, has_state
from deepkit.definition.objective import Objective, check_objective
from deepkit.definition.preprocessing import LOOKUPS
from deepkit.definition.rematerialization import add_rematerialized
from deepkit.utils.errors import format_value, message
from deepkit.utils.types import Shape

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Tensors


class Sequential(Block):
    """Blocks and Keras layers one after the other.

    A Keras layer without weights is a template: each use, and each build, creates a copy. A layer or model with
    weights is used as it is, so a trained model keeps its weights.

    Args:
        layers: Blocks, Keras layers, models, or lists of them.
        rematerialize: Whether the backward pass computes the activations of each element again instead of keeping
            them in memory. It takes more time and less memory; outputs, gradients and weights stay the same.
        name: Name of this block, and of the model if it is the whole model.

    Raises:
        TypeError: An element is not a block, a Keras layer or a list.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> net = dk.Sequential(
        ...     [dk.ConvStack(32), dk.Classifier(10, pool="avg")], name="small"
        ... )
        >>> net.build((28, 28, 1)).output_shape
        (None, 10)
    """

    layers: fields.Body = fields.body(is_list=True)
    _: KW_ONLY
    rematerialize: bool = fields.flag(default=False)

    def check(self) -> None:
        """Refuse an `Input` that is not the first element."""
        for i, element in enumerate(self.layers[1:], start=1):
            if isinstance(element, Input):
                raise DefinitionError(f"Sequential: layers[{i}] is {element!r}", hint="make it the first element")

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: the first element receives them."""
        return True

    @property
    def training_target(self) -> str:
        """The target of the element if there is only one, else `"labels"`."""
        return self.layers[0].training_target if len(self.layers) == 1 else "labels"

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the elements in order."""
        if self.rematerialize:
            return add_rematerialized(x, self.layers, builder)
        return builder.add_all(x, self.layers)

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input that the first element fixes."""
        return self.layers[0].input_spec() if self.layers else None

    def objective(self, output_shape: Any, label_shape: Any) -> Objective | None:
        """Return the objective of the last element."""
        if not self.layers:
            return None
        return check_objective(self.layers[-1].objective(output_shape, label_shape), self.layers[-1])

    def make_model(self, inputs: Tensors, outputs: Tensors, name: str) -> keras.Model:
        """Return the model of the last element."""
        if not self.layers:
            return super().make_model(inputs, outputs, name)
        return self.layers[-1].make_model(inputs, outputs, name)


class _ShapeField(fields.Field[Sequence[int | None], "Shape"]):
    example = "(28, 28, 1)"

    def validate(self, value: object, name: str) -> Shape:
        if not is_shape(value):
            raise DefinitionError(
                f"{name} must be a tuple of positive integers or None, received {format_value(value)}",
                hint="use dk.Input((28, 28, 1)), without the batch axis",
            )
        return tuple(None if n is None else int(n) for n in value)


class _DtypeField(fields.Field[Any, "str | None"]):
    def validate(self, value: object, name: str) -> str | None:
        if value is None:
            return None
        try:
            return keras.backend.standardize_dtype(value)
        except Exception as error:  # raised by Keras, or by the layer itself
            problem = f"{name} must be the name of a dtype, received {format_value(value)}"
            raise DefinitionError(problem, hint='use dtype="int32"') from error


class Input(Block):
    """The input of a model: as the first element of a `Sequential`, it fixes the input shape.

    Args:
        shape: Shape of one example, without the batch axis; `None` for an unknown size.
        dtype: Type of the values, such as `"int32"` for token ids; Keras's default float type if left out.
        batch_size: Fixed batch size, if one is needed.
        name: Name of the input.

    Raises:
        DefinitionError: The shape is not a tuple of positive integers or `None`.

    Examples:
        >>> import deepkit as dk
        >>> dk.Sequential(
        ...     [dk.Input((28, 28, 1)), dk.Classifier(10)]
        ... ).build().input_shape
        (None, 28, 28, 1)
    """

    shape: fields.Field[Sequence[int | None], Shape] = _ShapeField()
    _: KW_ONLY
    dtype: str | None = _DtypeField(default=None)  # type: ignore[assignment]
    batch_size: int | None = fields.integer(default=None)

    def add(self, x: KerasTensor, builder: Builder) -> KerasTensor:
        """Return the tensor, checked against the shape and dtype."""
        received = tuple(x.shape[1:])
        fits = len(received) == len(self.shape) and all(
            a is None or b is None or a == b for a, b in zip(received, self.shape, strict=True)
        )
        if not fits:
            raise builder.error(f"expected an input of shape {self.shape}, received {received}")
        if self.dtype is not None and keras.backend.standardize_dtype(x.dtype) != self.dtype:
            raise builder.error(f"expected an input of dtype {self.dtype}, received {x.dtype}")
        return x

    def input_spec(self) -> InputSpec:
        """Return the input that this block fixes."""
        return InputSpec(self.shape, self.dtype, self.batch_size, self.name)


class Shared(Block):
    """One set of weights used several times in a model, as in the two towers of a siamese network.

    Without `Shared`, a block used twice creates two sets of weights. The layers of a `Shared` are created once in a
    build, under the path of the first use, and every equal `Shared` in the build calls them again.

    Args:
        body: A block, a Keras layer or a list of them.
        name: Name of this block. Two `Shared` blocks with equal bodies and separate weights need two names.

    Raises:
        DefinitionError: It is called on a tensor, outside of a build, or its uses have inputs of different shapes.

    Examples:
        >>> import deepkit as dk
        >>> layer = dk.Shared(dk.MLP([8]), name="tower")
        >>> model = dk.Sequential([dk.MLP([8]), layer, layer]).build((8,))
        >>> model.count_params()  # two sets of 8 x 8 + 8, not three
        144
    """

    body: fields.Body = fields.body()

    @property
    def is_shared(self) -> bool:
        """True: equal `Shared` blocks of a build have one set of weights."""
        return True

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: the first element receives them."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the layers at the first use, and call the same ones afterwards."""
        if not builder.state.allows_shared:
            raise builder.error(
                "a Shared called on a tensor would make new weights at each call",
                hint="use tower = definition.build(input_shape), a model that can be called many times",
            )
        if builder.state.rematerializes:
            raise builder.error(
                "a Shared inside rematerialize=True would belong to several nested models, which Keras cannot load",
                hint="use rematerialize=False in the block around it",
            )
        return builder.shared(self).add_all(x, self.body)

    def objective(self, output_shape: Any, label_shape: Any) -> Objective | None:
        """Return the objective of the last element."""
        return as_element(list(self.body), "Shared").objective(output_shape, label_shape)


def as_element(value: object, name: str) -> Block:
    """Return a block, Keras layer, model or list of them as a block.

    Args:
        value: The user's value.
        name: The block and argument, for messages: `"Sequential: layers[2]"`.

    Raises:
        TypeError: The value is of another type.
    """
    if isinstance(value, Block):
        return value
    if isinstance(value, list | tuple):
        return Sequential(list(value))
    if isinstance(value, keras.utils.FeatureSpace):
        return FeatureSpaceInstance(value)
    if isinstance(value, keras.Sequential) and not has_state(value):
        return Sequential(list(value.layers), name=_user_name(value, value.name))
    if isinstance(value, keras.layers.Layer):
        if isinstance(value, keras.Model | keras.layers.Lambda) or has_state(value):
            return LayerInstance(value)  # Keras refuses to create a Lambda from a config
        return _template(value, name)
    if isinstance(value, type):
        problem, hint = f"the class {value.__name__}", f"use {value.__name__}(...), an instance"
    else:
        problem, hint = f"{type(value).__name__} {format_value(value)}", "use layers.Activation('relu') for a function"
    if isinstance(value, keras.KerasTensor):
        hint = "use dk.Input(shape) as the first element"
    problem = f"{name} must be a block, a Keras layer or a list of them, received {problem}"
    raise TypeError(message(problem, hint=hint))


def as_body(value: object, name: str) -> tuple[Block, ...]:
    """Return one element or a list of elements as a tuple of blocks."""
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(as_element(item, f"{name}[{i}]") for i, item in enumerate(items))


def single(body: Sequence[Any], name: str | None = None) -> Block:
    """Return a body as one block: its only element, or a `Sequential` of its elements."""
    return body[0] if len(body) == 1 and name is None else Sequential(list(body), name=name)


def _user_name(layer: keras.layers.Layer, name: str | None) -> str | None:
    """Return the name that the user gave, None if Keras generated one."""
    return None if name is None or keras_config.is_automatic_name(name, type(layer)) else name


def _template(layer: keras.layers.Layer, name: str) -> LayerTemplate:
    """Return the class and config of a layer; raise a `TypeError` if its config cannot be serialized."""
    if isinstance(layer, keras.layers.InputLayer):
        problem = f"{name} is a Keras InputLayer"
        raise TypeError(message(problem, hint="use dk.Input(shape) as the first element"))
    config = dict(layer.get_config())
    user_name = _user_name(layer, config.pop("name", None))
    if isinstance(layer, LOOKUPS) and config.get("vocabulary") is None:
        config.pop("vocabulary_size", None)  # Keras records that of an empty vocabulary, which a copy could not change
    try:
        return LayerTemplate(type(layer), keras_config.to_json(config), name=user_name)
    except TypeError as error:
        problem = f"{name}: the config of {type(layer).__name__} cannot be serialized: {error}"
        hint = "return plain values from get_config(), or register the objects with keras.saving"
        raise TypeError(message(problem, hint=hint)) from error


register_converters(as_element, as_body)
