"""Whole epochs: `dk.fit`, `model.fit` of Keras, and PyTorch.

The data are random numbers with a fixed seed, in memory, in float32. All sides use one thread per core, the default of
TensorFlow and PyTorch.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

import deepkit as dk
from benchmarks import custom_steps, torch_nets, training
from benchmarks.nets import NETS
from benchmarks.worker import Side
from deepkit.training.compile import compile_definition
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.label_check import NO_LABEL_CHECKS
from deepkit.training.loop import train
from deepkit.training.precision_hint import num_multiplications
from deepkit.training.user_data import make_training_data
from recipes.vision.highway import highway

UNLIMITED_EPOCHS = 1_000_000
MATRIX_SIZE = 2048
MEGA, GIGA = 1e6, 1e9
PASSES = 3  # forward, gradient of the outputs, gradient of the weights: as many multiplications each


@dataclass(frozen=True)
class EpochNet:
    """A net, its training data, and how it is trained.

    Args:
        definition: Function that returns the definition.
        handwritten: Function that returns the same net as a Keras model.
        data: Function that returns the arrays of an epoch.
        batch_size: Number of examples in a batch.
        loss: The loss for Keras; None for a model that has its own.
        metrics: The metrics for Keras, which deepkit's head chooses by itself.
    """

    definition: Callable[[], Any]
    handwritten: Callable[[], keras.Model]
    data: Callable[[], tuple[Any, ...]]
    batch_size: int = training.BATCH_SIZE
    loss: keras.losses.Loss | str | None = None
    metrics: tuple[str, ...] = ()


def _classifier(name: str, num_examples: int) -> EpochNet:
    net = NETS[name]
    data = functools.partial(training.arrays, name, num_examples)
    return EpochNet(net.definition, net.handwritten, data, loss=training.crossentropy(), metrics=("accuracy",))


def _highway() -> EpochNet:
    return EpochNet(
        functools.partial(highway, 20),
        lambda: highway(20).build((28, 28, 1)),
        functools.partial(training.arrays, "mlp", 12_800),
        loss=training.crossentropy(),
        metrics=("accuracy",),
    )


def _custom(name: str, num_batches: int) -> EpochNet:
    pair = custom_steps.MODELS[name]
    data = functools.partial(pair.data, num_batches)
    batch_size = len(pair.data(1)[0])
    metrics = ("accuracy",) if name == "bilstm" else ()
    return EpochNet(pair.definition, pair.handwritten, data, batch_size, pair.loss, metrics)


NETS_OF_EPOCHS: dict[str, Callable[[], EpochNet]] = {
    "lenet": functools.partial(_classifier, "lenet", 60_000),
    "mlp": functools.partial(_classifier, "mlp", 60_000),
    "resnet20": functools.partial(_classifier, "resnet20", 1_280),
    "highway": _highway,
    "bilstm": functools.partial(_custom, "bilstm", 16),
    "autoencoder": functools.partial(_custom, "autoencoder", 150),
    "vae": functools.partial(_custom, "vae", 200),
    "gan": functools.partial(_custom, "gan", 150),
}


class Epochs:
    """A call of `fit` in a thread, which waits before each epoch until it is measured.

    Args:
        fit: Function that trains for an unlimited number of epochs with a callback.
    """

    def __init__(self, fit: Callable[[keras.callbacks.Callback], object]) -> None:
        self._start, self._end = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(fit,), daemon=True)

    def measure(self) -> float:
        """Run one epoch and return its time in seconds, from its start to its last callback.

        Raises:
            RuntimeError: The training raised an error.
        """
        start = time.perf_counter()
        if not self._thread.is_alive():
            self._thread.start()
        self._start.release()
        self._end.acquire()
        if self._error is not None:
            raise RuntimeError(f"training ended with {self._error!r}") from self._error
        return time.perf_counter() - start

    def _run(self, fit: Callable[[keras.callbacks.Callback], object]) -> None:
        wait_callback = keras.callbacks.LambdaCallback(on_epoch_begin=self._wait)
        try:
            fit(wait_callback)
        except BaseException as error:
            self._error = error
        self._end.release()

    def _wait(self, epoch: int, logs: Any) -> None:
        if epoch:  # the previous epoch is over, with all its callbacks
            self._end.release()
        self._start.acquire()


def deepkit_epochs(name: str) -> Epochs:
    """Return the epochs of `dk.fit` with its defaults except for the batch size, for a definition and arrays."""
    net = NETS_OF_EPOCHS[name]()
    definition, data = net.definition(), net.data()
    return Epochs(
        lambda callback: dk.fit(
            definition,
            data if len(data) > 1 else data[0],
            batch_size=net.batch_size,
            epochs=UNLIMITED_EPOCHS,
            callbacks=[callback],
            verbose=0,
        )
    )


def keras_epochs(name: str, **compile_arguments: Any) -> Epochs:
    """Return the epochs of `model.fit` with the same batch size and some arguments of `compile`."""
    net = NETS_OF_EPOCHS[name]()
    data, model = net.data(), net.handwritten()
    loss = {} if net.loss is None else {"loss": net.loss, "metrics": list(net.metrics)}
    model.compile("adam", **loss, **compile_arguments)
    return Epochs(
        lambda callback: model.fit(
            *data, batch_size=net.batch_size, epochs=UNLIMITED_EPOCHS, callbacks=[callback], verbose=0
        )
    )


def deepkit_side(name: str) -> Side:
    """Return the seconds per epoch of `dk.fit`."""
    return Side(deepkit_epochs(name).measure)


def keras_side(name: str) -> Side:
    """Return the seconds per epoch of `model.fit` with Keras's defaults; on a CPU these include XLA."""
    return Side(keras_epochs(name).measure)


def keras_plain_side(name: str) -> Side:
    """Return the seconds per epoch of `model.fit` without XLA."""
    return Side(keras_epochs(name, jit_compile=False).measure)


def torch_side(name: str) -> Side:
    """Return the seconds per epoch of eager PyTorch."""
    return torch_nets.epochs(name, *training.arrays(name, len(NETS_OF_EPOCHS[name]().data()[0])), training.BATCH_SIZE)


def throughput(name: str) -> Side:
    """Return the images per second of training with `dk.fit`, without augmentation."""
    epochs, num_examples = deepkit_epochs(name), len(NETS_OF_EPOCHS[name]().data()[0])
    return Side(lambda: num_examples / epochs.measure())


def multiplication_rate(name: str) -> Side:
    """Return the rate at which `dk.fit` multiplies in dense and convolutional layers, in 10^9 operations per second."""
    net, side = NETS[name], throughput(name)
    operations = 2 * PASSES * num_multiplications(net.definition().build(net.input_shape))
    facts = {"multiplications for an image": f"{operations / 2 / PASSES / MEGA:.1f} million, three times for a step"}
    return Side(lambda: side.measure() * operations / GIGA, facts)


def matrix_rate() -> Side:
    """Return the rate of the product of two float32 matrices, in 10^9 operations (additions too) per second."""
    a, b = (tf.random.stateless_uniform((MATRIX_SIZE, MATRIX_SIZE), (seed, 0)) for seed in (1, 2))
    count = 40

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(count):
            product = tf.matmul(a, b)
        float(product[0, 0])
        return 2 * count * MATRIX_SIZE**3 / (time.perf_counter() - start) / GIGA

    return Side(measure)


def lenet_checks(*, enabled: bool) -> Side:
    """Return the seconds per epoch of LeNet-5 on a `tf.data.Dataset`, with or without the checks of every batch."""
    x, y = NETS_OF_EPOCHS["lenet"]().data()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(training.BATCH_SIZE, drop_remainder=True).cache()
    plan = dk.plan()
    data = make_training_data(DataArguments(dataset), plan)
    with plan:
        compiled = compile_definition(NETS["lenet"].definition(), data, plan, None, None, None)
    checks = compiled.label_checks if enabled else NO_LABEL_CHECKS
    epochs = Epochs(lambda callback: train(compiled.model, data, UNLIMITED_EPOCHS, None, [callback], 0, checks))
    return Side(epochs.measure)


lenet_checked = functools.partial(lenet_checks, enabled=True)
lenet_unchecked = functools.partial(lenet_checks, enabled=False)
