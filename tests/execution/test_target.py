"""What a model is given to learn in place of the data's labels."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.data.pipeline import Pipeline

X = np.random.default_rng(0).random((20, 4)).astype("float32")
Y = np.arange(20) % 3


@dataclass(frozen=True, repr=False)
class Copying(dk.Block):
    """Learns to give back what comes in."""

    @property
    def training_target(self):
        return "inputs"

    def add(self, x, builder):
        return builder.add_layer(x, "dense", keras.layers.Dense, x.shape[-1])


@keras.saving.register_keras_serializable(package="deepkit_tests")
class Shrinking(keras.Model):
    """Finds its loss in the inputs: how large a weight is."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, x):
        return self.dense(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        assert y is None
        return keras.ops.mean(keras.ops.square(y_pred))


@dataclass(frozen=True, repr=False)
class Alone(dk.Block):
    """Is given x and nothing else."""

    @property
    def training_target(self):
        return "none"

    def add(self, x, builder):
        raise NotImplementedError

    def build(self, input_shape=None):
        model = Shrinking()
        model.build((None, *input_shape))
        return model


def parts(element):
    return [part.numpy() for part in (element if isinstance(element, tuple) else (element,))]


@pytest.mark.parametrize("labelled", [True, False])
def test_a_pipeline_gives_the_inputs_as_they_come_out_in_place_of_the_labels(labelled):
    data = dk.data.from_arrays(X, Y if labelled else None, map=lambda x: 2 * x)
    x, y = parts(next(iter(data.train.with_target("inputs"))))
    np.testing.assert_array_equal(x, y)
    assert sorted(x[:, 0]) == sorted(2 * X[:, 0])
    (alone,) = parts(next(iter(data.train.with_target("none"))))
    np.testing.assert_array_equal(alone, x)


def test_another_target_is_another_run():
    train = dk.data.from_arrays(X, Y).train
    prints = {train.with_target(target).fingerprint for target in ("labels", "inputs", "none")}
    assert len(prints) == 3
    assert train.fingerprint in prints
    with pytest.raises(ValueError, match="target must be one of 'labels', 'inputs', 'none', received 'itself'"):
        train.with_target("itself")


def test_fit_gives_back_the_inputs_where_the_definition_asks_for_them():
    kinds = [dk.data.from_arrays(X, Y, validation=4), (X, Y), X, tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)]
    for data in kinds:
        run = dk.fit(dk.Sequential([Copying()]), data, loss="mse", batch_size=None, verbose=0)
        assert run.model.output_shape == (None, 4)
    validated = dk.fit(Copying(), kinds[0], loss="mse", verbose=0)
    assert "val_loss" in validated.history


def test_a_part_of_a_larger_net_learns_the_labels():
    assert dk.Sequential([Copying(), dk.Classifier(3)]).training_target == "labels"


def test_a_model_with_a_loss_of_its_own_needs_neither_labels_nor_a_loss():
    run = dk.fit(Alone(), dk.data.from_arrays(X, Y, validation=4), epochs=2, verbose=0)
    assert run.history["loss"][1] < run.history["loss"][0]
    assert isinstance(dk.data.from_arrays(X).train, Pipeline)
