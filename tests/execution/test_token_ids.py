"""Token ids outside the range of an embedding: detection, message, and the state of the run."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.errors import TokenIdError
from deepkit.training import batch_checks, checkpoint, token_id_check

Y = np.arange(32) % 2
NET = dk.Sequential([layers.Embedding(10, 3, name="words"), dk.Classifier(2, pool="avg")])


def ids(wrong=None, row=20):
    x = np.random.default_rng(0).integers(0, 10, (32, 4))
    if wrong is not None:
        x[row, 2] = wrong
    return x


def fit(net, data, **kwargs):
    return dk.fit(net, data, **{"verbose": 0, "plan": dk.plan(devices="CPU:0"), **kwargs})


def test_the_message_for_an_id_that_is_too_large(tmp_path):
    with pytest.raises(TokenIdError) as caught:
        fit(NET, (ids(12), Y), batch_size=8, run_dir=tmp_path)
    assert str(caught.value) == (
        "the embedding 'words' received the token id 12, but with input_dim=10 it accepts 0 to 9; "
        f"in epoch 1, the model is back at the start of training, saved in {tmp_path / checkpoint.NAME}\n"
        "  hint: set input_dim=13 or more in that layer, or use smaller token ids in the data; a changed setting needs "
        "a new run_dir"
    )
    assert checkpoint.load(tmp_path).epoch == 0
    assert fit(NET, (ids(), Y), batch_size=8, run_dir=tmp_path / "new").epochs == 1


def batches(x):
    return tf.data.Dataset.from_tensor_slices((x, Y)).batch(8)


@pytest.mark.parametrize("wrong", [-1, 10, 2**31])
def test_ids_of_a_dataset_are_checked_also_if_negative(wrong):
    with pytest.raises(TokenIdError, match=rf"'words' received the token id {wrong}, but with input_dim=10") as caught:
        fit(NET, batches(ids(wrong)))
    hint = "hint: use token ids from 0 in the data" if wrong < 0 else f"hint: set input_dim={wrong + 1} or more"
    assert hint in str(caught.value)


def test_ids_of_validation_data_are_checked():
    with pytest.raises(TokenIdError, match="the token id 11"):
        fit(NET, (ids(), Y), validation_data=(ids(11), Y))


def test_ids_of_a_learning_rate_test_are_checked():
    with pytest.raises(TokenIdError, match="'words' received the token id 12") as caught:
        dk.find_learning_rate(NET, (ids(12), Y), steps=10, batch_size=8, verbose=0)
    assert "hint: set input_dim=13 or more" in str(caught.value)


def test_ids_of_named_inputs_and_of_floats_are_checked():
    question, age = keras.Input((4,), name="question"), keras.Input((1,), name="age")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(10, 3, name="words")(question))
    model = keras.Model({"question": question, "age": age}, layers.Dense(2)(layers.Concatenate()([mean, age])))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = {"question": ids(12).astype("float32"), "age": np.zeros((32, 1), "float32")}
    with pytest.raises(TokenIdError, match="'words' received the token id 12"):
        fit(model, (x, Y))


def test_an_error_in_a_later_epoch_keeps_the_finished_epochs(tmp_path):
    epoch = tf.Variable(0, dtype=tf.int64)

    class Count(keras.callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            epoch.assign(number)

    data = batches(ids()).map(lambda x, y: (x + 10 * epoch, y))
    model = NET.build((4,))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(TokenIdError, match="in epoch 2, the model is back at the end of epoch 1, saved in"):
        fit(model, data, epochs=3, run_dir=tmp_path, callbacks=[Count()])
    stored = checkpoint.load(tmp_path)
    assert stored.epoch == 1
    for variable, (_, value) in zip(model.variables, stored.variables["model"], strict=True):
        np.testing.assert_array_equal(variable, value)


def test_an_error_of_an_embedding_inside_the_model_is_explained():
    inner = keras.Sequential([keras.Input((4,)), layers.Embedding(10, 3, name="words")])
    net = dk.Sequential([layers.Rescaling(1.0), inner, dk.Classifier(2, pool="avg")])
    with pytest.raises(TokenIdError, match="'words' received the token id 12, but with input_dim=10"):
        fit(net, (ids(12).astype("float32"), Y))


def test_other_errors_of_tensorflow_are_unchanged():
    data = tf.data.Dataset.from_tensor_slices((ids(), Y)).batch(8)
    broken = data.map(lambda x, y: (x + tf.cast(tf.debugging.check_numerics(1.0 / tf.zeros(()), "broken"), x.dtype), y))
    with pytest.raises(tf.errors.InvalidArgumentError, match="broken"):
        fit(NET, broken)


def test_batches_without_embeddings_are_returned_unchanged():
    data = batches(ids().astype("float32"))
    assert batch_checks.check_batches(data, dk.Classifier(2).build((4,))) is data
    assert batch_checks.check_batches(None, NET.build((4,))) is None


def test_valid_ids_are_unchanged():
    checked = batch_checks.check_batches(batches(ids()), NET.build((4,)))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in checked]), ids())


def test_ids_are_detected_in_the_data_without_running_a_model():
    """A GPU returns zeros for such an id, and XLA the last row, without an error."""
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(batch_checks.check_batches(batches(ids(12)), NET.build((4,))))
    error = token_id_check.explain_error(caught.value, NET.build((4,)), 1, None)
    assert (error.layer, error.token_id, error.input_dim) == ("words", 12, 10)
