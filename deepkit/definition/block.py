"""`Block`, the base class of all definitions."""

from __future__ import annotations

import functools
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY
from dataclasses import fields as dataclass_fields
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition import fields, source
from deepkit.definition.block_type import BlockType, block_name, field_of
from deepkit.definition.builder import Builder, BuildState
from deepkit.definition.errors import DefinitionError, check_default_name
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.keras_config import snake_case
from deepkit.definition.model_members import missing_member
from deepkit.definition.objective import Objective
from deepkit.definition.protocol import DefinitionBase
from deepkit.definition.symbolic_inputs import find_input_spec, make_inputs
from deepkit.utils.display import Displayable

if TYPE_CHECKING:
    from deepkit.definition.preprocessing import Adapter
    from deepkit.utils.types import Shape, Tensors


class Block(DefinitionBase, Displayable, metaclass=BlockType):
    """A definition: a frozen value that describes layers and holds no weights.

    Blocks are compared by value, hashed, and printed as the code that makes them. `build` returns a `keras.Model`;
    calling a block on a symbolic tensor adds stock Keras layers and returns a symbolic tensor. Every build
    creates new weights.

    To write a block, list its arguments as fields and implement `add`; see the page "Writing a block". A subclass is
    a frozen dataclass without a decorator.

    Args:
        name: Name of this block in the names of its layers: letters, digits, `_` and `-`. By default the class name in
            snake case, numbered among its siblings: `conv_block2`.

    Raises:
        DefinitionError: A field refuses its argument, `check` refuses the arguments together, or the name has other
            characters.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Scale(dk.Block):
        ...     units: int = dk.fields.integer()
        ...
        ...     def add(self, x, builder):
        ...         return builder.add_layer(
        ...             x, "dense", layers.Dense, self.units, use_bias=False
        ...         )
        >>> Scale(4).build((3,)).count_params()
        12
    """

    _: KW_ONLY
    name: str | None = fields.name_field()

    def __post_init__(self) -> None:
        if type(self).default_name is not Block.default_name and not self.is_keras_layer:
            check_default_name(self.default_name, self)
        self.check()

    def check(self) -> None:
        """Raise a `DefinitionError` if arguments contradict one another; the fields have validated each one before."""

    @abstractmethod
    def add(self, x: Any, builder: Builder) -> Tensors:
        """Add the layers of this block after `x`.

        Args:
            x: The input: one symbolic tensor, or several if `accepts_multiple_inputs`.
            builder: Adds layers and blocks under dotted names: `builder.add_layer(x, "dense", layers.Dense, 8)`.

        Returns:
            The output: one symbolic tensor, or several.
        """

    @property
    def default_name(self) -> str:
        """Name of this block if `name` is None: by default the class name in snake case.

        A subclass may replace it by another name in snake case.
        """
        return snake_case(type(self).__name__)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Whether the input may be a list or mapping of tensors."""
        return False

    @property
    def fills_missing_values(self) -> bool:
        """Whether NaN in the input is a missing value, which this block replaces; `fit` refuses NaN otherwise."""
        return False

    @property
    def is_shared(self) -> bool:
        """Whether equal blocks in one build share one set of weights."""
        return False

    @property
    def is_keras_layer(self) -> bool:
        """Whether this is a Keras layer of the user, which may lose the mask of its input with Keras's warning.

        A layer that a block adds may not: it raises a `DefinitionError`.
        """
        return False

    @property
    def training_target(self) -> str:
        """The targets that `fit` trains the model on.

        `"labels"`: the labels of the data. `"inputs"`: the inputs themselves, as for an autoencoder. `"none"`:
        nothing, for a model whose loss depends on the inputs only.
        """
        return "labels"

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input that this definition fixes, or None."""
        return None

    def objective(self, output_shape: Any, label_shape: Any) -> Objective | None:
        """Return a new loss and metrics for the head of this definition, or None if it has no head.

        Args:
            output_shape: Shape of the model's output with the batch axis; a mapping of shapes for several outputs.
            label_shape: Shape of the labels with the batch axis, or a mapping.
        """
        return None

    def build(self, input_shape: Shape | Mapping[str, Shape] | None = None) -> keras.Model:
        """Return a Keras model with new weights.

        Args:
            input_shape: Shape of one example, without the batch axis; `None` for an unknown size. May be left out
                if the first element fixes it: a `dk.Input`, or a model.

        Returns:
            A plain `keras.Model`. Layers are named by their path: `residual1.conv_block2.conv`.

        Raises:
            DefinitionError: A layer does not fit its input, or a preprocessing layer such as `Normalization` is not
                adapted; the message contains the path of the layer.

        Examples:
            >>> import deepkit as dk
            >>> model = dk.Sequential([dk.MLP([32]), dk.Classifier(10)]).build((28, 28, 1))
            >>> model.output_shape, model.count_params()
            ((None, 10), 25450)
        """
        spec = find_input_spec(self, input_shape)
        try:
            x = make_inputs(self, spec)
            return self.build_from(x, x)
        except DefinitionError as error:
            hint = "" if self.input_spec() is not None else _batch_axis_hint(self, spec)
            if not hint:
                raise
            hint = f"{hint}; otherwise {error.hint}" if error.hint else hint
            raise DefinitionError(error.problem, path=error.path, code=error.code, hint=hint) from error

    def build_from(self, inputs: Tensors, x: Tensors, *, adapter: Adapter | None = None) -> keras.Model:
        """Return a Keras model with new weights, from symbolic inputs of your own.

        Args:
            inputs: The inputs of the model.
            x: The input of this definition: `inputs`, or the output of layers that preprocess them.
            adapter: Called with the inputs and each use of a preprocessing layer before the layer is called, to adapt
                it; None to raise an error if a layer is not adapted.

        Raises:
            DefinitionError: A layer does not fit its input; the message contains the path of the layer.

        Examples:
            >>> import deepkit as dk
            >>> import keras
            >>> images = keras.Input((28, 28, 1))
            >>> model = dk.Classifier(10).build_from(
            ...     images, keras.layers.Rescaling(1 / 255)(images)
            ... )
            >>> [layer.name for layer in model.layers][-2:]
            ['flatten', 'dense']
        """
        adapt = None if adapter is None else functools.partial(adapter, inputs)
        builder = Builder(definition=self, state=BuildState(adapter=adapt))
        y = builder.build_block(x)
        _refuse_nested_sharing(builder)
        with _deep_recursion(builder.state.num_layers):
            return self.make_model(inputs, y, self.name or self.default_name)

    def make_model(self, inputs: Tensors, outputs: Tensors, name: str) -> keras.Model:
        """Return the model of a symbolic graph that ends in this definition.

        A block that is trained by its own rule overrides it, and returns an instance of a subclass of `keras.Model`.

        Args:
            inputs: The inputs of the model.
            outputs: The outputs of this definition.
            name: Name of the model.
        """
        return keras.Model(inputs, outputs, name=name)

    def __call__(self, inputs: Tensors) -> Any:
        """Add the layers of this block to a Keras graph.

        Args:
            inputs: A symbolic tensor, as `keras.Input` or a call of a layer returns it; or several.

        Returns:
            The symbolic output. Names of layers begin with the block's name, numbered as Keras numbers layers.

        Raises:
            DefinitionError: The input is data instead of a symbolic tensor, or a layer does not fit its input.
        """
        if not all(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(inputs)):
            raise DefinitionError(
                f"a definition was called on data ({type(inputs).__name__}); it holds no weights",
                code=self,
                hint="use model = definition.build(input_shape), then model(x)",
            )
        name = self.name or f"{self.default_name}{keras.backend.get_uid(f'deepkit.{self.default_name}')}"
        return Builder(name, definition=self, state=BuildState(allows_shared=False)).build_block(inputs)

    if not TYPE_CHECKING:  # type checkers would accept every attribute

        def __getattr__(self, name: str) -> Any:
            error = missing_member(self, name)
            if error is not None:
                raise error
            return object.__getattribute__(self, name)  # raises Python's error, or that of a property

    def __repr__(self) -> str:
        positional: list[str] = []
        named: dict[str, str] = {}
        skipped = False
        for item in dataclass_fields(self):
            if item.name == "name":
                continue
            field, value = field_of(type(self), item.name), getattr(self, item.name)
            if field.is_default(value):
                skipped = True
            elif item.kw_only or skipped:
                named[item.name] = field.to_source(value)
            else:
                positional.append(field.to_source(value))
        if self.name:
            named["name"] = source.quoted(self.name)
        return source.call(block_name(type(self)), positional, named)


def _batch_axis_hint(definition: Block, spec: InputSpec | InputSpecs) -> str:
    """Return a hint if a definition cannot be built for a shape, but for the shape without its first axis.

    The first axis may be the batch axis if it is None, or if there are four axes, as of a batch of images.
    """
    shape = spec.shape if isinstance(spec, InputSpec) else ()
    if len(shape) < 2 or (shape[0] is not None and len(shape) < 4):
        return ""
    try:
        x = make_inputs(definition, InputSpec(shape[1:]))
        definition.build_from(x, x)
    except Exception:  # the error for the whole shape is the one to raise
        return ""
    axis = "None is the batch axis" if shape[0] is None else f"{shape[0]:,} is the batch size"
    return f"if {axis}, leave it out with .build({shape[1:]})"


def _refuse_nested_sharing(builder: Builder) -> None:
    """Raise if a layer is used directly and inside a nested model, which Keras saves but cannot load."""
    instances = list(builder.state.instances.values())
    for outer in instances:
        nested_ids = {id(layer) for layer in _nested_layers(outer)}
        for layer in instances:
            if layer is outer:
                continue
            if id(layer) in nested_ids or nested_ids & {id(nested) for nested in _nested_layers(layer)}:
                raise builder.error(
                    f"{layer.name!r} shares layers with the model {outer.name!r} nested beside it; "
                    "Keras saves such a model to a file that it cannot load",
                    hint="use one keras.Model that holds both, or keras.models.clone_model for a copy",
                )


def _nested_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a model and of the models nested in it; nothing for any other layer."""
    for nested in getattr(layer, "layers", ()):
        yield nested
        yield from _nested_layers(nested)


@contextmanager
def _deep_recursion(num_layers: int) -> Iterator[None]:
    """Increase Python's recursion limit: Keras recurses from the output to the input, several frames per layer."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 1000 + 20 * num_layers))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
