from __future__ import annotations

import keras
import numpy as np
import pytest

import deepkit as dk
from recipes.basics import linear_classifier as recipe

Config = recipe.Config


def test_the_worked_examples_are_exact():
    values = recipe.worked_examples()
    expected = {
        "score, cat": -96.8,
        "score, dog": 437.9,
        "score, ship": 60.75,
        "score, ship without bias": 61.95,
        "hinge loss, cat": 2.9,
        "softmax loss, cat": 2.04035,
        "mean squared error, grades": 7300 / 3,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert values["difference of f(cx) and c f(x)"] < 1e-6


def test_the_initial_loss_is_log_10():
    x, y = np.random.default_rng(0).random((20, 32, 32, 3), "float32"), np.arange(20) % 10
    assert recipe.initial_loss(dk.data.from_arrays(x, y)) == pytest.approx(np.log(10), abs=0.05)


def test_the_squared_error_is_that_of_one_hot_labels():
    probabilities = np.array([[0.2, 0.8], [0.5, 0.5]], "float32")
    expected = [0.8**2 + 0.8**2, 0.5**2 + 0.5**2]
    for labels in (np.array([0, 1]), np.array([[0], [1]])):
        np.testing.assert_allclose(recipe.squared_error(labels, keras.ops.array(probabilities)), expected, rtol=1e-6)


@pytest.mark.parametrize(("net", "num_weights"), [(recipe.linear(), 30_730), (recipe.mlp([100]), 308_310)])
def test_the_classifiers_of_cifar_10_have_the_expected_weights(net, num_weights):
    assert net.build((32, 32, 3)).count_params() == num_weights


def test_the_curves_are_drawn_without_models():
    names = ("CIFAR-10 softmax", "CIFAR-10 hinge", "CIFAR-10 3072-100-10", "16x16 cross-entropy", "16x16 squared error")
    curves = {name: recipe.Curve([1, 2], [30, 40]) for name in names}
    (figure,) = recipe.draw_curves(Config(), [recipe.Result(measured={}, data="", curves=curves)]).values()
    assert len(figure.axes) == 2


@pytest.mark.thorough
def test_the_errors_on_real_images_are_those_of_the_page():
    report = dk.recipe.run(recipe.RECIPE, Config(seeds=1))
    if not report.comparable:
        pytest.skip("needs MNIST and CIFAR-10")
    measured = {name: values.mean for name, values in report.measured.items()}
    assert 7.2 <= measured["test error, MNIST softmax"] <= 8.0
    assert measured["test error, 16x16 cross-entropy"] <= 2.5
    assert 37 <= measured["test accuracy, CIFAR-10 hinge"] <= measured["test accuracy, CIFAR-10 softmax"]
    assert measured["test accuracy, CIFAR-10 softmax"] <= 42  # measured 41.1 to 41.2
    assert measured["test accuracy, CIFAR-10 3072-100-10"] >= 49
