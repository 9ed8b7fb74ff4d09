from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from recipes.basics import identity_838
from recipes.basics.identity_838 import INPUTS, TARGETS, Config, Network


def random_network(seed=0):
    rng = np.random.default_rng(seed)
    return Network([rng.normal(size=shape) for shape in ((8, 3), (3,), (3, 8), (8,))])


def test_the_network_has_59_parameters():
    assert identity_838.RECIPE.build(Config()).count_params() == 59


def test_binary_numbers_as_codes_reproduce_every_input():
    network = identity_838.constructed_network()
    codes = network.hidden(INPUTS).round() @ [4, 2, 1]
    np.testing.assert_array_equal(codes, range(8))
    np.testing.assert_array_equal(network(INPUTS).round(), INPUTS)


def test_a_code_that_two_inputs_share_reproduces_only_one_of_them():
    network = identity_838.constructed_network()
    network.weights[0][1] = network.weights[0][5]  # as in the table of the notes
    assert identity_838.count_correct(network) == 7


def test_a_step_equals_gradient_descent_with_automatic_differentiation():
    network, keras_model = random_network(), identity_838.RECIPE.build(Config())
    keras_model.set_weights(network.weights)
    np.testing.assert_allclose(network(INPUTS), keras_model(INPUTS), rtol=1e-5)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((keras_model(INPUTS[2:3]) - TARGETS[2:3]) ** 2) / 2
    gradients = tape.gradient(loss, keras_model.trainable_variables)
    expected = [weight - 0.3 * np.asarray(g) for weight, g in zip(network.weights, gradients, strict=True)]
    network.step(INPUTS[2], TARGETS[2], 0.3)
    for weight, value in zip(network.weights, expected, strict=True):
        np.testing.assert_allclose(weight, value, atol=1e-6)


def test_a_run_depends_on_its_seed_only():
    first, again, other = (identity_838.train(Config(seed=seed, epochs=3)) for seed in (1, 1, 2))
    assert first.measured == again.measured != other.measured
    np.testing.assert_allclose(first.model(INPUTS), Network(first.model.get_weights())(INPUTS), rtol=1e-5)
    assert len(first.curves["error"].x) == 3


@pytest.mark.slow
def test_most_starts_reproduce_all_inputs():
    results = [identity_838.train(Config(seed=seed)) for seed in range(5)]
    assert [result.measured["solved"] for result in results].count(1.0) >= 4
    figures = identity_838.draw_curves(Config(), results)
    assert len(figures) == 2


def test_the_figures_show_the_starts_with_the_most_and_the_fewest_codes():
    results = [identity_838.train(Config(seed=seed, epochs=2)) for seed in range(2)]
    results[0].measured["distinct codes"], results[1].measured["distinct codes"] = 5.0, 8.0
    _, tables = identity_838.draw_curves(Config(), results).values()
    assert [axes.get_title() for axes in tables.axes][::2] == ["seed 1: 8 codes", "seed 0: 5 codes"]


def test_a_smoke_run_reports(capsys):
    report = dk.recipe.run(identity_838.RECIPE, Config.smoke(epochs=2))
    assert list(report.measured["constructed"].values) == [8.0, 8.0]
    assert "SMOKE RUN" in capsys.readouterr().out
