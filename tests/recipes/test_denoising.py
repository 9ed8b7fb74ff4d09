"""Denoising autoencoders: weights, split, measurements, and a short training."""

import numpy as np
import pytest

import deepkit as dk
from recipes.generative import denoising


def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr("deepkit.data.download.is_reachable", lambda *a, **k: False)


def test_sdae_3_has_the_weights_of_the_paper():
    assert denoising.RECIPE.build(denoising.Config()).count_params() == 2_797_010


def test_rectangles_have_the_network_and_the_sizes_of_the_paper():
    config = denoising.Config(task="rectangles", seed=3)
    assert denoising.RECIPE.build(config).count_params() == 2_789_002
    data = denoising.load_data(config)
    assert [split.num_examples for split in (data.train, data.validation, data.test)] == [1_000, 200, 50_000]
    assert (data.class_names, data.stand_in_for) == (("tall", "wide"), None)
    other = denoising.load_data(denoising.Config(task="rectangles", seed=4))
    assert data.train.fingerprint != other.train.fingerprint


def test_the_autoencoder_of_task_filters_has_the_weights_of_the_lecture_notes():
    assert denoising.RECIPE.build(denoising.Config(task="filters")).count_params() == 785_284


def test_the_loss_of_task_filters_is_that_of_the_lecture_notes():
    config = denoising.Config(task="filters", units=7, weight_penalty=0.3)
    model = denoising.autoencoder(config, noise=0).build((28, 28, 1))
    model.compile(loss="mse")
    x = np.random.default_rng(0).random((5, 28, 28, 1)).astype("float32")
    kernels = [weight for weight in model.get_weights() if weight.ndim == 2]
    squared = np.sum((np.asarray(model(x)) - x) ** 2, axis=(1, 2, 3)).mean()
    expected = squared + 0.3 * sum(np.sum(kernel**2) for kernel in kernels)
    assert len(kernels) == 2
    assert 28 * 28 * model.evaluate(x, x, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_default_settings_depend_on_the_task():
    assert (denoising.Config().units, denoising.Config(task="filters").units) == (1000, 500)
    assert denoising.Config(task="filters", epochs=3).epochs == 3
    with pytest.raises(ValueError, match="epochs must be a positive integer, received -3"):
        denoising.Config(epochs=-3)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"task": "filter"}, "task must be one of .*, received 'filter'; did you mean 'filters'"),
        (
            {"pretraining_noise": -1},
            r"pretraining_noise must be a fraction in \[0, 1\), received -1\n  hint: use 0\.25",
        ),
        ({"fine_tuning_noise": 30}, r"fine_tuning_noise must be a fraction in \[0, 1\), received 30"),
    ],
)
def test_invalid_settings_raise(settings, text):
    with pytest.raises(ValueError, match=text):
        denoising.Config(**settings)


def test_filter_structure_is_higher_for_strokes_than_for_random_weights():
    random = np.random.default_rng(0).normal(size=(50, 28, 28))
    rows, columns = np.mgrid[:28, :28]
    stroke = np.exp(-((rows - columns) ** 2) / 8)[None]
    assert abs(denoising.filter_structure(random)) < 0.05
    assert denoising.filter_structure(stroke) > 0.8
    assert denoising.filter_structure(3 * stroke + 1) == pytest.approx(denoising.filter_structure(stroke))


def test_row_correlation_equals_numpy():
    a, b = np.random.default_rng(0).normal(size=(2, 3, 40))
    expected = [np.corrcoef(row_a, row_b)[0, 1] for row_a, row_b in zip(a, b, strict=True)]
    np.testing.assert_allclose(denoising.row_correlation(a, b), expected)


def test_the_splits_of_the_stand_in_are_disjoint(tmp_path, monkeypatch, capsys):
    offline(monkeypatch, tmp_path)
    data = denoising.load_data(denoising.Config(data_dir=tmp_path))
    assert [split.num_examples for split in (data.train, data.validation, data.test)] == [1_250, 250, 297]
    whole = dk.data.load("digits", image_size=28, validation=0, verbose=False)
    splits = [split.arrays()[0] for split in (data.train, data.validation, data.test)]
    images = np.concatenate([whole.train.arrays()[0], whole.test.arrays()[0]])
    np.testing.assert_array_equal(np.concatenate(splits), images)


@pytest.mark.usefixtures("without_reports")
def test_two_levels_of_noise_on_the_bundled_digits(tmp_path, monkeypatch, capsys):
    offline(monkeypatch, tmp_path)
    monkeypatch.setattr(denoising, "NOISES", (0, 30))
    config = denoising.Config.smoke(task="filters", units=16, data_dir=tmp_path / "nothing", run_dir=tmp_path / "run")
    report = dk.recipe.run(denoising.RECIPE, config)
    assert not report.comparable
    assert {path.name for path in (tmp_path / "run" / "seed0").iterdir()} == {"noise0", "noise30"}
    printed = capsys.readouterr().out.lower()
    assert "not comparable" in printed
    assert "smoke run" in printed


@pytest.mark.slow
def test_mnist_basic_has_the_sizes_of_the_paper(tfds_dir):
    data = denoising.load_data(denoising.Config(data_dir=tfds_dir))
    assert [split.num_examples for split in (data.train, data.validation, data.test)] == [10_000, 2_000, 50_000]
    images = np.concatenate([split.arrays()[0] for split in (data.train, data.validation, data.test)])
    assert len({image.tobytes() for image in images}) == 62_000


@pytest.mark.slow
def test_a_short_pretraining_is_better_than_a_random_start(tfds_dir, tmp_path):
    config = denoising.Config(pretraining_epochs=3, epochs=5, units=300, data_dir=tfds_dir, run_dir=tmp_path)
    measured = denoising.train(config).measured
    assert measured["test error"] < measured["test error from a random start"]
