"""Branches side by side, and several tensors made one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block, body_code
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, check_name, shape_text
from deepkit.definition.frozen_dict import FrozenDict
from deepkit.definition.sequential import as_body, as_element
from deepkit.definition.source import Arguments

MERGES = {
    "concat": layers.Concatenate,
    "add": layers.Add,
    "multiply": layers.Multiply,
    "average": layers.Average,
    "maximum": layers.Maximum,
    "minimum": layers.Minimum,
    "subtract": layers.Subtract,
}


@dataclass(frozen=True, repr=False)
class Parallel(Block):
    """Branches that see the same input, and a merge of their outputs.

    The Inception module is four of them, concatenated (Szegedy et al. 2015, "Going Deeper with Convolutions",
    section 4 and figure 2).

    Args:
        branches: Name of each branch, and its body: a block, a Keras layer or a list of them; an empty list is
            the input itself. The order is that of the concatenation.
        merge: `"concat"` over the channels, `"add"`, `"multiply"`, `"average"`, `"maximum"`, `"minimum"`,
            `"subtract"`, a merging layer such as `layers.Dot(1)`, or None for a list of the outputs.

    Input shape:
        What every branch takes.

    Output shape:
        That of the branches; with `"concat"` their channels together.

    Raises:
        DefinitionError: A name is not one, or the branches' outputs do not fit together.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> module = dk.Parallel({
        ...     "1x1": dk.ConvBlock(64, kernel_size=1),
        ...     "3x3": [dk.ConvBlock(96, kernel_size=1), dk.ConvBlock(128)],
        ...     "pool": [layers.MaxPooling2D(3, 1, padding="same"), dk.ConvBlock(32, kernel_size=1)],
        ... })
        >>> module.build((28, 28, 192)).output_shape
        (None, 28, 28, 224)
    """

    branches: Mapping[str, Any] = field(metadata={"body": "named"})
    merge: Any = field(default="concat", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.branches, Mapping) or not self.branches:
            raise DefinitionError(
                f"Parallel: branches must be a mapping of names to bodies, received {self.branches!r}",
                hint='dk.Parallel({"left": dk.ConvBlock(8), "right": []})',
            )
        bodies = {}
        for name, body in self.branches.items():
            check_name(name, "Parallel: branches")
            bodies[name] = as_body(body, f"Parallel: branches[{name!r}]")
        object.__setattr__(self, "branches", FrozenDict(bodies, body_code))
        object.__setattr__(self, "merge", merge_value("Parallel", self.merge, allow_none=True))

    @property
    def accepts_multiple_inputs(self) -> bool:
        """Several tensors go to every branch."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the branches in order, then the merge."""
        if isinstance(self.merge, str) and self.merge in self.branches:
            raise builder.error(f"a branch has the name of the merge, {self.merge!r}", hint="another name for it")
        outputs = [self._branch(x, name, body, builder) for name, body in self.branches.items()]
        return outputs if self.merge is None else add_merge(outputs, self.merge, builder)

    def _branch(self, x: Any, name: str, body: tuple[Block, ...], builder: Builder) -> Any:
        place = as_element(list(body), "Parallel") if len(body) != 1 else body[0]
        y = builder.add_block(name, place, x)
        return y if self.merge is None else builder.require_single(y, f"branch {name!r} returns several tensors,")


@dataclass(frozen=True, repr=False)
class Merge(Block):
    """Several tensors made one: the meeting of two inputs, or of the branches of a graph.

    All but `"concat"` and a layer of your own work element by element, on tensors of one width. Tensors of
    another width are first brought to it by a dense layer (a 1x1 convolution under `channels_first`), linear unless
    `activation` says otherwise. `dk.Merge("multiply", units=1024, activation="tanh")` is how image and question meet in
    Antol et al. 2015, "VQA: Visual Question Answering".

    Args:
        merge: As in `Parallel`.
        units: The common width, to which every tensor is brought, those that have it already too; None for that
            of the widest tensor.
        activation: After each of those dense layers.
        dense: Further arguments of those dense layers.

    Input shape:
        A list (or a mapping) of tensors.

    Output shape:
        That of one tensor, of the common width; with `"concat"` the widths together.

    Raises:
        DefinitionError: There is one tensor only, or sizes other than the widths differ.

    Examples:
        >>> import deepkit as dk
        >>> import keras
        >>> image, question = keras.Input((64,)), keras.Input((256,))
        >>> dk.Merge("multiply")([image, question]).shape
        (None, 256)
    """

    merge: Any = "concat"
    units: int | None = field(default=None, kw_only=True)
    activation: Any = field(default=None, kw_only=True)
    dense: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.units is not None:
            parts.positive("Merge", "units", self.units)
        values = {
            "merge": merge_value("Merge", self.merge),
            "activation": parts.activation_value("Merge", self.activation),
            "dense": Arguments(self.dense, layers.Dense, owner="Merge(dense=...)", taken=("units", "activation")),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        idle = self.units is None and not _is_elementwise(self.merge)
        if idle and (self.activation is not None or len(self.dense)):
            raise DefinitionError(
                f"Merge: activation and dense are for the dense layers before the merge, and {self.merge!r} needs none",
                hint="units=, the width to bring all to",
            )

    @property
    def accepts_multiple_inputs(self) -> bool:
        """It makes one of several tensors."""
        return True

    def add(self, x: Any, builder: Builder) -> Any:
        """Bring the tensors to one width where the merge needs it, and merge them."""
        tensors = list(x.values()) if isinstance(x, Mapping) else keras.tree.flatten(x)
        if len(tensors) < 2:
            raise builder.error(
                f"expected several tensors to merge, received one: {shape_text(x)}",
                hint='nodes={"answer": (["seen", "asked"], [dk.Merge(), ...])} in a dk.Functional',
            )
        if isinstance(self.merge, str):
            _check_fit(tensors, builder)
        return add_merge(self._widened(tensors, builder), self.merge, builder)

    def _widened(self, tensors: list[Any], builder: Builder) -> list[Any]:
        if self.units is None and not _is_elementwise(self.merge):
            return tensors
        widest = self.units or max(parts.channels(tensor, builder) for tensor in tensors)
        names = parts.numbered("project", len(tensors))
        return [self._project(*pair, widest, builder) for pair in zip(tensors, names, strict=True)]

    def _project(self, x: Any, name: str, width: int, builder: Builder) -> Any:
        if self.units is None and parts.channels(x, builder) == width:
            return x
        given = self.dense.fresh()  # type: ignore[attr-defined]
        if parts.channel_axis(x) == len(x.shape) - 1:
            x = builder.add_layer(x, name, layers.Dense, width, **given)
        else:
            x = parts.add_projection(x, name, width, builder, **given)
        return parts.add_activation(x, self.activation, builder, f"{name}_activation")


def _check_fit(tensors: list[Any], builder: Builder) -> None:
    """Raise unless the tensors have as many axes, of the same sizes but for the channels."""
    if len({len(tensor.shape) for tensor in tensors}) > 1:
        raise builder.error(
            f"expected tensors with as many axes, received {shape_text(tensors)}",
            hint="layers.GlobalAveragePooling2D() or layers.Flatten() behind the larger one",
        )
    parts.check_alike(tensors, builder, but_channels=True)


def _is_elementwise(merge: str | Block | None) -> bool:
    return isinstance(merge, str) and merge != "concat"


def merge_value(owner: str, value: Any, *, allow_none: bool = False) -> str | Block | None:
    """Return a merge as a value: its name, or a Keras layer that takes a list, as definition."""
    if isinstance(value, keras.layers.Layer | Block):
        return as_element(value, f"{owner}: merge")
    known = (*MERGES, None) if allow_none else tuple(MERGES)
    parts.choice(owner, "merge", value, known, "a merging layer such as layers.Dot(axes=1) for any other")
    return value


def add_merge(tensors: list[Any], merge: str | Block, builder: Builder) -> Any:
    """Add one merging layer behind several tensors; a single one passes."""
    if isinstance(merge, Block):
        return merge.add(tensors, builder.child(merge.name or "merge", merge))
    if len(tensors) == 1:
        return tensors[0]
    parts.check_alike(tensors, builder, but_channels=merge == "concat")
    given = {"axis": parts.channel_axis(tensors[0])} if merge == "concat" else {}
    return builder.add_layer(tensors, merge, MERGES[merge], **given)
