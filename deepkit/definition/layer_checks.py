"""Checks of Keras layers in a definition: before the call of a layer, and after an error of Keras.

A check is registered for a layer class and also holds for its subclasses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import keras
from keras import layers

from deepkit.definition.errors import shape_text

if TYPE_CHECKING:
    from deepkit.utils.types import Tensors

_OUT_OF_MEMORY = re.compile(r"OOM when allocating tensor with shape\[([\d,]+)\]")

_CALL_HINTS = {  # by a part of TensorFlow's message
    "to a numpy array": "use the functions of keras.ops, which take symbolic tensors, in place of those of NumPy",
    "as a Python `bool`": "use keras.ops.where or keras.ops.cond in place of `if`",
    "Iterating over a symbolic": "use the functions of keras.ops on the whole tensor in place of a loop",
}


@dataclass(frozen=True)
class Problem:
    """A problem with the call of a layer.

    Args:
        text: Description of the problem.
        hint: How to fix it, as an imperative.
    """

    text: str
    hint: str = ""


InputCheck: TypeAlias = "Callable[[keras.layers.Layer, Tensors], Problem | None]"
ErrorCheck: TypeAlias = Callable[[keras.layers.Layer, Exception], Problem | None]

_INPUT_CHECKS: list[tuple[type[keras.layers.Layer], InputCheck]] = []
_ERROR_CHECKS: list[tuple[type[keras.layers.Layer], ErrorCheck]] = []


def register_input_check(*classes: type[keras.layers.Layer]) -> Callable[[InputCheck], InputCheck]:
    """Register a check of a layer and its input, made before the layer is called."""

    def register(check: InputCheck) -> InputCheck:
        _INPUT_CHECKS.extend((cls, check) for cls in classes)
        return check

    return register


def register_error_check(*classes: type[keras.layers.Layer]) -> Callable[[ErrorCheck], ErrorCheck]:
    """Register an explanation of an error that Keras raises when the layer is called."""

    def register(check: ErrorCheck) -> ErrorCheck:
        _ERROR_CHECKS.extend((cls, check) for cls in classes)
        return check

    return register


def input_problem(layer: keras.layers.Layer, x: Tensors) -> Problem | None:
    """Return the first problem that a registered check finds with an input."""
    return _first(check(layer, x) for cls, check in _INPUT_CHECKS if isinstance(layer, cls))


def error_problem(layer: keras.layers.Layer, error: Exception) -> Problem | None:
    """Return the first explanation that a registered check has for an error."""
    return _first(check(layer, error) for cls, check in _ERROR_CHECKS if isinstance(layer, cls))


def _first(problems: Iterator[Problem | None]) -> Problem | None:
    return next((problem for problem in problems if problem is not None), None)


@register_input_check(
    layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.SeparableConv1D, layers.SeparableConv2D,
    layers.DepthwiseConv1D, layers.DepthwiseConv2D,
    layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
)  # fmt: skip
def check_window(layer: keras.layers.Layer, x: Tensors) -> Problem | None:
    """Refuse an unpadded kernel or pooling window that is larger than its input."""
    argument = "kernel_size" if hasattr(layer, "kernel_size") else "pool_size"
    if getattr(layer, "padding", None) != "valid" or not isinstance(x, keras.KerasTensor):
        return None
    window = getattr(layer, argument)
    window = (window,) * (len(x.shape) - 2) if isinstance(window, int) else window
    if len(x.shape) != len(window) + 2:
        return None
    first = 2 if getattr(layer, "data_format", "") == "channels_first" else 1
    sizes = x.shape[first : first + len(window)]
    dilation = getattr(layer, "dilation_rate", None) or (1,) * len(window)
    needed = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    if all(size is None or size >= minimum for size, minimum in zip(sizes, needed, strict=True)):
        return None
    window_text = str(window[0]) if len(set(window)) == 1 else str(window)
    return Problem(
        f'padding="valid" with {argument}={window_text} needs an input of at least {"x".join(map(str, needed))}, '
        f"received {shape_text(x)}",
        'use padding="same", a smaller kernel, a larger input, or one fewer pooling step before it',
    )


@register_input_check(
    layers.Conv2D, layers.Conv2DTranspose, layers.SeparableConv2D, layers.DepthwiseConv2D,
    layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D,
)  # fmt: skip
def check_image_rank(layer: keras.layers.Layer, x: Tensors) -> Problem | None:
    """Refuse images without a channel axis in front of a 2-D layer."""
    if not isinstance(x, keras.KerasTensor) or len(x.shape) != 3:
        return None
    shape = tuple(x.shape[1:])
    is_first = getattr(layer, "data_format", "") == "channels_first"
    expected = "(channels, rows, columns)" if is_first else "(rows, columns, channels)"
    with_channel = (1, *shape) if is_first else (*shape, 1)
    return Problem(
        f"{type(layer).__name__} expects images {expected}, received {shape}",
        f"add the channel axis to the data with x[..., None], or put layers.Reshape({with_channel}) before this layer",
    )


@register_input_check(layers.Embedding)
def check_embedding_rows(layer: keras.layers.Layer, x: Tensors) -> Problem | None:
    """Refuse an embedding with fewer rows than the text layer right before it has token ids."""
    text_layer = getattr(getattr(x, "_keras_history", None), "operation", None)
    if not isinstance(layer, layers.Embedding) or not isinstance(text_layer, layers.TextVectorization):
        return None
    vocabulary_size = int(text_layer.vocabulary_size())
    # a vocabulary of 2 holds padding and the unknown token alone: it is not adapted yet
    num_ids = vocabulary_size if vocabulary_size > 2 else text_layer.get_config()["max_tokens"] or 0
    if num_ids <= layer.input_dim:
        return None
    return Problem(
        f"an Embedding with {layer.input_dim} rows after a text layer with up to {num_ids} token ids",
        f"use layers.Embedding({num_ids}, {layer.output_dim}), or max_tokens={layer.input_dim} in the text layer",
    )


@register_error_check(keras.layers.Layer)
def explain_orthogonal_initializer(layer: keras.layers.Layer, error: Exception) -> Problem | None:
    """Explain that TensorFlow cannot draw orthogonal weights in 16 bits."""
    if "Op:Qr" not in str(error):
        return None
    return Problem(
        f"TensorFlow cannot draw orthogonal initial weights in {layer.variable_dtype}",
        'use keras.config.set_dtype_policy("mixed_bfloat16"), which keeps weights in float32, or another initializer',
    )


@register_error_check(keras.layers.Layer)
def explain_memory(layer: keras.layers.Layer, error: Exception) -> Problem | None:
    """Explain that the device has no memory for a weight of the layer."""
    match = _OUT_OF_MEMORY.search(str(error))
    if match is None:
        return None
    shape = match[1].replace(",", ", ")
    hint = "use a smaller layer, or reduce its input, for example by pooling"
    return Problem(f"the device has not enough memory for a weight of shape ({shape})", hint)


@register_error_check(keras.layers.Layer)
def explain_failed_call(layer: keras.layers.Layer, error: Exception) -> Problem | None:
    """Explain an error inside the `call` of a layer, which Keras reports in its second paragraph."""
    _, separator, rest = str(error).partition("Error encountered:")
    cause = re.sub(r"\x1b\[[0-9;]*m", "", rest).strip().split("\n\n")[0]
    if not separator or not cause:
        return None
    sentence = " ".join(cause.split()).split(". ")[0].rstrip(".")
    hint = next((hint for part, hint in _CALL_HINTS.items() if part in cause), "")
    return Problem(f"{type(layer).__name__}.call fails for a symbolic tensor: {sentence}", hint)
