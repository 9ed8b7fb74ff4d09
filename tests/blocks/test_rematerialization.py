"""`rematerialize=True`: the same outputs, gradients, random numbers, statistics and weights, in less memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.definition.rematerialization import Rematerialized

rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(8, 6, 6, 3)).astype("float32")
IDS = np.where(np.arange(7) < 5, rng.integers(1, 9, (8, 7)), 0)
LABELS = rng.integers(0, 2, 8)
UNIT = dk.Residual([dk.ConvBlock(3), layers.Dropout(0.3), dk.ConvBlock(3, activation=None)])


def repeat(rematerialize):
    return dk.Sequential([dk.Repeat([UNIT, layers.ReLU()], num_repeats=2, rematerialize=rematerialize)])


def stage(rematerialize):
    inner = dk.Repeat(UNIT, num_repeats=2, rematerialize=rematerialize)
    return dk.Sequential([UNIT, inner, dk.Classifier(2, pool="avg")], rematerialize=rematerialize, name="stage")


def regularized(rematerialize):
    dense = layers.Dense(3, activation="tanh", activity_regularizer="l2", kernel_regularizer="l2")
    return dk.Sequential([dk.Repeat(dense, num_repeats=2, rematerialize=rematerialize)])


def masked(rematerialize):
    body = [layers.LayerNormalization(), dk.Recurrent("gru", 4, return_sequences=True)]
    stack = dk.Repeat(dk.Residual(body, activation=None), num_repeats=2, rematerialize=rematerialize)
    embedding = dk.Sequential([layers.Embedding(9, 4, mask_zero=True)], rematerialize=rematerialize)
    return dk.Sequential([embedding, stack, dk.MultiHeadAttention(2, key_dim=2), dk.Classifier(2, pool="avg")])


def models(make, x, seed=3, precision="float32"):
    """Return the models without and with rematerialization, with equal weights and seeds."""
    for rematerialize in (False, True):
        with dk.plan(seed=seed, precision=precision):
            yield make(rematerialize).build(x.shape[1:])


def training_step(model, x):
    """Return the output in training mode, the loss and the gradients."""
    with tf.GradientTape() as tape:
        output = model(x, training=True)
        loss = keras.ops.mean(output**2) + sum(model.losses)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    return [output, loss, *map(tf.convert_to_tensor, gradients)]


def check_equal_steps(make, x, step=training_step, tolerance=1e-6):
    plain, model = models(make, x)
    for value, expected in zip(step(model, x), step(plain, x), strict=True):
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
    for variable, expected in zip(model.variables, plain.variables, strict=True):  # seeds and statistics
        np.testing.assert_allclose(variable, expected, rtol=tolerance, atol=tolerance, err_msg=variable.path)


CASES = {repeat: IMAGES, stage: IMAGES, regularized: IMAGES[:, 0, 0], masked: IDS}


@pytest.mark.parametrize("make", [repeat, *(pytest.param(make, marks=pytest.mark.slow) for make in CASES)])
def test_a_training_step_is_equal(make):
    check_equal_steps(make, CASES[make])


@pytest.mark.slow
@pytest.mark.parametrize(("make", "compiled"), [(repeat, True), (stage, False), (regularized, True), (masked, False)])
def test_a_step_in_a_graph_is_equal(make, compiled):
    def step(model, x):
        return tf.function(lambda x: training_step(model, x), jit_compile=compiled, autograph=False)(tf.constant(x))

    check_equal_steps(make, CASES[make], step, tolerance=1e-5 if compiled else 1e-6)


def test_weights_have_the_same_names_and_order():
    plain, model = models(stage, IMAGES)
    assert [weight.path for weight in plain.weights] == [weight.path for weight in model.weights]
    assert [layer.name for layer in model.layers[1:]] == [f"rematerialized{number}" for number in (1, 2, 3)]
    assert all(isinstance(layer, Rematerialized) for layer in model.layers[1:])
    for weight in plain.weights:
        weight.assign(weight + 1)
    model.set_weights(plain.get_weights())
    np.testing.assert_array_equal(model(IMAGES), plain(IMAGES))


def test_only_training_computes_twice(monkeypatch):
    model = repeat(True).build((6, 6, 3))
    calls = []
    monkeypatch.setattr(Rematerialized, "_recomputed", lambda self, tensors: calls.append(self.name) or tensors[0])
    model(IMAGES, training=False)
    assert calls == []
    model(IMAGES, training=True)
    assert calls == ["repeat.rematerialized1", "repeat.rematerialized2"]


def test_an_element_without_layers_is_no_nested_model():
    model = dk.Sequential([dk.Input((4,)), layers.Dense(2)], rematerialize=True).build()
    assert [layer.name for layer in model.layers[1:]] == ["rematerialized1"]


def test_a_layer_with_weights_can_be_used_once():
    used = keras.Sequential([keras.Input((4,)), layers.Dense(4)], name="used")
    model = dk.Sequential([used, layers.Dense(2)], rematerialize=True).build((4,))
    assert model.layers[1].layers[-1] is used
    with pytest.raises(dk.errors.DefinitionError, match="shares layers with the model"):
        dk.Sequential([used, dk.Sequential([used], rematerialize=True)]).build((4,))


@pytest.mark.parametrize(
    ("net", "text"),
    [
        (
            dk.Repeat(dk.Shared(layers.Dense(4)), num_repeats=2, rematerialize=True),
            r"a Shared inside rematerialize=True(.|\n)*at    repeat.shared(.|\n)*hint: use rematerialize=False",
        ),
        (
            dk.Sequential([layers.Normalization()], rematerialize=True),
            r"Normalization is not adapted(.|\n)*hint: put it before the block with rematerialize=True",
        ),
    ],
)
def test_what_cannot_be_rematerialized_raises(net, text):
    with pytest.raises(dk.errors.DefinitionError, match=text):
        dk.Sequential([net]).build((4,))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_trainings_are_equal_to_the_last_bit(precision):
    plan = dk.plan(seed=1, precision=precision, steps_per_execution=2, gradient_accumulation_steps=2)
    options = {"batch_size": 2, "epochs": 8, "plan": plan, "verbose": 0}
    plain, run = (dk.fit(stage(rematerialize), IMAGES, LABELS, **options) for rematerialize in (False, True))
    assert run.history == plain.history
    for variable, expected in zip(run.model.variables, plain.model.variables, strict=True):
        np.testing.assert_array_equal(variable, expected)


@pytest.mark.slow
def test_a_saved_model_is_rematerialized_too(tmp_path):
    run = dk.fit(stage(True), IMAGES, LABELS, epochs=24, batch_size=4, run_dir=tmp_path, verbose=0)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert sum(isinstance(layer, Rematerialized) for layer in loaded.layers) == 3
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), run.model.predict(IMAGES, verbose=0))
    loaded.fit(IMAGES, LABELS, verbose=0)


@pytest.mark.slow
def test_inference_is_exported_without_the_nested_function(tmp_path):
    model = repeat(True).build((6, 6, 3))
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(loaded.serve(IMAGES), model(IMAGES), rtol=1e-5, atol=1e-6)
