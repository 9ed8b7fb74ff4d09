"""Errors of `dk.learn` and of the models of agents."""

import math

import gymnasium
import keras
import numpy as np
import pytest

import deepkit as dk

DQN = dk.DQN([dk.MLP([16]), dk.Regressor(3)])

BAD = {
    "head": (DQN, {"env": "CartPole-v1"}, ValueError, r"it has 2 actions(.|\n)*dk.Regressor\(2\)"),
    "continuous": (DQN, {"env": "Pendulum-v1"}, ValueError, "which are not a number of choices; DQN needs Discrete"),
    "network": (dk.Sequential([dk.Classifier(3)]), {}, TypeError, "expected the definition of an agent or its model"),
    "class": (dk.DQN, {}, TypeError, "received the class DQN"),
    "name": (DQN, {"env": "Catc"}, ValueError, "did you mean 'Catch'"),
    "steps": (DQN, {"num_steps": 100, "num_envs": 3}, ValueError, r"the 3 environments(.|\n)*num_steps=102"),
    "rate": (DQN, {"learning_rate": dk.OneCycle(0.1)}, ValueError, "the number of updates of an agent is not known"),
    "callbacks": (DQN, {"callbacks": [3]}, TypeError, "expected Keras callbacks, received 3"),
    "validation": (DQN, {"env": dk.envs.Catch(), "validation_episodes": 2}, ValueError, "cannot be used twice"),
    "no validation": (DQN, {"validation_env": "Catch"}, ValueError, "validation_env: there are no episodes"),
    "devices": (DQN, {"plan": dk.plan(gradient_accumulation_steps=2)}, ValueError, "not supported for agents"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case):
    agent, arguments, error, match = BAD[case]
    arguments = {"env": "Catch", "num_steps": 20, "verbose": 0} | arguments
    env = arguments.pop("env")
    with pytest.raises(error, match=match):
        dk.learn(agent, env, **arguments)


def test_a_reward_that_is_nan_is_an_error():
    class Broken(gymnasium.Wrapper):
        def step(self, action):
            observation, _, terminated, truncated, info = self.env.step(action)
            return observation, math.nan, terminated, truncated, info

    with pytest.raises(ValueError, match=r"env: in step 1, environment 0 returned the reward nan for action"):
        dk.learn(dk.DQN([dk.Regressor(2)]), lambda: Broken(gymnasium.make("CartPole-v1")), num_steps=10, verbose=0)


def test_the_seed_of_an_evaluation_is_an_integer():
    with pytest.raises(ValueError, match="seed must be an integer of at least 0, received -1"):
        dk.evaluate_agent(DQN.build((10, 10, 1)), "Catch", seed=-1)


def test_a_model_is_not_trained_on_data():
    model = DQN.build((3,))
    for net in (DQN, model):
        with pytest.raises(TypeError, match=r"net: .* learns from an environment(.|\n)*dk.learn"):
            dk.fit(net, np.zeros((4, 3)), np.zeros(4))
    with pytest.raises(TypeError, match=r"fit: DeepQNetwork learns from an environment(.|\n)*dk.learn"):
        model.fit(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="an agent has its own loss and metrics, received 'mse'"):
        model.compile(loss="mse")


@pytest.mark.parametrize(
    ("observations", "mask", "match"),
    [
        (np.zeros(4), None, r"expects the shape \(batch, 4\), received \(4,\)(.|\n)*observations\[None\]"),
        (np.zeros((2, 5)), None, r"received \(2, 5\)"),
        (np.array([["a"] * 4]), None, "expected numbers"),
        (np.zeros((2, 4)), np.zeros((2, 2)), "no action is legal in row 0"),
        (np.zeros((2, 4)), np.ones(2), r"action_mask: expected the shape \(2, 2\), received \(2,\)"),
    ],
)
def test_bad_observations(observations, mask, match):
    with pytest.raises(ValueError, match=match):
        dk.DQN([dk.Regressor(2)]).build((4,)).act(observations, action_mask=mask)


@pytest.mark.parametrize(
    ("agent", "match"),
    [
        (dk.DQN([dk.MLP([3])]), r"the network ends in relu\n  at    network"),
        (dk.Reinforce([dk.Classifier(2, activation="softmax")]), r"received probabilities(.|\n)*at    policy"),
        (dk.ActorCritic(dk.Classifier(2), dk.MLP([8])), "expected one number, the value of an observation"),
        (dk.Reinforce([dk.Classifier(2)], baseline=[dk.Regressor(2)]), "at    baseline"),
        (dk.DQN([keras.layers.Reshape((2, 2))]), r"expected one value per action, received \(2, 2\)"),
    ],
)
def test_bad_heads(agent, match):
    with pytest.raises(dk.DefinitionError, match=match):
        agent.build((4,))


@pytest.mark.parametrize(
    ("num_steps", "message"),
    [
        (500, "the agent does not learn: learning_starts=1,000 is after the last step"),
        (2_000, "exploration_steps=10,000 is after the last step: 82 % of the actions are still random at the end"),
    ],
)
def test_settings_that_do_not_fit_the_length_of_the_training(num_steps, message, capsys):
    dk.learn(dk.DQN([dk.Regressor(3)]), "Catch", num_steps=num_steps, verbose=2)
    assert message in capsys.readouterr().out
