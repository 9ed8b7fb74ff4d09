"""Memory: cells equal their equations, the initial biases keep the memory, and a short training."""

import numpy as np
import pytest

from recipes.sequence import cells
from recipes.sequence import memory as recipe

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("cell", cells.EQUATIONS)
def test_keras_cells_are_the_equations_of_the_notes(cell):
    assert recipe.difference(cell, RNG.normal(size=(4, 12, 2)).astype("float32")) < 1e-6


def test_an_lstm_with_open_gates_counts_and_one_with_closed_gates_forgets():
    x = np.ones((1, 5, 1))
    zeros = np.zeros((1, 4))
    kernel, large = np.array([[0, 0, 100.0, 0]]), 100.0  # the candidate is 1 for each step
    open_gates, forgetting = np.array([large, large, 0, large]), np.array([large, -large, 0, large])
    np.testing.assert_allclose(cells.lstm(x, (kernel, zeros, open_gates)), np.tanh(5))
    np.testing.assert_allclose(cells.lstm(x, (kernel, zeros, forgetting)), np.tanh(1))


def test_the_sigmoid_does_not_overflow():
    np.testing.assert_allclose(cells.sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])


def test_the_networks_have_the_weights_of_the_formula():
    counts = {name: recipe.adding_network(name).build((100, 2)).count_params() for name in recipe.CELLS}
    assert counts == {"tanh RNN": 1_153, "IRNN": 1_153, "GRU": 3_489, "LSTM": 4_513}


def test_the_irnn_begins_with_the_identity():
    layer = recipe.adding_network("IRNN").build((5, 2)).layers[1]
    np.testing.assert_array_equal(layer.cell.recurrent_kernel, np.eye(recipe.UNITS))
    assert layer.activation.__name__ == "relu"


def test_the_memory_of_the_lstm_lasts_for_the_lag_and_its_input_gates_begin_closed():
    model = recipe.recall_network(1000).build((1002,))
    embedding, lstm = model.layers[1], model.layers[2]
    i, f, c, o = np.split(np.asarray(lstm.cell.bias, "float64"), 4)
    np.testing.assert_allclose(1 / (1 - cells.sigmoid(f)), 1001, rtol=1e-4)
    np.testing.assert_array_equal(i, -f)
    assert not c.any()
    assert not o.any()
    vectors = np.asarray(embedding.embeddings)
    assert not vectors[recipe.NUM_CLASSES].any()
    np.testing.assert_array_equal(vectors.sum(axis=1), [8.0] * 8 + [0, 8])


def test_the_definitions_are_values():
    assert recipe.recall_network(50) == recipe.recall_network(50) != recipe.recall_network(51)


@pytest.mark.slow
def test_gated_cells_learn_the_adding_problem_and_a_tanh_rnn_does_not():
    config = recipe.Config(epochs=5)
    data = recipe.load_data(config, "adding", batch_size=config.batch_size, length=config.length)
    errors = {
        cell: recipe.evaluate(recipe.train_one(config, cell, recipe.adding_network(cell), data), data, "loss")
        for cell in ("tanh RNN", "GRU")
    }
    assert errors["tanh RNN"] > 0.15
    assert errors["GRU"] < 0.005
