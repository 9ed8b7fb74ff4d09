"""The compiled model of an agent: built for an environment, or checked against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import gymnasium
import keras
import numpy as np

from deepkit.agents.agent import Agent
from deepkit.execution.plan import Plan
from deepkit.models.agent import AgentModel
from deepkit.models.reinforce import ReinforceModel
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.describe import describe, fresh_copy
from deepkit.training.precompiled import architecture_text
from deepkit.training.schedules import with_learning_rate
from deepkit.utils.errors import make_error, message

if TYPE_CHECKING:
    from deepkit.training.schedules import LearningRate
    from deepkit.utils.types import OptimizerLike

_ADDED_LAYERS = {
    "rescaling": "uint8 observations are divided by 255 by the first layer",
    "one_hot": "the observations are categories: the first layer makes them one-hot",
}


def compile_agent(
    agent: Agent | AgentModel,
    env: gymnasium.vector.VectorEnv,
    plan: Plan,
    optimizer: OptimizerLike | None,
    learning_rate: LearningRate | None,
) -> CompiledModel:
    """Return the compiled model of an agent; the caller has entered the plan.

    Args:
        agent: The definition, which is built for the observations of the environment, or a model, which is compiled
            again only if an optimizer or a learning rate is passed.
        env: The vector environment.
        plan: The plan.
        optimizer: A Keras optimizer or its name, or None.
        learning_rate: Replaces the optimizer's own, or None.

    Raises:
        ValueError: The spaces of the environment do not fit the agent.
        DefinitionError: The networks of the agent do not fit the observation.
    """
    _check_discrete(agent, env.single_action_space)
    space = env.single_observation_space
    notes = []
    is_model = isinstance(agent, AgentModel)
    model: AgentModel = cast(AgentModel, agent) if is_model else _build(cast(Agent, agent), space)
    if not is_model:
        names = {layer.name for layer in model.networks[0].layers}
        notes += [text for name, text in _ADDED_LAYERS.items() if name in names]
    check_spaces(model, env)
    if not (is_model and model.compiled and optimizer is None and learning_rate is None):
        fresh = _optimizer(optimizer, learning_rate)
        model.compile(fresh, jit_compile=plan.jit_compile)
    if plan.jit_compile and isinstance(model, ReinforceModel):
        reason = "episodes have different lengths, for each of which XLA would compile again"
        plan = plan.replace(reason=reason, jit_compile=False)
        notes.append(f"the training step is compiled without XLA: {reason}")
    return CompiledModel(
        model,
        plan,
        definition=architecture_text(model) if is_model else repr(agent),
        optimizer=describe(model.optimizer),
        loss=f"that of {type(model).__name__}",
        metrics=(),
        precompiled=is_model,
        notes=tuple(notes),
    )


def _build(agent: Agent, space: gymnasium.Space[Any]) -> AgentModel:
    """Build the definition for the observations of an environment."""
    num_categories = None
    if isinstance(space, gymnasium.spaces.Discrete):
        if space.start != 0:
            raise make_error(
                ValueError,
                f"env: its observations are categories from {space.start} on",
                hint="use a gymnasium.wrappers.TransformObservation to start at 0",
            )
        num_categories = int(space.n)
    elif isinstance(space, gymnasium.spaces.MultiDiscrete):
        raise make_error(
            ValueError,
            f"env: its observations are {space}: several categories, which are not numbers",
            hint="wrap it: gymnasium.wrappers.FlattenObservation(env) makes them one-hot",
        )
    return agent.build(tuple(space.shape or ()), dtype=np.dtype(space.dtype).name, num_categories=num_categories)


def check_spaces(model: AgentModel, env: gymnasium.vector.VectorEnv) -> None:
    """Raise if the observations or the actions of an environment do not fit a model.

    Raises:
        ValueError: They do not.
    """
    space = env.single_observation_space
    expected = tuple(model.input_shape[1:])
    if space.shape is None or tuple(space.shape) != expected:
        raise make_error(
            ValueError,
            f"env: its observations have the shape {space.shape}, and the model {model.name!r} expects {expected}",
            hint="pass the environment of the training, or the definition of the agent, which is built for the shape",
        )
    num_actions = _check_discrete(model, env.single_action_space)
    if num_actions != model.num_actions:
        raise make_error(
            ValueError,
            f"env: it has {num_actions} actions, and the head of the agent gives {model.num_actions} "
            f"number{'' if model.num_actions == 1 else 's'}",
            hint=f"use dk.Regressor({num_actions}) in dk.DQN, and dk.Classifier({num_actions}) in a policy",
        )


def _check_discrete(agent: Agent | AgentModel, space: gymnasium.Space[Any]) -> int:
    """Return the number of actions; raise if they are not numbered from 0."""
    if isinstance(space, gymnasium.spaces.Discrete) and space.start == 0:
        return int(space.n)
    if isinstance(space, gymnasium.spaces.Discrete):
        problem, hint = f"its actions start at {space.start}", "use a gymnasium.wrappers.TransformAction to start at 0"
    else:
        problem = f"its actions are {space}, which are not a number of choices"
        hint = "use an environment with discrete actions, or a wrapper that offers a list of actions"
    raise make_error(ValueError, f"env: {problem}; {type(agent).__name__} needs Discrete(n)", hint=hint)


def _optimizer(optimizer: OptimizerLike | None, rate: LearningRate | None) -> keras.optimizers.Optimizer:
    if rate is not None:
        try:
            return with_learning_rate(optimizer, rate, None, 1)
        except ValueError as error:
            if "unknown" not in str(error):
                raise
            problem = f"learning_rate={rate}: the number of updates of an agent is not known before the training"
            raise ValueError(message(problem, hint="pass a number or a Keras schedule")) from None
    template: keras.optimizers.Optimizer = keras.optimizers.get("adam" if optimizer is None else optimizer)
    return fresh_copy(template)
