from __future__ import annotations

import numpy as np
import pytest

import deepkit as dk
from recipes.basics import threshold_units as recipe

Config = recipe.Config


def test_the_constructed_units_compute_their_truth_tables():
    assert recipe.correct_rows() == {"AND": 4, "OR": 4, "NOT": 2, "XOR": 4}


def test_no_unit_computes_xor():
    assert [recipe.best_unit(recipe.OUTPUTS[gate]) for gate in ("AND", "OR", "XOR")] == [4, 4, 3]


def test_the_rule_is_that_of_the_perceptron_of_deepkit():
    x, y, _ = recipe.separable_points(0.2, np.random.default_rng(0))
    path, updates = recipe.perceptron(x, y)
    model = dk.Perceptron(stop_when_converged=True).build((2,))
    model.compile()
    history = model.fit(x, y, batch_size=len(x), shuffle=False, epochs=100, verbose=0).history
    assert history["updates"] == updates
    np.testing.assert_allclose(
        np.concatenate([weight.ravel() for weight in model.unit.get_weights()]), path[-1], rtol=1e-5
    )


@pytest.mark.parametrize("margin", recipe.MARGINS)
def test_the_points_have_the_margin_of_the_bound(margin):
    x, y, bound = recipe.separable_points(margin, np.random.default_rng(1))
    assert x.shape == (recipe.NUM_POINTS, 2)
    assert 0 < y.mean() < 1
    assert sum(recipe.perceptron(x, y)[1]) <= bound <= (2 + 1) / (margin**2 / (1 + 0.3**2))


def test_the_weights_repeat_on_xor_but_not_on_and():
    path, updates = recipe.perceptron(recipe.ROWS, np.array(recipe.OUTPUTS["XOR"]), max_epochs=20)
    assert recipe.repeats(path, 4)
    assert min(updates) > 0
    path, updates = recipe.perceptron(recipe.ROWS, np.array(recipe.OUTPUTS["AND"]))
    assert updates[-1] == 0
    assert path[-1].tolist() == [2, 1, -3]


def test_the_firing_rule_returns_the_output_of_the_nearest_pattern():
    patterns = np.array([[0, 1, 0], [0, 1, 1], [1, 1, 0], [1, 0, 1]])
    outputs = recipe.firing_rule(patterns, recipe.TAUGHT, recipe.TAUGHT_OUTPUTS)
    assert outputs.tolist() == [0, 0.5, 1, 1]  # 011 is as near to 001, which is silent, as to 111


def test_taught_patterns_are_recalled_without_noise():
    shares = recipe.recall(Config(num_noisy=20), np.random.default_rng(0))
    assert shares["firing rule"][0] == shares["perceptron"][0] == 1


@pytest.mark.slow
def test_the_updates_stay_below_the_bound_for_every_margin_and_seed():
    report = dk.recipe.run(recipe.RECIPE, Config(num_noisy=20))
    for margin in recipe.MARGINS:
        assert max(report.measured[f"share of the bound, margin {margin:g}"].values) <= 1
    assert report.measured["cycle, XOR"].mean == 1
