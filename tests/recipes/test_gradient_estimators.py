from __future__ import annotations

import math

import numpy as np
import pytest
from keras import ops

import deepkit as dk
from recipes.basics import gradient_estimators as recipe


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=1000)


def test_the_estimates_equal_their_formulas(noise):
    stddev, baseline = 0.5, 1.25  # the baseline is exact in float32
    z = recipe.MEAN + stddev * noise
    reward = z**2 - baseline
    by_mean, by_stddev = recipe.sample_gradients("score function", ops.square, stddev, noise, baseline)
    np.testing.assert_allclose(by_mean, reward * noise / stddev, rtol=1e-12)
    np.testing.assert_allclose(by_stddev, reward * (noise**2 - 1) / stddev, rtol=1e-9, atol=1e-9)
    by_mean, by_stddev = recipe.sample_gradients("pathwise", ops.square, stddev, noise)
    np.testing.assert_allclose(by_mean, 2 * z, rtol=1e-12)
    np.testing.assert_allclose(by_stddev, 2 * z * noise, rtol=1e-12)


def test_closed_forms_equal_numerical_integrals():
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)  # exact for polynomials up to degree 39
    weights = weights / math.sqrt(2 * math.pi)
    for stddev in (0.3, 1.0, 4.0):
        z = recipe.MEAN + stddev * nodes
        expected_reward = weights @ z**2
        estimates = {
            "score function": z**2 * nodes / stddev,
            "score function with baseline": (z**2 - expected_reward) * nodes / stddev,
            "pathwise": 2 * z,
        }
        exact = recipe.exact_variances(stddev)
        for name, values in estimates.items():
            assert weights @ values == pytest.approx(2 * recipe.MEAN)
            assert weights @ values**2 - (2 * recipe.MEAN) ** 2 == pytest.approx(exact[name])


def test_the_pathwise_variance_is_smaller_at_every_stddev():
    exact = recipe.exact_variances(np.geomspace(1e-3, 1e3, 100))
    assert np.all(exact["score function"] > exact["pathwise"])
    assert np.all(exact["score function with baseline"] > exact["pathwise"])


def test_a_step_function_has_no_pathwise_gradient():
    steps = recipe.estimate_step(50_000, np.random.default_rng(0))
    assert steps["pathwise"] == 0
    assert steps["score function"] == pytest.approx(recipe.EXACT_STEP, abs=0.02)


def test_crossing_interpolates_on_logarithmic_axes():
    k = np.array(recipe.FREQUENCIES)
    assert recipe.crossing(np.full_like(k, 4.0), k**2) == pytest.approx(2.0)


def test_a_smoke_run_is_unbiased_and_draws_its_figure(capsys, tmp_path):
    report = dk.recipe.run(recipe.RECIPE, recipe.Config.smoke(num_samples=5000, run_dir=tmp_path))
    assert max(report.measured[f"error, {name}"].mean for name in recipe.ESTIMATORS) < 5
    assert len(report.figures) == 1


@pytest.mark.slow
def test_a_million_draws_confirm_both_estimators():
    result = recipe.train(recipe.Config()).measured
    assert max(result[f"error, {name}"] for name in recipe.ESTIMATORS) < 4
    assert result["smallest variance ratio"] > 2
    assert result["variance, score function"] == pytest.approx(30, rel=0.02)
    assert result["variance, pathwise"] == pytest.approx(4, rel=0.01)
    assert result["step, score function"] == pytest.approx(recipe.EXACT_STEP, abs=0.003)
