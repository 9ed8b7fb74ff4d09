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


def test_a_stream_cannot_be_pickled():
    source = StreamSource(tf.data.Dataset.range(4), 4, 2)
    with pytest.raises(TypeError, match="read from disk in every epoch cannot be pickled"):
        pickle.dumps(source)
