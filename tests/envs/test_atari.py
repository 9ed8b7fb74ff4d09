"""Atari: the preprocessing against other implementations, lives, scores and checks."""

import copy
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import deepkit as dk
from deepkit.envs.area_resize import AreaResize

ale_py = pytest.importorskip("ale_py")


def area_means(image, height, width):
    """Return the means over areas, in float64, pixel by pixel."""
    rows, columns = image.shape[0] / height, image.shape[1] / width
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            weights = [
                np.clip(np.minimum(np.arange(size) + 1, end) - np.maximum(np.arange(size), start), 0, None)
                for size, start, end in (
                    (image.shape[0], y * rows, (y + 1) * rows),
                    (image.shape[1], x * columns, (x + 1) * columns),
                )
            ]
            result[y, x] = weights[0] @ image @ weights[1] / (rows * columns)
    return result


@pytest.mark.parametrize("sizes", [((210, 160), (21, 40)), ((21, 16), (8, 7)), ((9, 9), (9, 3)), ((5, 7), (2, 3))])
def test_resizing_averages_areas(sizes):
    image = np.random.default_rng(0).integers(0, 256, sizes[0], dtype=np.uint8)
    expected = area_means(image, *sizes[1])
    result = AreaResize(*sizes)(image[np.newaxis])[0]
    assert result.dtype == np.uint8
    assert np.abs(result - expected).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
    "game", ["Breakout", *(pytest.param(game, marks=pytest.mark.slow) for game in ("Pong", "AirRaid", "MsPacman"))]
)
def test_frames_equal_those_of_the_vector_of_the_emulator(game):
    """The emulator has a vector environment, without exact states, whose preprocessing is written in C++."""
    env = dk.envs.BatchedAtari(game, max_noops=0)
    rom = {"AirRaid": "air_raid", "MsPacman": "ms_pacman"}.get(game, game.lower())
    reference = ale_py.AtariVectorEnv(rom, num_envs=1, noop_max=0, use_fire_reset=False, reward_clipping=False)
    frames, _ = env.reset(seed=0)
    expected, _ = reference.reset(seed=0)
    for action in np.random.default_rng(0).integers(env.num_actions, size=150):
        np.testing.assert_array_equal(frames[0, :, :, -1], expected[0, -1])
        frames, rewards, terminated, _, _ = env.step([action])
        expected, expected_rewards, expected_terminated, _, _ = reference.step(np.array([action]))
        assert (rewards[0], terminated[0]) == (expected_rewards[0], expected_terminated[0])
        if terminated[0]:
            break


class FixedNoops:
    """A generator of gymnasium's environment that draws the same number of no-op actions."""

    def __init__(self, number):
        self.number = number

    def integers(self, *bounds):
        return self.number


@pytest.mark.parametrize("game", ["Pong", "SpaceInvaders"])
def test_frames_equal_those_of_the_wrappers_of_gymnasium(game):
    pytest.importorskip("cv2", reason="AtariPreprocessing needs OpenCV")
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    env = dk.envs.Atari(game, max_noops=9)
    inner = gymnasium.make(f"ALE/{game}-v5", frameskip=1, repeat_action_probability=0.0).unwrapped
    reference = FrameStackObservation(AtariPreprocessing(inner, noop_max=9), 4)
    frames, _ = env.reset(seed=3)
    generator = gymnasium.utils.seeding.np_random(3)[0]
    generator.integers(2**31, size=1)  # the seed of the emulator
    inner._np_random = FixedNoops(int(generator.integers(1, 10)))
    expected, _ = reference.reset()
    for action in np.random.default_rng(1).integers(env.action_space.n, size=200):
        np.testing.assert_array_equal(frames, np.moveaxis(expected, 0, -1))
        frames, reward, terminated, _, _ = env.step(action)
        expected, expected_reward, expected_terminated, _, _ = reference.step(action)
        assert (reward, terminated) == (expected_reward, expected_terminated)


def test_the_observation_is_the_last_four_images():
    env = dk.envs.Atari("Pong")
    frames, _ = env.reset(seed=0)
    assert all((frames[..., index] == frames[..., 0]).all() for index in range(4))
    before = frames
    for _ in range(5):
        after = env.step(2)[0]
        np.testing.assert_array_equal(after[..., :3], before[..., 1:])
        before = after


def play_until_a_life_is_lost(env):
    rewards, done = 0.0, False
    while not done:
        _, reward, terminated, truncated, info = env.step(1)  # FIRE
        rewards, done = rewards + reward, terminated or truncated
    return rewards, info


def test_the_loss_of_a_life_ends_an_episode_and_the_game_goes_on():
    env = dk.envs.Atari("Breakout", end_on_life_loss=True)
    last, info = env.reset(seed=0)
    assert info == {"lives": 5, "score": 0.0, "game_over": False}
    score, episodes = 0.0, []
    for _ in range(6):
        rewards, info = play_until_a_life_is_lost(env)
        score += rewards
        assert info["score"] == score
        episodes.append((info["lives"], info["game_over"]))
        last = env.batch.observe()[0].copy()
        frames, info = env.reset()
        if info["lives"] == 5:
            score = 0.0
        else:
            np.testing.assert_array_equal(frames[..., 0], last[..., -1])  # the game goes on
        assert info["score"] == score
    assert episodes == [(4, False), (3, False), (2, False), (1, False), (0, True), (4, False)]


def test_a_seed_starts_a_new_game_after_the_loss_of_a_life():
    env = dk.envs.Atari("Breakout", end_on_life_loss=True)
    frames, _ = env.reset(seed=0)
    play_until_a_life_is_lost(env)
    again, info = env.reset(seed=0)
    np.testing.assert_array_equal(again, frames)
    assert info["lives"] == 5


def test_a_copy_plays_on():
    env = dk.envs.BatchedAtari("Pong", num_envs=2, repeat_action_probability=0.25)
    env.reset(seed=0)
    env.step([2, 3])
    twin = copy.deepcopy(env)
    for step in range(20):
        actions = [step % 6, step % 5]
        np.testing.assert_array_equal(env.step(actions)[0], twin.step(actions)[0])


def test_a_life_does_not_end_an_episode_by_default():
    env = dk.envs.Atari("Breakout")
    env.reset(seed=0)
    _, info = play_until_a_life_is_lost(env)
    assert (info["lives"], info["game_over"]) == (0, True)


def test_truncation_starts_a_new_game():
    env = dk.envs.Atari("Pong", max_episode_steps=150, end_on_life_loss=True)
    _, info = env.reset(seed=0)
    for _ in range(150):
        _, _, terminated, truncated, info = env.step(0)
    assert (terminated, truncated) == (False, True)
    assert info["score"] < 0
    assert env.reset()[1]["score"] == 0


def test_seeds():
    def play(seed, **kwargs):
        env = dk.envs.Atari("Pong", **kwargs)
        env.reset(seed=seed)
        return [env.step(2 + step % 2)[0] for step in range(30)][-1]

    first = play(1)
    np.testing.assert_array_equal(play(1), first)
    assert (play(2) != first).any()  # the number of no-op actions
    sticky = {"max_noops": 0, "repeat_action_probability": 0.25}
    first = play(1, **sticky)
    np.testing.assert_array_equal(play(1, **sticky), first)
    assert (play(2, **sticky) != first).any()  # the repeated actions


def test_emulators_differ():
    env = dk.envs.BatchedAtari("Pong", num_envs=2, max_noops=0, repeat_action_probability=0.25)
    env.reset(seed=0)
    frames = [env.step([2 + step % 2] * 2)[0] for step in range(30)][-1]
    assert (frames[0] != frames[1]).any()


def test_emulators_are_independent():
    """Several emulators run in threads; each plays as it does alone."""
    actions = np.random.default_rng(0).integers(4, size=(25, 3))
    env = dk.envs.BatchedAtari("Breakout", num_envs=3, max_noops=0)
    env.reset(seed=0)
    steps = [env.step(row) for row in actions]
    for index in range(3):
        single = dk.envs.Atari("Breakout", max_noops=0)
        single.reset(seed=0)
        for row, step in zip(actions, steps, strict=True):
            frames, reward, *_ = single.step(row[index])
            np.testing.assert_array_equal(step[0][index], frames)
            assert step[1][index] == reward
    env.close()


class Recorder:
    """An emulator that records the actions of its frames."""

    def __init__(self, emulator):
        self.emulator, self.actions = emulator, []

    def act(self, action):
        self.actions.append(action.value)
        return self.emulator.act(action)

    def __getattr__(self, name):
        return getattr(self.emulator, name)


def test_a_frame_repeats_the_previous_action_with_a_probability():
    env = dk.envs.BatchedAtari("Pong", repeat_action_probability=0.25)
    env.reset(seed=0)
    recorder = env._emulators[0] = Recorder(env._emulators[0])
    generator = copy.deepcopy(env.np_random)
    values, expected, previous = [action.value for action in env._actions], [], 0
    for action in np.random.default_rng(0).integers(6, size=50):
        for number in generator.random(4):
            previous = previous if number < 0.25 else action
            expected.append(values[previous])
        env.step([action])
    assert recorder.actions == expected


def test_action_sets():
    assert dk.envs.BatchedAtari("Breakout").action_meanings() == ["NOOP", "FIRE", "RIGHT", "LEFT"]
    assert len(dk.envs.BatchedAtari("Breakout", action_set="full").action_meanings()) == 18


@pytest.mark.slow
def test_gymnasium_accepts_the_environment():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*alternative render modes.*")
        check_env(dk.envs.Atari("Pong", render_mode="rgb_array"))


@pytest.mark.parametrize(
    ("arguments", "kwargs", "text"),
    [
        (("Pongg",), {}, r"Atari: unknown game 'Pongg'; did you mean 'Pong'\?"),
        ((3,), {}, r"Atari: unknown game 3\n  hint: pass the name of a game"),
        (("Pong",), {"action_set": "minimum"}, "Atari: action_set must be .*minimal"),
        (("Pong",), {"frame_skip": 0}, "Atari: frame_skip must be a positive integer, received 0"),
        (("Pong",), {"max_noops": -1}, "Atari: max_noops must be an integer of at least 0"),
        (("Pong",), {"repeat_action_probability": 1.0}, "Atari: repeat_action_probability must be"),
        (("Pong",), {"end_on_life_loss": "yes"}, "Atari: end_on_life_loss must be"),
    ],
)
def test_wrong_arguments(arguments, kwargs, text):
    with pytest.raises(ValueError, match=text):
        dk.envs.Atari(*arguments, **kwargs)
