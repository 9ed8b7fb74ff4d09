"""Outputs of layers for a batch, their statistics, and the gradients of the loss, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from deepkit.utils.errors import message
from deepkit.visualize.batch_loss import check_loss, compute_loss, restored_state
from deepkit.visualize.class_scores import GRADIENT_SCALE
from deepkit.visualize.layer_calls import RecordedCall, record_calls
from deepkit.visualize.model_inputs import accepts_run, check_batch, check_built, pack_inputs
from deepkit.visualize.nested_layers import find_layer, walk_layers

if TYPE_CHECKING:
    from deepkit.utils.types import LossLike, Tensor
    from deepkit.visualize.model_inputs import Batch

_BOUNDS = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0)}
_SATURATION_MARGIN = 0.01  # share of the range, at which the gradient of a sigmoid or tanh is 4 % of its maximum


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics of a layer's output for a batch, and of its gradient and weights.

    Args:
        layer: Path of the layer: its name after the names of the models around it.
        shape: Shape of the output, batch axis first.
        mean: Mean of all values of the output.
        std: Standard deviation of all values of the output.
        zeros: Fraction of the values that are exactly 0.
        dead: Fraction of the units (positions along the last axis) that are 0 everywhere in the batch.
        saturated: Fraction of the values within 1 % of a bound of a sigmoid or tanh; None for other activations.
        gradient_norm: Euclidean norm of the gradient of the loss with respect to the layer's weights; None without
            trainable weights or without a loss.
        weight_norm: Euclidean norm of the trainable weights; None without trainable weights.

    Examples:
        >>> import keras, numpy as np, deepkit as dk
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.ReLU(name="relu")]
        ... )
        >>> [row] = dk.visualize.arrays.statistics(model, np.array([[1.0, -1, 2, -2]]))
        >>> row.layer, row.mean, row.zeros, row.dead, row.gradient_norm
        ('relu', 0.75, 0.5, 0.5, None)
    """

    layer: str
    shape: tuple[int, ...]
    mean: float
    std: float
    zeros: float
    dead: float
    saturated: float | None
    gradient_norm: float | None
    weight_norm: float | None


@accepts_run
def feature_maps(model: keras.Model, images: Batch, layer: str) -> np.ndarray:
    """Return the output of a layer for a batch.

    Args:
        model: Any built Keras model.
            A `Run` stands for its model.
        images: A batch that the model takes, of images or other inputs, batch axis first.
        layer: Name or path of a layer, also of a layer in a nested model.

    Returns:
        The output of the layer, batch axis first, as float32. If the layer is called several times, the output of its
        last call.

    Raises:
        ValueError: No layer or several layers have the name, the layer has several outputs, the batch does not fit,
            or the model is not built.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.ConvBlock(6).build((8, 8, 1))
        >>> dk.visualize.arrays.feature_maps(model, np.ones((2, 8, 8, 1)), "conv").shape
        (2, 8, 8, 6)
    """
    check_built(model, "feature_maps")
    nested = find_layer(model, layer, "feature_maps")
    with record_calls([nested]) as calls:
        model(pack_inputs(model, check_batch(model, images, "feature_maps")), training=False)
    if not calls:
        problem = f"feature_maps: the layer {nested.path!r} of {model.name} is not called when the model runs"
        raise ValueError(message(problem, hint="use a layer that the model's output depends on"))
    outputs = keras.tree.flatten(calls[-1].output)
    if len(outputs) != 1:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in outputs)
        raise ValueError(
            f"feature_maps: expected a layer with one output, received {nested.path!r} with outputs of shape {shapes}"
        )
    return _to_numpy(outputs[0])


@accepts_run
def statistics(
    model: keras.Model, batch: Batch, *, loss: LossLike | None = None, training: bool = True
) -> list[LayerStatistics]:
    """Return the statistics of the output and of the gradient of each layer, in the order of the calls.

    Args:
        model: Any built Keras model.
            A `Run` stands for its model.
        batch: The inputs x, or (x, y) to include gradients.
        loss: A Keras loss or its name. By default the loss that the model was compiled with.
        training: Whether layers such as dropout and batch normalization run in training mode. The state that they
            change is restored.

    Returns:
        A `LayerStatistics` for each layer that contains no other layers.

    Raises:
        TypeError: The batch is a whole dataset.
        ValueError: The batch does not fit, the model is not built, or there are labels but no loss.

    Examples:
        >>> import numpy as np, deepkit as dk
        >>> model = dk.Sequential([dk.MLP([8]), dk.Regressor(1)]).build((4,))
        >>> batch = np.ones((5, 4), "float32"), np.zeros((5, 1))
        >>> rows = dk.visualize.arrays.statistics(model, batch, loss="mse")
        >>> [row.layer for row in rows if row.gradient_norm is not None]
        ['mlp.dense', 'regressor.dense']
    """
    check_built(model, "statistics")
    x, y = _split_batch(batch)
    x = check_batch(model, x, "statistics")
    check_loss(model, y, loss, "statistics")
    with restored_state(model):
        calls, gradients = _run_with_gradients(model, x, y, loss, training)
    return [_layer_statistics(call, gradients) for call in _innermost_calls(calls) if _has_float_output(call)]


def _run_with_gradients(
    model: keras.Model, x: Batch, y: Batch | None, loss: LossLike | None, training: bool
) -> tuple[list[RecordedCall], dict[int, np.ndarray]]:
    """Run the model and, if there are labels, backpropagate the loss.

    Returns:
        The calls of the layers, and the gradients by the `id` of their variable.
    """
    import tensorflow as tf

    weights = list(model.trainable_variables)
    with tf.GradientTape() as tape, record_calls(list(walk_layers(model))) as calls:
        output = model(pack_inputs(model, x), training=training)
        if y is None:
            return calls, {}
        scaled_loss = ops.cast(compute_loss(model, x, y, output, loss), "float32") * GRADIENT_SCALE
    gradients = tape.gradient(scaled_loss, [weight.value for weight in weights])
    by_variable = {}
    for weight, gradient in zip(weights, gradients, strict=True):
        if gradient is not None:
            by_variable[id(weight)] = _to_numpy(gradient) / GRADIENT_SCALE
    return calls, by_variable


def _layer_statistics(call: RecordedCall, gradients: dict[int, np.ndarray]) -> LayerStatistics:
    output = keras.tree.flatten(call.output)[0]  # further outputs may have other units
    if not len(output.shape):
        output = output[None]
    values = _to_numpy(output).reshape(-1, output.shape[-1] or 1).astype("float64")
    is_zero = values == 0
    weights = getattr(call.layer, "trainable_variables", [])
    weight_gradients = [gradients[id(weight)] for weight in weights if id(weight) in gradients]
    return LayerStatistics(
        layer=call.path,
        shape=tuple(keras.tree.flatten(call.output)[0].shape),
        mean=float(values.mean()),
        std=float(values.std()),
        zeros=float(is_zero.mean()),
        dead=float(is_zero.all(axis=0).mean()),
        saturated=_saturated_fraction(call.layer, values),
        gradient_norm=_euclidean_norm(weight_gradients) if weight_gradients else None,
        weight_norm=_euclidean_norm(weights) if weights else None,
    )


def _saturated_fraction(layer: keras.Operation, values: np.ndarray) -> float | None:
    bounds = _BOUNDS.get(getattr(getattr(layer, "activation", None), "__name__", ""))
    if bounds is None:
        return None
    low, high = bounds
    margin = _SATURATION_MARGIN * (high - low)
    return float(np.mean((values < low + margin) | (values > high - margin)))


def _euclidean_norm(tensors: Sequence[Tensor]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(_to_numpy(tensor).astype("float64"))) for tensor in tensors)))


def _innermost_calls(calls: Sequence[RecordedCall]) -> list[RecordedCall]:
    """Return the calls of layers without inner layers that were called; the last call of each layer."""
    paths = {call.path for call in calls}
    last_calls = {}
    for call in calls:
        if not any(path.startswith(f"{call.path}/") for path in paths):
            last_calls[call.path] = call
    return list(last_calls.values())


def _has_float_output(call: RecordedCall) -> bool:
    tensors = keras.tree.flatten(call.output)
    return bool(tensors) and tensors[0].dtype.is_floating and all(tensors[0].shape)


def _split_batch(batch: Batch) -> tuple[Batch, Batch | None]:
    """Return inputs and labels; the labels are None if there are none."""
    if hasattr(batch, "element_spec") or hasattr(batch, "train"):
        problem = f"statistics: expected a batch x or (x, y), received a {type(batch).__name__}"
        raise TypeError(message(problem, hint="use next(iter(data)), the first batch of a dataset"))
    if isinstance(batch, tuple):
        return batch[0], batch[1] if len(batch) > 1 else None
    return batch, None


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(ops.convert_to_tensor(tensor), "float32"))
