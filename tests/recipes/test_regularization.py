from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

import deepkit as dk
from recipes.basics import bias_variance, regularization
from recipes.basics.plane import zero_lines


@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.0), (0.1, 0.05), (0.5, 0.2)])
def test_proximal_steps_equal_scikit_learn(l1, l2):
    x, y = regularization.diabetes(0)[0]
    w = regularization.minimize_with_penalty(x, y, np.array([l1]), np.array([l2]), 3000)[0]
    # scikit-learn minimizes half of the mean squared error, with half of the squared weights
    expected = ElasticNet(alpha=l1 / 2 + l2, l1_ratio=l1 / (l1 + 2 * l2), tol=1e-10, max_iter=100_000).fit(x, y).coef_
    np.testing.assert_allclose(w, expected, atol=1e-4)
    assert np.sum(w == 0) == np.sum(expected == 0) > 0


def test_an_l2_penalty_has_a_closed_form_and_no_zeros():
    x, y = regularization.diabetes(0)[0]
    w = regularization.minimize_with_penalty(x, y, np.zeros(1), np.array([0.3]), 3000)[0]
    expected = np.linalg.solve(x.T @ x / len(x) + 0.3 * np.eye(10), x.T @ y / len(x))
    np.testing.assert_allclose(w, expected, atol=1e-8)
    assert not np.any(w == 0)


def test_gradient_descent_on_the_absolute_value_steps_over_zero():
    x, y = regularization.diabetes(0)[0]
    w = regularization.minimize_with_penalty(x, y, np.array([0.3]), np.zeros(1), 500, proximal=False)
    assert not np.any(w == 0)


def test_f1_passes_through_its_points_and_f2_predicts_better():
    measured, curves = regularization.fit_curves(regularization.Config(seed=2))
    assert measured["training error, f1"] == 0 < measured["training error, f2"]
    assert measured["test error, f2"] < measured["test error, f1"]
    assert len(curves["ten points"].x) == 10


def test_bias_and_variance_add_up_to_the_squared_error():
    rng = np.random.default_rng(0)
    predictions, truth = rng.normal(size=(2, 50, 7)), rng.normal(size=7)
    parts = bias_variance.Decomposition.of(predictions, truth)
    np.testing.assert_allclose(parts.bias + parts.variance, ((predictions - truth) ** 2).mean((1, 2)))


def test_nearest_neighbors_equal_a_loop():
    x, y = bias_variance.training_sets(2, 6, np.random.default_rng(0))
    predictions = bias_variance.nearest_neighbors(x, y, (1, 3))
    for repeat in range(2):
        for column, point in enumerate(bias_variance.TEST_POINTS):
            nearest = sorted(range(6), key=lambda i: abs(x[repeat, i] - point))
            np.testing.assert_allclose(predictions[1, repeat, column], np.mean([y[repeat, i] for i in nearest[:3]]))


def test_a_cubic_polynomial_has_no_bias_and_less_variance_than_a_square():
    x, y = bias_variance.training_sets(100, 30, np.random.default_rng(0))
    truth = bias_variance.truth(bias_variance.TEST_POINTS)
    parts = bias_variance.Decomposition.of(bias_variance.polynomials(x, y, (2, 3)), truth)
    assert parts.bias[1] < 0.001 < parts.bias[0]
    assert parts.variance[1] < parts.variance[0]


def test_a_larger_c_is_a_smaller_budget_with_less_bias_and_more_variance():
    parts, budgets = bias_variance.support_vector_machines((0.1, 100.0), 4, 80, seed=0)
    assert budgets[0] > budgets[1]
    assert parts.bias[0] > parts.bias[1]


def test_the_lines_are_where_the_surface_is_zero():
    x1, _ = np.meshgrid(regularization.GRID, regularization.GRID)
    line = zero_lines(regularization.GRID, x1 - 0.5)
    np.testing.assert_allclose([x for x in line.x if not np.isnan(x)], 0.5)
    assert np.isnan(line.x[-1])  # a gap before the next line
    assert np.isnan(zero_lines(regularization.GRID, np.ones_like(x1)).x).all()  # a surface without a zero


@pytest.mark.slow
def test_a_repeat_shows_every_statement():
    report = dk.recipe.run(regularization.RECIPE, regularization.Config(seeds=1))
    measured = {name: numbers.mean for name, numbers in report.measured.items()}
    assert measured["zeros, L1"] >= 1
    assert measured["zeros, L2"] == measured["zeros, L1 by gradient descent"] == 0
    assert measured["condition number, L2"] < 0.1 * measured["condition number"]
    assert measured["slope, 20 units"] > measured["slope, 3 units"] > measured["slope, lambda 0.01"]
    assert measured["test accuracy, lambda 0.001"] > measured["test accuracy, 20 units"]
    assert measured["bias, 20 neighbors"] > measured["bias, 1 neighbor"]
    assert measured["variance, 20 neighbors"] < measured["variance, 1 neighbor"]
    assert measured["variance, C 0.1"] < measured["variance, C 1000"]
