"""Averaged weights and restored best weights are resumed exactly."""

import keras
import numpy as np
import pytest

import deepkit as dk

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(64, 6)).astype("float32"), RANDOM.integers(0, 3, 64)
VALIDATION = (X[:20] + 1, Y[:20])


def train(epochs, folder, callback):
    averaged = isinstance(callback, keras.callbacks.SwapEMAWeights)
    return dk.fit(
        dk.Sequential([dk.MLP([8], dropout=0.2), dk.Classifier(3)]),
        (X, Y),
        epochs=epochs,
        run_dir=folder,
        batch_size=16,
        plan=dk.plan(seed=1),
        optimizer=keras.optimizers.Adam(0.05, use_ema=averaged, ema_momentum=0.9),
        callbacks=[callback],
        validation_data=VALIDATION,
        verbose=0,
    )


@pytest.mark.parametrize(
    "make",
    [
        keras.callbacks.SwapEMAWeights,
        lambda: keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True),
    ],
    ids=["averages", "best epoch"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(make, tmp_path):
    uninterrupted = train(5, tmp_path / "uninterrupted", make())
    train(2, tmp_path / "resumed", make())
    resumed = train(5, tmp_path / "resumed", make())
    assert resumed.resume == "exact"
    assert resumed.history == uninterrupted.history
    for x, y in zip(resumed.model.get_weights(), uninterrupted.model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_model_ends_with_the_averages_and_is_validated_with_them(tmp_path):
    run = train(3, tmp_path, keras.callbacks.SwapEMAWeights())
    averages = run.model.optimizer._model_variables_moving_average
    for weight, average in zip(run.model.trainable_weights, averages, strict=True):
        np.testing.assert_array_equal(weight, average)
    assert run.model.evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(run.history["val_loss"][-1], rel=1e-4)


def test_the_model_and_its_file_have_the_weights_of_the_best_epoch(tmp_path):
    run = train(6, tmp_path, keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True))
    assert run.history["val_loss"].index(min(run.history["val_loss"])) < 5  # later epochs are worse
    saved = keras.models.load_model(tmp_path / "model.keras")
    for model in (run.model, saved):
        assert model.evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(min(run.history["val_loss"]), rel=1e-5)
