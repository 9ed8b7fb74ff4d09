"""Attention compared with its formulas in NumPy, with masks and over feature maps; and its errors."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk

SCORES = ("dot", "multiplicative", "additive")
each_score = pytest.mark.parametrize("score", SCORES)


def random_array(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape).astype("float32")


def build(block, query_shape, memory_shape, masking=False):
    """Return a model of query and memory; with `masking`, steps of zeros are masked."""
    query, memory = keras.Input(query_shape), keras.Input(memory_shape)
    masked = layers.Masking()(memory) if masking else memory
    return keras.Model([query, memory], block([query, masked]))


def softmax(scores):
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def weight(model, name):
    return np.asarray(next(w for w in model.weights if w.path.endswith(name)))


def scores_by_loop(score, model, query, memory, scaled):
    """Return scores (batch, queries, positions) after the equations of the papers, one pair at a time."""
    scores = np.zeros((len(query), query.shape[1], memory.shape[1]))
    for b, i, j in np.ndindex(*scores.shape):
        q, h = query[b, i], memory[b, j]
        if score == "dot":
            scores[b, i, j] = q @ h
        elif score == "multiplicative":
            scores[b, i, j] = q @ weight(model, "query/kernel") @ h
        else:
            hidden = np.tanh(q @ weight(model, "query/kernel") + h @ weight(model, "memory/kernel"))
            scores[b, i, j] = weight(model, "score/scale") @ hidden
    return scores / np.sqrt(memory.shape[-1]) if scaled else scores


@pytest.mark.parametrize(("score", "scaled"), [*[(s, False) for s in SCORES], ("dot", True), ("multiplicative", True)])
def test_mean_and_weights_equal_the_equations_of_the_papers(score, scaled):
    width = 4 if score == "dot" else 3
    model = build(dk.Attention(score, scaled=scaled, return_weights=True), (2, width), (5, 4))
    query, memory = random_array(3, 2, width), random_array(3, 5, 4)
    mean, weights = model([query, memory])
    expected = softmax(scores_by_loop(score, model, query, memory, scaled))
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    np.testing.assert_allclose(mean, expected @ memory, atol=1e-5)


@each_score
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_masked_memory_equals_a_truncated_one(score, side):
    model = build(dk.Attention(score, return_weights=True), (2, 4), (None, 4), masking=True)
    query, memory = random_array(3, 2, 4), random_array(3, 5, 4)
    padding = (3, 0) if side == "left" else (0, 3)
    mean, weights = model([query, np.pad(memory, ((0, 0), padding, (0, 0)))])
    expected, expected_weights = model([query, memory])
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    np.testing.assert_allclose(weights, np.pad(np.asarray(expected_weights), ((0, 0), (0, 0), padding)), atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_masked_memory_equals_a_truncated_one_for_heads(side):
    model = build(dk.MultiHeadAttention(2, return_weights=True), (2, 4), (None, 4), masking=True)
    query, memory = random_array(3, 2, 4), random_array(3, 5, 4)
    padding = (3, 0) if side == "left" else (0, 3)
    mean, weights = model([query, np.pad(memory, ((0, 0), padding, (0, 0)))])
    expected, expected_weights = model([query, memory])
    assert expected_weights.shape == (3, 2, 2, 5)
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    np.testing.assert_allclose(
        weights, np.pad(np.asarray(expected_weights), ((0, 0), (0, 0), (0, 0), padding)), atol=1e-6
    )


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("block", [*map(dk.Attention, SCORES), dk.MultiHeadAttention(2)], ids=repr)
def test_a_completely_masked_memory_has_finite_outputs(block, policy):
    keras.config.set_dtype_policy(policy)
    model = build(block, (2, 4), (3, 4), masking=True)
    memory = random_array(2, 3, 4) * 30
    memory[0] = 0
    mean = np.asarray(keras.ops.cast(model([random_array(2, 2, 4) * 30, memory]), "float32"))
    assert np.all(np.isfinite(mean))


@pytest.mark.parametrize("block", [dk.Attention, dk.MultiHeadAttention])
def test_causal_queries_do_not_depend_on_later_steps(block):
    first = SCORES[0] if block is dk.Attention else 2
    model = dk.Sequential([block(first, causal=True)]).build((None, 4))
    x = random_array(2, 5, 4)
    outputs = np.asarray(model(x))
    for steps in range(2, 5):  # Keras warns of a softmax over one position
        np.testing.assert_allclose(model(x[:, :steps]), outputs[:, :steps], atol=1e-6)


@each_score
def test_one_vector_over_a_feature_map(score):
    width = 3 if score == "dot" else 6
    model = build(dk.Attention(score, return_weights=True), (width,), (4, 5, 3))
    query, memory = random_array(2, width), random_array(2, 4, 5, 3)
    mean, weights = model([query, memory])
    assert (mean.shape, weights.shape) == ((2, 3), (2, 4, 5))
    scores = scores_by_loop(score, model, query[:, None], memory.reshape(2, 20, 3), scaled=False)
    np.testing.assert_allclose(weights, softmax(scores).reshape(2, 4, 5), atol=1e-6)
    np.testing.assert_allclose(mean, np.einsum("bhw,bhwc->bc", weights, memory), atol=1e-5)


def test_heads_over_a_feature_map_return_weights_of_its_sizes():
    model = build(dk.MultiHeadAttention(2, return_weights=True), (7, 6), (4, 5, 3))
    output, weights = model([random_array(2, 7, 6), random_array(2, 4, 5, 3)])
    assert (output.shape, weights.shape) == ((2, 7, 6), (2, 2, 7, 4, 5))
    np.testing.assert_allclose(np.sum(weights, axis=(-2, -1)), np.ones((2, 2, 7)), atol=1e-5)


def test_a_feature_map_that_attends_to_itself_keeps_its_shape():
    net = dk.Sequential([dk.Attention("dot")])
    x = random_array(2, 3, 4, 5)
    flat = dk.Attention("dot")
    rows = keras.Input((12, 5))
    expected = keras.Model(rows, flat(rows))(x.reshape(2, 12, 5))
    np.testing.assert_allclose(net.build((3, 4, 5))(x), np.reshape(expected, x.shape), atol=1e-6)


def test_channels_first_equals_channels_last():
    query, memory = random_array(2, 6), random_array(2, 4, 5, 3)
    last = build(dk.Attention("additive"), (6,), (4, 5, 3))
    keras.config.set_image_data_format("channels_first")
    try:
        first = build(dk.Attention("additive"), (6,), (3, 4, 5))
    finally:
        keras.config.set_image_data_format("channels_last")
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(first([query, memory.transpose(0, 3, 1, 2)]), last([query, memory]), atol=1e-6)


def test_heads_equal_the_layer_of_keras():
    query, memory = random_array(2, 3, 8), random_array(2, 5, 8)
    model = build(dk.MultiHeadAttention(4), (None, 8), (None, 8))
    layer = layers.MultiHeadAttention(4, key_dim=2)
    layer.build((None, None, 8), (None, None, 8))
    layer.set_weights(model.get_weights())
    np.testing.assert_allclose(model([query, memory]), layer(query, memory), atol=1e-6)


def test_dropout_acts_in_training_only():
    model = dk.Sequential([dk.Attention("dot", dropout=0.5)]).build((6, 4))
    x = random_array(1, 6, 4)
    np.testing.assert_array_equal(model(x), model(x))
    assert not np.allclose(model(x), model(x, training=True))


def test_a_residual_passes_the_mask_of_the_query():
    net = dk.Sequential([layers.Masking(), dk.Residual(dk.MultiHeadAttention(2), strides=1, norm=None), layers.LSTM(3)])
    model = net.build((None, 4))
    x = random_array(2, 3, 4)
    np.testing.assert_allclose(model(np.pad(x, ((0, 0), (0, 2), (0, 0)))), model(x), atol=1e-6)


def test_it_compiles_under_xla():
    import tensorflow as tf

    model = build(dk.Attention("additive"), (3, 4), (5, 6))
    pair = [random_array(2, 3, 4), random_array(2, 5, 6)]
    np.testing.assert_allclose(tf.function(model, jit_compile=True)(pair), model(pair), atol=1e-5)


ERRORS = [
    (lambda: dk.Attention("bahdanau"), "Attention: score must be one of 'dot', 'multiplicative', 'additive'"),
    (
        lambda: dk.Attention("dot", units=3),
        'units has no effect for the score "dot"\n  hint: use dk.Attention\\("additive"\\), or leave units out',
    ),
    (lambda: dk.Attention("additive", scaled=True), 'scaled has no effect for the score "additive"'),
    (lambda: dk.Attention("dot", dense={"use_bias": True}), 'dense has no effect for the score "dot"'),
    (lambda: dk.Attention("dot", dropout=1), r"dropout must be a fraction in \[0, 1\), received 1"),
    (lambda: dk.MultiHeadAttention(0), "num_heads must be a positive integer, received 0"),
    (lambda: build(dk.Attention("dot"), (3,), (5, 4)), "a query as wide as the memory, received 3 and 4 features"),
    (lambda: build(dk.Attention("dot"), (3,), (3,)), "as memory, received 3\n"),
    (lambda: build(dk.Attention("dot", causal=True), (3,), (5, 3)), "expected two sequences, as causal=True"),
    (lambda: build(dk.MultiHeadAttention(3), (5, 4), (5, 4)), "3 heads do not divide the width of the query, 4"),
    (
        lambda: build(dk.Attention("additive", return_weights=True), (3,), (None, None, 3)),
        "cannot reshape the weights to .*: several sizes are unknown",
    ),
    (lambda: dk.Attention("dot")([keras.Input((3,))] * 3), "expected query and memory, received 3 tensors"),
]


@pytest.mark.parametrize(("make", "text"), ERRORS)
def test_errors(make, text):
    with pytest.raises(dk.DefinitionError, match=text):
        make()
