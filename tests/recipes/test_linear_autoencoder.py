"""The linear autoencoder: weights, angles between subspaces, and a training that reaches the principal components."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from recipes.generative import linear_autoencoder as recipe


def generated_images(num_images=400, num_directions=6):
    """Return images of which a few directions have large and different variances."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(784, num_directions)))[0]
    scales = np.linspace(3, 1, num_directions)
    x = (scales * rng.normal(size=(num_images, num_directions))) @ directions.T + 0.02 * rng.normal(
        size=(num_images, 784)
    )
    return (x - x.mean(0)).reshape(-1, 28, 28, 1).astype("float32")


def test_the_autoencoder_has_the_weights_of_two_matrices():
    model = recipe.RECIPE.build(recipe.Config())
    assert [weight.shape for weight in model.get_weights()] == [(784, 30), (30, 784)]


def test_the_angles_equal_those_of_scipy_and_are_accurate_near_zero():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(3, 10)), rng.normal(size=(3, 10))
    np.testing.assert_allclose(recipe.principal_angles(a, b), np.sort(subspace_angles(a.T, b.T)), atol=1e-12)
    tilted = np.array([[1.0, 0, 1e-9, 0], [0, 1, 0, 0]])
    np.testing.assert_allclose(recipe.principal_angles(tilted, np.eye(2, 4)), [0, 1e-9], rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(recipe.principal_angles(rng.normal(size=(2, 2)) @ tilted, tilted), 0, atol=1e-12)


def test_no_encoder_has_a_smaller_error_than_the_principal_components():
    x = generated_images()
    components = recipe.principal_components(x, 4)
    np.testing.assert_allclose(components @ components.T, np.eye(4), atol=1e-10)
    smallest = recipe.project(x, components.T, components)
    variances = np.linalg.eigvalsh(np.cov(x.reshape(len(x), -1).T.astype("float64"), ddof=0))
    assert smallest == pytest.approx(variances[:-4].sum(), rel=1e-6)
    turned = np.linalg.qr(components.T + 0.01 * np.random.default_rng(2).normal(size=(784, 4)))[0]
    assert recipe.project(x, turned, turned.T) > smallest


@pytest.mark.slow
def test_the_training_reaches_the_principal_components(monkeypatch, tmp_path):
    x = generated_images()
    images = recipe.Images(x, x, np.zeros((28, 28, 1)), recipe.dk.data.from_arrays(x, name="generated"))
    monkeypatch.setattr(recipe, "load_images", lambda config: images)
    result = recipe.train(recipe.Config(units=4, epochs=150, devices="cpu"))
    assert result.measured["largest angle"] < 1e-3
    assert (
        0 <= result.measured["training error above PCA"] < 2e-3 * result.measured["test error, PCA"]
    )  # half of the epochs
    assert result.measured["test error, autoencoder"] == pytest.approx(result.measured["test error, PCA"], rel=2e-3)
