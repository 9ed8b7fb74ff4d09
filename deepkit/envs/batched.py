"""The base class of environments that are vectorized in NumPy."""

from __future__ import annotations

import abc
import copy
import json
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space

from deepkit.envs.actions import check_actions
from deepkit.envs.reset_arguments import check_reset_mask, check_seed
from deepkit.utils.errors import format_value, message
from deepkit.utils.validation import check_choice, check_integer

State = dict[str, np.ndarray]


class BatchedEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray], abc.ABC):
    """A vector environment whose state is a dictionary of arrays; subclass it to write an environment.

    A subclass writes `start_episodes`, `advance` and `observe`, and optionally `describe`, `legal_actions` and
    `draw_frame`. `self._state` holds the arrays, each with leading axis `num_envs`; `self.np_random` is the only source
    of random numbers. Actions are integers.

    `step` never resets: a finished environment returns its final observation, and waits for
    `reset(options={"reset_mask": finished})`.

    Args:
        num_envs: Number of environments.
        observation_space: Space of the observation of one environment.
        num_actions: Number of actions.
        max_episode_steps: Truncate an episode after this many steps; None for no limit.
        render_mode: A mode in `metadata["render_modes"]`, or None.

    Examples:
        >>> import gymnasium
        >>> import numpy as np
        >>> class Coin(BatchedEnv):
        ...     def __init__(self, num_envs=1):
        ...         space = gymnasium.spaces.Box(0, 1, (1,), np.uint8)
        ...         super().__init__(num_envs, space, num_actions=2)
        ...
        ...     def start_episodes(self, num):
        ...         return {"coin": self.np_random.integers(2, size=num)}
        ...
        ...     def advance(self, actions):
        ...         reward = (actions == self._state["coin"]).astype(float)
        ...         return reward, np.ones(self.num_envs, dtype=bool)
        ...
        ...     def observe(self):
        ...         return self._state["coin"][:, np.newaxis]
        >>> env = Coin(num_envs=3)
        >>> observations, info = env.reset(seed=0)
        >>> env.step(observations[:, 0])[1]
        array([1., 1., 1.])
    """

    num_stacked_frames: ClassVar[int] = 1
    """The frames in an observation, along its last axis; a replay memory stores each of them once."""

    _STATE_KEYS = frozenset({"environment", "arrays", "num_steps", "finished", "generator"})

    metadata: dict[str, Any] = {  # noqa: RUF012  (a class attribute of gymnasium)
        "render_modes": [],
        "autoreset_mode": gymnasium.vector.AutoresetMode.DISABLED,
    }

    def __init__(
        self,
        num_envs: int,
        observation_space: gymnasium.Space[Any],
        *,
        num_actions: int,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        name = type(self).__name__
        self.num_envs = check_integer(num_envs, f"{name}: num_envs")
        self.num_actions = check_integer(num_actions, f"{name}: num_actions")
        if max_episode_steps is not None:
            check_integer(max_episode_steps, f"{name}: max_episode_steps")
        if render_mode is not None:
            check_choice(render_mode, f"{name}: render_mode", self.metadata["render_modes"])
        self.max_episode_steps = max_episode_steps
        self.render_mode = render_mode
        self.single_observation_space = observation_space
        self.single_action_space = gymnasium.spaces.Discrete(self.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._state: State = {}
        self._num_steps = np.zeros(self.num_envs, dtype=np.int64)
        self._finished = np.zeros(self.num_envs, dtype=bool)
        self._starting = np.zeros(self.num_envs, dtype=bool)  # the environments that the current reset restarts

    @abc.abstractmethod
    def start_episodes(self, num: int) -> State:
        """Return the state of new episodes: arrays with leading axis `num`.

        Args:
            num: Number of episodes.
        """

    @abc.abstractmethod
    def advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Change `self._state` by one step, and return the rewards and whether each episode terminated.

        Args:
            actions: Legal actions, int64 `(num_envs,)`.
        """

    @abc.abstractmethod
    def observe(self) -> np.ndarray:
        """Return the observations of `self._state`, `(num_envs, *observation_shape)`."""

    def seed_random_sources(self) -> None:
        """Seed random sources besides `self.np_random` from it; `reset` calls this if it starts or seeds all."""

    def describe(self) -> dict[str, Any]:
        """Return the arguments that define the environment, as JSON values: `set_state` compares them."""
        return {}

    def legal_actions(self) -> np.ndarray | None:
        """Return whether each action is legal, bool `(num_envs, num_actions)`, or None if every action always is."""
        return None

    def info(self) -> dict[str, np.ndarray]:
        """Return the info of `self._state`: arrays with leading axis `num_envs`."""
        legal = self.legal_actions()
        return {} if legal is None else {"action_mask": legal}

    def draw_frame(self, index: int) -> Any:
        """Return the rendered frame of one environment in `self.render_mode`.

        Args:
            index: Index of the environment.
        """
        raise NotImplementedError(f"{type(self).__name__} has no render modes")

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start episodes, and return the observations and the info of all environments.

        Args:
            seed: Seed of the random generator that all environments share; None continues it.
            options: `{"reset_mask": mask}` restarts only the environments whose mask is True; None restarts all.

        Raises:
            ValueError: The seed or the mask is invalid, or the mask leaves out an environment that never started.
        """
        name = f"{type(self).__name__}.reset"
        mask = check_reset_mask(options, self.num_envs, name=name)
        seed = check_seed(seed, name=name, is_partial=not mask.all())
        if not self._state and not mask.all():
            raise ValueError(
                message(f"{name}: reset_mask leaves out environments that never started", hint="call reset() first")
            )
        super().reset(seed=seed)
        if seed is not None or not self._state:
            self.seed_random_sources()
        self._starting = mask
        episodes = self.start_episodes(int(mask.sum()))
        if mask.all():
            self._state = {key: np.array(values) for key, values in episodes.items()}
        else:
            for key, values in episodes.items():
                self._state[key][mask] = values
        self._num_steps[mask] = 0
        self._finished[mask] = False
        return self._observations(), self._infos()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take an action in each environment.

        Args:
            actions: Integers `(num_envs,)`.

        Returns:
            Observations, rewards (float64), terminated, truncated (bool), and the info.

        Raises:
            ValueError: The actions have another shape, or one is out of range or illegal.
            TypeError: The actions are not integers.
            RuntimeError: An episode has not started, or has finished.
        """
        name = f"{type(self).__name__}.step"
        if not self._state:
            raise RuntimeError(message(f"{name}: the environment has not started", hint="call reset() first"))
        if self._finished.any():
            raise RuntimeError(
                message(
                    f"{name}: the episode of environment {int(np.argmax(self._finished))} has finished",
                    hint='restart the finished ones: reset(options={"reset_mask": terminated | truncated})',
                )
            )
        checked = check_actions(actions, self.num_envs, self.num_actions, self.legal_actions(), name=name)
        results = self.advance(checked)
        rewards = self._per_env("rewards", results[0], np.float64)
        terminated = self._per_env("terminated", results[1], bool)
        self._num_steps += 1
        truncated = np.zeros(self.num_envs, dtype=bool)
        if self.max_episode_steps is not None:
            truncated = (self._num_steps >= self.max_episode_steps) & ~terminated
        self._finished = terminated | truncated
        return self._observations(), rewards, terminated, truncated, self._infos()

    def render(self) -> tuple[Any, ...] | None:
        """Return a frame of each environment, or None without a `render_mode`."""
        if self.render_mode is None:
            return None
        return tuple(self.draw_frame(index) for index in range(self.num_envs))

    def get_state(self) -> dict[str, Any]:
        """Return a copy of everything that the next steps and resets depend on, as arrays and JSON values."""
        return {
            "environment": self._identity(),
            "arrays": {key: values.copy() for key, values in self._state.items()},
            "num_steps": self._num_steps.copy(),
            "finished": self._finished.copy(),
            "generator": copy.deepcopy(self.np_random.bit_generator.state),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state of an equal environment.

        Args:
            state: The result of `get_state`.

        Raises:
            ValueError: It is not a state, or the state of an environment with other arguments.
        """
        name = f"{type(self).__name__}.set_state"
        keys = self._STATE_KEYS
        if not isinstance(state, Mapping) or set(state) != keys:
            raise ValueError(
                message(
                    f"{name}: expected a dictionary with {', '.join(sorted(keys))}, received {format_value(state)}",
                    hint="pass the result of get_state()",
                )
            )
        if state["environment"] != self._identity():
            raise ValueError(
                message(
                    f"{name}: the state is of {state['environment']}, this environment is {self._identity()}",
                    hint="make the environment with the same arguments as the one that the state is of",
                )
            )
        self._state = {key: np.array(values) for key, values in state["arrays"].items()}
        self._num_steps = np.array(state["num_steps"], dtype=np.int64)
        self._finished = np.array(state["finished"], dtype=bool)
        self.np_random.bit_generator.state = copy.deepcopy(state["generator"])

    def _identity(self) -> dict[str, Any]:
        """Return the settings that a state must agree with, as JSON returns them: tuples become lists."""
        settings = {
            "name": type(self).__name__,
            "num_envs": self.num_envs,
            "max_episode_steps": self.max_episode_steps,
            **self.describe(),
        }
        return json.loads(json.dumps(settings))

    def _observations(self) -> np.ndarray:
        """Return a copy of the observations: they stay valid after the next step."""
        observations = np.array(self.observe(), dtype=self.single_observation_space.dtype)
        if observations.shape != self.observation_space.shape:
            self._raise_shape("observe: observations", observations.shape, self.observation_space.shape)
        return observations

    def _per_env(self, what: str, values: Any, dtype: type) -> np.ndarray:
        """Return a copy of one value for each environment."""
        array: np.ndarray = np.array(values, dtype=dtype)
        if array.shape != (self.num_envs,):
            self._raise_shape(f"advance: {what}", array.shape, (self.num_envs,))
        return array

    def _raise_shape(self, what: str, received: tuple[int, ...], expected: tuple[int, ...] | None) -> NoReturn:
        problem = f"{type(self).__name__}.{what} must have shape {expected}, received shape {received}"
        raise ValueError(message(problem, hint="the first axis is that of the environments"))

    def _infos(self) -> dict[str, Any]:
        """Return copies of the info, and for each key the mask of environments that have it, as gymnasium does."""
        infos: dict[str, Any] = {}
        for key, values in self.info().items():
            infos[key] = np.array(values)
            infos[f"_{key}"] = np.ones(self.num_envs, dtype=bool)
        return infos
