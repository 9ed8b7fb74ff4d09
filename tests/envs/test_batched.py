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


class Numbers(dk.envs.BatchedEnv):
    """Take each of four numbers once; the fields are what the methods return."""

    def __init__(self, num_envs=2, size=(4,), **results):
        self.size, self.results = size, results
        super().__init__(num_envs, gymnasium.spaces.Box(0, 1, (4,), np.float32), num_actions=4)

    def start_episodes(self, num):
        return {"free": np.ones((num, 4), dtype=bool)}

    def advance(self, actions):
        self._state["free"][np.arange(self.num_envs), actions] = False
        terminated = ~self._state["free"].any(axis=1)
        return self.results.get("rewards", terminated), self.results.get("terminated", terminated)

    def observe(self):
        return self.results.get("observations", self._state["free"])

    def legal_actions(self):
        return self._state["free"]

    def describe(self):
        return {"size": self.size}


def test_illegal_actions():
    env = Numbers()
    _, infos = env.reset(seed=0)
    assert infos["action_mask"].all()
    assert infos["_action_mask"].tolist() == [True, True]
    infos = env.step([1, 2])[4]
    assert infos["action_mask"].tolist() == [[True, False, True, True], [True, True, False, True]]
    infos["action_mask"][:] = True  # a copy
    with pytest.raises(ValueError, match=r"action 2 is illegal in environment 1; legal are 0, 1, 3\n  hint: choose"):
        env.step([0, 2])
    rewards = [env.step([0, 0])[1], env.step([2, 1])[1], env.step([3, 3])[1]]
    assert np.array(rewards).tolist() == [[0, 0], [0, 0], [1, 1]]
    assert rewards[0].dtype == np.float64


def test_a_single_environment_has_the_mask_of_its_actions():
    env = dk.envs.SingleEnv(Numbers(num_envs=1))
    assert env.reset(seed=0)[1]["action_mask"].tolist() == [True] * 4
    assert list(env.step(3)[4]) == ["action_mask"]


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ({"rewards": np.zeros((2, 1))}, r"Numbers.advance: rewards must have shape \(2,\), received shape \(2, 1\)"),
        ({"terminated": False}, r"Numbers.advance: terminated must have shape \(2,\), received shape \(\)"),
        (
            {"observations": np.zeros(4)},
            r"observe: observations must have shape \(2, 4\), received shape \(4,\)\n  hint",
        ),
    ],
)
def test_wrong_results_of_a_subclass(results, text):
    env = Numbers(**results)
    with pytest.raises(ValueError, match=text):
        env.step(env.reset(seed=0)[0][:, 0].astype(int))


def test_a_description_with_a_tuple_survives_a_file():
    env = Numbers()
    env.reset(seed=0)
    state = dk.envs.EnvState.from_bytes(dk.envs.capture_state(env).to_bytes())
    dk.envs.restore_state(Numbers(), state)
    with pytest.raises(ValueError, match=r"'size': \[4\].*this environment is .*'size': \[5\]"):
        dk.envs.restore_state(Numbers(size=(5,)), state)


def test_wrappers_of_gymnasium_work():
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(dk.envs.make("Catch", num_envs=2))
    env.reset(seed=0)
    for _ in range(9):
        *_, terminated, _, infos = env.step(np.array([0, 2]))
    assert terminated.all()
    assert infos["episode"]["l"].tolist() == [9, 9]
    assert set(infos["episode"]["r"]) <= {-1.0, 1.0}
