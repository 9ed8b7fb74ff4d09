"""The choices of the plan on a GPU, and a step of `dk.fit` on several of them; both need TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import keras
import numpy as np

import deepkit as dk
from benchmarks.gpu_nets import TITLES, bilstm_definition, lenet_definition
from benchmarks.gpu_records import Choice, DeviceTime
from benchmarks.gpu_workloads import SIZES, batch, sizes
from deepkit.execution.plan import format_choice

NUM_TUNED_BATCHES = 64
NUM_EPOCHS = 4  # on several devices; the first is not measured
DEVICE_BATCH_SIZE, NUM_DEVICE_STEPS = 4096, 32


def plan_choices(*, dry: bool) -> list[Choice]:
    """Compare the choices of `dk.plan` with those of `dk.autotune`, for LeNet-5 and two bidirectional LSTMs.

    A dry run times the steps per execution of a tiny MLP only.
    """
    if dry:
        rng = np.random.default_rng(0)
        x, y = rng.random((8, 4), dtype="float32"), rng.integers(2, size=8)
        definition = dk.Sequential([dk.MLP([4]), dk.Classifier(2)], name="mlp")
        return _compare("MLP", definition, (x, y), 4, dk.plan(devices=1, precision="float32"))
    rows = []
    for name, definition in (("lenet", lenet_definition()), ("bilstm", bilstm_definition())):
        size = SIZES[name]
        arrays = batch(name, size, NUM_TUNED_BATCHES * size.batch_size)
        rows += _compare(TITLES[name], definition, arrays, size.batch_size, dk.plan(devices=1))
    return rows


def _compare(net: str, definition: dk.Block, arrays: tuple[Any, ...], batch_size: int, plan: dk.Plan) -> list[Choice]:
    """Run `dk.autotune`, and return a row for each field that the plan left open."""
    tuned = dk.autotune(definition, *arrays, plan=plan, batch_size=batch_size, verbose=0)
    planned, measured = plan.choices(), tuned.choices()
    rows = []
    for field in plan.auto_fields:
        measurements = [row for row in tuned.measurements if row.field == field]
        times = {row.value: row.milliseconds for row in measurements if row.milliseconds is not None}
        note = "" if times else "; ".join(row.verdict for row in measurements)
        rows.append(Choice(net, field, format_choice(planned[field]), format_choice(measured[field]), times, note))
    return rows


def device_times(devices: Sequence[str], *, dry: bool) -> list[DeviceTime]:
    """Return the time of a step of LeNet-5 in `dk.fit` on one device and on all of them, for the same batches.

    Args:
        devices: Names of the devices, at least two.
        dry: Whether to take few steps on small batches.
    """
    batch_size, num_steps = (8, 2) if dry else (DEVICE_BATCH_SIZE, NUM_DEVICE_STEPS)
    arrays = batch("lenet", sizes(dry=dry)["lenet"], batch_size * num_steps)
    rows = []
    for group in (devices[:1], devices):
        timing = _EpochTimes()
        plan = dk.plan(devices=list(group))
        num_epochs = 2 if dry else NUM_EPOCHS
        dk.fit(
            lenet_definition(),
            *arrays,
            batch_size=batch_size,
            epochs=num_epochs,
            plan=plan,
            callbacks=[timing],
            verbose=0,
        )
        milliseconds = 1e3 * median(timing.seconds[1:]) / num_steps
        rows.append(DeviceTime(TITLES["lenet"], len(group), batch_size, milliseconds))
    return rows


class _EpochTimes(keras.callbacks.Callback):
    """Measures the seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop the clock."""
        self.seconds.append(time.perf_counter() - self._start)
