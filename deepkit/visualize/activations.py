"""What layers give for a batch: the values of one, and statistics of all with the gradients of the loss."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from deepkit.visualize.capture import Call, listening
from deepkit.visualize.class_scores import SCALE
from deepkit.visualize.lookup import find, walk
from deepkit.visualize.model_inputs import batch_of, check_built, fed

_BOUNDS = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "hard_tanh": (-1.0, 1.0)}
_CLOSE = 0.01  # of the way between the bounds: there, a sigmoid or tanh passes on 4 % of the gradient at its middle


@dataclass(frozen=True)
class LayerStatistics:
    """What one layer makes of a batch, and what the loss asks of its weights.

    Args:
        layer: Its name, after the names of the models that it lies in.
        shape: Of its output, batch axis first.
        mean: Of all the values of its output.
        std: Their standard deviation.
        zeros: The share of them that are exactly 0.
        dead: The share of the units (the places of the last axis) that are 0 everywhere in the batch.
        saturated: The share of the values within 1 % of a bound of a sigmoid or tanh; None for other activations.
        gradient_norm: Euclidean norm of the gradient of the loss for its weights; None for a layer without
            trainable weights, or without a loss.
        weight_norm: Euclidean norm of these weights; None for a layer without.
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


def feature_maps(model: keras.Model, images: Any, layer: str) -> np.ndarray:
    """Return what a layer gives for a batch; see `deepkit.visualize.feature_maps`.

    Returns:
        The output of the layer, batch axis first, as float32. Of a layer that is used several times, the last one.
    """
    check_built(model, "feature_maps")
    found = find(model, layer, "feature_maps")
    with listening([found]) as calls:
        model(fed(model, batch_of(model, images, "feature_maps")), training=False)
    if not calls:
        raise ValueError(
            f"feature_maps: the layer {found.path!r} of {model.name} takes no part when the model runs\n"
            "  hint: a layer that the output comes from"
        )
    outputs = keras.tree.flatten(calls[-1].output)
    if len(outputs) != 1:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in outputs)
        raise ValueError(f"feature_maps: the layer {found.path!r} gives several outputs, of shape {shapes}")
    return _numpy(outputs[0])


def statistics(model: keras.Model, batch: Any, *, loss: Any = None, training: bool = True) -> list[LayerStatistics]:
    """Return a row for each layer in the order in which they run; see `deepkit.visualize.statistics`."""
    check_built(model, "statistics")
    x, y = _parted(batch)
    x = batch_of(model, x, "statistics")
    _check_loss(model, y, loss)
    with _put_back(model):
        calls, gradients = _passed(model, x, y, loss, training)
    return [_row(call, gradients) for call in _innermost(model, calls) if _numeric(call.output)]


def _passed(model: keras.Model, x: Any, y: Any, loss: Any, training: bool) -> tuple[list[Call], dict[int, np.ndarray]]:
    """Run the model forwards, and backwards where there are labels; return the calls, and gradients by variable."""
    import tensorflow as tf

    weights = list(model.trainable_variables)
    with tf.GradientTape() as tape, listening(list(walk(model))) as calls:
        output = model(fed(model, x), training=training)
        if y is None:
            return calls, {}
        value = ops.cast(_loss(model, x, y, output, loss), "float32") * SCALE
    gradients = tape.gradient(value, [weight.value for weight in weights])
    found = zip(weights, gradients, strict=True)
    return calls, {id(weight): _numpy(gradient) / SCALE for weight, gradient in found if gradient is not None}


def _loss(model: keras.Model, x: Any, y: Any, output: Any, loss: Any) -> Any:
    if loss is None:
        return model.compute_loss(x=x, y=y, y_pred=output)
    function = keras.losses.get(loss)
    return ops.sum([ops.mean(function(y, output)), *model.losses])


def _row(call: Call, gradients: dict[int, np.ndarray]) -> LayerStatistics:
    values = np.concatenate([_numpy(tensor).reshape(-1, tensor.shape[-1] or 1) for tensor in _same(call.output)])
    values = values.astype("float64")
    zero = values == 0
    weights = call.layer.trainable_variables if hasattr(call.layer, "trainable_variables") else []
    mine = [gradients[id(weight)] for weight in weights if id(weight) in gradients]
    return LayerStatistics(
        layer=call.path,
        shape=tuple(keras.tree.flatten(call.output)[0].shape),
        mean=float(values.mean()),
        std=float(values.std()),
        zeros=float(zero.mean()),
        dead=float(zero.all(axis=0).mean()),
        saturated=_saturated(call.layer, values),
        gradient_norm=_norm(mine) if mine else None,
        weight_norm=_norm(weights) if weights else None,
    )


def _same(output: Any) -> list[Any]:
    """Return the output, or of several the first: they may have other units."""
    return [tensor if len(tensor.shape) else tensor[None] for tensor in keras.tree.flatten(output)[:1]]


def _saturated(layer: Any, values: np.ndarray) -> float | None:
    bounds = _BOUNDS.get(getattr(getattr(layer, "activation", None), "__name__", ""))
    if bounds is None:
        return None
    low, high = bounds
    margin = _CLOSE * (high - low)
    return float(np.mean((values < low + margin) | (values > high - margin)))


def _norm(tensors: Sequence[Any]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(_numpy(tensor).astype("float64"))) for tensor in tensors)))


def _innermost(model: keras.Model, calls: Sequence[Call]) -> list[Call]:
    """Return the calls of layers that hold no others that were called; of a shared layer, the last call."""
    paths = {call.path for call in calls}
    kept = {call.path: call for call in calls if not any(path.startswith(f"{call.path}/") for path in paths)}
    return list(kept.values())


def _numeric(output: Any) -> bool:
    tensors = keras.tree.flatten(output)
    return bool(tensors) and tensors[0].dtype.is_floating and all(tensors[0].shape)


def _parted(batch: Any) -> tuple[Any, Any]:
    """Return inputs and labels, None where there are none."""
    if hasattr(batch, "element_spec") or hasattr(batch, "train"):
        raise TypeError(
            f"statistics: expected a batch x or (x, y), received a {type(batch).__name__}\n"
            "  hint: next(iter(data)), the first batch of a dataset"
        )
    if isinstance(batch, tuple):
        return (batch[0], batch[1]) if len(batch) > 1 else (batch[0], None)
    return batch, None


def _check_loss(model: keras.Model, y: Any, loss: Any) -> None:
    own = type(model).compute_loss is not keras.Model.compute_loss
    if loss is None and y is not None and not own and (not model.compiled or model.loss is None):
        raise ValueError(
            f"statistics: {model.name} has no loss to take gradients of\n"
            "  hint: loss='mse' or another, model.compile(...), or the inputs without labels for activations alone"
        )
    if loss is not None and y is None:
        raise ValueError("statistics: a loss needs labels\n  hint: (x, y) as the batch")


@contextlib.contextmanager
def _put_back(model: keras.Model) -> Iterator[None]:
    """Undo what running in training mode changes: moving averages, seeds and sums of metrics."""
    kept = [(variable, np.array(ops.convert_to_numpy(variable))) for variable in _changing(model)]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def _changing(model: keras.Model) -> list[Any]:
    metrics = [variable for metric in model.metrics for variable in metric.variables] if model.compiled else []
    return [*model.non_trainable_variables, *metrics]


def _numpy(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(ops.convert_to_tensor(tensor), "float32"))
