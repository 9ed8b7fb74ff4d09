"""Different random numbers on each device for the layers of Keras, which hold a copy of their seed on every device."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import keras
from keras import ops

from deepkit.utils.replicas import current_replica

if TYPE_CHECKING:
    from deepkit.execution.plan import Plan
    from deepkit.utils.types import Tensor

_NEXT = "next"
_STRENGTHS = ("rate", "stddev", "dropout", "recurrent_dropout")  # arguments that are 0 if a layer draws nothing
_STRIDE = 0x9E3779B1  # a prime: the seeds of neighboring devices differ in many bits


@contextlib.contextmanager
def different_seeds(model: keras.Model) -> Iterator[None]:
    """Let the layers of a model that are not deepkit's own draw different numbers on each device in a `with` block.

    deepkit's layers take their rows of the numbers for the whole batch (see `split_across_replicas`), so that they
    train as on one device. Other layers do not.
    """
    generators = [generator for layer in random_layers(model) for generator in _generators(layer)]
    for generator in generators:
        generator.__dict__[_NEXT] = functools.partial(_next_on_replica, generator)
    try:
        yield
    finally:
        for generator in generators:
            del generator.__dict__[_NEXT]


def random_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers that draw random numbers in training and are not deepkit's own."""
    return [
        layer
        for layer in model._flatten_layers()
        if not type(layer).__module__.startswith("deepkit.") and _generators(layer)
    ]


def with_noise_reason(plan: Plan, model: keras.Model) -> tuple[Plan, tuple[str, ...]]:
    """Return the plan and a message, which say that layers of Keras do not draw the numbers of one device."""
    layers = random_layers(model) if len(plan.replicas) > 1 else []
    if not layers:
        return plan, ()
    name = f"{type(layers[0]).__name__} {layers[0].name!r}"
    note = f"{name} draws other numbers on each device than on one device, so the weights differ from those of one"
    reason = f"{dict(plan.reasons).get('strategy', '')}; {note}".lstrip("; ")
    return plan.replace(reason=reason, strategy=plan.strategy), (note,)


def _generators(layer: keras.layers.Layer) -> list[keras.random.SeedGenerator]:
    strengths = [getattr(layer, name) for name in _STRENGTHS if isinstance(getattr(layer, name, None), int | float)]
    if strengths and not any(strengths):  # such as an LSTM without dropout, which has a seed but draws nothing
        return []
    values = {id(value): value for value in vars(layer).values() if isinstance(value, keras.random.SeedGenerator)}
    return list(values.values())


def _next_on_replica(generator: keras.random.SeedGenerator, ordered: bool = True) -> Tensor:
    """Return the next seed `(2,)`, different on each device."""
    seed = type(generator).next(generator, ordered)
    replica = current_replica()
    if replica is None:
        return seed
    offset = ops.cast(replica.number, seed.dtype) * ops.cast(_STRIDE, seed.dtype)
    return seed + ops.stack([offset, ops.zeros_like(offset)])
