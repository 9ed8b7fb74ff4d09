"""TiedConv: the reverse direction as a transposed matrix, saving and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.layers import TiedConv
from tests.layers import checks


def autoencoder(layer, *shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(layer(inputs), reverse=True))


def randomize_weights(layer):
    """Set every weight to random values: biases start at zero and would hide a mistake."""
    for i, weight in enumerate(layer.weights):
        weight.assign(checks.data(*weight.shape, seed=i))
    return layer


def matrix(function, shape):
    """Return the output of a linear function for each unit vector, one a row, and the output shape."""
    size = int(np.prod(shape))
    outputs = np.asarray(function(np.eye(size, dtype="float32").reshape(size, *shape)))
    return outputs.reshape(size, -1), outputs.shape[1:]


def assert_transposed(convolution, *shape):
    layer = TiedConv(convolution, use_reverse_bias=False)
    forward, code = matrix(layer, shape)
    reverse, restored_shape = matrix(lambda y: layer(y, reverse=True), code)
    assert restored_shape == shape
    np.testing.assert_allclose(reverse, forward.T, atol=1e-6, err_msg=str(shape))
    assert np.abs(forward).max() > 0


@pytest.mark.parametrize("padding", ["same", "valid", "causal"])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_reverse_is_the_transposed_matrix_of_the_convolution(window, strides, padding):
    for size in (4, 5, 6, 7, 11):
        assert_transposed(layers.Conv1D(2, window, strides, padding, use_bias=False), size, 3)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("shape", [(4, 5, 2), (5, 7, 1), (6, 4, 2)])
@pytest.mark.parametrize(("window", "strides"), [((3, 2), (2, 3)), ((1, 4), (2, 1)), ((2, 3), (3, 2)), (3, 2)])
def test_reverse_of_an_image_convolution_with_different_axes(window, strides, shape, padding):
    assert_transposed(layers.Conv2D(3, window, strides, padding, use_bias=False), *shape)


@pytest.mark.parametrize(
    ("convolution", "shape"),
    [
        (layers.Conv3D(2, (2, 3, 1), (2, 1, 2), "same", use_bias=False), (3, 4, 3, 2)),
        (layers.Conv3D(2, 2, use_bias=False), (3, 2, 3, 1)),
        (layers.Conv1D(2, 3, padding="same", dilation_rate=2, use_bias=False), (7, 3)),
        (layers.Conv1D(2, 2, padding="causal", dilation_rate=3, use_bias=False), (7, 3)),
        (layers.Conv2D(2, (2, 3), dilation_rate=(3, 2), use_bias=False), (6, 5, 2)),
        (layers.Conv2D(4, 3, 2, "same", groups=2, use_bias=False), (5, 4, 6)),
        (layers.Conv1D(3, 3, padding="same", groups=3, dilation_rate=2, use_bias=False), (6, 3)),
    ],
)
def test_reverse_with_volumes_dilation_and_groups(convolution, shape):
    assert_transposed(convolution, *shape)


@pytest.mark.parametrize("dilation", [1, 2])
def test_channels_first_equals_channels_last_with_moved_axes(dilation):
    convolution = layers.Conv2D(4, (3, 2), 3 - dilation, "same", dilation_rate=dilation, use_bias=False)
    last = TiedConv(convolution)
    x = checks.data(2, 5, 6, 3)
    last(x)
    first = TiedConv(layers.Conv2D.from_config(convolution.get_config() | {"data_format": "channels_first"}))
    first.build((None, 3, 5, 6))
    randomize_weights(last)
    first.set_weights(last.get_weights())
    code = np.asarray(last(x))
    expected = np.moveaxis(np.asarray(last(code, reverse=True)), 3, 1)
    assert first.compute_output_shape((2, *code.shape[3:], *code.shape[1:3]), True) == (2, 3, 5, 6)
    compiled = tf.function(lambda code: first(code, reverse=True), jit_compile=True)  # a CPU needs XLA for this order
    np.testing.assert_allclose(compiled(np.moveaxis(code, 3, 1)), expected, rtol=1e-4, atol=1e-5)


def test_forward_is_the_wrapped_layer_itself():
    convolution = layers.Conv2D(3, 3, activation="relu")
    layer = TiedConv(convolution)
    x = checks.data(2, 6, 5, 2)
    np.testing.assert_array_equal(layer(x), convolution(x))


def test_reverse_has_its_own_bias_and_activation():
    layer = TiedConv(layers.Conv2D(3, 3, 2, "same", activation="relu"), reverse_activation="tanh")
    code = np.asarray(layer(checks.data(2, 5, 4, 2)))
    randomize_weights(layer)
    plain = TiedConv(layer.layer, use_reverse_bias=False)
    plain.build((None, 5, 4, 2))
    expected = np.tanh(np.asarray(plain(code, reverse=True)) + layer.reverse_bias.numpy())
    np.testing.assert_allclose(layer(code, reverse=True), expected, rtol=1e-5, atol=1e-6)


def test_one_kernel_and_a_bias_for_each_direction():
    model = autoencoder(TiedConv(layers.Conv2D(4, 3, name="conv"), name="t"), 6, 5, 2)
    weights = {(w.path, w.shape) for w in model.weights}
    assert weights == {("t/conv/kernel", (3, 3, 2, 4)), ("t/conv/bias", (4,)), ("t/reverse_bias", (2,))}
    bare = TiedConv(layers.Conv2D(4, 3, use_bias=False), use_reverse_bias=False)
    assert autoencoder(bare, 6, 5, 2).count_params() == 3 * 3 * 2 * 4


@pytest.mark.parametrize("dilation", [1, 2])
def test_the_kernel_gets_the_gradients_of_both_directions(dilation):
    layer = TiedConv(layers.Conv1D(2, 3, 3 - dilation, "same", dilation_rate=dilation))
    x = checks.data(2, 5, 3)
    layer(x)
    randomize_weights(layer)

    def loss():
        return tf.reduce_sum(layer(layer(x), reverse=True) ** 2)

    with tf.GradientTape() as tape:
        value = loss()
    for weight, gradient in zip(layer.weights, tape.gradient(value, [w.value for w in layer.weights]), strict=True):
        before, step = weight.numpy(), 1e-2 * checks.data(*weight.shape, seed=9)
        weight.assign(before + step)
        above = float(loss())
        weight.assign(before - step)
        slope = (above - float(loss())) / 2
        weight.assign(before)
        assert slope == pytest.approx(float(np.sum(gradient * step)), rel=1e-2)


def test_a_model_that_calls_it_in_both_directions_is_saved_and_cloned(tmp_path):
    convolution = layers.Conv2D(3, 3, 2, "same", activation="relu", name="conv")
    layer = TiedConv(convolution, reverse_activation="sigmoid", name="t")
    model = autoencoder(layer, 5, 4, 2)
    randomize_weights(layer)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = checks.data(2, 5, 4, 2)
    for other in (restored, clone):
        np.testing.assert_array_equal(other(x), model(x))
        assert [w.path for w in other.weights] == [w.path for w in model.weights]
    checks.assert_config_round_trip(layer)


def test_shapes_with_known_and_unknown_sizes():
    layer = TiedConv(layers.Conv2D(4, (3, 4), (2, 1)))
    code = layer(keras.Input((8, None, 2)))
    assert (code.shape, layer(code, reverse=True).shape) == ((None, 3, None, 4), (None, 8, None, 2))
    for width in (4, 7):
        y = layer(checks.data(1, 8, width, 2))
        assert layer(y, reverse=True).shape == (1, 8, width, 2)
        assert layer.compute_output_shape(tuple(y.shape), reverse=True) == (1, 8, width, 2)
    checks.assert_symbolic_shape(TiedConv(layers.Conv2D(4, 3, 2)), checks.data(2, 8, 7, 2))


@pytest.mark.parametrize("padding", ["same", "valid", "causal"])
def test_without_strides_any_size_is_restored(padding):
    layer = TiedConv(layers.Conv1D(3, 4, padding=padding, dilation_rate=2))
    model = autoencoder(layer, None, 2)
    randomize_weights(layer)
    x = checks.data(1, 11, 2)
    for size in (7, 10, 11):
        y = np.asarray(model(x[:, :size]))
        assert y.shape == (1, size, 2)
        np.testing.assert_allclose(y, layer(layer(x[:, :size]), reverse=True), rtol=1e-5)


@pytest.mark.parametrize(("policy", "dtype"), [("mixed_float16", "float16"), ("mixed_bfloat16", "bfloat16")])
def test_half_precision_in_both_directions(policy, dtype):
    layer = TiedConv(layers.Conv1D(3, 3, kernel_initializer="ones", dtype=policy))
    code = layer(keras.Input((5, 2)))
    assert (code.dtype, layer(code, reverse=True).dtype) == (dtype, dtype)
    x = checks.data(2, 5, 2)
    output = layer(layer(x), reverse=True)
    assert output.dtype == dtype
    assert {w.dtype for w in layer.weights} == {"float32"}
    single_precision = autoencoder(TiedConv(layers.Conv1D(3, 3, kernel_initializer="ones")), 5, 2)
    np.testing.assert_allclose(np.asarray(tf.cast(output, "float32")), single_precision(x), rtol=0.05, atol=0.2)


def test_the_dtype_argument_applies_to_both_directions():
    kernel = {"kernel_initializer": "ones"}
    checks.assert_precision(lambda dtype: TiedConv(layers.Conv1D(3, 3, **kernel), dtype=dtype), checks.data(2, 5, 2))
    assert TiedConv(layers.Conv1D(3, 3), dtype="mixed_float16").layer.compute_dtype == "float16"


def test_xla_equals_eager_in_both_directions():
    layer = TiedConv(layers.Conv2D(3, 3, padding="same", activation="tanh"))
    checks.assert_same_under_xla(layer, checks.data(2, 4, 5, 2))
    code = checks.data(2, 4, 5, 3)
    signature = [tf.TensorSpec([None, None, None, 3], "float32")]
    compiled = tf.function(lambda code: layer(code, reverse=True), input_signature=signature, jit_compile=True)
    np.testing.assert_allclose(compiled(code), layer(code, reverse=True), rtol=1e-4, atol=1e-5)


def test_the_kernel_is_regularized_once_and_both_biases_are_regularized():
    convolution = layers.Conv1D(
        2, 3, kernel_initializer="ones", bias_initializer="ones", bias_constraint="non_neg",
        kernel_regularizer=keras.regularizers.L2(0.5), bias_regularizer=keras.regularizers.L1(0.25),
    )  # fmt: skip
    model = autoencoder(TiedConv(convolution), 5, 3)
    assert sorted(float(loss) for loss in model.losses) == [0.25 * 2, 0.25 * 3, 0.5 * 18]
    assert sum(type(w.constraint).__name__ == "NonNeg" for w in model.weights) == 2


def test_as_an_element_of_a_definition():
    net = dk.Sequential([TiedConv(layers.Conv1D(3, 2), use_reverse_bias=False)])
    assert net == dk.Sequential([TiedConv(layers.Conv1D(3, 2), use_reverse_bias=False)])
    assert net != dk.Sequential([TiedConv(layers.Conv1D(3, 3), use_reverse_bias=False)])
    assert net.build((5, 4)).count_params() == 4 * 2 * 3 + 3


def built_with(*shape):
    layer = TiedConv(layers.Conv2D(3, 3, 2, "same"), name="tied")
    layer(keras.Input(shape))
    return layer


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: TiedConv(layers.SeparableConv2D(3, 3, name="sep")),
            "TiedConv: layer must be a Keras Conv1D, Conv2D or Conv3D, "
            "received <SeparableConv2D name=sep, built=False>\n"
            "  hint: use TiedConv(keras.layers.Conv2D(8, 3))",
        ),
        (lambda: TiedConv(8), "TiedConv: layer must be a Keras Conv1D, Conv2D or Conv3D, received 8\n"),
        (
            lambda: TiedConv(layers.Conv1D(3, 3), name="tied")(keras.Input((5, 3)), reverse=True),
            "TiedConv 'tied': called in reverse before the first forward call, which sets channels and sizes\n"
            "  hint: call code = layer(x), then layer(code, reverse=True)",
        ),
        (
            lambda: TiedConv(layers.Conv1D(3, 3), name="tied").compute_output_shape((None, 5, 3), True),
            "TiedConv 'tied': called in reverse before the first forward call",
        ),
        (
            lambda: built_with(8, None, 2)(np.zeros((1, 4, 4, 3), "float32"), reverse=True),
            "TiedConv 'tied': cannot restore the size of axis 2, which has a stride and was unknown at the first call, "
            "received the shape (None, 8, None, 2)\n"
            "  hint: use a keras.Input with a number on that axis, or strides=1",
        ),
        (
            lambda: built_with(8, 7, 2)(keras.Input((4, 5, 3)), reverse=True),
            "TiedConv 'tied': in reverse, it expects a code of the shape (None, 4, 4, 3), received (None, 4, 5, 3)\n"
            "  hint: pass the layer's own output",
        ),
        (
            lambda: built_with(8, 7, 2)(np.zeros((1, 4, 4, 2), "float32"), reverse=True),
            "in reverse, it expects a code of the shape (None, 4, 4, 3), received (1, 4, 4, 2)",
        ),
    ],
)
def test_invalid_layers_and_calls_are_refused(make, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        make()
    assert text in str(caught.value)
