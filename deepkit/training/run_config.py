"""The config of a run, which decides whether two calls of `fit` are the same run, and whether a run resumes exactly."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from importlib.metadata import version

import keras

from deepkit._version import __version__
from deepkit.data import Pipeline
from deepkit.execution.plan import Plan
from deepkit.training import callback_state, graph_loop
from deepkit.training.baseline_errors import baseline_errors
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.fingerprint import Fingerprint
from deepkit.training.plan_json import plan_fields, plan_to_json
from deepkit.training.run_dir import RunDir
from deepkit.training.stored_model import architecture
from deepkit.training.training_data import TrainingData

_CHANGES_LEARNING_RATE = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)


def run_config(
    compiled: CompiledModel,
    data: TrainingData,
    plan: Plan,
    callbacks: Sequence[keras.callbacks.Callback],
    fingerprint: Fingerprint,
) -> dict[str, object]:
    """Return the config of a run as JSON values: two calls with the same config are the same run.

    Args:
        compiled: The compiled model.
        data: The training data.
        plan: The plan before it was adapted to the model and the data.
        callbacks: The user's callbacks.
        fingerprint: Arguments and code of callbacks, losses, metrics and the user's classes.
    """
    return {
        "definition": compiled.definition,
        "optimizer": _optimizer_text(compiled, callbacks),
        "loss": compiled.loss,
        "metrics": list(compiled.metrics),
        "data": _describe_data(data),
        "inputs": data.input_rules.describe() if data.input_rules else "",
        "plan": plan_fields(compiled.plan),
        "callbacks": [type(callback).__name__ for callback in callbacks],
        "arguments": fingerprint.arguments,
        "code": fingerprint.code,
        "versions": package_versions(),
        "requested_plan": plan_to_json(plan),
        "loading": {
            "architecture": architecture(compiled.model),
            "plan": plan_to_json(compiled.plan),
            "prediction": compiled.prediction.to_json(),
            "baseline_errors": baseline_errors(data, compiled.prediction.heads),
        },
    }


def _describe_data(data: TrainingData) -> dict[str, object]:
    config: dict[str, object] = {
        "description": data.summary or data.description,
        "fingerprint": data.fingerprint,
        "class_names": data.class_names,
        "seed": data.seed,
        "validation": data.validation_fingerprint,
    }
    if data.steps_per_epoch is not None:
        config["steps_per_epoch"] = data.steps_per_epoch
    if data.class_weights is not None:
        config["class_weights"] = list(data.class_weights.values)
    return config


def _optimizer_text(compiled: CompiledModel, callbacks: Sequence[keras.callbacks.Callback]) -> str:
    """Return the optimizer as code, without a learning rate that a callback has changed in an earlier call."""
    changes_rate = any(isinstance(callback, _CHANGES_LEARNING_RATE) for callback in callbacks)
    if compiled.precompiled and changes_rate:
        return re.sub(r"learning_rate=[^,()]+(, )?", "", compiled.optimizer)
    return compiled.optimizer


def package_versions() -> dict[str, str]:
    """Return the versions of Python and the packages that compute a run."""
    return {
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "keras": keras.version(),
        "deepkit": __version__,
    }


def describe_resume(
    compiled: CompiledModel,
    data: TrainingData,
    callbacks: Sequence[keras.callbacks.Callback],
    fingerprint: Fingerprint,
    run_dir: RunDir,
) -> str:
    """Return "exact", or why a resumed run does not repeat every bit of an uninterrupted one."""
    plan = compiled.plan
    reasons = []
    if len(plan.replicas) > 1:
        reasons.append("sums across devices have no fixed order")
    elif not plan.deterministic:
        reasons.append("the plan is not deterministic")
    if data.nonreproducible_reason:
        reasons.append(data.nonreproducible_reason)
    if data.steps and data.steps % plan.steps_per_execution and not graph_loop.is_supported(compiled.model):
        reasons.append(f"steps_per_execution={plan.steps_per_execution} does not divide the {data.steps} steps")
    if data.validation is not None and not isinstance(data.validation, Pipeline):
        reasons.append("the content of a tf.data.Dataset is not compared (validation_data)")
    reasons += incomparable_reasons(callbacks, fingerprint, run_dir)
    return f"approximate because {'; '.join(reasons)}" if reasons else "exact"


def incomparable_reasons(
    callbacks: Sequence[keras.callbacks.Callback], fingerprint: Fingerprint, run_dir: RunDir
) -> list[str]:
    """Return why deepkit cannot tell whether two calls are the same run, as parts of a sentence.

    Args:
        callbacks: The user's callbacks.
        fingerprint: Arguments and code of callbacks, losses, metrics and the user's classes.
        run_dir: The run directory.
    """
    reasons = []
    if fingerprint.incomparable:
        reasons.append(f"deepkit compares only the type of {', '.join(fingerprint.incomparable)}")
    varying = run_dir.varying_fields()
    if varying:
        reasons.append(f"the training itself changes {', '.join(varying)}, so deepkit cannot compare it")
    untracked = callback_state.untracked_callbacks(callbacks)
    if untracked:
        reasons.append(f"the state of {', '.join(untracked)}, if any, is not saved")
    changed = run_dir.changed_versions(package_versions())
    if changed:
        reasons.append(f"versions changed since the run began ({changed})")
    return reasons
