"""`CompiledModel`: a model that is ready for training, with the texts that describe it."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras

from deepkit.execution.plan import Plan
from deepkit.training.label_check import NO_LABEL_CHECKS, LabelChecks
from deepkit.training.prediction_settings import PredictionSettings


@dataclass(frozen=True)
class CompiledModel:
    """A compiled model, and its definition, optimizer, loss and metrics as text.

    Args:
        model: The model, ready for `model.fit`.
        plan: The plan, adapted to this model and its data.
        definition: The code of the definition, or the architecture of a model that was already compiled.
        optimizer: The optimizer as code.
        loss: The loss as code.
        metrics: The metrics as code.
        precompiled: Whether the model was already compiled.
        notes: Messages about conversions, for the user.
        label_checks: The checks of labels that each batch needs.
        prediction: The conversions of inputs and outputs that `Run.predict` repeats.
    """

    model: keras.Model
    plan: Plan
    definition: str
    optimizer: str
    loss: str
    metrics: tuple[str, ...]
    precompiled: bool = False
    notes: tuple[str, ...] = ()
    label_checks: LabelChecks = NO_LABEL_CHECKS
    prediction: PredictionSettings = field(default_factory=PredictionSettings)
