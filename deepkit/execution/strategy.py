"""Several devices: what makes training over them equal training on one, and what is refused because it would not."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf


@functools.cache
def mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """Return the strategy over these devices; one for each set, as a model belongs to the strategy it is built in."""
    return tf.distribute.MirroredStrategy([f"/{name}" for name in devices])


def synchronise(model: keras.Model) -> int:
    """Let every batch normalisation see the whole batch, not its device's share; return how many there are."""
    found = list(_batch_norms(model))
    for layer in found:
        layer.synchronized = True
    return len(found)


def check_synchronised(model: keras.Model) -> None:
    """Raise for a model whose batch normalisation would see only its device's share of a batch."""
    apart = [layer.name for layer in _batch_norms(model) if not layer.synchronized]
    if apart:
        raise ValueError(
            f"{apart[0]}: batch normalisation over several devices needs synchronized=True; without it each device "
            "keeps statistics of its own, and only one of them is saved\n"
            "  hint: layers.BatchNormalization(synchronized=True), or give dk.fit the definition, which sees to it"
        )


def _batch_norms(layer: Any) -> Iterator[Any]:
    if isinstance(layer, keras.layers.BatchNormalization):
        yield layer
    inner = [*getattr(layer, "layers", ()), getattr(layer, "layer", None), getattr(layer, "cell", None)]
    for part in inner:
        if isinstance(part, keras.layers.Layer):
            yield from _batch_norms(part)


def check_optimizer(optimizer: keras.optimizers.Optimizer, devices: tuple[str, ...]) -> None:
    """Raise for an optimiser that does not train over several devices as it does on one."""
    if len(devices) < 2:
        return
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    over = f"over {len(devices)} devices"
    if optimizer.use_ema:
        raise ValueError(
            f"use_ema=True {over}: Keras cannot average weights that are held on several devices\n"
            "  hint: one device, or use_ema=False"
        )
    for name in ("clipnorm", "global_clipnorm", "clipvalue"):
        if getattr(optimizer, name) is not None:
            raise ValueError(
                f"{name}={getattr(optimizer, name)} {over}: Keras clips each device's gradient before they are "
                f"summed, so the step would differ from one device\n  hint: one device, or {name}=None"
            )


def check_batch(batch_size: int, devices: tuple[str, ...]) -> None:
    """Raise for a batch that does not split evenly."""
    count = len(devices)
    if batch_size % count:
        raise ValueError(
            f"batch_size={batch_size} does not split evenly over {count} devices, and uneven shares weigh wrongly\n"
            f"  hint: batch_size={max(1, batch_size // count) * count}"
        )


def check_strings(spec: Any, devices: tuple[str, ...]) -> None:
    """Raise for strings: Keras begins with the mean of the devices' batches, to see what a batch is like."""
    if any(getattr(part, "dtype", None) == tf.string for part in keras.tree.flatten(spec)):
        raise ValueError(
            f"data: it has strings, which Keras cannot share out over {len(devices)} devices\n"
            "  hint: one device, or token numbers made beforehand: what layers.TextVectorization returns"
        )
