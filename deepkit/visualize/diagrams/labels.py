"""What a layer is, in the few words and the colour that a picture has room for."""

from __future__ import annotations

import re
from typing import Any

import keras

CONVOLUTION, DENSE, NORMALISATION, ACTIVATION = "convolution", "dense", "normalisation", "activation"
POOLING, MERGE, INPUT, OTHER = "pooling", "merge", "input", "other"

_SHORT = {
    "BatchNormalization": "BatchNorm",
    "LayerNormalization": "LayerNorm",
    "GroupNormalization": "GroupNorm",
    "UnitNormalization": "UnitNorm",
    "InputLayer": "Input",
}
_ACTIVATIONS = {"relu": "ReLU", "relu6": "ReLU6", "elu": "ELU", "selu": "SELU", "gelu": "GELU", "silu": "SiLU"}
_ACTIVATION_LAYERS = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Squash")
_PLAIN = ("conv", "norm", "activation", "dense", "pool", "bn", "relu")
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")


def label(layer: Any) -> str:
    """Say what a layer is: `Conv2D 3×3, 64, stride 2`."""
    kind = type(layer).__name__
    inner = getattr(layer, "layer", None) or getattr(layer, "forward_layer", None)
    if inner is not None:
        return f"{kind} {label(inner)}"
    if kind == "Activation":
        return _activation(layer) or "linear"
    if isinstance(layer, keras.layers.ReLU) and layer.max_value == 6:
        return "ReLU6"
    pooling = re.fullmatch(r"(Global)?(Max|Average)Pooling(\d)D", kind)
    if pooling:
        kind = f"{pooling[1] or ''}{pooling[2].replace('Average', 'Avg')}Pool{pooling[3]}D"
    details = ", ".join(_details(layer))
    return f"{_SHORT.get(kind, kind)} {details}".strip()


def category(layer: Any) -> str:
    """Return the kind of layer that decides the colour."""
    kind = type(layer).__name__
    if kind == "InputLayer":
        return INPUT
    if kind in _ACTIVATION_LAYERS:
        return ACTIVATION
    if kind in _MERGES:
        return MERGE
    if "Pooling" in kind or kind.startswith("Subsampling"):
        return POOLING
    if "Normalization" in kind:
        return NORMALISATION
    if "Conv" in kind:
        return CONVOLUTION
    return DENSE if "Dense" in kind else OTHER


def redundant(name: str, text: str) -> bool:
    """Whether a label says no more than the layer's name: `Add` beside `add`, `Concatenate` beside `concat`."""
    plain = re.sub(r"_\d+$|\d+$", "", name).replace("_", "").lower()
    return len(plain) > 2 and text.lower().startswith(plain) and " " not in text


def repeats(name: str, layer: Any) -> bool:
    """Whether a name is only the kind of its layer: `conv`, `norm2`, or the class as Keras would write it."""
    plain = re.sub(r"_?\d+$", "", name)
    kind = type(layer).__name__.lower()
    return plain in _PLAIN or re.fullmatch(rf"{kind}\d*", name.replace("_", "")) is not None


def is_numbered_input(layer: Any) -> bool:
    """Whether a layer is an input to which Keras gave the name, which counts those of the whole program."""
    return category(layer) == INPUT and bool(re.fullmatch(r"input_layer(_\d+)?", layer.name))


def size_text(shape: Any) -> str:
    """Return a shape without the batch axis: `28×28×64`, `?` for an unknown size."""
    return "×".join("?" if size is None else str(size) for size in tuple(shape)[1:]) or "scalar"


def _details(layer: Any) -> list[str]:
    """Return the settings that a figure in a paper would show, in the order it would."""
    window = _tuple(layer, "kernel_size") or _tuple(layer, "pool_size")
    strides = _tuple(layer, "strides")
    width = getattr(layer, "filters", None) or getattr(layer, "units", None)
    words = [layer.dtype] if category(layer) == INPUT and layer.dtype != "float32" else []
    words += [_by(window)] if window else []
    words += [str(width)] if isinstance(width, int) else []
    words += _special(layer)
    if strides and strides != (window if hasattr(layer, "pool_size") else (1,) * len(strides)):
        words.append(f"stride {_by(strides, squares=False)}")
    dilation = _tuple(layer, "dilation_rate")
    words += [f"dilated {_by(dilation, squares=False)}"] if dilation and set(dilation) != {1} else []
    groups = getattr(layer, "groups", 1)
    words += [f"groups {groups}"] if isinstance(groups, int) and groups != 1 else []
    words += _unusual(layer, window)
    activation = _activation(layer)
    return [*words, activation] if activation and category(layer) in (CONVOLUTION, DENSE) else words


def _unusual(layer: Any, window: tuple[int, ...]) -> list[str]:
    """Return the padding where it is not the one to expect: `same` for a convolution, `valid` for pooling.

    A window as large as its strides, such as that of a transposed convolution that doubles the size, needs none.
    """
    padding, usual = getattr(layer, "padding", None), {CONVOLUTION: "same", POOLING: "valid"}.get(category(layer))
    matters = bool(window) and set(window) != {1} and window != _tuple(layer, "strides")
    return [padding] if matters and usual and isinstance(padding, str) and padding != usual else []


def _special(layer: Any) -> list[str]:
    """Return what single kinds of layers are known by: a rate, a vocabulary, heads, a target shape."""
    if isinstance(layer, keras.layers.Embedding):
        return [f"{layer.input_dim:,} to {layer.output_dim}"]
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return [f"{layer.num_heads} heads"]
    if isinstance(layer, keras.layers.UpSampling2D | keras.layers.UpSampling1D | keras.layers.UpSampling3D):
        size = layer.size if isinstance(layer.size, tuple) else (layer.size,)
        return [_by(size)]
    rate = getattr(layer, "rate", None)
    return [f"{rate:g}"] if isinstance(rate, int | float) and "Dropout" in type(layer).__name__ else []


def _tuple(layer: Any, name: str) -> tuple[int, ...]:
    value = getattr(layer, name, None)
    value = (value,) if isinstance(value, int) else value
    fits = isinstance(value, tuple | list) and all(isinstance(size, int) for size in value)
    return tuple(value) if fits and value is not None else ()


def _by(sizes: tuple[int, ...], *, squares: bool = True) -> str:
    """Return `3×3`; a single number where all are equal and `squares` is not wanted."""
    return str(sizes[0]) if not squares and len(set(sizes)) == 1 else "×".join(map(str, sizes))


def _activation(layer: Any) -> str:
    """Return the name of a layer's activation, nothing for the linear one."""
    function = getattr(layer, "activation", None)
    name = getattr(function, "__name__", None) or getattr(function, "name", None) or type(function).__name__
    return "" if function is None or name == "linear" else _ACTIVATIONS.get(name, name)
