"""Networks in textbook notation: `[(CONV-RELU)*N-POOL?]*M-(FC-RELU)*K-SOFTMAX`."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
from keras import layers

from deepkit.blocks.common import BATCH_NORM_MOMENTUM
from deepkit.blocks.dense import MLP
from deepkit.blocks.heads import Classifier
from deepkit.definition import fields, source
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.objective import Objective
from deepkit.definition.sequential import Input, Sequential, as_element
from deepkit.layers import L2Pooling, LocalResponseNormalization
from deepkit.pattern.arguments import Argument, check_arguments
from deepkit.pattern.expand import Step, expand
from deepkit.utils.errors import format_value

if TYPE_CHECKING:
    from deepkit.utils.types import Tensors

__all__ = ["Pattern", "from_pattern"]

Arguments: TypeAlias = tuple[tuple[str, Argument], ...]


class _TextField(fields.Field[str, str]):
    example = '"CONV32-RELU-POOL-SOFTMAX10"'

    def validate(self, value: object, name: str) -> str:
        if not isinstance(value, str):
            raise DefinitionError(
                f"from_pattern: pattern must be a string, received {format_value(value)}",
                hint=f"use dk.from_pattern({self.example})",
            )
        return value


class _ArgumentsField(fields.Field["Mapping[str, object] | Arguments", "Arguments"]):
    """The arguments, held as pairs of name and value in alphabetical order."""

    def validate(self, value: Any, name: str) -> Arguments:
        is_pairs = isinstance(value, list | tuple) and all(isinstance(i, list | tuple) and len(i) == 2 for i in value)
        if not (isinstance(value, Mapping) or is_pairs) or not all(isinstance(key, str) for key in dict(value)):
            raise DefinitionError(
                f"{name} must be a mapping, received {format_value(value)}", hint='use arguments={"N": 2}'
            )
        return tuple(sorted(check_arguments(dict(value)).items()))

    def to_data(self, value: Arguments, writer: fields.DataWriter) -> object:
        return {name: writer.value(argument) for name, argument in value}

    def from_data(self, value: object, path: str, reader: fields.DataReader) -> object:
        return reader.arguments(value, path)


class Pattern(Block):
    """A network in textbook notation, as `dk.from_pattern` returns it.

    It is a definition like any other: two patterns with the same text and arguments are equal, `repr` is the call of
    `dk.from_pattern`, and it can be an element of a `dk.Sequential`. `layers` are the definitions of its layers.

    Args:
        pattern: The text.
        arguments: Numbers of repeats, sizes and decisions, as in `dk.from_pattern`.
        name: Name of this block, and of the model if it is the whole model.

    Raises:
        DefinitionError: The text is not a pattern, or the arguments do not fit it.

    Examples:
        >>> import deepkit as dk
        >>> dk.Pattern("FC8-RELU-FC*N", {"N": 2, "units": 4}) == dk.from_pattern(
        ...     "FC8-RELU-FC*N", units=4, N=2
        ... )
        True
    """

    pattern: fields.Field[str, str] = _TextField()
    arguments: fields.Field[Mapping[str, object] | Arguments, Arguments] = _ArgumentsField(default=())

    def check(self) -> None:
        """Raise if the text is not a pattern, or if the arguments do not fit it."""
        self._steps()

    def _steps(self) -> tuple[Step, ...]:
        return expand(self.pattern, dict(self.arguments))

    @property
    def layers(self) -> tuple[Block, ...]:
        """The definitions of its layers, named after their kinds: `dk.Sequential(net.layers)` is the same network.

        Each iteration of a repeat that contains repeats is a `dk.Sequential`, named `stage1`, `stage2`.
        """
        return _elements(self._steps(), {})

    def add(self, x: Tensors, builder: Builder) -> Tensors:
        """Add the layers in order."""
        return builder.add_all(x, self.layers)

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return the input shape of an `INPUT32x32x3`, or None."""
        return self.layers[0].input_spec()

    def objective(self, output_shape: Any, label_shape: Any) -> Objective | None:
        """Return the objective of the last layer: cross-entropy and accuracy if it is a classifier."""
        return self.layers[-1].objective(output_shape, label_shape)

    def __repr__(self) -> str:
        kwargs = {}
        for name, value in self.arguments:
            kwargs[name] = source.quoted(list(value) if isinstance(value, tuple) else value)
        if self.name:
            kwargs["name"] = source.quoted(self.name)
        return source.call("dk.from_pattern", [source.quoted(self.pattern)], kwargs)


def from_pattern(pattern: str, *, name: str | None = None, **arguments: object) -> Pattern:
    """Return the definition of a network in textbook notation.

    `-`, `->` or `,` separate layers; spaces and line breaks are ignored. Round or square brackets are a group. `*3` or
    `*N` repeats the layer or group before it; `N=3` is an argument, and with `N=0` the item is left out. `?` makes the
    layer or group before it optional, depending on an argument with the name of its (first) layer in lower case:
    `POOL?` with `pool=True`.

    `CONV64` has 64 filters, `CONV5x5x64` also sets the kernel size; `/2` is the stride, and a final `s` or `v` the
    padding, same or valid. By default convolutions have same padding, and pooling has valid padding: `POOL3/2`,
    `POOL2s`; `POOL` is 2x2. Pooling layers are `POOL` (or `MAXPOOL`), `AVGPOOL`, `L2POOL` and `GAP`, the average over
    all positions. `FC256` is a dense layer, and flattens an image. `FC10-SOFTMAX` and `SOFTMAX10` are both a dense
    layer with softmax. `BN` and `LRN` are normalization layers, `DROPOUT0.5` has the rate 0.5. Activations are
    `RELU`, `RELU6`, `LEAKYRELU0.1`, `ELU`, `SELU`, `GELU`, `SILU`, `SWISH`, `MISH`, `SIGMOID`, `TANH`, `SOFTPLUS`,
    `SOFTSIGN`. `FLATTEN` is allowed but not needed; `INPUT` or `INPUT32x32x3` can be the first item.

    A pattern that ends in `FC`, `SOFTMAX` or `FC-SIGMOID` ends in a `dk.Classifier`, which sets the loss for `dk.fit`;
    with `FC`, `loss="hinge"` makes it a support vector machine.

    Reference:
        Karpathy 2016, "CS231n: Convolutional neural networks", section "ConvNet architectures".

    Args:
        pattern: The text.
        name: Name of this block, and of the model if it is the whole model.
        **arguments: Values that the text leaves open. Capital letters: numbers of repeats. `filters`, `units`,
            `num_classes` and `rate` (of `DROPOUT`): sizes that are not in the text; `num_classes` is the size of the
            last `FC` or of a `SOFTMAX`. `kernel_size`: kernel size of convolutions without one in the text, 3 by
            default. `pool=True` and other layers in lower case: whether the layers before a `?` are built. A list (of
            all but `num_classes`) has one value for each iteration of a repeat: the outermost repeat around the layer
            with as many iterations as the list has values.

    Input shape:
        Images `(batch, rows, columns, channels)`, or vectors `(batch, features)` if the text has no `CONV` and
        pooling layers.

    Returns:
        A block, which is built, trained and written to a file like every definition.

    Raises:
        DefinitionError: The text is not a pattern, and a caret points at the column; or an argument is missing,
            unknown, unused or invalid; or no repeat has as many iterations as a list has values.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.from_pattern(
        ...     "[(CONV-RELU)*N-POOL?]*M-(FC-RELU)*K-SOFTMAX",
        ...     N=2,
        ...     M=3,
        ...     K=1,
        ...     pool=True,
        ...     filters=[32, 64, 128],
        ...     units=256,
        ...     num_classes=10,
        ... )
        >>> model = net.build((32, 32, 3))
        >>> [layer.name for layer in model.layers][1:4], model.count_params()
        (['stage1.conv1', 'stage1.relu1', 'stage1.conv2'], 814122)
    """
    return Pattern(pattern, arguments, name=name)


_POOLING: dict[str, Callable[..., keras.layers.Layer]] = {
    "POOL": layers.MaxPooling2D,
    "MAXPOOL": layers.MaxPooling2D,
    "AVGPOOL": layers.AveragePooling2D,
    "L2POOL": L2Pooling,
}
_WITHOUT_SIZE: dict[str, Callable[[], keras.layers.Layer]] = {
    "BN": lambda: layers.BatchNormalization(axis=_channel_axis(), momentum=BATCH_NORM_MOMENTUM),
    "LRN": LocalResponseNormalization,
    "GAP": layers.GlobalAveragePooling2D,
    "FLATTEN": layers.Flatten,
    "SWISH": lambda: layers.Activation("silu"),
}


def _elements(steps: Iterable[Step], definitions: dict[Step, Block], depth: int = 0) -> tuple[Block, ...]:
    """Return the definitions of steps in the same stage, named among their siblings.

    Args:
        steps: The steps.
        definitions: Cache of definitions without a name, so that equal steps share one.
        depth: Number of stages around all these steps.
    """
    elements: list[tuple[str, Block]] = []
    for stage, stage_steps in itertools.groupby(steps, key=lambda step: step.stages[depth : depth + 1]):
        if stage:
            elements.append(("stage", Sequential(_elements(stage_steps, definitions, depth + 1))))
        else:
            elements += [(step.kind.lower(), _definition(step, definitions)) for step in stage_steps]
    return tuple(_with_names(elements))


def _with_names(elements: list[tuple[str, Block]]) -> Iterator[Block]:
    """Name each element after its kind, numbered from 1 if there are several."""
    totals, counts = Counter(kind for kind, _ in elements), Counter[str]()
    for kind, element in elements:
        counts[kind] += 1
        name = f"{kind}{counts[kind]}" if totals[kind] > 1 else kind
        yield element if name == element.default_name else replace(element, name=name)


def _definition(step: Step, definitions: dict[Step, Block]) -> Block:
    key = replace(step, stages=(), atom=replace(step.atom, position=0))
    if key not in definitions:
        definitions[key] = as_element(_layer(step), "from_pattern")
    return definitions[key]


def _layer(step: Step) -> Block | keras.layers.Layer:
    """Return the layer or block of one step."""
    kind, number = step.kind, step.number or 0
    if step.is_classifier:
        return Classifier(int(number), activation=step.activation, loss=step.loss)
    if kind == "FC":
        return MLP([int(number)], activation=None)
    if kind == "CONV":
        return layers.Conv2D(int(number), step.window, step.atom.strides or 1, step.atom.padding or "same")
    if kind in _POOLING:
        size = step.window * 2 if len(step.window) == 1 else step.window or (2, 2)
        return _POOLING[kind](size, strides=step.atom.strides, padding=step.atom.padding or "valid")
    if kind == "INPUT":
        return Input(step.window)
    if kind == "DROPOUT":
        return layers.Dropout(number)
    if kind == "LEAKYRELU":
        return layers.LeakyReLU() if step.number is None else layers.LeakyReLU(negative_slope=number)
    if kind in _WITHOUT_SIZE:
        return _WITHOUT_SIZE[kind]()
    return layers.Activation(kind.lower())


def _channel_axis() -> int:
    """Return the axis of the channels of an image, or of the features of a vector."""
    return 1 if keras.config.image_data_format() == "channels_first" else -1
