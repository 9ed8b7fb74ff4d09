"""Recipe of restricted Boltzmann machines: data, weights, likelihoods, and a short training."""

import numpy as np
import pytest

import deepkit as dk
from recipes.generative import rbm


def test_bars_and_stripes_are_thirty_different_images():
    images = rbm.bars_and_stripes()
    assert images.shape == (30, 4, 4)
    assert len({image.tobytes() for image in images}) == 30
    for image in images:
        assert len(np.unique(image, axis=0)) == 1 or len(np.unique(image, axis=1)[0]) == 1
    assert rbm.bars_and_stripes(3).shape == (14, 3, 3)


def test_the_machine_of_mnist_has_the_weights_of_the_formula():
    config = rbm.Config(data="mnist")
    assert rbm.definition(config).build((28, 28, 1)).count_params() == 393_284
    assert config.num_gibbs_steps == rbm.definition(config).num_gibbs_steps == 1


def test_default_settings_depend_on_the_data():
    assert (rbm.Config().units, rbm.Config(data="mnist").units) == (16, 500)
    assert rbm.definition(rbm.Config(), 10) == dk.RBM(16, num_gibbs_steps=10)


def test_images_are_drawn_in_rows_with_a_border():
    images = np.zeros((3, 4, 4))
    images[2] = 1  # row 2, column 1
    grid = np.asarray(rbm.draw_images(images, columns=2).axes[0].images[0].get_array())
    assert grid.shape == (10, 10)
    assert grid[5:9, :4].min() == 1
    assert grid.max() == 1
    assert (grid[4] == 0.5).all()
    assert (
        np.asarray(rbm.draw_images(images.reshape(3, 16), columns=2).axes[0].images[0].get_array()).sum() == grid.sum()
    )


@pytest.mark.thorough
@pytest.mark.usefixtures("without_reports")
def test_the_likelihoods_of_bars_and_stripes(tmp_path):
    measured = rbm.train(rbm.Config(run_dir=tmp_path)).measured
    assert -5.3 < measured["best log-likelihood, CD-1"] < -3.8 < measured["best log-likelihood, CD-10"] < -np.log(30)
    assert measured["final log-likelihood, CD-1"] < measured["best log-likelihood, CD-1"] - 0.3
    assert measured["AIS error"] < 0.1
