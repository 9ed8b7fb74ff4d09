"""The outputs of the hidden layers of a model for many examples, each as one vector per example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from deepkit.definition.outputs import is_activation
from deepkit.utils.errors import format_value, message
from deepkit.visualize.batch_loss import restored_state
from deepkit.visualize.layer_calls import RecordedCall, record_calls
from deepkit.visualize.model_inputs import check_batch, pack_inputs
from deepkit.visualize.nested_layers import NestedLayer, find_layer, walk_layers

if TYPE_CHECKING:
    from deepkit.visualize.model_inputs import Batch

INPUT, COMPONENTS = "input", "pca"
_BATCH_SIZE = 256
_NORMALIZATIONS = (
    keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.GroupNormalization,
    keras.layers.Normalization, keras.layers.Rescaling,
)  # fmt: skip
_WITHOUT_EFFECT = (  # on the values in inference
    keras.layers.Dropout, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.AlphaDropout,
    keras.layers.GaussianNoise, keras.layers.GaussianDropout, keras.layers.ActivityRegularization,
    keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity,
)  # fmt: skip


def layer_outputs(
    model: keras.Model, x: Batch, layers: Sequence[str] | None, caller: str, components_of: Batch | None = None
) -> dict[str, np.ndarray]:
    """Return the input and the output of layers for each example, by the path of the layer.

    Args:
        model: A built model.
        x: The inputs of the examples.
        layers: Names or paths of layers; `"input"` is the input of the model, and `"pca"` its first two principal
            components, unless a layer has this name. By default the input, if it is one array of numbers, and every
            layer of the model after its activation and normalization, from the first one to the output.
        caller: Name of the public function, for error messages.
        components_of: The inputs whose principal components are computed; `x` by default.

    Returns:
        Arrays of shape `(examples, units)`: outputs with more axes are flattened.

    Raises:
        ValueError: A name belongs to no layer or to several layers, a layer is not called, or its output does not
            consist of floating point numbers.
    """
    check_batch(model, x, caller)
    candidates, names = _candidates(model, layers, caller)
    parts: dict[str, list[np.ndarray]] = {}
    with restored_state(model):
        for batch in _batches(x):
            with record_calls(candidates) as calls:
                model(pack_inputs(model, batch), training=False)
            if names is None:
                names = _default_names(calls)
            last_calls = {call.path: call for call in calls}
            for name in names:
                parts.setdefault(name, []).append(_vectors(name, last_calls, caller))
    outputs = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return _input_spaces(x, layers, caller, x if components_of is None else components_of, set(outputs)) | outputs


def _input_spaces(
    x: Batch, layers: Sequence[str] | None, caller: str, components_of: Batch, names: set[str]
) -> dict[str, np.ndarray]:
    """Return the input and its principal components, as far as they are selected."""
    selected = [INPUT] if layers is None else [name for name in (INPUT, COMPONENTS) if name in layers]
    selected = [name for name in selected if name not in names]
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        if layers is None or not selected:
            return {}
        problem = f"{caller}: expected one array of numbers as input, received {format_value(x)}"
        raise ValueError(message(problem, hint=f"leave {selected[0]!r} out of layers"))
    spaces = {INPUT: x.reshape(len(x), -1).astype("float32")} if INPUT in selected else {}
    if COMPONENTS in selected:
        spaces[COMPONENTS] = _two_components(x, np.asarray(components_of), caller)
    return spaces


def _two_components(x: np.ndarray, fitted: np.ndarray, caller: str) -> np.ndarray:
    """Return the first two principal components of inputs, `(examples, 2)`; `fitted` determines the directions."""
    from sklearn.decomposition import PCA

    rows = fitted.reshape(len(fitted), -1).astype("float64")
    if min(rows.shape) < 2:
        problem = (
            f"{caller}: {COMPONENTS!r} needs at least two examples of two features, received {format_value(fitted)}"
        )
        raise ValueError(message(problem, hint=f"leave {COMPONENTS!r} out of layers"))
    pca = PCA(n_components=2, random_state=0).fit(rows)
    return np.asarray(pca.transform(x.reshape(len(x), -1).astype("float64")), "float32")


def check_finite(outputs: Mapping[str, np.ndarray], caller: str) -> None:
    """Raise if the output of a layer is NaN or infinite."""
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            problem = f"{caller}: the output of the layer {name!r} is NaN or infinite for some examples"
            raise ValueError(message(problem, hint="check the weights and the inputs of the model"))


def _candidates(
    model: keras.Model, layers: Sequence[str] | None, caller: str
) -> tuple[list[NestedLayer], list[str] | None]:
    """Return the layers to record, and the paths of the selected ones, None if they follow from the calls."""
    if layers is None:
        return [nested for nested in walk_layers(model) if _is_element(nested)], None
    if isinstance(layers, str) or not isinstance(layers, Sequence) or not layers:
        problem = f"{caller}: layers must be a list of names, received {format_value(layers)}"
        hint = f"pass layers=[{layers!r}]" if isinstance(layers, str) else "leave layers out for all of them"
        raise ValueError(message(problem, hint=hint))
    paths = {nested.path for nested in walk_layers(model)}
    special = {INPUT} | ({COMPONENTS} - paths)
    selected = [find_layer(model, name, caller) for name in layers if name not in special]
    return selected, [nested.path for nested in selected]


def _is_element(nested: NestedLayer) -> bool:
    """Return whether a layer is a direct element of a model, not a part of another layer, and not a model."""
    names = [model.name for model in nested.models[1:]]
    is_direct = nested.path == "/".join([*names, nested.layer.name])
    return is_direct and not isinstance(nested.layer, keras.Model)


def _default_names(calls: Sequence[RecordedCall]) -> list[str]:
    """Return the paths of the last calls of each layer with its activation and normalization, in order."""
    names: list[str] = []
    for call in calls:
        if not _has_numbers(call) or isinstance(call.layer, _WITHOUT_EFFECT):
            continue
        if not (is_activation(call.layer) or isinstance(call.layer, _NORMALIZATIONS)):
            names.append(call.path)
        elif names:
            names[-1] = call.path
    return list(dict.fromkeys(names))


def _has_numbers(call: RecordedCall) -> bool:
    tensors = keras.tree.flatten(call.output)
    return bool(tensors) and tensors[0].dtype.is_floating and len(tensors[0].shape) > 1


def _vectors(name: str, calls: dict[str, RecordedCall], caller: str) -> np.ndarray:
    """Return the first output of the last call of a layer as one vector per example."""
    call = calls.get(name)
    if call is None:
        problem = f"{caller}: the layer {name!r} is not called when the model runs"
        raise ValueError(message(problem, hint="use a layer that the model's output depends on"))
    if not _has_numbers(call):
        problem = f"{caller}: the output of the layer {name!r} is not a floating point number for each unit"
        raise ValueError(message(problem, hint="use another layer"))
    values = ops.convert_to_numpy(ops.cast(keras.tree.flatten(call.output)[0], "float32"))
    return values.reshape(len(values), -1)


def _batches(x: Batch) -> list[Batch]:
    num_examples = len(keras.tree.flatten(x)[0])
    starts = range(0, num_examples, _BATCH_SIZE)
    return [keras.tree.map_structure(lambda array, i=i: array[i : i + _BATCH_SIZE], x) for i in starts]
