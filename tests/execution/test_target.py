"""Training targets: the labels, the inputs or none."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.data.pipeline import Pipeline
from deepkit.errors import LabelError

X = np.random.default_rng(0).random((20, 4)).astype("float32")
Y = np.arange(20) % 3


class Copying(dk.Block):
    """Learns to reconstruct its input."""

    @property
    def training_target(self):
        return "inputs"

    def add(self, x, builder):
        return builder.add_layer(x, "dense", keras.layers.Dense, x.shape[-1])


@keras.saving.register_keras_serializable(package="deepkit_tests")
class Shrinking(keras.Model):
    """Computes its loss from the inputs alone."""

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


class WithoutLabels(dk.Block):
    """Trains on x alone."""

    @property
    def training_target(self):
        return "none"

    def add(self, x, builder):
        raise NotImplementedError

    def build(self, input_shape=None):
        model = Shrinking()
        model.build((None, *input_shape))
        return model


def as_arrays(batch):
    return [tensor.numpy() for tensor in (batch if isinstance(batch, tuple) else (batch,))]


@pytest.mark.parametrize("labeled", [True, False])
def test_a_pipeline_replaces_the_labels_by_the_mapped_inputs(labeled):
    data = dk.data.from_arrays(X, Y if labeled else None, map=lambda x: 2 * x)
    x, y = as_arrays(next(iter(data.train.with_target("inputs"))))
    np.testing.assert_array_equal(x, y)
    assert sorted(x[:, 0]) == sorted(2 * X[:, 0])
    (inputs,) = as_arrays(next(iter(data.train.with_target("none"))))
    np.testing.assert_array_equal(inputs, x)


def test_the_target_is_part_of_the_fingerprint():
    train = dk.data.from_arrays(X, Y).train
    fingerprints = {train.with_target(target).fingerprint for target in ("labels", "inputs", "none")}
    assert len(fingerprints) == 3
    assert train.fingerprint in fingerprints
    with pytest.raises(ValueError, match="target must be one of 'labels', 'inputs', 'none', received 'itself'"):
        train.with_target("itself")


def test_fit_trains_on_the_inputs_if_the_definition_asks_for_them():
    sources = [dk.data.from_arrays(X, Y, validation=4), (X, X), X, tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)]
    for data in sources:
        run = dk.fit(dk.Sequential([Copying()]), data, loss="mse", batch_size=None, verbose=0)
        assert run.model.output_shape == (None, 4)
    validated = dk.fit(Copying(), sources[0], loss="mse", verbose=0)
    assert "val_loss" in validated.history


def test_the_target_of_a_block_within_a_larger_net_is_ignored():
    assert dk.Sequential([Copying(), dk.Classifier(3)]).training_target == "labels"


def test_a_model_with_its_own_loss_needs_neither_labels_nor_a_loss():
    run = dk.fit(WithoutLabels(), dk.data.from_arrays(X, Y, validation=4), epochs=2, verbose=0)
    assert run.history["loss"][1] < run.history["loss"][0]
    assert isinstance(dk.data.from_arrays(X).train, Pipeline)


TEXT = dk.Text(6, vocabulary=("a", "b"))
TEXTS = np.array(["a b", "b", "a", "b b"] * 5)
UNLABELED = {
    "LanguageModel": (dk.LanguageModel(TEXT, embedding_dim=4, decoder=dk.Recurrent("gru", 4)), TEXTS),
    "Autoencoder": (dk.Autoencoder([dk.MLP([2])]), X),
    "Copying": (Copying(), X),
    "WithoutLabels": (WithoutLabels(), X),
    "VAE": (dk.VAE(dk.MLP([4]), latent_dim=2, decoder=dk.MLP([4])), X),
    "GAN": (dk.GAN(dk.MLP([4]), discriminator=dk.MLP([4]), latent_dim=2), X),
    "RBM": (dk.RBM(3), np.round(X)),
    "Hopfield": (dk.Hopfield(4), np.sign(X - 0.5)),
}


@pytest.mark.parametrize("name", UNLABELED)
def test_labels_beside_arrays_are_refused_without_a_use(name):
    net, x = UNLABELED[name]
    problem = f"the {name} is trained on its inputs alone, received labels\n  at    {{}}\n  hint: leave the labels out"
    for arguments in ((x, Y), ((x, Y),), ((x, Y, np.ones(20)),)):
        with pytest.raises(LabelError, match=problem.format("y")):
            dk.fit(net, *arguments, epochs=1, verbose=0)
    with pytest.raises(LabelError, match=problem.format("validation_data")):
        dk.fit(net, x, validation_data=(x, Y), epochs=1, verbose=0)


def test_evaluate_refuses_labels_likewise():
    run = dk.fit(Copying(), X, loss="mse", epochs=1, verbose=0)
    with pytest.raises(LabelError, match="the Functional 'copying' is trained on its inputs alone"):
        run.evaluate(X, Y)
    assert run.evaluate(X, X) == run.evaluate(X)


def test_an_autoencoder_accepts_its_inputs_as_labels_as_in_keras():
    alone, twice = (dk.fit(Copying(), *data, loss="mse", epochs=1, verbose=0) for data in ((X,), (X, X)))
    assert alone.history == twice.history


def test_a_compiled_language_model_refuses_labels():
    model = UNLABELED["LanguageModel"][0].build()
    model.compile("adam")
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"expected texts alone.*\n  hint: leave y out"):
            method(TEXTS, Y)
