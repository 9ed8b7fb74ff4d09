"""CartPole: the agents, the end of the training, and the variance of the gradient."""

import math

import numpy as np
import pytest

import deepkit as dk
from recipes.reinforcement import cartpole, policy_gradients


def epochs(*pairs):
    return [{"mean_return": mean, "num_episodes": count} for mean, count in pairs]


def test_the_agents_differ_in_the_baseline_only():
    agents = {baseline: cartpole.agent(cartpole.Config(), baseline) for baseline in cartpole.BASELINES}
    baselines = {name: (agent.baseline is not None, agent.normalize) for name, agent in agents.items()}
    assert baselines == {
        "no baseline": (False, False),
        "mean return": (False, True),
        "learned baseline": (True, True),
    }
    assert len({repr(agent.policy) for agent in agents.values()}) == 1


def test_the_recent_return_is_the_mean_of_the_last_hundred_episodes():
    assert cartpole.recent_return(epochs((20.0, 50), (400.0, 25), (500.0, 75))) == 475
    assert cartpole.recent_return(epochs((20.0, 1000), (500.0, 100))) == 500


def test_the_recent_return_is_nan_for_fewer_episodes_and_ignores_epochs_without_one():
    assert math.isnan(cartpole.recent_return(epochs((500.0, 99))))
    assert math.isnan(cartpole.recent_return([]))
    assert cartpole.recent_return(epochs((500.0, 100), (math.nan, 0))) == 500


@pytest.mark.parametrize(("last", "stops"), [(474.0, False), (475.0, True)])
def test_the_training_stops_at_475(last, stops):
    callback, model = cartpole.Solved(), dk.Reinforce([dk.Classifier(2)]).build((4,))
    model.stop_training = False
    callback.set_model(model)
    callback.on_epoch_end(0, {"mean_return": 20.0, "num_episodes": 300.0})
    assert not model.stop_training
    callback.on_epoch_end(1, {"mean_return": last, "num_episodes": 100.0})
    assert model.stop_training is stops


@pytest.fixture
def model():
    return cartpole.definition(cartpole.Config(units=4)).build((4,))


def test_the_returns_of_an_episode_are_discounted_and_continue_after_a_truncation():
    steps = [(np.zeros(4), 0), (np.ones(4), 1), (np.ones(4), 1)]
    np.testing.assert_allclose(policy_gradients.make_episode(steps, 0.0, 0.5).returns, [1.75, 1.5, 1.0])
    np.testing.assert_allclose(policy_gradients.make_episode(steps, 4.0, 0.5).returns, [2.25, 2.5, 3.0])


def test_episodes_end_when_the_pole_falls(model):
    episodes = policy_gradients.play(model, cartpole.ENV, num_episodes=5, seed=0)
    lengths = [len(episode.actions) for episode in episodes]
    assert len(set(lengths)) > 1
    assert min(lengths) >= 8
    assert max(lengths) < 500
    assert [episode.returns[-1] for episode in episodes] == [1.0] * 5
    assert all(episode.observations.shape == (len(episode.actions), 4) for episode in episodes)


def test_the_gradient_equals_a_difference_quotient(model):
    (episode,) = policy_gradients.play(model, cartpole.ENV, num_episodes=1, seed=0)
    advantages = np.linspace(-1, 2, len(episode.actions))

    def objective():
        logits = np.asarray(model(episode.observations), "float64")
        logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logarithms[np.arange(len(advantages)), episode.actions] @ advantages

    gradient = policy_gradients.policy_gradient(model, episode, advantages)
    bias = model.policy.trainable_variables[-1]
    value = bias.numpy().copy()
    bias.assign(value + np.array([1e-2, 0]))
    above = objective()
    bias.assign(value - np.array([1e-2, 0]))
    assert gradient[-2] == pytest.approx((above - objective()) / 2e-2, rel=1e-3, abs=1e-3)


def test_a_perfect_constant_baseline_removes_the_variance(model):
    episodes = policy_gradients.play(model, cartpole.ENV, num_episodes=3, seed=0)
    constant = [
        policy_gradients.Episode(item.observations, item.actions, np.full(len(item.actions), 7.0)) for item in episodes
    ]
    variances = policy_gradients.gradient_variances(model, constant)
    assert variances["mean return"] < 1e-8 < variances["no baseline"]
    assert set(variances) == set(cartpole.BASELINES)


@pytest.mark.thorough
def test_every_baseline_solves_the_task():
    result = cartpole.train(cartpole.Config())
    assert [result.measured[f"solved, {baseline}"] for baseline in cartpole.BASELINES] == [1, 1, 1]
    assert min(result.measured[f"mean return, {baseline}"] for baseline in cartpole.BASELINES) >= 450
