"""HardAttention: the largest weight at inference, draws with the weights in training."""

import numpy as np
import pytest

from deepkit.layers import HardAttention

WEIGHTS = np.array([[[[0.1, 0.2], [0.3, 0.4]], [[0.7, 0.1], [0.1, 0.1]]]], "float32")  # (1, 2 queries, 2, 2)
MEMORY = np.arange(12, dtype="float32").reshape(1, 2, 2, 3)


def test_at_inference_it_reads_the_position_of_the_largest_weight():
    features, selected = HardAttention()([WEIGHTS, MEMORY])
    np.testing.assert_array_equal(features, [[MEMORY[0, 1, 1], MEMORY[0, 0, 0]]])
    assert np.argwhere(np.asarray(selected)).tolist() == [[0, 0, 1, 1], [0, 1, 0, 0]]


def test_in_training_it_draws_with_the_weights_and_returns_what_it_drew():
    layer = HardAttention(seed=1)
    features, selected = layer([np.repeat(WEIGHTS, 4000, 0), np.repeat(MEMORY, 4000, 0)], training=True)
    np.testing.assert_allclose(np.mean(selected, axis=0), WEIGHTS[0], atol=0.03)
    np.testing.assert_allclose(features, np.einsum("nqhw,hwf->nqf", selected, MEMORY[0]), atol=1e-6)
    again, _ = HardAttention(seed=1)([np.repeat(WEIGHTS, 4000, 0), np.repeat(MEMORY, 4000, 0)], training=True)
    np.testing.assert_array_equal(again, features)


def test_a_weight_of_zero_is_never_drawn():
    weights = np.array([[[0.0, 1.0, 0.0]]], "float32")
    _, selected = HardAttention()([np.repeat(weights, 500, 0), np.ones((500, 3, 2), "float32")], training=True)
    np.testing.assert_array_equal(selected, np.repeat(weights, 500, 0))


def test_a_fraction_of_the_examples_reads_the_mean_in_training():
    inputs = [np.repeat(WEIGHTS, 2000, 0), np.repeat(MEMORY, 2000, 0)]
    features, selected = (np.asarray(output) for output in HardAttention(0.25, seed=0)(inputs, training=True))
    is_mean = np.isclose(selected, WEIGHTS).all(axis=(1, 2, 3))
    assert is_mean.mean() == pytest.approx(0.25, abs=0.03)
    assert set(selected[~is_mean].max(axis=(2, 3)).ravel()) == {1.0}
    np.testing.assert_allclose(features, np.einsum("nqhw,hwf->nqf", selected, MEMORY[0]), atol=1e-5)
    np.testing.assert_array_equal(HardAttention(0.25)(inputs)[1], HardAttention()(inputs)[1])


def test_a_rate_that_is_no_fraction_is_refused():
    with pytest.raises(ValueError, match=r"expectation_rate must be a fraction .*received 1.5\n  hint: use HardAtt"):
        HardAttention(1.5)


@pytest.mark.parametrize("shape", [(1, 2, 3, 3), (1, 3, 3), (1, 4, 3)])
def test_other_positions_are_refused(shape):
    with pytest.raises(ValueError, match=r"with the same positions, received .*\n  hint: pass \[weights, memory\]"):
        HardAttention()([WEIGHTS, np.zeros(shape, "float32")])


@pytest.mark.parametrize(
    "inputs",
    [
        [WEIGHTS],
        [WEIGHTS, MEMORY, MEMORY],
        WEIGHTS,
        [np.repeat(WEIGHTS, 2, 0), MEMORY],
        [WEIGHTS[:, :, :0], MEMORY[:, :0]],
    ],
)
def test_other_inputs_are_refused(inputs):
    with pytest.raises(ValueError, match=r"with the same positions, received .*\n  hint: pass \[weights, memory\]"):
        HardAttention()(inputs)


@pytest.mark.parametrize("factor", [np.nan, 0.0])
def test_a_draw_from_weights_without_a_positive_one_is_nan(factor):
    features, selected = HardAttention()([WEIGHTS * np.float32(factor), MEMORY], training=True)
    assert np.isnan(features).all()
    assert np.isnan(selected).all()


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_a_seed_that_is_no_integer_is_refused(seed):
    with pytest.raises(ValueError, match="HardAttention: seed must be an integer of at least 0"):
        HardAttention(seed=seed)
