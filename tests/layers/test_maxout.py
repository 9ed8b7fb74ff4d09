"""Maxout: the dense layer and the maximum across channels."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.layers import ChannelMax, FanInUniform, Maxout
from tests.layers import checks


def test_every_unit_is_the_maximum_of_its_pieces():
    layer = Maxout(4, num_pieces=3, bias_initializer="random_normal")
    x = checks.data(2, 5, 6)
    y = np.asarray(layer(x))
    kernel, bias = np.asarray(layer.kernel), np.asarray(layer.bias)
    assert kernel.shape == (6, 4, 3)
    assert bias.shape == (4, 3)
    for unit in range(4):
        pieces = [x @ kernel[:, unit, piece] + bias[unit, piece] for piece in range(3)]
        np.testing.assert_allclose(y[..., unit], np.max(pieces, axis=0), rtol=1e-5, atol=1e-6)


def test_one_piece_is_a_dense_layer():
    layer, dense = Maxout(4, num_pieces=1), layers.Dense(4)
    x = checks.data(3, 6)
    layer(x), dense(x)
    layer.set_weights([dense.kernel[:, :, None], dense.bias[:, None]])
    np.testing.assert_allclose(layer(x), dense(x), rtol=1e-6)


def test_two_pieces_of_opposite_sign_are_the_absolute_value():
    layer = Maxout(1, use_bias=False)
    layer.build((None, 1))
    layer.set_weights([np.array([[[1.0, -1.0]]])])
    np.testing.assert_array_equal(layer(np.array([[-2.0], [3.0]])), [[2.0], [3.0]])


def test_each_piece_is_initialized_as_a_separate_dense_layer():
    layer = Maxout(300, num_pieces=3)
    layer.build((None, 100))
    kernel = np.asarray(layer.kernel)
    limit = np.sqrt(6 / (100 + 300))  # Glorot for 100 inputs and 300 outputs, not 900
    for piece in range(3):
        assert 0.99 * limit < np.abs(kernel[..., piece]).max() <= limit
    assert np.abs(np.corrcoef(kernel.reshape(-1, 3).T) - np.eye(3)).max() < 0.03


@pytest.mark.parametrize("initializer", [keras.initializers.GlorotUniform(seed=7), FanInUniform(seed=7)])
def test_a_seeded_initializer_is_reproducible_and_its_pieces_differ(initializer):
    first, second = (Maxout(4, num_pieces=2, kernel_initializer=initializer) for _ in range(2))
    first.build((None, 5))
    second.build((None, 5))
    np.testing.assert_array_equal(first.kernel, second.kernel)
    assert not np.any(np.asarray(first.kernel)[..., 0] == np.asarray(first.kernel)[..., 1])


@pytest.mark.parametrize(
    "initializer",
    [keras.initializers.HeNormal(seed=keras.random.SeedGenerator(3)), lambda shape, dtype=None: checks.data(*shape)],
    ids=["seed generator", "function"],
)
def test_initializers_that_draw_new_numbers_at_every_call(initializer):
    layer = Maxout(4, num_pieces=2, kernel_initializer=initializer)
    layer.build((None, 5))
    assert np.asarray(layer.kernel).std() > 0.1


def test_an_initializer_with_a_seed_generator_draws_different_pieces():
    layer = Maxout(4, kernel_initializer=keras.initializers.HeNormal(seed=keras.random.SeedGenerator(3)))
    layer.build((None, 5))
    assert not np.any(np.asarray(layer.kernel)[..., 0] == np.asarray(layer.kernel)[..., 1])


def test_constraints_and_regularizers():
    layer = Maxout(
        4,
        kernel_initializer="ones",
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.5),
        bias_regularizer=keras.regularizers.L1(0.25),
        kernel_constraint=keras.constraints.MaxNorm(1.0),
        bias_constraint="non_neg",
        activity_regularizer=keras.regularizers.L1(0.0),
    )
    layer.build((None, 9))
    assert [float(loss) for loss in layer.losses] == [0.5 * 9 * 4 * 2, 0.25 * 4 * 2]
    norms = np.linalg.norm(layer.kernel.constraint(layer.kernel), axis=0)
    np.testing.assert_allclose(norms, np.ones((4, 2)), rtol=1e-5)
    checks.assert_config_round_trip(layer)


def test_the_dense_mnist_network_of_the_paper_has_its_number_of_weights():
    net = dk.Sequential([layers.Dropout(0.2), Maxout(240, num_pieces=5), layers.Dropout(0.5), dk.Classifier(10)])
    assert net.build((784,)).count_params() == 785 * 240 * 5 + 241 * 10


def test_gradients_are_finite_at_zero():
    layer = Maxout(3, kernel_initializer="ones")
    assert np.all(np.isfinite(checks.gradient(layer, np.zeros((2, 4), "float32"))))
    np.testing.assert_allclose(checks.gradient(layer, checks.data(2, 4)), np.full((2, 4), 3.0))


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5), (2, 3, 4, 5)])
def test_maxout_shapes_and_xla(shape):
    layer = Maxout(4)
    checks.assert_symbolic_shape(layer, checks.data(*shape))
    checks.assert_same_under_xla(layer, checks.data(*shape), rtol=1e-4)


def test_maxout_config_saving_cloning_and_half_precision(tmp_path):
    checks.assert_config_round_trip(Maxout(4, num_pieces=5, kernel_initializer=FanInUniform(1.0)))
    checks.assert_saved_and_cloned(Maxout(4, num_pieces=3), checks.data(2, 5), tmp_path)
    checks.assert_precision(lambda dtype: Maxout(4, kernel_initializer="ones", dtype=dtype), checks.data(2, 5))


@pytest.mark.parametrize("layer", [Maxout(4, bias_initializer="ones"), ChannelMax(2)], ids=["maxout", "channel_max"])
def test_the_mask_is_propagated(layer):
    checks.assert_mask_passes(layer, features=4)


@pytest.mark.parametrize("shape", [(2, 6), (2, 4, 6), (2, 3, 4, 6), (2, 2, 3, 2, 6)])
def test_channel_max_equals_a_loop(shape):
    x = checks.data(*shape)
    expected = np.stack([x[..., 3 * i : 3 * i + 3].max(-1) for i in range(2)], axis=-1)
    np.testing.assert_array_equal(ChannelMax(3)(x), expected)
    first = ChannelMax(3, data_format="channels_first")(np.moveaxis(x, -1, 1))
    np.testing.assert_array_equal(np.moveaxis(np.asarray(first), 1, -1), expected)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_channel_max_shapes_and_xla(data_format):
    layer = ChannelMax(2, data_format=data_format)
    checks.assert_symbolic_shape(layer, checks.data(2, 4, 6, 8))
    checks.assert_same_under_xla(layer, checks.data(2, 4, 6, 8))


def test_channel_max_config_saving_cloning_and_half_precision(tmp_path):
    checks.assert_config_round_trip(ChannelMax(3, data_format="channels_first"))
    checks.assert_saved_and_cloned(ChannelMax(2), checks.data(2, 3, 3, 4), tmp_path)
    checks.assert_precision(lambda dtype: ChannelMax(2, dtype=dtype), checks.data(2, 3, 3, 4))
    assert np.all(np.isfinite(checks.gradient(ChannelMax(2), np.zeros((1, 2, 2, 4), "float32"))))


def test_dense_maxout_is_a_linear_layer_and_a_channel_max():
    maxout, dense = Maxout(3, num_pieces=2), layers.Dense(6)
    x = checks.data(4, 5)
    maxout(x), dense(x)
    dense.set_weights([np.reshape(maxout.kernel, (5, 6)), np.reshape(maxout.bias, 6)])
    np.testing.assert_allclose(ChannelMax(2)(dense(x)), maxout(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: Maxout(0),
            "Maxout: units must be a positive integer, received 0\n  hint: use Maxout(240, num_pieces=5)",
        ),
        (
            lambda: Maxout(4, num_pieces=True),
            "Maxout: num_pieces must be a positive integer, received True\n  hint: use Maxout(240, num_pieces=5)",
        ),
        (
            lambda: Maxout(4).build((None, None)),
            "Maxout: axis -1 of the input must have a known size, received the shape (None, None)\n"
            "  hint: use a keras.Input, or a build shape, with a number on that axis",
        ),
        (
            lambda: ChannelMax(2.0),
            "ChannelMax: num_pieces must be a positive integer, received 2.0\n  hint: use ChannelMax(2)",
        ),
        (
            lambda: ChannelMax(2)(np.zeros((1, 4, 4, 5), "float32")),
            "ChannelMax: the number of channels must be a multiple of num_pieces=2, received 5 channels\n"
            "  hint: use filters=2 * units in the layer before",
        ),
        (
            lambda: ChannelMax(2, data_format="last"),
            "ChannelMax: data_format must be one of 'channels_last', 'channels_first', received 'last'\n"
            '  hint: use data_format="channels_last"',
        ),
    ],
)
def test_invalid_arguments_are_refused(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert str(caught.value) == text
