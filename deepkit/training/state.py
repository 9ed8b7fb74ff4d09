"""The state of a training: everything that resuming it exactly requires."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np

from deepkit.training.errors import CheckpointError

if TYPE_CHECKING:
    from deepkit.utils.types import History, Nested

GROUPS = ("model", "optimizer", "metrics")
"""Names of the groups of variables."""

Variables: TypeAlias = dict[str, list[tuple[str, np.ndarray]]]
"""Paths and values of variables, by group."""


@dataclass(frozen=True)
class PartialEpoch:
    """The part of an epoch after which a training was stopped.

    Args:
        step: Number of finished steps.
        seconds: Their duration.
    """

    step: int
    seconds: float


@dataclass(frozen=True)
class TrainingState:
    """The state of a training between two epochs, or between two steps of an epoch.

    Args:
        epoch: Number of finished epochs.
        variables: Path and value of each variable, by group: `"model"`, which includes seed generators,
            `"optimizer"` and `"metrics"`.
        history: Loss and metrics of the finished epochs.
        seconds: Duration of each finished epoch.
        callbacks: State of each callback (see `callback_state`), in the order of the callbacks.
        stopped: Whether a callback stopped the training after this epoch.
        run_id: The run that saved the state; empty if it was not saved in a run directory.
        partial_epoch: The part of the next epoch that is finished, or None.
    """

    epoch: int
    variables: Variables
    history: History = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False
    run_id: str = ""
    partial_epoch: PartialEpoch | None = None


def variable_groups(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """Return the variables to save: of the model with its seed generators, of its optimizers, of its metrics."""
    return {
        "model": list(model.variables),
        "optimizer": [variable for optimizer in optimizers(model) for variable in optimizer.variables],
        "metrics": list(model.metrics_variables),
    }


def optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Return the optimizer of the model, and any others that a model with its own training step holds."""
    candidates = [model.optimizer, *vars(model).values()]
    by_identity = {id(item): item for item in candidates if isinstance(item, keras.optimizers.Optimizer)}
    return list(by_identity.values())


def build_variables(model: keras.Model, sample_input: Callable[[], Nested]) -> None:
    """Create the variables that Keras creates at the first step, so that they can be captured and restored.

    Args:
        model: A compiled model.
        sample_input: A function that returns one batch of inputs; called only if the model is not built yet.
    """
    if not model.built or not model.variables:
        model(sample_input(), training=False)
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def capture(model: keras.Model) -> Variables:
    """Return copies of all variables."""
    copies: Variables = {}
    for name, variables in variable_groups(model).items():
        copies[name] = [(variable.path, variable_value(variable)) for variable in variables]
    return copies


def variable_value(variable: keras.Variable) -> np.ndarray:
    """Return a copy of a variable's value; a variable on several devices has the same value on each."""
    value = variable.value
    if hasattr(value, "read_value"):
        value = value.read_value()
    return np.array(keras.ops.convert_to_numpy(value))


def restore(model: keras.Model, variables: Variables, source: str, *, with_metrics: bool = False) -> None:
    """Assign copies to all variables.

    Keras resets metrics at the beginning of every epoch, and creates their variables at the first step. Metrics are
    restored only if their shapes match, unless they are required.

    Args:
        model: The model.
        variables: The copies that `capture` returned.
        source: Origin of the copies, for the error message.
        with_metrics: Whether the metrics are required, as inside an epoch.

    Raises:
        CheckpointError: The copies belong to another model.
    """
    groups = variable_groups(model)
    for name in ("model", "optimizer"):
        _check_shapes(groups[name], variables[name], name, source)
        _check_dtypes(groups[name], variables[name], source)
    if with_metrics:
        _check_shapes(groups["metrics"], variables["metrics"], "metrics", source)
    elif [variable.shape for variable in groups["metrics"]] != [value.shape for _, value in variables["metrics"]]:
        del groups["metrics"]
    for name, group in groups.items():
        for variable, (_, value) in zip(group, variables[name], strict=True):
            variable.assign(value)


def _check_shapes(
    variables: Sequence[keras.Variable], copies: Sequence[tuple[str, np.ndarray]], group: str, source: str
) -> None:
    expected = [tuple(variable.shape) for variable in variables]
    received = [value.shape for _, value in copies]
    if expected == received:
        return
    if len(expected) != len(received):
        difference = f"{len(received)} variables of the {group}, and the model has {len(expected)}"
    else:
        i = next(i for i, shape in enumerate(expected) if shape != received[i])
        difference = f"shape {received[i]} for {variables[i].path}, and the model has {expected[i]}"
    raise CheckpointError(f"{source} does not belong to this model: it holds {difference}", hint="use another run_dir")


def _check_dtypes(variables: Sequence[keras.Variable], copies: Sequence[tuple[str, np.ndarray]], source: str) -> None:
    """Raise if a copy has another data type than its variable, to which `assign` would convert it silently."""
    for variable, (_, value) in zip(variables, copies, strict=True):
        dtype = keras.backend.standardize_dtype(variable.dtype)
        if value.dtype.name != dtype:
            raise CheckpointError(
                f"{source} does not belong to this model: it holds {value.dtype.name} for {variable.path}, and the "
                f"model has {dtype}",
                hint="use another run_dir",
            )


def is_finite(value: np.ndarray) -> bool:
    """Return whether an array contains only finite values; arrays of integers, booleans or strings always do."""
    return value.dtype.kind not in "fV" or bool(np.all(np.isfinite(value.astype("float32"))))
