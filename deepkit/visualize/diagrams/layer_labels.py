"""Label and category of a layer: its short description in a figure, and its color."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from deepkit.utils.types import Shape

CONVOLUTION, DENSE, NORMALIZATION, ACTIVATION = "convolution", "dense", "normalization", "activation"
POOLING, MERGE, INPUT, OTHER = "pooling", "merge", "input", "other"

_SHORT_KINDS = {
    "BatchNormalization": "BatchNorm",
    "LayerNormalization": "LayerNorm",
    "GroupNormalization": "GroupNorm",
    "UnitNormalization": "UnitNorm",
    "InputLayer": "Input",
}
_ACTIVATIONS = {"relu": "ReLU", "relu6": "ReLU6", "elu": "ELU", "selu": "SELU", "gelu": "GELU", "silu": "SiLU"}
_ACTIVATION_LAYERS = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Squash")
_GENERIC_NAMES = ("conv", "norm", "activation", "dense", "pool", "bn", "relu")
_MERGE_LAYERS = (
    "Add",
    "Subtract",
    "Multiply",
    "Average",
    "Maximum",
    "Minimum",
    "Concatenate",
    "Dot",
    "MaskedMerge",
)


def label(layer: keras.Operation) -> str:
    """Return a description of a layer, such as `Conv2D 3×3, 64, stride 2`."""
    kind = type(layer).__name__
    wrapped_layer = getattr(layer, "layer", None) or getattr(layer, "forward_layer", None)
    if wrapped_layer is not None:
        return f"{kind} {label(wrapped_layer)}"
    if kind == "Activation":
        return _activation_name(layer) or "linear"
    if isinstance(layer, keras.layers.ReLU) and layer.max_value == 6:
        return "ReLU6"
    pooling = re.fullmatch(r"(Global)?(Max|Average)Pooling(\d)D", kind)
    if pooling:
        kind = f"{pooling[1] or ''}{pooling[2].replace('Average', 'Avg')}Pool{pooling[3]}D"
    settings = ", ".join(_settings(layer))
    return f"{_SHORT_KINDS.get(kind, kind)} {settings}".strip()


def category(layer: keras.Operation) -> str:
    """Return the category of a layer, which decides the color."""
    kind = type(layer).__name__
    if kind == "InputLayer":
        return INPUT
    if kind in _ACTIVATION_LAYERS:
        return ACTIVATION
    if kind in _MERGE_LAYERS:
        return MERGE
    if "Pooling" in kind or kind.startswith("Subsampling"):
        return POOLING
    if "Normalization" in kind:
        return NORMALIZATION
    if "Conv" in kind:
        return CONVOLUTION
    return DENSE if "Dense" in kind else OTHER


def is_redundant(name: str, text: str) -> bool:
    """Return whether a label only repeats the layer's name: `Add` for `add`, `Concatenate` for `concat`."""
    letters = re.sub(r"_\d+$|\d+$", "", name).replace("_", "").lower()
    return len(letters) > 2 and text.lower().startswith(letters) and " " not in text


def is_generic_name(name: str, layer: keras.Operation) -> bool:
    """Return whether a name is only the kind of its layer: `conv`, `norm2`, or the class name in Keras's spelling."""
    without_number = re.sub(r"_?\d+$", "", name)
    kind = type(layer).__name__.lower()
    return without_number in _GENERIC_NAMES or re.fullmatch(rf"{kind}\d*", name.replace("_", "")) is not None


def is_unnamed_input(layer: keras.Operation) -> bool:
    """Return whether a layer is an input whose name Keras generated; it counts the inputs of the whole program."""
    return category(layer) == INPUT and bool(re.fullmatch(r"input_layer(_\d+)?", layer.name))


def shape_text(shape: Shape) -> str:
    """Return a shape without the batch axis: `28×28×64`, with `?` for an unknown size."""
    return "×".join("?" if size is None else str(size) for size in tuple(shape)[1:]) or "scalar"


def _settings(layer: keras.Operation) -> list[str]:
    """Return the settings that a figure in a paper would show, in the usual order."""
    window = _size_attribute(layer, "kernel_size") or _size_attribute(layer, "pool_size")
    strides = _size_attribute(layer, "strides")
    dilation = _size_attribute(layer, "dilation_rate")
    width = getattr(layer, "filters", None) or getattr(layer, "units", None)
    groups = getattr(layer, "groups", 1)
    activation = _activation_name(layer)
    settings = []
    dtype = getattr(layer, "dtype", "float32")
    if category(layer) == INPUT and dtype != "float32":
        settings.append(str(dtype))
    if window:
        settings.append(_size_text(window))
    if isinstance(width, int):
        settings.append(str(width))
    settings += _layer_specific(layer)
    default_strides = window if hasattr(layer, "pool_size") else (1,) * len(strides)
    if strides and strides != default_strides:
        settings.append(f"stride {_short_size_text(strides)}")
    if dilation and set(dilation) != {1}:
        settings.append(f"dilated {_short_size_text(dilation)}")
    if isinstance(groups, int) and groups != 1:
        settings.append(f"groups {groups}")
    settings += _unusual_padding(layer, window)
    if activation and category(layer) in (CONVOLUTION, DENSE):
        settings.append(activation)
    return settings


def _unusual_padding(layer: keras.Operation, window: tuple[int, ...]) -> list[str]:
    """Return the padding if it is not the usual one: `same` for a convolution, `valid` for pooling.

    A window as large as its strides, such as that of a transposed convolution that doubles the size, needs no padding.
    """
    padding = getattr(layer, "padding", None)
    usual_padding = {CONVOLUTION: "same", POOLING: "valid"}.get(category(layer))
    if usual_padding is None or not isinstance(padding, str) or padding == usual_padding:
        return []
    has_effect = bool(window) and set(window) != {1} and window != _size_attribute(layer, "strides")
    return [padding] if has_effect else []


def _layer_specific(layer: keras.Operation) -> list[str]:
    """Return the settings of particular layers: a vocabulary, heads, an upsampling factor, a dropout rate."""
    if isinstance(layer, keras.layers.Embedding):
        return [f"{layer.input_dim:,} to {layer.output_dim}"]
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return [f"{layer.num_heads} heads"]
    if isinstance(layer, keras.layers.UpSampling2D | keras.layers.UpSampling1D | keras.layers.UpSampling3D):
        size = layer.size if isinstance(layer.size, tuple) else (layer.size,)
        return [_size_text(size)]
    rate = getattr(layer, "rate", None)
    return [f"{rate:g}"] if isinstance(rate, int | float) and "Dropout" in type(layer).__name__ else []


def _size_attribute(layer: keras.Operation, name: str) -> tuple[int, ...]:
    """Return an attribute such as `kernel_size` as a tuple, which is empty if the layer does not have it."""
    value = getattr(layer, name, None)
    if isinstance(value, int):
        return (value,)
    if isinstance(value, tuple | list) and all(isinstance(size, int) for size in value):
        return tuple(value)
    return ()


def _size_text(sizes: tuple[int, ...]) -> str:
    """Return `3×3`."""
    return "×".join(map(str, sizes))


def _short_size_text(sizes: tuple[int, ...]) -> str:
    """Return `2` for equal sizes, else `2×1`."""
    return str(sizes[0]) if len(set(sizes)) == 1 else _size_text(sizes)


def _activation_name(layer: keras.Operation) -> str:
    """Return the name of a layer's activation, or an empty string if it is linear."""
    function = getattr(layer, "activation", None)
    name = getattr(function, "__name__", None) or getattr(function, "name", None) or type(function).__name__
    return "" if function is None or name == "linear" else _ACTIVATIONS.get(name, name)
