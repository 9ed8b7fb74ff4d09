"""Checks of any layer, called by the tests of each layer."""

import keras
import numpy as np
import tensorflow as tf


def data(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype("float32")


def assert_config_round_trip(layer):
    config = layer.get_config()
    restored = type(layer).from_config(config)
    assert restored.get_config() == config
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).get_config() == config


def assert_saved_and_cloned(layer, x, folder):
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, layer(inputs))
    model.save(folder / "model.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    expected = np.asarray(model(x))
    np.testing.assert_array_equal(keras.models.load_model(folder / "model.keras")(x), expected)
    np.testing.assert_array_equal(clone(x), expected)


def assert_same_under_xla(layer, x, rtol=1e-5):
    """Compile for unknown sizes: only the number of axes and of channels is known."""
    expected = np.asarray(layer(x))
    axis = 1 if getattr(layer, "data_format", None) == "channels_first" else x.ndim - 1
    signature = [tf.TensorSpec([n if i == axis else None for i, n in enumerate(x.shape)], x.dtype)]
    for compiled in (True, False):
        function = tf.function(layer, input_signature=signature, jit_compile=compiled)
        np.testing.assert_allclose(function(x), expected, rtol=rtol, atol=1e-6)


def assert_symbolic_shape(layer, x):
    """Check the symbolic shapes for known and unknown sizes against that of the output."""
    output_shape = tuple(layer(x).shape)
    assert layer.compute_output_shape(x.shape) == output_shape
    axis = 1 if getattr(layer, "data_format", None) == "channels_first" else x.ndim - 1
    unknown = tuple(n if i == axis else None for i, n in enumerate(x.shape))
    symbolic = layer(keras.Input(batch_shape=unknown)).shape
    assert symbolic == tuple(n if i == axis else None for i, n in enumerate(output_shape))


def assert_precision(make, x, rtol=0.02):
    """Check that half precision returns half precision, close to the result of single precision."""
    expected = np.asarray(make(dtype="float32")(x))
    for policy, dtype in (("mixed_float16", "float16"), ("mixed_bfloat16", "bfloat16")):
        layer = make(dtype=policy)
        outputs = layer(x)
        assert outputs.dtype == dtype
        assert layer.compute_output_spec(keras.KerasTensor(x.shape)).dtype == dtype
        np.testing.assert_allclose(np.asarray(tf.cast(outputs, "float32")), expected, rtol=rtol, atol=rtol)


def gradient(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = tf.reduce_sum(function(x))
    return np.asarray(tape.gradient(outputs, x))


def assert_mask_passes(layer, features):
    """Check that the mean over the unmasked steps equals that of the sequence without padding."""
    net = [keras.layers.Masking(), layer, keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential([keras.Input((None, features)), *net])
    short = data(2, 3, features)
    padded = np.concatenate([short, np.zeros((2, 2, features), "float32")], axis=1)
    np.testing.assert_allclose(model(padded), model(short), rtol=1e-5, atol=1e-6)
