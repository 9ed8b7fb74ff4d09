"""Weights and multiply-adds of a definition, counted without creating weights."""

import math

import keras


def symbolic(definition, input_shape=None):
    """Build a model whose weights have shapes but no values."""
    with keras.StatelessScope(initialize_variables=False):
        return definition.build(input_shape)


def size(weights):
    """Return the number of values in a list of weights."""
    return sum(math.prod(weight.shape) for weight in weights)


def counts(definition, input_shape=None):
    """Return the numbers of trainable weights and of all weights."""
    model = symbolic(definition, input_shape)
    return size(model.trainable_weights), size(model.weights)


def multiply_adds(definition, input_shape=None):
    """Return the multiplications of the convolutions and dense layers for one example."""
    total = 0
    for layer in symbolic(definition, input_shape).layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total
