"""What the blocks have in common: checked arguments, and layers chosen by the rank of their input."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from deepkit.definition.block import Block
from deepkit.definition.builder import Builder
from deepkit.definition.errors import DefinitionError, shape_text
from deepkit.definition.sequential import as_element

NORMS = ("batch", "layer")
POOLS = {"max": "MaxPooling", "avg": "AveragePooling", "l2": "L2Pooling"}
SEVERAL = "the body must return one tensor, and returns"
MOST = 10_000  # repetitions in one block: beyond it a slip, or a file that means harm


def positive(owner: str, argument: str, value: Any, *, least: int = 1, most: int | None = None) -> None:
    """Raise unless `value` is a whole number of at least `least`, and at most `most` where that is given."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise DefinitionError(f"{owner}: {argument} must be {kind}, received {value!r}")
    if most is not None and value > most:
        raise DefinitionError(f"{owner}: {argument} must be at most {most:,}, received {value:,}")


def sizes(owner: str, argument: str, value: Any) -> int | tuple[int, ...]:
    """Return a size per axis (one integer, or a tuple of them), checked."""
    items = value if isinstance(value, list | tuple) else (value,)
    if not items:
        raise DefinitionError(f"{owner}: {argument} must be a positive integer or a tuple of them, received {value!r}")
    for item in items:
        positive(owner, argument, item)
    return tuple(items) if isinstance(value, list | tuple) else value


def choice(owner: str, argument: str, value: Any, known: tuple[Any, ...], hint: str = "") -> None:
    """Raise unless `value` is one of `known`."""
    if value not in known:
        expected = ", ".join(repr(item) for item in known)
        near = difflib.get_close_matches(str(value), [item for item in known if item], n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise DefinitionError(f"{owner}: {argument} must be one of {expected}, received {value!r}{meant}", hint=hint)


def flag(owner: str, argument: str, value: Any) -> None:
    """Raise unless `value` is True or False."""
    if not isinstance(value, bool):
        raise DefinitionError(f"{owner}: {argument} must be True or False, received {value!r}")


def rate(owner: str, argument: str, value: Any) -> None:
    """Raise unless `value` is a fraction of units to drop, at least 0 and below 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise DefinitionError(f"{owner}: {argument} must be a fraction in [0, 1), received {value!r}")


def activation_value(owner: str, value: Any) -> str | Block | None:
    """Return an activation as a value: Keras's name, `package>name` of a registered function, or a layer."""
    if isinstance(value, keras.layers.Layer | Block):
        return as_element(value, f"{owner}: activation")
    found = _name_of(value) if callable(value) else value
    if found is not None and not isinstance(found, str):
        raise DefinitionError(
            f"{owner}: activation {value!r} has no name that a saved model could find it by",
            hint='a name such as "relu", or @keras.saving.register_keras_serializable(package=...) on the function',
        )
    if found is not None:
        activation_function(found, owner)
    return found


def activation_function(name: str, owner: str = "activation") -> Callable[..., Any]:
    """Return the function of an activation's name.

    Raises:
        DefinitionError: Neither Keras nor the registry of custom objects knows it.
    """
    if name.startswith("deepkit>"):
        import deepkit.layers  # noqa: F401  registers deepkit's own
    function = keras.saving.get_registered_object(name)
    if inspect.isfunction(function):
        return function
    try:
        return keras.activations.get(name)
    except ValueError as error:
        raise DefinitionError(
            f"{owner}: activation {name!r} is neither Keras's nor registered",
            hint='"relu", "tanh", "gelu" or a layer',
        ) from error


def norm_value(owner: str, value: Any) -> str | Block | None:
    """Return a normalisation as a value: "batch", "layer", a Keras layer as definition, or None."""
    if isinstance(value, keras.layers.Layer | Block):
        return as_element(value, f"{owner}: norm")
    choice(owner, "norm", value, (*NORMS, None), "a layer such as layers.GroupNormalization(8) for any other")
    return value


def pool_value(owner: str, value: Any) -> str | Block | None:
    """Return a pooling as a value: "max", "avg", "l2", a Keras layer as definition, or None."""
    if isinstance(value, keras.layers.Layer | Block):
        return as_element(value, f"{owner}: pool")
    choice(owner, "pool", value, (*POOLS, None), "a layer such as layers.MaxPooling2D(3, 2) for any other")
    return value


def add_norm(x: Any, norm: str | Block | None, builder: Builder, name: str = "norm") -> Any:
    """Add a normalisation over the channels."""
    if norm is None:
        return x
    if isinstance(norm, Block):
        return norm.add(x, builder.child(norm.name or name, norm))
    make = layers.BatchNormalization if norm == "batch" else layers.LayerNormalization
    return builder.add_layer(x, name, make, **({} if channel_axis(x) in (-1, len(x.shape) - 1) else {"axis": 1}))


def add_activation(x: Any, activation: str | Block | None, builder: Builder, name: str = "activation") -> Any:
    """Add an activation."""
    if activation is None:
        return x
    if isinstance(activation, Block):
        return activation.add(x, builder.child(activation.name or name, activation))
    return builder.add_layer(x, name, layers.Activation, for_layer(activation))


def add_pool(x: Any, pool: str | Block | None, builder: Builder, name: str = "pool") -> Any:
    """Add a pooling: of windows of 2 with strides of 2, where it is given by name."""
    if pool is None:
        return x
    if isinstance(pool, Block):
        return pool.add(x, builder.child(pool.name or name, pool))
    if pool == "l2":
        from deepkit.layers import L2Pooling

        return builder.add_layer(x, name, L2Pooling, 2)
    return builder.add_layer(x, name, by_rank(POOLS[pool], x, builder), 2)


def add_projection(
    x: Any, name: str, width: int, builder: Builder, *, kernel_size: Any = 1, strides: Any = 1, **given: Any
) -> Any:
    """Add a linear layer to another width: dense for vectors, a convolution where there are positions.

    A convolution of single steps of a sequence is a dense layer too, which lets a mask pass.
    """
    single = len(x.shape) == 3 and channel_axis(x) == 2 and {kernel_size, strides} == {1}
    if len(x.shape) == 2 or single:
        return builder.add_layer(x, name, layers.Dense, width, **given)
    make = by_rank("Conv", x, builder)
    return builder.add_layer(x, name, make, width, kernel_size, strides, padding="same", **given)


def channel_axis(x: Any) -> int:
    """Return the axis of the channels: the last, or 1 under Keras's `channels_first` image format."""
    first = len(x.shape) > 2 and keras.config.image_data_format() == "channels_first"
    return 1 if first else len(x.shape) - 1


def channels(x: Any, builder: Builder) -> int:
    """Return the number of channels, which must be known."""
    count = x.shape[channel_axis(x)]
    if count is None:
        raise builder.error(f"the number of channels is unknown in {tuple(x.shape[1:])}", hint="a fixed number")
    return count


def check_alike(tensors: list[Any], builder: Builder, *, but_channels: bool = False) -> None:
    """Raise unless the tensors have the same sizes, or the same but for the channels."""
    first = tensors[0]
    skipped = {0, channel_axis(first)} if but_channels else {0}
    for other in tensors[1:]:
        alike = len(other.shape) == len(first.shape) and all(
            axis in skipped or a is None or b is None or a == b
            for axis, (a, b) in enumerate(zip(first.shape, other.shape, strict=True))
        )
        if not alike:
            wanted = "of one size but for the channels" if but_channels else "of one shape"
            raise builder.error(
                f"expected tensors {wanted}, received {shape_text(tensors)}",
                hint='padding="same" and the same strides everywhere; after pooling, sizes that divide evenly',
            )


def numbered(name: str, count: int) -> list[str]:
    """Return the names of `count` layers of a kind: numbered from 1, without a number for a single one."""
    return [name] if count == 1 else [f"{name}{i}" for i in range(1, count + 1)]


def spatial_axes(x: Any) -> range:
    """Return the axes between batch and channels (or after the channels under `channels_first`)."""
    return range(2, len(x.shape)) if channel_axis(x) == 1 and len(x.shape) > 2 else range(1, len(x.shape) - 1)


def by_rank(kind: str, x: Any, builder: Builder) -> type[layers.Layer]:
    """Return the 1-D, 2-D or 3-D form of a layer that fits the rank of `x`.

    Args:
        kind: The name without its dimensions: "Conv", "MaxPooling".
        x: A sequence (batch, steps, channels), image (batch, rows, columns, channels) or volume.
        builder: The place, for the error.
    """
    dimensions = len(x.shape) - 2
    if dimensions not in (1, 2, 3):
        raise builder.error(
            f"{kind} needs a sequence (steps, channels), an image (rows, columns, channels) or a volume, "
            f"received {tuple(x.shape[1:])}",
            hint="layers.Reshape(...) before it, or a dense block instead",
        )
    return getattr(layers, f"{kind}{dimensions}D")


def flat(x: Any, builder: Builder) -> Any:
    """Flatten each example to a vector, where it is not one already."""
    if len(x.shape) == 2:
        return x
    if any(n is None for n in x.shape[1:]):
        raise builder.error(
            f"cannot flatten {tuple(x.shape[1:])}: a size is unknown",
            hint='a fixed input_shape, or pool="avg"',
        )
    return builder.add_layer(x, "flatten", layers.Flatten)


def float32_if_mixed() -> str | None:
    """Return float32 where the policy computes in 16 bits: a softmax over few bits loses small probabilities."""
    return "float32" if keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16") else None


def for_layer(activation: str) -> Any:
    """Return what a Keras layer takes as `activation`: a registered function itself, else the name."""
    return activation_function(activation) if ">" in activation else activation


def _name_of(function: Callable[..., Any]) -> Any:
    """Return the name Keras finds a function by, or the function itself where there is none."""
    registered = keras.saving.get_registered_name(function)
    if keras.saving.get_registered_object(registered) is function:
        return registered
    name = getattr(function, "__name__", "")
    return name if getattr(keras.activations, name, None) is function else function
