"""Catch: the rules, against a loop over single games."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import deepkit as dk


def follow(observation):
    """Return the action that moves the paddle below the ball."""
    grid = observation[..., 0] > 0
    ball = np.argwhere(grid[:-1])[0, 1] if grid[:-1].any() else np.argwhere(grid[-1])[0, 0]
    paddle = np.flatnonzero(grid[-1])[0]
    return int(np.sign(ball - paddle)) + 1


@pytest.mark.parametrize("kwargs", [{}, {"rows": 5, "columns": 4}, {"num_balls": 3}])
def test_the_player_that_follows_the_ball_catches_all(kwargs):
    env = dk.envs.Catch(**kwargs)
    observation, _ = env.reset(seed=3)
    num_balls = kwargs.get("num_balls", 1)
    rewards, terminated = [], False
    while not terminated:
        observation, reward, terminated, truncated, _ = env.step(follow(observation))
        rewards.append(reward)
        assert not truncated
    length = kwargs.get("rows", 10) - 1
    assert len(rewards) == num_balls * length
    assert rewards == ([0.0] * (length - 1) + [1.0]) * num_balls


def test_a_missed_ball_costs_one():
    env = dk.envs.Catch()
    observation, _ = env.reset(seed=0)
    away = 0 if np.argwhere(observation[0, :, 0])[0, 0] >= 5 else 2
    rewards = [env.step(away)[1] for _ in range(9)]
    assert rewards == [0.0] * 8 + [-1.0]


def test_balls_fall_from_every_column():
    env = dk.envs.BatchedCatch(num_envs=500)
    observations, _ = env.reset(seed=0)
    counts = (observations[:, 0, :, 0] > 0).sum(axis=0)
    assert counts.sum() == 500
    assert counts.min() > 25


@pytest.mark.parametrize("image_size", [84, (24, 32)])
def test_image_size_enlarges_the_grid(image_size):
    small, large = dk.envs.Catch(), dk.envs.Catch(image_size=image_size)
    grid, _ = small.reset(seed=1)
    image, _ = large.reset(seed=1)
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    assert image.shape == (height, width, 1)
    expected = [[grid[y * 10 // height, x * 10 // width] for x in range(width)] for y in range(height)]
    np.testing.assert_array_equal(image, expected)


def test_gymnasium_accepts_the_environment():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("deepkit/Catch-v0", rows=5, columns=4).unwrapped)


def test_a_frame_is_an_rgb_image_of_the_observation():
    env = dk.envs.Catch(render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    frame = env.render()
    assert frame.shape == (80, 80, 3)
    np.testing.assert_array_equal(frame[::8, ::8, :1], observation)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"rows": 4, "columns": 10}, r"out of reach: the paddle needs 5 steps and has 3\n  hint: use at least 6 rows"),
        ({"rows": 6, "num_balls": 2}, "and 2 balls leaves balls out of reach: the paddle needs 9 steps and has 5"),
        ({"columns": 1}, "Catch: columns must be an integer of at least 2, received 1"),
        ({"image_size": 8}, "Catch: image_size must be an integer of at least 10, received 8"),
        ({"image_size": (84, 84, 1)}, r"image_size must be an integer or two, received \(84, 84, 1\)"),
        ({"render_mode": "human"}, "Catch: render_mode must be .*rgb_array"),
    ],
)
def test_wrong_arguments(kwargs, text):
    with pytest.raises(ValueError, match=text):
        dk.envs.Catch(**kwargs)
