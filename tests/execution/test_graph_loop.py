"""Training steps in a loop inside the graph: the batches of `tf.data` in the same order, with the same results."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.func_graph import FuncGraph

import deepkit as dk
from deepkit.training import graph_loop

rng = np.random.default_rng(0)
IMAGES, LABELS = rng.integers(0, 256, (50, 6, 6, 1), dtype="uint8"), rng.integers(0, 3, 50)
NET = dk.Sequential([layers.Flatten(), layers.Dropout(0.3), dk.Classifier(3)])


def batches_of(train, epoch, functions=()):
    resident = train.resident_batches(functions)
    resident.begin_epoch(epoch)
    return [resident.batch(tf.constant(epoch, tf.int64), tf.constant(step, tf.int64)) for step in range(resident.steps)]


@pytest.mark.parametrize("augment", [(), (dk.data.Shift(1), dk.data.Affine(rotation=20))])
@pytest.mark.parametrize("epoch", [0, 3])
def test_batches_in_memory_equal_those_of_the_pipeline(augment, epoch):
    train = dk.data.from_arrays(IMAGES, LABELS, batch_size=8, augment=augment).train
    expected = list(train.epochs(start=epoch).take(train.steps))
    for batch, other in zip(batches_of(train, epoch), expected, strict=True):
        for value, other_value in zip(batch, other, strict=True):
            np.testing.assert_array_equal(value, other_value)


def test_functions_are_applied_to_each_batch_in_their_order():
    train = dk.data.from_arrays(IMAGES, LABELS, batch_size=50).train
    ((_, labels),) = batches_of(train, 0, (lambda x, y: (x, y + 1), lambda x, y: (x, 2 * y)))
    assert sorted(labels.numpy()) == sorted(2 * (LABELS + 1))


def test_only_dense_data_in_memory_without_a_map_is_resident():
    arrays = dk.data.from_arrays(IMAGES, LABELS).train
    ragged = tf.ragged.constant([[1], [2, 3]])
    assert arrays.resident_batches() is not None
    assert dk.data.from_arrays(IMAGES, LABELS, map=lambda x: x / 255).train.resident_batches() is None
    assert arrays.with_source((ragged, np.arange(2))).resident_batches() is None


def weights(model):
    return [np.asarray(variable) for variable in model.variables]


@pytest.mark.parametrize("options", [{}, {"steps_per_epoch": 3}, {"class_weight": "balanced"}])
def test_training_equals_that_of_keras_to_the_last_bit(options, monkeypatch):
    def fit():
        with dk.plan(seed=3, steps_per_execution=4 if calls else 1):
            return dk.fit(NET, dk.data.from_arrays(IMAGES, LABELS, batch_size=8), epochs=3, verbose=0, **options)

    calls = []
    monkeypatch.setattr(graph_loop.GraphLoop, "begin_epoch", recording(graph_loop.GraphLoop.begin_epoch, calls))
    monkeypatch.setattr(graph_loop, "is_supported", lambda model: bool(calls))
    expected = fit()
    calls.append("supported")
    run = fit()
    assert calls == ["supported", 0, 1, 2]
    assert run.history == expected.history
    for value, other in zip(weights(run.model), weights(expected.model), strict=True):
        np.testing.assert_array_equal(value, other)


def recording(method, calls):
    def record(self, epoch):
        calls.append(epoch)
        method(self, epoch)

    return record


def test_a_run_continues_with_another_number_of_steps_per_execution(tmp_path):
    data = dk.data.from_arrays(IMAGES, LABELS, batch_size=8)
    expected = dk.fit(NET, data, epochs=2, plan=dk.plan(seed=3), verbose=0)
    dk.fit(NET, data, epochs=1, plan=dk.plan(seed=3, steps_per_execution=2), run_dir=tmp_path, verbose=0)
    run = dk.fit(NET, data, epochs=2, plan=dk.plan(seed=3), run_dir=tmp_path, verbose=0)
    assert run.resume == "exact"
    assert run.history == expected.history


def test_batches_of_a_dataset_are_read_to_the_end_of_each_epoch():
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES.astype("float32"), LABELS)).batch(8)
    run = dk.fit(NET, dataset, epochs=2, plan=dk.plan(steps_per_execution=4), verbose=0)
    assert int(run.model.optimizer.iterations) == 14


def test_the_progress_bar_ends_at_the_number_of_steps(capsys):
    dk.fit(NET, dk.data.from_arrays(IMAGES, LABELS, batch_size=8), epochs=1, verbose=1)
    assert "7/7" in capsys.readouterr().out.splitlines()[-1]


def test_a_model_can_be_trained_with_other_data_afterwards():
    model = dk.fit(NET, dk.data.from_arrays(IMAGES, LABELS, batch_size=8), verbose=0).model
    assert model.train_function is None
    model.fit(IMAGES[:10], LABELS[:10], batch_size=5, verbose=0)
    assert int(model.optimizer.iterations) == 9


def num_graphs():
    gc.collect()
    return sum(isinstance(value, FuncGraph) and value.name == "step" for value in gc.get_objects())


@pytest.mark.parametrize("rematerialize", [False, True])
def test_a_training_leaves_no_graph_in_memory(rematerialize):
    net = dk.Sequential([layers.Flatten(), dk.Repeat(layers.Dense(4), num_repeats=2, rematerialize=rematerialize), NET])
    before = num_graphs()
    dk.fit(net, dk.data.from_arrays(IMAGES, LABELS, batch_size=8), verbose=0)
    assert num_graphs() == before


class TrainsOnBatch(keras.callbacks.Callback):
    """Takes a step of its own in each epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.train_on_batch(IMAGES[:4], LABELS[:4])


def test_a_callback_can_train_on_a_batch():
    data = dk.data.from_arrays(IMAGES, LABELS, batch_size=8)
    run = dk.fit(NET, data, epochs=2, callbacks=[TrainsOnBatch()], verbose=0)
    assert int(run.model.optimizer.iterations) == 2 * (7 + 1)


class OwnFunction(keras.Model):
    """A model with a training function of its own."""

    def make_train_function(self, force=False):
        super().make_train_function(force)


def test_a_training_function_of_the_model_takes_one_step_per_call():
    class Net:
        def build(self, input_shape):
            inputs = keras.Input(input_shape)
            return OwnFunction(inputs, layers.Dense(3)(layers.Flatten()(inputs)))

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    run = dk.fit(Net(), dk.data.from_arrays(IMAGES, LABELS, batch_size=8), loss=loss, verbose=0)
    assert run.plan.steps_per_execution == 1
    assert dict(run.plan.reasons)["steps_per_execution"] == "the model has a training function of its own"
    assert int(run.model.optimizer.iterations) == 7
