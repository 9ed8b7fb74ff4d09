"""The strategy for several devices, and checks that training over them equals training on one device."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol, cast

import keras
import tensorflow as tf

from deepkit.utils.errors import message


class Strategy(Protocol):
    """A `tf.distribute.Strategy`."""

    @property
    def num_replicas_in_sync(self) -> int:
        """Number of devices."""
        ...

    def scope(self) -> AbstractContextManager[object]:
        """Return the context in which the strategy owns the variables that are created."""
        ...


@functools.cache
def mirrored(devices: tuple[str, ...]) -> Strategy:
    """Return the strategy over these devices, always the same one: a model belongs to the strategy that built it."""
    return tf.distribute.MirroredStrategy([f"/{name}" for name in devices])


def synchronize_batch_norm(model: keras.Model) -> int:
    """Let every batch normalization use the statistics of the whole batch; return how many layers there are."""
    norms = list(_batch_norms(model))
    for layer in norms:
        layer.synchronized = True
    return len(norms)


def check_batch_norm(model: keras.Model) -> None:
    """Raise if a batch normalization would use the statistics of its device's share of a batch only."""
    unsynchronized = [layer.name for layer in _batch_norms(model) if not layer.synchronized]
    if unsynchronized:
        raise ValueError(
            message(
                "batch normalization over several devices needs synchronized=True; without it each device keeps its "
                "own statistics, and only one device's statistics are saved",
                path=unsynchronized[0],
                hint="use layers.BatchNormalization(synchronized=True), or pass dk.fit the definition, which sets it",
            )
        )


def _batch_norms(layer: keras.layers.Layer) -> Iterator[keras.layers.BatchNormalization]:
    if isinstance(layer, keras.layers.BatchNormalization):
        yield layer
    nested = [*getattr(layer, "layers", ()), getattr(layer, "layer", None), getattr(layer, "cell", None)]
    for inner in nested:
        if isinstance(inner, keras.layers.Layer):
            yield from _batch_norms(inner)


def check_optimizer(optimizer: keras.optimizers.Optimizer, devices: tuple[str, ...]) -> None:
    """Raise for an optimizer that does not train over several devices as it does on one."""
    if len(devices) < 2:
        return
    inner = cast("keras.optimizers.Optimizer", getattr(optimizer, "inner_optimizer", optimizer))
    over = f"over {len(devices)} devices"
    if inner.use_ema:
        raise ValueError(
            message(
                f"use_ema=True {over}: Keras cannot average weights that are mirrored on several devices",
                hint="use one device, or use_ema=False",
            )
        )
    if inner.gradient_accumulation_steps:
        raise ValueError(
            message(
                f"gradient_accumulation_steps={inner.gradient_accumulation_steps} {over}: Keras cannot sum gradients "
                "over devices in an update that not every batch makes",
                hint="use one device, or gradient_accumulation_steps=None with a larger batch_size",
            )
        )
    for name in ("clipnorm", "global_clipnorm", "clipvalue"):
        value = getattr(inner, name)
        if value is not None:
            raise ValueError(
                message(
                    f"{name}={value} {over}: Keras clips each device's gradient before the gradients are summed, so "
                    "the step would differ from that on one device",
                    hint=f"use one device, or {name}=None",
                )
            )


def check_batch(batch_size: int, devices: tuple[str, ...]) -> None:
    """Raise if a batch does not split evenly over the devices."""
    count = len(devices)
    if batch_size % count:
        raise ValueError(
            message(
                f"batch_size={batch_size} does not split evenly over {count} devices, and uneven shares would be "
                "weighted wrongly",
                hint=f"use batch_size={max(1, batch_size // count) * count}",
            )
        )


def check_strings(spec: object, devices: tuple[str, ...]) -> None:
    """Raise if batches contain strings: Keras builds a model from the mean of the devices' batches.

    Args:
        spec: Structure of `tf.TensorSpec`, the `element_spec` of the dataset.
        devices: Names of the devices.
    """
    if any(getattr(leaf, "dtype", None) == tf.string for leaf in keras.tree.flatten(spec)):
        raise ValueError(
            message(
                f"data: it contains strings, which Keras cannot split over {len(devices)} devices",
                hint="use one device, or convert the strings to token ids first with layers.TextVectorization",
            )
        )
