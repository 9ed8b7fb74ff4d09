"""Outputs of layers and their statistics, compared with manual computations and on deliberately broken models."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk

arrays = dk.visualize.arrays
LOSS = "sparse_categorical_crossentropy"


def statistics_by_layer(model, batch, **options):
    return {row.layer: row for row in arrays.statistics(model, batch, **options)}


def two_layers():
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(3, "relu", use_bias=False, name="one"), layers.Dense(1, name="two")]
    )
    model.set_weights([np.array(value) for value in ([[1, -1, 2], [0, 0, -1]], [[1], [1], [2]], [0])])
    return model


X = np.array([[1, 0], [2, 1], [-1, 3]], "float32")
HIDDEN = np.array([[1, 0, 2], [2, 0, 3], [0, 1, 0]], "float32")


def test_feature_maps_are_the_output_of_the_layer():
    np.testing.assert_array_equal(arrays.feature_maps(two_layers(), X, "one"), HIDDEN)
    model = dk.Sequential([dk.ConvBlock(5, norm=None, name="first"), dk.Classifier(2)]).build((6, 6, 1))
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 1)).astype("float32")
    conv = model.get_layer("first.conv")
    np.testing.assert_array_equal(arrays.feature_maps(model, x, "first.conv"), conv(x))


def test_feature_maps_of_a_nested_model_and_of_a_shared_layer():
    inner = two_layers()
    outer = keras.Sequential([keras.Input((2,)), layers.Rescaling(2.0), inner], name="outer")
    np.testing.assert_array_equal(arrays.feature_maps(outer, X / 2, "one"), HIDDEN)
    np.testing.assert_array_equal(arrays.feature_maps(outer, X / 2, f"{inner.name}/one"), HIDDEN)
    same = layers.Dense(2, use_bias=False, kernel_initializer="identity", name="same")
    inputs = keras.Input((2,))
    model = keras.Model(inputs, same(layers.Rescaling(3.0)(same(inputs))))
    np.testing.assert_allclose(arrays.feature_maps(model, X, "same"), 3 * X)  # the last call


def test_feature_maps_are_drawn_for_images_vectors_and_sequences():
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(70, 1, name="conv"), layers.Flatten(name="flat")])
    x = np.ones((3, 6, 6, 1))
    one = dk.visualize.feature_maps(model, x[:1], "conv")
    assert (len(one.axes), one._suptitle.get_text()) == (64, "64 of 70 feature maps")
    assert len(dk.visualize.feature_maps(model, x, "conv").axes) == 24
    [axes] = dk.visualize.feature_maps(model, x, "flat").axes
    np.testing.assert_array_equal(axes.images[0].get_array(), arrays.feature_maps(model, x, "flat"))
    series = keras.Sequential([keras.Input((9, 2)), layers.Conv1D(4, 3, name="conv")])
    figure = dk.visualize.feature_maps(series, np.ones((2, 9, 2)), "conv")
    assert [ax.images[0].get_array().shape for ax in figure.axes] == [(4, 7)] * 2


def test_invalid_arguments_of_feature_maps_raise():
    with pytest.raises(
        ValueError, match=r"two_layers does not have the layer 'tow'; did you mean 'two'\?\n  hint: use one of one, two"
    ):
        dk.visualize.feature_maps(named(two_layers()), X, "tow")
    with pytest.raises(
        ValueError, match=r"two_layers takes a batch of shape \(batch, 2\), received \(2,\)\n  hint: use x\[None\]"
    ):
        dk.visualize.feature_maps(named(two_layers()), X[0], "one")
    with pytest.raises(ValueError, match="is not built"):
        dk.visualize.feature_maps(keras.Sequential([layers.Dense(2, name="one")]), X, "one")


def named(model):
    return keras.Sequential([keras.Input((2,)), *model.layers], name="two_layers")


def test_statistics_of_the_outputs():
    rows = statistics_by_layer(two_layers(), X)
    one = rows["one"]
    assert one.shape == (3, 3)
    assert (one.mean, one.std) == pytest.approx((HIDDEN.mean(), HIDDEN.std()))
    assert (one.zeros, one.dead, one.saturated) == pytest.approx((4 / 9, 0.0, None))
    assert one.gradient_norm is None
    assert one.weight_norm == pytest.approx(np.sqrt(7))
    assert statistics_by_layer(two_layers(), X[:2])["one"].dead == pytest.approx(1 / 3)


def test_gradient_norms_are_those_of_the_loss():
    model = two_layers()
    y = np.array([[1.0], [0.0], [2.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(X) - y) ** 2)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
    expected = [float(tf.linalg.global_norm(of_layer)) for of_layer in (gradients[:1], gradients[1:])]
    rows = statistics_by_layer(model, (X, y), loss="mse")
    assert [rows[name].gradient_norm for name in ("one", "two")] == pytest.approx(expected, rel=1e-5)
    model.compile("sgd", keras.losses.MeanSquaredError())
    assert statistics_by_layer(model, (X, y)) == rows


def deep(activation, **dense):
    body = [layers.Dense(16, activation, name=f"dense{i}", **dense) for i in range(1, 9)]
    return keras.Sequential([keras.Input((8,)), *body, layers.Dense(3, "softmax", name="head")])


BATCH = np.random.default_rng(0).normal(size=(32, 8)).astype("float32"), np.arange(32) % 3


def test_vanishing_gradients_are_measured():
    rows = list(statistics_by_layer(deep("sigmoid"), BATCH, loss=LOSS).values())
    norms = [row.gradient_norm for row in rows]
    assert norms[0] < 1e-3 * norms[-1]
    healthy = [
        row.gradient_norm for row in arrays.statistics(deep("relu", kernel_initializer="he_normal"), BATCH, loss=LOSS)
    ]
    assert healthy[0] > 0.05 * healthy[-1]


def test_dead_units_and_saturation_are_measured():
    dead = statistics_by_layer(deep("relu", bias_initializer=keras.initializers.Constant(-50.0)), BATCH[0])
    assert dead["dense1"].dead == dead["dense1"].zeros == 1.0
    saturated = statistics_by_layer(
        deep("tanh", kernel_initializer=keras.initializers.RandomNormal(stddev=40.0, seed=0)), BATCH[0]
    )
    assert saturated["dense3"].saturated > 0.9
    assert statistics_by_layer(deep("tanh"), BATCH[0])["dense3"].saturated == 0.0


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_state_is_restored_after_a_run_in_training_mode(policy):
    keras.config.set_dtype_policy(policy)
    net = dk.Sequential([layers.BatchNormalization(), layers.Dropout(0.5), dk.MLP([6]), dk.Classifier(3)])
    model = net.build((8,))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.evaluate(*BATCH, verbose=0)
    values = [keras.ops.convert_to_numpy(v).copy() for v in (*model.variables, *model.metrics_variables)]
    rows = statistics_by_layer(model, BATCH)
    assert rows["dropout"].zeros == pytest.approx(0.5, abs=0.1)
    assert rows["batch_normalization"].std == pytest.approx(1.0, abs=0.05)
    assert statistics_by_layer(model, BATCH) == rows
    assert statistics_by_layer(model, BATCH, training=False)["dropout"].zeros == 0.0
    for before, now in zip(values, (*model.variables, *model.metrics_variables), strict=True):
        np.testing.assert_array_equal(before, now)


def test_the_layers_of_nested_models_have_rows():
    outer = keras.Sequential([keras.Input((2,)), two_layers(), layers.Dense(1, name="last")])
    inner = outer.layers[0].name
    assert list(statistics_by_layer(outer, X)) == [f"{inner}/one", f"{inner}/two", "last"]
    x = keras.Input((4, 2))
    heads = layers.MultiHeadAttention(1, 2, name="heads")(x, x)
    model = keras.Model(x, layers.TimeDistributed(layers.Dense(3), name="each")(heads))
    inner_layers = ["query", "key", "value", "attention_output"]
    rows = statistics_by_layer(model, (np.ones((2, 4, 2)), np.ones((2, 4, 3))), loss="mse")
    assert set(rows) == {*(f"heads/{name}" for name in inner_layers), "each"}
    assert rows["each"].shape == (2, 4, 3)
    assert rows["each"].gradient_norm > 0


def test_only_layers_with_floating_point_outputs_have_rows():
    model = keras.Sequential(
        [keras.Input((4,), dtype="int32"), layers.Embedding(9, 3, name="embedding"), layers.LSTM(2)]
    )
    rows = statistics_by_layer(model, np.ones((2, 4), "int32"))
    assert list(rows) == ["embedding", "lstm"]
    loss = statistics_by_layer(model, (np.ones((2, 4), "int32"), np.ones((2, 2))), loss="mse")
    assert all(row.gradient_norm > 0 for row in loss.values())


def test_the_figure_has_a_row_per_layer():
    figure = dk.visualize.statistics(deep("tanh"), BATCH, loss=LOSS)
    assert len(figure.axes) == 3
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        *(f"dense{i}" for i in range(1, 9)),
        "head",
    ]
    assert figure.axes[2].get_xscale() == "log"
    norms = [row.gradient_norm for row in arrays.statistics(deep("tanh"), BATCH, loss=LOSS)]
    assert len(figure.axes[2].patches) == len(norms)
    assert len(dk.visualize.statistics(deep("tanh"), BATCH[0]).axes) == 2


def test_invalid_arguments_of_statistics_raise():
    with pytest.raises(ValueError, match=r"two_layers does not have a loss .*\n  hint: pass loss='mse'"):
        dk.visualize.statistics(named(two_layers()), (X, X))
    with pytest.raises(ValueError, match=r"expected labels for the loss, received inputs only\n  hint: pass \(x, y\)"):
        dk.visualize.statistics(two_layers(), X, loss="mse")
    with pytest.raises(
        TypeError, match=r"expected a batch x or \(x, y\), received a .*Dataset\n  hint: use next\(iter"
    ):
        dk.visualize.statistics(two_layers(), tf.data.Dataset.from_tensors((X, X)))
