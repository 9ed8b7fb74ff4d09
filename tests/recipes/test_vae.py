"""Recipe of the variational autoencoder: weights, figures, and a short training."""

import numpy as np
import pytest

import deepkit as dk
from recipes.generative import vae


def test_the_network_is_that_of_the_paper():
    model = vae.RECIPE.build(vae.Config())
    assert model.count_params() == 815_824 + 1  # beta
    assert (model.encoder.count_params(), model.decoder.count_params()) == (412_540, 403_284)


def test_the_repr_of_the_definition_is_its_code():
    net = vae.definition(vae.Config(num_importance_samples=5))
    assert eval(repr(net), {"dk": dk}) == net


def test_gray_images_are_binarized_and_binary_ones_kept():
    gray = np.array([[0.0, 127.0, 128.0, 255.0]], "float32")
    assert vae.binarize(gray).numpy().tolist() == [[0, 0, 1, 1]]
    binary = np.array([[0.0, 1.0, 1.0, 0.0]], "float32")
    np.testing.assert_array_equal(vae.binarize(binary), binary)


def test_images_are_drawn_in_rows():
    images = np.zeros((6, 28, 28), "float32")
    images[4] = 1  # row 2, column 2
    grid = vae.draw_images(images, columns=3).axes[0].images[0].get_array()
    assert grid.shape == (56, 84)
    assert grid[28:, 28:56].min() == 1
    assert grid.sum() == 28 * 28


def test_codes_of_the_plane_increase_upward_and_to_the_right():
    class Decoder:
        def decode(self, codes):
            return codes

    codes = vae.decode_plane(Decoder(), side=3)
    assert codes.shape == (9, 2)
    assert codes[0, 0] < 0 < codes[0, 1]
    assert codes[4].tolist() == [0, 0]
    np.testing.assert_allclose(codes[-1], -codes[0], rtol=1e-6)


@pytest.mark.slow
def test_three_epochs_on_binarized_mnist_reach_a_good_bound(tfds_dir, tmp_path):
    config = vae.Config(epochs=3, num_likelihood_samples=20, data_dir=tfds_dir, run_dir=tmp_path / "run")
    result = vae.train(config.repeats()[0])
    assert result.comparable
    assert result.measured["test NLL"] < result.measured["test bound"] < 125
