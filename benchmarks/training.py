"""Training steps and whole epochs: deepkit, plain Keras, and PyTorch.

Pixels and labels are random numbers with a fixed seed, which need no download: the time of a step does not depend on
their values. All sides have them in memory, in float32, and use one thread per core, the default of TensorFlow and
PyTorch.
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import deepkit as dk
from benchmarks.nets import NETS
from benchmarks.worker import Side, Unavailable
from deepkit.training.compile import compile_definition
from deepkit.training.fit_arguments import DataArguments
from deepkit.training.label_check import NO_LABEL_CHECKS
from deepkit.training.loop import train
from deepkit.training.user_data import make_training_data
from deepkit.utils import machine

BATCH_SIZE = 128
NUM_STEPS = {"resnet20": 4, "mlp": 200, "densenet": 4}  # per measurement, about a second
NUM_EXAMPLES = {"lenet": 60_000, "resnet20": 1_280}  # per epoch


def arrays(name: str, num_examples: int = BATCH_SIZE) -> tuple[Any, Any]:
    """Return images and labels for a net: float32 in [0, 1], and class numbers."""
    net, rng = NETS[name], np.random.default_rng(0)
    x = rng.random((num_examples, *net.input_shape), dtype="float32")
    return x, rng.integers(net.num_classes, size=num_examples, dtype="int32")


def crossentropy() -> keras.losses.Loss:
    """Return the loss of all nets."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def deepkit_step(name: str) -> Side:
    """Return the time of a training step of a net built by deepkit."""
    net = NETS[name]
    return step_time(name, net.definition().build(net.input_shape))


def handwritten_step(name: str) -> Side:
    """Return the time of a training step of the hand-written net."""
    return step_time(name, NETS[name].handwritten())


def step_time(name: str, model: keras.Model) -> Side:
    """Return the time of one training step, in milliseconds, over about a second of steps on one batch."""
    model.compile("adam", crossentropy(), jit_compile=False)
    x, y = arrays(name)

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(NUM_STEPS[name]):
            model.train_on_batch(x, y)
        return 1e3 * (time.perf_counter() - start) / NUM_STEPS[name]

    return Side(measure)


resnet20 = functools.partial(deepkit_step, "resnet20")
resnet20_handwritten = functools.partial(handwritten_step, "resnet20")
densenet = functools.partial(deepkit_step, "densenet")
densenet_handwritten = functools.partial(handwritten_step, "densenet")
mlp = functools.partial(deepkit_step, "mlp")
mlp_handwritten = functools.partial(handwritten_step, "mlp")


def bfloat16() -> Side:
    """Return the time of a training step of ResNet-20 in mixed precision; its facts name the choice of `dk.plan()`."""
    flags = machine.bfloat16_flags()
    if not flags:
        raise Unavailable(f"this CPU has no bfloat16 instructions ({' or '.join(machine.BFLOAT16_FLAGS)})")
    chosen = dk.plan().precision
    keras.config.set_dtype_policy("mixed_bfloat16")
    side = deepkit_step("resnet20")
    keras.config.set_dtype_policy("float32")
    return Side(side.measure, {"instructions": " ".join(flags), "chosen": chosen})


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


UNLIMITED_EPOCHS = 1_000_000


def deepkit_epochs(name: str) -> Epochs:
    """Return the epochs of `dk.fit` with its defaults except for the batch size, for a definition and arrays."""
    data = arrays(name, NUM_EXAMPLES[name])
    definition = NETS[name].definition()
    return Epochs(
        lambda callback: dk.fit(
            definition, data, batch_size=BATCH_SIZE, epochs=UNLIMITED_EPOCHS, callbacks=[callback], verbose=0
        )
    )


def keras_epochs(name: str, **compile_arguments: Any) -> Epochs:
    """Return the epochs of `model.fit` with the same batch size and some arguments of `compile`."""
    x, y = arrays(name, NUM_EXAMPLES[name])
    model = NETS[name].handwritten()
    model.compile("adam", crossentropy(), metrics=["accuracy"], **compile_arguments)
    return Epochs(
        lambda callback: model.fit(
            x, y, batch_size=BATCH_SIZE, epochs=UNLIMITED_EPOCHS, callbacks=[callback], verbose=0
        )
    )


def lenet_deepkit() -> Side:
    """Return the seconds per epoch of `dk.fit`."""
    return Side(deepkit_epochs("lenet").measure)


def lenet_keras() -> Side:
    """Return the seconds per epoch of `model.fit` with Keras's defaults; on a CPU these include XLA."""
    return Side(keras_epochs("lenet").measure)


def lenet_keras_plain() -> Side:
    """Return the seconds per epoch of `model.fit` without XLA."""
    return Side(keras_epochs("lenet", jit_compile=False).measure)


def lenet_torch() -> Side:
    """Return the seconds per epoch of eager PyTorch, with tensors in memory and a new order in each epoch."""
    try:
        import torch
    except ImportError as error:
        raise Unavailable("PyTorch is not installed (pip install torch)") from error
    x, y = arrays("lenet", NUM_EXAMPLES["lenet"])
    images, labels = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), torch.from_numpy(y).long()
    net = torch_lenet()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-7)  # the defaults of Keras
    loss = torch.nn.CrossEntropyLoss()

    def measure() -> float:
        start = time.perf_counter()
        total_loss = torch.zeros(())  # loss and accuracy, which Keras computes too
        num_correct = torch.zeros((), dtype=torch.long)
        for batch in torch.randperm(len(images)).split(BATCH_SIZE):
            optimizer.zero_grad()
            outputs = net(images[batch])
            value = loss(outputs, labels[batch])
            value.backward()
            optimizer.step()
            total_loss += value.detach() * len(batch)
            num_correct += (outputs.argmax(1) == labels[batch]).sum()
        float(total_loss / len(images)), float(num_correct / len(images))
        return time.perf_counter() - start

    return Side(measure, {"PyTorch": f"{torch.__version__}, {torch.get_num_threads()} threads"})


def torch_lenet() -> Any:
    """Return LeNet-5 in PyTorch: 61,706 weights."""
    from torch import nn

    convolutions = [
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]
    widths = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise((400, 120, 84))]
    return nn.Sequential(*convolutions, nn.Flatten(), *widths, nn.Linear(84, 10))


def training_throughput(name: str) -> Side:
    """Return the images per second of training with `dk.fit`, without augmentation."""
    epochs = deepkit_epochs(name)
    return Side(lambda: NUM_EXAMPLES[name] / epochs.measure())


lenet_throughput = functools.partial(training_throughput, "lenet")
resnet20_throughput = functools.partial(training_throughput, "resnet20")


def lenet_checks(*, enabled: bool) -> Side:
    """Return the seconds per epoch of LeNet-5 on a `tf.data.Dataset`, with or without the checks of every batch."""
    x, y = arrays("lenet", NUM_EXAMPLES["lenet"])
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH_SIZE, drop_remainder=True).cache()
    plan = dk.plan()
    data = make_training_data(DataArguments(dataset), plan)
    with plan:
        compiled = compile_definition(NETS["lenet"].definition(), data, plan, None, None, None)
    checks = compiled.label_checks if enabled else NO_LABEL_CHECKS
    epochs = Epochs(lambda callback: train(compiled.model, data, UNLIMITED_EPOCHS, None, [callback], 0, checks))
    return Side(epochs.measure)


lenet_checked = functools.partial(lenet_checks, enabled=True)
lenet_unchecked = functools.partial(lenet_checks, enabled=False)
