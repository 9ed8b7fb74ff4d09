"""The symbolic inputs of a model: their shapes and dtypes follow the definition, or the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras

from deepkit.definition.errors import DefinitionError
from deepkit.definition.first_layer import FirstLayer, first_layers
from deepkit.definition.inputs import InputSpec, InputSpecs, make_input_spec
from deepkit.utils.errors import format_value

if TYPE_CHECKING:
    from deepkit.definition.protocol import Definition
    from deepkit.utils.types import KerasTensor, Shape, Tensors


def find_input_spec(
    definition: Definition, input_shape: Shape | Mapping[str, Shape] | None = None
) -> InputSpec | InputSpecs:
    """Return the input that a definition fixes, or that of the shape passed to `build`.

    Raises:
        DefinitionError: There is no shape, or it contradicts the definition.
    """
    spec = definition.input_spec()
    if not isinstance(spec, InputSpec | InputSpecs | None):
        raise DefinitionError(
            f"{type(definition).__name__}.input_spec must return an InputSpec, received {format_value(spec)}",
            hint="return dk.Input(shape).input_spec()",
        )
    if spec is not None:
        if input_shape is not None:
            spec.check_shape(input_shape, definition)
        return spec
    if input_shape is not None:
        return make_input_spec(input_shape, definition)
    raise DefinitionError(
        f"{type(definition).__name__}.build needs an input_shape: nothing in the definition fixes it",
        code=definition,
        hint="use .build((28, 28, 1)), the shape of one example without the batch axis",
    )


def make_inputs(definition: Definition, spec: InputSpec | InputSpecs) -> Tensors:
    """Return new symbolic inputs; a dtype that the spec leaves open is the one that the first layer needs."""
    dtypes = {name: required_dtype(layers, None) for name, layers in layers_by_input(definition, spec).items()}
    return spec.make_input(dtypes[""]) if isinstance(spec, InputSpec) else spec.make_input(dtypes)


def layers_by_input(definition: Definition, spec: InputSpec | InputSpecs) -> dict[str, list[FirstLayer]]:
    """Return the first layers that read each input, by its name; the name of a single input is empty."""
    if isinstance(spec, InputSpec):
        target = _placeholder(spec)
        return {"": first_layers(definition, target, target)}
    placeholders = {name: _placeholder(item) for name, item in spec.specs}
    return {name: first_layers(definition, placeholders, target) for name, target in placeholders.items()}


def required_dtype(layers: list[FirstLayer], data_dtype: str | None) -> str | None:
    """Return the dtype of the input that the first layers need; None for Keras's default float type.

    Args:
        layers: The layers that read the input.
        data_dtype: The dtype of the data; None if it is unknown.
    """
    dtypes = [layer.dtype(data_dtype) for layer in layers]
    return next((dtype for dtype in dtypes if dtype is not None), None)


def _placeholder(spec: InputSpec) -> KerasTensor:
    return keras.KerasTensor((spec.batch_size, *spec.shape), dtype=spec.dtype or keras.config.floatx())
