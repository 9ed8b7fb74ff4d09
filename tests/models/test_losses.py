"""Losses that Keras lacks: against those it has."""

import keras
import numpy as np
import pytest

from deepkit.models import SmoothedCrossentropy

LOGITS = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
LABELS = np.array([[0, 1, 2, 2, 1], [2, 0, 0, 1, 2]])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("labels", [LABELS, LABELS[..., None]])
def test_one_class_a_position_is_one_hot_labels_smoothed(labels, smoothing):
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction="none")
    found = SmoothedCrossentropy(smoothing, reduction="none")(labels, LOGITS)
    assert found.shape == (2, 5)
    np.testing.assert_allclose(found, expected(np.eye(3, dtype="float32")[LABELS], LOGITS), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [2, 1.0, -0.1, True, "a tenth"])
def test_a_share_that_is_none_is_refused(smoothing):
    with pytest.raises(
        ValueError, match=r"smoothing must be a number from 0 to below 1, received .*\n  hint: Smoothed"
    ):
        SmoothedCrossentropy(smoothing)
