"""States: exact continuations, in this process and in another, and reasons why a state is empty."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import deepkit as dk
from deepkit.envs import atari_games
from tests.envs.continuation import ENVIRONMENTS, continuation

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def digests(tmp_path_factory):
    """Save the state of each environment after some steps; return the folder and the digests of what followed."""
    folder, results = tmp_path_factory.mktemp("states"), {}
    for name, make_env in ENVIRONMENTS.items():
        env = make_env()
        env.reset(seed=11)
        continuation(env, num_steps=37)
        state = dk.envs.capture_state(env)
        assert state.exact, state.reason
        state.save(folder / f"{name}.npz")
        results[name] = continuation(env)
    return folder, results


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_new_environment_continues(digests, name):
    folder, results = digests
    state = dk.envs.EnvState.load(folder / f"{name}.npz")
    env = ENVIRONMENTS[name]()
    for _ in range(2 if name in ("catch", "cart_pole") else 1):  # the first continuation did not change the state
        dk.envs.restore_state(env, state)
        assert continuation(env) == results[name]


@pytest.mark.parametrize("name", ["catch", "wrapped", "pong"])
def test_an_environment_in_the_middle_of_other_episodes_continues(digests, name):
    folder, results = digests
    env = ENVIRONMENTS[name]()
    env.reset(seed=5)
    assert continuation(env, num_steps=9) != results[name]
    dk.envs.restore_state(env, dk.envs.EnvState.load(folder / f"{name}.npz"))
    assert continuation(env) == results[name]


def test_a_new_process_continues(digests):
    folder, results = digests
    command = [sys.executable, "-m", "tests.envs.continuation", str(folder)]
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert dict(line.split() for line in process.stdout.splitlines()) == results


@pytest.mark.thorough
@pytest.mark.parametrize("game", atari_games.game_names())
def test_every_atari_game_continues(game):
    env, twin = (dk.envs.make(game, repeat_action_probability=0.25) for _ in range(2))
    env.reset(seed=0)
    continuation(env, num_steps=40)
    dk.envs.restore_state(twin, dk.envs.capture_state(env))
    assert continuation(twin, num_steps=40) == continuation(env, num_steps=40)


@pytest.mark.parametrize("name", ["catch", "cart_pole", "pong"])
def test_capturing_changes_nothing(digests, name):
    env, twin = ENVIRONMENTS[name](), ENVIRONMENTS[name]()
    env.reset(seed=1)
    twin.reset(seed=1)
    dk.envs.capture_state(env)
    assert continuation(env, num_steps=30) == continuation(twin, num_steps=30)


@pytest.mark.parametrize("name", ["catch", "pong"])
def test_a_state_before_the_first_reset_is_restored(name):
    env = ENVIRONMENTS[name]()
    state = dk.envs.EnvState.from_bytes(dk.envs.capture_state(env).to_bytes())
    starts = env.reset()[0]
    dk.envs.restore_state(env, state)
    np.testing.assert_array_equal(env.reset()[0], starts)


def test_a_single_environment_has_a_state():
    env, twin = dk.envs.Catch(), dk.envs.Catch()
    env.reset(seed=0)
    dk.envs.restore_state(twin, dk.envs.capture_state(env))
    for _ in range(9):
        left, right = env.step(0), twin.step(0)
        np.testing.assert_array_equal(left[0], right[0])
        assert left[1:] == right[1:]


def test_own_states_contain_no_pickle(digests):
    folder, _ = digests
    for name in ("catch", "pong"):
        assert dk.envs.EnvState.load(folder / f"{name}.npz").pickled is None
        with np.load(folder / f"{name}.npz", allow_pickle=False) as members:
            assert b'"pickled"' not in members["header"].tobytes()


class Unpicklable(gymnasium.Env):
    """An environment with a function as an attribute."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self):
        self.function = lambda: 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}


class Arguments(gymnasium.utils.EzPickle, Unpicklable):
    """An environment that pickles the arguments that made it."""

    def __init__(self):
        gymnasium.utils.EzPickle.__init__(self)
        Unpicklable.__init__(self)


class WithoutGenerator(Unpicklable):
    """An environment that pickles nothing."""

    def __getstate__(self):
        return {}


@pytest.mark.parametrize(
    ("make_env", "reason"),
    [
        (Unpicklable, r"an environment \(Unpicklable\) cannot be pickled: .*lambda"),
        (Arguments, "Arguments pickles the arguments that made it, not its state"),
        (WithoutGenerator, "WithoutGenerator pickles without the state of its random generator"),
    ],
)
def test_the_reason_of_an_empty_state(make_env, reason):
    env = dk.envs.make(make_env)
    env.reset(seed=0)
    state = dk.envs.capture_state(env)
    assert (state.exact, state.content, state.pickled) == (False, None, None)
    assert re.match(reason, state.reason)
    loaded = dk.envs.EnvState.from_bytes(state.to_bytes())
    assert loaded.reason == state.reason
    with pytest.raises(ValueError, match=r"the state is empty because .*\n  hint: start new episodes"):
        dk.envs.restore_state(env, loaded)


def test_an_environment_of_another_package_must_have_been_reset():
    state = dk.envs.capture_state(dk.envs.make("CartPole-v1"))
    assert (state.exact, state.reason) == (False, "an environment that has not been reset has no seed yet")


def test_a_vector_environment_of_another_kind_has_no_state():
    env = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="vector_entry_point")
    assert dk.envs.capture_state(env).reason == "the state of a CartPoleVectorEnv cannot be read"
    wrapper = gymnasium.wrappers.vector.RecordEpisodeStatistics(dk.envs.make("Catch"))
    assert dk.envs.capture_state(wrapper).reason == "the state of a RecordEpisodeStatistics cannot be read"


def test_errors():
    catch, cart_pole = dk.envs.make("Catch"), dk.envs.make("CartPole-v1")
    catch.reset(seed=0)
    cart_pole.reset(seed=0)
    catch_state, cart_pole_state = dk.envs.capture_state(catch), dk.envs.capture_state(cart_pole)
    with pytest.raises(ValueError, match="expected a dictionary with arrays"):
        dk.envs.restore_state(catch, cart_pole_state)
    with pytest.raises(ValueError, match=r"restore_state: the state is of .*BatchedCatch"):
        dk.envs.restore_state(cart_pole, catch_state)
    with pytest.raises(ValueError, match=r"'num_envs': 1.*this environment is .*'num_envs': 2"):
        dk.envs.restore_state(dk.envs.make("CartPole-v1", 2), cart_pole_state)
    with pytest.raises(ValueError, match="'TimeLimit'"):
        dk.envs.restore_state(dk.envs.make("CartPole-v1", max_episode_steps=-1), cart_pole_state)
    with pytest.raises(ValueError, match=r"'max_episode_steps': 500.*this environment is .*'max_episode_steps': 9"):
        dk.envs.restore_state(dk.envs.make("CartPole-v1", max_episode_steps=9), cart_pole_state)
    with pytest.raises(TypeError, match=r"expected an EnvState, received b''\n  hint"):
        dk.envs.restore_state(catch, b"")
    with pytest.raises(
        TypeError, match=r"expected a vector environment.*\n  hint: pass an environment of dk.envs.make"
    ):
        dk.envs.capture_state(gymnasium.make("CartPole-v1"))
    with pytest.raises(
        ValueError, match=r"are not the state of an environment: .*\n  hint: pass the result of EnvState"
    ):
        dk.envs.EnvState.from_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(ValueError, match="are not the state"):
        dk.envs.EnvState.from_bytes(pickle.dumps({}))


def test_a_damaged_emulator_changes_nothing():
    env = dk.envs.BatchedAtari("Pong")
    env.reset(seed=0)
    before = env.get_state()
    env.step([2])
    expected = env.get_state()
    damaged = {**before, "emulators": [before["emulators"][0][:100]]}
    with pytest.raises(ValueError, match=r"the state of an emulator is damaged\n  hint"):
        env.set_state(damaged)
    np.testing.assert_equal(env.get_state(), expected)


def test_the_environments_of_a_vector_are_replaced_together():
    env = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2, autoreset_mode=AutoresetMode.DISABLED)
    observations, _ = env.reset(seed=0)
    state = dk.envs.capture_state(env)
    env.step(np.array([0, 1]))
    dk.envs.restore_state(env, state)
    mask = np.array([False, True])
    np.testing.assert_array_equal(env.reset(options={"reset_mask": mask})[0][0], observations[0])
