"""`keras.utils.FeatureSpace` as the first element of a definition: raw columns by name to encoded features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from deepkit.definition import fields
from deepkit.definition.builder import Builder
from deepkit.definition.errors import first_line, shape_text
from deepkit.definition.inputs import InputSpec, InputSpecs
from deepkit.definition.keras_layer import LayerInstance
from deepkit.definition.preprocessing import ADAPTABLE

if TYPE_CHECKING:
    from deepkit.utils.types import KerasTensor, Tensors

_HINT = "call feature_space.adapt(dataset) first, or train the definition with dk.fit, which adapts it"


class FeatureSpaceInstance(LayerInstance, eq=False):
    """A `keras.utils.FeatureSpace`: used as it is, and compared by identity.

    Its input is a mapping of columns by name, each of shape `(batch, 1)`; its output is one tensor of all encoded
    features, or a mapping of them.
    """

    layer: keras.utils.FeatureSpace = fields.unchecked()

    @property
    def default_name(self) -> str:
        """The name of the class: a number that Keras generated would differ from build to build."""
        return "feature_space"

    def input_spec(self) -> InputSpecs:
        """Return an input for each feature."""
        specs = []
        for name, tensor in self.layer.inputs.items():
            dtype = keras.backend.standardize_dtype(tensor.dtype)
            specs.append((name, InputSpec(tuple(tensor.shape[1:]), dtype, name=name)))
        return InputSpecs(tuple(specs))

    def add(self, x: Tensors, builder: Builder) -> Any:
        """Adapt the features that need it, and add the layers that encode them."""
        columns = self._columns(x, builder)
        name, state = builder.path or self.default_name, builder.state
        if id(self.layer) in state.instances or name in state.names:
            raise builder.error(f"a FeatureSpace is used twice, or another layer has the name {name!r}")
        state.instances[id(self.layer)] = self.layer
        state.names.add(name)
        for feature, preprocessor in self.layer.preprocessors.items():
            if isinstance(preprocessor, ADAPTABLE):
                builder.adapt(preprocessor, columns[feature], name=builder.qualified_name(feature), hint=_HINT)
        self.layer.build_from_config({})  # marks it as adapted: all of its layers are
        try:
            inputs = dict(self.layer.get_inputs())
            encoded = self.layer.get_encoded_features()
        except Exception as error:  # Keras raises several kinds for features that cannot be combined
            raise builder.error(f"the features cannot be encoded: {first_line(error)}") from error
        outputs = dict(encoded) if isinstance(encoded, Mapping) else encoded
        return keras.Model(inputs, outputs, name=name)(columns)

    def _columns(self, x: Tensors, builder: Builder) -> dict[str, KerasTensor]:
        """Return the input of each feature by name; several tensors without names have those of their inputs."""
        if isinstance(x, Mapping):
            columns = dict(x)
        else:
            tensors = [x] if isinstance(x, keras.KerasTensor) else list(x)
            columns = {tensor.name: tensor for tensor in tensors}
        names = list(self.layer.features)
        if set(columns) != set(names):
            received = f"a tensor {shape_text(x)}" if isinstance(x, keras.KerasTensor) else ", ".join(columns)
            raise builder.error(
                f"a FeatureSpace takes its features {', '.join(names)} by name, received {received}",
                hint="make it the first element of dk.Sequential, and pass x as a dictionary of arrays",
            )
        for name, spec in self.input_spec().specs:
            dtype = keras.backend.standardize_dtype(columns[name].dtype)
            if tuple(columns[name].shape[1:]) != spec.shape or (dtype == "string") != (spec.dtype == "string"):
                raise builder.error(
                    f"the feature {name!r} has the shape {spec.shape} and dtype {spec.dtype}, received "
                    f"{tuple(columns[name].shape[1:])} and {dtype}",
                    hint=f'use dk.Input({spec.shape}, dtype="{spec.dtype}")',
                )
        return {name: columns[name] for name in names}

    def __repr__(self) -> str:
        space = self.layer
        features = [f"{name}: {_describe(layer)}" for name, layer in (space.preprocessors | space.crossers).items()]
        output = "" if space.output_mode == "concat" else f", output_mode={space.output_mode!r}"
        return f"<FeatureSpace of {', '.join(features)}{output}>"


def _describe(layer: keras.layers.Layer) -> str:
    """Return the class of a preprocessor with its number of bins or tokens."""
    size = getattr(layer, "num_bins", None) or getattr(layer, "max_tokens", None)
    return type(layer).__name__ if size is None else f"{type(layer).__name__}({size})"
