from __future__ import annotations

import keras
import numpy as np
import pytest

from recipes.basics import hard_cases
from recipes.basics.full_batch import minimize
from recipes.basics.hard_cases import Config, Points


def logistic_points(num_points=200, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_points, 2)).astype("float32")
    y = (x @ [2.0, -1.0] + 0.5 + rng.logistic(size=num_points) > 0).astype("int64")
    return Points(x, y, x, y)


def test_the_circle_networks_have_25_weights():
    for units in hard_cases.CIRCLE_SHAPES.values():
        assert hard_cases.circle_network(units).build((2,)).count_params() == 25


def test_points_are_of_the_requested_numbers_and_balanced():
    points = hard_cases.load_points("annulus", 3, 2000)
    assert (points.x.shape, points.test_x.shape) == ((2000, 2), (4000, 2))
    assert abs(points.y.mean() - 0.5) < 0.05


def test_the_distance_to_a_line_is_the_weighted_sum_over_the_norm():
    rng = np.random.default_rng(0)
    weights, biases, x = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=(5, 2))
    assert hard_cases.distance_error(weights, biases, x) < 1e-14
    line = np.linspace(-10, 10, 200_001)  # points of the first unit's line, densely
    w, b = weights[:, 0], biases[0]
    on_line = np.stack([line, -(b + w[0] * line) / w[1]], axis=1)
    nearest = np.linalg.norm(on_line - x[0], axis=1).min()
    assert nearest == pytest.approx(abs(x[0] @ w + b) / np.linalg.norm(w), abs=1e-4)


def test_the_boundary_of_a_linear_classifier_is_its_line():
    model = hard_cases.linear().build((2,))
    model.set_weights([np.array([[1.0], [2.0]]), np.array([-0.5])])
    curve = hard_cases.boundary(model, 2.0)
    x, y = (np.array(values)[:-1] for values in (curve.x, curve.y))  # the last point is a gap
    np.testing.assert_allclose(x + 2 * y, 0.5, atol=1e-6)
    model.set_weights([np.zeros((2, 1)), np.array([1.0])])  # the same class everywhere
    assert np.isnan(hard_cases.boundary(model, 2.0).x).all()


def test_minimize_reaches_the_optimum_of_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    points = logistic_points()
    model = hard_cases.linear().build((2,))
    loss = minimize(model, hard_cases.LOSS, points.x, points.y[:, None], steps=600, learning_rate=0.1)
    expected = LogisticRegression(C=np.inf, tol=1e-10).fit(points.x.astype("float64"), points.y)
    np.testing.assert_allclose(np.ravel(model.get_weights()[0]), np.ravel(expected.coef_), rtol=1e-3)
    probabilities = keras.ops.sigmoid(model(points.x))
    assert loss == pytest.approx(float(keras.losses.BinaryCrossentropy()(points.y[:, None], probabilities)), rel=1e-4)
    assert hard_cases.accuracy(model, points) == 100 * expected.score(points.x, points.y)


@pytest.mark.slow
def test_a_linear_classifier_fails_where_two_layers_succeed():
    keras.utils.set_random_seed(7)
    points = hard_cases.load_points("annulus", 7, 4000)
    assert hard_cases.accuracy(hard_cases.fit(hard_cases.linear(), points, 300, 0.1), points) < 60
    assert hard_cases.accuracy(hard_cases.fit(hard_cases.two_layers(), points, 1500, 0.1), points) > 98
    points = hard_cases.load_points("circle", 7, 2000)
    assert hard_cases.accuracy(hard_cases.fit(hard_cases.circle_network((3, 3)), points, 6000, 0.02), points) > 99


@pytest.mark.slow
def test_the_figures_of_a_short_run():
    results = 2 * [hard_cases.train(Config(epochs=2))]
    planes, probes = hard_cases.draw_curves(Config(), results).values()
    assert len(planes.axes) == 6
    assert [label.get_text().split("\n")[0] for label in probes.axes[0].get_xticklabels()][-1] == "layer 4"
    (spaces,) = hard_cases.draw(Config(), results).values()
    assert len(spaces.axes) == 6
