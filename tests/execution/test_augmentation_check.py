"""Keras's augmentation layers in a definition: the range of their images, and layers that also change labels."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk

UINT8 = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3)).astype("uint8")
FLOAT = (UINT8 / 255).astype("float32")
Y = np.arange(8) % 2


def fit(x, *augmentation, **kwargs):
    net = dk.Sequential([*augmentation, layers.Flatten(), dk.Classifier(2)])
    return dk.fit(net, x, Y, **{"verbose": 0, **kwargs})


@pytest.mark.parametrize(
    ("augmentation", "x", "problem"),
    [
        (layers.RandomBrightness(0.2), FLOAT, r"RandomBrightness has value_range=\(0, 255\), .* up to 1\n"),
        (layers.RandomContrast(0.2, value_range=(0, 1)), UINT8, r"RandomContrast has .*=\(0, 1\), .* up to 255\n"),
        (layers.Pipeline([layers.RandomFlip(), layers.RandomInvert()]), FLOAT, "RandomInvert has"),
    ],
)
def test_images_of_another_range_are_an_error(augmentation, x, problem):
    scale = 1 if x is FLOAT else 255
    with pytest.raises(ValueError, match=rf"{problem}(.|\n)*hint: pass value_range=\(0, {scale}\)"):
        fit(x, augmentation)


def test_a_rescaling_before_the_layer_counts():
    with pytest.raises(ValueError, match="value_range"):
        fit(UINT8, layers.Rescaling(1 / 255), layers.RandomBrightness(0.2))
    fit(UINT8, layers.RandomBrightness(0.2), layers.Rescaling(1 / 255))


def test_a_layer_that_would_have_to_change_labels_is_an_error():
    with pytest.raises(ValueError, match=r"MixUp combines images(.|\n)*at    mix_up\n  hint: apply it to the batches"):
        fit(FLOAT, layers.MixUp())


def test_uint8_images_before_an_augmentation_are_mentioned(capsys):
    fit(UINT8, layers.RandomFlip(), verbose=2)
    message = "x: uint8 values up to 255 are not rescaled before RandomFlip; put layers.Rescaling(1 / 255) after it"
    assert message in capsys.readouterr().out


def test_a_layer_that_refuses_its_own_config():
    with pytest.raises(dk.DefinitionError, match="the layer cannot be copied from its config"):
        fit(FLOAT, layers.RandomShear(0.1))


@pytest.mark.slow
def test_augmentation_layers_resume_exactly_and_are_inactive_in_predictions(tmp_path):
    augmentation = [layers.RandomFlip(), layers.RandomRotation(0.1)]
    whole = fit(FLOAT, *augmentation, epochs=4)
    fit(FLOAT, *augmentation, epochs=2, run_dir=tmp_path)
    resumed = fit(FLOAT, *augmentation, epochs=4, run_dir=tmp_path)
    for expected, received in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)
    flipped = keras.Model(resumed.model.input, resumed.model.layers[2].output)
    np.testing.assert_array_equal(flipped(FLOAT, training=False), FLOAT)
