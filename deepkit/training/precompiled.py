"""Validate a model that is already compiled, and describe it for the config of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

import keras

from deepkit.execution import strategy
from deepkit.execution.plan import Plan
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.describe import describe
from deepkit.training.model_code import without_automatic_names
from deepkit.utils.errors import make_error


class ReplicaStrategy(Protocol):
    """A `tf.distribute.Strategy`."""

    @property
    def num_replicas_in_sync(self) -> int:
        """Number of devices that train together."""


def check_precompiled(model: keras.Model, plan: Plan, arguments: Mapping[str, object]) -> CompiledModel:
    """Validate a model that is already compiled."""
    for name, value in arguments.items():
        if value is not None:
            raise make_error(
                ValueError,
                f"{name}: a compiled model is trained with its own {name}",
                hint=f"call model.compile({name}=...), or pass the definition to dk.fit",
            )
    if not model.compiled:
        raise make_error(
            ValueError,
            f"net: the model {model.name!r} is not compiled",
            hint="call model.compile('adam', loss=...), or pass the definition to dk.fit instead of the built model",
        )
    _check_strategy(model, plan)
    if plan.strategy == "mirrored":
        strategy.check_batch_norm(model)
        strategy.check_optimizer(model.optimizer, plan.devices)
    plan = plan.replace(
        reason="the model is already compiled with it",
        jit_compile=bool(model.jit_compile),
        steps_per_execution=int(model.steps_per_execution),
        precision=model.dtype_policy.name,
    )
    return CompiledModel(
        model,
        plan,
        definition=architecture_text(model),
        optimizer=describe(model.optimizer),
        loss=_describe_argument(model, "loss"),
        metrics=(_describe_argument(model, "metrics"),),
        precompiled=True,
    )


def _describe_argument(model: keras.Model, name: str) -> str:
    """Return the description of an argument of `model.compile`."""
    arguments = getattr(getattr(model, "_compile_config", None), "config", {})
    if name in arguments:  # the public config below names a user's function, but does not contain it
        return describe(arguments[name]) if arguments[name] else "none"
    config = (model.get_compile_config() or {}).get(name)
    return describe(keras.saving.deserialize_keras_object(config)) if config else "none"


def _check_strategy(model: keras.Model, plan: Plan) -> None:
    """Raise if the model's variables belong to another strategy than the plan's."""
    actual = _strategy_of(model)
    expected = strategy.mirrored(plan.devices) if plan.strategy == "mirrored" else None
    if actual is expected:
        return
    scope = "outside any strategy"
    if actual is not None:
        scope = f"over {actual.num_replicas_in_sync} devices of another strategy"
    raise make_error(
        ValueError,
        f"net: the model was built {scope}, and the plan runs on {', '.join(plan.devices)}",
        hint="build and compile the model inside `with plan:`, or pass the definition to dk.fit",
    )


def _strategy_of(model: keras.Model) -> ReplicaStrategy | None:
    """Return the strategy over several devices to which the model's variables belong, or None."""
    for variable in model.variables:
        owner = getattr(variable.value, "distribute_strategy", None)
        if owner is not None and owner.num_replicas_in_sync > 1:
            return owner
    return None


def architecture_text(model: keras.Model) -> str:
    """Return the architecture of a model as JSON, the same for each build of the same model."""
    try:
        architecture = json.loads(model.to_json())
    except NotImplementedError:  # a model class without get_config
        return f"{type(model).__name__} with {model.count_params() if model.built else '?'} parameters"
    architecture.pop("compile_config", None)  # described separately, and it numbers its objects at each compile
    return json.dumps(without_automatic_names(architecture))
