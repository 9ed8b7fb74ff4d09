"""The worked examples of the lecture notes, computed by deepkit, Keras and the recipes; the cases of `test_notes`."""

from functools import cache

import keras
import numpy as np
from keras import layers

import deepkit as dk
from deepkit.teaching import required_examples, tape
from recipes.basics import (
    backpropagation,
    convolution,
    hard_cases,
    identity_838,
    linear_classifier,
    threshold_units,
)
from recipes.vision import lenet
from tests.recipes.counting import counts, symbolic

POLICY_NETWORK = dk.from_pattern("CONV5x5x192-RELU-(CONV3x3x192-RELU)*11-CONV1x1x1")  # one bias for all output points
four_pixels = cache(linear_classifier.worked_examples)
convolutions = cache(convolution.worked_examples)
num_weights = cache(convolution.count_weights)
sigmoid_network = cache(backpropagation.example_outputs)


def values(example, *names):
    return [example[name] for name in names]


def shapes(definition, input_shape):
    return [size for weight in symbolic(definition, input_shape).weights for size in weight.shape]


def gate(name):
    return threshold_units.unit(2, threshold_units.GATES[name])(threshold_units.ROWS)


def crossentropy(scores):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.zeros(len(scores)), np.array(scores))


def first_sums():
    weights = backpropagation.EXAMPLE_WEIGHTS[0]
    return weights[0] + np.array([1, -1]) @ weights[1:]


def map_size(num_filters, input_shape):
    return layers.Conv2D(num_filters, 5).compute_output_shape((None, *input_shape))[1:]


def outputs_of_code(numbers):
    """Count the inputs that the constructed 8-3-8 network reproduces if they have these codes, as binary numbers."""
    network = identity_838.constructed_network()
    w1, b1, w2, b2 = network.weights
    network.weights = [w1[numbers], b1, w2[:, numbers], b2[numbers]]
    return identity_838.count_correct(network)


def examples_per_weight(accuracy):
    model = dk.Classifier(10).build((100,))
    return required_examples(model, accuracy) / model.count_params()


def dropped(rate):
    """Return the share of dropped inputs, and the value of the others."""
    outputs = np.asarray(layers.Dropout(rate, seed=0)(np.ones(100_000), training=True))
    return np.mean(outputs == 0), outputs.max()


def num_recurrent_weights(layer):
    layer.build((None, None, 10))
    return layer.count_params()


def third_state(*x):
    """Return the third state of a recurrent unit whose weights are 1."""
    layer = layers.SimpleRNN(1, kernel_initializer="ones", recurrent_initializer="ones")
    return layer(np.reshape(x, (1, 3, 1)))[0]


def num_layers(definition, input_shape, *types):
    model = symbolic(definition, input_shape)
    return [sum(isinstance(layer, kind) for layer in model.layers) for kind in types]


def pattern_layers(n, m, k):
    """Return the numbers of convolutions, pooling layers and dense layers of the pattern."""
    units = {"units": [16] * k} if k else {}
    pattern = "[(CONV-RELU)*N-POOL?]*M-(FC-RELU)*K, SOFTMAX"
    net = dk.from_pattern(pattern, N=n, M=m, K=k, pool=True, filters=8, num_classes=10, **units)
    return num_layers(net, (32, 32, 3), layers.Conv2D, layers.MaxPooling2D, layers.Dense)


def correct_labels(kind, rule):
    """Return the share of generated points whose label follows the rule."""
    points = hard_cases.load_points(kind, 0, 500)
    return np.mean(points.y == rule(*points.x.T))


def normalized():
    x = np.random.default_rng(0).normal(3, 10, size=(500, 1))
    outputs = np.asarray(layers.BatchNormalization()(x, training=True))
    return outputs.mean(), outputs.std()


def years(*sources):
    return [source.year for source in sources]


def autodiff(point=(0.5, 0.3)):
    """Return the trace of the function that illustrates automatic differentiation."""
    return tape.Trace(backpropagation.notes_function, *point)


def circle_weights(*units):
    return counts(hard_cases.circle_network(units), (2,))[0]


def required_for_lenet_5():
    return required_examples(symbolic(lenet.original(), (28, 28, 1)), 0.9)
