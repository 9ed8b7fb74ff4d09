"""`model.quantize` of Keras on the models of deepkit: layers, outputs, files and exports."""

import keras
import numpy as np
import pytest

import deepkit as dk

# Keras warns about each layer that it cannot quantize, and converts tensors to arrays in a deprecated way
pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method"),
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]
X = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")


def quantized(model):
    return [layer.name for layer in model._flatten_layers() if getattr(layer, "quantization_mode", None)]


def test_dense_layers_are_quantized_and_loaded(tmp_path):
    model = dk.Sequential([dk.MLP([8]), dk.layers.Maxout(4), dk.Classifier(3)]).build((6,))
    before = model.predict(X, verbose=0)
    model.quantize("int8")
    assert quantized(model) == ["mlp.dense", "classifier.dense"]
    after = model.predict(X, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.1
    model.save(tmp_path / "int8.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "int8.keras").predict(X, verbose=0), after)


def test_a_model_of_texts_is_quantized():
    words = dk.Text(10, vocabulary=("good", "bad"), output_sequence_length=3)
    net = dk.Sequential([words, keras.layers.Embedding(10, 4), keras.layers.Flatten(), dk.Classifier(2)])
    model = net.build()
    model.quantize("int8")
    assert quantized(model) == ["embedding", "classifier.dense"]


@pytest.mark.slow
def test_the_networks_of_generative_models_are_quantized():
    gan = dk.GAN([dk.MLP([8]), dk.Regressor(6)], dk.MLP([8]), latent_dim=2).build((6,))
    vae = dk.VAE(dk.MLP([8]), latent_dim=2, decoder=dk.MLP([8])).build((6,))
    for model in (gan, vae):
        before = model.sample(4, seed=0)
        model.quantize("int8")
        after = model.sample(4, seed=0)
        assert 0 < np.abs(after - before).max() < 0.1


@pytest.mark.slow
def test_the_error_of_an_export_names_the_quantization(tmp_path):
    model = dk.Sequential([dk.Classifier(3)]).build((6,))
    model.quantize("int8")
    dk.export(model, tmp_path / "saved", format="saved_model", sample=X[:2])
    with pytest.raises(dk.errors.ExportError, match=r"LiteRT does not(.|\n)*hint: export the model before model.quant"):
        dk.export(model, tmp_path / "model.tflite", format="litert", sample=X[:2])
