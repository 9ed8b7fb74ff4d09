"""Silent faults between the user's data and the model: classes of other data, patterns of optimizers, target scales."""

import logging

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.errors import LabelError
from deepkit.utils.tracing import without_retracing_warnings

X = np.random.default_rng(5).normal(size=(60, 4)).astype("float32")
COLORS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def write_images(root, names):
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(4):
            image = np.full((8, 8, 3), COLORS[name], "uint8")
            keras.utils.save_img(root / name / f"{number}.png", image, scale=False)
    return root


@pytest.fixture(scope="module")
def color_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colors")
    data = dk.data.from_folder(write_images(folder / "all", COLORS), image_size=8, verbose=False)
    net = dk.Sequential([layers.Flatten(), dk.Classifier(3)])
    return folder, dk.fit(net, data, epochs=30, learning_rate=0.01, verbose=0)


def test_a_folder_without_one_of_the_classes_keeps_its_labels(color_run, capsys):
    folder, run = color_run
    data = dk.data.from_folder(write_images(folder / "two", ["green", "red"]), image_size=8, verbose=False)
    assert run.evaluate(data.train)["accuracy"] == 1
    assert "x: labels follow the classes of the training data; absent: 'blue'" in capsys.readouterr().out
    training = dk.data.from_folder(folder / "all", image_size=8, verbose=False)
    net = dk.Sequential([layers.Flatten(), dk.Classifier(3)])
    validated = dk.fit(net, training, validation_data=data.train, epochs=30, learning_rate=0.01, verbose=0)
    assert validated.history["val_accuracy"][-1] == 1


def test_an_unknown_class_raises(color_run):
    folder, run = color_run
    (folder / "two_other").mkdir()
    write_images(folder / "two_other", ["red"])
    (folder / "two_other" / "red").rename(folder / "two_other" / "pink")
    write_images(folder / "two_other", ["blue"])
    data = dk.data.from_folder(folder / "two_other", image_size=8, verbose=False)
    text = "expected the classes of the training data, 'blue', 'green', 'red', received 'pink'"
    with pytest.raises(LabelError, match=text):
        run.evaluate(data.train)


def test_a_pipeline_has_the_names_of_its_classes(color_run):
    folder, _ = color_run
    train = dk.data.from_folder(folder / "all", image_size=8, verbose=False).train
    run = dk.fit(dk.Sequential([layers.Flatten(), dk.Classifier(3)]), train, verbose=0)
    assert run.class_names == ("blue", "green", "red")


def test_a_regression_head_refuses_classes():
    table = {"age": [20.0, 30.0] * 20, "answer": ["no", "yes"] * 20}
    data = dk.data.from_table(table, target="answer", verbose=False)
    with pytest.raises(
        LabelError, match=r"predicts numbers, received the classes 'no', 'yes'(.|\n)*dk.Classifier\(2\)"
    ):
        dk.fit(dk.Sequential([dk.TableEncoder(), dk.Regressor(1)]), data, verbose=0)


def test_a_pattern_that_matches_no_variable_raises():
    base = keras.Sequential([keras.Input((4,)), layers.Dense(4)], name="base")
    rates = keras.optimizers.OptimizerMap(keras.optimizers.Adam(), {"bsae/.*": keras.optimizers.Adam()})
    arguments = {"optimizer": keras.optimizers.MultiOptimizer(rates), "verbose": 0}
    net = dk.Sequential([base, dk.Classifier(2)])
    with pytest.raises(ValueError, match=r"the pattern 'bsae/\.\*' of the OptimizerMap matches no trainable variable"):
        dk.fit(net, X, np.arange(60) % 2, **arguments)
    with pytest.raises(ValueError, match="learning_rate: a MultiOptimizer has a learning rate for each"):
        dk.fit(net, X, np.arange(60) % 2, learning_rate=0.1, **arguments)


@pytest.mark.parametrize(("scale", "is_named"), [(1.0, False), (500.0, True)])
def test_the_scale_of_targets_far_from_0_is_printed(scale, is_named, capsys):
    dk.fit(dk.Sequential([dk.Regressor(1)]), X, scale * (X[:, 0] + 2), verbose=2)
    assert ("learns faster with standardized labels" in capsys.readouterr().out) is is_named


def test_predictions_of_a_gaussian_print_their_first_rows():
    prediction = dk.mean_and_stddev(np.stack([np.full((12, 1), 2.0), np.full((12, 1), 0.5)], -1))
    lines = repr(prediction).splitlines()
    assert lines[:2] == ["<GaussianPrediction of 12 examples>", "   0  2 ± 0.5"]
    assert lines[-1] == "      ... and 2 more"


def test_the_warning_about_retracing_is_hidden(caplog):
    logger = logging.getLogger("tensorflow")
    with caplog.at_level(logging.WARNING, logger="tensorflow"), without_retracing_warnings():
        with without_retracing_warnings():  # as pretrain calls fit
            pass
        logger.warning("5 out of the last 5 calls to %s triggered tf.function retracing.", "f")
        logger.warning("another warning")
    assert "retracing" not in caplog.text
    assert not logger.filters
