"""Parallel branches, and the merging of several tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.definition import fields
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.sequential import single

if TYPE_CHECKING:
    from deepkit.definition.protocol import Definition
    from deepkit.utils.types import KerasTensor, Tensors

MERGE_LAYERS = {
    "concat": layers.Concatenate,
    "add": layers.Add,
    "multiply": layers.Multiply,
    "average": layers.Average,
    "maximum": layers.Maximum,
    "minimum": layers.Minimum,
    "subtract": layers.Subtract,
}
_HINT = "use a merging layer such as layers.Dot(axes=1) for any other"


class Parallel(Block):
    """Branches with the same input, and a merge of their outputs.

    The Inception module has four branches, which are concatenated. The rule of `dk.Merge` for masks holds.

    Reference:
        Szegedy et al. 2015, "Going Deeper with Convolutions", section 4 and figure 2.

    Args:
        branches: Name of each branch, and its body: a block, a Keras layer or a list of them; an empty list is
            the input itself. The outputs are concatenated in this order.
        merge: `"concat"` over the channels, `"add"`, `"multiply"`, `"average"`, `"maximum"`, `"minimum"`,
            `"subtract"`, a merging layer such as `layers.Dot(1)`, or None for a list of the outputs.

    Input shape:
        Input of every branch.

    Output shape:
        The output shape of a branch; with `"concat"` the sum of the channels of all branches.

    Raises:
        DefinitionError: A name is invalid, or the outputs of the branches do not fit together.

    Examples:
        >>> import deepkit as dk
        >>> from keras import layers
        >>> module = dk.Parallel(
        ...     {
        ...         "1x1": dk.ConvBlock(64, kernel_size=1),
        ...         "3x3": [dk.ConvBlock(96, kernel_size=1), dk.ConvBlock(128)],
        ...         "pool": [
        ...             layers.MaxPooling2D(3, 1, padding="same"),
        ...             dk.ConvBlock(32, kernel_size=1),
        ...         ],
        ...     }
        ... )
        >>> module.build((28, 28, 192)).output_shape
        (None, 28, 28, 224)
    """

    branches: fields.NamedBodies = fields.named_bodies()
    _: KW_ONLY
    merge: fields.NameOrLayer = fields.name_or_layer((*MERGE_LAYERS, None), default="concat", hint=_HINT)

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: every branch receives them."""
        return True

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the branches in order, then the merge."""
        if isinstance(self.merge, str) and self.merge in self.branches:
            raise builder.error(f"a branch has the name of the merge, {self.merge!r}", hint="rename the branch")
        outputs: list[Any] = []
        for name, body in self.branches.items():
            y = builder.add_block(name, single(body), x)
            if self.merge is not None:
                y = builder.require_single(y, f"branch {name!r} must return one tensor, but returns")
            outputs.append(y)
        return outputs if self.merge is None else _add_merge(outputs, self.merge, builder)


class Merge(Block):
    """Merge several tensors into one, such as two inputs or the branches of a graph.

    All merges by name except `"concat"` are elementwise, on tensors of one width. Tensors of another width are first
    projected to it by a dense layer (a 1x1 convolution under `channels_first`), linear unless `activation` is set.

    A step of the output is masked if every tensor that has a mask masks it; tensors without a mask do not count. The
    sums, products and concatenations of all blocks follow this rule.

    Reference:
        Antol et al. 2015, "VQA: Visual Question Answering", merges image and question by
        `dk.Merge("multiply", units=1024, activation="tanh")`.

    Args:
        merge: As in `Parallel`.
        units: The common width, to which every tensor is projected; None projects only to the width of the widest
            tensor, which is then not projected itself.
        activation: Activation after each projection.
        dense: Further arguments of the dense layers of the projections.

    Input shape:
        A list (or a mapping) of tensors.

    Output shape:
        The shape of a tensor, with the common width; with `"concat"` the sum of the widths.

    Raises:
        DefinitionError: There is only one tensor, sizes other than the widths differ, or a merging layer of Keras
            receives masked and unmasked tensors, of which it would lose the mask.

    Examples:
        >>> import deepkit as dk
        >>> import keras
        >>> image, question = keras.Input((64,)), keras.Input((256,))
        >>> dk.Merge("multiply")([image, question]).shape
        (None, 256)
    """

    merge: fields.NameOrLayer = fields.name_or_layer(tuple(MERGE_LAYERS), default="concat", hint=_HINT)
    _: KW_ONLY
    units: int | None = fields.integer(default=None)
    activation: fields.Activation = fields.activation(default=None)
    dense: fields.KerasArguments = fields.keras_arguments(layers.Dense, excluding=("units", "activation"))

    def check(self) -> None:
        """Refuse arguments of projections that the merge does not need."""
        if self._needs_projections() or (self.activation is None and not len(self.dense)):
            return
        raise DefinitionError(
            f"Merge: activation and dense are for the projections before the merge, which {self.merge!r} does not need",
            hint="pass units=, the common width",
        )

    @property
    def accepts_multiple_inputs(self) -> bool:
        """True: it merges them."""
        return True

    def add(self, x: Tensors, builder: Builder) -> KerasTensor:
        """Project the tensors to one width if the merge needs it, and merge them."""
        tensors: list[Any] = list(x.values()) if isinstance(x, Mapping) else keras.tree.flatten(x)
        if len(tensors) < 2:
            raise builder.error(
                f"expected several tensors to merge, received one: {shape_text(x)}",
                hint='use nodes={"answer": (["image", "question"], [dk.Merge(), ...])} in a dk.Functional',
            )
        if isinstance(self.merge, str):
            _check_sizes(tensors, builder)
        if self._needs_projections():
            width = self.units or max(common.num_channels(tensor, builder) for tensor in tensors)
            names = common.numbered("project", len(tensors))
            pairs = zip(tensors, names, strict=True)
            tensors = [self._project(tensor, name, width, builder) for tensor, name in pairs]
        assert self.merge is not None
        return _add_merge(tensors, self.merge, builder)

    def _needs_projections(self) -> bool:
        is_elementwise = isinstance(self.merge, str) and self.merge != "concat"
        return self.units is not None or is_elementwise

    def _project(self, x: KerasTensor, name: str, width: int, builder: Builder) -> Any:
        if self.units is None and common.num_channels(x, builder) == width:
            return x
        if common.channel_axis(x) == len(x.shape) - 1:
            x = builder.add_layer(x, name, layers.Dense, width, **self.dense.new())
        else:
            x = common.add_projection(x, name, width, builder, **self.dense.new())
        return common.add_activation(x, self.activation, builder, f"{name}_activation")


def _check_sizes(tensors: Sequence[KerasTensor], builder: Builder) -> None:
    """Raise unless the tensors have the same number of axes, and the same sizes except for the channels."""
    if len({len(tensor.shape) for tensor in tensors}) > 1:
        raise builder.error(
            f"expected tensors with the same number of axes, received {shape_text(tensors)}",
            hint="add layers.GlobalAveragePooling2D() or layers.Flatten() after the larger one",
        )
    common.check_same_shape(tensors, builder, except_channels=True)


def _add_merge(tensors: list[Any], merge: str | Definition, builder: Builder) -> Any:
    """Merge several tensors; a single one is returned as it is."""
    if not isinstance(merge, str):
        return common.add_argument(tensors, merge, builder, "merge")
    if len(tensors) == 1:
        return tensors[0]
    common.check_same_shape(tensors, builder, except_channels=merge == "concat")
    kwargs: dict[str, Any] = {"axis": common.channel_axis(tensors[0])} if merge == "concat" else {}
    return common.add_merge(tensors, merge, MERGE_LAYERS[merge], builder, **kwargs)
