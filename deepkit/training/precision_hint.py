"""A hint that lower precision may shorten the steps of a large network on this CPU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras

from deepkit.utils import machine

if TYPE_CHECKING:
    from deepkit.execution.plan import Plan

MIN_MULTIPLICATIONS = 10_000_000
"""Multiplications for an example from which the hint is printed: LeNet-5 has 0.4 million, ResNet-20 has 41 million."""
EXPECTED = 0.93
"""Time of a step of ResNet-20 in bfloat16 over that in float32: the row `resnet20-bfloat16` of the benchmarks."""


def precision_hint(model: keras.Model, plan: Plan) -> str | None:
    """Return a hint to time mixed_bfloat16, or None if it cannot be expected to be faster.

    `fit` never chooses a precision by timing: the same command and seed give the same weights.

    Args:
        model: The model that is trained.
        plan: Its plan.
    """
    is_default = plan.precision == "float32" and "precision" in plan.auto_fields and not plan.measurements
    if not is_default or not plan.devices[0].startswith("CPU"):
        return None
    instructions = machine.bfloat16_flags()
    if not instructions or num_multiplications(model) < MIN_MULTIPLICATIONS:
        return None
    return (
        f"hint: this CPU has bfloat16 instructions ({', '.join(instructions)}), with which a step of ResNet-20 takes "
        f"{EXPECTED} of the time in float32; dk.autotune measures precision='mixed_bfloat16' on your model and data"
    )


def num_multiplications(model: keras.Model) -> int:
    """Return the number of multiplications of weights for an example, in dense and convolutional layers.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> num_multiplications(model)
        12
    """
    return sum(_multiplications(layer) for layer in model._flatten_layers(include_self=False))


def _multiplications(layer: keras.layers.Layer) -> int:
    if not isinstance(layer, keras.layers.Dense | keras.layers.Conv1D | keras.layers.Conv2D | keras.layers.Conv3D):
        return 0
    if not layer.built or not layer._inbound_nodes:
        return 0
    shape = layer.output.shape  # a size that is unknown counts as 1
    units = layer.units if isinstance(layer, keras.layers.Dense) else layer.filters
    return math.prod(layer.kernel.shape) * math.prod(size or 1 for size in shape[1:]) // units
