"""The Gaussian head: two linear layers behind the same features."""

import keras
import numpy as np
import pytest

import deepkit as dk


def test_it_is_two_dense_layers_by_name():
    model = dk.GaussianHead(3).build((4,))
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    for name, value in model(x).items():
        kernel, bias = model.get_layer(name).get_weights()
        np.testing.assert_allclose(value, x @ kernel + bias, rtol=1e-5)
    assert model.count_params() == 2 * (4 * 3 + 3)


def test_images_are_flattened_and_dense_arguments_passed_on():
    head = dk.GaussianHead(3, dense={"use_bias": False, "kernel_initializer": "zeros"})
    model = head.build((5, 4, 2))
    assert model.count_params() == 2 * 40 * 3
    assert not np.any(model(np.ones((1, 5, 4, 2), "float32"))["mean"])


def test_it_stays_in_float32_where_the_rest_has_16_bits():
    keras.config.set_dtype_policy("mixed_float16")
    model = dk.Sequential([dk.MLP([4]), dk.GaussianHead(2)]).build((3,))
    assert {value.dtype for value in model.output.values()} == {"float32"}


def test_a_width_that_is_none():
    with pytest.raises(dk.DefinitionError, match="GaussianHead: units must be a positive integer, received 0"):
        dk.GaussianHead(0)


def test_an_unknown_size_cannot_be_flattened():
    with pytest.raises(dk.DefinitionError, match=r"cannot flatten .* a size is unknown"):
        dk.GaussianHead(2).build((None, 3))


def test_an_activation_is_no_part_of_it():
    with pytest.raises(ValueError, match=r"GaussianHead\(dense=...\): 'activation' is an argument of the block"):
        dk.GaussianHead(2, dense={"activation": "relu"})
