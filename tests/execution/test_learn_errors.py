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


def test_categories_must_start_at_0():
    class Counted(gymnasium.Env):
        observation_space = gymnasium.spaces.Discrete(3, start=1)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return 1, {}

    with pytest.raises(ValueError, match=r"categories from 1 on(.|\n)*start at 0"):
        dk.learn(dk.DQN([dk.Regressor(2)]), Counted, num_steps=4, verbose=0)


class Faulty(gymnasium.Env):
    """Episodes of three steps, whose results the arguments replace."""

    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, masks=(None, None), **results):
        self.masks, self.results, self.num_steps = masks, results, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.num_steps = 0
        return np.zeros(3, np.float32), self._info(0)

    def step(self, action):
        self.num_steps += 1
        observation = self.results.get("observation", np.zeros(3, np.float32))
        info = self.results.get("info", self._info(1))
        return observation, self.results.get("reward", 0.0), self.num_steps == 3, False, info

    def _info(self, index):
        mask = self.masks[index]
        return {} if mask is None else {"action_mask": mask}


FAULTS = {
    "NaN": ({"observation": np.array([0, math.nan, 0])}, "step 1, environment 0 returned an observation that contains"),
    "shape": ({"observation": np.zeros(4)}, r"step does not follow the interface(.|\n)*check_env"),
    "reward": ({"reward": np.zeros(2)}, r"step does not follow the interface(.|\n)*check_env"),
    "info": ({"info": None}, r"step does not follow the interface(.|\n)*check_env"),
    "numbers": ({"masks": ([0, 2], [0, 2])}, r"returned the action_mask .{,8}0, 2.*, expected 3 values"),
    "all numbers": ({"masks": ([0, 1, 2], [0, 1, 2])}, "expected 3 values: 1 for each legal action"),
    "one value": ({"masks": ([1], [1])}, "expected 3 values"),
    "probabilities": ({"masks": ([0.5, 0.2, 0.3], [1, 1, 1])}, "expected 3 values"),
    "first mask missing": ({"masks": (None, [1, 0, 1])}, r"step returned an action_mask, and reset did not"),
    "mask missing": ({"masks": ([1, 0, 1], None)}, "environment 0 returned no action_mask"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_faulty_environments(case):
    arguments, match = FAULTS[case]
    agent = dk.DQN([dk.Regressor(3)], learning_starts=2)
    with pytest.raises(ValueError, match=match):
        dk.learn(agent, lambda: Faulty(**arguments), num_steps=10, num_envs=2, verbose=0)
    with pytest.raises(ValueError, match=match):
        dk.evaluate_agent(agent.build((3,)), lambda: Faulty(**arguments), num_episodes=2)


def test_errors_of_the_code_of_an_environment_are_unchanged():
    class Broken(Faulty):
        def step(self, action):
            return int("x")

    with pytest.raises(ValueError, match=r"^invalid literal"):
        dk.learn(dk.DQN([dk.Regressor(3)]), Broken, num_steps=10, verbose=0)


def test_a_network_that_keras_cannot_copy():
    layer = keras.layers.Lambda(lambda x: 2 * x)
    with pytest.raises(dk.DefinitionError, match=r"target network cannot be a copy(.|\n)*at    network(.|\n)*Lambda"):
        dk.DQN([layer, dk.Regressor(2)]).build((4,))
