"""TiedDense: equality with NumPy in both directions, saving and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.layers import TiedDense
from tests.layers import checks


def autoencoder(layer, *shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(layer(inputs), reverse=True))


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5), (2, 3, 4, 5)])
def test_both_directions_equal_numpy(shape):
    layer = TiedDense(3, activation="tanh", reverse_activation="sigmoid", bias_initializer="random_normal")
    x = checks.data(*shape)
    code = np.asarray(layer(x))
    kernel = np.asarray(layer.kernel)
    np.testing.assert_allclose(code, np.tanh(x @ kernel + layer.bias.numpy()), rtol=1e-5, atol=1e-6)
    expected = 1 / (1 + np.exp(-(code @ kernel.T + layer.reverse_bias.numpy())))
    np.testing.assert_allclose(layer(code, reverse=True), expected, rtol=1e-5, atol=1e-6)


def test_the_forward_direction_is_a_dense_layer():
    layer, dense = TiedDense(3, activation="relu", use_reverse_bias=False), layers.Dense(3, activation="relu")
    x = checks.data(4, 5)
    layer(x), dense(x)
    assert [(w.name, w.shape) for w in layer.weights] == [(w.name, w.shape) for w in dense.weights]
    layer.set_weights(dense.get_weights())
    np.testing.assert_array_equal(layer(x), dense(x))


def test_one_kernel_and_a_bias_for_each_direction():
    model = autoencoder(TiedDense(3), 5)
    assert [(w.name, w.shape) for w in model.weights] == [("kernel", (5, 3)), ("bias", (3,)), ("reverse_bias", (5,))]
    assert autoencoder(TiedDense(3, use_bias=False, use_reverse_bias=False), 5).count_params() == 15


def test_the_kernel_gets_the_gradients_of_both_directions():
    layer = TiedDense(3)
    x = checks.data(4, 5)
    layer(x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(layer(x), reverse=True) ** 2)
    kernel, bias, reverse_bias = tape.gradient(loss, [w.value for w in layer.trainable_weights])
    w = layer.kernel.numpy()
    error = 2 * x @ w @ w.T
    np.testing.assert_allclose(kernel, x.T @ error @ w + error.T @ x @ w, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(bias, (error @ w).sum(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(reverse_bias, error.sum(0), rtol=1e-4, atol=1e-4)
    assert np.all(np.isfinite(checks.gradient(layer, np.zeros((2, 5), "float32"))))


def test_an_autoencoder_learns_data_of_the_rank_of_its_code():
    x = checks.data(64, 2) @ checks.data(2, 6, seed=1)  # six features, two degrees of freedom
    model = autoencoder(TiedDense(2), 6)
    model.compile(keras.optimizers.Adam(0.03), "mse", jit_compile=False)
    losses = [model.train_on_batch(x, x) for _ in range(150)]
    assert losses[-1] < 0.01 * losses[0]


def test_a_model_that_calls_it_in_both_directions_is_saved_and_cloned(tmp_path):
    model = autoencoder(TiedDense(3, activation="tanh", reverse_activation="sigmoid", name="tied"), 5)
    x = checks.data(4, 5)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (restored, clone):
        np.testing.assert_array_equal(other(x), model(x))
        assert [w.path for w in other.weights] == ["tied/kernel", "tied/bias", "tied/reverse_bias"]


def test_a_stack_called_in_reverse_order_is_saved(tmp_path):
    first, second = TiedDense(4, activation="tanh"), TiedDense(2, activation="tanh")
    inputs = keras.Input((6,))
    code = second(first(inputs))
    model = keras.Model(inputs, [code, first(second(code, reverse=True), reverse=True)])
    assert [output.shape for output in model.outputs] == [(None, 2), (None, 6)]
    model.save(tmp_path / "model.keras")
    x = checks.data(3, 6)
    for actual, expected in zip(keras.models.load_model(tmp_path / "model.keras")(x), model(x), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_the_shape_in_reverse_is_that_of_the_features():
    layer = TiedDense(3)
    code = layer(keras.Input((None, 7)))
    features = layer(code, reverse=True)
    assert (code.shape, features.shape) == ((None, None, 3), (None, None, 7))
    assert layer.compute_output_shape((2, 7)) == (2, 3)
    assert layer.compute_output_shape((2, 3), reverse=True) == (2, 7)
    assert layer.compute_output_spec(keras.KerasTensor((2, 3)), reverse=True).shape == (2, 7)
    assert TiedDense(3).compute_output_shape((None, None)) == (None, 3)
    checks.assert_symbolic_shape(TiedDense(3), checks.data(2, 4, 7))


@pytest.mark.parametrize(("policy", "dtype"), [("mixed_float16", "float16"), ("mixed_bfloat16", "bfloat16")])
def test_half_precision_in_both_directions(policy, dtype):
    layer = TiedDense(3, dtype=policy)
    code = layer(keras.Input((5,)))
    assert (code.dtype, layer(code, reverse=True).dtype) == (dtype, dtype)
    assert layer(layer(checks.data(2, 5)), reverse=True).dtype == dtype
    assert {w.dtype for w in layer.weights} == {"float32"}
    checks.assert_precision(lambda dtype: TiedDense(3, kernel_initializer="ones", dtype=dtype), checks.data(2, 5))


def test_xla_equals_eager_in_both_directions():
    layer = TiedDense(3, activation="tanh")
    checks.assert_same_under_xla(layer, checks.data(2, 4, 5))
    code = checks.data(2, 3)
    compiled = tf.function(lambda code: layer(code, reverse=True), jit_compile=True)
    np.testing.assert_allclose(compiled(code), layer(code, reverse=True), rtol=1e-5, atol=1e-6)


def test_the_mask_is_propagated_in_both_directions():
    checks.assert_mask_passes(TiedDense(3, bias_initializer="ones"), features=4)
    layer = TiedDense(3, bias_initializer="ones")
    inputs = keras.Input((None, 4))
    code = layer(layers.Masking()(inputs))
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(layer(code, reverse=True)))
    short = checks.data(2, 3, 4)
    padded = np.concatenate([short, np.zeros((2, 2, 4), "float32")], axis=1)
    np.testing.assert_allclose(model(padded), model(short), rtol=1e-5, atol=1e-6)


def test_every_argument_is_in_the_config_and_used():
    layer = TiedDense(
        2,
        activation="relu",
        reverse_activation="sigmoid",
        kernel_initializer="ones",
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.5),
        bias_regularizer=keras.regularizers.L1(0.25),
        kernel_constraint="unit_norm",
        bias_constraint="non_neg",
    )
    layer.build((None, 3))
    assert [float(loss) for loss in layer.losses] == [0.5 * 6, 0.25 * 2, 0.25 * 3]
    assert [type(w.constraint).__name__ for w in layer.weights] == ["UnitNorm", "NonNeg", "NonNeg"]
    checks.assert_config_round_trip(layer)


def test_as_an_element_of_a_definition():
    net = dk.Sequential([TiedDense(3, use_reverse_bias=False)])
    assert net == dk.Sequential([TiedDense(3, use_reverse_bias=False)])
    assert net.build((5,)).count_params() == 18


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: TiedDense(2.5),
            'TiedDense: units must be a positive integer, received 2.5\n  hint: use TiedDense(32, activation="relu")',
        ),
        (
            lambda: TiedDense(3, name="tied")(keras.Input((3,)), reverse=True),
            "TiedDense 'tied': called in reverse before the first forward call, which sets the number of features\n"
            "  hint: call code = layer(x), then layer(code, reverse=True)",
        ),
        (
            lambda: TiedDense(3, name="tied").compute_output_shape((None, 3), True),
            "TiedDense 'tied': called in reverse before the first forward call, which sets the number of features\n"
            "  hint: call code = layer(x), then layer(code, reverse=True)",
        ),
        (
            lambda: TiedDense(3)(keras.Input((None,))),
            "TiedDense: axis -1 of the input must have a known size, received the shape (None, None)\n"
            "  hint: use a keras.Input, or a build shape, with a number on that axis",
        ),
    ],
)
def test_invalid_arguments_are_refused(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize("make", [lambda *shape: keras.Input(shape), lambda *shape: np.zeros((1, *shape), "float32")])
def test_an_input_with_another_number_of_features_is_refused(make):
    layer = TiedDense(3, name="tied")
    layer(make(5))
    with pytest.raises(ValueError) as caught:  # noqa: PT011  Keras adds lines of its own
        layer(make(4))
    assert "TiedDense 'tied': its kernel expects an input of 5 features, received the shape (" in str(caught.value)
    assert "\n  hint: use another TiedDense for this input" in str(caught.value)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        layer(make(5), reverse=True)
    assert "TiedDense 'tied': in reverse, it expects a code of 3 features, received the shape (" in str(caught.value)
    assert "\n  hint: pass the layer's own output" in str(caught.value)
