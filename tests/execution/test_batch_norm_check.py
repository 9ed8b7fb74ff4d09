"""The warning about batch normalization whose moving statistics still hold their initial values."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.training import batch_norm_check

MOMENTUM = 0.5  # 0.5**4 = 0.0625 of the initial statistics is left after 4 steps, and 0.5**5 = 0.03125 after 5


def vectors(count=32):
    x = np.random.default_rng(0).normal(size=(count, 4)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32")


def normalized(momentum=MOMENTUM, **kwargs):
    return dk.Sequential([dk.MLP([3], norm=layers.BatchNormalization(momentum=momentum, **kwargs)), dk.Classifier(2)])


def keras_model(norm):
    model = keras.Sequential([layers.Input((4,)), norm, layers.Dense(1, name="head")])
    model.compile("sgd", "mse")
    return model


def check(model, steps_per_epoch=4, epochs=1):
    """Return the warnings about a built model before its training."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batch_norm_check.warn_about_momentum(batch_norm_check.layers_to_check(model), steps_per_epoch, epochs)
    return [str(warning.message) for warning in caught]


def texts(net, data=None, **kwargs):
    """Return the warnings of a training of 4 steps in each epoch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dk.fit(net, data or vectors(), **{"batch_size": 8, "verbose": 0, **kwargs})
    return [str(w.message) for w in caught if w.category is UserWarning and "batch normalization" in str(w.message)]


def test_the_text_has_momentum_steps_path_and_hint():
    net = dk.Sequential([dk.ConvStack(2), dk.Classifier(2, pool="avg")])
    x, y = np.zeros((32, 4, 4, 1), "float32"), np.arange(32) % 2
    assert texts(net, (x, y), epochs=3) == [
        "batch normalization with momentum=0.9 keeps 28.2 % of its initial moving statistics after 12 steps (epochs=3, "
        "steps per epoch: 4), expected at most 5 %; validation and prediction use these statistics\n"
        "  at    conv_stack.conv_block1.norm and 1 other layer\n"
        "  hint: use a smaller momentum, in a block norm=layers.BatchNormalization(momentum=0.77), a smaller "
        "batch_size, or epochs=8"
    ]


@pytest.mark.parametrize(
    ("momentum", "steps_per_epoch", "epochs", "is_enough"),
    [(0.9, 7, 4, False), (0.89, 7, 4, True), (0.9, 10, 4, True), (0.9, 7, 5, True)],  # the three parts of the hint
)
def test_each_part_of_the_hint_avoids_the_warning(momentum, steps_per_epoch, epochs, is_enough):
    warned = check(normalized(momentum).build((4,)), steps_per_epoch, epochs)
    assert [text.partition("hint: ")[2] for text in warned] == (
        []
        if is_enough
        else [
            "use a smaller momentum, in a block norm=layers.BatchNormalization(momentum=0.89), a smaller batch_size, "
            "or epochs=5"
        ]
    )


@pytest.mark.parametrize("make", [normalized, lambda: keras_model(layers.BatchNormalization(momentum=MOMENTUM))])
def test_the_number_of_steps_of_the_whole_training_counts(make):
    assert len(texts(make())) == 1
    assert texts(make(), batch_size=7) == []  # 5 steps


def test_a_frozen_layer_is_not_counted():
    assert check(normalized(trainable=False).build((4,))) == []
    base = keras.Sequential(
        [layers.Input((4,)), layers.BatchNormalization(momentum=MOMENTUM, name="norm")], name="base"
    )
    model = dk.Sequential([base, dk.Classifier(2)]).build()
    (text,) = check(model)
    assert "\n  at    base/norm\n" in text
    base.trainable = False
    assert check(model) == []


@pytest.mark.parametrize(("mean", "variance", "count"), [(0.0, 1.0, 1), (0.5, 1.0, 0), (0.0, 0.9, 0)])
def test_a_layer_with_loaded_statistics_is_not_counted(mean, variance, count, tmp_path):
    model = normalized().build((4,))
    norm = model.get_layer("mlp.norm")
    norm.moving_mean.assign([0.0, mean, 0.0])
    norm.moving_variance.assign([1.0, 1.0, variance])
    model.save_weights(tmp_path / "model.weights.h5")
    base = normalized().build((4,))
    base.load_weights(tmp_path / "model.weights.h5")
    assert len(check(dk.Sequential([base, dk.Classifier(2)]).build((4,)))) == count


def test_a_second_training_of_a_model_continues_from_the_first():
    model = keras_model(layers.BatchNormalization(momentum=MOMENTUM))
    assert [len(texts(model)), len(texts(model))] == [1, 0]


def test_the_layer_with_the_largest_momentum_is_named():
    norms = [layers.BatchNormalization(momentum=momentum) for momentum in (0.4, 0.6, 0.5)]
    net = dk.Sequential([dk.Sequential([norm], name=f"stage{i}") for i, norm in enumerate(norms)] + [dk.Classifier(2)])
    (text,) = check(net.build((4,)))
    assert "momentum=0.6 " in text
    assert "\n  at    stage1.batch_normalization and 1 other layer\n" in text


def test_no_number_of_epochs_is_enough_for_momentum_1():
    (text,) = check(normalized(momentum=1.0).build((4,)))
    assert "keeps 100 % of its initial" in text
    assert "epochs=" not in text.partition("hint: ")[2]


def test_an_unknown_number_of_steps_does_not_warn():
    dataset = tf.data.Dataset.from_tensor_slices(vectors()).batch(8)
    assert len(texts(normalized(), dataset, batch_size=None)) == 1
    assert texts(normalized(), dataset.filter(lambda x, y: True), batch_size=None) == []


def test_a_layer_that_is_built_by_the_first_batch_is_counted():
    model = keras.Sequential([layers.BatchNormalization(momentum=MOMENTUM, name="norm"), layers.Dense(1)], name="late")
    model.compile("sgd", "mse")
    (text,) = texts(model)
    assert "\n  at    late/norm\n" in text


def test_mixed_precision_is_checked():
    assert len(texts(normalized(), plan=dk.plan(precision="mixed_bfloat16"))) == 1


def test_a_resumed_run_counts_all_epochs_and_a_finished_run_does_not_warn(tmp_path):
    net = normalized(momentum=0.7)  # 0.7**8 = 0.058, 0.7**12 = 0.014
    assert len(texts(net, run_dir=tmp_path)) == 1
    assert texts(net, run_dir=tmp_path) == []
    (text,) = texts(net, run_dir=tmp_path, epochs=2)
    assert "keeps 5.76 % of its initial moving statistics after 8 steps (epochs=2, steps per epoch: 4)" in text
    assert texts(net, run_dir=tmp_path, epochs=3) == []
