"""The networks of the paper to the last weight, how samples are judged, and a short training."""

import numpy as np
import pytest

import deepkit as dk
from recipes.generative import gan


def trainable(part):
    return sum(int(np.prod(weight.shape)) for weight in part.trainable_weights)


def test_the_networks_for_mnist_have_the_weights_of_the_paper():
    model = gan.definition(gan.Config()).build((28, 28, 1))
    assert trainable(model.generator) == 2_503_984  # 100-1200-1200-784
    assert trainable(model.discriminator) == 1_231_441  # maxout 240x5, 240x5, 1
    assert (model.generator.input_shape, model.generator.output_shape) == ((None, 100), (None, 28, 28, 1))


def test_generated_images_are_in_the_scale_of_the_data():
    images = gan.definition(gan.Config()).build((28, 28, 1)).sample(3, seed=0)
    assert 0 <= images.min() < images.max() <= 1


def test_points_on_the_ring_are_eight_narrow_gaussians():
    points = gan.ring(8_000, seed=0)
    nearest = np.linalg.norm(points[:, None] - gan.CENTRES, axis=-1).argmin(axis=1)
    offsets = points - gan.CENTRES[nearest]
    np.testing.assert_allclose(np.bincount(nearest), 1_000, atol=120)
    assert offsets.std() == pytest.approx(gan.SPREAD, rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(gan.CENTRES, axis=1), gan.RADIUS)


class Draws:
    """Stands for a model whose samples are known."""

    def __init__(self, points):
        self.points = points

    def sample(self, count, seed):
        return self.points


def test_the_data_itself_covers_every_mode():
    judged = gan.judged_ring(Draws(gan.ring(10_000, seed=3)))
    assert judged["modes covered"] == 8
    assert judged["high quality"] == pytest.approx(100 * (1 - np.exp(-4.5)), abs=0.5)


def test_a_mode_that_is_missed_or_rare_is_not_covered():
    two = np.repeat(gan.CENTRES[:2], [9_900, 100], axis=0)
    assert gan.judged_ring(Draws(two)) == {"modes covered": 1.0, "high quality": 100.0}
    between = np.zeros((10_000, 2))
    assert gan.judged_ring(Draws(between)) == {"modes covered": 0.0, "high quality": 0.0}


def test_the_nearest_image_is_the_nearest():
    images = np.eye(4, dtype="float32")
    samples = np.array([[[[0.1], [0.9]], [[0.0], [0.2]]]], "float32")  # (1, 2, 2, 1)
    np.testing.assert_array_equal(gan.nearest(samples, images)[0].ravel(), [0, 1, 0, 0])


def test_settings_follow_the_data_unless_given():
    assert gan.Config(data="ring") == gan.Config(data="ring", **gan.SETTINGS["ring"])
    assert gan.Config(epochs=3, learning_rate=0.5).learning_rate == 0.5
    with pytest.raises(ValueError, match="epochs must be a whole number of at least 1, received -1"):
        gan.Config(epochs=-1)


def test_data_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="data must be one of 'ring', 'mnist', received 'cifar10'"):
        gan.Config(data="cifar10")


def test_the_paper_is_compared_with_on_its_own_data_only():
    assert [claim.value for claim in gan.RECIPE.claims_for(gan.Config())] == [225]
    assert gan.RECIPE.claims_for(gan.Config(data="ring")) == ()


@pytest.mark.slow
def test_samples_are_kept_by_epoch_and_found_again(tmp_path):
    config = gan.Config.smoke(data="ring", epochs=2, run_dir=tmp_path / "run", devices="cpu")
    outcome = gan.train(config)
    assert list(outcome.samples) == [1, 2]
    np.testing.assert_array_equal(outcome.samples[2], outcome.model.sample(2_000, seed=0))
    again = gan.train(config)  # a finished run, which trains no more
    np.testing.assert_array_equal(again.samples[1], outcome.samples[1])
    figures = gan.draw(config, [outcome])
    assert [len(figure.axes) for figure in figures.values()] == [2]


@pytest.mark.slow
def test_a_smoke_run_on_the_bundled_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr("deepkit.data.download.is_reachable", lambda *a, **k: False)
    config = gan.Config.smoke(data_dir=tmp_path / "nothing", run_dir=tmp_path / "run", devices="cpu")
    report = dk.recipe.run(gan.RECIPE, config)
    assert not report.comparable
    assert len(report.figures) == 2
    printed = capsys.readouterr().out.lower()
    assert "not comparable" in printed
    assert "smoke run" in printed


@pytest.mark.slow
def test_the_ring_is_covered(tmp_path):
    outcome = gan.train(gan.Config(data="ring", seed=200, devices="cpu"))
    assert outcome.measured["modes covered"] == 8
    assert outcome.measured["high quality"] > 80


@pytest.mark.slow
def test_two_passes_over_mnist_make_likelier_images_than_noise(tfds_dir):
    outcome = gan.train(gan.Config(epochs=2, data_dir=tfds_dir))
    assert outcome.comparable
    # of noise it is about -700: 784 pixels that are off by 0.33 on average, squared, under the widest window
    assert outcome.measured["log-likelihood"] > -200
    samples = np.asarray(outcome.model.sample(64, seed=0))
    assert samples.std(axis=0).mean() > 0.1  # one picture over and over would be likelier still
