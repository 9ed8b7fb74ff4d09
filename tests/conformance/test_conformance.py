"""Every check on every public block and layer."""

import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from tests.conformance.cases import CASES, Case

NAMESPACE = {"dk": dk, "layers": layers, "keras": keras}
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def batch(shape, size=3, seed=0):
    if shape == ():
        return tf.constant(np.random.default_rng(seed).choice(["The dog runs.", "A cat", "", "Runs, runs!"], size))
    filled = [5 + i if n is None else n for i, n in enumerate(shape)]
    return np.random.default_rng(seed).normal(size=(size, *filled)).astype("float32")


def build(case: Case, shape=None) -> keras.Model:
    return case.definition().build(shape or case.shape)


def test_every_public_block_and_layer_has_a_case():
    covered = {name for case in CASES for name in case.covers.split()}
    blocks = {n for n in dk.__all__ if inspect.isclass(getattr(dk, n)) and issubclass(getattr(dk, n), dk.Block)}
    blocks -= {"Seq2Seq"}  # called on pairs of texts: tests/models/test_seq2seq.py
    assert covered == (blocks - {"Block"}) | set(dk.layers.__all__)


@each_case
def test_equals_its_own_evaluated_repr(case):
    definition = case.definition()
    again = eval(repr(definition), NAMESPACE)
    assert again == definition
    assert hash(again) == hash(definition)
    assert repr(again) == repr(definition)


@each_case
def test_equals_what_its_data_and_its_yaml_say(case, tmp_path):
    definition = case.definition()
    assert dk.from_dict(json.loads(json.dumps(dk.to_dict(definition)))) == definition
    text = dk.dump(definition, tmp_path / "model.yaml")
    again = dk.load(tmp_path / "model.yaml")
    assert again == definition
    assert dk.dump(again) == text


@each_case
def test_two_definitions_of_the_same_are_equal_and_another_is_not(case):
    assert case.definition() == case.definition()
    for other in CASES:
        same = case.definition() == other.definition()
        assert same == (repr(case.definition()) == repr(other.definition())), other.name


@each_case
def test_real_shape_equals_symbolic_shape_for_any_batch(case):
    model = build(case)
    for size in (1, 4):
        assert model(batch(case.shape, size)).shape == (size, *model.output_shape[1:])


@each_case
def test_unknown_sizes(case):
    if case.unknown is None:
        pytest.skip("needs known sizes")
    fixed, free = build(case), build(case, case.unknown)
    free.set_weights(fixed.get_weights())
    x = batch(case.shape)
    np.testing.assert_allclose(free(x), fixed(x), rtol=1e-5, atol=1e-5)
    assert np.all(np.isfinite(free(batch(case.unknown))))


@each_case
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_precision(case, policy):
    keras.config.set_dtype_policy(policy)
    model = build(case)
    assert all(weight.dtype == "float32" for weight in model.trainable_weights)
    assert np.all(np.isfinite(np.asarray(keras.ops.cast(model(batch(case.shape)), "float32"))))


@each_case
def test_saved_and_loaded_gives_the_same(case, tmp_path):
    model = build(case)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = batch(case.shape)
    np.testing.assert_array_equal(again(x), model(x))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


@each_case
def test_every_weight_gets_a_finite_gradient(case):
    if case.whole:
        pytest.skip("its own training step says what each weight learns from")
    model = build(case)
    with tf.GradientTape() as tape:
        outputs = model(batch(case.shape), training=True)
        loss = tf.reduce_mean(outputs * tf.constant(batch(outputs.shape[1:], size=3, seed=1)))
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, [w.value for w in model.trainable_weights]), strict=True
    ):
        assert gradient is not None, weight.path
        assert np.all(np.isfinite(tf.convert_to_tensor(gradient))), weight.path  # of an embedding, only some rows


def layer_weights(model):
    """Return the weights of all layers, without those that a model has of its own, such as beta of a VAE."""
    weights = {id(weight): weight for layer in model.layers for weight in layer.weights}
    return [weight.numpy() for weight in weights.values()]


@each_case
def test_clone_model(case):
    model = build(case)
    clone = keras.models.clone_model(model)
    clone.set_weights(layer_weights(model))
    x = batch(case.shape)
    np.testing.assert_array_equal(clone(x), model(x))


@each_case
def test_the_same_under_the_same_seed(case):
    def outputs(training):
        keras.utils.set_random_seed(11)
        return np.asarray(build(case)(batch(case.shape), training=training))

    np.testing.assert_array_equal(outputs(True), outputs(True))
    np.testing.assert_array_equal(outputs(False), outputs(False))


@each_case
def test_building_twice_makes_two_sets_of_weights(case):
    definition = case.definition()
    first, second = definition.build(case.shape), definition.build(case.shape)
    assert not {id(w) for w in first.weights} & {id(w) for w in second.weights}
    assert [w.path for w in first.weights] == [w.path for w in second.weights]


@each_case
def test_names_are_dotted_places(case):
    model = build(case)
    names = [layer.name for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    assert len(set(names)) == len(names)
    assert all(name.replace(".", "").replace("_", "").replace("-", "").isalnum() for name in names)


@each_case
def test_called_on_a_symbolic_tensor(case):
    if case.whole:
        pytest.skip("it can be no part of another model")
    if "Shared" in repr(case.definition()):
        pytest.skip("a Shared is added by build only")
    x = keras.Input(case.shape, dtype="string" if case.shape == () else None)
    by_call = keras.Model(x, case.definition()(x))
    by_build = build(case)
    by_call.set_weights(layer_weights(by_build))
    data = batch(case.shape)
    np.testing.assert_allclose(by_call(data), by_build(data), rtol=1e-6, atol=1e-6)


MASKED = [case for case in CASES if case.name in ("mlp_positions", "classifier_positions", "residual_positions")]


@pytest.mark.parametrize("case", MASKED, ids=lambda case: case.name)
def test_a_mask_passes_and_equals_truncation(case):
    net = dk.Sequential([layers.Masking(), case.definition(), layers.GlobalAveragePooling1D()])
    model = net.build((None, case.shape[-1]))
    short = batch((3, case.shape[-1]))
    padded = np.concatenate([short, np.zeros((len(short), 2, case.shape[-1]), "float32")], axis=1)
    np.testing.assert_allclose(model(padded), model(short), rtol=1e-5, atol=1e-6)
