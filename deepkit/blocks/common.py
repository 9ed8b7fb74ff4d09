"""Helpers of blocks: layers for the rank of an input, and checks of shapes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.field_types import activation_function
from deepkit.definition.inputs import is_shape
from deepkit.definition.layer_checks import check_window, register_input_check
from deepkit.definition.masks import has_mask
from deepkit.layers import L2Pooling, MaskedMerge, MaskedPooling1D, WeightedAveragePooling
from deepkit.utils.errors import format_value

if TYPE_CHECKING:
    from deepkit.definition.fields import Size
    from deepkit.definition.protocol import Definition
    from deepkit.utils.types import KerasTensor, Shape, Tensors

POOLING_LAYERS = {"max": "MaxPooling", "avg": "AveragePooling"}
MAX_REPEATS = 10_000  # repetitions in one block; more is a mistake
# With Keras's 0.99, the moving statistics need about 300 steps: 0.99**299 = 0.05 of their initial values is left.
BATCH_NORM_MOMENTUM = 0.9

register_input_check(L2Pooling, WeightedAveragePooling)(check_window)


def add_norm(x: KerasTensor, norm: str | Definition | None, builder: Builder, name: str = "norm") -> Any:
    """Add a normalization over the channels; nothing if `norm` is None.

    `"batch"` is a batch normalization with momentum 0.9.
    """
    if norm is None:
        return x
    if not isinstance(norm, str):
        return add_argument(x, norm, builder, name)
    is_last = channel_axis(x) == len(x.shape) - 1
    kwargs: dict[str, Any] = {} if is_last else {"axis": 1}
    if norm == "batch":
        return builder.add_layer(x, name, layers.BatchNormalization, momentum=BATCH_NORM_MOMENTUM, **kwargs)
    return builder.add_layer(x, name, layers.LayerNormalization, **kwargs)


def add_activation(
    x: KerasTensor, activation: str | Definition | None, builder: Builder, name: str = "activation"
) -> Any:
    """Add an activation; nothing if `activation` is None."""
    if activation is None:
        return x
    if not isinstance(activation, str):
        return add_argument(x, activation, builder, name)
    return builder.add_layer(x, name, layers.Activation, activation_argument(activation))


def add_pool(x: KerasTensor, pool: str | Definition | None, builder: Builder, name: str = "pool") -> Any:
    """Add a pooling, by name with windows of 2 and strides of 2; nothing if `pool` is None."""
    if pool is None:
        return x
    if not isinstance(pool, str):
        return add_argument(x, pool, builder, name)
    if pool == "l2":
        return builder.add_layer(x, name, L2Pooling, 2)
    return builder.add_layer(x, name, layer_for_rank(POOLING_LAYERS[pool], x, builder), 2)


def add_global_pool(x: KerasTensor, pool: str, builder: Builder) -> Any:
    """Add a pooling over all positions, `"avg"` or `"max"`; of a masked sequence, over the unmasked steps."""
    if len(x.shape) == 3 and has_mask(x):
        return builder.add_layer(x, "pool", MaskedPooling1D, pool)
    kind = "GlobalAveragePooling" if pool == "avg" else "GlobalMaxPooling"
    return builder.add_layer(x, "pool", layer_for_rank(kind, x, builder))


def add_merge(
    tensors: Sequence[KerasTensor], name: str, make: type[layers.Layer], builder: Builder, **kwargs: Any
) -> Any:
    """Merge tensors by a Keras layer; the output keeps the mask if only some of the tensors have one."""
    if len({has_mask(tensor) for tensor in tensors}) < 2:
        return builder.add_layer(tensors, name, make, **kwargs)

    def make_masked(name: str) -> MaskedMerge:
        return MaskedMerge(make(name=name.rpartition(".")[2], **kwargs), name=name)

    return builder.add_layer(tensors, name, make_masked)


def add_argument(x: Tensors, definition: Definition, builder: Builder, name: str) -> Any:
    """Add a layer or block that is an argument of the builder's block; raise an error if it loses the mask of `x`."""
    block = builder.definition if definition.is_keras_layer else definition
    return definition.add(x, builder.child(definition.name or name, block))


def add_projection(
    x: KerasTensor,
    name: str,
    width: int,
    builder: Builder,
    *,
    kernel_size: Size = 1,
    strides: Size = 1,
    **kwargs: Any,
) -> Any:
    """Add a linear layer that changes the width: a dense layer for vectors, a convolution otherwise.

    For a sequence, a convolution with window 1 and stride 1 is a dense layer too, as a dense layer passes the mask on.
    """
    if len(x.shape) == 2 or is_stepwise(x, kernel_size, strides):
        return builder.add_layer(x, name, layers.Dense, width, **kwargs)
    make = layer_for_rank("Conv", x, builder)
    return builder.add_layer(x, name, make, width, kernel_size, strides, padding="same", **kwargs)


def is_stepwise(x: KerasTensor, kernel_size: Size, strides: Size) -> bool:
    """Return whether a convolution treats each step of a sequence separately, as a dense layer does."""
    sizes = [size if isinstance(size, tuple) else (size,) for size in (kernel_size, strides)]
    return len(x.shape) == 3 and channel_axis(x) == 2 and {n for size in sizes for n in size} == {1}


def channel_axis(x: KerasTensor) -> int:
    """Return the axis of the channels: the last, or 1 under Keras's `channels_first` image data format."""
    is_first = len(x.shape) > 2 and keras.config.image_data_format() == "channels_first"
    return 1 if is_first else len(x.shape) - 1


def num_channels(x: KerasTensor, builder: Builder) -> int:
    """Return the number of channels, which must be known."""
    count = x.shape[channel_axis(x)]
    if count is None:
        raise builder.error(
            f"the number of channels is unknown in {tuple(x.shape[1:])}", hint="use an input shape with fixed channels"
        )
    return count


def spatial_axes(x: KerasTensor) -> range:
    """Return the axes between batch and channels (or after the channels under `channels_first`)."""
    is_first = channel_axis(x) == 1 and len(x.shape) > 2
    return range(2, len(x.shape)) if is_first else range(1, len(x.shape) - 1)


def check_same_shape(tensors: Sequence[KerasTensor], builder: Builder, *, except_channels: bool = False) -> None:
    """Raise unless the tensors have the same sizes, or the same except for the channels."""
    first = tensors[0]
    skipped = {0, channel_axis(first)} if except_channels else {0}
    for other in tensors[1:]:
        is_same = len(other.shape) == len(first.shape) and all(
            axis in skipped or a is None or b is None or a == b
            for axis, (a, b) in enumerate(zip(first.shape, other.shape, strict=True))
        )
        if not is_same:
            expected = "of the same sizes except for the channels" if except_channels else "of the same shape"
            raise builder.error(
                f"expected tensors {expected}, received {shape_text(tensors)}",
                hint='use padding="same" and the same strides everywhere, and sizes that the pooling divides evenly',
            )


def numbered(name: str, count: int) -> list[str]:
    """Return the names of `count` layers of a kind: numbered from 1, without a number if there is one."""
    return [name] if count == 1 else [f"{name}{i}" for i in range(1, count + 1)]


def layer_for_rank(kind: str, x: KerasTensor, builder: Builder) -> type[layers.Layer]:
    """Return the 1-D, 2-D or 3-D version of a layer that fits the rank of `x`.

    Args:
        kind: The name without its dimensions: "Conv", "MaxPooling".
        x: A sequence (batch, steps, channels), image (batch, rows, columns, channels) or volume.
        builder: The builder of the block, for the message.
    """
    rank = len(x.shape) - 2
    if rank not in (1, 2, 3):
        raise builder.error(
            f"{kind} needs a sequence (steps, channels), an image (rows, columns, channels) or a volume, "
            f"received {tuple(x.shape[1:])}",
            hint="add layers.Reshape(...) before it, or use a dense block",
        )
    return getattr(layers, f"{kind}{rank}D")


def flatten(x: KerasTensor, builder: Builder) -> Any:
    """Flatten each example to a vector, unless it is one."""
    if len(x.shape) == 2:
        if x.shape[1] is None and "int" in keras.backend.standardize_dtype(x.dtype):
            raise builder.error(
                "expected features, received token ids of shape (None,)",
                hint="add layers.Embedding(num_tokens, embedding_dim, mask_zero=True) before it, then a dk.BiLSTM, or "
                'pool="avg" in the head',
            )
        return x
    if has_mask(x):
        raise builder.error(
            f"cannot flatten {tuple(x.shape[1:])}: the vector would contain padded steps of a masked sequence",
            hint='use pool="avg" in a head, or pool=None for an output at each step; flatten=False in a dk.MLP; or '
            "mask_zero=False in the Embedding",
        )
    if any(n is None for n in x.shape[1:]):
        raise builder.error(
            f"cannot flatten {tuple(x.shape[1:])}: a size is unknown",
            hint='use a fixed input_shape, or pool="avg"',
        )
    return builder.add_layer(x, "flatten", layers.Flatten)


def float32_if_mixed() -> str | None:
    """Return "float32" if the policy computes in 16 bits: a softmax in few bits loses small probabilities."""
    return "float32" if keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16") else None


def activation_argument(activation: str) -> str | Callable[..., Any]:
    """Return the `activation` argument of a Keras layer: a registered function itself, else the name."""
    return activation_function(activation) if ">" in activation else activation


def without_axis(shape: Shape, axis: int) -> Shape:
    """Return a shape without one axis."""
    return (*shape[:axis], *shape[axis + 1 :])


def known_shape(shape: object, definition: Definition, hint: str = "use .build((28, 28, 1))") -> tuple[int, ...]:
    """Return the shape of an example, all of whose sizes are known.

    Args:
        shape: The argument of `build`.
        definition: The definition.
        hint: A call of `build` that is right.

    Raises:
        DefinitionError: It is not such a shape.
    """
    if not is_shape(shape) or not shape or None in shape:
        raise DefinitionError(
            f"{type(definition).__name__}.build needs the shape of an example with all sizes, received "
            f"{format_value(shape)}",
            code=definition,
            hint=f"{hint}, the shape of one example without the batch axis",
        )
    return tuple(int(size) for size in shape if size is not None)


@contextlib.contextmanager
def definition_errors(definition: Definition) -> Iterator[None]:
    """Raise a `DefinitionError` with the code of the definition for a `ValueError` of the model."""
    try:
        yield
    except ValueError as error:
        problem, _, hint = str(error).partition("\n  hint: ")
        raise DefinitionError(problem, code=definition, hint=hint) from error
