from __future__ import annotations

import numpy as np
import pytest

import deepkit as dk
from deepkit.recipe import Curve
from deepkit.teaching import value_iteration
from recipes.reinforcement import gridworld as recipe
from recipes.reinforcement import tabular_agents
from recipes.reinforcement.tabular_agents import ModelBased, PolicyBased, Step, ValueBased


def test_the_bellman_equations_agree_and_a_slippery_floor_makes_the_long_path_better():
    measured, curves = recipe.solve()
    assert measured["difference, value iteration"] < 1e-9
    assert measured["largest factor of the error"] <= 0.95
    assert measured["value of the start, 4x3 world"] == pytest.approx(0.705, abs=0.0005)
    assert measured["value of the start, best policy"] > 1.4 * measured["value of the start, policy for dry floor"] > 0
    assert curves["error, pits"].y[-1] <= 1e-10 < curves["error, pits"].y[-2]


def test_q_learning_in_a_batch_of_one_is_the_update_of_the_textbook(monkeypatch):
    monkeypatch.setattr(recipe, "NUM_ENVS", 1)
    errors = recipe.q_learning(lambda n: n**-0.5, 300, seed=4)
    env = dk.envs.Gridworld([row.replace(".", "S") for row in recipe.PITS])
    best = value_iteration(*env.transitions(), env.discount)
    rng = np.random.default_rng(4)
    Q, visits = np.zeros_like(best), np.zeros_like(best)
    state, _ = env.reset(seed=4)
    for _ in range(300):
        action = int(rng.integers(4, size=1)[0])
        next_state, reward, terminated, truncated, _ = env.step(action)
        visits[state, action] += 1
        target = reward if terminated else reward + env.discount * Q[next_state].max()
        Q[state, action] += visits[state, action] ** -0.5 * (target - Q[state, action])
        state = env.reset()[0] if terminated or truncated else next_state
    assert errors.x[-1] == 300
    assert errors.y[-1] == pytest.approx(np.max(np.abs(Q - best)), abs=1e-12)


def make(agent):
    return agent((3, 2), 0.5, np.random.default_rng(0))


def test_the_value_based_agent_moves_one_value_toward_its_target(monkeypatch):
    monkeypatch.setattr(tabular_agents, "Q_RATE", 0.5)
    agent = make(ValueBased)
    agent.Q[:] = [[1, 2], [3, 4], [5, 6]]
    agent.learn(Step(0, 1, 1.0, 2, terminated=False))
    agent.learn(Step(1, 0, 1.0, 2, terminated=True))
    np.testing.assert_array_equal(agent.Q, [[1, (2 + 1 + 0.5 * 6) / 2], [(3 + 1) / 2, 4], [5, 6]])
    assert agent.policy().tolist() == [1, 1, 1]


def test_the_policy_based_agent_follows_the_gradient_of_the_log_probability(monkeypatch):
    monkeypatch.setattr(tabular_agents, "ACTOR_RATE", 1.0)
    agent = make(PolicyBased)
    agent.logits[0] = [0.3, -0.4]
    before = agent.logits.copy()
    agent.V[:] = [0.5, 0, 1]
    agent.learn(Step(0, 1, 2.0, 2, terminated=False))
    advantage = 2 + 0.5 * 1 - 0.5
    shifts = 1e-6 * np.eye(2)
    log_probabilities = [np.log(tabular_agents.softmax(before[0] + shift)[1]) for shift in (*shifts, *-shifts)]
    gradient = (np.array(log_probabilities[:2]) - log_probabilities[2:]) / 2e-6
    np.testing.assert_allclose(agent.logits[0] - before[0], advantage * gradient, rtol=1e-6)
    np.testing.assert_array_equal(agent.logits[1:], before[1:])
    assert agent.V[0] == pytest.approx(0.5 + tabular_agents.CRITIC_RATE * advantage)


def test_the_policy_based_agent_draws_its_actions():
    agent = make(PolicyBased)
    agent.logits[0, 1] = np.log(3)
    assert np.mean([agent.act(0) for _ in range(2000)]) == pytest.approx(0.75, abs=0.04)


def test_the_model_based_agent_counts_and_plans():
    agent = make(ModelBased)
    for next_state, reward in ((1, 1.0), (1, 0.0), (2, -1.0), (1, 2.0)):
        agent.learn(Step(0, 1, reward, next_state, terminated=next_state == 2))
    P, R = agent.model()
    np.testing.assert_array_equal(P[0], [[1, 0, 0], [0, 0.75, 0.25]])
    np.testing.assert_array_equal(P[1:], np.eye(3)[[[1, 1], [2, 2]]])
    np.testing.assert_array_equal(R, [[0, 0.5], [0, 0], [0, 0]])
    for _ in range(tabular_agents.PLANNING_INTERVAL - 4):
        assert not agent.Q.any()
        agent.learn(Step(0, 1, 1.0, 2, terminated=True))
    assert agent.policy()[0] == 1


def test_steps_until_the_return_stays_high():
    returns = Curve([25, 50, 75, 100], [0.96, 0.5, 0.95, 1])
    assert recipe.steps_until(0.95, returns) == 75
    assert recipe.steps_until(0.5, returns) == 25
    assert recipe.steps_until(1.1, returns) == 100
    assert recipe.thinned(returns) == returns


@pytest.mark.slow
def test_a_short_run_has_all_metrics_and_figures():
    config = recipe.Config(num_steps=2_000_000, num_agent_steps=3_000)
    result = recipe.train(config)
    assert set(result.measured) == set(recipe.METRICS)
    assert result.measured["Q-learning error, 3/(n+2)"] < 0.05
    assert result.measured["Q-learning error, 1/n"] > 0.3
    assert result.measured["final return, value-based"] > 0.95
    assert len(recipe.draw_curves(config, [result])) == 5


@pytest.mark.thorough
def test_20_seeds():
    results = [recipe.train(config) for config in recipe.Config().repeats()]
    measured = {name: np.array([result.measured[name] for result in results]) for name in recipe.METRICS}
    assert measured["Q-learning error, 3/(n+2)"].max() < 0.01
    assert all(np.sum(measured[f"final return, {name}"] > 0.95) >= 18 for name in recipe.AGENTS)
    medians = [np.median(measured[f"steps to 95 %, {name}"]) for name in recipe.AGENTS]
    assert medians[2] < medians[1] < medians[0]
