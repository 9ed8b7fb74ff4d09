"""Checks of the data against the symbolic inputs of a model: names and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from deepkit.training.training_data import TrainingData, as_tuple
from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor


def check_inputs(expected: object, data: TrainingData, is_fixed: bool) -> None:
    """Raise if names or shapes of the data differ from those of the symbolic inputs of the model."""
    if is_fixed:
        _check_input_names(expected, data.input_spec)
        _check_input_shape(expected, data.input_spec, "data")
    if data.validation is not None:
        _check_input_shape(expected, as_tuple(data.validation.element_spec)[0], "validation_data")


def _check_input_names(expected: object, inputs: object) -> None:
    """Raise if the inputs of the model have names that the data lacks, or the data has others."""
    if isinstance(expected, keras.KerasTensor) and isinstance(inputs, dict):
        expected = {expected.name: expected}
    if not isinstance(expected, dict) or (isinstance(inputs, dict) and set(inputs) == set(expected)):
        return
    received = ", ".join(inputs) if isinstance(inputs, dict) else "no names"
    example = ", ".join(f"{name!r}: ..." for name in expected)
    raise make_error(
        ValueError,
        f"data: the definition's inputs are {', '.join(expected)}, the data has {received}",
        hint=f"pass ({{{example}}}, labels)",
    )


def _check_input_shape(model_input: object, inputs: object, name: str) -> None:
    """Raise if examples have another shape than an input of the model; inputs with names are checked one by one."""
    if isinstance(model_input, dict) and isinstance(inputs, dict):
        for key, tensor in model_input.items():
            if key in inputs and not _has_one_value(tensor, inputs[key]):
                _check_input_shape(tensor, inputs[key], f"{name}[{key!r}]")
        return
    if isinstance(inputs, dict) and len(inputs) == 1 and isinstance(model_input, keras.KerasTensor):
        inputs = next(iter(inputs.values()))
    if not isinstance(inputs, tf.TensorSpec) or not isinstance(model_input, keras.KerasTensor):
        return
    expected = tuple(model_input.shape)
    if inputs.shape.rank is None or inputs.shape.is_compatible_with(expected):
        return
    received = tuple(inputs.shape[1:])
    if name.startswith("data"):
        problem = f"{name}: the examples have shape {received}, the definition fixes {expected[1:]}"
        hint = "leave the input shape out of the definition, or use other data"
    else:
        problem = f"{name}: the examples have shape {received}, the training examples {expected[1:]}"
        hint = "pad or crop the examples, or put dk.Input with None for sizes that vary first in the definition"
    if received and received == expected[1:-1] and expected[-1] == 1:
        hint = "add the channel axis with x[..., None]"
    if expected == (None,) and received == (1,):
        hint = "pass one value per example: x[:, 0]"
    raise make_error(ValueError, problem, hint=hint)


def _has_one_value(tensor: KerasTensor, spec: Any) -> bool:
    """Return whether there is one value per example on both sides: Keras adds or removes its axis in a mapping."""
    return {tuple(tensor.shape[1:]), tuple(spec.shape[1:]) if spec.shape.rank else None} == {(), (1,)}
