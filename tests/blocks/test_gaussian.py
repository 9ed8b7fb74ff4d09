"""The Gaussian head: two linear layers on the same features."""

import keras
import numpy as np
import pytest

import deepkit as dk


def test_it_equals_two_dense_layers():
    model = dk.GaussianHead(3).build((4,))
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    for name, value in model(x).items():
        kernel, bias = model.get_layer(name).get_weights()
        np.testing.assert_allclose(value, x @ kernel + bias, rtol=1e-5)
    assert model.count_params() == 2 * (4 * 3 + 3)


def test_images_are_flattened_and_dense_arguments_are_passed():
    head = dk.GaussianHead(3, dense={"use_bias": False, "kernel_initializer": "zeros"})
    model = head.build((5, 4, 2))
    assert model.count_params() == 2 * 40 * 3
    assert not np.any(model(np.ones((1, 5, 4, 2), "float32"))["mean"])


def test_it_computes_in_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    model = dk.Sequential([dk.MLP([4]), dk.GaussianHead(2)]).build((3,))
    assert {value.dtype for value in model.output.values()} == {"float32"}


def test_an_invalid_number_of_units():
    with pytest.raises(dk.DefinitionError, match="GaussianHead: units must be a positive integer, received 0"):
        dk.GaussianHead(0)


def test_an_unknown_size_cannot_be_flattened():
    with pytest.raises(dk.DefinitionError, match=r"cannot flatten .* a size is unknown"):
        dk.GaussianHead(2).build((None, 3))


def test_an_activation_is_refused():
    with pytest.raises(ValueError, match=r"GaussianHead\(dense=...\): 'activation' is set by the block"):
        dk.GaussianHead(2, dense={"activation": "relu"})
