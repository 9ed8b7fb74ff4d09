"""A training on several workers, which test_workers.py starts with TF_CONFIG.

Each task prints one line of JSON at its end. `equal` compares the workers with one device, in the same process.
"""

import json
import os
import signal
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepkit as dk
from deepkit.training import workers
from deepkit.utils.cluster import find_cluster

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(91, 6, 6, 1)).astype("float32")
LABELS = (IMAGES.mean((1, 2, 3)) > 0).astype("int32")
BITS = RANDOM.integers(0, 2, size=(91, 12)).astype("float32")


def classifier(plan, epochs=2, **arguments):
    """Train with batch normalization, augmentation, an uneven last batch of 7, and validation batches of 16 and 4."""
    net = dk.Sequential([dk.ConvBlock(4, norm=keras.layers.BatchNormalization(momentum=0.5)), dk.Classifier(2)])
    data = dk.data.from_arrays(IMAGES[:71], LABELS[:71], batch_size=16, seed=1).train
    data = data.augment(dk.data.Shift(1), dk.data.Flip())
    validation = (IMAGES[71:], LABELS[71:])
    arguments = {"optimizer": keras.optimizers.SGD(0.1, momentum=0.9), "verbose": 0, **arguments}
    return dk.fit(net, data, epochs=epochs, validation_data=validation, plan=plan, **arguments)


def autoencoder(plan):
    net = dk.Sequential([dk.layers.MaskingNoise(0.3), dk.MLP([8]), dk.Regressor(12)])
    return dk.fit(net, BITS, BITS, epochs=2, batch_size=16, optimizer="sgd", plan=plan, verbose=0)


def vae(plan):
    net = dk.VAE(dk.MLP([8]), latent_dim=2, decoder=dk.MLP([8]))
    return dk.fit(net, BITS, epochs=2, batch_size=16, optimizer="sgd", validation_split=0.2, plan=plan, verbose=0)


def gan(plan):
    net = dk.GAN([dk.MLP([8]), dk.Regressor(12)], dk.MLP([8]), latent_dim=3)
    return dk.fit(net, BITS, epochs=2, batch_size=16, optimizer="sgd", plan=plan, verbose=0)


def difference(one, several):
    """Return the largest difference of a weight, and of a value of the history, relative to 1 or to the value."""
    pairs = [(a, b) for a, b in zip(one.model.variables, several.model.variables, strict=True)]
    weights = max(np.abs(keras.ops.convert_to_numpy(a) - keras.ops.convert_to_numpy(b)).max() for a, b in pairs)
    errors = [np.abs(np.array(one.history[k]) - v) / np.maximum(1, np.abs(v)) for k, v in several.history.items()]
    return {"weights": float(weights), "history": float(np.max(errors))}


def equal(plan, folder):
    differences = {}
    for train in (classifier, autoencoder, vae, gan):
        several = train(plan)
        one = train(dk.plan(workers=None, seed=2))
        differences[train.__name__] = difference(one, several)
        if train is classifier and plan.is_chief:  # does not wait for the other workers
            results = [run.evaluate(IMAGES, LABELS)["loss"] for run in (one, several)]
            np.testing.assert_allclose(*results, rtol=1e-5)
            np.testing.assert_allclose(one.predict(IMAGES)[1], several.predict(IMAGES)[1], atol=1e-5)
    return differences


def refused(plan, folder):
    """What one worker cannot do, the data that differs, and the two faults of Keras that deepkit works around."""
    errors = {}
    x = IMAGES if plan.is_chief else IMAGES + 1
    net = dk.Sequential([dk.Classifier(2)])
    calls = {
        "data": lambda: dk.fit(net, x, LABELS, plan=plan, verbose=0),
        "generator": lambda: dk.fit(net, iter([(IMAGES, LABELS)]), steps_per_epoch=1, plan=plan, verbose=0),
        "run_dir": lambda: classifier(plan, run_dir=f"{folder}/{plan.cluster.index}"),
        "evaluate": lambda: classifier(plan, callbacks=[Evaluate()]),
        "autotune": lambda: dk.autotune(net, (IMAGES, LABELS), plan=plan),
        "devices": lambda: dk.plan(devices=["CPU:0"], steps_per_execution=4),
        "keras build": lambda: keras_fit(plan, {"x": IMAGES}),
        "keras logs": lambda: keras_fit(plan, IMAGES, build=False),
    }
    for name, call in calls.items():
        with pytest.raises(Exception) as caught:  # noqa: PT011  the test checks the texts
            call()
        errors[name] = str(caught.value)
        workers.barrier(plan)
    return errors


class Evaluate(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.evaluate(IMAGES, LABELS)


def keras_fit(plan, x, build=True):
    """Call Keras's own `fit`, which fails over several workers."""
    with plan.distribution.scope():
        inputs = keras.Input((6, 6, 1), name="x")
        outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
        model = keras.Model({"x": inputs} if isinstance(x, dict) else inputs, outputs)
        model.compile("sgd", "mse")
        if not build:
            model._maybe_symbolic_build = lambda *args, **kwargs: None
        dataset = tf.data.Dataset.from_tensor_slices((x, tf.one_hot(LABELS, 2))).batch(10, drop_remainder=True)
        model.fit(dataset, verbose=0)


def resume(plan, folder):
    """Train in a run directory; the test ends a worker at some moment, and starts all of them again.

    The second worker sends SIGTERM to itself in the epoch and step that the variable SIGTERM_AT holds.
    """

    class Epochs(keras.callbacks.Callback):
        stateless = True

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch + 1

        def on_train_batch_begin(self, batch, logs=None):
            if os.environ.get("SIGTERM_AT") == f"{self.epoch} {batch + 1}" and not plan.is_chief:
                os.kill(os.getpid(), signal.SIGTERM)

        def on_epoch_end(self, epoch, logs=None):
            if epoch % 10 == 0 and plan.is_chief:  # does not wait for the other workers
                assert self.model.predict(IMAGES[:3], verbose=0).shape == (3, 2)
            print(f"epoch {epoch + 1}", flush=True)

    checkpoint = keras.callbacks.ModelCheckpoint(
        f"{folder}/best-{plan.cluster.index}.keras", monitor="val_loss", save_best_only=True
    )
    net = dk.Sequential([dk.MLP([8], dropout=0.2), dk.Classifier(2)])
    run = dk.fit(
        net, IMAGES, LABELS, epochs=24, batch_size=32, validation_split=0.2, plan=plan, run_dir=f"{folder}/run",
        callbacks=[Epochs(), checkpoint], learning_rate=0.01, verbose=0,
    )  # fmt: skip
    return {"epochs": run.epochs, "weights": [float(np.sum(np.abs(weight))) for weight in run.model.get_weights()]}


def stop(plan, folder):
    """One worker wants to stop in the second epoch; all of them stop after it."""

    class StopOnOneWorker(keras.callbacks.Callback):
        stateless = True

        def on_train_batch_end(self, batch, logs=None):
            if not plan.is_chief and self.epoch == 1:
                self.model.stop_training = True

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    run = classifier(plan, 5, callbacks=[StopOnOneWorker()])
    return {"epochs": run.epochs}


if __name__ == "__main__":
    task, folder = sys.argv[1:]
    assert find_cluster("auto") is not None
    if task == "late":  # a computation before the plan
        tf.constant(1.0) + 1
    plan = dk.plan(seed=2)
    result = {"equal": equal, "refused": refused, "resume": resume, "stop": stop}[task](plan, folder)
    print(json.dumps(result), flush=True)
