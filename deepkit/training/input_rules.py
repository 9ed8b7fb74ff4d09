"""Conversions of the arrays of `fit` for a definition: the dtype of each input, and the rescaling of uint8 images.

The conversions become layers of the model, so that it takes the same raw arrays in `predict`, also after it is saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from deepkit.data.value_extremes import ValueExtremes
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.symbolic_inputs import find_input_spec, layers_by_input, required_dtype
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.definition.block import Block as Definition
    from deepkit.definition.first_layer import FirstLayer
    from deepkit.utils.types import KerasTensor, Shape, Tensors

_IMAGE_SCALE = 1 / 255
_EXACT_FLOAT32 = 2**24  # the integers up to here are exact in float32
_WINDOWS_1D = (
    layers.AveragePooling1D, layers.Conv1D, layers.DepthwiseConv1D, layers.MaxPooling1D, layers.SeparableConv1D,
)  # fmt: skip
_WINDOWS_2D = (
    layers.AveragePooling2D, layers.Conv2D, layers.DepthwiseConv2D, layers.MaxPooling2D, layers.SeparableConv2D,
)  # fmt: skip


@dataclass(frozen=True)
class InputRule:
    """The conversions of one input of a definition.

    Args:
        dtype: Dtype of the model's input; None for Keras's default float type.
        scale: Factor of uint8 images; None if the values stay as they are.
        adds_channel: Whether images of shape `(rows, columns)` receive a channel axis.
        needs_finite: Whether every layer that reads the input returns NaN for NaN, so that the training cannot work.
        fills_missing_values: Whether every block that reads the input replaces NaN, so that NaN is a missing value.
        notes: Messages for the user.
    """

    dtype: str | None = None
    scale: float | None = None
    adds_channel: bool = False
    needs_finite: bool = False
    fills_missing_values: bool = False
    notes: tuple[str, ...] = ()

    def preprocess(self, x: KerasTensor, prefix: str = "input_") -> KerasTensor:
        """Add the layers of this rule after an input; `prefix` keeps their names apart from the definition's."""
        if self.adds_channel:
            x = layers.Reshape(_with_channel(x.shape[1:]), name=f"{prefix}channel")(x)
        if self.scale is not None:
            x = layers.Rescaling(self.scale, dtype="float32", name=f"{prefix}rescaling")(x)
        return x


@dataclass(frozen=True)
class InputRules:
    """The rules of all inputs by name; the name of a single input is empty.

    Args:
        rules: The rules.
    """

    rules: Mapping[str, InputRule]

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages for the user."""
        return tuple(note for rule in self.rules.values() for note in rule.notes)

    @property
    def scales(self) -> Mapping[str, float | None] | float | None:
        """The factor of each input's values, in the structure of x."""
        scales = {name: rule.scale for name, rule in self.rules.items()}
        is_single = "" in scales
        return scales[""] if is_single else scales

    @property
    def rescales(self) -> bool:
        """Whether an input is rescaled."""
        return any(rule.scale is not None for rule in self.rules.values())

    def describe(self) -> str:
        """Return the rules that change values or shapes as text, for the config of a run."""
        changes = []
        for name, rule in self.rules.items():
            if rule.adds_channel:
                changes.append(f"{name or 'x'}: add a channel axis")
            if rule.scale is not None:
                changes.append(f"{name or 'x'}: multiply by {rule.scale:g}")
        return ", ".join(changes)

    def check_finite(self, arrays: object, source: str) -> None:
        """Raise if an array of inputs contains NaN or infinity, and the layers that read it cannot handle them.

        Args:
            arrays: Arrays of x, in the structure of x; other values are not checked.
            source: The argument that contains x, for the message.

        Raises:
            ValueError: There is such a value.
        """
        for name, rule in self.rules.items():
            array = _single(arrays) if name == "" else _item(arrays, name)
            if rule.needs_finite and isinstance(array, np.ndarray):
                check_finite_array(array, name or "x", source)

    @property
    def finite_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that must be finite; `""` for a single input."""
        return tuple(name for name, rule in self.rules.items() if rule.needs_finite)

    def without_missing_values(self, x: object) -> list[Any]:
        """Return the inputs of a batch in which NaN is not a missing value."""
        filled = {name for name, rule in self.rules.items() if rule.fills_missing_values}
        if isinstance(x, Mapping) and "" not in filled:
            return tf.nest.flatten({name: leaf for name, leaf in x.items() if name not in filled})
        return [] if "" in filled else tf.nest.flatten(x)

    def make_inputs(self, net: Definition, shape: Shape | None) -> tuple[Tensors, Tensors]:
        """Return the symbolic inputs of the model, and the inputs of the definition after the layers of the rules."""
        spec = find_input_spec(net, shape)
        if isinstance(spec, InputSpec):
            rule = self.rules[""]
            single = spec.make_input(rule.dtype)
            return single, rule.preprocess(single)
        inputs = spec.make_input({name: rule.dtype for name, rule in self.rules.items()})
        return inputs, {name: self.rules[name].preprocess(x, f"input_{name}_") for name, x in inputs.items()}


def choose_rules(net: Definition, input_spec: Any, arrays: object) -> InputRules:
    """Return the rules for a definition and its training data.

    Args:
        net: The definition.
        input_spec: The `tf.TensorSpec` of a batch of x, or a mapping of specs by name.
        arrays: The training arrays of x in the same structure, if the data pipeline yields their values unchanged;
            else None.

    Raises:
        ValueError: The data does not fit the first layer.
        DefinitionError: The definition does not fit the shape of the data.
    """
    if isinstance(input_spec, tf.TensorSpec) and input_spec.shape.rank is None:
        return InputRules({"": InputRule()})  # `build` needs a shape, and raises the error
    if net.input_spec() is None and not isinstance(input_spec, tf.TensorSpec):
        received = (
            f"a mapping with the keys {', '.join(map(str, input_spec))}"
            if isinstance(input_spec, Mapping)
            else "several"
        )
        problem = f"data: expected one array as x, as {type(net).__name__} has one input, received {received}"
        hint = "put dk.TableEncoder() first for the columns of a table, pass one array, or use dk.Functional"
        raise make_error(ValueError, problem, hint=hint)
    if net.input_spec() is None:
        shape = tuple(input_spec.shape[1:])
        single = arrays if isinstance(arrays, np.ndarray) else None
        return InputRules({"": _choose_rule(net, shape, input_spec, single)})
    spec = find_input_spec(net)
    names = [""] if isinstance(spec, InputSpec) else [name for name, _ in spec.specs]
    layers_of = layers_by_input(net, spec)
    rules = {}
    for name in names:
        leaf = _single(input_spec) if name == "" else _item(input_spec, name)
        array: object = _single(arrays) if name == "" else _item(arrays, name)
        if isinstance(leaf, tf.TensorSpec):
            fixed_dtype = _fixed_dtype(spec, name)
            rules[name] = _make_rule(name, leaf, array, layers_of[name], fixed_dtype)
        else:
            rules[name] = InputRule(required_dtype(layers_of[name], None))
    return InputRules(rules)


def refuse_uint8_images(net: Definition, arrays: object) -> None:
    """Raise if a definition that models the data itself, such as a VAE, receives uint8 images.

    Raises:
        ValueError: The arrays hold uint8 images.
    """
    is_text = isinstance(arrays, np.ndarray) and arrays.dtype.kind in "SU"
    spec = net.input_spec()
    models_text = isinstance(spec, InputSpec) and spec.dtype == "string"
    if is_text and not models_text and net.training_target == "none":
        problem = f"data: expected numbers, which {type(net).__name__} models, received strings"
        raise make_error(ValueError, problem, hint="pass x as numbers")
    if isinstance(arrays, np.ndarray) and arrays.ndim >= 3 and _is_uint8_image(arrays):
        raise make_error(
            ValueError,
            f"data: {type(net).__name__} does not rescale images, and received uint8 images with values up to "
            f"{arrays.max()}",
            hint='pass x.astype("float32") / 255, or map=lambda x: x / 255 to the functions of dk.data',
        )


def rescale_uint8_images(x: np.ndarray) -> np.ndarray:
    """Return images as float32 in [0, 1] if the rule for uint8 images applies to an array, else the array."""
    is_image = isinstance(x, np.ndarray) and _is_uint8_image(x) and _has_channels(x)
    return x.astype("float32") * np.float32(_IMAGE_SCALE) if is_image else x


def _single(structure: object) -> object:
    """Return the only item of a mapping, or the value itself: Keras accepts both for a model with one input."""
    is_single = isinstance(structure, Mapping) and len(structure) == 1
    return next(iter(structure.values())) if is_single else structure  # type: ignore[attr-defined]


def _item(structure: object, name: str) -> object:
    return structure.get(name) if isinstance(structure, Mapping) else None


def _fixed_dtype(spec: InputSpec | InputSpecs, name: str) -> str | None:
    return spec.dtype if isinstance(spec, InputSpec) else dict(spec.specs)[name].dtype


def _choose_rule(net: Definition, shape: Shape, leaf: tf.TensorSpec, array: np.ndarray | None) -> InputRule:
    """Return the rule of a single input whose shape the definition leaves open."""
    spec = find_input_spec(net, shape)
    first_layers = layers_by_input(net, spec)[""]
    if len(shape) == 2 and _needs_channel(first_layers) and _is_uint8_image(array):
        image = None if array is None else array[..., None]
        if keras.config.image_data_format() == "channels_first" and array is not None:
            image = array[:, None]
        first_layers = layers_by_input(net, find_input_spec(net, _with_channel(shape)))[""]
        rule = _make_rule("", leaf, image, first_layers, None)
        note = f"x: the model adds a channel axis to images of shape {shape}"
        return replace(rule, adds_channel=True, notes=(note, *rule.notes))
    rule = _make_rule("", leaf, array, first_layers, None)
    if len(shape) == 2 and shape[0] == shape[1] and _needs_channel(first_layers):
        note = (
            f"x: examples of shape {shape} are read as sequences of {shape[0]} steps; pass x[..., None] if they are "
            "images"
        )
        return replace(rule, notes=(*rule.notes, note))
    return rule


def _make_rule(
    name: str, leaf: tf.TensorSpec, array: object, first_layers: list[FirstLayer], fixed_dtype: str | None
) -> InputRule:
    data_dtype = leaf.dtype.name
    dtype = fixed_dtype or required_dtype(first_layers, data_dtype)
    if not first_layers and data_dtype == "string":
        dtype = data_dtype
    _check_dtype(name, data_dtype, dtype, first_layers)
    if isinstance(array, np.ndarray):
        _check_values(name, array, dtype, first_layers)
    if not isinstance(array, np.ndarray) or not _is_uint8_image(array):
        return InputRule(
            dtype,
            needs_finite=not any(_handles_missing_values(layer) for layer in first_layers),
            fills_missing_values=bool(first_layers) and all(layer.fills_missing_values for layer in first_layers),
        )
    return _image_rule(name or "x", array, dtype, first_layers)


def _image_rule(title: str, array: np.ndarray, dtype: str | None, first_layers: list[FirstLayer]) -> InputRule:
    """Return the rule for a uint8 array with values above 1."""
    has_channels = _has_channels(array)
    if any(layer.takes_ids for layer in first_layers) or (not has_channels and array.ndim != 3):
        return InputRule(dtype)
    unchanged = next((layer for layer in first_layers if _takes_raw_images(layer)), None)
    if unchanged is not None and unchanged.is_augmentation:
        note = (
            f"{title}: uint8 values up to {array.max()} are not rescaled before {unchanged.cls.__name__}; put "
            "layers.Rescaling(1 / 255) after it"
        )
        return InputRule(dtype, notes=(note,))
    if unchanged is not None and unchanged.is_preprocessing:
        return InputRule(dtype)
    if unchanged is not None:
        note = f"{title}: uint8 values up to {array.max()} are not rescaled before {unchanged.cls.__name__}"
        return InputRule(dtype, notes=(note,))
    if not has_channels:
        note = f"{title}: uint8 values up to {array.max()} are not rescaled, because {title} has no channel axis"
        return InputRule(dtype, notes=(note,))
    note = f"{title}: a layer of the model rescales uint8 images to [0, 1]"
    return InputRule(dtype, _IMAGE_SCALE, notes=(note,))


def _check_dtype(name: str, data_dtype: str, dtype: str | None, first_layers: list[FirstLayer]) -> None:
    """Raise if the first layer expects numbers and the data holds strings or complex numbers, or the reverse."""
    if data_dtype.startswith("complex") and not str(dtype).startswith("complex"):
        problem = f"data: expected real numbers in {name or 'x'}, received {data_dtype}: Keras drops the imaginary part"
        raise make_error(ValueError, problem, hint="pass np.stack([x.real, x.imag], axis=-1), or np.abs(x)")
    if (data_dtype == "string") == (dtype == "string"):
        return
    title = name or "x"
    layer = first_layers[0].cls.__name__ if first_layers else "layer"
    if data_dtype == "string":
        hint = "put a layer that takes strings first, such as dk.Text(10_000) or layers.StringLookup()"
        problem = f"data: the first layer, {layer}, expects numbers, received strings in {title}"
    else:
        hint = "pass strings, or use a layer for numbers such as layers.IntegerLookup()"
        problem = f"data: the first layer, {layer}, expects strings, received {data_dtype} in {title}"
    raise make_error(ValueError, problem, hint=hint)


def _check_values(name: str, array: np.ndarray, dtype: str | None, first_layers: list[FirstLayer]) -> None:
    """Raise if values of the data cannot be represented in the dtype of the input."""
    title = name or "x"
    if array.dtype.kind in "iu" and dtype is not None and dtype.startswith(("int", "uint")):
        limits = np.iinfo(dtype)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            outside = low if low < limits.min else high
            hint = 'use dk.Input(..., dtype="int64"), or leave the dtype out'
            problem = f"data: expected values of dtype {dtype} in {title}, received {outside}"
            raise make_error(ValueError, problem, hint=hint)
    if array.dtype.kind != "f" or not any(layer.takes_ids for layer in first_layers):
        return
    layer = next(layer.cls.__name__ for layer in first_layers if layer.takes_ids)
    is_exact = (array == np.floor(array)) & (np.abs(array) < _EXACT_FLOAT32)
    if not is_exact.all():
        value = array[~is_exact][0]
        problem = f"data: {layer} expects integers, received {value:.10g} of dtype {array.dtype} in {title}"
        raise make_error(ValueError, problem, hint='pass integers, for example with x.astype("int64")')


def _is_uint8_image(array: np.ndarray | None) -> bool:
    """Return whether an array holds uint8 values above 1: images rather than binary data."""
    return array is not None and array.dtype == np.uint8 and array.size > 0 and bool(array.max() > 1)


def _has_channels(array: np.ndarray) -> bool:
    """Return whether an array has the shape (batch, rows, columns, channels) with 1, 3 or 4 channels."""
    axis = 1 if keras.config.image_data_format() == "channels_first" else -1
    return array.ndim == 4 and array.shape[axis] in (1, 3, 4)


def _with_channel(shape: Shape) -> Shape:
    return (1, *shape) if keras.config.image_data_format() == "channels_first" else (*shape, 1)


def _needs_channel(first_layers: list[FirstLayer]) -> bool:
    """Return whether the first layer is 2-D, or a 1-D layer that a block chose by the rank of its input."""
    if not first_layers:
        return False
    first = first_layers[0]
    return issubclass(first.cls, _WINDOWS_2D) or (issubclass(first.cls, _WINDOWS_1D) and not first.is_explicit)


def _handles_missing_values(layer: FirstLayer) -> bool:
    """Return whether NaN in the input of a layer may have a meaning: to the user's code, or to deepkit's layers."""
    is_stock = layer.cls.__module__.partition(".")[0] == "keras"
    return (
        layer.fills_missing_values
        or not is_stock
        or layer.has_unknown_input
        or issubclass(layer.cls, keras.Model | layers.Masking)
    )


def check_finite_array(array: np.ndarray, name: str, source: str) -> None:
    """Raise if an array of numbers contains NaN or infinity.

    Args:
        array: The array, with the examples along the first axis.
        name: Name of the input, for the message.
        source: The argument that contains it, for the message.

    Raises:
        ValueError: It contains such a value.
    """
    if array.dtype.kind not in "fc" or np.isfinite(np.sum(array)) or np.isfinite(array).all():
        return
    examples = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))
    value = array[examples[0]][~np.isfinite(array[examples[0]])].flat[0]
    first, count, num_examples = int(examples[0]), len(examples), len(array)
    if isinstance(array, ValueExtremes):
        first, count, num_examples = array.first_invalid, array.num_invalid, array.num_examples
    problem = (
        f"{source}: expected finite numbers in {name}, received {value} (first at index {first}, in {count:,} of "
        f"{num_examples:,} examples)"
    )
    hint = "fill the missing values or remove these examples"
    if array.ndim == 2:
        hint += "; dk.TableEncoder fills the missing values of dk.data.from_table"
    raise make_error(ValueError, problem, hint=hint)


def _takes_raw_images(layer: FirstLayer) -> bool:
    """Return whether a layer preprocesses images itself: a preprocessing layer, a model, or a layer of the user."""
    return layer.is_preprocessing or layer.layer is not None or layer.has_unknown_input
