"""The base class: resets of a part, seeds, checks of actions, exact states, and copies of observations."""

import copy
import pickle

import gymnasium
import numpy as np
import pytest

import deepkit as dk


def run(env, num_steps, seed=None, observations=None):
    """Step with actions that depend on the observations only, and return everything that the environment returned."""
    if observations is None:
        observations, _ = env.reset(seed=seed)
    trace = [observations]
    for step in range(num_steps):
        actions = (observations.sum(axis=tuple(range(1, observations.ndim))) // 255 + step) % 3
        observations, rewards, terminated, truncated, _ = env.step(actions)
        trace += [observations, rewards, terminated, truncated]
        finished = terminated | truncated
        if finished.any():
            observations, _ = env.reset(options={"reset_mask": finished})
            trace.append(observations)
    return trace


def assert_equal(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def env():
    return dk.envs.BatchedCatch(num_envs=4, num_balls=2, max_episode_steps=11)


def test_a_seed_repeats_everything(env):
    other = dk.envs.BatchedCatch(num_envs=4, num_balls=2, max_episode_steps=11)
    assert_equal(run(env, 40, seed=5), run(other, 40, seed=5))
    starts = [env.reset(seed=seed)[0].tobytes() for seed in range(5)]
    assert len(set(starts)) > 1


def test_a_state_continues_bit_for_bit(env):
    run(env, 15, seed=2)
    state = env.get_state()
    expected = run(env, 40, observations=env.observe())
    other = dk.envs.BatchedCatch(num_envs=4, num_balls=2, max_episode_steps=11)
    other.set_state(state)
    assert_equal(run(other, 40, observations=other.observe()), expected)
    other.set_state(state)  # the first continuation did not change the state
    assert_equal(run(other, 40, observations=other.observe()), expected)


def test_an_environment_pickles_and_copies(env):
    run(env, 15, seed=2)
    twin, clone = pickle.loads(pickle.dumps(env)), copy.deepcopy(env)
    expected = run(env, 20, observations=env.observe())
    assert_equal(run(twin, 20, observations=twin.observe()), expected)
    assert_equal(run(clone, 20, observations=clone.observe()), expected)


def test_observations_are_copies(env):
    first, _ = env.reset(seed=0)
    kept_values = first.copy()
    second = env.step(np.ones(4, dtype=int))[0]
    np.testing.assert_array_equal(first, kept_values)
    second[:] = 7
    assert env.step(np.ones(4, dtype=int))[0].max() == 255


def test_a_partial_reset_leaves_the_others(env):
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.zeros(4, dtype=int))
    before = env.get_state()["arrays"]
    mask = np.array([True, False, True, False])
    observations, _ = env.reset(options={"reset_mask": mask})
    after = env.get_state()["arrays"]
    assert after["ball_row"].tolist() == [0, 3, 0, 3]
    for name in before:
        np.testing.assert_array_equal(before[name][~mask], after[name][~mask])
    np.testing.assert_array_equal(observations, env.observe())


def test_max_episode_steps_truncates():
    env = dk.envs.BatchedCatch(num_envs=2, max_episode_steps=4)
    env.reset(seed=0)
    steps = [env.step([1, 1]) for _ in range(4)]
    assert [step[3].tolist() for step in steps] == [[False, False]] * 3 + [[True, True]]
    assert not any(step[2].any() for step in steps)


def test_termination_at_the_last_step_is_not_truncation():
    env = dk.envs.BatchedCatch(num_envs=1, max_episode_steps=9)
    env.reset(seed=0)
    _, _, terminated, truncated, _ = [env.step([1]) for _ in range(9)][-1]
    assert (terminated.tolist(), truncated.tolist()) == ([True], [False])


def test_gymnasium_makes_a_batch():
    env = gymnasium.make_vec("deepkit/Catch-v0", num_envs=3, vectorization_mode="vector_entry_point", rows=5, columns=3)
    assert env.reset(seed=0)[0].shape == (3, 5, 3, 1)
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.DISABLED
    assert env.reset(seed=0)[0] in env.observation_space
    assert env.step(env.action_space.sample())[1].dtype == np.float64


@pytest.mark.parametrize(
    ("actions", "error", "text"),
    [
        ([1, 1, 1], ValueError, r"expected 4 integers from 0 to 2, received actions of shape \(3,\) and dtype int64"),
        (np.ones(4), TypeError, r"received actions of shape \(4,\) and dtype float64"),
        (np.ones(4, dtype=bool), TypeError, "dtype bool"),
        (np.ones((4, 1), dtype=int), ValueError, r"shape \(4, 1\)"),
        (1, ValueError, r"shape \(\) and dtype int64\n  hint: pass a NumPy array of integers with shape \(4,\)"),
        ([0, 1, 3, 0], ValueError, "received action 3 for environment 2\n  hint: use actions of env.single_action"),
        ([0, -1, 0, 0], ValueError, "received action -1 for environment 1"),
        ([[1], [1, 2]], TypeError, r"expected 4 integers from 0 to 2, received \[\[1\], \[1, 2\]\]"),
        (None, TypeError, "received None"),
    ],
)
def test_wrong_actions(env, actions, error, text):
    env.reset(seed=0)
    before = env.get_state()
    with pytest.raises(error, match=text):
        env.step(actions)
    np.testing.assert_equal(env.get_state(), before)  # the error changed nothing


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"seed": [1, 2, 3, 4]}, "all environments share one random generator"),
        ({"seed": -1}, "reset: seed must be an integer of at least 0, received -1"),
        ({"seed": 1, "options": {"reset_mask": np.array([True, False, False, False])}}, "seed=1 with a reset_mask"),
        ({"options": {"reset_mask": np.zeros(4, dtype=bool)}}, "reset_mask is False for all"),
        ({"options": {"reset_mask": [True] * 4}}, r"must be a bool array of shape \(4,\), received \[True"),
        ({"options": {"reset_mask": np.ones(4)}}, "received <ndarray of shape .* and dtype float64>"),
        ({"options": {"reset_masks": np.ones(4, bool)}}, "unknown option 'reset_masks'; did you mean 'reset_mask'"),
    ],
)
def test_wrong_resets(env, kwargs, text):
    env.reset(seed=0)
    with pytest.raises(ValueError, match=text):
        env.reset(**kwargs)


def test_steps_need_a_started_episode(env):
    with pytest.raises(RuntimeError, match="has not started\n  hint: call reset"):
        env.step([1] * 4)
    with pytest.raises(ValueError, match="never started"):
        env.reset(options={"reset_mask": np.array([True, False, True, True])})
    env.reset(seed=0)
    for _ in range(11):
        env.step([1] * 4)
    with pytest.raises(RuntimeError, match="environment 0 has finished\n  hint: restart the finished"):
        env.step([1] * 4)


def test_a_state_of_another_environment_is_an_error(env):
    env.reset(seed=0)
    other = dk.envs.BatchedCatch(num_envs=4, rows=9, columns=9)
    with pytest.raises(ValueError, match=r"the state is of .*'rows': 10.*, this environment is .*'rows': 9"):
        other.set_state(env.get_state())
    with pytest.raises(ValueError, match="expected a dictionary with arrays, environment"):
        other.set_state({"arrays": {}})


def test_a_single_environment_is_a_batch_of_one():
    with pytest.raises(ValueError, match="received num_envs=2\n  hint: make it with num_envs=1"):
        dk.envs.SingleEnv(dk.envs.BatchedCatch(num_envs=2))
    single, batch = dk.envs.Catch(), dk.envs.BatchedCatch()
    np.testing.assert_array_equal(single.reset(seed=4)[0], batch.reset(seed=4)[0][0])
    assert single.np_random is single.batch.np_random
    with pytest.raises(TypeError, match="dtype float64"):
        single.step(1.0)
