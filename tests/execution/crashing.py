"""A training that can be killed in the middle of an epoch; the resume tests run it in a separate process.

python -m tests.execution.crashing RUN_DIR EPOCHS [KILL_AT_STEP]
"""

import os
import signal
import sys

import keras
import numpy as np
from keras import layers

import deepkit as dk


class Kill(keras.callbacks.Callback):
    """Kills its own process with SIGKILL at a step, counted over the whole training."""

    def __init__(self, step):
        super().__init__()
        self.steps_left = step

    def on_train_batch_end(self, batch, logs=None):
        self.steps_left -= 1
        if self.steps_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def network(dropout=0.5):
    conv = dk.ConvBlock(4, norm=layers.BatchNormalization(momentum=0.01))  # for trainings of one step
    return dk.Sequential([conv, dk.MLP([8], dropout=dropout), dk.Classifier(2)], name="crashing")


def images(count=160):
    x = np.random.default_rng(0).random((count, 6, 6, 1)).astype("float32")
    return x, (x.mean((1, 2, 3)) > 0.5).astype("int32")


def data():
    return dk.data.from_arrays(*images(), batch_size=16, validation=32, augment=[dk.data.Shift(1)], seed=3)


def train(run_dir, epochs, *extra):
    stock = [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=50, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, factor=0.5),
    ]
    plan = dk.plan(devices="CPU:0", steps_per_execution=1, seed=5)
    return dk.fit(network(), data(), epochs=epochs, run_dir=run_dir, plan=plan, callbacks=[*stock, *extra], verbose=0)


if __name__ == "__main__":
    folder, epochs, *kill = sys.argv[1:]
    if kill:  # replace a method of a stock callback, so that the list of callbacks stays the same
        killer = Kill(int(kill[0]))
        keras.callbacks.ReduceLROnPlateau.on_train_batch_end = lambda self, batch, logs=None: killer.on_train_batch_end(
            batch
        )
    run = train(folder, int(epochs))
    print(run.resume)
