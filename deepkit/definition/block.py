"""The definition as a value: `Block`, what it is built into, and what it asks to be trained with."""

from __future__ import annotations

import functools
import sys
from abc import ABCMeta, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

import keras

from deepkit.definition import masks as _masks
from deepkit.definition import source as code
from deepkit.definition.builder import Builder, BuildState
from deepkit.definition.errors import DefinitionError, check_name
from deepkit.definition.inputs import InputSpec, InputSpecs, make_input

# what the mappings of arguments are passed on to
_MAPPINGS = {
    "conv": keras.layers.Conv2D,
    "pointwise": keras.layers.Conv2D,
    "depthwise": keras.layers.DepthwiseConv2D,
    "dense": keras.layers.Dense,
    "rnn": keras.layers.LSTM,
    "text": keras.layers.TextVectorization,
}


@dataclass(frozen=True)
class Objective:
    """What a definition's head asks to be trained with.

    Args:
        loss: A Keras loss; a mapping of losses by the name of the output, where there are several.
        metrics: Keras metrics, or a mapping of them.
    """

    loss: Any
    metrics: Any = ()


class _Checked(ABCMeta):
    """Makes a misspelt argument an error that says what was meant."""

    def __call__(cls, /, *args: Any, **kwargs: Any) -> Any:
        """Check the arguments, and make the value."""
        check_arguments(cls, args, kwargs)
        return super().__call__(*args, **kwargs)


@dataclass(frozen=True, repr=False)
class Block(metaclass=_Checked):
    """A definition: a frozen value that describes layers and holds no weights.

    Blocks compare equal when they say the same, hash, and print as the code that makes them. `build` makes a
    `keras.Model` of one; calling one on a symbolic tensor adds stock Keras layers and returns a symbolic tensor.
    Building twice makes two sets of weights.

    Args:
        name: Name of this part of the model: letters, digits, `_` and `-`. Left out, it is the kind in snake
            case, numbered among its siblings: `conv_block2`.
    """

    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_name(self.name, type(self).__name__)

    @abstractmethod
    def add(self, x: Any, builder: Builder) -> Any:
        """Add this block's layers behind the symbolic tensor `x` at the place `builder`; return the output."""

    @property
    def default_name(self) -> str:
        """The name this block has when it is given none."""
        return code.snake(type(self).__name__)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Whether a list or mapping of tensors may come in."""
        return False

    @property
    def is_shared(self) -> bool:
        """Whether two equal ones in a build are one and the same part."""
        return False

    @property
    def training_target(self) -> str:
        """What the model learns to answer, which `fit` gives it in place of the data's labels.

        `"labels"`: what the data says. `"inputs"`: the inputs themselves, as for an autoencoder. `"none"`: nothing,
        for a model that finds its loss in the inputs.
        """
        return "labels"

    def build(self, input_shape: Any = None) -> keras.Model:
        """Make a model with weights of its own.

        Args:
            input_shape: Shape of one example, without the batch axis; `None` for an unknown size. May be left
                out when the first element fixes it: a `dk.Input`, or a model.

        Returns:
            A plain `keras.Model`. Layers are named by their place: `residual1.conv_block2.conv`.

        Raises:
            DefinitionError: The parts do not fit the input or one another; the message says where.

        Examples:
            >>> import deepkit as dk
            >>> model = dk.Sequential([dk.MLP([32]), dk.Classifier(10)]).build((28, 28, 1))
            >>> model.output_shape, model.count_params()
            ((None, 10), 25450)
        """
        entry = self.input_spec()
        if input_shape is not None:
            x = entry.with_shape(input_shape, self).tensor() if entry else make_input(input_shape, self)
        elif entry:
            x = entry.tensor()
        else:
            raise DefinitionError(
                f"{type(self).__name__}.build needs an input_shape: nothing in the definition fixes it",
                code=self,
                hint=".build((28, 28, 1)), the shape of one example without the batch axis",
            )
        builder = Builder(definition=self, state=BuildState())
        y = builder.build_block(x)
        _refuse_nested_sharing(builder)
        with _deep_recursion(builder.state.layers):
            return _masks.checked(keras.Model(x, y, name=self.name or self.default_name))

    def __call__(self, inputs: Any) -> Any:
        """Add the block's layers to a Keras graph.

        Args:
            inputs: A symbolic tensor: what `keras.Input` or a layer called on one returns.

        Returns:
            The symbolic output. The layers' names begin with the block's name, numbered as Keras numbers layers.
        """
        if not all(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(inputs)):
            raise DefinitionError(
                f"a definition was called on data ({type(inputs).__name__}); it holds no weights, they would be lost",
                code=self,
                hint="model = definition.build(input_shape), then model(x)",
            )
        name = self.name or f"{self.default_name}{keras.backend.get_uid(f'deepkit.{self.default_name}')}"
        return Builder(name, definition=self, state=BuildState(keeps_shared=False)).build_block(inputs)

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return what fixes the input, where the definition does."""
        return None

    def objective(self, outputs: Any, labels: Any) -> Objective | None:
        """Return fresh loss and metrics for the head of this definition, or None where it has no head.

        Args:
            outputs: The model's output shape, batch axis included; a mapping of shapes for several outputs.
            labels: Shape of the labels, batch axis included, or a mapping.
        """
        return None

    def __repr__(self) -> str:
        positional: list[str] = []
        named: dict[str, str] = {}
        left_out = False
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "name":
                continue
            if not is_required(item) and value == _default(item):
                left_out = True
            elif item.kw_only or left_out:
                named[item.name] = _code(value, body=item.metadata.get("body"))
            else:
                positional.append(_code(value, body=item.metadata.get("body")))
        if self.name:
            named["name"] = code.quoted(self.name)
        return code.call(f"dk.{type(self).__name__}", positional, named)


def _refuse_nested_sharing(builder: Builder) -> None:
    """Raise where a layer is used directly and inside a nested model, which Keras saves but cannot load."""
    fixed = list(builder.state.fixed.values())
    for outer in fixed:
        inside = {id(part) for part in _parts(outer)}
        for layer in fixed:
            if layer is not outer and (id(layer) in inside or inside & {id(p) for p in _parts(layer)}):
                raise builder.error(
                    f"{layer.name!r} shares layers with the model {outer.name!r} nested beside it; "
                    "Keras saves such a model to a file that it cannot load",
                    hint="one keras.Model that holds both uses, or keras.models.clone_model for a copy",
                )


def _parts(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    for part in getattr(layer, "layers", ()):
        yield part
        yield from _parts(part)


@contextmanager
def _deep_recursion(layers: int) -> Iterator[None]:
    """Let Keras walk a deep graph: it recurses from the output to the input, several frames a layer."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 1000 + 20 * layers))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def check_arguments(cls: type, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise where a block does not take what it is given.

    Raises:
        DefinitionError: An argument is misspelt, belongs to the Keras layer, or is given by position.
    """
    known = _arguments(cls)
    for key in kwargs:
        if key not in known:
            raise DefinitionError(f"{cls.__name__} takes no {key!r}{_meant(key, known)}")
    by_position = [name for name, item in known.items() if not item.kw_only]
    if len(args) > len(by_position):
        taken = f"{', '.join(by_position) or 'nothing'} by position, received {len(args)} values"
        raise DefinitionError(f"{cls.__name__} takes {taken}", hint="a list, or names for the others")


def is_required(item: Field[Any]) -> bool:
    """Tell whether an argument has no default."""
    return item.default is MISSING and item.default_factory is MISSING


@functools.cache
def _arguments(cls: type) -> dict[str, Field[Any]]:
    return {item.name: item for item in fields(cls)}


def _meant(key: str, known: Mapping[str, Any]) -> str:
    """Say where an argument belongs, or what it may be a slip of."""
    for name, layer in _MAPPINGS.items():
        if name in known and key in code.parameters(layer):
            return f", which is an argument of the Keras layer; say {name}={{{code.quoted(key)}: ...}}"
    return code.close(key, set(known))


def _default(item: Any) -> Any:
    return item.default if item.default is not MISSING else item.default_factory()


def _code(value: Any, *, body: str | None) -> str:
    if body == "one or many" and isinstance(value, tuple):
        return body_code(value)
    if body and isinstance(value, tuple):
        return code.sequence([code.quoted(item) for item in value])
    return code.quoted(value)


def body_code(body: tuple[Block, ...]) -> str:
    """Return the code of a body: one element as it is, several as a list."""
    return repr(body[0]) if len(body) == 1 else code.sequence([repr(item) for item in body])
