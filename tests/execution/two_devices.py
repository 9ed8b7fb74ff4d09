"""Training on two logical CPUs compared with one; the device tests run it in a separate process."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.training import benchmark

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
ONE, TWO = ["CPU:0"], ["CPU:0", "CPU:1"]


def train(devices, optimizer, run_dir=None):
    x = np.random.default_rng(0).normal(size=(96, 6, 6, 1)).astype("float32")
    y = (x.mean((1, 2, 3)) > 0).astype("int32")
    net = dk.Sequential([dk.ConvBlock(4), dk.MLP([8]), dk.Classifier(2)])
    data = dk.data.from_arrays(x, y, batch_size=16, seed=1)
    plan = dk.plan(devices=devices, seed=2)
    return dk.fit(net, data, epochs=3, plan=plan, optimizer=optimizer, run_dir=run_dir, verbose=0)


def check_equal_training(optimizer):
    check_equal_runs(train(ONE, optimizer), train(TWO, optimizer))


def check_equal_runs(one, two):
    for a, b in zip(one.model.variables, two.model.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=a.path)
    for name, values in one.history.items():
        np.testing.assert_allclose(values, two.history[name], rtol=1e-5, atol=1e-6, err_msg=name)


def check_uneven_batches():
    """Batches of 15 and a last one of 7 examples, with masks of different lengths, weights and noise of each row."""
    random = np.random.default_rng(1)
    ids = random.integers(1, 9, size=(37, 7))
    ids[np.arange(7) > random.integers(0, 7, size=37)[:, None]] = 0
    x = random.integers(0, 2, size=(37, 12)).astype("float32")
    weights = random.random(37).astype("float32")
    tagger = [keras.layers.Embedding(9, 4, mask_zero=True), dk.Recurrent("gru", 5, return_sequences=True)]
    branch = [keras.layers.Dense(12), dk.layers.StochasticDepth(0.4)]
    noisy = [dk.layers.MaskingNoise(0.3), dk.Residual(branch), dk.Regressor(12)]
    cases = [
        (dk.Sequential([*tagger, dk.Classifier(9, pool=None)]), (ids, ids), {}),
        (dk.Sequential(noisy), (x, x), {"sample_weight": weights}),
        (dk.VAE(dk.MLP([8]), latent_dim=2, decoder=dk.MLP([8])), (x,), {}),
        (dk.GAN([dk.MLP([8]), dk.Regressor(12)], dk.MLP([8]), latent_dim=3), (x,), {}),
    ]
    for net, data, arguments in cases:
        runs = []
        for devices in (ONE, TWO):
            plan = dk.plan(devices=devices, seed=2)
            split = 0.1 if len(data) > 1 else 0.0  # 3 validation examples, in a batch of their own
            runs.append(dk.fit(net, *data, batch_size=15, epochs=2, plan=plan, optimizer="sgd",
                               validation_split=split, verbose=0, **arguments))  # fmt: skip
        check_equal_runs(*runs)


class OwnStep(keras.Model):
    """A model with its own training step."""

    def train_step(self, data):
        return super().train_step(data)


def train_own_step(devices, batch_size):
    plan = dk.plan(devices=devices)
    with plan:
        inputs = keras.Input((4,))
        model = OwnStep(inputs, keras.layers.Dense(1)(inputs))
        model.compile("sgd", "mse", steps_per_execution=1)
    return dk.fit(model, np.zeros((50, 4)), np.zeros((50, 1)), batch_size=batch_size, plan=plan, verbose=0)


def check_that_only_random_layers_are_named():
    """The plan names a layer with dropout, and no LSTM without it, which has a seed too."""
    ids, plan = np.ones((4, 3), "int32"), dk.plan(devices=TWO)
    for rate, is_named in ((0.0, False), (0.5, True)):
        recurrent = dk.Recurrent("lstm", 4, rnn={"recurrent_dropout": rate})
        net = dk.Sequential([keras.layers.Embedding(5, 3), recurrent, dk.Classifier(2)])
        run = dk.fit(net, ids, np.zeros(4, int), batch_size=4, plan=plan, verbose=0)
        assert ("draws other numbers on each device" in run.plan.explain()) == is_named, run.plan.explain()


def check_noise_of_keras_layers():
    """Two devices with one example each draw different noise, although Keras gives them one seed."""
    net = dk.Sequential([keras.layers.Dropout(0.5), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    x, y = np.ones((2, 64), "float32"), np.zeros((2, 1), "float32")
    plan = dk.plan(devices=TWO, seed=2)
    run = dk.fit(net, x, y, loss="mean_absolute_error", batch_size=2, plan=plan, optimizer="sgd", verbose=0)
    steps = np.unique(1 - keras.ops.convert_to_numpy(run.model.weights[0]).round(5))
    assert len(steps) == 3, steps  # kept on none, on one, or on both of the devices


def check_saved_model(folder):
    run = train(TWO, "adam", folder)
    saved = keras.models.load_model(Path(folder) / "model.keras")
    for a, b in zip(saved.variables, run.model.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
    assert run.resume == "approximate because sums across devices have no fixed order"
    assert all(layer.synchronized for layer in run.model.layers if isinstance(layer, keras.layers.BatchNormalization))


def check_rematerialized():
    """The statistics of batch normalizations are synchronized in both computations of the activations."""
    x = np.random.default_rng(0).normal(size=(32, 6, 6, 1)).astype("float32")
    y = (x.mean((1, 2, 3)) > 0).astype("int32")
    models = []
    for rematerialize in (False, True):
        stack = dk.Repeat(dk.ConvBlock(4), num_repeats=2, rematerialize=rematerialize)
        plan = dk.plan(devices=TWO, seed=2)
        net = dk.Sequential([stack, dk.Classifier(2, pool="avg")])
        models.append(dk.fit(net, x, y, batch_size=4, epochs=4, plan=plan, verbose=0).model)
    for a, b in zip(models[0].variables, models[1].variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=a.path)


def check_refused(call, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is checked below
        call()
    assert text in str(caught.value), caught.value
    assert "\n  hint: " in str(caught.value)


def train_translation(devices):
    text = dk.Text(6, vocabulary=("a", "b", "c", "d"))
    net = dk.Seq2Seq(text, encoder=dk.BiLSTM(4), decoder=dk.Recurrent("lstm", 8))
    ids = np.array([[2, 3, 0], [4, 0, 0], [5, 3, 2], [2, 0, 0]])
    return dk.fit(net, (ids, ids), batch_size=4, plan=dk.plan(devices=devices, seed=2), optimizer="sgd", verbose=0)


def check_that_only_precision_is_measured():
    x, y = np.random.default_rng(0).random((96, 4)).astype("float32"), np.arange(96) % 2
    benchmark.NUM_ROUNDS, benchmark.MAX_ROUND_STEPS = 2, 1
    net, data = dk.Sequential([dk.Classifier(2)]), (x, y)
    plan = dk.autotune(net, data, batch_size=16, plan=dk.plan(devices=TWO), verbose=0)
    assert [(row.field, row.value) for row in plan.measurements] == [
        ("jit_compile", ""),
        ("steps_per_execution", ""),
        ("precision", "float32"),
        ("precision", "mixed_bfloat16"),
    ]
    assert all(row.loss for row in plan.measurements[2:])
    assert (plan.steps_per_execution, plan.jit_compile) == (1, False)
    assert dk.fit(net, data, batch_size=16, plan=plan, verbose=0).plan == plan


if __name__ == "__main__":
    check_equal_training(keras.optimizers.SGD(0.1))
    check_equal_training(keras.optimizers.Adam(0.01))
    check_uneven_batches()
    check_noise_of_keras_layers()
    check_saved_model(sys.argv[1])
    check_that_only_precision_is_measured()
    check_rematerialized()
    check_refused(lambda: train(TWO, keras.optimizers.Adam(use_ema=True)), "use_ema=True over 2 devices")
    check_refused(lambda: train(TWO, keras.optimizers.Adam(clipnorm=1.0)), "clipnorm=1.0 over 2 devices")
    check_refused(
        lambda: train_translation(TWO), "seq2seq over 2 devices: the loss is the mean over the tokens of a batch"
    )
    check_refused(lambda: dk.plan(devices=TWO, jit_compile=True), "XLA cannot compile the exchange between them")
    check_refused(lambda: dk.plan(devices=TWO, steps_per_execution=4), "Keras takes one step at a time")
    check_refused(
        lambda: dk.plan(devices=TWO, gradient_accumulation_steps=4), "Keras cannot sum gradients over devices"
    )
    check_refused(
        lambda: train(TWO, keras.optimizers.Adam(gradient_accumulation_steps=2)),
        "gradient_accumulation_steps=2 over 2 devices",
    )
    arrays = (np.zeros((30, 4), "float32"), np.zeros(30, int))
    net = dk.Sequential([dk.Classifier(2)])
    check_refused(
        lambda: dk.fit(net, arrays, batch_size=29, plan=dk.plan(devices=TWO), verbose=0),
        "the last batch of an epoch has 1 example, and each of 2 devices needs one",
    )
    with dk.plan(devices=TWO):
        model = dk.Sequential([dk.MLP([3], norm="batch"), dk.Classifier(2)]).build((4,))
        model.compile("sgd", "mse")
    check_refused(
        lambda: dk.fit(model, arrays, batch_size=10, plan=dk.plan(devices=TWO), verbose=0), "needs synchronized=True"
    )
    unmirrored = net.build((4,))
    unmirrored.compile("sgd", "mse")
    check_refused(
        lambda: dk.fit(unmirrored, arrays, batch_size=10, plan=dk.plan(devices=TWO), verbose=0),
        "built outside any strategy",
    )
    summed = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    check_refused(
        lambda: dk.fit(net, arrays, batch_size=10, loss=summed, plan=dk.plan(devices=TWO), verbose=0),
        'reduction="sum", which over 2 devices is not the mean',
    )
    check_refused(
        lambda: train_own_step(TWO, batch_size=25), "a batch of 25 examples over 2 devices, and the model has"
    )
    check_that_only_random_layers_are_named()
    wrong = tf.data.Dataset.from_tensor_slices((arrays[0], arrays[1] + 2)).batch(10, drop_remainder=True)
    check_refused(
        lambda: dk.fit(net, wrong, plan=dk.plan(devices=TWO), verbose=0), "received 2 (at index 0 of a batch)"
    )
    print("all equal, all refused")
