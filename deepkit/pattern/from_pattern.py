"""Networks as textbooks write them: `[(CONV-RELU)*N-POOL?]*M-(FC-RELU)*K-SOFTMAX`."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
from keras import layers

from deepkit.blocks.dense import MLP
from deepkit.blocks.heads import Classifier
from deepkit.definition import source as code
from deepkit.definition.block import Block, Objective
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.sequential import Input, Sequential, as_element
from deepkit.layers import L2Pooling, LocalResponseNormalization
from deepkit.pattern.expand import Step, expand

__all__ = ["Pattern", "from_pattern"]


@dataclass(frozen=True, repr=False)
class Pattern(Block):
    """A network that was written as a textbook writes it; `dk.from_pattern` makes one.

    It is a definition like any other: it compares equal to one of the same text and arguments, prints back as the
    call of `dk.from_pattern`, builds, and lies in a `dk.Sequential`. `layers` are the layers it stands for.

    Args:
        pattern: The text.
        arguments: Counts of letters, sizes and decisions, as `dk.from_pattern` takes them.
        name: Name of this part, and of the model when it is the whole.

    Raises:
        DefinitionError: The text is not a pattern, or the arguments do not fit it.

    Examples:
        >>> import deepkit as dk
        >>> dk.Pattern("FC8-RELU-FC*N", {"N": 2, "units": 4}) == dk.from_pattern("FC8-RELU-FC*N", units=4, N=2)
        True
    """

    pattern: str
    arguments: Mapping[str, Any] | Sequence[tuple[str, Any]] = field(default=(), metadata={"body": "arguments"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.pattern, str):
            raise DefinitionError(
                f"from_pattern takes a text, received {type(self.pattern).__name__} {self.pattern!r}",
                hint='dk.from_pattern("CONV32-RELU-POOL-SOFTMAX10")',
            )
        if not isinstance(self.arguments, Mapping | list | tuple):
            raise DefinitionError(f"Pattern: arguments must be a mapping, received {self.arguments!r}")
        arguments = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in dict(self.arguments).items()}
        object.__setattr__(self, "arguments", tuple(sorted(arguments.items())))
        expand(self.pattern, arguments)

    @property
    def layers(self) -> tuple[Block, ...]:
        """The definitions it stands for, named as in the text: `dk.Sequential(net.layers)` is the same network.

        A repeat of repeats is a `dk.Sequential` of its own for each time, named `stage1`, `stage2`.
        """
        return _elements(expand(self.pattern, dict(self.arguments)), {})

    def add(self, x: Any, builder: Builder) -> Any:
        """Add the layers in order."""
        return builder.add_all(x, self.layers)

    def input_spec(self) -> InputSpec | InputSpecs | None:
        """Return what an `INPUT32x32x3` fixes."""
        return self.layers[0].input_spec()

    def objective(self, outputs: tuple[int | None, ...], labels: tuple[int | None, ...]) -> Objective | None:
        """Ask the last layer: cross-entropy and accuracy where it is a classifier."""
        return self.layers[-1].objective(outputs, labels)

    def __repr__(self) -> str:
        named = {name: code.quoted(list(v) if isinstance(v, tuple) else v) for name, v in dict(self.arguments).items()}
        if self.name:
            named["name"] = code.quoted(self.name)
        return code.call("dk.from_pattern", [code.quoted(self.pattern)], named)


def from_pattern(pattern: str, *, name: str | None = None, **arguments: Any) -> Pattern:
    """Make a definition of a network from the text of a textbook.

    Layers follow one another with `-`, `->` or `,`; spaces and line breaks do not count. Round or square brackets
    group. `*3` or `*N` repeats the layer or group before it, and `N=3` is an argument; with `N=0` it is left out.
    `?` leaves the layer or group before it to an argument, the (first) kind in lower case: `POOL?` with
    `pool=True`.

    `CONV64` has 64 filters, `CONV5x5x64` says its kernel too; `/2` is the stride, and a last `s` or `v` the padding,
    same or valid. Convolutions pad the same unless told otherwise, pooling is valid: `POOL3/2`, `POOL2s`, and
    `POOL` for 2. Pooling is `POOL` (or `MAXPOOL`), `AVGPOOL`, `L2POOL` and `GAP`, the average over all positions.
    `FC256` is a dense layer, and takes an image as one vector. `FC10-SOFTMAX` and `SOFTMAX10` are both a dense
    layer with that activation. `BN` and `LRN` normalise, `DROPOUT0.5` drops half. Activations are `RELU`, `RELU6`,
    `LEAKYRELU0.1`, `ELU`, `SELU`, `GELU`, `SILU`, `SWISH`, `MISH`, `SIGMOID`, `TANH`, `SOFTPLUS`, `SOFTSIGN`.
    `FLATTEN` is there for those who like to see it, `INPUT` or `INPUT32x32x3` may stand first.

    A pattern that ends in `FC`, `SOFTMAX` or `FC-SIGMOID` ends in a `dk.Classifier`, so `dk.fit` knows its loss.

    Args:
        pattern: The text.
        name: Name of this part, and of the model when it is the whole.
        **arguments: What the text leaves open. Capital letters: the counts of repeats. `filters`, `units`,
            `num_classes` and `rate` (of `DROPOUT`): the sizes not in the text; `num_classes` is that of the last `FC` or of a
            `SOFTMAX`. `kernel_size`: of convolutions that say none, 3 if left out. `pool=True` and its like: what a
            `?` asks. A list (of all but `num_classes`) has one value for each time of the outermost repeat around the
            layer that runs as often as the list is long.

    Input shape:
        Images `(batch, rows, columns, channels)`, or vectors `(batch, features)` for a text without `CONV` and
        pooling.

    Raises:
        DefinitionError: The text is not a pattern, and a caret shows where; or an argument is missing, unknown,
            unused, of a wrong value, or a list that fits no repeat.

    Examples:
        >>> import deepkit as dk
        >>> net = dk.from_pattern(
        ...     "[(CONV-RELU)*N-POOL?]*M-(FC-RELU)*K-SOFTMAX",
        ...     N=2, M=3, K=1, pool=True, filters=[32, 64, 128], units=256, num_classes=10,
        ... )
        >>> model = net.build((32, 32, 3))
        >>> [layer.name for layer in model.layers][1:4], model.count_params()
        (['stage1.conv1', 'stage1.relu1', 'stage1.conv2'], 814122)
    """
    return Pattern(pattern, arguments, name=name)


_POOLS: dict[str, Callable[..., Any]] = {
    "POOL": layers.MaxPooling2D,
    "MAXPOOL": layers.MaxPooling2D,
    "AVGPOOL": layers.AveragePooling2D,
    "L2POOL": L2Pooling,
}
_PLAIN: dict[str, Callable[..., Any]] = {
    "BN": lambda: layers.BatchNormalization(axis=_channel_axis()),
    "LRN": LocalResponseNormalization,
    "GAP": layers.GlobalAveragePooling2D,
    "FLATTEN": layers.Flatten,
    "SWISH": lambda: layers.Activation("silu"),
}


def _elements(steps: Iterable[Step], made: dict[Step, Block], depth: int = 0) -> tuple[Block, ...]:
    """Return the definitions of steps that lie in the same stage, named among their siblings.

    Args:
        steps: The steps.
        made: The nameless definition of each step that came before, to be used again for its like.
        depth: How many stages these steps have in common.
    """
    parts: list[tuple[str, Block]] = []
    for stage, inside in itertools.groupby(steps, key=lambda step: step.place[depth : depth + 1]):
        if stage:
            parts.append(("stage", Sequential(_elements(inside, made, depth + 1))))
        else:
            parts += [(step.kind.lower(), _definition(step, made)) for step in inside]
    return tuple(_named(parts))


def _named(parts: list[tuple[str, Block]]) -> Iterator[Block]:
    """Name each part after its kind, numbered from 1 where it is not alone, as every block is."""
    kinds, numbers = Counter(kind for kind, _ in parts), Counter[str]()
    for kind, part in parts:
        numbers[kind] += 1
        name = f"{kind}{numbers[kind]}" if kinds[kind] > 1 else kind
        yield part if name == part.default_name else replace(part, name=name)


def _definition(step: Step, made: dict[Step, Block]) -> Block:
    like = replace(step, place=(), atom=replace(step.atom, at=0))
    if like not in made:
        made[like] = as_element(_layer(step), "from_pattern")
    return made[like]


def _layer(step: Step) -> Block | keras.layers.Layer:
    """Return the layer or block of one step."""
    kind, number = step.kind, step.number or 0
    if step.classifier:
        return Classifier(int(number), activation=step.activation)
    if kind == "FC":
        return MLP([int(number)], activation=None)
    if kind == "CONV":
        return layers.Conv2D(int(number), step.window, step.atom.strides or 1, step.atom.padding or "same")
    if kind in _POOLS:
        size = step.window * 2 if len(step.window) == 1 else step.window or (2, 2)
        return _POOLS[kind](size, strides=step.atom.strides, padding=step.atom.padding or "valid")
    if kind == "INPUT":
        return Input(step.window)
    if kind == "DROPOUT":
        return layers.Dropout(number)
    if kind == "LEAKYRELU":
        return layers.LeakyReLU(**({} if step.number is None else {"negative_slope": number}))
    return _PLAIN[kind]() if kind in _PLAIN else layers.Activation(kind.lower())


def _channel_axis() -> int:
    """Return the axis of the channels of an image, and of the features of a vector."""
    return 1 if keras.config.image_data_format() == "channels_first" else -1
