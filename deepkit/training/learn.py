"""`learn`: train an agent in an environment, with checkpoints, exact resume and a report."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from deepkit.agents.agent import Agent
from deepkit.envs.make_env import make, makes_environments
from deepkit.execution.plan import Plan, current
from deepkit.execution.plan import plan as make_plan
from deepkit.models.agent import AgentModel
from deepkit.training import callback_checks
from deepkit.training.agent_evaluation import AgentEvaluation, play_episodes
from deepkit.training.agent_model import compile_agent
from deepkit.training.agent_run import AgentRun
from deepkit.training.fit import resolve_verbose
from deepkit.training.run_dir import RunDir
from deepkit.utils.errors import format_value, make_error
from deepkit.utils.tracing import without_retracing_warnings
from deepkit.utils.validation import check_flag, check_integer

if TYPE_CHECKING:
    import gymnasium

    from deepkit.training.schedules import LearningRate
    from deepkit.training.trained_run import Run
    from deepkit.utils.types import EnvLike, OptimizerLike, PathLike


@without_retracing_warnings()
def learn(
    agent: Agent | AgentModel,
    env: EnvLike,
    *,
    num_steps: int,
    num_envs: int = 1,
    run_dir: PathLike | None = None,
    plan: Plan | None = None,
    optimizer: OptimizerLike | None = None,
    learning_rate: LearningRate | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    steps_per_epoch: int = 5_000,
    validation_episodes: int = 0,
    validation_env: EnvLike | None = None,
    verbose: int | str = "auto",
) -> Run:
    """Train an agent in an environment.

    An agent acts, and learns from the rewards. After every `steps_per_epoch` steps, its results are logged and passed
    to the callbacks. With a `run_dir`, `learn` writes a checkpoint then, and the same call resumes a run that was
    stopped by Ctrl-C or a crash: the weights, the replay memory and the episodes continue as if nothing had happened,
    if the environment can be restored (see `dk.envs.capture_state`). A finished run continues if `num_steps` is larger
    than before. The directory receives the config, the history, the model and a report.

    The history has the losses of the agent, and for the episodes that ended in each epoch `mean_return`, the mean sum
    of rewards, `mean_length` and `num_episodes`; NaN if none ended. `num_steps` counts the steps from the beginning.

    Args:
        agent: A definition such as `dk.DQN(...)`, or the model of an agent, whose training continues.
        env: The name of an environment, such as `"CartPole-v1"` or `"Catch"`; a `gymnasium.Env`; a function that
            returns a new one; or a vector environment. It must have one array as the observation, and a number of
            discrete actions.
        num_steps: Number of steps of all environments together, counted from the beginning of the run.
        num_envs: Number of environments in which the agent acts at the same time.
        run_dir: Directory of the run.
        plan: Device, precision, seed and so on. By default the current plan, else the plan that the run in `run_dir`
            began with, else `dk.plan()`.
        optimizer: A Keras optimizer or its name, Adam by default. Each call starts with a fresh copy.
        learning_rate: Replaces the optimizer's own: a number, or a Keras schedule, which counts updates.
        callbacks: Keras callbacks; a batch is an update of the weights.
        steps_per_epoch: Number of steps of all environments between two checkpoints.
        validation_episodes: Number of episodes without exploration after each epoch; their results have the prefix
            `val_`.
        validation_env: The environment of these episodes; by default a new one of the same name or function.
        verbose: 1 for a progress bar, 2 for one line per epoch, 0 for silence; `"auto"` for a bar on a terminal and
            lines in a file.

    Returns:
        The trained model with its history; `run.model.act(observations)` chooses actions.

    Raises:
        TypeError: `agent`, `env` or a callback has an unsupported type.
        ValueError: An argument is invalid, the spaces of the environment do not fit the agent, or a reward is NaN.
        DefinitionError: The networks of the agent do not fit the observation.
        RunDirError: The run directory cannot be written, is in use, or holds another run, or a damaged file.
        CheckpointError: The checkpoint cannot be read, is damaged, or of another run.
        DivergedError: The loss became NaN or infinite.

    Examples:
        >>> import deepkit as dk
        >>> agent = dk.Reinforce([dk.MLP([32]), dk.Classifier(2)])
        >>> run = dk.learn(
        ...     agent,
        ...     "CartPole-v1",
        ...     num_steps=1_000,
        ...     steps_per_epoch=500,
        ...     learning_rate=0.01,
        ...     verbose=0,
        ... )
        >>> run.epochs, run.history["num_steps"]
        (2, [500.0, 1000.0])
    """
    _check_agent(agent)
    callback_checks.check_types(callbacks)
    num_steps = check_integer(num_steps, "num_steps", hint="pass num_steps=50_000")
    num_envs = check_integer(num_envs, "num_envs")
    steps_per_epoch = check_integer(steps_per_epoch, "steps_per_epoch")
    validation_episodes = check_integer(validation_episodes, "validation_episodes", minimum=0)
    verbose = resolve_verbose(verbose)
    directory = None if run_dir is None else RunDir(run_dir)
    if directory is not None:
        directory.check_files()
        callback_checks.check_run_dir(directory, callbacks)
    plan = _choose_plan(plan, directory)
    with contextlib.ExitStack() as stack:
        vector_env = _make_env(env, num_envs, stack)
        _check_steps(vector_env.num_envs, num_steps=num_steps, steps_per_epoch=steps_per_epoch)
        validation = _validation_env(env, validation_env, validation_episodes, stack)
        stack.enter_context(plan)
        compiled = compile_agent(agent, vector_env, plan, optimizer, learning_rate)
        callback_checks.check_learning_rate(compiled.model, callbacks)
        run = AgentRun(
            agent=agent,
            compiled=compiled,
            env=vector_env,
            env_argument=env,
            plan=plan,
            num_steps=num_steps,
            steps_per_epoch=steps_per_epoch,
            callbacks=callbacks,
            verbose=verbose,
            validation_env=validation,
            validation_episodes=validation_episodes,
        )
        return run.run_in_memory() if directory is None else run.run_in_directory(directory)


@without_retracing_warnings()
def evaluate_agent(
    model: AgentModel,
    env: EnvLike,
    *,
    num_episodes: int = 100,
    num_envs: int = 1,
    explore: bool = False,
    seed: int = 0,
) -> AgentEvaluation:
    """Play episodes with an agent, and return the sum of rewards of each.

    Args:
        model: The model of an agent, such as `run.model`.
        env: The environment, as for `dk.learn`.
        num_episodes: Number of episodes. Each environment plays an equal share of them, so that short episodes do not
            count more often.
        num_envs: Number of environments in which it plays at the same time.
        explore: Whether the agent explores as at the end of its training; otherwise it takes its best action.
        seed: Seed of the environments and of the exploration.

    Returns:
        The returns and lengths of the episodes, with their mean and spread.

    Raises:
        TypeError: `model` is not the model of an agent, or `env` has an unsupported type.
        ValueError: An argument is invalid, or the spaces of the environment do not fit the agent.

    Examples:
        >>> import deepkit as dk
        >>> model = dk.Reinforce([dk.MLP([8]), dk.Classifier(3)]).build((10, 10, 1))
        >>> dk.evaluate_agent(model, "Catch", num_episodes=4).returns.shape
        (4,)
    """
    if not isinstance(model, AgentModel):
        raise make_error(
            TypeError,
            f"model: expected the model of an agent, received {format_value(model)}",
            hint="pass run.model of dk.learn, or dk.DQN(...).build(observation_shape)",
        )
    num_episodes = check_integer(num_episodes, "num_episodes")
    num_envs = min(check_integer(num_envs, "num_envs"), num_episodes)
    check_flag(explore, "explore")
    seed = check_integer(seed, "seed", minimum=0)
    with contextlib.ExitStack() as stack:
        vector_env = _make_env(env, num_envs, stack)
        return play_episodes(model, vector_env, num_episodes, explore=explore, seed=seed)


def _make_env(env: EnvLike, num_envs: int, stack: contextlib.ExitStack) -> gymnasium.vector.VectorEnv:
    """Return a vector environment, which is closed at the end if it is not the user's."""
    vector_env = make(env, num_envs)
    if makes_environments(env):
        stack.callback(vector_env.close)
    return vector_env


def _validation_env(
    env: EnvLike, validation_env: EnvLike | None, num_episodes: int, stack: contextlib.ExitStack
) -> gymnasium.vector.VectorEnv | None:
    if num_episodes == 0:
        if validation_env is None:
            return None
        raise make_error(
            ValueError, "validation_env: there are no episodes in it", hint="pass validation_episodes=10 too"
        )
    if validation_env is None and not makes_environments(env):
        raise make_error(
            ValueError,
            f"validation_episodes={num_episodes}: the environment of the training cannot be used twice",
            hint="pass validation_env=, or pass a name or a function as env",
        )
    return _make_env(env if validation_env is None else validation_env, 1, stack)


def _check_agent(agent: object) -> None:
    if isinstance(agent, Agent | AgentModel):
        return
    received = f"the class {agent.__name__}" if isinstance(agent, type) else type(agent).__name__
    raise make_error(
        TypeError,
        f"agent: expected the definition of an agent or its model, received {received}",
        hint="pass dk.DQN([..., dk.Regressor(num_actions)]), dk.Reinforce(...) or dk.ActorCritic(...)",
    )


def _check_steps(num_envs: int, **counts: int) -> None:
    for name, count in counts.items():
        if count % num_envs:
            raise make_error(
                ValueError,
                f"{name}={count:,}: the {num_envs} environments take {num_envs} steps at the same time",
                hint=f"pass a multiple of {num_envs}, such as {name}={-(-count // num_envs) * num_envs:_}",
            )


def _choose_plan(plan: Plan | None, directory: RunDir | None) -> Plan:
    """Return the plan that was passed, else the current plan, else the plan that the run began with, else a new one.

    Raises:
        ValueError: The plan has several devices or workers, or accumulates gradients.
    """
    if plan is not None and not isinstance(plan, Plan):
        raise make_error(
            TypeError, f"plan: expected a Plan, received {type(plan).__name__}", hint="pass plan=dk.plan(...)"
        )
    requested = plan or current()
    stored = directory.plan() if directory is not None else None
    chosen = requested or stored or make_plan(devices=1, workers=None)
    if len(chosen.replicas) > 1:
        raise make_error(
            ValueError,
            f"plan: an agent learns on one device, received {', '.join(chosen.replicas)}",
            hint="use dk.plan(devices=1, workers=None)",
        )
    if chosen.gradient_accumulation_steps > 1:
        raise make_error(
            ValueError,
            f"plan: gradient_accumulation_steps={chosen.gradient_accumulation_steps} is not supported for agents",
            hint="use a larger batch_size, episodes_per_update or num_envs",
        )
    if chosen.steps_per_execution > 1:
        chosen = chosen.replace(reason="an agent acts between two updates", steps_per_execution=1)
    if chosen.seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0] >> 1)
        chosen = chosen.replace(reason="drawn at the beginning of the run", seed=seed)
    return chosen
