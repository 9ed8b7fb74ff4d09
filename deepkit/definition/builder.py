"""Where in a model a definition is being added: dotted names, sharing, and errors that carry the place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition.errors import DefinitionError, first_line, shape_text

if TYPE_CHECKING:
    from deepkit.definition.block import Block

MOST_PARTS = 100_000  # some minutes of building; beyond it a slip


@dataclass
class BuildState:
    """What every scope of one build has in common."""

    uses: Counter[Block] = field(default_factory=Counter)  # how often each layer template was copied
    shared: dict[Block, Builder] = field(default_factory=dict)  # where each `Shared` put its layers
    fixed: dict[int, keras.layers.Layer] = field(default_factory=dict)  # layers and models used as they are
    names: set[str] = field(default_factory=set)
    layers: int = 0
    parts: int = 0  # definitions added so far, those without layers too
    keeps_shared: bool = True  # False for a block called by hand, which sees one use only


class Builder:
    """One place in a model that is being built.

    Args:
        path: Dotted name of the place; empty at the top of a model.
        definition: The block that is being added here, for error texts.
        state: What the whole build has in common.
        cache: Layers by name, where this place lies inside a `Shared`.
        reuse: Whether those layers are to be used again instead of made.
    """

    def __init__(
        self,
        path: str = "",
        *,
        definition: Block,
        state: BuildState,
        cache: dict[str, keras.layers.Layer] | None = None,
        reuse: bool = False,
    ) -> None:
        self.path, self.definition, self.state, self.cache, self.reuse = path, definition, state, cache, reuse
        self.kept: dict[str, keras.layers.Layer] = {}  # what a `Shared` at this place has made

    def qualified_name(self, name: str) -> str:
        """Return the full name of a part of this place; of the place itself where `name` is empty."""
        return ".".join(part for part in (self.path, name) if part)

    def child(self, name: str, definition: Block) -> Builder:
        """Return the place of a part that is itself a definition."""
        return Builder(
            self.qualified_name(name), definition=definition, state=self.state, cache=self.cache, reuse=self.reuse
        )

    def shared(self, definition: Block) -> Builder:
        """Return the place where `definition` keeps its layers: that of its first use."""
        first = self.state.shared.setdefault(definition, self)
        return Builder(
            first.path,
            definition=definition,
            state=self.state,
            cache=first.kept,
            reuse=first is not self,
        )

    def add_all(self, x: Any, elements: Sequence[Block], *, reserved: Iterable[str] = ()) -> Any:
        """Add a list of definitions one after the other and return the last output."""
        for name, element in zip(self.sibling_names(elements, reserved), elements, strict=True):
            x = self.add_block(name, element, x)
        return x

    def add_block(self, name: str, element: Block, x: Any) -> Any:
        """Add one definition under `name` and return its output."""
        self.state.parts += 1
        if self.state.parts > MOST_PARTS:
            raise self.error(f"the model has more than {MOST_PARTS:,} parts", hint="fewer repetitions")
        return self.child(name, element).build_block(x)

    def build_block(self, x: Any) -> Any:
        """Add the definition of this place behind `x`, one tensor unless it takes several."""
        if not self.definition.accepts_multiple_inputs:
            self.require_single(x, "expected one tensor, received")
        return self.definition.add(x, self)

    def require_single(self, x: Any, problem: str) -> Any:
        """Return `x`, which must be one tensor."""
        if isinstance(x, list | tuple | dict):
            raise self.error(f"{problem} {len(x)}: {shape_text(x)}", hint="dk.Merge() behind them")
        return x

    def add_layer(
        self,
        x: Any,
        name: str,
        make: Callable[..., keras.layers.Layer],
        *args: Any,
        call_kwargs: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Make one stock layer under the dotted `name`, call it on `x` and return its output.

        `call_kwargs` is what the call takes besides `x`: `{"initial_state": [h, c]}`.
        """
        full = self.qualified_name(name)
        if self.reuse:
            return self.call_layer(self._kept(full), x, call_kwargs)
        if full in self.state.names:
            raise self.error(f"the name {full!r} is taken by another layer of this model", hint="another name=")
        try:
            layer = make(*args, name=full, **kwargs)
        except (ValueError, TypeError) as error:
            raise self.error(first_line(error)) from error
        self.state.names.add(full)
        self.state.layers += 1
        if self.cache is not None:
            self.cache[full] = layer
        return self.call_layer(layer, x, call_kwargs)

    def call_layer(self, layer: keras.layers.Layer, x: Any, call_kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call a layer on `x`; what Keras refuses is reported with this place."""
        problem = window_too_large(layer, x)
        if problem:
            raise self.error(problem, hint=_SMALLER)
        ids = most_ids(layer, x)
        if ids:
            raise self.error(
                f"an embedding of {layer.input_dim} rows behind a text layer of up to {ids} token ids",
                hint=f"layers.Embedding({ids}, {layer.output_dim}), or max_tokens={layer.input_dim} in the text",
            )
        try:
            return layer(x, **(call_kwargs or {}))
        except DefinitionError:
            raise
        except Exception as error:  # Keras raises many kinds here; all mean that the layer does not fit
            if "Op:Qr" in str(error):
                dtype = layer.variable_dtype
                raise self.error(f"TensorFlow has no orthogonal initial weights in {dtype}", hint=_WIDER) from error
            raise self.error(f"{first_line(error)} (received {shape_text(x)})") from error

    def error(self, problem: str, *, hint: str = "") -> DefinitionError:
        """Return (not raise) an error that carries this place."""
        return DefinitionError(problem, path=self.path, code=self.definition, hint=hint)

    def sibling_names(self, elements: Sequence[Block], reserved: Iterable[str] = ()) -> list[str]:
        """Return the name of each sibling: given, or its kind, numbered from 1 where it is not alone."""
        again = [e.is_shared and e in elements[:i] for i, e in enumerate(elements)]
        places = [e for e, is_again in zip(elements, again, strict=True) if not is_again]
        taken = Counter([*(e.name for e in places if e.name), *reserved])
        twice = [name for name, count in taken.items() if count > 1]
        if twice:
            raise self.error(f"the name {twice[0]!r} is given to two siblings", hint="another name= for one")
        kinds = Counter(e.default_name for e in places if not e.name)
        numbers: Counter[str] = Counter()
        names: list[str] = []
        for i, element in enumerate(elements):
            if again[i]:
                names.append(names[elements.index(element)])
                continue
            kind = element.default_name
            name = element.name or kind
            while not element.name and (name in taken or (kinds[kind] > 1 and name == kind)):
                numbers[kind] += 1
                name = f"{kind}{numbers[kind]}"
            taken[name] += 1
            names.append(name)
        return names

    def _kept(self, full: str) -> keras.layers.Layer:
        if self.cache is None or full not in self.cache:
            raise self.error(
                f"the first use of this Shared made no layer {full!r}, this one needs it",
                hint="inputs of one shape for every use of a Shared",
            )
        return self.cache[full]


_WIDER = 'keras.config.set_dtype_policy("mixed_bfloat16"), which keeps weights in float32, or another initializer'
_SMALLER = 'padding="same", a smaller kernel, a larger input, or one pooling step less before it'


def window_too_large(layer: keras.layers.Layer, x: Any) -> str:
    """Say what is wrong when an unpadded kernel or pooling window is larger than its input, else nothing."""
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    shape = getattr(x, "shape", None)
    if getattr(layer, "padding", None) != "valid" or not isinstance(window, tuple) or shape is None:
        return ""
    if "Transpose" in type(layer).__name__ or len(shape) != len(window) + 2:
        return ""
    first = 2 if getattr(layer, "data_format", "") == "channels_first" else 1
    sizes = shape[first : first + len(window)]
    dilation = getattr(layer, "dilation_rate", None) or (1,) * len(window)
    reach = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    if all(size is None or size >= need for size, need in zip(sizes, reach, strict=True)):
        return ""
    argument = "kernel_size" if hasattr(layer, "kernel_size") else "pool_size"
    size_text = str(window[0]) if len(set(window)) == 1 else str(window)
    return (
        f'padding="valid" with {argument}={size_text} needs at least {"x".join(map(str, reach))}, '
        f"received {shape_text(x)}"
    )


def most_ids(layer: keras.layers.Layer, x: Any) -> int:
    """Return how many token ids a text layer right before an embedding gives, where these are more than its rows."""
    text = getattr(getattr(x, "_keras_history", None), "operation", None)
    if not isinstance(layer, keras.layers.Embedding) or not isinstance(text, keras.layers.TextVectorization):
        return 0
    known = int(text.vocabulary_size())
    ids = known if known > 2 else text.get_config()["max_tokens"] or 0  # 2: padding and the unknown word alone
    return ids if ids > layer.input_dim else 0
