import numpy as np
import pytest
import tensorflow as tf

from deepkit.data import stateless_random


def draw(seed=0, epoch=0, examples=20_000, count=6):
    return stateless_random.uniform(stateless_random.example_keys(seed, epoch, tf.range(examples)), count).numpy()


def test_uniform_has_the_range_mean_and_standard_deviation_of_a_uniform_distribution():
    values = draw()
    assert values.min() >= -1
    assert values.max() < 1
    np.testing.assert_allclose(values.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(values.std(0), 1 / np.sqrt(3), atol=0.01)


def test_uniform_fills_bins_evenly():
    counts = np.histogram(draw(examples=50_000, count=4), bins=64, range=(-1, 1))[0]
    expected = 200_000 / 64
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 120  # 63 degrees of freedom: 103 is one in a thousand


def test_pairs_are_uniform_and_uncorrelated():
    pairs = (
        stateless_random.uniform_pairs(stateless_random.example_keys(0, 0, tf.range(20_000)), 3)
        .numpy()
        .reshape(20_000, 6)
    )
    np.testing.assert_allclose(pairs.std(0), 1 / np.sqrt(3), atol=0.01)
    assert np.abs(np.corrcoef(pairs.T) - np.eye(6)).max() < 0.03


@pytest.mark.parametrize("other", [draw(seed=1), draw(epoch=1), draw(seed=1, epoch=-1 % 2**32)])
def test_seeds_and_epochs_give_uncorrelated_numbers(other):
    correlations = np.corrcoef(draw().T, other.T)[:6, 6:]
    assert np.abs(correlations).max() < 0.03


def test_numbers_of_one_example_and_of_neighbors_are_uncorrelated():
    values = draw()
    assert np.abs(np.corrcoef(values.T) - np.eye(6)).max() < 0.03
    assert np.abs(np.corrcoef(values[:-1].T, values[1:].T)[:6, 6:]).max() < 0.03


def test_folded_keys_give_uncorrelated_numbers():
    key = stateless_random.example_keys(0, 0, tf.range(20_000))
    streams = np.concatenate(
        [stateless_random.uniform(stateless_random.fold_in(key, number), 1) for number in range(4)], 1
    )
    assert np.abs(np.corrcoef(streams.T) - np.eye(4)).max() < 0.03


def test_hash_flips_half_of_the_bits():
    values = np.arange(5000, dtype=np.uint32)
    for bit in (0, 7, 31):
        changed = (
            stateless_random.hash_bits(values).numpy()
            ^ stateless_random.hash_bits(values ^ np.uint32(1 << bit)).numpy()
        )
        assert abs(np.unpackbits(changed.view(np.uint8)).mean() - 0.5) < 0.02


def test_hash_is_a_bijection():
    assert len(np.unique(stateless_random.hash_bits(np.arange(100_000, dtype=np.uint32)).numpy())) == 100_000


def test_keys_do_not_depend_on_the_batch():
    whole = stateless_random.example_keys(3, 2, tf.range(100)).numpy()
    np.testing.assert_array_equal(stateless_random.example_keys(3, 2, [57, 3, 99]).numpy(), whole[[57, 3, 99]])


def test_keys_have_not_changed():
    # a change of these keys changes every recorded result of a training with augmentation
    assert stateless_random.example_keys(7, 3, [0, 1, 1000]).numpy().tolist() == [461421563, 40340840, 365600335]
