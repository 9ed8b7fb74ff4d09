"""Position embeddings: the formula, learned vectors, masks, and sequences that are too long."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepkit.layers import PositionEmbedding


def sinusoids(length, width):
    """Return the formula of Vaswani et al. 2017, section 3.5, one value at a time."""
    values = np.zeros((length, width))
    for position, index in np.ndindex(length, width):
        angle = position / 10_000 ** (2 * (index // 2) / width)
        values[position, index] = np.cos(angle) if index % 2 else np.sin(angle)
    return values


@pytest.mark.parametrize("width", [4, 5])
def test_sinusoids_equal_the_formula(width):
    x = np.ones((2, 50, width), "float32")
    np.testing.assert_allclose(PositionEmbedding()(x) - x, np.tile(sinusoids(50, width), (2, 1, 1)), atol=1e-5)


def test_a_later_start_continues_the_positions():
    x = np.zeros((1, 8, 4), "float32")
    for layer in (PositionEmbedding(), PositionEmbedding("learned", max_length=8)):
        whole = layer(x)
        np.testing.assert_allclose(layer(x[:, :3], start=tf.constant(5)), whole[:, 5:], atol=1e-6)


def test_positions_count_the_unmasked_steps():
    x, mask = np.zeros((1, 5, 4), "float32"), np.array([[False, False, True, True, False]])
    layer = PositionEmbedding("learned", max_length=2)
    outputs = layer(x, mask=mask)[0]
    np.testing.assert_array_equal(outputs[2:4], layer.embeddings)


def test_learned_embeddings_are_trained():
    model = keras.Sequential([keras.Input((3, 4)), PositionEmbedding("learned", max_length=3)])
    assert [weight.shape for weight in model.trainable_weights] == [(3, 4)]


def test_half_precision_has_accurate_positions():
    x = np.zeros((1, 3000, 8))
    outputs = np.asarray(keras.ops.cast(PositionEmbedding(dtype="mixed_bfloat16")(x), "float32"))
    np.testing.assert_allclose(outputs[0], sinusoids(3000, 8), atol=4e-3)


def test_a_sequence_that_is_too_long_raises():
    layer = PositionEmbedding("learned", max_length=4, name="positions")
    message = "PositionEmbedding 'positions': expected at most max_length=4 steps, received 5\n  hint: use a larger"
    with pytest.raises(ValueError, match=message):
        layer(np.zeros((1, 5, 2), "float32"))
    model = keras.Sequential([keras.Input((None, 2)), layer])
    with pytest.raises(ValueError, match="expected at most max_length=4 steps"):
        model(np.zeros((1, 5, 2)))
    masked = keras.Sequential([keras.layers.Masking(), layer])
    with pytest.raises(tf.errors.InvalidArgumentError):
        masked(np.ones((1, 5, 2)))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kind": "rotary"}, "kind must be one of 'sinusoidal', 'learned', received 'rotary'"),
        ({"kind": "learned"}, "max_length must be a positive integer, received None"),
        ({"max_length": 8}, 'max_length has no effect for kind="sinusoidal", received 8'),
    ],
)
def test_wrong_arguments_raise_with_a_hint(arguments, text):
    with pytest.raises(ValueError, match="hint: ") as caught:
        PositionEmbedding(**arguments)
    assert text in str(caught.value)
