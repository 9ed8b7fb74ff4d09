"""SmoothedCrossentropy: equality with Keras's cross-entropy, and errors."""

import keras
import numpy as np
import pytest

import deepkit.models
from deepkit.losses import SmoothedCrossentropy

LOGITS = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
LABELS = np.array([[0, 1, 2, 2, 1], [2, 0, 0, 1, 2]])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("labels", [LABELS, LABELS[..., None]])
def test_integer_labels_equal_smoothed_one_hot_labels(labels, smoothing):
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction="none")
    loss = SmoothedCrossentropy(smoothing, reduction="none")(labels, LOGITS)
    assert loss.shape == (2, 5)
    np.testing.assert_allclose(loss, expected(np.eye(3, dtype="float32")[LABELS], LOGITS), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [2, 1.0, -0.1, True, "a tenth"])
def test_an_invalid_smoothing_is_refused(smoothing):
    with pytest.raises(
        ValueError, match=r"smoothing must be a fraction in \[0, 1\), received .*\n  hint: use Smoothed"
    ):
        SmoothedCrossentropy(smoothing)


def test_the_loss_is_exported_by_losses_and_by_models():
    assert deepkit.models.SmoothedCrossentropy is SmoothedCrossentropy
