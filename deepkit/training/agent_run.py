"""The training of an agent, in a run directory or without one, from the config to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from deepkit.agents.agent import Agent
from deepkit.envs.env_state import capture_state
from deepkit.execution.plan import Plan
from deepkit.models.agent import AgentModel
from deepkit.models.dqn import DeepQNetwork
from deepkit.training import agent_report, replay, state
from deepkit.training.agent_evaluation import play_episodes
from deepkit.training.agent_loop import StopBetweenSteps, compiled_update, train_agent
from deepkit.training.compiled_model import CompiledModel
from deepkit.training.env_calls import action_mask, reset_env
from deepkit.training.env_identity import describe_env
from deepkit.training.errors import CheckpointError
from deepkit.training.experience import make_collector
from deepkit.training.fingerprint import Fingerprint, fingerprint
from deepkit.training.interaction import Interaction
from deepkit.training.plan_json import plan_fields, plan_to_json
from deepkit.training.replay import ReplayMemory
from deepkit.training.run_config import incomparable_reasons, package_versions
from deepkit.training.run_dir import RunDir
from deepkit.training.run_saving import save_result, store_varying_fields
from deepkit.training.state import TrainingState
from deepkit.training.stored_model import architecture
from deepkit.training.termination import Terminated
from deepkit.training.trained_run import Run
from deepkit.utils.console import echo

if TYPE_CHECKING:
    import gymnasium

    from deepkit.utils.types import EnvLike

_VALIDATION_SEED = 1_000_003  # the same episodes after each epoch, and other ones than those of the training


@dataclass(frozen=True)
class AgentRun:
    """A compiled agent with everything that `learn` needs to train it.

    Args:
        agent: The definition of the agent, or the model of the user.
        compiled: The compiled model.
        env: The vector environment.
        env_argument: The environment as the user passed it.
        plan: The plan, which this process has entered.
        num_steps: Number of steps, counted from the beginning of the run.
        steps_per_epoch: Steps between two checkpoints.
        callbacks: The user's callbacks.
        verbose: `verbose` of `learn`.
        validation_env: The environment of the evaluations, or None.
        validation_episodes: Number of episodes of each evaluation.
    """

    agent: Agent | AgentModel
    compiled: CompiledModel
    env: gymnasium.vector.VectorEnv
    env_argument: EnvLike
    plan: Plan
    num_steps: int
    steps_per_epoch: int
    callbacks: Sequence[keras.callbacks.Callback]
    verbose: int | str
    validation_env: gymnasium.vector.VectorEnv | None
    validation_episodes: int

    @property
    def _model(self) -> AgentModel:
        model = self.compiled.model
        assert isinstance(model, AgentModel)
        return model

    @property
    def _seed(self) -> int:
        seed = self.plan.seed
        assert seed is not None
        return seed

    def run_in_memory(self) -> Run:
        """Train without a run directory."""
        self._print_summary()
        interaction = self._interaction(None)
        final_state = self._train(interaction, None, StopBetweenSteps())
        return self._make_run(final_state, None, "not saved: no run_dir was passed")

    def run_in_directory(self, directory: RunDir) -> Run:
        """Train in a run directory, from its newest checkpoint if there is one."""
        with directory.lock():
            initial_fingerprint = self._fingerprint()
            directory.check_or_write_config(self._config(initial_fingerprint))
            resume = self._describe_resume(initial_fingerprint, directory)
            run = self._finished_run(directory, resume)
            if run is not None:
                return run
            self._print_summary()
            if resume != "exact" and self.verbose:
                echo(f"resume is {resume}")
            with store_varying_fields(directory, initial_fingerprint, self.agent, self._model, self.callbacks):
                final_state = self._train_in_directory(directory)
            self._save(final_state, directory, resume)
            if self.verbose:
                echo(f"report: {directory.report}")
            return self._make_run(final_state, directory, resume)

    def _train_in_directory(self, directory: RunDir) -> TrainingState:
        """Train with checkpoints; print how to resume if the user presses Ctrl-C, or SIGTERM comes."""
        interaction, stop = self._interaction(directory), StopBetweenSteps()
        try:
            with stop.active():
                return self._train(interaction, directory, stop)
        except (KeyboardInterrupt, Terminated) as error:
            by = "" if isinstance(error, KeyboardInterrupt) else " by SIGTERM"
            echo(f"\nstopped{by}; the last checkpoint is in {directory.path}. Repeat the same call to resume.")
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt from None  # without the frames below this message
            raise

    def _train(self, interaction: Interaction, directory: RunDir | None, stop: StopBetweenSteps) -> TrainingState:
        update = compiled_update(self._model, self.compiled.plan.jit_compile)
        return train_agent(
            interaction,
            update,
            self.num_steps,
            self.steps_per_epoch,
            directory,
            self.callbacks,
            self.verbose,
            stop,
            None if self.validation_env is None else self._validate,
        )

    def _validate(self) -> dict[str, float]:
        assert self.validation_env is not None
        evaluation = play_episodes(
            self._model, self.validation_env, self.validation_episodes, explore=False, seed=_VALIDATION_SEED
        )
        return {"mean_return": evaluation.mean, "mean_length": float(evaluation.lengths.mean())}

    def _interaction(self, directory: RunDir | None) -> Interaction:
        model, memory = self._model, None
        if isinstance(model, DeepQNetwork):
            _, info = reset_env(self.env, seed=self._seed)
            space = self.env.single_observation_space
            memory = ReplayMemory(
                self.env.num_envs,
                tuple(space.shape or ()),
                np.dtype(space.dtype),
                model.replay_size,
                margin=2 * self.steps_per_epoch // self.env.num_envs,  # an episode may end after each step
                num_frames=getattr(self.env, "num_stacked_frames", 1),
                num_actions=0 if action_mask(info, None, model.num_actions) is None else model.num_actions,
                folder=None if directory is None else directory.path / replay.FOLDER,
            )
        return Interaction(model, self.env, make_collector(model, memory, self._seed), self._seed)

    def _fingerprint(self) -> Fingerprint:
        return fingerprint(self.agent, self.compiled.model, self.callbacks)

    def _config(self, initial_fingerprint: Fingerprint) -> dict[str, object]:
        """Return the config of the run as JSON values: two calls with the same config are the same run."""
        compiled = self.compiled
        return {
            "definition": compiled.definition,
            "optimizer": compiled.optimizer,
            "loss": compiled.loss,
            "env": describe_env(self.env_argument, self.env),
            "num_envs": self.env.num_envs,
            "steps_per_epoch": self.steps_per_epoch,
            "validation_episodes": self.validation_episodes,
            "plan": plan_fields(compiled.plan),
            "callbacks": [type(callback).__name__ for callback in self.callbacks],
            "arguments": initial_fingerprint.arguments,
            "code": initial_fingerprint.code,
            "versions": package_versions(),
            "requested_plan": plan_to_json(self.plan),
            "loading": {
                "architecture": architecture(compiled.model),
                "plan": plan_to_json(compiled.plan),
                "prediction": compiled.prediction.to_json(),
            },
        }

    def _describe_resume(self, initial_fingerprint: Fingerprint, directory: RunDir) -> str:
        """Return "exact", or why a resumed run does not repeat every bit of an uninterrupted one."""
        reasons = [] if self.compiled.plan.deterministic else ["the plan is not deterministic"]
        reset_env(self.env, seed=self._seed)
        environment = capture_state(self.env)
        if environment.reason:
            reasons.append(environment.reason)
        reasons += incomparable_reasons(self.callbacks, initial_fingerprint, directory)
        return f"approximate because {'; '.join(reasons)}" if reasons else "exact"

    def _finished_run(self, directory: RunDir, resume: str) -> Run | None:
        """Return the run in the directory with its saved model, or None if there is still something to train."""
        result = directory.result()
        if result is None:
            return None
        steps = int(result.history["num_steps"][-1])
        if not (result.stopped or self.num_steps <= steps):
            return None
        newest = directory.load_checkpoint()
        if newest is None:
            raise CheckpointError(f"the checkpoint in {directory.path} is missing", hint="use another run_dir")
        state.restore(self._model, newest.variables, str(directory.path))
        try:
            self._model.load_weights(directory.model)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{directory.model} cannot be read: {error}",
                hint="move it away: the same call writes it again from the checkpoint",
            ) from error
        reason = "a callback stopped it there" if result.stopped else "pass a larger num_steps= to continue"
        echo(f"{directory.path} holds a finished run of {steps:,} steps, which is returned unchanged; {reason}")
        final_state = TrainingState(result.epochs, newest.variables, result.history, newest.seconds[: result.epochs])
        if not directory.report.exists():
            self._write_report(final_state, directory, resume)
        return self._make_run(final_state, directory, resume)

    def _save(self, final_state: TrainingState, directory: RunDir, resume: str) -> None:
        """Write the trained model, the result and the report of a finished run."""
        save_result(self._model, final_state, directory, resume, self.verbose)
        self._write_report(final_state, directory, resume)

    def _write_report(self, final_state: TrainingState, directory: RunDir, resume: str) -> None:
        with directory.convert_disk_errors("the model is saved, its report is not"):
            environment = describe_env(self.env_argument, self.env)
            agent_report.write(self.compiled, environment, self.env, final_state, directory, resume)

    def _make_run(self, final_state: TrainingState, directory: RunDir | None, resume: str) -> Run:
        return Run(
            model=self._model,
            history=final_state.history,
            plan=self.compiled.plan,
            run_dir=None if directory is None else directory.path,
            report=directory.report if directory is not None and directory.report.exists() else None,
            resume=resume,
            seconds=sum(final_state.seconds),
            epochs=final_state.epoch,
        )

    def _print_summary(self) -> None:
        if not self.verbose:
            return
        compiled, plan = self.compiled, self.compiled.plan
        space = self.env.single_observation_space
        echo(
            f"{self._model.name}: {self._model.count_params():,} parameters; on {', '.join(plan.devices)} in "
            f"{plan.precision}, seed {plan.seed}"
        )
        echo(
            f"{describe_env(self.env_argument, self.env)}: {self.env.num_envs} "
            f"environment{'' if self.env.num_envs == 1 else 's'}, observations {space.shape} {space.dtype}, "
            f"{self._model.num_actions} actions; optimizer {compiled.optimizer}"
        )
        for text in (*compiled.notes, *_notes_about_length(self._model, self.num_steps)):
            echo(text)


def _notes_about_length(model: AgentModel, num_steps: int) -> list[str]:
    """Return messages about settings of a deep Q-network that do not fit the length of the training."""
    if not isinstance(model, DeepQNetwork):
        return []
    if num_steps < model.learning_starts:
        return [f"the agent does not learn: learning_starts={model.learning_starts:,} is after the last step"]
    epsilon = model.epsilon(num_steps)
    if num_steps < model.exploration_steps and model.initial_epsilon > model.final_epsilon:
        return [
            f"exploration_steps={model.exploration_steps:,} is after the last step: {100 * epsilon:.0f} % of the "
            "actions are still random at the end"
        ]
    return []
