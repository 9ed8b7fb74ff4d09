"""The mirror of an encoder: a decoder that undoes it layer by layer, in the opposite order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from deepkit.blocks import common as parts
from deepkit.definition.block import Block
from deepkit.definition.builder import Builder, BuildState
from deepkit.definition.errors import shape_text
from deepkit.layers import L2Pooling, MaskingNoise, SaltAndPepperNoise

_NORMS = (layers.BatchNormalization, layers.GroupNormalization, layers.LayerNormalization)
_ACTIVATIONS = (layers.Activation, layers.ELU, layers.LeakyReLU, layers.PReLU, layers.ReLU)
_TRAINING_ONLY = (
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    MaskingNoise,
    SaltAndPepperNoise,
)
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_POOLS = (
    *(getattr(layers, f"{kind}Pooling{n}D") for kind in ("Average", "Max") for n in (1, 2, 3)),
    L2Pooling,
)
_PADDINGS = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
_COPIED = tuple(f"{w}_{what}" for w in ("kernel", "bias") for what in ("initializer", "regularizer", "constraint"))
_MEND = "decoder=[...], one of your own"


@dataclass(frozen=True)
class Part:
    """One layer of a decoder, to be made.

    Args:
        kind: What its name begins with.
        make: Makes it.
        given: Its arguments.
        tied: The name of the encoder's layer that is called in reverse instead; empty where a layer is made.
    """

    kind: str
    make: Callable[..., Any] | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    tied: str = ""


@dataclass(frozen=True)
class Link:
    """One layer of an encoder, and what comes in and out of it there.

    Args:
        layer: The layer.
        input: Its symbolic input in this encoder; the layer may be used elsewhere too.
        output: Its symbolic output.
        kept: Whether it has weights and is used as it is; else it is a copy that holds none.
    """

    layer: Any
    input: Any
    output: Any
    kept: bool


def chain(x: Any, body: Sequence[Block], builder: Builder) -> list[Link]:
    """Return the layers of an encoder in order.

    Raises:
        DefinitionError: They are no chain, in which each takes the output of the one before.
    """
    probe = keras.Input(tuple(x.shape[1:]), dtype=x.dtype)
    state = BuildState(uses=builder.state.uses.copy())
    with keras.StatelessScope(initialize_variables=False):
        place = Builder(builder.path, definition=builder.definition, state=state)
        code = place.require_single(place.add_all(probe, body), "the encoder must return one tensor, and returns")
        found = [layer for layer in keras.Model(probe, code).layers if not isinstance(layer, layers.InputLayer)]
    before = probe
    links: list[Link] = []
    for layer in found:
        node = layer._inbound_nodes[-1]  # that of this encoder; a layer with weights may be in other models
        if len(node.input_tensors) != 1 or node.input_tensors[0] is not before:
            raise builder.error(f"the encoder is no chain of layers at {layer.name!r}, so it has no mirror", hint=_MEND)
        links += _opened(Link(layer, before, node.outputs[0], id(layer) in state.fixed))
        before = node.outputs[0]
    return links


def _opened(link: Link) -> Iterator[Link]:
    """Yield the layers of a Keras Sequential, which are a chain too, or the link itself."""
    if not isinstance(link.layer, keras.Sequential):
        yield link
        return
    x = link.input
    for layer in link.layer.layers:
        y = layer(x)
        yield from _opened(Link(layer, x, y, True))
        x = y


def mirror(found: Sequence[Link], builder: Builder, tied: bool) -> list[Part]:
    """Return the parts of the decoder that undoes a chain of layers.

    The image of a layer with a kernel brings back what came into that layer, so it is followed by the activation
    and the normalisation that had made it: those behind the kernel before.

    Raises:
        DefinitionError: A layer has no mirror image; the message names it.
    """
    steps: list[list[Part]] = []
    behind: list[Part] = []  # activations and normalisations behind the last kernel
    first = True
    for link in found:
        layer = link.layer
        if isinstance(layer, _TRAINING_ONLY):
            continue
        if isinstance(layer, (*_NORMS, *_ACTIVATIONS)):
            behind.append(_again(layer))
        elif isinstance(layer, (layers.Dense, *_CONVOLUTIONS)):
            behind = [] if first else behind  # the output has an activation of its own
            bias = all(part.kind != "norm" for part in behind)
            steps.append([*_undone(link, bias, builder, tied), *behind])
            behind, first = _activation(layer), False
        else:
            steps.append(_unshaped(link, builder))
    return [part for step in reversed(steps) for part in step]


def add(x: Any, decoder: Sequence[Part], builder: Builder, tied: Mapping[str, Any]) -> Any:
    """Add the parts of a decoder; `tied` has the encoder's layers that run both ways, by name."""
    counts = Counter(part.kind for part in decoder if not part.tied)
    names = {kind: iter(parts.numbered(kind, count)) for kind, count in counts.items()}
    for part in decoder:
        if part.tied:
            x = builder.call_layer(_reverse(tied[part.tied]), x)
        else:
            assert part.make is not None
            x = builder.add_layer(x, next(names[part.kind]), part.make, **part.given)
    return x


def _reverse(layer: Any) -> Callable[[Any], Any]:
    return lambda code: layer(code, reverse=True)


def _again(layer: keras.layers.Layer) -> Part:
    """Return a new layer of the same config."""
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    kind = "norm" if isinstance(layer, _NORMS) else "activation"
    return Part(kind, lambda name: type(layer).from_config({**config, "name": name}))


def _activation(layer: keras.layers.Layer) -> list[Part]:
    """Return the activation that a layer with a kernel brings itself."""
    if layer.activation is keras.activations.linear:
        return []
    return [Part("activation", layers.Activation, {"activation": layer.activation})]


def _undone(link: Link, bias: bool, builder: Builder, tied: bool) -> list[Part]:
    """Return what brings back the input of a layer with a kernel."""
    layer = link.layer
    if tied:
        return [_tied(link, bias, builder)]
    config = layer.get_config()
    given = {key: config[key] for key in _COPIED} | {"use_bias": bias}
    if isinstance(layer, layers.Dense):
        return [Part("dense", layers.Dense, {"units": link.input.shape[-1], **given})]
    return _transposed(link, given, builder)


def _tied(link: Link, bias: bool, builder: Builder) -> Part:
    """Return the layer itself, called in reverse."""
    layer = link.layer
    if isinstance(layer, layers.Dense):
        return Part("dense", given={"use_reverse_bias": bias}, tied=layer.name)
    if type(layer) not in _CONVOLUTIONS:
        raise builder.error(
            f"tied_weights=True ties dense layers and Keras's own convolutions, and {layer.name!r} is a {type(layer).__name__}",
            hint="tied_weights=False",
        )
    _sizes(link, builder)
    return Part("conv", given={"use_reverse_bias": bias}, tied=layer.name)


def _transposed(link: Link, given: dict[str, Any], builder: Builder) -> list[Part]:
    """Return the transposed convolution that brings back the size of a convolution's input."""
    layer = link.layer
    odd = [name for name in ("groups", "dilation_rate") if set(_each(getattr(layer, name))) != {1}]
    if odd or layer.padding == "causal":
        what = f"{odd[0]}={getattr(layer, odd[0])}" if odd else 'padding="causal"'
        raise builder.error(f"{layer.name!r} has {what}, which no transposed convolution undoes here", hint=_MEND)
    size, strides = _sizes(link, builder), layer.strides
    made = {"filters": link.input.shape[parts.channel_axis(link.input)], "kernel_size": layer.kernel_size}
    made |= {"strides": strides, "padding": layer.padding}
    extra: list[Part] = []
    if set(strides) != {1} and layer.padding == "valid":
        steps = zip(size, layer.kernel_size, strides, strict=True)
        made["output_padding"] = tuple((before - kernel) % stride for before, kernel, stride in steps)
    elif set(strides) != {1}:
        extra = _fitted(link, [n * s for n, s in zip(_after(link), strides, strict=True)], builder)
    make = getattr(layers, f"{type(layer).__name__}Transpose")
    return [Part("conv", make, made | given), *extra]


def _unshaped(link: Link, builder: Builder) -> list[Part]:
    """Return what undoes a layer that changes the shape and has no kernel."""
    layer = link.layer
    if isinstance(layer, layers.Flatten | layers.Reshape):
        shape = tuple(link.input.shape[1:])
        if None in shape:
            raise builder.error(f"{layer.name!r} cannot be undone: a size of {shape} is unknown", hint="a fixed shape")
        return [Part("reshape", layers.Reshape, {"target_shape": shape})]
    if isinstance(layer, _PADDINGS):
        return [Part("crop", parts.by_rank("Cropping", link.input, builder), {"cropping": layer.padding})]
    if isinstance(layer, _POOLS):
        strides = _each(layer.strides)
        upsampled = [] if set(strides) == {1} else [_upsampling(link, strides, builder)]
        _sizes(link, builder)
        return upsampled + _fitted(link, [n * s for n, s in zip(_after(link), strides, strict=True)], builder)
    raise builder.error(f"{layer.name!r}, a {type(layer).__name__}, has no mirror image", hint=_MEND)


def _upsampling(link: Link, strides: tuple[int, ...], builder: Builder) -> Part:
    size = strides[0] if len(strides) == 1 else strides
    return Part("up", parts.by_rank("UpSampling", link.input, builder), {"size": size})


def _fitted(link: Link, received: Sequence[int], builder: Builder) -> list[Part]:
    """Return the zeros or the cut that bring sizes to those of a layer's input."""
    missing = [before - now for before, now in zip(_sizes(link, builder), received, strict=True)]
    around = [(abs(n) // 2, abs(n) - abs(n) // 2) for n in missing]
    made = []
    for kind, name, argument, sign in (("pad", "ZeroPadding", "padding", 1), ("crop", "Cropping", "cropping", -1)):
        ends = tuple(pair if n * sign > 0 else (0, 0) for n, pair in zip(missing, around, strict=True))
        if any(map(any, ends)):
            given = {argument: ends[0] if len(ends) == 1 else ends}
            made.append(Part(kind, parts.by_rank(name, link.input, builder), given))
    return made


def _sizes(link: Link, builder: Builder) -> tuple[int, ...]:
    """Return the spatial sizes of a layer's input, which must be known unless the layer keeps them."""
    sizes = tuple(link.input.shape[axis] for axis in parts.spatial_axes(link.input))
    if None in sizes and set(_each(link.layer.strides)) != {1}:
        raise builder.error(
            f"{link.layer.name!r} has strides, and its input {shape_text(link.input)} has a size that is not known, "
            "so its mirror image cannot bring it back",
            hint="a fixed input_shape",
        )
    return sizes


def _after(link: Link) -> tuple[int, ...]:
    return tuple(link.output.shape[axis] for axis in parts.spatial_axes(link.output))


def _each(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)
