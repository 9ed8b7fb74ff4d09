"""Value iteration and policy evaluation, against closed forms and simulated returns."""

import numpy as np
import pytest

import deepkit as dk
from deepkit.teaching import evaluate_policy, value_iteration


def random_process(seed, num_states=6, num_actions=3):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(num_states, 0.5), size=(num_states, num_actions))
    return P, rng.normal(size=(num_states, num_actions))


@pytest.mark.parametrize("discount", [0, 0.5, 0.99])
def test_values_solve_both_bellman_equations(discount):
    P, R = random_process(0)
    Q = value_iteration(P, R, discount)
    np.testing.assert_allclose(Q, R + discount * P @ Q.max(axis=1), atol=1e-11)
    np.testing.assert_allclose(Q.max(axis=1), evaluate_policy(P, R, discount, Q.argmax(axis=1)), atol=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_no_deterministic_policy_is_better(seed):
    P, R = random_process(seed, num_states=4, num_actions=2)
    best = value_iteration(P, R, 0.9).max(axis=1)
    values = [evaluate_policy(P, R, 0.9, np.array(policy)) for policy in np.ndindex(2, 2, 2, 2)]
    assert np.all(np.max(values, axis=0) <= best + 1e-9)
    np.testing.assert_allclose(np.max(values, axis=0), best, atol=1e-9)


def test_the_tolerance_bounds_the_error():
    P, R = random_process(1)
    exact = value_iteration(P, R, 0.99)
    for tolerance in (1e-1, 1e-4):
        error = np.max(np.abs(value_iteration(P, R, 0.99, tolerance=tolerance) - exact))
        assert 1e-9 < error <= tolerance


def test_large_values_end_too():
    P, R = random_process(2)
    np.testing.assert_allclose(value_iteration(P, 1e9 * R, 0.9), 1e9 * value_iteration(P, R, 0.9), rtol=1e-9)


def test_a_stochastic_policy_has_the_mean_of_simulated_returns():
    P, R = random_process(3)
    policy = np.random.default_rng(3).dirichlet(np.ones(3), size=6)
    rng, returns = np.random.default_rng(0), np.zeros(20_000)
    states = np.zeros(20_000, int)
    for time in range(60):
        actions = (rng.random((20_000, 1)) > policy.cumsum(axis=1)[states]).sum(axis=1).clip(max=2)
        returns += 0.8**time * R[states, actions]
        states = (rng.random((20_000, 1)) > P.cumsum(axis=2)[states, actions]).sum(axis=1).clip(max=5)
    error = abs(returns.mean() - evaluate_policy(P, R, 0.8, policy)[0])
    assert error < 4 * returns.std() / np.sqrt(20_000)


def test_the_values_of_the_4x3_world_of_russell_and_norvig():
    env = dk.envs.Gridworld(["...G", ".#.P", "S..."], slip=0.2, step_reward=-0.04)
    values = value_iteration(*env.transitions(), discount=0.9999999).max(axis=1)
    expected = [0.812, 0.868, 0.918, 0, 0.762, 0.660, 0, 0.705, 0.655, 0.611, 0.388]
    np.testing.assert_allclose(values, expected, atol=0.0005)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (([[[1.0]]], [[0.0], [0.0]], 0.9), "P of shape \\(states, actions, states\\)"),
        (([[1.0]], [[0.0]], 0.9), "R of shape \\(states, actions\\)"),
        (([[[0.5]]], [[0.0]], 0.9), "sum to 1, received \\[0.5\\] for state 0, action 0"),
        (([[[1.5, -0.5]], [[0, 1]]], [[0.0], [0.0]], 0.9), "sum to 1, received \\[1.5, -0.5\\]"),
        (([[[1.0]]], [[np.nan]], 0.9), "R must be finite"),
        (([[[1.0]]], [[0.0]], 1), "discount must be a fraction in \\[0, 1\\), received 1"),
    ],
)
def test_wrong_arguments_raise(arguments, expected):
    for function in (value_iteration, lambda *args: evaluate_policy(*args, policy=[0])):
        with pytest.raises(ValueError, match=expected) as error:
            function(*arguments)
        assert "hint: " in str(error.value)


@pytest.mark.parametrize(
    "policy",
    [[0], [0, 3], [0.0, 1.0], [[0.5, 0.4, 0.0], [1, 0, 0]], [[1, 0], [0, 1]], "up", [[2.0, -1.0, 0.0], [1, 0, 0]]],
)
def test_a_wrong_policy_raises(policy):
    P, R = random_process(0, num_states=2)
    with pytest.raises(ValueError, match=r"evaluate_policy.* policy.*received(.|\n)*hint: "):
        evaluate_policy(P, R, 0.9, policy)
