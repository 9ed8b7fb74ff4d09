"""The definition as a value: `Block`, and Keras layers and models as elements of one."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import keras

from deepkit import code
from deepkit.scope import Build, DefinitionError, Scope, check_name


@dataclass(frozen=True)
class Objective:
    """What a definition's head asks to be trained with.

    Args:
        loss: A Keras loss.
        metrics: Keras metrics.
    """

    loss: keras.losses.Loss
    metrics: tuple[keras.metrics.Metric, ...] = ()


@dataclass(frozen=True, repr=False)
class Block(ABC):
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
    def add(self, x: Any, scope: Scope) -> Any:
        """Add this block's layers behind the symbolic tensor `x` at the place `scope`; return the output."""

    @property
    def kind(self) -> str:
        """The name this block has when it is given none."""
        return code.snake(type(self).__name__)

    @property
    def shares(self) -> bool:
        """Whether two equal ones in a build are one and the same part."""
        return False

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
        entry = self.entry()
        if input_shape is not None:
            x = entry.with_shape(input_shape, self).tensor() if entry else _tensor(input_shape, self)
        elif entry:
            x = entry.tensor()
        else:
            raise DefinitionError(
                f"{type(self).__name__}.build needs an input_shape: nothing in the definition fixes it",
                code=repr(self),
                mend=".build((28, 28, 1)), the shape of one example without the batch axis",
            )
        scope = Scope(definition=self, build=Build())
        y = self.add(x, scope)
        _refuse_nested_sharing(scope)
        with _deep_recursion(scope.build.layers):
            return keras.Model(x, y, name=self.name or self.kind)

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
                code=repr(self),
                mend="model = definition.build(input_shape), then model(x)",
            )
        name = self.name or f"{self.kind}{keras.backend.get_uid(f'deepkit.{self.kind}')}"
        return self.add(inputs, Scope(name, definition=self, build=Build(keeps_shared=False)))

    def entry(self) -> Entry | None:
        """Return what fixes the input, where the definition does."""
        return None

    def objective(self, outputs: tuple[int | None, ...], labels: tuple[int | None, ...]) -> Objective | None:
        """Return fresh loss and metrics for the head of this definition, or None where it has no head.

        Args:
            outputs: The model's output shape, batch axis included.
            labels: Shape of the labels, batch axis included.
        """
        return None

    def __repr__(self) -> str:
        positional, named = [], {}
        for item in fields(self):
            value = getattr(self, item.name)
            required = item.default is MISSING and item.default_factory is MISSING
            if required and not item.kw_only:
                positional.append(_code(value, body=item.metadata.get("body")))
            elif item.name != "name" and (required or value != _default(item)):
                named[item.name] = _code(value, body=item.metadata.get("body"))
        if self.name:
            named["name"] = code.quoted(self.name)
        return code.call(f"dk.{type(self).__name__}", positional, named)


@dataclass(frozen=True)
class Entry:
    """What enters a model: a `keras.Input` to be made, or the input that a model already fixes."""

    shape: tuple[int | None, ...]
    dtype: str | None = None
    batch_size: int | None = None
    name: str | None = None

    def with_shape(self, shape: Any, owner: Block) -> Entry:
        """Return this entry, checked against a shape given to `build`."""
        if tuple(shape) != self.shape:
            raise DefinitionError(
                f"build received input_shape={tuple(shape)}, but the first element fixes {self.shape}",
                code=repr(owner),
                mend="leaving input_shape out",
            )
        return self

    def tensor(self) -> keras.KerasTensor:
        """Return a new symbolic input."""
        return keras.Input(self.shape, batch_size=self.batch_size, dtype=self.dtype, name=self.name)


@dataclass(frozen=True, repr=False)
class Template(Block):
    """A Keras layer without weights: its class and config, from which a fresh layer is made at each use.

    Args:
        cls: The layer's class.
        config: Canonical JSON of its config, without generated names and without the dtype of the moment.
        name: The name given to the layer, if one was.
    """

    cls: type[keras.layers.Layer]
    config: str

    @property
    def kind(self) -> str:
        """The class in Keras's snake case."""
        return code.snake(self.cls.__name__)

    def add(self, x: Any, scope: Scope) -> Any:
        """Call a fresh copy of the layer, named by its place."""
        copies = scope.build.uses[self]
        scope.build.uses[self] += 1
        return scope.add(x, "" if scope.path else self.name or self.kind, self._fresh, seed_shift=copies)

    def _fresh(self, *, name: str, seed_shift: int) -> keras.layers.Layer:
        config = json.loads(self.config)
        # a second layer with the seed of the first would drop the same units: each copy has its own
        return self.cls.from_config({**_shift_seeds(config, seed_shift), "name": name})

    def __repr__(self) -> str:
        return code.object_code(self.cls, json.loads(self.config), self.name)


@dataclass(frozen=True, eq=False, repr=False)
class Fixed(Block):
    """A Keras layer or model with weights or other fitted state: used as it is, and compared by identity."""

    layer: keras.layers.Layer

    @property
    def kind(self) -> str:
        """The layer's own name, which it keeps."""
        return self.layer.name

    def entry(self) -> Entry | None:
        """Return the input that a model already has."""
        inputs = getattr(self.layer, "inputs", None)
        if not isinstance(self.layer, keras.Model) or not inputs or len(inputs) != 1:
            return None
        return Entry(tuple(inputs[0].shape[1:]), inputs[0].dtype)

    def add(self, x: Any, scope: Scope) -> Any:
        """Call the layer itself."""
        name = self.layer.name
        if id(self.layer) not in scope.build.fixed and name in scope.build.names:
            raise scope.error(f"two layers of this model are named {name!r}", mend="another name for one of them")
        scope.build.fixed[id(self.layer)] = self.layer
        scope.build.names.add(name)
        return scope.call(self.layer, x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and self.layer is other.layer

    def __hash__(self) -> int:
        return id(self.layer)

    def __repr__(self) -> str:
        return f"<{type(self.layer).__name__} {self.layer.name!r} with its state>"


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
        return Fixed(value) if isinstance(value, keras.Model) or _has_state(value) else _template(value, owner)
    what = f"the class {value.__name__}" if isinstance(value, type) else f"{type(value).__name__} {value!r}"
    mend = (
        f"{value.__name__}(...), an instance" if isinstance(value, type) else "layers.Activation('relu') for a function"
    )
    if isinstance(value, keras.KerasTensor):
        mend = "dk.Input(shape) as the first element"
    raise TypeError(f"{owner} must be a block, a Keras layer or a list of them, received {what}\n  try {mend}")


def as_body(value: Any, owner: str) -> tuple[Block, ...]:
    """Return what a block takes as its body, one element or a list of them, as a tuple of definitions."""
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(as_element(item, f"{owner}[{i}]") for i, item in enumerate(items))


def _sequence(items: Sequence[Any], name: str | None = None) -> Block:
    from deepkit.block import Sequential

    return Sequential(list(items), name=name)


def _given_name(layer: keras.layers.Layer, name: str | None) -> str | None:
    """Return the name that a person gave, None where Keras made one."""
    return None if name is None or code.is_auto_name(name, type(layer)) else name


def _template(layer: keras.layers.Layer, owner: str) -> Block:
    config = dict(layer.get_config())
    given = _given_name(layer, config.pop("name", None))
    if isinstance(layer, keras.layers.Lambda):
        return Fixed(layer)  # Keras makes no second Lambda from a config, and it has no weights to share
    if isinstance(layer, keras.layers.InputLayer):
        raise TypeError(f"{owner} is a Keras InputLayer\n  try dk.Input(shape) as the first element")
    try:
        return Template(type(layer), code.to_json(config), name=given)
    except TypeError as error:
        raise TypeError(
            f"{owner}: the config of {type(layer).__name__} cannot be kept: {error}\n"
            "  try get_config() with plain values, or register the objects with keras.saving"
        ) from error


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


def _tensor(shape: Any, owner: Block) -> keras.KerasTensor:
    if not isinstance(shape, list | tuple) or not all(
        n is None or (isinstance(n, int) and not isinstance(n, bool) and n > 0) for n in shape
    ):
        raise DefinitionError(
            f"build: input_shape must be a tuple of positive integers or None, received {shape!r}",
            code=repr(owner),
            mend=".build((28, 28, 1)), the shape of one example without the batch axis",
        )
    return keras.Input(tuple(shape))


def _refuse_nested_sharing(scope: Scope) -> None:
    """Raise where a layer is used directly and inside a nested model, which Keras saves but cannot load."""
    fixed = list(scope.build.fixed.values())
    for outer in fixed:
        inside = {id(part) for part in _parts(outer)}
        for layer in fixed:
            if layer is not outer and (id(layer) in inside or inside & {id(p) for p in _parts(layer)}):
                raise scope.error(
                    f"{layer.name!r} shares layers with the model {outer.name!r} nested beside it; "
                    "Keras saves such a model to a file that it cannot load",
                    mend="one keras.Model that holds both uses, or keras.models.clone_model for a copy",
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


def _default(item: Any) -> Any:
    return item.default if item.default is not MISSING else item.default_factory()


def _code(value: Any, *, body: str | None) -> str:
    if body and isinstance(value, tuple):
        if len(value) == 1 and body == "one or many" and not isinstance(value[0], list | tuple):
            return repr(value[0])
        return code.sequence([code.quoted(item) for item in value])
    return code.quoted(value)
