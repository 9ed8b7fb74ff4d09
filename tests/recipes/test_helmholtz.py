import numpy as np
import pytest

import deepkit as dk
from recipes.generative import helmholtz


def test_the_distribution_is_that_of_the_images():
    images, probabilities = helmholtz.distribution()
    assert images.shape == (30, 4, 4)
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert helmholtz.share_of_bars(images) == 1
    drawn = helmholtz.draw_bars(20_000, seed=0)
    shares = [np.mean((drawn == image).all(axis=(1, 2))) for image in images]
    np.testing.assert_allclose(shares, probabilities, atol=0.015)
    assert sum(shares) == pytest.approx(1)
    assert probabilities.max() == pytest.approx(0.8**4)  # the empty image


def test_the_divergence_of_a_uniform_model_is_known():
    model = helmholtz.definition(helmholtz.Config()).build((4, 4))
    assert model.count_params() == 306
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    _, probabilities = helmholtz.distribution()
    entropy = -np.sum(probabilities * np.log(probabilities))
    assert helmholtz.divergence(model) == pytest.approx(16 * np.log(2) - entropy)


def test_a_diagonal_is_not_a_bar():
    images = np.stack([np.eye(4), np.zeros((4, 4)), np.repeat(np.eye(4)[:1], 4, axis=0)])
    assert helmholtz.share_of_bars(images) == pytest.approx(2 / 3)


@pytest.mark.slow
def test_a_smoke_run_learns_and_draws():
    config = helmholtz.Config.smoke(devices="cpu")
    result = helmholtz.train(config)
    curve = result.curves["divergence"]
    assert curve.y[-1] < curve.y[0] - 0.5
    assert result.measured["bound gap"] > 0
    (figure,) = helmholtz.draw(config, [result]).values()
    assert [axes.get_title() for axes in figure.axes] == ["data", "dreams"]


@pytest.mark.thorough
def test_three_seeds_reach_the_target():
    report = dk.recipe.run(helmholtz.RECIPE, helmholtz.Config(devices="cpu"))
    assert max(report.measured["KL divergence"].values) <= 0.8
    assert min(report.measured["initial KL divergence"].values) > 8
