import numpy as np
import pytest
import tensorflow as tf

from deepkit.data import random


def draws(seed=0, epoch=0, examples=20_000, count=6):
    return random.uniform(random.keys(seed, epoch, tf.range(examples)), count).numpy()


def test_uniform_in_range_mean_and_spread():
    drawn = draws()
    assert drawn.min() >= -1
    assert drawn.max() < 1
    np.testing.assert_allclose(drawn.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(drawn.std(0), 1 / np.sqrt(3), atol=0.01)


def test_uniform_fills_its_bins_evenly():
    counts = np.histogram(draws(examples=50_000, count=4), bins=64, range=(-1, 1))[0]
    expected = 200_000 / 64
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 120  # 63 degrees of freedom: 103 is one in a thousand


def test_pairs_are_uniform_and_unrelated():
    pairs = random.uniform_pairs(random.keys(0, 0, tf.range(20_000)), 3).numpy().reshape(20_000, 6)
    np.testing.assert_allclose(pairs.std(0), 1 / np.sqrt(3), atol=0.01)
    assert np.abs(np.corrcoef(pairs.T) - np.eye(6)).max() < 0.03


@pytest.mark.parametrize("other", [draws(seed=1), draws(epoch=1), draws(seed=1, epoch=-1 % 2**32)])
def test_seed_and_epoch_give_unrelated_numbers(other):
    correlations = np.corrcoef(draws().T, other.T)[:6, 6:]
    assert np.abs(correlations).max() < 0.03


def test_neighbours_and_numbers_of_one_example_are_unrelated():
    drawn = draws()
    assert np.abs(np.corrcoef(drawn.T) - np.eye(6)).max() < 0.03
    assert np.abs(np.corrcoef(drawn[:-1].T, drawn[1:].T)[:6, 6:]).max() < 0.03


def test_streams_of_a_chain_are_unrelated():
    key = random.keys(0, 0, tf.range(20_000))
    streams = np.concatenate([random.uniform(random.fork(key, number), 1) for number in range(4)], 1)
    assert np.abs(np.corrcoef(streams.T) - np.eye(4)).max() < 0.03


def test_mixing_flips_half_of_the_bits():
    values = np.arange(5000, dtype=np.uint32)
    for bit in (0, 7, 31):
        changed = random.mix(values).numpy() ^ random.mix(values ^ np.uint32(1 << bit)).numpy()
        assert abs(np.unpackbits(changed.view(np.uint8)).mean() - 0.5) < 0.02


def test_mixing_is_one_to_one():
    assert len(np.unique(random.mix(np.arange(100_000, dtype=np.uint32)).numpy())) == 100_000


def test_keys_do_not_depend_on_the_batch():
    whole = random.keys(3, 2, tf.range(100)).numpy()
    np.testing.assert_array_equal(random.keys(3, 2, [57, 3, 99]).numpy(), whole[[57, 3, 99]])


def test_golden_numbers():
    # a change of these numbers changes every recorded result that was trained with augmentation
    assert random.keys(7, 3, [0, 1, 1000]).numpy().tolist() == [461421563, 40340840, 365600335]
