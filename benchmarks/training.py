"""Training steps: deepkit and plain Keras.

Pixels and labels are random numbers with a fixed seed, which need no download: the time of a step does not depend on
their values. Both sides have them in memory, in float32.
"""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np

import deepkit as dk
from benchmarks.nets import NETS
from benchmarks.worker import Side, Unavailable
from deepkit.utils import machine

BATCH_SIZE = 128
NUM_STEPS = {"resnet20": 4, "mlp": 200, "densenet": 4, "lenet": 150}  # per measurement, about a second


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


def bfloat16(name: str) -> Side:
    """Return the time of a training step of a net in mixed precision; its facts name the choice of `dk.autotune`."""
    flags = machine.bfloat16_flags()
    if not flags:
        raise Unavailable(f"this CPU has no bfloat16 instructions ({' or '.join(machine.BFLOAT16_FLAGS)})")
    plan = dk.plan(jit_compile=False, steps_per_execution=1)
    chosen = dk.autotune(NETS[name].definition(), arrays(name, 8 * BATCH_SIZE), batch_size=BATCH_SIZE, plan=plan)
    keras.config.set_dtype_policy("mixed_bfloat16")
    side = deepkit_step(name)
    keras.config.set_dtype_policy("float32")
    return Side(side.measure, {"instructions": " ".join(flags), "chosen": chosen.precision})
