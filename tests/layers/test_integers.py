"""Layers on integers and other dtypes: the outputs equal those for float32, as in Keras, or there is an error."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit import layers as dkl


def numbers(*shape):
    return np.random.default_rng(0).integers(0, 9, shape)


IMAGES, SEQUENCES, VECTORS = numbers(2, 6, 6, 6), numbers(2, 4, 6), numbers(2, 6)
MASK = np.array([[True, True, True, False], [False] * 4])
# layer, input, arguments of the call
CASES = {
    "TableConv2D": (lambda: dkl.TableConv2D([(0, 1), (2, 3, 4, 5)], 3), IMAGES, {}),
    "Subsampling2D": (lambda: dkl.Subsampling2D(), IMAGES, {}),
    "L2Pooling": (lambda: dkl.L2Pooling(), IMAGES, {}),
    "WeightedAveragePooling": (lambda: dkl.WeightedAveragePooling(3), IMAGES, {}),
    "QuadraticFeatures": (lambda: dkl.QuadraticFeatures(), VECTORS, {}),
    "PolarFeatures": (lambda: dkl.PolarFeatures(), VECTORS[:, :2], {}),
    "PositionEmbedding": (lambda: dkl.PositionEmbedding("learned", max_length=5), SEQUENCES, {"mask": MASK}),
    "Glimpse": (lambda: dkl.Glimpse(3, 2), [IMAGES, VECTORS[:, :2] // 9], {}),
    "Threshold": (lambda: dkl.Threshold(4.5), VECTORS, {}),
    "LocalResponseNormalization": (lambda: dkl.LocalResponseNormalization(1, alpha=0.1), IMAGES, {}),
    "Maxout": (lambda: dkl.Maxout(3), VECTORS, {}),
    "ChannelMax": (lambda: dkl.ChannelMax(), IMAGES, {}),
    "MaskingNoise": (lambda: dkl.MaskingNoise(0.3, seed=1), VECTORS, {"training": True}),
    "SaltAndPepperNoise": (lambda: dkl.SaltAndPepperNoise(0.5, 0.25, 0.75, seed=1), VECTORS, {"training": True}),
    "RBF": (lambda: dkl.RBF([[0.5] * 6]), VECTORS, {}),
    "ImputedNormalization": (lambda: dkl.ImputedNormalization(mean=[0.5] * 6, variance=[2.0] * 6), VECTORS, {}),
    "DateFeatures": (lambda: dkl.DateFeatures(), VECTORS[:, :1], {}),
    "scaled_tanh": (lambda: layers.Activation(dkl.scaled_tanh), VECTORS, {}),
    "StochasticDepth": (lambda: dkl.StochasticDepth(0.3, seed=1), VECTORS, {"training": True}),
    "GaussianSampling": (lambda: dkl.GaussianSampling(seed=1), [VECTORS, VECTORS], {"training": True}),
    "MeanAndStddev": (lambda: dkl.MeanAndStddev(), [VECTORS, VECTORS], {}),
    "MaskedMerge": (lambda: dkl.MaskedMerge(layers.Add()), [SEQUENCES, SEQUENCES], {}),
    "TiedDense": (lambda: dkl.TiedDense(3), VECTORS, {}),
    "MaskedPooling1D avg": (lambda: dkl.MaskedPooling1D("avg"), SEQUENCES, {"mask": MASK}),
    "MaskedPooling1D max": (lambda: dkl.MaskedPooling1D("max"), SEQUENCES, {"mask": MASK}),
    "HardAttention": (lambda: dkl.HardAttention(), [SEQUENCES, numbers(2, 6, 6)], {}),
    "MultiHeadCrossAttention": (lambda: dkl.MultiHeadCrossAttention(2, 4), SEQUENCES, {"value": SEQUENCES}),
    "UnrolledBidirectional": (lambda: dkl.UnrolledBidirectional(layers.LSTM(3, unroll=True)), SEQUENCES, {}),
}
# TiedConv refuses integers like the convolution in it; the others take strings or are initializers
OTHERS = {"TiedConv", "TokenIds", "FanInUniform"}


def test_every_layer_is_tested():
    assert {name.partition(" ")[0] for name in CASES} | OTHERS == set(dkl.__all__)


@pytest.mark.parametrize("name", CASES)
def test_outputs_for_every_dtype_equal_those_for_float32(name):
    make, x, kwargs = CASES[name]

    def outputs(dtype):
        keras.utils.set_random_seed(1)
        inputs = [tf.constant(array.astype(dtype)) for array in (x if isinstance(x, list) else [x])]
        arguments = {"value": inputs[0]} if "value" in kwargs else kwargs
        return np.asarray(make()(inputs if isinstance(x, list) else inputs[0], **arguments))

    expected = outputs("float32")
    assert np.any(expected)
    for dtype in ("int32", "uint8", "int64", "float64"):
        np.testing.assert_allclose(outputs(dtype), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", [layers.Conv2D(2, 3), dkl.TiedConv(layers.Conv2D(2, 3))], ids=["keras", "tied"])
def test_a_tied_convolution_refuses_integers_like_keras(layer):
    with pytest.raises(ValueError, match="dtype"):
        layer(tf.constant(IMAGES.astype("int32")))


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_integers_are_cast_to_the_compute_dtype(dtype):
    for layer in (dkl.TableConv2D([(0,)], 3, dtype=dtype), dkl.Subsampling2D(dtype=dtype)):
        outputs = layer(tf.constant(IMAGES.astype("uint8")))
        assert outputs.dtype == layer.compute_dtype


def test_a_table_convolution_of_integer_images_trains():
    net = dk.Sequential([dkl.TableConv2D([(0, 1), (1, 2)], 3), dkl.Subsampling2D(), dk.Classifier(2)])
    model = net.build(IMAGES.shape[1:])
    symbolic = keras.Input(IMAGES.shape[1:], dtype="uint8")
    on_bytes = keras.Model(symbolic, model(symbolic))
    np.testing.assert_allclose(on_bytes(IMAGES.astype("uint8")), model(IMAGES.astype("float32")), rtol=1e-5)
