"""The builder: adds the layers of a definition to a model under dotted names, and raises errors with the path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition.category_ids import category_id_problem
from deepkit.definition.errors import DefinitionError, first_line, shape_text
from deepkit.definition.layer_checks import error_problem, input_problem
from deepkit.definition.masks import mask_problem
from deepkit.definition.preprocessing import HINT, Use, unadapted_layers, uses
from deepkit.definition.protocol import Definition, DefinitionBase
from deepkit.utils.errors import format_value

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Tensors

MAX_BLOCKS = 100_000  # minutes of building; more is a mistake


@dataclass
class BuildState:
    """State that all builders of one build share."""

    copies: Counter[Definition] = field(default_factory=Counter)  # how often each layer template was copied
    shared: dict[Definition, Builder] = field(default_factory=dict)  # the builder of the first use of each `Shared`
    instances: dict[int, keras.layers.Layer] = field(default_factory=dict)  # layers and models used as they are
    names: set[str] = field(default_factory=set)  # of all layers so far
    num_layers: int = 0
    num_blocks: int = 0
    allows_shared: bool = True  # False for a block called on a tensor, as each call creates new weights
    rematerializes: bool = False  # True inside a nested model, whose layers cannot be shared
    adapter: Callable[[Use], None] | None = None  # adapts preprocessing layers; None if they must be adapted


class Builder:
    """Adds the layers of one block to a model under dotted names; the method `add` of a block receives one.

    Args:
        path: Dotted name of the block; empty at the top of a model.
        definition: The block.
        state: State of the whole build.
        cache: The layers of a `Shared` by name; None outside of one.
        reuse: Whether to call the layers in the cache instead of creating new ones.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> class Gate(dk.Block):
        ...     units: int = dk.fields.integer()
        ...
        ...     def add(self, x, builder):
        ...         x = builder.require_single(x, "Gate: expected one tensor, received")
        ...         values = builder.add_layer(x, "values", layers.Dense, self.units)
        ...         gate = builder.add_layer(
        ...             x, "gate", layers.Dense, self.units, activation="sigmoid"
        ...         )
        ...         return builder.add_layer([values, gate], "product", layers.Multiply)
        >>> model = dk.Sequential([Gate(4), dk.Classifier(3)]).build((8,))
        >>> [layer.name for layer in model.layers[1:]]
        ['gate.values', 'gate.gate', 'gate.product', 'classifier.dense']
    """

    def __init__(
        self,
        path: str = "",
        *,
        definition: Definition,
        state: BuildState,
        cache: dict[str, keras.layers.Layer] | None = None,
        reuse: bool = False,
    ) -> None:
        self.path, self.definition, self.state, self.cache, self.reuse = path, definition, state, cache, reuse
        self.shared_layers: dict[str, keras.layers.Layer] = {}  # created by a `Shared` with this path

    def qualified_name(self, name: str) -> str:
        """Return the dotted name of a layer or block inside this block.

        Args:
            name: Name within the block; the path itself for an empty name.
        """
        return ".".join(segment for segment in (self.path, name) if segment)

    def child(self, name: str, definition: Definition) -> Builder:
        """Return the builder of a block inside this one."""
        path = self.qualified_name(name)
        return Builder(path, definition=definition, state=self.state, cache=self.cache, reuse=self.reuse)

    def shared(self, definition: Definition) -> Builder:
        """Return the builder of a `Shared`: it has the path of the first use, and the layers created there."""
        first = self.state.shared.setdefault(definition, self)
        return Builder(
            first.path,
            definition=definition,
            state=self.state,
            cache=first.shared_layers,
            reuse=first is not self,
        )

    def build_block(self, x: Tensors) -> Tensors:
        """Add this builder's block after `x`; raise an error if it takes one tensor and receives several."""
        if not self.definition.accepts_multiple_inputs:
            self.require_single(x, "expected one tensor, received")
        y = self.definition.add(x, self)
        leaves = keras.tree.flatten(y)
        if not leaves or not all(isinstance(leaf, keras.KerasTensor) for leaf in leaves):
            raise self.error(f"add must return a symbolic tensor, received {format_value(y)}", hint="return the output")
        return y

    def add_block(self, name: str, definition: Definition, x: Tensors) -> Tensors:
        """Add a block under a name and return its output.

        Args:
            name: Name of the block within this one.
            definition: The block.
            x: Its input: one symbolic tensor, or several for a block that accepts them.

        Raises:
            DefinitionError: An argument has another type, or the block does not fit the input.
        """
        if not isinstance(name, str) or not isinstance(definition, DefinitionBase):
            raise self.error(
                f"add_block takes a name, a block and its input, received {format_value(name)} and "
                f"{format_value(definition)}",
                hint='use builder.add_block("name", block, x), or builder.add_layer(x, "name", layers.Dense, 8)',
            )
        self.state.num_blocks += 1
        if self.state.num_blocks > MAX_BLOCKS:
            raise self.error(f"the model has more than {MAX_BLOCKS:,} blocks", hint="use fewer repetitions")
        return self.child(name, definition).build_block(x)

    def add_all(self, x: Tensors, definitions: Sequence[Definition], *, reserved: Iterable[str] = ()) -> Tensors:
        """Add blocks one after the other and return the last output.

        Args:
            x: The input of the first block.
            definitions: The blocks, such as the value of a field `fields.body()`.
            reserved: Names of siblings that are added separately.

        Raises:
            DefinitionError: `definitions` is not a list of blocks, two siblings have one name, or a block does not fit.
        """
        if not isinstance(definitions, list | tuple) or not all(isinstance(d, DefinitionBase) for d in definitions):
            raise self.error(
                f"add_all takes a list of blocks, received {format_value(definitions)}",
                hint="declare a body as fields.body(), which converts layers to blocks, and pass self.body",
            )
        for name, definition in zip(self.sibling_names(definitions, reserved), definitions, strict=True):
            x = self.add_block(name, definition, x)
        return x

    def require_single(self, x: Tensors, problem: str) -> KerasTensor:
        """Return `x` if it is a single tensor.

        Args:
            x: One symbolic tensor, or several.
            problem: Beginning of the message, followed by the number of tensors: `"expected one tensor, received"`.

        Raises:
            DefinitionError: There are several tensors.
        """
        if isinstance(x, keras.KerasTensor):
            return x
        raise self.error(f"{problem} {len(x)}: {shape_text(x)}", hint="add dk.Merge() after them")

    def add_layer(
        self,
        x: Tensors,
        name: str,
        make: Callable[..., keras.layers.Layer],
        *args: Any,
        call_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Create a Keras layer under a dotted name, call it on `x` and return its output.

        Args:
            x: One symbolic tensor, or several.
            name: Name of the layer within the block.
            make: The layer class, or a function with an argument `name` that returns a layer.
            args: Positional arguments of the layer.
            call_kwargs: Further arguments of the call, such as `{"initial_state": [h, c]}`.
            kwargs: Keyword arguments of the layer.

        Raises:
            DefinitionError: The name is in use, or Keras refuses the arguments or the input.
        """
        if not isinstance(name, str) or isinstance(make, keras.layers.Layer) or not callable(make):
            raise self.error(
                f"add_layer takes a name and a layer class, received {format_value(name)} and {format_value(make)}",
                hint='use builder.add_layer(x, "dense", layers.Dense, 8)',
            )
        full_name = self.qualified_name(name)
        if self.reuse:
            return self.call_layer(self._cached(full_name), x, call_kwargs)
        if full_name in self.state.names:
            raise self.error(f"another layer of this model has the name {full_name!r}", hint="pass another name=")
        try:
            layer = make(*args, name=full_name, **kwargs)
        except DefinitionError:
            raise
        except Exception as error:  # Keras raises many kinds; all mean that an argument is wrong
            raise self.error(_creation_problem(full_name, kwargs, error)) from error
        self.state.names.add(full_name)
        self.state.num_layers += 1
        if self.cache is not None:
            self.cache[full_name] = layer
        return self.call_layer(layer, x, call_kwargs)

    def call_layer(self, layer: Callable[..., Any], x: Tensors, call_kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call a layer on `x` and return its output; convert an error of Keras to a `DefinitionError` with this path.

        Args:
            layer: A Keras layer, or another function of symbolic tensors.
            x: One symbolic tensor, or several.
            call_kwargs: Further arguments of the call, such as `{"initial_state": [h, c]}`.

        Raises:
            DefinitionError: The layer does not fit the input, loses the mask of a sequence, or reads ids as numbers.
        """
        if isinstance(layer, keras.layers.Layer):
            problem = input_problem(layer, x) or category_id_problem(layer, x)
            if problem is None and not self.definition.is_keras_layer:
                problem = mask_problem(layer, x)
            if problem is not None:
                raise self.error(problem.text, hint=problem.hint)
            self.adapt(layer, x)
        try:
            return layer(x, **(call_kwargs or {}))
        except DefinitionError:
            raise
        except Exception as error:  # Keras raises many kinds; all mean that the layer does not fit
            if isinstance(layer, keras.layers.Layer):
                problem = error_problem(layer, error)
                if problem is not None:
                    raise self.error(problem.text, hint=problem.hint) from error
            raise self.error(f"{first_line(error)} (received {shape_text(x)})") from error

    def adapt(self, layer: keras.layers.Layer, x: Tensors, *, name: str = "", hint: str = HINT) -> None:
        """Adapt the preprocessing layers in a layer to the data that reaches it; raise an error if `build` cannot.

        Args:
            layer: The layer, before it is called on `x`.
            x: Its symbolic input.
            name: The name of the layer in messages; that of the layer itself by default.
            hint: The hint of the error for a layer that is not adapted.

        Raises:
            DefinitionError: This build does not adapt, and the layer has no vocabulary, statistics or bin boundaries.
        """
        if self.state.adapter is not None:
            for use in uses(layer, x, name or layer.name):
                self.state.adapter(use)
            return
        if self.state.rematerializes:
            hint = "put it before the block with rematerialize=True, or call layer.adapt(data) first"
        # a layer that raises an error when it is called without a vocabulary may be adapted after the build
        pending = [item for item in unadapted_layers(layer) if not getattr(item, "raises_without_vocabulary", False)]
        if pending:
            cls = type(pending[0]).__name__
            inside = "" if pending[0] is layer else f" in the {type(layer).__name__} {layer.name!r}"
            raise self.error(f"{cls}{inside} is not adapted: it has {_missing_state(pending[0])} yet", hint=hint)

    def error(self, problem: str, *, hint: str = "") -> DefinitionError:
        """Return (not raise) an error with this builder's path and code.

        Args:
            problem: The received value and the expected one.
            hint: How to fix it, as an imperative; empty for none.
        """
        return DefinitionError(problem, path=self.path, code=self.definition, hint=hint)

    def sibling_names(self, definitions: Sequence[Definition], reserved: Iterable[str] = ()) -> list[str]:
        """Return a name for each block: its `name`, or its default name, numbered from 1 among several of a kind.

        Equal `Shared` blocks get the name of the first one.
        """
        first_use = [definitions.index(d) if d.is_shared else i for i, d in enumerate(definitions)]
        distinct = [d for i, d in enumerate(definitions) if first_use[i] == i]
        used_names = Counter([*(d.name for d in distinct if d.name), *reserved])
        for name, count in used_names.items():
            if count > 1:
                raise self.error(f"two siblings have the name {name!r}", hint="pass another name= to one of them")
        counts = Counter(d.default_name for d in distinct if not d.name)
        numbers: Counter[str] = Counter()
        names: list[str] = []
        for i, definition in enumerate(definitions):
            if first_use[i] < i:
                names.append(names[first_use[i]])
                continue
            default = definition.default_name
            name = definition.name or _free_name(default, numbers, used_names, is_numbered=counts[default] > 1)
            used_names[name] += 1
            names.append(name)
        return names

    def _cached(self, full_name: str) -> keras.layers.Layer:
        if self.cache is None or full_name not in self.cache:
            raise self.error(
                f"the first use of this Shared made no layer {full_name!r}, which this use needs",
                hint="use inputs of one shape for every use of a Shared",
            )
        return self.cache[full_name]


def _missing_state(layer: keras.layers.Layer) -> str:
    if isinstance(layer, keras.layers.Normalization):
        return "no mean and variance"
    return "no bin boundaries" if isinstance(layer, keras.layers.Discretization) else "no vocabulary"


def _creation_problem(name: str, kwargs: Mapping[str, object], error: Exception) -> str:
    """Return the problem of a layer that cannot be made, with its arguments unless Keras raised a `ValueError`."""
    text = first_line(error)
    if isinstance(error, ValueError):
        return text
    arguments = ", ".join(f"{key}={format_value(value)}" for key, value in kwargs.items())
    return f"the layer {name!r} cannot be made with {arguments or 'these arguments'}: {text}"


def _free_name(default: str, numbers: Counter[str], used_names: Mapping[str, int], *, is_numbered: bool) -> str:
    """Return a default name that no sibling has; with a number if `is_numbered`, or if the plain name is in use."""
    name = default
    while name in used_names or (is_numbered and name == default):
        numbers[default] += 1
        name = f"{default}{numbers[default]}"
    return name
