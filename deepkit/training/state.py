"""Everything that must be kept to go on with a training as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from deepkit.training.errors import CheckpointError

_CALLBACK_STATE: dict[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("best", "wait", "stopped_epoch", "best_epoch", "best_weights"),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
}
_STATELESS = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.TerminateOnNaN,
    keras.callbacks.CSVLogger,
    keras.callbacks.TensorBoard,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.History,
)


Variables = dict[str, list[tuple[str, np.ndarray]]]  # by group: paths and values


@dataclass(frozen=True)
class State:
    """A training between two epochs.

    Args:
        epoch: Epochs that are done.
        variables: By group (`"model"`, which includes seed generators, `"optimizer"` and `"metrics"`), path and
            values.
        history: Of the epochs so far.
        seconds: Of each epoch so far.
        callbacks: State of the stock callbacks that have any, in the order of the callbacks.
        stopped: Whether a callback ended the training at this epoch.
    """

    epoch: int
    variables: Variables
    history: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False


def groups(model: keras.Model) -> dict[str, list[Any]]:
    """Return the variables to keep: of the model with its seed generators, of its optimisers, of the metrics."""
    return {
        "model": list(model.variables),
        "optimizer": [v for optimizer in optimizers(model) for v in optimizer.variables],
        "metrics": list(model.metrics_variables),
    }


def optimizers(model: keras.Model) -> list[Any]:
    """Return the optimiser of the model, and those that a model with its own training step holds besides."""
    held = [model.optimizer, *vars(model).values()]
    found = {id(item): item for item in held if isinstance(item, keras.optimizers.Optimizer)}
    return list(found.values())


def make_variables(model: keras.Model, inputs: Any) -> None:
    """Make the variables that Keras would make at the first step, so that they can be kept and put back.

    Args:
        model: A compiled model.
        inputs: A function that returns one batch of inputs, called only for a model that is not built yet.
    """
    if not model.built or not model.variables:
        model(inputs(), training=False)
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def take(model: keras.Model) -> Variables:
    """Return copies of all variables."""
    return {name: [(v.path, value(v)) for v in variables] for name, variables in groups(model).items()}


def value(variable: Any) -> np.ndarray:
    """Return a copy of a variable's value; one that lives on several devices is read as the one value they agree on."""
    held = variable.value
    read = getattr(held, "read_value", None)
    return np.array(keras.ops.convert_to_numpy(read() if read else held))


def put(model: keras.Model, kept: Variables, source: str) -> None:
    """Assign all variables from copies.

    Metrics start every epoch from zero, and before the first step they have no variables yet; they are put back
    only where they fit.

    Raises:
        CheckpointError: The copies are not of this model.
    """
    there = groups(model)
    for name in ("model", "optimizer"):
        _check_fit(there[name], kept[name], name, source)
    if [v.shape for v in there["metrics"]] != [value.shape for _, value in kept["metrics"]]:
        del there["metrics"]
    for name, variables in there.items():
        for variable, (_, value) in zip(variables, kept[name], strict=True):
            variable.assign(value)


def _check_fit(variables: list[Any], kept: list[tuple[str, np.ndarray]], name: str, source: str) -> None:
    here = [tuple(v.shape) for v in variables]
    there = [value.shape for _, value in kept]
    if here == there:
        return
    if len(here) != len(there):
        found = f"{len(there)} variables of the {name}, and there are {len(here)}"
    else:
        i = next(i for i, (a, b) in enumerate(zip(here, there, strict=True)) if a != b)
        found = f"shape {there[i]} for {variables[i].path}, which has {here[i]}"
    raise CheckpointError(f"{source} does not belong to this model: it holds {found}\n  hint: another run_dir")


def finite(value: np.ndarray) -> bool:
    """Return whether a variable holds finite numbers only; what is no number at all counts as finite."""
    return value.dtype.kind not in "fV" or bool(np.all(np.isfinite(value.astype("float32"))))


def callbacks_state(callbacks: list[Any]) -> list[dict[str, Any]]:
    """Return the state of each callback that is known to have some, and an empty one for the others."""
    return [{name: getattr(callback, name) for name in _names(callback)} for callback in callbacks]


def put_callbacks(callbacks: list[Any], kept: list[dict[str, Any]]) -> None:
    """Give the callbacks their state back; after their `on_train_begin`, which clears it."""
    for callback, state in zip(callbacks, kept, strict=False):
        for name in _names(callback):
            if name in state:
                setattr(callback, name, state[name])


def unknown(callbacks: list[Any]) -> list[str]:
    """Return the classes of callbacks that may have a state nobody can know of; one may say `stateless = True`."""
    known = {*_CALLBACK_STATE, *_STATELESS}
    asked = [callback for callback in callbacks if not getattr(callback, "stateless", False)]
    return [type(callback).__name__ for callback in asked if type(callback) not in known]


def _names(callback: Any) -> tuple[str, ...]:
    return tuple(name for name in _CALLBACK_STATE.get(type(callback), ()) if hasattr(callback, name))
