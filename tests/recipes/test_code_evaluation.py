"""Evaluation of codes: values that follow from small examples, and the codes of an autoencoder."""

import numpy as np
import pytest

import deepkit as dk
from recipes.generative import code_evaluation as evaluation


def clouds(centers, num_points=20, spread=0.01):
    """Return points around each center, and the number of the center."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(centers)), num_points)
    return np.asarray(centers, "float64")[labels] + spread * rng.normal(size=(len(labels), len(centers[0]))), labels


def test_the_codes_are_the_outputs_of_the_encoder():
    model = dk.Autoencoder(dk.MLP([3, 2], activation="tanh")).build((2, 2, 1))
    x = np.random.default_rng(0).normal(size=(7, 2, 2, 1)).astype("float32")
    codes = evaluation.encode(model, x)
    kernels = [np.asarray(model.get_layer(f"encoder.mlp.dense{i}").kernel) for i in (1, 2)]
    expected = np.tanh(np.tanh(x.reshape(7, 4) @ kernels[0]) @ kernels[1])
    assert codes.dtype == "float64"
    np.testing.assert_allclose(codes, expected, atol=1e-6)


def test_squared_errors_are_sums_over_the_values_of_an_example():
    x = np.zeros((2, 2, 2, 1))
    reconstruction = x + np.array([0.5, 2.0]).reshape(2, 1, 1, 1)
    assert evaluation.squared_errors(x, reconstruction).tolist() == [1.0, 16.0]


def test_the_purity_counts_the_most_frequent_class_of_each_cluster():
    codes, labels = clouds([(0, 0), (1, 0), (0, 1)])
    assert evaluation.cluster_purity(codes, labels, num_clusters=3) == 1
    mixed = labels.copy()
    mixed[[0, 1, 20]] = 2  # 2 of the first cluster and 1 of the second
    assert evaluation.cluster_purity(codes, mixed, num_clusters=3) == pytest.approx(57 / 60)
    assert evaluation.cluster_purity(codes, labels, num_clusters=1) == pytest.approx(1 / 3)
    merged, classes = clouds([(0, 0), (0, 0.05), (9, 9)])  # two classes in one cluster
    assert evaluation.cluster_purity(merged, classes, num_clusters=2) == pytest.approx(2 / 3)


def test_the_distances_are_means_over_the_nearest_normal_codes():
    normal = np.array([[0.0], [1.0], [10.0]])
    distances = evaluation.neighbor_distances(np.array([[0.0], [12.0]]), normal, num_neighbors=2)
    assert distances.tolist() == [0.5, 6.5]


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(1)
    scores, is_anomaly = rng.normal(size=40), np.arange(40) < 8
    pairs = scores[is_anomaly][:, None] > scores[~is_anomaly]
    assert evaluation.anomaly_auc(scores, is_anomaly) == pytest.approx(pairs.mean())
    assert evaluation.anomaly_auc(is_anomaly.astype(float), is_anomaly) == 1
    codes, labels = clouds([(0, 0), (5, 5)])
    far = evaluation.neighbor_distances(codes, codes[labels == 0], num_neighbors=3)
    assert evaluation.anomaly_auc(far, labels == 1) == 1
