"""Training steps and whole epochs: deepkit, plain Keras, and PyTorch.

Pixels and labels are random numbers from a fixed seed: what a step costs does not depend on their values, and nothing
is downloaded. All sides have them in memory, in float32, and use as many threads as the machine has cores, which is
what TensorFlow and PyTorch do when they are left alone.
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

import deepkit as dk
from benchmarks.nets import TWINS
from benchmarks.worker import Side, Unavailable
from deepkit.utils import machine

BATCH = 128
STEPS = {"resnet20": 4, "mlp": 200, "densenet": 4}  # about a second of each
EXAMPLES = {"lenet": 60_000, "resnet20": 1_280}  # in an epoch
BF16 = ("avx512_bf16", "amx_bf16")  # as Linux names the instructions


def arrays(name: str, examples: int = BATCH) -> tuple[Any, Any]:
    """Return images and labels for a net: float32 in [0, 1], and class numbers."""
    net, numbers = TWINS[name], np.random.default_rng(0)
    x = numbers.random((examples, *net.input_shape), dtype="float32")
    return x, numbers.integers(net.classes, size=examples, dtype="int32")


def crossentropy() -> keras.losses.Loss:
    """Return the loss of every net here."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def by_definition(name: str) -> Side:
    """Return training steps of a net that deepkit built."""
    net = TWINS[name]
    return steps(name, net.definition().build(net.input_shape))


def by_hand(name: str) -> Side:
    """Return training steps of the same net, written by hand."""
    return steps(name, TWINS[name].by_hand())


def steps(name: str, model: keras.Model) -> Side:
    """Return the time of one training step, in milliseconds, over about a second of steps on one batch."""
    model.compile("adam", crossentropy(), jit_compile=False)
    x, y = arrays(name)

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(STEPS[name]):
            model.train_on_batch(x, y)
        return 1e3 * (time.perf_counter() - began) / STEPS[name]

    return Side(measure)


resnet20 = functools.partial(by_definition, "resnet20")
resnet20_by_hand = functools.partial(by_hand, "resnet20")
densenet = functools.partial(by_definition, "densenet")
densenet_by_hand = functools.partial(by_hand, "densenet")
mlp = functools.partial(by_definition, "mlp")
mlp_by_hand = functools.partial(by_hand, "mlp")


def bfloat16() -> Side:
    """Return training steps of ResNet-20 in mixed precision, and what `dk.plan()` would choose here."""
    flags = [flag for flag in machine.cpu_flags() if flag in BF16]
    if not flags:
        raise Unavailable(f"this processor has no bfloat16 instructions ({' or '.join(BF16)})")
    chosen = dk.plan().precision
    keras.config.set_dtype_policy("mixed_bfloat16")
    side = by_definition("resnet20")
    keras.config.set_dtype_policy("float32")
    return Side(side.measure, {"instructions": " ".join(flags), "chosen": chosen})


class Epochs:
    """The epochs of one call of `fit`, which stands still between them until the next one is measured.

    Args:
        fit: Trains for very many epochs with the callback it is given.
    """

    def __init__(self, fit: Callable[[keras.callbacks.Callback], object]) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(fit,), daemon=True)

    def measure(self) -> float:
        """Let one epoch pass and return its seconds: all that happens from one epoch's start to its last callback.

        Raises:
            RuntimeError: Training ended with an error.
        """
        began = time.perf_counter()
        if not self._thread.is_alive():
            self._thread.start()
        self._go.release()
        self._done.acquire()
        if self._error is not None:
            raise RuntimeError(f"training ended with {self._error!r}") from self._error
        return time.perf_counter() - began

    def _run(self, fit: Callable[[keras.callbacks.Callback], object]) -> None:
        turns = keras.callbacks.LambdaCallback(on_epoch_begin=self._wait)
        try:
            fit(turns)
        except BaseException as error:
            self._error = error
        self._done.release()

    def _wait(self, epoch: int, logs: Any) -> None:
        if epoch:  # the one before is over, with all its callbacks
            self._done.release()
        self._go.acquire()


FOREVER = 1_000_000


def deepkit_epochs(name: str) -> Epochs:
    """Return the epochs of `dk.fit` as it comes: definition and arrays."""
    data = arrays(name, EXAMPLES[name])
    definition = TWINS[name].definition()
    return Epochs(lambda turns: dk.fit(definition, data, epochs=FOREVER, callbacks=[turns], verbose=0))


def keras_epochs(name: str, **compiled: Any) -> Epochs:
    """Return the epochs of `model.fit` as it comes, but for what `compile` is told."""
    x, y = arrays(name, EXAMPLES[name])
    model = TWINS[name].by_hand()
    model.compile("adam", crossentropy(), metrics=["accuracy"], **compiled)
    return Epochs(lambda turns: model.fit(x, y, batch_size=BATCH, epochs=FOREVER, callbacks=[turns], verbose=0))


def lenet_deepkit() -> Side:
    """Return seconds an epoch of `dk.fit`."""
    return Side(deepkit_epochs("lenet").measure)


def lenet_keras() -> Side:
    """Return seconds an epoch of `model.fit` with Keras's defaults; on a CPU these include XLA."""
    return Side(keras_epochs("lenet").measure)


def lenet_keras_plain() -> Side:
    """Return seconds an epoch of `model.fit` without XLA."""
    return Side(keras_epochs("lenet", jit_compile=False).measure)


def lenet_torch() -> Side:
    """Return seconds an epoch of the same net in eager PyTorch: its tensors in memory, a new order each epoch."""
    try:
        import torch
    except ImportError as error:
        raise Unavailable("PyTorch is not installed (pip install torch)") from error
    x, y = arrays("lenet", EXAMPLES["lenet"])
    images, labels = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), torch.from_numpy(y).long()
    net = torch_lenet()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-7)  # Keras's numbers
    loss = torch.nn.CrossEntropyLoss()

    def measure() -> float:
        began = time.perf_counter()
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.long)  # loss and accuracy, which Keras keeps too
        for batch in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            outputs = net(images[batch])
            value = loss(outputs, labels[batch])
            value.backward()
            optimizer.step()
            total += value.detach() * len(batch)
            right += (outputs.argmax(1) == labels[batch]).sum()
        float(total / len(images)), float(right / len(images))
        return time.perf_counter() - began

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


def consumed(name: str) -> Side:
    """Return the images that `dk.fit` trains on in a second, without augmentation."""
    epochs = deepkit_epochs(name)
    return Side(lambda: EXAMPLES[name] / epochs.measure())


lenet_consumed = functools.partial(consumed, "lenet")
resnet20_consumed = functools.partial(consumed, "resnet20")
