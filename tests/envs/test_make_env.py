"""`dk.envs.make`: names, environments, functions, and the errors."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import deepkit as dk
from deepkit.envs import atari_games


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [
        ("Catch", "BatchedCatch", (10, 10, 1)),
        ("deepkit/Catch-v0", "BatchedCatch", (10, 10, 1)),
        ("CartPole-v1", "SyncVectorEnv", (4,)),
        ("FrozenLake-v1", "SyncVectorEnv", ()),
        ("ALE/Pong-v5", "BatchedAtari", (84, 84, 4)),
        ("Pong", "BatchedAtari", (84, 84, 4)),
        ("space_invaders", "BatchedAtari", (84, 84, 4)),
    ],
)
def test_names(name, kind, shape):
    env = dk.envs.make(name, num_envs=2)
    assert type(env).__name__ == kind
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    observations, _ = env.reset(seed=0)
    assert observations.shape == (2, *shape)
    assert observations in env.observation_space
    assert env.num_envs == 2


def test_arguments_reach_the_environment():
    assert dk.envs.make("Catch", rows=7, columns=3).reset(seed=0)[0].shape == (1, 7, 3, 1)
    assert dk.envs.make("FrozenLake-v1", map_name="8x8").single_observation_space.n == 64
    assert dk.envs.make("Pong", action_set="full").single_action_space.n == 18
    assert dk.envs.make(gymnasium.make, id="CartPole-v1", num_envs=2).num_envs == 2
    assert dk.envs.make(dk.envs.BatchedCatch, 3, rows=6, columns=6).reset(seed=0)[0].shape == (3, 6, 6, 1)


def test_an_environment_is_used():
    single = gymnasium.make("CartPole-v1")
    assert dk.envs.make(single).envs == [single]
    catch = dk.envs.Catch()
    assert dk.envs.make(catch) is catch.batch
    vector = dk.envs.make("CartPole-v1", num_envs=3)
    assert dk.envs.make(vector) is vector
    assert dk.envs.make(vector, num_envs=3) is vector


def test_the_last_observation_of_an_episode_is_returned():
    env = dk.envs.make("CartPole-v1", num_envs=2, max_episode_steps=5)
    reference = gymnasium.make("CartPole-v1", max_episode_steps=5)
    env.reset(seed=[3, 4])
    reference.reset(seed=3)
    for _ in range(5):
        observations, rewards, terminated, truncated, _ = env.step(np.array([0, 1]))
        expected = reference.step(0)
        np.testing.assert_array_equal(observations[0], expected[0])
        assert (rewards[0], terminated[0], truncated[0]) == expected[1:4]
    assert truncated.all()


def with_space(space):
    class Environment(gymnasium.Env):
        observation_space = space
        action_space = gymnasium.spaces.Discrete(2)

    return Environment


INTEGERS = gymnasium.spaces.Discrete(2)
SHARED = gymnasium.make("CartPole-v1")


@pytest.mark.parametrize(
    ("arguments", "kwargs", "error", "text"),
    [
        (("Catchh",), {}, ValueError, "unknown environment 'Catchh'; did you mean 'Catch'?"),
        (("CartPole",), {}, ValueError, "unknown environment 'CartPole'; did you mean 'CartPole-v1'?"),
        (("cartpole-v1",), {}, ValueError, "unknown environment 'cartpole-v1'; did you mean 'CartPole-v1'?"),
        (("Pongg",), {}, ValueError, "did you mean 'Pong'?\n  hint: gymnasium.pprint_registry()"),
        (("ALE/Chess-v5",), {}, ValueError, "unknown environment 'ALE/Chess-v5'"),
        (("",), {}, ValueError, "unknown environment ''\n  hint"),
        ((3,), {}, TypeError, "env must be a name, an environment or a function, received 3\n  hint"),
        ((None,), {}, TypeError, "received None"),
        (("Catch", 0), {}, ValueError, "dk.envs.make: num_envs must be a positive integer, received 0"),
        (("Catch", 2.0), {}, ValueError, "num_envs must be a positive integer, received 2.0"),
        (("Catch", True), {}, ValueError, "num_envs must be a positive integer, received True"),
        (("Catch",), {"row": 3}, TypeError, "BatchedCatch has no argument 'row'; did you mean 'rows'?"),
        (("Pong",), {"obs_type": "ram"}, TypeError, "BatchedAtari has no argument 'obs_type'; it takes game, "),
        ((SHARED, 2), {}, ValueError, "num_envs=2, but the environment is a single environment\n  hint: pass a name"),
        ((SHARED,), {"gravity": 3}, TypeError, "the environment exists already, so 'gravity' has no effect"),
        ((lambda: SHARED, 2), {}, ValueError, "the function returned the same environment twice"),
        ((lambda: 3,), {}, TypeError, "the function returned 3, expected a gymnasium.Env"),
        (
            (with_space(gymnasium.spaces.Dict({"a": INTEGERS})),),
            {},
            ValueError,
            "received the space Dict('a': Discrete",
        ),
        ((with_space(gymnasium.spaces.Tuple([INTEGERS])),), {}, ValueError, "hint: wrap the environment: gymnasium."),
        ((with_space(gymnasium.spaces.Text(3)),), {}, ValueError, "observations must be arrays"),
    ],
)
def test_errors(arguments, kwargs, error, text):
    with pytest.raises(error) as caught:
        dk.envs.make(*arguments, **kwargs)
    assert text in str(caught.value)


def test_a_vector_in_another_mode_is_an_error():
    env = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    with pytest.raises(
        ValueError, match=r"expected AutoresetMode.DISABLED, received AutoresetMode.NEXT_STEP.*\n.*hint"
    ):
        dk.envs.make(env)
    vector = dk.envs.make("CartPole-v1", num_envs=3)
    with pytest.raises(ValueError, match="num_envs=2, but the environment is a vector of 3"):
        dk.envs.make(vector, num_envs=2)


def test_the_missing_emulator_is_named(monkeypatch):
    monkeypatch.setattr(atari_games.importlib.util, "find_spec", lambda name: None)
    for make_env in (lambda: dk.envs.make("ALE/Pong-v5"), lambda: dk.envs.Atari("Pong")):
        with pytest.raises(
            ImportError, match=r"need the package ale-py.*\n  hint: pip install 'deepkit-keras\[atari\]'"
        ):
            make_env()
    with pytest.raises(ValueError, match=r"unknown environment 'Pong'.*\n.*Atari games need pip install"):
        dk.envs.make("Pong")
