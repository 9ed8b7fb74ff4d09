"""The Parzen-window estimate: equality with its definition and with scikit-learn, and errors."""

import math

import numpy as np
import pytest
from sklearn.neighbors import KernelDensity

import deepkit as dk
from deepkit.models import parzen


def brute_force(samples, points, sigma):
    """Return the mean of the Gaussians, summed one by one."""
    features = samples.shape[1]
    log_densities = []
    for point in points:
        squares = [float(sum((a - b) ** 2 for a, b in zip(point, sample, strict=True))) for sample in samples]
        total = sum(math.exp(-square / (2 * sigma**2)) for square in squares) / len(samples)
        log_densities.append(math.log(total / (2 * math.pi * sigma**2) ** (features / 2)))
    return np.array(log_densities)


@pytest.fixture
def normal():
    return np.random.default_rng(0).normal(size=(3, 60, 4))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_equals_the_sum_of_gaussians(normal, sigma, monkeypatch):
    monkeypatch.setattr(parzen, "_CHUNK_SIZE", 7)  # does not divide the number of points
    samples, points, _ = normal
    window = dk.ParzenWindow(samples, sigma=sigma)
    np.testing.assert_allclose(window.log_density(points), brute_force(samples, points, sigma), rtol=1e-10)


def test_equals_scikit_learn(normal):
    samples, points, _ = normal
    expected = KernelDensity(bandwidth=0.4).fit(samples).score_samples(points)
    np.testing.assert_allclose(dk.ParzenWindow(samples, sigma=0.4).log_density(points), expected, rtol=1e-9)


def test_a_point_far_from_every_sample_has_a_finite_log_density():
    log_density = dk.ParzenWindow(np.zeros((5, 784)), sigma=0.1).log_density(np.full((1, 784), 10.0))
    assert log_density[0] == pytest.approx(-784 * 100 / 0.02 - 784 * math.log(0.1 * math.sqrt(2 * math.pi)))


def test_the_score_is_the_mean_and_its_standard_error(normal):
    window = dk.ParzenWindow(normal[0], sigma=0.5)
    log_densities = window.log_density(normal[1])
    nats, error = window.score(normal[1])
    assert nats == pytest.approx(log_densities.mean())
    assert error == pytest.approx(log_densities.std(ddof=1) / math.sqrt(60))


def test_sigma_maximizes_the_likelihood_of_the_validation_data(normal):
    samples, validation, _ = normal
    candidates = (0.1, 0.5, 0.9, 3.0)
    scores = [dk.ParzenWindow(samples, sigma=sigma).score(validation)[0] for sigma in candidates]
    chosen = dk.ParzenWindow(samples, sigma=candidates, validation=validation).sigma
    assert chosen == candidates[int(np.argmax(scores))]
    assert 0.1 < chosen < 3.0


def test_images_are_flattened(normal):
    rows, points, _ = normal
    window = dk.ParzenWindow(rows.reshape(60, 2, 2, 1), sigma=0.5)
    np.testing.assert_array_equal(
        window.log_density(points.reshape(60, 2, 2)), dk.ParzenWindow(rows, sigma=0.5).log_density(points)
    )


@pytest.mark.parametrize(
    ("sigma", "text"),
    [
        (0.0, "sigma: expected a positive number or several, received 0.0"),
        ([0.1, float("nan")], "sigma: expected a positive number or several"),
        ([], "sigma: expected a positive number or several"),
        ([0.1, 0.2], "sigma: received 2 candidates without validation data to choose on\n  hint: pass validation="),
    ],
)
def test_an_invalid_sigma_raises(normal, sigma, text):
    with pytest.raises(ValueError, match="sigma") as caught:
        dk.ParzenWindow(normal[0], sigma=sigma)
    assert text in str(caught.value)


def test_data_of_another_shape_or_not_finite_raises(normal):
    with pytest.raises(ValueError, match=r"samples: expected finite examples of shape \(count, ...\)"):
        dk.ParzenWindow(np.array([[1.0], [math.inf]]), sigma=1.0)
    with pytest.raises(ValueError, match="points: expected 4 features, as the samples have, received 3"):
        dk.ParzenWindow(normal[0], sigma=1.0).log_density(np.zeros((2, 3)))
