from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import deepkit as dk
from recipes.basics import logistic_regression as recipe

Config = recipe.Config


@pytest.fixture(scope="module")
def moons():
    points, y = dk.data.points("moons", 300, noise=0.3).train.arrays()
    return recipe.append_one(points), y


def test_the_gradient_is_that_of_the_loss(moons):
    x, y = moons
    w = np.array([0.3, -1.2, 0.5])
    differences = [recipe.loss(w + step, x, y, 0.1) - recipe.loss(w - step, x, y, 0.1) for step in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(recipe.gradient(w, x, y, 0.1), np.array(differences) / 2e-6, rtol=1e-6)


def test_newton_and_gradient_descent_reach_the_optimum_of_scikit_learn(moons):
    x, y = moons
    model = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky").fit(x[:, :2], y)
    expected = [*model.coef_[0], *model.intercept_]
    path = recipe.newton(x, y)
    np.testing.assert_allclose(path[-1], expected, atol=1e-6)
    np.testing.assert_allclose(recipe.gradient_descent(x, y)[-1], expected, atol=1e-6)
    assert len(path) < 10


def test_the_features_have_the_expected_columns():
    points = np.array([[0.0, 2.0]], "float32")
    assert recipe.features("inputs", points).tolist() == [[0, 2, 1]]
    assert recipe.features("quadratic", points).tolist() == [[0, 2, 0, 0, 4, 1]]
    np.testing.assert_allclose(recipe.features("polar", points), [[2, np.pi / 2, 1]], rtol=1e-6)
    assert recipe.features("polar and quadratic", points).shape == (1, 6)


def test_only_both_features_separate_the_ring():
    measured, curves = recipe.compare_features(Config(num_points=1000))
    assert measured["accuracy, circle, inputs"] < 64
    assert min(measured[f"accuracy, circle, {name}"] for name in ("quadratic", "polar")) > 98
    assert measured["accuracy, annulus, inputs"] < 55
    assert max(measured[f"accuracy, annulus, {name}"] for name in ("quadratic", "polar")) < 97
    assert measured["accuracy, annulus, polar and quadratic"] > 98
    assert len(curves["weights, circle, quadratic"].y) == 6


def test_distant_points_move_the_line_of_linear_regression_only():
    measured, _ = recipe.compare_distant_points(Config())
    assert measured["distant points, logistic"] > 99.5
    assert measured["distant points, linear"] < 96


@pytest.mark.slow
def test_every_optimizer_reaches_the_optimum_and_the_features_solve_the_circle():
    report = dk.recipe.run(recipe.RECIPE, Config(seeds=1))
    measured = {name: values.values for name, values in report.measured.items()}
    assert max(measured["distance to the optimum, gradient descent"]) < 1e-6
    assert max(measured["loss above the optimum, Keras"]) < 1e-6
    assert max(measured["accuracy, circle, inputs"] + measured["accuracy, annulus, inputs"]) <= 62
    assert min(measured["accuracy, circle, quadratic"] + measured["accuracy, circle, polar"]) > 99
    assert min(measured["accuracy, annulus, polar and quadratic"]) > 99
