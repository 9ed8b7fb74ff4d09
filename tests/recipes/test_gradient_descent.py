from __future__ import annotations

import numpy as np
import pytest

import deepkit as dk
from recipes.basics import critical_points, gradient_descent, update_rules


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(7, 2)), np.ones(7)])
    return rng.normal(size=(2, critical_points.NUM_WEIGHTS)), x, rng.choice([-1.0, 1.0], 7)


def test_the_gradient_of_an_example_equals_finite_differences(problem):
    w, x, y = problem
    gradients = critical_points.example_gradients(w, x, y)[1]
    for weight in range(critical_points.NUM_WEIGHTS):
        shift = 1e-6 * np.eye(critical_points.NUM_WEIGHTS)[weight]
        difference = (
            critical_points.example_gradients(w + shift, x, y)[0]
            - critical_points.example_gradients(w - shift, x, y)[0]
        )
        np.testing.assert_allclose(gradients[..., weight], difference / 2e-6, atol=1e-7)


def test_zero_weights_are_a_saddle_that_training_never_leaves(problem):
    _, x, y = problem
    zero = np.zeros((1, critical_points.NUM_WEIGHTS))
    w, losses = critical_points.train_network(zero, x, y, 20)
    np.testing.assert_array_equal(w, zero)
    assert np.ptp(losses) == 0
    curvatures = critical_points.curvatures(zero[0], x, y)
    expected = 2 * np.linalg.norm((y @ x) / len(x))  # the only nonzero second derivatives are those of v with W
    np.testing.assert_allclose(curvatures[[0, -1]], [-expected, expected], rtol=1e-4)


@pytest.mark.parametrize("name", update_rules.METHODS)
def test_an_update_rule_equals_the_optimizer_of_keras(name):
    assert update_rules.difference_from_keras(name, np.array([-1.2, 1.0]), 10) < 5e-6  # Keras rounds to float32


def test_the_gradient_of_rosenbrock_equals_finite_differences():
    point = np.array([-0.3, 0.8])
    differences = [
        (update_rules.rosenbrock(point + shift) - update_rules.rosenbrock(point - shift)) / 2e-6
        for shift in 1e-6 * np.eye(2)
    ]
    np.testing.assert_allclose(update_rules.rosenbrock_gradient(point), differences, rtol=1e-6)


def test_a_learning_rate_above_two_over_the_curvature_diverges():
    measured, curves = gradient_descent.find_critical_rate(gradient_descent.Config(seed=1))
    assert measured["critical rate times L"] == pytest.approx(2, abs=5e-4)
    assert curves["loss, 2.1/L"].y[-1] > curves["loss, 2.1/L"].y[0] > curves["loss, 1.9/L"].y[-1]


def test_the_variance_of_the_gradient_falls_with_the_batch_size():
    measured, curves = gradient_descent.measure_batches(gradient_descent.Config())
    assert measured["variance exponent"] == pytest.approx(-1, abs=0.05)
    independent, from_epoch = (curves[f"variance, {name}"].y for name in ("with replacement", "from an epoch"))
    assert from_epoch[-1] == pytest.approx(independent[-2] * (128 - 64) / (128 - 1), rel=0.1)  # finite population


def test_newton_finds_minima_and_maxima_in_one_dimension():
    points = critical_points.random_critical_points(1, 20, np.random.default_rng(0))
    assert set(points.negative_shares) == {0.0, 1.0}
    assert points.values[points.negative_shares == 0].min() < points.values[points.negative_shares == 1].max()


def test_minima_are_rare_in_ten_dimensions():
    points = critical_points.random_critical_points(10, 10, np.random.default_rng(0), num_waves=100)
    assert np.mean(points.negative_shares == 0) < 0.1
    assert points.negative_shares.mean() == pytest.approx(0.5, abs=0.15)


@pytest.mark.slow
def test_a_repeat_shows_every_statement():
    report = dk.recipe.run(gradient_descent.RECIPE, gradient_descent.Config(seeds=1))
    measured = {name: numbers.mean for name, numbers in report.measured.items()}
    assert measured["difference from Keras"] < 1e-5
    assert measured["movement from zero"] == 0
    assert measured["smallest curvature at zero"] < -0.01
    assert measured["different minima"] >= 3
    assert measured["smallest curvature at the ends"] > -0.001
    assert measured["minima, dimension 10"] < 0.02 < 0.15 < measured["minima, dimension 2"] < 0.35
    assert measured["validation loss, end"] > 1.1 * measured["validation loss, best"]
    assert measured["test loss, early stopping"] < measured["test loss, end"]
    assert measured["error of restored weights"] < 1e-5
    assert measured["speedup of a batch"] > 3
