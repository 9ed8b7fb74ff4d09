"""Evaluation of the codes of a trained autoencoder: reconstruction, clusters, and anomalies."""

from __future__ import annotations

import keras
import numpy as np

_BATCH_SIZE = 1000


def encode(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return the codes of an autoencoder, `(examples, units)` in float64.

    Args:
        model: A model that was built from a `dk.Autoencoder`: its layer `code` is the output of the encoder.
        x: Inputs `(examples, ...)`.
    """
    encoder = keras.Model(model.input, model.get_layer("code").output)
    return as_rows(encoder.predict(x, batch_size=_BATCH_SIZE, verbose=0))


def squared_errors(x: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Return the squared error of each example, summed over its values, `(examples,)` in float64.

    These are the units of Hinton & Salakhutdinov 2006, figure 2, for images from 0 to 1.

    Args:
        x: Inputs `(examples, ...)`.
        reconstruction: Their reconstructions, in the same shape.
    """
    return np.asarray(np.square(as_rows(x) - as_rows(reconstruction)).sum(axis=1))


def cluster_purity(codes: np.ndarray, labels: np.ndarray, *, num_clusters: int, seed: int = 0) -> float:
    """Return the share of the examples that have the most frequent class of their cluster.

    The clusters are those of k-means, the best of ten random starts. The purity is at least the share of the most
    frequent class, and rises with the number of clusters: compare codes with the same number.

    Reference:
        Manning, Raghavan & Schütze 2008, "Introduction to Information Retrieval", section 16.3.

    Args:
        codes: Codes `(examples, units)`.
        labels: Class of each example, integers from 0.
        num_clusters: Number of clusters, such as the number of classes.
        seed: Seed of the random starts.
    """
    from sklearn.cluster import KMeans

    clusters = KMeans(num_clusters, n_init=10, random_state=seed).fit_predict(as_rows(codes))
    counts = np.zeros((num_clusters, int(labels.max()) + 1), "int64")
    np.add.at(counts, (clusters, labels), 1)
    return float(counts.max(axis=1).sum() / len(labels))


def neighbor_distances(codes: np.ndarray, normal_codes: np.ndarray, *, num_neighbors: int = 10) -> np.ndarray:
    """Return the mean distance of each code to the nearest codes of normal examples: a score for anomalies.

    Args:
        codes: Codes of the examples to score, `(examples, units)`.
        normal_codes: Codes of normal examples, which are not scored, `(normal examples, units)`.
        num_neighbors: Number of nearest normal examples.
    """
    from sklearn.neighbors import NearestNeighbors

    neighbors = NearestNeighbors(n_neighbors=num_neighbors).fit(as_rows(normal_codes))
    return np.asarray(neighbors.kneighbors(as_rows(codes))[0].mean(axis=1))


def anomaly_auc(scores: np.ndarray, is_anomaly: np.ndarray) -> float:
    """Return the area under the ROC curve: the probability that an anomaly has a larger score than a normal example.

    0.5 is chance, 1 a perfect separation.

    Args:
        scores: Score of each example, such as its squared error or the distance of its code from normal codes.
        is_anomaly: Whether each example is an anomaly, booleans `(examples,)`.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_anomaly, scores))


def as_rows(values: np.ndarray) -> np.ndarray:
    """Return one vector in float64 for each example."""
    return np.asarray(values, "float64").reshape(len(values), -1)
