"""Generative adversarial networks: the weights of the paper, the evaluation of samples, and a short training."""

import numpy as np
import pytest

from recipes.generative import gan


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_the_networks_for_mnist_have_the_weights_of_the_paper():
    model = gan.definition(gan.Config()).build((28, 28, 1))
    assert trainable(model.generator) == 2_503_984  # 100-1200-1200-784
    assert trainable(model.discriminator) == 1_231_441  # maxout 240x5, 240x5, 1
    assert (model.generator.input_shape, model.generator.output_shape) == ((None, 100), (None, 28, 28, 1))


def test_generated_images_have_the_range_of_the_data():
    images = gan.definition(gan.Config()).build((28, 28, 1)).sample(3, seed=0)
    assert 0 <= images.min() < images.max() <= 1


def test_points_on_the_ring_are_eight_narrow_gaussians():
    points = gan.ring(8_000, seed=0)
    nearest = np.linalg.norm(points[:, None] - gan.CENTERS, axis=-1).argmin(axis=1)
    offsets = points - gan.CENTERS[nearest]
    np.testing.assert_allclose(np.bincount(nearest), 1_000, atol=120)
    assert offsets.std() == pytest.approx(gan.SPREAD, rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(gan.CENTERS, axis=1), gan.RADIUS)


class FakeGenerator:
    """A model whose samples are known."""

    def __init__(self, points):
        self.points = points

    def sample(self, num_samples, seed):
        return self.points


def test_the_data_itself_covers_every_mode():
    measured = gan.measure_modes(FakeGenerator(gan.ring(10_000, seed=3)))
    assert measured["modes covered"] == 8
    assert measured["high quality"] == pytest.approx(100 * (1 - np.exp(-4.5)), abs=0.5)


def test_a_mode_that_is_missed_or_rare_is_not_covered():
    two = np.repeat(gan.CENTERS[:2], [9_900, 100], axis=0)
    assert gan.measure_modes(FakeGenerator(two)) == {"modes covered": 1.0, "high quality": 100.0}
    between = np.zeros((10_000, 2))
    assert gan.measure_modes(FakeGenerator(between)) == {"modes covered": 0.0, "high quality": 0.0}


def test_the_nearest_image_is_found():
    images = np.eye(4, dtype="float32").reshape(4, 2, 2, 1)
    samples = np.array([[[[0.1], [0.9]], [[0.0], [0.2]]]], "float32")  # (1, 2, 2, 1)
    np.testing.assert_array_equal(gan.nearest(samples, images)[0].ravel(), [0, 1, 0, 0])


def test_default_settings_depend_on_the_data():
    assert gan.Config(data="ring") == gan.Config(data="ring", **gan.DEFAULTS["ring"])
    assert gan.Config(epochs=3, learning_rate=0.5).learning_rate == 0.5
    with pytest.raises(ValueError, match="epochs must be a positive integer, received -1"):
        gan.Config(epochs=-1)


def test_unknown_data_raises():
    with pytest.raises(ValueError, match="data must be one of 'ring', 'mnist', received 'cifar10'"):
        gan.Config(data="cifar10")


def test_claims_apply_only_to_the_data_of_the_paper():
    assert [claim.value for claim in gan.RECIPE.claims_for(gan.Config())] == [225]
    assert gan.RECIPE.claims_for(gan.Config(data="ring")) == ()


@pytest.mark.slow
def test_samples_are_kept_by_epoch_and_loaded_again(tmp_path):
    config = gan.Config.smoke(data="ring", epochs=2, run_dir=tmp_path / "run", devices="cpu")
    result = gan.train(config)
    assert list(result.samples) == [1, 2]
    np.testing.assert_array_equal(result.samples[2], result.model.sample(2_000, seed=0))
    again = gan.train(config)  # a finished run, which trains no more
    np.testing.assert_array_equal(again.samples[1], result.samples[1])
    figures = gan.draw(config, [result])
    assert [len(figure.axes) for figure in figures.values()] == [2]


@pytest.mark.slow
def test_every_mode_of_the_ring_is_covered(tmp_path):
    result = gan.train(gan.Config(data="ring", seed=200, devices="cpu"))
    assert result.measured["modes covered"] == 8
    assert result.measured["high quality"] > 80


@pytest.mark.thorough
def test_two_epochs_on_mnist_generate_likelier_images_than_noise(tfds_dir):
    result = gan.train(gan.Config(epochs=2, data_dir=tfds_dir))
    assert result.comparable
    # noise has about -700: 784 pixels with a mean squared error of 0.33 under the widest window
    assert result.measured["log-likelihood"] > -200
    samples = np.asarray(result.model.sample(64, seed=0))
    assert samples.std(axis=0).mean() > 0.1  # a single repeated image would be even likelier
