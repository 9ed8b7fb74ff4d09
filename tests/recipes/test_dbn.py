"""Recipe of deep belief networks: weights, the choice of labels, and a short training."""

import numpy as np
import pytest

import deepkit as dk
from recipes.generative import dbn


def test_the_classifier_has_the_weights_of_the_formula():
    assert dbn.RECIPE.build(dbn.Config()).count_params() == 1_665_010
    assert dbn.network(dbn.Config()) == dk.DBN([500, 500, 2000], epochs_per_layer=30)


def test_few_labels_are_the_first_of_each_class():
    x, y = np.arange(60, dtype="float32").reshape(60, 1), np.arange(60) % 10
    data = dk.data.from_arrays(x, y, validation=(x[:5], y[:5]), seed=0)
    few = dbn.with_few_labels(data, 20, dbn.Config())
    chosen, labels = few.train.arrays()
    assert sorted(chosen[:, 0].tolist()) == list(range(20))
    np.testing.assert_array_equal(labels, chosen[:, 0].astype(int) % 10)
    assert (few.train.batch_size, few.validation.num_examples) == (2, 5)


@pytest.mark.thorough
def test_pretraining_helps_with_few_labels(tfds_dir, tmp_path):
    config = dbn.Config(
        units=(200, 200), pretraining_epochs=5, epochs=30, label_counts=(300,), data_dir=tfds_dir, run_dir=tmp_path
    )
    measured = dbn.train(config).measured
    assert measured["test error, 300 labels"] < measured["test error, 300 labels, from a random start"]
