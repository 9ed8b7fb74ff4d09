"""Deep Q-network: the networks of the papers, the settings of each environment, and a short training on Catch."""

import importlib.util
from collections import Counter

import numpy as np
import pytest

import deepkit as dk
from recipes.reinforcement import dqn
from tests.recipes.counting import counts, multiply_adds

PIXELS = (84, 84, 4)


@pytest.mark.parametrize(
    ("network", "num_actions", "expected"),
    [
        (dqn.nature, 18, 1_693_362),
        (dqn.nature, 6, 1_687_206),
        (dqn.nature, 4, 1_686_180),
        (dqn.nips, 18, 680_770),
        (dqn.nips, 4, 677_172),
    ],
)
def test_networks_have_the_weights_of_the_papers(network, num_actions, expected):
    assert counts(network(num_actions), PIXELS) == (expected, expected)


def test_the_nature_network_has_the_multiply_adds_of_the_paper():
    assert multiply_adds(dqn.nature(18), PIXELS) == 9_352_192


def test_the_deviation_about_catch_has_the_size_of_the_network():
    sizes = [counts(dqn.small(3), (10, 10, 1))[0], counts(dqn.nature(4), PIXELS)[0]]
    text = dqn.RECIPE.deviations_for(dqn.Config())[2]
    assert [f"{size:,}" in text for size in sizes] == [True, True]


def test_definitions_are_values():
    for env in dqn.NETWORKS:
        definition = dqn.agent(dqn.Config(env=env))
        assert dk.from_dict(dk.to_dict(definition)) == definition


def test_the_settings_of_breakout_are_those_of_the_paper():
    config = dqn.Config(env="breakout")
    agent = dqn.agent(config)
    assert (agent.discount, agent.loss, agent.clip_rewards) == (0.99, "huber", True)
    assert (agent.replay_size, agent.learning_starts, agent.target_update_every) == (1_000_000, 50_000, 10_000)
    assert (agent.initial_epsilon, agent.final_epsilon, agent.exploration_steps) == (1.0, 0.1, 1_000_000)
    assert (config.epochs * config.steps_per_epoch, agent.update_every, agent.batch_size) == (50_000_000, 4, 32)
    optimizer = dqn.optimizer(config)
    assert (optimizer.rho, optimizer.centered, float(optimizer.learning_rate)) == (0.95, True, pytest.approx(2.5e-4))


def test_the_ablations_differ_from_the_agent_in_their_part_only():
    config = dqn.Config()
    parts = {name: dqn.agent(config, name) for name in dqn.AGENTS}
    sizes = {name: (agent.replay_size, agent.target_update_every) for name, agent in parts.items()}
    full = (config.replay_size, config.target_update_every)
    assert sizes == {
        "DQN": full,
        "no target network": (full[0], 1),
        "no replay": (4, full[1]),
        "neither": (4, 1),
    }


def test_the_evaluation_takes_the_best_action():
    """With the values of an untrained network that prefers one action, the paddle moves to one side."""
    config = dqn.Config(num_episodes=300)
    model = dqn.agent(config).build((10, 10, 1))
    model.network.layers[-1].set_weights([np.zeros((96, 3)), np.array([0.0, 1.0, 0.0])])
    mean = dqn.evaluate(config, model)
    assert mean == pytest.approx(-0.8, abs=0.1)  # the paddle stays below one of ten columns


def test_the_recorded_episode_has_the_images_of_a_falling_ball():
    config = dqn.Config()
    frames, values, actions = dqn.record(config, dqn.agent(config).build((10, 10, 1)))
    assert (len(frames), values.shape, actions) == (9, (9, 3), ["left", "stay", "right"])
    assert [int(np.flatnonzero(frame.any(axis=1))[0]) for frame in frames] == list(range(9))


@pytest.mark.skipif(importlib.util.find_spec("ale_py") is None, reason="needs ale-py")
def test_a_lost_life_ends_an_episode_of_the_training_only():
    config = dqn.Config(env="breakout")
    envs = [dqn.make_env(config, 1, training=training) for training in (True, False)]
    assert [env.end_on_life_loss for env in envs] == [True, False]
    assert {env.single_action_space.n for env in envs} == {dqn.NETWORKS["breakout"][1]}
    assert dqn.make_env(dqn.Config(env="pong"), 1).single_action_space.n == dqn.NETWORKS["pong"][1]


@pytest.mark.slow
def test_a_short_training_measures_and_draws_every_agent():
    config = dqn.Config.smoke(devices="cpu", epochs=1)
    result = dqn.train(config)
    names = Counter(name.partition(", ")[0] for name in result.measured)
    assert names == {"mean return": 4, "predicted value": 4, "parameters": 1}
    (figure,) = dqn.draw_curves(config, [result]).values()
    assert [len(axes.lines) for axes in figure.axes] == [4, 5]
    (figure,) = dqn.draw(config, [result]).values()
    assert len(figure.axes) == 10


@pytest.mark.thorough
def test_the_agent_catches_nearly_every_ball_and_needs_the_replay_memory():
    result = dqn.train(dqn.Config(devices="cpu"))
    assert result.measured["mean return, DQN"] >= 0.95
    assert result.measured["mean return, no replay"] < result.measured["mean return, DQN"] - 0.2
