"""A token id without a row: where it is, how to mend it, and that the run keeps what it had."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.errors import TokenIdError
from deepkit.training import checkpoint
from deepkit.training import token_id_check as token_ids

Y = np.arange(32) % 2
NET = dk.Sequential([layers.Embedding(10, 3, name="words"), dk.Classifier(2, pool="avg")])


def ids(wrong=None, place=20):
    x = np.random.default_rng(0).integers(0, 10, (32, 4))
    if wrong is not None:
        x[place, 2] = wrong
    return x


def fit(net, data, **kwargs):
    return dk.fit(net, data, **{"verbose": 0, "plan": dk.plan(devices="CPU:0"), **kwargs})


def test_an_id_beyond_the_rows_is_named_with_layer_rows_and_mend(tmp_path):
    with pytest.raises(TokenIdError) as caught:
        fit(NET, (ids(12), Y), batch_size=8, run_dir=tmp_path)
    assert str(caught.value) == (
        "the embedding 'words' was given the token id 12, and its 10 rows are for the ids 0 to 9; "
        f"in epoch 1, the model is back at the start of training, kept in {tmp_path / checkpoint.NAME}\n"
        "  hint: input_dim=13 or more in that layer, or smaller ids in the data; a changed setting needs a new run_dir"
    )
    assert checkpoint.load(tmp_path).epoch == 0
    assert fit(NET, (ids(), Y), batch_size=8, run_dir=tmp_path / "new").epochs == 1


def batches(x):
    return tf.data.Dataset.from_tensor_slices((x, Y)).batch(8)


@pytest.mark.parametrize("wrong", [-1, 10, 2**31])
def test_ids_are_looked_through_in_datasets_and_below_zero_too(wrong):
    with pytest.raises(TokenIdError, match=rf"'words' was given the token id {wrong}, and its 10 rows") as caught:
        fit(NET, batches(ids(wrong)))
    hint = "hint: ids from 0 on in the data" if wrong < 0 else f"hint: input_dim={wrong + 1} or more"
    assert hint in str(caught.value)


def test_validation_data_are_looked_through():
    with pytest.raises(TokenIdError, match="the token id 11"):
        fit(NET, (ids(), Y), validation_data=(ids(11), Y))


def test_a_learning_rate_range_test_looks_through_them_too():
    with pytest.raises(TokenIdError, match="'words' was given the token id 12") as caught:
        dk.find_learning_rate(NET, (ids(12), Y), steps=10, batch_size=8, verbose=0)
    assert "hint: input_dim=13 or more" in str(caught.value)


def test_inputs_by_name_and_numbers_that_are_floats():
    asked, age = keras.Input((4,), name="asked"), keras.Input((1,), name="age")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(10, 3, name="words")(asked))
    model = keras.Model({"asked": asked, "age": age}, layers.Dense(2)(layers.Concatenate()([mean, age])))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = {"asked": ids(12).astype("float32"), "age": np.zeros((32, 1), "float32")}
    with pytest.raises(TokenIdError, match="'words' was given the token id 12"):
        fit(model, (x, Y))


def test_later_epochs_keep_the_ones_before(tmp_path):
    epoch = tf.Variable(0, dtype=tf.int64)

    class Count(keras.callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            epoch.assign(number)

    data = batches(ids()).map(lambda x, y: (x + 10 * epoch, y))
    model = NET.build((4,))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(TokenIdError, match="in epoch 2, the model is back at the end of epoch 1, kept in"):
        fit(model, data, epochs=3, run_dir=tmp_path, callbacks=[Count()])
    kept = checkpoint.load(tmp_path)
    assert kept.epoch == 1
    for variable, (_, value) in zip(model.variables, kept.variables["model"], strict=True):
        np.testing.assert_array_equal(variable, value)


def test_where_the_ids_are_made_inside_the_model_its_error_is_explained():
    inner = keras.Sequential([keras.Input((4,)), layers.Embedding(10, 3, name="words")])
    net = dk.Sequential([layers.Rescaling(1.0), inner, dk.Classifier(2, pool="avg")])
    with pytest.raises(TokenIdError, match="'words' was given the token id 12, and its 10 rows"):
        fit(net, (ids(12).astype("float32"), Y))


def test_other_errors_of_tensorflow_stay_as_they_are():
    data = tf.data.Dataset.from_tensor_slices((ids(), Y)).batch(8)
    broken = data.map(lambda x, y: (x + tf.cast(tf.debugging.check_numerics(1.0 / tf.zeros(()), "broken"), x.dtype), y))
    with pytest.raises(tf.errors.InvalidArgumentError, match="broken"):
        fit(NET, broken)


def test_batches_without_embeddings_are_passed_on_untouched():
    data = batches(ids().astype("float32"))
    assert token_ids.check_batches(data, dk.Classifier(2).build((4,))) is data
    assert token_ids.check_batches(None, NET.build((4,))) is None


def test_good_ids_come_through_as_they_were():
    watched = token_ids.check_batches(batches(ids()), NET.build((4,)))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in watched]), ids())


def test_ids_are_found_in_the_data_where_a_device_would_say_nothing():
    """A GPU takes zeros, and XLA the last row: no model runs here."""
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(token_ids.check_batches(batches(ids(12)), NET.build((4,))))
    explained = token_ids.explain_error(caught.value, NET.build((4,)), 1, None)
    assert (explained.layer, explained.token_id, explained.rows) == ("words", 12, 10)
