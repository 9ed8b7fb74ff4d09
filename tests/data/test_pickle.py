"""Pickled data: the same batches in another process; data that is read from disk refuses."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.data.sources import StreamSource

X, Y = np.arange(60.0).reshape(20, 3), np.arange(20) % 2


@pytest.mark.parametrize("copied", [lambda data: pickle.loads(pickle.dumps(data)), copy.deepcopy])
def test_a_copy_yields_the_same_batches(copied):
    data = dk.data.from_arrays(X, Y, validation=5, batch_size=4)
    other = copied(data)
    assert other.train.fingerprint == data.train.fingerprint
    for (x, y), (other_x, other_y) in zip(data.train.epochs().take(8), other.train.epochs().take(8), strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


def test_records_are_copied_with_their_folder_and_their_labels(tmp_path):
    folder = dk.data.write_records((X, Y), tmp_path / "records", verbose=False)
    train = dk.data.from_records(folder, batch_size=4, verbose=False).train.with_labels(Y + 1)
    other = pickle.loads(pickle.dumps(train))
    for one, same in zip(train.epochs().take(3), other.epochs().take(3), strict=True):
        np.testing.assert_array_equal(one[0], same[0])
        np.testing.assert_array_equal(one[1], same[1])


def test_a_stream_cannot_be_pickled():
    source = StreamSource(4, tf.data.Dataset.range(4), 2)
    with pytest.raises(TypeError, match="read from disk in every epoch cannot be pickled"):
        pickle.dumps(source)
