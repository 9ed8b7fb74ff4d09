"""Greedy pretraining: the data of each layer, the trained layers, and exact resume."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import deepkit as dk
from deepkit.training.fit import fit

QUIET = {"verbose": 0}


def images(count=48):
    return np.random.default_rng(0).random((count, 4, 3, 1)).astype("float32")


def assert_same_weights(first, second):
    weights = [[w for layer in stack for w in layer.get_weights()] for stack in (first, second)]
    assert len(weights[0]) == len(weights[1]) > 0
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def class_names(stack):
    return [type(layer).__name__ for layer in stack]


def two_layers(folder=None):
    noise, plan = dk.MaskingNoise(0.3, seed=1), dk.plan(devices="CPU:0", seed=3)
    return dk.pretrain([5, 4], images(), corruption=noise, epochs=2, batch_size=16, plan=plan, run_dir=folder, **QUIET)


@pytest.fixture(scope="module")
def uninterrupted():
    return two_layers()


def test_the_stack_equals_autoencoders_trained_one_by_one(uninterrupted):
    assert class_names(uninterrupted) == ["Flatten", "Dense", "Dense"]
    codes = images().reshape(len(images()), -1)
    for layer, seed in zip(uninterrupted[1:], (3, 4), strict=True):
        dense = layers.Dense(layer.units, activation="sigmoid")
        net = dk.Autoencoder(dense, corruption=dk.MaskingNoise(0.3, seed=1), activation="sigmoid")
        plan = dk.plan(devices="CPU:0", seed=seed)
        model = dk.fit(net, codes, epochs=2, batch_size=16, plan=plan, **QUIET).model
        trained = model.get_layer("encoder.dense")
        np.testing.assert_allclose(layer.kernel, trained.kernel, rtol=1e-5, atol=1e-7)
        codes = np.asarray(trained(codes))  # without noise


def test_fine_tuning_trains_the_trained_layers_themselves(capsys):
    x, y = images(), np.arange(48) % 3
    stack = dk.pretrain([5], (x, y), epochs=1, **QUIET)
    assert capsys.readouterr().out == ""
    before = stack[1].get_weights()[0]
    net = dk.Sequential([*stack, dk.Classifier(3)])
    model = net.build((4, 3, 1))
    np.testing.assert_array_equal(model.get_layer("dense1").kernel, before)
    run = dk.fit(net, (x, y), epochs=2, **QUIET)
    assert run.model.get_layer("dense1") is stack[1]
    assert np.any(np.asarray(stack[1].kernel) != before)
    assert run.model.count_params() == 12 * 5 + 5 + 5 * 3 + 3


def test_layers_of_equal_shape_start_from_different_weights_and_progress_is_printed(capsys):
    stack = dk.pretrain([12, 12], images(), epochs=1, learning_rate=1e-9, verbose=2)
    assert np.abs(np.asarray(stack[1].kernel) - np.asarray(stack[2].kernel)).max() > 0.1
    printed = capsys.readouterr().out
    assert "layer 1 of 2: 4x3x1 -> 12, reconstruction loss" in printed
    assert "layer 2 of 2: 12 -> 12, reconstruction loss" in printed


def test_a_tied_layer_is_returned_as_the_keras_layer_that_it_ties_and_loads_without_deepkit(tmp_path, monkeypatch):
    models = []

    def recording_fit(*arguments, **named):
        run = fit(*arguments, **named)
        models.append(run.model)
        return run

    monkeypatch.setattr("deepkit.training.pretrain.fit", recording_fit)
    convolution = layers.Conv2D(2, 2, activation="sigmoid", name="conv")
    stack = dk.pretrain([convolution, 4], images(), tied_weights=True, epochs=1, **QUIET)
    assert class_names(stack) == ["Conv2D", "Flatten", "Dense"]
    tied = models[0].get_layer("encoder.part1.conv").layer, models[1].get_layer("encoder.dense2")
    for layer, trained in zip((stack[0], stack[2]), tied, strict=True):
        np.testing.assert_array_equal(layer.kernel, trained.kernel)
        np.testing.assert_array_equal(layer.bias, trained.bias)
    model = dk.Sequential([*stack, dk.Classifier(3)]).build((4, 3, 1))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(images()), model(images()))
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("noise", [None, [dk.MaskingNoise(0.3, seed=1), layers.GaussianNoise(0.1, seed=1)]])
def test_a_trained_stack_can_grow_by_a_layer(tied, noise):
    x, rest = (
        np.random.default_rng(0).random((48, 6)).astype("float32"),
        {"corruption": noise, "tied_weights": tied, **QUIET},
    )
    stack = dk.pretrain([6], x, epochs=1, **rest)
    before = stack[0].get_weights()
    grown = dk.pretrain([*stack, 6], x, epochs=1, learning_rate=1e-9, **rest)
    assert [layer.name for layer in grown] == ["dense1", "dense2"]
    assert class_names(grown) == ["Dense", "Dense"]
    for one, other in zip(before, grown[0].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    model = dk.Sequential([*grown, dk.Classifier(2)]).build((6,))
    assert model.count_params() == 2 * (6 * 6 + 6) + 6 * 2 + 2


def test_blocks_that_can_be_inverted_are_accepted():
    block = dk.ConvStack(2, num_convs=1, norm=layers.BatchNormalization(momentum=0.2))
    data = dk.data.from_arrays(images(), np.arange(48) % 3, batch_size=16)
    stack = dk.pretrain([block, dk.MLP([3])], data, epochs=1, **QUIET)
    assert class_names(stack) == [
        "Conv2D", "BatchNormalization", "Activation", "MaxPooling2D", "Flatten", "Dense", "Activation"
    ]  # fmt: skip
    assert dk.Sequential([*stack, dk.Classifier(3)]).build((4, 3, 1)).output_shape == (None, 3)


def test_the_output_activation_and_the_loss_follow_the_values(monkeypatch):
    nets = []

    def recording_fit(net, *arguments, **named):
        nets.append(net)
        raise Stop

    monkeypatch.setattr("deepkit.training.pretrain.fit", recording_fit)
    for x in (images(), images() - 0.5, images() * 2):
        with pytest.raises(Stop):
            dk.pretrain([3], x, epochs=1, **QUIET)
    losses = [type(net.objective((None, 4), (None, 4)).loss).__name__ for net in nets]
    assert losses == ["BinaryCrossentropy", "MeanSquaredError", "MeanSquaredError"]


class Stop(Exception):
    pass


@pytest.mark.usefixtures("without_reports")
def test_a_run_stopped_in_the_second_layer_resumes_to_the_same_weights(uninterrupted, tmp_path, monkeypatch):
    from deepkit.training.loop import CheckpointCallback

    epochs = []
    end = CheckpointCallback.on_epoch_end

    def stop(self, epoch, logs=None):
        epochs.append(epoch)
        if len(epochs) == 4:  # the second epoch of the second layer, before its checkpoint
            raise Stop
        end(self, epoch, logs)

    with monkeypatch.context() as patched:
        patched.setattr(CheckpointCallback, "on_epoch_end", stop)
        with pytest.raises(Stop):
            two_layers(tmp_path / "stopped")
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == ["layer1", "layer2"]
    assert_same_weights(two_layers(tmp_path / "stopped"), uninterrupted)


@pytest.mark.parametrize(
    ("units", "data", "extra", "text"),
    [
        (500, images(), {}, "units must be a list of layers or widths, received 500\n  hint: use [500]"),
        ([], images(), {}, "units must be a list of layers or widths, received []\n  hint: use [1000, 1000]"),
        ([3], images(), {"loss": "mse"}, "loss is determined by the autoencoder of each layer"),
        ([3], {"a": images()}, {}, "expected one input, received a dict of inputs"),
        ([dk.Residual(dk.MLP([12]))], images().reshape(48, 12), {}, "the encoder is not a chain of layers"),
        ([3], images(), {"epoch": 3}, "unexpected keyword argument 'epoch'"),
    ],
)
def test_invalid_arguments_raise(units, data, extra, text):
    with pytest.raises((TypeError, ValueError)) as caught:
        dk.pretrain(units, data, **extra, verbose=0)
    assert text in str(caught.value)


def test_the_batch_size_of_a_pipeline_is_kept(monkeypatch):
    sizes = []

    def recording_fit(net, *arguments, **named):
        sizes.append(named["batch_size"])
        raise Stop

    monkeypatch.setattr("deepkit.training.pretrain.fit", recording_fit)
    data = dk.data.from_arrays(images(), batch_size=12)
    for dataset, options in ((data, {}), (data.train, {}), (data.train, {"batch_size": 7}), (images(), {})):
        with pytest.raises(Stop):
            dk.pretrain([3], dataset, **options, **QUIET)
    assert sizes == [12, 12, 7, None]


def test_a_dataset_equals_its_arrays():
    x = images()
    batches = tf.data.Dataset.from_tensor_slices((x, np.arange(48) % 3)).batch(20)
    stacks = [dk.pretrain([5], data, batch_size=16, epochs=1, **QUIET) for data in (x, batches)]
    assert_same_weights(*stacks)
    with pytest.raises(ValueError, match=r"pretrain: the dataset is infinite\n  hint: use dataset.take"):
        dk.pretrain([5], batches.repeat(), **QUIET)
    with pytest.raises(ValueError, match="pretrain: the dataset is empty"):
        dk.pretrain([5], batches.take(0), **QUIET)
