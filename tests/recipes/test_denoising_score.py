"""Denoising and the score: the density and its gradient, the best reconstruction, and a short training."""

import numpy as np
import pytest

from recipes.generative import denoising_score as recipe


def log_density(x, spread):
    squares = np.square(x[:, None] - recipe.centers()).sum(-1)
    return np.log(np.exp(-squares / (2 * spread**2)).mean(1) / (2 * np.pi * spread**2))


def test_the_score_is_the_gradient_of_the_log_density():
    x = recipe.draw_points(50, np.random.default_rng(0))
    for spread in (recipe.SPREAD, 0.3):
        steps = 1e-5 * np.eye(2)
        slopes = [(log_density(x + step, spread) - log_density(x - step, spread)) / 2e-5 for step in steps]
        np.testing.assert_allclose(recipe.score(x, spread), np.stack(slopes, axis=1), rtol=1e-4, atol=1e-4)
    far = np.array([[100.0, 0.0]])  # all terms of the density underflow
    assert recipe.cosine(recipe.score(far, 0.1), -far) == pytest.approx(1, abs=1e-3)


def test_the_density_is_that_of_the_points():
    line = np.linspace(-3, 3, 121)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    density = np.exp(log_density(grid, recipe.SPREAD))
    assert density.sum() * (line[1] - line[0]) ** 2 == pytest.approx(1, rel=1e-3)
    x = recipe.draw_points(100_000, np.random.default_rng(1))
    np.testing.assert_allclose(x.mean(0), density @ grid / density.sum(), atol=0.02)
    np.testing.assert_allclose(np.cov(x.T), np.cov(grid.T, aweights=density), atol=0.03)


def test_the_smoothed_score_gives_the_best_reconstruction():
    rng, noise = np.random.default_rng(2), 0.2
    x = recipe.draw_points(20_000, rng)
    noisy = x + noise * rng.normal(size=x.shape)
    arrows = noise**2 * recipe.smoothed_score(noisy, noise)
    errors = [np.square(noisy + factor * arrows - x).sum() for factor in (0, 0.9, 1, 1.1)]
    assert errors[2] == min(errors)
    assert errors[2] < 0.8 * errors[0]
    residual = x - noisy - arrows  # has the mean 0 given the noisy point
    assert abs((residual * arrows).mean()) < 2e-4


def test_the_cosine_of_known_vectors():
    a = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert recipe.cosine(a, 3 * a) == pytest.approx(1)
    assert recipe.cosine(a, np.array([[0.0, 1.0], [0.0, -1.0]])) == pytest.approx(-0.5)


@pytest.mark.slow
def test_a_short_training_follows_the_score():
    measured = recipe.train(recipe.Config(epochs=6, units=64)).measured
    assert measured["cosine with the score, noisy points"] > 0.6
    assert 1 <= measured["squared error"] < 1.4
