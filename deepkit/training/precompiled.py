"""Validate a model that is already compiled, and describe it for the config of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

import keras

from deepkit.execution import devices, strategy
from deepkit.execution.plan import Plan, is_requested
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.describe import describe
from deepkit.training.gradient_accumulation import accumulation_steps
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
    _check_trainable_variables(model)
    if len(plan.replicas) > 1:
        strategy.check_batch_norm(model)
        strategy.check_optimizer(model.optimizer, plan.replicas)
    choices = {
        "jit_compile": bool(model.jit_compile),
        "steps_per_execution": int(model.steps_per_execution),
        "precision": model.dtype_policy.name,
        "gradient_accumulation_steps": accumulation_steps(model.optimizer),
    }
    notes = _ignored_requests(plan, choices)
    plan = plan.replace(reason="the model is already compiled with it", **choices)
    return CompiledModel(
        model,
        plan,
        notes=notes,
        definition=architecture_text(model),
        optimizer=describe(model.optimizer),
        loss=_describe_argument(model, "loss"),
        metrics=(_describe_argument(model, "metrics"),),
        precompiled=True,
    )


def plan_for(net: object, plan: Plan, is_default: bool) -> Plan:
    """Return the plan for a definition, or for a model that may be compiled with XLA, which excludes determinism.

    Args:
        net: The definition or the model.
        plan: The plan.
        is_default: Whether the user passed no plan, so that another one may be chosen.

    Raises:
        ValueError: The model is compiled with XLA, and the plan is deterministic.
    """
    if not (isinstance(net, keras.Model) and net.compiled and net.jit_compile and plan.deterministic):
        return plan
    if is_default and not devices.is_deterministic():
        return plan.replace(reason="the model is compiled with XLA, which excludes determinism", deterministic=False)
    raise make_error(
        ValueError,
        f"net: the model {net.name!r} is compiled with jit_compile=True, and TensorFlow does not compile every "
        "operation with XLA in a deterministic process",
        hint="pass plan=dk.plan(deterministic=False) in a new process, or compile the model with jit_compile=False",
    )


def _ignored_requests(plan: Plan, choices: Mapping[str, object]) -> tuple[str, ...]:
    """Return a message for each choice that the plan requests and the compiled model replaces."""
    return tuple(
        f"{name}={getattr(plan, name)} of the plan has no effect: the model is already compiled with {choice}"
        for name, choice in choices.items()
        if is_requested(plan, name) and getattr(plan, name) != choice
    )


def _check_trainable_variables(model: keras.Model) -> None:
    """Raise if weights were frozen, unfrozen or added after `compile`: Keras would train the weights of before."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    before = getattr(optimizer, "_trainable_variables", None)  # Keras has no public list of them
    if before is None or not optimizer.built or type(model).train_step is not keras.Model.train_step:
        return
    trainable = model.trainable_variables
    added = _without(trainable, before)
    # a model that has not been trained since `compile` leaves out the weights that are frozen now
    removed = _without(before, trainable) if model.train_function is not None else []
    if added or removed:
        change, variable = ("trainable", added[0]) if added else ("frozen", removed[0])
        raise make_error(
            ValueError,
            f"net: {variable.path} is {change} since the model was compiled, and Keras would ignore that",
            hint="call model.compile(...) again after changing trainable or calling enable_lora",
        )


def _without(variables: Sequence[keras.Variable], others: Sequence[keras.Variable]) -> list[keras.Variable]:
    identities = {id(variable) for variable in others}
    return [variable for variable in variables if id(variable) not in identities]


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
    if actual is plan.distribution:
        return
    scope = "outside any strategy"
    if actual is not None:
        scope = f"over {actual.num_replicas_in_sync} devices of another strategy"
    raise make_error(
        ValueError,
        f"net: the model was built {scope}, and the plan runs on {', '.join(plan.replicas)}",
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
