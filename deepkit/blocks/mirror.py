"""The mirror of an encoder: a decoder that inverts it layer by layer, in the opposite order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from deepkit.blocks import common
from deepkit.definition.builder import Builder, BuildState
from deepkit.definition.errors import shape_text
from deepkit.layers import L2Pooling, MaskingNoise, SaltAndPepperNoise, WeightedAveragePooling

if TYPE_CHECKING:
    from deepkit.definition.protocol import Definition
    from deepkit.utils.types import KerasTensor

WEIGHT_ARGUMENTS = tuple(
    f"{weight}_{kind}" for weight in ("kernel", "bias") for kind in ("initializer", "regularizer", "constraint")
)
_NORMS = (layers.BatchNormalization, layers.GroupNormalization, layers.LayerNormalization)
_ACTIVATIONS = (layers.Activation, layers.ELU, layers.LeakyReLU, layers.PReLU, layers.ReLU)
_TRAINING_ONLY = (
    layers.Dropout, layers.GaussianDropout, layers.GaussianNoise, layers.Identity, MaskingNoise, SaltAndPepperNoise,
)  # fmt: skip
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_POOLS = (
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
    layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
    L2Pooling, WeightedAveragePooling,
)  # fmt: skip
_PADDINGS = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
_DECODER_HINT = "pass decoder=[...]"


@dataclass(frozen=True)
class LayerSpec:
    """One layer of a decoder to build.

    Args:
        kind: Kind of the layer, with which its name begins.
        make: The layer class, or a function that returns the layer.
        kwargs: Arguments of the layer.
        tied_to: Name of the encoder's layer that is called in reverse instead; empty for a new layer.
    """

    kind: str
    make: Callable[..., keras.layers.Layer] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    tied_to: str = ""


@dataclass(frozen=True)
class TracedLayer:
    """One layer of an encoder, with its input and output in this encoder.

    Args:
        layer: The layer.
        input: Its symbolic input in this encoder; the layer may be used elsewhere too.
        output: Its symbolic output.
        is_instance: Whether the layer has weights and is used as it is, not as a copy without weights.
    """

    layer: Any
    input: Any
    output: Any
    is_instance: bool


def trace_chain(x: KerasTensor, body: Sequence[Definition], builder: Builder) -> list[TracedLayer]:
    """Return the layers of an encoder in order.

    Raises:
        DefinitionError: The encoder is not a chain, in which each layer takes the output of the one before.
    """
    probe = keras.Input(tuple(x.shape[1:]), dtype=x.dtype)
    state = BuildState(copies=builder.state.copies.copy(), adapter=lambda use: None)  # nothing runs on data here
    with keras.StatelessScope(initialize_variables=False):
        probe_builder = Builder(builder.path, definition=builder.definition, state=state)
        output = probe_builder.add_all(probe, body)
        code = probe_builder.require_single(output, "the encoder must return one tensor, but returns")
        model_layers = keras.Model(probe, code).layers
    traced: list[TracedLayer] = []
    previous = probe
    for layer in model_layers:
        if isinstance(layer, layers.InputLayer):
            continue
        node = layer._inbound_nodes[-1]  # the node of this encoder; a layer with weights may be in other models too
        if len(node.input_tensors) != 1 or node.input_tensors[0] is not previous:
            raise builder.error(
                f"the encoder is not a chain of layers at {layer.name!r}, so it cannot be mirrored", hint=_DECODER_HINT
            )
        traced += _flatten_sequential(
            TracedLayer(layer, previous, node.outputs[0], is_instance=id(layer) in state.instances)
        )
        previous = node.outputs[0]
    return traced


def _flatten_sequential(traced: TracedLayer) -> Iterator[TracedLayer]:
    """Yield the layers of a Keras Sequential, or any other layer itself."""
    if not isinstance(traced.layer, keras.Sequential):
        yield traced
        return
    x = traced.input
    for layer in traced.layer.layers:
        y = layer(x)
        yield from _flatten_sequential(TracedLayer(layer, x, y, is_instance=True))
        x = y


def mirror(traced: Sequence[TracedLayer], builder: Builder, tied: bool) -> list[LayerSpec]:
    """Return the layers of the decoder that inverts a chain of layers.

    The inverse of a layer with a kernel reconstructs the input of that layer, so it is followed by the normalization
    and the activation that computed this input: those after the kernel before.

    Raises:
        DefinitionError: A layer cannot be mirrored; the message names it.
    """
    steps: list[list[LayerSpec]] = []
    following: list[LayerSpec] = []  # normalizations and activations after the latest kernel
    is_first = True
    for step in traced:
        layer = step.layer
        if isinstance(layer, _TRAINING_ONLY):
            continue
        if isinstance(layer, (*_NORMS, *_ACTIVATIONS)):
            following.append(_clone(layer))
        elif isinstance(layer, (layers.Dense, *_CONVOLUTIONS)):
            if is_first:  # `Autoencoder` adds the activation of the output
                following = []
            use_bias = all(spec.kind != "norm" for spec in following)
            steps.append([*_invert(step, use_bias, builder, tied), *following])
            following, is_first = _activation_of(layer), False
        else:
            steps.append(_invert_shape(step, builder))
    return [spec for step_specs in reversed(steps) for spec in step_specs]


def add_decoder(x: Any, specs: Sequence[LayerSpec], builder: Builder, tied_layers: Mapping[str, Any]) -> Any:
    """Add the layers of a decoder.

    Args:
        x: The code.
        specs: The layers.
        builder: The builder of the decoder.
        tied_layers: The encoder's layers that run in both directions, by name.
    """
    counts = Counter(spec.kind for spec in specs if not spec.tied_to)
    names = {kind: iter(common.numbered(kind, count)) for kind, count in counts.items()}
    for spec in specs:
        if spec.tied_to:
            x = builder.call_layer(_reverse(tied_layers[spec.tied_to]), x)
        else:
            assert spec.make is not None
            x = builder.add_layer(x, next(names[spec.kind]), spec.make, **spec.kwargs)
    return x


def _reverse(layer: Any) -> Callable[[Any], Any]:
    return lambda code: layer(code, reverse=True)


def _clone(layer: keras.layers.Layer) -> LayerSpec:
    """Return a new layer with the config of a normalization or activation."""
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    kind = "norm" if isinstance(layer, _NORMS) else "activation"
    return LayerSpec(kind, lambda name: type(layer).from_config({**config, "name": name}))


def _activation_of(layer: Any) -> list[LayerSpec]:
    """Return the activation that a layer with a kernel applies itself."""
    if layer.activation is keras.activations.linear:
        return []
    return [LayerSpec("activation", layers.Activation, {"activation": layer.activation})]


def _invert(step: TracedLayer, use_bias: bool, builder: Builder, tied: bool) -> list[LayerSpec]:
    """Return the layers that reconstruct the input of a layer with a kernel."""
    layer = step.layer
    if tied:
        return [_invert_tied(step, use_bias, builder)]
    config = layer.get_config()
    kwargs = {key: config[key] for key in WEIGHT_ARGUMENTS} | {"use_bias": use_bias}
    if isinstance(layer, layers.Dense):
        return [LayerSpec("dense", layers.Dense, {"units": step.input.shape[-1], **kwargs})]
    return _transpose(step, kwargs, builder)


def _invert_tied(step: TracedLayer, use_bias: bool, builder: Builder) -> LayerSpec:
    """Return the layer itself, called in reverse."""
    layer = step.layer
    if isinstance(layer, layers.Dense):
        return LayerSpec("dense", kwargs={"use_reverse_bias": use_bias}, tied_to=layer.name)
    if type(layer) not in _CONVOLUTIONS:
        raise builder.error(
            f"tied_weights=True ties dense layers and Keras's convolutions, but {layer.name!r} is a "
            f"{type(layer).__name__}",
            hint="use tied_weights=False",
        )
    _check_sizes_known(step, builder)
    return LayerSpec("conv", kwargs={"use_reverse_bias": use_bias}, tied_to=layer.name)


def _transpose(step: TracedLayer, weight_kwargs: dict[str, Any], builder: Builder) -> list[LayerSpec]:
    """Return the transposed convolution that restores the size of a convolution's input."""
    layer = step.layer
    unsupported = [name for name in ("groups", "dilation_rate") if set(_as_tuple(getattr(layer, name))) != {1}]
    if unsupported or layer.padding == "causal":
        argument = f"{unsupported[0]}={getattr(layer, unsupported[0])}" if unsupported else 'padding="causal"'
        raise builder.error(f"{layer.name!r} has {argument}, which cannot be mirrored", hint=_DECODER_HINT)
    sizes, strides = _check_sizes_known(step, builder), layer.strides
    filters = step.input.shape[common.channel_axis(step.input)]
    kwargs = {"filters": filters, "kernel_size": layer.kernel_size, "strides": strides, "padding": layer.padding}
    resizing: list[LayerSpec] = []
    if set(strides) != {1} and layer.padding == "valid":
        triples = zip(sizes, layer.kernel_size, strides, strict=True)
        kwargs["output_padding"] = tuple((size - kernel) % stride for size, kernel, stride in triples)
    elif set(strides) != {1}:
        resizing = _resize(step, [n * s for n, s in zip(_output_sizes(step), strides, strict=True)], builder)
    make = getattr(layers, f"{type(layer).__name__}Transpose")
    return [LayerSpec("conv", make, kwargs | weight_kwargs), *resizing]


def _invert_shape(step: TracedLayer, builder: Builder) -> list[LayerSpec]:
    """Return the inverse of a layer that changes the shape and has no kernel."""
    layer = step.layer
    if isinstance(layer, layers.Flatten | layers.Reshape):
        shape = tuple(step.input.shape[1:])
        if None in shape:
            raise builder.error(
                f"{layer.name!r} cannot be mirrored: a size of {shape} is unknown", hint="use a fixed input_shape"
            )
        return [LayerSpec("reshape", layers.Reshape, {"target_shape": shape})]
    if isinstance(layer, _PADDINGS):
        make = common.layer_for_rank("Cropping", step.input, builder)
        return [LayerSpec("crop", make, {"cropping": layer.padding})]
    if isinstance(layer, _POOLS):
        strides = _as_tuple(layer.strides)
        if len(strides) == 1:  # of all axes
            strides *= len(step.input.shape) - 2
        upsampling = [] if set(strides) == {1} else [_upsampling(step, strides, builder)]
        _check_sizes_known(step, builder)
        upsampled = [n * s for n, s in zip(_output_sizes(step), strides, strict=True)]
        return upsampling + _resize(step, upsampled, builder)
    raise builder.error(f"{layer.name!r}, a {type(layer).__name__}, cannot be mirrored", hint=_DECODER_HINT)


def _upsampling(step: TracedLayer, strides: tuple[int, ...], builder: Builder) -> LayerSpec:
    size = strides[0] if len(strides) == 1 else strides
    return LayerSpec("up", common.layer_for_rank("UpSampling", step.input, builder), {"size": size})


def _resize(step: TracedLayer, received: Sequence[int], builder: Builder) -> list[LayerSpec]:
    """Return the zero padding or the cropping that restores the sizes of a layer's input."""
    missing = [size - n for size, n in zip(_check_sizes_known(step, builder), received, strict=True)]
    ends = [(abs(n) // 2, abs(n) - abs(n) // 2) for n in missing]
    specs = []
    for kind, layer_kind, argument, sign in (
        ("pad", "ZeroPadding", "padding", 1),
        ("crop", "Cropping", "cropping", -1),
    ):
        amounts = tuple(pair if n * sign > 0 else (0, 0) for n, pair in zip(missing, ends, strict=True))
        if any(map(any, amounts)):
            kwargs = {argument: amounts[0] if len(amounts) == 1 else amounts}
            specs.append(LayerSpec(kind, common.layer_for_rank(layer_kind, step.input, builder), kwargs))
    return specs


def _check_sizes_known(step: TracedLayer, builder: Builder) -> tuple[int, ...]:
    """Return the spatial sizes of a layer's input, which must be known unless the layer keeps them."""
    sizes = tuple(step.input.shape[axis] for axis in common.spatial_axes(step.input))
    if None in sizes and set(_as_tuple(step.layer.strides)) != {1}:
        raise builder.error(
            f"{step.layer.name!r} has strides, and its input {shape_text(step.input)} has an unknown size, "
            "so it cannot be mirrored",
            hint="use a fixed input_shape",
        )
    return sizes


def _output_sizes(step: TracedLayer) -> tuple[int, ...]:
    return tuple(step.output.shape[axis] for axis in common.spatial_axes(step.output))


def _as_tuple(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)
