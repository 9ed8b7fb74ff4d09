"""Gridworld: exact transitions against simulated ones, the rules, the observations, and wrong maps."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import deepkit as dk

MAP = ["S.#G", "..P.", "#..."]
UP, RIGHT, DOWN, LEFT = range(4)


def test_transitions_of_a_map_by_hand():
    env = dk.envs.Gridworld(["SG", "P."], slip=0.2, step_reward=-0.1)
    P, R = env.transitions()
    np.testing.assert_allclose(P[0, UP], [0.9, 0.1, 0, 0])  # the border; a slip to the right; a slip to the left
    np.testing.assert_allclose(P[0, RIGHT], [0.1, 0.8, 0.1, 0])
    np.testing.assert_allclose(P[0, DOWN], [0.1, 0.1, 0.8, 0])
    np.testing.assert_allclose(R[0], [0.1 - 0.1, 0.8 - 0.1 - 0.1, 0.1 - 0.8 - 0.1, -0.1 - 0.1], atol=1e-12)
    np.testing.assert_array_equal(P[1], np.eye(4)[[1, 1, 1, 1]])  # the goal
    np.testing.assert_array_equal(R[1:3], 0)


@pytest.mark.parametrize("slip", [0, 0.2, 1])
def test_empirical_frequencies_equal_the_transitions(slip):
    num_samples = 4_000
    grid = [row.replace(".", "S") for row in MAP]
    for action in range(4):
        env = dk.envs.BatchedGridworld(num_samples * 8, grid=grid, slip=slip)
        P, R = env.transitions()
        states, _ = env.reset(seed=action)
        next_states, rewards, terminated, _, _ = env.step(np.full(env.num_envs, action))
        for state in np.unique(states):
            chosen = states == state
            frequencies = np.bincount(next_states[chosen], minlength=env.num_states) / chosen.sum()
            bound = 4.5 * np.sqrt(P[state, action] * (1 - P[state, action]) / chosen.sum())  # 0 if certain
            assert np.all(np.abs(frequencies - P[state, action]) <= bound + 1e-12)
            assert (
                abs(rewards[chosen].mean() - R[state, action])
                <= 4.5 * rewards[chosen].std() / chosen.sum() ** 0.5 + 1e-9
            )
        kinds = np.array(list("".join(grid).replace("#", "")))
        np.testing.assert_array_equal(terminated, np.isin(kinds[next_states], ["G", "P"]))


def test_each_start_is_as_frequent():
    env = dk.envs.BatchedGridworld(3_000, grid="SSGS")
    states, _ = env.reset(seed=0)
    counts = np.bincount(states, minlength=4)
    assert counts[2] == 0
    assert np.all(np.abs(counts[[0, 1, 3]] - 1000) < 120)


def test_an_episode_collects_step_rewards_and_the_goal():
    env = dk.envs.Gridworld(MAP, slip=0, step_reward=-0.25)
    observation, info = env.reset(seed=0)
    assert (observation, info) == (0, {})
    steps = [env.step(action) for action in (UP, DOWN, RIGHT, DOWN, RIGHT, RIGHT, UP, UP)]
    assert [int(step[0]) for step in steps] == [0, 3, 4, 7, 8, 9, 6, 2]
    assert [step[1] for step in steps] == [-0.25] * 7 + [0.75]
    assert [step[2] for step in steps] == [False] * 7 + [True]
    np.testing.assert_array_equal(env.cells[[0, 2, 9]], [[0, 0], [0, 3], [2, 3]])
    assert env.discount == 0.95


def test_a_pit_ends_the_episode_with_a_loss():
    env = dk.envs.Gridworld(MAP, slip=0, step_reward=0)
    env.reset(seed=0)
    assert [env.step(action)[1:3] for action in (DOWN, RIGHT, RIGHT)] == [(0.0, False), (0.0, False), (-1.0, True)]


def test_an_episode_is_truncated_after_its_steps():
    env = dk.envs.Gridworld(MAP, slip=0, max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(UP)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]


def test_observations_show_the_same_state():
    envs = [dk.envs.Gridworld(MAP, observation=kind) for kind in ("state", "one_hot", "image")]
    assert [env.observation_space.shape for env in envs] == [(), (10,), (3, 4, 3)]
    first = [env.reset(seed=0)[0] for env in envs]
    last = [[env.step(action)[0] for action in (DOWN, RIGHT)][-1] for env in envs]
    for state, one_hot, image in (first, last):
        np.testing.assert_array_equal(one_hot, np.eye(10)[state])
        row, column = envs[0].cells[state]
        agent = np.all(image == (59, 91, 219), axis=-1)
        assert np.argwhere(agent).tolist() == [[row, column]]
        assert len(np.unique(image.reshape(-1, 3), axis=0)) == 5  # agent, floor, wall, goal and pit


def test_rendering():
    env = dk.envs.Gridworld(MAP, slip=0, render_mode="ansi")
    env.reset(seed=0)
    env.step(DOWN)
    assert env.render() == "S.#G\nA.P.\n#..."
    env = dk.envs.Gridworld(MAP, render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (72, 96, 3)
    assert dk.envs.Gridworld(MAP).render() is None


@pytest.mark.parametrize("observation", ["state", "one_hot", "image"])
def test_the_checker_of_gymnasium(observation):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("deepkit/Gridworld-v0", observation=observation).unwrapped, skip_render_check=True)
        batch = gymnasium.make_vec(
            "deepkit/Gridworld-v0", num_envs=3, vectorization_mode="vector_entry_point", observation=observation
        )
    assert batch.observation_space.contains(batch.reset(seed=0)[0])


def test_a_batch_continues_from_its_state():
    env = dk.envs.BatchedGridworld(20)
    env.reset(seed=0)
    state = env.get_state()
    first = env.step(np.full(20, RIGHT))[0]
    env.set_state(state)
    np.testing.assert_array_equal(env.step(np.full(20, RIGHT))[0], first)
    with pytest.raises(ValueError, match="this environment is"):
        dk.envs.BatchedGridworld(20, slip=0.1).set_state(state)


def test_a_figure_shows_values_and_arrows():
    env = dk.envs.Gridworld(MAP)
    figure = env.draw(policy=np.zeros(10, int), values=np.linspace(-1, 1, 10))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text in "SGP"] == ["S", "G", "P"]
    assert texts.count("-1.00") == 1
    assert len([text for text in texts if "." in text]) == 8  # not of the goal and of the pit
    assert figure._repr_png_()
    arrows = [len(env.draw(policy=policy).axes[0].patches) for policy in (np.zeros(10, int), np.full((10, 4), 0.25))]
    assert arrows == [8, 32]


@pytest.mark.parametrize(
    ("grid", "error", "expected"),
    [
        ([".G"], ValueError, "at least one start S, received \\['.G'\\]"),
        (["S."], ValueError, "at least one goal G"),
        (["S.", "G"], ValueError, "2 characters in row 1 and 1 in row 2"),
        (["S?G"], ValueError, "received '\\?' in row 1, column 2"),
        (["s.G"], ValueError, "received 's' in row 1, column 1; did you mean 'S'"),
        (["S#G"], ValueError, "no goal can be reached from row 1, column 1"),
        (["SPG"], ValueError, "no goal can be reached"),
        (["S.G", "###", "S.."], ValueError, "no goal can be reached from row 3, column 1"),
        ("", ValueError, "at least one row"),
        ([], ValueError, "at least one row"),
        (5, TypeError, "text or a list of its rows, received 5"),
        (["S.G", 3], TypeError, "text or a list of its rows"),
    ],
)
def test_a_wrong_map_raises(grid, error, expected):
    with pytest.raises(error, match=f"Gridworld: .*{expected}") as caught:
        dk.envs.Gridworld(grid)
    assert "hint: " in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"slip": 1.5}, "slip must be a number from 0 to 1, received 1.5"),
        ({"discount": 1}, "discount must be a fraction"),
        ({"step_reward": float("nan")}, "step_reward must be a number"),
        ({"observation": "pixels"}, "observation must be one of 'state', 'one_hot', 'image', received 'pixels'"),
        ({"render_mode": "human"}, "render_mode must be one of 'ansi', 'rgb_array'"),
        ({"max_episode_steps": 0}, "max_episode_steps must be a positive integer"),
    ],
)
def test_a_wrong_argument_raises(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        dk.envs.Gridworld(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"policy": [0, 1]},
        {"policy": [4] * 10},
        {"policy": np.full((10, 4), 2.0)},
        {"values": [1.0]},
        {"values": [np.nan] * 10},
        {"values": np.zeros((10, 4))},
    ],
)
def test_a_wrong_drawing_raises(arguments):
    with pytest.raises(ValueError, match=r"Gridworld.draw: (policy|values) must be 10 (.|\n)*hint: "):
        dk.envs.Gridworld(MAP).draw(**arguments)
