"""The gradient over the lag: against the product of Jacobians, masks, token ids, both directions, and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk

gradient_over_lag = dk.visualize.arrays.gradient_over_lag
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 6, 2)).astype("float32")


def recurrent(cell="simple", *, return_sequences=False, **kwargs):
    keras.utils.set_random_seed(0)
    return dk.Recurrent(cell, 4, return_sequences=return_sequences, **kwargs)


def test_norms_are_those_of_the_product_of_the_jacobians():
    model = dk.Sequential([recurrent(), dk.Regressor(2)]).build((6, 2))
    kernel, recurrent_kernel, bias, head, _ = (np.asarray(w, "float64") for w in model.get_weights())
    expected = np.zeros((3, 6))
    for i, x in enumerate(X):
        states = [np.zeros(4)]
        for step in x:
            states.append(np.tanh(step @ kernel + states[-1] @ recurrent_kernel + bias))
        gradient = head.sum(axis=1)  # of the sum of the outputs with respect to the last state
        for lag in range(6):
            before_tanh = gradient * (1 - states[-1 - lag] ** 2)
            expected[i, lag] = np.linalg.norm(kernel @ before_tanh)
            gradient = recurrent_kernel @ before_tanh
    np.testing.assert_allclose(gradient_over_lag(model, X), expected.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_last_state_of_every_cell_is_that_of_the_last_step_of_its_sequence(cell):
    last = recurrent(cell).build((6, 2))
    every = recurrent(cell, return_sequences=True).build((6, 2))
    every.set_weights(last.get_weights())
    np.testing.assert_allclose(gradient_over_lag(every, X), gradient_over_lag(last, X), rtol=1e-5)


@pytest.mark.parametrize(("padding", "return_sequences"), [("pre", False), ("post", True)])
def test_a_mask_equals_truncation(padding, return_sequences):
    net = dk.Sequential([layers.Masking(), recurrent("gru", return_sequences=return_sequences)])
    model = net.build((None, 2))
    padded = np.zeros((3, 9, 2), "float32")
    steps = slice(0, 6) if padding == "post" else slice(3, 9)
    padded[:, steps] = X
    expected = gradient_over_lag(model, X)
    np.testing.assert_allclose(gradient_over_lag(model, padded), expected, rtol=1e-5)
    mixed = np.concatenate([padded[:2], RNG.normal(size=(1, 9, 2)).astype("float32")])
    alone = [gradient_over_lag(model, X[:2]), gradient_over_lag(model, mixed[2:])]
    norms = gradient_over_lag(model, mixed)
    np.testing.assert_allclose(norms[:6], (2 * alone[0] + alone[1][:6]) / 3, rtol=1e-5)
    np.testing.assert_allclose(norms[6:], alone[1][6:], rtol=1e-5)


def test_token_ids_are_differentiated_after_their_embedding():
    tokens = np.array([[1, 2, 3, 0, 0], [2, 2, 1, 3, 1]])
    embedding = layers.Embedding(4, 2, mask_zero=True)
    model = dk.Sequential([embedding, recurrent("lstm"), dk.Classifier(3)]).build((None,))
    assert gradient_over_lag(model, tokens).shape == (5,)
    vectors = np.asarray(model.layers[1](tokens))
    rest = dk.Sequential([recurrent("lstm"), dk.Classifier(3)]).build((None, 2))
    rest.set_weights(model.get_weights()[1:])
    first, second = gradient_over_lag(rest, vectors[:1, :3]), gradient_over_lag(rest, vectors[1:])
    np.testing.assert_allclose(gradient_over_lag(model, tokens)[:3], (first + second[:3]) / 2, rtol=1e-5)


def test_both_directions_and_stacks_are_differentiated_at_the_first_layer():
    model = dk.Sequential([recurrent("gru", bidirectional=True, num_layers=2), dk.Regressor(1)]).build((6, 2))
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = tf.reduce_sum(model(x))
    expected = np.linalg.norm(tape.gradient(output, x), axis=-1).mean(axis=0)[::-1]
    np.testing.assert_allclose(gradient_over_lag(model, X), expected, rtol=1e-5)
    subclassed = Subclassed(model)
    np.testing.assert_allclose(gradient_over_lag(subclassed, X), expected, rtol=1e-5)


class Subclassed(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.built = True

    def call(self, x):
        return self.inner(x)


def test_the_layers_of_the_model_are_unchanged():
    model = recurrent("gru").build((6, 2))
    before = dict(vars(model.layers[-1]))
    gradient_over_lag(model, X)
    assert "call" not in vars(model.layers[-1])
    assert vars(model.layers[-1]).keys() == before.keys()


def test_a_linear_cell_multiplies_the_norm_by_its_recurrent_weight():
    model = recurrent(rnn={"activation": "linear"}).build((20, 2))
    kernel, recurrent_kernel, bias = model.get_weights()
    model.set_weights([kernel, np.eye(*recurrent_kernel.shape) / 2, bias])
    norms = gradient_over_lag(model, np.zeros((1, 20, 2), "float32"))
    np.testing.assert_allclose(norms[1:] / norms[:-1], 0.5, rtol=1e-5)


def test_the_figure_has_a_curve_for_each_model():
    models = {cell: recurrent(cell).build((6, 2)) for cell in ("simple", "lstm")}
    axes = dk.visualize.gradient_over_lag(models, X).axes[0]
    assert [line.get_label() for line in axes.lines] == ["simple", "lstm"]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), gradient_over_lag(models["lstm"], X))
    assert axes.get_yscale() == "log"
    assert dk.visualize.gradient_over_lag(models["lstm"], X).axes[0].get_legend() is None


def two_outputs():
    inputs = keras.Input((6, 2))
    hidden = layers.GRU(4)(inputs)
    return keras.Model(inputs, [hidden, layers.Dense(1)(hidden)])


def unused_layer():
    inputs = keras.Input((6, 2))
    hidden = layers.GRU(4, name="gru")(inputs)
    stopped = layers.Lambda(tf.stop_gradient)(hidden)
    return keras.Model(inputs, stopped, name="stopped")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: gradient_over_lag(dk.Sequential([dk.Classifier(2)], name="flat").build((6, 2)), X),
            ValueError,
            "gradient_over_lag: flat does not run a recurrent layer, so it has no steps to compare\n"
            "  hint: use a model with dk.Recurrent, or Keras's SimpleRNN, GRU or LSTM",
        ),
        (
            lambda: gradient_over_lag(dk.Recurrent("gru", 4), X),
            TypeError,
            "gradient_over_lag: expected a keras.Model, received Recurrent\n  hint: use definition.build(input_shape)",
        ),
        (
            lambda: gradient_over_lag(dk.Recurrent("gru", 4).build((6, 2)), X[0]),
            ValueError,
            "gradient_over_lag: recurrent takes a batch of shape (batch, 6, 2), received (6, 2)\n"
            "  hint: use x[None], a batch of one example",
        ),
        (
            lambda: gradient_over_lag(two_outputs(), X),
            ValueError,
            "gradient_over_lag: expected a model with one output,",
        ),
        (
            lambda: gradient_over_lag(unused_layer(), X),
            ValueError,
            "gradient_over_lag: the output of stopped does not depend on the recurrent layer 'gru'\n"
            "  hint: use a model whose last layers follow the recurrent one",
        ),
        (
            lambda: gradient_over_lag(
                dk.Sequential([layers.Masking(), dk.Recurrent("gru", 4)]).build((6, 2)), np.zeros((2, 6, 2))
            ),
            ValueError,
            "gradient_over_lag: every step of the batch is masked\n  hint: pass sequences that are not empty",
        ),
    ],
)
def test_wrong_models_and_batches_are_named(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(text)
