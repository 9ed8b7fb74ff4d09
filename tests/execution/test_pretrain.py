"""Greedy pretraining: what each layer sees, what comes out, and that it goes on after a kill."""

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk

QUIET = {"verbose": 0}


def images(count=48):
    return np.random.default_rng(0).random((count, 4, 3, 1)).astype("float32")


def same(one, other):
    weights = [[w for layer in stack for w in layer.get_weights()] for stack in (one, other)]
    assert len(weights[0]) == len(weights[1]) > 0
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def kinds(stack):
    return [type(layer).__name__ for layer in stack]


def test_the_stack_equals_autoencoders_trained_by_hand():
    plan = dk.plan(devices="CPU:0", seed=3)
    stack = dk.pretrain([5, 4], images(), corruption=dk.MaskingNoise(0.3, seed=1), epochs=3, plan=plan, **QUIET)
    assert kinds(stack) == ["Flatten", "Dense", "Dense"]
    codes = images().reshape(len(images()), -1)
    for layer, seed in zip(stack[1:], (3, 4), strict=True):
        dense = layers.Dense(layer.units, activation="sigmoid")
        net = dk.Autoencoder(dense, corruption=dk.MaskingNoise(0.3, seed=1), activation="sigmoid")
        model = dk.fit(net, codes, epochs=3, plan=dk.plan(devices="CPU:0", seed=seed), **QUIET).model
        trained = model.get_layer("encoder.dense")
        np.testing.assert_allclose(layer.kernel, trained.kernel, rtol=1e-5, atol=1e-7)
        codes = np.asarray(trained(codes))  # clean: the noise is not on the way


def test_fine_tuning_goes_on_with_the_trained_layers_themselves():
    x, y = images(), np.arange(48) % 3
    stack = dk.pretrain([5, 4], (x, y), epochs=1, **QUIET)
    before = stack[1].get_weights()[0]
    net = dk.Sequential([*stack, dk.Classifier(3)])
    model = net.build((4, 3, 1))
    np.testing.assert_array_equal(model.get_layer("dense1").kernel, before)
    run = dk.fit(net, (x, y), epochs=2, **QUIET)
    assert run.model.get_layer("dense1") is stack[1]
    assert np.any(np.asarray(stack[1].kernel) != before)
    assert run.model.count_params() == 12 * 5 + 5 + 5 * 4 + 4 + 4 * 3 + 3


def test_layers_of_one_shape_begin_apart():
    stack = dk.pretrain([12, 12, 12], images().reshape(48, 12), epochs=1, learning_rate=1e-9, **QUIET)
    assert np.abs(np.asarray(stack[0].kernel) - np.asarray(stack[1].kernel)).max() > 0.1
    assert np.abs(np.asarray(stack[1].kernel) - np.asarray(stack[2].kernel)).max() > 0.1


def test_tied_layers_come_back_as_dense_ones_that_save_for_keras_alone(tmp_path):
    stack = dk.pretrain([5, 4], images(), tied=True, epochs=1, **QUIET)
    assert kinds(stack) == ["Flatten", "Dense", "Dense"]
    model = dk.Sequential([*stack, dk.Classifier(3)]).build((4, 3, 1))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(images()), model(images()))
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}


def test_blocks_are_taken_where_they_have_a_mirror_image():
    block = dk.ConvStack(2, convs=1)
    data = dk.data.from_arrays(images(), np.arange(48) % 3, batch_size=16)
    stack = dk.pretrain([block, dk.MLP([3])], data, epochs=2, **QUIET)
    assert kinds(stack) == [
        "Conv2D", "BatchNormalization", "Activation", "MaxPooling2D", "Flatten", "Dense", "Activation"
    ]  # fmt: skip
    assert dk.Sequential([*stack, dk.Classifier(3)]).build((4, 3, 1)).output_shape == (None, 3)


def test_the_output_follows_the_values(tmp_path):
    dk.pretrain([3], images(), epochs=1, run_dir=tmp_path / "unit", **QUIET)
    dk.pretrain([3], images() - 0.5, epochs=1, run_dir=tmp_path / "any", **QUIET)
    losses = [(tmp_path / name / "layer1" / "config.json").read_text() for name in ("unit", "any")]
    assert "BinaryCrossentropy" in losses[0]
    assert "MeanSquaredError" in losses[1]
    assert "BinaryCrossentropy" not in losses[1]


class Stop(Exception):
    pass


def test_stopped_in_the_second_layer_it_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    def call(folder):
        noise = dk.MaskingNoise(0.3, seed=1)
        plan = dk.plan(devices="CPU:0", seed=3)
        return dk.pretrain(
            [5, 4], images(), corruption=noise, epochs=3, batch_size=16, plan=plan, run_dir=folder, **QUIET
        )

    whole = call(tmp_path / "whole")
    from deepkit.execution.training import Keeper

    epochs = []
    end = Keeper.on_epoch_end

    def stop(self, epoch, logs=None):
        epochs.append(epoch)
        if len(epochs) == 5:  # the second of the second layer, before it is kept
            raise Stop
        end(self, epoch, logs)

    with monkeypatch.context() as patched:
        patched.setattr(Keeper, "on_epoch_end", stop)
        with pytest.raises(Stop):
            call(tmp_path / "stopped")
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == ["layer1", "layer2"]
    same(call(tmp_path / "stopped"), whole)


def test_progress_is_said_unless_it_is_to_be_quiet(capsys):
    dk.pretrain([5, 4], images(), epochs=1, verbose=2)
    said = capsys.readouterr().out
    assert "layer 1 of 2: 4x3x1 -> 5, reconstruction loss" in said
    assert "layer 2 of 2: 5 -> 4, reconstruction loss" in said
    dk.pretrain([5], images(), epochs=1, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("units", "data", "extra", "text"),
    [
        (500, images(), {}, "units must be a list of layers or widths, received 500\n  try [500]"),
        ([], images(), {}, "units must be a list of layers or widths, received []\n  try [1000, 1000]"),
        ([3], images(), {"loss": "mse"}, "loss follows from each layer's own autoencoder"),
        ([3], {"a": images()}, {}, "expected one input, received a dict of them"),
        ([dk.Residual(dk.MLP([12]))], images().reshape(48, 12), {}, "the encoder is no chain of layers"),
        ([3], images(), {"epoch": 3}, "unexpected keyword argument 'epoch'"),
    ],
)
def test_errors(units, data, extra, text):
    with pytest.raises((TypeError, ValueError)) as caught:
        dk.pretrain(units, data, **extra, verbose=0)
    assert text in str(caught.value)
