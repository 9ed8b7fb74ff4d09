"""The replay memory equals lists of transitions."""

import numpy as np
import pytest

from deepkit.training.replay import ReplayMemory


class Lists:
    """Plain lists: all transitions of each environment, with stacked frames."""

    def __init__(self, num_envs):
        self.transitions = [[] for _ in range(num_envs)]

    def add(self, observations, actions, rewards, terminated, following):
        for env, row in enumerate(zip(observations, actions, rewards, following, terminated, strict=True)):
            self.transitions[env].append(tuple(np.array(value) for value in row))


def play(memory, lists, num_steps, num_frames=1, seed=0):
    """Play random episodes; an observation is a stack of numbers that never repeat."""
    random = np.random.default_rng(seed)
    num_envs = memory.num_envs
    counter = np.arange(num_envs) * 100_000.0

    def frames(stack, restarted):
        counter[:] += 1
        new = counter[:, None].copy()
        stack = np.concatenate([stack[:, 1:], new], 1)
        stack[restarted] = np.repeat(new[restarted], num_frames, 1)
        return stack

    stack = frames(np.zeros((num_envs, num_frames)), np.ones(num_envs, bool))
    memory.begin(stack, None)
    for _ in range(num_steps):
        actions, rewards = random.integers(3, size=num_envs), random.normal(size=num_envs)
        terminated, truncated = random.random(num_envs) < 0.15, random.random(num_envs) < 0.1
        following = frames(stack, np.zeros(num_envs, bool))
        lists.add(stack, actions, rewards, terminated, following)
        memory.add(actions, rewards, terminated, following, None)
        ended = terminated | truncated
        stack = following
        if ended.any():
            restarted = frames(following, ended)
            stack = np.where(ended[:, None], restarted, following)
            memory.restart(ended, stack, None)
    return stack


def rows(batch):
    names = ("observations", "actions", "rewards", "next_observations", "terminated")
    return {
        tuple(np.concatenate([np.ravel(batch[name][i]) for name in names]).astype("float32").tolist())
        for i in range(len(batch["actions"]))
    }


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(("num_envs", "num_frames"), [(1, 1), (3, 1), (1, 4), (3, 2)])
def test_samples_are_the_latest_transitions(num_envs, num_frames, folder, tmp_path):
    size = 60 * num_envs
    memory = ReplayMemory(
        num_envs, (num_frames,), "float32", size, 50, num_frames=num_frames, folder=tmp_path if folder else None
    )
    lists = Lists(num_envs)
    play(memory, lists, 500, num_frames)
    sample = memory.sample(20_000 * num_envs, np.random.default_rng(0))
    received = rows(sample)
    expected = set()
    for transitions in lists.transitions:
        for observation, action, reward, following, terminated in transitions[-60:]:
            values = [*observation, action, reward, *following, terminated]
            expected.add(tuple(np.array(values, "float32").tolist()))
    assert received <= expected
    assert len(received) >= 40 * num_envs  # the last rows of episodes take the place of transitions
    newest = {
        tuple(np.array([*t[-1][0], t[-1][1], t[-1][2], *t[-1][3], t[-1][4]], "float32")) for t in lists.transitions
    }
    assert newest <= received


def test_draws_are_uniform_and_depend_on_the_seed_only():
    memory, lists = ReplayMemory(2, (1,), "float32", 100, 10), Lists(2)
    play(memory, lists, 200)
    draw = memory.sample(40_000, np.random.default_rng(1))["observations"]
    np.testing.assert_array_equal(draw, memory.sample(40_000, np.random.default_rng(1))["observations"])
    _, counts = np.unique(draw, return_counts=True)
    mean = counts.mean()
    assert np.all(np.abs(counts - mean) < 5 * np.sqrt(mean))


def test_nothing_to_draw_yet():
    memory = ReplayMemory(1, (1,), "float32", 10, 10)
    memory.begin(np.zeros((1, 1)), None)
    assert memory.sample(4, np.random.default_rng(0)) is None


def test_rows_that_a_killed_process_wrote_after_the_checkpoint_do_no_harm(tmp_path):
    def memory(folder):
        return ReplayMemory(2, (1,), "float32", 40, 60, folder=folder)

    first, lists = memory(tmp_path), Lists(2)
    play(first, lists, 150)
    state = first.capture()
    expected = first.sample(500, np.random.default_rng(3))
    play(first, Lists(2), 25, seed=9)  # and then the process is killed
    second = memory(tmp_path)
    second.restore(state)
    received = second.sample(500, np.random.default_rng(3))
    for name, values in expected.items():
        np.testing.assert_array_equal(values, received[name])
