"""The updates of agents equal the formulas of the papers."""

import gymnasium
import keras
import numpy as np
import pytest

import deepkit as dk
from deepkit.models.network_copy import copy_network
from deepkit.training.experience import EpisodeCollector
from deepkit.training.interaction import Interaction


def test_an_update_equals_the_formulas():
    model = dk.DQN([dk.Regressor(2)], discount=0.5, target_update_every=3, loss="mse").build((3,))
    model.compile(keras.optimizers.SGD(0.1))
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 6, 3)).astype("float32")
    batch = {
        "observations": x,
        "actions": np.array([0, 1, 1, 0, 1, 0]),
        "rewards": random.normal(size=6).astype("float32"),
        "next_observations": y,
        "terminated": np.array([False, True, False, False, True, False]),
    }
    kernel, bias = (np.array(weight) for weight in model.network.get_weights())
    values = (y @ kernel + bias).max(axis=1)
    targets = batch["rewards"] + 0.5 * ~batch["terminated"] * values
    chosen = (x @ kernel + bias)[np.arange(6), batch["actions"]]
    gradient = np.zeros_like(kernel)
    for i in range(6):
        gradient[:, batch["actions"][i]] += 2 * (chosen[i] - targets[i]) * x[i] / 6
    losses = model.train_step({name: keras.ops.convert_to_tensor(value) for name, value in batch.items()})
    assert float(losses["loss"]) == pytest.approx(np.mean((targets - chosen) ** 2), rel=1e-5)
    np.testing.assert_allclose(model.network.get_weights()[0], kernel - 0.1 * gradient, atol=1e-6)
    np.testing.assert_array_equal(model.target_network.get_weights()[0], kernel)
    for _ in range(2):
        model.train_step({name: keras.ops.convert_to_tensor(value) for name, value in batch.items()})
    np.testing.assert_array_equal(model.target_network.get_weights()[0], model.network.get_weights()[0])


def test_a_copy_of_a_network_is_not_trained():
    network = dk.DQN([dk.Regressor(2)]).build((3,)).network
    x = np.ones((1, 3))
    before = np.asarray(network(x))
    copy = copy_network(network)
    assert copy.name == network.name
    network.set_weights([weight + 1 for weight in network.get_weights()])
    np.testing.assert_array_equal(copy(x), before)
    assert (np.asarray(network(x)) != before).any()


def test_generalized_advantages_equal_sums_of_discounted_errors():
    model = dk.ActorCritic(dk.Classifier(2), dk.Regressor(1), discount=0.9, gae_lambda=0.7, rollout_length=5).build(
        (1,)
    )
    random = np.random.default_rng(1)
    rewards, values, next_values = random.normal(size=(3, 5, 2)).astype("float32")
    terminated = random.random((5, 2)) < 0.3
    ended = terminated | (random.random((5, 2)) < 0.3)
    experience = {"rewards": rewards, "terminated": terminated, "ended": ended}
    received = np.asarray(model._advantages(experience, keras.ops.array(values), keras.ops.array(next_values)))
    errors = rewards + 0.9 * ~terminated * next_values - values
    for env in range(2):
        for t in range(5):
            expected, factor = 0.0, 1.0
            for k in range(t, 5):
                expected += factor * errors[k, env]
                if ended[k, env]:
                    break
                factor *= 0.9 * 0.7
            assert received[t, env] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_returns_of_a_truncated_episode_continue_with_the_baseline():
    class Constant(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        action_space = gymnasium.spaces.Discrete(2)

        def __init__(self, truncates):
            self._truncates, self._time = truncates, 0

        def reset(self, *, seed=None, options=None):
            self._time = 0
            return np.ones(1, np.float32), {}

        def step(self, action):
            self._time += 1
            ends = self._time == 3
            return np.ones(1, np.float32), 1.0, ends and not self._truncates, ends and self._truncates, {}

    def returns(truncates):
        agent = dk.Reinforce([dk.Classifier(2)], baseline=[dk.Regressor(1)], discount=0.5)
        model = agent.build((1,))
        model.baseline.set_weights([np.full((1, 1), 8.0), np.zeros(1)])
        interaction = Interaction(model, dk.envs.make(Constant(truncates)), EpisodeCollector(model), 0)
        interaction.begin()
        batches = [batch for _ in range(3) for batch in interaction.step()]
        assert len(batches) == 1
        return batches[0]["returns"].tolist()

    assert returns(False) == [1.75, 1.5, 1.0]
    assert returns(True) == [2.75, 3.5, 5.0]  # 8, the value of the last observation, discounted
