"""`keras.Model.export` of the models with their own training step: a SavedModel with the outputs of the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit import models

X = np.random.default_rng(0).random((6, 4)).astype("float32")
TEXTS = (tf.constant(["a dog runs", "dog", ""]), tf.constant(["runs a dog", "a", "dog dog"]))


def make_gan():
    return dk.GAN([dk.MLP([8]), dk.Regressor(4)], dk.MLP([8]), latent_dim=3).build((4,))


def make_vae():
    return dk.VAE(dk.MLP([8]), latent_dim=2, decoder=dk.MLP([8])).build((4,))


def make_perceptron():
    return dk.Perceptron().build((4,))


def make_hopfield():
    model = dk.Hopfield(4).build()
    model.store(np.sign(X - 0.5))
    return model


def make_helmholtz_machine():
    return dk.HelmholtzMachine([3, 2]).build((4,))


def make_seq2seq(text=None, **kwargs):
    text = text or dk.Text(6, vocabulary=("a", "dog", "runs"))
    return dk.Seq2Seq(text, embedding_dim=4, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("lstm", 8), **kwargs).build()


def make_language_model():
    text = dk.Text(6, vocabulary=("a", "dog", "runs"))
    return dk.LanguageModel(text, embedding_dim=4, decoder=dk.Recurrent("gru", 8)).build()


def make_captioner():
    text = dk.Text(6, vocabulary=("a", "dog", "runs"))
    return dk.Captioner([dk.ConvBlock(3)], text=text, embedding_dim=4, decoder=dk.Recurrent("gru", 8)).build((4, 4, 1))


def make_recurrent_attention():
    return dk.RecurrentAttention(2, num_glimpses=2, glimpse_size=2, units=4).build((4, 4, 1))


def make_rbm():
    return dk.RBM(3).build((4,))


def make_boltzmann_machine():
    return dk.BoltzmannMachine(3).build((4,))


def make_dbn():
    return dk.DBN([3, 2]).build((4,))


def make_dqn():
    return dk.DQN([dk.MLP([3]), dk.Regressor(2)]).build((4,))


def make_reinforce():
    return dk.Reinforce([dk.MLP([3]), dk.Classifier(2)], baseline=[dk.Regressor(1)]).build((4,))


def make_actor_critic():
    return dk.ActorCritic(dk.Classifier(2), dk.Regressor(1), shared=dk.MLP([3])).build((4,))


IMAGES = X[:3, None, :, None] * np.ones((4, 1, 1), "float32")
MODELS = {
    "gan": (make_gan, X),
    "vae": (make_vae, X),
    "hopfield": (make_hopfield, X),
    "helmholtz_machine": (make_helmholtz_machine, X),
    "perceptron": (make_perceptron, X),
    "seq2seq": (make_seq2seq, TEXTS),
    "language_model": (make_language_model, TEXTS[0]),
    "captioner": (make_captioner, (IMAGES, TEXTS[0])),
    "rbm": (make_rbm, X),
    "dbn": (make_dbn, X),
    "dqn": (make_dqn, X),
    "reinforce": (make_reinforce, X),
    "actor_critic": (make_actor_critic, X),
    "boltzmann_machine": (make_boltzmann_machine, X),
    "recurrent_attention": (make_recurrent_attention, IMAGES),
}


def assert_served(model, inputs, folder):
    model.export(folder, verbose=False)
    loaded = tf.saved_model.load(folder)
    np.testing.assert_allclose(loaded.serve(inputs), model(inputs), rtol=1e-5, atol=1e-6)


def test_every_model_has_an_export_test():
    public = [getattr(models, name) for name in models.__all__]
    custom = {cls for cls in public if isinstance(cls, type) and issubclass(cls, keras.Model)}
    assert custom == {type(make()) for make, _ in MODELS.values()}


@pytest.mark.parametrize(("make", "inputs"), MODELS.values(), ids=MODELS)
def test_a_model_is_exported_before_its_first_call(make, inputs, tmp_path):
    assert_served(make(), inputs, tmp_path)


def test_a_trained_and_loaded_gan_is_exported(tmp_path):
    model = make_gan()
    model.compile("adam")
    model.fit(X, verbose=0)
    model.save(tmp_path / "gan.keras")
    assert_served(keras.models.load_model(tmp_path / "gan.keras"), X, tmp_path / "exported")


@pytest.mark.slow
def test_a_signature_that_was_passed_replaces_the_default(tmp_path):
    model = make_seq2seq(attention="additive", reverse_source=True)
    ids = tf.TensorSpec((None, None), "int64")
    model.export(tmp_path, verbose=False, input_signature=[(ids, ids)])
    pair = (tf.constant([[2, 3, 4], [3, 0, 0]], "int64"), tf.constant([[4, 2], [2, 0]], "int64"))
    loaded = tf.saved_model.load(tmp_path)
    np.testing.assert_allclose(loaded.serve(pair), model(pair), rtol=1e-5, atol=1e-6)


def test_a_sequence_model_without_a_vocabulary_is_not_exported(tmp_path):
    with pytest.raises(ValueError, match="vocabulary"):
        make_seq2seq(dk.Text(6)).export(tmp_path / "model", verbose=False)
