"""Recipe of the glimpses: parameters, translated digits, errors, claims, and a short training."""

import numpy as np
import pytest

import deepkit as dk
from recipes.sequence import glimpses


def test_the_networks_are_those_of_the_paper():
    for variant, count in (("mnist", 209_420), ("translated", 256_524)):
        model = glimpses.RECIPE.build(glimpses.Config(variant=variant))
        assert model.count_params() == count + 257  # the baseline
    definition = glimpses.definition(glimpses.Config())
    assert eval(repr(definition), {"dk": dk}) == definition


def test_random_locations_have_no_published_number():
    claims = {claim.value: claim for claim in glimpses.RECIPE.claims}
    assert claims[1.12].when == {"variant": "mnist", "num_glimpses": 6, "policy": "learned"}
    assert all(claim.when["policy"] == "learned" for claim in claims.values())


def test_digits_keep_their_pixels_at_another_place():
    images = np.random.default_rng(0).random((20, 4, 4, 1)).astype("float32")
    placed = glimpses.place(images, 3, np.random.default_rng(0))
    assert (placed.shape, placed.dtype) == ((20, 10, 10, 1), "uint8")
    np.testing.assert_array_equal(placed.sum(axis=(1, 2, 3)), np.rint(255 * images).sum(axis=(1, 2, 3)))
    corners = {tuple(np.argwhere(image)[0][:2]) for image in placed}
    assert len(corners) > 10
    centered = glimpses.place(images, 3, None)
    np.testing.assert_array_equal(centered[:, 3:7, 3:7], np.rint(255 * images))
    assert centered.sum() == placed.sum()


def test_errors_are_percentages_and_probabilities_sum_to_one():
    outputs = np.array([[1.0, 2.0], [3.0, 2.0], [0.0, 5.0], [1.0, 0.0]])
    assert glimpses.percent_wrong(outputs, np.array([1, 0, 1, 1])) == 25
    model = dk.RecurrentAttention(2, num_glimpses=2, glimpse_size=2, units=4).build((4, 4, 1))
    probabilities = glimpses.mean_probabilities(model, np.zeros((3, 4, 4, 1), "float32"), seed=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.slow
def test_a_smoke_run_with_random_glimpses_at_translated_digits(tmp_path, monkeypatch):
    monkeypatch.setattr("deepkit.data.download.is_reachable", lambda *a, **k: False)
    settings = {"variant": "translated", "policy": "random", "num_glimpses": 3, "units": 16}
    config = glimpses.Config.smoke(**settings, data_dir=tmp_path / "nothing", run_dir=tmp_path / "run")
    report = dk.recipe.run(glimpses.RECIPE, config)
    assert not report.comparable
    assert len(report.figures) == 1


@pytest.mark.thorough
def test_three_epochs_on_mnist_learn_to_look(tfds_dir, tmp_path):
    config = glimpses.Config(epochs=3, data_dir=tfds_dir, run_dir=tmp_path / "run")
    result = glimpses.train(config.repeats()[0])
    assert result.comparable
    assert result.measured["test error"] < 15
    assert 0.05 < result.measured["spread"] < 0.577
